"""Stretches of time made ready to be drawn: open ends cut, many of one state or month taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby

from core.period import Period
from core.text import human_date
from dashboard.partitions.items import Item

LISTED = 40
"""Up to so many partitions each gets its own line or bar with its name; more are drawn along time."""
DRAWN = 400
"""More are drawn together, by month or by year."""


def closed(items: Sequence[Item], today: date) -> list[Item]:
    """The items that stand in time, open ends cut a little outside of what is known."""
    ranged = [item for item in items if item.ranged]
    ends = [end for item in ranged for end in (item.lower, item.upper) if end is not None] + [today]
    room = max(timedelta(days=30), (max(ends) - min(ends)) / 8)
    first, last = _moved(min(ends), -room), _moved(max(ends), room)
    return [replace(item, lower=item.lower or first, upper=item.upper or last) for item in ranged]


def _moved(day: date, by: timedelta) -> date:
    try:
        return day + by
    except OverflowError:
        return day


def merged(items: Sequence[Item], most: int) -> list[Item]:
    """The same stretches of time; where there are more than `most`, neighbours of one state are drawn as one."""
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
    bounds = f"{human_date(first.lower)} up to, not including, {human_date(last.upper)}"
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


def bucketed(items: Sequence[Item], most: int) -> list[Item]:
    """The same figures, added up by the narrowest of month, quarter and year that gives at most `most` of them."""
    grouped = list(items)
    for period in (Period.MONTH, Period.QUARTER, Period.YEAR):
        if len(grouped) <= most:
            break
        starts = [period.containing(item.lower or date.min)[0] for item in items]
        keyed = groupby(zip(starts, items, strict=True), key=lambda pair: (pair[0], pair[1].status))
        grouped = [_sum([item for _, item in run], period.label(key[0]).replace("_", "-")) for key, run in keyed]
    return grouped
