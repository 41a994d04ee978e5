"""Answers /metrics: the figures of core.console.metrics within a bounded time, however slow database or backups are."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

from core.backups.kept import read_database_backups
from core.backups.storage import StorageSettings
from core.console.alarms.health import read_figures
from core.console.metrics import Readings, metrics_text, read_metrics
from core.errors import DeskError
from core.plans.proof import Kept
from core.postgres.connection import parse_url, reading_engine
from core.postgres.server import Server, read_server
from core.seal import trusted_seal
from core.settings import Settings

ANSWER_S = 5.0
"""How long the database may take; Prometheus itself gives up after 10 seconds."""
BACKUPS_S = 1.5
"""How long a scrape waits for the place of the backups; what comes later comes to the next one."""
BACKUPS_EVERY_S = 300.0
"""How often the place is read: each manifest there is a request."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Scraper:
    """Reads the figures for whoever asks; several who ask at a time share one reading, so that none pile up."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reading: asyncio.Task[str] | None = None
        self._backups = _Backups(settings)

    async def text(self) -> str:
        """What Prometheus is told; `partition_desk_up 0` where the database does not answer in time."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(asyncio.to_thread(self._read))
        try:
            return await asyncio.wait_for(asyncio.shield(self._reading), ANSWER_S)
        except TimeoutError:
            return _said(None)

    def _read(self) -> str:
        try:
            engine = reading_engine(parse_url(os.environ.get("DATABASE_URL", "")))
            try:
                kept = self._backups.of(read_server(engine))
                found = read_metrics(
                    engine,
                    archive_schema=self._settings.archive_schema,
                    now=datetime.now(UTC),
                    zone=self._settings.time_zone,
                    kept=kept,
                    seal=trusted_seal(self._settings.key, self._settings.home),
                )
                return _said(replace(found, alarms=read_figures(engine, self._settings)))
            finally:
                engine.dispose()
        except DeskError:  # where and why is not for whoever asks
            return _said(None)


def _said(figures: Readings | None) -> str:
    return metrics_text(figures, now=datetime.now(UTC))


class _Backups:
    """The backups as they were read last, read anew beside the scrapes."""

    def __init__(self, settings: Settings) -> None:
        self._cold = StorageSettings(settings.backup_url, settings.home, os.environ, settings.key)
        self._kept: tuple[Kept, ...] | None = None
        self._read_at = float("-inf")
        self._thread: threading.Thread | None = None

    def of(self, server: Server) -> tuple[Kept, ...] | None:
        """Those of the database of `server`; None where the place could not be read yet, or not the last time."""
        reading = self._thread is not None and self._thread.is_alive()
        if not reading and time.monotonic() - self._read_at > BACKUPS_EVERY_S:
            self._thread = threading.Thread(target=self._read, args=(server,), daemon=True)
            self._thread.start()
        if self._thread is not None:
            self._thread.join(BACKUPS_S)
        return self._kept

    def _read(self, server: Server) -> None:
        self._kept, _ = read_database_backups(self._cold.open, server)
        self._read_at = time.monotonic()
