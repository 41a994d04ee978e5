"""A move of rows that is broken anywhere is asked for again and reaches its end, or is taken back without a trace."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from core.console.desk import Desk
from core.console.execute import Progress
from core.errors import DeskError
from core.period import Width
from core.plans import mirror
from core.plans.drain import Drain
from core.plans.operation import Wish
from core.plans.split import Merge, Split
from core.plans.under_way import Abandon
from tests import desks
from tests.conftest import ADMIN, OpenSession, until
from tests.faults import BUDGET, Strike, terminate
from tests.moving import TRACES, everything, make_visits
from tests.tables import Run

NOW = datetime(2025, 6, 1, tzinfo=UTC)
MOST = 140
Note = Callable[[str, object], None]


@pytest.fixture
def desk(worker: Engine) -> Desk:
    return desks.desk(worker, budget=BUDGET, now=NOW)


def prepare(run: Run) -> list[Any]:
    """A table with a DEFAULT that has rows of one month, and what is in it."""
    run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    make_visits(run, rows=25, cascade=False)
    run(
        "CREATE TABLE bills (visit bigint, day date, FOREIGN KEY (visit, day) REFERENCES visits ON DELETE CASCADE);"
        "INSERT INTO bills SELECT id, day FROM visits"
    )
    return everything(run, "visits", "bills")


def ask(desk: Desk, wish: Wish, strike: Strike | None = None, progress: Progress | None = None) -> str:
    """How it ended: done, nothing, or the error's name."""
    try:
        plan = desk.plan(wish)
        if strike is not None:
            strike.arm(desk.working)
        try:
            ended = desk.run(plan, ADMIN, progress=progress)
        finally:
            if strike is not None:
                strike.disarm()
    except DeskError as error:
        return f"{type(error).__name__}: {error}"
    return "done" if ended is not None else "nothing"


def reach_the_end(desk: Desk, wish: Wish, *, begun: bool = False) -> None:
    """Asks again until there is nothing left to do; with `begun`, until what it was about is no more."""
    for _ in range(3):
        ended = ask(desk, wish)
        if ended == "nothing" or (begun and ended.startswith("PartitionNotFound")):
            return
        assert ended == "done", ended
    raise AssertionError("it never came to its end")


def places(statements: list[str]) -> Iterator[int]:
    """Where what stays differs: before and after each COMMIT, and beyond any transaction."""
    inside = False
    for number, statement in enumerate(statements, 1):
        begins, ends = statement == "BEGIN", statement == "COMMIT"
        if ends or not (inside or begins) or statements[number : number + 1] == ["COMMIT"]:
            yield number
        inside = begins or (inside and not ends)


def test_a_drain_whose_backend_is_terminated_anywhere_is_finished_or_taken_back(
    run: Run, desk: Desk, database_url: str, record_property: Note
) -> None:
    prepare(run)
    every = Strike(MOST, lambda _: None)
    assert ask(desk, Drain("visits"), every) == "done"
    wanted = tuple(places(every.came))
    assert len(wanted) > 20
    for at in wanted:
        rows = prepare(run)
        strike = Strike(at, partial(terminate, database_url))
        ask(desk, Drain("visits"), strike)
        assert strike.reached
        assert everything(run, "visits", "bills") == rows, strike.statement
        run("UPDATE visits SET note = 'seen' WHERE day = '2025-01-03'")
        rows = everything(run, "visits", "bills")
        begun = desk.under_way(desk.read("visits"))
        if at % 2 and begun is not None and not begun.switched:
            assert ask(desk, Abandon("visits")) == "done"
            assert everything(run, "ONLY visits_default")[0][0] == 25
        else:
            reach_the_end(desk, Drain("visits"))
            assert everything(run, "ONLY visits_default")[0][0] == 0
        assert everything(run, "visits", "bills") == rows, strike.statement
        assert run(TRACES) == []
        assert run("SELECT 1 FROM pg_constraint WHERE NOT convalidated AND conparentid = 0") == []
    record_property("faults", len(wanted))


WEEKS = Split("visits", "visits_2024_12", Width(days=10))
BOTH = Merge("visits", ("visits_2024_11", "visits_2024_12"))


@pytest.mark.thorough
@pytest.mark.parametrize("wish", [WEEKS, BOTH], ids=["split", "merge"])
def test_so_is_a_split_or_a_merge(
    run: Run, desk: Desk, database_url: str, record_property: Note, wish: Split | Merge
) -> None:
    """Broken at the statements that a drain has not: those of a DEFAULT beside, and of several old partitions."""
    prepare(run)
    every = Strike(MOST * 2, lambda _: None)
    assert ask(desk, wish, every) == "done"
    wanted = [at for at in places(every.came) if not every.came[at - 1].startswith("ALTER TABLE")][::3]
    for at in wanted:
        rows = prepare(run)
        strike = Strike(at, partial(terminate, database_url))
        ask(desk, wish, strike)
        assert strike.reached
        assert everything(run, "visits", "bills") == rows, strike.statement
        begun = desk.under_way(desk.read("visits"))
        if begun is not None:  # as the command says it that goes on
            reach_the_end(desk, replace(wish, every=None) if isinstance(wish, Split) else wish, begun=True)
        else:
            reach_the_end(desk, wish, begun=True)
        assert everything(run, "visits", "bills") == rows, strike.statement
        assert run(TRACES) == []
        names = {one.name for one in desk.read("visits").ranges}
        assert ("visits_2024_12" in names) is False
    record_property("faults", len(wanted))


def test_a_copy_that_is_killed_between_two_batches_goes_on_from_the_last(
    run: Run, desk: Desk, database_url: str, session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that somebody holds keeps the copy from its end until the backend is terminated."""
    monkeypatch.setattr(mirror, "MOST_PAGES", 4)
    make_visits(run, rows=3000, cascade=False)
    rows = everything(run, "visits")
    holder = session()
    last = "SELECT max(ctid) FROM ONLY visits_default"

    def hold(doing: str, _: object) -> None:
        if doing.startswith("Copy"):
            holder.hold(f"UPDATE visits SET note = note WHERE ctid = ({last})")

    ended: list[str] = []
    thread = threading.Thread(target=lambda: ended.append(ask(desk, Drain("visits"), progress=hold)))
    thread.start()
    (oid,) = run("SELECT 'visits'::regclass::oid")[0]
    progress = f"partition_desk_move_{oid}"
    copied = f"SELECT block FROM {progress} WHERE block > 10"
    until(lambda: run(f"SELECT to_regclass('{progress}')") != [(None,)] and run(copied))
    pids = run("SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO %pages bigint%' AND pid <> pg_backend_pid()")
    terminate(database_url, pids[0][0])
    thread.join()
    holder.run("ROLLBACK")
    assert ended[0].startswith("ConnectionFailed")
    before = run(copied)[0][0]
    plan = desk.plan(Drain("visits"))
    assert plan.meanwhile[0].startswith("It was begun already: ")
    assert before > 10
    reach_the_end(desk, Drain("visits"))
    assert everything(run, "visits") == rows
    assert run(TRACES) == []
