"""Builds a Growth, and what one is reckoned from, for tests without a database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from core.growth.forecast import forecast, passing
from core.growth.history import History, change, monthly, on_server, top_growers, written
from core.growth.holdings import Holding, Stage, by_period, shares
from core.growth.outlook import Retention, Schedule, next_leaving, outlook
from core.growth.read import Growth
from core.growth.rows import year_to_date
from core.growth.samples.values import SampleRun
from core.growth.savings import Move, savings
from core.growth.series import Series, clean, days_of
from core.period import Duration, Period
from core.tables.size import Size

TODAY = date(2026, 10, 20)
MB = 1_000_000
TABLE = "public.kid_absences"


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


def linear(n: float) -> float:
    return 1000 * MB + 2 * MB * n


def history(count: int, name: str = "public.kid_absences", last: date = TODAY, **figures: Any) -> History:
    """A history of `count` days with the given arrays, else of nothing."""
    names = ("attached", "archived", "freed", "cold", "heap", "index", "toast", "rows", "partitions")
    arrays = {one: np.asarray(figures.get(one, np.zeros(count)), float) for one in names}
    return History(name, days_of(days(count, last)), **arrays)


def holding(year: int, megabytes: int, stage: Stage = Stage.ATTACHED, **changes: Any) -> Holding:
    """A year of kid_absences, of so many MB."""
    parts = Size(megabytes * MB * 6 // 10, megabytes * MB * 3 // 10, megabytes * MB // 10)
    made = Holding(
        TABLE,
        f"kid_absences_{year}",
        stage,
        date(year, 1, 1),
        date(year + 1, 1, 1),
        parts,
        rows=1000 * megabytes,
        dead_rows=10,
    )
    return replace(made, **changes)


def growth(*, count: int = 400, per_day: float = 0.5, limit: int | None = None, **changes: Any) -> Growth:
    """400 days of samples that grow by half a MB a day; 2021 was archived a hundred days ago."""
    days = days_of(TODAY - timedelta(days=count - 1 - n) for n in range(count))
    items = (holding(2021, 80, Stage.ARCHIVED), *(holding(2022 + n, 90 + 10 * n) for n in range(5)), holding(2027, 0))
    total = sum(item.bytes for item in items)
    all_bytes = total - per_day * MB * np.arange(count - 1, -1, -1)
    archived = np.where(np.arange(count) >= count - 100, 80.0 * MB, 0.0)
    nothing = np.zeros(count)
    history = History(
        TABLE, days, all_bytes - archived, archived, nothing, nothing, 0.6 * all_bytes, 0.3 * all_bytes,
        0.1 * all_bytes, all_bytes / 200, nothing + 7,
    )  # fmt: skip
    series = written(history, today=TODAY)
    retention = Retention(Duration(3, "year"))
    found = forecast(series, today=TODAY)
    schedule = Schedule(items, retention, Period.YEAR)
    ahead = outlook(found, [schedule], today=TODAY)
    reached = limit is not None and found.possible
    made = Growth(
        table=TABLE,
        database="school",
        today=TODAY,
        as_of=datetime(2026, 10, 20, 9, 30, tzinfo=UTC),
        items=items,
        history=history,
        last_sample=SampleRun(TODAY, datetime(2026, 10, 20, 4, tzinfo=UTC), 0.1, 7, 1, (), exact=True),
        sampled_days=count,
        attached=total - 80 * MB,
        archived=80 * MB,
        cold=None,
        change_30=change(on_server(history), today=TODAY, days=30),
        change_365=change(on_server(history), today=TODAY, days=365),
        months=monthly(series),
        month_rows=(),
        year_to_date=year_to_date(items, {}, today=TODAY),
        period=Period.YEAR,
        by_period=by_period(items, Period.YEAR, today=TODAY),
        forecast=found,
        outlook=ahead,
        limit=limit,
        passing_kept=passing(ahead.days, ahead.kept, limit) if reached and limit else None,
        passing_planned=passing(ahead.days, ahead.planned, limit) if reached and limit else None,
        growers=top_growers([history], today=TODAY),
        growers_days=30,
        leaving=next_leaving(schedule, today=TODAY, until=TODAY + timedelta(days=365)),
        savings=savings(
            [Move(TODAY - timedelta(days=100), TABLE, items[0].name, Stage.ATTACHED, Stage.ARCHIVED, 80 * MB)]
        ),
        shares=shares(items),
        retention=retention,
        prices=None,
        currency="EUR",
        notes=(),
    )
    return replace(made, **changes)
