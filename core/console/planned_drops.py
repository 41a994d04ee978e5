"""Planned drops whose time has come: each is planned anew on what is there, and rests on the backup it was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from core.console.actor import Actor, Origin, as_of_now
from core.console.approval import require_planned_by_two, takes_two
from core.console.file_work import require_backup
from core.console.journal import read_newest, read_operations
from core.errors import DeskError, NotSealed, NotVerified, PartitionNotFound
from core.plans.drop import DROP, SCHEDULE, Drop
from core.plans.operation import Role
from core.plans.plan import Plan
from core.tables.catalog.marks import read_planned_drops
from core.tables.marks import PlannedDrop
from core.text import human_date

if TYPE_CHECKING:
    from core.console.desk import Desk

AGAIN = timedelta(days=1)
"""How long a worker waits before it tries a planned drop again that failed."""


@dataclass(frozen=True, slots=True)
class Due:
    """A planned drop whose time has come."""

    name: str
    drop: PlannedDrop
    plan: Plan | None
    """None where something stands in the way."""
    by: str
    """Who planned it, as the journal has it; empty where it says nothing of it."""
    refused: DeskError | None = None

    @property
    def actor(self) -> Actor:
        """Who planned it."""
        return Actor(self.by, Role.ADMIN, Origin.SCHEDULE)

    @property
    def reason(self) -> str:
        """For the journal."""
        return f"Planned by {self.by} for {human_date(datetime.fromisoformat(self.drop.at).date())}"


def plan_due_drops(desk: Desk, *, now: datetime, again: bool = True) -> tuple[Due, ...]:
    """Each planned drop whose time has come at `now`, the server's, planned on what is there.

    Without `again` those are left out that were tried within the last day.
    """
    at = replace(desk, reading=desk.working, clock=lambda: now, server_clock=lambda: now)
    found: list[Due] = []
    for name, drop in read_planned_drops(at.reading):
        if not drop.is_due(now) or (not again and _was_tried(at, drop)):
            continue
        try:
            plan, by = _plan_due(at, name, drop)
            as_of_now(at.settings, Actor(by, Role.ADMIN, Origin.SCHEDULE)).require(DROP)
            if takes_two(at.settings, plan):
                require_planned_by_two(at, plan)
            found.append(Due(name, drop, plan, by))
        except DeskError as error:
            found.append(Due(name, drop, None, "", error))
    return tuple(found)


def _plan_due(desk: Desk, name: str, drop: PlannedDrop) -> tuple[Plan, str]:
    """The plan, and who planned it."""
    from core.backups.kept import read_kept

    table = desk.read(drop.parent)
    kept = read_kept(desk.storage.open(), drop.backup)
    if kept.backup.fingerprint != drop.fingerprint:
        raise NotVerified(
            f"The backup {drop.backup} is another than the drop of {name} was planned on.",
            next="Look who writes to the place of the backups, and plan the drop again.",
        )
    of_that_name = [archived for archived in table.archived if archived.name == name]
    marked = [
        archived for archived in of_that_name if archived.drop and replace(archived.drop, parent=drop.parent) == drop
    ]
    if not of_that_name:
        raise PartitionNotFound(f"{name} is no longer there.")
    if not marked:
        raise NotVerified(
            f"{of_that_name[0].sql} is not the table that says that it is to be dropped: another has its name.",
            next="Look whose tables of that name there are, and plan the drop again.",
        )
    by, *_ = [_asked_by(desk, one.oid, drop) for one in marked]
    called = table.called(marked[0]) if len(marked) == 1 else name
    plan = desk.plan(Drop(table, called, (kept,)))
    require_backup(desk, plan)
    return plan, by


def _asked_by(desk: Desk, oid: int, drop: PlannedDrop) -> str:
    """Who planned it, by the journal.

    Raises NotSealed where no console with this one's key has planned that very drop last: a comment is no order.
    """
    seal = desk.seal()
    last = read_newest(desk.reading, SCHEDULE, oid, seal) if seal is not None else None
    if last is None or (last.plan.due, last.plan.backup) != (drop.at, drop.backup):
        raise NotSealed(
            "The journal does not say that this console, or one with its key, has planned that drop.",
            next="Look who writes comments and the journal, and plan the drop again. Consoles of one database share"
            " PARTITION_DESK_KEY.",
        )
    return last.actor


def _was_tried(desk: Desk, drop: PlannedDrop) -> bool:
    since = max(datetime.fromisoformat(drop.at), desk.now - AGAIN)
    return any(
        o.plan.operation is DROP and o.plan.backup == drop.backup and o.requested_at >= since
        for o in read_operations(desk.reading, table=drop.parent)
    )
