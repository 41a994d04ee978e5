"""Stretches of a table made ready to be drawn: open ends cut, many of one state or month taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from core.period import Period
from core.text import human_bytes
from dashboard.partitions.axis import Spot, spoken_spot
from dashboard.partitions.items import Item, Status

LISTED = 40
"""Up to so many partitions each gets its own line or bar with its name; more are drawn along the axis."""
DRAWN = 400
"""More are drawn together, by day, month or year."""


def closed(items: Sequence[Item], now: datetime | None) -> list[Item]:
    """The items that stand on the axis, open ends cut a little outside of what is known."""
    ranged = [item for item in items if item.ranged]
    moments = [end for item in ranged for end in (item.lower, item.upper) if isinstance(end, datetime)]
    numbers = [end for item in ranged for end in (item.lower, item.upper) if isinstance(end, int | float)]
    first: Spot
    last: Spot
    if now is not None:
        moments.append(now)
        room = (max(moments) - min(moments)) / 8 or timedelta(days=30)
        first, last = _moved(min(moments), -room), _moved(max(moments), room)
    elif numbers:
        away = (max(numbers) - min(numbers)) / 8 or 1.0
        first, last = min(numbers) - away, max(numbers) + away
    else:
        first, last = 0.0, 1.0
    return [
        item
        if item.lower is not None and item.upper is not None
        else replace(
            item,
            lower=first if item.lower is None else item.lower,
            upper=last if item.upper is None else item.upper,
        )
        for item in ranged
    ]


def _moved(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return moment


def merged(items: Sequence[Item], most: int) -> list[Item]:
    """The same stretches; where there are more than `most`, neighbours of one state are drawn as one."""
    if len(items) <= most:
        return list(items)
    runs: list[list[Item]] = []
    for item in items:
        if runs and runs[-1][-1].status is item.status and runs[-1][-1].upper == item.lower:
            runs[-1].append(item)
        else:
            runs.append([item])
    return [_sum(run, f"{run[0].label} to {run[-1].label}") for run in runs]


def _sum(run: Sequence[Item], label: str) -> Item:
    first, last = run[0], run[-1]
    if len(run) == 1:
        return first
    bounds = f"{spoken_spot(first.lower)} up to, not including, {spoken_spot(last.upper)}"
    counted = [item.rows for item in run if item.rows is not None]
    return Item(
        label=label,
        name=f"{len(run):,} partitions, {first.name} to {last.name}",
        status=first.status,
        lower=first.lower,
        upper=last.upper,
        bounds=bounds,
        rows=sum(counted) if counted else None,
        heap=sum(item.heap for item in run),
        index=sum(item.index for item in run),
        toast=sum(item.toast for item in run),
    )


def along(items: Sequence[Item]) -> bool:
    """Whether a picture of quantities stands along the axis: more have a place there than have room for a name."""
    return sum(item.ranged for item in items) > LISTED


def unplaced(items: Sequence[Item]) -> str | None:
    """What is in no such picture, as it has no place on the axis, and what it weighs."""
    known = [item for item in items if item.name and item.known]
    without = [item for item in known if not item.ranged]
    if not along(known) or not without:
        return None
    names = "The DEFAULT has" if [item.label for item in without] == ["DEFAULT"] else f"{len(without):,} have"
    return f"{names} no place along the axis, with {human_bytes(sum(item.total for item in without))}."


def summed(items: Sequence[Item]) -> str | None:
    """That a picture of quantities sums neighbours, where it does."""
    known = [item for item in items if item.name and item.known and item.ranged]
    if len(known) <= DRAWN:
        return None
    bars = len(bucketed(closed(known, None), DRAWN))
    return f"{len(known):,} partitions are drawn as {bars:,} bars: each is the sum of neighbours."


def bucketed(items: Sequence[Item], most: int) -> list[Item]:
    """The same figures in at most `most` sums: by the narrowest unit of the calendar, else so many neighbours each."""
    if len(items) <= most:
        return list(items)
    grouped: list[list[Item]] = []
    days = {item.lower.date() for item in items if isinstance(item.lower, datetime)}
    for period, longest in _LONGEST.items():
        if len(days) > most * longest:
            continue  # so many days lie in more of them
        grouped = _by(items, period)
        if len(grouped) <= most:
            return [_sum(run, _label(run, period)) for run in grouped]
    # More years than that, or no time at all.
    together = -(-len(items) // most)
    runs = [list(run) for _, run in groupby(items, key=lambda item: item.status)]
    parts = [run[start : start + together] for run in runs for start in range(0, len(run), together)]
    return [_sum(part, f"{part[0].label} to {part[-1].label}") for part in parts]


_LONGEST = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 31, Period.QUARTER: 92, Period.YEAR: 366}
"""So many days at most are in each."""


def _by(items: Sequence[Item], period: Period) -> list[list[Item]]:
    """Neighbours of one state that begin in the same unit of the calendar; each alone where they are no times."""

    def unit(pair: tuple[int, Item]) -> tuple[object, Status]:
        number, item = pair
        lower = item.lower
        return (_begin(period, lower) if isinstance(lower, datetime) else number), item.status

    return [[item for _, item in run] for _, run in groupby(enumerate(items), key=unit)]


def _begin(period: Period, moment: datetime) -> object:
    """What is alike for all moments of one unit of the calendar, and for no others."""
    if period is Period.YEAR:
        return moment.year
    if period in (Period.MONTH, Period.QUARTER):
        return moment.year, (moment.month - 1) // (3 if period is Period.QUARTER else 1)
    return moment.toordinal() if period is Period.DAY else (moment.toordinal() - 1) // 7


def _label(run: Sequence[Item], period: Period) -> str:
    lower = run[0].lower
    if not isinstance(lower, datetime):
        return run[0].label
    return period.label(period.containing(lower.date())[0]).replace("_", "-")
