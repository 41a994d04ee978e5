"""A partition with all that hangs below it, as a backup writes it down and as it is found again: table by table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from core.backups.standalone import Lone, read_columns, write_lone
from core.errors import BackupUnusable
from core.names import qualified
from core.plans.branch import dumped
from core.plans.manifest import STORED, Backup, Level
from core.postgres.collation import DEFAULT_ORDER
from core.postgres.session import rows_of
from core.tables.archived import Archived
from core.tables.catalog.definition import read_definition
from core.tables.catalog.ownership import oid_array
from core.tables.fingerprint import fingerprint, fingerprint_sql
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import Kind


@dataclass(frozen=True, slots=True)
class Written:
    """One table of a backup, and the statements that make it on its own."""

    level: Level
    lone: Lone
    owner: str
    comment: str | None
    """The whole of it, marks included."""


def write_levels(connection: Connection, found: Partition | Archived, archive: str) -> tuple[Written, ...]:
    """It and all below it, parents first, each as a table of the schema `archive`.

    Raises BackupUnusable for what can't be made elsewhere.
    """
    split = found.tree.split if found.tree is not None else ""
    parents = {found.oid: found.name, **{one.oid: one.name for one in found.members}}
    bounds = found.bounds.text if found.bounds is not None else ""
    places = [(found.schema, found.name, "", bounds, split)]
    places += [(one.schema, one.name, parents[one.parent], one.bounds, one.split) for one in found.members]
    written = tuple(_written(connection, archive, *place) for place in places)
    return tuple(replace(one, level=replace(one.level, schema=_stood(found, one.level))) for one in written)


def _stood(found: Partition | Archived, level: Level) -> str:
    """The schema that a table of it stood in, while it was attached."""
    if not isinstance(found, Archived) or found.tag is None or level.schema != found.schema:
        return level.schema
    return dict(found.tag.below if level.parent else ()).get(level.name, found.tag.schema)


def _written(
    connection: Connection, archive: str, schema: str, name: str, parent: str, bounds: str, split: str
) -> Written:
    definition = read_definition(connection, schema, name)
    lone = write_lone(connection, definition, (archive, name), split)
    level = Level(name, schema, parent, bounds, split, lone.columns, 0, "", 0)
    return Written(level, lone, definition.owner, definition.comment)


_ELSEWHERE = """
WITH part AS (
    SELECT p.partrelid, p.partstrat, u.n, u.attnum, (p.partcollation::oid[])[u.n::int - 1] AS collation,
        coalesce(t.typtype = 'e' OR e.typtype = 'e' OR b.typtype = 'e', false) AS of_enum
    FROM pg_catalog.pg_partitioned_table p
    CROSS JOIN LATERAL unnest(pg_catalog.string_to_array(p.partattrs::text, ' ')::int2[]) WITH ORDINALITY u(attnum, n)
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = u.attnum
    LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
    LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
    WHERE p.partrelid = ANY ({branches})
), named AS (
    SELECT co.oid, co.collname IN ('C', 'POSIX', 'ucs_basic') OR (co.collname = 'default' AND d.own = '') AS everywhere,
        co.collname, d.own
    FROM pg_catalog.pg_collation co, (SELECT {default_order} AS own) d
)
SELECT partrelid, 'the HASH of an enum, whose labels have other numbers on every server' AS why
    FROM part WHERE partstrat = 'h' AND of_enum
UNION ALL SELECT partrelid, 'the order of the collation ' || CASE WHEN c.collname = 'default' THEN c.own
        ELSE c.collname END || ', which another server may not have, or have in another version'
    FROM part JOIN named c ON c.oid = part.collation AND NOT c.everywhere
    WHERE partstrat = 'r' OR c.collname <> 'default'
UNION ALL SELECT d.objid, pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0)
    FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = ANY ({branches})
    AND d.objsubid = 0 AND d.refobjid >= 16384 AND d.refclassid IN ('pg_catalog.pg_proc'::regclass,
        'pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass, 'pg_catalog.pg_operator'::regclass)
ORDER BY 1, 2
"""


def require_anywhere(connection: Connection, table: PartitionedTable, found: Partition | Archived) -> None:
    """Raises BackupUnusable for a branch whose rows another server would put into other leaves, or can't cut so."""
    branches = [found.oid] if found.kind is Kind.BRANCH else []
    branches += [one.oid for one in found.members if one.kind is Kind.BRANCH]
    sql = _ELSEWHERE.format(branches=oid_array(branches), default_order=DEFAULT_ORDER)
    rows = rows_of(connection, sql) if branches else ()
    names = {found.oid: found.name, **{one.oid: one.name for one in found.members}}
    if rows:
        raise BackupUnusable(
            f"{table.called(found)} is cut by what a server that holds nothing else does not do alike, so that no"
            " backup of it could be proven.",
            tuple(f"{names[row.partrelid]} rests on {row.why}." for row in rows),
            next=f"pg_dump (16 or newer) writes it as it is: {dumped(table, found)}",
        )


_LEVELS = """
WITH RECURSIVE tree(oid, parent, path) AS (
    SELECT c.oid, 0::oid, ARRAY[]::text[] FROM pg_catalog.pg_class c WHERE c.oid = {oid}
    UNION ALL SELECT i.inhrelid, i.inhparent, tree.path || i.inhrelid::text FROM tree
    JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
SELECT c.oid, n.nspname, c.relname, c.relkind, coalesce(pc.relname, '') AS parent,
    coalesce(pg_catalog.pg_get_expr(c.relpartbound, 0), '') AS bounds,
    CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) ELSE '' END AS split
FROM tree t
JOIN pg_catalog.pg_class c ON c.oid = t.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class pc ON pc.oid = t.parent
ORDER BY t.path
"""


def read_levels(connection: Connection, oid: int) -> tuple[Level, ...]:
    """A table and all below it as they are on this server, parents first; no row is read.

    To be run under the settings of a fingerprint, which print bounds alike.
    """
    return tuple(
        Level(row.relname, row.nspname, row.parent, row.bounds, row.split, read_columns(connection, row.oid), 0, "", 0)
        for row in rows_of(connection, _LEVELS.format(oid=oid))
    )


def counted(connection: Connection, leaf: Level, backup: Backup) -> Level:
    """A leaf of this server with the number and the fingerprints of its rows, of the columns that the backup's are of.

    Reads all of them.
    """
    computed = leaf.computed if backup.compared == STORED else ()
    sql = fingerprint_sql(qualified(leaf.schema, leaf.name), backup.fingerprinted(leaf), also=computed)
    row = rows_of(connection, sql)[0]
    rows = int(row.rows)
    generated = fingerprint(rows, str(row.also)) if computed else ""
    return replace(leaf, rows=rows, fingerprint=fingerprint(rows, str(row.total)), generated=generated)


def placed_otherwise(backup: Backup, found: tuple[Level, ...]) -> str:
    """What of its tables is not where the backup has it, as a sentence; empty where all are."""
    there = {one.name: one for one in found}
    for want in backup.levels:
        have = there.get(want.name)
        if have is None:
            return f"It lacks {want.name}, below {want.parent}."
        if want.parent and (have.parent, have.bounds) != (want.parent, want.bounds):
            said = f"below {want.parent}, {want.bounds}"
            return f"{want.name} is below {have.parent}, {have.bounds}, and the manifest says {said}."
        if _strategy(have) != _strategy(want):
            split, said = have.split or "nothing", want.split or "nothing"
            return f"{want.name} is partitioned by {split}, and the manifest says by {said}."
    more = [one.name for one in found if one.name not in {level.name for level in backup.levels}]
    if more or len(there) < len(found):
        return f"It has {', '.join(more) or 'two tables of one name'} besides, of which the manifest says nothing."
    return ""


def _strategy(level: Level) -> str:
    """RANGE, LIST, HASH or nothing: how an expression of the key is printed may differ between versions."""
    return level.split.partition(" ")[0]
