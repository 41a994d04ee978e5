"""The driver's own connection below SQLAlchemy's, for COPY and for a cancel from another thread."""

from __future__ import annotations

import psycopg2
from psycopg2 import extensions
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def driver_of(connection: Connection) -> extensions.connection:
    """psycopg2's own connection, for what SQLAlchemy has no words for: COPY, and to cancel from another thread."""
    found: extensions.connection = connection.connection.dbapi_connection  # type: ignore[assignment]
    return found


def wrapped(error: psycopg2.Error) -> DBAPIError:
    return DBAPIError("", None, error)


def is_closed(work: Connection) -> bool:
    """Whether the connection is lost; then the pool is told so, too."""
    if not work.invalidated and driver_of(work).closed:
        work.invalidate()
    return work.invalidated
