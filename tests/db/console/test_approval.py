"""Two persons: one admin asks, another approves within a day, neither can do both, and no row is believed for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from core.console import approval
from core.console.actor import Actor, Origin, system_user
from core.console.audit import read_entries
from core.console.desk import Desk
from core.console.journal import OperationState, read_operation, read_operations
from core.console.planned_drops import plan_due_drops
from core.console.queue import claim, enqueue
from core.console.run import let_go, run_queued
from core.errors import Asked, DeskError, NotAllowed, NotSealed, PlanOutdated, SettingError
from core.plans.archive import Archive
from core.plans.drop import DropLater, Keep
from core.plans.hold import PutHold
from core.plans.operation import Role
from core.plans.plan import Plan
from core.postgres.connection import session
from core.settings import read_settings
from core.tables.marks import Hold
from tests import desks
from tests.desks import SEAL
from tests.road import LONG_AGO, Road
from tests.tables import Made, Run

Make = Callable[..., Made]
ADMINS = ("ada", "bert", "Bert@Example.org", "carla")
TWO: dict[str, Any] = {"admins": ADMINS, "operators": ("oscar",), "two_persons": ("archive", "drop", "hold")}


def admin(name: str, origin: Origin = Origin.DASHBOARD) -> Actor:
    return Actor(name, Role.ADMIN, origin)


@pytest.fixture
def made(make_table: Make) -> Made:
    return make_table(rows=5)


@pytest.fixture
def desk(worker: Engine) -> Desk:
    return desks.desk(worker, **TWO)


def hold(desk: Desk, made: Made, reason: str = "an inspection") -> Plan:
    return desk.plan(PutHold(made.address, made.first, Hold("", reason, "ada")))


def ask(desk: Desk, plan: Plan, name: str = "ada") -> int:
    with pytest.raises(Asked) as asked:
        desk.enqueue(plan, admin(name), "it is time")
    assert asked.value.safe == "Nothing was changed."
    return int(asked.value.next.rpartition(" ")[2].rstrip("."))


def taken(desk: Desk, number: int) -> DeskError | None:
    """What becomes of a row of the queue when a worker comes to it."""
    with session(desk.working) as work:
        claimed = claim(work, number, SEAL)
        assert claimed is not None
        try:
            run_queued(desk, work, claimed, None)
        except DeskError as error:
            return error
        finally:
            let_go(work)
    return None


def states(engine: Engine) -> list[tuple[str, str, str]]:
    return [(row.kind, row.actor, row.state.value) for row in reversed(read_operations(engine))]


def refusals(engine: Engine) -> list[tuple[Any, Any, Any]]:
    said = [one.said for one in read_entries(engine) if one.said["event"] == "refused"]
    return [(one["actor"], one["request"], one["error_kind"]) for one in said]


def test_one_asks_and_another_approves(desk: Desk, made: Made) -> None:
    plan = desk.plan(Archive(made.address, made.first))
    number = ask(desk, plan)
    assert ask(desk, desk.plan(Archive(made.address, made.first))) == number  # asked for again, it is there once
    with pytest.raises(Asked, match=rf"ada has asked for the same, as operation {number}"):
        desk.run(plan, admin("carla"))
    (one,) = approval.requests(desk)
    assert (one.plan.digest, one.record.actor, one.record.reason) == (plan.digest, "ada", "it is time")
    for name, why in (("ada", "has asked for it"), ("oscar", "takes an admin"), ("mallory", "has no role here")):
        with pytest.raises(NotAllowed, match=why):
            approval.approved(desk, number, admin(name))
    assert refusals(desk.reading) == [(name, number, "NotAllowed") for name in ("ada", "oscar", "mallory")]
    approved = approval.approved(desk, number, admin("carla"))
    assert (approved.sql, approved.request, approved.wish) == (plan.sql, number, plan.wish)
    with pytest.raises(NotAllowed, match="ada has asked for it, and can't approve it"):
        desk.enqueue(approved, admin("ada"))
    ticket = desk.enqueue(approved, admin("carla"), "I have looked")
    assert approval.requests(desk) == ()
    with pytest.raises(NotAllowed, match="was approved or declined already"):
        approval.approved(desk, number, admin("bert"))
    assert taken(desk, ticket.id) is None
    assert states(desk.reading) == [("ask", "ada", "done"), ("archive", "carla", "done")]
    assert desk.read(made.address).find_archived(made.first) is not None
    said = [one.said for one in read_entries(desk.reading)]
    asked = [(one["actor"], one["act"], one.get("request")) for one in said if one["event"] == "asked"]
    assert asked == [("ada", "ask", None), ("carla", "archive", number)]


def test_a_user_of_the_system_and_an_address_of_that_name_are_one_person(desk: Desk, made: Made) -> None:
    number = ask(desk, hold(desk, made), "bert")
    with pytest.raises(NotAllowed, match="can't approve it"):
        approval.approved(desk, number, admin("Bert@Example.org", Origin.COMMAND_LINE))


def test_what_the_settings_do_not_name_takes_one(desk: Desk, made: Made) -> None:
    one = replace(desk, settings=replace(desk.settings, two_persons=("drop",)))
    assert one.enqueue(hold(one, made), admin("ada")).new


def test_declined_too_late_or_no_admin_any_more(desk: Desk, made: Made) -> None:
    declined = ask(desk, hold(desk, made))
    approval.decline(desk, declined, admin("carla"), "not now")
    assert approval.requests(desk) == ()
    with pytest.raises(NotAllowed, match="approved or declined already"):
        approval.approved(desk, declined, admin("bert"))
    number = ask(desk, hold(desk, made))  # asked for again, it is another
    assert [one.record.id for one in approval.requests(desk)] == [number]
    demoted = replace(desk, settings=replace(desk.settings, admins=("carla",), operators=("ada",)))
    with pytest.raises(NotAllowed, match="ada has asked for it, and is no admin any more"):
        approval.approved(demoted, number, admin("carla"))
    tomorrow = desk.server_now + timedelta(days=1, seconds=1)
    late = replace(desk, clock=lambda: tomorrow, server_clock=lambda: tomorrow)
    assert approval.requests(late) == ()
    with pytest.raises(NotAllowed, match="over a day ago"):
        approval.approved(late, number, admin("carla"))
    for nothing in (10**6, declined + 1):
        with pytest.raises(NotAllowed, match="asks for nothing"):
            approval.approved(desk, nothing, admin("carla"))
    with pytest.raises(NotAllowed, match="takes an admin"):
        approval.decline(desk, number, admin("oscar"))


def test_what_is_approved_is_what_was_asked_for_on_the_table_as_it_is_now(desk: Desk, made: Made, run: Run) -> None:
    number = ask(desk, desk.plan(Archive(made.address, made.first)))
    approved = approval.approved(desk, number, admin("carla"))
    ticket = desk.enqueue(approved, admin("carla"))
    run(f"ALTER TABLE {made.address} ADD COLUMN since_then integer")
    assert isinstance(taken(desk, ticket.id), PlanOutdated)
    with pytest.raises(PlanOutdated, match="is no longer as it was when this was planned") as outdated:
        approval.approved(desk, number, admin("carla"))
    assert any("since_then" in change for change in outdated.value.changes)
    assert refusals(desk.reading) == [("carla", number, "PlanOutdated")]
    assert desk.read(made.address).find_archived(made.first) is None
    other = ask(desk, desk.plan(Archive(made.address, made.first)))  # as it is now, which is another request
    assert other != number
    # what failed may be approved again, for as long as it is what was asked for
    run(f"ALTER TABLE {made.address} DROP COLUMN since_then")
    assert [one.record.id for one in approval.requests(desk)] == [other, number]
    desk.enqueue(approval.approved(desk, number, admin("bert")), admin("bert"))


FORGED = {
    "a copy under another name": "UPDATE partition_desk.operation SET actor = 'bert'",
    "of another plan": "UPDATE partition_desk.operation SET plan = replace(plan::text, 'inspection', 'x')::json",
    "of today": "UPDATE partition_desk.operation SET sealed_at = clock_timestamp()::text",
    "of another wish": "UPDATE partition_desk.operation SET wish = replace(wish, 'inspection', 'x')",
}


@pytest.mark.parametrize("forging", list(FORGED))
def test_a_row_that_others_wrote_asks_for_nothing(desk: Desk, made: Made, run: Run, forging: str) -> None:
    number = ask(desk, hold(desk, made))
    run(FORGED[forging])
    assert approval.requests(desk) == ()
    with pytest.raises(NotSealed, match=f"Operation {number} was not asked for by this console"):
        approval.approved(desk, number, admin("ada"))
    assert refusals(desk.reading) == [("ada", number, "NotSealed")]


def test_a_worker_believes_no_row_that_it_was_approved(desk: Desk, made: Made) -> None:
    """Each with a good seal, from a console whose settings say nothing of two."""
    plan, number = hold(desk, made), ask(desk, hold(desk, made))
    approved = replace(plan, request=number)
    rows = (
        (plan, "ada", "nobody else has asked"),
        (approved, "ada", "can't approve it"),
        (replace(hold(desk, made, "another"), request=number), "carla", "nobody else has asked"),
        (replace(plan, request=number + 1), "carla", "nobody else has asked"),
    )
    for one, name, why in rows:
        ticket = enqueue(desk.working, one, admin(name), "", seal=SEAL)
        assert why in str(taken(desk, ticket.id))
        ended = read_operation(desk.reading, ticket.id)
        assert ended is not None
        assert (ended.state, ended.step) == (OperationState.FAILED, 0)
    ticket = desk.enqueue(approval.approved(desk, number, admin("carla")), admin("carla"))
    approval_left = replace(desk, settings=replace(desk.settings, admins=("carla",)))
    assert "ada has asked for it, and is no admin any more" in str(taken(approval_left, ticket.id))


def test_there_have_to_be_two_and_they_do_what_admins_do() -> None:
    with pytest.raises(SettingError, match="takes two admins, and none is named"):
        read_settings({"PARTITION_DESK_TWO_PERSONS": "drop", "PARTITION_DESK_OPERATORS": "ada"})
    with pytest.raises(SettingError, match=r"PARTITION_DESK_TWO_PERSONS has 'ensure'\. .* Choose of archive"):
        read_settings({"PARTITION_DESK_TWO_PERSONS": "drop,ensure", "PARTITION_DESK_ADMINS": "ada,bert"})


def test_by_two_on_the_command_line(road: Road, made: Made) -> None:
    me = system_user()
    two = {"PARTITION_DESK_ADMINS": f"{me},carla", "PARTITION_DESK_TWO_PERSONS": "archive"}
    words = ("archive", "--partition", made.first, "--table", made.address)
    ended = road(*words, "--reason", "it is over", **two)
    assert ended.code == 1
    assert f"To archive {made.first} takes two persons. It is asked for now, as operation 1." in ended.message
    ended = road("approve", "1", **two)
    assert (ended.code, f"{me} has asked for it, and can't approve it" in ended.message) == (1, True)
    assert road.done("approve", "1", "--decline", "--dry-run", **two).out == "-- Would decline: operation 1.\n"
    assert road.done("approve", "1", "--decline", **two).out == "Declined: operation 1.\n"
    desk = desks.desk(road.reader, road.worker, storage=road.cold, admins=("carla", me), two_persons=("archive",))
    number = str(ask(desk, desk.plan(Archive(made.address, made.first)), "carla"))
    assert "This is a dry run: nothing was changed." in road.done("approve", number, "--dry-run", **two).out
    assert road.read(made).find_archived(made.first) is None
    assert "Done: archive" in road.done("approve", number, "--reason", "agreed", **two).out
    assert road.read(made).find_archived(made.first) is not None
    assert "The record holds" in road.done("audit", "verify", **two).out


def test_a_planned_drop_has_its_second_person_when_it_is_planned(road: Road, made: Made) -> None:
    (kept,) = road.ready(made, made.first)
    desk = desks.desk(
        road.reader, road.worker, storage=road.cold, admins=("ada", "carla"), two_persons=("drop",), now=LONG_AGO
    )
    now = desks.desk(road.reader).server_now
    later = DropLater(made.address, made.first, road.every(), desk.settings.drop_after, "carla")
    alone = replace(desk, settings=replace(desk.settings, two_persons=()))
    alone.run(alone.plan(later), admin("carla"))
    (due,) = plan_due_drops(desk, now=now)  # planned by one, before it took two
    assert "The drop was planned by one person, and takes two." in str(due.refused)
    (due,) = plan_due_drops(alone, now=now)
    assert due.plan is not None
    ticket = enqueue(road.worker, due.plan, due.actor, "", seal=SEAL)
    assert "was planned by one person" in str(taken(desk, ticket.id))

    desk.run(desk.plan(Keep(made.address, made.first)), admin("carla"))  # which takes nobody else
    number = ask(desk, desk.plan(later), "carla")
    desk.run(approval.approved(desk, number, admin("ada")), admin("ada"))
    (due,) = plan_due_drops(desk, now=now)
    assert (due.refused, due.by, kept.backup.id) == (None, "ada", due.drop.backup)
    left = replace(desk, settings=replace(desk.settings, admins=("ada",)))
    (due_left,) = plan_due_drops(left, now=now)
    assert "carla has asked for it, and is no admin any more" in str(due_left.refused)
    assert due.plan is not None
    ticket = desk.enqueue(due.plan, due.actor, due.reason)
    assert datetime.fromisoformat(due.drop.at) < now
    assert "carla has asked for it, and is no admin any more" in str(taken(left, ticket.id))
    ticket = desk.enqueue(due.plan, due.actor, due.reason)
    assert taken(replace(desk, clock=lambda: now, server_clock=lambda: now), ticket.id) is None
    assert road.read(made).find_archived(made.first) is None
