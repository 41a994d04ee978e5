"""What a sample is made of: a partition's figures of a day, and the day's run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from core.growth.holdings import Stage
from core.tables.size import Size

ColdBytes = Mapping[tuple[str, str, str], int]
"""Bytes in cold storage, by the address of the table, the name and the bounds of the partition."""

STAGES = (Stage.ATTACHED, Stage.ARCHIVED, Stage.DROPPED)
"""What the numbers in the tables stand for."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A partition's figures of one day; sizes in bytes."""

    state: int
    """Its place in STAGES."""
    moved_from: int | None
    """The place in STAGES that it had before, where it changed."""
    heap: int
    index: int
    toast: int
    cold: int
    live: int | None
    dead: int | None
    exact: bool

    def like(self, other: Figures | None) -> bool:
        """Whether nothing changed from `other` to this."""
        return other is not None and replace(self, moved_from=None) == replace(other, moved_from=None)


@dataclass(frozen=True, slots=True)
class Known:
    """A partition that was sampled before, with its figures of the last sample before the day."""

    id: int
    table: str
    relation: int | None
    name: str
    bounds: str | None
    figures: Figures | None
    today: bool
    """Whether it has a row for the day itself."""


@dataclass(frozen=True, slots=True)
class SampleRun:
    """One day's sample."""

    day: date
    taken_at: datetime
    """UTC."""
    seconds: float
    partitions: int
    """How many relations were looked at, archived ones as well."""
    changed: int
    """How many of them got a row."""
    skipped: tuple[str, ...]
    """Names of those that somebody held exclusively; they keep their last figures."""
    exact: bool
    """Whether sizes were measured file by file; else they are those of the last vacuum or analyze."""
    generated: bool = False
    """Whether it is invented: the demo's."""


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """A partition with its figures of the day."""

    known: Known | None
    table: str
    relation: int | None
    name: str
    bounds: str | None
    figures: Figures

    @property
    def changed(self) -> bool:
        """Whether it needs a row for the day."""
        return self.known is None or self.known.today or not self.figures.like(self.known.figures)

    @property
    def renamed(self) -> bool:
        """Whether what is known of its name and place is out of date."""
        one = self.known
        own = (self.table, self.relation, self.name, self.bounds)
        return one is not None and (one.table, one.relation, one.name, one.bounds) != own


@dataclass(frozen=True, slots=True)
class Past:
    """A partition with a history that is invented: the demo's."""

    table: str
    name: str
    relation: int | None
    bounds: str | None
    changes: tuple[tuple[date, Stage, Size, int], ...]
    """(day, place, size, rows) from each day on, oldest first, days rising."""
