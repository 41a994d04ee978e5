"""Two persons for what the settings name: one admin asks, another approves within a day, and neither can do both.

What is asked for is a sealed row of the journal that holds the whole plan; what is approved is that very plan, and its
own row names the one that asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from core.console.actor import Actor, Origin, as_of_now, role_of
from core.console.journal import (
    OperationRecord,
    OperationState,
    read_kind,
    read_newest,
    read_of_requests,
    read_operation,
)
from core.console.queue import note
from core.console.register import ASKED, DECLINED, named
from core.console.said import parse
from core.console.wishes import plan_again
from core.errors import Asked, NotAllowed, NotSealed
from core.plans.archive import ARCHIVE
from core.plans.drop import DROP, SCHEDULE
from core.plans.operation import Role
from core.plans.plan import Plan
from core.rules.setting import RULES
from core.settings import Settings
from core.text import human_time

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from core.console.desk import Desk
    from core.seal import Seal

WITHIN = timedelta(days=1)
"""How long what was asked for can be approved."""
MOST = 200
"""How many of the newest are looked at for a list."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody has asked for."""

    record: OperationRecord
    plan: Plan

    @property
    def until(self) -> datetime:
        """When it is too late to approve it."""
        return datetime.fromisoformat(self.record.sealed_at) + WITHIN

    def is_of(self, name: str) -> bool:
        """Whether that person asked for it.

        A user of the system and the e-mail of that name count as one, and so do capitals.
        """
        one, other = (who.casefold().partition("@") for who in (self.record.actor, name))
        return one[0] == other[0] and (one[2] == other[2] or not (one[2] and other[2]))


def takes_two(settings: Settings, plan: Plan) -> bool:
    """Whether one person alone may not do it."""
    if plan.operation is SCHEDULE:  # to plan a drop is to drop, and to call it off takes nobody else
        return bool(plan.backup) and DROP.name in settings.two_persons
    if plan.operation is RULES:  # what they have done takes nobody else then
        return any(name in settings.two_persons for name in (RULES.name, ARCHIVE.name, DROP.name))
    return plan.operation.name in settings.two_persons


def counts_later(plan: Plan) -> bool:
    """Whether something is done in the name of who asked for it, long after."""
    return bool(plan.steps) and (plan.operation is RULES or (plan.operation is SCHEDULE and bool(plan.backup)))


def require_second(desk: Desk, plan: Plan, actor: Actor, reason: str) -> None:
    """Raises Asked, once that is written down, where it takes a second person; NotAllowed where none has agreed."""
    if not plan.steps or not takes_two(desk.settings, plan):
        return
    if actor.origin is Origin.SCHEDULE:
        require_planned_by_two(desk, plan)
    elif actor.origin is Origin.RULES:
        _require_ruled_by_two(desk, plan)
    elif plan.request is not None:
        _require_approvable(desk, plan, actor.name, at=desk.server_now)
    else:
        _ask(desk, plan, actor, reason)


def require_approved(desk: Desk, plan: Plan, row: OperationRecord) -> None:
    """The same for a row that a worker has taken from the queue: what it says of itself is not believed."""
    if not takes_two(desk.settings, plan):
        return
    if row.origin == Origin.SCHEDULE:
        require_planned_by_two(desk, plan)
    else:
        _require_approvable(desk, plan, row.actor, at=datetime.fromisoformat(row.sealed_at), own=row.id)


def require_planned_by_two(desk: Desk, drop: Plan) -> None:
    """Raises NotAllowed unless two who are still admins have planned this drop, and nobody called it off since."""
    last = read_newest(desk.working, SCHEDULE, drop.oid, desk.make_seal()) if drop.oid is not None else None
    if last is None or last.plan.backup != drop.backup or last.plan.request is None:
        raise NotAllowed("The drop was planned by one person, and takes two.", next="Plan it again.")
    _require_other(desk, last.plan, last.actor)


def _require_ruled_by_two(desk: Desk, plan: Plan) -> None:
    """Raises NotAllowed unless two who are still admins have set the rules of the table."""
    from core.console.ruled import read_in_force

    found = next((one for one in read_in_force(desk) if one.table == plan.table and one.rules is not None), None)
    last = read_operation(desk.working, found.ruling.operation, desk.make_seal()) if found and found.ruling else None
    if last is None or last.plan.request is None:
        raise NotAllowed(
            f"To {plan.operation} takes two persons, and one has set the rules of {plan.table}.",
            next="Have them set again: another admin approves them then.",
        )
    _require_other(desk, last.plan, last.actor)


def _ask(desk: Desk, plan: Plan, actor: Actor, reason: str) -> None:
    same = next((one for one in requests(desk) if _is_same(one.plan, plan)), None)
    if same is not None and not same.is_of(actor.name):
        raise Asked(
            f"{same.record.actor} has asked for the same, as operation {same.record.id}.",
            next=f"Approve it: partitions approve {same.record.id}.",
        )
    asking = Plan(ASKED, plan.table, f"{plan.operation} {plan.subject}", (plan.to_json(),), (), wish=plan.wish)
    number = (
        same.record.id
        if same is not None
        else note(desk.working, asking, actor, reason, seal=desk.make_seal(), making=True)
    )
    raise Asked(
        f"To {plan.operation} {plan.subject} takes two persons. It is asked for now, as operation {number}.",
        next=f"Another admin approves it within a day, in Activity or with: partitions approve {number}.",
    )


def _is_same(one: Plan, other: Plan) -> bool:
    """Whether two plans are one wish on a table as it was; the moment that each was made at may stand in its SQL."""
    from core.console.run import is_same_wish  # which asks here whether it was approved

    said = [(plan.operation, plan.table, plan.subject, plan.basis) for plan in (one, other)]
    return said[0] == said[1] and is_same_wish(one, other)


def _require_approvable(desk: Desk, plan: Plan, by: str, *, at: datetime, own: int | None = None) -> None:
    found = _require_other(desk, plan, by)
    if found.until < at:
        asked_at = human_time(datetime.fromisoformat(found.record.sealed_at))
        raise NotAllowed(f"It was asked for on {asked_at}, over a day ago.", next="Ask for it again.")
    if any(one.id != own for one in _ends(desk.working, desk.make_seal(), (found.record.id,))):
        raise NotAllowed(f"Operation {found.record.id} was approved or declined already.", next="Ask for it again.")


def _require_other(desk: Desk, plan: Plan, by: str) -> Request:
    """The request of a plan. Raises NotAllowed unless another than `by`, an admin still, asked for just that."""
    found = None if plan.request is None else find(desk, plan.request)
    if found is None or found.plan.digest != replace(plan, request=None).digest:
        raise NotAllowed("It takes two persons, and nobody else has asked for it.", next="Ask for it first.")
    who = found.record.actor
    if found.is_of(by):
        raise NotAllowed(f"{by} has asked for it, and can't approve it.", next="Another admin can.")
    if role_of(desk.settings, who, parse(found.record.verified)) is not Role.ADMIN:
        raise NotAllowed(f"{who} has asked for it, and is no admin any more.", next="Ask for it again.")
    return found


def approved(desk: Desk, number: int, actor: Actor) -> Plan:
    """The plan of a request, to be run by who approves it.

    Raises NotAllowed, NotSealed, and PlanOutdated where it is no longer what that takes; the record has it then.
    """
    with desk.noting_refusals(Plan(ASKED, "", f"operation {number}", (), (), request=number), actor, ""):
        found = find(desk, number)
        if found is None:
            raise NotAllowed(f"Operation {number} asks for nothing.", next="Look for its number: partitions history.")
        as_of_now(desk.settings, actor).require(found.plan.operation)
        plan = replace(found.plan, request=number, command=f"partitions approve {number}")
        _require_approvable(desk, plan, actor.name, at=desk.server_now)
        plan_again(desk, plan.wish, plan)
        return plan


def decline(desk: Desk, number: int, actor: Actor, reason: str = "") -> None:
    """Takes a request away: by who asked for it, or by another admin. Raises NotAllowed, NotSealed."""
    with desk.noting_refusals(Plan(DECLINED, "", f"operation {number}", (), (), request=number), actor, reason):
        found = find(desk, number)
        if found is None or _ends(desk.working, desk.make_seal(), (number,)):
            raise NotAllowed(f"Operation {number} asks for nothing, or for nothing any more.")
        as_of_now(desk.settings, actor).require(found.plan.operation)
    plan = Plan(DECLINED, found.plan.table, found.record.subject, (), (), request=number)
    note(desk.working, plan, actor, reason, seal=desk.make_seal(), making=True)
    desk.keep_record()


def requests(desk: Desk) -> tuple[Request, ...]:
    """What waits for a second person now, newest first."""
    seal = desk.seal()
    if seal is None or not desk.settings.two_persons:
        return ()
    asked = [_request(row) for row in read_kind(desk.reading, ASKED, limit=MOST, seal=seal)]
    young = [one for one in asked if one.until > desk.now]
    over = {one.plan.request for one in _ends(desk.reading, seal, (one.record.id for one in young))}
    return tuple(one for one in young if one.record.id not in over)


def find(desk: Desk, number: int) -> Request | None:
    """What an operation asks for; None where it is no such one. Raises NotSealed."""
    row = read_operation(desk.working, number, desk.make_seal())
    if row is None or row.kind != ASKED.name:
        return None
    if not row.sealed:
        raise NotSealed(
            f"Operation {number} was not asked for by this console, or one with its key.",
            next="Find out who writes to the schema partition_desk.",
        )
    return _request(row)


def _ends(engine: Engine, seal: Seal, numbers: Iterable[int]) -> tuple[OperationRecord, ...]:
    """What ended these requests: declined, or approved and under way or done; what failed leaves one open."""
    ends = (OperationState.QUEUED, OperationState.RUNNING, OperationState.DONE)
    return tuple(one for one in read_of_requests(engine, numbers, seal) if one.state in ends)


def _request(row: OperationRecord) -> Request:
    return Request(row, replace(Plan.from_json(row.plan.basis[0], named), wish=row.wish))
