"""Says where figures by day lead, how far off that may be, and how much it is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np

from core.growth.backtest import LEAST_TRIES, PastError, Try, backtest, mean_error, past_errors
from core.growth.series import Days, Floats, Hole, Ints, Jump, Series, day_numbers, day_of, days_of, holes, jumps, level
from core.growth.trend import LEAST_DAYS, LONGEST, SEASON_DAYS, YEAR, Trend, fit, repeats
from core.text import human_bytes, human_date, plural

FAIR_DAYS = 90
_NORMAL = 1.2816
"""How many standard deviations that is."""


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A curve and how far off it may be; all in bytes, one figure a day."""

    low: Floats
    expected: Floats
    high: Floats


class Trust(StrEnum):
    """How much a forecast is worth, least first."""

    NONE = "none"
    """Too little is known: there is no forecast."""
    ROUGH = "rough"
    FAIR = "fair"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reader has to know of a forecast before trusting it."""

    trust: Trust
    needs_days: int
    """Days of measuring more until it is worth more; 0 where waiting alone changes nothing."""
    notes: tuple[str, ...]
    """Plain sentences, the weightiest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Where a series leads; `days` is empty where too little is known."""

    days: Days
    """From today on, today included."""
    band: Band
    trend: Trend
    past: tuple[PastError, ...]
    """By rising horizon; empty where the history is too short to try."""
    jumps: tuple[Jump, ...]
    holes: tuple[Hole, ...]
    verdict: Verdict

    @property
    def possible(self) -> bool:
        """Whether there is one."""
        return len(self.days) > 0

    @property
    def seasonal(self) -> bool:
        """Whether a yearly pattern is part of it."""
        return self.trend.season is not None

    @property
    def per_month(self) -> float:
        """Bytes a month, the year over."""
        return self.trend.per_day * YEAR / 12

    def on(self, day: date) -> tuple[float, float, float] | None:
        """(low, expected, high) in bytes on a day; None for a day that it does not reach."""
        place = int(np.searchsorted(self.days, np.datetime64(day, "D")))
        if place >= len(self.days) or day_of(self.days[place]) != day:
            return None
        return float(self.band.low[place]), float(self.band.expected[place]), float(self.band.high[place])


_NOTHING = np.array([], dtype=np.float64)


def enough(series: Series) -> bool:
    """Whether anything can be forecast: two weeks of measurements, or a few points over two months."""
    return (len(series) >= 5 and series.span >= LEAST_DAYS) or (len(series) >= 3 and series.span >= 60)


def forecast(series: Series, *, today: date, horizon: int = 365, derived: bool = False) -> Forecast:
    """Where the series leads in the `horizon` days from `today` on; without days where too little is known.

    A robust line (Theil-Sen) through weekly points, over as much history as would have done best in the past, with a
    yearly pattern where two years agree on one. The band is as wide as the errors were that it would have made, or,
    where too few could be made, as a wandering series may wander. `derived` tells that nobody measured the figures.
    Takes well under a second. Raises ValueError for a horizon below one day.
    """
    if horizon < 1:
        raise ValueError("a forecast looks at least one day ahead")
    series = series.until(today)
    found, paused = jumps(series), holes(series)
    if not enough(series):
        nothing = Trend(series.last if len(series) else today, float(series.values[-1]) if len(series) else 0.0, 0.0)
        verdict = _too_little(series, derived=derived)
        return Forecast(days_of(()), Band(_NOTHING, _NOTHING, _NOTHING), nothing, (), found, paused, verdict)
    x, y = day_numbers(series.days), level(series).values
    start = min(int(np.searchsorted(x, x[-1] - 2 * LONGEST)), max(0, len(x) - 24))
    x, y = x[start:], y[start:]
    seasonal = repeats(x, y)
    window, tries = _window(x, y, seasonal=seasonal)
    trend = fit(x, y, window, seasonal=seasonal)
    past = past_errors(tries, seasonal=seasonal)
    days = np.datetime64(today, "D") + np.arange(horizon + 1)
    expected = trend.at(days)
    ahead = (day_numbers(days) - x[-1]).astype(float)
    below, above = _widths(trend, past, ahead)
    band = Band(np.maximum(0, expected - below), np.maximum(0, expected), np.maximum(0, expected + above))
    verdict = _verdict(series, trend, past, found, paused, today=today, horizon=horizon, derived=derived)
    return Forecast(days, band, trend, past, found, paused, verdict)


def _window(x: Ints, y: Floats, *, seasonal: bool) -> tuple[int, list[Try]]:
    """How much history the line is fitted to: all, unless less would have done better by a fifth."""
    span = int(x[-1] - x[0])
    windows = [LONGEST]
    if span > 500:
        windows.append(365)
    if span > 300 and not seasonal:
        windows.append(120)
    best, tries = windows[0], backtest(x, y, windows[0], seasonal=seasonal)
    score = mean_error(tries)
    for window in windows[1:]:
        others = backtest(x, y, window, seasonal=seasonal)
        if mean_error(others) < 0.8 * score:
            best, tries, score = window, others, mean_error(others)
    return best, tries


def _widths(trend: Trend, past: Sequence[PastError], ahead: Floats) -> tuple[Floats, Floats]:
    """How far below and above the line the band reaches, so many days ahead."""
    known = [error for error in past if error.tries >= LEAST_TRIES and error.alike]
    if not known:
        # A random walk with drift: its steps add up, and so does what is not known of its mean.
        walk = _NORMAL * trend.step * np.sqrt(ahead + ahead**2 / max(1, trend.fitted_days))
        return (width := np.hypot(_NORMAL * trend.spread, walk)), width
    least = _NORMAL * trend.spread
    horizons = np.array([0.0, *(error.days for error in known)])
    widths = []
    for sign in (-1, 1):
        sides = []
        for error in known:
            side, worse = (error.high, -error.low)[::sign]
            # Tries that overlap err alike, so that few days of the past show less than what may come.
            sides.append(max(side, worse / 2, 0.0) * (1 + 1 / math.sqrt(error.independent)))
        grown = np.maximum.accumulate(np.array([least, *sides]))
        beyond = grown[-1] * np.maximum(1.0, ahead / horizons[-1])
        widths.append(np.where(ahead <= horizons[-1], np.interp(ahead, horizons, grown), beyond))
    return widths[0], widths[1]


def _too_little(series: Series, *, derived: bool) -> Verdict:
    needs = max(1, LEAST_DAYS - series.span)
    what = plural(len(series), "measurement") if len(series) else "no measurement"
    over = f" over {plural(series.span, 'day')}" if series.span else ""
    verb = "are" if len(series) > 1 else "is"
    first = (
        "The partitions themselves tell too little for a forecast."
        if derived
        else f"There {verb} {what}{over}: a forecast needs {plural(needs, 'more day', 'more days')} of it."
    )
    return Verdict(Trust.NONE, needs, (first, *series.notes))


def _verdict(
    series: Series,
    trend: Trend,
    past: Sequence[PastError],
    found: Sequence[Jump],
    paused: Sequence[Hole],
    *,
    today: date,
    horizon: int,
    derived: bool,
) -> Verdict:
    span = series.span
    notes: list[str] = []
    needs = 0
    error = next((one for one in reversed(past) if one.alike and one.days in (30, 90, 180)), None)
    if derived:
        trust = Trust.ROUGH
        notes.append("Derived from the partitions as they are now; nobody measured them then.")
    elif span < FAIR_DAYS:
        trust, needs = Trust.ROUGH, FAIR_DAYS - span
        notes.append(
            f"Only {plural(span, 'day')} were measured; with {plural(needs, 'more day', 'more days')} it is worth more."
        )
    elif span < SEASON_DAYS:
        trust, needs = Trust.FAIR, SEASON_DAYS - span
        notes.append(
            f"Whether a year repeats itself can be told after {plural(needs, 'more day', 'more days')} of measuring."
        )
    else:
        fine = error is not None and (error.of_growth is None or error.of_growth <= 0.3)
        trust = Trust.GOOD if fine else Trust.FAIR
        notes.append(
            "The years repeat a pattern, and it is part of the forecast."
            if trend.season is not None
            else "No pattern repeats from year to year; the forecast is a straight line."
        )
    stale = (today - series.last).days
    if stale > 7:
        notes.append(f"Nothing was measured for {plural(stale, 'day')}: since {human_date(series.last)}.")
        trust = Trust.ROUGH
    if horizon > 2 * span:
        notes.append(f"It looks {horizon} days ahead on {plural(span, 'day')} of history.")
    notes += [error.sentence for error in past if error.days in (30, 90, 180)]
    if not past:
        notes.append("The history is too short to try the forecast on it; the band is what such figures may wander.")
    notes += [_jump_sentence(jump) for jump in found]
    notes += [
        f"Nothing was measured from {human_date(hole.first)} to {human_date(hole.last)} ({plural(hole.days, 'day')})."
        for hole in paused
    ]
    return Verdict(trust, needs, (*notes, *series.notes))


def _jump_sentence(jump: Jump) -> str:
    what = "rise" if jump.bytes > 0 else "fall"
    return f"A {what} of {human_bytes(round(abs(jump.bytes)))} on {human_date(jump.day)} is left out of the trend."


@dataclass(frozen=True, slots=True)
class Passing:
    """When a curve passes a limit; None for a day that does not come within the horizon."""

    limit: int
    already: bool
    """Whether it is passed today; all three days are today then."""
    earliest: date | None
    """By the upper edge of the band."""
    expected: date | None
    latest: date | None
    """By the lower edge of the band."""


def passing(days: Days, band: Band, limit: int) -> Passing:
    """The first days on which the band and its middle reach `limit` bytes."""
    found: list[date | None] = []
    for curve in (band.high, band.expected, band.low):
        over = np.flatnonzero(curve >= limit)
        found.append(day_of(days[over[0]]) if len(over) else None)
    already = bool(len(days) and band.expected[0] >= limit)
    if already:
        found = [day_of(days[0])] * 3
    return Passing(limit, already, found[0], found[1], found[2])
