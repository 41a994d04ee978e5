"""Back up, verify, restore and drop, broken in the middle: told, asked for again, whole at the end; nothing half."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine

from core.backups.storage.base import Storage
from core.backups.storage.folder import PLACES, Folder
from core.console import file_work
from core.console import run as console_run
from core.console.execute import Budget, Cancellation
from core.console.journal import OperationState, read_operation, read_operations
from core.console.queue import enqueue, request_cancel
from core.console.register import named
from core.console.worker import Worker
from core.errors import Cancelled, ConnectionFailed, DeskError, Failed
from core.plans.backup import BACKUP
from core.plans.drop import DROP
from core.plans.operation import Operation
from core.plans.plan import Plan
from core.plans.proof import Kept, proven_backup
from core.plans.restore import RESTORE
from core.plans.verify import VERIFY
from core.postgres.advisory import LockKey
from core.postgres.connection import parse_url, reading_engine, working_engine
from core.postgres.embedded import running_server
from tests import desks
from tests.conftest import ADMIN, OpenSession, until
from tests.desks import SEAL
from tests.faults import EndWhileItWaits, Strike, stop_at_once, terminate
from tests.processes import PROCESSES
from tests.road import NOW, Road
from tests.servers import connect, temporary_home
from tests.tables import Made, Run, fingerprint, make_table, runner

Make = Callable[..., Made]
Note = Callable[[str, object], None]
T = "kid_absences_2022"
RELATION = f'"archive"."{T}"'


class Tripping(Folder):
    """A folder that does something once, at its point number `at`: before, in and after each write and read."""

    def __init__(self, root: Path, at: int, do: Callable[[], None]) -> None:
        super().__init__(root)
        self._at, self._do = at, do
        self.points = 0

    def _point(self) -> None:
        self.points += 1
        if self.points == self._at:
            self._do()

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        self._point()
        written = super().write(path, self._passed(chunks))
        self._point()
        return written

    def read(self, path: str) -> Iterator[bytes]:
        self._point()
        return self._passed(super().read(path))

    def _passed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._point()
            yield chunk
        self._point()


class Opened:
    """The place of a road, or a tripping one in its stead."""

    def __init__(self, home: Path, place: Storage) -> None:
        self.url, self.home, self.environ = place.label, home, os.environ
        place.seal = SEAL
        self._place = place

    def open(self) -> Storage:
        return self._place


@pytest.fixture
def road(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reader: Engine,
    worker: Engine,
    run: Run,
) -> Iterator[Road]:
    monkeypatch.setattr(file_work, "TOLD_S", 0.05)
    with temporary_home() as home:
        environ = {"PARTITION_DESK_HOME": str(home), "BACKUP_URL": str(tmp_path / "place")}
        yield Road(database_url, home, environ, monkeypatch, capsys, reader, worker, run)
        assert {entry.name for entry in home.iterdir()} <= {PLACES}, "a throwaway server was left behind"


def wish(road: Road, made: Made, kind: Operation, kept: Kept | None) -> Plan:
    """The plan of one act, on what is there now."""
    if kind is BACKUP:
        return desks.back_up(road.reader, road.cold, road.read(made), T, now=NOW)
    assert kept is not None
    if kind is VERIFY:
        return desks.verify(road.cold, kept)
    if kind is RESTORE:
        return desks.restore(road.reader, road.cold, kept)
    return road.plan_drop(made, T)


def prepared(road: Road, made: Made, kind: Operation) -> Kept | None:
    """The table where the act begins: archived, with a proven backup, dropped before a restore."""
    if not road.is_there(RELATION):
        road.archive(made, T)
    if kind is BACKUP:
        return None
    (kept,) = road.every() or (road.back_up(made, T, proven=kind is not VERIFY),)
    if kind is RESTORE:
        road.run(f"DROP TABLE {RELATION}")
    return kept


# Killed ----------------------------------------------------------------------------------------------------------


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _killed(url: str, home: str, place: str, plan: str, at: int, doing: str) -> None:
    """The body of a process that dies by its own hand at a point of the place, at a statement, or in a phase."""
    worker = working_engine(parse_url(url))
    storage = Opened(Path(home), Tripping(Path(place), at, _die))
    strike = RestoreStrike(-at, lambda pid: _die()) if at < 0 else None
    if strike:
        strike.arm(worker)

    def progress(now: str, blockers: Any) -> None:
        if doing and now.startswith(doing):
            _die()

    with ExitStack() as stack:
        stack.callback(worker.dispose)
        at = desks.desk(worker, budget=Budget(1000, 20), storage=storage)  # type: ignore[arg-type]
        at.run(Plan.from_json(plan, named), ADMIN, "to be killed", progress=progress)


class RestoreStrike(Strike):
    """Strikes at a statement of the session that holds the operation's advisory lock: a restore takes no other."""

    def _after(self, connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if self._connection is None and f"pg_try_advisory_lock({LockKey.OPERATION}," in statement:
            self._connection = cursor.connection
            return
        super()._after(connection, cursor, statement, *more)


def killed(road: Road, plan: Plan, at: int = 0, doing: str = "") -> bool:
    """Runs the plan in a process that is killed -9; False where it came to its end before."""
    where = road.url, str(road.home), road.environ["BACKUP_URL"]
    process = PROCESSES.Process(target=_killed, args=(*where, plan.to_json(), at, doing))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode == -signal.SIGKILL


def rest_in_peace(road: Road) -> None:
    """The operation is shown as interrupted once the server knows that its process is gone."""
    until(lambda: not read_operations(road.reader)[0].state.active)
    assert read_operations(road.reader)[0].state in (OperationState.INTERRUPTED, OperationState.DONE)


POINTS = {BACKUP: (1, 2, 3, 4, 5, 6, 7, 8), RESTORE: (1, 3, 7, 8, -2, -4, -6, -8, -10, -12)}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("kind", list(POINTS), ids=str)
def test_a_process_killed_at_any_point(road: Road, make_table: Make, kind: Operation, record_property: Note) -> None:
    made = make_table()
    kept = prepared(road, made, kind)
    rows = (20, fingerprint(road.reader, RELATION)[1]) if kept is None else None
    injected = 0
    for at in POINTS[kind]:
        known = {one.backup.id for one in road.every()}
        if not killed(road, wish(road, made, kind, kept), at):
            assert kind is BACKUP or not road.run(f"DROP TABLE {RELATION}")
            continue
        injected += 1
        rest_in_peace(road)
        if kind is BACKUP:
            new = [one for one in road.every() if one.backup.id not in known]
            assert all(one.backup.rows == 20 for one in new)
            assert len(new) == (1 if at >= 8 else 0)
            before = len(road.every())
            road.run_plan(wish(road, made, kind, kept))
            assert len(road.every()) == before + 1
            assert list(Path(road.environ["BACKUP_URL"], ".partial").iterdir()) == []
        else:
            if not road.is_there(RELATION):  # killed before its commit: nothing of it is there
                assert road.run("SELECT count(*) FROM pg_class WHERE relnamespace = 'archive'::regnamespace") == [(0,)]
                road.run_plan(wish(road, made, kind, kept))
            assert kept is not None
            assert fingerprint(road.reader, RELATION)[0] == kept.backup.rows == 20
            road.run(f"DROP TABLE {RELATION}")
    assert injected >= 7
    assert rows is None or fingerprint(road.reader, RELATION) == rows
    record_property("faults", injected)


@pytest.mark.thorough
def test_a_verification_killed_in_each_phase(road: Road, make_table: Make, record_property: Note) -> None:
    made = make_table(rows=0, count=1)
    road.run(f"INSERT INTO {T} (kid_id, date) SELECT g, '2022-03-03' FROM generate_series(1, 150000) g")
    kept = prepared(road, made, VERIFY)
    assert kept is not None
    injected = 0
    for at, doing in ((3, ""), (0, "Starting"), (0, "Restoring its rows"), (0, "Building")):
        if not killed(road, wish(road, made, VERIFY, kept), at, doing):
            for one in road.cold.open().list():
                if proven_backup(one.path):
                    road.cold.open().delete(one.path)
            continue
        injected += 1
        rest_in_peace(road)
        assert road.kept(kept.backup.id).proofs == ()
        # nothing of it is left, without anybody's doing: its server and its folder hold every row
        until(lambda: {entry.name for entry in road.home.iterdir()} <= {PLACES})
        until(lambda: not [p.pid for p in psutil.process_iter() if str(road.home) in " ".join(_words(p))])
    road.run_plan(wish(road, made, VERIFY, kept))
    assert road.kept(kept.backup.id).proven is not None
    assert {entry.name for entry in road.home.iterdir()} <= {PLACES}
    assert injected >= 2
    record_property("faults", injected)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


# Ended by the server ---------------------------------------------------------------------------------------------


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("kind", "during"), [(DROP, False), (DROP, True), (RESTORE, False)])
@pytest.mark.every_version
def test_a_backend_terminated_at_any_statement(
    road: Road, make_table: Make, kind: Operation, during: bool, record_property: Note
) -> None:
    made = make_table(foreign_key=True)
    prepared(road, made, kind)
    injected = 0
    for at in range(1, 60):
        kept = road.every()[0] if road.every() else None
        plan = wish(road, made, kind, kept)
        kinds = {DROP: Strike, RESTORE: RestoreStrike}
        waiting = EndWhileItWaits(road.url)
        strike = kinds[kind](at, waiting.begin if during else partial(terminate, road.url), during=during)
        strike.arm(road.worker)
        failed = None
        try:
            road.run_plan(plan)
        except DeskError as error:
            failed = error
        finally:
            strike.disarm()
            waiting.join()
        if not strike.reached:
            assert failed is None
            break
        injected += 1
        assert failed is None or isinstance(failed, ConnectionFailed), strike.statement
        assert read_operations(road.reader)[0].state in (OperationState.INTERRUPTED, OperationState.DONE)
        wanted = kind is RESTORE
        if road.is_there(RELATION) is not wanted:
            assert failed is not None, strike.statement
            road.run_plan(wish(road, made, kind, kept))
        assert road.is_there(RELATION) is wanted
        assert kept is not None
        if wanted:
            assert fingerprint(road.reader, RELATION)[0] == 20
            road.run(f"DROP TABLE {RELATION}")
        else:
            road.run_plan(wish(road, made, RESTORE, kept))
    assert injected >= 4
    assert made.count() == 40
    record_property("faults", injected)


@pytest.mark.thorough
def test_a_server_that_crashes_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], record_property: Note
) -> None:
    monkeypatch.setattr(console_run, "RECONNECT_S", 0.1)  # the server is not started again before the console gives up
    injected = 0
    # at the fifth point of a backup the rows are in the place, and the server is no longer asked for anything
    cases = ((BACKUP, 2), (BACKUP, 5), (DROP, -3), (RESTORE, -6))
    with temporary_home() as home:
        for kind, at in cases:
            with ExitStack() as stack:
                url = stack.enter_context(running_server(home))
                road = _opened(stack, url, home, tmp_path / kind.name / str(at), monkeypatch, capsys)
                road.run("DROP SCHEMA IF EXISTS archive CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
                made = make_table(road.run)
                if at == 2:  # more than is read ahead
                    road.run(
                        f"INSERT INTO {T} (kid_id, date, reason) SELECT g, '2022-03-03', md5(g::text) || md5('-' || g)"
                        " FROM generate_series(1000, 400000) g"
                    )
                kept = prepared(road, made, kind)
                crash = partial(stop_at_once, home)
                storage = Opened(home, Tripping(Path(road.environ["BACKUP_URL"]), at, crash))
                strike = RestoreStrike(-at, lambda pid, crash=crash: crash())  # type: ignore[misc]
                plan = wish(road, made, kind, kept)
                if at < 0:
                    strike.arm(road.worker)
                at_desk = desks.desk(road.worker, budget=Budget(1000, 10), storage=storage)  # type: ignore[arg-type]
                with pytest.raises((ConnectionFailed, Failed)) as failed:
                    at_desk.run(plan, ADMIN)
                strike.disarm()
                injected += 1
            with ExitStack() as stack:
                url = stack.enter_context(running_server(home))
                road = _opened(stack, url, home, tmp_path / kind.name / str(at), monkeypatch, capsys)
                assert read_operations(road.reader)[0].state is OperationState.INTERRUPTED
                assert road.is_there(RELATION) is (kind is not RESTORE)
                whole = 0 if (kind, at) == (BACKUP, 2) else 1
                assert len(road.every()) == whole
                assert ("was done, to its end" in failed.value.safe) is (at == 5)
                made = Made(made.schema, made.name, made.key, made.period, made.ranges, road.run)
                road.run_plan(wish(road, made, kind, kept))
                assert road.is_there(RELATION) is (kind is not DROP)
                assert len(road.every()) == (2 if at == 5 else 1)
    record_property("faults", injected)


def _opened(
    stack: ExitStack,
    url: str,
    home: Path,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Road:
    place.parent.mkdir(exist_ok=True, parents=True)
    reader, worker = reading_engine(parse_url(url)), working_engine(parse_url(url))
    connection = connect(url)
    for close in (reader.dispose, worker.dispose, connection.close):
        stack.callback(close)
    environ = {"PARTITION_DESK_HOME": str(home), "BACKUP_URL": str(place)}
    return Road(url, home, environ, monkeypatch, capsys, reader, worker, runner(connection))


# Through the journal ---------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_worker_tells_how_far_it_is(road: Road, make_table: Make) -> None:
    made = make_table(rows=0, count=1)
    road.run(f"INSERT INTO {T} (kid_id, date) SELECT g, '2022-03-03' FROM generate_series(1, 400000) g")
    road.run(f"ANALYZE {T}")
    worker = Worker(desks.desk(road.worker, budget=Budget(100, 20), storage=road.cold, sample_daily=False))
    worker.start()
    kept = None
    try:
        for kind in (BACKUP, VERIFY):
            ticket = enqueue(road.worker, wish(road, made, kind, kept), ADMIN, "why not", seal=SEAL)
            worker.wake()
            seen: set[tuple[str, float | None]] = set()

            def over(id: int = ticket.id, seen: set[tuple[str, float | None]] = seen) -> bool:
                operation = read_operation(road.reader, id)
                assert operation is not None
                seen.add((operation.doing, operation.share))
                return not operation.state.active

            until(over, 60)
            operation = read_operation(road.reader, ticket.id)
            assert operation is not None
            assert (operation.state, operation.step, operation.error) == (OperationState.DONE, 1, "")
            assert operation.rows_after == 400000
            assert [doing for doing, _ in seen if "rows" in doing or "KiB" in doing or "MiB" in doing], seen
            assert [share for _, share in seen if share is not None and 0 < share <= 1], seen
            (kept,) = road.every()
    finally:
        worker.stop()
    assert kept is not None
    assert (kept.backup.actor, kept.backup.reason, kept.proven is not None) == ("Ada", "why not", True)


def test_a_cancel_is_heard_within_a_second(road: Road, make_table: Make, session: OpenSession) -> None:
    made = make_table()
    (kept,) = road.ready(made, T)
    road.run(f"DROP TABLE {RELATION}")
    other = session()
    other.hold(f"CREATE TABLE {RELATION} ()")  # unseen, and in the way of its name
    plan = wish(road, made, RESTORE, kept)
    with ThreadPoolExecutor(1) as pool:
        here = pool.submit(road.run_plan, plan)
        until(lambda: road.run("SELECT 1 FROM pg_locks WHERE NOT granted"))
        request_cancel(road.worker, read_operations(road.reader)[0].id)
        with pytest.raises(Cancelled):
            here.result(5)
    other.release()
    assert read_operations(road.reader)[0].state is OperationState.CANCELLED
    assert not road.is_there(RELATION)

    going = threading.Event()
    stop = Cancellation()
    with ThreadPoolExecutor(1) as pool:
        verifying = wish(road, made, VERIFY, kept)
        here = pool.submit(road.run_plan, verifying, cancellation=stop, progress=lambda *_: going.set())
        assert going.wait(20)
        stop.request()
        with pytest.raises(Cancelled):
            here.result(60)  # a PostgreSQL that is starting is let start first
    assert len(road.kept(kept.backup.id).proofs) == 1

    road.run_plan(plan)
    again = wish(road, made, BACKUP, None)
    other.hold(f"LOCK TABLE {RELATION} IN ACCESS EXCLUSIVE MODE")
    waiting = Cancellation()
    with ThreadPoolExecutor(1) as pool:
        here = pool.submit(road.run_plan, again, cancellation=waiting)
        until(lambda: road.run("SELECT 1 FROM pg_locks WHERE NOT granted"))
        waiting.request()
        with pytest.raises(Cancelled):
            here.result(5)
    assert len(road.every()) == 1


def test_a_second_wish_follows_the_first_where_it_is_the_same(
    road: Road, make_table: Make, session: OpenSession
) -> None:
    made = make_table()
    road.archive(made, T)
    plans = [wish(road, made, BACKUP, None) for _ in range(2)]
    other = session()
    other.hold(f"LOCK TABLE {RELATION} IN ACCESS EXCLUSIVE MODE")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(road.run_plan, plans[0])
        until(lambda: road.run("SELECT 1 FROM pg_locks WHERE NOT granted"))
        second = pool.submit(road.run_plan, plans[1])
        other.release()
        first.result(20)
        second.result(20)
    assert [kept.backup.id for kept in road.every()] == [plans[0].backup]
    assert [o.kind for o in read_operations(road.reader)] == ["backup", "archive"]

    # another backup of the same table is another wish
    road.run_plan(plans[1])
    one, two = [desks.verify(road.cold, kept) for kept in road.every()]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(road.run_plan, plan) for plan in (one, two)]:
            done.result(60)
    assert [kept.proven is not None for kept in road.every()] == [True, True]
