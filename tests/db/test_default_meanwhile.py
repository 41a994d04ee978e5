"""A DEFAULT partition while a range gets its own: what is refused meanwhile is told, and is refused for no longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import psycopg2
import pytest
from sqlalchemy import Engine

from core.console import execute
from core.console.execute import Budget
from core.errors import DeskError, LockNotObtained
from core.plans import steps
from core.plans.archive import Archive
from core.plans.ensure import Ensure
from core.plans.reattach import Reattach
from tests import desks
from tests.conftest import ADMIN, Act, OpenSession
from tests.tables import Made, Run

pytestmark = pytest.mark.every_version

NOW = datetime(2024, 6, 1, tzinfo=UTC)
Y2025 = (date(2025, 1, 1), date(2026, 1, 1))
MADE = Ensure("kid_absences", years=(Y2025,))
INSERT = "INSERT INTO kid_absences (kid_id, date) VALUES ({}, '2025-03-03')"


@pytest.fixture
def made(make_table: Callable[..., Made]) -> Made:
    table = make_table(default=True)
    table.run(f"INSERT INTO {table.sql} (kid_id, date) SELECT g, '1990-01-01' FROM generate_series(1, 5000) g")
    return table


def excluded(run: Run) -> bool:
    return bool(run("SELECT 1 FROM pg_constraint WHERE conname LIKE 'partition_desk_excludes_%'"))


def test_beside_a_small_default_no_row_is_refused(made: Made, worker: Engine, act: Act) -> None:
    """Between any two steps of the plan rows of the range are written as ever."""
    desk = desks.desk(worker, now=NOW)
    for wish in (MADE, Archive("kid_absences", made.first), Reattach("kid_absences", made.first)):
        plan = desk.plan(wish)
        assert not any(step.refuses or "excludes" in step.sql for step in plan.steps)
        assert not any("fail" in warning for warning in plan.warnings)
        act(plan)


def test_beside_a_large_default_the_plan_tells_how_long_which_rows_fail(
    made: Made, worker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.run("ANALYZE kid_absences_default")
    monkeypatch.setattr(steps, "READ_UNDER_LOCK", 100_000)
    size = made.run("SELECT pg_relation_size('kid_absences_default')")[0][0]
    monkeypatch.setattr(steps, "READ_A_SECOND", size // 7)
    (told,) = desks.desk(worker).plan(MADE).warnings
    assert told.startswith("While kid_absences_default (")
    assert "about 5,000 rows) is read through, for about 7 seconds, new rows of 2025 fail" in told
    # estimated sizes, as an application's start-up has them, change nothing
    table = desks.desk(worker).read_working("kid_absences")
    assert table.default is not None
    assert table.default.read_through == size


@pytest.mark.usefixtures("large_default")
def test_what_the_plan_says_of_others_meanwhile_is_so(made: Made, worker: Engine, session: OpenSession) -> None:
    """While rows are refused, those of the range are, and no others."""
    other = session()
    refused: list[str] = []

    def between(doing: str, _: object) -> None:
        if doing.startswith(("Check that", "Create ")):
            with pytest.raises(psycopg2.errors.CheckViolation):
                other.run(INSERT.format(1))
            year, day = 2030 + len(refused), 10 + len(refused)
            other.run(f"INSERT INTO kid_absences (kid_id, date) VALUES (90, '{year}-03-03'), (90, '2022-03-{day}')")
            assert other.run("SELECT count(*) FROM kid_absences WHERE date < '1991-01-01'") == [(5000,)]
            refused.append(doing)

    desks.desk(worker).run(desks.desk(worker).plan(MADE), ADMIN, "a test", progress=between)
    assert len(refused) == 2
    other.run(INSERT.format(1))
    assert other.run("SELECT count(*) FROM kid_absences_2025") == [(1,)]
    assert not excluded(made.run)


@pytest.mark.usefixtures("large_default")
@pytest.mark.parametrize("relation", ["kid_absences_default", "kid_absences"])
def test_whoever_is_in_the_way_is_waited_for_before_rows_are_refused(
    made: Made, worker: Engine, session: OpenSession, relation: str
) -> None:
    reader, writer = session(), session()
    mode = "ACCESS SHARE" if relation == "kid_absences_default" else "SHARE UPDATE EXCLUSIVE"
    reader.hold(f"LOCK TABLE ONLY {relation} IN {mode} MODE")
    desk = desks.desk(worker, budget=Budget(lock_ms=50, patience_s=1.5))
    written: list[int] = []

    def waits(_: str, blockers: tuple[object, ...]) -> None:
        if blockers:
            writer.run(INSERT.format(len(written)))
            written.append(1)

    with pytest.raises(LockNotObtained):
        desk.run(desk.plan(MADE), ADMIN, "a test", progress=waits)
    assert written
    assert not excluded(made.run)


@pytest.mark.usefixtures("large_default")
@pytest.mark.parametrize("stays", [False, True], ids=["elsewhere", "reader"])
def test_who_comes_in_the_way_meanwhile_has_it_give_up_soon_and_let_the_rows_in(
    made: Made, worker: Engine, session: OpenSession, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    """Who reads the DEFAULT keeps rows from being let in as well as the partition from coming: he is waited for."""
    monkeypatch.setattr(execute, "REFUSING_S", 0.5)
    reader, writer = session(), session()
    lock = "kid_absences_default IN ACCESS SHARE" if stays else "ONLY kid_absences IN SHARE UPDATE EXCLUSIVE"
    waited: list[bool] = []

    def come(doing: str, blockers: tuple[object, ...]) -> None:
        if doing.startswith("Create "):
            reader.hold(f"LOCK TABLE {lock} MODE")
        elif blockers:
            waited.append(excluded(writer.run))
            if stays and len(waited) == 6:
                reader.release()

    desk = desks.desk(worker, budget=Budget(lock_ms=50, patience_s=300))
    plan = desk.plan(MADE)
    if stays:
        desk.run(plan, ADMIN, "a test", progress=come)
        assert len(waited) >= 6
        assert made.run("SELECT to_regclass('kid_absences_2025') IS NOT NULL") == [(True,)]
    else:
        with pytest.raises(LockNotObtained, match="no lock within 0 s") as stopped:
            desk.run(plan, ADMIN, "a test", progress=come)
        assert stopped.value.safe == "What was begun was taken back; nothing is changed."
    assert not excluded(made.run)
    writer.run(INSERT.format(1))


@pytest.mark.usefixtures("large_default")
def test_a_proof_that_others_cancel_lets_the_rows_in(
    made: Made, worker: Engine, session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "REFUSING_S", 0.5)
    desk = desks.desk(worker)
    plan = desk.plan(MADE)
    check, proof, rest = plan.steps
    slow = (check, replace(proof, statements=("SELECT pg_sleep(30)",)), rest)
    other = session()

    def cancel(doing: str, _: object) -> None:
        if doing.startswith("Check that"):
            killer.start()

    def kill() -> None:
        for _ in range(100):
            other.run("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%'")
            if not excluded(other.run):
                return
            time.sleep(0.1)

    killer = threading.Thread(target=kill)
    with pytest.raises(DeskError):
        desk.run(replace(plan, steps=slow), ADMIN, "a test", progress=cancel)
    killer.join()
    assert not excluded(made.run)
