"""Periods and their labels, both ways; durations with their units."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest

from core.errors import UsageError
from core.period import Duration, Period, add_months, parse_year, period_of, range_of_label

D = date


@pytest.mark.parametrize(
    ("period", "day", "lower", "upper", "label"),
    [
        (Period.DAY, D(2024, 2, 29), D(2024, 2, 29), D(2024, 3, 1), "2024_02_29"),
        (Period.WEEK, D(2024, 12, 31), D(2024, 12, 30), D(2025, 1, 6), "2025_w01"),
        (Period.WEEK, D(2021, 1, 3), D(2020, 12, 28), D(2021, 1, 4), "2020_w53"),
        (Period.MONTH, D(2024, 2, 29), D(2024, 2, 1), D(2024, 3, 1), "2024_02"),
        (Period.MONTH, D(2024, 12, 1), D(2024, 12, 1), D(2025, 1, 1), "2024_12"),
        (Period.QUARTER, D(2024, 11, 30), D(2024, 10, 1), D(2025, 1, 1), "2024_q4"),
        (Period.QUARTER, D(2024, 1, 1), D(2024, 1, 1), D(2024, 4, 1), "2024_q1"),
        (Period.YEAR, D(2024, 12, 31), D(2024, 1, 1), D(2025, 1, 1), "2024"),
    ],
)
def test_a_period_its_bounds_and_its_label(period: Period, day: date, lower: date, upper: date, label: str) -> None:
    assert period.containing(day) == (lower, upper)
    assert period.after(lower) == upper
    assert period.label(lower) == label
    assert period_of(lower, upper) is period
    assert range_of_label(label) == (lower, upper)


@pytest.mark.parametrize("period", list(Period))
def test_periods_follow_each_other_without_gap_or_overlap(period: Period) -> None:
    found = list(period.cover(D(2023, 12, 25), D(2025, 1, 2)))
    assert found[0][0] <= D(2023, 12, 25) < found[0][1]
    assert all(one[1] == next_[0] for one, next_ in itertools.pairwise(found))
    assert found[-1][0] < D(2025, 1, 2) <= found[-1][1]
    assert [range_of_label(period.label(lower)) for lower, _ in found] == found
    assert all(period.containing(lower + timedelta(days=0)) == (lower, upper) for lower, upper in found)


@pytest.mark.parametrize(
    ("label", "lower", "upper"),
    [
        ("p2027", D(2027, 1, 1), D(2028, 1, 1)),
        ("y2027", D(2027, 1, 1), D(2028, 1, 1)),
        ("2027Q3", D(2027, 7, 1), D(2027, 10, 1)),
        ("202702", D(2027, 2, 1), D(2027, 3, 1)),
        ("20270228", D(2027, 2, 28), D(2027, 3, 1)),
        ("p2027w05", D(2027, 2, 1), D(2027, 2, 8)),
    ],
)
def test_labels_of_other_hands(label: str, lower: date, upper: date) -> None:
    assert range_of_label(label) == (lower, upper)


@pytest.mark.parametrize(
    "label", ["", "old", "2027_13", "2027_02_30", "2027_w54", "2027_q5", "20", "2027_backup", "0000"]
)
def test_what_tells_no_range(label: str) -> None:
    assert range_of_label(label) is None


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(D(2024, 1, 1), D(2026, 1, 1)), (D(2024, 1, 2), D(2025, 1, 2)), (D(2024, 1, 1), D(2024, 1, 3))],
)
def test_ranges_that_are_no_period(lower: date, upper: date) -> None:
    assert period_of(lower, upper) is None


def test_nouns() -> None:
    assert [period.noun for period in Period] == ["days", "weeks", "months", "quarters", "years"]


def test_years() -> None:
    assert [parse_year(text) for text in ("2027", "0001", "9998")] == [2027, 1, 9998]


@pytest.mark.parametrize("text", ["", "27", "20255", "0000", "9999", "-999", "two", "2027 ", "٢٠٢٧x"])
def test_what_is_no_year(text: str) -> None:
    with pytest.raises(UsageError, match="is not a year"):
        parse_year(text)


@pytest.mark.parametrize(
    ("day", "months", "moved"),
    [
        (D(2024, 1, 31), 1, D(2024, 2, 29)),
        (D(2023, 1, 31), 1, D(2023, 2, 28)),
        (D(2024, 3, 31), -1, D(2024, 2, 29)),
        (D(2024, 12, 15), 1, D(2025, 1, 15)),
        (D(2024, 1, 15), -13, D(2022, 12, 15)),
    ],
)
def test_months(day: date, months: int, moved: date) -> None:
    assert add_months(day, months) == moved


@pytest.mark.parametrize(
    ("text", "before", "said"),
    [
        ("3 years", D(2021, 2, 28), "3 years"),
        ("1 year", D(2023, 2, 28), "1 year"),
        ("18 Months", D(2022, 8, 29), "18 months"),
        (" 2  weeks ", D(2024, 2, 15), "2 weeks"),
        ("90days", D(2023, 12, 1), "90 days"),
        ("7d", D(2024, 2, 22), "7 days"),
        ("2 W", D(2024, 2, 15), "2 weeks"),
        ("9999 years", date.min, "9999 years"),
        ("99999 weeks", D(107, 8, 25), "99999 weeks"),
    ],
)
def test_durations(text: str, before: date, said: str) -> None:
    duration = Duration.parse(text)
    assert duration.before(D(2024, 2, 29)) == before
    assert str(duration) == said


def test_a_duration_ahead() -> None:
    assert Duration.parse("7 days").after(D(2024, 2, 26)) == D(2024, 3, 4)
    assert Duration.parse("1 year").after(D(2024, 2, 29)) == D(2025, 2, 28)
    assert Duration.parse("9999 years").after(D(2024, 2, 29)) == date.max


@pytest.mark.parametrize(
    "text", ["10", "10m", "", "years", "0 days", "-1 days", "1.5 years", "3 fortnights", "123456 days"]
)
def test_a_duration_needs_a_number_and_a_unit(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        Duration.parse(text)
