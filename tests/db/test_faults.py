"""Every act, broken at every statement, is asked for again and reaches its end; no row is lost or doubled."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from core.console import run as console_run
from core.console.journal import OperationState, read_operations
from core.postgres.embedded import running_server
from core.tables.catalog.table import read_table
from core.tables.partition import State
from tests.conftest import until
from tests.faults import ACTS, MOST, YEAR, Act, Console, EndWhileItWaits, Strike, killed_at, stop_at_once, terminate
from tests.servers import connect, temporary_home
from tests.tables import runner

Note = Callable[[str, object], None]
ELSEWHERE = ("archive", "archive-default", "reattach-default")
"""The acts that are broken on the other versions, too."""
KILLED = ("archive", "ensure-default", "archive-default", "reattach-stripped")
"""The acts whose process is killed: between them they have every kind of step."""
ROWS = (
    "SELECT count(*), sum(hash_record_extended(t, 0)) FROM"
    " (SELECT kid_id, date, reason, id FROM {table} WHERE date >= '2023-01-01' AND date < '2024-01-01') t"
)


def rows_of_2023(run: Callable[[str], Any]) -> tuple[int, Any]:
    """The rows of 2023 and their fingerprint, wherever they are: once through the table, or once in the archive."""
    home = "archive" if run(f"SELECT to_regclass('archive.{YEAR}') IS NOT NULL")[0][0] else "public"
    attached = run(f"SELECT relispartition FROM pg_class WHERE oid = '{home}.{YEAR}'::regclass")[0][0]
    through = run(ROWS.format(table="public.kid_absences"))[0]
    direct = run(ROWS.format(table=f"{home}.{YEAR}"))[0]
    pending = run("SELECT count(*) FROM pg_inherits WHERE inhdetachpending")[0][0]
    assert (through == direct) if attached and not pending else (through[0] == 0), "a row is there twice or not at all"
    return direct


def whole(run: Callable[[str], Any], default: bool) -> tuple[Any, ...]:
    """All other rows, which no act may touch."""
    table = "public.kid_absences"
    return run(f"SELECT count(*), sum(hash_record_extended(t, 0)) FROM {table} t WHERE date < '2023-01-01'")[0]


def reach_the_end(console: Console, act: Act) -> int:
    """Asks again until there is nothing left to do; returns how often."""
    for number in range(1, 5):
        ended = console.ask(act.wish)
        if ended == "nothing":
            return number
        assert ended == "done", ended
    raise AssertionError("it never came to its end")


def at_its_goal(reader: Engine, act: Act) -> None:
    """The table is as the act leaves it, with nothing half done."""
    table = read_table(reader, "kid_absences")
    names = {p.name: p.state for p in table.partitions}
    assert table.pending is None
    if act.wish.__name__ == "archive":
        archived = table.find_archived(YEAR)
        assert archived is not None
        assert archived.schema == "archive"
        assert archived.tag is not None
        check = archived.bounds_check(table.key) if table.key else None
        assert check is not None
        assert check.validated
    elif act.wish.__name__ == "reattach":
        assert names[YEAR] is State.ATTACHED
        assert table.archived == ()
    else:
        assert {"kid_absences_2025", "kid_absences_2026"} <= set(names)
    if table.default is not None:
        assert [c.name for c in table.default.checks if c.name.startswith("partition_desk")] == []
    assert not any(operation.state.active for operation in read_operations(reader))


def break_everywhere(act: Act, console: Console, run: Callable[[str], Any], *, during: bool) -> int:
    """Terminates the working backend at each statement in turn, after it or in it; returns how many times."""
    injected = 0
    for at in itertools.count(1):
        assert at < MOST
        act.prepare(run, console)
        before = rows_of_2023(run), whole(run, act.default)
        if during:
            waiting = EndWhileItWaits(console.url)
            strike = Strike(at, waiting.begin, during=True)
            ended = console.ask(act.wish, strike)
            waiting.join()
        else:
            strike = Strike(at, partial(terminate, console.url))
            ended = console.ask(act.wish, strike)
        if not strike.reached:
            assert ended == "done", ended
            break
        injected += 1
        assert rows_of_2023(run) == before[0], strike.statement
        reach_the_end(console, act)
        at_its_goal(console.reader, act)
        assert (rows_of_2023(run), whole(run, act.default)) == before, strike.statement
    assert injected >= 4
    return injected


@pytest.fixture
def desk(database_url: str) -> Iterator[Console]:
    """A console on the test's database, which stays open through every fault."""
    with Console(database_url) as console:
        yield console


@pytest.mark.one_in(8)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
@pytest.mark.parametrize("during", [False, True], ids=["after", "during"])
def test_a_backend_that_is_terminated_at_any_statement_leaves_what_can_be_finished(
    act: Act, during: bool, desk: Console, run: Callable[[str], Any], record_property: Note
) -> None:
    record_property("faults", break_everywhere(act, desk, run, during=during))


@pytest.mark.thorough
@pytest.mark.older_versions
@pytest.mark.parametrize("act", [a for a in ACTS if a.name in ELSEWHERE], ids=lambda act: act.name)
def test_so_does_one_of_an_older_server(
    act: Act, major: int | None, desk: Console, run: Callable[[str], Any], record_property: Note
) -> None:
    record_property("faults", break_everywhere(act, desk, run, during=major == 15))


@pytest.mark.one_in(4)
@pytest.mark.parametrize("act", [act for name in KILLED for act in ACTS if act.name == name], ids=lambda act: act.name)
def test_a_console_killed_at_any_statement_is_shown_as_interrupted_and_finished(
    act: Act, desk: Console, run: Callable[[str], Any], record_property: Note
) -> None:
    injected = 0
    for at in itertools.count(1):
        assert at < MOST
        act.prepare(run, desk)
        before = rows_of_2023(run), whole(run, act.default)
        if not killed_at(desk.url, act, at):
            break
        injected += 1
        # the server notices that the process is gone once it has sent its answer
        until(lambda: not any(one.state.active for one in read_operations(desk.reader)))
        ended = [one.state for one in read_operations(desk.reader)[:1]]  # none where it was killed before it had begun
        assert ended in ([], [OperationState.INTERRUPTED], [OperationState.DONE])
        reach_the_end(desk, act)
        at_its_goal(desk.reader, act)
        assert (rows_of_2023(run), whole(run, act.default)) == before
    assert injected >= 4
    record_property("faults", injected)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("act", [a for a in ACTS if a.name in ("archive", "reattach-stripped")], ids=lambda a: a.name)
def test_a_server_that_crashes_in_the_middle_loses_nothing(
    act: Act, record_property: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_run, "RECONNECT_S", 0.1)  # the server is not started again before the console gives up
    injected = 0
    with temporary_home() as home, ExitStack() as stack:
        url = stack.enter_context(running_server(home))
        for at in range(2, MOST, 5):
            with Console(url) as console, closing(connect(url)) as connection:
                act.prepare(runner(connection), console)
                before = rows_of_2023(runner(connection))
                strike = Strike(at, lambda pid: stop_at_once(home))
                console.ask(act.wish, strike)
            if not strike.reached:
                break
            injected += 1
            stack.close()
            url = stack.enter_context(running_server(home))
            with Console(url) as console, closing(connect(url)) as connection:
                assert rows_of_2023(runner(connection)) == before
                reach_the_end(console, act)
                at_its_goal(console.reader, act)
                assert rows_of_2023(runner(connection)) == before
    assert injected >= 2
    record_property("faults", injected)
