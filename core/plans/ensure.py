"""Ensure: create the partitions that ranges of dates need, without holding up anybody who uses the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from core.errors import NameTaken, NotAllowed, NotAttachable, OffCalendar, Overlap, Refused, UsageError
from core.names import fit, ident, qualified, split_qualified
from core.period import Range, period_of
from core.plans.equip import outfit, published_like, told_apart, told_copied
from core.plans.operation import Danger, Operation, Role, Scope, Sources, table_for
from core.plans.plan import Plan, Step, basis
from core.plans.publishing import entering
from core.plans.refusals import require_nothing_pending, require_served
from core.plans.steps import LEAVE_IN_DEFAULT, attach, attach_locks, exclude_from_default, readmit_to_default
from core.tables.bounds import Bounds
from core.tables.commands import twin
from core.tables.coverage import next_periods
from core.tables.key import Key, KeyType
from core.tables.table import PartitionedTable
from core.text import listed, plural

ENSURE = Operation(
    "ensure", "Ensure", Role.OPERATOR, Danger.CLICK, scope=Scope.ALL, counts_rows=False, told_apart_by="steps"
)


@dataclass(frozen=True, slots=True)
class Ensure:
    """That ranges of dates have a partition each."""

    operation: ClassVar = ENSURE
    table: str | PartitionedTable
    ranges: tuple[Range, ...] = ()
    years: tuple[Range, ...] = ()
    """Whole years, each cut into the periods of the table."""
    dates: tuple[date, ...] = ()
    """The periods that hold these."""
    ahead: int | None = None
    """The current period and so many after it; 1 where nothing else is asked for."""

    def plan(self, desk: Sources) -> Plan:
        """Counts what the DEFAULT holds of the ranges that lack a partition."""
        table = table_for(desk, self.table)
        period = table.period(desk.zone)
        ranges = [*self.ranges, *(part for year in self.years for part in period.cover(*year))]
        ahead = 1 if self.ahead is None and not (ranges or self.dates) else self.ahead
        if ahead is not None or self.dates:
            _require_width(table, desk.usual_table)
        ranges += [period.containing(_possible(day)) for day in self.dates]
        if ahead is not None:
            ranges += next_periods(table, desk.today, ahead, desk.zone)
        wanted = tuple(dict.fromkeys(ranges))
        lacking = missing(table, wanted, desk.zone) if table.default is not None else ()
        default_rows = desk.default_rows(table, [new.bounds for new in lacking])
        return plan_ensure(table, wanted, zone=desk.zone, default_rows=default_rows)


@dataclass(frozen=True, slots=True)
class NewPartition:
    """A partition to be made."""

    name: str
    label: str
    bounds: Bounds


def _possible(day: date) -> date:
    """Raises UsageError for a date that is a slip of the hand, or whose period ends beyond the calendar."""
    if not 1000 <= day.year <= 9998:
        raise UsageError(f"{day} can't get a partition here.", next="Give a date of the years 1000 to 9998.")
    return day


def _require_width(table: PartitionedTable, usual: str) -> None:
    """Raises OffCalendar for a table without partitions, unless it is the one that the console is set to."""
    if not table.is_cut and table.name != split_qualified(usual)[1]:
        raise OffCalendar(
            f"{table.label} has no partition yet: nothing tells how wide its partitions are to be.",
            next="For years, name them: --year 2026 2027. Any other width begins with a partition made by hand.",
        )


def missing(table: PartitionedTable, ranges: Iterable[Range], zone: str = "UTC") -> tuple[NewPartition, ...]:
    """The partitions that the ranges need and the table lacks; bounds decide, names never.

    Raises Overlap where a range is held in part, or by an archived table; OffCalendar as `require_unit` does.
    """
    lacking = [wanted for wanted in ranges if not _is_held(table, wanted, zone)]
    if lacking:
        require_unit(table, zone)
    return tuple(_missing(table, wanted, zone) for wanted in lacking)


def require_unit(table: PartitionedTable, zone: str = "UTC") -> None:
    """Raises OffCalendar where the partitions do not tell how the next one is to be cut."""
    if table.unit(zone) is not None:
        return
    newest = table.newest()
    if newest is None:
        what = f"No partition of {table.label} has two ends: nothing tells how wide the next one is to be."
    else:
        unit = newest.period(zone)
        is_what = (
            f"that is one {unit} alone beside others of another width"
            if unit
            else f"that is no day, week from Monday, month, quarter or year of the calendar in the time zone {zone}"
        )
        what = f"The newest partition of {table.label} goes {newest.text.removeprefix('FOR VALUES ')}: {is_what}."
    zones = "; if its ends are midnights of another time zone, set PARTITION_DESK_TIME_ZONE to that"
    raise OffCalendar(
        what,
        next="Create the next partitions by hand, from the end of the last one on"
        f"{zones if table.key is not None and table.key.type is KeyType.TIMESTAMPTZ else ''}.",
    )


def _is_held(table: PartitionedTable, wanted: Range, zone: str) -> bool:
    bounds = table.bounds_between(*wanted, zone)
    return any(p.bounds and p.bounds.covers(bounds) for p in table.holding(*wanted, zone))


def _missing(table: PartitionedTable, wanted: Range, zone: str) -> NewPartition:
    lower, upper = wanted
    bounds = table.bounds_between(lower, upper, zone)
    holding = table.holding(lower, upper, zone)
    period = period_of(lower, upper)
    label = period.label(lower) if period else f"{lower:%Y%m%d}_{upper:%Y%m%d}"
    if holding:
        names = ", ".join(p.name for p in holding)
        raise Overlap(
            f"{label} can't get a partition of its own: {names} holds a part of it.",
            next=f"Its bounds are {'; '.join(p.bounds.text for p in holding if p.bounds)}.",
        )
    archived = table.archived_in(lower, upper, zone)
    if archived:
        names = ", ".join(f"{a.schema}.{a.name}" for a in archived)
        raise Overlap(
            f"{label} is archived in {names}: a new partition would keep it from coming back.",
            next=f"Reattach it instead: {twin('reattach', table, table.called(archived[0]))}",
        )
    return NewPartition(fit(table.name, f"_{label}"), label, bounds)


def plan_ensure(table: PartitionedTable, ranges: Iterable[Range], *, zone: str = "UTC", default_rows: int = 0) -> Plan:
    """A plan that gives each range a partition: LIKE, then ATTACH, each range a transaction of its own.

    `default_rows` is how many rows of the ranges the DEFAULT partition holds. No steps when nothing is missing.
    Raises Refused for what stands in the way.
    """
    key = require_served(table)
    wanted = tuple(ranges)
    new = missing(table, wanted, zone)
    steps: list[Step] = []
    if new:
        _require_possible(table, new, default_rows)
        steps = [step for one in new for step in _create(table, key, one)]
    labels = listed([one.label for one in new]) or "nothing"
    return Plan(
        operation=ENSURE,
        table=table.address,
        subject=labels,
        basis=basis(table, all_partitions=True),
        steps=tuple(steps),
        effects=tuple(_effects(table, new)),
        warnings=tuple(_warnings(table, new)) if new else (),
        way_back="An empty partition can be detached and dropped at any time; nothing else changes.",
        command=twin("ensure", table, "", *_said(table, wanted, zone)),
    )


def _effects(table: PartitionedTable, new: tuple[NewPartition, ...]) -> Iterator[str]:
    if not new:
        yield f"{table.address} has all of it already."
        return
    for one in new:
        yield f"{one.name} is created, empty, for {one.bounds.lower_sql} up to, not including, {one.bounds.upper_sql}."
    yield from told_copied(table.equipment)


def _warnings(table: PartitionedTable, new: tuple[NewPartition, ...]) -> Iterator[str]:
    yield from entering(table, _home(table), (one.name for one in new), published_like(table.equipment))
    yield from told_apart(table.equipment)


def _said(table: PartitionedTable, wanted: tuple[Range, ...], zone: str) -> Iterator[str]:
    """The ranges as options: whole years by their number, any other period by its first date."""
    left = dict.fromkeys(wanted)
    period = table.period(zone)
    for year in dict.fromkeys(lower.year for lower, _ in wanted):
        whole = tuple(period.cover(date(year, 1, 1), date(year + 1, 1, 1))) if year < date.max.year else ()
        if whole and all(part in left for part in whole):
            yield f"--year {year}"
            for part in whole:
                del left[part]
    yield from (f"--date {lower}" for lower, _ in left)


def _home(table: PartitionedTable) -> str:
    """The schema of a new partition: that of its siblings where they share one."""
    return table.equipment.schema or table.schema


def _require_possible(table: PartitionedTable, new: tuple[NewPartition, ...], default_rows: int) -> None:
    require_nothing_pending(table)
    home = _home(table)
    if not (table.may_create if home == table.schema else table.equipment.may_create):
        raise NotAllowed(
            f"The role {table.server.user} may not create tables in the schema {home}.",
            next=f"Run as its owner: GRANT CREATE ON SCHEMA {ident(home)} TO {ident(table.server.user)}.",
        )
    if table.equipment.unread:
        raise Refused(
            f"Every partition of {table.label} is locked by somebody else: what a new one has to have can't be read.",
            next="Try again once that has ended.",
        )
    for one in new:
        if one.name in table.taken:
            raise NameTaken(
                f"The name {table.schema}.{one.name} is taken by a table that is not a partition of {table.name}.",
                next="Rename that table, or attach it if it holds the rows of that time.",
            )
    if default_rows and table.default is not None:
        raise NotAttachable(
            f"The DEFAULT partition {table.default.name} holds {plural(default_rows, 'row')} of"
            f" {listed([one.label for one in new])}.",
            ("PostgreSQL refuses the new partition while they are there.",),
            next=LEAVE_IN_DEFAULT,
        )


def _create(table: PartitionedTable, key: Key, new: NewPartition) -> tuple[Step, ...]:
    relation = qualified(_home(table), new.name)
    whole = outfit(table, _home(table), new.name)
    return (
        *exclude_from_default(table, key, new.bounds, new.label),
        Step(
            f"Create {new.name} and attach it",
            (
                *whole.create,
                attach(table, relation, new.bounds),
                *whole.late,
                *readmit_to_default(table, new.label),
            ),
            (*attach_locks(table, relation), *whole.locks),
        ),
    )
