"""The bench's own PostgreSQL: a cluster in a temporary folder, stopped and removed at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from core.absences import create_table
from core.console.actor import Actor, Origin
from core.console.execute import Budget
from core.plans.operation import Role
from core.plans.plan import Plan
from core.postgres.connection import parse_url, reading_engine, working_engine
from core.postgres.embedded import running_server
from core.tables.catalog.table import read_table
from core.tables.table import PartitionedTable
from tests import desks
from tests.servers import connect
from tests.tables import Run, runner

TABLE = "public.kid_absences"
BUDGET = Budget(lock_ms=100, patience_s=60)
_ACTOR = Actor("bench", Role.ADMIN, Origin.COMMAND_LINE)
_FIRST_ID = 10**12
_SETTINGS = (
    "ALTER SYSTEM SET shared_buffers = '1GB'",
    "ALTER SYSTEM SET autovacuum = off",  # it comes when it likes, so that no two runs would be alike
    "ALTER SYSTEM SET max_wal_size = '8GB'",
    "ALTER SYSTEM SET checkpoint_timeout = '30min'",
)
SETTINGS = "shared_buffers 1 GB, autovacuum off, checkpoints rare, fsync on, unix socket"


@contextmanager
def bench_server(more: tuple[str, ...] = (), where: Path | None = None) -> Iterator[str]:
    """The URL of a fresh PostgreSQL 18 with the bench's settings, and more of them."""
    folder = Path(tempfile.mkdtemp(prefix="pd-bench-", dir=where))
    try:
        folder.chmod(0o711)  # the server's user has to pass through
        home = folder / "18"
        with running_server(home) as url:
            connection = connect(url)
            for statement in (*_SETTINGS, *more):
                runner(connection)(statement)
            connection.close()
        with running_server(home) as url:  # shared_buffers takes a restart
            yield url
    finally:
        shutil.rmtree(folder)


_MEMORY = Path("/dev/shm")
"""Where a server that keeps nothing is quickest, if there is room."""
_UNSAFE = ("ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off")


@contextmanager
def unsafe_server() -> Iterator[str]:
    """The same, in memory where there is room, and with nothing that outlasts a crash."""
    room = os.access(_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(_MEMORY).free > 6 * 2**30
    with bench_server(_UNSAFE, _MEMORY if room else None) as url:
        yield url


@dataclass(frozen=True, slots=True)
class Desk:
    """One database, with the engines that the console uses and a plain session for the procedure's own SQL."""

    url: str
    reading: Engine
    working: Engine
    run: Run
    """By hand: AUTOCOMMIT, no time-out, as psql would."""

    def table(self, name: str = TABLE, *, exact: bool = False) -> PartitionedTable:
        return read_table(self.reading, name, exact=exact)

    def act(self, plan: Plan) -> None:
        """Runs a plan as the console does, journalled and within the lock budget."""
        desks.desk(self.working, budget=BUDGET).run(plan, _ACTOR, "bench")


@contextmanager
def desk(server: str, name: str) -> Iterator[Desk]:
    """A database of its own, dropped at the end."""
    admin = connect(server)
    runner(admin)(f"CREATE DATABASE {name} TEMPLATE template0")
    url = parse_url(server).set(database=name)
    own = connect(url)
    reading, working = reading_engine(url), working_engine(url)
    try:
        yield Desk(url.render_as_string(hide_password=False), reading, working, runner(own))
    finally:
        reading.dispose()
        working.dispose()
        own.close()
        runner(admin)(f"DROP DATABASE {name} WITH (FORCE)")
        admin.close()


def year(first: int) -> tuple[date, date]:
    """A year as a range of dates."""
    return date(first, 1, 1), date(first + 1, 1, 1)


def bounds(first: int) -> str:
    """A year as PostgreSQL writes bounds."""
    return f"FOR VALUES FROM ('{first}-01-01') TO ('{first + 1}-01-01')"


def make_absences(desk: Desk, years: range, rows: int) -> None:
    """kid_absences with a partition for each year and `rows` rows in each."""
    create_table(desk.working)
    desk.run("CREATE SCHEMA archive")
    for one in years:
        add_year(desk, one, rows)
    desk.run(f"ANALYZE {TABLE}")


def add_year(desk: Desk, first: int, rows: int) -> None:
    """Builds a year beside the table and attaches it; its indexes are built once it is full."""
    child = f"public.kid_absences_{first}"
    desk.run("SET synchronous_commit = off")
    desk.run(f"CREATE TABLE {child} (LIKE {TABLE} INCLUDING DEFAULTS)")
    fill(desk, child, date(first, 1, 1), rows)
    desk.run(f"ALTER TABLE {TABLE} ATTACH PARTITION {child} {bounds(first)}")
    desk.run("RESET synchronous_commit")


def fill(desk: Desk, relation: str, first: date, rows: int) -> None:
    """Rows over the 365 days from `first` on, each kid once a day; their ids are out of the sequence's way."""
    desk.run(
        f"INSERT INTO {relation} (id, kid_id, date, reason) SELECT {_FIRST_ID} + g, 1 + g / 365,"
        f" date '{first}' + g % 365, 'reason ' || g % 100 FROM generate_series(0, {rows - 1}) g"
    )


def settle(desk: Desk) -> None:
    """Writes everything out, so that what is measured next does not pay for what was built before."""
    desk.run("CHECKPOINT")


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds that the work takes."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000
