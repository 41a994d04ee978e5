"""The backups of a table as they were last read, and the reading that goes on behind the page's back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from core.backups.kept import Backups

FRESH_S = 15
"""How old a reading may be before the next one is begun; longer where a reading takes long."""
SLOW = 10
"""A reading is as long good as this many times what it took."""


@dataclass(frozen=True, slots=True)
class KnownBackups:
    """What a page knows of the backups of its table."""

    backups: Backups | None
    """As they were read last; None before the first reading has ended."""
    reading: bool
    """Whether a reading goes on."""
    number: int
    """Of the reading, to tell one from another."""


class BackupReading:
    """Reads the backups of one table in a thread of its own, one reading at a time, so that no page waits for long."""

    def __init__(self, read: Callable[[], Backups]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._backups: Backups | None = None
        self._number = 0
        self._took = 0.0
        self._good_until = 0.0
        self._running = False
        self._again = False

    def look(self, wait_s: float) -> KnownBackups:
        """What is known; waits up to `wait_s` for a reading that is due, unless the last one took longer than that."""
        with self._lock:
            if not self._running and time.monotonic() >= self._good_until:
                self._begin()
            wait = self._running and (self._backups is None or self._took < wait_s)
        if wait:
            self._ended.wait(wait_s)
        with self._lock:
            return KnownBackups(self._backups, self._running, self._number)

    def forget(self) -> None:
        """Reads again at the next look; what is known stays until then."""
        with self._lock:
            self._good_until = 0.0
            self._again = self._running

    def _begin(self) -> None:
        self._running = True
        self._ended.clear()
        threading.Thread(target=self._go, daemon=True, name="partition-desk-backups").start()

    def _go(self) -> None:
        begun = time.monotonic()
        found: Backups | None = None
        try:
            found = self._read()
        finally:
            now = time.monotonic()
            with self._lock:
                self._took = now - begun
                self._good_until = 0.0 if self._again else now + max(FRESH_S, SLOW * self._took)
                self._again = self._running = False
                self._backups = self._backups if found is None else found
                self._number += 1
                self._ended.set()
