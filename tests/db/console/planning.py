"""Plans of a test's table as they are made before they run."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import Engine

from core.plans.archive import plan_archive
from core.plans.plan import Plan
from core.tables.catalog.table import read_table
from core.tables.table import PartitionedTable
from tests import desks
from tests.tables import Made, Run, describe

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)


def read(reader: Engine, made: Made) -> PartitionedTable:
    return read_table(reader, made.address)


def archiving(reader: Engine, made: Made) -> Plan:
    return plan_archive(read(reader, made), made.first, now=NOW)


def reattaching(reader: Engine, made: Made) -> Plan:
    return desks.reattach(reader, read(reader, made), made.first)


def ensuring(reader: Engine, made: Made, year: int = 2027) -> Plan:
    return desks.ensure(reader, read(reader, made), [(date(year, 1, 1), date(year + 1, 1, 1))])


def catalog_of(run: Run, made: Made) -> list[object]:
    """The whole catalog of the table's schema and of `archive`."""
    relations = run(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND relnamespace::regnamespace::text NOT LIKE 'pg_%'"
        " AND relnamespace::regnamespace::text NOT IN ('information_schema', 'partition_desk') ORDER BY 1"
    )
    return [made.sql, *(describe(run, relation) for (relation,) in relations)]


def pending(run: Run) -> bool:
    return bool(run("SELECT 1 FROM pg_inherits WHERE inhdetachpending"))
