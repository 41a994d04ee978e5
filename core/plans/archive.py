"""Archive: a partition leaves its parent for the archive schema; `reattach` beside it is the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from core.errors import (
    NameTaken,
    NotAllowed,
    PartitionNotFound,
    PeriodNotOver,
    Refused,
)
from core.names import comment_sql, ident, qualified
from core.plans.attachable import (
    SHARED_NAMES,
)
from core.plans.beside import beside_archiving
from core.plans.bound import require_alone
from core.plans.branch import (
    homes_below,
    locks_below,
    locks_moved,
    moved_away,
    own_sequences,
    require_movable,
    require_names_apart,
    told_below,
)
from core.plans.operation import Danger, Operation, Sources, table_for
from core.plans.plan import Lock, Mode, Plan, Step, basis, nothing_to_do
from core.plans.publishing import leaving
from core.plans.refusals import require_nothing_pending, require_served
from core.plans.steps import (
    add_check,
    check_name,
    prove_bounds,
)
from core.plans.target import Target, called_in, partition_of
from core.plans.under_way import require_still
from core.tables.archived import Archived
from core.tables.bounds import Bounds, within
from core.tables.commands import twin
from core.tables.coverage import frontier
from core.tables.key import Key
from core.tables.marks import Marks, Tag
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import plural, to_run

ARCHIVE = Operation("archive", "Archive", "archiving", Danger.DIALOG)


@dataclass(frozen=True, slots=True)
class Archive:
    """That a partition leaves its table for the archive schema."""

    operation: ClassVar = ARCHIVE
    table: str | PartitionedTable
    partition: Target
    allow_current: bool = False
    """Also where its dates are not over yet."""

    def plan(self, desk: Sources) -> Plan:
        """Reads whether its rows are being moved."""
        table = table_for(desk, self.table)
        name = partition_of(table, self.partition, desk.zone)
        require_still(table, desk.under_way(table), name)
        require_alone(desk, table, name)
        return plan_archive(table, name, now=desk.now, zone=desk.zone, allow_current=self.allow_current)


def plan_archive(
    table: PartitionedTable, name: str, *, now: datetime, zone: str = "UTC", allow_current: bool = False
) -> Plan:
    """A plan that detaches the partition `name` and moves it to the archive schema, tagged with its bounds.

    CONCURRENTLY wherever the server allows it, else in one transaction. From a detach that was cut short, or a
    move that was, it plans what is left; no steps where nothing is. `now` goes into the tag. Raises Refused for what
    stands in the way.
    """
    key = require_served(table)
    partition = table.find(name)
    if partition is None:
        return plan_rest(table, key, name)
    bounds = require_archivable(table, partition, now, zone, allow_current)
    comment = noted(table, key, partition, bounds, now)
    prepare = (*make_schema(table), *hand_over(table, partition))
    if partition.pending:
        steps = (*prepare, *_finish(table, partition, comment))
    elif table.default is None and table.detaches_concurrently:
        steps = (*_rehearse(table, key, partition, prepare, comment), *prepare)
        steps += _detach_concurrently(table, partition, comment)
    else:
        steps = (*prepare, *_detach_in_transaction(table, key, partition, bounds, comment))
    target = f"{table.archive.name}.{partition.name}"
    called = table.called(partition)
    return Plan(
        operation=ARCHIVE,
        table=table.address,
        subject=called,
        basis=basis(table, partition.oid),
        steps=steps,
        effects=_effects(table, partition, target),
        way_back=f"Reattach: {twin('reattach', table, called_in(table, partition, table.archive.name))}",
        command=twin("archive", table, called, *(["--allow-current"] if allow_current else [])),
        warnings=warnings_of(table, partition),
        oid=partition.oid,
    )


def noted(table: PartitionedTable, key: Key, partition: Partition, bounds: Bounds, now: datetime) -> str:
    """The statement that writes into its comment where it comes from and which range it holds."""
    tag = Tag(
        parent=table.sql,
        schema=partition.schema,
        bounds=bounds.text,
        archived_at=now.astimezone(UTC).isoformat(timespec="seconds"),
        made_check=not any(check.says(key, bounds) for check in partition.checks),
        key=key.column,
        oid=table.oid,
        cluster=table.server.cluster,
        below=homes_below(partition),
    )
    own, marks = Marks.split(partition.comment)
    return comment_sql(partition.sql, Marks(tag, marks.hold).beside(own))


def require_archivable(
    table: PartitionedTable, partition: Partition, now: datetime, zone: str, allow_current: bool
) -> Bounds:
    if table.pending is not None and table.pending is not partition:
        require_nothing_pending(table)
    require_movable(table, partition)
    if partition.bounds is None:
        raise Refused(f"The bounds of {partition.name} can't be read just now.", next="Try again in a moment.")
    if partition.is_default:
        raise Refused(f"{partition.name} is the DEFAULT partition: it has no period that could be over.")
    end, reached = partition.bounds.upper, frontier(table, now, zone)
    over = end is not None and reached is not None and end <= reached
    if not allow_current and not partition.pending and not over:
        what = "dates that are not over" if table.key and table.key.clock else "the newest rows, as far as is known"
        raise PeriodNotOver(
            f"{partition.name} holds {what}: it goes up to {partition.bounds.upper_sql}.",
            next="If new rows may fail, allow it explicitly: --allow-current.",
        )
    require_room(table, partition)
    return partition.bounds


def require_room(table: PartitionedTable, one: Partition | Archived) -> None:
    archive = table.archive
    if not archive.exists and not table.server.may_create_schema:
        raise NotAllowed(
            f"The schema {archive.name} does not exist and the role {table.server.user} may not create it.",
            next="Run once as an administrator: "
            + to_run(f"CREATE SCHEMA {ident(archive.name)} AUTHORIZATION {ident(table.server.user)}"),
        )
    if archive.exists and not archive.may_create:
        raise NotAllowed(
            f"The role {table.server.user} may not create tables in the schema {archive.name}.",
            next="Run as its owner: "
            + to_run(f"GRANT USAGE, CREATE ON SCHEMA {ident(archive.name)} TO {ident(table.server.user)}"),
        )
    require_names_apart(one)
    staying = {own.name for _, own in own_sequences(one) if own.stays}
    clash = sorted(({*one.names, *one.type_names} - staying) & archive.taken)
    if clash:
        raise NameTaken(
            f"{archive.name} already holds {', '.join(clash)}; {SHARED_NAMES}.",
            next="Rename what stands there, if nobody reads it by that name.",
        )


def make_schema(table: PartitionedTable) -> tuple[Step, ...]:
    if table.archive.exists:
        return ()
    schema = ident(table.archive.name)
    return (
        Step(
            f"Create the schema {table.archive.name}, closed to the public",
            (f"CREATE SCHEMA IF NOT EXISTS {schema}", f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC"),
            undo=(f"DROP SCHEMA {schema}",),
            if_missing=True,
        ),
    )


def hand_over(table: PartitionedTable, one: Partition | Archived) -> Iterator[Step]:
    """The sequences that others use stay where programs look for them: with the table's column, else on their own."""
    for owner, own in own_sequences(one):
        if not own.stays:
            continue
        heir = own.heir if own.may_inherit else None
        alter = f"ALTER SEQUENCE {own.sql} OWNED BY"
        yield Step(
            f"Leave the sequence {own.label} where it is"
            + (f" and give it to {table.name}.{heir}" if heir else ", owned by no column"),
            (f"{alter} {f'{table.sql}.{ident(heir)}' if heir else 'NONE'}",),
            (Lock(own.sql, Mode.SHARE_ROW_EXCLUSIVE),),
            undo=(f"{alter} {owner}.{ident(own.column)}",),
        )


def _detach_concurrently(table: PartitionedTable, partition: Partition, comment: str) -> tuple[Step, ...]:
    detach = f"ALTER TABLE {table.sql} DETACH PARTITION {partition.sql}"
    return (
        _tag_step(partition, comment),
        Step(
            f"Detach {partition.name} while reads and writes go on",
            (f"{detach} CONCURRENTLY",),
            detach_locks(table, partition, Mode.SHARE_UPDATE_EXCLUSIVE),
            transactional=False,
            finish=f"{detach} FINALIZE",
        ),
        _move_step(table, partition),
    )


def _rehearse(
    table: PartitionedTable, key: Key, partition: Partition, prepare: tuple[Step, ...], comment: str
) -> tuple[Step, ...]:
    """The whole archive at once and taken back, where event triggers could refuse it halfway.

    A concurrent detach runs them in its second transaction, when there is no way back. A plain one would read every row
    that refers to the table under its lock, so that those foreign keys go first; where they are another's, any change
    of the table stands for its detach.
    """
    triggers = table.server.event_triggers
    if not triggers:
        return ()
    if all(fk.owned for fk in table.referenced_by):
        drops = (f"ALTER TABLE {fk.other} DROP CONSTRAINT {ident(fk.name)}" for fk in table.referenced_by)
        detach = (*drops, f"ALTER TABLE {table.sql} DETACH PARTITION {partition.sql}")
        locks = detach_locks(table, partition, Mode.ACCESS_EXCLUSIVE)
    else:
        detach = (f"ALTER TABLE {table.sql} ALTER COLUMN {ident(key.columns[0])} SET STATISTICS -1",)
        locks = (Lock(table.sql, Mode.SHARE_UPDATE_EXCLUSIVE), Lock(partition.sql, Mode.ACCESS_EXCLUSIVE))
    return (
        Step(
            f"Try it and take it back at once, because event triggers see it: {', '.join(triggers)}",
            (
                *(statement for step in prepare for statement in step.statements),
                comment,
                *detach,
                *moved_away(partition, table.archive.name),
            ),
            (*(lock for step in prepare for lock in step.locks), *locks),
            rehearsal=True,
        ),
    )


def _finish(table: PartitionedTable, partition: Partition, comment: str) -> tuple[Step, ...]:
    """From detach pending to archived; the tag comes first, so that the table is known whatever happens after."""
    return (
        *(() if Marks.split(partition.comment)[1].tag else (_tag_step(partition, comment),)),
        Step(
            f"Finish the detach of {partition.name}",
            (f"ALTER TABLE {table.sql} DETACH PARTITION {partition.sql} FINALIZE",),
            detach_locks(table, partition, Mode.SHARE_UPDATE_EXCLUSIVE),
            waits_for_all=True,
        ),
        _move_step(table, partition),
    )


def _tag_step(partition: Partition, comment: str) -> Step:
    return Step(
        f"Write the bounds of {partition.name} into its comment",
        (comment,),
        (Lock(partition.sql, Mode.SHARE_UPDATE_EXCLUSIVE),),
        undo=(comment_sql(partition.sql, partition.comment),),
    )


def _move_step(table: PartitionedTable, one: Partition | Archived) -> Step:
    below = f", and {plural(len(one.members), 'table')} below it" if one.members else ""
    return Step(
        f"Move {one.name} to {table.archive.name}{below}",
        tuple(moved_away(one, table.archive.name)),
        (Lock(one.sql, Mode.ACCESS_EXCLUSIVE), *locks_below(one, Mode.ACCESS_EXCLUSIVE)),
    )


def _detach_in_transaction(
    table: PartitionedTable, key: Key, partition: Partition, bounds: Bounds, comment: str
) -> tuple[Step, ...]:
    locks = detach_locks(table, partition, Mode.ACCESS_EXCLUSIVE)
    if table.default is not None:
        locks = (*locks, Lock(table.default.sql, Mode.ACCESS_EXCLUSIVE))
    detach = Step(
        f"Detach {partition.name}, note its bounds and move it to {table.archive.name}",
        detached(table, key, partition, bounds, comment),
        locks,
    )
    return (detach, *proof_after(table, key, partition, bounds))


def detached(
    table: PartitionedTable, key: Key, partition: Partition, bounds: Bounds, comment: str, *between: str
) -> tuple[str, ...]:
    """The statements of one transaction that detach it, note its bounds and move it; `between` come after the first."""
    check = next((c for c in partition.checks if c.says(key, bounds)), None)
    add = () if check else (add_check(partition.sql, _bounds_name(key, partition, bounds), within(key, bounds)),)
    return (
        f"ALTER TABLE {table.sql} DETACH PARTITION {partition.sql}",
        *between,
        *add,
        comment,
        *moved_away(partition, table.archive.name),
    )


def proof_after(table: PartitionedTable, key: Key, partition: Partition, bounds: Bounds) -> tuple[Step, ...]:
    """What proves its bounds once it is archived; nothing where they are proven."""
    if any(check.says(key, bounds) and check.validated for check in partition.checks):
        return ()
    below = locks_moved(partition, table.archive.name, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False)
    name = _bounds_name(key, partition, bounds)
    return (prove_bounds(qualified(table.archive.name, partition.name), name, below),)


def _bounds_name(key: Key, partition: Partition, bounds: Bounds) -> str:
    check = next((c for c in partition.checks if c.says(key, bounds)), None)
    return check.name if check else check_name(partition.name, key, partition.constraint_names)


def detach_locks(table: PartitionedTable, partition: Partition, parent: Mode) -> tuple[Lock, ...]:
    others = [Lock(other, Mode.SHARE_ROW_EXCLUSIVE) for other in dict.fromkeys(fk.other for fk in table.references)]
    others += [Lock(other, Mode.ACCESS_EXCLUSIVE) for other in dict.fromkeys(fk.other for fk in table.referenced_by)]
    own = (Lock(partition.sql, Mode.ACCESS_EXCLUSIVE), *locks_below(partition, Mode.ACCESS_EXCLUSIVE))
    return (Lock(table.sql, parent), *own, *others)


def _effects(table: PartitionedTable, partition: Partition, target: str) -> tuple[str, ...]:
    later = (
        f"New rows of its range land in the DEFAULT partition {table.default.name} instead of failing,"
        " and keep it from being reattached until they are moved."
        if table.default
        else "New rows of its range fail."
    )
    return (
        f"{partition.name} is detached from {table.label}: queries through the table no longer return its rows."
        f" {later}",
        f"It moves to {target} with its bounds written on it, so that reattaching reads no row.",
        *told_below(partition),
    )


def warnings_of(table: PartitionedTable, partition: Partition) -> tuple[str, ...]:
    found: list[str] = []
    if partition.pending:
        found.append("Its detach was begun before and is finished now; its rows are out of the table's sight already.")
    if table.referenced_by:
        names = ", ".join(dict.fromkeys(fk.other for fk in table.referenced_by))
        found.append(f"Rows that {names} refers to keep the partition from being detached; then nothing happens.")
    if table.archive.open_to_public:
        found.append(f"The schema {table.archive.name} is open to every role of the database.")
    found += leaving(table, partition)
    found += beside_archiving(table)
    for _, own in own_sequences(partition):
        if own.identity and own.users:
            found.append(
                f"The sequence {own.label} of its identity column {own.column} moves with it, and is used by"
                f" {'; '.join(own.users)}: those go on; a program names it in {table.archive.name} then."
            )
        elif not own.stays and not own.identity:
            found.append(f"The sequence {own.label}, which nothing else is known to use, moves with it, and back.")
    found.append("Archived rows are readable by their owner alone until you grant more; row security is off there.")
    return tuple(found)


def plan_rest(table: PartitionedTable, key: Key, name: str) -> Plan:
    """What an archive that was cut short after its detach still lacks: the move, or the proof of the bounds."""
    archived = table.find_archived(name)
    if archived is None:
        known = ", ".join(table.called(p) for p in table.partitions) or "none"
        raise PartitionNotFound(f"{table.label} has no partition {name}.", next=f"Its partitions are: {known}.")
    called = table.called(archived)
    steps: list[Step] = []
    if archived.tag is not None and archived.schema != table.archive.name:
        require_room(table, archived)
        require_movable(table, archived)
        steps += [*make_schema(table), *hand_over(table, archived)]
        steps.append(_move_step(table, archived))
    check = archived.bounds_check(key)
    if archived.tag is not None and check is not None and not check.validated:
        below = locks_moved(archived, table.archive.name, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False)
        steps.append(prove_bounds(qualified(table.archive.name, archived.name), check.name, below))
    if not steps:
        why = f"{called} is archived already: {archived.schema}.{archived.name}."
        return nothing_to_do(ARCHIVE, table.address, called, why, command=twin("archive", table, called))
    return Plan(
        operation=ARCHIVE,
        table=table.address,
        subject=called,
        basis=basis(table, archived.oid),
        steps=tuple(steps),
        effects=("It is detached already; this finishes what an interrupted archive left.",),
        way_back=f"Reattach: {twin('reattach', table, called_in(table, archived, table.archive.name))}",
        command=twin("archive", table, called),
        oid=archived.oid,
    )
