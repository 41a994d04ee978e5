"""What a session is set to, in one place, and how one is asked: rows, and looks at one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from core.names import literal

PRINTED = {
    "search_path": "pg_catalog",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
}
"""What every text is printed under that is parsed or compared: qualified names, ISO dates, UTC."""

CONSOLE = {**PRINTED, "jit": "off"}  # compiling takes longer than any look at the catalog
"""The settings of every session of the console."""

READ_TIMEOUT_MS = 8_000
"""How long one look may take."""
READ_LOCK_TIMEOUT_MS = 150
"""How long a look waits behind a lock."""
NO_TIMEOUTS = {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
"""What lets a long piece of work end as late as it does, whatever is meant for others."""

ROW_TEXT = {
    **PRINTED,
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    "row_security": "off",  # where it would hide rows the statement fails instead
}
"""What makes the text of a row the same on every server."""

PORTABLE = {
    **NO_TIMEOUTS,
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
"""What the rows and the definitions of a backup are read under, on whatever server."""


def set_sql(settings: Mapping[str, str]) -> str:
    """The statements that set these for the session."""
    return "; ".join(f"SET {name} = {literal(value)}" for name, value in settings.items())


@contextmanager
def local_settings(connection: Connection, settings: Mapping[str, str]) -> Iterator[None]:
    """These settings in the transaction that is open, and those of before at the end; whoever opened it goes on."""
    shown = ", ".join(f"pg_catalog.current_setting({literal(name)})" for name in settings)
    before = rows_of(connection, f"SELECT {shown}")[0]
    _set_local(connection, settings)
    yield
    _set_local(connection, dict(zip(settings, before, strict=True)))


def _set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        rows_of(connection, f"SELECT pg_catalog.set_config({literal(name)}, {literal(value)}, true)")


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
