"""What failed is told until it is done or somebody answers for it; whoever does leaves the failed row as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine

from core.console.actor import Actor, Origin
from core.console.audit import read_entries
from core.console.desk import Desk
from core.console.failures import CHECK, acknowledge, failures, waiting
from core.console.journal import read_operation
from core.doctor.findings import Severity
from core.errors import DeskError, NotAllowed, Refused
from core.plans.archive import Archive
from core.plans.hold import PutHold
from core.plans.operation import Role, Wish
from core.plans.reattach import Reattach
from core.seal import Seal
from core.tables.marks import Hold
from tests import desks
from tests.conftest import ADMIN
from tests.road import Road
from tests.tables import Made, Run

Make = Callable[..., Made]


@pytest.fixture
def made(make_table: Make) -> Made:
    return make_table(rows=5)


@pytest.fixture
def desk(worker: Engine) -> Desk:
    return desks.desk(worker, admins=(ADMIN.name, "ada"), operators=("oscar",), viewers=("vera",))


def fail(desk: Desk, run: Run, wish: Wish, *, by: str = "ada") -> int:
    """Has a plan fail that was shown before the table became another; gives its number."""
    plan = desk.plan(wish)
    run("ALTER TABLE kid_absences ADD COLUMN meanwhile integer")
    with pytest.raises(DeskError):
        desk.run(plan, Actor(by, Role.ADMIN, Origin.COMMAND_LINE), "it is time")
    run("ALTER TABLE kid_absences DROP COLUMN meanwhile")
    return failures(desk)[0].record.id


def told(desk: Desk) -> list[tuple[int, bool]]:
    """What is told as failed, and whether that waits for somebody."""
    return [(one.record.id, one.answer is None) for one in failures(desk)]


def counts(desk: Desk, made: Made) -> tuple[int, int, float | None]:
    """How many wait by the one function, by the Doctor, and by the metrics."""
    found = desk.examine(desk.read(made.address), None)
    doctor = sum(one.check == CHECK and one.severity is Severity.WARNING for one in found)
    (figures,) = desk.metrics(None).tables
    return waiting(failures(desk))[made.address], doctor, figures.waiting


def test_who_answers_for_a_failure_leaves_it_as_it_was(desk: Desk, made: Made, run: Run) -> None:
    number = fail(desk, run, Archive(made.address, made.first))
    before = read_operation(desk.reading, number)
    assert counts(desk, made) == (1, 1, 1)
    assert acknowledge(desk, number, ADMIN, "the school was told", desk.today)
    assert counts(desk, made) == (0, 0, 0)
    assert read_operation(desk.reading, number) == before
    (failure,) = failures(desk)
    assert failure.answer is not None
    assert (failure.answer.actor, failure.answer.reason, failure.until) == (
        ADMIN.name,
        "the school was told",
        desk.today,
    )
    note = next(one for one in desk.examine(desk.read(made.address), None) if one.check == CHECK)
    assert (note.severity, note.reason.endswith(": the school was told")) == (Severity.NOTE, True)
    said = [one.said for one in read_entries(desk.reading) if one.said.get("act") == "acknowledge"]
    assert [(one["request"], one["reason"], one["plan"]) for one in said] == [
        (number, "the school was told", f'{{"until": "{desk.today}"}}')
    ]
    assert not acknowledge(desk, number, ADMIN, "the school was told", desk.today)  # it holds already
    tomorrow = desk.now + timedelta(days=1)
    assert told(replace(desk, clock=lambda: tomorrow)) == [(number, True)]  # until then, and no longer
    assert acknowledge(desk, number, ADMIN, "for good")
    assert told(replace(desk, clock=lambda: tomorrow)) == [(number, False)]


def test_a_later_success_on_the_same_object_clears_it(desk: Desk, made: Made, run: Run) -> None:
    first, second = made.first, made.partition(made.ranges[1][0])
    of_first = fail(desk, run, Archive(made.address, first))
    of_second = fail(desk, run, Archive(made.address, second))
    desk.run(desk.plan(PutHold(made.address, first, Hold("", "an inspection", "ada"))), ADMIN)
    assert told(desk) == [(of_second, True), (of_first, True)]  # another act on it is not what was asked for
    desk.run(desk.plan(PutHold(made.address, first, None)), ADMIN)
    desk.run(desk.plan(Archive(made.address, first)), ADMIN)
    assert told(desk) == [(of_second, True)]
    again = fail(desk, run, Archive(made.address, second))
    assert told(desk) == [(again, True)]  # tried again, it is told once
    run(f"ALTER TABLE {second} RENAME TO renamed")
    desk.run(desk.plan(Archive(made.address, "renamed")), ADMIN)
    assert told(desk) == []  # an object is what it is, whatever it is called


def test_undone_it_is_not_wanted_any_more(desk: Desk, made: Made, run: Run) -> None:
    desk.run(desk.plan(Archive(made.address, made.first)), ADMIN)
    number = fail(desk, run, Reattach(made.address, made.first))
    desk.run(desk.plan(Reattach(made.address, made.first)), ADMIN)
    fail(desk, run, Archive(made.address, made.first))
    assert all(one != number for one, _ in told(desk))
    assert acknowledge(desk, number, ADMIN, "it was done") is False


def test_it_takes_the_role_of_what_failed_and_a_reason(desk: Desk, made: Made, run: Run) -> None:
    number = fail(desk, run, Archive(made.address, made.first))
    for name, role in (("oscar", Role.OPERATOR), ("vera", Role.VIEWER)):
        with pytest.raises(NotAllowed, match=f"{name} is here as {role}"):
            acknowledge(desk, number, Actor(name, role, Origin.DASHBOARD), "never mind")
    with pytest.raises(Refused, match="with a reason"):
        acknowledge(desk, number, ADMIN, " ")
    with pytest.raises(Refused, match="is over already"):
        acknowledge(desk, number, ADMIN, "too late", date(2020, 1, 1))
    with pytest.raises(Refused, match="There is no operation 999"):
        acknowledge(desk, 999, ADMIN, "which")
    assert told(desk) == [(number, True)]


def test_an_answer_without_the_seal_counts_for_nothing(desk: Desk, made: Made, run: Run) -> None:
    number = fail(desk, run, Archive(made.address, made.first))
    stranger = replace(desk, settings=replace(desk.settings, key="another key"))
    assert acknowledge(stranger, number, ADMIN, "nothing to see here")
    assert told(stranger) == [(number, False)]
    assert told(desk) == [(number, True)]
    assert Seal(b"another key") != desk.seal()


def test_the_command(road: Road, worker: Engine, make_table: Make, run: Run) -> None:
    made = make_table()
    desk = desks.desk(worker)
    number = fail(desk, run, Archive(made.address, made.first))
    assert f"partitions acknowledge {number} --reason ..." in road.done("doctor").out
    dry = road.done("acknowledge", str(number), "--reason", "known", "--dry-run").out
    assert dry == f"-- Would acknowledge: operation {number}, archive {made.first}.\n"
    assert told(desk) == [(number, True)]
    for _ in range(2):
        said = road.done("acknowledge", str(number), "--reason", "known", "--until", str(desk.today)).out
    assert said.startswith(f"Nothing to do: operation {number}")
    assert told(desk) == [(number, False)]
    assert "acknowledge" in road.done("history").out
    refused = road("acknowledge", "77", "--reason", "known")
    assert (refused.code, refused.message.startswith("There is no operation 77.")) == (1, True)
