"""Ensure: create the partitions that ranges of dates need, without holding up anybody who uses the table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from itertools import islice
from typing import ClassVar
from zoneinfo import ZoneInfo

from core.errors import NameTaken, NotAllowed, NotAttachable, OffCalendar, Overlap, Refused, UsageError
from core.names import MAX_BYTES, fit, ident, qualified
from core.period import Range, Width, period_of
from core.plans.below import PLAIN, Branched, below, grown, models, told_branched
from core.plans.beside import beside_making
from core.plans.equip import published_like, told_apart, told_copied
from core.plans.operation import Danger, Operation, Scope, Sources, table_for
from core.plans.plan import Plan, Step, basis
from core.plans.publishing import entering
from core.plans.reading import ask_for_reading
from core.plans.refusals import require_nothing_pending, require_served
from core.plans.steps import (
    attach,
    attach_locks,
    default_meanwhile,
    exclude_from_default,
    is_excluded,
    out_of_default,
    readmit_to_default,
)
from core.tables.bounds import Bounds
from core.tables.commands import option, twin
from core.tables.coverage import covered_until, holders, is_covered
from core.tables.cut import Cut, cut_by
from core.tables.equipment import Equipment
from core.tables.key import Clock, Key, instant, key_value
from core.tables.naming import Pattern
from core.tables.table import PartitionedTable
from core.text import listed, plural, spanned, to_run

ENSURE = Operation(
    "ensure", "Ensure", "creating", Danger.CLICK, scope=Scope.ALL, counts_rows=False, told_apart_by="steps"
)


@dataclass(frozen=True, slots=True)
class Ensure:
    """That times have a partition each."""

    operation: ClassVar = ENSURE
    table: str | PartitionedTable
    ranges: tuple[Bounds, ...] = ()
    """Just these."""
    years: tuple[Range, ...] = ()
    """Whole years, each cut as the table is."""
    dates: tuple[date | datetime, ...] = ()
    """The partitions that hold these dates, or these local times of the application."""
    ahead: int | None = None
    """The current partition and so many after it; 1 where nothing else is asked for."""
    every: Width | None = None
    """How wide a partition is to be, where the table's own do not tell."""

    def plan(self, desk: Sources) -> Plan:
        """Counts what the DEFAULT holds of the ranges that lack a partition."""
        table = table_for(desk, self.table)
        cut = cut_for(table, desk, self.every)
        ahead = 1 if self.ahead is None and not (self.ranges or self.years or self.dates) else self.ahead
        cells = tuple(islice(self._cells(table, cut, desk, ahead), MOST_AT_ONCE + 1))
        if len(cells) > MOST_AT_ONCE:
            raise UsageError(f"That is more than {MOST_AT_ONCE:,} partitions at once.", next="Ask for less at a time.")
        wanted = tuple(dict.fromkeys([*self.ranges, *(cut.bounds(*cell) for cell in cells)]))
        lacking = [one for one in wanted if not is_covered(one, (p.bounds for p in table.ranges))]
        rows: dict[Bounds, int] = {}
        if table.default is not None and lacking and desk.default_rows(table, lacking):
            rows = {one: desk.default_rows(table, [one]) for one in lacking}
        return plan_ensure(table, wanted, cut, zone=desk.zone, default_rows=rows, every=self.every)

    def _cells(self, table: PartitionedTable, cut: Cut, desk: Sources, ahead: int | None) -> Iterator[Cell]:
        for lower, upper in self.years:
            yield from cut.cover(datetime.combine(lower, time()), datetime.combine(upper, time()))
        for day in self.dates:
            yield from _holding(cut, _possible(day), desk.zone)
        if ahead is not None:
            yield from next_cells(table, cut, desk.now, ahead, desk.zone)


Cell = tuple[datetime, datetime]
"""A range of local times in the zone of a grid."""


@dataclass(frozen=True, slots=True)
class NewPartition:
    """A partition to be made."""

    name: str
    label: str
    bounds: Bounds
    branched: Branched = PLAIN
    """What it gets below it."""

    @property
    def leaves(self) -> tuple[str, ...]:
        """The names of the tables that hold its rows."""
        return tuple(one.name for one in self.branched.every() if not one.split) or (self.name,)


MOST_AT_ONCE = 1100
"""The most partitions that one plan makes."""
MOST_BETWEEN = 100
"""The most partitions that are made between the last one and now, where none was made for a while."""


def cut_for(table: PartitionedTable, desk: Sources, every: Width | None) -> Cut:
    """The grid of the table's partitions; with `every`, one of that width from the end of the last one on.

    Raises OffCalendar where neither tells it.
    """
    return grid_for(table, every, zone=desk.zone, today=desk.today, usual=desk.usual_width(table))


def grid_for(
    table: PartitionedTable, every: Width | None, *, zone: str, today: date, usual: Width | None = None
) -> Cut:
    """The same; `usual` is how wide the first partition is, where nobody says it."""
    key = require_served(table)
    if table.uneven is not None:
        raise OffCalendar(
            f"Nothing tells where the next partition of {table.label} is to end: {table.cut(zone)}.",
            next="Make it by hand, with ends in every column of the key; it is served as the others are.",
        )
    found = table.cut(zone)
    if every is None:
        every = usual if not table.is_cut else None
    if isinstance(found, Cut) and every in (None, found.width):
        return found
    if every is None:
        raise uncut(table, str(found))
    if key.clock is None:
        raise OffCalendar(
            f"{table.label} can't get partitions of {every}: its key {key.name} tells no time.",
            next=ask_for_reading(table),
        )
    last = covered_until(table, today, zone) if table.is_cut else None
    grid = cut_by(key, every, zone, today)
    start = grid.local(last) if last is not None else None
    return grid if start is None else replace(grid, start=start)


def uncut(table: PartitionedTable, why: str) -> OffCalendar:
    """That nothing tells how the next partition is to be cut, and what to say."""
    zones = ""
    if table.key is not None and table.key.clock is Clock.INSTANT:
        zones = " If its ends are midnights of another time zone, set PARTITION_DESK_TIME_ZONE to that."
    every = twin("ensure", table, "", option("--every", "1 month"))
    asked = ask_for_reading(table)
    if asked or (table.key is not None and table.key.clock is None):
        return OffCalendar(
            f"Nothing tells when the next partition of {table.label} begins: {why}.",
            next=asked or "Make it by hand; it is served as the others are.",
        )
    return OffCalendar(
        f"Nothing tells how wide the next partition of {table.label} is to be: {why}.",
        next=f"Say it{', for what comes after the last one,' if table.is_cut else ','} as in: {every}.{zones}",
    )


def now_in(cut: Cut, now: datetime, zone: str) -> datetime:
    """This moment by the calendar of the grid; that of the application's zone where the key has none of its own."""
    place = cut.zone if cut.key.clock is Clock.INSTANT else zone
    return now.astimezone(ZoneInfo(place)).replace(tzinfo=None)


def next_cells(table: PartitionedTable, cut: Cut, now: datetime, ahead: int, zone: str = "UTC") -> tuple[Cell, ...]:
    """The cell of this moment and `ahead` more, before them what lies between the end of the last partition and now."""
    lower, upper = cut.containing(now_in(cut, now, zone))
    found = [(lower, upper)]
    try:
        for _ in range(ahead):
            lower, upper = upper, cut.width.after(upper)
            found.append((lower, upper))
    except (ValueError, OverflowError) as error:
        what = f"{ahead:,} times {cut.width} ahead lies beyond the calendar."
        raise OffCalendar(what, next="Ask for less.") from error
    if table.ranges and cut.start < found[0][0]:
        between = tuple(islice(cut.cover(cut.start, found[0][0]), MOST_BETWEEN + 1))
        found = [*(between if len(between) <= MOST_BETWEEN else ()), *found]
    return tuple(found)


def _possible(day: date | datetime) -> date | datetime:
    """Raises UsageError for a date that is a slip of the hand, or whose partition ends beyond the calendar."""
    if not 1000 <= day.year <= 9998:
        raise UsageError(f"{day} can't get a partition here.", next="Give a date of the years 1000 to 9998.")
    return day


def _holding(cut: Cut, day: date | datetime, zone: str) -> Iterator[Cell]:
    """The cells of a date, or the one of a local time in the application's zone."""
    if isinstance(day, datetime):
        moment = instant(day, zone) if cut.key.clock is Clock.INSTANT else day
        yield cut.containing(cut.local(moment) or day)
        return
    if not cut.width.seconds:
        yield cut.containing(datetime.combine(day, time()))
        return
    begin, end = (cut.local(key_value(cut.key, one, zone)) for one in (day, day + timedelta(days=1)))
    if begin is not None and end is not None:
        yield from cut.cover(begin, end)


def missing(
    table: PartitionedTable,
    wanted: Iterable[Bounds],
    cut: Cut,
    zone: str = "UTC",
    default_rows: Mapping[Bounds, int] | None = None,
) -> tuple[tuple[NewPartition, ...], tuple[Refused, ...]]:
    """(the partitions that the ranges need and the table lacks, why others can't be made); bounds decide, not names."""
    rows = default_rows or {}
    held = [p.bounds for p in table.ranges]
    pattern = table.pattern(zone)
    names = table.taken if _home(table) == table.schema else _equipment(table).taken
    taken = {*names, *(p.name for p in table.partitions)}
    new: list[NewPartition] = []
    refused: list[Refused] = []
    for bounds in wanted:
        if is_covered(bounds, held):
            continue
        one = named(table, bounds, cut, pattern, taken)
        refusal = _refusal(table, one, taken, rows.get(bounds, 0))
        try:
            if refusal is not None:
                raise refusal
            one = replace(one, branched=below(table, one.name, cut.located(bounds), cut, taken))
        except Refused as error:
            refused.append(error)
            continue
        new.append(one)
        taken |= {one.name, *(each.name for each in one.branched.every())}
    return tuple(new), tuple(refused)


def named(
    table: PartitionedTable, bounds: Bounds, cut: Cut, pattern: Pattern | None, taken: Iterable[str]
) -> NewPartition:
    """The partition for a range, named as its siblings are; by its label where that name is no name or is taken."""
    cell = cut.located(bounds)
    if cell is None:
        label = hashlib.sha256(bounds.text.encode()).hexdigest()[:8]
        return NewPartition(fit(table.name, f"_{label}"), bounds.text.removeprefix("FOR VALUES "), bounds)
    lower, upper = cell
    on_grid = cut.width.after(lower) == upper
    unit = None if on_grid or lower.time() != time() else period_of(lower.date(), upper.date())
    label = unit.label(lower.date()) if unit else f"{lower:%Y%m%d}_{upper:%Y%m%d}"
    if on_grid:
        label = cut.width.label(lower)
    own = fit(table.name, f"_{label}")
    if pattern is None or not on_grid:
        return NewPartition(own, label, bounds)
    name = pattern.made(lower, upper, 1 + cut.number(lower))
    fits = 0 < len(name.encode()) <= MAX_BYTES and name not in taken
    return NewPartition(name if fits else own, label, bounds)


def _refusal(table: PartitionedTable, new: NewPartition, taken: Iterable[str], default_rows: int) -> Refused | None:
    """Why this one can't be made."""
    holding = holders(table, new.bounds)
    if holding:
        names = listed(p.name for p in holding)
        texts = "; ".join(p.bounds.text for p in holding[:5] if p.bounds)
        what = f"{new.label} can't get a partition of its own: {names} holds a part of it."
        return Overlap(what, next=f"Its bounds are {texts}.")
    archived = [a for a in table.archived if a.bounds is not None and a.bounds.overlaps(new.bounds)]
    if archived:
        names = listed(f"{a.schema}.{a.name}" for a in archived)
        return Overlap(
            f"{new.label} is archived in {names}: a new partition would keep it from coming back.",
            next=f"Reattach it instead: {twin('reattach', table, table.called(archived[0]))}",
        )
    if new.name in taken:
        return NameTaken(
            f"The name {_home(table)}.{new.name} is taken by what is no partition of {table.name}.",
            next="Rename that, or attach it if it is a table that holds the rows of that time.",
        )
    if default_rows and table.default is not None:
        return NotAttachable(
            f"The DEFAULT partition {table.default.name} holds {plural(default_rows, 'row')} of {new.label}.",
            ("PostgreSQL refuses the new partition while they are there.",),
            next=out_of_default(table),
        )
    return None


def plan_ensure(
    table: PartitionedTable,
    wanted: Iterable[Bounds],
    cut: Cut,
    *,
    zone: str = "UTC",
    default_rows: Mapping[Bounds, int] | None = None,
    every: Width | None = None,
) -> Plan:
    """A plan that gives each range a partition: LIKE, then ATTACH, each range a transaction of its own.

    `default_rows` is how many rows of each range the DEFAULT partition holds. What can't be made is left out and told;
    no steps when nothing is missing. Raises Refused where nothing that is missing can be made.
    """
    key = require_served(table)
    ranges = tuple(wanted)
    new, refused = missing(table, ranges, cut, zone, default_rows)
    if refused and not new:
        raise refused[0]
    steps: list[Step] = []
    if new:
        _require_possible(table)
        steps = [step for one in new for step in _create(table, key, one)]
    labels = spanned([one.label for one in new]) or "nothing"
    return Plan(
        operation=ENSURE,
        table=table.address,
        subject=labels,
        basis=basis(table, all_partitions=True),
        steps=tuple(steps),
        effects=tuple(_effects(table, new)),
        warnings=tuple(_warnings(table, new)) if new else (),
        makes=tuple(one.name for one in new),
        ranges=tuple(one.bounds.text for one in new),
        left=tuple(f"{refusal.what} {refusal.next}".strip() for refusal in refused),
        way_back="An empty partition can be detached and dropped at any time; nothing else changes.",
        command=twin("ensure", table, "", *_said(ranges, cut, zone), *_every(every)),
    )


def _effects(table: PartitionedTable, new: tuple[NewPartition, ...]) -> Iterator[str]:
    if not new:
        yield f"{table.address} has all of it already."
        return
    for one in new:
        yield f"{one.name} is created, empty, for {one.bounds.lower_sql} up to, not including, {one.bounds.upper_sql}."
        yield from told_branched(one.name, one.branched)
    yield from told_copied(table.equipment)
    yield from told_copied(table.branching)


def _warnings(table: PartitionedTable, new: tuple[NewPartition, ...]) -> Iterator[str]:
    yield from default_meanwhile(table, *(one.label for one in new))
    yield from entering(
        table, _home(table), (name for one in new for name in one.leaves), published_like(table.equipment)
    )
    yield from told_apart(table.equipment)
    yield from beside_making(table)


def _every(every: Width | None) -> list[str]:
    return [option("--every", str(every))] if every is not None else []


def _said(wanted: tuple[Bounds, ...], cut: Cut, zone: str) -> Iterator[str]:
    """The ranges as options: whole years by their number, any other by its first date or local time."""
    cells = [cell for one in wanted if (cell := cut.located(one))]
    left = dict.fromkeys(cells)
    for year in dict.fromkeys(lower.year for lower, _ in cells if lower.year < MAXYEAR):
        whole = tuple(cut.cover(datetime(year, 1, 1), datetime(year + 1, 1, 1)))  # noqa: DTZ001 in the grid's zone
        if whole and all(part in left for part in whole):
            yield f"--year {year}"
            for part in whole:
                del left[part]
    for lower, _ in left:
        if cut.width.seconds and cut.key.clock is Clock.INSTANT:
            local = lower.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            yield option("--date", local.isoformat(sep=" "))
        else:
            yield option("--date", lower.isoformat(sep=" ") if cut.width.seconds else lower.date().isoformat())


def _equipment(table: PartitionedTable) -> Equipment:
    """What the newest siblings have, whether they are partitioned themselves or not."""
    return table.branching if models(table) else table.equipment


def _home(table: PartitionedTable) -> str:
    """The schema of a new partition: that of its siblings where they share one."""
    return _equipment(table).schema or table.schema


def _require_possible(table: PartitionedTable) -> None:
    require_nothing_pending(table)
    home = _home(table)
    if not (table.may_create if home == table.schema else _equipment(table).may_create):
        raise NotAllowed(
            f"The role {table.server.user} may not create tables in the schema {home}.",
            next="Run as its owner: "
            + to_run(f"GRANT USAGE, CREATE ON SCHEMA {ident(home)} TO {ident(table.server.user)}"),
        )
    if table.equipment.unread:
        raise Refused(
            f"Every partition of {table.label} is locked by somebody else: what a new one has to have can't be read.",
            next="Try again once that has ended.",
        )


def _create(table: PartitionedTable, key: Key, new: NewPartition) -> tuple[Step, ...]:
    relation = qualified(_home(table), new.name)
    whole = grown(table, _home(table), new.name, new.branched)
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
            refuses=is_excluded(table, new.label),
        ),
    )
