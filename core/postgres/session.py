"""What a session is set to, in one place, and how one is asked: rows, and looks at one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.names import literal
from core.postgres.driver import driver_of
from core.postgres.encoding import ANY_BYTES, RAW
from core.postgres.pooler import require_session

if TYPE_CHECKING:
    from psycopg2 import extensions

PRINTED = {
    "search_path": "pg_catalog",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "quote_all_identifiers": "off",
}
"""What every text is printed under that is parsed or compared: qualified names, ISO dates, UTC."""

NO_TIMEOUTS = dict.fromkeys(
    (
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",  # from 17 on
    ),
    "0",
)
"""What lets a long piece of work end as late as it does, whatever is meant for others."""

CONSOLE = {
    **PRINTED,
    **NO_TIMEOUTS,
    "array_nulls": "on",
    "bytea_output": "hex",
    "client_min_messages": "warning",
    "default_table_access_method": "heap",
    "default_tablespace": "",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "extra_float_digits": "1",
    "jit": "off",  # compiling takes longer than any look at the catalog
    "lc_monetary": "C",
    "row_security": "on",
    "standard_conforming_strings": "on",
    "xmloption": "content",
}
"""The settings of every session of the console, whatever ALTER ROLE, ALTER DATABASE or PGOPTIONS say.

What is left to them: whether the session may write at all (default_transaction_read_only), which triggers fire
(session_replication_role), when a commit is told (synchronous_commit), and how much memory is taken.
"""

READ_TIMEOUT_MS = 8_000
"""How long one look may take."""
READ_LOCK_TIMEOUT_MS = 150
"""How long a look waits behind a lock."""

ROW_TEXT = {
    "search_path": "pg_catalog",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    "row_security": "off",  # where it would hide rows the statement fails instead
}
"""What makes the text of a row the same on every server."""

PORTABLE = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "standard_conforming_strings": "on",
    "check_function_bodies": "off",
    "client_min_messages": "warning",
    "xmloption": "content",
    "row_security": "off",
    "search_path": "pg_catalog",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "lc_monetary": "C",
    "default_tablespace": "",
}
"""What the rows and the definitions of a backup are read under, on whatever server; part of their format."""


_OF_THE_ROLE = """
SELECT pg_catalog.current_setting('search_path'), pg_catalog.current_setting('server_encoding'),
    EXISTS (SELECT 1 FROM pg_catalog.pg_database WHERE encoding OPERATOR(pg_catalog.<>) 6)
"""
_OWN_PATH = "partition_desk_own_path"


def pin(driver: extensions.connection, settings: Mapping[str, str], info: dict[Any, Any]) -> None:
    """Sets a fresh session to `settings`, as far as the server knows them, and to a text that can always be read.

    What of the role's own is needed later goes into `info`. No name of the first statements is looked up in a path
    that somebody else may have filled. Raises ConnectionFailed where a pooler gives sessions to others in between.
    """
    require_session(driver)
    with driver.cursor() as cursor:
        cursor.execute(_OF_THE_ROLE)
        info[_OWN_PATH], encoding, mixed = cursor.fetchone() or ("", "", False)
        # names of roles and databases are in whatever encoding they were made in
        driver.set_client_encoding(ANY_BYTES if mixed else "UTF8")  # rolls back, so that it comes first
        if encoding in RAW:  # converted to nothing: the driver alone is told otherwise
            settings = {**settings, "client_encoding": encoding}
        wanted = ", ".join(f"({literal(name)}, {literal(value)})" for name, value in settings.items())
        cursor.execute(
            f"SELECT pg_catalog.set_config(w.name, w.value, false) FROM (VALUES {wanted}) w(name, value)"
            " JOIN pg_catalog.pg_settings s ON s.name OPERATOR(pg_catalog.=) w.name"
        )


def encoding_of(connection: Connection) -> str:
    """The encoding that the database stores text in."""
    return str(driver_of(connection).info.parameter_status("server_encoding") or "UTF8")


def own_path(connection: Connection) -> str:
    """The search_path that the role has in this database where nobody pins it, after `pg_catalog`, as SET takes it."""
    return ", ".join(filter(None, ("pg_catalog", connection.info.get(_OWN_PATH, ""))))


def as_the_role(connection: Connection) -> None:
    """Has the rest of the transaction run under the role's own search_path, for statements that run users' code.

    Event triggers, CHECKs, policies and the like name things as their writers' sessions find them.
    """
    set_local(connection, {"search_path": own_path(connection)})


FIRST_OWN_PATH = "SET LOCAL search_path TO DEFAULT; "
"""Before a statement that is sent with it in one: names in it are found as the role finds them."""


@contextmanager
def under_own_path(connection: Connection, **settings: str) -> Iterator[None]:
    """The same, and these settings, for a statement that runs outside of any transaction."""
    wanted = {"search_path": own_path(connection), **settings}
    _set(connection, wanted, local=False)
    try:
        yield
    finally:
        if not connection.invalidated:
            with suppress(DBAPIError):  # a lost session is never used again
                _set(connection, {name: CONSOLE[name] for name in wanted}, local=False)


@contextmanager
def local_settings(connection: Connection, settings: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """These settings in the transaction that is open, and those of before at the end; whoever opened it goes on.

    Settings that the server does not know are left out. Gives those of before.
    """
    shown = ", ".join(f"pg_catalog.current_setting({literal(name)}, true)" for name in settings)
    found = zip(settings, rows_of(connection, f"SELECT {shown}")[0], strict=True)
    before = {name: value for name, value in found if value is not None}
    set_local(connection, {name: settings[name] for name in before})
    yield before
    set_local(connection, before)


def set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    """These settings for the rest of the transaction that is open."""
    _set(connection, settings, local=True)


def _set(connection: Connection, settings: Mapping[str, str], *, local: bool) -> None:
    calls = (f"pg_catalog.set_config({literal(name)}, {literal(value)}, {local})" for name, value in settings.items())
    rows_of(connection, f"SELECT {', '.join(calls)}")


Row = Any
"""A row of a result, its columns as attributes."""


def rows_of(connection: Connection, sql: str) -> Sequence[Row]:
    """The rows of a statement that is final text."""
    return connection.exec_driver_sql(sql, execution_options={"no_parameters": True}).all()


@contextmanager
def reading(connection: Connection, *, timeout_ms: int | None, snapshot: bool = False) -> Iterator[None]:
    """A read-only transaction on a connection in AUTOCOMMIT that waits behind no lock for more than a moment.

    A time-out of None is the session's own.
    """
    level = "ISOLATION LEVEL REPEATABLE READ " if snapshot else ""
    own = "" if timeout_ms is None else f"; SET LOCAL statement_timeout = {timeout_ms}"
    connection.exec_driver_sql(f"BEGIN {level}READ ONLY; SET LOCAL lock_timeout = {READ_LOCK_TIMEOUT_MS}{own}")
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.exec_driver_sql("ROLLBACK")
