"""What the forecast means for the server: with the retention and without, and which partitions leave when.

Bytes are bytes; a day is a date of the application's time zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from core.growth.forecast import Band, Forecast
from core.growth.holdings import Holding, Stage
from core.growth.series import Days, Floats
from core.period import Duration, Period


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

    @property
    def frees(self) -> bool:
        """Whether the planned retention frees anything on the server."""
        return not np.array_equal(self.kept.expected, self.planned.expected)


def outlook(forecast: Forecast, schedules: Sequence[Schedule], *, today: date) -> Outlook:
    """What the forecast of all that is written means for the server, with the retention and without.

    A partition leaves at its size of then: today's and what the forecast adds to it up to its last day. Partitions to
    come are cut as wide as the present ones. Empty where the forecast is.
    """
    items = [item for schedule in schedules for item in schedule.items]
    server = float(sum(item.bytes for item in items if item.stage is not Stage.DROPPED))
    last = today + timedelta(days=max(0, len(forecast.days) - 1))
    parting = [(schedule.share, _parting(schedule, today, last)) for schedule in schedules] if forecast.possible else []
    kept: list[Floats] = []
    planned: list[Floats] = []
    # Whatever the server holds today is known: only what is added is uncertain.
    anchor = forecast.band.expected[0] if forecast.possible else 0.0
    for curve in (forecast.band.low, forecast.band.expected, forecast.band.high):
        added = curve - anchor
        gone = np.zeros_like(curve)
        for share, leavers in parting:
            _take(leavers, added * share, gone, today)
        kept.append(np.maximum(0, server + added))
        planned.append(np.maximum(0, server + added - np.cumsum(gone)))
    return Outlook(forecast.days, Band(*kept), Band(*planned))


def _parting(schedule: Schedule, today: date, last: date) -> list[tuple[Holding, date]]:
    """The partitions that leave the server by `last`, each with its day."""
    leaving = ((item, _leaves(item, schedule.retention, today)[1]) for item in _with_future(schedule, today, last))
    return [(item, day) for item, day in leaving if day is not None and day <= last]


def _take(parting: Iterable[tuple[Holding, date]], added: Floats, gone: Floats, today: date) -> None:
    """Adds to `gone` what leaves the server on each day."""
    last = len(added) - 1

    def until(day: date) -> float:
        """What is added up to that day."""
        return float(added[min(max((day - today).days, 0), last)])

    for item, day in parting:
        written_yet = until(item.upper) - until(item.lower or today) if item.upper and item.upper > today else 0.0
        gone[(day - today).days] += item.bytes + max(0.0, written_yet)


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
