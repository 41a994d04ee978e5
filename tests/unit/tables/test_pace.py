"""How fast ids are used: from samples hours apart, across gaps, falls and leaps; nothing where too little is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tables.coverage import NEVER, IdsLeft
from core.tables.ends import Value
from core.tables.pace import LEAST, Pace, Sample, pace_of

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def ago(*samples: tuple[float, int]) -> list[Sample]:
    """(days ago, the highest then)."""
    return [(NOW - timedelta(days=days), Decimal(highest)) for days, highest in samples]


@pytest.mark.parametrize(
    ("samples", "a_day"),
    [
        ([(10, 1_000), (0, 2_000)], 100),
        ([(10, 1_000), (9, 1_100), (0, 2_000)], 100),  # nobody sampled for nine days
        ([(45, 0), (10, 1_000), (0, 2_000)], 100),  # what is older than thirty days says nothing
        ([(20, 900_000), (10, 1_000), (0, 2_000)], 100),  # they began anew
        ([(4, 0), (3, 100), (2, 200), (1, 9_000_200), (0, 9_000_300)], 100),  # rows with ids of elsewhere
        ([(14, 0), (7, 700), (6, 700), (5, 700), (4, 700), (0, 1_400)], 100),  # a batch now and then is growth
        ([(10, 500), (0, 500)], 0),
        ([(0.25, 0), (0, 25)], 100),
    ],
)
def test_the_pace_of_samples(samples: list[tuple[float, int]], a_day: float) -> None:
    found = pace_of(ago(*samples), NOW)
    assert found is not None
    assert found.a_day == pytest.approx(a_day)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [(0, 1_000)],
        [(0.2, 1_000), (0, 2_000)],  # hours tell no day
        [(10, 5_000), (0, 1_000)],  # they have only just begun anew
        [(-1, 1_000), (10, 1_000)],  # one bears a day to come
    ],
)
def test_too_little_tells_nothing(samples: list[tuple[float, int]]) -> None:
    assert pace_of(ago(*samples), NOW) is None


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 10**20)), max_size=12))
def test_any_samples_tell_a_pace_that_is_none_backwards(samples: list[tuple[float, int]]) -> None:
    found = pace_of(ago(*samples), NOW)
    if found is not None:
        assert found.a_day >= 0
        assert found.samples >= 2
        assert NOW - found.since >= LEAST


def left(count: int | None, pace: Pace | None) -> IdsLeft:
    until = None if count is None else Value(str(101 + count), 101 + count)
    return IdsLeft(Value("100", 100), until, pace)


def test_how_long_ids_last() -> None:
    fast, none = Pace(2_400_000.0, NOW - timedelta(days=30), 31), Pace(0.0, NOW - timedelta(days=9), 4)
    assert left(98_400_000, fast).said == (
        "98,400,000 ids above 100, the highest in use, have a place: about 41 days at 2,400,000 ids a day, from 31"
        " samples since 2 May 2026."
    )
    assert left(100_000, fast).lasting == "about 1 hour"
    assert left(1, none).said == (
        "1 id above 100, the highest in use, has a place; no new id in 4 samples since 23 May 2026."
    )
    assert (left(1, none).runway, left(0, none).runway, left(0, fast).runway) == (NEVER, timedelta(0), timedelta(0))
    assert (left(5, None).runway, left(5, None).lasting) == (None, "")
    assert (left(None, None).runway, left(None, fast).lasting) == (NEVER, "")
    assert left(10**18, Pace(0.001, NOW, 2)).runway == NEVER
