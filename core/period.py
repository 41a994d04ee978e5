"""Cuts the calendar into periods, each a half-open range [lower, upper) of dates, and measures retention in them."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from core.errors import UsageError

Range = tuple[date, date]
"""[lower, upper): the lower date belongs to it, the upper does not."""

_UNITS = {"day": "days", "week": "weeks", "month": "months", "year": "years"}
_DURATION = re.compile(r"\s*(\d{1,5})\s*(?:(day|week|month|year)s?|([dwy]))\s*", re.IGNORECASE)
_SHORT = {"d": "day", "w": "week", "y": "year"}  # an m could be minutes


class Period(StrEnum):
    """How wide a partition is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    def containing(self, day: date) -> Range:
        """The period that `day` lies in; weeks begin on Monday (ISO 8601)."""
        lower = {
            Period.DAY: lambda: day,
            Period.WEEK: lambda: day - timedelta(days=day.weekday()),
            Period.MONTH: lambda: day.replace(day=1),
            Period.QUARTER: lambda: day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1),
            Period.YEAR: lambda: day.replace(month=1, day=1),
        }[self]()
        return lower, self.after(lower)

    def after(self, lower: date) -> date:
        """The first date after the period that begins at `lower`."""
        if self is Period.DAY:
            return lower + timedelta(days=1)
        if self is Period.WEEK:
            return lower + timedelta(days=7)
        return add_months(lower, {Period.MONTH: 1, Period.QUARTER: 3, Period.YEAR: 12}[self])

    def cover(self, lower: date, upper: date) -> Iterator[Range]:
        """The periods from the one that holds `lower` until `upper` is reached."""
        start, end = self.containing(lower)
        while start < upper:
            yield start, end
            start, end = end, self.after(end)

    def label(self, lower: date) -> str:
        """The suffix of a partition's name: 2027, 2027_q1, 2027_01, 2027_w05, 2027_01_31."""
        if self is Period.YEAR:
            return f"{lower:%Y}"
        if self is Period.QUARTER:
            return f"{lower:%Y}_q{(lower.month + 2) // 3}"
        if self is Period.MONTH:
            return f"{lower:%Y_%m}"
        if self is Period.WEEK:
            year, week, _ = lower.isocalendar()
            return f"{year:04d}_w{week:02d}"
        return f"{lower:%Y_%m_%d}"

    @property
    def noun(self) -> str:
        """The plural in plain words: "years"."""
        return f"{self.value}s"


def period_of(lower: date, upper: date) -> Period | None:
    """The period that is exactly [lower, upper), or None for any other range."""
    return next((p for p in reversed(Period) if p.containing(lower) == (lower, upper)), None)


_LABELS: tuple[tuple[Period, re.Pattern[str]], ...] = (
    (Period.DAY, re.compile(r"(\d{4})_?(\d{2})_?(\d{2})")),
    (Period.WEEK, re.compile(r"(\d{4})_?w(\d{2})")),
    (Period.QUARTER, re.compile(r"(\d{4})_?q([1-4])")),
    (Period.MONTH, re.compile(r"(\d{4})_?(\d{2})")),
    (Period.YEAR, re.compile(r"(\d{4})")),
)


def range_of_label(label: str) -> Range | None:
    """The range that a partition's suffix tells (2027, 2027_q1, p2027_01 ...), or None where it tells none."""
    for period, pattern in _LABELS:
        match = pattern.fullmatch(label.lower().lstrip("py_"))
        if match is None:
            continue
        numbers = [int(group) for group in match.groups()]
        try:
            if period is Period.WEEK:
                return period.containing(date.fromisocalendar(numbers[0], numbers[1], 1))
            if period is Period.QUARTER:
                return period.containing(date(numbers[0], 3 * numbers[1] - 2, 1))
            return period.containing(date(*[*numbers, 1, 1][:3]))
        except ValueError:
            return None
    return None


def parse_year(text: str) -> int:
    """A year from 1 to 9998. Raises UsageError for anything else."""
    if not re.fullmatch(r"\d{4}", text) or not 1 <= int(text) <= 9998:
        raise UsageError(f"{text!r} is not a year.", next="Write four digits, such as 2027.")
    return int(text)


def add_months(day: date, months: int) -> date:
    """`day` moved by `months`, kept within the month (31 January + 1 month = 28 or 29 February)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


@dataclass(frozen=True, slots=True)
class Duration:
    """A retention: a whole number of days, weeks, months or years."""

    count: int
    unit: str
    """day, week, month or year."""

    @classmethod
    def parse(cls, text: str) -> Duration:
        """'3 years', '18 months', '90d'. A unit is required: '10' alone once meant ten seconds to somebody."""
        match = _DURATION.fullmatch(text)
        if match is None or int(match[1]) == 0:
            raise UsageError(
                f"{text!r} is not a duration.", next="Write a number and a unit: 3 years, 18 months or 90 days."
            )
        return cls(int(match[1]), match[2].lower() if match[2] else _SHORT[match[3].lower()])

    def before(self, day: date) -> date:
        """The date this long before `day`, or the earliest there is."""
        try:
            if self.unit in ("day", "week"):
                return day - timedelta(days=self.count * (7 if self.unit == "week" else 1))
            return add_months(day, -self.count * (12 if self.unit == "year" else 1))
        except (ValueError, OverflowError):
            return date.min

    def after(self, day: date) -> date:
        """The date this long after `day`, or the latest there is."""
        try:
            if self.unit in ("day", "week"):
                return day + timedelta(days=self.count * (7 if self.unit == "week" else 1))
            return add_months(day, self.count * (12 if self.unit == "year" else 1))
        except (ValueError, OverflowError):
            return date.max

    def __str__(self) -> str:
        return f"{self.count} {self.unit if self.count == 1 else _UNITS[self.unit]}"


def year_range(text: str) -> Range:
    """The range of a year as a person typed it. Raises UsageError."""
    year = parse_year(text)
    return date(year, 1, 1), date(year + 1, 1, 1)
