"""Rows by day, week and month: what has rows, what has none, what nobody knows, and what has no partition."""

from __future__ import annotations

from datetime import date, timedelta

from core.growth.calendar import Cell, Fill, calendar
from core.growth.holdings import Holding, Stage
from core.growth.rows import MonthRows
from core.period import Period
from core.tables.size import Size

TODAY = date(2026, 3, 10)
FULL, BARE = Size(8192, 0, 0), Size(0, 0, 0)


def day(day: date, rows: int | None, size: Size | None = FULL, stage: Stage = Stage.ATTACHED) -> Holding:
    return Holding("public.a", f"a_{day:%m_%d}", stage, day, day + timedelta(days=1), size, rows)


def test_each_day_up_to_today_has_its_field() -> None:
    items = [
        day(date(2026, 3, 1), 10),
        day(date(2026, 3, 2), None),
        day(date(2026, 3, 3), None, BARE),
        day(date(2026, 3, 4), 0, stage=Stage.ARCHIVED),
        day(date(2026, 3, 8), 7, None),
        day(date(2026, 3, 9), 3, stage=Stage.DROPPED),
        day(date(2026, 3, 11), None, BARE),
    ]
    found = calendar(items, (), today=TODAY)
    assert found is not None
    assert found.period is Period.DAY
    assert [(cell.lower.day, cell.fill, cell.rows) for cell in found.cells] == [
        (1, Fill.ROWS, 10),
        (2, Fill.UNKNOWN, None),
        (3, Fill.NONE, 0),
        (4, Fill.NONE, 0),
        (5, Fill.MISSING, None),
        (6, Fill.MISSING, None),
        (7, Fill.MISSING, None),
        (8, Fill.ROWS, 7),
    ]
    assert [(hole.lower.day, hole.upper.day, hole.fill) for hole in found.holes] == [
        (3, 5, Fill.NONE),
        (5, 8, Fill.MISSING),
    ]
    assert found.told == (
        "1 March 2026 to 8 March 2026: 2 days with rows, 2 days without a row, 1 day of which nothing is known,"
        " 3 days without a partition. Holes: 5 March 2026 to 7 March 2026 (no partition);"
        " 3 March 2026 to 4 March 2026 (no rows)."
    )


def test_of_many_holes_the_newest_are_told() -> None:
    items = [day(date(2026, 1, 1) + timedelta(days=n), n % 2) for n in range(40)]
    found = calendar(items, (), today=TODAY)
    assert found is not None
    assert found.told.endswith("31 January 2026 (no rows); 15 more before.")


def test_wider_partitions_are_told_by_their_statistics() -> None:
    year = Holding("public.a", "a_2026", Stage.ATTACHED, date(2026, 1, 1), date(2027, 1, 1), FULL, 300)
    months = (MonthRows(date(2026, 1, 1), 199.6, True), MonthRows(date(2026, 2, 1), 0.2, True))
    found = calendar([year], months, today=TODAY)
    assert found is not None
    assert found.period is Period.MONTH
    assert found.cells == (
        Cell(date(2026, 1, 1), date(2026, 2, 1), Fill.ROWS, 200),
        Cell(date(2026, 2, 1), date(2026, 3, 1), Fill.NONE, 0),
    )
    assert "statistics" in found.how
    assert calendar([year], (), today=TODAY) is None


def test_what_is_only_ahead_is_no_calendar() -> None:
    assert calendar([day(date(2026, 3, 11), 5)], (), today=TODAY) is None
