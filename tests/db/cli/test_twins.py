"""The twin that a plan shows, pasted into a shell with the same environment, gives the very plan that was shown.

So does the wish that the journal keeps of it, from which a worker builds the plan anew, and the file of a saved plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from core.cli.output.acts import script
from core.console import saved
from core.console.actor import system_user
from core.console.register import ROOMS
from core.console.ruled import wish_for
from core.console.wishes import plan_again
from core.names import address, ident, qualified
from core.period import Duration, Period, Width
from core.plans.adopt import Adopt, Release
from core.plans.archive import Archive
from core.plans.backup import BackUp
from core.plans.drain import Drain
from core.plans.drop import Drop, DropLater, Keep
from core.plans.ensure import Ensure
from core.plans.hold import PutHold
from core.plans.index import CreateIndex, DropIndex, Reindex
from core.plans.inplace import Convert
from core.plans.operation import Wish
from core.plans.reading import ReadKey
from core.plans.reattach import Reattach
from core.plans.restore import Restore
from core.plans.sets import ArchiveSet, ReattachSet
from core.plans.split import Merge, Split
from core.plans.unconvert import Unconvert
from core.plans.under_way import Abandon
from core.plans.verify import Verify
from core.plans.withdraw import Withdraw
from core.rules.setting import SetRules
from core.rules.value import parse_rules
from core.tables.key import Reading
from core.tables.marks import Hold
from core.text import NBSP, shown
from tests import desks
from tests.road import Road
from tests.tables import Made, shell_words

Make = Callable[..., Made]

TABLES: dict[str, dict[str, Any]] = {
    "plain": {},
    "another schema": {"schema": "north"},
    "months": {"name": "visits", "period": Period.MONTH, "start": date(2022, 1, 1)},
    "odd names": {"schema": "No.rth", "name": 'Kid "A" 100%; $(x)', "key": "The Day:", "key_type": "timestamptz"},
    "dashes": {"schema": "-s", "name": "--table", "key": "-k"},
    "line end": {"name": "a\nb 'c'"},
}
ELSEWHERE = {ArchiveSet, ReattachSet, ReadKey, SetRules, CreateIndex, Reindex, DropIndex, Convert, Unconvert, Withdraw}
"""Whose twins have tests of their own, below or where they are tested."""
REASONS = ("the audit", '-it\'s; 100 % of "it"', "--lift", "$(reboot) `id`\nnew line")


def settled(text: str) -> str:
    """Without what is another at each try: ids of new backups, and moments."""
    text = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{6}", "ID", text.replace(NBSP, " "))
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "AT", text)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("kind", list(TABLES))
def test_the_twin_of_every_act_gives_the_plan_that_was_shown(road: Road, make_table: Make, kind: str) -> None:
    made = make_table(**{"rows": 5, **TABLES[kind]})
    make_table("other", rows=0)
    told: list[type[Wish]] = []

    def same(wish: Wish) -> None:
        desk = desks.desk(road.reader, road.worker, storage=road.cold)
        plan = desk.plan(wish)
        assert plan.steps, plan.operation
        assert plan_again(desk, plan.wish, plan).to_json() == plan.to_json()
        file = saved.parse(saved.written(desk, plan, "anna").encode())
        assert settled(script(saved.planned(desk, file, system_user()))) == settled(script(plan))
        words = shell_words(shown(plan.command))
        assert words[0] == "partitions"
        dry = [*words[1:2], "--dry-run", *words[2:]]
        ended = road.done(*dry, PARTITION_DESK_TABLE="public.other")
        assert settled(ended.out).strip() == settled(script(plan)).strip(), plan.command
        told.append(type(wish))

    table, first, second = made.address, made.first, made.partition(made.ranges[1][0])
    same(Ensure(table, dates=(made.ranges[-1][1],)))
    same(Ensure(table, years=((date(2031, 1, 1), date(2032, 1, 1)),)))
    same(Ensure(table, dates=(date(2033, 5, 5),)))
    road.run(
        f"CREATE TABLE {made.sql.rpartition('.')[0]}.\"-by 'hand'\" (LIKE {made.sql} INCLUDING ALL EXCLUDING IDENTITY)"
    )
    ends = (f"{made.ranges[-1][1]}", "2040-01-01")
    same(Adopt(table, address(made.schema, "-by 'hand'"), *ends))
    same(Release(table, address(made.schema, first)))
    same(Archive(table, second))
    same(Archive(table, second, allow_current=True))
    same(Split(table, second, Width(months=6) if made.period is Period.YEAR else Width(days=7)))
    same(Merge(table, (first, second)))
    same(Merge(table, (first, second), 50))
    same(Merge(table, (first, second), across_gaps=True))
    for reason in REASONS:
        same(PutHold(table, second, Hold("2099-12-31", reason, system_user())))
    same(PutHold(table, second, Hold("", REASONS[0], system_user())))
    road.run_plan(desks.desk(road.reader).plan(PutHold(table, second, Hold("", "x", system_user()))))
    same(PutHold(table, second, None))
    column = ident(made.key.column)
    road.run(f"CREATE TABLE {qualified(made.schema, made.default)} PARTITION OF {made.sql} DEFAULT")
    road.run(f"INSERT INTO {made.sql} (kid_id, {column}) VALUES (1, '2027-05-05')")
    same(Drain(table, rest_ms=1500))
    same(Drain(table))
    drained = desks.desk(road.reader).plan(Drain(table))
    for statement in drained.steps[0].statements:
        road.run(statement)
    same(Drain(table))
    same(Abandon(table))
    road.run_plan(desks.desk(road.reader).plan(Abandon(table)))
    road.run(f"DROP TABLE {qualified(made.schema, made.default)}")
    road.archive(made, first)
    same(Reattach(table, first))
    same(BackUp(table, first))
    same(BackUp(table, second))
    kept = road.back_up(made, first)
    same(Verify(kept))
    same(Drop(table, first, (kept,)))
    same(DropLater(table, first, (kept,), Duration(30, "day"), system_user()))
    road.plan_later(made, first)
    same(Keep(table, first))
    road.run(f"DROP TABLE {road.read(made).find_archived(first).sql}")  # type: ignore[union-attr]
    same(Restore(kept))
    assert set(told) == {wish for room in ROOMS for wish in room.wishes} - ELSEWHERE


def test_the_twin_of_a_conversion(road: Road) -> None:
    road.run('CREATE TABLE "Odd 1" ("The Day:" date PRIMARY KEY, n int CONSTRAINT "n; once" UNIQUE)')
    desk = desks.desk(road.reader, road.worker)
    plan = desk.plan(Convert('public."Odd 1"', "The Day:", Width(months=1), without=("n; once",)))
    assert plan_again(desk, plan.wish, plan).to_json() == plan.to_json()
    for statement in plan.steps[0].statements:
        road.run(statement)
    taken = desk.plan(Withdraw('public."Odd 1"'))
    assert plan_again(desk, taken.wish, taken).to_json() == taken.to_json()
    words = shell_words(shown(taken.command))
    assert settled(road.done("convert", "--dry-run", *words[2:]).out).strip() == settled(script(taken)).strip()
    road.run_plan(taken)
    words = shell_words(shown(plan.command))
    assert settled(road.done("convert", "--dry-run", *words[2:]).out).strip() == settled(script(plan)).strip()
    road.run_plan(plan)
    back = desk.plan(Unconvert('public."Odd 1"'))
    assert plan_again(desk, back.wish, back).to_json() == back.to_json()
    words = shell_words(shown(back.command))
    assert settled(road.done("unconvert", "--dry-run", *words[2:]).out).strip() == settled(script(back)).strip()


def test_the_twin_of_how_a_key_is_read(road: Road) -> None:
    road.run('CREATE TABLE "Odd 1" (k bigint NOT NULL) PARTITION BY RANGE (k)')
    road.run('CREATE TABLE odd_1 PARTITION OF "Odd 1" FOR VALUES FROM (5) TO (1735689600)')
    desk = desks.desk(road.reader, road.worker)
    for reading in (Reading.IDS, Reading.SECONDS, None):
        plan = desk.plan(ReadKey('public."Odd 1"', reading))
        assert plan_again(desk, plan.wish, plan).to_json() == plan.to_json()
        words = shell_words(shown(plan.command))
        assert road.done("key", "--dry-run", *words[2:]).out.strip() == script(plan).strip()
        road.run_plan(plan)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("kind", ["plain", "odd names", "dashes", "line end"])
def test_the_twin_of_rules(road: Road, make_table: Make, kind: str) -> None:
    made = make_table(**{"rows": 0, **TABLES[kind]})
    desk = desks.desk(road.reader, road.worker)
    every = {"every": "1 year", "ahead": 2, "archive_after": "24 partitions", "backup": True, "verify_every": "1 year"}
    rest = {"drop_after": "60 days", "hold": "until lifted", "window": "01:00-05:00 Europe/Berlin", "at_most": 4}
    for said in ({**every, **rest}, {"ahead": 0}, None):
        plan = desk.plan(wish_for(desk, desk.read(made.address), None if said is None else parse_rules(said)))
        assert plan_again(desk, plan.wish, plan).to_json() == plan.to_json()
        words = shell_words(shown(plan.command))
        assert road.done("rules", words[2], "--dry-run", *words[3:]).out.strip() == script(plan).strip()
        road.run_plan(plan)
