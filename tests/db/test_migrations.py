"""The Alembic migrations against real servers: plain to partitioned and back, with everything that hangs on a table."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Column, Date, Engine, Index, Integer, MetaData, Table, UniqueConstraint, create_engine
from sqlalchemy.pool import NullPool

from core.absences import ensure_absence_partitions
from core.migrations import skip_partitions
from core.names import ident, literal
from core.postgres.connection import parse_url
from core.tables.catalog.table import read_table
from tests.conftest import OpenSession
from tests.db.converted import make_everything, plain
from tests.tables import Run, fingerprint

ROOT = Path(__file__).parents[2]
MakeRole = Callable[..., tuple[str, str]]
THIS_YEAR = date.today().year


class Alembic:
    """`alembic` on the test's database; what it printed is in `told`."""

    told = ""

    def upgrade(self, *x: str) -> None:
        self._run(lambda config: command.upgrade(config, "head"), x)

    def downgrade(self) -> None:
        self._run(lambda config: command.downgrade(config, "-1"), ())

    def _run(self, act: Callable[[Config], None], x: tuple[str, ...]) -> None:
        out = io.StringIO()
        act(Config(toml_file=str(ROOT / "pyproject.toml"), cmd_opts=Namespace(x=list(x)), stdout=out))
        self.told = out.getvalue()


@pytest.fixture
def alembic(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Alembic:
    monkeypatch.setenv("DATABASE_URL", database_url)
    for name in list(os.environ):
        if name.startswith("PARTITION_DESK_") and name not in ("PARTITION_DESK_TEST_HOMES", "PARTITION_DESK_KEY"):
            monkeypatch.delenv(name)
    return Alembic()


def partitions(run: Run, name: str = "kid_absences") -> list[str]:
    return [row[0] for row in run(
        f"SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        f" WHERE i.inhparent = {literal(ident(name))}::regclass ORDER BY 1"
    )]  # fmt: skip


def from_year(first: int, name: str = "kid_absences") -> list[str]:
    """The partitions of a table whose first row is of that year: every year, and two beyond those that have one."""
    return [f"{name}_{year}" for year in range(first, THIS_YEAR + 4)]


WHOLE = ["kid_absences_before", f"kid_absences_{THIS_YEAR + 2}", f"kid_absences_{THIS_YEAR + 3}"]
"""Those of a table whose rows stay in one."""


@pytest.mark.every_version
def test_there_and_back_gives_an_equal_table(
    alembic: Alembic, run: Run, dump: Callable[[], str], make_role: MakeRole
) -> None:
    owner, granted = make_role(f"owner%{os.getpid()}")[0], make_role(f"reader {os.getpid()}")[0]
    make_everything(run, owner, granted)
    before, rows = dump(), run("SELECT * FROM kid_absences ORDER BY id")
    position = run("SELECT last_value, is_called FROM kid_absences_id_seq")

    alembic.upgrade()
    assert "its 1,500 rows" in alembic.told
    assert "What it held stays in one partition." in alembic.told
    assert "has FORCE ROW LEVEL SECURITY, which keeps rows from the copy" in alembic.told
    assert "(id, date)" in alembic.told
    assert partitions(run) == sorted(WHOLE)
    assert run("SELECT * FROM kid_absences ORDER BY id") == rows
    assert run("SELECT last_value, is_called FROM kid_absences_id_seq") == position
    while_partitioned = dump()
    assert "ADD CONSTRAINT kid_absences_pkey PRIMARY KEY (id, date) INCLUDE (hours)" in while_partitioned
    kept = re.compile(r"(GRANT|CREATE (TRIGGER|POLICY|STATISTICS)|ALTER PUBLICATION|COMMENT ON|.* OWNER TO).*")
    lost = {line for line in before.splitlines() if kept.fullmatch(line)} - set(while_partitioned.splitlines())
    assert lost == {"COMMENT ON CONSTRAINT kid_absences_pkey ON public.kid_absences IS 'ids';"}  # has a second line

    alembic.downgrade()
    assert "The primary key kid_absences_pkey is (id) again" in alembic.told
    assert dump() == before
    assert run("SELECT * FROM kid_absences ORDER BY id") == rows
    assert run("SELECT last_value, is_called FROM kid_absences_id_seq") == position
    assert run("SELECT count(*) FROM pg_class WHERE relname LIKE 'kid_absences%before'") == [(0,)]
    alembic.upgrade()
    alembic.downgrade()
    assert dump() == before


@pytest.mark.every_version
def test_ids_go_on_and_new_rows_find_their_partition(alembic: Alembic, run: Run) -> None:
    plain(run)
    alembic.upgrade()
    run(f"INSERT INTO kid_absences (kid_id, date) VALUES (1, '{THIS_YEAR}-06-01'), (1, '{THIS_YEAR + 1}-06-01')")
    assert run("SELECT max(id), count(*), count(DISTINCT id) FROM kid_absences") == [(244, 244, 244)]
    indexes = run(
        "SELECT c.relname, count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid"
        " WHERE c.relname ~ '^kid_absences_\\d+$' GROUP BY 1 ORDER BY 1"
    )
    assert {count for _, count in indexes} == {3}
    assert [name for name, _ in indexes] == from_year(2019)
    alembic.downgrade()
    run("INSERT INTO kid_absences (kid_id, date) VALUES (1, '1999-06-01')")
    assert run("SELECT max(id), count(*) FROM kid_absences") == [(245, 245)]


@pytest.mark.every_version
def test_what_the_table_lacks_is_added_and_taken_away_again(
    alembic: Alembic, run: Run, dump: Callable[[], str]
) -> None:
    run("CREATE TABLE kid_absences (id serial PRIMARY KEY, kid_id int, date date)")
    run("INSERT INTO kid_absences (kid_id, date) SELECT g, '2020-02-01' FROM generate_series(1, 9) g")
    before = dump()
    alembic.upgrade()
    assert "unique constraint kid_absences_kid_id_date_key on (kid_id, date) was added" in alembic.told
    assert "index kid_absences_date_idx on (date) was added" in alembic.told
    run(f"INSERT INTO kid_absences (kid_id, date) VALUES (1, '{THIS_YEAR}-06-01')")
    assert run("SELECT max(id) FROM kid_absences") == [(10,)]
    alembic.downgrade()
    assert dump() == before
    assert run("SELECT is_nullable FROM information_schema.columns WHERE column_name = 'date'") == [("YES",)]


@pytest.mark.every_version
def test_no_rows_no_key(alembic: Alembic, run: Run, dump: Callable[[], str]) -> None:
    run("CREATE TABLE kid_absences (kid_id int, date date)")
    before = dump()
    alembic.upgrade()
    assert partitions(run) == sorted(WHOLE)
    assert "What it held stays in one partition" not in alembic.told  # there is nothing to split
    alembic.downgrade()
    assert dump() == before


@pytest.mark.parametrize("key_type", ["timestamp", "timestamptz"])
def test_timestamps_by_the_applications_time_zone(
    alembic: Alembic, run: Run, monkeypatch: pytest.MonkeyPatch, key_type: str
) -> None:
    monkeypatch.setenv("PARTITION_DESK_TIME_ZONE", "Europe/Berlin")
    run(f"CREATE TABLE kid_absences (kid_id int PRIMARY KEY, at {key_type})")
    run("INSERT INTO kid_absences VALUES (1, '2020-12-31 23:30+00'), (2, '2021-06-01 12:00+00')")
    alembic.upgrade("key=at")
    assert partitions(run) == from_year(2021 if key_type == "timestamptz" else 2020)
    alembic.downgrade()
    assert run("SELECT count(*) FROM kid_absences") == [(2,)]


@pytest.mark.parametrize(
    "name", ['Od"d 100 % :name', "Größe", "select", "x" * 63, "wide_" + "ü" * 29, "back\\slash'quote", "$desk$.dot"]
)
def test_hostile_names(
    alembic: Alembic, run: Run, monkeypatch: pytest.MonkeyPatch, dump: Callable[[], str], name: str
) -> None:
    plain(run, name)
    monkeypatch.setenv("PARTITION_DESK_TABLE", ident(name))
    before = dump()
    alembic.upgrade()
    assert len(partitions(run, name)) == THIS_YEAR + 4 - 2019
    assert run(f"SELECT count(*) FROM {ident(name)}") == [(242,)]
    alembic.downgrade()
    assert dump() == before


@pytest.mark.every_version
def test_archived_partitions_stay_and_are_told(alembic: Alembic, run: Run) -> None:
    plain(run)
    alembic.upgrade()
    run("CREATE SCHEMA archive")
    run("ALTER TABLE kid_absences DETACH PARTITION kid_absences_2019")
    run("ALTER TABLE kid_absences_2019 SET SCHEMA archive")
    alembic.downgrade()
    assert "Archived and left where they are, not in the plain table: archive.kid_absences_2019." in alembic.told
    assert run("SELECT count(*) FROM kid_absences") == [(121,)]
    assert run("SELECT count(*) FROM archive.kid_absences_2019") == [(121,)]


def test_default_partition_comes_along(alembic: Alembic, run: Run) -> None:
    plain(run)
    alembic.upgrade()
    run("CREATE TABLE rest PARTITION OF kid_absences DEFAULT")
    run("CREATE INDEX alone ON rest (reason)")
    run("ALTER TABLE kid_absences DETACH PARTITION kid_absences_2022")
    run("INSERT INTO kid_absences (kid_id, date) VALUES (1, '2022-06-01')")
    with pytest.raises(CommandError, match=r"rest has .*make them alike first"):
        alembic.downgrade()
    run("DROP INDEX alone")
    alembic.downgrade()
    assert run("SELECT count(*) FROM kid_absences") == [(243,)]


@pytest.mark.every_version
def test_primary_key_stays_wide_where_ids_repeat(alembic: Alembic, run: Run) -> None:
    plain(run)
    alembic.upgrade()
    run(f"INSERT INTO kid_absences (id, kid_id, date) OVERRIDING SYSTEM VALUE VALUES (1, 1, '{THIS_YEAR}-06-01')")
    alembic.downgrade()
    assert "The primary key stays on (id, date): 1 values of (id) stand in more than one row." in alembic.told
    assert run("SELECT count(*) FROM kid_absences") == [(243,)]


@pytest.mark.every_version
def test_a_console_table_goes_on_from_here(alembic: Alembic, run: Run, reader: Engine, worker: Engine) -> None:
    plain(run)
    before = fingerprint(reader, "public.kid_absences")
    alembic.upgrade()
    table = read_table(reader, "kid_absences")
    assert table.not_served is None
    assert table.key is not None
    assert table.key.column == "date"
    ensure_absence_partitions(worker)
    assert fingerprint(reader, "public.kid_absences") == before


REFUSED = {
    "no table": ("SELECT 1", "or name another with PARTITION_DESK_TABLE"),
    "no key": ("CREATE TABLE kid_absences (id int)", "has no column date"),
    "text key": ("CREATE TABLE kid_absences (date text)", "its type is text"),
    "partitioned": ("CREATE TABLE kid_absences (id int, date date) PARTITION BY RANGE (id)", "is partitioned already"),
    "nulls": (
        "CREATE TABLE kid_absences (date date); INSERT INTO kid_absences VALUES (NULL), (NULL), ('2020-01-01')",
        "2 rows of public.kid_absences have no date",
    ),
    "infinity": (
        "CREATE TABLE kid_absences (date date); INSERT INTO kid_absences VALUES ('infinity'), ('0044-03-15 BC')",
        "lie more than 10 years ahead, up to infinity",
    ),
    "duplicates": (
        "CREATE TABLE kid_absences (kid_id int, date date);"
        "INSERT INTO kid_absences SELECT 1, '2020-01-01' FROM generate_series(1, 3)",
        "(kid_id, date) has to be unique in public.kid_absences, and 1 pairs",
    ),
    "unique": ("CREATE TABLE kid_absences (date date, code int UNIQUE)", "kid_absences_code_key can't be kept"),
    "unique index": (
        "CREATE TABLE kid_absences (date date, code text); CREATE UNIQUE INDEX odd ON kid_absences (lower(code))",
        "The unique index odd can't be kept",
    ),
    "exclusion": (
        "CREATE TABLE kid_absences (date date, span daterange, EXCLUDE USING gist (span WITH &&))",
        "The exclusion constraint",
    ),
    "referenced": (
        "CREATE TABLE kid_absences (id int PRIMARY KEY, date date);"
        "CREATE TABLE notes (absence int CONSTRAINT of_absence REFERENCES kid_absences)",
        "The foreign key of_absence of public.notes references (id)",
    ),
    "self": (
        "CREATE TABLE kid_absences (id int PRIMARY KEY, date date, parent int REFERENCES kid_absences)",
        "references (id) of the table itself",
    ),
    "function": (
        "CREATE TABLE kid_absences (date date);CREATE FUNCTION f(kid_absences) RETURNS int LANGUAGE sql RETURN 1",
        "function public.f(public.kid_absences)",
    ),
    "row type": (
        "CREATE TABLE kid_absences (date date); CREATE TABLE log (old kid_absences, more kid_absences[])",
        "column more of table public.log, column old of table public.log",
    ),
    "not valid": (
        "CREATE TABLE kid_absences (date date);"
        "ALTER TABLE kid_absences ADD CONSTRAINT late CHECK (date > '2000-01-01') NOT VALID",
        "The constraint late is not valid",
    ),
    "no inherit": (
        "CREATE TABLE kid_absences (date date, CONSTRAINT alone CHECK (date > '2000-01-01') NO INHERIT)",
        "The constraint alone is NO INHERIT",
    ),
    "transition table": (
        "CREATE TABLE kid_absences (date date);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER rows AFTER INSERT ON kid_absences REFERENCING NEW TABLE AS fresh FOR EACH ROW"
        " EXECUTE FUNCTION f()",
        "The trigger rows has transition tables",
    ),
    "unlogged": ("CREATE UNLOGGED TABLE kid_absences (date date)", "It is unlogged"),
    "inherited": (
        "CREATE TABLE kid_absences (date date); CREATE TABLE child () INHERITS (kid_absences)",
        "It takes part in table inheritance",
    ),
    "rules": (
        "CREATE TABLE kid_absences (date date); CREATE RULE r AS ON DELETE TO kid_absences DO INSTEAD NOTHING",
        "It has rewrite rules",
    ),
    "generated key": (
        "CREATE TABLE kid_absences (y int, date date GENERATED ALWAYS AS (make_date(y, 1, 1)) STORED)",
        "date is a generated column",
    ),
    "replica identity": (
        "CREATE TABLE kid_absences (date date PRIMARY KEY);"
        "ALTER TABLE kid_absences REPLICA IDENTITY USING INDEX kid_absences_pkey",
        "Its replica identity is an index",
    ),
    "aside taken": (
        "CREATE TABLE kid_absences (date date); CREATE TYPE kid_absences_before AS ENUM ()",
        "public already holds kid_absences_before",
    ),
    "publication": (
        "CREATE TABLE kid_absences (date date);CREATE PUBLICATION p FOR TABLE kid_absences WHERE (date > '2000-01-01')",
        "The publication p names columns or rows",
    ),
}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("case", REFUSED)
def test_refused(alembic: Alembic, run: Run, dump: Callable[[], str], case: str) -> None:
    statements, reason = REFUSED[case]
    run(statements)
    before = dump()
    with pytest.raises(CommandError, match=re.escape(reason)) as error:
        alembic.upgrade()
    assert "Nothing was changed." in str(error.value)
    assert "\n" not in str(error.value)
    assert dump() == before
    assert run("SELECT count(*) FROM pg_class WHERE relname LIKE 'partition_desk%'") == [(0,)]


@pytest.mark.every_version
def test_downgrade_refused(alembic: Alembic, run: Run, session: OpenSession, dump: Callable[[], str]) -> None:
    plain(run)
    alembic.upgrade()
    run("CREATE VIEW old AS SELECT * FROM kid_absences_2019")
    with pytest.raises(CommandError, match=re.escape("These would stay with the old table: view public.old.")):
        alembic.downgrade()
    run("DROP VIEW old")
    run("CREATE TABLE notes (kid bigint, day date, FOREIGN KEY (kid, day) REFERENCES kid_absences_2019 (kid_id, date))")
    with pytest.raises(CommandError, match=r"constraint notes_kid_day_fkey on table public\.notes"):
        alembic.downgrade()
    run("DROP TABLE notes")
    in_the_way = session()
    in_the_way.hold("SELECT 1 FROM kid_absences")
    late = session()
    late.run("SET lock_timeout = 300")
    late.background("ALTER TABLE kid_absences DETACH PARTITION kid_absences_2019 CONCURRENTLY")
    late.join()
    in_the_way.release()
    with pytest.raises(CommandError, match="The detach of kid_absences_2019 was begun and not finished"):
        alembic.downgrade()
    run("ALTER TABLE kid_absences DETACH PARTITION kid_absences_2019 FINALIZE")
    run("ALTER TABLE kid_absences RENAME TO was; CREATE TABLE kid_absences (id int, date date)")
    alembic.downgrade()  # as whoever asks again whose first try was cut short after the switch
    assert "public.kid_absences is a plain table already." in alembic.told


@pytest.mark.every_version
def test_rights(alembic: Alembic, run: Run, monkeypatch: pytest.MonkeyPatch, make_role: MakeRole) -> None:
    other, url = make_role()
    plain(run)
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(CommandError, match=r"does not own public\.kid_absences; its owner is postgres"):
        alembic.upgrade()
    run(f"ALTER TABLE kid_absences OWNER TO {ident(other)}")
    run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(CommandError, match="may not create tables in the schema public"):
        alembic.upgrade()
    run(f"GRANT CREATE ON SCHEMA public TO {ident(other)}")
    run("ALTER TABLE kid_absences ENABLE ROW LEVEL SECURITY; ALTER TABLE kid_absences FORCE ROW LEVEL SECURITY")
    alembic.upgrade()
    assert run("SELECT count(*) FROM kid_absences") == [(242,)]
    alembic.downgrade()
    assert run("SELECT count(*) FROM kid_absences") == [(242,)]
    assert run("SELECT relforcerowsecurity, relowner::regrole::text FROM pg_class WHERE relname = 'kid_absences'") == [
        (True, other)
    ]


@pytest.mark.every_version
def test_default_privileges_add_nothing(
    alembic: Alembic, run: Run, make_role: MakeRole, dump: Callable[[], str]
) -> None:
    plain(run)
    role = ident(make_role()[0])
    run(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}, PUBLIC")
    run(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO {role}")
    before = dump()
    alembic.upgrade()
    assert run("SELECT has_table_privilege('public', 'kid_absences', 'SELECT')") == [(False,)]
    alembic.downgrade()
    assert dump() == before


@pytest.mark.every_version
def test_waits_for_a_gap_and_gives_up_in_plain_words(
    alembic: Alembic, run: Run, session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(run)
    run("CREATE TABLE kids (id bigint PRIMARY KEY); INSERT INTO kids SELECT g FROM generate_series(0, 120) g")
    run("ALTER TABLE kid_absences ADD FOREIGN KEY (kid_id) REFERENCES kids")
    monkeypatch.setenv("PARTITION_DESK_PATIENCE_S", "0.5")
    someone = session()
    someone.hold("SELECT count(*) FROM kid_absences")
    with pytest.raises(CommandError, match=rf"no lock within 0 s.*session {someone.pid}"):
        alembic.upgrade()
    assert run("SELECT relkind, relchecks FROM pg_class WHERE relname = 'kid_absences'") == [("r", 0)]
    someone.release()
    monkeypatch.setenv("PARTITION_DESK_PATIENCE_S", "30")
    someone.hold("SELECT count(*) FROM kids")
    timer = threading.Timer(1.5, someone.release)
    timer.start()
    alembic.upgrade()
    timer.join()
    assert partitions(run) == from_year(2019)


@pytest.mark.every_version
def test_writers_lose_nothing(alembic: Alembic, run: Run, session: OpenSession) -> None:
    plain(run)
    over = threading.Event()
    written: list[int] = []

    def write(kid: int, insert: Run) -> None:
        day = 0
        while not over.is_set():
            insert(f"INSERT INTO kid_absences (kid_id, date) VALUES ({kid}, '{THIS_YEAR}-01-01'::date + {day})")
            written.append(kid)
            day = day + 1 if day < 364 else 0
            if day == 0:
                kid += 10

    writers = [threading.Thread(target=write, args=(kid, session().run)) for kid in (1000, 1001, 1002)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(2):
            alembic.upgrade()
            alembic.downgrade()
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert run("SELECT count(*), count(DISTINCT id) FROM kid_absences") == [(242 + len(written), 242 + len(written))]


def test_a_name_that_is_taken_leaves_what_it_held_in_one_partition(alembic: Alembic, run: Run) -> None:
    plain(run)
    run(f"CREATE VIEW kid_absences_{THIS_YEAR} AS SELECT 1")
    alembic.upgrade()
    assert f'The name "public"."kid_absences_{THIS_YEAR}" is taken already' in alembic.told
    assert partitions(run) == sorted(WHOLE)
    alembic.downgrade()
    assert run("SELECT count(*) FROM kid_absences") == [(242,)]


@pytest.mark.every_version
def test_a_copy_that_differs_takes_nobody_s_place(alembic: Alembic, run: Run) -> None:
    """What a generated column says now is another thing than what it said when the row was written."""
    fickle = (
        "CREATE OR REPLACE FUNCTION fickle(int) RETURNS text IMMUTABLE LANGUAGE sql AS"
        " $$ SELECT clock_timestamp()::text{} $$"
    )
    run(fickle.format(""))
    run("CREATE TABLE kid_absences (date date, kid_id int PRIMARY KEY, t text GENERATED ALWAYS AS (fickle(kid_id))"
        " STORED); INSERT INTO kid_absences (date, kid_id) VALUES ('2020-01-01', 1)")  # fmt: skip
    run(fickle.format(" || 'x'"))
    rows = run("SELECT * FROM kid_absences")
    with pytest.raises(CommandError, match="The rows that were copied are not those that are there"):
        alembic.upgrade()
    assert partitions(run) == sorted(WHOLE)
    assert run("SELECT * FROM kid_absences") == rows
    with pytest.raises(CommandError, match="The rows that were copied are not those that are there"):
        alembic.upgrade()
    assert run("SELECT * FROM kid_absences") == rows


def test_command_line(run: Run, database_url: str) -> None:
    """The two commands of the procedure, as they are typed at the root."""
    plain(run)
    environment = {**os.environ, "DATABASE_URL": database_url.replace("postgresql+psycopg2", "postgres")}

    def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = typed("upgrade", "head")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{THIS_YEAR + 4 - 2019} partitions, kid_absences_2019 to kid_absences_{THIS_YEAR + 3}" in done.stdout
    done = typed("downgrade", "-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "public.kid_absences is a plain table again: all its rows lie in" in done.stdout
    done = typed("upgrade", "head", "--sql")
    assert done.returncode != 0
    assert "partitions convert --dry-run and partitions unconvert --dry-run print every statement" in (
        done.stderr + done.stdout
    )
    assert "Traceback" not in done.stderr + done.stdout
    environment["DATABASE_URL"] = "mysql://elsewhere/x"
    done = typed("upgrade", "head")
    assert done.returncode != 0
    assert "DATABASE_URL begins with mysql" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.every_version
@pytest.mark.parametrize("include_schemas", [False, True])
def test_autogenerate_proposes_no_partition_to_drop(
    alembic: Alembic, run: Run, database_url: str, include_schemas: bool
) -> None:
    run("CREATE TABLE kid_absences (id int NOT NULL, kid_id int NOT NULL, date date NOT NULL, PRIMARY KEY (id, date))")
    run("INSERT INTO kid_absences VALUES (1, 1, '2019-01-01'), (2, 2, '2020-01-01')")
    run("ALTER TABLE kid_absences ADD UNIQUE (kid_id, date); CREATE INDEX ON kid_absences (date)")
    alembic.upgrade()
    run("CREATE SCHEMA archive; CREATE SCHEMA partition_desk; CREATE TABLE partition_desk.operation (id int)")
    run("ALTER TABLE kid_absences DETACH PARTITION kid_absences_2019; ALTER TABLE kid_absences_2019 SET SCHEMA archive")
    run("CREATE TABLE forgotten (id int); CREATE TABLE archive.other (id int)")
    metadata = MetaData()
    model = Table(
        "kid_absences",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("kid_id", Integer, nullable=False),
        Column("date", Date, primary_key=True, index=False),
        UniqueConstraint("kid_id", "date", name="kid_absences_kid_id_date_key"),
    )
    Index("kid_absences_date_idx", model.c.date)
    engine = create_engine(parse_url(database_url), poolclass=NullPool)

    def proposals(**options: Any) -> set[str]:
        with engine.connect() as connection:
            filters = {name: make(connection) for name, make in options.items()}
            assert not connection.in_transaction()
            opts = {"include_schemas": include_schemas, **filters}
            found = compare_metadata(MigrationContext.configure(connection, opts=opts), metadata)
        return {f"{change[0]} {getattr(change[1], 'fullname', change[1])}" for change in found}

    unfiltered = proposals()
    assert f"remove_table kid_absences_{THIS_YEAR}" in unfiltered
    expected = {"remove_table forgotten"} | ({"remove_table archive.other"} if include_schemas else set())
    assert proposals(include_name=skip_partitions) == expected
    also = proposals(include_name=lambda c: skip_partitions(c, also=lambda name, kind, parents: name != "forgotten"))
    assert also == expected - {"remove_table forgotten"}


def test_the_search_path_of_the_role_decides_which_table_is_migrated(
    database_url: str, alembic: Alembic, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("CREATE SCHEMA tenant")
    plain(run)
    run("CREATE TABLE tenant.kid_absences (LIKE kid_absences INCLUDING ALL)")
    monkeypatch.setenv("DATABASE_URL", f"{database_url}&options=-csearch_path%3Dtenant")
    alembic.upgrade()
    kinds = "SELECT relnamespace::regnamespace::text, relkind::text FROM pg_class WHERE relname = 'kid_absences'"
    assert sorted(run(kinds)) == [("public", "r"), ("tenant", "p")]
    run("DROP TABLE tenant.kid_absences")
    run("CREATE SCHEMA north")
    run("CREATE TABLE north.kid_absences (LIKE kid_absences INCLUDING ALL)")
    with pytest.raises(CommandError, match=r"on the search path: north\.kid_absences, public\.kid_absences"):
        alembic.upgrade()
