"""Rules in the database: set, kept with their table, undone, put into a file; what others wrote is not obeyed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.console.ruled import InForce, read_in_force
from core.errors import Failed
from core.rules.file import parse_file
from core.rules.value import Rules, parse_rules
from tests import desks
from tests.road import Road
from tests.tables import Made

Make = Callable[..., Made]
AHEAD = parse_rules({"ahead": 2})


@pytest.fixture
def made(make_table: Make) -> Made:
    return make_table(rows=0)


def in_force(road: Road) -> tuple[InForce, ...]:
    return read_in_force(desks.desk(road.reader, road.worker))


def obeyed(road: Road) -> list[tuple[str, Rules | None]]:
    return [(one.table, one.rules) for one in in_force(road)]


def set_rules(road: Road, *words: str) -> str:
    return road.done("rules", "set", *words).out


def test_rules_are_set_one_by_one_and_undone(road: Road, made: Made) -> None:
    assert road.done("rules", "show").out == "No table has rules.\n"
    assert road.done("rules", "show", "--history").out == "Rules were never set.\n"
    assert "public.kid_absences: years, 2 ahead" in set_rules(road, "--ahead", "2", "--reason", "so it is")
    assert obeyed(road) == [("public.kid_absences", AHEAD)]
    set_rules(road, "--archive-after", "3 years", "--backup")
    both = replace(parse_rules({"archive_after": "3 years", "backup": True}), ahead=2)
    assert obeyed(road) == [("public.kid_absences", both)]
    assert "Nothing to do" in set_rules(road, "--ahead", "2")
    road.done("rules", "undo")
    assert obeyed(road) == [("public.kid_absences", AHEAD)]
    road.done("rules", "undo")
    assert obeyed(road) == [("public.kid_absences", both)]
    set_rules(road, "--ahead", "off", "--no-backup", "--archive-after", "never")
    assert obeyed(road) == [("public.kid_absences", None)]
    told = json.loads(road.done("rules", "show", "--history", "--json").out)["changes"]
    assert [one["rules"] for one in told][-1] == {"ahead": 2}
    assert [one["reason"] for one in told][-1] == "so it is"
    assert {one["obeyed"] for one in told} == {True}
    assert "kid_absences: no rules" in road.done("rules", "show", "--table", made.address).out


def test_a_plan_made_before_somebody_else_set_them_is_refused(road: Road, made: Made) -> None:
    from core.console.ruled import wish_for

    desk = desks.desk(road.reader, road.worker)
    late = desk.plan(wish_for(desk, desk.read(made.address), parse_rules({"ahead": 5})))
    set_rules(road, "--ahead", "2")
    with pytest.raises(Failed, match="set by somebody else meanwhile"):
        road.run_plan(late)
    assert obeyed(road) == [("public.kid_absences", AHEAD)]


def test_rules_stay_with_a_table_that_is_renamed_and_not_with_its_name(road: Road, made: Made) -> None:
    set_rules(road, "--ahead", "2")
    road.run("ALTER TABLE kid_absences RENAME TO absences")
    assert obeyed(road) == [("public.absences", AHEAD)]
    road.run("DROP TABLE absences")
    road.run("CREATE TABLE kid_absences (date date NOT NULL) PARTITION BY RANGE (date)")
    (one,) = in_force(road)
    assert (one.table, one.rules) == ("public.kid_absences", None)
    assert "before it was made anew or on another server" in one.doubt
    assert "NOT OBEYED" in road.done("rules", "show").out
    set_rules(road, "--every", "1 year", "--ahead", "2")
    assert obeyed(road) == [("public.kid_absences", replace(AHEAD, every=parse_rules({"every": "1 year"}).every))]


def test_what_others_write_is_shown_and_not_obeyed(road: Road, made: Made) -> None:
    set_rules(road, "--ahead", "2")
    columns = ", ".join(
        name
        for (name,) in road.run(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'partition_desk.operation'::regclass AND attnum > 0"
            " AND attname NOT IN ('id', 'wish')"
        )
    )
    road.run(
        f"INSERT INTO partition_desk.operation (wish, {columns})"
        f" SELECT replace(wish, '\"ahead\": 2', '\"ahead\": 900'), {columns} FROM partition_desk.operation"
    )
    assert obeyed(road) == [("public.kid_absences", AHEAD)]
    assert "900 ahead  NOT OBEYED" in road.done("rules", "show", "--history").out
    set_rules(road, "--ahead", "3")
    assert obeyed(road) == [("public.kid_absences", parse_rules({"ahead": 3}))]


def test_older_rules_that_are_put_in_again_are_not_obeyed(road: Road, made: Made) -> None:
    set_rules(road, "--ahead", "9")
    copied = "CREATE TABLE public.copied AS SELECT * FROM partition_desk.operation"
    road.run(copied)
    set_rules(road, "--ahead", "2")
    road.run("UPDATE public.copied SET id = 100")
    road.run("INSERT INTO partition_desk.operation OVERRIDING SYSTEM VALUE SELECT * FROM public.copied")
    assert obeyed(road) == [("public.kid_absences", AHEAD)]
    road.run("DELETE FROM partition_desk.operation_step WHERE operation_id > 1")
    road.run("DELETE FROM partition_desk.operation WHERE id > 1")
    (one,) = in_force(road)
    assert one.rules is None
    assert "the record has newer ones, of operation 2" in one.doubt


def test_rules_take_an_admin(road: Road, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.console import actor

    monkeypatch.setattr(actor, "system_user", lambda: "olga")
    ended = road("rules", "set", "--ahead", "2", PARTITION_DESK_ADMINS="anna", PARTITION_DESK_OPERATORS="olga")
    assert ended.code == 1
    assert "takes an admin" in ended.err
    assert in_force(road) == ()


FILE = """\
[[table]]
name = "kid_absences"
ahead = 2
archive_after = "3 years"

[[table]]
name = "public.other"
ahead = 1
"""


def test_a_file_is_compared_planned_and_applied(road: Road, make_table: Make, made: Made, tmp_path: Path) -> None:
    make_table("other", rows=0)
    make_table("third", rows=0)
    path = tmp_path / "rules.toml"
    path.write_text(FILE)
    set_rules(road, "--ahead", "7")
    set_rules(road, "--table", "third", "--backup")
    assert road("rules", "check", str(path)).code == 1
    told = road.done("rules", "plan", str(path)).out
    for line in ("- ahead = 7", "+ ahead = 2", '+ archive_after = "3 years"', "public.other", "- backup = true"):
        assert line in told
    stamp = told.split()[-1]
    set_rules(road, "--ahead", "8")
    late = road("rules", "apply", str(path), "--plan", stamp)
    assert (late.code, "no longer what that plan was made of" in late.err) == (1, True)
    stamp = road.done("rules", "plan", str(path)).out.split()[-1]
    road.done("rules", "apply", str(path), "--plan", stamp)
    assert road.done("rules", "check", str(path)).out == "The rules are those of the file.\n"
    exported = road.done("rules", "export").out
    assert [one.name for one in parse_file(exported)] == ["public.kid_absences", "public.other"]
    path.write_text(exported)
    assert road("rules", "check", str(path)).code == 0
    assert "Nothing to do" in road.done("rules", "plan", str(path)).out
    assert "Nothing to do" in road.done("rules", "apply", str(path)).out
    path.write_text(exported.replace("ahead", "ahaed"))
    wrong = road("rules", "apply", str(path))
    assert (wrong.code, "Did you mean ahead?" in wrong.err) == (2, True)


def test_the_schema_is_printed_without_a_database(road: Road) -> None:
    told: Any = json.loads(road.done("rules", "schema", DATABASE_URL="postgresql://nowhere.invalid/x").out)
    assert "archive_after" in told["properties"]["table"]["items"]["properties"]
