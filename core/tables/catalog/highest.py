"""Reads the highest id in use of a table whose key tells no time: from an index or the statistics, never row by row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.names import literal, qualified
from core.postgres.connection import is_lost, session, translate
from core.postgres.session import as_the_role, reading, rows_of
from core.tables.catalog.ownership import oid_array
from core.tables.catalog.relation import BUSY
from core.tables.ends import Value
from core.tables.key import Key
from core.tables.table import PartitionedTable

_TIMEOUT_MS = 1_500
_LOOKED_AT = 3
"""So many of the last partitions with rows are asked; the highest id is in the first that has one."""


def read_highest(engine: Engine, table: PartitionedTable) -> Value | None:
    """The highest id in use; None where nothing tells it cheaply, or the role may not know. Raises ConnectionFailed."""
    if table.key is None or not counts_on(table.key):
        return None
    used = [p for p in table.ranges if p.is_plain and not p.pending and p.size is not None and p.size.heap > 0]
    indexed = any(index.valid and index.columns[:1] == (table.key.column,) for index in table.indexes)
    with session(engine) as connection:
        return _highest(connection, table.key, [(one.schema, one.name, indexed) for one in reversed(used)])


def counts_on(key: Key) -> bool:
    """Whether its values are numbers that tell no time: ids, of which one can be the highest."""
    return key.clock is None and key.type.is_number


_USED = """
WITH busy AS ({busy})
SELECT n.nspname, c.relname, EXISTS (SELECT FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]
    WHERE x.indrelid = c.oid AND x.indisvalid AND x.indpred IS NULL AND a.attname = {column}) AS indexed
FROM pg_catalog.unnest({oids}) WITH ORDINALITY asked(oid, place)
JOIN pg_catalog.pg_class c ON c.oid = asked.oid AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN busy b ON b.oid = c.oid
WHERE CASE WHEN b.oid IS NULL THEN pg_catalog.pg_relation_size(c.oid) > 0 END
ORDER BY asked.place DESC LIMIT {most}
"""


def read_highest_among(connection: Connection, key: Key, oids: Iterable[int]) -> Value | None:
    """The highest id of those partitions, whose oids are in the order of their ranges; on a connection in AUTOCOMMIT.

    None where nothing tells it cheaply, or the role may not know. Raises ConnectionFailed.
    """
    sql = _USED.format(busy=BUSY, column=literal(key.column), oids=oid_array(oids), most=_LOOKED_AT)
    try:
        with reading(connection, timeout_ms=_TIMEOUT_MS):
            rows = rows_of(connection, sql)
    except DBAPIError as error:
        if is_lost(error):
            raise translate(error) from error
        return None
    return _highest(connection, key, [(row.nspname, row.relname, row.indexed) for row in rows])


def _highest(connection: Connection, key: Key, used: Sequence[tuple[str, str, bool]]) -> Value | None:
    """Of partitions with rows, the last one first: (schema, name, whether an index begins with the key)."""
    for schema, name, indexed in used[:_LOOKED_AT]:
        try:
            with reading(connection, timeout_ms=_TIMEOUT_MS):
                text = _indexed(connection, key, schema, name) if indexed else _estimated(connection, key, schema, name)
        except DBAPIError as error:
            if is_lost(error):
                raise translate(error) from error
            return None
        if text is not None:
            found = key.end(text)
            return found if isinstance(found, Value) else None
        if not indexed:
            return None  # it may hold rows that no statistics tell of
    return None


def _indexed(connection: Connection, key: Key, schema: str, name: str) -> str | None:
    as_the_role(connection)  # a policy's functions find what they name
    last = f"SELECT {key.sql}::text AS last FROM ONLY {qualified(schema, name)} WHERE {key.sql} IS NOT NULL"
    rows = rows_of(connection, f"{last} ORDER BY {key.sql} DESC LIMIT 1")
    return rows[0].last if rows else None


_STATISTICS = """
SELECT max(v::numeric)::text AS last FROM pg_catalog.pg_stats s,
    unnest(coalesce(s.histogram_bounds::text::text[], '{{}}') || coalesce(s.most_common_vals::text::text[], '{{}}')) v
WHERE s.schemaname = {schema} AND s.tablename = {name} AND s.attname = {column}
"""


def _estimated(connection: Connection, key: Key, schema: str, name: str) -> str | None:
    """As the last analyze found it."""
    if not key.column:
        return None
    names = {"schema": schema, "name": name, "column": key.column}
    rows = rows_of(connection, _STATISTICS.format(**{word: literal(name) for word, name in names.items()}))
    return str(rows[0].last) if rows and rows[0].last is not None else None
