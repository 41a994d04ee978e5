"""The journal searched by page and command: every filter, a page at a time, and nothing told that may not be read."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine

from core.console.journal import OperationState
from core.console.search import AT_ONCE, Counted, Sought, act, read_all, read_choices, read_counted, read_found
from core.errors import NotAllowed
from tests.tables import Run

DONE, FAILED, QUEUED = OperationState.DONE, OperationState.FAILED, OperationState.QUEUED
_PLAN = {
    "operation": "archive",
    "table": "public.a",
    "subject": "a_2020",
    "basis": [],
    "steps": [{"title": "Say it", "statements": ['COMMENT ON TABLE "A" IS \'by Ada, 100 %\''], "locks": [],
               "transactional": True, "finish": "", "waits_for_all": False, "undo": []}],
    "effects": ["Reads and writes go on."],
    "way_back": "", "command": "", "warnings": [],
}  # fmt: skip


@pytest.fixture
def journal(worker: Engine, run: Run) -> Run:
    """An empty journal."""
    from core.console import journal_tables
    from core.postgres.connection import session

    with session(worker) as connection:
        journal_tables.make(connection)
    return run


def write(run: Run, number: int, **columns: Any) -> None:
    """A row of it: Ada archived a_2020 of public.a on the `number`th of March 2026, and what else is said of it."""
    row = {
        "table_address": "public.a", "kind": "archive", "subject": "a_2020", "plan": _PLAN, "digest": "",
        "actor": "Ada", "role": "admin", "origin": "dashboard", "reason": "", "state": "done", "steps": 1,
        "requested_at": f"2026-03-{number:02} 12:00+00", **columns,
    }  # fmt: skip
    values = (json.dumps(value) if isinstance(value, dict) else str(value) for value in row.values())
    quoted = ", ".join("'{}'".format(value.replace("'", "''")) for value in values)
    run(f"INSERT INTO partition_desk.operation ({', '.join(row)}) VALUES ({quoted})")


def numbers(engine: Engine, *, names: bool = True, **sought: Any) -> list[int]:
    return [one.id for one in read_found(engine, Sought(**sought), names=names, limit=100)]


def test_every_filter_leaves_what_fits_all_of_them(reader: Engine, journal: Run) -> None:
    planned = {**_PLAN, "operation": "schedule", "backup": "b1"}
    write(journal, 1, reason="Past the 5 years; 100 % of it")
    write(journal, 2, actor="Bo", state="failed", error="Somebody's in the way", table_address='public."B"')
    write(journal, 3, kind="schedule", plan=planned, subject="a_2019")
    write(journal, 4, kind="schedule", plan={**planned, "backup": ""}, subject="a_2019")
    write(journal, 31, kind="schedule", plan={**planned, "steps": []}, actor="Bo", requested_at="2026-03-31 23:59+00")

    assert numbers(reader) == [5, 4, 3, 2, 1]
    assert numbers(reader, table='public."B"') == [2]
    assert numbers(reader, acts=("archive",)) == [2, 1]
    assert numbers(reader, acts=("plan a drop", "keep")) == [4, 3]
    assert numbers(reader, acts=("schedule",)) == [5]
    assert numbers(reader, states=(FAILED, QUEUED)) == [2]
    assert numbers(reader, people=("Bo",)) == [5, 2]
    assert numbers(reader, people=("Bo",), states=(DONE,)) == [5]
    assert numbers(reader, since=date(2026, 3, 3)) == [5, 4, 3]
    assert numbers(reader, since=date(2026, 3, 2), until=date(2026, 3, 3)) == [3, 2]
    assert numbers(reader, until=date(2026, 3, 31)) == [5, 4, 3, 2, 1]
    assert numbers(reader, text="A_2019") == [4, 3]
    assert numbers(reader, text="100 % of") == [1]
    assert numbers(reader, text="somebody's") == [2]
    assert numbers(reader, text='on table "a" is') == [4, 3, 2, 1]
    assert numbers(reader, text="\\_%") == []
    assert read_counted(reader, Sought(table="public.a"), names=True) == Counted(4, 0)
    assert read_counted(reader, Sought(), names=True) == Counted(5, 1)
    choices = read_choices(reader, names=True)
    assert choices.tables == ('public."B"', "public.a")
    assert choices.acts == ("archive", "keep", "plan a drop", "schedule")
    assert choices.people == ("Ada", "Bo")
    said = [act(one) for one in read_found(reader, Sought(), names=True, limit=9)]
    assert said == ["schedule", "keep", "plan a drop", "archive", "archive"]


def test_who_may_read_no_names_finds_none_by_guessing(reader: Engine, journal: Run) -> None:
    write(journal, 1, reason="as Ada wished", address="10.0.0.7")
    assert numbers(reader, names=False, text="wished") == [1]
    assert numbers(reader, names=False, text="as somebody wished") == [1]
    for guess in ("Ada", "ada", "as ada", "by Ada"):
        assert numbers(reader, names=False, text=guess) == []
        assert numbers(reader, text=guess) == [1]
    for ask in (read_counted, lambda *args, **more: read_found(*args, **more, limit=1)):
        with pytest.raises(NotAllowed):
            ask(reader, Sought(people=("Ada",)), names=False)
    assert read_choices(reader, names=False).people == ()
    (shown,) = read_found(reader, Sought(), names=False, limit=1)
    assert (shown.actor, shown.reason, shown.address, shown.wish) == ("somebody", "as somebody wished", "", "")


def test_ten_thousand_are_read_some_at_a_time(reader: Engine, journal: Run) -> None:
    write(journal, 1)
    journal(
        "INSERT INTO partition_desk.operation (table_address, kind, subject, plan, digest, actor, role, origin, reason,"
        " state, steps) SELECT table_address, kind, 'a_' || n, plan, digest, actor, role, origin, reason,"
        " CASE WHEN n % 2 = 0 THEN 'failed' ELSE 'done' END, steps"
        " FROM partition_desk.operation, generate_series(2, 10500) n"
    )
    failed = Sought(states=(FAILED,))
    assert read_counted(reader, failed, names=True) == Counted(5250, 5250)
    page = read_found(reader, failed, names=True, limit=200, skip=400)
    assert [one.id for one in page] == list(range(9700, 9300, -2))
    found = [one.id for one in read_all(reader, failed, names=True, most=2 * AT_ONCE + 7)]
    assert found == list(range(10500, 10500 - 2 * len(found), -2))
    assert len(found) == 2 * AT_ONCE + 7
    assert sum(1 for _ in read_all(reader, Sought(), names=True, most=20_000)) == 10_500


def test_a_row_that_anybody_wrote_stops_no_search(reader: Engine, journal: Run) -> None:
    write(journal, 1)
    write(journal, 2, kind="archive", plan={"steps": "\x00", "backup": "\x00"})
    assert numbers(reader, acts=("archive",)) == [2, 1]
    assert numbers(reader, text="a_2020") == [2, 1]


def test_where_there_is_no_journal_nothing_is_found(reader: Engine) -> None:
    assert numbers(reader, text="x") == []
    assert read_counted(reader, Sought(), names=True) == Counted(0, 0)
    assert read_choices(reader, names=True).acts == ()
