"""Looks at one snapshot that wait for nobody, begun again where somebody was met."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.errors import CatalogBusy
from core.postgres.connection import LOCK_TIMEOUT, sqlstate
from core.postgres.session import reading

TRIES = 3
"""How often a read is begun again that met a lock after pg_locks was asked."""

T = TypeVar("T")


def read_snapshot(
    connection: Connection, read: Callable[[], T], *, busy: CatalogBusy, timeout_ms: int | None = None
) -> T:
    """What `read` gives of the connection, which is in AUTOCOMMIT. Raises DBAPIError, and `busy` after TRIES."""
    for attempt in range(1, TRIES + 1):
        try:
            with reading(connection, timeout_ms=timeout_ms, snapshot=True):
                return read()
        except DBAPIError as error:
            if sqlstate(error) != LOCK_TIMEOUT:
                raise
            if attempt == TRIES:
                raise busy from error
    raise AssertionError("unreachable")
