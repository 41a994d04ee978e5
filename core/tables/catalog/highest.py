"""Reads the highest id in use of a table whose key tells no time: from an index or the statistics, never row by row."""

from __future__ import annotations

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.names import literal
from core.postgres.connection import is_lost, session, translate
from core.postgres.session import as_the_role, reading, rows_of
from core.tables.ends import Value
from core.tables.key import Key
from core.tables.partition import Partition
from core.tables.table import PartitionedTable

_TIMEOUT_MS = 1_500
_LOOKED_AT = 3
"""So many of the last partitions with rows are asked; the highest id is in the first that has one."""


def read_highest(engine: Engine, table: PartitionedTable) -> Value | None:
    """The highest id in use; None where nothing tells it cheaply, or the role may not know. Raises ConnectionFailed."""
    key = table.key
    if key is None or key.clock is not None or not key.type.is_number:
        return None
    used = [p for p in table.ranges if p.is_plain and not p.pending and p.size is not None and p.size.heap > 0]
    indexed = any(index.valid and index.columns[:1] == (key.column,) for index in table.indexes)
    for partition in used[: -_LOOKED_AT - 1 : -1]:
        try:
            with session(engine) as connection, reading(connection, timeout_ms=_TIMEOUT_MS):
                text = _indexed(connection, key, partition) if indexed else _estimated(connection, key, partition)
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


def _indexed(connection: Connection, key: Key, partition: Partition) -> str | None:
    as_the_role(connection)  # a policy's functions find what they name
    last = f"SELECT {key.sql}::text AS last FROM ONLY {partition.sql} WHERE {key.sql} IS NOT NULL"
    rows = rows_of(connection, f"{last} ORDER BY {key.sql} DESC LIMIT 1")
    return rows[0].last if rows else None


_STATISTICS = """
SELECT max(v::numeric)::text AS last FROM pg_catalog.pg_stats s,
    unnest(coalesce(s.histogram_bounds::text::text[], '{{}}') || coalesce(s.most_common_vals::text::text[], '{{}}')) v
WHERE s.schemaname = {schema} AND s.tablename = {name} AND s.attname = {column}
"""


def _estimated(connection: Connection, key: Key, partition: Partition) -> str | None:
    """As the last analyze found it."""
    if not key.column:
        return None
    names = {"schema": partition.schema, "name": partition.name, "column": key.column}
    rows = rows_of(connection, _STATISTICS.format(**{word: literal(name) for word, name in names.items()}))
    return str(rows[0].last) if rows and rows[0].last is not None else None
