"""What a table takes on disk, and what the server counts of its use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of one table on disk, split as PostgreSQL stores them; `exact` is False for relpages estimates."""

    heap: int
    index: int
    toast: int
    exact: bool = True

    @property
    def total(self) -> int:
        """All three in bytes."""
        return self.heap + self.index + self.toast


@dataclass(frozen=True, slots=True)
class Activity:
    """What pg_stat_all_tables counts of one table since its last reset."""

    dead_rows: int
    scans: int
    inserted: int
    last_vacuum: datetime | None
    last_analyze: datetime | None
