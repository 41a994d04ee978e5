"""Whether a connection is one session of the server: some poolers give each transaction whichever is free."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psycopg2
from psycopg2 import extensions

from core.errors import ConnectionFailed

SHARED = (
    "DATABASE_URL leads to a pooler that gives each transaction whichever session of the server is free. What this"
    " console sets and locks would stay on sessions of the application."
)
WHAT_KEEPS = "Give it the server's own address, or a pool of the pooler that keeps sessions (pool_mode = session)."
BY_STATEMENT = "statement pooling mode"
"""In what newer PgBouncers answer to BEGIN where not even a transaction keeps its session."""

_ROUNDS = 4
"""How often it is looked while others come and go between two looks of ours."""
_PATIENCE_S = 2.0
"""How long a second connection waits for a session of its own; a pooler lets it wait where all are taken."""

_SESSION = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.inet_client_port()"


def require_session(driver: extensions.connection) -> None:
    """Raises ConnectionFailed where one transaction and the next may run in two sessions of the server.

    Nothing is set for it: a setting would stay on a session that the pooler gives to somebody else.
    """
    own, port = _session(driver)
    if (own, port) == (driver.info.backend_pid, _port(driver)):
        return
    try:
        shared = _shares(driver, own)
    except psycopg2.OperationalError as error:  # not even a transaction keeps its session: it ended the other one
        _session(driver)  # raises where it is the server that is lost
        raise _refusal() from error
    if shared:
        raise _refusal()


def _refusal() -> ConnectionFailed:
    return ConnectionFailed(SHARED, next=WHAT_KEEPS)


def _session(driver: extensions.connection) -> tuple[int, int | None]:
    """(the session's number, the port that the server sees its client on), in a transaction of its own."""
    with driver.cursor() as cursor:
        cursor.execute(_SESSION)
        (found,) = cursor.fetchall()
    if not driver.autocommit:
        driver.rollback()
    return found


def _port(driver: extensions.connection) -> int | None:
    """This end's port, which the server sees where nothing is in between."""
    with socket.socket(fileno=os.dup(driver.fileno())) as own:
        return None if own.family == socket.AF_UNIX else int(own.getsockname()[1])


def _shares(driver: extensions.connection, own: int) -> bool:
    """Whether its session can be another connection's meanwhile.

    A pooler gives the session that came free last, or first: so it is asked with and without another one that
    takes part.
    """
    for _ in range(_ROUNDS):
        if _session(driver)[0] != own:
            return True
        with _another(driver) as theirs:
            if theirs == own or _session(driver)[0] != own:
                return True
        if theirs is None:  # none is free, and ours was kept
            return False
    return False


@contextmanager
def _another(driver: extensions.connection) -> Iterator[int | None]:
    """Another connection within a transaction: its session's number, None where it gets none."""
    give_up = time.monotonic() + _PATIENCE_S
    try:
        given = extensions.make_dsn(**{**driver.info.dsn_parameters, "password": driver.info.password})
        other = psycopg2.connect(given, async_=True)
    except psycopg2.OperationalError:
        yield None
        return
    with closing(other):
        number = None
        try:
            _wait(other, give_up)
        except (psycopg2.OperationalError, TimeoutError):
            yield None
            return
        with suppress(TimeoutError), other.cursor() as cursor:
            cursor.execute(f"BEGIN READ ONLY; {_SESSION}")
            _wait(other, give_up)
            number = cursor.fetchall()[0][0]
        yield number


def _wait(other: extensions.connection, give_up: float) -> None:
    while (state := other.poll()) != extensions.POLL_OK:
        reads, writes = ([other], []) if state == extensions.POLL_READ else ([], [other])
        if not any(select.select(reads, writes, [], max(0.0, give_up - time.monotonic()))):
            raise TimeoutError
