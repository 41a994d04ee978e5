"""Reads what hangs below partitions that are partitioned themselves, and which of them are tables of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection

from core.postgres.capabilities import Capabilities
from core.postgres.session import Row, rows_of
from core.tables.archived import Archived
from core.tables.catalog.ownership import oid_array
from core.tables.catalog.relation import BUSY, activity_columns, activity_of, size_columns, size_of
from core.tables.distribution import Spread
from core.tables.partition import Partition
from core.tables.structure import OwnSequence
from core.tables.tree import Kind, Member, Tree

OWN_TABLES = """
own(oid, root, ranged) AS (
    SELECT p.partrelid, p.partrelid, p.partstrat = 'r' FROM pg_catalog.pg_partitioned_table p
    JOIN pg_catalog.pg_class c ON c.oid = p.partrelid AND NOT c.relispartition AND NOT c.oid = ANY ({archived})
        AND c.relpersistence <> 't' AND NOT pg_catalog.starts_with(c.relname, 'partition_desk_stage_')
    UNION ALL SELECT i.inhrelid, own.root, p.partstrat = 'r' FROM own
    JOIN pg_catalog.pg_inherits i ON i.inhparent = own.oid
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhrelid WHERE NOT own.ranged)
"""
"""A part of WITH RECURSIVE: the partitioned tables that nothing is above, and those below them down to RANGE.

Whatever is below a table by RANGE belongs to its partitions; a table by RANGE below LIST or HASH alone is one of its
own. `archived`: oids of partitioned tables that were partitions of others. Temporary ones are their session's alone.
"""

_BELOW = """
WITH RECURSIVE busy AS ({busy}), tree(root, parent, oid, pending) AS (
    SELECT r.oid, 0::oid, r.oid, false FROM unnest({roots}) r(oid)
    UNION ALL SELECT tree.root, i.inhparent, i.inhrelid, {pending} FROM tree
    JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
SELECT t.root, t.parent, t.pending, c.oid, n.nspname, c.relname, c.relkind,
    pg_catalog.pg_get_userbyid(c.relowner) AS owner, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
    b.oid IS NOT NULL AS busy, pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
    CASE WHEN c.relkind = 'p' AND b.oid IS NULL THEN pg_catalog.pg_get_partkeydef(c.oid)
        ELSE CASE p.partstrat WHEN 'r' THEN 'RANGE' WHEN 'l' THEN 'LIST' WHEN 'h' THEN 'HASH' END END AS split,
    pg_catalog.pg_get_expr(c.relpartbound, 0) AS bounds,
    ARRAY(SELECT ic.relname::text FROM pg_catalog.pg_index x
        JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid WHERE x.indrelid = c.oid ORDER BY 1) AS index_names,
    {foreign_keys} AS foreign_keys, nullif(c.reltuples, -1)::bigint AS rows, {size}, {activity}
FROM tree t
JOIN pg_catalog.pg_class c ON c.oid = t.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
LEFT JOIN busy b ON b.oid = c.oid
"""


_FOREIGN_KEYS = """(SELECT json_agg(json_build_array(k.conname, pg_catalog.pg_get_constraintdef(k.oid)))
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f')"""


def conditions(text: str) -> str:
    """What pg_get_partition_constraintdef() prints, without the parentheses around several conditions."""
    depth, quoted = 0, ""
    for place, letter in enumerate(text):
        if quoted or letter in "'\"":
            quoted = "" if letter == quoted else quoted or letter
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if depth == 0 and place < len(text) - 1:
            return text  # what opens first does not close last
        if depth == 1 and not quoted and text.startswith(" AND ", place):
            return text[1:-1]
    return text


def kind_of(relkind: str) -> Kind:
    """What pg_class.relkind says of a partition."""
    return {"p": Kind.BRANCH, "f": Kind.FOREIGN}.get(relkind, Kind.PLAIN)


def read_trees(
    connection: Connection, roots: Collection[int], can: Capabilities, spread: Spread, *, exact: bool, archived: bool
) -> dict[int, Tree]:
    """The trees of partitioned tables by their oids, in one query whatever their number, and none for none.

    Of what is `archived` with the foreign keys of each table, which a reattach asks for. The session has to print ISO
    dates. Raises DBAPIError.
    """
    if not roots:
        return {}
    sql = _BELOW.format(
        busy=BUSY,
        roots=oid_array(roots),
        pending="i.inhdetachpending" if can.concurrent_detach else "false",
        size=size_columns(exact),
        activity=activity_columns(),
        foreign_keys=_FOREIGN_KEYS if archived else "NULL::json",
    )
    splits: dict[int, str] = {}
    members: dict[int, list[Member]] = {}
    for row in rows_of(connection, sql):
        if row.oid == row.root:
            splits[row.root] = row.split
        else:
            members.setdefault(row.root, []).append(_member(row, spread, exact))
    return {root: Tree(split, root, _in_order(root, members.get(root, []))) for root, split in splits.items()}


def _member(row: Row, spread: Spread, exact: bool) -> Member:
    kind = kind_of(row.relkind)
    shards = spread.of(row.oid)
    return Member(
        oid=row.oid,
        parent=row.parent,
        schema=row.nspname,
        name=row.relname,
        owner=row.owner,
        kind=kind,
        bounds=row.bounds or "",
        split=row.split or "",
        pending=row.pending,
        index_names=tuple(row.index_names),
        foreign_keys=tuple((name, definition) for name, definition in row.foreign_keys or ()),
        comment=row.comment,
        owned=row.owned,
        busy=row.busy,
        size=None if kind is Kind.FOREIGN else shards.size if shards else size_of(row, exact),
        rows=shards.rows if shards else row.rows,
        activity=None if shards else activity_of(row),
    )


One = TypeVar("One", Partition, Archived)


def summed(one: One, tree: Tree | None) -> One:
    """A partition or an archived table with the figures of all that hangs below it."""
    if tree is None:
        return one
    busy = one.busy or tree.busy
    return replace(one, tree=tree, busy=busy, size=tree.size, rows=tree.rows, activity=tree.activity)


def with_sequences(one: One, owned: Mapping[int, tuple[OwnSequence, ...]]) -> One:
    """With the sequences that it owns, and those of all that hangs below it."""
    if one.tree is None and one.oid not in owned:
        return one
    tree = one.tree and replace(
        one.tree, members=tuple(replace(each, sequences=owned.get(each.oid, ())) for each in one.members)
    )
    return replace(one, sequences=owned.get(one.oid, ()), tree=tree)


def _in_order(root: int, members: list[Member]) -> tuple[Member, ...]:
    """Depth first, each table's partitions by name, its DEFAULT last."""
    below: dict[int, list[Member]] = {}
    for one in members:
        below.setdefault(one.parent, []).append(one)
    found: list[Member] = []

    def descend(oid: int) -> None:
        for one in sorted(below.get(oid, ()), key=lambda one: (one.bounds == "DEFAULT", one.name)):
            found.append(one)
            descend(one.oid)

    descend(root)
    return tuple(found)
