"""Drop, its delay and its undo: what ends an archived table, and what keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from core.errors import BackupNotFound, NotAllowed, NotVerified, Refused
from core.names import qualified
from core.period import Duration
from core.plans.branch import below_of, locks_below, require_copied
from core.plans.manifest import Backup
from core.plans.marking import comment_step, require_archived
from core.plans.operation import Danger, Operation, Sources, table_for
from core.plans.plan import Lock, Mode, Plan, Step, basis, nothing_to_do
from core.plans.proof import Kept
from core.plans.target import Target, archived_of
from core.tables.archived import Archived
from core.tables.commands import backup_twin, option, twin
from core.tables.fingerprint import (
    ROWS_A_SECOND,
    Below,
    require_below_sql,
    require_fingerprint_sql,
    require_same_sql,
)
from core.tables.marks import HOLD_LINE, Marks, PlannedDrop
from core.tables.table import PartitionedTable
from core.text import human_bytes, human_date, human_seconds, listed, plural

DROP = Operation("drop", "Drop", "dropping", Danger.TYPED_NAME, destroys=True)
SCHEDULE = Operation(
    "schedule", "Plan the drop of", "planning its drop", Danger.TYPED_NAME, marks_only=True, told_apart_by="steps"
)
DROPS_ARE_OFF = "Dropping is switched off here: PARTITION_DESK_ALLOW_DROP is false."


@dataclass(frozen=True, slots=True)
class Hanging:
    """What hangs on an archived table, each in PostgreSQL's words."""

    dependents: tuple[str, ...] = ()
    """Views, foreign keys of other tables, functions, sequences of its own, children: they stop a drop."""
    belongings: tuple[str, ...] = ()
    """Triggers, policies, publications: they go with it."""


@dataclass(frozen=True, slots=True)
class Drop:
    """That an archived table is dropped, on the strength of a backup that is proven."""

    operation: ClassVar = DROP
    table: str | PartitionedTable
    partition: Target
    every: tuple[Kept, ...]
    """The backups to choose from."""
    backup: str = ""
    """The id of the one to rest on; empty for the best."""

    def plan(self, desk: Sources) -> Plan:
        """Reads what hangs on the table; where there is none any more, whether that very drop was done."""
        done = _done_before(desk, self)
        if done is not None:
            return done
        table, name, kept, hanging = _look(desk, self.table, self.partition, self.every, self.backup)
        return plan_drop(
            table,
            name,
            kept,
            today=desk.server_now.astimezone(ZoneInfo(desk.zone)).date(),
            dependents=hanging.dependents,
            belongings=hanging.belongings,
            place=desk.backup_place,
        )


@dataclass(frozen=True, slots=True)
class DropLater:
    """That an archived table is dropped once so much time is over, unless somebody keeps it."""

    operation: ClassVar = SCHEDULE
    table: str | PartitionedTable
    partition: Target
    every: tuple[Kept, ...]
    after: Duration
    by: str
    backup: str = ""
    due: str = ""
    """When, in UTC, where that was reckoned before; empty for `after` from now on."""

    def plan(self, desk: Sources) -> Plan:
        """Looks at everything as for a drop."""
        done = _done_before(desk, self)
        if done is not None:
            return done
        table, name, kept, hanging = _look(desk, self.table, self.partition, self.every, self.backup)
        zone = ZoneInfo(desk.zone)
        now = desk.server_now
        at = datetime.fromisoformat(self.due).astimezone(zone) if self.due else later(now, self.after, desk.zone)
        return plan_later_drop(
            table,
            name,
            kept,
            at=at,
            by=self.by,
            today=now.astimezone(zone).date(),
            dependents=hanging.dependents,
            after=self.after,
            zone=desk.zone,
        )


@dataclass(frozen=True, slots=True)
class Keep:
    """That a planned drop is called off."""

    operation: ClassVar = SCHEDULE
    table: str | PartitionedTable
    partition: Target

    def plan(self, desk: Sources) -> Plan:
        """Reads nothing but the table."""
        table = table_for(desk, self.table)
        return plan_keep(table, archived_of(table, self.partition, desk.zone))


def require_drops(*, allowed: bool) -> None:
    """Raises Refused where the setting forbids to drop."""
    if not allowed:
        raise Refused(DROPS_ARE_OFF, next="Ask whoever set it.")


def later(now: datetime, after: Duration, zone: str) -> datetime:
    """This time of day in `zone`, so much later."""
    local = now.astimezone(ZoneInfo(zone))
    day = min(after.after(local.date()), date.max - timedelta(days=1))
    return datetime.combine(day, time(local.hour, local.minute, local.second), local.tzinfo)


def _look(
    desk: Sources, table: str | PartitionedTable, partition: Target, every: tuple[Kept, ...], backup: str
) -> tuple[PartitionedTable, str, Kept | None, Hanging]:
    """(the table, the name, the backup to rest on, what hangs on it)."""
    require_drops(allowed=desk.may_drop)
    found = table_for(desk, table)
    name = archived_of(found, partition, desk.zone)
    archived = found.find_archived(name)
    if archived is None:
        return found, name, None, Hanging()
    asked = [kept for kept in every if backup in ("", kept.backup.id)]
    if backup and not asked:
        raise BackupNotFound(f"There is no backup {backup} in the place.", next="See: partitions backups")
    kept = choose(asked, found, archived)
    if kept is not None and kept.proven is not None and fits(kept, found, archived):
        _require_whole(found, archived, kept, desk.lacking(archived, kept.backup))
    return found, name, kept, desk.hanging(archived)


def _require_whole(table: PartitionedTable, archived: Archived, kept: Kept, lacking: tuple[str, ...]) -> None:
    """Raises NotVerified where the table has something that its backup would not bring back."""
    if lacking:
        raise NotVerified(
            f"{archived.schema}.{archived.name} has what the backup {kept.backup.id} lacks: {listed(lacking)}.",
            next=f"Make a new one: {twin('backup', table, table.called(archived))}",
        )


def _done_before(desk: Sources, wish: Drop | DropLater) -> Plan | None:
    """A plan without steps, where what is to be dropped was dropped already on the strength of such a backup.

    The journal tells; where it doesn't, a proven backup that was asked for by its id. None where any table holds a part
    of that range: another is meant then.
    """
    require_drops(allowed=desk.may_drop)
    table = table_for(desk, wish.table)
    asked = [kept for kept in wish.every if wish.backup in ("", kept.backup.id)]
    for kept in sorted(asked, key=lambda kept: kept.backup.finished_at, reverse=True):
        backup = kept.backup
        if not _is_meant(backup, table, wish.partition, desk.zone) or _is_there(table, backup):
            continue
        at = desk.done_at(DROP, table.address, backup.id)
        if at is None and not (wish.backup and kept.proven):
            continue
        day = human_date(at.astimezone(ZoneInfo(desk.zone)).date()) if at else ""
        gone = f"was dropped on {day}" if at else "is not on the server"
        why = f"{backup.name} {gone}; the backup {backup.id} keeps all of it."
        return nothing_to_do(wish.operation, table.address, backup.name, why, backup=backup.id)
    return None


def _is_meant(backup: Backup, table: PartitionedTable, target: Target, zone: str) -> bool:
    """Whether the backup is one of the target, of this table in this database."""
    if backup.parent != table.address or not backup.is_from(table.server.database, table.server.cluster):
        return False
    if not isinstance(target, str):
        bounds = backup.range.on(table.key) if table.key is not None else None
        return bounds is not None and table.bounds_between(*target, zone).covers(bounds)
    places = [qualified(schema, backup.name) for schema in (table.archive.name, backup.schema)]
    places += [f"{schema}.{backup.name}" for schema in (table.archive.name, backup.schema)]
    return target in (backup.name, *places)


def _is_there(table: PartitionedTable, backup: Backup) -> bool:
    """Whether any table, attached or archived, holds a part of the range of a backup, or may.

    Where the server alone knows how its ends are ordered, as those of enums, none of that name is enough.
    """
    bounds = backup.range.on(table.key) if table.key is not None else None
    if bounds is None and table.key is not None and table.key.ranks is not None:
        return bool(table.named(backup.name))
    known = [one.bounds for one in table.everything]
    return any(one is None or bounds is None or (not one.is_default and one.overlaps(bounds)) for one in known)


def fits(kept: Kept, table: PartitionedTable, archived: Archived) -> bool:
    """Whether a backup is one of this archived table: its parent, its name, its bounds and its columns."""
    backup = kept.backup
    same = backup.name == archived.name and backup.parent in {table.address, *archived.former}
    bounds = archived.bounds is None or archived.bounds.text == backup.bounds
    columns = [(c.name, c.type) for c in backup.columns] == [(c.name, c.type) for c in archived.columns]
    return same and bounds and columns and _below(backup) == below_of(archived)


def _below(backup: Backup) -> set[tuple[str, ...]]:
    return {("", backup.name, backup.split), *((one.parent, one.name, one.bounds, one.split) for one in backup.below)}


def choose(every: Iterable[Kept], table: PartitionedTable, archived: Archived) -> Kept | None:
    """The backup of an archived table to rest on: the newest that is proven, else the newest; None without any.

    Those of another database count where this one has none: a restored table came from one of them.
    """
    mine = [kept for kept in every if fits(kept, table, archived)]
    own = [kept for kept in mine if kept.backup.is_from(table.server.database, table.server.cluster)]
    return max(own or mine, key=lambda kept: (kept.proven is not None, kept.backup.finished_at), default=None)


def plan_drop(
    table: PartitionedTable,
    name: str,
    kept: Kept | None,
    *,
    today: date,
    dependents: tuple[str, ...] = (),
    belongings: tuple[str, ...] = (),
    place: str = "",
) -> Plan:
    """A plan that drops the archived table `name`, which the verified backup `kept` holds.

    Its rows are read again under the lock that keeps writers out, and compared with the backup's fingerprint in the
    same transaction as the drop. `dependents` are what PostgreSQL would have to drop with it, each in its own words,
    and stop it; `belongings` go with it and are told: triggers, policies and the like, which no restore brings back;
    `place` is where the backup lies, for people. Raises Refused for what stands in the way, NotVerified for a backup
    that does not prove these rows.
    """
    archived, kept = _require_droppable(table, name, kept, today, dependents)
    backup = kept.backup
    called = table.called(archived)
    size = f", {human_bytes(archived.size.total)} on the server" if archived.size else ""
    return Plan(
        operation=DROP,
        table=table.address,
        subject=called,
        basis=basis(table, archived.oid),
        steps=(_drop_step(table, archived, backup),),
        effects=(
            f"{archived.schema}.{archived.name} leaves the server for good{_with_below(archived)}:"
            f" {plural(backup.rows, 'row')}{size}.",
            f"Writes to it wait while its rows are read once more, {_about(backup.rows / ROWS_A_SECOND)}; reads go on.",
            f"The backup {backup.id}{f' in {place}' if place else ''} keeps all of it: {human_bytes(backup.bytes)},"
            f" last restored and compared on {_proven_on(kept)}.",
        ),
        way_back=f"Restore: {backup_twin('restore', backup.id)}",
        command=twin("drop", table, called, "--now", *_sure(called, backup.id)),
        warnings=((f"With it go {', '.join(belongings)}: a restore does not bring them back.",) if belongings else ()),
        backup=backup.id,
        place=place,
        bytes=archived.size.total if archived.size else None,
        oid=archived.oid,
    )


def _with_below(archived: Archived) -> str:
    return f", with {plural(len(archived.members), 'table')} below it" if archived.members else ""


def _drop_step(table: PartitionedTable, archived: Archived, backup: Backup) -> Step:
    schemas = {archived.name: archived.schema, **{one.name: one.schema for one in archived.members}}
    changed = (
        f"{archived.schema}.{archived.name} no longer holds what the backup {backup.id} holds: rows were changed since."
    )
    leaves = [(leaf, qualified(schemas[leaf.name], leaf.name)) for leaf in backup.leaves]
    lost = tuple(dict.fromkeys(key.other for key in table.references)) if archived.foreign_keys else ()
    return Step(
        f"Compare every row of {archived.name} with its backup, then drop it",
        (
            f"LOCK TABLE {archived.sql} IN SHARE MODE",
            _require_same(archived),
            *([_require_same_below(archived, backup)] if backup.split else []),
            *(
                require_fingerprint_sql(name, backup.fingerprinted(leaf), leaf.fingerprint, changed)
                for leaf, name in leaves
            ),
            f"DROP TABLE {archived.sql}",
        ),
        (
            Lock(archived.sql, Mode.SHARE, brief=False),
            *locks_below(archived, Mode.SHARE, brief=False),
            Lock(archived.sql, Mode.ACCESS_EXCLUSIVE),
            *locks_below(archived, Mode.ACCESS_EXCLUSIVE),
            *(Lock(other, Mode.ACCESS_EXCLUSIVE) for other in lost),
        ),
    )


def plan_later_drop(
    table: PartitionedTable,
    name: str,
    kept: Kept | None,
    *,
    at: datetime,
    by: str,
    today: date,
    dependents: tuple[str, ...] = (),
    after: Duration | None = None,
    zone: str = "UTC",
) -> Plan:
    """A plan that writes into the table's comment that it is to be dropped, by whom, not before `at`, on what proof.

    No steps where that is written already for the same day. Raises as `plan_drop` does; everything is looked at again
    when the time has come.
    """
    archived, kept = _require_droppable(table, name, kept, today, dependents)
    called = table.called(archived)
    moment = at.astimezone(UTC).isoformat(timespec="seconds")
    drop = PlannedDrop(table.address, moment, kept.backup.id, kept.backup.fingerprint, by)
    day = human_date(at.date())
    before = archived.drop
    if before is not None and replace(before, at=moment) == drop and _day(before, zone) == _day(drop, zone):
        why = f"{called} is to be dropped on {day} already; {by} planned it."
        return nothing_to_do(SCHEDULE, table.address, called, why, backup=kept.backup.id)
    after_words = [option("--after", str(after))] if after is not None else []
    return _marking(
        table,
        archived,
        replace(archived.marks, drop=drop),
        SCHEDULE,
        title=f"Write down that {called} is to be dropped on {day}",
        effects=(
            f"{archived.schema}.{archived.name} stays as it is until {day};"
            " then it is compared with its backup and dropped.",
            "Until then it is shown as waiting, and one click keeps it.",
        ),
        way_back=f"Keep it: {twin('keep', table, called)}",
        command=twin("drop", table, called, *after_words, *_sure(called, kept.backup.id)),
        backup=kept.backup.id,
        due=moment,
    )


def _day(drop: PlannedDrop, zone: str) -> date:
    return datetime.fromisoformat(drop.at).astimezone(ZoneInfo(zone)).date()


def plan_keep(table: PartitionedTable, name: str) -> Plan:
    """A plan that calls a planned drop off. No steps where none is planned. Raises Refused."""
    archived = require_archived(table, name)
    called = table.called(archived)
    marks = replace(archived.marks, drop=None)
    plan = _marking(
        table,
        archived,
        marks,
        SCHEDULE,
        title=f"Take back that {called} is to be dropped",
        effects=(f"{archived.schema}.{archived.name} stays until somebody asks for its drop again.",),
        way_back=f"Plan it again: {twin('drop', table, called, option('--confirm', called))}",
        command=twin("keep", table, called),
    )
    if archived.drop is not None:
        return plan
    return nothing_to_do(SCHEDULE, table.address, called, f"No drop of {called} is planned.", command=plan.command)


def _require_droppable(
    table: PartitionedTable, name: str, kept: Kept | None, today: date, dependents: tuple[str, ...]
) -> tuple[Archived, Kept]:
    archived = require_archived(table, name)
    require_copied(table, archived)
    name, label = table.called(archived), f"{archived.schema}.{archived.name}"
    if archived.owner not in (table.owner, table.server.user) and not table.server.can.superuser:
        raise NotAllowed(
            f"{label} belongs to {archived.owner}; only its owner can drop it.",
            next=f"Connect as {archived.owner}.",
        )
    if archived.hold is not None and archived.hold.binds(today):
        until = f"through {human_date(date.fromisoformat(archived.hold.until))}" if archived.hold.until else "for good"
        raise Refused(
            f"{name} is held {until} by {archived.hold.by}: {archived.hold.reason}",
            next=f"Lift the hold first: {twin('hold', table, name, '--lift')}",
        )
    if dependents:
        raise Refused(
            f"{label} is needed by {'; '.join(dependents)}.",
            next="Drop or change those first; nothing is ever dropped with it.",
        )
    if kept is None:
        raise NotVerified(
            f"There is no backup of {label} as it is now.",
            next=f"Make one: {twin('backup', table, name)}",
        )
    if not fits(kept, table, archived):
        raise NotVerified(
            f"The backup {kept.backup.id} is not one of {label} as it is now.",
            next=f"Make a new one: {twin('backup', table, name)}",
        )
    if kept.proven is None:
        raise NotVerified(
            f"The backup {kept.backup.id} {kept.unproven}.",
            next=f"Make a new one: {twin('backup', table, name)}"
            if kept.damaged
            else f"Prove it: {backup_twin('verify', kept.backup.id)}",
        )
    return archived, kept


def _require_same(archived: Archived) -> str:
    """That nobody gave it a column, a hold, or called its drop off while the drop waited for its lock."""
    hold = Marks(hold=archived.hold).beside(None)
    drop = Marks(drop=archived.drop).beside(None)
    said = [line for line in (hold, drop) if line]
    unsaid = [] if hold else [HOLD_LINE]
    message = (
        f"{archived.schema}.{archived.name} is not what it was a moment ago: it got another column, or a hold, or its"
        " drop was called off."
    )
    return require_same_sql(archived.sql, [(c.name, c.type) for c in archived.columns], said, unsaid, message)


def _require_same_below(archived: Archived, backup: Backup) -> str:
    """That all that hangs below it is still what the backup holds, table by table, and nothing else."""
    message = f"What hangs below {archived.schema}.{archived.name} is not what the backup {backup.id} holds."
    below = [
        Below(one.parent, one.name, one.bounds, one.split, tuple((c.name, c.type) for c in one.columns))
        for one in backup.below
    ]
    return require_below_sql(archived.sql, below, message)


def _sure(called: str, backup: str) -> tuple[str, str]:
    """The name typed once more, and the very backup."""
    return option("--confirm", called), option("--backup", backup)


def _about(seconds: float) -> str:
    return human_seconds(seconds) if seconds < 1 else f"about {human_seconds(seconds)}"


def _proven_on(kept: Kept) -> str:
    return human_date(kept.proven_at.date()) if kept.proven_at else "never"


def _marking(
    table: PartitionedTable,
    archived: Archived,
    marks: Marks,
    operation: Operation,
    *,
    title: str,
    effects: tuple[str, ...],
    way_back: str,
    command: str,
    backup: str = "",
    due: str = "",
) -> Plan:
    return Plan(
        operation=operation,
        table=table.address,
        subject=table.called(archived),
        basis=basis(table, archived.oid),
        steps=(comment_step(title, archived, archived.comment, archived.marks, marks),),
        effects=effects,
        way_back=way_back,
        command=command,
        backup=backup,
        oid=archived.oid,
        due=due,
    )
