"""Counts rows and reads their keys, within a time; every other read of the catalog's looks at no row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.errors import DeskError
from core.names import qualified
from core.postgres.connection import session, translate
from core.postgres.session import Row, as_the_role, reading, rows_of
from core.tables.archived import Archived
from core.tables.bounds import Bounds, row_end, within
from core.tables.catalog.order import in_order
from core.tables.catalog.tree import kind_of
from core.tables.coverage import Coverage
from core.tables.key import Key, KeyRange
from core.tables.table import PartitionedTable
from core.tables.tree import Kind

ROWS_TIMEOUT_MS = 120_000
"""How long a read of rows, not of the catalog, may take."""


def _read_rows(engine: Engine, sql: str, timeout_ms: int = ROWS_TIMEOUT_MS) -> Row:
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=timeout_ms):
                as_the_role(connection)  # a policy's functions find what they name
                return rows_of(connection, sql)[0]
        except DBAPIError as error:
            raise translate(error) from error


def read_key_range(engine: Engine, table: PartitionedTable, archived: Archived) -> KeyRange:
    """The real range of keys in an archived table; reads every row where no index helps."""
    if table.key is None:
        raise ValueError(f"{table.label} has no key that is served")
    key = archived.own_key(table.key)
    columns = [part.sql for part in key.parts]
    filled = {column.name for column in archived.columns if column.not_null}
    may_lack = [part.sql for part in key.parts if part.column not in filled]
    present = f"FROM {archived.rows_sql} WHERE {' AND '.join(f'{column} IS NOT NULL' for column in columns)}"
    lacks = " OR ".join(f"{column} IS NULL" for column in may_lack)
    found = f"pg_catalog.json_build_array({', '.join(f'{column}::text' for column in columns)}) {present} ORDER BY"
    row = _read_rows(
        engine,
        f"SELECT (SELECT {found} {', '.join(columns)} LIMIT 1) AS lowest,"
        f" (SELECT {found} {', '.join(f'{column} DESC' for column in columns)} LIMIT 1) AS highest,"
        f" ({f'SELECT count(*) FROM {archived.rows_sql} WHERE {lacks}' if lacks else 'SELECT 0'}) AS nulls",
    )
    try:
        known = _with_places(engine, table.key, [texts for texts in (row.lowest, row.highest) if texts])
        lowest, highest = (None if texts is None else row_end(known, texts) for texts in (row.lowest, row.highest))
    except ValueError:  # a text that is no date among dates: the server compares them when the bounds are proven
        lowest = highest = None
    return KeyRange(lowest, highest, row.nulls)


def count_outside(engine: Engine, table: PartitionedTable, alone: Archived, bounds: Bounds) -> int:
    """How many rows of a table do not lie in the bounds, at most COUNTED_ROWS; reads all of it."""
    if table.key is None:
        raise ValueError(f"{table.label} has no key that is served")
    outside = f"SELECT 1 FROM {alone.rows_sql} WHERE ({within(table.key, bounds)}) IS NOT TRUE LIMIT {COUNTED_ROWS}"
    return int(_read_rows(engine, f"SELECT count(*) AS found FROM ({outside}) rows").found)


def _with_places(engine: Engine, key: Key, rows: Iterable[Sequence[str]]) -> Key:
    if all(part.ranks is None for part in key.parts):
        return key
    with session(engine) as connection:
        try:
            return in_order(connection, key, (one for texts in rows for one in enumerate(texts)))
        except DBAPIError as error:
            raise translate(error) from error


_CALLED = """
SELECT n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = {oid}
"""


def count_rows(engine: Engine, oid: int, *, timeout_ms: int) -> int | None:
    """How many rows the partition or archived table of that oid holds, wherever it is and whatever it is called now.

    None where it is gone, and where that takes too long. Raises ConnectionFailed.
    """
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=timeout_ms):
                found = rows_of(connection, _CALLED.format(oid=oid))
                if not found:
                    return None
                as_the_role(connection)  # a policy's functions find what they name
                only = "" if kind_of(found[0].relkind) is Kind.BRANCH else "ONLY "
                relation = only + qualified(found[0].nspname, found[0].relname)
                return int(rows_of(connection, f"SELECT count(*) AS found FROM {relation}")[0].found)
        except DBAPIError:
            return None


GLANCE_MS = 1_500
"""How long counting rows for a page may take."""

COUNTED_ROWS = 1_000_000
"""Where counting the rows of a DEFAULT partition stops: as many are too many either way."""


def count_default_rows(engine: Engine, table: PartitionedTable, wanted: Iterable[Bounds]) -> int:
    """How many rows of the ranges the DEFAULT partition holds, at most COUNTED_ROWS; 0 without a DEFAULT."""
    conditions = " OR ".join(f"({within(table.key, bounds)})" for bounds in wanted) if table.key else ""
    return _count_default(engine, table, f"WHERE {conditions}") if conditions else 0


def count_all_default_rows(engine: Engine, table: PartitionedTable) -> int | None:
    """How many rows the DEFAULT partition holds, at most COUNTED_ROWS; None where they can't be counted just now."""
    try:
        return _count_default(engine, table, "", timeout_ms=GLANCE_MS)
    except DeskError:
        return None  # busy, or not for this role to read: no reason to show nothing else


def count_covered_by_default(engine: Engine, coverage: Coverage, *, timeout_ms: int = GLANCE_MS) -> int | None:
    """The same of a table known by its coverage alone."""
    if not coverage.default:
        return 0
    some = f"SELECT count(*) AS found FROM (SELECT 1 FROM {coverage.default} LIMIT {COUNTED_ROWS}) rows"
    try:
        return int(_read_rows(engine, some, timeout_ms).found)
    except DeskError:
        return None


def _count_default(engine: Engine, table: PartitionedTable, where: str, *, timeout_ms: int = ROWS_TIMEOUT_MS) -> int:
    if table.default is None:
        return 0
    row = _read_rows(
        engine,
        f"SELECT count(*) AS found FROM (SELECT 1 FROM {table.default.rows_sql} {where} LIMIT {COUNTED_ROWS}) rows",
        timeout_ms,
    )
    return int(row.found)
