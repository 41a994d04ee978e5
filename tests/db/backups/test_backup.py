"""Backups on real servers: they restore alone, are proven, come back equal, and are refused where anything is off."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import zstandard
from sqlalchemy import URL, Engine, create_engine

from core.backups import verify as verify_module
from core.backups import write as write_module
from core.backups.kept import LEFTOVER, read_all_kept, read_kept
from core.backups.progress import Work
from core.backups.restore import read_surroundings, restore
from core.backups.storage.folder import Folder
from core.backups.verify import verify
from core.backups.write import back_up
from core.errors import (
    BackupDamaged,
    BackupNotFound,
    BackupUnusable,
    Cancelled,
    CatalogBusy,
    ConnectionFailed,
    Failed,
    NameTaken,
    NotAllowed,
    PlanOutdated,
    StorageFailed,
)
from core.names import ident, literal, qualified
from core.plans.archive import plan_archive
from core.plans.manifest import Backup, Kept, Needed, Proof, backup_id
from core.plans.plan import Plan
from core.plans.restore import plan_restore
from core.plans.script import after_rows, before_rows
from core.postgres.connection import parse_url, session, working_engine
from core.postgres.programs import Tool, find_pg_dump
from core.tables.archived import Archived
from core.tables.catalog.table import read_table
from core.tables.fingerprint import SETTINGS, fingerprint, fingerprint_sql, require_fingerprint_sql
from core.tables.marks import Hold
from core.tables.table import PartitionedTable
from tests import desks, tables
from tests.conftest import Act, OpenSession, Session, until
from tests.servers import GIVEN, MAJORS, Database, Servers, connect, installed
from tests.tables import Made, Run, describe, runner

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
Make = Callable[..., Made]
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Where throwaway servers lie; pytest's own folders are closed to the server's user."""
    path = Path(tempfile.mkdtemp(prefix="pd-cold-"))
    path.chmod(0o711)
    yield path
    assert list(path.iterdir()) == [], "a verification left something behind"
    shutil.rmtree(path)


@pytest.fixture
def storage(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "place")


@dataclass
class Walk:
    """What a test walks with."""

    reader: Engine
    worker: Engine
    act: Act
    run: Run
    storage: Folder
    home: Path
    tool: Tool
    made: int = 0

    def read(self, made: Made) -> PartitionedTable:
        return read_table(self.reader, made.address)

    def archive(self, made: Made, name: str) -> Archived:
        self.act(plan_archive(self.read(made), name, now=NOW))
        found = self.read(made).find_archived(name)
        assert found is not None
        return found

    def reattach(self, made: Made, name: str) -> None:
        self.act(desks.reattach(self.reader, self.read(made), name))

    def back_up(self, made: Made, name: str, **options: Any) -> Backup:
        table = self.read(made)
        self.made += 1
        given: dict[str, Any] = {
            "id": backup_id(table.server.database, table.address, name, NOW, f"t{self.made}"),
            "tool": self.tool,
            "actor": "Ada",
            "reason": "a test",
            "archive_schema": "archive",
            "cancelled": lambda: False,
            "report": lambda work: None,
            **options,
        }
        return back_up(self.worker, table, name, given.pop("place", self.storage), **given)

    def verify(self, backup: Backup) -> Proof:
        return verify(
            self.storage, backup.id, home=self.home, actor="Ada", cancelled=lambda: False, report=lambda work: None
        )

    def plan_restore(self, made: Made | None, kept: Kept, archive_schema: str = "archive", **options: Any) -> Plan:
        there = read_surroundings(self.worker, kept.backup, archive_schema=archive_schema)
        table = read_table(self.reader, made.address, archive_schema=archive_schema) if made else None
        return plan_restore(table, kept, there=there, **options)

    def restore(self, made: Made | None, kept: Kept, **options: Any) -> int:
        plan = self.plan_restore(made, kept, **options)
        with session(self.worker) as work:
            return restore(work, self.storage, kept, plan, cancelled=lambda: False, report=lambda work: None)

    def fingerprint(self, relation: str) -> str:
        return fingerprint_of(self.worker, relation)

    def object(self, backup: Backup) -> Path:
        return Path(self.storage.label, backup.object)


def fingerprint_of(engine: Engine, relation: str) -> str:
    with session(engine) as connection:
        connection.exec_driver_sql("BEGIN READ ONLY")
        for statement in SETTINGS:
            connection.exec_driver_sql(statement)
        names = connection.exec_driver_sql(
            f"SELECT attname FROM pg_attribute WHERE attrelid = {literal(relation)}::regclass AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum"
        ).scalars()
        found = connection.exec_driver_sql(fingerprint_sql(relation, list(names))).one()
        connection.exec_driver_sql("COMMIT")
    return fingerprint(found[0], found[1])


@pytest.fixture
def walk(reader: Engine, worker: Engine, act: Act, run: Run, storage: Folder, home: Path) -> Walk:
    number = int(run("SHOW server_version_num")[0][0])
    return Walk(reader, worker, act, run, storage, home, find_pg_dump(number, environ=os.environ))


class Alone:
    """An empty database, in which nothing is but what a dump brings."""

    def __init__(self, database_url: str, encoding: str = "UTF8") -> None:
        self._url = parse_url(database_url)
        self._name = f"{self._url.database}_alone"
        self._admin = connect(self._url)
        runner(self._admin)(f"CREATE DATABASE {self._name} TEMPLATE template0 ENCODING {literal(encoding)} LOCALE 'C'")
        self.engine = working_engine(self._url.set(database=self._name))
        self._connection = connect(self._url.set(database=self._name))
        self.run: Run = runner(self._connection)

    def psql(self, file: Path) -> None:
        """`zstd -dc FILE | psql -v ON_ERROR_STOP=1 DATABASE`."""
        words = self._url.translate_connect_args(username="user", database="dbname")
        host = str(self._url.query.get("host") or words.get("host"))
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self._name, "-h", host, "-U", str(words["user"])]
        port = self._url.port or self._url.query.get("port")
        if shutil.which("zstd"):
            text = subprocess.run(["zstd", "-dc", str(file)], capture_output=True, check=True).stdout
        else:
            text = zstandard.ZstdDecompressor().stream_reader(file.read_bytes()).read()
        done = subprocess.run([*command, "-p", str(port)], input=text, capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def close(self) -> None:
        self.engine.dispose()
        self._connection.close()
        runner(self._admin)(f"DROP DATABASE {self._name} WITH (FORCE)")
        self._admin.close()


@pytest.fixture
def alone(database_url: str) -> Iterator[Alone]:
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed here")
    found = Alone(database_url)
    yield found
    found.close()


@pytest.fixture
def shared(server_url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verifications restore into a fresh database of the test's own server, where the start of one is not the point."""

    @contextmanager
    def database(folder: Path, encoding: str) -> Iterator[tuple[Engine, Engine]]:
        name = f"pd_throwaway_{os.getpid()}"
        admin = connect(server_url)
        run = runner(admin)
        run(f"CREATE ROLE {name} LOGIN" + (f" PASSWORD {literal(server_url.password)}" if server_url.password else ""))
        run(f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING {literal(encoding)} LOCALE 'C'")
        there = server_url.set(database=name)
        engine, poor = working_engine(there), working_engine(there.set(username=name))
        try:
            yield engine, poor
        finally:
            engine.dispose()
            poor.dispose()
            run(f"DROP DATABASE {name} WITH (FORCE)")
            run(f"DROP ROLE {name}")
            admin.close()

    monkeypatch.setattr(verify_module, "throwaway_database", database)


def described(run: Run, relation: str) -> list[tuple[Any, ...]]:
    """The catalog's description without what only an owner and time decide."""
    return [line for line in describe(run, relation) if line[0] != "table"]


def state_of(walk: Walk, made: Made, name: str) -> tuple[Any, ...]:
    relation = qualified(made.schema, name)
    return (
        describe(walk.run, made.sql),
        describe(walk.run, relation),
        walk.fingerprint(relation),
        walk.run(f"SELECT count(*) FROM {made.sql}"),
    )


def circle(walk: Walk, made: Made, name: str, *, prove: bool = True) -> Backup:
    """Archive, back up, verify, drop, restore, reattach: equal table, equal rows."""
    attached = state_of(walk, made, name)
    archived = walk.archive(made, name)
    before = describe(walk.run, archived.sql), walk.fingerprint(archived.sql)
    backup = walk.back_up(made, name)
    assert backup.fingerprint == before[1]
    if prove:
        proof = walk.verify(backup)
        assert (proof.good, proof.reason, proof.fingerprint) == (True, "", backup.fingerprint)
    kept = read_kept(walk.storage, backup.id)
    assert (kept.proven is not None) == prove
    walk.run(f"DROP TABLE {archived.sql}")
    assert walk.read(made).find_archived(name) is None
    assert walk.restore(made, kept) == backup.rows
    assert (describe(walk.run, archived.sql), walk.fingerprint(archived.sql)) == before
    found = walk.read(made).find_archived(name)
    assert found is not None
    assert replace(found, oid=archived.oid) == archived
    walk.reattach(made, name)
    assert state_of(walk, made, name) == attached
    return backup


@pytest.mark.every_version
def test_the_full_circle(walk: Walk, make_table: Make) -> None:
    made = make_table()
    walk.run(f"COMMENT ON TABLE {made.first} IS 'checked by Anna:\nit''s \\ 100% fine'")
    walk.run(f"ALTER TABLE {made.first} SET (fillfactor = 80)")
    backup = circle(walk, made, made.first)
    assert (backup.rows, backup.parent, backup.schema) == (20, "public.kid_absences", "public")
    assert backup.bounded


@pytest.mark.parametrize("key_type", ["timestamp", "timestamptz"])
def test_other_key_types(walk: Walk, make_table: Make, shared: None, key_type: str) -> None:
    made = make_table(key_type=key_type)
    circle(walk, made, made.first)


NAMES = {
    "63 bytes": "a" * 63,
    "emoji": "отсутствия 🧒🏽 孩子",
    "quotes": 'Kid "absent" \'s',
    "backslash": "kid\\absences\\'",
    "percent": "100% of %s %(days)s",
    "colon": "time:of :day::date :'x' :\"y\"",
    "newline": "kid\nabsences\t\\.\n",
    "COPY": 'x" (a) FROM stdin;\nCOPY',
    "dots": "..",
    "hidden": ".kid.absences",
    "dollar": "kid$absences$$desk$1",
    "slashes": "../../etc/passwd",
    "pattern": "kid*abs?[a-z]|(b)",
    "a keyword": "table",
    "semicolon": "kid; DROP TABLE x; --",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_hostile_names(walk: Walk, make_table: Make, alone: Alone, shared: None, name: str) -> None:
    made = make_table(name, schema=f"in {name}"[:20], key=name)
    backup = circle(walk, made, made.first)
    alone.psql(walk.object(backup))
    assert fingerprint_of(alone.engine, qualified("archive", made.first)) == backup.fingerprint


def test_an_attached_partition(walk: Walk, make_table: Make, alone: Alone) -> None:
    made = make_table(foreign_key=True)
    relation = qualified("public", made.first)
    before = state_of(walk, made, made.first)
    backup = walk.back_up(made, made.first)
    assert state_of(walk, made, made.first) == before
    assert walk.verify(backup).reason == ""
    alone.psql(walk.object(backup))
    assert fingerprint_of(alone.engine, f'"archive".{ident(made.first)}') == backup.fingerprint

    walk.run(f"DROP TABLE {relation}")
    walk.restore(made, read_kept(walk.storage, backup.id))
    archived = walk.read(made).find_archived(made.first)
    assert archived is not None
    assert archived.tag is not None
    assert archived.tag.parent == made.sql
    walk.reattach(made, made.first)
    after = state_of(walk, made, made.first)
    assert [line for line in after[1] if line[0] not in ("constraint",)] == [
        line for line in before[1] if line[0] not in ("constraint",)
    ]
    assert {line[2] for line in after[1]} == {line[2] for line in before[1]}
    assert after[2:] == before[2:]


@dataclass(frozen=True)
class Odd:
    """A table that does not stand alone by itself: what is run before it is archived, and what is left out of it."""

    setup: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    """On the archived table {t}."""
    left_out: tuple[str, ...] = ()
    extension: bool = False
    """Whether it needs the extension that comes with the embedded server."""
    icu: bool = False
    """Whether it needs a server built with ICU."""


ODD: dict[str, Odd] = {
    "serial default": Odd(
        ("CREATE SEQUENCE public.old_seq",
         "ALTER TABLE kid_absences ADD COLUMN n int DEFAULT nextval('public.old_seq')"),
        left_out=("default of n",),
    ),
    "enum, domain and composite": Odd(
        (
            "CREATE SCHEMA \"my types\"",
            "CREATE TYPE \"my types\".mood AS ENUM ('ok', 'it''s \\ bad', '')",
            "CREATE DOMAIN \"my types\".\"pos int\" AS int DEFAULT 3 CONSTRAINT positive CHECK (VALUE > 0)",
            "CREATE TYPE \"my types\".pair AS (a \"my types\".mood, b \"my types\".\"pos int\"[])",
            "CREATE TYPE \"my types\".spans AS RANGE (SUBTYPE = float8)",
            "ALTER TABLE kid_absences ADD COLUMN m \"my types\".mood DEFAULT 'ok', "
            " ADD COLUMN d \"my types\".\"pos int\", ADD COLUMN p \"my types\".pair[], ADD COLUMN s \"my types\".spans,"
            " ADD CHECK (m <> '')",
            "UPDATE kid_absences SET m = 'it''s \\ bad', p = ARRAY[ROW('ok', '{1,2}')::\"my types\".pair],"
            " s = '[1,2.5)', d = 4",
        )
    ),
    "table row type": Odd(
        (
            "CREATE TABLE public.other (a int, b text)",
            "ALTER TABLE kid_absences ADD COLUMN o public.other",
            "UPDATE kid_absences SET o = ROW(1, 'x,\"y')",
        )
    ),
    "generated": Odd(
        ("ALTER TABLE kid_absences ADD COLUMN twice bigint GENERATED ALWAYS AS (kid_id * 2) STORED",
         "ALTER TABLE kid_absences ADD COLUMN low text GENERATED ALWAYS AS (lower(reason)) STORED")
    ),
    "indexes": Odd(
        (
            "CREATE INDEX ON kid_absences (lower(reason)) WHERE kid_id > 3",
            "CREATE UNIQUE INDEX ON kid_absences (kid_id DESC NULLS LAST, date) INCLUDE (reason)",
            "CREATE INDEX ON kid_absences USING gin (to_tsvector('simple', reason))",
        ),
        ("CREATE INDEX own ON {t} USING brin (date)", "COMMENT ON INDEX archive.own IS 'it''s \\ mine'",
         "CREATE STATISTICS archive.\"st ON x\" (ndistinct) ON kid_id, date FROM {t}"),
    ),
    "checks and constraints": Odd(
        ("ALTER TABLE kid_absences ADD CONSTRAINT \"a check\" CHECK (reason <> ';DROP' AND kid_id < 1000000)",
         "ALTER TABLE kid_absences ADD PRIMARY KEY (id, date)"),
        ("ALTER TABLE {t} ADD CONSTRAINT later CHECK (kid_id <> 3) NOT VALID",
         "COMMENT ON CONSTRAINT later ON {t} IS 'not \\ yet'", "COMMENT ON COLUMN {t}.reason IS 'why; -- x'",
         "ALTER TABLE {t} ALTER COLUMN reason SET STORAGE EXTERNAL",
         "ALTER TABLE {t} ALTER COLUMN reason SET STATISTICS 50", "ALTER TABLE {t} REPLICA IDENTITY FULL"),
    ),
    "collations": Odd(
        ("CREATE COLLATION public.swedish (provider = icu, locale = 'sv')",
         "ALTER TABLE kid_absences ADD COLUMN s text COLLATE public.swedish, ADD COLUMN c text COLLATE \"POSIX\"",
         "UPDATE kid_absences SET s = 'z' || id, c = 'ö'", "CREATE INDEX ON kid_absences (s)",
         "CREATE INDEX ON kid_absences (c COLLATE public.swedish)"),
        left_out=("collation of s", "index kid_absences_2022_c_idx"),
        icu=True,
    ),
    "functions of its own": Odd(
        ("CREATE FUNCTION public.now_or_never() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
         "CREATE FUNCTION public.fine(bigint) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 >= 0'",
         "ALTER TABLE kid_absences ALTER COLUMN noted SET DEFAULT public.now_or_never()",
         "ALTER TABLE kid_absences ADD CONSTRAINT is_fine CHECK (public.fine(kid_id))",
         "CREATE INDEX by_fine ON kid_absences (public.fine(kid_id))"),
        left_out=("default of noted", "constraint is_fine", "index kid_absences_2022_fine_idx"),
    ),
    "row security on the parent": Odd(
        ("ALTER TABLE kid_absences ENABLE ROW LEVEL SECURITY",
         "CREATE POLICY p ON kid_absences USING (kid_id < 5)", "ALTER TABLE kid_absences FORCE ROW LEVEL SECURITY")
    ),
    "every type": Odd(
        ("ALTER TABLE kid_absences ADD COLUMN j json, ADD COLUMN jb jsonb, ADD COLUMN pt point,"
         " ADD COLUMN f float8, ADD COLUMN r real, ADD COLUMN nm numeric, ADD COLUMN mo money, ADD COLUMN iv interval,"
         " ADD COLUMN by bytea, ADD COLUMN tt timetz, ADD COLUMN tz timestamptz, ADD COLUMN bt bit(3),"
         " ADD COLUMN ip inet, ADD COLUMN u uuid, ADD COLUMN rg tstzrange, ADD COLUMN ar text[],"
         " ADD COLUMN tv tsvector, ADD COLUMN mr datemultirange, ADD COLUMN ch char(5), ADD COLUMN d date,"
         " ADD COLUMN l pg_lsn",
         """UPDATE kid_absences SET j = '{"a": 1,  "a": 2}', jb = '{"b":[1,null]}', pt = '(1,2.5)',
            f = 0.1 + id, r = 'NaN', nm = 1.00 * id, mo = 1234.5, iv = '1 mon 30 days -04:05:06.7', by = '\\x00ff5c0a',
            tt = '12:00+05:30', tz = 'infinity', bt = B'101', ip = '10.0.0.1/8', u = gen_random_uuid(),
            rg = '[2024-01-01 00:00+02,)', ar = ARRAY['a,b', NULL, '"q"', E'\\\\.\\n\\t', ''],
            tv = 'fat cat',
            mr = '{[2024-01-01,2024-02-01)}', ch = 'ab', d = '0044-03-15 BC', l = '16/B374D848'
            WHERE kid_id % 3 > 0"""),
    ),
    "extension": Odd(
        ("CREATE SCHEMA ext", "CREATE EXTENSION vector SCHEMA ext",
         "ALTER TABLE kid_absences ADD COLUMN v ext.vector(3)",
         "UPDATE kid_absences SET v = ARRAY[id, 0.5, 1]::ext.vector",
         "CREATE INDEX ON kid_absences USING hnsw (v ext.vector_l2_ops)"),
        extension=True,
    ),
    "no rows": Odd(("TRUNCATE kid_absences",)),
    "dropped column": Odd(("ALTER TABLE kid_absences DROP COLUMN reason",)),
    "quoted columns": Odd(
        ("ALTER TABLE kid_absences ADD COLUMN \"a \"\"b\"\"\" text DEFAULT E'\\\\.',"
         " ADD COLUMN \"%s; :x\" int DEFAULT 7",)
    ),
}  # fmt: skip


@pytest.mark.every_version
@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_it_restores_alone(walk: Walk, make_table: Make, alone: Alone, odd: Odd, shared: None) -> None:
    if odd.icu and not walk.run("SELECT 1 FROM pg_collation WHERE collname = 'sv-x-icu'"):
        pytest.skip("this PostgreSQL is built without ICU")
    if odd.extension and not walk.run("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
        pytest.skip("this PostgreSQL has no extension of that name")
    made = make_table()
    for statement in odd.setup:
        walk.run(statement)
    archived = walk.archive(made, made.first)
    for statement in odd.after:
        walk.run(statement.format(t=archived.sql))
    before = describe(walk.run, archived.sql), walk.fingerprint(archived.sql)

    backup = walk.back_up(made, made.first)
    assert [one.what for one in backup.left_out if one.back in ("columns", "restore")][:-1] == list(odd.left_out)
    alone.psql(walk.object(backup))
    assert fingerprint_of(alone.engine, archived.sql) == backup.fingerprint == before[1]
    if not odd.left_out:
        assert described(alone.run, archived.sql) == described(walk.run, archived.sql)
    if backup.server_version_num >= 180000:
        assert walk.verify(backup).reason == ""

    walk.run(f"DROP TABLE {archived.sql}")
    walk.restore(made, read_kept(walk.storage, backup.id))
    assert (describe(walk.run, archived.sql), walk.fingerprint(archived.sql)) == before
    walk.reattach(made, made.first)


@pytest.mark.every_version
def test_options_of_columns_that_only_this_server_knows(walk: Walk, make_table: Make, alone: Alone) -> None:
    """PostgreSQL 15.20 marks every column of a new table, each table with another number; others know no such mark."""
    made = make_table()
    archived = walk.archive(made, made.first)
    walk.run(f"ALTER TABLE {archived.sql} ALTER COLUMN kid_id SET (n_distinct = 5)")
    walk.run("SET allow_system_table_mods = on")
    walk.run(
        "UPDATE pg_attribute SET attoptions = (SELECT array_agg(o) FROM unnest(attoptions) o WHERE o NOT LIKE 'pg_a%')"
        " || ARRAY['pg_attver=' || attrelid] WHERE attnum > 0 AND attrelid IN"
        f" ({literal(archived.sql)}::regclass, {literal(made.sql)}::regclass)"
    )
    walk.run(
        "UPDATE pg_attribute SET attoptions = array_append(attoptions, 'of_another=1')"
        f" WHERE attrelid = {literal(archived.sql)}::regclass AND attname = 'reason'"
    )
    backup = walk.back_up(made, made.first)
    assert [one.what for one in backup.left_out if "option" in one.what] == ["option of_another=1 of reason"]
    assert walk.verify(backup).reason == ""
    alone.psql(walk.object(backup))
    options = (
        "SELECT attname, option FROM pg_attribute, unnest(attoptions) option WHERE option NOT LIKE 'pg_attver=%'"
        f" AND attnum > 0 AND attrelid = {literal(archived.sql)}::regclass"
    )
    assert alone.run(options) == [("kid_id", "n_distinct=5")]
    walk.run(f"DROP TABLE {archived.sql}")
    plan = walk.plan_restore(made, read_kept(walk.storage, backup.id))
    assert "its SQL is in the manifest: option of_another=1 of reason." in " ".join(plan.warnings)
    walk.restore(made, read_kept(walk.storage, backup.id))
    assert walk.run(options) == [("kid_id", "n_distinct=5")]
    walk.reattach(made, made.first)


# --- rights, encodings, other places ------------------------------------------------------------------------------


def test_owner_and_rights_come_back(walk: Walk, make_table: Make, make_role: Callable[..., tuple[str, str]]) -> None:
    owner, other = make_role('owner\'s "role"')[0], make_role("reader TO x")[0]
    made = make_table(owner=owner)
    archived = walk.archive(made, made.first)
    walk.run(f"GRANT SELECT, INSERT ON {archived.sql} TO {ident(other)} WITH GRANT OPTION")
    walk.run(f"GRANT SELECT ON {archived.sql} TO PUBLIC")
    walk.run(f"GRANT UPDATE (reason), REFERENCES (reason) ON {archived.sql} TO {ident(other)}")
    walk.run(f"REVOKE DELETE ON {archived.sql} FROM {ident(owner)}")
    before = sorted(map(repr, describe(walk.run, archived.sql)))
    backup = walk.back_up(made, made.first)
    walk.run(f"DROP TABLE {archived.sql}")
    kept = read_kept(walk.storage, backup.id)
    walk.restore(made, kept)
    after = sorted(map(repr, describe(walk.run, archived.sql)))
    assert [_sorted_rights(line) for line in after] == [_sorted_rights(line) for line in before]

    gone = replace(kept, backup=replace(backup, owner="nobody here"))
    lost = [replace(one, needs=("role nobody here",)) for one in backup.left_out if one.needs]
    walk.run(f"DROP TABLE {archived.sql}")
    plan = walk.plan_restore(made, replace(gone, backup=replace(gone.backup, left_out=tuple(lost))))
    assert not any(statement.startswith(("GRANT", "REVOKE")) for statement in plan.steps[0].statements)
    assert any("there is no role nobody here here: owner" in warning for warning in plan.warnings)


def _sorted_rights(line: str) -> list[str]:
    return sorted(line.replace("{", ",").replace("}", ",").split(","))


def test_a_role_without_rights_is_told_before(
    walk: Walk, make_table: Make, make_role: Callable[..., tuple[str, str]]
) -> None:
    made = make_table()
    archived = walk.archive(made, made.first)
    backup = walk.back_up(made, made.first)
    _, url = make_role()
    engine = working_engine(parse_url(url))
    poor = replace(walk, worker=engine)
    with pytest.raises(NotAllowed, match="may not create tables in the schema archive"):
        poor.plan_restore(made, Kept(backup))
    walk.run(f"DROP TABLE {archived.sql}")
    walk.run("DROP SCHEMA archive")
    with pytest.raises(NotAllowed, match="does not exist and the role"):
        poor.plan_restore(made, Kept(backup))
    with pytest.raises(NotAllowed):
        poor.back_up(made, made.partition(date(2023, 1, 1)))
    engine.dispose()
    assert [entry.path for entry in walk.storage.list()] == [backup.manifest, backup.object]


@pytest.mark.every_version
def test_another_encoding(walk: Walk, server_url: URL, make_table: Make) -> None:
    name = f"pd_latin_{os.getpid()}"
    admin = connect(server_url)
    runner(admin)(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    url = server_url.set(database=name)
    connection = connect(url)
    engine = working_engine(url)
    try:
        there = replace(walk, reader=engine, worker=engine, run=runner(connection))
        made = tables.make_table(there.run, "größe")
        there.run("UPDATE \"größe\" SET reason = 'é\\' || id")
        backup = there.back_up(made, made.first)
        assert backup.encoding == "LATIN1"
        if backup.server_version_num >= 180000:
            assert walk.verify(backup).reason == ""
        there.run(f"DROP TABLE {ident(made.first)}")
        assert there.restore(made, read_kept(walk.storage, backup.id)) == 20
        assert there.fingerprint(qualified("archive", made.first)) == backup.fingerprint
        with pytest.raises(BackupUnusable, match="in LATIN1, the database's in UTF8"):
            walk.plan_restore(None, Kept(backup))
    finally:
        engine.dispose()
        connection.close()
        runner(admin)(f"DROP DATABASE {name} WITH (FORCE)")
        admin.close()


def test_in_a_new_database_from_manifests_alone(walk: Walk, make_table: Make, alone: Alone) -> None:
    made = make_table()
    for statement in ODD["enum, domain and composite"].setup:
        walk.run(statement)
    archived = walk.archive(made, made.first)
    backup = walk.back_up(made, made.first)
    ((kept,), strange) = read_all_kept(walk.storage, parent="public.kid_absences")
    assert (kept, strange) == (Kept(backup), ())
    assert read_all_kept(walk.storage, parent="public.other") == ((), ())

    new = replace(walk, reader=alone.engine, worker=alone.engine, run=alone.run)
    plan = new.plan_restore(None, kept, hold=Hold("2027-01-18", "just restored", "Ada"))
    assert "nothing to reattach to" in " ".join(plan.warnings)
    assert '"my types"."mood"' in " ".join(plan.warnings)
    new.restore(None, kept, hold=Hold("2027-01-18", "just restored", "Ada"))
    assert described(alone.run, archived.sql) == described(walk.run, archived.sql)
    assert new.fingerprint(archived.sql) == backup.fingerprint

    again = tables.make_table(alone.run, rows=0)
    found = new.read(again).find_archived(f"archive.{made.first}")
    assert found is not None
    assert (found.tag, found.bounds) == (archived.tag, archived.bounds)
    assert found.hold == Hold("2027-01-18", "just restored", "Ada")
    alone.run(f"DROP TABLE {archived.sql}")
    plan = new.plan_restore(again, kept)
    assert "DROP COLUMN" in " ".join(plan.warnings)
    assert 'CREATE TYPE "my types"."mood"' not in plan.sql

    alone.run("ALTER TYPE \"my types\".mood RENAME VALUE 'ok' TO 'fine'")
    with pytest.raises(BackupUnusable, match="lacks ok"):
        new.plan_restore(again, kept)


def test_into_another_archive_schema(walk: Walk, make_table: Make) -> None:
    made = make_table()
    for statement in ODD["indexes"].setup:
        walk.run(statement)
    archived = walk.archive(made, made.first)
    for statement in ODD["indexes"].after:
        walk.run(statement.format(t=archived.sql))
    backup = walk.back_up(made, made.first)
    walk.restore(made, Kept(backup), archive_schema='the "cold" one')
    relation = qualified('the "cold" one', made.first)
    assert walk.fingerprint(relation) == backup.fingerprint
    assert len(described(walk.run, relation)) == len(described(walk.run, archived.sql))
    assert walk.run("SELECT count(*) FROM pg_statistic_ext") == [(2,)]


# --- what is told before anything is written ----------------------------------------------------------------------


def test_names_that_are_taken(walk: Walk, make_table: Make) -> None:
    made = make_table()
    archived = walk.archive(made, made.first)
    backup = walk.back_up(made, made.first)
    with pytest.raises(NameTaken, match=made.first):
        walk.plan_restore(made, Kept(backup))
    walk.run(f"ALTER TABLE {archived.sql} RENAME TO elsewhere")
    with pytest.raises(NameTaken, match=f"{made.first}_date_idx, {made.first}_kid_id_date_key"):
        walk.plan_restore(made, Kept(backup))


def test_a_parent_with_other_columns_is_told(walk: Walk, make_table: Make) -> None:
    made = make_table()
    walk.archive(made, made.first)
    backup = walk.back_up(made, made.first)
    walk.run(f"DROP TABLE archive.{made.first}")
    walk.run("ALTER TABLE kid_absences ADD COLUMN room int, DROP COLUMN noted, ALTER COLUMN reason TYPE varchar(50)")
    (warning,) = [w for w in walk.plan_restore(made, Kept(backup)).warnings if "reattached" in w]
    relation = f'ALTER TABLE "archive"."{made.first}"'
    assert warning == (
        f'Before it can be reattached: {relation} ALTER COLUMN "reason" TYPE character varying(50); {relation}'
        f' ADD COLUMN "room" integer; {relation} DROP COLUMN "noted";'
    )


def test_a_generated_column_that_could_not_be_proven(walk: Walk, make_table: Make) -> None:
    made = make_table()
    walk.run("CREATE FUNCTION public.twice(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'")
    walk.run("ALTER TABLE kid_absences ADD COLUMN two bigint GENERATED ALWAYS AS (public.twice(kid_id)) STORED")
    with pytest.raises(BackupUnusable, match=r"two is generated with public.twice\(bigint\)"):
        walk.back_up(made, made.first)
    assert walk.storage.list() == ()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE public.kid_absences",
        'ALTER TABLE "archive"."kid_absences_2022" ADD CONSTRAINT "x" CHECK (true); DROP TABLE public.kid_absences',
        'ALTER TABLE "archive"."kid_absences_2022" ADD CONSTRAINT "x" CHECK (true) -- ',
        'CREATE INDEX "i" ON "archive"."kid_absences_2022" USING btree (f($$a$$))',
        'ALTER TABLE "archive"."kid_absences_2022" ADD CONSTRAINT "x" CHECK (type\'a\\\'); DROP TABLE kids --\')',
        "DELETE FROM public.kid_absences",
        "COPY public.kids TO PROGRAM 'rm'",
    ],
)
def test_a_manifest_that_would_do_more(walk: Walk, make_table: Make, statement: str) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    hostile = replace(backup, afterwards=(*backup.afterwards, statement))
    with pytest.raises(BackupUnusable, match="that making this one table does not need"):
        walk.plan_restore(made, Kept(hostile))


def forged(walk: Walk, backup: Backup, **changes: Any) -> Backup:
    """The backup with another definition, whole and sealed again, as who may write to the place can make it."""
    forgery = replace(backup, **changes)
    object_ = Path(walk.storage.label, backup.object)
    text = zstandard.ZstdDecompressor().decompressobj().decompress(object_.read_bytes())
    rows = text.removeprefix(before_rows(backup).encode()).removesuffix(after_rows(backup).encode())
    assert len(rows) > 0
    text = before_rows(forgery).encode() + rows + after_rows(forgery).encode()
    packed = zstandard.ZstdCompressor().compress(text)
    object_.write_bytes(packed)
    forgery = replace(forgery, raw_bytes=len(text), bytes=len(packed), sha256=hashlib.sha256(packed).hexdigest())
    Path(walk.storage.label, backup.manifest).write_text(forgery.to_json())
    return forgery


def test_a_verification_runs_no_sql_but_that_of_the_table(walk: Walk, make_table: Make, tmp_path: Path) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    assert walk.verify(forged(walk, backup)).good, "the forger's work is whole"
    object_ = Path(walk.storage.label, backup.object)
    whole = object_.read_bytes()
    touched = tmp_path / "touched"
    tmp_path.chmod(0o777)
    program = f"COPY (SELECT 1) TO PROGRAM 'touch {touched}'"
    type_ = Needed("type", "public", "mood", f'CREATE TYPE "public"."mood" AS ENUM (\'a\'); {program}')
    refused = "a statement that making this one table does not need"
    for changes in (
        {"afterwards": (*backup.afterwards, program)},
        {"create": (*backup.create, program)},
        {"create": (program, *backup.create)},
        {"create": (*backup.create[:-1], f"DO $do$BEGIN {program}; END$do$", backup.create[-1])},
        {"needs": (type_,)},
    ):
        assert refused in bad(walk, forged(walk, backup, **changes)).reason
        object_.write_bytes(whole)
    for expression in ("pg_read_file('/etc/passwd') <> ''", "lo_export(lo_create(0), '/tmp/pd-forged') > 0"):
        check = f'ALTER TABLE {qualified("archive", made.first)} ADD CONSTRAINT "x" CHECK ({expression})'
        assert "permission denied" in bad(walk, forged(walk, backup, afterwards=(check, *backup.afterwards))).reason
        object_.write_bytes(whole)
    assert not touched.exists()


# --- changed, truncated, swapped ----------------------------------------------------------------------------------


def bad(walk: Walk, backup: Backup) -> Proof:
    """The proof of a backup that is refused, written down as the newest."""
    proof = walk.verify(backup)
    assert not proof.good
    assert proof.reason
    proofs = json.loads(Path(walk.storage.label, backup.proof).read_text())
    assert proofs[-1]["reason"] == proof.reason
    return proof


def test_200_flipped_bytes_are_200_refused(walk: Walk, make_table: Make) -> None:
    made = make_table(rows=2000)
    backup = walk.back_up(made, made.first)
    path = walk.object(backup)
    whole = path.read_bytes()
    chance = random.Random(4)
    for offset in (0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(198))):
        flipped = bytearray(whole)
        flipped[offset] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        proof = walk.verify(backup)
        assert (proof.good, proof.server_version) == (False, ""), f"the byte at {offset}"
        assert "checksum" in proof.reason
    for length in (0, 1, len(whole) // 2, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(20))):
        path.write_bytes(whole[:length])
        assert "its manifest says" in bad(walk, backup).reason
    path.write_bytes(whole + b"\0")
    assert "its manifest says" in bad(walk, backup).reason
    path.unlink()
    assert bad(walk, backup).reason == "Its object is missing."


def test_a_restore_looks_for_itself(walk: Walk, make_table: Make) -> None:
    made = make_table(rows=2000)
    backup = walk.back_up(made, made.first)
    path = walk.object(backup)
    whole = path.read_bytes()
    chance = random.Random(5)
    spoilt = [whole[:-1], whole[: len(whole) // 2], whole + b"\0", b""]
    for _ in range(25):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        spoilt.append(bytes(flipped))
    for content in spoilt:
        path.write_bytes(content)
        with pytest.raises(BackupDamaged):
            walk.restore(made, Kept(backup))
        assert walk.run("SELECT 1 FROM pg_namespace WHERE nspname = 'archive'") == []
    path.unlink()
    with pytest.raises(BackupNotFound):
        walk.restore(made, Kept(backup))


def test_swapped_for_another(walk: Walk, make_table: Make, shared: None) -> None:
    made = make_table()
    one, other = (walk.back_up(made, made.partition(date(year, 1, 1))) for year in (2022, 2023))
    walk.object(one).write_bytes(walk.object(other).read_bytes())
    assert "manifest" in bad(walk, one).reason
    Path(walk.storage.label, one.manifest).write_text(other.to_json())
    assert bad(walk, one).reason == f"The manifest is that of another backup: {other.id}."
    Path(walk.storage.label, one.manifest).write_text(replace(other, id=one.id).to_json())
    assert bad(walk, one).reason == "Its SQL before the rows is not what its manifest says."
    assert [kept.backup.id for kept in read_all_kept(walk.storage)[0] if kept.proven] == []
    assert walk.verify(other).good


def test_an_edited_manifest(walk: Walk, make_table: Make, shared: None) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    other_type = replace(backup.columns[1], type="integer")
    edits = {
        "It holds 20 rows, and its manifest says 21.": {"rows": 21},
        "the fingerprint differs": {"fingerprint": backup.fingerprint + "0"},
        "is bigint, which is not as the manifest says: integer": {
            "columns": (backup.columns[0], other_type, *backup.columns[2:])
        },
        "Its SQL before": {"columns": (*backup.columns[:-1], replace(backup.columns[-1], name="x"))},
        "Its comment does not say": {"bounds": backup.bounds.replace("2022-01-01", "2021-01-01")},
        "It can't be restored": {"raw_bytes": backup.raw_bytes + 1},
        "Its SQL after the rows": {"raw_bytes": backup.raw_bytes - 1},
        "Its SQL before the rows": {"create": backup.create[:-1]},
        "is not what its manifest says": {"afterwards": backup.afterwards[:-1], "raw_bytes": backup.raw_bytes},
    }
    for reason, edit in edits.items():
        edited = replace(backup, **edit)
        Path(walk.storage.label, backup.manifest).write_text(edited.to_json())
        said = bad(walk, backup).reason
        assert reason in said
    text = backup.to_json()
    for offset in random.Random(6).sample(range(len(text)), 40):
        letter = "0" if text[offset] != "0" else "1"
        Path(walk.storage.label, backup.manifest).write_text(text[:offset] + letter + text[offset + 1 :])
        with suppress(BackupUnusable):  # its format became a later one
            assert not walk.verify(backup).good
    Path(walk.storage.label, backup.manifest).write_text(text)
    assert walk.verify(backup).good


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


# --- faults while it is written -----------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path, walk: Walk) -> Callable[[str], Tool]:
    """A pg_dump of our own making: a shell script in which $REAL is the true one."""

    def make(text: str) -> Tool:
        path = tmp_path / "pg_dump"
        path.write_text(f"#!/bin/bash\nREAL={walk.tool.path}\n{text}\n")
        path.chmod(0o755)
        return replace(walk.tool, path=path)

    return make


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


def test_the_password_is_no_argument(
    walk: Walk, make_table: Make, script: Callable[[str], Tool], tmp_path: Path, database_url: str
) -> None:
    made = make_table()
    engine = working_engine(parse_url(database_url).set(password="s3cr%t word"))
    tool = script(f'echo "$@" > {tmp_path}/arguments; echo "$PGPASSWORD" > {tmp_path}/password; exec $REAL "$@"')
    replace(walk, worker=engine).back_up(made, made.first, tool=tool)
    engine.dispose()
    assert (tmp_path / "password").read_text() == "s3cr%t word\n"
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


def test_a_cancel_of_a_verification_leaves_nothing(walk: Walk, make_table: Make) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    told: list[Work] = []

    def cancelled() -> bool:
        return any(work.doing.startswith("Starting") for work in told)

    with pytest.raises(Cancelled):
        verify(walk.storage, backup.id, home=walk.home, actor="Ada", cancelled=cancelled, report=told.append)
    assert list(walk.home.iterdir()) == []
    assert read_kept(walk.storage, backup.id).proofs == ()


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


@pytest.mark.every_version
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


class Changing(Folder):
    """A place in which somebody else changes the table once it is being written."""

    change: Callable[[], object]

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        self.change()
        return super().write(path, chunks)


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


def test_throwaway_servers_of_the_dead_are_removed(walk: Walk, make_table: Make, shared: None) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    dead, alive, fetching, young = (walk.home / f"throwaway-{what}" for what in ("dead", "alive", "fetching", "young"))
    for folder in (dead, alive):
        (folder / "server").mkdir(parents=True)
        (folder / "server" / "users.lock").touch()
    for folder in (fetching, young):
        folder.mkdir()
    for folder in (dead, fetching):
        (folder / "in-use.lock").touch()
    for folder in (dead, alive, fetching):
        os.utime(folder, (0, 0))
    with (alive / "server" / "users.lock").open() as users, (fetching / "in-use.lock").open() as lock:
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert walk.verify(backup).good
        assert set(walk.home.iterdir()) == {alive, fetching, young}
    for folder in (alive, fetching, young):
        shutil.rmtree(folder)


def test_a_restore_that_is_cancelled_or_cut_off(walk: Walk, make_table: Make) -> None:
    made = make_table(rows=500)
    backup = walk.back_up(made, made.first)
    plan = walk.plan_restore(made, Kept(backup))
    database = walk.read(made).server.database
    storage = Changing(Path(walk.storage.label))

    def slow(path: str) -> Iterator[bytes]:
        for chunk in Folder.read(storage, path):
            yield chunk[:100]
            storage.change()
            yield chunk[100:]

    storage.read = slow  # type: ignore[method-assign]
    stop = threading.Event()
    for change, error in (
        (lambda: (stop.set(), time.sleep(0.5)), Cancelled),
        (
            lambda: walk.run(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
                " AND state LIKE 'idle in transaction%'"
            ),
            ConnectionFailed,
        ),
    ):
        storage.change = change
        stop.clear()
        with session(walk.worker) as work, pytest.raises(error):
            restore(work, storage, Kept(backup), plan, cancelled=stop.is_set, report=lambda work: None)
        assert walk.run("SELECT 1 FROM pg_namespace WHERE nspname = 'archive'") == []
        walk.worker.dispose()
    storage.change = lambda: None
    with session(walk.worker) as work:
        assert restore(work, storage, Kept(backup), plan, cancelled=lambda: False, report=lambda work: None) == 500


# --- the fingerprint ----------------------------------------------------------------------------------------------

SOME = """
CREATE TABLE public.some AS SELECT g AS id, 'text ' || g AS t, now() AS at, (0.1 * g)::float8 AS f,
    (g / 3.0)::real AS r, g::numeric / 7 AS n, make_interval(months => g, secs => g * 1.5) AS i,
    date '2024-02-28' + g AS d,
    '\\x00ff'::bytea AS b, g::numeric::money AS m, ARRAY[g, NULL] AS a, json_build_object('a', g) AS j
FROM generate_series(1, 200) g;
UPDATE public.some SET at = timestamptz '2024-03-31 01:30+00' + id * interval '10 min';
ALTER TABLE public.some ADD PRIMARY KEY (id)
"""


def test_the_fingerprint_is_the_same_everywhere(servers: Servers, database_url: str, worker: Engine, run: Run) -> None:
    if GIVEN:
        pytest.skip("there is one server only")
    run(SOME)
    expected = fingerprint_of(worker, "public.some")
    database = parse_url(database_url).database
    for setting in (
        "TimeZone = 'Asia/Kathmandu'",
        "DateStyle = 'German, DMY'",
        "extra_float_digits = -3",
        "IntervalStyle = 'sql_standard'",
        "bytea_output = 'escape'",
    ):
        run(f"ALTER DATABASE {database} SET {setting}")
        engine = create_engine(parse_url(database_url), isolation_level="AUTOCOMMIT")
        assert fingerprint_of(engine, "public.some") == expected
        engine.dispose()
    run("CREATE TABLE public.shuffled AS SELECT * FROM public.some ORDER BY hashint4(id)")
    assert fingerprint_of(worker, "public.shuffled") == expected
    for major in MAJORS[1:]:
        if not installed(major):
            continue
        other = Database(servers.url(major), "fingerprint")
        engine = working_engine(parse_url(other.url))
        connection = connect(other.url)
        runner(connection)(SOME)
        assert fingerprint_of(engine, "public.some") == expected
        connection.close()
        engine.dispose()
        other.drop()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE public.some s SET t = o.t FROM public.some o WHERE (s.id, o.id) IN ((3, 7), (7, 3))",
        "UPDATE public.some SET n = n * 1.0",
        "UPDATE public.some SET i = interval '30 days' WHERE id = 1",
        "UPDATE public.some SET j = '{\"a\":  1}' WHERE id = 1",
        "UPDATE public.some SET a = '{}' WHERE id = 1",
        "DELETE FROM public.some WHERE id = 1",
        "INSERT INTO public.some SELECT 201, t, at, f, r, n, i, d, b, m, a, j FROM public.some WHERE id = 1",
    ],
)
def test_every_change_shows(worker: Engine, run: Run, change: str) -> None:
    run(SOME)
    expected = fingerprint_of(worker, "public.some")
    run(change)
    assert fingerprint_of(worker, "public.some") != expected


def test_a_required_fingerprint(worker: Engine, run: Run) -> None:
    run(SOME)
    names = ["id", "t"]
    rows, total = run(f"{'; '.join(SETTINGS)}; {fingerprint_sql('public.some', names)}")[0]
    message = 'it\'s \\ 100% "changed" $desk$'
    require = require_fingerprint_sql('"public"."some"', names, fingerprint(rows, total), message)
    run(require)
    run("UPDATE public.some SET t = 'x' WHERE id = 5")
    with pytest.raises(psycopg2.Error) as caught:
        run(require)
    assert (caught.value.pgcode, caught.value.diag.message_primary) == ("PD001", message)
