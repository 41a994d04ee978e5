"""The tables of the console's own that samples are kept in: made with the first one, a row only where a size changed.

Reading where there are none finds nothing. Losing them loses no partition.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from sqlalchemy import Connection

from core.errors import NotAllowed
from core.names import literal
from core.postgres.own_tables import make_tables, require_plain, require_trusted

TIMEOUT_MS = 60_000
"""How long one statement of a sample may take."""

# `state` is a place in STAGES. A partition's figures hold from their day on, until its next row.
_TABLES = """
CREATE TABLE IF NOT EXISTS partition_desk.sampled_table (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address text NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS partition_desk.sampled_partition (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_id integer NOT NULL REFERENCES partition_desk.sampled_table,
    relation oid,
    name text NOT NULL,
    bounds text
);
CREATE INDEX IF NOT EXISTS sampled_partition_by_table ON partition_desk.sampled_partition (table_id);
CREATE TABLE IF NOT EXISTS partition_desk.size_sample (
    partition_id integer NOT NULL,
    day date NOT NULL,
    state smallint NOT NULL,
    moved_from smallint,
    heap bigint NOT NULL,
    index_bytes bigint NOT NULL,
    toast bigint NOT NULL,
    cold bigint NOT NULL,
    live bigint,
    dead bigint,
    exact boolean NOT NULL,
    PRIMARY KEY (partition_id, day)
);
CREATE INDEX IF NOT EXISTS size_sample_moved ON partition_desk.size_sample (day) WHERE moved_from IS NOT NULL;
CREATE TABLE IF NOT EXISTS partition_desk.size_total (
    table_id integer NOT NULL,
    day date NOT NULL,
    state smallint NOT NULL,
    partitions integer NOT NULL,
    heap bigint NOT NULL,
    index_bytes bigint NOT NULL,
    toast bigint NOT NULL,
    cold bigint NOT NULL,
    live bigint NOT NULL,
    dead bigint NOT NULL,
    PRIMARY KEY (table_id, day, state)
);
CREATE TABLE IF NOT EXISTS partition_desk.sample_run (
    day date PRIMARY KEY,
    taken_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    seconds real NOT NULL,
    partitions integer NOT NULL,
    changed integer NOT NULL,
    skipped text[] NOT NULL,
    exact boolean NOT NULL,
    generated boolean NOT NULL
);
CREATE TABLE IF NOT EXISTS partition_desk.key_sample (
    table_id integer NOT NULL,
    taken_at timestamptz NOT NULL,
    highest numeric NOT NULL,
    PRIMARY KEY (table_id, taken_at)
)
"""

SIZES = "sample_run"
"""The last of the tables that sizes are kept in."""
KEYS = "key_sample"
"""What the highest ids are kept in, which is younger: a database that was sampled before lacks it until it is again."""

_EXISTS = """
SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'partition_desk' AND c.relname = '{name}'
"""


def exists(connection: Connection, name: str = SIZES) -> bool:
    """Whether the samples' tables are there. Raises NotAllowed where something else stands in their place."""
    there = bool(connection.exec_driver_sql(_EXISTS.format(name=name)).scalar_one())
    if there:
        require_plain(connection)
    return there


def _all_there(connection: Connection) -> bool:
    return exists(connection) and exists(connection, KEYS)


def definition() -> str:
    """The SQL that makes what of the tables is missing, once their schema is there."""
    return _TABLES.strip()


def make(connection: Connection) -> None:
    """Makes the tables where they are missing; the connection is in AUTOCOMMIT. Raises NotAllowed, JournalPublished."""
    require_trusted(connection)
    sizes = exists(connection)
    if _all_there(connection):
        return
    try:
        otherwise = "the tables that samples of sizes are kept in"
        make_tables(connection, definition(), there=_all_there, otherwise=otherwise)
    except NotAllowed:
        if not sizes:
            raise  # else sizes go on being sampled, and nothing tells the pace of ids


def int_array(values: Iterable[int | None]) -> str:
    return "'{" + ",".join("NULL" if value is None else str(value) for value in values) + "}'"


def text_array(values: Iterable[str | None]) -> str:
    return f"ARRAY[{', '.join('NULL' if value is None else literal(value) for value in values)}]::text[]"


def bool_array(values: Iterable[bool]) -> str:
    return "'{" + ",".join("t" if value else "f" for value in values) + "}'::boolean[]"


def date_array(days: Iterable[date]) -> str:
    return "'{" + ",".join(day.isoformat() for day in days) + "}'::date[]"
