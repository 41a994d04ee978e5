"""Alarms on a real server: one message a cause, again after a day, one when it is over; twice from nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.console import worker
from core.console.actor import system_user
from core.console.alarms import causes, deliver, send
from core.console.alarms.health import read_health
from core.console.desk import Desk
from core.doctor.examine import CHECKS
from core.errors import LockNotObtained, NotAllowed
from core.plans.ensure import Ensure
from core.postgres.advisory import LockKey
from core.targets import Targets, read_targets
from tests import desks, tables
from tests.conftest import ADMIN, OpenSession, until
from tests.listening import Listening, listening
from tests.road import Road
from tests.tables import Made, Run

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    with listening(tmp_path_factory.mktemp("listening")) as found:
        yield found


@pytest.fixture(autouse=True)
def _fresh(server: Listening) -> None:
    server.forget()
    server.refuse(yes=False)


@pytest.fixture
def made(run: Run) -> Made:
    """This year has its partition, the next has none."""
    return tables.make_table(run, start=date(2025, 1, 1), count=2)


def hooked(url: str, **more: str) -> Targets:
    named = {"WEBHOOK": url, **more}
    return read_targets({f"PARTITION_DESK_ALARM_{name}": value for name, value in named.items()})


def at(road: Road, targets: Targets, now: datetime = NOW, **changes: Any) -> Desk:
    return desks.desk(road.worker, storage=road.cold, now=now, alarms=targets, **changes)


def told(desk: Desk) -> list[tuple[str, str, str]]:
    """Sends what is due: (event, cause, error) of each."""
    return [(one.message.event.value, one.message.alarm.kind, one.error) for one in send.send_due(desk)[1]]


def events(server: Listening) -> list[tuple[str, str]]:
    return [(one["event"], one["cause"]) for one in server.bodies()]


def add(run: Run, year: int) -> None:
    run(
        f"CREATE TABLE kid_absences_{year} PARTITION OF kid_absences"
        f" FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
    )


def test_a_cause_is_told_once_again_after_a_day_and_when_it_is_over(
    road: Road, made: Made, run: Run, server: Listening
) -> None:
    targets = hooked(server.hook())
    assert told(at(road, targets)) == [("raised", "runway", "")]
    assert told(at(road, targets, NOW + 23 * HOUR)) == []
    assert told(at(road, targets, NOW + DAY)) == [("still", "runway", "")]
    assert told(at(road, targets, NOW + DAY + HOUR)) == []
    run("ALTER TABLE kid_absences DETACH PARTITION kid_absences_2026")
    late = NOW + DAY + 2 * HOUR
    assert told(at(road, targets, late)) == [("raised", "runway", "")], "it is worse: nothing of today has a place"
    run("ALTER TABLE kid_absences ATTACH PARTITION kid_absences_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")
    add(run, 2027)
    assert told(at(road, targets, late + HOUR)) == [("over", "runway", "")]
    assert told(at(road, targets, late + 20 * DAY)) == []
    run("DROP TABLE kid_absences_2027")
    assert told(at(road, targets, late + 2 * HOUR)) == [("raised", "runway", "")], "another time, another message"
    said = server.bodies()
    assert len({one["id"] for one in said}) == len(said) == 5
    assert [one["severity"] for one in said[:3]] == ["warning", "warning", "critical"]
    assert {one["table"] for one in said} == {"public.kid_absences"}
    assert said[0]["title"].startswith("The next period, 2027, lacks its partition")
    assert said[0]["since"] == said[3]["since"] == NOW.isoformat()


def test_what_did_not_arrive_is_sent_again_under_the_same_id_and_no_word_is_lost(
    road: Road, made: Made, run: Run, server: Listening
) -> None:
    targets = hooked(server.hook("/fail-first"))
    server.refuse(yes=True)
    place = targets.every["webhook"].place
    assert told(at(road, targets)) == [("raised", "runway", f"{place} took no message: it answered 503.")]
    assert told(at(road, targets, NOW + timedelta(seconds=30))) == [], "not before a minute has passed"
    assert told(at(road, targets, NOW + timedelta(minutes=1)))[0][2].endswith("it answered 503.")
    health = read_health(at(road, targets))
    assert [place in one for one in health.failing] == [True]
    server.refuse(yes=False)
    assert told(at(road, targets, NOW + timedelta(minutes=2))) == [], "after two in vain two minutes"
    assert told(at(road, targets, NOW + timedelta(minutes=3))) == [("raised", "runway", "")]
    assert len({one["id"] for one in server.bodies()}) == 1
    assert read_health(at(road, targets)).failing == ()
    assert (
        road.done("metrics", PARTITION_DESK_ALARM_WEBHOOK=server.hook()).out.count("partition_desk_alarm_active") == 5
    )
    server.refuse(yes=True)
    add(run, 2027)
    assert told(at(road, targets, NOW + HOUR))[0][:2] == ("over", "runway")
    server.refuse(yes=False)
    assert told(at(road, targets, NOW + 2 * HOUR)) == [("over", "runway", "")]


def test_an_answer_that_is_lost_loses_no_message(road: Road, made: Made, server: Listening) -> None:
    assert told(at(road, hooked(server.hook("/cut"))))[0][2].endswith("cut the connection.")
    assert told(at(road, hooked(server.hook()), NOW + HOUR)) == [("raised", "runway", "")]
    assert [one["id"] for one in server.bodies()] == [server.bodies()[0]["id"]] * 2, "so that it is known for the same"


def test_a_target_that_takes_nothing_ends_the_round_for_itself_alone(road: Road, run: Run, server: Listening) -> None:
    for name in ("a", "b", "c"):
        tables.make_table(run, name, start=date(2025, 1, 1), count=2)
    mails = {"MAIL_TO": "ops@example.com", "SMTP": f"smtp+plain://localhost:{server.ports['smtp']}"}
    desk = at(road, hooked(server.hook("/500"), **mails))
    assert [error == "" for _, _, error in told(desk)].count(True) == 3
    assert (len(server.posted()), len(server.mailed())) == (2, 3)


def test_two_senders_at_once_send_once(road: Road, made: Made, server: Listening) -> None:
    desk = at(road, hooked(server.hook()))
    sent: list[int] = []
    threads = [threading.Thread(target=lambda: sent.append(len(send.send_due(desk)[1]))) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert sorted(sent) == [0, 0, 0, 1]
    assert events(server) == [("raised", "runway")]


def test_who_may_not_act_here_keeps_nobody_from_sending(
    road: Road, made: Made, server: Listening, make_role: Any, session: OpenSession
) -> None:
    desk = at(road, hooked(server.hook()))
    session().hold(f"SELECT pg_advisory_lock({int(LockKey.ALARM)}, 0)")  # a superuser's session is one of ours
    with pytest.raises(LockNotObtained):
        send.send_due(desk, wait_s=0)
    assert server.posted() == []


def test_what_could_not_be_looked_at_is_not_over(
    road: Road, made: Made, run: Run, server: Listening, session: OpenSession
) -> None:
    kept = road.back_up(made, made.first, proven=False)
    place = Path(road.environ["BACKUP_URL"])
    manifest = place / kept.backup.manifest
    text = manifest.read_text()
    manifest.write_text("{")
    desk = at(road, hooked(server.hook()))
    assert sorted(told(desk)) == [("raised", "backup", ""), ("raised", "runway", "")]
    place.rename(place.with_name("gone"))
    assert told(at(road, desk.settings.alarms, NOW + HOUR)) == []
    holder = session()
    holder.hold("LOCK TABLE kid_absences IN ACCESS EXCLUSIVE MODE")
    found, sent = send.send_due(at(road, desk.settings.alarms, NOW + 2 * HOUR))
    assert (sent, len(found.why) >= 1) == ([], True)
    holder.release()
    place.with_name("gone").rename(place)
    manifest.write_text(text)
    assert told(at(road, desk.settings.alarms, NOW + 3 * HOUR)) == [("over", "backup", "")]


def test_a_failed_act_is_told_without_the_words_of_the_server(
    road: Road, made: Made, run: Run, server: Listening
) -> None:
    road.done("ensure", "--year", "2024")
    run("UPDATE kid_absences SET reason = 'marker-of-a-row' WHERE kid_id = 3")
    run(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'not while % is ill', (SELECT reason FROM kid_absences WHERE kid_id = 3 LIMIT 1)"
        " USING DETAIL = 'Key (reason)=(marker-of-a-row)'; END $$"
    )
    run("CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION refuse()")
    ended = road("ensure", "--year", "2027")
    assert (ended.code, "marker-of-a-row" in ended.err) == (1, True)
    run("DROP EVENT TRIGGER refuse")
    targets = hooked(server.hook())
    assert sorted(told(at(road, targets))) == [("raised", "failed act", ""), ("raised", "runway", "")]
    (said,) = [one for one in server.bodies() if one["cause"] == "failed act"]
    assert said["title"].startswith("Ensure ")
    assert "failed on" in said["title"]
    assert said["severity"] == "warning"
    assert "SQLSTATE P0001" in said["title"]
    assert "marker-of-a-row" not in json.dumps(server.posted())
    road.done("ensure", "--year", "2027")
    assert sorted(told(at(road, targets, NOW + HOUR))) == [("over", "failed act", ""), ("over", "runway", "")]


def test_each_cause_there_is(road: Road, run: Run, server: Listening) -> None:
    made = tables.make_table(run, start=date(2025, 1, 1), count=2, default=True)
    made.insert(date(2020, 1, 1), date(2021, 1, 1), into="kid_absences_default")
    other = tables.make_table(run, "other", start=date(2026, 1, 1), count=2)
    run("BEGIN; ALTER TABLE other DETACH PARTITION other_2026; COMMIT")
    kept = road.back_up(made, made.first)
    (Path(road.environ["BACKUP_URL"]) / kept.backup.manifest).write_text("{")
    desk = at(road, hooked(server.hook(), SEVERITY="note"), storage_limit=1)
    assert told(desk)
    found = {(one["cause"], one["table"]): one["severity"] for one in server.bodies()}
    assert found == {
        ("runway", "public.kid_absences"): "warning",
        ("default", "public.kid_absences"): "warning",
        ("backup", "public.kid_absences"): "warning",
        ("runway", "public.other"): "critical",
        ("limit", None): "critical",
    }
    titles = " ".join(one["title"] for one in server.bodies())
    assert "holds 20 rows" in titles
    assert "can't be used" in titles
    assert "the limit of 1" in titles.lower()
    assert other.address


def test_the_least_severity_is_chosen(road: Road, made: Made, server: Listening) -> None:
    assert told(at(road, hooked(server.hook(), SEVERITY="critical"))) == []


def test_what_others_write_hides_nothing_and_tells_nothing(road: Road, made: Made, run: Run, server: Listening) -> None:
    targets = hooked(server.hook())
    assert told(at(road, targets)) == [("raised", "runway", "")]
    run("UPDATE partition_desk.alarm SET state = replace(state, 'runway', 'forged') WHERE cause LIKE 'runway%'")
    run("INSERT INTO partition_desk.alarm VALUES ('webhook', 'limit', '{', 'x')")
    assert told(at(road, targets, NOW + HOUR)) == [("raised", "runway", "")], "what has no seal was never written"
    run("CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$")
    run("CREATE TRIGGER spy BEFORE INSERT ON partition_desk.alarm FOR EACH ROW EXECUTE FUNCTION spy()")
    with pytest.raises(NotAllowed, match="has a trigger"):
        send.send_due(at(road, targets, NOW + 2 * HOUR))


def test_a_worker_sends_by_itself_and_a_target_that_hangs_holds_nothing_up(
    road: Road, made: Made, server: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "PATIENCE_S", 600)
    with listening(tmp_path) as hanging:
        desk = at(road, hooked(hanging.hook("/hang")))
        first = worker.Worker(desk)
        first.start()
        try:
            until(hanging.posted)
            ticket = desk.enqueue(desk.plan(Ensure(made.address, ahead=1)), ADMIN, "meanwhile")
            until(lambda: road.run(f"SELECT state FROM partition_desk.operation WHERE id = {ticket.id}") == [("done",)])
        finally:
            first.stop()
    until(lambda: read_health(desk).failing)
    second = worker.Worker(at(road, hooked(server.hook()), NOW + DAY))
    second.start()
    try:
        until(lambda: events(server))
    finally:
        second.stop()
    assert events(server) == [("over", "runway")], "the first may have arrived, though its answer was lost"


def test_the_command_lists_tests_and_sends(road: Road, made: Made, run: Run, server: Listening) -> None:
    run("ALTER TABLE kid_absences DETACH PARTITION kid_absences_2026")
    none = road.done("alarms")
    assert none.out.startswith("Nothing says where they go: README, Alarms.\n")
    assert "critical" in none.out
    assert road("alarms", "send").code == 1
    hook = {"PARTITION_DESK_ALARM_WEBHOOK": server.hook("/ok?marker-secret")}
    due = road.done("alarms", "send", "--dry-run", **hook)
    assert due.out.startswith("Would tell by webhook: Fails now: Today, ")
    assert road.done("alarms", "send", "--dry-run", "--json", **hook).json["due"][0]["message"]["event"] == "raised"
    assert (server.posted(), run("SELECT to_regclass('partition_desk.alarm')")) == ([], [(None,)])
    sent = road.done("alarms", "test", **hook)
    assert sent.out.startswith(f"Told http://localhost:{server.ports['http']}: A test of Partition Desk's alarms")
    assert road.done("alarms", "send", "--json", **hook).json["sent"][0]["error"] is None
    assert road.done("alarms", "send", **hook).out == "Nothing is due.\n"
    listed = road.done("alarms", **hook)
    assert "just now" in listed.out
    (one,) = road.done("alarms", "list", "--json", **hook).json["alarms"]
    assert (one["cause"], one["told"], bool(one["last_told"])) == ("runway", True, True)
    assert [one["event"] for one in server.bodies()] == ["test", "raised"]
    failed = road("alarms", "test", PARTITION_DESK_ALARM_WEBHOOK=server.hook("/500?marker-secret"))
    assert (failed.code, "answered 500" in failed.out) == (1, True)
    for ended in (none, due, sent, listed, failed):
        assert "marker-secret" not in ended.out + ended.err
    ended = road("alarms", "test", PARTITION_DESK_OPERATORS=system_user(), PARTITION_DESK_ADMINS="ada", **hook)
    assert "to test alarms takes an admin" in ended.err


def test_every_check_that_is_an_alarm_is_one_of_the_doctor() -> None:
    assert set(causes.CHECKS) <= {check.__name__ for check in CHECKS} | {"maintained"}
