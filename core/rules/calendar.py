"""What rules would do over the coming days, found by asking for each day what is due and doing it on paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.names import fit
from core.plans.archive import ARCHIVE
from core.plans.backup import BACKUP
from core.plans.ensure import ENSURE, grid_for
from core.plans.verify import VERIFY
from core.rules.due import Act, Copy, Due, HeldBack, Moment, due
from core.rules.value import Rules
from core.tables.archived import Archived, Source
from core.tables.marks import Marks, Tag
from core.tables.partition import Partition
from core.tables.size import Size
from core.tables.table import PartitionedTable

DAYS = 366
"""Twelve months, and the day that a leap year has more."""
_NIGHT = time(3)
"""When a day's run is taken to be, where the rules have no window."""
_MOST = 10_000
"""Acts on paper, whatever the rules."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An act on the day that it would be done."""

    day: date
    act: Act


def acted(rules: Rules, table: PartitionedTable, at: Moment) -> Due:
    """What one run does, one act after the other, and what it leaves."""
    acts, _, _, held = _run(rules, table, at)
    return Due(tuple(acts), held)


def ahead(rules: Rules, table: PartitionedTable, at: Moment, days: int = DAYS) -> tuple[Planned, ...]:
    """What would be done by these rules, day by day from now on: one run a day, inside of the window.

    New partitions are taken to be as large as those of now are on average.
    """
    return tuple(_ahead(rules, table, at, days))


def _ahead(rules: Rules, table: PartitionedTable, at: Moment, days: int) -> Iterator[Planned]:
    left = _MOST
    for moment in _moments(rules, at, days):
        now = replace(at, now=moment, done=0 if moment > at.now else at.done)
        acts, table, copies, _ = _run(rules, table, now)
        at = replace(at, copies=copies)
        yield from (Planned(now.today, act) for act in acts)
        left -= len(acts)
        if left < 0:
            return


def _moments(rules: Rules, at: Moment, days: int) -> Iterator[datetime]:
    """The runs of the coming days: now, where that may be, and once in each window or night."""
    moment = at.now
    if rules.window is None or rules.window.is_open(moment):
        yield moment
    until = at.now + timedelta(days=days)
    zone = ZoneInfo(at.zone)
    while moment < until:
        if rules.window is not None:
            moment = rules.window.opens(moment)
        else:
            next_day = moment.astimezone(zone).date() + timedelta(days=1)
            moment = datetime.combine(next_day, _NIGHT, zone).astimezone(UTC)
        yield moment


def _run(
    rules: Rules, table: PartitionedTable, at: Moment
) -> tuple[list[Act], PartitionedTable, tuple[Copy, ...] | None, tuple[HeldBack, ...]]:
    """(what one run does, the table and the copies after it, what it holds back)."""
    acts: list[Act] = []
    seen: set[tuple[str, str]] = set()
    while True:
        found = due(rules, table, at)
        act = next((one for one in found.acts if one.key not in seen), None)
        if act is None or len(acts) > _MOST:
            return acts, table, at.copies, found.held
        seen.add(act.key)
        acts.append(act)
        table, at = _after(rules, table, at, act)


def _after(rules: Rules, table: PartitionedTable, at: Moment, act: Act) -> tuple[PartitionedTable, Moment]:
    """The table and what is known of it once an act was done."""
    if act.operation is ENSURE:
        return _with_new(rules, table, at, act), at
    at = replace(at, done=at.done + 1)
    copies = at.copies or ()
    if act.operation is ARCHIVE:
        return _archived(table, at, act), at
    if act.operation is BACKUP:
        return table, replace(at, copies=(*copies, Copy(f"of {act.oid}", act.subject, act.oid)))
    if act.operation is VERIFY:
        proven = (replace(one, proven=at.now, tried=at.now) if one.backup == act.backup else one for one in copies)
        return table, replace(at, copies=tuple(proven))
    left = tuple(one for one in table.archived if one.oid != act.oid)
    kept = (replace(one, of=None) if one.of == act.oid else one for one in copies)
    return replace(table, archived=left), replace(at, copies=tuple(kept))


def _with_new(rules: Rules, table: PartitionedTable, at: Moment, act: Act) -> PartitionedTable:
    cut = grid_for(table, rules.every, zone=at.zone, today=at.today)
    oid = min([0, *(one.oid for one in table.everything)])
    sizes = [one.size.total for one in table.ranges if one.size is not None]
    size = Size(sum(sizes) // max(1, len(sizes)), 0, 0, exact=False)
    new = []
    for number, bounds in enumerate(act.makes, 1):
        cell = cut.located(bounds)
        name = fit(table.name, f"_{cut.width.label(cell[0])}") if cell else table.name
        new.append(Partition(oid - number, table.schema, name, table.owner, bounds, size=size))
    ranges = sorted([*table.ranges, *new], key=lambda one: one.bounds.order if one.bounds else ())
    others = (one for one in table.partitions if one not in table.ranges)
    return replace(table, partitions=(*ranges, *others), as_of=at.now)


def _archived(table: PartitionedTable, at: Moment, act: Act) -> PartitionedTable:
    one = table.by_oid(act.oid)
    if isinstance(one, Archived):
        moved = replace(one, schema=table.archive.name)
        return replace(table, archived=tuple(moved if each is one else each for each in table.archived))
    if one is None or one.bounds is None:
        return table
    tag = Tag(table.sql, one.schema, one.bounds.text, at.now.astimezone(UTC).isoformat(), made_check=False)
    own, marks = Marks.split(one.comment)
    gone = Archived(
        one.oid,
        table.archive.name,
        one.name,
        one.owner,
        one.bounds,
        Source.TAG,
        tag,
        own,
        hold=marks.hold,
        size=one.size,
    )
    left = tuple(each for each in table.partitions if each is not one)
    return replace(table, partitions=left, archived=(*table.archived, gone), as_of=at.now)
