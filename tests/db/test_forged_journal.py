"""What anybody may write into the console's own tables is shown and never obeyed; so is a schema of a stranger's."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex

import pytest
from sqlalchemy import Engine

from core import seal as seals
from core.cli.main import main
from core.console import journal_tables
from core.console.journal import OperationState, read_operation, read_operations
from core.console.planned_drops import plan_due_drops
from core.console.queue import enqueue
from core.console.worker import Worker
from core.errors import NotAllowed, NotSealed, Refused, SettingError
from core.period import Duration
from core.plans.archive import Archive, plan_archive
from core.plans.drop import Drop, DropLater
from core.plans.plan import Plan
from core.postgres.connection import parse_url, working_engine
from core.tables.catalog.table import read_table
from tests import desks
from tests.conftest import ADMIN, Act, OpenSession, until
from tests.desks import SEAL
from tests.road import Road
from tests.tables import Made, Run

pytestmark = pytest.mark.attacked_versions

Make = Callable[..., Made]
NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)


@pytest.fixture
def made(make_table: Make) -> Made:
    return make_table()


@pytest.fixture
def plan(reader: Engine, made: Made) -> Plan:
    return plan_archive(read_table(reader, made.address), made.first, now=NOW)


@pytest.fixture
def writer(run: Run, session: OpenSession) -> Iterator[Run]:
    """Acts as a role that may write all data and owns nothing."""
    role = f"etl_{token_hex(4)}"
    run(f"CREATE ROLE {role}")
    run(f"GRANT pg_write_all_data, pg_read_all_data TO {role}")
    other = session()
    other.run(f"SET ROLE {role}")
    yield other.run
    other.run("RESET ROLE")
    run(f"DROP OWNED BY {role}")
    run(f"DROP ROLE {role}")


@pytest.fixture
def working(worker: Engine) -> Iterator[Worker]:
    started = Worker(desks.desk(worker, sample_daily=False))
    yield started
    started.stop()


def _is_left_alone(
    reader: Engine, worker: Worker, number: int, caplog: pytest.LogCaptureFixture, *, sealed: bool = False
) -> None:
    with caplog.at_level(logging.WARNING):
        worker.start()
        until(lambda: f"Operation {number} was not asked for by this console" in caplog.text)
    found = read_operation(reader, number, SEAL)
    assert found is not None
    assert (found.state, found.sealed) == (OperationState.QUEUED, sealed)


def test_a_row_that_another_role_wrote_is_not_run(
    reader: Engine, worker: Engine, plan: Plan, run: Run, writer: Run, working: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    first = enqueue(worker, plan, ADMIN, "", seal=SEAL)
    run(f"UPDATE partition_desk.operation SET state = 'cancelled' WHERE id = {first.id}")
    evil = replace(plan, steps=(replace(plan.steps[0], statements=("CREATE TABLE public.owned (x int)",)),))
    (number,) = writer(
        "INSERT INTO partition_desk.operation (table_address, kind, subject, plan, digest, actor, role, origin, reason,"
        f" state, steps, sealed_at, seal) SELECT table_address, kind, 'other', $plan${evil.to_json()}$plan$, digest,"
        " actor, role, origin, reason, 'queued', steps, sealed_at, seal FROM partition_desk.operation"
        f" WHERE id = {first.id} RETURNING id"
    )[0]
    _is_left_alone(reader, working, number, caplog)
    assert run("SELECT to_regclass('public.owned')") == [(None,)]


@pytest.mark.parametrize("change", ["actor = 'Eve'", "reason = 'because'", "role = 'viewer'", "digest = 'x'"])
def test_a_row_that_was_changed_is_not_run(
    reader: Engine, worker: Engine, plan: Plan, writer: Run, working: Worker, change: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    ticket = enqueue(worker, plan, ADMIN, "", seal=SEAL)
    writer(f"UPDATE partition_desk.operation SET {change} WHERE id = {ticket.id}")
    _is_left_alone(reader, working, ticket.id, caplog)


@pytest.mark.parametrize("forged", ["text", "text and digest", "wish"])
def test_a_worker_runs_what_a_row_wishes_or_nothing_and_never_its_sql(
    reader: Engine, worker: Engine, made: Made, run: Run, working: Worker, forged: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where somebody had the key: the SQL in a row is for people."""
    plan = desks.desk(reader, now=NOW).plan(Archive(made.address, made.first))
    other = desks.desk(reader, now=NOW).plan(Archive(made.address, made.partition(made.ranges[1][0])))
    evil = replace(plan, steps=(replace(plan.steps[0], statements=("CREATE TABLE public.owned (x int)",)),))

    class Forged(Plan):
        digest = plan.digest  # type: ignore[assignment]

    if forged == "text":
        evil = Forged(**{one.name: getattr(evil, one.name) for one in fields(evil)})
    elif forged == "wish":
        evil = replace(plan, wish=other.wish)
    ticket = enqueue(worker, evil, ADMIN, "", seal=SEAL)
    if forged == "text":
        _is_left_alone(reader, working, ticket.id, caplog)
    else:
        working.start()
        until(lambda: not read_operation(reader, ticket.id).state.active)  # type: ignore[union-attr]
        found = read_operation(reader, ticket.id)
        assert found is not None
        assert (found.state, found.error_kind) == (OperationState.FAILED, "PlanOutdated")
    assert run("SELECT to_regclass('public.owned')") == [(None,)]
    assert made.count() == 60


def test_a_row_without_a_wish_is_not_run(reader: Engine, worker: Engine, plan: Plan, working: Worker) -> None:
    ticket = enqueue(worker, plan, ADMIN, "", seal=SEAL)
    working.start()
    until(lambda: not read_operation(reader, ticket.id).state.active)  # type: ignore[union-attr]
    found = read_operation(reader, ticket.id)
    assert found is not None
    assert (found.state, found.error_kind) == (OperationState.FAILED, "NotSealed")


def test_an_old_row_that_is_put_back_into_the_queue_is_not_run(
    reader: Engine, act: Act, plan: Plan, writer: Run, working: Worker,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    done = act(plan)
    monkeypatch.setattr("core.console.queue.STALE_AFTER_S", 0.0001)
    writer(
        "UPDATE partition_desk.operation SET state = 'queued', requested_at = now() + interval '1 hour'"
        f" WHERE id = {done.id}"
    )
    _is_left_alone(reader, working, done.id, caplog, sealed=True)


def test_a_row_that_is_no_plan_hides_no_other(reader: Engine, worker: Engine, plan: Plan, writer: Run) -> None:
    ticket = enqueue(worker, plan, ADMIN, "", seal=SEAL)
    for number, text in enumerate(("{}", "[]", '"x"', "null", '{"steps": 1}', '{"operation": "drop everything"}')):
        writer(
            "INSERT INTO partition_desk.operation (table_address, kind, subject, plan, digest, actor, role, origin,"
            f" reason, state, steps) VALUES ('x', 'k{number}', 's', '{text}', '', '', '', '', '', 'queued', 1)"
        )
    found = read_operations(reader, seal=SEAL)
    assert [one.sealed for one in found] == [False] * 6 + [True]
    assert found[-1].id == ticket.id


def test_a_drop_that_a_comment_alone_plans_is_not_begun(road: Road, make_table: Make, run: Run) -> None:
    made = make_table()
    name = made.first
    road.ready(made, name)
    road.plan_later(made, name, datetime.now(UTC) + timedelta(days=3))
    comment = run(f"SELECT obj_description('archive.{name}'::regclass)")[0][0]
    head, _, mark = comment.rpartition("partition-desk drop: ")
    soon = {**json.loads(mark), "at": "2026-01-01T00:00:00+00:00"}
    run(f"COMMENT ON TABLE archive.{name} IS $c${head}partition-desk drop: {json.dumps(soon)}$c$")
    desk = desks.desk(road.worker, storage=road.cold)
    (due,) = plan_due_drops(desk, now=desk.server_now)
    assert due.plan is None
    assert isinstance(due.refused, NotSealed)


@pytest.mark.parametrize("wrong", [timedelta(days=365), timedelta(minutes=-5)], ids=["ahead", "behind"])
def test_a_clock_that_is_wrong_plans_and_runs_no_drop(road: Road, make_table: Make, wrong: timedelta) -> None:
    made = make_table()
    (kept,) = road.ready(made, made.first)
    right = desks.desk(road.reader, road.worker, storage=road.cold, sample_daily=False)
    off = replace(right, clock=lambda: datetime.now(UTC) + wrong)
    now = Drop(made.address, made.first, (kept,))
    for wish in (now, DropLater(made.address, made.first, (kept,), Duration(7, "day"), "Ada")):
        with pytest.raises(Refused, match=r"clocks .* apart"):
            off.plan(wish)
    with pytest.raises(Refused, match=r"clocks .* apart"):
        plan_due_drops(off, now=off.server_now)
    off.plan(Archive(made.address, made.partition(made.ranges[1][0])))  # nothing else needs a clock that is right
    ticket = right.enqueue(right.plan(now), ADMIN)
    worker = Worker(off)
    worker.start()
    try:
        until(lambda: not read_operation(road.reader, ticket.id).state.active)  # type: ignore[union-attr]
    finally:
        worker.stop()
    assert "apart" in read_operation(road.reader, ticket.id).error  # type: ignore[union-attr]
    assert road.is_there(f"archive.{made.first}")


def test_the_date_of_a_drop_is_reckoned_by_the_servers_clock(road: Road, make_table: Make) -> None:
    made = make_table()
    (kept,) = road.ready(made, made.first)
    slow = replace(desks.desk(road.reader, storage=road.cold), clock=lambda: datetime.now(UTC) - timedelta(seconds=90))
    before = datetime.now(UTC).replace(microsecond=0)
    plan = slow.plan(DropLater(made.address, made.first, (kept,), Duration(7, "day"), "Ada"))
    assert datetime.fromisoformat(plan.due) >= before + timedelta(days=7)


@pytest.mark.parametrize("kind", ["view", "policy", "rule", "child"])
def test_a_schema_that_a_stranger_made_is_neither_read_nor_written(
    reader: Engine, worker: Engine, plan: Plan, run: Run, made: Made, kind: str
) -> None:
    run("CREATE TABLE public.proof (who text)")
    run("CREATE FUNCTION public.evil() RETURNS boolean LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO public.proof VALUES (current_user); RETURN true; END$$")  # fmt: skip
    run("CREATE SCHEMA partition_desk")
    run(journal_tables.definition())
    if kind == "view":
        run("ALTER TABLE partition_desk.operation RENAME TO operation_kept")
        run("CREATE VIEW partition_desk.operation AS SELECT * FROM partition_desk.operation_kept WHERE public.evil()")
    elif kind == "policy":
        run("ALTER TABLE partition_desk.operation ENABLE ROW LEVEL SECURITY")
        run("ALTER TABLE partition_desk.operation FORCE ROW LEVEL SECURITY")
        run("CREATE POLICY p ON partition_desk.operation USING (public.evil())")
    elif kind == "rule":
        run("CREATE RULE r AS ON INSERT TO partition_desk.operation DO ALSO SELECT public.evil()")
    else:
        run("CREATE TABLE public.child () INHERITS (partition_desk.operation)")
    with pytest.raises(NotAllowed, match="would run the code"):
        read_operations(reader)
    with pytest.raises(NotAllowed, match="would run the code"):
        enqueue(worker, plan, ADMIN, "", seal=SEAL)
    assert run("SELECT * FROM public.proof") == []


@pytest.mark.parametrize("kind", ["owner", "trigger"])
def test_tables_of_a_stranger_are_not_written(
    reader: Engine, database_url: str, plan: Plan, run: Run, worker: Engine, kind: str
) -> None:
    run("CREATE SCHEMA partition_desk")
    run(journal_tables.definition())
    if kind == "trigger":
        run("CREATE FUNCTION public.evil() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN new; END$$")
        run("CREATE TRIGGER t BEFORE INSERT ON partition_desk.operation FOR EACH ROW EXECUTE FUNCTION public.evil()")
        with pytest.raises(NotAllowed, match="has a trigger"):
            enqueue(worker, plan, ADMIN, "", seal=SEAL)
        return
    database = run("SELECT current_database()")[0][0]
    stranger, ours = f"stranger_{token_hex(4)}", f"ours_{token_hex(4)}"
    run(f"CREATE ROLE {stranger}; CREATE ROLE {ours}")
    try:
        run(f"ALTER TABLE partition_desk.operation OWNER TO {stranger}")
        run(f"GRANT ALL ON SCHEMA partition_desk TO {ours}")
        run(f"GRANT ALL ON ALL TABLES IN SCHEMA partition_desk TO {ours}")
        run(f'ALTER ROLE CURRENT_USER IN DATABASE "{database}" SET role = {ours}')
        engine = working_engine(parse_url(database_url))
        with pytest.raises(NotAllowed, match="does not act for"):
            enqueue(engine, plan, ADMIN, "", seal=SEAL)
        engine.dispose()
        run(f'ALTER ROLE CURRENT_USER IN DATABASE "{database}" RESET role')
        assert enqueue(worker, plan, ADMIN, "", seal=SEAL).new  # a superuser acts for everybody
    finally:
        run(f"DROP OWNED BY {stranger}, {ours} CASCADE")
        run(f"DROP ROLE {stranger}, {ours}")


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    settings = desks.settings(key="", home=tmp_path / "home")
    assert seals.read_seal(settings.key, settings.home) is None
    first = seals.make_seal(settings.key, settings.home)
    assert seals.make_seal(settings.key, settings.home) == seals.read_seal(settings.key, settings.home) == first
    path = tmp_path / "home" / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["key"]
    path.chmod(0o640)
    with pytest.raises(SettingError, match="chmod 600"):
        seals.read_seal(settings.key, settings.home)
    path.chmod(0o600)
    path.write_text("")
    with pytest.raises(SettingError, match="holds no key"):
        seals.make_seal(settings.key, settings.home)


def test_a_key_that_others_may_read_stops_who_acts_and_nobody_who_looks(
    tmp_path: Path, worker: Engine, plan: Plan, run: Run
) -> None:
    desk = desks.desk(worker, key="", home=tmp_path)
    desk.make_seal()
    (tmp_path / "key").chmod(0o644)
    assert desk.seal() is None
    with pytest.raises(SettingError, match="chmod 600"):
        desk.enqueue(plan, ADMIN)
    assert run("SELECT to_regclass('partition_desk.operation')") == [(None,)]


def test_without_a_key_what_runs_at_once_still_runs(
    monkeypatch: pytest.MonkeyPatch, database_url: str, made: Made, tmp_path: Path, reader: Engine
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("PARTITION_DESK_KEY")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PARTITION_DESK_HOME", str(tmp_path / "file" / "home"))
    assert main(["archive", "--partition", made.first, "--table", made.address]) == 0
    assert [one.sealed for one in read_operations(reader, seal=SEAL)] == [False]
