"""Ensure, archive and reattach again and again while others write and read: nothing fails, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine

from core.console.execute import Budget
from core.console.journal import OperationState, read_operations
from core.plans.archive import plan_archive
from core.tables.catalog.table import read_table
from core.tables.table import PartitionedTable
from tests import desks
from tests.conftest import Act
from tests.load import Load, Measured, running
from tests.tables import Made, fingerprint

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
BUDGET = Budget(lock_ms=100, patience_s=40)
ROWS = 2_000
CYCLES = 20
CYCLES_BESIDE_A_DEFAULT = 2
Make = Callable[..., Made]


def cycle(reader: Engine, act: Act, made: Made, number: int) -> None:
    """A new year is created, the oldest is archived, and comes back."""

    def table() -> PartitionedTable:
        return read_table(reader, made.address)

    oldest = made.first
    was = fingerprint(reader, table().find(oldest).sql)  # type: ignore[union-attr]
    new = (date(2030 + number, 1, 1), date(2031 + number, 1, 1))
    assert act(desks.ensure(reader, table(), [new]), BUDGET)
    assert made.partition(new[0]) in {partition.name for partition in table().partitions}
    assert act(plan_archive(table(), oldest, now=NOW), BUDGET)
    archived = table().find_archived(oldest)
    assert archived is not None
    assert fingerprint(reader, archived.sql) == was
    assert act(desks.reattach(reader, table(), oldest), BUDGET)
    back = table().find(oldest)
    assert back is not None
    assert fingerprint(reader, back.sql) == was


def under_load(url: str, reader: Engine, act: Act, made: Made, cycles: int) -> Measured:
    """Runs the cycles beside 8 writers, 4 readers and one report after the other, and counts every row."""
    before = made.count()
    with running(Load(url, made.sql, report_s=1.5, report_gap_s=1.0)) as load:
        load.await_report()
        for number in range(cycles):
            cycle(reader, act, made, number)
        measured = load.stop()
    assert measured.failed == 0, measured.failures
    assert measured.written > 0
    assert made.count() == before + measured.written
    assert {operation.state for operation in read_operations(reader)} == {OperationState.DONE}
    assert len(read_operations(reader)) == 3 * cycles
    return measured


def tell(record_property: Callable[[str, object], None], measured: Measured, what: str) -> None:
    record_property("said", f"longest stall of any statement in {what}: {measured.longest_ms:.0f} ms")


@pytest.mark.thorough
def test_twenty_cycles(
    database_url: str,
    reader: Engine,
    act: Act,
    make_table: Make,
    record_property: Callable[[str, object], None],
) -> None:
    made = make_table(start=date(2022, 1, 1), count=6, rows=ROWS)
    measured = under_load(database_url, reader, act, made, CYCLES)
    tell(record_property, measured, f"{CYCLES} cycles under load")


@pytest.mark.thorough
def test_beside_a_default_partition(
    database_url: str,
    reader: Engine,
    act: Act,
    make_table: Make,
    record_property: Callable[[str, object], None],
) -> None:
    made = make_table(start=date(2022, 1, 1), count=6, rows=ROWS, default=True)
    measured = under_load(database_url, reader, act, made, CYCLES_BESIDE_A_DEFAULT)
    tell(record_property, measured, f"{CYCLES_BESIDE_A_DEFAULT} cycles under load beside a DEFAULT partition")


@pytest.mark.every_version
def test_one_cycle_on_every_version(
    database_url: str, reader: Engine, act: Act, make_table: Make, major: int | None
) -> None:
    made = make_table(start=date(2022, 1, 1), count=6, rows=ROWS)
    under_load(database_url, reader, act, made, 1)
