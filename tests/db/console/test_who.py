"""Who may do what: every operation by every role, in core, by a row's own word, and on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from core.console.actor import Actor, Origin, system_user
from core.console.approval import approved
from core.console.desk import Desk
from core.console.execute import Cancellation
from core.console.journal import OperationState, read_operation, read_operations
from core.console.planned_drops import plan_due_drops
from core.console.queue import claim
from core.console.register import ROOMS
from core.console.run import let_go, run_queued
from core.console.said import Said
from core.errors import Asked, NotAllowed
from core.plans.archive import Archive
from core.plans.drop import SCHEDULE
from core.plans.ensure import Ensure
from core.plans.operation import LEAST, Operation, Role
from core.plans.plan import Plan, Step
from core.postgres.connection import session
from core.rules.setting import RULES
from tests import desks
from tests.desks import SEAL
from tests.road import Road
from tests.tables import Made, Run

OPERATIONS = [room.operation for room in ROOMS]
LISTS = {Role.ADMIN: "ADMINS", Role.OPERATOR: "OPERATORS", Role.AUDITOR: "AUDITORS", Role.VIEWER: "VIEWERS"}
NAMES = {Role.ADMIN: "ada", Role.OPERATOR: "oscar", Role.AUDITOR: "audrey", Role.VIEWER: "vera"}
PEOPLE = {"admins": ("ada",), "operators": ("oscar",), "auditors": ("audrey",), "viewers": ("vera",)}
Make = Callable[..., Made]


def may(role: Role, what: str) -> bool:
    return list(Role).index(role) >= list(Role).index(LEAST[what])


def plan_of(operation: Operation, subject: str) -> Plan:
    return Plan(operation, "public.x", subject, basis=(), steps=(Step("a step", ("SELECT 1",)),))


def test_core_refuses_each_role_what_it_may_not_when_asked(worker: Engine) -> None:
    desk = desks.desk(worker, **PEOPLE)
    for role, name in NAMES.items():
        for operation in OPERATIONS:
            plan = plan_of(operation, f"by {name}")
            actor = Actor(name, Role.ADMIN, Origin.DASHBOARD)  # whatever role the edge says it has
            if may(role, operation.name):
                assert desk.enqueue(plan, actor).new
                continue
            for ask in (desk.enqueue, desk.run):
                with pytest.raises(NotAllowed, match=f"{name} is here as {role}; to {operation} takes an"):
                    ask(plan, actor)
        if not may(role, "sample"):
            with pytest.raises(NotAllowed, match=f"{name} is here as {role}; to sample sizes takes an operator"):
                desk.sample(Actor(name, Role.ADMIN, Origin.COMMAND_LINE))
    stranger = Actor("mallory", Role.ADMIN, Origin.DASHBOARD)
    with pytest.raises(NotAllowed, match="mallory has no role here"):
        desk.enqueue(plan_of(OPERATIONS[0], "by mallory"), stranger)
    asked = {(row.actor, row.kind) for row in read_operations(worker)}
    wanted = {(NAMES[role], one.name) for role in Role for one in OPERATIONS if may(role, one.name)}
    assert asked == wanted


def test_a_row_is_run_by_the_role_that_is_left(worker: Engine) -> None:
    """Each asked for as an admin, sealed, and then no admin any more when the worker comes to it."""
    before = desks.desk(worker, admins=tuple(NAMES.values()))
    left = desks.desk(worker, **PEOPLE)
    for role, name in {**NAMES, None: "mallory"}.items():
        for operation in OPERATIONS:
            subject = f"{operation} by {name}"
            plan = plan_of(operation, subject)
            asked = before if role is not None else desks.desk(worker, admins=("mallory",))
            ticket = asked.enqueue(plan, Actor(name, Role.ADMIN, Origin.DASHBOARD))
            if role is not None and may(role, operation.name):
                continue
            with session(worker) as work:
                claimed = claim(work, ticket.id, SEAL)
                assert claimed is not None
                assert claimed.shown == plan
                with pytest.raises(NotAllowed):
                    run_queued(left, work, claimed, Cancellation())
                let_go(work)
            ended = read_operation(worker, ticket.id)
            assert ended is not None
            assert (ended.state, ended.step, ended.error_kind) == (OperationState.FAILED, 0, "NotAllowed"), subject
            assert name in ended.error


def commands(made: Made, archived: str, backup: str, active: int) -> dict[tuple[str, ...], str]:
    """Every command that acts, and what it takes."""
    first, table = made.partition(made.ranges[2][0]), ("--table", made.address)
    return {
        ("ensure", "--year", "2050", *table): "ensure",
        ("backup", "--partition", first, *table): "backup",
        ("verify", backup, *table): "verify",
        ("archive", "--partition", first, *table): "archive",
        ("reattach", "--partition", archived, *table): "reattach",
        ("drop", "--partition", archived, "--confirm", archived, "--now", *table): "drop",
        ("drop", "--partition", archived, "--confirm", archived, *table): "schedule",
        ("drop", "--due", *table): "drop",
        ("hold", "--partition", first, "--reason", "x", *table): "hold",
        ("key", "--as", "epoch", "--table", "public.numbers"): "key",
        ("sample",): "sample",
        ("cancel", str(active)): "archive",
        ("find", "--date", str(made.ranges[0][0]), "--where", "kid_id=1", *table): "find",
    }


def test_the_command_line_is_the_users_of_the_system(road: Road, make_table: Make) -> None:
    made, me = make_table(rows=5), system_user()
    road.run("CREATE TABLE numbers (k bigint NOT NULL) PARTITION BY RANGE (k)")
    road.run("CREATE TABLE numbers_1 PARTITION OF numbers FOR VALUES FROM (5) TO (1735689600)")
    (kept,) = road.ready(made, made.first)
    held = plan_of(OPERATIONS[1], "what is queued")
    active = desks.desk(road.worker).enqueue(held, Actor("Ada", Role.ADMIN, Origin.DASHBOARD)).id
    before = road.run("SELECT count(*), max(id) FROM partition_desk.operation")
    for role in (Role.VIEWER, Role.AUDITOR, Role.OPERATOR):
        for words, what in commands(made, made.first, kept.backup.id, active).items():
            if may(role, what):
                continue
            ended = road(*words, **{f"PARTITION_DESK_{LISTS[role]}": me}, LOGNAME="ada", PARTITION_DESK_ADMINS="ada")
            assert ended.code == 1, words
            assert f"{me} is here as {role}; to" in ended.message, words
            assert f"takes an {LEAST[what]}" in ended.message, words
    for words in (("status",), ("history",), *commands(made, made.first, kept.backup.id, active)):
        ended = road(*words, PARTITION_DESK_ADMINS="ada")
        assert (ended.code, f"{me} has no role here" in ended.message) == (1, True), words
    assert road.run("SELECT count(*), max(id) FROM partition_desk.operation") == before
    assert road.run("SELECT state, cancel_requested FROM partition_desk.operation WHERE id = " + str(active)) == [
        ("queued", False)
    ]
    for words, what in commands(made, made.first, kept.backup.id, active).items():
        if may(Role.OPERATOR, what):
            assert road(*words, PARTITION_DESK_OPERATORS=me).code == 0, words


def test_who_looks_for_the_rows_of_a_value_is_written_down_without_it(road: Road, make_table: Make) -> None:
    made, me = make_table(rows=5), system_user()
    day = str(made.ranges[0][0])
    asked = ("find", "--date", day, "--table", made.address)
    road.done(*asked, PARTITION_DESK_VIEWERS=me)
    road.done(*asked, "--where", "kid_id=77123")  # nobody is named, and nothing was ever done here
    assert road.run("SELECT to_regclass('partition_desk.operation')") == [(None,)]
    road.done(*asked, "--where", "kid_id=77123", PARTITION_DESK_OPERATORS=me)
    (row,) = read_operations(road.reader, seal=SEAL)
    assert (row.kind, row.subject, row.actor, row.role) == ("find", f"kid_id on {day}", me, "operator")
    assert (row.state, row.sealed) == (OperationState.DONE, True)
    assert row.finished_at is not None
    assert "77123" not in str(road.run("SELECT t::text FROM partition_desk.operation t"))
    road.run("REVOKE ALL ON SCHEMA partition_desk FROM PUBLIC")
    road.done(*asked, "--where", "kid_id=77123")
    assert len(read_operations(road.reader)) == 2


def test_names_are_for_auditors(road: Road, make_table: Make) -> None:
    made, me = make_table(), system_user()
    held = ("hold", "--partition", made.first, "--table", made.address)
    road.done(*held, "--reason", f"{me} wants it")
    for role, named in ((Role.VIEWER, False), (Role.AUDITOR, True), (Role.OPERATOR, True), (Role.ADMIN, True)):
        for words in (("history",), ("history", "--json")):
            out = road.done(*words, **{f"PARTITION_DESK_{LISTS[role]}": me}).out
            assert (me in out) == named, role
            assert named or "somebody" in out


def test_a_drop_that_was_planned_by_who_is_no_admin_any_more_is_not_begun(road: Road, make_table: Make) -> None:
    made = make_table(rows=5)
    road.ready(made, made.first)
    road.plan_later(made, made.first)

    def due(**people: tuple[str, ...]) -> tuple[str | None, str]:
        desk = desks.desk(road.reader, road.worker, storage=road.cold, **people)
        (one,) = plan_due_drops(desk, now=desk.server_now)
        return one.by or None, str(one.refused or "")

    assert due() == ("Ada", "")
    assert due(admins=("Ada",)) == ("Ada", "")
    assert due(operators=("Ada",))[1].startswith("Ada is here as operator; to drop takes an admin.")
    assert due(admins=("bert",))[1].startswith("Ada has no role here.")


def test_the_embedded_demo_and_start_up_need_no_names(worker: Engine) -> None:
    desk: Desk = replace(desks.desk(worker, **PEOPLE))
    start_up = Actor("www-data", Role.OPERATOR, Origin.START_UP)
    assert desk.enqueue(plan_of(OPERATIONS[0], "at start-up"), start_up).new
    with pytest.raises(NotAllowed):
        desk.enqueue(plan_of(OPERATIONS[1], "at start-up"), replace(start_up, role=Role.ADMIN))


@pytest.fixture
def made(make_table: Make) -> Made:
    return make_table(rows=5)


def test_a_role_by_a_group_is_what_its_sealed_row_says_until_the_group_has_none(worker: Engine, made: Made) -> None:
    desk = desks.desk(worker, admins=("ada", "groups=desk-admins"), role_claim="groups")
    gus = Actor("gus", Role.ADMIN, Origin.DASHBOARD, "by a provider", said=Said(("groups=desk-admins",), 4e9))
    ticket = desk.enqueue(desk.plan(Archive(made.address, made.first)), gus)
    with session(worker) as work:
        claimed = claim(work, ticket.id, SEAL)
        assert claimed is not None
        none = replace(desk, settings=replace(desk.settings, admins=("ada",)))
        with pytest.raises(NotAllowed, match="gus has no role here"):
            run_queued(none, work, claimed, None)
        let_go(work)
        again = claim(work, desk.enqueue(desk.plan(Archive(made.address, made.first)), gus).id, SEAL)
        assert again is not None
        run_queued(desk, work, again, None)
        let_go(work)
    assert desk.read(made.address).find_archived(made.first) is not None


def test_a_row_that_was_changed_after_it_was_taken_gives_no_role(worker: Engine, made: Made, run: Run) -> None:
    desk = desks.desk(worker, admins=("ada", "groups=desk-admins"), operators=("groups=desk",), role_claim="groups")
    gus = Actor("gus", Role.OPERATOR, Origin.DASHBOARD, "by a provider", said=Said(("groups=desk",), 4e9))
    ticket = desk.enqueue(desk.plan(Ensure(made.address)), gus)
    with session(worker) as work:
        claimed = claim(work, ticket.id, SEAL)
        assert claimed is not None
        run("UPDATE partition_desk.operation SET verified = replace(verified, 'until 2', 'until 3')")
        with pytest.raises(NotAllowed, match="gus has no role here"):
            run_queued(desk, work, claimed, None)
        let_go(work)


def test_what_counts_after_the_sign_in_takes_a_name(worker: Engine, made: Made) -> None:
    desk = desks.desk(worker, admins=("ada", "groups=desk-admins"), role_claim="groups", two_persons=("archive",))
    gus = Actor("gus", Role.ADMIN, Origin.DASHBOARD, "by a provider", said=Said(("groups=desk-admins",), 4e9))
    for operation in (SCHEDULE, RULES):
        plan = replace(plan_of(operation, "later"), backup="a/b/c")
        with pytest.raises(NotAllowed, match=f"gus is an admin by groups alone.*; to {operation} counts for longer"):
            desk.enqueue(plan, gus)
    asked = desk.plan(Archive(made.address, made.first))
    with pytest.raises(Asked) as found:
        desk.enqueue(asked, gus)
    number = int(found.value.next.rpartition(" ")[2].rstrip("."))
    ada = Actor("ada", Role.ADMIN, Origin.DASHBOARD)
    assert approved(desk, number, ada).request == number
    none = replace(desk, settings=replace(desk.settings, admins=("ada",)))
    with pytest.raises(NotAllowed, match="gus has asked for it, and is no admin any more"):
        approved(none, number, ada)
