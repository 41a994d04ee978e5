"""What a plain table could be partitioned by, and what would come out, as the planner's statistics tell it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice, pairwise

from core.period import Width
from core.tables.cut import Cut, cut_by
from core.tables.ends import End
from core.tables.key import Key

SANE_FROM = 1900
"""Dates of years before it are slips rather than times."""
SANE_AHEAD = 10
"""So are those that lie more years ahead."""
MOST_PERIODS = 20_000
"""The most periods that are told of."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A partition that would come out."""

    label: str
    """2027, 2027_01: what its name would end in."""
    rows: int
    bytes: int
    """Of its rows and indexes, in proportion to its rows."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """One column that a table could be partitioned by."""

    key: Key
    rows: int
    """Of the whole table, by the planner's estimate; 0 where it was never analyzed."""
    bytes: int
    """Of its rows, indexes and TOAST."""
    nulls: float
    """The share of rows that have none, 0 to 1."""
    common: tuple[tuple[End, float], ...]
    """(a value, its share of all rows) of the most common ones."""
    marks: tuple[End, ...]
    """Between one and the next lie equally many of the other rows."""
    indexed: bool
    """Whether an index begins with it."""
    broken: tuple[str, ...]
    """The unique constraints and indexes, and foreign keys of others, that can't hold across partitions by it."""

    @property
    def is_known(self) -> bool:
        """Whether the table was analyzed since it has rows."""
        return bool(self.common or self.marks)

    @property
    def ends(self) -> tuple[End, End] | None:
        """The lowest and the highest value that the planner knows of."""
        known = sorted((*self.marks, *(value for value, _ in self.common)))
        return (known[0], known[-1]) if known else None

    def odd(self, zone: str, today: date) -> int:
        """How many rows lie before 1900, more than ten years ahead or off the calendar, about."""
        cut = cut_by(self.key, Width(months=12), zone, today)
        return round(self.rows * sum(share for at, share in self._shares(cut) if not _sane(at, today)))

    def periods(self, every: Width, zone: str, today: date) -> tuple[Expected, ...]:
        """The partitions of a width that would have rows, the oldest first; of what is sane, and not too many."""
        cut = cut_by(self.key, every, zone, today)
        found: dict[datetime, float] = {}
        for at, share in self._shares(cut):
            if at is not None and _sane(at, today):
                begin, _ = cut.containing(at)
                found[begin] = found.get(begin, 0.0) + share
        return tuple(
            Expected(every.label(begin), round(self.rows * share), round(self.bytes * share))
            for begin, share in islice(sorted(found.items()), MOST_PERIODS)
        )

    def _shares(self, cut: Cut) -> Iterator[tuple[datetime | None, float]]:
        """(a local time, the share of all rows that lie about there); None for what the calendar lacks."""
        yield from ((cut.local(value), share) for value, share in self.common)
        rest = 1.0 - self.nulls - sum(share for _, share in self.common)
        for one, other in pairwise(self.marks):
            yield from _between(cut, cut.local(one), cut.local(other), max(0.0, rest) / (len(self.marks) - 1))


def _between(
    cut: Cut, one: datetime | None, other: datetime | None, share: float
) -> Iterator[tuple[datetime | None, float]]:
    """A share of rows that is spread evenly between two times, cell by cell."""
    if one is None or other is None or one >= other:
        yield other if one is None else one, share
        return
    for begin, end in islice(cut.cover(one, other), MOST_PERIODS):
        lower, upper = max(begin, one), min(end, other)
        yield lower, share * ((upper - lower) / (other - one))


def _sane(at: datetime | None, today: date) -> bool:
    return at is not None and SANE_FROM <= at.year <= today.year + SANE_AHEAD
