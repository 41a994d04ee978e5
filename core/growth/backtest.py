"""How the forecast would have done in the past: asked on its days, and compared with what came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.growth.series import Floats, Ints
from core.growth.trend import fit
from core.text import plural

HORIZONS = (7, 14, 30, 60, 90, 180, 365)
"""Days ahead that are tried on the past."""

LOW = 0.1
"""The quantiles of the band: four times of five it holds the truth, if the future is like the past."""

HIGH = 1 - LOW


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
class Try:
    origin: int
    horizon: int
    seasonal: bool
    error: float
    actual: float
    growth: float


def backtest(x: Ints, y: Floats, window: int, *, seasonal: bool) -> list[Try]:
    """Forecasts from up to some 150 days of the past, each knowing only what was known then."""
    span = int(x[-1] - x[0])
    least = 28 if len(x) >= 15 else 14
    apart = max(7, span // 150)
    found: list[Try] = []
    next_origin = x[0] + least
    for place in range(3, len(x) - 1):
        if x[place] < next_origin:
            continue
        next_origin = x[place] + apart
        trend = fit(x[: place + 1], y[: place + 1], window, seasonal=seasonal)
        for horizon in HORIZONS:
            target = x[place] + horizon
            if target > x[-1] + 3 or horizon > 2 * (x[place] - x[0]):
                break
            after = min(int(np.searchsorted(x, target)), len(x) - 1)
            near = after if x[after] - target < target - x[after - 1] else after - 1
            if abs(int(x[near] - target)) > max(1, horizon // 20) or near <= place:
                continue
            actual = float(y[near])
            off = actual - float(trend.at_numbers(x[near : near + 1].astype(float))[0])
            found.append(Try(int(x[place]), horizon, trend.season is not None, off, actual, actual - float(y[place])))
    return found


LEAST_TRIES = 6
"""So few tries say nothing of how far off a forecast may be."""


def past_errors(tries: Sequence[Try], *, seasonal: bool) -> tuple[PastError, ...]:
    """By horizon, from tries that knew the season where they are enough, else from all."""
    found = []
    for horizon in HORIZONS:
        same = [one for one in tries if one.horizon == horizon]
        alike = [one for one in same if one.seasonal == seasonal]
        taken = alike if len(alike) >= LEAST_TRIES else same
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


def mean_error(tries: Sequence[Try]) -> float:
    """The mean error of the longest horizon up to 90 days that was tried often enough."""
    for horizon in (90, 60, 30, 14, 7):
        off = [abs(one.error) for one in tries if one.horizon == horizon]
        if len(off) >= LEAST_TRIES:
            return float(np.mean(off))
    return math.inf
