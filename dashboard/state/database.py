"""The one database of this dashboard, opened once for all who look: its engines, its worker, its server and tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.backups.storage import ColdStorage
from core.console.execute import Budget
from core.console.worker import Samples, Worker
from core.errors import ConnectionFailed, SettingError
from core.growth.read import Growth
from core.postgres.connection import parse_url, place, reading_engine, translate, working_engine
from core.postgres.server import Server
from core.settings import Settings, read_settings
from core.tables.catalog import table as catalog
from core.tables.summaries import TableSummary
from core.tables.table import PartitionedTable
from dashboard.state.backup_reading import BackupReading

LIST_TTL_S = 30


@dataclass(frozen=True, slots=True)
class Opened:
    """One database: how to read it, and the worker that acts on it."""

    settings: Settings
    reader: Engine
    worker: Worker
    work: Engine
    place: str
    embedded: bool
    last: dict[str, PartitionedTable] = field(default_factory=dict)
    """Each table as it was read last, for when it can't be."""
    busy_until: dict[str, float] = field(default_factory=dict)
    """Tables that somebody holds exclusively, and until when (monotonic) they are left alone."""
    readings: dict[tuple[str, str, str], BackupReading] = field(default_factory=dict)
    """The backups of each table, by database, server and address, as they are read."""
    grown: dict[str | None, tuple[object, Growth]] = field(default_factory=dict)
    """How each table grows as it was asked for and read last, for when it can't be; None for all together."""

    @property
    def cold(self) -> ColdStorage:
        """Where backups are kept."""
        return ColdStorage(self.settings.backup_url, self.settings.home, os.environ)


@st.cache_resource(show_spinner=False)
def open_url(url: str) -> Opened:
    """Its engines, and its worker, which is started."""
    settings = read_settings()
    parsed = parse_url(url)
    work = working_engine(parsed)
    worker = Worker(
        work,
        budget=Budget(settings.lock_budget_ms, settings.patience_s),
        archive_schema=settings.archive_schema,
        cold=ColdStorage(settings.backup_url, settings.home, os.environ),
        zone=settings.time_zone,
        drops=settings.allow_drop,
        samples=Samples(settings.keep_samples, settings.weekly_after) if settings.sample_daily else None,
    )
    worker.start()
    embedded = os.environ.get("PARTITION_DESK_EMBEDDED") == "1"
    return Opened(settings, reading_engine(parsed), worker, work, place(parsed), embedded)


def desk() -> Opened:
    """The database of DATABASE_URL, opened once for all sessions. Raises SettingError."""
    url = os.environ.get("DATABASE_URL", "").strip()
    if not url:
        raise SettingError(
            "DATABASE_URL is not set.", next="Start the dashboard with make run, or set DATABASE_URL and restart it."
        )
    return open_url(url)


@st.cache_resource(ttl=LIST_TTL_S, show_spinner=False)
def read_tables(url: str) -> tuple[TableSummary, ...]:
    """Cached by address."""
    return catalog.read_tables(open_url(url).reader)


@st.cache_resource(ttl=LIST_TTL_S, show_spinner=False)
def read_server(url: str) -> Server:
    """Cached by address."""
    return catalog.read_server(open_url(url).reader)


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
