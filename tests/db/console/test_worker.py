"""Operations that run outside of any page: queue and workers, two at once, a process that is killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.console import run as running
from core.console.execute import Budget, Cancellation
from core.console.journal import OperationState, read_operation, read_operations, read_steps
from core.console.locks import Blocker
from core.console.queue import enqueue, request_cancel
from core.console.run import follow
from core.console.worker import Worker, printer
from core.errors import Cancelled, PlanOutdated
from core.plans.archive import Archive
from core.plans.plan import Plan
from core.seal import Seal
from core.tables.catalog.table import read_table
from tests import desks
from tests.conftest import ADMIN, Act, OpenSession, until
from tests.desks import KEY, SEAL
from tests.tables import Made, Run, fingerprint

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
BUDGET = Budget(lock_ms=50, patience_s=30)
ROOT = Path(__file__).parents[3]
Make = Callable[..., Made]

WORKER = """
import sys, time
from core.console.desk import Desk
from core.console.worker import Worker
from core.settings import read_settings

settings = read_settings({"PARTITION_DESK_LOCK_BUDGET_MS": sys.argv[2], "PARTITION_DESK_SAMPLE": "false",
    "PARTITION_DESK_KEY": sys.argv[3]})
Worker(Desk.at(sys.argv[1], settings)).start()
time.sleep(60)
"""


def archiving(reader: Engine, made: Made) -> Plan:
    return desks.desk(reader, now=NOW).plan(Archive(made.address, made.first))


@contextmanager
def working(engine: Engine) -> Iterator[Worker]:
    """A worker in this process."""
    worker = Worker(desks.desk(engine, budget=BUDGET, sample_daily=False))
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


@contextmanager
def process(url: str, lock_ms: int = 50) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own, killed at the end if it still runs."""
    started = subprocess.Popen([sys.executable, "-c", WORKER, url, str(lock_ms), KEY], cwd=ROOT)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def state(reader: Engine, operation_id: int) -> OperationState:
    operation = read_operation(reader, operation_id)
    assert operation is not None
    return operation.state


def test_a_worker_runs_what_is_queued(reader: Engine, worker: Engine, make_table: Make) -> None:
    made = make_table()
    with working(worker) as working_one:
        ticket = enqueue(worker, archiving(reader, made), ADMIN, "", seal=SEAL)
        working_one.wake()
        until(lambda: not state(reader, ticket.id).active)
        assert state(reader, ticket.id) is OperationState.DONE
        back = desks.reattach(reader, read_table(reader, made.address), made.first)
        ticket = enqueue(worker, back, ADMIN, "", seal=SEAL)
        working_one.wake()
        until(lambda: not state(reader, ticket.id).active)
    assert [o.state for o in read_operations(reader)] == [OperationState.DONE] * 2
    assert made.count() == 60


def test_two_workers_run_it_once(reader: Engine, worker: Engine, make_table: Make) -> None:
    made = make_table()
    with working(worker), working(worker):
        plan = desks.ensure(
            reader,
            read_table(reader, made.address),
            [(date(year, 1, 1), date(year + 1, 1, 1)) for year in range(2025, 2035)],
        )
        ticket = enqueue(worker, plan, ADMIN, "", seal=SEAL)
        until(lambda: not state(reader, ticket.id).active)
    assert state(reader, ticket.id) is OperationState.DONE
    assert [step.step for step in read_steps(reader, ticket.id)] == list(range(1, 11))
    assert len(read_table(reader, made.address).partitions) == 13


def test_a_failure_is_written_down_and_the_worker_goes_on(
    reader: Engine, worker: Engine, make_table: Make, run: Run
) -> None:
    made = make_table()
    outdated = archiving(reader, made)
    run("COMMENT ON TABLE kid_absences_2022 IS 'new'")
    with working(worker) as working_one:
        failed = enqueue(worker, outdated, ADMIN, "", seal=SEAL)
        working_one.wake()
        until(lambda: not state(reader, failed.id).active)
        good = enqueue(worker, archiving(reader, made), ADMIN, "", seal=SEAL)
        working_one.wake()
        until(lambda: not state(reader, good.id).active)
    assert [o.state for o in read_operations(reader)] == [OperationState.DONE, OperationState.FAILED]
    assert "no longer as it was when this was planned" in read_operations(reader)[1].error


def test_what_waits_can_be_cancelled(reader: Engine, worker: Engine, make_table: Make, session: OpenSession) -> None:
    made = make_table()
    other = session()
    other.hold("SELECT * FROM kid_absences")
    with working(worker) as working_one:
        ticket = enqueue(worker, archiving(reader, made), ADMIN, "", seal=SEAL)
        working_one.wake()
        until(lambda: [b.pid for o in read_operations(reader) for b in o.blockers] == [other.pid])
        request_cancel(worker, ticket.id)
        until(lambda: not state(reader, ticket.id).active)
    assert state(reader, ticket.id) is OperationState.CANCELLED
    assert made.count() == 60


@pytest.mark.parametrize("lock_ms", [50, 60_000], ids=["before the detach", "in the detach"])
def test_a_worker_killed_in_the_middle_is_shown_and_asking_again_finishes(
    reader: Engine,
    worker: Engine,
    act: Act,
    make_table: Make,
    session: OpenSession,
    run: Run,
    database_url: str,
    lock_ms: int,
) -> None:
    made = make_table()
    rows = fingerprint(reader, made.sql), fingerprint(reader, '"public"."kid_absences_2022"')
    other = session()
    other.hold("SELECT * FROM kid_absences")
    ticket = enqueue(worker, archiving(reader, made), ADMIN, "", seal=SEAL)
    with process(database_url, lock_ms) as killed:
        if lock_ms == 50:
            until(lambda: [b.pid for o in read_operations(reader) for b in o.blockers] == [other.pid])
        else:
            until(lambda: run("SELECT 1 FROM pg_inherits WHERE inhdetachpending"))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    if lock_ms > 50:  # a backend that waits for a lock does not look whether its client is there
        other.release()
    until(lambda: not state(reader, ticket.id).active)
    other.release()
    # Where the reader went in time the dead console's backend ends the step it was in, and nothing after it.
    assert state(reader, ticket.id) is OperationState.INTERRUPTED
    assert fingerprint(reader, '"public"."kid_absences_2022"') == rows[1]
    act(archiving(reader, made))
    assert fingerprint(reader, '"archive"."kid_absences_2022"') == rows[1]
    act(desks.reattach(reader, read_table(reader, made.address), made.first))
    assert fingerprint(reader, made.sql) == rows[0]
    states = [operation.state for operation in read_operations(reader)]
    assert states == [OperationState.DONE, OperationState.DONE, OperationState.INTERRUPTED]


def test_run_now_follows_what_is_queued_already(reader: Engine, worker: Engine, make_table: Make) -> None:
    made = make_table()
    plan = archiving(reader, made)
    ticket = enqueue(worker, plan, ADMIN, "from the dashboard", seal=SEAL)
    told: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        here = pool.submit(desks.desk(worker, budget=BUDGET).run, plan, ADMIN, "here", progress=printer(told.append))
        time.sleep(0.3)
        assert not here.done()
        with working(worker):
            done = here.result(20)
    assert done is not None
    assert (done.id, done.state, done.reason) == (ticket.id, OperationState.DONE, "from the dashboard")
    assert len(read_operations(reader)) == 1


def test_what_no_worker_takes_is_done_by_who_asks_for_the_same(
    reader: Engine, worker: Engine, make_table: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "TAKE_OVER_S", 0.0)
    made = make_table()
    plan = archiving(reader, made)
    ticket = enqueue(worker, plan, ADMIN, "from the dashboard", seal=SEAL)
    done = desks.desk(worker, budget=BUDGET).run(plan, ADMIN, "here")
    assert done is not None
    assert (done.id, done.state, done.reason) == (ticket.id, OperationState.DONE, "from the dashboard")


def test_a_row_that_nobody_with_the_key_wrote_stands_in_nobodys_way(
    reader: Engine, worker: Engine, make_table: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "TAKE_OVER_S", 0.0)
    made = make_table()
    plan = archiving(reader, made)
    desk = desks.desk(worker, budget=BUDGET)
    foreign = enqueue(worker, plan, ADMIN, "", seal=Seal(b"the key of somebody else"))
    with pytest.raises(PlanOutdated, match="was not asked for by this console"):  # the command line asks once more
        desk.run(plan, ADMIN)
    assert state(reader, foreign.id) is OperationState.CANCELLED
    old = enqueue(worker, plan, ADMIN, "", seal=Seal(b"the key of somebody else"))
    run(f"UPDATE partition_desk.operation SET requested_at = now() + interval '1 day' WHERE id = {old.id}")
    done = desk.run(plan, ADMIN)
    assert done is not None
    assert done.state is OperationState.DONE
    assert state(reader, old.id) is OperationState.CANCELLED


def test_a_follower_gets_the_failure_of_what_it_follows(
    reader: Engine, worker: Engine, make_table: Make, run: Run
) -> None:
    made = make_table()
    plan = archiving(reader, made)
    ticket = enqueue(worker, plan, ADMIN, "", seal=SEAL)
    run("COMMENT ON TABLE kid_absences_2022 IS 'new'")
    with working(worker), pytest.raises(PlanOutdated, match="no longer as it was when this was planned") as outdated:
        follow(worker, ticket.id)
    assert outdated.value.changes[0].startswith("was: partition ")
    assert str(outdated.value).count("Look at the table") == 1


def test_a_followers_cancel_reaches_what_it_follows(
    reader: Engine, worker: Engine, make_table: Make, session: OpenSession
) -> None:
    made = make_table()
    other = session()
    other.hold("SELECT * FROM kid_absences")
    plan = archiving(reader, made)
    ticket = enqueue(worker, plan, ADMIN, "", seal=SEAL)
    cancellation = Cancellation()
    with working(worker), ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow, worker, ticket.id, cancellation=cancellation)
        until(lambda: [b.pid for o in read_operations(reader) for b in o.blockers] == [other.pid])
        cancellation.request()
        with pytest.raises(Cancelled):
            following.result(20)
    assert state(reader, ticket.id) is OperationState.CANCELLED


def test_many_who_run_the_same_at_once_do_it_once(reader: Engine, worker: Engine, make_table: Make) -> None:
    made = make_table()
    plan = desks.ensure(reader, read_table(reader, made.address), [(date(2027, 1, 1), date(2028, 1, 1))])

    def go(_: int) -> int | None:
        try:
            done = desks.desk(worker, budget=BUDGET).run(plan, ADMIN)
        except PlanOutdated:  # it came when all was done
            return None
        return done and done.id

    with ThreadPoolExecutor(5) as pool:
        numbers = {number for number in pool.map(go, range(5)) if number is not None}
    assert len(numbers) == 1
    assert [o.id for o in read_operations(reader) if o.state is OperationState.DONE] == list(numbers)
    assert [p.name for p in read_table(reader, made.address).partitions].count("kid_absences_2027") == 1


def test_nothing_to_do_is_not_written_down(reader: Engine, worker: Engine, make_table: Make, run: Run) -> None:
    made = make_table()
    plan = desks.ensure(reader, read_table(reader, made.address), made.ranges)
    assert desks.desk(worker, budget=BUDGET).run(plan, ADMIN) is None
    assert run("SELECT count(*) FROM pg_namespace WHERE nspname = 'partition_desk'") == [(0,)]


def test_an_applications_start_up_may_run_without_a_journal(
    reader: Engine, worker: Engine, make_table: Make, run: Run
) -> None:
    made = make_table()
    plan = desks.ensure(reader, read_table(reader, made.address), [(date(2027, 1, 1), date(2028, 1, 1))])
    desks.desk(worker, budget=BUDGET).run_unrecorded(plan)
    assert read_table(reader, made.address).find("kid_absences_2027") is not None
    assert run("SELECT count(*) FROM pg_namespace WHERE nspname = 'partition_desk'") == [(0,)]


def test_the_printer_says_each_thing_once() -> None:
    lines: list[str] = []
    tell = printer(lines.append)
    blocker = Blocker(
        7, "anna", "psql", "local", "active", "2026-10-20T09:00:00+00:00", 1.0, "SELECT ?", "t", "session"
    )
    for _ in range(2):
        tell("Detach it", ())
        tell("Detach it", ())
        tell("", (blocker,))
        tell("", (blocker,))
    assert (
        lines
        == [
            "Detach it",
            "Waiting for session 7 (anna, psql, local), active for 1 s: SELECT ?",
        ]
        * 2
    )
