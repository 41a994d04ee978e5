"""The tables of the journal, schema partition_desk: made with the first act, unless that would stop a subscriber."""

from __future__ import annotations

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import NotAllowed
from core.names import ident
from core.postgres.connection import session, sqlstate, translate
from core.postgres.publications import require_unpublished
from core.postgres.session import as_the_role

_MAKING = 20549
"""First key of the lock under which the console's schema is made: that of samples, too."""

_SCHEMA = "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'partition_desk'"
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
)
"""

# Columns that came after the first version of the journal, which an older one gets with the next act.
_ADDED = """
ALTER TABLE partition_desk.operation
    ADD COLUMN IF NOT EXISTS rows_before bigint,
    ADD COLUMN IF NOT EXISTS rows_after bigint,
    ADD COLUMN IF NOT EXISTS share real,
    ADD COLUMN IF NOT EXISTS error_kind text NOT NULL DEFAULT ''
"""
_NEWEST_COLUMN = "error_kind"

_EXISTS = f"""
SELECT count(*) FILTER (WHERE c.relname IN ('operation', 'operation_step')) = 2 AS there,
    coalesce(bool_or(a.attname IS NOT NULL), false) AS current
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND c.relname = 'operation' AND a.attname = '{_NEWEST_COLUMN}'
WHERE n.nspname = 'partition_desk'
"""


def exists(connection: Connection, *, current: bool = False) -> bool:
    """Whether the journal is there; with `current`, whether it has every column of this version."""
    row = connection.exec_driver_sql(_EXISTS).one()
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
    if exists(connection, current=True):
        return
    require_unpublished(connection)
    connection.exec_driver_sql("BEGIN")
    try:
        as_the_role(connection)
        connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock({_MAKING}, 0)")
        # IF NOT EXISTS would ask for the right to create schemas even where this one was made for the role.
        if not connection.exec_driver_sql(_SCHEMA).scalar_one():
            connection.exec_driver_sql("CREATE SCHEMA partition_desk")
        connection.exec_driver_sql(definition())
        connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        if not connection.invalidated:
            connection.exec_driver_sql("ROLLBACK")
        if sqlstate(error) == "42501":
            user = connection.exec_driver_sql("SELECT current_user").scalar_one()
            raise NotAllowed(
                f"The role {user} may not make the console's journal, without which nothing is done.",
                next=f"Run once as an administrator: CREATE SCHEMA partition_desk AUTHORIZATION {ident(str(user))}.",
            ) from error
        raise
