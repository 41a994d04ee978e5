"""Drops by command line, now and planned: nothing is dropped without proof, and nothing that somebody hinders."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from core.console import worker
from core.console.execute import Budget, Cancellation
from core.console.journal import OperationState, read_operation, read_operations
from core.console.locks import Blocker
from core.console.queue import enqueue
from core.console.worker import Worker
from core.errors import Cancelled, Failed, LockNotObtained, NotVerified
from core.names import qualified
from core.plans.hold import PutHold
from core.plans.plan import Mode
from core.plans.proof import Verdict
from core.tables.catalog.marks import read_planned_drops
from core.tables.marks import Hold
from tests import desks
from tests.conftest import ADMIN, OpenSession, until
from tests.db.cli.test_commands import catalog
from tests.desks import SEAL
from tests.road import BUDGET, Road
from tests.tables import Made, fingerprint

Make = Callable[..., Made]
T = "kid_absences_2022"


@dataclass
class Hindrance:
    """What stands in a drop's way, and what is said then; taken away again by `undo`."""

    do: str = ""
    undo: str = ""
    words: tuple[str, ...] = ("--year", "2022", "--now", f"--confirm={T}")
    says: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    code: int = 1


CHANGED = f"archive.{T} no longer holds what the backup"
HINDRANCES = {
    "no name": Hindrance(words=("--year", "2022", "--now"), says=f"To drop {T}, type its name: --confirm {T}"),
    "another name": Hindrance(
        words=("--year", "2022", "--now", "--confirm=kid_absences_2023"),
        says=f"--confirm says 'kid_absences_2023', and the table is {T}.",
    ),
    "nothing named": Hindrance(words=("--now", f"--confirm={T}"), says="Which table is to be dropped?", code=2),
    "attached": Hindrance(
        words=("--year", "2023", "--now", "--confirm=kid_absences_2023"),
        says="kid_absences_2023 is attached to public.kid_absences: only an archived table can be dropped.",
    ),
    "forbidden": Hindrance(environ={"PARTITION_DESK_ALLOW_DROP": "false"}, says="Dropping is switched off here"),
    "unknown backup": Hindrance(
        words=("--year", "2022", "--now", f"--confirm={T}", "--backup", "no/such/one"),
        says="There is no backup no/such/one in the place.",
    ),
    "a row more": Hindrance(
        f"INSERT INTO archive.{T} (id, kid_id, date) VALUES (0, 999, '2022-05-05')",
        f"DELETE FROM archive.{T} WHERE kid_id = 999",
        says=CHANGED,
    ),
    "a row less": Hindrance(
        f"CREATE TABLE saved AS SELECT * FROM archive.{T} WHERE kid_id = 3; DELETE FROM archive.{T} WHERE kid_id = 3",
        f"INSERT INTO archive.{T} SELECT * FROM saved; DROP TABLE saved",
        says=CHANGED,
    ),
    "one value": Hindrance(
        f"UPDATE archive.{T} SET reason = 'x' WHERE kid_id = 3",
        f"UPDATE archive.{T} SET reason = 'reason 3' WHERE kid_id = 3",
        says=CHANGED,
    ),
    "values swapped": Hindrance(
        f"UPDATE archive.{T} SET reason = 'reason ' || 7 - kid_id WHERE kid_id IN (3, 4)",
        f"UPDATE archive.{T} SET reason = 'reason ' || kid_id WHERE kid_id IN (3, 4)",
        says=CHANGED,
    ),
    "another column": Hindrance(
        f"ALTER TABLE archive.{T} ADD COLUMN more int",
        f"ALTER TABLE archive.{T} DROP COLUMN more",
        says=f"There is no backup of archive.{T} as it is now.",
    ),
    "what the backup lacks": Hindrance(
        f"CREATE INDEX late ON archive.{T} (reason);"
        f" ALTER TABLE archive.{T} ADD CONSTRAINT late_check CHECK (kid_id < 99)"
        f", ALTER reason SET DEFAULT 'late'; COMMENT ON COLUMN archive.{T}.reason IS 'late';"
        f" GRANT SELECT ON archive.{T} TO PUBLIC; COMMENT ON INDEX archive.late IS 'later'",
        f"DROP INDEX archive.late; ALTER TABLE archive.{T} DROP CONSTRAINT late_check, ALTER reason SET DEFAULT 'ill';"
        f" COMMENT ON COLUMN archive.{T}.reason IS NULL; REVOKE SELECT ON archive.{T} FROM PUBLIC",
        says=f"archive.{T} has what the backup ",
    ),
    "a view": Hindrance(
        f"CREATE VIEW seen AS SELECT * FROM archive.{T}", "DROP VIEW seen", says=f"archive.{T} is needed by view "
    ),
    "a materialized view": Hindrance(
        f"CREATE MATERIALIZED VIEW seen AS SELECT * FROM archive.{T}",
        "DROP MATERIALIZED VIEW seen",
        says=f"archive.{T} is needed by ",
    ),
    "a foreign key": Hindrance(
        f"CREATE TABLE notes (k bigint, d date, FOREIGN KEY (k, d) REFERENCES archive.{T} (kid_id, date))",
        "DROP TABLE notes",
        says=f"archive.{T} is needed by foreign key notes_k_d_fkey of ",
    ),
    "functions": Hindrance(
        f"CREATE FUNCTION asked(archive.{T}) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        f"CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM archive.{T}; END",
        f"DROP FUNCTION asked(archive.{T}); DROP FUNCTION counted()",
        says=f"archive.{T} is needed by ",
    ),
    "its row type": Hindrance(
        f"CREATE TABLE holder (r archive.{T})", "DROP TABLE holder", says=f"archive.{T} is needed by "
    ),
    "a child": Hindrance(
        f"CREATE TABLE child () INHERITS (archive.{T})",
        "DROP TABLE child",
        says=f"archive.{T} is needed by child table public.child",
    ),
    "a sequence of its own": Hindrance(
        f"CREATE SEQUENCE archive.invoice_no OWNED BY archive.{T}.id",
        "DROP SEQUENCE archive.invoice_no",
        says=f"archive.{T} is needed by sequence archive.invoice_no of its column id",
    ),
}


def test_nothing_is_dropped_but_what_a_proof_of_these_rows_holds(road: Road, make_table: Make) -> None:
    made = make_table(foreign_key=True)
    road.archive(made, T)
    drop = ("drop", "--year", "2022", "--now", f"--confirm={T}")
    assert road(*drop).message.startswith(f"There is no backup of archive.{T} as it is now. Nothing was changed. Make ")
    id = road.back_up(made, T, proven=False).backup.id
    assert road(*drop).message.startswith(f"The backup {id} was never restored and compared")
    road.prove(id, sha256="0" * 64)
    assert road(*drop).message.startswith(f"The backup {id} was never restored and compared")
    road.prove(id, verdict=Verdict.DAMAGED, reason="Its bytes were changed.")
    assert road(*drop).message.startswith(f"The backup {id} was found damaged when it was restored")
    road.prove(id)

    for what, one in HINDRANCES.items():
        if one.do:
            road.run(one.do)
        before = catalog(road.run), fingerprint(road.reader, f"archive.{T}")
        for words in (one.words, tuple(word for word in one.words if word != "--now")):
            if one.says == CHANGED and words != one.words:
                continue  # a later drop meets that when its time has come
            ended = road("drop", *words, **one.environ)
            assert (ended.code, ended.out) == (one.code, ""), (what, ended)
            assert ended.message.startswith(one.says), (what, ended.err)
            assert len([line for line in ended.err.splitlines() if not line.startswith("Compare ")]) == 1, ended.err
        assert (catalog(road.run), fingerprint(road.reader, f"archive.{T}")) == before, what
        if one.undo:
            road.run(one.undo)

    road.done("hold", "--year", "2022", "--reason", "the audit")
    assert road(*drop).message.startswith(f"{T} is held for good by ")
    road.done("hold", "--year", "2022", "--lift")

    dry = road.done(*drop, "--dry-run")
    assert "-- Locks public.kids: ACCESS EXCLUSIVE (reads and writes wait)" in dry.out
    assert f'-- Locks "archive"."{T}": ACCESS EXCLUSIVE (reads and writes wait)' in dry.out
    assert "CASCADE" not in dry.out
    assert road.is_there(f"archive.{T}")
    done = road.done(*drop, "--json").json
    assert (done["operation"]["state"], done["backup"]) == ("done", id)
    assert not road.is_there(f"archive.{T}")
    assert road.done(*drop).out.startswith(f"Nothing to do: {T} was dropped on ")


@pytest.mark.parametrize("harm", ["gone", "cut", "zeroed", "unproven"])
def test_a_backup_that_went_after_the_plan_was_made_is_no_ground_for_a_drop(
    road: Road, make_table: Make, harm: str
) -> None:
    made = make_table()
    (kept,) = road.ready(made, T)
    plan = road.plan_drop(made, T)
    file = Path(road.environ["BACKUP_URL"], kept.backup.object)
    if harm == "gone":
        file.unlink()
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif harm == "zeroed":
        file.write_bytes(file.read_bytes()[:200] + bytes(file.stat().st_size - 200))
    else:
        road.prove(kept.backup.id, verdict=Verdict.DAMAGED)
    with pytest.raises(NotVerified, match=r"is no longer in .* as it was"):
        road.run_plan(plan)
    assert road.is_there(f"archive.{T}")
    if harm != "zeroed":  # which takes a look at every byte
        with pytest.raises(NotVerified):
            road.plan_drop(made, T)


@pytest.mark.all_versions
def test_a_writer_just_before_the_lock_makes_the_drop_refuse(
    road: Road, make_table: Make, session: OpenSession
) -> None:
    made = make_table()
    road.ready(made, T)
    plan = road.plan_drop(made, T)
    writer = session()
    writer.hold(f"INSERT INTO archive.{T} (id, kid_id, date) VALUES (0, 999, '2022-05-05')")
    seen: list[tuple[Blocker, ...]] = []
    with ThreadPoolExecutor(1) as pool:
        dropping = pool.submit(road.run_plan, plan, progress=lambda doing, blockers: seen.append(blockers))
        until(lambda: writer.pid in [b.pid for blockers in seen for b in blockers])
        writer.run("COMMIT")
        with pytest.raises(NotVerified, match="no longer holds what the backup") as refused:
            dropping.result(30)
    assert "Back it up again and verify that backup" in str(refused.value)
    assert road.run(f"SELECT count(*) FROM archive.{T}") == [(21,)]


def test_readers_go_on_while_every_row_is_compared(road: Road, make_table: Make, session: OpenSession) -> None:
    made = make_table(rows=0, count=1)
    road.run(f"INSERT INTO {T} (kid_id, date) SELECT g, '2022-03-03' FROM generate_series(1, 500000) g")
    road.ready(made, T)
    reader = session()
    reader.run("SET lock_timeout = '300ms'")  # the budget of 100 ms, and a machine that is busy
    locks = f"SELECT mode FROM pg_locks WHERE relation = 'archive.{T}'::regclass AND granted AND mode = 'ShareLock'"
    reads = shared = 0
    with ThreadPoolExecutor(1) as pool:
        dropping = pool.submit(road.run_plan, road.plan_drop(made, T))
        try:
            while not dropping.done():
                reads += reader.run(f"SELECT count(*) FROM (SELECT 1 FROM archive.{T} LIMIT 1) t")[0][0]
                shared += len(reader.run(locks))
        except psycopg2.errors.UndefinedTable:
            pass
        dropping.result(30)
    assert reads > 5
    assert shared > 3
    assert not road.is_there(f"archive.{T}")


def test_a_drop_waits_for_a_long_reader_outside_of_the_queue(
    road: Road, make_table: Make, session: OpenSession
) -> None:
    made = make_table()
    road.ready(made, T)
    long, short = session(), session()
    long.hold(f"SELECT * FROM archive.{T}")
    short.run("SET lock_timeout = '300ms'")
    failed = road.drop(made, T, Budget(100, 1.0))
    assert isinstance(failed, LockNotObtained)
    assert f"session {long.pid}" in str(failed)

    seen: list[tuple[Blocker, ...]] = []
    stop = Cancellation()
    with ThreadPoolExecutor(1) as pool:
        dropping = pool.submit(
            road.run_plan,
            road.plan_drop(made, T),
            cancellation=stop,
            progress=lambda doing, blockers: seen.append(blockers),
        )
        until(lambda: long.pid in [b.pid for blockers in seen for b in blockers])
        for _ in range(20):
            assert short.run(f"SELECT count(*) FROM archive.{T}") == [(20,)]
        stop.request()
        with pytest.raises(Cancelled):
            dropping.result(1)
    assert [o.state.value for o in read_operations(road.reader)[:2]] == ["cancelled", "failed"]
    assert [(lock.relation, lock.mode) for lock in road.plan_drop(made, T).locks] == [
        (qualified("archive", T), Mode.ACCESS_EXCLUSIVE)
    ]
    long.release()
    assert road.drop(made, T) is None


@pytest.mark.all_versions
@pytest.mark.parametrize(
    "change",
    [
        f"ALTER TABLE archive.{T} ADD COLUMN legal_hold text DEFAULT 'only here'",
        f"COMMENT ON TABLE archive.{T} IS 'partition-desk hold: "
        '{"until": "", "reason": "a court asks", "by": "eve"}\'',
    ],
    ids=["another column", "a hold by hand"],
)
def test_what_changed_while_a_drop_waited_for_its_lock_makes_it_refuse(
    road: Road, make_table: Make, session: OpenSession, change: str
) -> None:
    made = make_table()
    road.ready(made, T)
    plan = road.plan_drop(made, T)
    other = session()
    other.hold(f"UPDATE archive.{T} SET kid_id = kid_id")
    seen: list[tuple[Blocker, ...]] = []
    with ThreadPoolExecutor(1) as pool:
        dropping = pool.submit(road.run_plan, plan, progress=lambda doing, blockers: seen.append(blockers))
        until(lambda: other.pid in [b.pid for blockers in seen for b in blockers])
        other.run(change)
        other.run("COMMIT")
        with pytest.raises(NotVerified, match="is not what it was a moment ago"):
            dropping.result(30)
    assert road.is_there(f"archive.{T}")


def test_keeping_a_table_stops_its_drop_that_waits(road: Road, make_table: Make, session: OpenSession) -> None:
    made = make_table()
    road.ready(made, T)
    road.plan_later(made, T)
    reader = session()
    reader.hold(f"SELECT * FROM archive.{T}")
    seen: list[tuple[Blocker, ...]] = []
    with ThreadPoolExecutor(1) as pool:
        dropping = pool.submit(
            road.run_plan, road.plan_drop(made, T), progress=lambda doing, blockers: seen.append(blockers)
        )
        until(lambda: reader.pid in [b.pid for blockers in seen for b in blockers])
        road.done("keep", "--partition", T)
        with pytest.raises(Cancelled):
            dropping.result(10)
    reader.release()
    assert road.read(made).find_archived(T).drop is None  # type: ignore[union-attr]


def test_a_worker_that_may_not_drop_leaves_that_to_one_that_may(road: Road, make_table: Make) -> None:
    made = make_table()
    road.ready(made, T)
    ticket = enqueue(road.worker, road.plan_drop(made, T, placed=True), ADMIN, "", seal=SEAL)
    workers = [
        Worker(desks.desk(road.worker, budget=BUDGET, storage=road.cold, allow_drop=drops, sample_daily=False))
        for drops in (False, True)
    ]
    workers[0].start()
    try:
        wish = PutHold(made.address, made.partition(made.ranges[1][0]), Hold("", "x", "Ada"))
        other = enqueue(road.worker, desks.desk(road.reader).plan(wish), ADMIN, "", seal=SEAL)
        until(lambda: read_operation(road.reader, other.id).state is OperationState.DONE)  # type: ignore[union-attr]
        assert read_operation(road.reader, ticket.id).state is OperationState.QUEUED  # type: ignore[union-attr]
        workers[1].start()
        until(lambda: not road.is_there(f"archive.{T}"))
    finally:
        for one in workers:
            one.stop()


def test_a_drop_is_not_done_by_who_keeps_backups_elsewhere(road: Road, make_table: Make) -> None:
    made = make_table()
    road.ready(made, T)
    plan = road.plan_drop(made, T)
    with pytest.raises(Failed, match="the process that took it keeps them in"):
        road.run_plan(replace(plan, place="s3://elsewhere/backups"))
    assert road.is_there(f"archive.{T}")


# Planned drops ---------------------------------------------------------------------------------------------------


def test_a_planned_drop_waits_in_plain_sight_and_is_called_off(road: Road, make_table: Make) -> None:
    made = make_table()
    road.ready(made, T)
    planned = road.done("drop", "--year", "2022", f"--confirm={T}", "--after", "10 days")
    assert planned.out.startswith(f"Done: write down that {T} is to be dropped on ")
    ((name, drop),) = read_planned_drops(road.reader)
    days = (datetime.fromisoformat(drop.at) - datetime.now(UTC)) / timedelta(days=1)
    assert (name, round(days)) == (T, 10)
    finding = _finding(road, "planned_drops")
    assert (finding["severity"], finding["subject"]) == ("note", T)
    assert road.done("drop", "--due").out == "Nothing to do: no planned drop is due.\n"
    assert road.done("drop", "--due", "--json").json == {"dry_run": False, "drops": []}

    road.run("DROP SCHEMA partition_desk CASCADE")  # it is in the comment
    assert [name for name, _ in read_planned_drops(road.reader)] == [T]
    road.advised(planned, "Keep it: ")
    assert read_planned_drops(road.reader) == ()
    assert road.done("keep", "--year", "2022").out == f"Nothing to do: No drop of {T} is planned.\n"
    assert _finding(road, "planned_drops")["severity"] == "ok"

    road.plan_later(made, T)
    until_then = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    held = road.done("hold", "--year", "2022", "--until", until_then, "--reason", "the audit")
    assert "Its planned drop is called off." in held.out
    assert read_planned_drops(road.reader) == ()
    assert _finding(road, "holds")["severity"] == "note"
    road.done("hold", "--year", "2022", "--lift")
    assert _finding(road, "holds")["severity"] == "ok"

    road.plan_later(made, T)
    road.run_plan(desks.reattach(road.reader, road.read(made), T))
    assert road.done("drop", "--due").out == "Nothing to do: no planned drop is due.\n"
    assert made.count() == 60


def _finding(road: Road, check: str) -> dict[str, Any]:
    findings = road.done("doctor", "--json").json["findings"]
    found: list[dict[str, Any]] = [finding for finding in findings if finding["check"] == check]
    assert len(found) == 1, found
    return found[0]


def test_what_is_due_is_dropped_and_one_failure_keeps_no_other(road: Road, make_table: Make) -> None:
    made = make_table(count=4)
    names = [made.partition(lower) for lower, _ in made.ranges]
    kept = road.ready(made, *names)
    for name in names:
        road.plan_later(made, name)
    road.run(f"DELETE FROM archive.{names[0]} WHERE kid_id = 3")
    road.run(f"CREATE VIEW seen AS SELECT * FROM archive.{names[1]}")
    Path(road.environ["BACKUP_URL"], kept[2].backup.object).unlink()

    dry = road("drop", "--due", "--dry-run")
    assert (dry.code, "This is a dry run" in dry.out) == (1, True)
    assert [road.is_there(f"archive.{name}") for name in names] == [True] * 4
    ended = road("drop", "--due", "--json")
    assert ended.code == 1
    told = {one["name"]: one for one in ended.json["drops"]}
    assert told[names[0]]["error"].startswith(f"archive.{names[0]} no longer holds")
    assert told[names[1]]["error"].startswith(f"archive.{names[1]} is needed by view ")
    assert "is no longer in" in told[names[2]]["error"]
    assert told[names[3]]["operation"]["origin"] == "schedule"
    assert [road.is_there(f"archive.{name}") for name in names] == [True, True, True, False]

    road.run("DROP VIEW seen")  # what stood in the way is gone: asked for again, it is done
    ended = road("drop", "--due")
    assert (ended.code, f"Done: drop {names[1]} in " in ended.out) == (1, True)
    assert [road.is_there(f"archive.{name}") for name in names] == [True, False, True, False]
    overdue = [f for f in road.done("doctor", "--json").json["findings"] if f["check"] == "planned_drops"]
    assert [(f["severity"], f["subject"]) for f in overdue] == [("warning", names[0]), ("warning", names[2])]


def test_a_planned_drop_follows_its_table_under_another_name(road: Road, make_table: Make) -> None:
    made = make_table()
    road.ready(made, T)
    road.plan_later(made, T)
    road.run(
        "CREATE SCHEMA app; ALTER TABLE kid_absences SET SCHEMA app; ALTER TABLE app.kid_absences RENAME TO absent"
    )
    assert [(name, drop.parent) for name, drop in read_planned_drops(road.reader)] == [(T, "app.absent")]
    assert f"Done: drop {T} in " in road.done("drop", "--due").out
    assert not road.is_there(f"archive.{T}")


def test_two_workers_begin_planned_drops_once_and_no_failed_one_again(
    road: Road, make_table: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_table()
    names = [made.partition(lower) for lower, _ in made.ranges]
    road.ready(made, *names)
    for name in names[:2]:
        road.plan_later(made, name)
    road.plan_later(made, names[2], datetime.now(UTC) + timedelta(days=1))
    road.run(f"DELETE FROM archive.{names[0]} WHERE kid_id = 3")
    looks: list[int] = []
    plan_due = worker.plan_due_drops
    monkeypatch.setattr(worker, "plan_due_drops", lambda *a, **k: (looks.append(1), plan_due(*a, **k))[1])
    monkeypatch.setattr(worker, "DROPS_S", 0.0)
    monkeypatch.setattr(worker, "POLL_S", 0.02)
    workers = [
        Worker(desks.desk(road.worker, budget=Budget(100, 20), storage=road.cold, allow_drop=drops, sample_daily=False))
        for drops in (True, True, False)
    ]
    for one in workers:
        one.start()
    try:
        until(lambda: [o.state.active for o in read_operations(road.reader) if o.kind == "drop"] == [False, False])
        so_far = len(looks)
        until(lambda: len(looks) > so_far + 10)
    finally:
        for one in workers:
            one.stop()
    drops = [o for o in read_operations(road.reader) if o.kind == "drop"]
    assert sorted((o.subject, o.state, o.origin, o.actor) for o in drops) == [
        (names[0], OperationState.FAILED, "schedule", "Ada"),
        (names[1], OperationState.DONE, "schedule", "Ada"),
    ]
    assert [road.is_there(f"archive.{name}") for name in names] == [True, False, True]
