"""Reattach: an archived table comes back under its parent, without holding up anybody who uses it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from core.errors import (
    PartitionNotFound,
)
from core.names import comment_sql, ident, qualified
from core.plans.attachable import (
    built_within,
    home_of,
    is_not_null,
    missing_foreign_keys,
    missing_indexes,
    require_attachable,
)
from core.plans.beside import beside_returning
from core.plans.bound import require_alone_back
from core.plans.branch import locks_below, moved_home, require_movable, told_below
from core.plans.operation import Danger, Operation, Scope, Sources, table_for
from core.plans.plan import Lock, Mode, Plan, Step, basis, nothing_to_do
from core.plans.publishing import returning
from core.plans.refusals import require_nothing_pending, require_served
from core.plans.spread import spread_like_parent
from core.plans.steps import (
    add_check,
    attach,
    attach_locks,
    check_name,
    default_meanwhile,
    exclude_from_default,
    is_excluded,
    prove_bounds,
    readmit_to_default,
)
from core.plans.target import Target, archived_of, called_in
from core.tables.archived import Archived, Source
from core.tables.bounds import Bounds, within
from core.tables.commands import twin
from core.tables.equipment import Equipped
from core.tables.key import Key, KeyRange
from core.tables.marks import Marks
from core.tables.table import PartitionedTable
from core.text import listed

REATTACH = Operation("reattach", "Reattach", "reattaching", Danger.DIALOG, scope=Scope.PARTITIONS)


@dataclass(frozen=True, slots=True)
class Reattach:
    """That an archived table comes back."""

    operation: ClassVar = REATTACH
    table: str | PartitionedTable
    partition: Target

    def plan(self, desk: Sources) -> Plan:
        """Reads the range of its rows where no CHECK proves it, and counts what the DEFAULT holds of it."""
        table = table_for(desk, self.table)
        name = archived_of(table, self.partition, desk.zone)
        archived = table.find_archived(name)
        if archived is None:
            return plan_reattach(table, name)
        require_alone_back(desk, table, archived)
        seen = look_at(desk, table, archived)
        return plan_reattach(table, name, rows=seen.rows, default_rows=seen.default_rows, own=seen.own)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is read of an archived table before it comes back."""

    rows: KeyRange | None
    default_rows: int
    own: Equipped | None


def look_at(desk: Sources, table: PartitionedTable, archived: Archived) -> Seen:
    """Reads the range of its rows where no CHECK proves it, and counts what the DEFAULT holds of it."""
    rows, default_rows = None, 0
    own = desk.equipped(table, archived) if archived.is_plain and table.equipment.shared else None
    if archived.bounds is not None and table.key is not None:
        check = archived.bounds_check(table.key)
        if (check is None or not check.validated) and archived.has_key(table.key):
            rows = desk.key_range(table, archived)
        default_rows = desk.default_rows(table, [archived.bounds])
    return Seen(rows, default_rows, own)


def plan_reattach(
    table: PartitionedTable,
    name: str,
    *,
    rows: KeyRange | None = None,
    default_rows: int = 0,
    own: Equipped | None = None,
    zone: str = "UTC",
) -> Plan:
    """A plan that brings the archived table `name` back under the parent.

    `rows` is its real range of keys, needed unless a validated CHECK proves the bounds; `default_rows` how many rows
    of the range the DEFAULT holds; `own` what it has beyond its columns. Missing indexes are built and the bounds are
    proven before the attach, so that its lock lasts moments. No steps where it is attached. Raises Refused,
    NotAttachable with every reason at once.
    """
    key = require_served(table)
    attached = table.find(name)
    if attached is not None and not attached.pending:
        called = table.called(attached)
        why = f"{called} is attached to {table.label} already."
        return nothing_to_do(REATTACH, table.address, called, why, command=twin("reattach", table, called))
    require_nothing_pending(table)
    archived = _archived_by_name(table, name)
    require_movable(table, archived)
    bounds = require_attachable(table, key, archived, rows, default_rows)
    home = home_of(table, archived)
    called = table.called(archived)
    proof, made = prove_range(key, archived, bounds)
    steps = (
        *spread_like_parent(table, archived),
        *missing_indexes(table, archived),
        *proof,
        *missing_foreign_keys(table, archived),
        *exclude_from_default(table, key, bounds, archived.name),
        attach_step(table, archived, bounds, home, made),
    )
    return Plan(
        operation=REATTACH,
        table=table.address,
        subject=called,
        basis=basis(table, archived.oid, all_partitions=True),
        steps=steps,
        effects=(
            f"{archived.schema}.{archived.name} becomes a partition of {table.label} again,"
            f" for {bounds.lower_sql} up to, not including, {bounds.upper_sql}.",
            "Queries through the table return its rows again, and rows of its range can be written.",
            *told_below(archived),
        ),
        way_back=f"Archive: {twin('archive', table, called_in(table, archived, home))}",
        command=twin("reattach", table, called),
        warnings=(
            *reattach_warnings(table, archived, own),
            *default_meanwhile(table, archived.name),
            *returning(table, archived, home),
            *beside_returning(table),
        ),
        oid=archived.oid,
    )


def _archived_by_name(table: PartitionedTable, name: str) -> Archived:
    archived = table.find_archived(name)
    if archived is None:
        known = ", ".join(table.called(a) for a in table.archived) or "none"
        raise PartitionNotFound(f"No archived table {name} belongs to {table.label}.", next=f"Archived are: {known}.")
    return archived


def prove_range(
    key: Key, archived: Archived, bounds: Bounds, own: str = ""
) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """(the steps after which a validated CHECK says the bounds, those that go again with the attach).

    `own` is what a CHECK that is made for this is called. One without what the tables above a branch demand, as a
    backup has it, proves too little to the server.
    """
    check = archived.bounds_check(key)
    below = locks_below(archived, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False)
    for_this = check is not None and (check.name == own or (archived.tag is not None and archived.tag.made_check))
    made = (check.name,) if check is not None and for_this else ()
    whole = check is not None and key.above in check.definition
    if check is not None and whole and (check.excludes_null() or is_not_null(archived, key)):
        return (() if check.validated else (prove_bounds(archived.sql, check.name, below),)), made
    name = own or check_name(archived.name, key, tuple(one.name for one in archived.checks))
    write = Step(
        "Write down the bounds as a CHECK",
        (add_check(archived.sql, name, within(key, bounds)),),
        (Lock(archived.sql, Mode.ACCESS_EXCLUSIVE), *locks_below(archived, Mode.ACCESS_EXCLUSIVE)),
        undo=(f"ALTER TABLE {archived.sql} DROP CONSTRAINT {ident(name)}",),
    )
    return (write, prove_bounds(archived.sql, name, below)), (name, *(() if whole else made))


def attach_step(
    table: PartitionedTable, archived: Archived, bounds: Bounds, home: str, checks: tuple[str, ...]
) -> Step:
    relation = qualified(home, archived.name)
    statements = [*moved_home(archived, home)]
    built = built_within(table)
    statements += [
        f"ALTER TABLE {relation} DROP CONSTRAINT {ident(own.name)}"  # beside it there would be two
        for own in archived.indexes
        if own.exclusion and own.exclusion in {index.exclusion for index in built}
    ]
    statements.append(attach(table, relation, bounds))
    statements += [f"ALTER TABLE {relation} DROP CONSTRAINT {ident(check)}" for check in checks]
    statements += readmit_to_default(table, archived.name)
    if archived.marks != Marks(hold=archived.hold):  # what says that it is archived goes, a hold stays
        statements.append(comment_sql(relation, Marks(hold=archived.hold).beside(archived.comment)))
    below = locks_below(archived, Mode.ACCESS_EXCLUSIVE)
    locks = (Lock(archived.sql, Mode.ACCESS_EXCLUSIVE), *below, *attach_locks(table, relation))
    if built:
        locks = tuple(replace(lock, brief=False) for lock in locks)
    refuses = is_excluded(table, archived.name)
    title = "Attach it" if home == archived.schema else f"Move it back to {home} and attach it"
    return Step(title, tuple(statements), locks, refuses=refuses)


def reattach_warnings(table: PartitionedTable, archived: Archived, own: Equipped | None) -> tuple[str, ...]:
    found: list[str] = []
    missed = table.equipment.missed_by(own) if own is not None else ()
    if missed:
        found.append(
            f"It comes back without what the newest partitions share: {', '.join(trait.said for trait in missed)}."
            " The Doctor compares them once it is attached."
        )
    built = built_within(table)
    if built:
        names = ", ".join(index.name for index in built)
        others = [reference.other for reference in table.references]
        found.append(
            f"ATTACH builds the exclusion constraint {names} over all of its rows within its locks, which last as long:"
            " PostgreSQL takes over none that is there. Reads and writes of the table go on"
            f"{f', but for those of {table.default.name}' if table.default else ''}"
            f"{f'; writes to {listed(others)} wait' if others else ''}."
        )
    if archived.source is Source.NAME:
        found.append("It was archived by hand: its bounds come from its name and are proven against every row first.")
    if archived.source is Source.CHECK:
        found.append("It was archived by hand: its bounds come from its CHECK constraint.")
    return tuple(found)
