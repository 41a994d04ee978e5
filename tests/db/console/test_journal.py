"""The journal on a real server: made with the first act, asked once, told what happened, and by whom it is read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sqlalchemy import Engine

from core.console.actor import Actor, Origin
from core.console.journal import STALE_AFTER_S, OperationState, read_operation, read_operations, read_steps
from core.console.locks import Blocker
from core.console.queue import claim, enqueue, queued, request_cancel, start
from core.console.record import Record
from core.errors import Failed, NotAllowed
from core.names import ident
from core.plans.archive import plan_archive
from core.plans.operation import Role
from core.plans.plan import Plan
from core.postgres.connection import parse_url, reading_engine, session, working_engine
from core.postgres.server import read_server
from core.tables.catalog.table import read_table
from tests import desks
from tests.conftest import ADMIN, Act, until
from tests.desks import SEAL
from tests.tables import Made, Run

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
Make = Callable[..., Made]


@pytest.fixture
def made(make_table: Make) -> Made:
    return make_table()


@pytest.fixture
def plan(reader: Engine, made: Made) -> Plan:
    return plan_archive(read_table(reader, made.address), made.first, now=NOW)


def schemas(run: Run) -> set[str]:
    return {name for (name,) in run("SELECT nspname FROM pg_namespace")}


def test_reading_makes_nothing(reader: Engine, made: Made, run: Run) -> None:
    before = schemas(run)
    assert read_operations(reader) == ()
    assert read_operation(reader, 1) is None
    assert read_steps(reader, 1) == ()
    with session(reader) as connection:
        assert queued(connection) == ()
    assert schemas(run) == before
    assert not read_server(reader).journal


def test_the_first_act_makes_it_and_writes_down_what_was_asked(reader: Engine, worker: Engine, plan: Plan) -> None:
    ticket = enqueue(worker, plan, ADMIN, "the year's over; 100 % of it\nreally", seal=SEAL)
    operation = read_operation(reader, ticket.id)
    assert operation is not None
    assert (operation.table, operation.kind, operation.subject) == (
        "public.kid_absences",
        "archive",
        "kid_absences_2022",
    )
    assert (operation.actor, operation.role, operation.origin) == ("Ada", "admin", "command line")
    assert operation.reason == "the year's over; 100 % of it\nreally"
    assert operation.plan == plan
    assert (operation.state, operation.step, operation.steps) == (OperationState.QUEUED, 0, len(plan.steps))
    assert (operation.started_at, operation.finished_at, operation.seconds) == (None, None, None)
    assert read_server(reader).journal
    assert read_server(reader).may_write_journal


def test_asked_for_twice_it_is_there_once(reader: Engine, worker: Engine, plan: Plan) -> None:
    first, second = enqueue(worker, plan, ADMIN, "", seal=SEAL), enqueue(worker, plan, ADMIN, "again", seal=SEAL)
    assert (first.new, second.new) == (True, False)
    assert first.id == second.id
    with session(worker) as connection:
        assert start(connection, plan, ADMIN, "at the command line", seal=SEAL).id == first.id
    assert [operation.reason for operation in read_operations(reader)] == [""]


def test_one_table_has_its_own_list(reader: Engine, worker: Engine, plan: Plan, make_table: Make) -> None:
    other = make_table("other")
    theirs = plan_archive(read_table(reader, other.address), other.first, now=NOW)
    one, two = enqueue(worker, plan, ADMIN, "", seal=SEAL).id, enqueue(worker, theirs, ADMIN, "", seal=SEAL).id
    assert [operation.id for operation in read_operations(reader)] == [two, one]
    assert [operation.id for operation in read_operations(reader, table="public.other")] == [two]
    assert [operation.id for operation in read_operations(reader, limit=1)] == [two]


def test_one_session_claims_and_no_other(reader: Engine, worker: Engine, plan: Plan) -> None:
    ticket = enqueue(worker, plan, ADMIN, "", seal=SEAL)
    with session(worker) as one, session(worker) as two:
        assert queued(one) == (ticket.id,)
        taken = claim(one, ticket.id, SEAL)
        assert taken is not None
        assert (taken.shown, taken.wish, taken.record.id) == (plan, plan.wish, ticket.id)
        assert claim(two, ticket.id, SEAL) is None
        assert queued(two) == ()
        operation = read_operation(reader, ticket.id)
        assert operation is not None
        assert operation.state is OperationState.RUNNING
        one.exec_driver_sql("SELECT pg_advisory_unlock_all()")


def test_a_running_operation_without_its_session_is_interrupted_and_may_be_asked_for_again(
    reader: Engine, worker: Engine, plan: Plan, run: Run
) -> None:
    with session(worker) as work:
        ticket = start(work, plan, ADMIN, "", seal=SEAL)
        work.invalidate()
    until(lambda: read_operations(reader)[0].state is OperationState.INTERRUPTED)  # once its backend is gone
    again = enqueue(worker, plan, ADMIN, "resumed", seal=SEAL)
    assert again.new
    assert run(f"SELECT state FROM partition_desk.operation WHERE id = {ticket.id}") == [("interrupted",)]
    assert [o.state for o in read_operations(reader)] == [OperationState.QUEUED, OperationState.INTERRUPTED]


def test_what_nobody_took_is_not_begun_any_more(reader: Engine, worker: Engine, plan: Plan, run: Run) -> None:
    ticket = enqueue(worker, plan, ADMIN, "", seal=SEAL)
    run(f"UPDATE partition_desk.operation SET requested_at = requested_at - interval '{STALE_AFTER_S + 1} s'")
    with session(worker) as connection:
        assert queued(connection) == ()
    operation = read_operation(reader, ticket.id)
    assert operation is not None
    assert operation.state is OperationState.INTERRUPTED


def test_cancelled_before_it_was_begun(reader: Engine, worker: Engine, plan: Plan) -> None:
    ticket = enqueue(worker, plan, ADMIN, "", seal=SEAL)
    request_cancel(worker, ticket.id)
    operation = read_operation(reader, ticket.id)
    assert operation is not None
    assert operation.state is OperationState.CANCELLED
    assert operation.error == "Cancelled before it was begun. Nothing was changed."
    assert operation.finished_at is not None
    with session(worker) as connection:
        assert claim(connection, ticket.id, SEAL) is None
    request_cancel(worker, ticket.id)
    assert read_operation(reader, ticket.id) == operation


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_a_role_that_does_not_suffice_is_refused(worker: Engine, plan: Plan, role: Role, run: Run) -> None:
    actor = Actor("Vera", role, Origin.DASHBOARD)
    with pytest.raises(NotAllowed, match=f"Vera is here as {role}; to archive takes an admin"):
        enqueue(worker, plan, actor, "", seal=SEAL)
    with session(worker) as connection, pytest.raises(NotAllowed):
        start(connection, plan, actor, "", seal=SEAL)
    assert "partition_desk" not in schemas(run)


def test_a_role_without_rights_is_told_what_to_run(
    plan: Plan, make_role: Callable[..., tuple[str, str]], run: Run
) -> None:
    name, url = make_role('Mrs "Role"')
    engine = working_engine(parse_url(url))
    try:
        with pytest.raises(NotAllowed) as refused:
            enqueue(engine, plan, ADMIN, "", seal=SEAL)
        words = f"CREATE SCHEMA partition_desk AUTHORIZATION {ident(name)}"
        assert refused.value.next == f"Run once as an administrator: {words};"
        run(words)
        assert read_server(engine).may_write_journal
        assert enqueue(engine, plan, ADMIN, "", seal=SEAL).new
    finally:
        engine.dispose()


def test_a_role_without_rights_reads_an_empty_history(
    worker: Engine, plan: Plan, make_role: Callable[..., tuple[str, str]]
) -> None:
    enqueue(worker, plan, ADMIN, "", seal=SEAL)
    engine = reading_engine(parse_url(make_role()[1]))
    try:
        assert read_operations(engine) == ()
        assert not read_server(engine).may_write_journal
    finally:
        engine.dispose()


def test_steps_carry_the_exact_sql(reader: Engine, act: Act, plan: Plan) -> None:
    done = act(plan)
    assert done is not None
    assert (done.state, done.step, done.error, done.doing) == (OperationState.DONE, len(plan.steps), "", "")
    assert done.seconds is not None
    steps = read_steps(reader, done.id)
    assert [(s.step, s.title, s.sql) for s in steps] == [(n, s.title, s.sql) for n, s in enumerate(plan.steps, 1)]
    assert all(before.finished_at <= after.started_at for before, after in pairwise(steps))


def test_a_failure_keeps_the_servers_code_and_words(reader: Engine, act: Act, made: Made, run: Run) -> None:
    run("CREATE TABLE letters (kid_id bigint, day date, FOREIGN KEY (kid_id, day) REFERENCES kid_absences"
        " (kid_id, date))")  # fmt: skip
    run("INSERT INTO letters SELECT kid_id, date FROM kid_absences_2022 LIMIT 1")
    plan = plan_archive(read_table(reader, made.address), made.first, now=NOW)
    with pytest.raises(Failed) as failed:
        act(plan)
    operation = read_operations(reader)[0]
    assert (operation.state, operation.sqlstate) == (OperationState.FAILED, "23503")
    assert operation.error == str(failed.value)
    assert "violates foreign key constraint" in operation.server_message


def test_progress_and_blockers_are_told(reader: Engine, worker: Engine, plan: Plan) -> None:
    blocker = Blocker(
        7, "anna", "psql", "local", "active", "2026-10-20T09:00:00+00:00", 12.5, "SELECT ?", "t", "session"
    )
    with session(worker) as work:
        record = Record(start(work, plan, ADMIN, "", seal=SEAL).id)
        record.doing(work, "Detach it's \\ 100%")
        record.waiting(work, (blocker,), 3)
        operation = read_operation(reader, record.id)
        assert operation is not None
        assert (operation.doing, operation.blockers, operation.tries) == ("Detach it's \\ 100%", (blocker,), 3)
        assert not record.cancel_requested(work)
        request_cancel(worker, record.id)
        assert record.cancel_requested(work)
        work.exec_driver_sql("SELECT pg_advisory_unlock_all()")


def test_rows_are_counted_before_and_after(reader: Engine, act: Act, made: Made) -> None:
    act(plan_archive(read_table(reader, made.address), made.first, now=NOW))
    operation = read_operations(reader)[0]
    assert (operation.rows_before, operation.rows_after) == (20, 20)


def test_a_journal_of_an_older_version_is_read_and_completed_by_the_next_act(
    reader: Engine, act: Act, made: Made, run: Run
) -> None:
    act(plan_archive(read_table(reader, made.address), made.first, now=NOW))
    newer = ("rows_before", "rows_after", "share", "error_kind", "sealed_at", "seal", "wish", "beat", "verified")
    newer += ("address", "asked", "recorded")
    run("DROP TABLE partition_desk.audit, partition_desk.audit_head")
    run("ALTER TABLE partition_desk.operation " + ", ".join(f"DROP COLUMN {name}" for name in newer))
    old = read_operations(reader)[0]
    assert (old.state, old.rows_before, old.share, old.error_kind) == (OperationState.DONE, None, None, "")
    act(desks.reattach(reader, read_table(reader, made.address), made.first))
    assert [operation.rows_after for operation in read_operations(reader)] == [20, None]
