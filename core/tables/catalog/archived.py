"""Reads what was archived from one table, and what is of tables that are no longer there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import CatalogBusy
from core.names import literal, split_qualified
from core.postgres.connection import session, translate
from core.postgres.server import Server
from core.postgres.session import Row, rows_of
from core.tables.archived import Archived, Source
from core.tables.catalog.order import in_order, of_bounds, of_checks
from core.tables.catalog.ownership import detached, name_array, oid_array, read_parents
from core.tables.catalog.relation import (
    BUSY,
    CHECKS,
    COLUMNS,
    OWNERS,
    SPEAKS_FOR,
    activity_columns,
    activity_of,
    checks_of,
    columns_of,
    indexes_column,
    indexes_of,
    size_columns,
    size_of,
)
from core.tables.catalog.shards import read_spread
from core.tables.catalog.tree import kind_of, read_trees, summed
from core.tables.distribution import Spread
from core.tables.key import Key
from core.tables.marks import Marks, Tag
from core.tables.ownership import Descent, Ownership, Parent
from core.tables.partition import Partition
from core.tables.structure import Column, ForeignKey
from core.tables.table import PartitionedTable
from core.tables.tree import Kind

_BARRIERS = """
    (SELECT json_agg(json_build_array(found.kind, found.name)) FROM (
        SELECT 'typed' AS kind, pg_catalog.format_type(c.reloftype, NULL) AS name WHERE c.reloftype <> 0
        UNION ALL SELECT 'child', i.inhparent::pg_catalog.regclass::text FROM pg_catalog.pg_inherits i
            WHERE i.inhrelid = c.oid
        UNION ALL SELECT 'parent', i.inhrelid::pg_catalog.regclass::text FROM pg_catalog.pg_inherits i
            WHERE i.inhparent = c.oid AND c.relkind <> 'p'
        UNION ALL SELECT 'trigger', pg_catalog.quote_ident(t.tgname) FROM pg_catalog.pg_trigger t
            WHERE t.tgrelid = c.oid AND t.tgtype & 1 = 1 AND (t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL)
    ) found)
"""

_ALONE = """
WITH busy AS ({busy}), {owners}
SELECT c.oid, n.nspname, c.relname, c.relkind, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
    b.oid IS NOT NULL AS busy,
    c.relpersistence = 'u' AS unlogged, c.relhasrules OR EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS fires,
    n.nspname = {archive} AS ours, d.description AS comment, {speaks_for} AS speaks_for,
    nullif(c.reltuples, -1)::bigint AS rows, {size}, {activity},
    {columns} AS columns, {checks} AS checks, {indexes} AS indexes,
    (SELECT json_agg(json_build_array(k.conname, k.confrelid::regclass::text, pg_catalog.pg_get_constraintdef(k.oid))
        ORDER BY k.oid) FROM pg_catalog.pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype = 'f') AS foreign_keys,
    pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned, {barriers} AS barriers
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN busy b ON b.oid = c.oid
LEFT JOIN pg_catalog.pg_description d
    ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
WHERE """

_ARCHIVED = (
    _ALONE
    + """c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.oid <> {parent}
    AND (n.nspname = {archive} OR pg_catalog.strpos(d.description, 'partition-desk: {{') > 0
        AND c.relpersistence <> 't' AND pg_catalog.pg_has_role(c.relowner, {owner}, 'USAGE'))
    AND (pg_catalog.strpos(d.description, 'partition-desk: {{') > 0 OR EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname = {key} AND NOT a.attisdropped))
ORDER BY n.nspname, c.relname
"""
)

_ONE = (
    _ALONE
    + """n.nspname = {schema} AND c.relname = {name} AND c.relkind IN ('r', 'p', 'f')
    AND NOT c.relispartition AND c.relpersistence <> 't'"""
)


def read_alone(engine: Engine, table: PartitionedTable, address: str) -> Archived | None:
    """A table that hangs on no parent, as what is to become a partition of `table`, with all of its comment.

    None where that address is of no such table. Raises ConnectionFailed, CatalogBusy.
    """
    schema, name = split_qualified(address)
    sql = _ONE.format(
        busy=BUSY,
        owners=OWNERS,
        size=size_columns(exact=True),
        activity=activity_columns(),
        columns=COLUMNS.format(parent=table.oid),
        checks=CHECKS.format(parent=table.oid),
        indexes=indexes_column(definition=False),
        barriers=_BARRIERS,
        speaks_for=SPEAKS_FOR,
        archive=literal(table.archive.name),
        schema=literal(schema or ""),
        name=literal(name),
    )
    with session(engine) as connection:
        try:
            spread = read_spread(connection, table.server.can, exact=True)
            rows = rows_of(connection, sql)
        except DBAPIError as error:
            raise translate(error) from error
    if not rows:
        return None
    if rows[0].busy:
        raise CatalogBusy(f"{address} is locked by somebody else just now.", next="Ask again in a moment.")
    nobody = Parent(table.oid, table.schema, table.name, _NO_OWNER, table.key, frozenset())
    return _archived_value(rows[0], Descent(nobody, None, None), spread, exact=True)


_NO_OWNER = -1
"""For whom no mark counts: all of the comment is the table's own."""


def read_archived(
    connection: Connection, parent: Parent, key: Key, schema: str, server: Server, spread: Spread, *, exact: bool
) -> tuple[tuple[Archived, ...], tuple[Archived, ...], Key]:
    """(what was archived from the table, what was from tables that are gone, the key that knows the ends of all)."""
    sql = _ARCHIVED.format(
        busy=BUSY,
        owners=OWNERS,
        size=size_columns(exact),
        activity=activity_columns(),
        columns=COLUMNS.format(parent=parent.oid),
        checks=CHECKS.format(parent=parent.oid),
        indexes=indexes_column(definition=False),
        barriers=_BARRIERS,
        parent=parent.oid,
        owner=parent.owner,
        speaks_for=SPEAKS_FOR,
        archive=literal(schema),
        key=literal(key.columns[0]),
    )
    rows = [(row, detached(row, (name for name, *_ in row.columns or ()))) for row in rows_of(connection, sql)]
    key = in_order(connection, key, of_bounds(one.tag.bounds for _, one in rows if one.tag))
    key = in_order(connection, key, of_checks(key, (check for _, one in rows for check in one.checks)))
    parent = replace(parent, key=key)
    marked = all(
        one.tag and one.tag.names(parent.sql, parent.oid) and parent.owner in one.speaks_for for _, one in rows
    )
    others = [] if marked else [one for one in read_parents(connection) if one.oid != parent.oid]
    ownership = Ownership([parent, *others])
    found = [
        _archived_value(row, origin, spread, exact)
        for row, one in rows
        if (origin := ownership.origin(one)) and origin.parent.oid == parent.oid
    ]
    strays = [
        _archived_value(row, Descent(parent, one.tag.range_on(key), Source.TAG), spread, exact)
        for row, one in rows
        if one.tag is not None and parent.owner in one.speaks_for and ownership.is_stray(one)
    ]
    branches = [one.oid for one in (*found, *strays) if one.kind is Kind.BRANCH]
    trees = read_trees(connection, branches, server.can, spread, exact=exact, archived=True)
    archived, gone = (_in_order(summed(one, trees.get(one.oid)) for one in some) for some in (found, strays))
    return archived, gone, key


_MISSING = """
SELECT a.attname, min((a.attmissingval::text::text[])[1]) AS value FROM pg_catalog.pg_attribute a
WHERE a.attrelid = ANY ({children}) AND a.attname = ANY ({names}) AND a.atthasmissing
GROUP BY a.attname HAVING count(DISTINCT a.attmissingval::text) = 1
"""


def with_missing(
    connection: Connection, columns: tuple[Column, ...], children: tuple[Partition, ...], archived: tuple[Archived, ...]
) -> tuple[Column, ...]:
    """The columns, each that an archived table lacks with what the rows read that were there before it."""
    shared = [{column.name for column in one.columns} for one in archived]
    added = [column.name for column in columns if any(column.name not in names for names in shared)]
    if not added:
        return columns
    sql = _MISSING.format(children=oid_array(oid for child in children for oid in child.oids), names=name_array(added))
    values = {row.attname: row.value for row in rows_of(connection, sql)}
    return tuple(replace(column, missing=values.get(column.name)) for column in columns)


def _in_order(found: Iterable[Archived]) -> tuple[Archived, ...]:
    return tuple(sorted(found, key=lambda a: (a.bounds is None, a.bounds.text if a.bounds else "")))


def _key_column(tag: Tag | None, key: Key | None, columns: tuple[Column, ...]) -> str:
    """What the table calls the key of its parent, where the parent's was renamed since."""
    names = {column.name for column in columns}
    return tag.key if tag and key and key.column not in names and tag.key in names else ""


def _archived_value(row: Row, origin: Descent, spread: Spread, exact: bool) -> Archived:
    counts = origin.parent.owner in row.speaks_for
    comment, marks = Marks.split(row.comment) if counts else (row.comment, Marks())
    tag = marks.tag
    if tag is not None and origin.source is not Source.TAG:
        comment, tag = Marks(tag).beside(comment), None
    columns = columns_of(row.columns)
    shards = spread.of(row.oid)
    return Archived(
        oid=row.oid,
        schema=row.nspname,
        name=row.relname,
        owner=row.owner,
        bounds=origin.bounds,
        source=origin.source,
        tag=tag,
        comment=comment,
        kind=kind_of(row.relkind),
        columns=columns,
        key_column=_key_column(tag, origin.parent.key, columns),
        indexes=indexes_of(row.indexes),
        checks=checks_of(row.checks),
        foreign_keys=tuple(ForeignKey(*fk) for fk in row.foreign_keys or ()),
        barriers=tuple((kind, name) for kind, name in row.barriers or ()),
        owned=row.owned,
        hold=marks.hold,
        drop=marks.drop,
        distribution=spread.tables.get(row.oid),
        left_here=shards is not None and exact and bool(row.heap),
        busy=row.busy,
        fires=row.fires,
        unlogged=row.unlogged,
        size=None if row.relkind == "f" else shards.size if shards else size_of(row, exact),
        rows=shards.rows if shards else row.rows,
        activity=None if shards else activity_of(row),
    )
