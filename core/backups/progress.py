"""How far a backup, a verification or a restore is, told while it goes on, and a stop passed on to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg2

from core.errors import Cancelled

FOLLOW_S = 0.2
"""How often it is asked whether a person stopped it, and told how far it is."""


@dataclass(frozen=True, slots=True)
class Work:
    """How far a backup, a verification or a restore is."""

    doing: str
    bytes_done: int = 0
    """Of the object: written or read."""
    bytes_total: int | None = None
    """None while nobody knows, as in a backup."""
    rows_done: int = 0
    rows_total: int | None = None
    seconds_left: float | None = None
    """Estimated from the rows so far; None before there are any."""


Report = Callable[[Work], None]
"""Told how far it is, about five times a second, from a thread of its own."""


class Following:
    """Asks whether to stop and tells how far it is, from a thread, while the work goes on elsewhere."""

    def __init__(self, cancelled: Callable[[], bool], report: Report) -> None:
        self._cancelled = cancelled
        self._report = report
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []
        self._over = threading.Event()
        self._begun: float | None = None
        self.stopped = threading.Event()
        self.work = Work("")
        self._thread = threading.Thread(target=self._follow, daemon=True, name="partition-desk-follow")

    def __enter__(self) -> Following:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def tell(self, doing: str | None = None, **changes: Any) -> None:
        """Notes how far it is; a new `doing` begins the estimate anew."""
        with self._lock:
            if doing is not None:
                changes["doing"] = doing
                self._begun = None
            if changes.get("rows_done") and self._begun is None:
                self._begun = time.monotonic()
            self.work = replace(self.work, **changes)

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """Calls `stop` from the following thread if a person stops the work meanwhile."""
        self.check()
        with self._lock:
            self._stops.append(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)

    def check(self) -> None:
        """Raises Cancelled once a person stopped it."""
        if self.stopped.is_set():
            raise Cancelled("It was cancelled.")

    def _follow(self) -> None:
        told = Work("")
        while not self._over.wait(FOLLOW_S):
            if self._cancelled():
                self.stopped.set()
            with self._lock:
                work = replace(self.work, seconds_left=self._left())
                stops = list(self._stops) if self.stopped.is_set() else []
            for stop in stops:
                with suppress(psycopg2.Error, OSError):
                    stop()
            if work != told:
                told = work
                self._report(work)

    def _left(self) -> float | None:
        done, total = self.work.rows_done, self.work.rows_total
        if self._begun is None or not done or not total:
            return None
        return max(0.0, (time.monotonic() - self._begun) * (total - done) / done)
