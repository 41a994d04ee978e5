"""Three years of rules, day by day on a real server: no partition ever missing, none archived early, each act once.

What the calendar foretold at the beginning is what there is at the end; killed after every act, it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from core.console import maintain as maintaining
from core.console.desk import Desk
from core.console.maintain import maintain
from core.console.ruled import wish_for
from core.period import Period
from core.plans.archive import ARCHIVE
from core.rules.calendar import ahead
from core.rules.due import Moment, due
from core.rules.value import Rules, parse_rules
from core.tables.table import PartitionedTable
from tests import desks
from tests.conftest import ADMIN
from tests.road import BUDGET, Road
from tests.soak.years import holds_on
from tests.tables import Made

Make = Callable[..., Made]
ZONE = "Europe/Berlin"
BEGIN = datetime(2026, 11, 30, 2, tzinfo=UTC)
DAYS = 3 * 365 + 1

TABLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "moments": (
        {"period": Period.MONTH, "count": 4, "key_type": "timestamptz"},
        {"ahead": 1, "archive_after": "2 partitions", "window": "22:00-04:00 Europe/Berlin", "at_most": 1},
    ),
    "quarters": (
        {"period": Period.QUARTER, "count": 3, "key_type": "timestamp"},
        {"ahead": 2, "archive_after": "1 year"},
    ),
    "years": ({"period": Period.YEAR, "count": 3, "start": date(2024, 1, 1)}, {"ahead": 2, "archive_after": "1 year"}),
    "creating": ({"period": Period.YEAR, "count": 2, "default": True}, {"ahead": 1}),
}
"""Each table with how it is made, and its rules."""


def desk_at(road: Road, now: datetime) -> Desk:
    return desks.desk(road.worker, budget=BUDGET, storage=road.cold, now=now, time_zone=ZONE)


def names(table: PartitionedTable) -> tuple[list[str], list[str]]:
    """The bounds of what is attached and of what is archived."""
    attached = [one.bounds.text for one in table.ranges if one.bounds]
    return attached, sorted(one.bounds.text for one in table.archived if one.bounds)


def foretold(rules: Rules, table: PartitionedTable) -> tuple[list[str], list[str]]:
    """What the calendar says is there after the three years."""
    attached, archived = names(table)
    gone = {one.oid: one.bounds.text for one in table.ranges if one.bounds}
    made: list[str] = []
    for planned in ahead(rules, table, Moment(BEGIN, ZONE), DAYS):
        if planned.act.operation is ARCHIVE:
            text = gone.get(planned.act.oid or 0) or made[-(planned.act.oid or 0) - 1]
            attached.remove(text)
            archived.append(text)
        else:
            made += [bounds.text for bounds in planned.act.makes]
            attached += [bounds.text for bounds in planned.act.makes]
    return attached, sorted(archived)


class Killed(BaseException):
    """As kill -9: nothing of the run catches it."""


@contextmanager
def killed_after_each_act(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = maintaining._run

    def run(*given: Any) -> Any:
        real(*given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(maintaining, "_run", run)
        yield


def run_to_the_end(desk: Desk, monkeypatch: pytest.MonkeyPatch, *, killed: bool) -> None:
    """Runs maintain until it comes to its end by itself."""
    while killed:
        with killed_after_each_act(monkeypatch):
            try:
                assert maintain(desk).did == ()
            except Killed:
                continue
            break
    run = maintain(desk)
    assert run.good, run.left
    assert not killed or run.did == ()


@pytest.mark.thorough
@pytest.mark.parametrize("killed", [False, True], ids=["left alone", "killed after every act"])
def test_three_years(road: Road, make_table: Make, monkeypatch: pytest.MonkeyPatch, *, killed: bool) -> None:
    chosen = TABLES if not killed else {name: TABLES[name] for name in ("years", "creating")}
    made = {
        name: make_table(name, **{"rows": 0, "start": date(2026, 9, 1), **how}) for name, (how, _) in chosen.items()
    }
    rules = {name: parse_rules(said) for name, (_, said) in chosen.items()}
    desk = desk_at(road, BEGIN)
    for name, one in made.items():
        desk.run(desk.plan(wish_for(desk, desk.read(one.address), rules[name])), ADMIN)
    tables = {name: desk.read(one.address) for name, one in made.items()}
    wanted = {name: foretold(rules[name], table) for name, table in tables.items()}

    for number in range(DAYS + 1):
        now = BEGIN + timedelta(days=number)
        at = Moment(now, ZONE)
        if any(due(rules[name], table, at).acts for name, table in tables.items()):
            desk = desk_at(road, now)
            run_to_the_end(desk, monkeypatch, killed=killed)
            tables = {name: replace(desk.read(one.address), as_of=now) for name, one in made.items()}
        for name, table in tables.items():
            holds_on(rules[name], table, now)

    assert {name: names(table) for name, table in tables.items()} == wanted
    once = "SELECT kind, table_address, subject, count(*) FROM partition_desk.operation WHERE kind <> 'rules'"
    assert road.run(f"{once} GROUP BY 1, 2, 3 HAVING count(*) > 1 AND kind = 'archive'") == []
    assert road.run("SELECT count(*) FROM partition_desk.operation WHERE state <> 'done'") == [(0,)]
