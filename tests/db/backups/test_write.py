"""Writing a backup: what it waits for, and every fault meanwhile; nothing half is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from core.backups import write as write_module
from core.backups.kept import LEFTOVER, read_all_kept, read_kept
from core.backups.progress import Work
from core.backups.storage.folder import Folder
from core.errors import (
    BackupNotFound,
    BackupUnusable,
    Cancelled,
    CatalogBusy,
    ConnectionFailed,
    Failed,
    PlanOutdated,
    StorageFailed,
)
from core.names import qualified
from core.plans.manifest import Backup
from core.plans.proof import Kept
from core.postgres.connection import parse_url, working_engine
from core.postgres.programs import Tool
from tests.conftest import OpenSession, Session, until
from tests.db.backups.walks import ROOT, Changing, Make, Walk
from tests.tables import Made


def test_a_generated_column_that_could_not_be_proven(walk: Walk, make_table: Make) -> None:
    made = make_table()
    walk.run("CREATE FUNCTION public.twice(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'")
    walk.run("ALTER TABLE kid_absences ADD COLUMN two bigint GENERATED ALWAYS AS (public.twice(kid_id)) STORED")
    with pytest.raises(BackupUnusable, match=r"two is generated with public.twice\(bigint\)"):
        walk.back_up(made, made.first)
    assert walk.storage.list() == ()


class Cut(Folder):
    """A place that is cut off after some bytes, for reading and for writing."""

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        def cut() -> Iterator[bytes]:
            yield next(iter(chunks))[:100]
            raise StorageFailed("There is no room left.")

        return super().write(path, cut()) if path.endswith(".zst") else super().write(path, chunks)

    def read(self, path: str) -> Iterator[bytes]:
        for chunk in super().read(path):
            if path.endswith(".zst"):
                yield chunk[: len(chunk) // 2]
                raise StorageFailed("It was cut off.")
            yield chunk


def test_a_place_that_fails(walk: Walk, make_table: Make) -> None:
    made = make_table()
    with pytest.raises(StorageFailed):
        walk.back_up(made, made.first, storage=Cut(Path(walk.storage.label)))
    assert walk.storage.list() == ()
    backup = walk.back_up(made, made.first)
    walk.storage, whole = Cut(Path(walk.storage.label)), walk.storage
    with pytest.raises(StorageFailed):
        walk.verify(backup)
    with pytest.raises(StorageFailed):
        walk.restore(made, Kept(backup))
    walk.storage = whole
    assert [entry.path for entry in whole.list()] == [backup.manifest, backup.object]
    assert walk.run("SELECT 1 FROM pg_namespace WHERE nspname = 'archive'") == []


def nothing_left(walk: Walk) -> None:
    """No object, no part of one, no child of ours, and no session."""
    folder = Path(walk.storage.label)
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert psutil.Process().children() == [
        child for child in psutil.Process().children() if "pg_dump" not in child.name()
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('$REAL "$@"; kill -9 $$', "killed by SIGKILL"),
        ('$REAL "$@" | head -c 3000; exit 1', "could not read"),
        ('$REAL "$@" | head -c 3000; exit 0', "ended without the rows"),
        ("exit 0", "ended without the rows"),
        (
            "echo 'pg_dump: error: connection to server at \"db.internal\" (10.1.2.3), port 5432 failed: FATAL: no'"
            " >&2; exit 1",
            "error: connection to server failed: FATAL: no",
        ),
        ('$REAL "$@" | sed "0,/^11\\t/{/^11\\t/d}"', "gave 1,999 rows where 2,000 were counted"),
    ],
    ids=["killed", "failed", "cut off", "silent", "refused", "a row short"],
)
def test_a_pg_dump_that_fails(
    walk: Walk, make_table: Make, script: Callable[[str], Tool], text: str, said: str
) -> None:
    made = make_table(rows=2000)
    with pytest.raises(Failed) as caught:
        walk.back_up(made, made.first, tool=script(text))
    assert said in str(caught.value)
    assert "db.internal" not in str(caught.value)
    assert "10.1.2.3" not in str(caught.value)
    nothing_left(walk)
    assert walk.back_up(made, made.first).rows == 2000


def test_a_missing_pg_dump(walk: Walk, make_table: Make) -> None:
    made = make_table()
    with pytest.raises(Failed, match="can't be run"):
        walk.back_up(made, made.first, tool=Tool(Path("/nowhere/pg_dump"), "18.4", 18))
    nothing_left(walk)


def test_passwords_are_no_arguments(
    walk: Walk, make_table: Make, script: Callable[[str], Tool], tmp_path: Path, database_url: str
) -> None:
    made = make_table()
    url = parse_url(database_url).set(password="s3cr%t word").update_query_dict({"sslpassword": "s3cr%t key=x"})
    engine = working_engine(url)
    tool = script(
        f'echo "$@" > {tmp_path}/arguments; echo "$PGPASSWORD" > {tmp_path}/password;'
        f' cp "$PGSERVICEFILE" {tmp_path}/service; echo "$PGSERVICEFILE" > {tmp_path}/where; exec $REAL "$@"'
    )
    replace(walk, worker=engine).back_up(made, made.first, tool=tool)
    engine.dispose()
    assert (tmp_path / "password").read_text() == "s3cr%t word\n"
    assert (tmp_path / "service").read_text() == "[partition_desk]\nsslpassword=s3cr%t key=x\n"
    assert (tmp_path / "service").stat().st_mode & 0o077 == 0
    assert not Path((tmp_path / "where").read_text().strip()).exists()
    assert "s3cr" not in (tmp_path / "arguments").read_text()


def test_a_server_that_goes_away(walk: Walk, make_table: Make, script: Callable[[str], Tool]) -> None:
    made = make_table()
    database = walk.read(made).server.database

    def cut(work: Work) -> None:
        if work.doing.startswith("Writing"):
            walk.run(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
                " AND pid <> pg_backend_pid() AND application_name = 'partition-desk'"
            )

    with pytest.raises((ConnectionFailed, Failed)) as caught:
        walk.back_up(made, made.first, tool=script('sleep 1; exec $REAL "$@"'), report=cut)
    assert "left" not in str(caught.value) or "nothing is left" in str(caught.value)
    nothing_left(walk)
    walk.reader.dispose()
    walk.worker.dispose()
    assert walk.back_up(made, made.first).rows == 20


def test_a_cancel_ends_our_pg_dump_alone(walk: Walk, make_table: Make, script: Callable[[str], Tool]) -> None:
    made = make_table()
    other = subprocess.Popen(["sleep", "600"])
    told: list[Work] = []
    with pytest.raises(Cancelled):
        walk.back_up(
            made,
            made.first,
            tool=script("exec sleep 600"),
            cancelled=lambda: any(work.doing.startswith("Writing") for work in told),
            report=told.append,
        )
    nothing_left(walk)
    assert other.poll() is None
    other.kill()
    other.wait()
    assert not [p for p in psutil.Process().children() if p.name() == "sleep"]


def test_a_table_that_somebody_holds(
    walk: Walk, make_table: Make, session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_module, "LOCK_MS", 200)
    made = make_table()
    table = walk.read(made)
    session().hold(f"LOCK TABLE {made.first} IN ACCESS EXCLUSIVE MODE")
    monkeypatch.setattr(Walk, "read", lambda self, made: table)
    with pytest.raises(CatalogBusy):
        walk.back_up(made, made.first)
    nothing_left(walk)


@dataclass
class Waiting:
    """Backs up an archived table that somebody holds, and changes it before the lock is let go."""

    walk: Walk
    made: Made
    other: Session
    monkeypatch: pytest.MonkeyPatch

    def backs_up(self, change: str) -> Backup:
        self.walk.archive(self.made, self.made.first)
        table = self.walk.read(self.made)
        self.monkeypatch.setattr(Walk, "read", lambda walk, made: table)
        self.other.hold(f"LOCK TABLE {self.relation}")
        waits = f"SELECT 1 FROM pg_locks WHERE NOT granted AND relation = '{self.relation}'::regclass"
        with ThreadPoolExecutor(1) as pool:
            backing = pool.submit(self.walk.back_up, self.made, self.made.first)
            until(lambda: bool(self.other.run(waits)))
            self.other.run(change.format(self.relation))
            self.other.run("COMMIT")
            return backing.result(30)

    @property
    def relation(self) -> str:
        return qualified("archive", self.made.first)


@pytest.fixture
def waiting(walk: Walk, make_table: Make, session: OpenSession, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(walk, make_table(), session(), monkeypatch)


@pytest.mark.all_versions
@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ("ALTER TABLE {0} ALTER COLUMN kid_id TYPE numeric", 20),
        ("TRUNCATE {0}", 0),
        ("DELETE FROM {0} WHERE id = (SELECT min(id) FROM {0})", 19),
    ],
    ids=["rewritten", "truncated", "deleted"],
)
def test_the_rows_are_those_after_the_wait_for_the_lock(waiting: Waiting, change: str, rows: int) -> None:
    """A snapshot from before the lock would see no row of a table that was rewritten meanwhile."""
    backup = waiting.backs_up(change)
    assert (backup.rows, backup.fingerprint) == (rows, waiting.walk.fingerprint(waiting.relation))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("ALTER TABLE {0} RENAME TO elsewhere; CREATE TABLE {0} ()", "is another table than it was"),
        ("ALTER TABLE {0} SET SCHEMA public", "does not exist. Nothing was changed"),
        ("COMMENT ON TABLE {0} IS NULL", "is not as it was"),
    ],
    ids=["another", "moved", "without its tag"],
)
def test_another_table_after_the_wait_is_told(waiting: Waiting, change: str, says: str) -> None:
    with pytest.raises((PlanOutdated, Failed)) as raised:
        waiting.backs_up(change)
    assert says in str(raised.value)
    nothing_left(waiting.walk)


def test_rows_that_change_meanwhile(walk: Walk, make_table: Make, script: Callable[[str], Tool], shared: None) -> None:
    made = make_table(rows=500)
    relation = qualified("public", made.first)
    before = walk.fingerprint(relation)
    storage = Changing(Path(walk.storage.label))
    storage.change = lambda: walk.run(f"DELETE FROM {relation} WHERE id % 2 = 0")
    backup = walk.back_up(made, made.first, storage=storage, tool=script('sleep 0.3; exec $REAL "$@"'))
    assert (backup.rows, backup.fingerprint) == (500, before)
    assert walk.run(f"SELECT count(*) FROM {relation}") == [(250,)]
    assert walk.verify(backup).good


def test_only_readers_locks_are_taken(walk: Walk, make_table: Make, session: OpenSession) -> None:
    made = make_table()
    seen: set[str] = set()
    other = session()

    def look(work: Work) -> None:
        seen.update(
            mode
            for (mode,) in other.run(
                f"SELECT mode FROM pg_locks WHERE relation = 'public.{made.first}'::regclass"
                " AND pid <> pg_backend_pid()"
            )
        )

    storage = Changing(Path(walk.storage.label))
    storage.change = lambda: look(Work(""))
    walk.back_up(made, made.first, storage=storage)
    assert seen == {"AccessShareLock"}


def test_two_at_once_are_two(walk: Walk, make_table: Make, shared: None) -> None:
    made = make_table(rows=20_000)
    found: list[Backup] = []
    threads = [threading.Thread(target=lambda: found.append(walk.back_up(made, made.first))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({backup.id for backup in found}) == 2
    assert len({backup.fingerprint for backup in found}) == 1
    assert all(walk.verify(backup).good for backup in found)
    assert len(read_all_kept(walk.storage)[0]) == 2


KILLED = """
import os, signal, sys
from pathlib import Path
from core.backups.write import back_up
from core.tables.catalog.table import read_table
from core.postgres.connection import parse_url, working_engine
from core.backups.storage import Folder
from core.postgres.programs import find_pg_dump

url, folder, when = sys.argv[1:]

class Deadly(Folder):
    def write(self, path, chunks):
        if when == "manifest" and path.endswith(".json"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(path, self.deadly(chunks) if when == "rows" else chunks)

    def deadly(self, chunks):
        for chunk in chunks:
            yield chunk
            os.kill(os.getpid(), signal.SIGKILL)

engine = working_engine(parse_url(url))
table = read_table(engine, "public.kid_absences")
tool = find_pg_dump(table.server.version_num, environ=os.environ)
back_up(engine, table, "kid_absences_2022", Deadly(Path(folder)), id="a/b/c/killed", tool=tool, actor="", reason="",
    archive_schema="archive", cancelled=lambda: False, report=lambda work: None)
"""


@pytest.mark.parametrize("when", ["rows", "manifest"])
def test_a_killed_process_leaves_no_backup(walk: Walk, make_table: Make, database_url: str, when: str) -> None:
    made = make_table()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, database_url, walk.storage.label, when],
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept, strange = read_all_kept(walk.storage)
    assert kept == ()
    assert [(one.path, one.reason) for one in strange] == (
        [("a/b/c/killed.sql.zst", LEFTOVER)] if when == "manifest" else []
    )
    with pytest.raises(BackupNotFound):
        read_kept(walk.storage, "a/b/c/killed")
    until(lambda: not [p for p in psutil.process_iter(["name"]) if p.info["name"] == "pg_dump" and p.ppid() == 1])
    assert walk.back_up(made, made.first, id="a/b/c/next").rows == 20
    (kept, _) = read_all_kept(walk.storage)
    assert [one.backup.id for one in kept] == ["a/b/c/next"]
