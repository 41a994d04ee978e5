"""The schema of the console's own tables, partition_desk: made with the first of them, under a lock of its own.

Whoever was there first may have put something else into it. Only plain tables are read, in which nobody's code runs,
and only those of trusted owners are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import DeskError, NotAllowed
from core.names import ident
from core.postgres.advisory import LockKey, held
from core.postgres.connection import session, sqlstate, translate
from core.postgres.publications import OWN_SCHEMA, require_unpublished
from core.postgres.server import raised_by
from core.postgres.session import as_the_role
from core.text import to_run


def make_tables(
    connection: Connection, definition: str, *, there: Callable[[Connection], bool], otherwise: str
) -> None:
    """Runs the SQL that makes tables of the console's own, after their schema; the connection is in AUTOCOMMIT.

    Nothing where all is `there` once nobody else is making them: others write into it by then. `otherwise` says what
    does not work without them. Raises NotAllowed; JournalPublished where a subscriber would stop at the first row.
    """
    require_unpublished(connection)
    with held(connection, LockKey.MAKING, 0, "making the tables of the console"):
        if not there(connection):
            _make(connection, definition, otherwise)


def _make(connection: Connection, definition: str, otherwise: str) -> None:
    connection.exec_driver_sql("BEGIN")
    try:
        as_the_role(connection)
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
                next="Run once as an administrator: "
                + to_run(f"CREATE SCHEMA {OWN_SCHEMA} AUTHORIZATION {ident(str(user))}"),
            ) from error
        told = raised_by(connection, error)
        if told is None:
            raise
        raise told from error


_ODD = f"""
SELECT c.relname, c.relkind <> 'r' OR c.relrowsecurity
        OR EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid)
        OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid)) AS is_odd,
    NOT (pg_catalog.pg_has_role(c.relowner, 'USAGE') OR r.rolsuper) OR EXISTS (SELECT FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS is_foreign
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
WHERE n.nspname = '{OWN_SCHEMA}' AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
"""
_NOT_OURS = f"Find out who made the schema {OWN_SCHEMA}, and drop it: a new one is made with the next act."


def require_plain(connection: Connection) -> None:
    """Raises NotAllowed where reading the schema would run somebody's code."""
    odd = [row.relname for row in connection.exec_driver_sql(_ODD).all() if row.is_odd]
    if odd:
        raise NotAllowed(
            f"{OWN_SCHEMA}.{odd[0]} is not the plain table that this console makes: reading it would run the code of"
            " whoever made it.",
            next=_NOT_OURS,
        )


def require_trusted(connection: Connection) -> None:
    """Raises NotAllowed where writing into the schema would run somebody's code."""
    require_plain(connection)
    foreign = [row.relname for row in connection.exec_driver_sql(_ODD).all() if row.is_foreign]
    if foreign:
        raise NotAllowed(
            f"{OWN_SCHEMA}.{foreign[0]} belongs to a role that this one does not act for, or has a trigger: writing"
            " into it would run the code of whoever made it.",
            next=_NOT_OURS,
        )


_HIDDEN = f"""
SELECT current_user AS role FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = '{OWN_SCHEMA}' AND c.relkind = 'r' AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
    AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) LIMIT 1
"""


def read_hidden(engine: Engine) -> NotAllowed | None:
    """That the role may not read the console's own tables, so that what stands in them is unknown; None where it may.

    Who looks for it elsewhere finds nothing there, which is not the same.
    """
    with session(engine) as connection:
        try:
            row = connection.exec_driver_sql(_HIDDEN).first()
        except DBAPIError as error:
            raise translate(error) from error
    if row is None:
        return None
    return NotAllowed(
        f"The role {row.role} may not read the console's own tables, in the schema {OWN_SCHEMA}: what was done here,"
        " and which sizes were sampled, is unknown to it.",
        next=f"Whoever owns that schema can let {row.role} use it and read its tables.",
    )


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All of it or nothing; the connection is in AUTOCOMMIT."""
    connection.exec_driver_sql("BEGIN")
    try:
        yield
        connection.exec_driver_sql("COMMIT")
    except (DBAPIError, DeskError):
        rollback(connection)
        raise


def rollback(connection: Connection) -> None:
    """Ends the transaction, if the connection is there."""
    if not connection.invalidated:
        connection.exec_driver_sql("ROLLBACK")
