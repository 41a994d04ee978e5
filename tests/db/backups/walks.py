"""What the tests of backups walk with: a table's way there and back, and servers that hold nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard
from sqlalchemy import Engine

from core.backups.kept import keep_proof, read_kept
from core.backups.proving import Proving
from core.backups.restore import read_surroundings, restore
from core.backups.storage.folder import Folder
from core.backups.verify import verify
from core.backups.write import back_up
from core.names import literal, qualified
from core.plans.archive import plan_archive
from core.plans.manifest import Backup, backup_id
from core.plans.plan import Plan
from core.plans.proof import Kept, Proof, newest_last, proofs_from_json, proven_backup
from core.plans.restore import plan_restore
from core.postgres.connection import parse_url, session, working_engine
from core.postgres.programs import Tool
from core.tables.archived import Archived
from core.tables.catalog.table import read_table
from core.tables.fingerprint import SETTINGS, fingerprint, fingerprint_sql
from core.tables.table import PartitionedTable
from tests import desks
from tests.conftest import Act
from tests.servers import connect
from tests.tables import Made, Run, describe, runner

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)


Make = Callable[..., Made]


ROOT = Path(__file__).parents[3]


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
    proof_url: str = ""

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
        return back_up(self.worker, table, name, given.pop("storage", self.storage), **given)

    def verify(self, backup: Backup) -> Proof:
        proof = verify(
            self.storage,
            backup.id,
            proving=Proving(self.home, os.environ, self.proof_url),
            actor="Ada",
            cancelled=lambda: False,
            report=lambda work: None,
        )
        keep_proof(self.storage, backup.id, proof)
        return proof

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


def fingerprint_of(engine: Engine, relation: str, *, every: bool = False) -> str:
    """That of the values that are stored; with `every`, of generated columns as well."""
    with session(engine) as connection:
        connection.exec_driver_sql("BEGIN READ ONLY")
        for statement in SETTINGS:
            connection.exec_driver_sql(statement)
        names = connection.exec_driver_sql(
            f"SELECT attname FROM pg_attribute WHERE attrelid = {literal(relation)}::regclass AND attnum > 0"
            f" AND NOT attisdropped AND ({every} OR attgenerated = '') ORDER BY attnum"
        ).scalars()
        found = connection.exec_driver_sql(fingerprint_sql(relation, list(names))).one()
        connection.exec_driver_sql("COMMIT")
    return fingerprint(found[0], found[1])


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


def bad(walk: Walk, backup: Backup) -> Proof:
    """The proof of a backup that is refused, written down as the newest."""
    proof = walk.verify(backup)
    assert not proof.good
    assert proof.reason
    written = newest_last(one.path for one in walk.storage.list() if proven_backup(one.path) == backup.id)
    assert proofs_from_json(walk.storage.read_text(written[-1])) == (proof,)
    return proof


class Changing(Folder):
    """A place in which somebody else changes the table once it is being written."""

    change: Callable[[], object]

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        self.change()
        return super().write(path, chunks)


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
    "operator class of its own": Odd(
        ("CREATE OPERATOR CLASS public.own_ops FOR TYPE int8 USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =,"
         " OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint8cmp(int8, int8)",
         "CREATE INDEX ON kid_absences (kid_id public.own_ops)"),
        left_out=("index kid_absences_2022_kid_id_idx",),
    ),
    "no rows": Odd(("TRUNCATE kid_absences",)),
    "dropped column": Odd(("ALTER TABLE kid_absences DROP COLUMN reason",)),
    "quoted columns": Odd(
        ("ALTER TABLE kid_absences ADD COLUMN \"a \"\"b\"\"\" text DEFAULT E'\\\\.',"
         " ADD COLUMN \"%s; :x\" int DEFAULT 7",)
    ),
}  # fmt: skip
