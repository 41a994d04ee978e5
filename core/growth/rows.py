"""Rows by the month of their dates, and this year beside the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from core.growth.holdings import Holding
from core.growth.key_statistics import KeyStatistics
from core.period import add_months


@dataclass(frozen=True, slots=True)
class MonthRows:
    """Rows dated in one month."""

    first: date
    rows: float
    complete: bool


DERIVED = "Derived from the planner's statistics of the last analyze."
"""Where the rows of a month are from."""


def rows_by_month(
    rows: int, statistics: KeyStatistics, lower: date, upper: date, *, today: date
) -> tuple[MonthRows, ...]:
    """How `rows` rows of a partition for [lower, upper) spread over its months up to today's, by statistics."""
    found = []
    first = lower.replace(day=1)
    while first < upper and first <= today:
        following = add_months(first, 1)
        start, end = statistics.share_before(max(first, lower)), statistics.share_before(min(following, upper))
        if start is None or end is None:
            return ()
        found.append(MonthRows(first, rows * (end - start), following <= today))
        first = following
    return tuple(found)


@dataclass(frozen=True, slots=True)
class YearToDate:
    """This year up to today beside last year up to the same day; derived from partitions and statistics."""

    until: date
    rows: float
    rows_before: float
    bytes: float
    bytes_before: float
    how: str

    @property
    def share(self) -> float | None:
        """How many more rows, as a part of last year's: 0.08 is eight percent more; None where there were none."""
        return (self.rows - self.rows_before) / self.rows_before if self.rows_before else None


def year_to_date(
    items: Sequence[Holding], statistics: Mapping[int, KeyStatistics], *, today: date
) -> YearToDate | None:
    """This year to date against last year to the same day; None where no partition is for last year.

    `statistics` by the oid of the partition; one without is taken as filled evenly from its first day to its last,
    or to today.
    """
    then = add_months(today, -12)
    rows, size = _between(items, statistics, today.replace(month=1, day=1), today, today)
    rows_then, size_then = _between(items, statistics, then.replace(month=1, day=1), then, today)
    reaches = [item for item in items if item.lower and item.upper and item.lower <= then < item.upper]
    if not reaches:
        return None
    even = [
        item for item in items if _overlaps(item, then.replace(month=1, day=1), today) and item.oid not in statistics
    ]
    how = "Derived from the partitions and the planner's statistics of their dates."
    if even:
        how += " Where there are no statistics, rows are taken as evenly spread."
    return YearToDate(today, rows, rows_then, size, size_then, how)


def _overlaps(item: Holding, first: date, last: date) -> bool:
    return bool(item.lower and item.upper and item.lower <= last and item.upper > first)


def _between(
    items: Sequence[Holding], statistics: Mapping[int, KeyStatistics], first: date, last: date, today: date
) -> tuple[float, float]:
    """(rows, bytes) dated from `first` to `last`, both included."""
    rows = size = 0.0
    for item in items:
        if item.lower is None or item.upper is None or not _overlaps(item, first, last):
            continue
        ends = []
        for day in (max(first, item.lower), min(last + timedelta(days=1), item.upper)):
            known = None if item.oid is None else statistics.get(item.oid)
            found = known.share_before(day) if known else None
            filled = max(1, (min(item.upper, today + timedelta(days=1)) - item.lower).days)
            ends.append(min(1.0, (day - item.lower).days / filled) if found is None else found)
        if last + timedelta(days=1) >= item.upper:
            ends[1] = 1.0
        if first <= item.lower:
            ends[0] = 0.0
        rows += (item.rows or 0) * (ends[1] - ends[0])
        size += item.bytes * (ends[1] - ends[0])
    return rows, size


def month_rows(items: Iterable[Holding], statistics: Mapping[int, KeyStatistics], today: date) -> tuple[MonthRows, ...]:
    """The rows of the last thirteen months, this one included."""
    since = add_months(today.replace(day=1), -12)
    found: dict[date, MonthRows] = {}
    for item in items:
        if not (item.lower and item.upper and item.upper > since and item.lower <= today and item.rows is not None):
            continue
        known = None if item.oid is None else statistics.get(item.oid)
        if known is None:
            continue
        for month in rows_by_month(item.rows, known, item.lower, item.upper, today=today):
            if month.first >= since:
                other = found.get(month.first)
                found[month.first] = replace(month, rows=month.rows + (other.rows if other else 0.0))
    return tuple(found[first] for first in sorted(found))
