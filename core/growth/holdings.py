"""Partitions as they are now: where each one's bytes are, what they consist of, and which days they are for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from core.growth.series import Days
from core.period import Period, period_of
from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.ends import Beyond, End, Several, Value
from core.tables.key import day_of
from core.tables.marks import Hold
from core.tables.partition import Partition
from core.tables.size import Size
from core.tables.table import PartitionedTable
from core.tables.tree import Kind


class Stage(StrEnum):
    """Where a partition is on its way, and so where its bytes are."""

    ATTACHED = "attached"
    """In the table, in use."""
    ARCHIVED = "archived"
    """On the server still, out of the table."""
    DROPPED = "dropped"
    """No longer on the server: its bytes were freed."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One partition as it is now: where it is, how large, and which days it is for."""

    table: str
    """The address of the table that it belongs to, or came from."""
    name: str
    stage: Stage
    lower: date | None
    """Its first day; None where it has none, or none that is known."""
    upper: date | None
    """The first day after it."""
    size: Size | None
    """On the server, or its last size there once it is dropped; None where it could not be read."""
    rows: int | None = None
    dead_rows: int | None = None
    cold: int | None = None
    """Bytes of its backups; None where nobody looked."""
    held_until: date | None = None
    """The last day of a hold that keeps it from every rule; date.max for one without an end."""
    drop_on: date | None = None
    """When it is to be dropped, where somebody planned that already."""
    oid: int | None = field(default=None, compare=False)
    """Which relation it is, or was when it was last seen; names may be those of several."""

    @property
    def bytes(self) -> int:
        """Heap, indexes and TOAST; 0 where unknown."""
        return self.size.total if self.size else 0


def _day(end: End | None, zone: str) -> date | None:
    if isinstance(end, Several):
        return _day(end.leading, zone)
    if isinstance(end, datetime) and end.tzinfo:
        try:
            return end.astimezone(ZoneInfo(zone)).date()
        except OverflowError:
            return None  # a day that Python's calendar lacks
    return None if end is None or isinstance(end, Value) else day_of(end)


def _first_day(bounds: Bounds | None, zone: str) -> date | None:
    """None where the range begins before the calendar, too: a history can't."""
    lower = bounds.lower if bounds else None
    lower = lower.leading if isinstance(lower, Several) else lower
    return None if isinstance(lower, Beyond) else _day(lower, zone)


def local_day(moment: str, zone: str) -> date:
    """The day of a moment that a mark tells."""
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(zone)).date()


def held_until(hold: Hold | None) -> date | None:
    """The last day of a hold; date.max for one without an end."""
    return None if hold is None else date.fromisoformat(hold.until or date.max.isoformat())


def holdings(table: PartitionedTable, *, zone: str = "UTC") -> tuple[Holding, ...]:
    """The partitions and archived tables of one table as the catalog shows them, in its order; foreign ones aside."""
    here = (item for item in table.partitions if item.kind is not Kind.FOREIGN)
    attached = [_holding(table.address, Stage.ATTACHED, item, zone) for item in here]
    archived = [
        replace(
            _holding(table.address, Stage.ARCHIVED, item, zone),
            drop_on=None if item.drop is None else local_day(item.drop.at, zone),
        )
        for item in table.archived
        if item.kind is not Kind.FOREIGN
    ]
    return (*attached, *archived)


def _holding(table: str, stage: Stage, item: Partition | Archived, zone: str) -> Holding:
    return Holding(
        table=table,
        name=item.name,
        stage=stage,
        lower=_first_day(item.bounds, zone),
        upper=_day(item.bounds.upper, zone) if item.bounds else None,
        size=item.size,
        rows=item.rows,
        dead_rows=item.activity.dead_rows if item.activity else None,
        held_until=held_until(item.hold),
        oid=item.oid,
    )


@dataclass(frozen=True, slots=True)
class Shares:
    """What the bytes on the server are; `bytes` is all of them."""

    bytes: int
    heap: int
    index: int
    toast: int
    dead: int
    """Of the heap, what dead rows take: an estimate from their number and the size of an average row."""

    def of(self, part: int) -> float:
        """A part of all bytes, 0 to 1."""
        return part / self.bytes if self.bytes else 0.0


def shares(items: Iterable[Holding]) -> Shares:
    """Rows, indexes, long values and dead rows of what is on the server."""
    heap = index = toast = 0
    dead = 0.0
    for item in items:
        if item.size is None or item.stage is Stage.DROPPED:
            continue
        heap, index, toast = heap + item.size.heap, index + item.size.index, toast + item.size.toast
        if item.dead_rows and item.rows is not None:
            dead += item.size.heap * item.dead_rows / (item.dead_rows + item.rows)
    return Shares(heap + index + toast, heap, index, toast, round(dead))


@dataclass(frozen=True, slots=True)
class PeriodBytes:
    """What was written for one period, as derived from the partitions."""

    lower: date
    upper: date
    bytes: int
    rows: int | None
    """The planner's estimate; None where a partition was never analyzed."""
    complete: bool
    """Whether the period is over."""


def by_period(items: Iterable[Holding], period: Period, *, today: date) -> tuple[PeriodBytes, ...]:
    """Bytes and rows by calendar period, oldest first, without future ones; a wider partition stands for itself.

    One that reaches into the next period belongs to that of its first day. Partitions of unknown range, and DEFAULT,
    are in none.
    """
    found: dict[tuple[date, date], list[Holding]] = {}
    for item in items:
        if item.lower is None or item.upper is None or item.lower > today or item.stage is Stage.DROPPED:
            continue
        lower, upper = period.containing(item.lower)
        if item.upper - item.lower > upper - lower:
            lower, upper = item.lower, item.upper
        found.setdefault((lower, upper), []).append(item)
    return tuple(
        PeriodBytes(
            lower,
            upper,
            sum(item.bytes for item in within),
            None if any(item.rows is None for item in within) else sum(item.rows or 0 for item in within),
            upper <= today,
        )
        for (lower, upper), within in sorted(found.items())
    )


@lru_cache(maxsize=4096)
def parsed_bounds(bounds: str | None) -> Bounds | None:
    """The bounds of a text as it is kept; None where there are none, or none that are a range."""
    try:
        return Bounds.parse(bounds) if bounds else None
    except ValueError:
        return None  # LIST or HASH, or a key of another type


def holding(
    table: str,
    name: str,
    stage: Stage,
    bounds: str | None,
    size: Size | None,
    *,
    zone: str,
    rows: int | None,
    dead_rows: int | None,
    cold: int | None = None,
    oid: int | None = None,
) -> Holding:
    """A partition with the days that PostgreSQL's text of its bounds tells."""
    known = parsed_bounds(bounds)
    return Holding(
        table=table,
        name=name,
        stage=stage,
        lower=_first_day(known, zone),
        upper=_day(known.upper, zone) if known else None,
        size=size,
        rows=rows,
        dead_rows=dead_rows,
        cold=cold,
        oid=oid,
    )


NEWEST = 24
"""So many partitions tell how wide a table's are."""


def usual_period(items: Iterable[Holding]) -> Period:
    """The width that most of the newest partitions have; a year where nothing tells."""
    ranges = sorted({(item.lower, item.upper) for item in items if item.lower and item.upper})[-NEWEST:]
    known = [period_of(*ends) or _about(*ends) for ends in ranges]
    return max(set(known), key=lambda period: (known.count(period), period.value), default=Period.YEAR)


def _about(lower: date, upper: date) -> Period:
    """The period that a range is about as wide as."""
    longest = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 31, Period.QUARTER: 92}
    return next((period for period, days in longest.items() if (upper - lower).days <= days), Period.YEAR)


MOST_PERIODS = 36
"""So many bars at most; of more partitions each bar takes a wider period."""


def _periods(days: Days, period: Period) -> int:
    """In how many calendar periods these days lie: ten thousand are told in no time."""
    if period is Period.WEEK:
        return len(np.unique((days.astype(np.int64) + 3) // 7))  # 1970 began on a Thursday
    if period is Period.DAY:
        return len(np.unique(days))
    return len(np.unique(days.astype("datetime64[M]").astype(np.int64) // _MONTHS[period]))


_MONTHS = {Period.MONTH: 1, Period.QUARTER: 3, Period.YEAR: 12}


def as_bars(items: Sequence[Holding], period: Period, today: date) -> tuple[Period, tuple[PeriodBytes, ...]]:
    """Bytes by the narrowest period, from that of the partitions on, that gives no more than MOST_PERIODS bars."""
    widths = list(Period)[list(Period).index(period) :]
    shown = (item for item in items if item.lower and item.upper and item.stage is not Stage.DROPPED)
    lowers = np.array([item.lower for item in shown if item.lower and item.lower <= today], dtype="datetime64[D]")
    for width in widths:
        if _periods(lowers, width) > MOST_PERIODS:
            continue
        bars = by_period(items, width, today=today)
        if len(bars) <= MOST_PERIODS:
            return width, bars
    return Period.YEAR, by_period(items, Period.YEAR, today=today)[-MOST_PERIODS:]
