"""What an application's start costs when no partition is missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from statistics import median
from typing import Any

from sqlalchemy import Engine, create_engine

from core.absences import ensure_absence_partitions
from core.postgres.connection import working_engine
from tests.bench.report import Table, Target, ms
from tests.bench.server import desk, make_absences, timed

LIMIT = 2.0


def measure_startup(server: str, runs: int) -> tuple[Table, ...]:
    """ensure_absence_partitions against SELECT 1, alternately, on the console's engine and on a plain one."""
    rows: list[tuple[str, ...]] = []
    ratios: list[float] = []
    with desk(server, "startup") as at:
        make_absences(at, range(2018, 2028), 1_000)
        engines = {
            "core.postgres.connection.engine": working_engine(at.working.url),
            "create_engine(url), as it comes": create_engine(at.working.url),
        }
        for name, engine in engines.items():
            bare, ensure = _medians(runs, lambda e=engine: _select(e), lambda e=engine: _ensure(e))
            engine.dispose()
            ratios.append(ensure / bare)
            rows.append((name, ms(bare), ms(ensure), f"{ensure / bare:.2f}x"))
    return (
        Table(
            "Start-up when nothing is missing",
            ("", "SELECT 1, ms", "ensure_absence_partitions, ms", "as long as"),
            tuple(rows),
            notes=(f"Medians of {runs}, alternately, on a warm engine; 10 partitions.",),
            targets=(
                Target(
                    f"within {LIMIT:.0f} times a bare SELECT 1",
                    ", ".join(f"{ratio:.2f}" for ratio in ratios),
                    max(ratios) <= LIMIT,
                ),
            ),
        ),
    )


def _medians(runs: int, *works: Callable[[], Any]) -> tuple[float, ...]:
    for work in works:
        work()
    taken = [[timed(work) for work in works] for _ in range(runs)]
    return tuple(median(column) for column in zip(*taken, strict=True))


def _select(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1").scalar_one()


def _ensure(engine: Engine) -> None:
    assert ensure_absence_partitions(engine, today=date(2026, 6, 1), environ={}) == ()
