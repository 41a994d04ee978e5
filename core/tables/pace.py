"""How fast the highest id of a table rises, from what it was at moments before: nothing is guessed from one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median

from core.text import human_date, plural

Sample = tuple[datetime, Decimal]
"""A moment in UTC, and the highest id then."""

LOOKED_AT = timedelta(days=30)
"""What is older says little of the pace of now."""
LEAST = timedelta(hours=6)
"""Of samples that lie closer together nothing is told: what an hour brings is no day."""
_LEAP = 20
"""An increase so many times as fast as the usual one is a leap of the ids, and no growth."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many ids a day were used of late."""

    a_day: float
    since: datetime
    samples: int

    @property
    def said(self) -> str:
        """For people, without a stop: 2,400,000 ids a day, from 31 samples since 1 May 2026."""
        if not self.a_day:
            return f"no new id in {plural(self.samples, 'sample')} since {human_date(self.since.date())}"
        rate = f"{self.a_day:,.0f} ids a day" if self.a_day >= 10 else f"{self.a_day:,.2g} ids a day"
        return f"{rate}, from {plural(self.samples, 'sample')} since {human_date(self.since.date())}"


def pace_of(samples: Iterable[Sample], now: datetime) -> Pace | None:
    """The pace of the last LOOKED_AT days; None where the samples are too few or lie too close together.

    Where the highest fell, since rows went or the ids began anew, only what came after is looked at. A leap, such as
    rows with ids of elsewhere make, is left out where the others rise as well.
    """
    rising = _since_the_last_fall(sorted(one for one in samples if now - LOOKED_AT <= one[0] <= now))
    if len(rising) < 2 or rising[-1][0] - rising[0][0] < LEAST:
        return None
    steps = [(later - earlier, high - low) for (earlier, low), (later, high) in pairwise(rising) if later > earlier]
    usual = median(_rate(step) for step in steps)
    kept = [step for step in steps if not usual or _rate(step) <= _LEAP * usual]
    time = sum((took for took, _ in kept), timedelta())
    if time < LEAST:
        kept, time = steps, rising[-1][0] - rising[0][0]
    rate = float(sum(added for _, added in kept)) / (time / timedelta(days=1))
    return Pace(rate, rising[0][0], len(rising))


def _since_the_last_fall(samples: Sequence[Sample]) -> list[Sample]:
    found: list[Sample] = []
    for one in samples:
        if found and one[1] < found[-1][1]:
            found = []
        found.append(one)
    return found


def _rate(step: tuple[timedelta, Decimal]) -> float:
    took, added = step
    return float(added) / (took / timedelta(days=1))
