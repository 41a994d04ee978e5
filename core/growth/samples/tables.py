"""The tables of the console's own that samples are kept in: made with the first one, a row only where a size changed.

Reading where there are none finds nothing. Losing them loses no partition.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.errors import NotAllowed
from core.names import ident, literal
from core.postgres.connection import sqlstate
from core.postgres.publications import require_unpublished
from core.postgres.session import as_the_role

SAMPLE_LOCKS = 20551
"""First key of the advisory lock under which one process at a time samples."""

TIMEOUT_MS = 60_000
"""How long one statement of a sample may take."""

_MAKING = 20549
"""First key of the lock under which the console's schema is made: the journal's, which makes it too."""

_SCHEMA = "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'partition_desk'"

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
)
"""

_NEWEST = "sample_run"

_EXISTS = f"""
SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'partition_desk' AND c.relname = '{_NEWEST}'
"""


def exists(connection: Connection) -> bool:
    return bool(connection.exec_driver_sql(_EXISTS).scalar_one())


def rollback(connection: Connection) -> None:
    """Ends the transaction, if the connection is there."""
    if not connection.invalidated:
        connection.exec_driver_sql("ROLLBACK")


def definition() -> str:
    """The SQL that makes what of the tables is missing, once their schema is there."""
    return _TABLES.strip()


def make(connection: Connection) -> None:
    """Makes the tables where they are missing; the connection is in AUTOCOMMIT. Raises NotAllowed, JournalPublished."""
    if exists(connection):
        return
    require_unpublished(connection)
    connection.exec_driver_sql("BEGIN")
    try:
        as_the_role(connection)
        connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock({_MAKING}, 0)")
        # IF NOT EXISTS would ask for the right to create schemas even where this one was made for the role.
        if not connection.exec_driver_sql(_SCHEMA).scalar_one():
            connection.exec_driver_sql("CREATE SCHEMA partition_desk")
        connection.exec_driver_sql(_TABLES)
        connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        rollback(connection)
        if sqlstate(error) == "42501":
            user = connection.exec_driver_sql("SELECT current_user").scalar_one()
            raise NotAllowed(
                f"The role {user} may not make the tables that samples of sizes are kept in.",
                next=f"Run once as an administrator: CREATE SCHEMA partition_desk AUTHORIZATION {ident(str(user))}.",
            ) from error
        raise


def int_array(values: Iterable[int | None]) -> str:
    return "'{" + ",".join("NULL" if value is None else str(value) for value in values) + "}'"


def text_array(values: Iterable[str | None]) -> str:
    return f"ARRAY[{', '.join('NULL' if value is None else literal(value) for value in values)}]::text[]"


def bool_array(values: Iterable[bool]) -> str:
    return "'{" + ",".join("t" if value else "f" for value in values) + "}'::boolean[]"


def date_array(days: Iterable[date]) -> str:
    return "'{" + ",".join(day.isoformat() for day in days) + "}'::date[]"
