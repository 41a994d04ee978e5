"""What managers ask of storage: how much, how fast, when it hurts, what archiving saved and what it would save next.

All of it is computed from plain values: histories of samples (core.growth.samples reads them), partitions as they are
now (`holdings`), and moves from one stage to another. Bytes are bytes; a day is a date of the application's time zone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from core.growth.forecast import YEAR, Band, Days, Floats, Forecast, Series, clean, days_of
from core.growth.forecast import day_of as day_of_element
from core.period import Duration, Period, add_months
from core.tables.archived import Archived
from core.tables.key import End, day_of
from core.tables.partition import Partition
from core.tables.size import Size
from core.tables.table import PartitionedTable
from core.text import plural


class Stage(StrEnum):
    """Where a partition is on its way, and so where its bytes are."""

    ATTACHED = "attached"
    """In the table, in use."""
    ARCHIVED = "archived"
    """On the server still, out of the table."""
    DROPPED = "dropped"
    """No longer on the server: its bytes were freed."""


# --- histories ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Sizes by day of one table, or of all together; every array has one figure a day, bytes unless told."""

    table: str
    """Its address, schema.name; empty for all tables together."""
    days: Days
    attached: Floats
    archived: Floats
    freed: Floats
    """What was dropped from the server, at its last size."""
    cold: Floats
    """Backups in cold storage."""
    heap: Floats
    """Of what is on the server, attached or archived, as are index, toast, dead and partitions."""
    index: Floats
    toast: Floats
    rows: Floats
    """Rows written so far, those that were dropped as well; the planner's estimate."""
    dead: Floats
    """Dead rows, as the statistics count them."""
    partitions: Floats
    generated_until: date | None = None
    """Up to this day the figures are invented: the demo's."""
    how: str = ""
    """How it was derived, a sentence; empty for what was measured."""

    @property
    def derived(self) -> bool:
        """Whether nobody measured it."""
        return bool(self.how)

    @property
    def written(self) -> Floats:
        """All that was ever written, wherever it is now: archiving or dropping a partition leaves it as it is."""
        return self.attached + self.archived + self.freed

    @property
    def server(self) -> Floats:
        """What is on the server."""
        return self.attached + self.archived

    def __len__(self) -> int:
        return len(self.days)


_FIGURES = ("attached", "archived", "freed", "cold", "heap", "index", "toast", "rows", "dead", "partitions")


def written(history: History, *, today: date | None = None) -> Series:
    """What the trend is fitted to, ready for `trend.forecast`."""
    return clean(history.days, history.written, today=today)


def on_server(history: History, *, today: date | None = None) -> Series:
    """The bytes on the server by day."""
    return clean(history.days, history.server, today=today)


def written_rows(history: History, *, today: date | None = None) -> Series:
    """Rows written so far by day; also a series that can be forecast."""
    return clean(history.days, history.rows, today=today)


def _made(table: str, days: Days, sums: Mapping[str, Floats], generated_until: date | None, how: str) -> History:
    return History(
        table=table,
        days=days,
        attached=sums["attached"],
        archived=sums["archived"],
        freed=sums["freed"],
        cold=sums["cold"],
        heap=sums["heap"],
        index=sums["index"],
        toast=sums["toast"],
        rows=sums["rows"],
        dead=sums["dead"],
        partitions=sums["partitions"],
        generated_until=generated_until,
        how=how,
    )


def together(histories: Sequence[History]) -> History:
    """The sum of several tables over all their days; each counts from its first day on, and keeps its last figure."""
    days = np.unique(np.concatenate([history.days for history in histories])) if histories else days_of(())
    sums = {name: np.zeros(len(days)) for name in _FIGURES}
    for history in histories:
        if not len(history):
            continue
        place = np.searchsorted(history.days, days, side="right") - 1
        there = place >= 0
        for name in _FIGURES:
            sums[name][there] += getattr(history, name)[place[there]]
    generated = [history.generated_until for history in histories if history.generated_until]
    hows = dict.fromkeys(history.how for history in histories if history.how)
    return _made("", days, sums, max(generated, default=None), " ".join(hows))


@dataclass(frozen=True, slots=True)
class Change:
    """How a figure changed over some days."""

    since: date
    """The day that it is compared with, on which it was measured."""
    now: float
    before: float

    @property
    def added(self) -> float:
        """Negative where it shrank."""
        return self.now - self.before

    @property
    def share(self) -> float | None:
        """As a part of what was before: 0.1 is ten percent; None where that was nothing."""
        return self.added / self.before if self.before else None


def change(series: Series, *, today: date, days: int) -> Change | None:
    """The change over the last `days` days; None where nothing was measured then, nor in the week before.

    Over a year or more a month will do.
    """
    then, now = series.at(today - timedelta(days=days)), series.at(today)
    if then is None or now is None:
        return None
    place = int(np.searchsorted(series.days, np.datetime64(today - timedelta(days=days), "D"), side="right")) - 1
    since = day_of_element(series.days[place])
    if (today - timedelta(days=days) - since).days > (7 if days < 365 else 31):
        return None
    return Change(since, now, then)


@dataclass(frozen=True, slots=True)
class Month:
    """What one calendar month added."""

    first: date
    added: float
    """Bytes, or rows, as the series has."""
    complete: bool
    """Whether it was measured from its first day to its last; the first and the current month mostly are not."""
    measured: bool = True
    """False where a pause in measuring lies over an end of it, so that the figure is interpolated."""


def monthly(series: Series) -> tuple[Month, ...]:
    """What each month added, oldest first; a month is from the end of the one before to its own."""
    if len(series) < 2:
        return ()
    numbers = series.days.astype(np.int64).astype(float)
    epoch = date(1970, 1, 1)

    def figure(day: date) -> tuple[float, bool]:
        number = float((day - epoch).days)
        near = float(np.min(np.abs(numbers - number)))
        return float(np.interp(number, numbers, series.values)), near <= 7

    found = []
    first = series.first.replace(day=1)
    while first <= series.last:
        following = add_months(first, 1)
        start, end = max(first - timedelta(days=1), series.first), min(following - timedelta(days=1), series.last)
        complete = series.first < first and series.last >= following - timedelta(days=1)
        (before, near), (after, also_near) = figure(start), figure(end)
        found.append(Month(first, after - before, complete, near and also_near))
        first = following
    return tuple(found)


def sparkline(series: Series, *, points: int = 60) -> Series:
    """At most `points` of the series, evenly spread, the first and the last among them."""
    if len(series) <= points:
        return series
    keep = np.unique(np.linspace(0, len(series) - 1, points).round().astype(int))
    return Series(series.days[keep], series.values[keep], series.notes)


@dataclass(frozen=True, slots=True)
class Grower:
    """How much a table grew of late."""

    table: str
    now: float
    """Bytes written so far."""
    added: float
    """Bytes within the days looked at."""
    share: float
    """Of what all tables added together, 0 to 1; 0 for one that shrank."""
    since: date


def top_growers(histories: Iterable[History], *, today: date, days: int = 30, limit: int = 5) -> tuple[Grower, ...]:
    """The tables that added most in the last `days` days, or since their first sample where that is later."""
    found: list[tuple[History, Change]] = []
    for history in histories:
        series = written(history, today=today)
        if len(series) < 2:
            continue
        start = max(today - timedelta(days=days), series.first)
        before, now = series.at(start), series.at(today)
        if before is not None and now is not None:
            found.append((history, Change(start, now, before)))
    whole = sum(max(0.0, one.added) for _, one in found)
    growers = [
        Grower(history.table, one.now, one.added, max(0.0, one.added) / whole if whole else 0.0, one.since)
        for history, one in found
    ]
    return tuple(sorted(growers, key=lambda grower: (-grower.added, grower.table))[:limit])


# --- partitions as they are now -------------------------------------------------------------------------------------


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

    @property
    def bytes(self) -> int:
        """Heap, indexes and TOAST; 0 where unknown."""
        return self.size.total if self.size else 0


def _day(end: End | None, zone: str) -> date | None:
    if isinstance(end, datetime) and end.tzinfo:
        return end.astimezone(ZoneInfo(zone)).date()
    return None if end is None else day_of(end)


def holdings(table: PartitionedTable, *, zone: str = "UTC") -> tuple[Holding, ...]:
    """The partitions and archived tables of one table as the catalog shows them, in its order."""
    attached = [_holding(table.address, Stage.ATTACHED, item, zone) for item in table.partitions]
    archived = [
        replace(
            _holding(table.address, Stage.ARCHIVED, item, zone),
            drop_on=None if item.drop is None else _day(datetime.fromisoformat(item.drop.at), zone),
        )
        for item in table.archived
    ]
    return (*attached, *archived)


def _holding(table: str, stage: Stage, item: Partition | Archived, zone: str) -> Holding:
    return Holding(
        table=table,
        name=item.name,
        stage=stage,
        lower=_day(item.bounds.lower, zone) if item.bounds else None,
        upper=_day(item.bounds.upper, zone) if item.bounds else None,
        size=item.size,
        rows=item.rows,
        dead_rows=item.activity.dead_rows if item.activity else None,
        held_until=None if item.hold is None else date.fromisoformat(item.hold.until or date.max.isoformat()),
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


# --- what can be derived before anything was measured ---------------------------------------------------------------


def derived_history(items: Sequence[Holding], *, today: date) -> History:
    """A history made of the partitions' own ranges and sizes: each is counted as written when its last day was over.

    Good for a first look, and for `trend.forecast(..., derived=True)`. What was dropped before is not in it, and sizes
    are today's. Partitions whose days are unknown count as written before all others.
    """
    table = items[0].table if items and len({item.table for item in items}) == 1 else ""
    stored = [item for item in items if item.stage is not Stage.DROPPED]
    lowers = [item.lower for item in stored if item.lower]
    ends = {item.upper for item in stored if item.upper and item.upper <= today and item.lower}
    begin = min((day for day in (*lowers, *ends) if day <= today), default=today)
    days = sorted({begin, *ends, today})
    sums = {name: np.zeros(len(days)) for name in _FIGURES}
    for item in stored:
        known = item.lower or item.upper
        day = begin if not known else min(item.upper or today, today)
        since = bisect_left(days, max(day, begin))
        stage = "attached" if item.stage is Stage.ATTACHED else "archived"
        size = item.size or Size(0, 0, 0)
        for name, figure in (
            (stage, size.total), ("heap", size.heap), ("index", size.index), ("toast", size.toast),
            ("rows", item.rows or 0), ("dead", item.dead_rows or 0), ("partitions", 1), ("cold", item.cold or 0),
        ):  # fmt: skip
            sums[name][since:] += figure
    return _made(table, days_of(days), sums, None, derived_from(len(stored)))


def derived_from(partitions: int) -> str:
    """How a history came about that is derived from so many partitions."""
    return (
        f"Derived from the ranges and present sizes of {plural(partitions, 'partition')};"
        " what was dropped before is not in it."
    )


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
    derived: bool = True
    how: str = "Derived from the present size of the partitions for these days."


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


@dataclass(frozen=True, slots=True)
class KeyStatistics:
    """What the planner's statistics tell of the dates in one partition."""

    common: tuple[tuple[date, float], ...]
    """The most common dates, each with its share of the rows."""
    bounds: tuple[date, ...]
    """The bounds of a histogram of all other rows, each bucket holding as many."""
    null_share: float = 0.0

    def share_before(self, day: date) -> float | None:
        """The share of the rows whose date lies before `day`, 0 to 1; None where nothing is known."""
        if not self.common and len(self.bounds) < 2:
            return None
        commons = sum(share for _, share in self.common)
        rest = max(0.0, 1 - commons - self.null_share)
        before = sum(share for when, share in self.common if when < day)
        if len(self.bounds) >= 2:
            numbers = np.array([one.toordinal() for one in self.bounds], float)
            # A bound belongs to its bucket: with whole days, what lies before a day ends half a day earlier.
            before += rest * float(np.interp(day.toordinal() - 0.5, numbers, np.linspace(0, 1, len(numbers))))
        known = commons + (rest if len(self.bounds) >= 2 else 0.0)
        return min(1.0, before / known) if known else None


@dataclass(frozen=True, slots=True)
class MonthRows:
    """Rows dated in one month."""

    first: date
    rows: float
    complete: bool
    derived: bool
    how: str


def rows_by_month(
    rows: int, statistics: KeyStatistics, lower: date, upper: date, *, today: date
) -> tuple[MonthRows, ...]:
    """How `rows` rows of a partition for [lower, upper) spread over its months up to today's, by statistics."""
    how = "Derived from the planner's statistics of the last analyze."
    found = []
    first = lower.replace(day=1)
    while first < upper and first <= today:
        following = add_months(first, 1)
        start, end = statistics.share_before(max(first, lower)), statistics.share_before(min(following, upper))
        if start is None or end is None:
            return ()
        found.append(MonthRows(first, rows * (end - start), following <= today, derived=True, how=how))
        first = following
    return tuple(found)


def counted_by_month(counts: Mapping[date, int], *, today: date) -> tuple[MonthRows, ...]:
    """The same from rows that somebody counted, by the first day of the month."""
    how = "Counted in the table itself."
    return tuple(
        MonthRows(first, float(rows), add_months(first, 1) <= today, derived=False, how=how)
        for first, rows in sorted(counts.items())
    )


@dataclass(frozen=True, slots=True)
class YearToDate:
    """This year up to today beside last year up to the same day; derived from partitions and statistics."""

    until: date
    rows: float
    rows_before: float
    bytes: float
    bytes_before: float
    how: str
    derived: bool = True

    @property
    def share(self) -> float | None:
        """How many more rows, as a part of last year's: 0.08 is eight percent more; None where there were none."""
        return (self.rows - self.rows_before) / self.rows_before if self.rows_before else None


def year_to_date(
    items: Sequence[Holding], statistics: Mapping[str, KeyStatistics], *, today: date
) -> YearToDate | None:
    """This year to date against last year to the same day; None where no partition is for last year.

    `statistics` by the name of the partition; one without is taken as filled evenly from its first day to its last,
    or to today.
    """
    then = add_months(today, -12)
    rows, size = _between(items, statistics, today.replace(month=1, day=1), today, today)
    rows_then, size_then = _between(items, statistics, then.replace(month=1, day=1), then, today)
    reaches = [item for item in items if item.lower and item.upper and item.lower <= then < item.upper]
    if not reaches:
        return None
    even = [
        item for item in items if _overlaps(item, then.replace(month=1, day=1), today) and item.name not in statistics
    ]
    how = "Derived from the partitions and the planner's statistics of their dates."
    if even:
        how += " Where there are no statistics, rows are taken as evenly spread."
    return YearToDate(today, rows, rows_then, size, size_then, how)


def _overlaps(item: Holding, first: date, last: date) -> bool:
    return bool(item.lower and item.upper and item.lower <= last and item.upper > first)


def _between(
    items: Sequence[Holding], statistics: Mapping[str, KeyStatistics], first: date, last: date, today: date
) -> tuple[float, float]:
    """(rows, bytes) dated from `first` to `last`, both included."""
    rows = size = 0.0
    for item in items:
        if item.lower is None or item.upper is None or not _overlaps(item, first, last):
            continue
        ends = []
        for day in (max(first, item.lower), min(last + timedelta(days=1), item.upper)):
            found = statistics[item.name].share_before(day) if item.name in statistics else None
            filled = max(1, (min(item.upper, today + timedelta(days=1)) - item.lower).days)
            ends.append(min(1.0, (day - item.lower).days / filled) if found is None else found)
        if last + timedelta(days=1) >= item.upper:
            ends[1] = 1.0
        if first <= item.lower:
            ends[0] = 0.0
        rows += (item.rows or 0) * (ends[1] - ends[0])
        size += item.bytes * (ends[1] - ends[0])
    return rows, size


# --- what the planned retention will do -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Retention:
    """What is planned for old partitions."""

    archive_after: Duration
    """They leave the table so long after their last day."""
    drop_after: Duration | None = None
    """They leave the server so long after that, a count of 0 for at once; None: they only move to the archive."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One table's partitions and what is planned for them."""

    items: tuple[Holding, ...]
    retention: Retention
    period: Period
    """The width of the partitions to come."""
    share: float = 1.0
    """Which part of the forecast growth is this table's, where the forecast is for several."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A partition that leaves the table for the archive, or the archive for good."""

    table: str
    name: str
    stage: Stage
    """Where it is now."""
    day: date
    """When it leaves that; today where it is due already."""
    freed_on: date | None
    """When it leaves the server; None where nothing is dropped."""
    bytes: int
    """Its size now; one that is still written to will have grown."""
    due: bool
    """Whether it is due today."""


@lru_cache(maxsize=4096)
def leaves_on(upper: date, after: Duration) -> date:
    """The first day on which a partition that ends before `upper` is over for the whole duration."""
    day = after.after(upper)
    while day < date.max and after.before(day) < upper:  # 31 August and six months: 28 February is not yet it
        day += timedelta(days=1)
    return day


def _leaves(item: Holding, retention: Retention, today: date) -> tuple[date | None, date | None]:
    """(the day on which it leaves the table, the day on which it leaves the server); None where it does not."""
    if item.upper is None or item.stage is Stage.DROPPED:
        return None, None
    held = today
    if item.held_until is not None:
        held = max(today, date.max if item.held_until == date.max else item.held_until + timedelta(days=1))
    due = max(held, leaves_on(item.upper, retention.archive_after))
    freed = None
    if item.drop_on is not None:
        freed = max(held, item.drop_on)
    elif retention.drop_after is not None:
        waited = retention.drop_after.after(leaves_on(item.upper, retention.archive_after))
        freed = max(waited, held) if item.stage is Stage.ARCHIVED else retention.drop_after.after(due)
    table = due if item.stage is Stage.ATTACHED else None
    return (None if table == date.max else table), (None if freed == date.max else freed)


def next_leaving(schedule: Schedule, *, today: date, until: date) -> tuple[Leaving, ...]:
    """The partitions that leave up to the day `until`, those that are due already first."""
    found = []
    for item in schedule.items:
        table, server = _leaves(item, schedule.retention, today)
        day = table if item.stage is Stage.ATTACHED else server
        if day is not None and day <= until:
            found.append(Leaving(item.table, item.name, item.stage, day, server, item.bytes, day == today))
    return tuple(sorted(found, key=lambda one: (one.day, one.table, one.name)))


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """The forecast bytes on the server, from today on, one figure a day."""

    days: Days
    kept: Band
    """If everything stays where it is."""
    planned: Band
    """With the planned retention: the same as `kept` where nothing is dropped."""
    in_table: Band
    """What is left in the tables themselves with the planned retention."""


def outlook(forecast: Forecast, schedules: Sequence[Schedule], *, today: date) -> Outlook:
    """What the forecast of all that is written means for the server, with the retention and without.

    A partition leaves at its size of then: today's and what the forecast adds to it up to its last day. Partitions to
    come are cut as wide as the present ones. Empty where the forecast is.
    """
    items = [item for schedule in schedules for item in schedule.items]
    attached = float(sum(item.bytes for item in items if item.stage is Stage.ATTACHED))
    server = attached + sum(item.bytes for item in items if item.stage is Stage.ARCHIVED)
    last = today + timedelta(days=max(0, len(forecast.days) - 1))
    parting = [(schedule.share, _parting(schedule, today, last)) for schedule in schedules] if forecast.possible else []
    bands: dict[str, list[Floats]] = {"kept": [], "planned": [], "in_table": []}
    # Whatever the server holds today is known: only what is added is uncertain.
    anchor = forecast.band.expected[0] if forecast.possible else 0.0
    for curve in (forecast.band.low, forecast.band.expected, forecast.band.high):
        added = curve - anchor
        gone_server, gone_table = np.zeros_like(curve), np.zeros_like(curve)
        for share, leavers in parting:
            _take(leavers, added * share, gone_server, gone_table, today)
        bands["kept"].append(np.maximum(0, server + added))
        bands["planned"].append(np.maximum(0, server + added - np.cumsum(gone_server)))
        bands["in_table"].append(np.maximum(0, attached + added - np.cumsum(gone_table)))
    return Outlook(forecast.days, *(Band(*bands[name]) for name in ("kept", "planned", "in_table")))


_Parting = list[tuple[Holding, date | None, date | None]]
"""Partitions with the days on which they leave their table and the server."""


def _parting(schedule: Schedule, today: date, last: date) -> _Parting:
    """Those that leave either by `last`."""
    found = []
    for item in _with_future(schedule, today, last):
        days = [None if day is None or day > last else day for day in _leaves(item, schedule.retention, today)]
        if any(days):
            found.append((item, days[0], days[1]))
    return found


def _take(parting: _Parting, added: Floats, server: Floats, table: Floats, today: date) -> None:
    """Adds to `server` and `table` what leaves them on each day."""
    last = len(added) - 1

    def until(day: date) -> float:
        """What is added up to that day."""
        return float(added[min(max((day - today).days, 0), last)])

    for item, left, freed in parting:
        written_yet = until(item.upper) - until(item.lower or today) if item.upper and item.upper > today else 0.0
        size = item.bytes + max(0.0, written_yet)
        for day, gone in ((left, table), (freed, server)):
            if day is not None:
                gone[(day - today).days] += size


def _with_future(schedule: Schedule, today: date, last: date) -> list[Holding]:
    """The partitions there are, and those to come that will leave by `last`."""
    found = list(schedule.items)
    table = found[0].table if found else ""
    reach = max((item.upper for item in found if item.upper and item.stage is Stage.ATTACHED), default=today)
    if reach == date.max or any(item.upper is None and item.lower for item in found):
        return found
    for lower, upper in schedule.period.cover(max(reach, today), last):
        if leaves_on(upper, schedule.retention.archive_after) > last:
            break
        if lower >= reach:
            found.append(Holding(table, "", Stage.ATTACHED, lower, upper, None))
    return found


def shares_of_growth(histories: Sequence[History], *, today: date, days: int = 365) -> dict[str, float]:
    """Each table's part of what all added in the last `days` days, for `Schedule.share`; even where nothing was."""
    growers = top_growers(histories, today=today, days=days, limit=len(histories))
    found = {grower.table: grower.share for grower in growers}
    if not sum(found.values()):
        return {history.table: 1 / len(histories) for history in histories}
    return {history.table: found.get(history.table, 0.0) for history in histories}


# --- what archiving and dropping saved ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Move:
    """A partition that went from one stage to another."""

    day: date
    table: str
    name: str
    before: Stage | None
    """None where it was not seen before."""
    after: Stage
    bytes: int
    derived: bool = False
    """Whether it was not measured, but told by the archived table itself or by the journal."""


def tagged_moves(table: PartitionedTable, *, zone: str = "UTC") -> tuple[Move, ...]:
    """When the console archived what it did, as the archived tables themselves tell."""
    found = []
    for item in table.archived:
        if item.tag is not None:
            day = datetime.fromisoformat(item.tag.archived_at).astimezone(ZoneInfo(zone)).date()
            size = item.size.total if item.size else 0
            found.append(Move(day, table.address, item.name, Stage.ATTACHED, Stage.ARCHIVED, size, derived=True))
    return tuple(found)


def merge_moves(*sources: Iterable[Move]) -> tuple[Move, ...]:
    """All moves, oldest first; one that several sources tell of, within a month, counts once, as the first has it."""
    found: dict[tuple[str, str, Stage], list[Move]] = {}
    for source in sources:
        known = {key: list(moves) for key, moves in found.items()}
        for move in source:
            key = (move.table, move.name, move.after)
            if not any(abs((other.day - move.day).days) <= 31 for other in known.get(key, ())):
                found.setdefault(key, []).append(move)
    every = [move for moves in found.values() for move in moves]
    return tuple(sorted(every, key=lambda move: (move.day, move.table, move.name)))


@dataclass(frozen=True, slots=True)
class Quarter:
    """What was moved and freed in one quarter of a year, in bytes and partitions."""

    first: date
    archived: int
    """Bytes that left their table for the archive, on the same server."""
    archived_partitions: int
    freed: int
    """Bytes that left the server."""
    freed_partitions: int
    returned: int
    """Bytes that came back: reattached, or restored."""

    @property
    def label(self) -> str:
        """2026 Q4."""
        return f"{self.first.year} Q{(self.first.month + 2) // 3}"


_RANK = {Stage.ATTACHED: 0, Stage.ARCHIVED: 1, Stage.DROPPED: 2}


def savings(moves: Iterable[Move]) -> tuple[Quarter, ...]:
    """By quarter, oldest first, those without a move left out."""
    found: dict[date, Quarter] = {}
    for move in moves:
        first = Period.QUARTER.containing(move.day)[0]
        quarter = found.get(first, Quarter(first, 0, 0, 0, 0, 0))
        if move.before is not None and _RANK[move.after] < _RANK[move.before]:
            quarter = replace(quarter, returned=quarter.returned + move.bytes)
        elif move.after is Stage.ARCHIVED and move.before is not None:
            quarter = replace(
                quarter,
                archived=quarter.archived + move.bytes,
                archived_partitions=quarter.archived_partitions + 1,
            )
        elif move.after is Stage.DROPPED:
            quarter = replace(quarter, freed=quarter.freed + move.bytes, freed_partitions=quarter.freed_partitions + 1)
        found[first] = quarter
    return tuple(found[first] for first in sorted(found))


GB = 1_000_000_000
"""Bytes of the gigabyte that prices are for."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount a month, in the currency of the prices."""

    month: float

    @property
    def year(self) -> float:
        """Twelve times as much."""
        return 12 * self.month


@dataclass(frozen=True, slots=True)
class Prices:
    """What a GB (10^9 bytes) costs a month."""

    hot: float
    """On the server."""
    cold: float = 0.0
    """In cold storage."""

    def of(self, hot: float, cold: float = 0.0) -> Money:
        """What so many bytes cost; negative bytes of one kind take off what they saved."""
        return Money((hot * self.hot + cold * self.cold) / GB)


def per_month(per_day: float) -> float:
    """A rate by day as one by month."""
    return per_day * YEAR / 12
