"""Samples of a test's tables on the days of a test, and what they are compared with."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from core.growth.holdings import Stage
from core.growth.samples import measure
from core.growth.samples.read import read_holdings
from core.growth.samples.values import SampleRun
from core.names import literal
from core.plans.archive import plan_archive
from core.tables.catalog.table import read_table
from tests.conftest import Act
from tests.tables import Made, Run

DAY = date(2026, 10, 20)
NOW = datetime(2026, 10, 20, 9, tzinfo=UTC)
Make = Callable[..., Made]


def sample(engine: Engine, day: int = 0, **options: Any) -> SampleRun:
    """A sample so many days after DAY."""
    return measure.sample(engine, archive_schema="archive", today=DAY + timedelta(days=day), **options)


_KIDS = itertools.count(1_000_000, 100_000)


def grow(made: Made, place: int, count: int) -> None:
    """So many rows more in one of its partitions."""
    first, day = next(_KIDS), made.ranges[place][0]
    made.run(
        f"INSERT INTO {made.sql} (kid_id, date) SELECT g, '{day}' FROM generate_series({first}, {first + count - 1}) g"
    )


def size(run: Run, relation: str) -> int:
    return int(run(f"SELECT pg_total_relation_size({literal(relation)}::regclass)")[0][0])


def rows(run: Run) -> int:
    return int(run("SELECT count(*) FROM partition_desk.size_sample")[0][0])


def stages(engine: Engine, day: int = 0) -> dict[str, Stage]:
    return {item.name: item.stage for item in read_holdings(engine, on=DAY + timedelta(days=day))}


def archive(engine: Engine, act: Act, made: Made, name: str) -> None:
    act(plan_archive(read_table(engine, made.address), name, now=NOW, allow_current=True))
