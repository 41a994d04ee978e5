"""A saved plan: written by any command that acts, done later by `apply` where it is the very same, and only there."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from core.cli.main import COMMANDS, Program, partitions
from core.console import saved
from core.console.actor import system_user
from core.errors import DeskError
from core.period import Duration, Width
from core.plans.archive import Archive
from core.plans.backup import BackUp
from core.plans.drop import DROPS_ARE_OFF, DropLater
from core.plans.ensure import Ensure
from core.plans.hold import PutHold
from core.plans.operation import Wish
from core.plans.split import Merge, Split
from core.plans.verify import Verify
from core.rules.setting import SetRules
from core.rules.value import parse_rules
from core.tables.marks import Hold
from tests import desks, hostile
from tests.road import Ended, Road
from tests.tables import Made, Run

Make = Callable[..., Made]
NO_ACT = {"cancel", "approve", "acknowledge", "maintain", "alarms", "user", "sample", "apply"}
"""Commands that change something and make no plan of their own."""


@pytest.fixture
def made(make_table: Make) -> Made:
    return make_table(rows=5)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a plan.json"


@pytest.fixture
def archiving(road: Road, made: Made, file: Path) -> Path:
    """A plan to archive the first partition."""
    road.done("archive", "--table", made.address, "--partition", made.first, "--save-plan", str(file))
    return file


def journal(run: Run) -> list[Any]:
    if run("SELECT to_regclass('partition_desk.operation')") == [(None,)]:
        return []
    return [(kind, subject) for kind, subject in run("SELECT kind, subject FROM partition_desk.operation ORDER BY id")]


def refused(road: Road, run: Run, *words: str, **environ: str) -> Ended:
    """An apply that does nothing at all, and says so."""
    before = journal(run)
    ended = road("apply", *words, **environ)
    assert ended.code in (1, 2), ended
    assert "Nothing was changed." in ended.message
    assert journal(run) == before
    return ended


def changed(file: Path, change: Callable[[dict[str, Any]], object]) -> str:
    raw = json.loads(file.read_text())
    change(raw)
    file.write_text(json.dumps(raw))
    return str(file)


def test_what_is_saved_is_not_done_and_what_is_applied_is(road: Road, run: Run, made: Made, archiving: Path) -> None:
    assert journal(run) == []
    raw = json.loads(archiving.read_text())
    assert (raw["operation"], raw["table"], raw["subject"]) == ("archive", made.address, made.first)
    assert raw["saved_by"] == system_user()
    assert any("DETACH PARTITION" in line for line in raw["sql"])

    dry = road.done("apply", str(archiving), "--dry-run").out
    assert "DETACH PARTITION" in dry
    assert journal(run) == []
    told = road.done("apply", str(archiving), "--reason", "as agreed", "--json").json
    assert told["operation"]["reason"] == "as agreed"
    assert journal(run) == [("archive", made.first)]
    assert "is archived already" in road.done("apply", str(archiving)).out


def test_a_file_says_how_it_is_done(road: Road, made: Made, file: Path) -> None:
    ended = road.done("hold", "--table", made.address, "--year", "2022", "--reason", "x", "--save-plan", str(file))
    words = f"partitions apply '{file}'"
    assert ended.out == f"Saved, and nothing done: hold {made.first}. Do it: {words}\n"


def test_a_table_that_changed_meanwhile_is_left_alone(road: Road, run: Run, made: Made, archiving: Path) -> None:
    run(f"COMMENT ON TABLE {made.sql} IS 'another'")
    ended = refused(road, run, str(archiving))
    assert f"{made.address} has changed since that plan was saved on " in ended.message
    assert "was: table comment: none; is: table comment: another." in ended.message
    assert ended.message.endswith("Save it anew, and look at what it would do now.")


def test_what_time_alone_has_changed_is_not_done_either(
    road: Road, run: Run, made: Made, archiving: Path, file: Path
) -> None:
    year = changed(archiving, lambda raw: raw["wish"].update(at="2024-05-05T12:00:00+00:00"))
    ended = refused(road, run, year)
    assert "has changed since that plan was saved on 2024-05-05" in ended.message

    desk = desks.desk(road.reader, road.worker)
    plan = desk.plan(Ensure(made.address, ahead=8))
    past = json.loads(saved.written(desk, plan, "anna"))
    then = saved.parse(json.dumps(past).encode())
    later = desks.desk(road.reader, road.worker, now=desk.now.replace(year=desk.now.year + 2))
    with pytest.raises(DeskError, match="has changed since that plan was saved"):
        saved.planned(later, then, "anna")


def test_what_is_to_come_is_no_plan(road: Road, run: Run, archiving: Path) -> None:
    """A moment of the future would say of any period that it is over."""
    ended = refused(road, run, changed(archiving, lambda raw: raw["wish"].update(at="2090-01-01T00:00:00+00:00")))
    assert "it is of 2090-01-01, which is to come" in ended.message


def test_a_plan_of_another_place_is_refused(road: Road, run: Run, made: Made, archiving: Path) -> None:
    run("CREATE TABLE other (k date) PARTITION BY RANGE (k)")
    ended = refused(road, run, str(archiving), "--table", "other")
    assert f"That plan is of {made.address}, and not of other." in ended.message
    changed(archiving, lambda raw: raw.update(cluster="7"))
    assert "on another server. Nothing was changed. Plan it here." in refused(road, run, str(archiving)).message
    changed(archiving, lambda raw: raw.update(database="payroll"))
    assert "saved for the database payroll, and this is " in refused(road, run, str(archiving)).message


def test_the_sql_of_a_file_is_never_run(road: Road, run: Run, made: Made, archiving: Path) -> None:
    def forge(raw: dict[str, Any]) -> None:
        raw.update(sql=["DROP TABLE kid_absences;"], effects=["Nothing."], command="reboot", saved_by="the boss")

    road.done("apply", changed(archiving, forge))
    assert journal(run) == [("archive", made.first)]
    assert run("SELECT actor FROM partition_desk.operation") == [(system_user(),)]


def test_another_wish_under_the_same_digest_is_refused(road: Road, run: Run, made: Made, archiving: Path) -> None:
    second = made.partition(made.ranges[1][0])
    changed(archiving, lambda raw: raw["wish"]["said"].update(partition=second))
    assert "has changed since" in refused(road, run, str(archiving)).message


def test_roles_and_two_persons_are_asked_as_for_the_command(road: Road, run: Run, archiving: Path) -> None:
    ended = road("apply", str(archiving), PARTITION_DESK_VIEWERS=system_user())
    assert ended.code == 1
    assert "takes an admin" in ended.message
    ended = road(
        "apply", str(archiving), PARTITION_DESK_TWO_PERSONS="archive", PARTITION_DESK_ADMINS=f"{system_user()},berta"
    )
    assert ended.code == 1
    assert "takes two persons. It is asked for now" in ended.message
    assert [kind for kind, _ in journal(run)] == ["ask"]


def test_a_drop_asks_for_the_name_and_a_name_is_that_of_who_asks(road: Road, run: Run, made: Made, file: Path) -> None:
    road.archive(made, made.first)
    road.back_up(made, made.first)
    road.done("drop", "--table", made.address, "--partition", made.first, "--save-plan", str(file))
    assert "type its name: --confirm" in refused(road, run, str(file)).message
    assert "--confirm says 'x'" in refused(road, run, str(file), "--confirm", "x").message
    changed(file, lambda raw: raw["wish"]["said"].update(by="somebody"))
    assert "has changed since" in refused(road, run, str(file), "--confirm", made.first).message
    file.unlink()
    road.done("drop", "--table", made.address, "--partition", made.first, "--save-plan", str(file))
    assert DROPS_ARE_OFF in refused(road, run, str(file), PARTITION_DESK_ALLOW_DROP="false").message
    road.done("apply", str(file), "--confirm", made.first)
    assert journal(run)[-1] == ("schedule", made.first)


def test_one_act_a_file_and_a_file_that_is_there_stays(road: Road, run: Run, made: Made, archiving: Path) -> None:
    text = archiving.read_text()
    ended = road("archive", "--table", made.address, "--year", "2022", "--save-plan", str(archiving))
    assert (ended.code, archiving.read_text()) == (2, text)
    assert "is there already. Nothing was changed. Name a new file." in ended.message
    other = archiving.with_name("b")
    ended = road("archive", "--table", made.address, "--year", "2022", "2023", "--save-plan", str(other))
    assert (ended.code, other.exists()) == (2, False)
    assert "one act, and this is more than one" in ended.message
    road.done("apply", str(archiving))
    assert "nothing to save" in road.done("archive", "--table", made.address, "--year", "2022", "--save-plan", "c").out
    assert not Path("c").exists()


def test_every_command_that_plans_saves() -> None:
    """And no other: whatever takes a dry run and a reason makes a plan, unless it is named here."""
    assert isinstance(partitions, Program)
    for name in (name for names in COMMANDS.values() for name in names):
        command = partitions.get_command(None, name)  # type: ignore[arg-type]
        words = {one.name for one in getattr(command, "params", ())}
        acts = {"reason", "dry_run"} <= words and name not in NO_ACT
        assert ("save_plan" in words) is acts, name


# --- whatever a file says ---


def wishes(road: Road, made: Made) -> Iterator[Wish]:
    table, second = made.address, made.partition(made.ranges[1][0])
    kept = road.back_up(made, made.first)
    yield Archive(table, second, allow_current=True)
    yield Archive(table, made.ranges[1])
    yield Ensure(table, years=((made.ranges[-1][1], made.ranges[-1][1].replace(year=2099)),))
    yield Split(table, second, Width(months=6))
    yield Merge(table, (made.first, second))
    yield PutHold(table, second, Hold("2099-12-31", "the audit", "anna"))
    yield BackUp(table, second)
    yield Verify(kept)
    yield SetRules(table, parse_rules({"archive_after": "2 years", "backup": True}))
    road.archive(made, made.first)
    yield DropLater(table, made.first, (road.back_up(made, made.first),), Duration(30, "day"), "anna")


STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, 10**30, 1.5, float("nan"), "", "x", "\0", "\ud800", [], {}, [[]], {"x": 1}),
    *({"backup": "../../etc/passwd"}, {"backup": 7}, {"date": "2020-02-30"}, {"date": 5}, {"moment": "2020-01-01"}),
    *({"width": [0, 0, 0]}, {"width": [-1, 0, 0]}, {"width": [1, 1, 1]}, {"width": "a"}, {"width": [10**20, 0, 0]}),
    *({"duration": [0, "day"]}, {"duration": [5, "aeon"]}, {"hold": ["x", "y", "z"]}, {"hold": ["", "", ""]}),
    *({"bounds": "DEFAULT"}, {"bounds": "FOR VALUES FROM ('a') TO ('b')"}, {"bounds": 3}, {"reading": "tea leaves"}),
    *({"rules": "x"}, {"rules": {"x": 1}}, {"rules": {"ahead": []}}, [{"date": "2020-01-01"}, {"date": "2019-01-01"}]),
    *("a.b.c", "public.nothing", '"', "2090-01-01T00:00:00+00:00", "2020-01-01T00:00:00", "0001-01-01T00:00:00+00:00"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each place in a JSON value, by its way there."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield from places(one, (*path, name))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    made = copy.deepcopy(value)
    at = made
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = new
    return made


def test_whatever_stands_in_a_file_is_a_plan_or_an_error_of_ours(road: Road, run: Run, made: Made) -> None:
    chance = random.Random(14)
    names = hostile.names(60)
    desk = desks.desk(road.reader, road.worker, storage=road.cold)
    ended = {"planned": 0, "refused": 0}
    for wish in wishes(road, made):
        raw = json.loads(saved.written(desk, desk.plan(wish), "anna"))
        every = [one for one in places(raw) if one[0] in ("wish", "digest", "database", "table")]
        before = journal(run)
        for _ in range(25):
            path = chance.choice(every)
            text = json.dumps(put(raw, path, chance.choice((*STRANGE, chance.choice(names)))))
            if chance.random() < 0.1:
                text = text[: chance.randrange(len(text))]
            try:
                plan = saved.planned(desk, saved.parse(text.encode(errors="surrogatepass")), "anna")
            except DeskError:
                ended["refused"] += 1
            else:
                ended["planned"] += 1
                assert plan.operation == wish.operation
        assert journal(run) == before
    assert ended["refused"] > 150, ended


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"partition_desk_plan": 2}',
        b'{"partition_desk_plan": 1, "partition_desk_plan": 1}',
        b'{"partition_desk_plan": 1, "wish": {}}',
        b'{"partition_desk_plan": 1, "database": NaN}',
    ],
)
def test_what_is_no_saved_plan_is_told(text: bytes) -> None:
    with pytest.raises(DeskError, match="That file is no saved plan"):
        saved.parse(text)


def test_through_a_pipe(road: Road, run: Run, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    written = road.done("archive", "--table", made.address, "--partition", made.first, "--save-plan", "-").out
    assert not Path("-").exists()
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(written.encode())))
    assert road("apply", "-").code == 0
    assert run(f"SELECT to_regclass('archive.{made.first}') IS NOT NULL") == [(True,)]


@pytest.mark.parametrize("name", ["nothing", "."])
def test_a_file_that_is_none(road: Road, run: Run, tmp_path: Path, name: str) -> None:
    assert str(tmp_path / name) in refused(road, run, str(tmp_path / name)).message
