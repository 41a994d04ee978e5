"""The road of cold storage by command line: there and back equal, nothing dropped without proof, bad input refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import URL

from core.backups.kept import read_backups
from core.console import worker
from core.console.execute import Budget, Cancellation
from core.console.journal import OperationState, enqueue, read_operation, read_operations
from core.console.locks import Blocker
from core.console.worker import Worker
from core.errors import Cancelled, ConnectionFailed, Failed, LockNotObtained, NotVerified
from core.names import qualified
from core.period import Period
from core.plans.hold import plan_hold
from core.plans.plan import Mode
from core.postgres import programs
from core.tables.catalog.marks import read_planned_drops
from core.tables.marks import Hold
from tests import desks
from tests.conftest import ADMIN, OpenSession, until
from tests.db.cli.test_commands import catalog
from tests.objects import S3, Answering
from tests.road import BUDGET, Road
from tests.servers import Database, connect
from tests.tables import Made, describe, fingerprint, runner

Make = Callable[..., Made]
T = "kid_absences_2022"


# The full circle -------------------------------------------------------------------------------------------------


def state_of(road: Road, made: Made, name: str) -> tuple[Any, ...]:
    relation = qualified(made.schema, name)
    return (
        describe(road.run, made.sql),
        describe(road.run, relation),
        fingerprint(road.reader, relation),
        fingerprint(road.reader, made.sql),
    )


def circle(road: Road, made: Made, *, lose_the_journal: bool = False) -> None:
    """Archive, back up, verify, drop, restore, reattach, each as the one before advises: equal table, equal rows."""
    name, table = made.first, ("--table", made.address)
    before = state_of(road, made, name)
    road.done("archive", f"--partition={name}", *table)
    archived = describe(road.run, qualified("archive", name)), fingerprint(road.reader, qualified("archive", name))
    made_one = road.done("backup", f"--partition={name}", *table, "--json").json["backup"]
    assert road.done("verify", made_one, *table, "--json").json["operation"]["state"] == "done"
    kept = road.done("backups", *table, "--json").json["backups"]
    assert [(one["id"], one["proven"], one["rows"]) for one in kept] == [(made_one, True, before[2][0])]
    drop = road.done("drop", f"--partition={name}", *table, "--now", f"--confirm={name}")
    assert not road.read(made).find_archived(name)
    if lose_the_journal:
        road.run("DROP SCHEMA partition_desk CASCADE")
        road.done("restore", f"--partition={name}", *table, "--no-hold")
    else:
        road.advised(drop, "Restore: ")
        back = road.read(made).find_archived(name)
        assert back is not None
        assert back.hold is not None
        assert back.hold.until > datetime.now(UTC).date().isoformat()
        road.done("hold", f"--partition={name}", *table, "--lift")
    assert [line for line in describe(road.run, qualified("archive", name)) if not _is_foreign_key(line)] == [
        line for line in archived[0] if not _is_foreign_key(line)
    ]
    assert fingerprint(road.reader, qualified("archive", name)) == archived[1]
    road.done("reattach", f"--partition={name}", *table)
    after = state_of(road, made, name)
    assert _unnamed(after[1]) == _unnamed(before[1])
    assert (after[0], *after[2:]) == (before[0], *before[2:])


def _is_foreign_key(line: tuple[Any, ...]) -> bool:
    return line[0] == "constraint" and "FOREIGN KEY" in line[2]


def _unnamed(lines: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """A description without the names of foreign keys, which are given anew where one comes back."""
    return sorted((line[0], "" if _is_foreign_key(line) else line[1], line[2]) for line in lines)


@pytest.mark.all_versions
def test_the_full_circle(road: Road, make_table: Make) -> None:
    made = make_table()
    road.run(f"COMMENT ON TABLE {T} IS 'checked by Anna:\nit''s \\ 100% fine'")
    circle(road, made)
    kinds = [(o.kind, o.state.value, o.subject) for o in reversed(read_operations(road.reader))]
    walked = ["archive", "backup", "verify", "drop", "restore", "hold", "reattach"]
    assert kinds == [(kind, "done", T) for kind in walked]


OTHERS: dict[str, dict[str, Any]] = {
    "quotes, percent and a DEFAULT": {"name": 'Kid "absent" \'s 100%s :x $1', "default": True},
    "emoji, newline and foreign keys": {"name": "kid\n\t🧒🏽 отсутствия", "foreign_key": True},
    "63 bytes, months and timestamptz": {
        "name": "a" * 63,
        "period": Period.MONTH,
        "key_type": "timestamptz",
        "schema": "in it's",
    },
    "serial ids": {"identity": False},
}


@pytest.mark.parametrize("options", OTHERS.values(), ids=list(OTHERS))
def test_the_same_for_other_tables(road: Road, make_table: Make, options: dict[str, Any]) -> None:
    made = make_table(**options)
    if "identity" in options:
        road.run(
            "CREATE SEQUENCE ids OWNED BY kid_absences.id;"
            "ALTER TABLE kid_absences ALTER COLUMN id SET DEFAULT nextval('ids')"
        )
    circle(road, made, lose_the_journal="default" in options)


def test_the_same_with_the_place_in_a_bucket(road: Road, make_table: Make, s3: S3) -> None:
    road.environ.update(BACKUP_URL=s3.url, **s3.environ)
    circle(road, make_table())
    assert s3.url in road.done("backups").out


def test_verify_without_an_id_proves_what_was_made_last(road: Road, make_table: Make) -> None:
    make_table(rows=5)
    first = road.done("backup", "--year", "2022", "--json").json["backup"]
    assert "fingerprint, columns and bounds are those of its manifest." in road.done("verify", "--year", "2022").out
    road.run(f"UPDATE {T} SET reason = 'changed' WHERE id = (SELECT min(id) FROM {T})")
    second = road.done("backup", "--year", "2022", "--json").json["backup"]
    assert second != first
    assert road.kept(second).proven is None
    assert second in road.done("verify", f"--partition={T}", "--dry-run").out
    road.done("verify", "--year", "2022")
    assert road.kept(second).proven is not None
    assert len(road.kept(first).proofs) == 1


def test_a_backup_of_another_server_is_not_taken_for_one_of_this(road: Road, make_table: Make) -> None:
    made = make_table(rows=5)
    road.done("backup", "--year", "2022")
    (kept,) = road.every()
    server = road.read(made).server
    assert kept.backup.cluster == server.cluster != ""
    Path(road.environ["BACKUP_URL"], kept.backup.manifest).write_text(replace(kept.backup, cluster="1").to_json())
    found = read_backups(road.cold, made.address, server)
    assert (found.kept, [other.backup.id for other in found.others]) == ((), [kept.backup.id])
    told = road("restore", "--year", "2022")
    assert f"but of the database {server.database} on another server" in told.message
    assert kept.backup.id in told.message
    road.done("verify", kept.backup.id)


@pytest.mark.all_versions
def test_a_new_database_finds_its_backups_and_gets_its_table_back(
    road: Road, make_table: Make, server_url: URL
) -> None:
    made = make_table(rows=50)
    before = fingerprint(road.reader, qualified("public", T))
    road.done("backup", "--year", "2022")
    id = road.done("backups", "--json").json["backups"][0]["id"]
    new = Database(server_url, "new")
    connection = connect(new.url)
    run = runner(connection)
    try:
        listed = road.done("backups", url=new.url)
        assert id in listed.out
        assert id in road.done("backups", "--every", url=new.url).out
        restored = road.done("restore", id, url=new.url)
        assert "The table public.kid_absences is not in this database; there is nothing to reattach to." in restored.out
        columns = 'id bigint NOT NULL, kid_id bigint NOT NULL, date date NOT NULL, reason text COLLATE "C",'
        run(f"CREATE TABLE kid_absences ({columns} noted timestamptz, UNIQUE (kid_id, date)) PARTITION BY RANGE (date)")
        assert "archived" in road.done("status", url=new.url).out
        road.done("reattach", "--year", "2022", url=new.url)
        rows = "SELECT count(*), sum(hash_record_extended(t, 0)) FROM kid_absences t"
        assert run(rows) == [before]
        told = road("verify", "--year", "2022", url=new.url)  # that is another database's backup
        assert told.code == 1
        assert made.address in id
        assert id in told.message
    finally:
        connection.close()
        new.drop()


# Drop ------------------------------------------------------------------------------------------------------------


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
    road.prove(id, good=False, reason="Its bytes were changed.")
    assert road(*drop).message.startswith(f"The backup {id} was never restored and compared")
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
    assert road(*drop).message.startswith("public.kid_absences has no archived table for 2022.")


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
        road.prove(kept.backup.id, good=False)
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
    ticket = enqueue(road.worker, road.plan_drop(made, T), ADMIN, "")
    workers = [
        Worker(desks.desk(road.worker, budget=BUDGET, storage=road.cold, allow_drop=drops, sample_daily=False))
        for drops in (False, True)
    ]
    workers[0].start()
    try:
        other = enqueue(
            road.worker, plan_hold(road.read(made), made.partition(made.ranges[1][0]), Hold("", "x", "Ada")), ADMIN, ""
        )
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
    assert "is so already" in road.done("keep", "--year", "2022").out
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


# Bad input -------------------------------------------------------------------------------------------------------


def refused(road: Road, *words: str, says: str, code: int = 1, **environ: str) -> None:
    """The command is refused in one line, and nothing is changed on the server."""
    before = catalog(road.run)
    ended = road(*words, **environ)
    assert (ended.code, ended.out) == (code, ""), ended
    lines = [line for line in ended.err.splitlines() if not line.startswith(("Reading ", "Writing ", "Fetching "))]
    assert len(lines) == 1, ended.err
    assert says in lines[0], ended.err
    assert catalog(road.run) == before


def test_bad_input_is_told_in_a_line(road: Road, make_table: Make, tmp_path: Path, s3: S3) -> None:
    made = make_table()
    road.archive(made, T)
    kept = road.back_up(made, T)
    id = kept.backup.id
    place = Path(road.environ["BACKUP_URL"])
    backup, verify, restore = ("backup", "--year", "2022"), ("verify", id), ("restore", id)

    refused(road, "verify", "no/such/one", says="no/such/one")
    refused(road, "restore", "no/such/one", says="no/such/one")
    refused(road, "restore", "../../etc/passwd", says="passwd", code=2)
    refused(road, "verify", says="Which backup?", code=2)
    refused(road, "restore", "--year", "2001", says="holds no backup of that.")
    refused(road, "restore", "--partition", "nothing", says="holds no backup of that.")
    refused(road, "backup", "--year", "2001", says="has no partition for 2001")
    refused(road, "backup", "--partition", "nothing", says="has no partition nothing")
    refused(road, "keep", "--year", "2023", says="is attached to")
    refused(road, "hold", "--year", "2022", says="A hold needs its reason", code=2)
    refused(road, "hold", "--year", "2022", "--reason", "x", "--until", "2020-01-01", says="is over", code=2)
    at_once = "--after 0d is at once. Nothing was changed. If that is meant, say so: --now."
    refused(road, "drop", "--year", "2022", f"--confirm={T}", "--after=0d", says=at_once, code=2)
    for bad in ("7", "-1 day", "soon", "1 hour"):
        refused(road, "drop", "--year", "2022", f"--confirm={T}", f"--after={bad}", says="is not a duration", code=2)

    refused(road, *restore, says=f"archive already holds {T}")
    for url, says in (
        ("ftp://there/x", "BACKUP_URL"),
        ("relative/path", "BACKUP_URL"),
        ("s3://", "BACKUP_URL"),
        (str(place / kept.backup.object), "can't be"),
        ("/sys/partition-desk", "can't be"),
        (str(tmp_path / "not" / "mounted"), "can't be"),
    ):
        for words in (backup, verify, ("backups",)):
            if url.startswith("/sys") and words != backup:
                continue
            refused(road, *words, says=says, BACKUP_URL=url)
    gone = {"BACKUP_URL": "s3://no-such-bucket/x", **s3.environ}
    wrong = {"BACKUP_URL": s3.url, **s3.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    for words in (backup, verify, ("backups",)):
        refused(road, *words, says="no-such-bucket", **gone)
    refused(road, "backups", says="can't be", **wrong)
    for status, error in ((403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch"), (403, "AccessDenied")):
        with Answering(status, error) as store:
            for words in (backup, verify, ("backups",)):
                refused(road, *words, says="can't be", **{**wrong, "AWS_ENDPOINT_URL": store.endpoint})

    text = (place / kept.backup.manifest).read_text()
    try:
        (place / kept.backup.manifest).write_text(text.replace('"format": 1', '"format": 2'))
        refused(road, *verify, says="was written in format 2")
        refused(road, *restore, says="was written in format 2")
        assert "was written in format 2" in road.done("backups").out
        (place / kept.backup.manifest).write_text(text.replace(id, id + "x"))
        refused(road, *verify, says="manifest")
        other = road.back_up(made, "kid_absences_2023")
        (place / kept.backup.manifest).write_text((place / other.backup.manifest).read_text())
        for words in (verify, restore):
            refused(road, *words, says=f"The manifest is that of another backup: {other.backup.id}.")
        (place / kept.backup.manifest).write_text("{")
        refused(road, *restore, says="The manifest is not JSON.")
        refused(road, "drop", "--year", "2022", f"--confirm={T}", "--now", says=f"There is no backup of archive.{T}")
    finally:
        (place / kept.backup.manifest).write_text(text)
    assert road.done("verify", "--year", "2022", "--dry-run").out.startswith(f"-- verify {T}")


def test_no_pg_dump_and_one_that_is_too_old(
    road: Road, make_table: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table()
    (folder := tmp_path / "bin").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(programs, "_FOLDERS", ())
        patch.setattr(programs, "server_binaries", _no_binaries)
        refused(road, "backup", "--year", "2022", says="and there is no pg_dump here", PATH=str(folder))
        for version in ("14.2", "9.6.1"):
            _program(folder / "pg_dump", f"echo 'pg_dump (PostgreSQL) {version}'")
            says = f"The server is PostgreSQL 18, and the newest pg_dump here is {version}"
            refused(road, "backup", "--year", "2022", says=says, PATH=str(folder))
    body = "[ $1 = --version ] && echo 'pg_dump (PostgreSQL) 99.0' || { echo no >&2; exit 1; }"
    _program(folder / "pg_dump", body.replace("$1", '"$1"'))
    refused(road, "backup", "--year", "2022", says=f"pg_dump could not read {T}: no.", PATH=f"{folder}:/usr/bin:/bin")
    assert road.every() == ()
    assert not [path for path in Path(road.environ["BACKUP_URL"]).rglob("*") if path.is_file()]


def _no_binaries(major: int) -> Path:
    raise ConnectionFailed(f"No PostgreSQL {major}.")


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_no_space_is_left(road: Road, make_table: Make, tmp_path: Path) -> None:
    (small := tmp_path / "small").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", small]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        made = make_table(rows=0)
        road.run(
            f"INSERT INTO {T} (kid_id, date, reason) SELECT g, '2022-03-03', md5(g::text)"
            " FROM generate_series(1, 20000) g"
        )
        refused(road, "backup", "--year", "2022", says="there is no room left", BACKUP_URL=str(small))
        assert not [path for path in small.rglob("*") if path.is_file()]
        road.run(f"DELETE FROM {T} WHERE kid_id > 100")
        road.done("backup", "--year", "2022", BACKUP_URL=str(small))
        assert made.count() == 100
    finally:
        subprocess.run(["umount", small], check=True)


def test_dry_runs_and_json_of_every_command_change_nothing(road: Road, make_table: Make) -> None:
    made = make_table()
    (kept,) = road.ready(made, T)
    before = catalog(road.run), len(read_operations(road.reader)), sorted(Path(road.environ["BACKUP_URL"]).rglob("*"))
    named = ("--year", "2022")
    for words in (
        ("backup", *named),
        ("verify", kept.backup.id),
        ("drop", *named, "--now"),
        ("drop", *named, "--after", "3 days"),
        ("keep", *named),
        ("hold", *named, "--reason", "x"),
        ("hold", *named, "--lift"),
    ):
        plan = road.done(*words, "--dry-run", "--json").json
        assert (plan["dry_run"], plan["plan"]["subject"]) == (True, T)
        assert road.done(*words, "--dry-run").out.startswith("-- ")
    assert road.done("backups", "--json").json["backups"][0]["id"] == kept.backup.id
    now = catalog(road.run), len(read_operations(road.reader)), sorted(Path(road.environ["BACKUP_URL"]).rglob("*"))
    assert now == before
    road.done("drop", *named, "--now", f"--confirm={T}")
    plan = road.done("restore", kept.backup.id, "--dry-run", "--json").json["plan"]
    assert plan["backup"] == kept.backup.id
    assert not road.is_there(f"archive.{T}")


def test_the_doctor_tells_of_backups_proofs_drops_and_holds(road: Road, make_table: Make) -> None:
    made = make_table()

    def severities() -> dict[str, str]:
        found = road.done("doctor", "--json").json["findings"]
        wanted = ("backed_up", "proven", "unusable_backups", "planned_drops", "holds")
        return {f["check"]: f["severity"] for f in found if f["check"] in wanted}

    fine = {"backed_up": "ok", "proven": "ok", "unusable_backups": "ok", "planned_drops": "ok", "holds": "ok"}
    assert severities() == fine
    road.archive(made, T)
    assert severities() == {**fine, "backed_up": "note"}
    kept = road.back_up(made, T, proven=False)
    assert severities() == {**fine, "proven": "note"}
    road.prove(kept.backup.id, at="2020-01-01T00:00:00+00:00")
    assert severities() == {**fine, "proven": "warning"}
    road.prove(kept.backup.id, good=False, reason="Its bytes were changed.")
    assert severities() == {**fine, "proven": "warning"}
    road.prove(kept.backup.id)
    assert severities() == fine
    road.plan_later(made, T, datetime.now(UTC) + timedelta(days=2))
    assert severities() == {**fine, "planned_drops": "note"}
    road.done("hold", "--year", "2022", "--reason", "the audit")
    assert severities() == {**fine, "holds": "note"}
    road.done("hold", "--year", "2022", "--lift")
    road.done("drop", "--year", "2022", "--now", f"--confirm={T}")
    assert severities() == fine
    road.prove(kept.backup.id, good=False, reason="Its bytes were changed.")
    assert severities() == {**fine, "proven": "critical"}
    Path(road.environ["BACKUP_URL"], kept.backup.object).unlink()
    assert severities()["unusable_backups"] == "warning"
    road.environ["BACKUP_URL"] = "/nonexistent/place/x"
    assert severities()["backed_up"] == "note"
