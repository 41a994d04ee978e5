"""Figures by day: put in order once, and where measuring paused or a figure jumped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from core.text import plural

Days = npt.NDArray[np.datetime64]
"""datetime64[D], strictly rising."""

Floats = npt.NDArray[np.float64]

Ints = npt.NDArray[np.int64]


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
        return int(day_numbers(self.days[-1:])[0] - day_numbers(self.days[:1])[0]) if len(self) else 0

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


def day_numbers(days: Days) -> Ints:
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
    back = int((np.diff(day_numbers(whole)) < 0).sum())
    if back:
        notes.append(
            f"The clock went back {plural(back, 'time')}; the measurements were put in the order of their days."
        )
    last: dict[int, float] = dict(zip(day_numbers(whole).tolist(), figures.tolist(), strict=True))
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
    between = np.diff(day_numbers(series.days))
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
    numbers = day_numbers(series.days)
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
