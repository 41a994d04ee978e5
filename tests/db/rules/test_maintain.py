"""Rules are kept to on a real server: the whole road, one at a time, each act once, and whatever fails on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from core.console import approval
from core.console import maintain as maintaining
from core.console.maintain import maintain
from core.console.maintained import read_runs, read_upkeep
from core.console.ruled import wish_for
from core.console.unattended import unattended
from core.console.worker import Worker
from core.errors import Asked
from core.period import Period
from core.postgres.advisory import LockKey
from core.rules.run import Run, Upkeep
from core.rules.value import parse_rules
from tests import desks
from tests.conftest import ADMIN, OpenSession, until
from tests.desks import SEAL
from tests.road import BUDGET, Road
from tests.tables import Made

Make = Callable[..., Made]
TODAY = datetime.now(UTC).replace(hour=9, minute=30)
YEAR = TODAY.year


@pytest.fixture
def made(make_table: Make) -> Made:
    return make_table(start=date(YEAR - 5, 1, 1), count=6, rows=5)


def desk_of(road: Road, now: datetime = TODAY, **settings: Any) -> Any:
    return desks.desk(road.worker, budget=BUDGET, storage=road.cold, now=now, **settings)


def rule(road: Road, made: Made, **said: Any) -> None:
    desk = desk_of(road)
    desk.run(desk.plan(wish_for(desk, desk.read(made.address), parse_rules(said))), ADMIN)


def did(run: Run) -> list[str]:
    return [f"{one.act} {one.subject}" for one in run.did if one.good]


def acts_of_journal(road: Road, kind: str) -> list[str]:
    found = road.run(
        f"SELECT subject FROM partition_desk.operation WHERE kind = '{kind}' AND state = 'done' ORDER BY id"
    )
    return [subject for (subject,) in found]


def test_without_rules_nothing_is_done_or_written(road: Road, made: Made) -> None:
    assert road.done("maintain").out == "Nothing to do: everything is as the rules want it.\n"
    assert road.done("maintain", "--dry-run").out == "No table has rules.\n"
    assert not road.is_there("partition_desk.maintenance")


def test_the_whole_road_is_walked_and_each_act_is_done_once(road: Road, made: Made) -> None:
    rule(road, made, ahead=2, archive_after="4 years", backup=True, verify_every="1 year", drop_after="30 days")
    old = made.first
    dry = road.done("maintain", "--dry-run")
    assert [line.split(":")[1].strip() for line in dry.out.splitlines()] == [
        f"would ensure {YEAR + 1}, {YEAR + 2}",
        f"would archive {old}",
        f"would backup {old}",
        f"would verify {old}",
    ]
    assert road.done("maintain", "--json").json["good"]
    assert "Nothing to do" in road.done("maintain").out
    runs = read_runs(road.reader, SEAL)
    assert [did(run) for run in runs] == [
        [],
        [f"ensure {YEAR + 1}, {YEAR + 2}", f"archive {old}", f"backup {old}", f"verify {old}"],
    ]
    later = maintain(desk_of(road, TODAY + timedelta(days=31)))
    of_old = [one for one in did(later) if one.endswith(old)]
    assert (of_old, later.good) == ([f"drop {old}"], True)
    new_year = (TODAY + timedelta(days=31)).year > YEAR  # which brings acts of its own
    assert did(later) == of_old or new_year
    assert not road.is_there(f"archive.{old}")
    for kind in ("archive", "backup", "verify", "drop"):
        done = acts_of_journal(road, kind)
        assert done == [old] or (new_year and done.count(old) == 1)


def test_another_that_is_at_it_is_told_and_nothing_is_done(road: Road, made: Made, session: OpenSession) -> None:
    rule(road, made, ahead=2)
    other = session()
    other.run(f"SELECT pg_advisory_lock({LockKey.MAINTAIN}, 0)")
    ended = road("maintain")
    assert (ended.code, "maintain is running already: session" in ended.err) == (1, True)
    assert acts_of_journal(road, "ensure") == []
    other.run("SELECT pg_advisory_unlock_all()")
    road.done("maintain")
    assert len(acts_of_journal(road, "ensure")) == 1


def test_a_table_that_fails_keeps_no_other_from_being_maintained(road: Road, make_table: Make, made: Made) -> None:
    make_table("after", start=date(YEAR - 5, 1, 1), count=6, rows=0)
    for name in ("kid_absences", "after"):
        road.done("rules", "set", "--table", name, "--ahead", "1", "--archive-after", "4 years")
    old = made.first
    road.run(f"CREATE TABLE public.{made.name}_{YEAR + 1} ()")
    road.run(f"CREATE SCHEMA archive; CREATE TABLE archive.{old} ()")
    ended = road("maintain", "--json")
    assert ended.code == 1
    told = ended.json
    assert [(one["table"], one["act"]) for one in told["left"] if one["needs_somebody"]] == [
        ("public.kid_absences", "ensure"),
        ("public.kid_absences", "archive"),
    ]
    assert [(one["table"], one["act"]) for one in told["did"] if one["error"] is None] == [
        ("public.after", "ensure"),
        ("public.after", "archive"),
    ]
    assert "NOT DONE: public.kid_absences: archive" in road("maintain").out


def test_one_partition_that_fails_keeps_no_other_of_its_table(road: Road, made: Made) -> None:
    road.done("rules", "set", "--archive-after", "3 years", "--at-most", "1")
    road.run(f"CREATE SCHEMA archive; CREATE TABLE archive.{made.first} ()")
    run = maintain(desk_of(road))
    assert did(run) == [f"archive {made.partition(made.ranges[1][0])}"]
    assert [(one.act, one.subject) for one in run.failed] == [("archive", made.first)]


def test_a_window_and_a_bound_hold_over_several_runs(road: Road, made: Made) -> None:
    rule(road, made, ahead=1, archive_after="2 years", window="10:00-12:00 UTC", at_most=1)
    early = maintain(desk_of(road, TODAY))
    assert (did(early), early.good) == ([f"ensure {YEAR + 1}"], True)
    first, second = made.first, made.partition(made.ranges[1][0])
    inside = TODAY.replace(hour=10)
    assert did(maintain(desk_of(road, inside))) == [f"archive {first}"]
    again = maintain(desk_of(road, inside + timedelta(hours=1)))
    assert (did(again), again.left[0].why) == ([], "1 act a night at most")
    assert did(maintain(desk_of(road, inside + timedelta(days=1)))) == [f"archive {second}"]
    third = made.partition(made.ranges[2][0])
    run = maintain(desk_of(road, TODAY + timedelta(days=3)), outside=True)
    assert did(run) == [f"archive {third}"]


def test_acts_that_take_an_admin_are_done_while_who_set_the_rules_is_one(road: Road, made: Made) -> None:
    rule(road, made, ahead=1, archive_after="4 years")
    others = {"admins": ("somebody",), "operators": ("else",)}
    run = maintain(desk_of(road, **others))
    assert did(run) == [f"ensure {YEAR + 1}"]
    assert "is no admin any more" in run.failed[0].why
    assert did(maintain(desk_of(road, admins=(ADMIN.name,)))) == [f"archive {made.first}"]
    (row,) = road.run(
        "SELECT actor, origin, reason FROM partition_desk.operation WHERE kind = 'archive' AND state = 'done'"
    )
    assert row[:2] == (ADMIN.name, "rules")
    assert row[2].endswith("over for longer than 4 years")


def test_what_takes_two_persons_takes_rules_that_two_have_set(road: Road, made: Made) -> None:
    rule(road, made, archive_after="4 years")
    two = {"admins": (ADMIN.name, "bert"), "two_persons": ("archive",)}
    run = maintain(desk_of(road, **two))
    assert (did(run), len(run.failed)) == ([], 1)
    assert "takes two persons, and one has set the rules" in run.failed[0].why
    road.done("rules", "undo")
    desk = desk_of(road, admins=("anna", "bert"), two_persons=("archive",))
    anna, bert = (replace(ADMIN, name=name) for name in ("anna", "bert"))
    with pytest.raises(Asked):
        desk.run(desk.plan(wish_for(desk, desk.read(made.address), parse_rules({"archive_after": "4 years"}))), anna)
    real = replace(desk, clock=lambda: datetime.now(UTC), server_clock=None)
    (asked,) = approval.requests(real)
    real.run(approval.approved(real, asked.record.id, bert), bert)
    assert did(maintain(desk)) == [f"archive {made.first}"]


@contextmanager
def killed_after(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """The process ends, without a word, after so many acts."""

    class Killed(BaseException):
        """As kill -9: nothing of the run catches it."""

    count = 0
    real = maintaining._run

    def run(*given: Any) -> Any:
        nonlocal count
        done = real(*given)
        count += 1
        if count == number:
            raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(maintaining, "_run", run)
        with pytest.raises(Killed):
            yield


def test_a_run_that_was_killed_is_gone_on_with(road: Road, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    rule(road, made, ahead=1, archive_after="2 years", at_most=3)
    for _ in range(3):
        with killed_after(monkeypatch, 1):
            maintain(desk_of(road))
    run = maintain(desk_of(road))
    names = [made.partition(lower) for lower, _ in made.ranges]
    assert acts_of_journal(road, "archive") == names[:3]
    assert (did(run), run.good) == ([f"archive {names[2]}"], True)
    assert road.run("SELECT count(*) FROM partition_desk.maintenance") == [(4,)]


def upkeep(road: Road) -> Upkeep:
    found = read_upkeep(desk_of(road))
    assert found is not None
    return found


def findings(road: Road, made: Made, now: datetime) -> list[str]:
    desk = desk_of(road, now)
    found = desk.examine(desk.read(made.address), None)
    return [one.title for one in found if one.check == "maintained"]


def test_the_heartbeat_tells_when_it_ran_and_whether_that_is_late(road: Road, made: Made) -> None:
    assert upkeep(road).tables == ()
    assert unattended(desk_of(road), desk_of(road).read(made.address))[-1].next == "no table has rules"
    assert findings(road, made, TODAY) == ["It has no rules: nothing is done of itself"]
    rule(road, made, ahead=1, archive_after="4 years")
    assert upkeep(road).is_late(TODAY)
    assert findings(road, made, TODAY) == ["It has rules, and maintain has never run to its end"]
    assert "partition_desk_maintain_late 1\n" in road.done("metrics").out
    maintain(desk_of(road))
    found = upkeep(road)
    assert found.last is not None
    assert (found.tables, found.is_late(TODAY), found.last.ended) == ((made.address,), False, TODAY)
    assert findings(road, made, TODAY) == ["Its rules are kept: maintain ran just now"]
    by_itself = unattended(desk_of(road), desk_of(road).read(made.address))[-1]
    assert (by_itself.last, by_itself.on) == (TODAY, False)
    assert by_itself.next.endswith("as PARTITION_DESK_MAINTAIN is off; 2 acts done last")
    told = road.done("metrics").out
    for line in ("maintain_tables 1", "maintain_late 0", "maintain_acts 2", "maintain_left 0"):
        assert f"partition_desk_{line}\n" in told
    assert findings(road, made, TODAY + timedelta(hours=27)) == ["It has rules, and maintain ran last 1 day ago"]
    road.run("UPDATE partition_desk.maintenance SET said = replace(said, 'ensure', 'nothing')")
    assert upkeep(road).last is None


def test_what_a_run_left_is_told_by_the_doctor(road: Road, made: Made) -> None:
    rule(road, made, archive_after="4 years")
    road.run(f"CREATE SCHEMA archive; CREATE TABLE archive.{made.first} ()")
    maintain(desk_of(road))
    assert findings(road, made, TODAY) == [f"A rule is not kept: to archive {made.first}"]
    road.run(f"DROP TABLE archive.{made.first}")
    maintain(desk_of(road))
    assert findings(road, made, TODAY) == ["Its rules are kept: maintain ran just now"]


def test_narrow_partitions_want_more_runs(road: Road, make_table: Make) -> None:
    hours = make_table("days", period=Period.DAY, start=TODAY.date(), rows=0)
    rule(road, hours, ahead=0)
    assert upkeep(road).late == timedelta(days=1)


def test_it_takes_an_operator(road: Road, made: Made) -> None:
    rule(road, made, ahead=1)
    ended = road("maintain", PARTITION_DESK_ADMINS="anna", PARTITION_DESK_VIEWERS="*")
    assert (ended.code, "keep to the rules takes an operator" in ended.err) == (1, True)


def test_a_running_dashboard_keeps_to_the_rules_where_it_is_told_to(road: Road, made: Made) -> None:
    rule(road, made, ahead=1, archive_after="4 years")
    for told in (False, True):
        settings = {"sample_daily": False, "maintain": told}
        worker = Worker(desks.desk(road.worker, budget=BUDGET, storage=road.cold, **settings))
        worker.start()
        try:
            if told:
                until(lambda: any(run.ended for run in read_runs(road.reader, SEAL)))
        finally:
            worker.stop()
        assert acts_of_journal(road, "archive") == ([made.first] if told else [])
    assert read_runs(road.reader, SEAL)[0].good
