"""The road of cold storage by command line: there and back equal, and bad input refused."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from core.backups.kept import read_backups
from core.console.journal import read_operations
from core.errors import ConnectionFailed
from core.names import qualified
from core.period import Period
from core.plans.proof import Verdict
from core.postgres import programs
from tests.db.cli.test_commands import catalog
from tests.objects import S3, Answering
from tests.road import Road
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


@pytest.mark.one_in(2)
@pytest.mark.parametrize("options", OTHERS.values(), ids=list(OTHERS))
def test_the_same_for_other_tables(road: Road, make_table: Make, options: dict[str, Any]) -> None:
    made = make_table(**options)
    if "identity" in options:
        road.run(
            "CREATE SEQUENCE ids OWNED BY kid_absences.id;"
            "ALTER TABLE kid_absences ALTER COLUMN id SET DEFAULT nextval('ids')"
        )
    circle(road, made, lose_the_journal="default" in options)


@pytest.mark.parametrize("name", ["kid_absences", 'it\'s "100%" $1'])
def test_what_archive_tells_to_do_next_is_done_as_it_is_printed(road: Road, make_table: Make, name: str) -> None:
    made = make_table(name=name)
    table = ("--table", made.address)
    told = road.done("archive", f"--partition={made.first}", *table).out
    lines = [line for line in told.splitlines() if line.startswith("partitions ")]
    assert [shlex.split(line)[1] for line in lines] == ["backup", "verify", "drop"]
    for line in lines:
        road.done(*shlex.split(line)[1:])
    (archived,) = road.read(made).archived
    assert archived.drop is not None


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

    assert road.done(*restore).out.startswith("Nothing to do: ")
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
        (place / kept.backup.manifest).write_text(text.replace('"format": 2', '"format": 3'))
        refused(road, *verify, says="was written in format 3")
        refused(road, *restore, says="was written in format 3")
        assert "was written in format 3" in road.done("backups").out
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
    road.prove(kept.backup.id, verdict=Verdict.DAMAGED, reason="Its bytes were changed.")
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
    road.prove(kept.backup.id, verdict=Verdict.DAMAGED, reason="Its bytes were changed.")
    assert severities() == {**fine, "proven": "critical"}
    Path(road.environ["BACKUP_URL"], kept.backup.object).unlink()
    assert severities()["unusable_backups"] == "warning"
    road.environ["BACKUP_URL"] = "/nonexistent/place/x"
    assert severities()["backed_up"] == "note"
