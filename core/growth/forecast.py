"""Fits a robust trend to daily figures, says where it leads and how far off it may be, and how it did in the past."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from core.text import human_bytes, human_date, plural

Days = npt.NDArray[np.datetime64]
"""datetime64[D], strictly rising."""
Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]

YEAR = 365.2425
LEAST_DAYS = 14
"""Below that many days of history nothing is forecast (unless a few points span MONTHS of it)."""
FAIR_DAYS = 90
SEASON_DAYS = 548
"""A year and a half: a yearly pattern has to be seen twice, at least in part."""
HORIZONS = (7, 14, 30, 60, 90, 180, 365)
"""Days ahead that are tried on the past."""
LOW, HIGH = 0.1, 0.9
"""The quantiles of the band: four times of five it holds the truth, if the future is like the past."""
_NORMAL = 1.2816
"""How many standard deviations that is."""
_LONGEST = 3 * 365
"""Days of history that a trend is fitted to, at most."""
_LEAST_POINTS = 8
"""So many at least, however far apart: a history that is derived has a point a period."""
_POINTS = 160
"""So many points at most, since the slope looks at every pair."""
_HARMONICS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Figures by day, each day once, in order; made by `clean`."""

    days: Days
    values: Floats
    notes: tuple[str, ...] = ()
    """What had to be put right, a sentence each."""

    def __len__(self) -> int:
        return len(self.days)

    @property
    def first(self) -> date:
        """The first day. Raises IndexError where there is none."""
        return day_of(self.days[0])

    @property
    def last(self) -> date:
        """The last day. Raises IndexError where there is none."""
        return day_of(self.days[-1])

    @property
    def span(self) -> int:
        """Days from the first to the last."""
        return int(_numbers(self.days[-1:])[0] - _numbers(self.days[:1])[0]) if len(self) else 0

    def at(self, day: date) -> float | None:
        """The figure of that day, or of the last one measured before it; None before the first."""
        place = int(np.searchsorted(self.days, np.datetime64(day, "D"), side="right")) - 1
        return float(self.values[place]) if place >= 0 else None

    def until(self, day: date) -> Series:
        """What was known on that day."""
        return Series(self.days[: (end := int(np.searchsorted(self.days, np.datetime64(day, "D"), "right")))],
                      self.values[:end], self.notes)  # fmt: skip


def day_of(day: np.datetime64) -> date:
    """The date of one element of Days."""
    return date(1970, 1, 1) + timedelta(days=int(day.astype("datetime64[D]").astype(np.int64)))


def days_of(days: Iterable[date]) -> Days:
    """The same as an array, in the order given."""
    return np.array(list(days), dtype="datetime64[D]")


def _numbers(days: Days) -> _Ints:
    return days.astype("datetime64[D]").astype(np.int64)


def clean(days: Iterable[date] | Days, values: Iterable[float] | Floats, *, today: date | None = None) -> Series:
    """The series of what was measured, in the order of measuring: of a day measured twice the last counts.

    Days after `today` come from a clock that was wrong; they are left out, as is what is no number. Raises ValueError
    where the two differ in length.
    """
    whole = days.astype("datetime64[D]") if isinstance(days, np.ndarray) else days_of(days)
    figures = np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=np.float64)
    if len(whole) != len(figures):
        raise ValueError(f"{len(whole)} days and {len(figures)} values")
    notes: list[str] = []
    good = np.isfinite(figures)
    if today is not None:
        late = whole > np.datetime64(today, "D")
        if late.any():
            notes.append(f"{plural(int(late.sum()), 'measurement')} bore a date after today and was left out.")
        good &= ~late
    whole, figures = whole[good], figures[good]
    back = int((np.diff(_numbers(whole)) < 0).sum())
    if back:
        notes.append(
            f"The clock went back {plural(back, 'time')}; the measurements were put in the order of their days."
        )
    last: dict[int, float] = dict(zip(_numbers(whole).tolist(), figures.tolist(), strict=True))
    if len(last) < len(whole):
        twice = plural(len(whole) - len(last), "measurement")
        notes.append(f"{twice} of a day that had one already: the later counts.")
    ordered = np.array(sorted(last), dtype=np.int64)
    return Series(
        ordered.astype("datetime64[D]"), np.array([last[day] for day in ordered.tolist()], float), tuple(notes)
    )


@dataclass(frozen=True, slots=True)
class Hole:
    """Days between two measurements on which nobody measured."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1


def holes(series: Series) -> tuple[Hole, ...]:
    """Where measuring paused for over a week, and over three times as long as it usually does."""
    if len(series) < 3:
        return ()
    between = np.diff(_numbers(series.days))
    usual = max(7.0, 3 * float(np.median(between)))
    return tuple(
        Hole(day_of(series.days[i]) + timedelta(days=1), day_of(series.days[i + 1]) - timedelta(days=1))
        for i in np.flatnonzero(between > usual)
    )


@dataclass(frozen=True, slots=True)
class Jump:
    """A change from one measurement to the next that is no part of the trend: a clean-up, an import."""

    day: date
    bytes: float
    """Negative for a fall."""


def jumps(series: Series) -> tuple[Jump, ...]:
    """The one-off changes: falls far beyond what is usual, and one rise at most, since what repeats is growth."""
    return tuple(Jump(day_of(series.days[i + 1]), float(size)) for i, size in _jumps(series))


def _jumps(series: Series) -> list[tuple[int, float]]:
    """(place of the measurement before, size less the usual growth) of each."""
    if len(series) < 10:
        return []
    numbers = _numbers(series.days)
    change, length = np.diff(series.values), np.diff(numbers)
    usual = float(np.quantile(np.abs(change / length), 0.95))
    level = np.maximum(np.abs(series.values[:-1]), np.abs(series.values[1:]))
    over = (np.abs(change) > 8 * usual * length) & (np.abs(change) > 0.02 * level)
    rises = np.flatnonzero(over & (change > 0))
    falls = np.flatnonzero(over & (change < 0))
    # Rises that come again, such as a load each month, are how this table grows.
    places = sorted([*falls.tolist(), *(rises.tolist() if len(rises) == 1 else [])])
    drift = float(np.median(change / length))
    return [(place, float(change[place] - drift * length[place])) for place in places]


def level(series: Series) -> Series:
    """The series with its one-off changes taken out, so that it ends where it ends."""
    values = series.values.copy()
    for place, size in _jumps(series):
        values[: place + 1] += size
    return replace(series, values=values)


# --- the trend ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _pairs(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    return np.triu_indices(count, 1)


def theil_sen(x: Floats, y: Floats) -> float:
    """The median of the slopes of all pairs of points (Theil 1950, Sen 1968); 0 for fewer than two. x has to rise."""
    if len(x) < 2:
        return 0.0
    one, other = _pairs(len(x))
    return float(np.median((y[other] - y[one]) / (x[other] - x[one])))


def _thinned(x: _Ints, y: Floats) -> tuple[Floats, Floats]:
    """The last point of each week back from the newest; of each day for a short series, and wider for a long one.

    Always on the same weekday, so that what a week repeats bends nothing.
    """
    span = int(x[-1] - x[0])
    step = 1 if span < 60 else max(7, 7 * math.ceil(span / 7 / _POINTS))
    buckets = (x[-1] - x) // step
    keep = np.flatnonzero(np.diff(buckets, append=-1) != 0)
    return x[keep].astype(float), y[keep]


def _waves(x: Floats) -> Floats:
    """Columns of a yearly pattern."""
    angle = 2 * np.pi * x[:, None] / YEAR * np.arange(1, _HARMONICS + 1)
    return np.hstack([np.cos(angle), np.sin(angle)])


def _fit_season(x: Floats, y: Floats) -> Floats:
    """The coefficients of the yearly pattern beside a smooth trend, by least squares that outliers don't lead."""
    u = (x - x[0]) / max(1.0, x[-1] - x[0])
    columns = np.hstack([np.stack([np.ones_like(u), u, u * u], axis=1), _waves(x)])
    weights = np.ones_like(y)
    found: npt.NDArray[np.floating] = np.zeros(columns.shape[1])
    for _ in range(4):
        found = np.linalg.lstsq(columns * weights[:, None], y * weights, rcond=None)[0]
        off = np.abs(y - columns @ found)
        scale = 1.4826 * float(np.median(off))
        if scale <= 0:
            break
        weights = np.sqrt(np.minimum(1.0, 1.345 * scale / np.maximum(off, 1e-12)))
    return np.asarray(found[3:], dtype=np.float64)


_BIN = 28
_BINS_A_YEAR = 13


def _repeats(x: _Ints, y: Floats) -> bool:
    """Whether what was added in four weeks goes along with what was a year before, beyond chance (1 in 200).

    Increments, since a level that wanders looks like anything.
    """
    count = int(x[-1] - x[0]) // _BIN
    pairs = count - _BINS_A_YEAR
    if x[-1] - x[0] < SEASON_DAYS or pairs < 6:
        return False
    between = np.diff(x)
    if between[between > 2 * _BIN].sum() > (x[-1] - x[0]) / 4:
        return False  # a point a year, as a history that is derived may have, shows no pattern within the year
    edges = x[-1] - _BIN * np.arange(count, -1, -1)
    added = np.diff(np.interp(edges, x, y))
    now, before = added[_BINS_A_YEAR:], added[:-_BINS_A_YEAR]
    now, before = now - now.mean(), before - before.mean()
    size = float(np.sqrt((now**2).sum() * (before**2).sum()))
    if size <= 1e-9 * max(1.0, float(np.abs(added).max()) ** 2):
        return False
    r = min(float((now * before).sum()) / size, 0.999999)
    freedom = pairs - 2
    return r > 0 and r * math.sqrt(freedom / (1 - r * r)) > 2.58 + 8 / freedom


def repeats_yearly(series: Series) -> bool:
    """Whether the years show the same pattern, which a year and a half of measurements is needed for."""
    return len(series) > 1 and _repeats(_numbers(series.days), level(series).values)


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """What was fitted: a line through the newest days, and a yearly pattern where the figures show one."""

    origin: date
    """The day of the last measurement."""
    level: float
    """Bytes on that day, as fitted."""
    per_day: float
    """Bytes a day, over the year."""
    season: Floats | None = None
    """Coefficients of the yearly pattern."""
    fitted_days: int = 0
    """How much history the line was fitted to."""
    spread: float = 0.0
    """The standard deviation of the measurements around it, in bytes."""
    step: float = 0.0
    """The standard deviation of what a day adds beyond the trend, in bytes: how fast a wandering series wanders."""

    def at(self, days: Days) -> Floats:
        """The fitted figure on each of the days, in bytes."""
        return self._at(_numbers(days).astype(float))

    def _at(self, x: Floats) -> Floats:
        zero = float((self.origin - date(1970, 1, 1)).days)
        line = self.level + self.per_day * (x - zero)
        if self.season is None:
            return line
        return np.asarray(line + (_waves(x) - _waves(np.array([zero]))) @ self.season, dtype=np.float64)


def _fit(x: _Ints, y: Floats, window: int, *, seasonal: bool) -> Trend:
    """The trend of the last `window` days; a season, where asked for, from all there is."""
    long = min(int(np.searchsorted(x, x[-1] - _LONGEST)), max(0, len(x) - _LEAST_POINTS))
    thin_x, thin_y = _thinned(x[long:], y[long:])
    season = None
    if seasonal and x[-1] - x[0] >= SEASON_DAYS:
        season = _fit_season(thin_x, thin_y)
        thin_y = thin_y - _waves(thin_x) @ season
    near = min(int(np.searchsorted(thin_x, thin_x[-1] - window)), max(0, len(thin_x) - _LEAST_POINTS))
    line_x, line_y = thin_x[near:], thin_y[near:]
    slope = theil_sen(line_x, line_y)
    end = float(x[-1])
    around = line_y - slope * (line_x - end)
    fresh = x >= x[-1] - LEAST_DAYS
    newest: Floats = y[fresh] - slope * (x[fresh] - end)
    if season is not None:
        newest -= _waves(x[fresh].astype(float)) @ season
    here = float(np.median(newest[-7:]))
    if season is not None:
        here += float((_waves(np.array([end])) @ season)[0])
    gaps = np.diff(line_x)
    added = np.diff(line_y) - slope * gaps
    return Trend(
        origin=date(1970, 1, 1) + timedelta(days=int(end)),
        level=here,
        per_day=slope,
        season=season,
        fitted_days=int(line_x[-1] - line_x[0]),
        spread=1.4826 * float(np.median(np.abs(around - np.median(around)))),
        step=float(np.sqrt(np.mean(added**2 / gaps))) if len(gaps) else 0.0,
    )


# --- how it would have done in the past -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PastError:
    """How far off the forecasts were that would have been made in the past, so many days ahead."""

    days: int
    tries: int
    """From how many days of the past it was tried."""
    of_size: float
    """The mean error as a share of the true size then (0.01: one percent): MAPE."""
    of_growth: float | None
    """The same error as a share of what was added meanwhile; None where nothing was."""
    low: float
    high: float
    """Of the truth less the forecast, in bytes: one try in ten was below, one in ten above."""
    alike: bool = True
    """Whether the tries were made as the forecast is; False: without the yearly pattern that it has by now."""
    independent: float = 1.0
    """How many of the tries look at days that no other of them looks at."""

    @property
    def sentence(self) -> str:
        """For people."""
        growth = "" if self.of_growth is None else f", or {self.of_growth:.0%} of what was added in that time"
        before = "" if self.alike else ", most of them before the yearly pattern could be seen"
        return (
            f"Asked on {plural(self.tries, 'day')} of the past{before}, the forecast {self.days} days ahead was off by"
            f" {self.of_size:.1%} of the size{growth}."
        )


@dataclass(frozen=True, slots=True)
class _Try:
    origin: int
    horizon: int
    seasonal: bool
    error: float
    actual: float
    growth: float


def _backtest(x: _Ints, y: Floats, window: int, *, seasonal: bool) -> list[_Try]:
    """Forecasts from up to some 150 days of the past, each knowing only what was known then."""
    span = int(x[-1] - x[0])
    least = 28 if len(x) >= 15 else 14
    apart = max(7, span // 150)
    found: list[_Try] = []
    next_origin = x[0] + least
    for place in range(3, len(x) - 1):
        if x[place] < next_origin:
            continue
        next_origin = x[place] + apart
        trend = _fit(x[: place + 1], y[: place + 1], window, seasonal=seasonal)
        for horizon in HORIZONS:
            target = x[place] + horizon
            if target > x[-1] + 3 or horizon > 2 * (x[place] - x[0]):
                break
            after = min(int(np.searchsorted(x, target)), len(x) - 1)
            near = after if x[after] - target < target - x[after - 1] else after - 1
            if abs(int(x[near] - target)) > max(1, horizon // 20) or near <= place:
                continue
            actual = float(y[near])
            off = actual - float(trend._at(x[near : near + 1].astype(float))[0])
            found.append(_Try(int(x[place]), horizon, trend.season is not None, off, actual, actual - float(y[place])))
    return found


_TRIES = 6
"""So few tries say nothing of how far off a forecast may be."""


def _errors(tries: Sequence[_Try], *, seasonal: bool) -> tuple[PastError, ...]:
    """By horizon, from tries that knew the season where they are enough, else from all."""
    found = []
    for horizon in HORIZONS:
        same = [one for one in tries if one.horizon == horizon]
        alike = [one for one in same if one.seasonal == seasonal]
        taken = alike if len(alike) >= _TRIES else same
        if len(taken) < 3:
            continue
        off = np.array([one.error for one in taken])
        actual = np.array([abs(one.actual) for one in taken])
        growth = float(np.mean([abs(one.growth) for one in taken]))
        mean = float(np.mean(np.abs(off)))
        found.append(
            PastError(
                days=horizon,
                tries=len(taken),
                of_size=float(np.mean(np.abs(off)[actual > 0] / actual[actual > 0])) if (actual > 0).any() else 0.0,
                of_growth=mean / growth if growth > 0 else None,
                low=float(np.quantile(off, LOW)),
                high=float(np.quantile(off, HIGH)),
                alike=taken is alike or len(alike) == len(same),
                independent=1 + (taken[-1].origin - taken[0].origin) / horizon,
            )
        )
    return tuple(found)


def _score(tries: Sequence[_Try]) -> float:
    """The mean error of the longest horizon up to 90 days that was tried often enough."""
    for horizon in (90, 60, 30, 14, 7):
        off = [abs(one.error) for one in tries if one.horizon == horizon]
        if len(off) >= _TRIES:
            return float(np.mean(off))
    return math.inf


# --- the forecast ---------------------------------------------------------------------------------------------------


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

    def past_error(self, days: int) -> PastError | None:
        """The one of that horizon."""
        return next((error for error in self.past if error.days == days), None)


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
    x, y = _numbers(series.days), level(series).values
    start = min(int(np.searchsorted(x, x[-1] - 2 * _LONGEST)), max(0, len(x) - 24))
    x, y = x[start:], y[start:]
    seasonal = _repeats(x, y)
    window, tries = _window(x, y, seasonal=seasonal)
    trend = _fit(x, y, window, seasonal=seasonal)
    past = _errors(tries, seasonal=seasonal)
    days = np.datetime64(today, "D") + np.arange(horizon + 1)
    expected = trend.at(days)
    ahead = (_numbers(days) - x[-1]).astype(float)
    below, above = _widths(trend, past, ahead)
    band = Band(np.maximum(0, expected - below), np.maximum(0, expected), np.maximum(0, expected + above))
    verdict = _verdict(series, trend, past, found, paused, today=today, horizon=horizon, derived=derived)
    return Forecast(days, band, trend, past, found, paused, verdict)


def _window(x: _Ints, y: Floats, *, seasonal: bool) -> tuple[int, list[_Try]]:
    """How much history the line is fitted to: all, unless less would have done better by a fifth."""
    span = int(x[-1] - x[0])
    windows = [_LONGEST]
    if span > 500:
        windows.append(365)
    if span > 300 and not seasonal:
        windows.append(120)
    best, tries = windows[0], _backtest(x, y, windows[0], seasonal=seasonal)
    score = _score(tries)
    for window in windows[1:]:
        others = _backtest(x, y, window, seasonal=seasonal)
        if _score(others) < 0.8 * score:
            best, tries, score = window, others, _score(others)
    return best, tries


def _widths(trend: Trend, past: Sequence[PastError], ahead: Floats) -> tuple[Floats, Floats]:
    """How far below and above the line the band reaches, so many days ahead."""
    known = [error for error in past if error.tries >= _TRIES and error.alike]
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
        notes.append(f"It looks {horizon} days ahead on {span} days of history.")
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
