"""Reads what partitions cover without opening one or waiting for a lock, from their bounds as they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.names import ident, literal, qualified, split_qualified
from core.period import Range
from core.postgres.connection import APPLICATION_NAME, session, translate
from core.postgres.server import read_server
from core.postgres.session import Row, rows_of
from core.tables.bounds import Bounds
from core.tables.catalog.stored import stored_bounds, stored_key_type
from core.tables.coverage import Coverage
from core.tables.key import Key, KeyType, unserved

_COVERAGE = """
SELECT n.nspname, c.relname, p.partstrat, p.partnatts, ka.attname AS key_column,
    pg_catalog.format_type(ka.atttypid, ka.atttypmod) AS key_type, cn.nspname AS child_schema, r.relname AS child,
    CASE WHEN p.partstrat = 'r' THEN r.relpartbound::text END AS stored, {pending} AS pending
FROM pg_catalog.pg_partitioned_table p
JOIN pg_catalog.pg_class c ON c.oid = p.partrelid AND NOT c.relispartition
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute ka ON ka.attrelid = c.oid AND ka.attnum = p.partattrs[0] AND p.partnatts = 1
LEFT JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid
LEFT JOIN pg_catalog.pg_class r ON r.oid = i.inhrelid
LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = r.relnamespace
ORDER BY n.nspname, c.relname
"""


def read_coverage(engine: Engine) -> tuple[Coverage, ...]:
    """What every partitioned table of the database covers, in one look that opens no relation and takes no lock."""
    pending = "i.inhdetachpending" if read_server(engine).can.concurrent_detach else "false"
    with session(engine) as connection:
        try:
            rows = rows_of(connection, _COVERAGE.format(pending=f"coalesce({pending}, false)"))
        except DBAPIError as error:
            raise translate(error) from error
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.nspname, row.relname), []).append(row)
    return tuple(_coverage(children) for children in found.values())


def _coverage(rows: Sequence[Row]) -> Coverage:
    table = rows[0]
    served = unserved(table.partstrat, table.partnatts, table.key_type) is None
    bounds = [(stored_bounds(row.stored), row) for row in rows if row.stored]
    ranges = [one for one, row in bounds if one is not None and not one.is_default and not row.pending]
    default = next((row for one, row in bounds if one is not None and one.is_default), None)
    return Coverage(
        schema=table.nspname,
        name=table.relname,
        key=Key(table.key_column, KeyType(table.key_type)) if served else None,
        ranges=tuple(sorted(ranges, key=lambda one: one.order)) if served else (),
        pending=sum(1 for row in rows if row.pending),
        default=qualified(default.child_schema, default.child) if default is not None else "",
    )


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
                sql = f"SET LOCAL search_path TO DEFAULT; {sql}"
            rows = connection.exec_driver_sql(sql, execution_options={"no_parameters": True}).all()
    except DBAPIError:
        return True
    key_type = next((known for (node,) in rows if (known := stored_key_type(node)) is not None), None)
    if key_type is None:
        return True
    left = [Bounds.between(Key("", key_type), lower, upper, zone) for lower, upper in ranges]
    for (node,) in reversed(rows):  # what was added last is the likeliest to hold this year and the next
        bounds = stored_bounds(node)
        left = [one for one in left if bounds is None or not bounds.covers(one)]
        if not left:
            return False
    return True
