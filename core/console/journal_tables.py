"""The tables of the journal, schema partition_desk: made with the first act, unless that would stop a subscriber."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.postgres.connection import session, translate
from core.postgres.own_tables import make_tables, require_plain, require_trusted

_TABLES = """
CREATE TABLE IF NOT EXISTS partition_desk.operation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_address text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    plan json NOT NULL,
    digest text NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    origin text NOT NULL,
    reason text NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'interrupted')),
    step integer NOT NULL DEFAULT 0,
    steps integer NOT NULL,
    doing text NOT NULL DEFAULT '',
    tries integer NOT NULL DEFAULT 0,
    blockers json NOT NULL DEFAULT '[]',
    cancel_requested boolean NOT NULL DEFAULT false,
    requested_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    error text NOT NULL DEFAULT '',
    sqlstate text NOT NULL DEFAULT '',
    server_message text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX IF NOT EXISTS operation_once ON partition_desk.operation (table_address, kind, subject)
    WHERE state IN ('queued', 'running');
CREATE INDEX IF NOT EXISTS operation_by_table ON partition_desk.operation (table_address, id DESC);
CREATE TABLE IF NOT EXISTS partition_desk.operation_step (
    operation_id bigint NOT NULL REFERENCES partition_desk.operation,
    step integer NOT NULL,
    title text NOT NULL,
    sql text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    PRIMARY KEY (operation_id, step)
);
CREATE TABLE IF NOT EXISTS partition_desk.audit (
    n bigint PRIMARY KEY,
    entry text NOT NULL,
    previous text NOT NULL,
    hash text NOT NULL,
    seal text NOT NULL
);
CREATE TABLE IF NOT EXISTS partition_desk.audit_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    n bigint NOT NULL DEFAULT 0,
    hash text NOT NULL DEFAULT '',
    seal text NOT NULL DEFAULT ''
)
"""

# Columns that came after the first version of the journal, which an older one gets with the next act.
_ADDED = """
ALTER TABLE partition_desk.operation
    ADD COLUMN IF NOT EXISTS rows_before bigint,
    ADD COLUMN IF NOT EXISTS rows_after bigint,
    ADD COLUMN IF NOT EXISTS share real,
    ADD COLUMN IF NOT EXISTS error_kind text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS sealed_at text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS seal text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS wish text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS beat timestamptz,
    ADD COLUMN IF NOT EXISTS verified text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS address text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS asked boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS recorded boolean NOT NULL DEFAULT false
"""
_NEWEST_COLUMN = "recorded"

_EXISTS = f"""
SELECT count(*) FILTER (WHERE c.relname IN ('operation', 'operation_step')) = 2 AS there,
    coalesce(bool_or(a.attname IS NOT NULL), false) AS current
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND c.relname = 'operation' AND a.attname = '{_NEWEST_COLUMN}'
WHERE n.nspname = 'partition_desk'
"""


def exists(connection: Connection, *, current: bool = False) -> bool:
    """Whether the journal is there; with `current`, whether it has every column of this version.

    Raises NotAllowed where something else stands in its place.
    """
    row = connection.exec_driver_sql(_EXISTS).one()
    if row.there:
        require_plain(connection)
    return bool(row.there and (row.current or not current))


def definition() -> str:
    """The SQL that makes what of the journal is missing, once its schema is there."""
    return f"{_TABLES};{_ADDED}".strip()


def read_is_made(engine: Engine) -> bool:
    """Whether the journal is there with every column of this version."""
    with session(engine) as connection:
        try:
            return exists(connection, current=True)
        except DBAPIError as error:
            raise translate(error) from error


def make(connection: Connection) -> None:
    """Makes the journal's schema and tables where they are missing; the connection is in AUTOCOMMIT.

    Raises NotAllowed; JournalPublished where a subscriber would stop at the first row.
    """
    require_trusted(connection)
    there = partial(exists, current=True)
    if not there(connection):
        otherwise = "the console's journal, without which nothing is done"
        make_tables(connection, definition(), there=there, otherwise=otherwise)
