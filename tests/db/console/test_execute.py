"""Plans applied among other sessions: locks held by others, tables that changed, sessions that die in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import URL, Engine

from core.console.execute import Budget
from core.console.journal import OperationRecord, OperationState, read_operations
from core.console.queue import request_cancel
from core.errors import Cancelled, ConnectionFailed, DetachPending, LockNotObtained
from core.plans.archive import plan_archive
from core.plans.plan import Plan
from core.postgres.advisory import LockKey
from core.postgres.connection import parse_url, reading_engine, working_engine
from core.postgres.embedded import running_server
from tests import desks, tables
from tests.conftest import ADMIN, Act, OpenSession, Session, until
from tests.db.console.planning import NOW, archiving, catalog_of, ensuring, pending, read, reattaching
from tests.servers import Database, connect, temporary_home
from tests.tables import Made, Run, fingerprint

every_version = pytest.mark.every_version

SHORT = Budget(lock_ms=50, patience_s=1.5)
LONG = Budget(lock_ms=50, patience_s=30)
BLIND = Budget(lock_ms=60_000, patience_s=30)
"""Sees nobody in the way who has been there for less than a minute, and so queues at once."""

Make = Callable[..., Made]
Start = Callable[..., "Future[OperationRecord | None]"]


@pytest.fixture
def start(act: Act) -> Iterator[Start]:
    """Begins to apply a plan in a thread: `start(plan, budget).result()`."""
    with ThreadPoolExecutor(4) as pool:
        yield lambda plan, budget=LONG: pool.submit(act, plan, budget)


def running(reader: Engine) -> OperationRecord | None:
    return next((o for o in read_operations(reader) if o.state is OperationState.RUNNING), None)


def waits_for(reader: Engine, pid: int) -> bool:
    """Whether the running operation's journal row names the session as in its way."""
    operation = running(reader)
    return operation is not None and pid in [blocker.pid for blocker in operation.blockers]


def queued_on_tables(run: Run) -> int:
    """How many sessions wait for a table's lock just now."""
    sql = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND datname = current_database()"
    return int(run(f"{sql} WHERE locktype = 'relation' AND NOT granted")[0][0])


# --- somebody is in the way ----------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("doing", [archiving, ensuring], ids=["archive", "ensure"])
def test_a_long_reader_with_a_default_partition_ends_the_patience(
    reader: Engine, act: Act, make_table: Make, session: OpenSession, run: Run, doing: Callable[..., Plan]
) -> None:
    made = make_table(default=True)
    run("CREATE SCHEMA archive")
    before = catalog_of(run, made)
    plan = doing(reader, made)
    other = session()
    other.hold("SELECT * FROM kid_absences WHERE reason = 'secret'")
    with pytest.raises(LockNotObtained, match=rf"no lock within 2 s, after \d tries\. In the way: session {other.pid} "
                       r"\(postgres, test, local\), idle in transaction") as stopped:  # fmt: skip
        act(plan, SHORT)
    assert "secret" not in str(stopped.value)
    advised = "without a DEFAULT partition a detach needs no such lock" in stopped.value.next
    assert advised is (doing is archiving)
    assert stopped.value.safe.startswith(("Nothing was changed.", "What was begun was taken back; nothing is changed."))
    assert catalog_of(run, made) == before
    operation = read_operations(reader)[0]
    assert (operation.state, operation.error) == (OperationState.FAILED, str(stopped.value))
    assert [blocker.pid for blocker in operation.blockers] == [other.pid]


@every_version
@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_a_reader_who_goes_is_waited_for_outside_of_the_queue(
    reader: Engine, start: Start, make_table: Make, session: OpenSession, run: Run, default: bool
) -> None:
    made = make_table(default=default)
    rows = fingerprint(reader, f'"public"."{made.first}"')
    other = session()
    other.hold("SELECT * FROM kid_absences")
    operation = start(archiving(reader, made))
    until(lambda: waits_for(reader, other.pid))
    assert queued_on_tables(run) == 0
    assert not pending(run)
    assert made.count() == 60
    run("INSERT INTO kid_absences (kid_id, date) VALUES (500, '2024-05-05')")
    assert not operation.done()
    other.release()
    done = operation.result()
    assert done is not None
    assert done.state is OperationState.DONE
    assert fingerprint(reader, '"archive"."kid_absences_2022"') == rows


@every_version
def test_an_ensure_without_a_default_waits_for_no_reader_and_no_writer(
    reader: Engine, act: Act, make_table: Make, session: OpenSession
) -> None:
    made = make_table()
    session().hold("SELECT * FROM kid_absences", "INSERT INTO kid_absences (kid_id, date) VALUES (500, '2022-05-05')")
    act(ensuring(reader, made), SHORT)
    assert read(reader, made).find("kid_absences_2027") is not None


@every_version
def test_a_writer_of_the_referenced_table_is_named(
    reader: Engine, act: Act, make_table: Make, session: OpenSession
) -> None:
    made = make_table(foreign_key=True)
    other = session()
    other.hold("UPDATE kids SET name = 'Tom' WHERE id = 1")
    for plan in (ensuring(reader, made), archiving(reader, made)):
        with pytest.raises(LockNotObtained, match=f"In the way: session {other.pid} .* UPDATE kids SET name = [?]"):
            act(plan, SHORT)
    assert made.count() == 60


@every_version
def test_a_partition_held_exclusively_is_waited_for(
    reader: Engine, start: Start, make_table: Make, session: OpenSession
) -> None:
    made = make_table()
    plan = archiving(reader, made)
    other = session()
    other.hold("LOCK TABLE kid_absences_2022 IN ACCESS EXCLUSIVE MODE")
    operation = start(plan)
    until(lambda: waits_for(reader, other.pid))
    other.release()
    operation.result()
    assert read(reader, made).find_archived(made.first) is not None


@pytest.fixture
def prepared(run: Run, session: OpenSession) -> Iterator[Callable[[str], str]]:
    """Leaves a transaction with that statement prepared, which no process holds, and returns its name."""
    if run("SHOW max_prepared_transactions") == [("0",)]:
        pytest.skip("this server takes no prepared transactions")
    gid = f"left in {run('SELECT current_database()')[0][0]}"

    def leave(statement: str) -> str:
        other = session()
        other.hold(statement)
        other.run(f"PREPARE TRANSACTION '{gid}'")
        return gid

    yield leave
    for (left,) in run("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
        run(f"ROLLBACK PREPARED '{left}'")


@every_version
@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
@pytest.mark.parametrize("doing", ["SELECT * FROM {}", "DELETE FROM {}"], ids=["read", "written"])
def test_a_prepared_transaction_is_named_and_ends_the_patience(
    reader: Engine, act: Act, make_table: Make, prepared: Callable[[str], str], run: Run, doing: str, default: bool
) -> None:
    made = make_table(default=default)
    run("CREATE SCHEMA archive")
    before = catalog_of(run, made)
    plan = archiving(reader, made)
    gid = prepared(doing.format(made.first))
    with pytest.raises(LockNotObtained, match=rf"In the way: prepared transaction \(postgres\), running for \d s:"
                       rf" PREPARE TRANSACTION {gid}") as stopped:  # fmt: skip
        act(plan, SHORT)
    assert stopped.value.safe.startswith(("Nothing was changed.", "What was begun was taken back; nothing is changed."))
    (blocker,) = read_operations(reader)[0].blockers
    assert (blocker.pid, blocker.kind, blocker.query) == (None, "prepared transaction", f"PREPARE TRANSACTION {gid}")
    assert run("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()") == [(gid,)]
    assert queued_on_tables(run) == 0
    assert catalog_of(run, made) == before


@every_version
@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_a_prepared_transaction_that_is_rolled_back_lets_the_archive_go_on(
    reader: Engine, start: Start, make_table: Make, prepared: Callable[[str], str], run: Run, default: bool
) -> None:
    made = make_table(default=default)
    plan = archiving(reader, made)
    gid = prepared(f"DELETE FROM {made.first}")
    operation = start(plan)
    until(lambda: "prepared transaction" in kinds_in_the_way(reader))
    assert queued_on_tables(run) == 0
    run(f"ROLLBACK PREPARED '{gid}'")
    assert operation.result() is not None
    assert fingerprint(reader, '"archive"."kid_absences_2022"')[0] == 20


def kinds_in_the_way(reader: Engine) -> list[str]:
    """What kinds of sessions the running operation's journal row names as in its way."""
    operation = running(reader)
    return [blocker.kind for blocker in operation.blockers] if operation is not None else []


@every_version
@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_a_vacuum_of_the_partition_is_waited_for_outside_of_the_queue(
    reader: Engine, start: Start, make_table: Make, session: OpenSession, run: Run, default: bool
) -> None:
    made = make_table(default=default, rows=300)  # 14 would be through with fewer before anybody looks
    plan = archiving(reader, made)
    run(f"DELETE FROM {made.first} WHERE kid_id % 30 = 0")
    vacuum = session()
    vacuum.run("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1")
    vacuum.background(f"VACUUM {made.first}")
    until(lambda: "VacuumDelay" in [row[0] for row in run("SELECT wait_event FROM pg_stat_activity")])
    operation = start(plan)
    until(lambda: waits_for(reader, vacuum.pid))
    assert queued_on_tables(run) == 0
    vacuum.join()
    assert vacuum.error is None
    assert operation.result() is not None
    assert fingerprint(reader, '"archive"."kid_absences_2022"')[0] == 290


# A worker that comes at once, is as slow as can be, and comes for nothing but the table that asks for it.
_SLOW_AUTOVACUUM = (
    "ALTER SYSTEM SET autovacuum_naptime = 1",
    "ALTER SYSTEM SET autovacuum_vacuum_cost_delay = 100",
    "ALTER SYSTEM SET autovacuum_vacuum_cost_limit = 1",
    "ALTER SYSTEM SET autovacuum_vacuum_threshold = 1000000000",
    "ALTER SYSTEM SET autovacuum_vacuum_insert_threshold = -1",
    "ALTER SYSTEM SET autovacuum_analyze_threshold = 1000000000",
    "SELECT pg_reload_conf()",
)


@pytest.fixture(scope="module")
def vacuuming() -> Iterator[tuple[URL, Path]]:
    """A server of its own with autovacuum, which the others do without, and its log."""
    with temporary_home() as home, running_server(home) as url:
        yield parse_url(url), home / "server.log"


@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_an_autovacuum_of_the_partition_is_waited_for_and_never_cancelled(
    vacuuming: tuple[URL, Path], default: bool
) -> None:
    """It would yield to whoever queues for a second; nobody does."""
    server, log = vacuuming
    database = Database(server, "vacuum", "template0")
    with ExitStack() as stack:
        stack.callback(database.drop)
        run = tables.runner(stack.enter_context(closing(connect(database.url))))
        for statement in _SLOW_AUTOVACUUM:
            run(statement)
        reader, worker = reading_engine(parse_url(database.url)), working_engine(parse_url(database.url))
        stack.callback(reader.dispose)
        stack.callback(worker.dispose)
        made = tables.make_table(run, rows=2_000, default=default)
        plan = archiving(reader, made)
        run(f"ALTER TABLE {made.first} SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0)")
        run(f"DELETE FROM {made.first} WHERE kid_id < 1000")
        vacuums = f"SELECT pid FROM pg_stat_activity WHERE query LIKE 'autovacuum: %.{made.first}%'"
        until(lambda: run(vacuums))
        ((pid,),) = run(vacuums)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        operation = pool.submit(desks.desk(worker, budget=LONG).run, plan, ADMIN, "a test")
        until(lambda: waits_for(reader, pid))
        assert kinds_in_the_way(reader) == ["autovacuum"]
        for _ in range(30):  # longer than the second after which it would be cancelled
            assert queued_on_tables(run) == 0
            time.sleep(0.05)
        assert run(vacuums) == [(pid,)]
        run("ALTER SYSTEM SET autovacuum_vacuum_cost_delay = 0")
        run("SELECT pg_reload_conf()")
        assert operation.result() is not None
        assert run(f"SELECT pg_stat_get_autovacuum_count('archive.{made.first}'::regclass)") == [(1,)]
        assert run(f"SELECT count(*) FROM archive.{made.first}") == [(1000,)]
    assert "canceling autovacuum" not in log.read_text()


def test_writers_lose_nothing_while_an_archive_waits_behind_readers(
    reader: Engine, start: Start, make_table: Make, session: OpenSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints the longest wait of any insert; that no row is lost is what counts here."""
    made = make_table(default=True)
    writer, other = session(), session()
    stop = threading.Event()
    waits: list[float] = []

    def write() -> None:
        while not stop.is_set():
            began = time.monotonic()
            writer.run(f"INSERT INTO kid_absences (kid_id, date) VALUES ({1000 + len(waits)}, '2024-03-03')")
            waits.append(time.monotonic() - began)

    other.hold("SELECT * FROM kid_absences")
    operation = start(archiving(reader, made))
    thread = threading.Thread(target=write)
    thread.start()
    try:
        until(lambda: waits_for(reader, other.pid))
        other.release()
        operation.result()
    finally:
        stop.set()
        thread.join()
    with capsys.disabled():
        print(f"\n  longest wait of {len(waits)} inserts: {max(waits) * 1000:.1f} ms")
    assert made.count() == 40 + len(waits)


# --- cancelling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_cancelling_a_waiting_operation_changes_nothing(
    reader: Engine, worker: Engine, start: Start, make_table: Make, session: OpenSession, run: Run, default: bool
) -> None:
    made = make_table(default=default)
    plan = archiving(reader, made)
    other = session()
    other.hold("SELECT * FROM kid_absences")
    operation = start(plan)
    until(lambda: waits_for(reader, other.pid))
    (running_now,) = read_operations(reader)
    request_cancel(worker, running_now.id)
    with pytest.raises(Cancelled, match="It was cancelled"):
        operation.result()
    assert read_operations(reader)[0].state is OperationState.CANCELLED
    table = read(reader, made)
    assert table.find(made.first) is not None
    assert table.archived == ()
    assert not pending(run)
    assert made.count() == 60


@every_version
def test_cancelling_in_the_middle_of_a_detach_says_that_it_is_pending(
    reader: Engine, worker: Engine, start: Start, make_table: Make, session: OpenSession, run: Run, act: Act
) -> None:
    made = make_table()
    plan = archiving(reader, made)
    rows = fingerprint(reader, f'"public"."{made.first}"')
    other = session()
    other.hold("SELECT * FROM kid_absences")
    operation = start(plan, BLIND)
    until(lambda: pending(run))
    request_cancel(worker, read_operations(reader)[0].id)
    with pytest.raises(Cancelled, match="The partition is detach pending: all its rows are there"):
        operation.result()
    assert pending(run)
    assert fingerprint(reader, f'"public"."{made.first}"') == rows
    other.release()
    act(archiving(reader, made))
    assert fingerprint(reader, f'"archive"."{made.first}"') == rows


# --- sessions that die ---------------------------------------------------------------------------------------------


def kill_worker(run: Run) -> None:
    """Ends the session that works on the running operation."""
    killed = run(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        f" WHERE l.locktype = 'advisory' AND l.granted AND l.classid = {LockKey.OPERATION}"
        " AND d.datname = current_database()"
    )
    assert killed == [(True,)]


@every_version
@pytest.mark.parametrize("budget", [LONG, BLIND], ids=["before the detach", "in the detach"])
@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_a_killed_session_is_interrupted_and_asking_again_finishes(
    reader: Engine,
    act: Act,
    start: Start,
    make_table: Make,
    session: OpenSession,
    run: Run,
    budget: Budget,
    default: bool,
) -> None:
    made = make_table(default=default)
    rows = fingerprint(reader, made.sql), fingerprint(reader, f'"public"."{made.first}"')
    plan = archiving(reader, made)
    other = session()
    other.hold("SELECT * FROM kid_absences")
    operation = start(plan, budget)
    if budget is LONG:
        until(lambda: waits_for(reader, other.pid))
    else:
        until(lambda: queued_on_tables(run) if default else pending(run))
    kill_worker(run)
    with pytest.raises(ConnectionFailed, match="The connection to the server was lost"):
        operation.result()
    assert read_operations(reader)[0].state is OperationState.INTERRUPTED
    assert pending(run) is (budget is BLIND and not default)
    other.release()
    act(archiving(reader, made))
    assert fingerprint(reader, f'"archive"."{made.first}"') == rows[1]
    act(reattaching(reader, made))
    assert fingerprint(reader, made.sql) == rows[0]


# --- detach pending ------------------------------------------------------------------------------------------------


def leave_pending(session: OpenSession, run: Run, made: Made) -> None:
    """Cancels a hand-written DETACH CONCURRENTLY while it waits for a reader."""
    other, hand = session(), session()
    other.hold(f"SELECT * FROM {made.sql}")
    hand.background(f'ALTER TABLE {made.sql} DETACH PARTITION "{made.first}" CONCURRENTLY')
    until(lambda: pending(run))
    run(f"SELECT pg_cancel_backend({hand.pid})")
    hand.join()
    assert isinstance(hand.error, psycopg2.errors.QueryCanceled)
    other.release()


@every_version
def test_a_detach_left_pending_by_hand_is_finished_by_archive(
    reader: Engine, act: Act, make_table: Make, session: OpenSession, run: Run
) -> None:
    made = make_table()
    rows = fingerprint(reader, made.sql), fingerprint(reader, f'"public"."{made.first}"')
    leave_pending(session, run, made)
    table = read(reader, made)
    assert table.pending is table.find(made.first)
    with pytest.raises(DetachPending, match="The detach of kid_absences_2022 was begun and not finished"):
        ensuring(reader, made)
    with pytest.raises(DetachPending, match="partitions archive --partition kid_absences_2022"):
        plan_archive(table, "kid_absences_2023", now=NOW)
    plan = archiving(reader, made)
    assert plan.steps[-2].statements == (
        'ALTER TABLE "public"."kid_absences" DETACH PARTITION "public"."kid_absences_2022" FINALIZE',
    )
    act(plan)
    archived = read(reader, made).find_archived(made.first)
    assert archived is not None
    assert archived.tag is not None
    assert fingerprint(reader, f'"archive"."{made.first}"') == rows[1]
    act(reattaching(reader, made))
    assert fingerprint(reader, made.sql) == rows[0]


@every_version
def test_finalize_waits_for_whoever_runs_anything_and_says_so(
    reader: Engine, act: Act, make_table: Make, session: OpenSession, run: Run
) -> None:
    made = make_table()
    leave_pending(session, run, made)
    other = session()
    other.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    other.run("SELECT count(*) FROM pg_class")
    plan = archiving(reader, made)
    with pytest.raises(LockNotObtained, match=f"In the way: session {other.pid} ") as stopped:
        act(plan, SHORT)
    assert "detach pending" in stopped.value.safe
    assert queued_on_tables(run) == 0
    other.release()
    act(archiving(reader, made))
    assert not pending(run)
    assert read(reader, made).find_archived(made.first) is not None


# --- side by side ----------------------------------------------------------------------------------------------------


def test_two_operations_on_one_table_run_one_after_the_other(
    reader: Engine, start: Start, make_table: Make, session: OpenSession
) -> None:
    made = make_table()
    plans = [archiving(reader, made), plan_archive(read(reader, made), "kid_absences_2023", now=NOW)]
    other = session()
    other.hold("SELECT * FROM kid_absences")
    first = start(plans[0])
    until(lambda: waits_for(reader, other.pid))
    second = start(plans[1])
    until(lambda: "Waiting for another operation on this table" in [o.doing for o in read_operations(reader)])
    other.release()
    first.result()
    second.result()  # though the schema archive is there now
    assert [a.name for a in read(reader, made).archived] == ["kid_absences_2022", "kid_absences_2023"]


def test_sessions_of_others_are_never_ended(reader: Engine, act: Act, make_table: Make, session: OpenSession) -> None:
    made = make_table(default=True)
    others: list[Session] = [session() for _ in range(3)]
    for other in others:
        other.hold("SELECT * FROM kid_absences")
    with pytest.raises(LockNotObtained):
        act(archiving(reader, made), SHORT)
    assert [other.run("SELECT 1") for other in others] == [[(1,)]] * 3
