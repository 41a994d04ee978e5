"""Connects to PostgreSQL: engines and sessions with the console's settings, and SQLSTATE turned into core.errors.

`engine` is the application's engine on DATABASE_URL, made at first use: `from core.postgres.connection import engine`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from core.errors import (
    Cancelled,
    CatalogBusy,
    ConnectionFailed,
    DeskError,
    Failed,
    NotAllowed,
    NotVerified,
    ReadOnlyServer,
    ServerFull,
    SettingError,
    UsageError,
)
from core.postgres.driver import driver_of
from core.postgres.pooler import BY_STATEMENT, SHARED, WHAT_KEEPS
from core.postgres.session import CONSOLE, READ_LOCK_TIMEOUT_MS, READ_TIMEOUT_MS, pin

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

    engine: Engine

APPLICATION_NAME = "partition-desk"
CONNECT_TIMEOUT_S = 5
_ADDRESS = "DATABASE_URL"
_SETTING = "partition_desk_setting"

_READING = {
    **CONSOLE,
    "default_transaction_read_only": "on",
    "statement_timeout": str(READ_TIMEOUT_MS),
    "lock_timeout": str(READ_LOCK_TIMEOUT_MS),
}


def parse_url(text: str, setting: str = "DATABASE_URL") -> URL:
    """A database URL for psycopg2; `postgresql://` and `postgres://` are both taken.

    Raises SettingError, which names the `setting` that it comes from.
    """
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError) as error:
        raise SettingError(
            f"{setting} is not a database address.",
            next="Write it as postgresql://user:password@host:5432/database.",
        ) from error
    if url.drivername.split("+", maxsplit=1)[0] not in ("postgresql", "postgres"):
        raise SettingError(
            f"{setting} begins with {url.drivername}; this is a console for PostgreSQL.",
            next="Write it as postgresql://user:password@host:5432/database.",
        )
    return url.set(drivername="postgresql+psycopg2")


def place(url: URL) -> str:
    """Where an address leads, for people, never with a password: "school on db.example:5432"."""
    host = url.host or url.query.get("host") or "the local socket"
    where = f"{host}:{url.port}" if url.port else str(host)
    return f"{url.database or url.username or 'the default database'} on {where}"


def reading_engine(url: URL, setting: str = _ADDRESS) -> Engine:
    """An engine that only reads: every statement its own transaction, and no wait longer than a moment.

    `setting` is what has the address, for who is told that it leads nowhere.
    """
    return _engine(url, _READING, pool_size=6, setting=setting)


def working_engine(url: URL) -> Engine:
    """The engine that operations run on; lock and statement time-outs are set by whoever uses it."""
    return _engine(url, CONSOLE, pool_size=4)


def answers(url: str) -> bool:
    """Whether a new connection gets an answer; each gives up by itself, so that none piles up."""
    limits = {"connect_timeout": 2, "tcp_user_timeout": 2000, "application_name": APPLICATION_NAME}
    try:
        engine = create_engine(parse_url(url), poolclass=NullPool, connect_args=limits)
        with engine.connect() as connection:
            return bool(connection.exec_driver_sql("SELECT 1").scalar_one())
    except (DBAPIError, SettingError):
        return False


def _engine(url: URL, settings: Mapping[str, str], *, pool_size: int, setting: str = _ADDRESS) -> Engine:
    made = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=8,
        pool_pre_ping=True,
        pool_timeout=CONNECT_TIMEOUT_S,
        execution_options={_SETTING: setting},
        use_native_hstore=False,  # asked for in a transaction, which a pooler by statements has none of
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": APPLICATION_NAME},
    )

    pin_each(made, settings)
    return made


def pin_each(engine: Engine, settings: Mapping[str, str]) -> None:
    """Has every connection that the engine makes set to these."""

    def configure(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        try:
            pin(connection, settings, entry.info)  # type: ignore[arg-type]
        except ConnectionFailed:
            connection.close()
            raise
        connection.commit()
        entry.info[APPLICATION_NAME] = True

    event.listen(engine, "connect", configure)


@contextmanager
def session(of: Engine) -> Iterator[Connection]:
    """A connection in AUTOCOMMIT with the console's settings, whoever made the engine.

    One of another's pool is taken out of it for good, so that no setting leaks back. Raises ConnectionFailed.
    """
    try:
        connection = of.connect()
    except DBAPIError as error:
        raise translate(error, of.url, setting=of.get_execution_options().get(_SETTING, _ADDRESS)) from error
    except PoolTimeoutError as error:
        raise ConnectionFailed(
            "Every connection of this program to the server is in use.", next="Try again in a moment."
        ) from error
    with connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT", no_parameters=True)
        if not connection.info.get(APPLICATION_NAME):
            connection.detach()
            pin(driver_of(connection), {**CONSOLE, "application_name": APPLICATION_NAME}, connection.info)
        try:
            yield connection
        except PendingRollbackError as error:  # lost in a statement that may fail, as giving back a lock may
            raise ConnectionFailed(
                "The connection to the server was lost.",
                safe="What was committed before stays.",
                next="Try again once the server is back.",
            ) from error
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{error.object!r} holds what is no letter and can't be sent."[:400], next="Write it in UTF-8."
            ) from error
        except UnicodeDecodeError as error:
            raise Failed(
                "The server gave a text that is no UTF-8.",
                safe="What was committed before stays.",
                next="A role or a database has a name in another encoding: rename it, or drop it.",
            ) from error


def sqlstate(error: DBAPIError) -> str:
    """The five characters of an error, or nothing where the server could not say any."""
    return getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None) or ""


def server_message(error: DBAPIError) -> str:
    """The server's own words, first line and detail, without the statement and without the values of a row."""
    diag = getattr(error.orig, "diag", None)
    primary = getattr(diag, "message_primary", None) or str(error.orig).strip().partition("\n")[0]
    detail = getattr(diag, "message_detail", None)
    hidden = _OF_A_ROW.sub(r"\1(…)", detail or "")
    return f"{primary} ({hidden})" if hidden else str(primary)


_OF_A_ROW = re.compile(r"(=\s*|contains )\(.*\)", re.DOTALL)
"""In a detail: Key (kid_id)=(500) is not present; Failing row contains (500, 2024-01-01)."""


def raised_in(error: DBAPIError) -> str:
    """Where the server says that an error arose, innermost first: functions and their lines; empty outside of any."""
    return getattr(getattr(error.orig, "diag", None), "context", None) or ""


LOCK_TIMEOUT = "55P03"
CANCELLED = "57014"
DEADLOCK = "40P01"
_SESSION_TIMEOUTS = ("25P03", "25P04", "57P05")
"""idle_in_transaction_session_timeout, transaction_timeout, idle_session_timeout: they end the session."""
CONNECTION_LOST = ("08000", "08003", "08006", "57P01", "57P02", "57P03", *_SESSION_TIMEOUTS)


def is_lost(error: DBAPIError) -> bool:
    """Whether the connection, rather than the statement, is what failed."""
    return error.connection_invalidated or sqlstate(error) in CONNECTION_LOST or not sqlstate(error)


_LOGIN: tuple[tuple[str, str, str], ...] = (
    (
        r"password authentication failed|no password supplied",
        "The server refused the password for {user}.",
        "Check the user and password in DATABASE_URL.",
    ),
    (r'role "(.+)" does not exist', "The server knows no role {user}.", "Check the user in DATABASE_URL."),
    (
        r'database "(.+)" does not exist',
        "The server has no database {database}.",
        "Check the database's name in DATABASE_URL.",
    ),
    (
        r"no pg_hba.conf entry|authentication failed",
        "The server does not let {user} in from here.",
        "Ask its administrator for an entry in pg_hba.conf.",
    ),
    (BY_STATEMENT, SHARED, WHAT_KEEPS),
    (
        r"unsupported startup parameter",
        "A pooler is in the way that takes no settings of a session in the address.",
        "Take `options` out of DATABASE_URL and PGOPTIONS, or name it in the pooler's ignore_startup_parameters.",
    ),
    (
        r"starting up|shutting down|recovery",
        "The server is starting or stopping.",
        "This page tries again by itself.",
    ),
)


def translate(
    error: DBAPIError, url: URL | None = None, *, safe: str = "Nothing was changed.", setting: str = _ADDRESS
) -> DeskError:
    """The error of core.errors that tells what the driver's error means; `safe` says what became of the data.

    With the address that was not let in, and the `setting` that has it.
    """
    state = sqlstate(error)
    said = server_message(error)
    if url is not None and (not state or state.startswith(("28", "3D"))):
        found = _login_error(str(error.orig), url)
        found.next = found.next.replace(_ADDRESS, setting)
        return found
    if state in _SESSION_TIMEOUTS:
        return ConnectionFailed(f"The server ended the session: {said}.", safe=safe, next="Try again.")
    if is_lost(error):
        return ConnectionFailed(
            "The connection to the server was lost.", safe=safe, next="Try again once the server is back."
        )
    if state == LOCK_TIMEOUT:
        return CatalogBusy("What was asked for is locked by somebody else.", safe=safe, next="Try again in a moment.")
    if state == "42501":
        return NotAllowed(f"The connected role may not do this: {said}.", safe=safe, next="Connect as the owner.")
    if state == "25006":
        return ReadOnlyServer(f"The server takes no changes: {said}.", safe=safe, next=_READ_ONLY)
    if state in (MISMATCH, OUT_OF_STEP, PAUSED):
        return _of_our_own(error, state, said, safe)
    what, next_step = _REFUSED.get(state, ("The server refused", ""))
    return Failed(f"{what}: {said}.", sqlstate=state, server_message=said, safe=safe, next=next_step)


def _of_our_own(error: DBAPIError, state: str, said: str, safe: str) -> DeskError:
    """What a statement of the console's own has found wrong, and raised."""
    diag = getattr(error.orig, "diag", None)
    primary, hint = (str(getattr(diag, name, None) or "") for name in ("message_primary", "message_hint"))
    if state == PAUSED:
        return Cancelled(primary, safe=safe, next=hint)
    if state == OUT_OF_STEP:
        return Failed(primary, sqlstate=state, server_message=said, safe=safe, next=hint)
    return NotVerified(primary or said, next="Back it up again and verify that backup, then ask again.")


_READ_ONLY = "Connect to the primary server, or set default_transaction_read_only off where it is on."
_LETTERS = ("This database's encoding lacks a letter of what was asked", "Say it in letters that the database has.")
_REFUSED = {
    CANCELLED: ("The server stopped it", "Ask again."),  # a person's cancel or a time-out: the server says which
    "22P05": _LETTERS,
    "22021": _LETTERS,
}
"""(what happened, what to do next) of errors whose own words don't say it."""


def _login_error(said: str, url: URL) -> ConnectionFailed:
    if re.search(r"too many (clients|connections)|remaining connection slots", said):
        return ServerFull("The server has no free connection.", next="Try again in a moment, or raise max_connections.")
    for pattern, what, next_step in _LOGIN:
        if re.search(pattern, said):
            return ConnectionFailed(
                what.format(user=url.username or "this user", database=url.database), next=next_step
            )
    return ConnectionFailed(
        f"The server can't be reached: {place(url)}.",
        next="Check that it runs and that the address in DATABASE_URL is right.",
    )


@lru_cache(maxsize=1)
def _application_engine(url: str) -> Engine:
    return working_engine(parse_url(url))


def __getattr__(name: str) -> Engine:
    if name != "engine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    url = os.environ.get("DATABASE_URL", "").strip()
    if not url:
        raise SettingError("DATABASE_URL is not set.", next="Set it to postgresql://user:password@host:5432/database.")
    return _application_engine(url)


MISMATCH = "PD001"
"""The SQLSTATE that `require_fingerprint_sql` raises."""
OUT_OF_STEP = "PD002"
"""That of a copy of rows that is not what it was made from; its hint says what to do."""
PAUSED = "PD003"
"""That of a move of rows that somebody has paused."""
