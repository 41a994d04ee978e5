"""Reads one table with its partitions and what was archived from it: rows in, a PartitionedTable out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from sys import intern

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import CatalogBusy, TableNotFound
from core.names import fit, literal, split_qualified
from core.postgres.connection import session, translate
from core.postgres.server import Server, server_of
from core.postgres.session import Row, rows_of
from core.postgres.snapshot import read_snapshot
from core.tables.archived import Archived
from core.tables.bounds import Bounds, constants
from core.tables.catalog.address import read_address
from core.tables.catalog.archived import read_archived, with_missing
from core.tables.catalog.order import in_order, of_bounds
from core.tables.catalog.ownership import name_array
from core.tables.catalog.publications import publications_of, subscriptions_of
from core.tables.catalog.relation import (
    BUSY,
    CHECKS,
    COLUMNS,
    INDEXED,
    KEY,
    KEY_WORDS,
    activity_columns,
    activity_of,
    checks_of,
    columns_of,
    indexes_column,
    indexes_of,
    key_of,
    size_columns,
    size_of,
    unserved,
)
from core.tables.catalog.sequences import read_sequences
from core.tables.catalog.shards import read_spread
from core.tables.catalog.siblings import read_equipment
from core.tables.catalog.tree import conditions, kind_of, read_trees, summed, with_sequences
from core.tables.catalog.upkeep import read_partman
from core.tables.cut import read_cut
from core.tables.distribution import Spread
from core.tables.ends import End
from core.tables.equipment import Equipment
from core.tables.key import Key
from core.tables.ownership import Parent
from core.tables.partition import Partition
from core.tables.reading import recognised, said_reading
from core.tables.structure import Column, ForeignKey
from core.tables.table import ArchiveSchema, PartitionedTable
from core.tables.upkeep import noted

_PARENT = """
WITH busy AS ({busy})
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relowner, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
    pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
    (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = c.relowner) AS owner_is_superuser,
    pg_catalog.has_schema_privilege(n.oid, 'CREATE') AS may_create,
    pg_catalog.has_table_privilege(c.oid, 'SELECT') AS may_read,
    CASE WHEN c.relispartition AND b.oid IS NULL THEN pg_catalog.pg_get_partition_constraintdef(c.oid) END AS above,
    (SELECT pg_catalog.format('%I.%I', rn.nspname, r.relname) FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class r ON r.oid = i.inhparent JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
        WHERE c.relispartition AND i.inhrelid = c.oid) AS part_of,
    (WITH RECURSIVE below(oid) AS (
            SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid
            UNION ALL SELECT i.inhrelid FROM below JOIN pg_catalog.pg_partitioned_table bp ON bp.partrelid = below.oid
            JOIN pg_catalog.pg_inherits i ON i.inhparent = bp.partrelid)
        SELECT count(*) FROM below) AS below,
    p.partstrat, p.partnatts, {key}, {key_words}, ts.spcname, d.description AS comment,
    {columns} AS columns, {checks} AS checks, {indexes} AS indexes,
    (SELECT json_agg(json_build_array(k.conname, pg_catalog.format('%I.%I', fn.nspname, fc.relname),
            pg_catalog.pg_get_constraintdef(k.oid)) ORDER BY k.conname)
        FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class fc ON fc.oid = k.confrelid
        JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
        WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0) AS refs,
    (SELECT json_agg(json_build_array(k.conname, pg_catalog.format('%I.%I', fn.nspname, fc.relname),
            pg_catalog.pg_get_constraintdef(k.oid), pg_catalog.pg_has_role(fc.relowner, 'USAGE')) ORDER BY k.conname)
        FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class fc ON fc.oid = k.conrelid
        JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
        WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0 AND k.conrelid <> c.oid) AS referenced_by,
    an.oid IS NOT NULL AS archive_exists,
    coalesce(pg_catalog.has_schema_privilege(an.oid, 'CREATE'), false) AS archive_create,
    coalesce((SELECT bool_or(acl.grantee = 0) FROM pg_catalog.aclexplode(an.nspacl) acl), false) AS archive_public
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN busy b ON b.oid = c.oid
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
LEFT JOIN pg_catalog.pg_description d
    ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = c.reltablespace
LEFT JOIN pg_catalog.pg_namespace an ON an.nspname = {archive}
WHERE c.relname = {name} AND c.relkind IN ('p', 'r') AND n.nspname = {schema}
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'partition_desk')
"""

# Bounds hold constants alone: printed without the partition that they are of, no partition is opened or waited for.
_CHILDREN = """
WITH busy AS ({busy}), {indexed}, constrained AS (
    SELECT k.conrelid AS oid, array_agg(k.conname::text) AS names FROM pg_catalog.pg_constraint k
    WHERE k.conrelid IN ({those}) GROUP BY k.conrelid)
SELECT c.oid, n.nspname, c.relname, c.relkind, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
    c.relpersistence = 'u' AS unlogged, {pending} AS pending, b.oid IS NOT NULL AS busy,
    pg_catalog.pg_get_expr(c.relpartbound, 0) AS bounds,
    d.description AS comment, nullif(c.reltuples, -1)::bigint AS rows, {size}, {activity},
    CASE WHEN c.relchecks > 0 THEN {checks} END AS checks,
    CASE WHEN b.oid IS NULL AND c.relkind = 'r' AND c.oid = (SELECT p.partdefid
        FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = {parent})
        THEN pg_catalog.pg_relation_size(c.oid) END AS read_through,
    k.names AS constraint_names, x.names AS index_names, x.invalid AS invalid_indexes
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN busy b ON b.oid = c.oid
LEFT JOIN indexed x ON x.oid = c.oid
LEFT JOIN constrained k ON k.oid = c.oid
LEFT JOIN pg_catalog.pg_description d
    ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
WHERE i.inhparent = {parent}
"""

# Names that are taken where a partition would go: in the archive schema, and back in its own. With a table go its
# indexes, its sequences, and its row type with the type of arrays of it.
_TAKEN = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {archive}
    OR (n.nspname = ANY ({homes}) AND c.relname = ANY ({coming}))
    OR (n.nspname = {home} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
        AND pg_catalog.starts_with(c.relname, {stem})
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid AND i.inhparent = {parent}))
UNION ALL SELECT n.nspname, t.typname FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE (n.nspname = {archive}
    OR n.nspname = ANY ({homes}) AND t.typname = ANY ({coming_types}))
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
UNION ALL SELECT n.nspname, '' FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ({homes})
"""


EXACT_UP_TO = 5_000
"""So many partitions are measured file by file; of more, sizes are those of the last vacuum or analyze."""


def read_table(engine: Engine, name: str, *, archive_schema: str = "archive", exact: bool = True) -> PartitionedTable:
    """The table that `name` means, as `read_address` says, its partitions, and what was archived from it.

    One snapshot. `exact` sizes ask the file system, others come from the last analyze. Raises TableNotFound,
    AmbiguousName, ConnectionFailed, and CatalogBusy where the table itself stays locked.
    """
    address = read_address(engine, name, archive_schema=archive_schema)
    with session(engine) as connection:
        return read_table_on(connection, address, archive_schema=archive_schema, exact=exact)


def read_table_on(connection: Connection, address: str, *, archive_schema: str, exact: bool = True) -> PartitionedTable:
    """`read_table` of an address, on a connection that is there already, which must be in AUTOCOMMIT."""
    schema, name = split_qualified(address)
    if schema is None:
        raise ValueError(f"{address} is no address")
    busy = CatalogBusy(f"{address} is locked by somebody else just now.", next="It is read again in a moment.")
    try:
        return read_snapshot(
            connection, lambda: _read_table(connection, schema, name, archive_schema, exact), busy=busy
        )
    except DBAPIError as error:
        raise translate(error) from error


def _parent(connection: Connection, schema: str, name: str, archive_schema: str, database: str) -> Row:
    """The row of the table. Raises TableNotFound."""
    parents = rows_of(
        connection,
        _PARENT.format(
            busy=BUSY,
            key=KEY,
            key_words=KEY_WORDS,
            columns=COLUMNS.format(parent="c.oid"),
            checks=CHECKS.format(parent="c.oid"),
            indexes=indexes_column(definition=True),
            archive=literal(archive_schema),
            name=literal(name),
            schema=literal(schema),
        ),
    )
    if not parents:
        raise TableNotFound(
            f"There is no table {schema}.{name} in the database {database}.",
            next="Check the name, its capitals and its schema; partitions status --table names another.",
        )
    return parents[0]


def _read_table(connection: Connection, schema: str, name: str, archive_schema: str, exact: bool) -> PartitionedTable:
    server = server_of(connection)
    row = _parent(connection, schema, name, archive_schema, server.database)
    exact = exact and row.below <= EXACT_UP_TO
    key, not_served = _key(row)
    spread = read_spread(connection, server.can, exact=exact)
    key, children = _attached(connection, row, key, server, spread, exact=exact)
    columns = columns_of(row.columns)
    archived: tuple[Archived, ...] = ()
    strays: tuple[Archived, ...] = ()
    if key is not None and not_served is None:
        parent = _as_parent(row, key, columns, children, server)
        archived, strays, key = read_archived(connection, parent, key, archive_schema, server, spread, exact=exact)
    columns = with_missing(connection, columns, children, (*archived, *strays))
    if row.relkind == "p":
        below = (member.oid for one in children for member in one.members)
        owned = read_sequences(connection, row.oid, (*below, *(oid for one in archived for oid in one.oids)))
        children = tuple(with_sequences(one, owned) for one in children)
        archived = tuple(with_sequences(one, owned) for one in archived)
    taken = _taken(connection, row, archive_schema, children, archived)
    archived = tuple(_with_home(one, taken, row.nspname) for one in archived)
    equipment, branching = (
        read_equipment(connection, row, children, key, server)
        if key is not None and not_served is None
        else (Equipment(), Equipment())
    )
    return PartitionedTable(
        oid=row.oid,
        schema=row.nspname,
        name=row.relname,
        owner=row.owner,
        key=key,
        strategy={"r": "range", "l": "list", "h": "hash"}.get(row.partstrat or "", "plain"),
        not_served=not_served,
        part_of=row.part_of or "",
        server=server,
        archive=_archive_of(row, archive_schema, taken),
        owned=row.owned,
        owner_is_superuser=row.owner_is_superuser,
        may_create=row.may_create,
        may_read=row.may_read,
        comment=row.comment,
        columns=columns,
        indexes=indexes_of(row.indexes),
        checks=checks_of(row.checks),
        references=tuple(ForeignKey(*fk) for fk in row.refs or ()),
        referenced_by=tuple(ForeignKey(*fk) for fk in row.referenced_by or ()),
        tablespace=row.spcname,
        distribution=spread.tables.get(row.oid),
        taken=taken[row.nspname],
        partitions=children,
        archived=archived,
        upkeep=noted(row.comment, (child.comment for child in children)) or read_partman(connection, row),
        subscriptions=subscriptions_of(connection, row.oid),
        publications=publications_of(connection, row.oid, row.nspname, server.can),
        equipment=equipment,
        branching=branching,
        strays=strays,
        as_of=datetime.now(UTC),
    )


def _archive_of(row: Row, name: str, taken: Mapping[str, frozenset[str]]) -> ArchiveSchema:
    return ArchiveSchema(name, row.archive_exists, row.archive_create, row.archive_public, taken[name])


def _attached(
    connection: Connection, row: Row, key: Key | None, server: Server, spread: Spread, *, exact: bool
) -> tuple[Key | None, tuple[Partition, ...]]:
    """The key with its reading, and the partitions in the order of their lower ends."""
    raw = _children(connection, row, server, exact) if row.relkind == "p" else ()
    if key is not None:
        key = in_order(connection, key, of_bounds(one.bounds for one in raw))
        key = recognised(key, _constants(raw), said_reading(row.comment), server.time_zone)
    branches = [child.oid for child in raw if child.relkind == "p"]
    trees = read_trees(connection, branches, server.can, spread, exact=exact, archived=False)
    found = (_partition(child, key, spread, exact) for child in raw)
    return key, tuple(sorted((summed(one, trees.get(one.oid)) for one in found), key=_place))


def _with_home(one: Archived, taken: Mapping[str, frozenset[str]], parents: str) -> Archived:
    """With what stands in the schemas that it and all below it came from, or that its own is gone."""
    tag = one.tag
    if tag is None:
        return one
    below = {schema: taken[schema] for _, schema in tag.below if schema in taken}
    one = replace(one, homes_below=below) if below else one
    schema = tag.schema
    if schema == parents:
        return one
    return replace(one, home_gone=schema not in taken, home_taken=taken.get(schema, frozenset()))


def _as_parent(
    row: Row, key: Key, columns: tuple[Column, ...], children: tuple[Partition, ...], server: Server
) -> Parent:
    """The table as what archived tables are told to be of."""
    ranges = [one.bounds for one in children if one.bounds is not None and one.bounds.is_range]
    grid = read_cut(key, ranges, (server.time_zone, "UTC"), datetime.now(UTC))
    names = frozenset(column.name for column in columns)
    return Parent(row.oid, row.nspname, row.relname, row.relowner, key, names, server.cluster, grid)


def _key(row: Row) -> tuple[Key | None, str | None]:
    """The key, where the table has one that is served, or why it is not served."""
    if row.relkind != "p":
        return None, "it is not partitioned"
    reason = unserved(row)
    if reason is not None:
        return None, reason
    key = key_of(row, whole=True)
    return (replace(key, above=conditions(row.above)) if key is not None and row.above else key), None


def _children(connection: Connection, parent: Row, server: Server, exact: bool) -> Sequence[Row]:
    those = f"SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = {parent.oid}"
    sql = _CHILDREN.format(
        busy=BUSY,
        indexed=INDEXED.format(of=those),
        those=those,
        pending="i.inhdetachpending" if server.can.concurrent_detach else "false",
        size=size_columns(exact, indexed=True),
        activity=activity_columns(indexed=True),
        checks=CHECKS.format(parent=parent.oid),
        parent=parent.oid,
    )
    return rows_of(connection, sql)


def _constants(rows: Iterable[Row]) -> Iterator[str]:
    """The texts of the constants of all bounds, without quotes."""
    for row in rows:
        yield from constants(row.bounds or "")


def _printed(bounds: str, key: Key | None) -> Bounds | None:
    """Bounds as PostgreSQL printed them; those of a key that is not served have no ends and are only shown."""
    try:
        return Bounds.parse(bounds, key) if key is not None else Bounds.shown(bounds)
    except ValueError:
        return None


def _partition(row: Row, key: Key | None, spread: Spread, exact: bool) -> Partition:
    shards = spread.of(row.oid)
    return Partition(
        oid=row.oid,
        schema=intern(row.nspname),
        name=row.relname,
        owner=intern(row.owner),
        bounds=_printed(row.bounds, key) if row.bounds else None,
        pending=row.pending,
        kind=kind_of(row.relkind),
        checks=checks_of(row.checks),
        index_names=tuple(row.index_names or ()),
        comment=row.comment,
        constraint_names=tuple(row.constraint_names or ()),
        busy=row.busy,
        size=None if row.relkind == "f" else shards.size if shards else size_of(row, exact),
        rows=shards.rows if shards else row.rows,
        activity=None if shards else activity_of(row),
        read_through=None if shards else row.read_through,
        unlogged=row.unlogged,
        invalid_indexes=tuple(row.invalid_indexes or ()),
    )


def _place(item: Partition) -> tuple[int, tuple[bool, End | None], str]:
    """Sorts by lower end: MINVALUE first, unknown bounds after the known, DEFAULT last."""
    if item.bounds is None or item.bounds.is_default:
        return (1 if item.bounds is None else 2), (False, None), item.name
    return 0, item.bounds.order, item.name


def _taken(
    connection: Connection,
    parent: Row,
    schema: str,
    children: tuple[Partition, ...],
    archived: tuple[Archived, ...],
) -> dict[str, frozenset[str]]:
    going: tuple[Partition | Archived, ...] = (*children, *(item for item in archived if item.schema != schema))
    outside = [item.name for item in archived if item.schema == parent.nspname]
    tags = [item.tag for item in archived if item.tag]
    homes = {parent.nspname, *(tag.schema for tag in tags), *(schema for tag in tags for _, schema in tag.below)}
    stem = fit(parent.relname, "_" + "x" * 12)[: len(parent.relname)]
    rows = rows_of(
        connection,
        _TAKEN.format(
            archive=literal(schema),
            home=literal(parent.nspname),
            homes=name_array(homes),
            coming=name_array(name for item in archived for name in item.names),
            coming_types=name_array(name for item in archived for name in item.type_names),
            stem=literal(stem[:40]),
            parent=parent.oid,
        ),
    )
    taken: dict[str, set[str]] = {schema: set()}
    moving = (*going, *(archived if schema in homes else ()))
    # nobody's name is wanted in an archive that holds nothing
    there = schema != parent.nspname and any(row.nspname == schema and row.relname for row in rows)
    wanted = {name for item in moving for name in (*item.names, *item.type_names)} if there else set()
    own = {child.name for child in children if child.schema == parent.nspname} | set(outside) | {parent.relname}
    for row in rows:
        if row.nspname == parent.nspname:
            counts = row.relname not in own
        else:
            counts = row.nspname != schema or row.relname in wanted
        if counts:
            taken.setdefault(row.nspname, set()).add(row.relname)
    return {place: frozenset(names) for place, names in taken.items()}
