"""Sets: partitions of one period in tables that foreign keys bind to each other leave and come back as one.

All of it is one transaction: the referring partition is detached before the one that it refers to, and comes back after
it. A concurrent detach is none, so that both tables are locked while the server looks for rows that would be left.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar

from core.errors import DetachPending
from core.names import ident, split_qualified
from core.plans.archive import (
    ARCHIVE,
    detach_locks,
    detached,
    hand_over,
    make_schema,
    noted,
    plan_rest,
    proof_after,
    require_archivable,
    warnings_of,
)
from core.plans.attachable import home_of, missing_foreign_keys, missing_indexes, require_attachable
from core.plans.bound import meant, parts_of
from core.plans.operation import Sources, table_for
from core.plans.plan import Beside, Lock, Mode, Plan, Step, basis, nothing_to_do
from core.plans.reattach import REATTACH, Seen, attach_step, look_at, prove_range, reattach_warnings
from core.plans.refusals import require_nothing_pending, require_served
from core.plans.spread import spread_like_parent
from core.plans.steps import READ_A_SECOND, exclude_from_default
from core.plans.target import Target, archived_of, partition_of
from core.plans.under_way import require_still
from core.tables.archived import Archived
from core.tables.bonds import Part
from core.tables.commands import twin
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import human_bytes, human_seconds, listed


@dataclass(frozen=True, slots=True)
class ArchiveSet:
    """That a partition, and those of the same period that are bound to it, leave their tables as one."""

    operation: ClassVar = ARCHIVE
    table: str | PartitionedTable
    partition: Target
    allow_current: bool = False

    def plan(self, desk: Sources) -> Plan:
        """Reads the tables that it is bound to."""
        table = table_for(desk, self.table)
        one = meant(table, partition_of(table, self.partition, desk.zone))
        parts = parts_of(desk, table, one)
        for part in parts:
            require_still(part.table, desk.under_way(part.table), part.called)
        return plan_archive_set(table, parts, now=desk.now, zone=desk.zone, allow_current=self.allow_current)


@dataclass(frozen=True, slots=True)
class ReattachSet:
    """That what was archived of one period in tables that are bound to each other comes back as one."""

    operation: ClassVar = REATTACH
    table: str | PartitionedTable
    partition: Target

    def plan(self, desk: Sources) -> Plan:
        """Reads the tables that it is bound to, and of each what a reattach reads."""
        table = table_for(desk, self.table)
        one = meant(table, archived_of(table, self.partition, desk.zone))
        parts = parts_of(desk, table, one)
        seen = {part.one.oid: look_at(desk, part.table, part.one) for part in parts if isinstance(part.one, Archived)}
        return plan_reattach_set(table, parts, seen)


def _own(table: PartitionedTable, parts: tuple[Part, ...]) -> Part:
    return next(part for part in parts if part.table is table)


def _subject(table: PartitionedTable, parts: tuple[Part, ...]) -> str:
    own = _own(table, parts)
    return f"{own.called} with {', '.join(part.called for part in parts if part is not own)}"


def _made(operation: str, table: PartitionedTable, parts: tuple[Part, ...], *words: str) -> str:
    return twin(operation, table, _own(table, parts).called, "--set", *words)


@dataclass(slots=True)
class _Course:
    """What is done before the one transaction in which all of it happens, in it, and after it."""

    before: list[Step] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    locks: list[Lock] = field(default_factory=list)
    after: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refuses: bool = False

    def steps(self, title: str) -> tuple[Step, ...]:
        """All of it in order."""
        if not self.statements:
            return (*self.before, *self.after)
        whole = Step(title, tuple(self.statements), tuple(self.locks), refuses=self.refuses)
        return (*self.before, whole, *self.after)


def plan_archive_set(
    table: PartitionedTable,
    parts: tuple[Part, ...],
    *,
    now: datetime,
    zone: str = "UTC",
    allow_current: bool = False,
) -> Plan:
    """A plan that archives what is attached of the parts, which refer to each other in their order, or none of it.

    What is archived already loses the foreign keys that would keep the others, and what an interrupted archive left
    is finished. No steps where nothing is left.
    """
    course = _Course()
    leaving = [part for part in parts if isinstance(part.one, Partition)]
    for part in parts:
        if isinstance(part.one, Partition):
            _leave(course, part, part.one, parts, now, zone, allow_current=allow_current)
        elif leaving:
            course.statements += _drop_keys(part)
            course.locks += [Lock(part.one.sql, Mode.ACCESS_EXCLUSIVE)] if part.keys else []
        if isinstance(part.one, Archived):
            course.after += plan_rest(part.table, require_served(part.table), part.called).steps
    names = listed(part.called for part in leaving)
    steps = course.steps(f"Detach {names}, note their bounds and move them, all or none")
    command = _made("archive", table, parts, *(["--allow-current"] if allow_current else []))
    if not steps:
        why = f"{listed(part.called for part in parts)} are archived already."
        return nothing_to_do(ARCHIVE, table.address, _subject(table, parts), why, command=command)
    return Plan(
        operation=ARCHIVE,
        table=table.address,
        subject=_subject(table, parts),
        basis=basis(table, _own(table, parts).one.oid),
        steps=steps,
        effects=(
            *(f"{_gone(part)} New rows of its range {_new_rows(part.table)}." for part in leaving),
            "All of them go in one transaction: at no moment one is away and another is there."
            if leaving
            else "They are detached already; this finishes what an interrupted archive left.",
        ),
        way_back=f"Reattach: {_made('reattach', table, parts)}",
        command=command,
        warnings=tuple(dict.fromkeys((*_stall(leaving), *course.warnings))),
        oid=_own(table, parts).one.oid,
        beside=_beside(parts, table),
    )


def _leave(
    course: _Course,
    part: Part,
    one: Partition,
    parts: tuple[Part, ...],
    now: datetime,
    zone: str,
    *,
    allow_current: bool,
) -> None:
    """Adds what one partition takes to leave."""
    if one.pending:
        raise DetachPending(
            f"The detach of {part.called} was begun and not finished.",
            next=f"Finish that first: {twin('archive', part.table, part.called)}",
        )
    key = require_served(part.table)
    bounds = require_archivable(part.table, one, now, zone, allow_current)
    course.before += [*(() if course.before else make_schema(part.table)), *hand_over(part.table, one)]
    comment = noted(part.table, key, one, bounds, now)
    course.statements += detached(part.table, key, one, bounds, comment, *_drop_keys(part))
    course.locks += _locks(part.table, one)
    course.after += proof_after(part.table, key, one, bounds)
    bound = {(other.table.schema, other.table.name) for other in parts}
    left = tuple(fk for fk in part.table.referenced_by if split_qualified(fk.other) not in bound)
    course.warnings += warnings_of(replace(part.table, referenced_by=left), one)


def _drop_keys(part: Part) -> list[str]:
    """What is archived refers to nothing: its foreign keys would keep what they refer to. They come back with it.

    MEASURED: 14.23 takes them away itself when a partition is detached, 15 to 18 leave them.
    """
    maybe = "IF EXISTS " if part.table.server.major < 15 and isinstance(part.one, Partition) else ""
    return [f"ALTER TABLE {part.one.sql} DROP CONSTRAINT {maybe}{ident(name)}" for name in part.keys]


def _gone(part: Part) -> str:
    return (
        f"{part.called} is detached from {part.table.label} and moves to {part.table.archive.name}: queries through"
        " the table no longer return its rows."
    )


def _new_rows(table: PartitionedTable) -> str:
    return f"land in the DEFAULT partition {table.default.name}" if table.default else "fail"


def _locks(table: PartitionedTable, one: Partition) -> list[Lock]:
    """Those of a plain detach; where tables refer to it, they last as long as those are read."""
    locks = list(detach_locks(table, one, Mode.ACCESS_EXCLUSIVE))
    if table.default is not None:
        locks.append(Lock(table.default.sql, Mode.ACCESS_EXCLUSIVE))
    return [replace(lock, brief=False) for lock in locks] if table.referenced_by else locks


def _stall(leaving: list[Part]) -> list[str]:
    """How long everybody waits: the server reads the referring tables for rows that would be left without theirs."""
    every = {part.table.address: part for part in leaving}
    read: dict[str, int] = {}
    for part in leaving:
        for fk in part.table.referenced_by:
            for other in every.values():
                if split_qualified(fk.other) == (other.table.schema, other.table.name):
                    sizes = [one.size.heap for one in other.table.partitions if one.size and one is not other.one]
                    read[other.table.label] = sum(sizes)
    total = sum(read.values())
    if not read:
        return []
    return [
        f"Reads and writes of {listed(part.table.label for part in leaving)} wait while the server looks through"
        f" {listed(read)} ({human_bytes(total)}) for rows that refer to what leaves, about"
        f" {human_seconds(max(1, total / READ_A_SECOND))}: a concurrent detach could not be undone with the others."
    ]


def _beside(parts: tuple[Part, ...], table: PartitionedTable, *, all_partitions: bool = False) -> tuple[Beside, ...]:
    return tuple(
        Beside(
            part.table.address,
            part.one.oid,
            basis(part.table, part.one.oid, all_partitions=all_partitions),
        )
        for part in parts
        if part.table is not table
    )


def plan_reattach_set(table: PartitionedTable, parts: tuple[Part, ...], seen: dict[int, Seen]) -> Plan:
    """A plan that brings back what is archived of the parts, what is referred to first, or none of it.

    What each needs is made and proven before; the foreign keys between them are proven within, as what they refer to
    is there only then.
    """
    course = _Course()
    returning = [part for part in reversed(parts) if isinstance(part.one, Archived)]
    for part in returning:
        if isinstance(part.one, Archived):
            _return(course, part, part.one, parts, seen[part.one.oid])
    command = _made("reattach", table, parts)
    if not returning:
        why = f"{listed(part.called for part in parts)} are attached already."
        return nothing_to_do(REATTACH, table.address, _subject(table, parts), why, command=command)
    read = sum(part.one.size.heap for part in returning if part.one.size and part.table.references)
    return Plan(
        operation=REATTACH,
        table=table.address,
        subject=_subject(table, parts),
        basis=basis(table, _own(table, parts).one.oid, all_partitions=True),
        steps=course.steps(f"Attach {listed(part.called for part in returning)}, all or none"),
        effects=(
            *(
                f"{part.called} becomes a partition of {part.table.label} again: queries return its rows."
                for part in returning
            ),
            "All of them come in one transaction: at no moment rows are there without those that they refer to.",
        ),
        way_back=f"Archive: {_made('archive', table, parts)}",
        command=command,
        warnings=(
            f"Writes to {listed(part.table.label for part in returning)} wait while the foreign keys between them are"
            f" proven, about {human_seconds(max(1, read / READ_A_SECOND))}; reads go on.",
            *dict.fromkeys(course.warnings),
        ),
        oid=_own(table, parts).one.oid,
        beside=_beside(parts, table, all_partitions=True),
    )


def _return(course: _Course, part: Part, archived: Archived, parts: tuple[Part, ...], seen: Seen) -> None:
    """Adds what one archived table takes to come back."""
    table, key = part.table, require_served(part.table)
    require_nothing_pending(table)
    bounds = require_attachable(table, key, archived, seen.rows, seen.default_rows)
    bound = {(each.table.schema, each.table.name) for each in parts}
    within = tuple(fk for fk in table.references if split_qualified(fk.other) in bound)
    apart = tuple(fk for fk in table.references if fk not in within)
    proof, made = prove_range(key, archived, bounds)
    course.before += [
        *spread_like_parent(table, archived),
        *missing_indexes(table, archived),
        *proof,
        *missing_foreign_keys(replace(table, references=apart), archived),
        *exclude_from_default(table, key, bounds, archived.name),
    ]
    keys = missing_foreign_keys(replace(table, references=within), archived)
    attach = attach_step(table, archived, bounds, home_of(table, archived), made)
    for each in (*keys, attach):
        course.statements += each.statements
        course.locks += [replace(lock, brief=False) for lock in each.locks]
    course.refuses = course.refuses or attach.refuses
    course.warnings += reattach_warnings(table, archived, seen.own)
