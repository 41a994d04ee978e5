"""Reads what an operation has to know and has its plan built: the one way from a wish to a Plan, for every edge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.errors import BackupNotFound, PartitionNotFound
from core.period import Range
from core.plans.archive import plan_archive, plan_reattach
from core.plans.drop import choose, plan_drop, plan_later_drop
from core.plans.ensure import missing, plan_ensure
from core.plans.manifest import Kept
from core.plans.plan import Plan
from core.postgres.connection import session, translate
from core.tables.bounds import Bounds
from core.tables.catalog.definition import read_definition
from core.tables.catalog.table import count_default_rows, read_key_range
from core.tables.commands import partition_option
from core.tables.model import Archived, Partition, PartitionedTable


def prepare_ensure(engine: Engine, table: PartitionedTable, ranges: Iterable[Range], *, zone: str = "UTC") -> Plan:
    """A plan that gives each range a partition; counts what the DEFAULT holds of those that lack one."""
    wanted = tuple(ranges)
    lacking: tuple[Bounds, ...] = ()
    if table.default is not None and table.key is not None:
        lacking = tuple(new.bounds for new in missing(table, wanted, zone))
    return plan_ensure(table, wanted, zone=zone, default_rows=count_default_rows(engine, table, lacking))


def prepare_archive(
    table: PartitionedTable, name: str, *, now: datetime, zone: str = "UTC", allow_current: bool = False
) -> Plan:
    """A plan that archives the partition `name`."""
    return plan_archive(table, name, now=now, zone=zone, allow_current=allow_current)


def prepare_reattach(engine: Engine, table: PartitionedTable, name: str) -> Plan:
    """A plan that brings the archived table `name` back; reads its rows' range where no CHECK proves it."""
    archived = table.find_archived(name)
    rows = None
    default_rows = 0
    if archived is not None and archived.bounds is not None and table.key is not None:
        check = archived.bounds_check(table.key)
        if check is None or not check.validated:
            rows = read_key_range(engine, table, archived)
        default_rows = count_default_rows(engine, table, (archived.bounds,))
    return plan_reattach(table, name, rows=rows, default_rows=default_rows)


def prepare_drop(
    engine: Engine,
    table: PartitionedTable,
    name: str,
    every: Iterable[Kept],
    *,
    today: date,
    place: str = "",
    backup_id: str = "",
) -> Plan:
    """A plan that drops the archived table `name` on the strength of the best of `every` backup, or of the one named.

    Reads what depends on the table.
    """
    kept, found = _for_a_drop(engine, table, name, every, backup_id)
    return plan_drop(
        table, name, kept, today=today, dependents=found.dependents, belongings=found.belongings, place=place
    )


def prepare_later_drop(
    engine: Engine,
    table: PartitionedTable,
    name: str,
    every: Iterable[Kept],
    *,
    at: datetime,
    by: str,
    today: date,
    backup_id: str = "",
) -> Plan:
    """A plan that writes down that `name` is to be dropped, not before `at`; everything is looked at as for a drop."""
    kept, found = _for_a_drop(engine, table, name, every, backup_id)
    return plan_later_drop(table, name, kept, at=at, by=by, today=today, dependents=found.dependents)


@dataclass(frozen=True, slots=True)
class Hanging:
    """What hangs on an archived table, each in PostgreSQL's words."""

    dependents: tuple[str, ...] = ()
    """Views, foreign keys of other tables, functions, sequences of its own, children: they stop a drop."""
    belongings: tuple[str, ...] = ()
    """Triggers, policies, publications: they go with it."""


def _for_a_drop(
    engine: Engine, table: PartitionedTable, name: str, every: Iterable[Kept], backup_id: str
) -> tuple[Kept | None, Hanging]:
    """(the backup to rest on, what hangs on the table)."""
    archived = table.find_archived(name)
    if archived is None:
        return None, Hanging()
    asked = [kept for kept in every if backup_id in ("", kept.backup.id)]
    if backup_id and not asked:
        raise BackupNotFound(f"There is no backup {backup_id} in the place.", next="See: partitions backups")
    return choose(asked, table, archived), read_hanging(engine, archived)


def read_hanging(engine: Engine, archived: Archived) -> Hanging:
    """What hangs on an archived table. Raises CatalogBusy while somebody holds it."""
    with session(engine) as connection:
        try:
            definition = read_definition(connection, archived.schema, archived.name)
            heirs = connection.exec_driver_sql(
                "SELECT i.inhrelid::pg_catalog.regclass::text FROM pg_catalog.pg_inherits i"
                f" WHERE i.inhparent = {definition.oid} ORDER BY 1"
            ).scalars()
            children = tuple(f"child table {heir}" for heir in heirs)
        except DBAPIError as error:
            raise translate(error) from error
    keys = tuple(f"foreign key {key.name} of {key.other}" for key in definition.incoming)
    own = tuple(
        f"sequence {one.schema}.{one.name} of its column {one.column}"
        for one in definition.sequences
        if not one.identity
    )
    belongings = (
        *(f"trigger {one.name}" for one in definition.triggers),
        *(f"policy {one.name}" for one in definition.policies),
        *(f"its place in the publication {one.name}" for one in definition.publications),
    )
    return Hanging((*keys, *own, *children, *definition.dependents), belongings)


def partition_in(table: PartitionedTable, lower: date, upper: date, zone: str = "UTC") -> str:
    """What the one partition, or archived table, for [lower, upper) is called. Raises PartitionNotFound."""
    found: list[Partition | Archived] = [*table.holding(lower, upper, zone)]
    found = found or [*table.archived_in(lower, upper, zone)]
    return _only(table, found, (lower, upper), "partition", zone)


def archived_in(table: PartitionedTable, lower: date, upper: date, zone: str = "UTC") -> str:
    """What the one archived table for [lower, upper), or attached partition, is called. Raises PartitionNotFound."""
    found: list[Partition | Archived] = [*table.archived_in(lower, upper, zone)]
    found = found or [*table.holding(lower, upper, zone)]
    return _only(table, found, (lower, upper), "archived table", zone)


def _only(table: PartitionedTable, found: list[Partition | Archived], asked: Range, what: str, zone: str) -> str:
    lower, upper = asked
    label = f"{lower:%Y}" if (lower.month, lower.day) == (1, 1) else f"{lower} to {upper}"
    if not found:
        known = ", ".join(table.calls().values()) or "none"
        raise PartitionNotFound(f"{table.label} has no {what} for {label}.", next=f"There are: {known}.")
    if len(found) > 1:
        names = ", ".join(table.called(item) for item in found)
        raise PartitionNotFound(
            f"{label} lies in {len(found)} of them: {names}.", next="Name one with --partition NAME."
        )
    bounds, called = found[0].bounds, table.called(found[0])
    if bounds is None or not table.bounds_between(lower, upper, zone).covers(bounds):
        raise PartitionNotFound(
            f"{label} lies in {called}, which holds more than that: {bounds.text if bounds else 'unknown'}.",
            next=f"If all of it is meant, name it:{partition_option(called)}",
        )
    return called
