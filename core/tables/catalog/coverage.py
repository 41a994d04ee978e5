"""Reads what partitions cover without opening one or waiting for a lock, from their bounds alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.names import ident, literal, qualified, split_qualified
from core.period import Range
from core.postgres.connection import APPLICATION_NAME, session, translate
from core.postgres.server import read_server
from core.postgres.session import FIRST_OWN_PATH, Row, rows_of
from core.tables.bounds import Bounds, constants
from core.tables.catalog.ownership import oid_array, read_archived_branches
from core.tables.catalog.relation import KEY, key_of, unserved
from core.tables.catalog.stored import stored_bounds, stored_key_type
from core.tables.catalog.tree import OWN_TABLES
from core.tables.coverage import Coverage
from core.tables.ends import TIMES
from core.tables.key import Key
from core.tables.reading import recognised, said_reading

# What a key is takes several looks: once a table, and not again for each of its partitions.
_TABLES = """
WITH RECURSIVE {own_tables}
SELECT c.oid, n.nspname, c.relname, p.partstrat, p.partnatts, {key}, d.description AS comment,
    p.partstrat <> 'r' AND EXISTS (SELECT 1 FROM own b WHERE b.root = c.oid AND b.ranged) AS apart
FROM own
JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = own.oid
JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_description d
    ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
WHERE own.oid = own.root OR own.ranged
ORDER BY n.nspname, c.relname
"""
_RANGES = """
SELECT i.inhparent AS parent, n.nspname, r.relname, r.oid, {pending} AS pending,
    CASE WHEN p.partstrat = 'r' THEN pg_catalog.pg_get_expr(r.relpartbound, 0) END AS bounds
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhparent
JOIN pg_catalog.pg_class r ON r.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE i.inhparent = ANY ({parents})
"""


def read_coverage(engine: Engine, archive_schema: str = "archive") -> tuple[Coverage, ...]:
    """What every partitioned table of the database covers, by looks that open no relation and take no lock.

    Branches by RANGE below a table by LIST or HASH are tables of their own.
    """
    server = read_server(engine)
    pending = "i.inhdetachpending" if server.can.concurrent_detach else "false"
    with session(engine) as connection:
        try:
            archived = oid_array(read_archived_branches(connection, archive_schema))
            own = OWN_TABLES.format(archived=archived)
            tables = rows_of(connection, _TABLES.format(own_tables=own, key=KEY))
            parents = oid_array(table.oid for table in tables)
            rows = rows_of(connection, _RANGES.format(pending=f"coalesce({pending}, false)", parents=parents))
        except DBAPIError as error:
            raise translate(error) from error
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row.parent, []).append(row)
    return tuple(_coverage(table, found.get(table.oid, ()), server.time_zone) for table in tables)


def _coverage(table: Row, rows: Sequence[Row], zone: str) -> Coverage:
    served = unserved(table) is None
    key = key_of(table) if served else None
    bound = [row for row in rows if row.bounds]
    if key is not None:
        key = recognised(
            key, (one for row in bound for one in constants(row.bounds)), said_reading(table.comment), zone
        )
    default = next((row for row in bound if row.bounds == "DEFAULT"), None)
    live = [(_range(row.bounds, key), row.oid) for row in bound if key is not None and not row.pending]
    ranges = sorted(((one, oid) for one, oid in live if one is not None), key=lambda found: found[0].order)
    return Coverage(
        schema=table.nspname,
        name=table.relname,
        key=key,
        ranges=tuple(one for one, _ in ranges),
        oids=tuple(oid for _, oid in ranges),
        pending=sum(1 for row in rows if row.pending),
        default=qualified(default.nspname, default.relname) if default is not None else "",
        apart=table.apart,
    )


def _range(text: str, key: Key) -> Bounds | None:
    # tables that are cut alike have their bounds in common; keys that are alike may know other places of texts
    found = _parsed(text, key) if key.type in TIMES and not key.rest else Bounds.shown(text).on(key)
    return found if found is not None and found.is_range else None


@lru_cache(maxsize=4096)
def _parsed(text: str, key: Key) -> Bounds | None:
    return Bounds.shown(text).on(key)


# One round trip, whatever the settings of the session: bounds come as stored, a bare name is looked for on the search
# path, as `read_address` does; what that does not find at once is left to it. Looked up one catalog after the other,
# since a join takes longer to plan than to run.
_STORED = """
SELECT c.relpartbound::text FROM pg_catalog.pg_class c WHERE c.relpersistence <> 't' AND c.oid = ANY (ARRAY(
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE NOT i.inhdetachpending AND i.inhparent = (
        SELECT p.partrelid FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = pg_catalog.to_regclass({name})
            AND p.partstrat = 'r' AND p.partnatts = 1 AND p.partattrs[0] <> 0)))
"""


def lacks(engine: Engine, name: str, ranges: Iterable[Range], *, zone: str = "UTC") -> bool:
    """Whether some of the ranges may lack a partition, in one round trip and without a lock; False is certain."""
    schema, relation = split_qualified(name)
    target = qualified(schema, relation) if schema else ident(relation)
    sql = _STORED.format(name=literal(target))
    try:
        with engine.connect() as connection:
            if not connection.info.get(APPLICATION_NAME):
                connection.execution_options(isolation_level="AUTOCOMMIT")
            elif schema is None:  # the console's own are in AUTOCOMMIT, and have their path pinned
                sql = FIRST_OWN_PATH + sql
            rows = connection.exec_driver_sql(sql, execution_options={"no_parameters": True}).all()
    except DBAPIError:
        return True
    key_type = next((known for (node,) in rows if (known := stored_key_type(node)) is not None), None)
    if key_type is None:
        return True
    key = Key("", key_type)
    if key.clock is None:
        return True
    left = [Bounds.between(key, lower, upper, zone) for lower, upper in ranges]
    for (node,) in reversed(rows):  # what was added last is the likeliest to hold this year and the next
        bounds = stored_bounds(node, key)
        left = [one for one in left if bounds is None or not bounds.covers(one)]
        if not left:
            return False
    return True
