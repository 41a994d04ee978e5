"""Desks on the engines of a test, and plans made through them, as every edge makes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine

from core.backups.storage import StorageSettings
from core.console.desk import Desk
from core.console.execute import Budget
from core.period import Range
from core.plans.backup import BackUp
from core.plans.drop import Drop, choose, plan_later_drop
from core.plans.ensure import Ensure
from core.plans.plan import Plan
from core.plans.proof import Kept, Proof
from core.plans.reattach import Reattach
from core.plans.restore import Restore
from core.plans.verify import Verify
from core.seal import Seal
from core.settings import Settings, read_settings
from core.tables.bounds import Bounds
from core.tables.marks import Hold
from core.tables.table import PartitionedTable

NO_ENGINE = create_engine("postgresql+psycopg2://nowhere.invalid/")
"""For plans that read nothing."""
KEY = "the key of the tests"
SEAL = Seal(KEY.encode())
NOWHERE = StorageSettings("", Path("/nonexistent"), {})
"""For what never comes near the place of the backups."""


def sealed(proof: Proof, manifest: str) -> Proof:
    """A proof as a console with the key of the tests would have sealed it, beside that text of a manifest."""
    return replace(proof, seal=SEAL.of(*proof.said(manifest)))


def settings(budget: Budget | None = None, **changes: Any) -> Settings:
    """The settings of an empty environment, with changes."""
    given = read_settings({"PARTITION_DESK_KEY": KEY})
    if budget is not None:
        given = replace(given, lock_budget_ms=budget.lock_ms, patience_s=budget.patience_s)
    return replace(given, **changes)


def desk(
    reading: Engine,
    working: Engine | None = None,
    *,
    budget: Budget | None = None,
    storage: StorageSettings = NOWHERE,
    now: datetime | None = None,
    **changes: Any,
) -> Desk:
    """A desk on engines of the test's; its clock and the server's stand at `now` where that is given."""
    made = Desk(settings(budget, **changes), reading, working or reading, storage)
    return made if now is None else replace(made, clock=lambda: now, server_clock=lambda: now)


def ensure(engine: Engine, table: PartitionedTable, ranges: Iterable[Range], *, zone: str = "UTC") -> Plan:
    """What it takes that each range has a partition."""
    assert table.key is not None
    bounds = tuple(Bounds.between(table.key, lower, upper, zone) for lower, upper in ranges)
    return desk(engine, time_zone=zone).plan(Ensure(table, bounds))


def reattach(engine: Engine, table: PartitionedTable, name: str) -> Plan:
    """What it takes to bring an archived table back."""
    return desk(engine).plan(Reattach(table, name))


def drop(engine: Engine, table: PartitionedTable, name: str, every: Iterable[Kept], *, today: date) -> Plan:
    """What it takes to drop an archived table, whatever the place of its backup."""
    noon = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    return replace(desk(engine, now=noon).plan(Drop(table, name, tuple(every))), place="")


def later_drop(
    engine: Engine, table: PartitionedTable, name: str, every: Iterable[Kept], *, at: datetime, by: str, today: date
) -> Plan:
    """What it takes to write down that an archived table is to be dropped at a time, past ones too."""
    archived = table.find_archived(name)
    kept = choose(every, table, archived) if archived is not None else None
    return plan_later_drop(table, name, kept, at=at, by=by, today=today)


def back_up(engine: Engine, storage: StorageSettings, table: PartitionedTable, name: str, *, now: datetime) -> Plan:
    """What it takes to back a partition up."""
    return desk(engine, storage=storage, now=now).plan(BackUp(table, name))


def verify(storage: StorageSettings, kept: Kept) -> Plan:
    """What it takes to prove a backup."""
    return desk(NO_ENGINE, storage=storage).plan(Verify(kept))


def restore(engine: Engine, storage: StorageSettings, kept: Kept, *, hold: Hold | None = None) -> Plan:
    """What it takes to bring a backup back."""
    return desk(engine, storage=storage).plan(Restore(kept, hold))
