"""How a table is cut is read from its newest siblings and goes on from the last; what can't be read is asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.period import Width
from core.tables.bounds import Bounds
from core.tables.cut import Cut, cut_by, read_cut
from core.tables.ends import KeyType
from core.tables.key import Key, Reading, at_clock

DATE, STAMP, ZONED = Key("at", KeyType.DATE), Key("at", KeyType.TIMESTAMP), Key("at", KeyType.TIMESTAMPTZ)
NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)


def local(*numbers: int) -> datetime:
    return datetime(*numbers)  # type: ignore[arg-type]  # noqa: DTZ001


def chain(key: Key, ends: Sequence[datetime], zone: str = "UTC") -> list[Bounds]:
    """Contiguous ranges that meet at these local times."""
    values = [at_clock(key, end, zone) for end in ends]
    return [Bounds.of(key, lower, upper) for lower, upper in pairwise(values)]


def read(key: Key, ranges: list[Bounds], *zones: str) -> Cut | str:
    return read_cut(key, ranges, zones or ("UTC",), NOW)


def days(*ends: tuple[int, int, int]) -> list[Bounds]:
    return chain(DATE, [local(*end) for end in ends])


@pytest.mark.parametrize(
    ("ends", "width"),
    [
        (((2025, 1, 1), (2026, 1, 1), (2027, 1, 1)), "1 year"),
        (((2026, 1, 1), (2027, 1, 1)), "1 year"),
        (((2025, 12, 14), (2025, 12, 21), (2025, 12, 28)), "1 week"),
        (((2026, 10, 10), (2026, 10, 20), (2026, 10, 30)), "10 days"),
        (((2025, 1, 1), (2025, 7, 1), (2026, 1, 1)), "6 months"),
        (((2022, 1, 1), (2024, 1, 1), (2026, 1, 1)), "2 years"),
        (((2024, 4, 1), (2025, 4, 1), (2026, 4, 1)), "1 year"),
        (((2024, 4, 6), (2025, 4, 6), (2026, 4, 6)), "1 year"),
        (((2026, 1, 15), (2026, 2, 15), (2026, 3, 15)), "1 month"),
        (((2026, 2, 1), (2026, 3, 1)), "1 month"),
        (((2024, 1, 1), (2025, 1, 1), (2026, 1, 1), (2026, 2, 1), (2026, 3, 1)), "1 month"),  # from years to months
        (((1990, 1, 1), (2024, 1, 1), (2025, 1, 1), (2026, 1, 1)), "1 year"),  # a wide one for all that is old
        (((2023, 1, 2), (2024, 1, 2), (2025, 1, 1), (2026, 1, 1), (2027, 1, 1)), "1 year"),  # one of 365 days before
        (((2026, 8, 2), (2026, 9, 1), (2026, 10, 1), (2026, 11, 1)), "1 month"),
        (((2026, 8, 2), (2026, 9, 1), (2026, 10, 1), (2026, 10, 31)), "30 days"),
        (((2026, 7, 3), (2026, 8, 2), (2026, 9, 1), (2026, 10, 1)), "30 days"),
    ],
)
def test_the_newest_run_of_one_width_decides(ends: tuple[tuple[int, int, int], ...], width: str) -> None:
    found = read(DATE, days(*ends))
    assert isinstance(found, Cut)
    assert (str(found.width), found.start) == (width, local(*ends[-1]))


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        (((2024, 1, 1), (2025, 1, 1), (2025, 2, 1)), "that is 1 month alone beside others of another width"),
        (((2026, 2, 2), (2026, 3, 2)), "that can be 1 month as well as 28 days"),
        (((2026, 4, 15), (2026, 5, 15)), "that can be 1 month as well as 30 days"),
        (((2025, 1, 1), (2025, 3, 7), (2025, 3, 8), (2026, 1, 1)), "299 days alone beside others"),
        (((2026, 8, 2), (2026, 9, 1), (2026, 10, 1)), "that can be 1 month as well as 30 days"),
        (((2024, 1, 2), (2025, 1, 1), (2026, 1, 1)), "that can be 1 year as well as 365 days"),
        (((2023, 2, 28), (2024, 2, 29), (2025, 2, 28), (2026, 2, 28)), "that can be 1 year as well as 365 days"),
    ],
)
def test_what_siblings_do_not_tell_is_not_guessed(ends: tuple[tuple[int, int, int], ...], why: str) -> None:
    found = read(DATE, days(*ends))
    assert isinstance(found, str)
    assert why in found


def test_ranges_without_two_ends_in_the_calendar_tell_nothing() -> None:
    texts = ("(MINVALUE) TO ('2026-01-01')", "('infinity') TO (MAXVALUE)", "('0101-01-01 BC') TO ('2021-01-01')")
    ranges = [Bounds.parse(f"FOR VALUES FROM {text}", DATE) for text in texts]
    assert read(DATE, ranges) == "none of them has two ends in the calendar"
    assert read(Key("id", KeyType.BIGINT), []) == "its key tells no time"


def test_a_range_far_in_the_future_is_not_the_newest() -> None:
    found = read(DATE, [*days((2025, 1, 1), (2026, 1, 1), (2027, 1, 1)), *days((9000, 1, 1), (9000, 2, 1))])
    assert isinstance(found, Cut)
    assert (str(found.width), found.start) == ("1 year", local(2027, 1, 1))


def test_hours_are_hours_of_utc() -> None:
    ends = [local(2026, 10, 20) + timedelta(hours=6 * n) for n in range(5)]
    found = read(ZONED, chain(ZONED, ends), "Europe/Berlin", "UTC")
    assert found == Cut(ZONED, Width(seconds=6 * 3600), "UTC", ends[-1])


# Zones ------------------------------------------------------------------------------------------------------------

YEARS = [local(2024, 1, 1), local(2025, 1, 1), local(2026, 1, 1), local(2027, 1, 1)]
MONTHS = [local(2026, month, 1) for month in range(1, 13)]


@pytest.mark.parametrize(("ends", "width"), [(YEARS, "1 year"), (MONTHS, "1 month")])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"])
@pytest.mark.parametrize("zones", [("UTC",), ("America/Lima", "UTC")])
def test_midnights_of_another_zone_go_on_there(
    ends: list[datetime], width: str, zone: str, zones: tuple[str, ...]
) -> None:
    found = read(ZONED, chain(ZONED, ends, zone), *zones)
    assert isinstance(found, Cut)
    assert str(found.width) == width
    following = found.bounds(found.start, found.width.after(found.start))
    assert following == chain(ZONED, [ends[-1], found.width.after(ends[-1])], zone)[0]


def test_zones_that_the_ends_do_not_tell_apart_are_asked_for() -> None:
    winter = chain(ZONED, [local(2026, 1, 1), local(2026, 2, 1), local(2026, 3, 1)], "Europe/Berlin")
    found = read(ZONED, winter)
    assert isinstance(found, str)
    assert "midnights of several time zones" in found
    assert isinstance(read(ZONED, winter, "Europe/Berlin"), Cut)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/Havana", local(2026, 11, 1)),  # its midnight comes twice
        ("America/Asuncion", local(2023, 10, 1)),  # its midnight is left out
        ("Africa/Cairo", local(2026, 4, 24)),
    ],
)
def test_a_midnight_that_is_doubled_or_left_out_meets_both_sides(zone: str, day: datetime) -> None:
    ends = [day + timedelta(days=n) for n in range(-3, 3)]
    ranges = chain(ZONED, ends, zone)
    assert all(one.upper == other.lower for one, other in pairwise(ranges))
    assert all(one.lower is not None and one.upper is not None and one.lower < one.upper for one in ranges)


# Properties -------------------------------------------------------------------------------------------------------

widths = st.one_of(
    st.integers(1, 36).map(lambda n: Width(months=n)),
    st.integers(1, 40).map(lambda n: Width(days=n)),
    st.sampled_from([600, 900, 1800, 3600, 2 * 3600, 6 * 3600, 12 * 3600]).map(lambda n: Width(seconds=n)),
)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/Havana", "Asia/Tokyo", "Australia/Lord_Howe", "Asia/Kathmandu"]
)
keys = st.sampled_from([DATE, STAMP, ZONED, Key("at", KeyType.BIGINT, Reading.MILLISECONDS)])


@given(widths, zones, keys, st.dates(date(2015, 1, 1), date(2026, 1, 1)), st.integers(3, 12), st.integers(1, 5))
def test_contiguous_ranges_are_continued_without_gap_or_overlap(
    width: Width, zone: str, key: Key, first: date, count: int, more: int
) -> None:
    assume(not (width.seconds and key is DATE))
    assume(not width.months or first.day <= 28)
    place = "UTC" if width.seconds or key.clock != "instant" else zone
    start = datetime.combine(first, datetime.min.time())
    ends = [width.after(start, n) for n in range(count + 1)]
    ranges = chain(key, ends, place)
    found = read(key, ranges, place, "UTC")
    assume(isinstance(found, Cut))
    assert isinstance(found, Cut)
    cells = list(found.cover(found.start, found.width.after(found.start, more)))[:more]
    all_of_them = [*ranges, *(found.bounds(*cell) for cell in cells)]
    assert all(one.upper == other.lower for one, other in pairwise(all_of_them))
    assert found.containing(ends[-2]) == (ends[-2], ends[-1])


@given(widths, st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.datetimes(local(1950, 1, 1), local(2100, 1, 1)))
def test_a_cell_holds_what_it_is_asked_for(width: Width, today: date, moment: datetime) -> None:
    grid = cut_by(STAMP, width, "UTC", today)
    lower, upper = grid.containing(moment)
    assert lower <= moment < upper == grid.width.after(lower)
    assert list(grid.cover(lower, upper)) == [(lower, upper)]


@given(zones, st.datetimes(local(2000, 1, 1), local(2035, 1, 1)))
def test_local_times_and_back(zone: str, moment: datetime) -> None:
    value = at_clock(ZONED, moment, zone)
    assert isinstance(value, datetime)
    back = value.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert abs(back - moment) <= timedelta(hours=1)
