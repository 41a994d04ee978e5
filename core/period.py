"""Cuts the calendar into periods, each a half-open range [lower, upper) of dates, and measures retention in them."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
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
        if self is Period.DAY:
            lower = day
        elif self is Period.WEEK:
            lower = day - timedelta(days=day.weekday())
        elif self is Period.MONTH:
            lower = day.replace(day=1)
        elif self is Period.QUARTER:
            lower = day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1)
        else:
            lower = day.replace(month=1, day=1)
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
    period = _OF_DAYS.get((upper - lower).days)
    return period if period is not None and period.containing(lower) == (lower, upper) else None


_OF_DAYS = {
    1: Period.DAY,
    7: Period.WEEK,
    **dict.fromkeys(range(28, 32), Period.MONTH),
    **dict.fromkeys(range(90, 93), Period.QUARTER),
    **dict.fromkeys((365, 366), Period.YEAR),
}
"""The only period that can be so many days long."""


_UNIT_WORDS = {"second": (0, 0, 1), "minute": (0, 0, 60), "hour": (0, 0, 3600), "day": (0, 1, 0), "week": (0, 7, 0)}
_UNIT_WORDS |= {"month": (1, 0, 0), "quarter": (3, 0, 0), "year": (12, 0, 0)}
_WIDTH = re.compile(rf"\s*(\d{{1,5}})?\s*({'|'.join(_UNIT_WORDS)})s?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Width:
    """How far apart the ends of a partition are: months of the calendar, days of it, or seconds; one of the three."""

    months: int = 0
    days: int = 0
    seconds: int = 0

    @classmethod
    def parse(cls, text: str) -> Width:
        """'1 month', '10 days', '6 hours', '2 years'. Raises UsageError for anything else."""
        match = _WIDTH.fullmatch(text)
        count = int(match[1] or 1) if match else 0
        if match is None or not 0 < count <= 10_000:
            raise UsageError(
                f"{text!r} is not the width of a partition.",
                next="Write a number and a unit: 1 year, 1 month, 10 days or 6 hours.",
            )
        months, days, seconds = (count * part for part in _UNIT_WORDS[match[2].lower()])
        return cls(months, days, seconds)

    def after(self, local: datetime, times: int = 1) -> datetime:
        """`local` so many widths later. Raises ValueError or OverflowError beyond the calendar."""
        if self.months:
            return datetime.combine(add_months(local.date(), self.months * times), local.time())
        return local + times * timedelta(days=self.days, seconds=self.seconds)

    def label(self, lower: datetime) -> str:
        """The suffix of a partition's name: 2027, 2027_q1, 2027_01, 2027_w05, 2027_01_31, 2027_01_31_06."""
        if lower.time() == time() and not self.seconds:
            period = period_of(lower.date(), self.after(lower).date())
            if period is not None:
                return period.label(lower.date())
            if self.months and lower.day == 1:
                return f"{lower:%Y_%m}"
            return f"{lower:%Y_%m_%d}"
        if self.seconds % 3600 == 0 and (lower.minute, lower.second) == (0, 0):
            return f"{lower:%Y_%m_%d_%H}"
        return f"{lower:%Y_%m_%d_%H%M}" if self.seconds % 60 == 0 else f"{lower:%Y_%m_%d_%H%M%S}"

    @property
    def unit(self) -> tuple[int, str]:
        """(how many, of which unit): the largest unit that counts it whole."""
        for word, (months, days, seconds) in reversed(_UNIT_WORDS.items()):
            for part, whole in ((months, self.months), (days, self.days), (seconds, self.seconds)):
                if part and whole and whole % part == 0 and (word != "quarter" or whole == part):
                    return whole // part, word
        raise ValueError("a width of nothing")

    @property
    def nearest(self) -> Period:
        """The widest unit of the calendar that is no wider, at least a day."""
        days = self.months * 30.4 + self.days + self.seconds / 86_400
        least = {Period.YEAR: 364, Period.QUARTER: 90, Period.MONTH: 28, Period.WEEK: 7}
        return next((period for period, length in least.items() if days >= length), Period.DAY)

    def __str__(self) -> str:
        count, word = self.unit
        return f"{count} {word}{'' if count == 1 else 's'}"

    @property
    def noun(self) -> str:
        """One of them: month, 10 days."""
        count, word = self.unit
        return word if count == 1 else str(self)


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
        except (ValueError, OverflowError):
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
