"""Advisory locks are anybody's: who may not act here holds nobody up with one, and makes nothing dead look alive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from core.console.execute import Budget
from core.console.journal import OperationState, read_operation
from core.console.queue import enqueue, start
from core.console.worker import Worker
from core.errors import LockNotObtained
from core.growth.samples.read import read_runs
from core.plans.archive import Archive
from core.plans.plan import Plan
from core.postgres.advisory import LockKey
from core.postgres.connection import session as connected
from tests import desks
from tests.conftest import ADMIN, Act, OpenSession, Session, until
from tests.desks import SEAL
from tests.tables import Made, Run

pytestmark = pytest.mark.attacked_versions

Make = Callable[..., Made]
NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
ALL = f"""
SELECT pg_advisory_lock({LockKey.TABLE}, hashtext('public.kid_absences')), pg_advisory_lock({LockKey.TABLE}, 0),
    pg_advisory_lock({LockKey.TABLE}, 1), pg_advisory_lock({LockKey.TABLE}, 2), pg_advisory_lock({LockKey.SAMPLE}, 1);
SELECT pg_advisory_lock({LockKey.OPERATION}, id) FROM generate_series(1, 50) id
"""


@pytest.fixture
def made(make_table: Make) -> Made:
    return make_table()


@pytest.fixture
def stranger(make_role: Callable[..., tuple[str, str]]) -> Iterator[Session]:
    """A session of a role that may connect, and nothing else."""
    _, url = make_role(itself=True)
    opened = Session(url)
    yield opened
    opened.close()


def archiving(reader: Engine, made: Made, number: int = 0) -> Plan:
    return desks.desk(reader, now=NOW).plan(Archive(made.address, made.partition(made.ranges[number][0])))


def state(reader: Engine, number: int) -> OperationState:
    found = read_operation(reader, number)
    assert found is not None
    return found.state


def test_a_stranger_with_every_lock_stops_no_act_and_no_sample(
    reader: Engine, worker: Engine, act: Act, made: Made, stranger: Session, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    stranger.run(ALL)
    with caplog.at_level(logging.WARNING):
        done = act(archiving(reader, made))
        assert done is not None
        assert done.state is OperationState.DONE
        ticket = enqueue(worker, archiving(reader, made, 1), ADMIN, "", seal=SEAL)
        working = Worker(desks.desk(worker, sample_daily=True))
        working.start()
        try:
            until(lambda: not state(reader, ticket.id).active)
            until(lambda: read_runs(reader, limit=1))
        finally:
            working.stop()
    assert state(reader, ticket.id) is OperationState.DONE
    assert f"session {stranger.pid}" in caplog.text
    assert stranger.run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()") == [
        (55,)
    ]


def test_what_runs_without_its_lock_is_alive_while_it_says_so(
    reader: Engine, worker: Engine, made: Made, stranger: Session, session: OpenSession, run: Run
) -> None:
    stranger.run(ALL)
    other = session()
    other.hold(f"SELECT * FROM {made.sql}")
    ticket = enqueue(worker, archiving(reader, made), ADMIN, "", seal=SEAL)
    working = Worker(desks.desk(worker, sample_daily=False))
    working.start()
    try:
        until(lambda: (found := read_operation(reader, ticket.id)) is not None and found.blockers)
        assert state(reader, ticket.id) is OperationState.RUNNING
        run("UPDATE partition_desk.operation SET beat = clock_timestamp() - interval '1 hour'")
        assert state(reader, ticket.id) is OperationState.INTERRUPTED
        run("UPDATE partition_desk.operation SET beat = clock_timestamp() + interval '1 hour'")
        assert state(reader, ticket.id) is OperationState.INTERRUPTED
    finally:
        other.release()
        working.stop()


def test_a_strangers_lock_makes_no_dead_operation_look_alive(
    reader: Engine, worker: Engine, made: Made, stranger: Session
) -> None:
    with connected(worker) as work:
        ticket = start(work, archiving(reader, made), ADMIN, "", seal=SEAL)
        assert state(reader, ticket.id) is OperationState.RUNNING
        work.invalidate()  # as if its process had died
    until(lambda: state(reader, ticket.id) is OperationState.INTERRUPTED)
    stranger.run(f"SELECT pg_advisory_lock({LockKey.OPERATION}, {ticket.id})")
    assert state(reader, ticket.id) is OperationState.INTERRUPTED


def test_one_of_ours_is_waited_for_within_the_patience_and_told(
    reader: Engine, act: Act, made: Made, session: OpenSession
) -> None:
    ours = session()
    ours.run(f"SELECT pg_advisory_lock({LockKey.TABLE}, hashtext('{made.address}'))")
    with pytest.raises(LockNotObtained, match=rf"of session {ours.pid} \("):
        act(archiving(reader, made), Budget(lock_ms=50, patience_s=0.5))
