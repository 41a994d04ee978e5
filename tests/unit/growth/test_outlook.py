"""What sizes by day tell: what grew, what can be derived, and what leaves when; on figures whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from core.growth.forecast import Forecast, Trust, forecast, passing
from core.growth.history import (
    change,
    derived_history,
    monthly,
    shares_of_growth,
    sparkline,
    together,
    top_growers,
    written,
)
from core.growth.holdings import Holding, Stage, by_period, holdings, shares
from core.growth.key_statistics import KeyStatistics
from core.growth.outlook import Retention, Schedule, leaves_on, next_leaving, outlook
from core.growth.rows import rows_by_month, year_to_date
from core.growth.savings import GB, Move, Prices, merge_moves, savings, tagged_moves
from core.growth.series import clean
from core.period import Duration, Period
from core.tables.bounds import Bounds
from core.tables.marks import Hold, PlannedDrop
from core.tables.size import Activity, Size
from tests.unit.factories import KEY, TODAY, archived, default_partition, partition, table
from tests.unit.growth_factories import MB, days, history, linear, series

# --- histories ------------------------------------------------------------------------------------------------------


def test_tables_add_up_over_all_their_days() -> None:
    one = history(10, "a.b", attached=np.full(10, 5.0))
    other = history(4, "c.d", attached=np.full(4, 2.0), archived=np.full(4, 1.0))
    gone = history(3, "e.f", last=TODAY - timedelta(days=5), freed=np.full(3, 9.0))
    found = together([one, other, gone])
    assert found.table == ""
    assert found.written.tolist() == [5, 5, 14, 14, 14, 14, 17, 17, 17, 17]
    assert found.server.tolist() == [5] * 6 + [8] * 4
    assert len(together([])) == 0


def test_change_over_days() -> None:
    given = series(100, linear)
    found = change(given, today=TODAY, days=30)
    assert found is not None
    assert (found.since, found.added) == (TODAY - timedelta(days=30), 60 * MB)
    assert found.share == pytest.approx(60 / (1000 + 2 * 69))
    assert change(given, today=TODAY, days=365) is None
    assert change(series(100, linear, without=range(50, 90)), today=TODAY, days=30) is None


def test_what_each_month_added() -> None:
    found = monthly(series(80, linear))
    assert [(month.first, month.complete, month.measured) for month in found] == [
        (date(2026, 8, 1), False, True),
        (date(2026, 9, 1), True, True),
        (date(2026, 10, 1), False, True),
    ]
    assert [month.added for month in found] == [58 * MB, 60 * MB, 40 * MB]
    assert sum(month.added for month in found) == linear(79) - linear(0)
    holey = monthly(series(80, linear, without=range(10, 40)))
    assert [month.measured for month in holey] == [False, False, True]


def test_a_sparkline_keeps_the_ends() -> None:
    given = series(700, linear)
    small = sparkline(given, points=50)
    assert len(small) == 50
    assert (small.first, small.last) == (given.first, given.last)
    assert sparkline(series(20, linear)).values.tolist() == series(20, linear).values.tolist()


def test_top_growers_and_their_shares() -> None:
    steady = history(60, "a.steady", attached=np.full(60, 1e9))
    slow = history(60, "b.slow", attached=1e6 * np.arange(60))
    fast = history(60, "c.fast", attached=3e6 * np.arange(60))
    new = history(1, "d.new", attached=[5.0])
    found = top_growers([steady, slow, fast, new], today=TODAY, days=30)
    assert [(one.table, one.added, one.share) for one in found] == [
        ("c.fast", 90e6, 0.75),
        ("b.slow", 30e6, 0.25),
        ("a.steady", 0, 0),
    ]
    assert shares_of_growth([steady, fast, slow], today=TODAY) == {"a.steady": 0, "c.fast": 0.75, "b.slow": 0.25}
    assert shares_of_growth([steady, new], today=TODAY) == {"a.steady": 0.5, "d.new": 0.5}


# --- what can be derived --------------------------------------------------------------------------------------------


def held(year: int, megabytes: int, stage: Stage = Stage.ATTACHED, **changes: Any) -> Holding:
    size = Size(megabytes * MB, 0, 0)
    item = Holding(
        "public.t", f"t_{year}", stage, date(year, 1, 1), date(year + 1, 1, 1), size, rows=megabytes * 10, oid=year
    )
    return replace(item, **changes)


def test_holdings_say_what_the_catalog_does() -> None:
    hold = Hold("2027-02-01", "audit", "Ada")
    drop = PlannedDrop("public.kid_absences", "2026-12-24T00:00:00+00:00", "id", "1 1", "Ada")
    old, new = holdings(
        table(
            partitions=(partition(2026, activity=Activity(12, 0, 0, None, None)),),
            archived=(archived(2020, hold=hold, drop=drop),),
        )
    )[::-1]
    assert (new.name, new.stage, new.lower, new.upper) == (
        "kid_absences_2026", Stage.ATTACHED, date(2026, 1, 1), date(2027, 1, 1),
    )  # fmt: skip
    assert (new.dead_rows, new.held_until, new.drop_on) == (12, None, None)
    assert (old.stage, old.held_until, old.drop_on) == (Stage.ARCHIVED, date(2027, 2, 1), date(2026, 12, 24))


def test_a_history_is_derived_from_the_partitions_and_says_so() -> None:
    items = [held(2020, 100, Stage.ARCHIVED), *(held(2021 + n, 110 + 10 * n) for n in range(6)), held(2027, 0)]
    found = derived_history(items, today=TODAY)
    assert found.derived
    assert found.how == (
        "Derived from the ranges and present sizes of 8 partitions; what was dropped before is not in it."
    )
    assert [day.item() for day in found.days] == [*(date(2020 + n, 1, 1) for n in range(7)), TODAY]
    assert found.written.tolist() == [MB * n for n in (0, 100, 210, 330, 460, 600, 750, 910)]
    ahead = forecast(written(found, today=TODAY), today=TODAY, derived=True)
    assert ahead.possible
    assert ahead.trend.per_day * 365 == pytest.approx(135 * MB, rel=0.25)
    assert ahead.verdict.trust is Trust.ROUGH
    assert ahead.verdict.notes[0].startswith("Derived from the partitions")


def test_a_history_of_nothing_is_derived_as_well() -> None:
    found = derived_history([], today=TODAY)
    assert found.written.tolist() == [0]
    assert not forecast(written(found), today=TODAY, derived=True).possible
    default = holdings(table(partitions=(default_partition(),)))
    assert derived_history(default, today=TODAY).written.tolist() == [10 * 1024**2]


def test_bytes_by_period() -> None:
    months = [
        Holding("public.t", f"t_{n}", Stage.ATTACHED, date(2026, n, 1), date(2026, n + 1, 1), Size(n, 0, 0), rows=n)
        for n in range(1, 12)
    ]
    found = by_period([held(2024, 7), held(2025, 8, rows=None), *months], Period.YEAR, today=TODAY)
    assert [(one.lower, one.bytes, one.rows, one.complete) for one in found] == [
        (date(2024, 1, 1), 7 * MB, 70, True),
        (date(2025, 1, 1), 8 * MB, None, True),
        (date(2026, 1, 1), 55, 55, False),
    ]
    (wide,) = by_period([held(2024, 7)], Period.MONTH, today=TODAY)
    assert (wide.lower, wide.upper) == (date(2024, 1, 1), date(2025, 1, 1))


EVENLY = KeyStatistics((), tuple(date(2026, 1, 1) + timedelta(days=n * 29) for n in range(11)))


def test_rows_a_month_from_statistics() -> None:
    found = rows_by_month(2900, EVENLY, date(2026, 1, 1), date(2027, 1, 1), today=TODAY)
    assert [month.first.month for month in found] == list(range(1, 11))
    assert sum(month.rows for month in found) == pytest.approx(2900, rel=0.01)
    assert found[2].rows == pytest.approx(310, rel=0.02)
    assert [month.complete for month in found] == [True] * 9 + [False]
    assert rows_by_month(10, KeyStatistics((), ()), date(2026, 1, 1), date(2027, 1, 1), today=TODAY) == ()


def test_common_dates_count_with_their_share() -> None:
    statistics = KeyStatistics(((date(2026, 3, 2), 0.3), (date(2026, 9, 1), 0.2)), EVENLY.bounds)
    found = rows_by_month(1000, statistics, date(2026, 1, 1), date(2027, 1, 1), today=TODAY)
    assert found[2].rows == pytest.approx(300 + 500 * 31 / 290, rel=0.03)
    assert sum(month.rows for month in found) == pytest.approx(1000, rel=0.01)
    only = KeyStatistics(((date(2026, 3, 2), 0.5), (date(2026, 9, 1), 0.5)), ())
    assert only.share_before(date(2026, 6, 1)) == 0.5


def test_this_year_to_date_beside_the_last() -> None:
    items = [held(2025, 100), held(2026, 90)]
    statistics = {
        2026: EVENLY,
        2025: KeyStatistics((), tuple(date(2025, 1, 1) + timedelta(days=round(n * 36.4)) for n in range(11))),
    }
    found = year_to_date(items, statistics, today=TODAY)
    assert found is not None
    assert found.rows == pytest.approx(900, rel=0.02)
    assert found.rows_before == pytest.approx(1000 * 293 / 365, rel=0.02)
    assert found.share == pytest.approx(900 / (1000 * 293 / 365) - 1, abs=0.03)
    assert "evenly" not in found.how
    even = year_to_date(items, {}, today=TODAY)
    assert even is not None
    assert even.rows == pytest.approx(900)
    assert even.rows_before == pytest.approx(1000 * 293 / 365)
    assert "evenly" in even.how
    assert year_to_date([held(2026, 90)], {}, today=TODAY) is None


def test_what_the_bytes_are() -> None:
    items = [
        replace(held(2025, 0), size=Size(600, 300, 100), rows=900, dead_rows=100),
        replace(held(2020, 0, Stage.DROPPED), size=Size(5, 5, 5)),
        replace(held(2019, 0), size=None),
    ]
    found = shares(items)
    assert (found.bytes, found.heap, found.index, found.toast, found.dead) == (1000, 600, 300, 100, 60)
    assert found.of(found.index) == 0.3
    assert shares([]).of(0) == 0


# --- retention ------------------------------------------------------------------------------------------------------

THREE_YEARS = Duration(3, "year")
AT_ONCE = Duration(0, "day")


def test_the_day_on_which_a_partition_is_due() -> None:
    assert leaves_on(date(2024, 1, 1), THREE_YEARS) == date(2027, 1, 1)
    assert leaves_on(date(2024, 1, 1), Duration(90, "day")) == date(2024, 3, 31)
    for upper in (date(2026, 8, 31), date(2024, 2, 29), date(2026, 12, 31)):
        for after in (Duration(6, "month"), Duration(1, "year"), Duration(2, "week")):
            day = leaves_on(upper, after)
            assert after.before(day) >= upper
            assert after.before(day - timedelta(days=1)) < upper


def test_what_leaves_next() -> None:
    items = (
        held(2021, 1), held(2022, 2, held_until=date(2026, 12, 31)), held(2023, 3, held_until=date.max),
        held(2024, 4), held(2018, 5, Stage.ARCHIVED), held(2017, 6, Stage.ARCHIVED, drop_on=date(2026, 10, 25)),
    )  # fmt: skip
    until = date(2028, 6, 1)
    moved = next_leaving(Schedule(items, Retention(THREE_YEARS), Period.YEAR), today=TODAY, until=until)
    assert [(one.name, one.day, one.freed_on, one.due) for one in moved] == [
        ("t_2021", TODAY, None, True),
        ("t_2017", date(2026, 10, 25), date(2026, 10, 25), False),
        ("t_2022", date(2027, 1, 1), None, False),
        ("t_2024", date(2028, 1, 1), None, False),
    ]
    week = Retention(THREE_YEARS, Duration(7, "day"))
    freed = next_leaving(Schedule(items, week, Period.YEAR), today=TODAY, until=until)
    assert [(one.name, one.day, one.freed_on) for one in freed] == [
        ("t_2018", TODAY, TODAY),
        ("t_2021", TODAY, TODAY + timedelta(days=7)),
        ("t_2017", date(2026, 10, 25), date(2026, 10, 25)),
        ("t_2022", date(2027, 1, 1), date(2027, 1, 8)),
        ("t_2024", date(2028, 1, 1), date(2028, 1, 8)),
    ]


def _growing(**options: Any) -> tuple[Forecast, tuple[Holding, ...]]:
    """A table that gets 730 MB a year, in yearly partitions since 2023, and its forecast."""
    items = (*(held(year, 730) for year in range(2023, 2026)), held(2026, 2 * 293))
    total = float(sum(item.bytes for item in items))
    given = series(400, lambda n: total + 2 * MB * (n - 399))
    return forecast(given, today=TODAY, **options), items


def test_with_retention_the_server_keeps_its_size_and_without_it_grows() -> None:
    found, items = _growing(horizon=3 * 365)
    ahead = outlook(found, [Schedule(items, Retention(THREE_YEARS, AT_ONCE), Period.YEAR)], today=TODAY)
    now = sum(item.bytes for item in items)
    assert ahead.kept.expected[0] == now
    assert ahead.kept.expected[-1] == pytest.approx(now + 2 * MB * 3 * 365)
    assert ahead.planned.expected[0] == now
    at = {(date(year, 1, 1) - TODAY).days for year in (2027, 2028, 2029)}
    falls = {n for n in range(1, 3 * 365) if ahead.planned.expected[n] < ahead.planned.expected[n - 1] - MB}
    assert falls == at
    assert ahead.planned.expected[-1] == pytest.approx(now + 2 * MB * 3 * 365 - 3 * 730 * MB)


def test_without_dropping_the_retention_moves_and_frees_nothing() -> None:
    found, items = _growing()
    ahead = outlook(found, [Schedule(items, Retention(THREE_YEARS), Period.YEAR)], today=TODAY)
    assert np.array_equal(ahead.planned.expected, ahead.kept.expected)


def test_partitions_to_come_leave_as_well() -> None:
    """Daily partitions kept for 30 days: the server stays at 30 days of growth, however far one looks."""
    items = tuple(
        Holding("public.t", f"t_{n}", Stage.ATTACHED, day, day + timedelta(days=1), Size(2 * MB, 0, 0))
        for n, day in enumerate(days(31))
    )
    found = forecast(series(400, linear), today=TODAY)
    schedule = Schedule(items, Retention(Duration(30, "day"), AT_ONCE), Period.DAY)
    ahead = outlook(found, [schedule], today=TODAY)
    assert ahead.planned.expected.min() == pytest.approx(62 * MB, rel=0.05)
    assert ahead.planned.expected.max() == pytest.approx(62 * MB, rel=0.05)
    assert ahead.kept.expected[-1] == pytest.approx(62 * MB + 365 * 2 * MB)
    limit = passing(ahead.days, ahead.kept, 162 * MB)
    assert limit.expected is not None
    assert abs((limit.expected - TODAY).days - 50) <= 1
    assert passing(ahead.days, ahead.planned, 162 * MB).expected is None


def test_two_tables_share_one_forecast() -> None:
    found, items = _growing()
    half = Schedule(items, Retention(THREE_YEARS, AT_ONCE), Period.YEAR, share=0.5)
    other = replace(half, items=tuple(replace(item, table="public.u") for item in items))
    ahead = outlook(found, [half, other], today=TODAY)
    now = 2 * sum(item.bytes for item in items)
    assert ahead.planned.expected[-1] == pytest.approx(now + 2 * MB * 365 - 2 * 730 * MB)


def test_an_outlook_without_a_forecast_is_empty() -> None:
    none = forecast(clean([], []), today=TODAY)
    ahead = outlook(none, [Schedule((held(2020, 1),), Retention(THREE_YEARS), Period.YEAR)], today=TODAY)
    assert len(ahead.days) == len(ahead.planned.expected) == 0


# --- savings --------------------------------------------------------------------------------------------------------


def test_savings_by_quarter() -> None:
    moves = [
        Move(date(2026, 1, 5), "public.t", "t_2020", Stage.ATTACHED, Stage.ARCHIVED, 100),
        Move(date(2026, 3, 31), "public.t", "t_2019", Stage.ARCHIVED, Stage.DROPPED, 70),
        Move(date(2026, 2, 1), "public.t", "t_2018", Stage.ATTACHED, Stage.DROPPED, 30),
        Move(date(2026, 4, 1), "public.t", "t_2020", Stage.ARCHIVED, Stage.ATTACHED, 100),
        Move(date(2026, 10, 1), "public.t", "t_2019", Stage.DROPPED, Stage.ARCHIVED, 70),
    ]
    found = savings(moves)
    assert [(q.label, q.archived, q.archived_partitions, q.freed, q.freed_partitions, q.returned) for q in found] == [
        ("2026 Q1", 100, 1, 100, 2, 0),
        ("2026 Q2", 0, 0, 0, 0, 100),
        ("2026 Q4", 0, 0, 0, 0, 70),
    ]


def test_what_archived_tables_tell_of_themselves_counts_once() -> None:
    told = tagged_moves(table(archived=(archived(2020), archived(2019, tagged=False))))
    assert [(move.name, move.day, move.derived) for move in told] == [("kid_absences_2020", date(2026, 1, 5), True)]
    seen = Move(date(2026, 1, 6), "public.kid_absences", "kid_absences_2020", Stage.ATTACHED, Stage.ARCHIVED, 99)
    again = replace(seen, day=date(2026, 9, 1))
    assert merge_moves([seen, again], told) == (seen, again)
    assert merge_moves([], told) == told


def test_money() -> None:
    prices = Prices(hot=0.12, cold=0.01)
    assert prices.of(100 * GB).month == pytest.approx(12)
    assert prices.of(100 * GB, 50 * GB).year == pytest.approx(12 * 12.5)
    assert prices.of(-100 * GB, 20 * GB).month == pytest.approx(-11.8)


def test_bounds_of_timestamps_are_days_of_the_zone() -> None:
    moment = Bounds.parse("FOR VALUES FROM ('2025-12-31 23:00:00+00') TO ('2026-12-31 23:00:00+00')")
    (item,) = holdings(table(key=KEY, partitions=(partition(2026, bounds=moment),)), zone="Europe/Berlin")
    assert (item.lower, item.upper) == (date(2026, 1, 1), date(2027, 1, 1))
