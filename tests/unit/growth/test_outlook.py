"""Growth on series whose truth is known: what is forecast, how far off it is, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
import pytest

from core.demo import sizes_until
from core.growth.forecast import Forecast, Trust, forecast, passing
from core.growth.history import (
    History,
    change,
    derived_history,
    monthly,
    on_server,
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
from core.growth.series import Series, clean, day_numbers, days_of, holes, jumps, level
from core.growth.trend import repeats, theil_sen
from core.period import Duration, Period
from core.school import enrolled, school_days, starts_on
from core.tables.bounds import Bounds
from core.tables.marks import Hold, PlannedDrop
from core.tables.size import Activity, Size
from tests.unit.factories import KEY, TODAY, archived, default_partition, partition, table

MB = 1_000_000
Curve = Callable[[float], float]
"""Bytes so many days after the first."""


def days(count: int, last: date = TODAY) -> list[date]:
    return [last - timedelta(days=count - 1 - n) for n in range(count)]


def series(count: int, curve: Curve, *, noise: float = 0.0, seed: int = 1, without: range = range(0)) -> Series:
    """`count` daily samples up to TODAY, a few of them not taken."""
    rng = np.random.default_rng(seed)
    off = rng.normal(0, noise, count) if noise else np.zeros(count)
    kept = [n for n in range(count) if n not in without]
    when = days(count)
    return clean([when[n] for n in kept], [curve(n) + off[n] for n in kept], today=TODAY)


def off_by(found: Forecast, curve: Curve, count: int, ahead: int) -> float:
    """How far the forecast is from the truth, as a share of it."""
    at = found.on(TODAY + timedelta(days=ahead))
    assert at is not None
    truth = curve(count - 1 + ahead)
    return abs(at[1] - truth) / truth


def linear(n: float) -> float:
    return 1000 * MB + 2 * MB * n


def seasonal(n: float) -> float:
    """Twice as much is added in winter as on average, nothing in summer."""
    angle = 2 * np.pi * n / 365.2425
    return float(1000 * MB + 2 * MB * n + 100 * MB * np.sin(angle))


def shrinking(n: float) -> float:
    return 3000 * MB - 1.5 * MB * n


# --- series that are put right --------------------------------------------------------------------------------------


def test_of_a_day_measured_twice_the_later_counts_and_days_are_put_in_order() -> None:
    one, two, three = days(3)
    found = clean([one, three, two, two], [1, 3, 7, 2], today=TODAY)
    assert found.days.tolist() == [one, two, three]
    assert found.values.tolist() == [1, 2, 3]
    assert found.notes == (
        "The clock went back 1 time; the measurements were put in the order of their days.",
        "1 measurement of a day that had one already: the later counts.",
    )


def test_a_date_after_today_is_left_out_and_told() -> None:
    found = clean([TODAY, TODAY + timedelta(days=400)], [5, 9], today=TODAY)
    assert found.values.tolist() == [5]
    assert found.notes == ("1 measurement bore a date after today and was left out.",)


def test_what_is_no_number_is_left_out() -> None:
    assert clean(days(3), [1.0, float("nan"), 3.0]).values.tolist() == [1.0, 3.0]


def test_days_and_values_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 days and 1 values"):
        clean(days(2), [1.0])


def test_a_figure_is_that_of_the_day_or_of_the_last_before() -> None:
    found = series(30, linear, without=range(10, 20))
    assert found.at(days(30)[15]) == linear(9)
    assert found.at(days(30)[29]) == linear(29)
    assert found.at(days(30)[0] - timedelta(days=1)) is None


def test_a_pause_in_measuring_is_found() -> None:
    (hole,) = holes(series(200, linear, without=range(50, 80)))
    assert (hole.first, hole.last, hole.days) == (days(200)[50], days(200)[79], 30)
    assert holes(series(200, linear)) == ()


# --- forecasts of known truth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [15, 30, 90, 400, 730, 1500])
def test_a_straight_line_is_met(count: int) -> None:
    found = forecast(series(count, linear), today=TODAY)
    assert found.possible
    assert not found.seasonal
    for ahead in (30, 90, 180, 365):
        assert off_by(found, linear, count, ahead) < 1e-6


@pytest.mark.parametrize(("count", "allowed"), [(30, 0.05), (90, 0.03), (400, 0.01), (730, 0.005)])
def test_a_noisy_line_is_met_and_the_band_holds_it(count: int, allowed: float) -> None:
    held = []
    for seed in range(5):
        found = forecast(series(count, linear, noise=4 * MB, seed=seed), today=TODAY)
        assert not found.seasonal
        assert off_by(found, linear, count, 180) < allowed
        for ahead in (30, 90, 180):
            at = found.on(TODAY + timedelta(days=ahead))
            assert at is not None
            held.append(at[0] <= linear(count - 1 + ahead) <= at[2])
    assert sum(held) / len(held) > 0.6


@pytest.mark.parametrize(("count", "allowed"), [(600, 0.02), (730, 0.01), (1095, 0.005)])
def test_a_season_is_found_once_it_can_be_seen(count: int, allowed: float) -> None:
    for seed in range(2):
        found = forecast(series(count, seasonal, noise=MB, seed=seed), today=TODAY)
        assert found.seasonal
        for ahead in (30, 90, 180, 365):
            assert off_by(found, seasonal, count, ahead) < allowed


def test_a_season_is_not_guessed_from_a_year() -> None:
    found = forecast(series(400, seasonal), today=TODAY)
    assert not found.seasonal
    assert found.verdict.trust is Trust.FAIR
    assert found.verdict.needs_days == 149
    assert "Whether a year repeats itself can be told after 149 more days of measuring." in found.verdict.notes


@pytest.mark.parametrize("kind", ["noise", "walk"])
def test_no_season_is_invented(kind: str, record_property: Callable[[str, object], None]) -> None:
    invented = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        count = (600, 730, 1095)[seed % 3]
        off = rng.normal(0, 5 * MB, count) if kind == "noise" else np.cumsum(rng.normal(0, MB, count))
        given = clean(days(count), linear(0) + 2 * MB * np.arange(count) + off, today=TODAY)
        invented += repeats(day_numbers(given.days), level(given).values)
    record_property("said", f"growth: a season was seen in {invented} of 120 series without one ({kind})")
    assert invented <= 3


def test_a_point_a_year_shows_no_season() -> None:
    years = [date(TODAY.year - 7 + n, 1, 1) for n in range(8)]
    given = clean([*years, TODAY], [MB * n**2 for n in range(9)], today=TODAY)
    found = forecast(given, today=TODAY, horizon=1095, derived=True)
    assert not found.seasonal
    assert found.band.expected.max() < 3 * MB * 64


def test_what_is_written_does_not_bend_where_partitions_are_archived_or_dropped() -> None:
    count = 500
    whole = np.array([linear(n) for n in range(count)])
    archived_ = np.where(np.arange(count) >= 200, 400.0 * MB, 0.0)
    freed = np.where(np.arange(count) >= 350, 300.0 * MB, 0.0)
    past = history(count, attached=whole - archived_, archived=archived_ - freed, freed=freed)
    assert on_server(past).values[-1] == linear(count - 1) - 300 * MB
    found = forecast(written(past, today=TODAY), today=TODAY)
    assert found.jumps == ()
    assert off_by(found, linear, count, 365) < 1e-6


@pytest.mark.parametrize("step", [-300 * MB, 700 * MB])
def test_a_clean_up_or_an_import_is_left_out_of_the_trend_and_told(step: float) -> None:
    def curve(n: float) -> float:
        return linear(n) + (step if n >= 250 else 0)

    given = series(400, curve)
    (jump,) = jumps(given)
    assert jump.day == days(400)[250]
    assert jump.bytes == pytest.approx(step)
    found = forecast(given, today=TODAY)
    assert off_by(found, curve, 400, 365) < 0.001
    assert any("is left out of the trend" in note for note in found.verdict.notes)


def test_loads_that_come_each_month_are_growth() -> None:
    def curve(n: float) -> float:
        return 1000 * MB + 60 * MB * (n // 30)

    found = forecast(series(400, curve), today=TODAY)
    assert found.jumps == ()
    assert found.trend.per_day == pytest.approx(2 * MB, rel=0.1)
    assert off_by(found, curve, 400, 180) < 0.05


def test_gaps_don_t_bend_the_trend_and_are_told() -> None:
    given = series(730, linear, noise=MB, without=range(300, 420))
    found = forecast(given, today=TODAY)
    assert not found.seasonal
    assert off_by(found, linear, 730, 180) < 0.005
    first, last = days(730)[300], days(730)[419]
    assert [(hole.first, hole.last) for hole in found.holes] == [(first, last)]
    assert any("(120 days)" in note for note in found.verdict.notes)


def test_a_gap_at_the_end_is_told() -> None:
    given = series(300, linear, without=range(270, 300))
    found = forecast(given, today=TODAY)
    assert found.verdict.trust is Trust.ROUGH
    assert any(note.startswith("Nothing was measured for 30 days") for note in found.verdict.notes)
    assert off_by(found, linear, 300, 90) < 1e-6


def test_clock_jumps_change_nothing() -> None:
    when, values = days(300), [linear(n) for n in range(300)]
    straight = forecast(clean(when, values, today=TODAY), today=TODAY)
    ahead = [*when[:200], TODAY + timedelta(days=900), *when[200:]]
    jumped = clean([*ahead, when[100]], [*values[:200], 1.0, *values[200:], values[100]], today=TODAY)
    found = forecast(jumped, today=TODAY)
    assert np.array_equal(found.band.expected, straight.band.expected)
    assert len(jumped.notes) == 3
    assert set(jumped.notes) <= set(found.verdict.notes)


def test_nothing_and_one_sample_give_no_forecast_and_say_what_is_needed() -> None:
    for given, words in ((clean([], []), "no measurement"), (series(1, linear), "1 measurement")):
        found = forecast(given, today=TODAY)
        assert not found.possible
        assert found.on(TODAY) is None
        assert found.verdict.trust is Trust.NONE
        assert found.verdict.needs_days == 14
        assert found.verdict.notes[0] == f"There is {words}: a forecast needs 14 more days of it."


def test_two_weeks_are_enough_for_a_rough_one() -> None:
    found = forecast(series(15, linear), today=TODAY)
    assert found.verdict.trust is Trust.ROUGH
    assert found.verdict.needs_days == 76
    assert "It looks 365 days ahead on 14 days of history." in found.verdict.notes


@pytest.mark.parametrize("count", [20, 200, 800])
def test_what_is_constant_stays_so(count: int) -> None:
    found = forecast(series(count, lambda n: 5000.0 * MB), today=TODAY)
    assert not found.seasonal
    assert set(found.band.expected) == {5000.0 * MB}
    assert set(found.band.low) == set(found.band.high) == {5000.0 * MB}
    assert passing(found.days, found.band, 6000 * MB).expected is None


@pytest.mark.parametrize("count", [60, 730])
def test_what_shrinks_shrinks_on_and_not_below_nothing(count: int) -> None:
    found = forecast(series(count, shrinking, noise=MB / 10), today=TODAY, horizon=3000)
    assert found.trend.per_day == pytest.approx(-1.5 * MB, rel=0.01)
    assert off_by(found, shrinking, count, 180) < 0.01
    assert found.band.expected[-1] == 0
    assert (found.band.low >= 0).all()


def test_growth_that_changed_is_followed() -> None:
    """Three times as fast for half a year by now: the newer figures would have done better, so they count."""

    def curve(n: float) -> float:
        return linear(n) + max(0.0, n - 520) * 4 * MB

    found = forecast(series(700, curve, noise=MB), today=TODAY)
    assert found.trend.per_day == pytest.approx(6 * MB, rel=0.1)
    assert off_by(found, curve, 700, 180) < 0.05


def test_outliers_lead_nobody_astray() -> None:
    rng = np.random.default_rng(3)

    def given(n: int) -> float:
        return linear(n) * (1.5 if n in spoiled else 1)

    spoiled = set(rng.choice(380, 12, replace=False).tolist())
    found = forecast(clean(days(400), [given(n) for n in range(400)]), today=TODAY)
    assert off_by(found, linear, 400, 180) < 0.01


# --- what holds for every series ------------------------------------------------------------------------------------


def test_properties_of_any_forecast() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(15, 650))
        values = 1e9 + np.cumsum(rng.normal(rng.uniform(-1, 3) * 1e6, rng.uniform(0, 5) * 1e6, count))
        keep = np.sort(rng.choice(count, size=max(10, int(count * rng.uniform(0.5, 1))), replace=False))
        every = days(count)
        when = [every[n] for n in keep]
        given = clean(when, values[keep], today=TODAY)
        found = forecast(given, today=TODAY)
        if not found.possible:
            continue
        band = found.band
        assert (band.low <= band.expected).all()
        assert (band.expected <= band.high).all()
        widths = band.high - band.low
        assert widths[-1] >= widths[0] or band.low[-1] == 0
        assert len(found.days) == 366
        shuffled = rng.permutation(len(when))
        again = forecast(clean([when[n] for n in shuffled], values[keep][shuffled], today=TODAY), today=TODAY)
        assert np.array_equal(again.band.expected, band.expected)
        later = forecast(clean([*when, TODAY + timedelta(days=5)], [*values[keep], 7e12]), today=TODAY)
        assert np.array_equal(later.band.expected, band.expected)
        twice = forecast(clean(when, 2 * values[keep], today=TODAY), today=TODAY)
        assert twice.trend.per_day == pytest.approx(2 * found.trend.per_day)


def test_theil_sen_follows_the_line_and_no_outlier() -> None:
    x = np.arange(50, dtype=float)
    assert theil_sen(x, 3 * x + 5) == pytest.approx(3)
    y = 3 * x + 5
    y[::5] = 1e6
    assert theil_sen(x, y) == pytest.approx(3, rel=0.2)
    assert theil_sen(x[:1], x[:1]) == 0


def test_a_horizon_below_a_day_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        forecast(series(30, linear), today=TODAY, horizon=0)


# --- limits ---------------------------------------------------------------------------------------------------------


def test_the_day_on_which_a_limit_is_passed() -> None:
    given = series(400, linear, noise=4 * MB)
    found = forecast(given, today=TODAY)
    limit = int(linear(399 + 100))
    at = passing(found.days, found.band, limit)
    assert not at.already
    assert at.earliest is not None
    assert at.expected is not None
    assert at.latest is not None
    assert at.earliest <= at.expected <= at.latest
    assert abs((at.expected - TODAY).days - 100) <= 5
    never = passing(found.days, found.band, int(linear(399 + 5000)))
    assert (never.earliest, never.expected, never.latest) == (None, None, None)


def test_a_limit_that_is_passed_is_passed_today() -> None:
    found = forecast(series(100, linear), today=TODAY)
    at = passing(found.days, found.band, 10 * MB)
    assert (at.already, at.earliest, at.expected, at.latest) == (True, TODAY, TODAY, TODAY)


# --- the demo -------------------------------------------------------------------------------------------------------

ROW = 170
"""Bytes of a row with its index entries: about the demo's."""


@cache
def _absences(year: int) -> dict[date, int]:
    """How many absences the demo's arithmetic makes of a year by each of its school days, the first year being 2018."""
    when = school_days(year)
    return dict(zip(when, (2 * count for count in accumulate(starts_on(when, enrolled(year - 2018)))), strict=True))


def _until(year: int, day: date) -> int:
    return max((rows for when, rows in _absences(year).items() if when <= day), default=0)


def _truth(until: date) -> int:
    return sum(_until(year, until) for year in range(2018, 2030)) * ROW


def _demo_history(today: date) -> Series:
    """Two years of daily samples as the demo's generator makes them, from sizes that the arithmetic tells."""
    parts = []
    for year in range(2018, today.year + 1):
        rows = _until(year, today)
        parts.append(partition(year, size=Size(rows * ROW * 3 // 4, rows * ROW // 4, 0), rows=rows))
    pasts = sizes_until(table(partitions=tuple(parts)), today)
    when = [today - timedelta(days=ago) for ago in reversed(range(730))]
    sums = np.zeros(len(when))
    for past in pasts:
        changed = days_of(day for day, *_ in past.changes)
        place = np.searchsorted(changed, days_of(when), side="right") - 1
        figures = np.array([size.total for _, _, size, _ in past.changes], float)
        sums += np.where(place >= 0, figures[np.maximum(place, 0)], 0)
    return clean(when, sums, today=today)


def test_the_demo_s_two_years_forecast_what_the_arithmetic_makes_of_the_next(
    record_property: Callable[[str, object], None],
) -> None:
    """From three days of each of two years: forecasts of the demo against its own future."""
    origins = [date(year, month, 1) for year in (2025, 2026) for month in range(1, 13, 4)]
    horizons = (30, 90, 180, 365)
    off = np.zeros((len(origins), len(horizons)))
    truths, added = np.zeros_like(off), np.zeros_like(off)
    held = 0
    for row, origin in enumerate(origins):
        found = forecast(_demo_history(origin), today=origin)
        assert found.seasonal
        for column, ahead in enumerate(horizons):
            day = origin + timedelta(days=ahead)
            at, truth = found.on(day), _truth(day)
            assert at is not None
            off[row, column], truths[row, column], added[row, column] = (
                abs(at[1] - truth),
                truth,
                truth - _truth(origin),
            )
            held += at[0] <= truth <= at[2]
    of_size, of_growth = (off / truths).mean(axis=0), off.mean(axis=0) / added.mean(axis=0)
    figures = (f"{days} days {one:.2%} of the size ({other:.0%} of the growth)"
               for days, one, other in zip(horizons, of_size, of_growth, strict=True))  # fmt: skip
    record_property(
        "said",
        f"growth: the demo's two years, forecast from {len(origins)} days: off by {', '.join(figures)};"
        f" {held / off.size:.0%} of the truths lie in the band",
    )
    assert (of_size < (0.005, 0.01, 0.015, 0.02)).all()
    assert held / off.size > 0.75


# --- histories ------------------------------------------------------------------------------------------------------


def history(count: int, name: str = "public.kid_absences", last: date = TODAY, **figures: Any) -> History:
    """A history of `count` days with the given arrays, else of nothing."""
    names = ("attached", "archived", "freed", "cold", "heap", "index", "toast", "rows", "dead", "partitions")
    arrays = {one: np.asarray(figures.get(one, np.zeros(count)), float) for one in names}
    return History(name, days_of(days(count, last)), **arrays)


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
    item = Holding("public.t", f"t_{year}", stage, date(year, 1, 1), date(year + 1, 1, 1), size, rows=megabytes * 10)
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
        "t_2026": EVENLY,
        "t_2025": KeyStatistics((), tuple(date(2025, 1, 1) + timedelta(days=round(n * 36.4)) for n in range(11))),
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
