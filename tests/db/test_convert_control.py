"""A conversion that was begun is looked at, paused, gone on with, taken back and finished, from whatever process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from core.console.actor import system_user
from core.console.desk import Desk
from core.errors import Cancelled
from core.period import Width
from core.plans.gather import gathering
from core.plans.inplace import Convert
from core.plans.plan import Plan
from core.plans.split import Split
from core.plans.unconvert import Unconvert
from core.plans.withdraw import Withdraw
from core.postgres.advisory import LockKey
from tests import desks
from tests.conftest import ADMIN, OpenSession, Session, until
from tests.db.cli.test_commands import Partitions, partitions  # noqa: F401 a fixture
from tests.db.converted import plain
from tests.faults import BUDGET, Console, Strike, terminate
from tests.moving import TRACES
from tests.tables import Run

TABLE = ("--table", "public.kid_absences")
YEAR = Width(months=12)
IN_USE = ("convert", "--key", "date", "--every", "1 year", "--split-later", *TABLE)
ALL = "SELECT count(*), sum(hash_record_extended(t, 0)) FROM (SELECT kid_id, date, reason, id FROM kid_absences) t"
KIND = "SELECT relkind::text FROM pg_class WHERE oid = 'kid_absences'::regclass"
KEPT = "SELECT kind, state FROM partition_desk.operation WHERE kind IN ('pause', 'split') ORDER BY id"


@pytest.fixture
def desk(worker: Engine) -> Desk:
    return desks.desk(worker, budget=BUDGET)


@pytest.fixture
def convert(partitions: Partitions) -> Callable[..., Any]:  # noqa: F811
    """Runs `partitions convert` with some words about the table."""
    return lambda *words: partitions("convert", *words, *TABLE)


def told(convert: Callable[..., Any]) -> dict[str, Any]:
    done = convert("--status", "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def only_begin(run: Run, plan: Plan, steps: int) -> None:
    """Leaves what a process leaves that was killed after so many steps."""
    for step in plan.steps[:steps]:
        for statement in step.statements:
            run(statement)


def test_nothing_is_under_way(convert: Callable[..., Any], run: Run, dump: Callable[[], str]) -> None:
    plain(run)
    before = dump()
    assert told(convert)["stage"] == "plain"
    for word in ("--pause", "--resume", "--finish"):
        refused = convert(word)
        assert (refused.code, "no conversion of it is under way" in refused.err) == (1, True), refused
        assert "Begin it: partitions convert --key ... --every ... --table public.kid_absences" in refused.err
    again = convert("--abandon")
    assert (again.code, "Nothing is left of a conversion" in again.out) == (0, True), again
    assert dump() == before


def test_before_its_first_use_it_goes_on_or_leaves_no_trace(
    convert: Callable[..., Any], run: Run, desk: Desk, dump: Callable[[], str], session: OpenSession
) -> None:
    plain(run)
    before, rows = dump(), run(ALL)
    plan = desk.plan(Convert("public.kid_absences", "date", YEAR))
    only_begin(run, plan, 2)
    found = told(convert)
    assert (found["stage"], found["key"], found["every"], found["at_work"]) == ("begun", "date", "1 year", None)
    assert "Nobody goes on with it just now" in convert("--status").out
    other = session()
    other.run(f"SELECT pg_advisory_lock({LockKey.TABLE}, hashtext('public.kid_absences'))")
    assert f"At work on the table: session {other.pid}" in convert("--status").out
    assert f"Session {other.pid}" in convert("--pause").err
    other.run("SELECT pg_advisory_unlock_all()")
    assert found["go_back"].startswith("Yes, in moments")
    paused = convert("--pause")
    assert (paused.code, "nobody goes on with it" in paused.out) == (0, True), paused
    shown = convert("--abandon", "--dry-run")
    assert "DROP INDEX CONCURRENTLY" in shown.out
    taken = convert("--abandon")
    assert taken.code == 0, taken.err
    assert dump() == before

    only_begin(run, plan, 1)  # asked for in another width by now
    again = desk.plan(Convert("public.kid_absences", "date", Width(months=24)))
    only_begin(run, again, 1)
    assert told(convert)["every"] == "2 years"
    resumed = convert("--resume")
    assert resumed.code == 0, resumed.err
    assert run(ALL) == rows
    assert run(KIND) == [("p",)]
    assert run("SELECT count(*) FROM pg_class WHERE relname = 'kid_absences_before'") == [(0,)]
    assert run(TRACES) == []
    for word in ("--resume", "--finish"):
        done = convert(word)
        assert (done.code, "Nothing to do" in done.out) == (0, True), done


@pytest.fixture
def splitting(run: Run, desk: Desk, session: OpenSession) -> Iterator[Callable[[], tuple[Session, threading.Thread]]]:
    """Begins to split what the table held, in another thread, and keeps the copy from its end."""
    ended: list[BaseException] = []

    def begin() -> tuple[Session, threading.Thread]:
        holder = session()

        def hold(doing: str, _: object) -> None:
            if doing.startswith("Copy"):
                holder.hold("SELECT 1 FROM kid_absences WHERE id = 7 FOR UPDATE")

        def split() -> None:
            plan = desk.plan(Split("public.kid_absences", "kid_absences_before", YEAR))
            with pytest.raises(Cancelled, match="It was paused") as error:
                desk.run(plan, ADMIN, progress=hold)
            ended.append(error.value)

        thread = threading.Thread(target=split)
        thread.start()
        (oid,) = run("SELECT 'kid_absences'::regclass::oid")[0]
        progress = f"partition_desk_move_{oid}"
        until(lambda: run(f"SELECT to_regclass('{progress}')") != [(None,)])
        return holder, thread

    yield begin
    assert ended


def test_a_split_is_paused_in_another_process_and_goes_on(
    convert: Callable[..., Any],
    run: Run,
    splitting: Callable[[], tuple[Session, threading.Thread]],
) -> None:
    plain(run)
    rows = run(ALL)
    assert convert(*IN_USE[1:-2]).code == 0
    found = told(convert)
    assert (found["stage"], found["paused"], found["operations"]) == ("in use", False, [])
    assert "All rows lie in public.kid_absences_before" in found["go_back"]
    holder, thread = splitting()
    assert [one["kind"] for one in told(convert)["operations"]] == ["split"]
    assert "Operation" in convert("--status").out
    paused = convert("--pause", "--reason", "the afternoon")
    assert (paused.code, "Paused" in paused.out) == (0, True), paused
    thread.join()
    holder.release()
    assert run(KEPT) == [("split", "cancelled"), ("pause", "done")]
    found = told(convert)
    assert (found["stage"], found["paused"], found["share"] < 1) == ("moving", True, True)
    assert "Go on: partitions convert --resume --table public.kid_absences" in convert("--status").out
    again = convert("--pause")
    assert (again.code, "paused already" in again.out) == (0, True), again
    assert run(KEPT)[1:] == [("pause", "done")]
    run("UPDATE kid_absences SET reason = 'late' WHERE id = 7")
    rows = run(ALL)
    shown = convert("--resume", "--dry-run")
    assert "SET paused = false" in shown.out
    done = convert("--finish", "--batch-pause", "1ms")
    assert done.code == 0, done.err
    assert run(ALL) == rows
    assert run(TRACES) == []
    found = told(convert)
    assert (found["stage"], "have to be brought together" in found["go_back"]) == ("partitioned", True)


def test_a_split_that_was_begun_is_taken_back_to_the_plain_table(
    convert: Callable[..., Any],
    run: Run,
    dump: Callable[[], str],
    splitting: Callable[[], tuple[Session, threading.Thread]],
) -> None:
    plain(run)
    before, rows = dump(), run(ALL)
    assert convert(*IN_USE[1:-2]).code == 0
    holder, thread = splitting()
    assert convert("--pause").code == 0
    thread.join()
    holder.release()
    taken = convert("--abandon")
    assert taken.code == 0, taken.err
    assert run(ALL) == rows
    assert run(TRACES) == []
    assert dump() == before


def test_who_may_not_convert_may_not_pause(
    convert: Callable[..., Any],
    run: Run,
    splitting: Callable[[], tuple[Session, threading.Thread]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain(run)
    assert convert(*IN_USE[1:-2]).code == 0
    holder, thread = splitting()
    monkeypatch.setenv("PARTITION_DESK_ADMINS", "nobody")
    monkeypatch.setenv("PARTITION_DESK_VIEWERS", system_user())
    assert convert("--status").code == 0
    refused = convert("--pause")
    assert (refused.code, "to pause takes an admin" in refused.err) == (1, True), refused
    monkeypatch.delenv("PARTITION_DESK_ADMINS")
    monkeypatch.delenv("PARTITION_DESK_VIEWERS")
    assert convert("--pause").code == 0
    thread.join()
    holder.release()


def test_the_way_back_is_looked_at_gone_on_with_and_taken_back(
    partitions: Partitions,  # noqa: F811
    run: Run,
    desk: Desk,
    dump: Callable[[], str],
) -> None:
    plain(run)
    before = dump()
    assert partitions(*IN_USE).code == 0
    converted = dump()
    back = partial(partitions, "unconvert", *TABLE)
    assert "no way back of it is under way" in back("--status").out
    for word in ("--pause", "--resume", "--finish"):
        assert back(word).code == 1
    only_begin(run, desk.plan(Unconvert("public.kid_absences")), 1)
    assert json.loads(back("--status", "--json").out)["stage"] == "begun"
    assert back("--abandon").code == 0
    assert dump() == converted
    assert "Nothing is left" in back("--abandon").out
    only_begin(run, desk.plan(Unconvert("public.kid_absences")), 1)
    done = back("--resume")
    assert done.code == 0, done.err
    assert dump() == before
    for word in ("--resume", "--finish", "--abandon"):
        assert back(word).code == 0
    assert json.loads(back("--status", "--json").out)["stage"] == "plain"


def test_the_way_back_of_several_partitions_is_paused_and_taken_back(
    partitions: Partitions,  # noqa: F811
    run: Run,
    desk: Desk,
    dump: Callable[[], str],
) -> None:
    plain(run)
    before = dump()
    assert partitions("convert", "--key", "date", "--every", "1 year", *TABLE).code == 0
    converted, rows, back = dump(), run(ALL), partial(partitions, "unconvert", *TABLE)

    def begin() -> None:
        first = gathering(desk, desk.read("public.kid_absences"))
        assert first is not None
        only_begin(run, desk.plan(first), 1)

    begin()
    found = json.loads(back("--status", "--json").out)
    assert (found["stage"], found["share"], found["paused"]) == ("moving", 0, False)
    assert back("--pause").code == 0
    assert json.loads(back("--status", "--json").out)["paused"]
    assert back("--abandon").code == 0
    assert dump() == converted
    begin()
    done = back("--resume")
    assert done.code == 0, done.err
    assert (run(ALL), dump()) == (rows, before)


def test_taking_it_back_is_broken_at_every_statement(run: Run, database_url: str, dump: Callable[[], str]) -> None:
    def withdraw(console: Console) -> Plan:
        return desks.desk(console.reader).plan(Withdraw("public.kid_absences"))

    with Console(database_url) as console:
        for at in range(1, 40):
            run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            plain(run)
            before = dump()
            only_begin(run, desks.desk(console.reader).plan(Convert("public.kid_absences", "date", YEAR)), 2)
            strike = Strike(at, partial(terminate, database_url))
            ended = console.ask(lambda _: withdraw(console), strike)
            if strike.reached:
                assert console.ask(lambda _: withdraw(console)) in ("done", "nothing")
            assert dump() == before, strike.statement
            if not strike.reached:
                assert ended == "done"
                break
        assert at > 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pause", "--resume"), "--pause and --resume exclude each other"),
        (("--key", "date"), "Missing option '--every'"),
        (("--every", "1 year"), "Missing option '--key'"),
        (("--resume", "--json"), "--json goes with --status"),
        (("--resume", "--batch-pause", "soon"), "is not a pause"),
    ],
)
def test_what_can_not_be_meant(convert: Callable[..., Any], run: Run, words: tuple[str, ...], said: str) -> None:
    plain(run)
    done = convert(*words)
    assert (done.code, said in done.err) == (2, True), done
