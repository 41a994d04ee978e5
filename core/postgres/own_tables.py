"""The schema of the console's own tables, partition_desk: made with the first of them, under a lock of its own."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.errors import NotAllowed
from core.names import ident
from core.postgres.connection import sqlstate
from core.postgres.publications import OWN_SCHEMA, require_unpublished
from core.postgres.session import as_the_role

_MAKING = 20549
"""First key of the lock under which the schema and its tables are made."""


def make_tables(connection: Connection, definition: str, *, otherwise: str) -> None:
    """Runs the SQL that makes tables of the console's own, after their schema; the connection is in AUTOCOMMIT.

    `otherwise` says what does not work without them. Raises NotAllowed; JournalPublished where a subscriber would stop
    at the first row.
    """
    require_unpublished(connection)
    connection.exec_driver_sql("BEGIN")
    try:
        as_the_role(connection)
        connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock({_MAKING}, 0)")
        # IF NOT EXISTS would ask for the right to create schemas even where this one was made for the role.
        there = f"SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = '{OWN_SCHEMA}'"
        if not connection.exec_driver_sql(there).scalar_one():
            connection.exec_driver_sql(f"CREATE SCHEMA {OWN_SCHEMA}")
        connection.exec_driver_sql(definition)
        connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        rollback(connection)
        if sqlstate(error) == "42501":
            user = connection.exec_driver_sql("SELECT current_user").scalar_one()
            raise NotAllowed(
                f"The role {user} may not make {otherwise}.",
                next=f"Run once as an administrator: CREATE SCHEMA {OWN_SCHEMA} AUTHORIZATION {ident(str(user))}.",
            ) from error
        raise


def rollback(connection: Connection) -> None:
    """Ends the transaction, if the connection is there."""
    if not connection.invalidated:
        connection.exec_driver_sql("ROLLBACK")
