"""Rows by the day, week or month of their dates, so that holes in the data are seen, not only missing partitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from core.growth.holdings import Holding, Stage, usual_period
from core.growth.rows import MonthRows
from core.period import Period, add_months
from core.text import human_date, plural

PERIODS = (Period.DAY, Period.WEEK, Period.MONTH)
MOST_HOLES = 5
"""So many holes are told one by one."""


class Fill(StrEnum):
    """What is known of the rows of a stretch."""

    ROWS = "Rows"
    NONE = "No rows"
    UNKNOWN = "Not known"
    MISSING = "No partition"


@dataclass(frozen=True, slots=True)
class Cell:
    """One day, week or month."""

    lower: date
    upper: date
    fill: Fill
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """The stretches of a table up to today, in order and without a gap."""

    period: Period
    cells: tuple[Cell, ...]
    how: str
    """Where the rows are from."""

    def count(self, fill: Fill) -> int:
        """How many stretches there are of a kind."""
        return sum(cell.fill is fill for cell in self.cells)

    @property
    def holes(self) -> tuple[Cell, ...]:
        """Those without rows or without a partition, neighbours of a kind taken together."""
        found: list[Cell] = []
        for cell in self.cells:
            if cell.fill not in (Fill.NONE, Fill.MISSING):
                continue
            if found and found[-1].upper == cell.lower and found[-1].fill is cell.fill:
                found[-1] = Cell(found[-1].lower, cell.upper, cell.fill, cell.rows)
            else:
                found.append(cell)
        return tuple(found)

    @property
    def told(self) -> str:
        """All of it in a few sentences, for who can't see the picture."""
        noun, first, last = self.period.value, self.cells[0].lower, self.cells[-1].upper - timedelta(days=1)
        kinds = Counter(cell.fill for cell in self.cells)
        words = {
            Fill.ROWS: "with rows",
            Fill.NONE: "without a row",
            Fill.UNKNOWN: "of which nothing is known",
            Fill.MISSING: "without a partition",
        }
        counted = ", ".join(f"{plural(kinds[fill], noun)} {word}" for fill, word in words.items() if kinds[fill])
        holes = self.holes
        told = "; ".join(
            f"{_range(hole.lower, hole.upper)} ({str(hole.fill).lower()})" for hole in reversed(holes[-MOST_HOLES:])
        )
        more = f"; {len(holes) - MOST_HOLES:,} more before" if len(holes) > MOST_HOLES else ""
        return f"{human_date(first)} to {human_date(last)}: {counted}." + (f" Holes: {told}{more}." if holes else "")


def _range(lower: date, upper: date) -> str:
    last = upper - timedelta(days=1)
    return human_date(lower) if last == lower else f"{human_date(lower)} to {human_date(last)}"


def calendar(items: Sequence[Holding], months: Sequence[MonthRows], *, today: date) -> Calendar | None:
    """The calendar of a table with partitions by day, week or month; of wider ones by the statistics of their months.

    None where neither is known.
    """
    period = usual_period(items)
    if period in PERIODS:
        return _of_partitions(items, period, today)
    if not months:
        return None
    cells = tuple(
        Cell(one.first, add_months(one.first, 1), Fill.ROWS if round(one.rows) else Fill.NONE, round(one.rows))
        for one in months
    )
    return Calendar(Period.MONTH, cells, "Shares of the planner's statistics of the dates, of the last analyze.")


def _of_partitions(items: Iterable[Holding], period: Period, today: date) -> Calendar | None:
    cells: list[Cell] = []
    placed = sorted(
        (one for one in items if one.stage in (Stage.ATTACHED, Stage.ARCHIVED) and one.lower and one.upper),
        key=lambda one: one.lower or today,
    )
    for one in placed:
        if one.lower is None or one.upper is None or one.lower > today:
            continue
        while cells and cells[-1].upper < one.lower:
            lower = cells[-1].upper
            cells.append(Cell(lower, min(period.after(lower), one.lower), Fill.MISSING))
        cells.append(Cell(one.lower, one.upper, *_filled(one)))
    if not cells:
        return None
    return Calendar(period, tuple(cells), "The server's estimate for each partition, of its last vacuum or analyze.")


def _filled(one: Holding) -> tuple[Fill, int | None]:
    """An empty file holds no row for certain; an estimate of none does not say that of one with pages."""
    if one.size is not None and one.size.heap == 0:
        return Fill.NONE, 0
    if one.rows is None:
        return Fill.UNKNOWN, None
    return (Fill.ROWS, one.rows) if one.rows else (Fill.NONE, 0)
