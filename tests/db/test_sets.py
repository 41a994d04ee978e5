"""Partitions of one period in tables that foreign keys bind to each other are archived and brought back as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from core.backups.kept import read_all_kept
from core.cli.output.acts import script
from core.console import saved
from core.console.desk import Desk
from core.console.register import named
from core.console.wishes import plan_again
from core.errors import DeskError, PeriodNotOver, PlanOutdated, Refused
from core.plans.archive import Archive
from core.plans.operation import Wish
from core.plans.plan import Plan
from core.plans.reattach import Reattach
from core.plans.sets import ArchiveSet, ReattachSet
from core.text import shown
from tests import desks
from tests.conftest import ADMIN
from tests.faults import BUDGET, Strike, terminate
from tests.road import Road
from tests.tables import Run, shell_words

NOW = datetime(2025, 6, 1, tzinfo=UTC)
MOST = 80
ALL = ("orders", "lines", "parcels")
"""lines refer to orders, parcels to both."""
YEARS = (2021, 2022, 2023)
Note = Callable[[str, object], None]


def prepare(run: Run) -> None:
    """Three tables by year, each row of a year referring to rows of the same day."""
    run("DROP SCHEMA IF EXISTS archive CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    run(
        "CREATE TABLE orders (id bigint, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);"
        "CREATE TABLE lines (id bigint, order_id bigint, day date, PRIMARY KEY (id, day),"
        " FOREIGN KEY (order_id, day) REFERENCES orders) PARTITION BY RANGE (day);"
        "CREATE TABLE parcels (id bigint, order_id bigint, line_id bigint, day date, PRIMARY KEY (id, day),"
        " FOREIGN KEY (order_id, day) REFERENCES orders, FOREIGN KEY (line_id, day) REFERENCES lines)"
        " PARTITION BY RANGE (day)"
    )
    for year in YEARS:
        ends = f"FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        for name in ALL:
            run(f"CREATE TABLE {name}_{year} PARTITION OF {name} FOR VALUES {ends}")
        day = f"date '{year}-03-01' + i"
        run(f"INSERT INTO orders SELECT i, {day} FROM generate_series(1, 20) i")
        run(f"INSERT INTO lines SELECT i, i, {day} FROM generate_series(1, 20) i")
        run(f"INSERT INTO parcels SELECT i, i, i, {day} FROM generate_series(1, 20) i")


@pytest.fixture
def bound(run: Run) -> Run:
    prepare(run)
    return run


@pytest.fixture
def desk(bound: Run, worker: Engine) -> Desk:
    return desks.desk(worker, budget=BUDGET, now=NOW)


def everything(run: Run) -> list[Any]:
    """The rows, what hangs where, and each constraint of it."""
    rows = [run(f"SELECT tableoid::regclass::text, t::text FROM {name} t ORDER BY 1, 2") for name in ALL]
    hung = run("SELECT inhrelid::regclass::text, inhparent::regclass::text FROM pg_inherits ORDER BY 1, 2")
    bonds = run(
        "SELECT conrelid::regclass::text, confrelid::regclass::text, pg_get_constraintdef(oid), convalidated"
        " FROM pg_constraint WHERE contype IN ('f', 'p', 'c') AND connamespace = 'public'::regnamespace"
        " ORDER BY 1, 2, 3"
    )
    return [rows, hung, bonds]


def away(run: Run) -> set[str]:
    """The partitions of 2021 that hang on no table."""
    every = {f"{name}_2021" for name in ALL}
    return every - {name for (name,) in run("SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid")}


def ask(desk: Desk, wish: Wish, strike: Strike | None = None) -> str:
    try:
        plan = desk.plan(wish)
        if strike is not None:
            strike.arm(desk.working)
        try:
            ended = desk.run(plan, ADMIN)
        finally:
            if strike is not None:
                strike.disarm()
    except DeskError as error:
        return f"{type(error).__name__}: {error}"
    return "done" if ended is not None else "nothing"


SET = tuple(f"{name}_2021" for name in ALL)


@pytest.mark.every_version
@pytest.mark.parametrize("table", ALL)
def test_a_set_goes_as_one_whichever_table_is_named_and_comes_back_as_it_was(
    bound: Run, desk: Desk, table: str
) -> None:
    before = everything(bound)
    assert ask(desk, ArchiveSet(table, f"{table}_2021")) == "done"
    assert away(bound) == set(SET)
    assert [bound(f"SELECT count(*) FROM archive.{name}") for name in SET] == [[(20,)]] * 3
    assert bound("SELECT 1 FROM pg_constraint WHERE contype = 'f' AND connamespace = 'archive'::regnamespace") == []
    assert bound("SELECT 1 FROM pg_constraint WHERE NOT convalidated") == []
    assert ask(desk, ArchiveSet(table, f"{table}_2021")) == "nothing"
    assert ask(desk, ReattachSet(table, f"{table}_2021")) == "done"
    assert everything(bound) == before
    assert ask(desk, ReattachSet(table, f"{table}_2021")) == "nothing"


def test_alone_it_is_refused_and_told_how_both_go(road: Road, bound: Run) -> None:
    ended = road("archive", "--table", "orders", "--year", "2021")
    assert ended.code == 1
    assert "Rows of lines_2021 of public.lines refer to those of orders_2021. Nothing was changed." in ended.message
    assert ended.message.endswith("partitions archive --partition orders_2021 --set --table public.orders")
    told = road.done("archive", "--table", "orders", "--year", "2021", "--set", "--dry-run").out
    assert "Reads and writes of public.parcels, public.lines and public.orders wait while the server looks" in told
    road.done("archive", "--table", "orders", "--year", "2021", "--set", "--reason", "too old")
    assert away(bound) == set(SET)
    assert bound("SELECT kind, subject, state, reason FROM partition_desk.operation") == [
        ("archive", "orders_2021 with parcels_2021, lines_2021", "done", "too old")
    ]
    ended = road("reattach", "--table", "lines", "--year", "2021")
    assert ended.code == 1
    assert "Rows of lines_2021 refer to those of orders_2021 of public.orders, archived as well." in ended.message
    assert ended.message.endswith("partitions reattach --partition lines_2021 --set --table public.lines")
    road.done("reattach", "--table", "lines", "--year", "2021", "--set")
    assert away(bound) == set()


def test_what_left_before_loses_the_key_that_would_keep_the_others(bound: Run, desk: Desk) -> None:
    before = everything(bound)
    assert ask(desk, Archive("parcels", "parcels_2021")) == "done"
    assert ask(desk, ArchiveSet("lines", "lines_2021")) == "done"
    assert away(bound) == set(SET)
    assert ask(desk, Reattach("orders", "orders_2021")) == "done", "nothing is referred to by it"
    assert ask(desk, ReattachSet("orders", "orders_2021")) == "done"
    assert everything(bound) == before


def test_a_set_without_rows_in_between_and_with_a_default(bound: Run, desk: Desk) -> None:
    for name in ALL:
        bound(f"CREATE TABLE {name}_default PARTITION OF {name} DEFAULT")
    bound("DROP TABLE parcels_2021")
    before = everything(bound)
    assert ask(desk, ArchiveSet("orders", "orders_2021")) == "done"
    assert away(bound) == {*SET}
    assert ask(desk, ReattachSet("orders", "orders_2021")) == "done"
    assert everything(bound) == before


def test_what_is_no_set_is_refused_with_the_reason(bound: Run, desk: Desk) -> None:
    bound("CREATE TABLE alone (day date) PARTITION BY RANGE (day)")
    bound("CREATE TABLE alone_2021 PARTITION OF alone FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')")
    with pytest.raises(Refused, match="alone is bound to no other table"):
        desk.plan(ArchiveSet("alone", "alone_2021"))
    bound("ALTER TABLE parcels DETACH PARTITION parcels_2021; ALTER TABLE parcels_2021 RENAME TO old")
    bound("CREATE TABLE parcels_h1 PARTITION OF parcels FOR VALUES FROM ('2021-01-01') TO ('2021-07-01')")
    with pytest.raises(Refused, match=r"public.parcels is cut elsewhere: parcels_h1 does not hold the range"):
        desk.plan(ArchiveSet("orders", "orders_2021"))
    bound("DROP TABLE parcels_h1")
    early = replace(desk, clock=lambda: datetime(2021, 6, 1, tzinfo=UTC))
    with pytest.raises(PeriodNotOver, match="_2021 holds dates that are not over"):
        early.plan(ArchiveSet("orders", "orders_2021"))


def test_a_row_of_another_year_that_refers_to_it_keeps_all_of_it(bound: Run, desk: Desk) -> None:
    """A foreign key that is no part of the bond is not guessed at: the server refuses, and nothing is half done."""
    bound("CREATE TABLE bills (order_id bigint, day date, FOREIGN KEY (order_id, day) REFERENCES orders)")
    bound("INSERT INTO bills SELECT id, day FROM orders_2021 LIMIT 1")
    before = everything(bound)
    ended = ask(desk, ArchiveSet("orders", "orders_2021"))
    assert ended.startswith("Failed: ")
    assert everything(bound) == before


def test_a_change_of_any_of_its_tables_outdates_the_plan(bound: Run, desk: Desk) -> None:
    plan = desk.plan(ArchiveSet("orders", "orders_2021"))
    bound("COMMENT ON TABLE lines IS 'another'")
    with pytest.raises(PlanOutdated, match=r"public.lines is no longer as it was"):
        desk.run(plan, ADMIN)
    assert away(bound) == set()


def test_a_set_is_planned_anew_from_the_journal_a_file_and_its_twin(road: Road, bound: Run) -> None:
    desk = desks.desk(road.reader, road.worker)
    for wish in (ArchiveSet("public.lines", "lines_2021"), ReattachSet("public.lines", "lines_2021")):
        plan = desk.plan(wish)
        assert plan_again(desk, plan.wish, plan).to_json() == plan.to_json()
        assert Plan.from_json(plan.to_json(), named).digest == plan.digest
        again = saved.planned(desk, saved.parse(saved.written(desk, plan, "anna").encode()), "anna")
        assert len(again.beside) == 2
        words = shell_words(shown(plan.command))
        told = road.done(words[1], "--dry-run", *words[2:]).out
        assert told.splitlines()[0] == script(plan).splitlines()[0].replace("\N{NO-BREAK SPACE}", " ")
        road.run_plan(plan)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("back", [False, True], ids=["archive", "reattach"])
def test_a_set_whose_backend_is_terminated_anywhere_is_all_there_or_all_away(
    run: Run, desk: Desk, database_url: str, record_property: Note, back: bool
) -> None:
    wish: Wish = ReattachSet("lines", "lines_2021") if back else ArchiveSet("lines", "lines_2021")

    def begin() -> None:
        prepare(run)
        if back:
            assert ask(desk, ArchiveSet("lines", "lines_2021")) == "done"

    begin()
    every = Strike(MOST, lambda _: None)
    assert ask(desk, wish, every) == "done"
    end = everything(run)
    assert 10 < len(every.came) < MOST
    for at in range(1, len(every.came) + 1):
        begin()
        strike = Strike(at, partial(terminate, database_url))
        ask(desk, wish, strike)
        assert strike.reached
        assert away(run) in (set(), set(SET)), strike.statement
        ended = ask(desk, wish)
        assert ended in ("done", "nothing"), (strike.statement, ended)
        assert away(run) == (set() if back else set(SET))
        assert everything(run) == end
        assert run("SELECT 1 FROM pg_constraint WHERE NOT convalidated") == []
    record_property("faults", len(every.came))


def test_a_set_is_backed_up_proven_and_dropped_and_none_of_it_before_each_is_proven(road: Road, bound: Run) -> None:
    words = ("--table", "lines", "--year", "2021", "--set")
    road.done("archive", *words)
    assert road.done("backup", *words).out.splitlines()[-1] == "Of 3 acts: 3 done."
    place = road.cold.open()
    for kept in read_all_kept(place)[0]:
        if kept.backup.name != "parcels_2021":
            road.prove(kept.backup.id)
    ended = road("drop", *words, "--now", "--confirm", "lines_2021")
    assert ended.code == 1
    assert "parcels_2021: " in ended.err
    assert bound("SELECT count(*) FROM pg_tables WHERE schemaname = 'archive'") == [(3,)]
    assert road.done("verify", *words, "--dry-run").out.count("parcels_2021") >= 1
    for kept in read_all_kept(place)[0]:
        if kept.backup.name == "parcels_2021":
            road.prove(kept.backup.id)
    told = road.done("drop", *words, "--now", "--confirm", "lines_2021").out.splitlines()
    assert [line.partition(":")[0] for line in told if ": done" in line] == list(reversed(SET))
    assert bound("SELECT count(*) FROM pg_tables WHERE schemaname = 'archive'") == [(0,)]
    assert road.done("drop", *words, "--now", "--confirm", "lines_2021").out.startswith("Nothing to do")
