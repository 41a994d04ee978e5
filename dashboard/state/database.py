"""The one database of this dashboard, opened once for all who look: its engines, its worker, its server and tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import streamlit as st
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.console.desk import Desk
from core.console.in_order import InOrder
from core.console.worker import Worker
from core.errors import ConnectionFailed, SettingError
from core.growth.read import Growth
from core.postgres.connection import translate
from core.postgres.server import Server
from core.settings import read_settings
from core.tables.summaries import TableSummary
from core.tables.table import PartitionedTable
from dashboard.state.backup_reading import BackupReading

EMBEDDED = "Embedded demo database"
LIST_TTL_S = 30


@dataclass(frozen=True, slots=True)
class Opened:
    """The Desk of this dashboard, its worker, and what was read last of each table, for when it can't be."""

    desk: Desk
    worker: Worker
    last: dict[str, PartitionedTable] = field(default_factory=dict)
    busy_until: dict[str, float] = field(default_factory=dict)
    """Tables that somebody holds exclusively, and until when (monotonic) they are left alone."""
    readings: dict[tuple[str, str, str], BackupReading] = field(default_factory=dict)
    """The backups of each table, by database, server and address, as they are read."""
    in_order: list[InOrder] = field(default_factory=list)
    """What was asked for together, until its end was told for a while."""
    grown: dict[str | None, tuple[object, Growth]] = field(default_factory=dict)
    """How each table grows, beside what was asked; None for all together."""


@st.cache_resource(show_spinner=False)
def open_url(url: str) -> Opened:
    """Its Desk, and its worker, which is started."""
    embedded = os.environ.get("PARTITION_DESK_EMBEDDED") == "1"
    desk = Desk.at(url, read_settings(), embedded=embedded)
    worker = Worker(desk)
    worker.start()
    return Opened(desk, worker)


def opened() -> Opened:
    """The database of DATABASE_URL, opened once for all sessions. Raises SettingError."""
    url = os.environ.get("DATABASE_URL", "").strip()
    if not url:
        raise SettingError(
            "DATABASE_URL is not set.", next="Start the dashboard with make run, or set DATABASE_URL and restart it."
        )
    return open_url(url)


def desk() -> Desk:
    """The one Desk of all sessions. Raises SettingError."""
    return opened().desk


@st.cache_resource(ttl=LIST_TTL_S, show_spinner=False)
def read_tables(url: str) -> tuple[TableSummary, ...]:
    """Cached by address."""
    return open_url(url).desk.tables()


@st.cache_resource(ttl=LIST_TTL_S, show_spinner=False)
def read_server(url: str) -> Server:
    """Cached by address."""
    return open_url(url).desk.server()


def named() -> str:
    """Which database this is, for people."""
    return EMBEDDED if desk().embedded else desk().address


def url() -> str:
    """Its address, by which what was read is cached. Raises SettingError."""
    desk()
    return os.environ["DATABASE_URL"].strip()


@contextmanager
def told() -> Iterator[None]:
    """Turns what the driver raises, on whichever path, into a DeskError, so that no statement reaches a browser."""
    try:
        yield
    except DBAPIError as error:
        raise translate(error) from error
    except PoolTimeout as error:
        raise ConnectionFailed("All connections of the console are busy.", next="Try again in a moment.") from error


def tables() -> tuple[TableSummary, ...]:
    """Every partitioned table, at most LIST_TTL_S old. Raises ConnectionFailed."""
    return read_tables(url())


def server() -> Server:
    """The server, at most LIST_TTL_S old. Raises ConnectionFailed."""
    return read_server(url())
