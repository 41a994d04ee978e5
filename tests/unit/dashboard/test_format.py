"""Times as who reads them has them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dashboard.format import clock_time

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Berlin", "14:00:00 CEST"),
        ("Asia/Kolkata", "17:30:00 IST"),
        (None, "12:00:00 UTC"),
        ("Nowhere/At all", "12:00:00 UTC"),
        ("../etc/passwd", "12:00:00 UTC"),
    ],
)
def test_a_time_of_day_is_that_of_the_reader(zone: str | None, said: str) -> None:
    assert clock_time(NOON, zone) == said
