"""Growth on series whose truth is known: what is forecast, how far off it is, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from itertools import accumulate

import numpy as np
import pytest

from core.demo import sizes_until
from core.growth.forecast import Forecast, Trust, forecast, passing
from core.growth.history import (
    on_server,
    written,
)
from core.growth.series import Series, clean, day_numbers, days_of, holes, jumps, level
from core.growth.trend import repeats, theil_sen
from core.school import enrolled, school_days, starts_on
from core.tables.size import Size
from tests.unit.factories import TODAY, partition, table
from tests.unit.growth_factories import MB, Curve, days, history, linear, series


def off_by(found: Forecast, curve: Curve, count: int, ahead: int) -> float:
    """How far the forecast is from the truth, as a share of it."""
    at = found.on(TODAY + timedelta(days=ahead))
    assert at is not None
    truth = curve(count - 1 + ahead)
    return abs(at[1] - truth) / truth


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
