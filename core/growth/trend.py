"""Fits a robust line to figures by day, and a yearly pattern where the years agree on one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from core.growth.series import Days, Floats, Ints, day_numbers

YEAR = 365.2425

LEAST_DAYS = 14
"""Below that many days of history nothing is forecast (unless a few points span MONTHS of it)."""

SEASON_DAYS = 548
"""A year and a half: a yearly pattern has to be seen twice, at least in part."""

LONGEST = 3 * 365
"""Days of history that a trend is fitted to, at most."""

_LEAST_POINTS = 8
"""So many at least, however far apart: a history that is derived has a point a period."""

_POINTS = 160
"""So many points at most, since the slope looks at every pair."""

_HARMONICS = 5


@lru_cache(maxsize=256)
def _pairs(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    return np.triu_indices(count, 1)


def theil_sen(x: Floats, y: Floats) -> float:
    """The median of the slopes of all pairs of points (Theil 1950, Sen 1968); 0 for fewer than two. x has to rise."""
    if len(x) < 2:
        return 0.0
    one, other = _pairs(len(x))
    return float(np.median((y[other] - y[one]) / (x[other] - x[one])))


def _thinned(x: Ints, y: Floats) -> tuple[Floats, Floats]:
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


def repeats(x: Ints, y: Floats) -> bool:
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
        return self.at_numbers(day_numbers(days).astype(float))

    def at_numbers(self, x: Floats) -> Floats:
        zero = float((self.origin - date(1970, 1, 1)).days)
        line = self.level + self.per_day * (x - zero)
        if self.season is None:
            return line
        return np.asarray(line + (_waves(x) - _waves(np.array([zero]))) @ self.season, dtype=np.float64)


def fit(x: Ints, y: Floats, window: int, *, seasonal: bool) -> Trend:
    """The trend of the last `window` days; a season, where asked for, from all there is."""
    long = min(int(np.searchsorted(x, x[-1] - LONGEST)), max(0, len(x) - _LEAST_POINTS))
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
