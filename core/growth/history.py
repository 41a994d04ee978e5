"""Sizes by day of a table, measured or derived: what they add up to, how they changed, who grew."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from core.growth.holdings import Holding, Stage
from core.growth.series import Days, Floats, Series, clean, days_of
from core.growth.series import day_of as day_of_element
from core.period import add_months
from core.tables.size import Size
from core.text import plural


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
    """Of what is on the server, attached or archived, as are index, toast and partitions."""
    index: Floats
    toast: Floats
    rows: Floats
    """Rows written so far, those that were dropped as well; the planner's estimate."""
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


_FIGURES = ("attached", "archived", "freed", "cold", "heap", "index", "toast", "rows", "partitions")


def written(history: History, *, today: date | None = None) -> Series:
    """What the trend is fitted to, ready for `trend.forecast`."""
    return clean(history.days, history.written, today=today)


def on_server(history: History, *, today: date | None = None) -> Series:
    """The bytes on the server by day."""
    return clean(history.days, history.server, today=today)


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
    return History("", days, generated_until=max(generated, default=None), how=" ".join(hows), **sums)


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
        start = first - timedelta(days=1) if series.first < first else series.first
        end = min(following - timedelta(days=1), series.last)
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
            ("rows", item.rows or 0), ("partitions", 1), ("cold", item.cold or 0),
        ):  # fmt: skip
            sums[name][since] += figure
    whole = {name: np.cumsum(figures) for name, figures in sums.items()}
    return History(table, days_of(days), generated_until=None, how=derived_from(len(stored)), **whole)


def derived_from(partitions: int) -> str:
    """How a history came about that is derived from so many partitions."""
    return (
        f"Derived from the ranges and present sizes of {plural(partitions, 'partition')};"
        " what was dropped before is not in it."
    )


def shares_of_growth(histories: Sequence[History], *, today: date, days: int = 365) -> dict[str, float]:
    """Each table's part of what all added in the last `days` days, for `Schedule.share`; even where nothing was."""
    growers = top_growers(histories, today=today, days=days, limit=len(histories))
    found = {grower.table: grower.share for grower in growers}
    if not sum(found.values()):
        return {history.table: 1 / len(histories) for history in histories}
    return {history.table: found.get(history.table, 0.0) for history in histories}
