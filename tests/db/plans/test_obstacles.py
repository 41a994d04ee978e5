"""What is said to keep a table from being attached is what ATTACH refuses, and what is printed against it helps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import psycopg2
import pytest
from sqlalchemy import Engine

from core.errors import NotAttachable
from core.names import literal
from core.plans.archive import plan_archive
from core.plans.attachable import missing_foreign_keys
from core.plans.obstacles import attach_obstacles
from core.postgres.connection import parse_url, working_engine
from core.tables.catalog.table import read_table
from core.tables.marks import Marks, Tag
from core.tables.table import PartitionedTable
from tests import desks
from tests.conftest import Act
from tests.road import Road
from tests.servers import connect
from tests.tables import Run, runner

pytestmark = pytest.mark.all_versions

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
YEAR = "FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')"
OWN = "ALTER TABLE readings OWNER"
OTHER_YEAR = "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"

CASES = {
    # what was done after the archive, to the parent {p} or the archived table {a}
    "nothing": "SELECT 1",
    "the order of columns": "ALTER TABLE {p} ADD u int, ADD w text; ALTER TABLE {a} ADD w text, ADD u int",
    "a dropped column": "ALTER TABLE {a} ADD gone int; ALTER TABLE {a} DROP gone",
    "added": "ALTER TABLE {p} ADD u int",
    "added with a default": "ALTER TABLE {p} ADD u text DEFAULT 'it''s'",
    "added NOT NULL": "ALTER TABLE {p} ADD u text NOT NULL DEFAULT 'new'",
    "added NOT NULL with a default that went": "ALTER TABLE {p} ADD u text NOT NULL DEFAULT 'new';"
    " ALTER TABLE {p} ALTER u DROP DEFAULT",
    "added with another default since": "ALTER TABLE {p} ADD u int NOT NULL DEFAULT 1;"
    " ALTER TABLE {p} ALTER u SET DEFAULT 2",
    "added with a moment": "ALTER TABLE {p} ADD u timestamptz NOT NULL DEFAULT now()",
    "added with a volatile default": "ALTER TABLE {p} ADD u float NOT NULL DEFAULT random()",
    "added as serial": "ALTER TABLE {p} ADD u serial",
    "added arrays and types": "CREATE DOMAIN {s}.small AS int CHECK (value < 9); CREATE TYPE {s}.mood AS ENUM ('a''b');"
    " ALTER TABLE {p} ADD u int[] DEFAULT '{{1,2}}', ADD w {s}.small DEFAULT 3, ADD x {s}.mood DEFAULT 'a''b',"
    " ADD y numeric(10, 2) DEFAULT 1.5, ADD z varchar(9) DEFAULT 'x', ADD b boolean DEFAULT true",
    "added generated": "ALTER TABLE {p} ADD u numeric GENERATED ALWAYS AS (v * 2) STORED",
    "added generated from an added one": "ALTER TABLE {p} ADD t numeric DEFAULT 2;"
    " ALTER TABLE {p} ADD u numeric NOT NULL GENERATED ALWAYS AS (t * 2) STORED",
    "added with a collation": 'ALTER TABLE {p} ADD u text COLLATE "C",'
    ' ADD w text COLLATE "POSIX" DEFAULT \'x\' NOT NULL',
    "17: added with an identity": "ALTER TABLE {p} ADD u bigint GENERATED ALWAYS AS IDENTITY",
    "18: added virtual": "ALTER TABLE {p} ADD u numeric GENERATED ALWAYS AS (v * 2) VIRTUAL",
    "dropped": "ALTER TABLE {p} DROP note",
    "renamed": "ALTER TABLE {p} RENAME note TO remark",
    "the key renamed": "ALTER TABLE {p} RENAME taken_on TO measured_on",
    "another type": "ALTER TABLE {p} ALTER v TYPE text; ALTER TABLE {a} ALTER v SET DEFAULT 1",
    "another precision": "ALTER TABLE {p} ALTER v TYPE numeric(10, 2), ALTER note TYPE varchar(50)",
    "no way between types but USING": "ALTER TABLE {p} ALTER note TYPE int USING 1; UPDATE {a} SET note = '5'",
    "the table's collation": 'ALTER TABLE {p} ALTER note TYPE text COLLATE "C"',
    "a collation of its own": 'ALTER TABLE {a} ALTER note TYPE text COLLATE "C"',
    "a default of its own": "ALTER TABLE {a} ALTER note SET DEFAULT 'x'",
    "NOT NULL": "ALTER TABLE {p} ALTER v SET NOT NULL",
    "NOT NULL of its own": "ALTER TABLE {a} ALTER v SET NOT NULL",
    "18: NOT NULL without proof": "ALTER TABLE {p} ADD CONSTRAINT n NOT NULL v NOT VALID",
    "18: neither is proven": "ALTER TABLE {p} ADD CONSTRAINT n NOT NULL v NOT VALID;"
    " ALTER TABLE {a} ADD CONSTRAINT m NOT NULL v NOT VALID",
    "18: its NOT NULL is not proven": "ALTER TABLE {p} ALTER v SET NOT NULL;"
    " ALTER TABLE {a} ADD CONSTRAINT m NOT NULL v NOT VALID",
    "18: its NOT NULL is not inherited": "ALTER TABLE {p} ALTER v SET NOT NULL;"
    " ALTER TABLE {a} ADD CONSTRAINT m NOT NULL v NO INHERIT",
    "generated here alone": "ALTER TABLE {p} ADD u numeric;"
    " ALTER TABLE {a} ADD u numeric GENERATED ALWAYS AS (v * 2) STORED",
    "generated there alone": "ALTER TABLE {a} ADD u numeric;"
    " ALTER TABLE {p} ADD u numeric GENERATED ALWAYS AS (v * 2) STORED",
    "generated otherwise": "ALTER TABLE {a} ADD u numeric GENERATED ALWAYS AS (v * 3) STORED;"
    " ALTER TABLE {p} ADD u numeric GENERATED ALWAYS AS (v * 2) STORED",
    "18: virtual here, stored there": "ALTER TABLE {a} ADD u numeric GENERATED ALWAYS AS (v * 2) VIRTUAL;"
    " ALTER TABLE {p} ADD u numeric GENERATED ALWAYS AS (v * 2) STORED",
    "18: virtual here, plain there": "ALTER TABLE {a} ADD u numeric GENERATED ALWAYS AS (v * 2) VIRTUAL;"
    " ALTER TABLE {p} ADD u numeric",
    "18: virtual otherwise": "ALTER TABLE {a} ADD u numeric GENERATED ALWAYS AS (v * 3) VIRTUAL;"
    " ALTER TABLE {p} ADD u numeric GENERATED ALWAYS AS (v * 2) VIRTUAL",
    "an identity of its own": "ALTER TABLE {a} ALTER id SET NOT NULL, ALTER id ADD GENERATED BY DEFAULT AS IDENTITY",
    # CHECKs
    "a CHECK": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 0)",
    "a CHECK without proof": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 5) NOT VALID",
    "a CHECK without proof, proven here": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 0) NOT VALID;"
    " ALTER TABLE {a} ADD CONSTRAINT c CHECK (v > 0)",
    "neither CHECK is proven": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 0) NOT VALID;"
    " ALTER TABLE {a} ADD CONSTRAINT c CHECK (v > 0) NOT VALID",
    "a CHECK that is not proven here": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 0);"
    " ALTER TABLE {a} ADD CONSTRAINT c CHECK (v > 0) NOT VALID",
    "a CHECK of one name that says something else": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 0);"
    " ALTER TABLE {a} ADD CONSTRAINT c CHECK (v >= 0)",
    "a CHECK under another name": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 0);"
    " ALTER TABLE {a} ADD CONSTRAINT d CHECK (v > 0)",
    "a CHECK that is not inherited": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 0);"
    " ALTER TABLE {a} ADD CONSTRAINT c CHECK (v > 0) NO INHERIT",
    "a CHECK of its own": "ALTER TABLE {a} ADD CONSTRAINT d CHECK (v > 0) NO INHERIT, ADD CHECK (note <> '') NOT VALID",
    "18: a CHECK that is not enforced": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 5) NOT ENFORCED",
    "18: enforced here alone": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 0) NOT ENFORCED;"
    " ALTER TABLE {a} ADD CONSTRAINT c CHECK (v > 0)",
    "18: enforced there alone": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 0);"
    " ALTER TABLE {a} ADD CONSTRAINT c CHECK (v > 0) NOT ENFORCED",
    "18: enforced nowhere": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 5) NOT ENFORCED;"
    " ALTER TABLE {a} ADD CONSTRAINT c CHECK (v > 5) NOT ENFORCED",
    "18: enforced there without proof": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v > 0) NOT VALID;"
    " ALTER TABLE {a} ADD CONSTRAINT c CHECK (v > 0) NOT ENFORCED",
    "of a whole row": "ALTER TABLE {p} ADD CONSTRAINT c CHECK (v + length(note) > 0) NOT VALID",
    # keys, indexes, foreign keys
    "a primary key": "ALTER TABLE {p} ADD PRIMARY KEY (id, taken_on)",
    "another primary key": "ALTER TABLE {p} ADD PRIMARY KEY (id, taken_on);"
    " ALTER TABLE {a} ADD PRIMARY KEY (taken_on, id)",
    "a primary key of its own": "ALTER TABLE {a} ADD PRIMARY KEY (id)",
    "a unique key with another index here": "ALTER TABLE {p} ADD UNIQUE (id, taken_on);"
    " CREATE INDEX ON {a} (id, taken_on)",
    "an index": "CREATE INDEX ON {p} (note) WHERE v > 1; CREATE INDEX ON {p} (lower(note))",
    "15: NULLS NOT DISTINCT": "ALTER TABLE {p} ADD UNIQUE NULLS NOT DISTINCT (v, taken_on);"
    " ALTER TABLE {a} ADD UNIQUE (v, taken_on)",
    "a foreign key": "CREATE TABLE {s}.o (id bigint PRIMARY KEY); INSERT INTO {s}.o VALUES (1), (2);"
    " ALTER TABLE {p} ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES {s}.o",
    "18: a foreign key without proof": "CREATE TABLE {s}.o (id bigint PRIMARY KEY);"
    " ALTER TABLE {p} ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES {s}.o NOT VALID",
    "18: a foreign key that is not enforced": "CREATE TABLE {s}.o (id bigint PRIMARY KEY);"
    " ALTER TABLE {p} ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES {s}.o NOT ENFORCED",
    "a foreign key that is not proven here": "CREATE TABLE {s}.o (id bigint PRIMARY KEY);"
    " INSERT INTO {s}.o VALUES (1), (2);"
    " ALTER TABLE {p} ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES {s}.o;"
    " ALTER TABLE {a} ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES {s}.o NOT VALID",
    "a foreign key to itself": "ALTER TABLE {p} ADD PRIMARY KEY (id, taken_on);"
    " ALTER TABLE {p} ADD CONSTRAINT f FOREIGN KEY (id, taken_on) REFERENCES {p}",
    "17: an exclusion constraint": "ALTER TABLE {p} ADD CONSTRAINT x EXCLUDE USING btree (id WITH =, taken_on WITH =)",
    "17: an exclusion constraint that is here, too": "ALTER TABLE {p} ADD EXCLUDE USING btree"
    " (id WITH =, taken_on WITH =); ALTER TABLE {a} ADD EXCLUDE USING btree (id WITH =, taken_on WITH =)",
    # what the table is, or has
    "typed": "CREATE TYPE {s}.kind AS (id bigint, taken_on date, v numeric, note text); ALTER TABLE {a} OF {s}.kind",
    "a child": "CREATE TABLE {s}.above (v numeric); ALTER TABLE {a} INHERIT {s}.above",
    "a parent": "CREATE TABLE {s}.below () INHERITS ({a})",
    "a row trigger": "{f}; CREATE TRIGGER t BEFORE INSERT ON {a} FOR EACH ROW EXECUTE FUNCTION {s}.f()",
    "a trigger that keeps rows": "{f}; CREATE TRIGGER t AFTER UPDATE ON {a} REFERENCING OLD TABLE AS old"
    " FOR EACH STATEMENT EXECUTE FUNCTION {s}.f()",
    "a row trigger that keeps rows": "{f}; CREATE TRIGGER \"T t\" AFTER UPDATE ON {a} REFERENCING OLD TABLE AS old"
    " FOR EACH ROW EXECUTE FUNCTION {s}.f()",
    "a rule": "CREATE RULE r AS ON UPDATE TO {a} DO ALSO NOTHING",
    "row security": "ALTER TABLE {a} ENABLE ROW LEVEL SECURITY; CREATE POLICY y ON {a} USING (true)",
    "unlogged": "ALTER TABLE {a} SET UNLOGGED",
    "its replica identity": "ALTER TABLE {a} REPLICA IDENTITY FULL",
    "options": "ALTER TABLE {a} SET (fillfactor = 50); ALTER TABLE {a} ALTER note SET STORAGE external",
    "statistics": "CREATE STATISTICS {s}.st ON id, v FROM {a}",
    "a view": "CREATE VIEW {s}.w AS SELECT * FROM {a}",
}  # fmt: skip


def made(run: Run, number: int, case: str) -> tuple[str, str]:
    """A table with an archived one to which the case was done; (the table's name, the archived one's)."""
    schema, archived = f"c{number}", f"archive.c{number}_2022"
    parent = f"{schema}.readings"
    run(f"CREATE SCHEMA {schema}")
    run(
        f"CREATE TABLE {parent} (id bigint, taken_on date NOT NULL, v numeric, note text) PARTITION BY RANGE (taken_on)"
    )
    run(f"CREATE TABLE {schema}.c{number}_2022 PARTITION OF {parent} {YEAR}")
    run(f"CREATE TABLE {schema}.c{number}_2026 PARTITION OF {parent} {OTHER_YEAR}")
    run(f"INSERT INTO {parent} VALUES (1, '2022-05-05', 1, '1'), (2, '2022-06-06', 2, '2'), (1, '2026-05-05', 3, '3')")
    run(f"ALTER TABLE {parent} DETACH PARTITION {schema}.c{number}_2022")
    run(f"ALTER TABLE {schema}.c{number}_2022 SET SCHEMA archive")
    tag = Tag(f'"{schema}"."readings"', schema, YEAR, "2026-01-01T00:00:00+00:00", made_check=False, key="taken_on")
    run(f"COMMENT ON TABLE {archived} IS {literal(str(Marks(tag).beside(None)))}")
    function = f"CREATE FUNCTION {schema}.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    run(case.format(p=parent, a=archived, s=schema, f=function))
    return parent, archived


def attached(run: Run, parent: str, archived: str) -> str:
    """What ATTACH says, which is taken back; empty where it attaches."""
    run("BEGIN")
    try:
        run(f"ALTER TABLE {parent} ATTACH PARTITION {archived} {YEAR}")
    except psycopg2.Error as error:
        return str(error).splitlines()[0]
    finally:
        run("ROLLBACK")
    return ""


def of(table: PartitionedTable) -> tuple[str, ...]:
    [archived] = table.archived
    return tuple(str(one) for one in attach_obstacles(table, archived))


def constraints(run: Run, table: str) -> list[tuple[object, ...]]:
    """How many foreign keys and exclusion constraints it has, but for those that PostgreSQL keeps for partitions."""
    return run(
        f"SELECT contype, count(*) FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype IN ('f', 'x')"
        " AND NOT EXISTS (SELECT FROM pg_class r WHERE r.oid = confrelid AND relispartition) GROUP BY 1 ORDER BY 1"
    )


def judged(reader: Engine, run: Run, act: Act, parent: str, archived: str) -> list[str]:
    """Where verdict and server differ: before, after what is printed was done, and when the console attaches."""
    table = read_table(reader, parent)
    obstacles = attach_obstacles(table, table.archived[0])
    refusal = attached(run, parent, archived)
    if bool(obstacles) != bool(refusal) and not missing_foreign_keys(table, table.archived[0]):
        return [f"said {of(table)}, but ATTACH said {refusal!r}"]
    for statement in (statement for one in obstacles for statement in one.remedy):
        try:
            run(statement)
        except psycopg2.Error as error:
            return [f"{statement} failed: {error}"]
    table = read_table(reader, parent)
    lacking = missing_foreign_keys(table, table.archived[0])
    if of(table) or (not lacking and (refusal := attached(run, parent, archived))):
        return [f"after {[str(one) for one in obstacles]} still {of(table)}, {refusal!r}"]
    act(desks.reattach(reader, table, table.archived[0].name))
    came, theirs = (
        constraints(run, one) for one in (f"{parent.split('.', maxsplit=1)[0]}.{archived.split('.')[1]}", parent)
    )
    if came != theirs:
        return [f"it has {came}, its table {theirs}"]
    return [] if run(f"SELECT count(*) FROM {parent}") == [(3,)] else ["rows were lost"]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("part", range(4))
def test_the_verdict_is_that_of_attach_and_the_remedy_helps(
    reader: Engine, run: Run, act: Act, major: int | None, part: int
) -> None:
    run("CREATE SCHEMA archive")
    [(version,)] = run("SELECT current_setting('server_version_num')::int / 10000")
    wrong = {}
    for number, (name, case) in list(enumerate(CASES.items()))[part::4]:
        since = name.partition(":")[0]
        if since.isdigit() and version < int(since):
            continue
        found = judged(reader, run, act, *made(run, number, case))
        if found:
            wrong[name] = found
    assert wrong == {}


def test_rows_come_back_with_what_the_table_s_other_rows_got(reader: Engine, run: Run, act: Act) -> None:
    run("CREATE TABLE readings (id bigint NOT NULL, taken_on date NOT NULL, v numeric, PRIMARY KEY (id, taken_on))"
        " PARTITION BY RANGE (taken_on)")  # fmt: skip
    run(f"CREATE TABLE readings_2022 PARTITION OF readings {YEAR}")
    run(f"CREATE TABLE readings_2026 PARTITION OF readings {OTHER_YEAR}")
    run("INSERT INTO readings VALUES (1, '2022-05-05', 1), (2, '2022-05-06', 2), (3, '2026-05-06', 3)")
    act(plan_archive(read_table(reader, "readings"), "readings_2022", now=NOW))
    run("ALTER TABLE readings ADD status text NOT NULL DEFAULT 'new'")
    run("ALTER TABLE readings ADD double_v numeric GENERATED ALWAYS AS (v * 2) STORED")
    run("ALTER TABLE readings ADD label text COLLATE \"C\", ADD note text DEFAULT 'none'")
    run("ALTER TABLE readings ADD seen timestamptz DEFAULT now(), ADD rank int DEFAULT 1")
    run("ALTER TABLE readings ALTER rank SET DEFAULT 2, ALTER note SET DEFAULT 'nothing'")
    with pytest.raises(NotAttachable) as refused:
        desks.reattach(reader, read_table(reader, "readings"), "readings_2022")
    alter = 'ALTER TABLE "archive"."readings_2022"'
    statements = [reason.partition(": ")[2] for reason in refused.value.reasons]
    assert statements[:4] == [
        f"{alter} ADD COLUMN \"status\" text DEFAULT 'new'::text NOT NULL;",
        f'{alter} ADD COLUMN "double_v" numeric GENERATED ALWAYS AS ((v * (2)::numeric)) STORED;',
        f'{alter} ADD COLUMN "label" text COLLATE pg_catalog."C";',
        f"{alter} ADD COLUMN \"note\" text DEFAULT 'none'::text;"
        f" {alter} ALTER COLUMN \"note\" SET DEFAULT 'nothing'::text;",
    ]
    for statement in statements:
        run(statement)
    act(desks.reattach(reader, read_table(reader, "readings"), "readings_2022"))
    assert run("SELECT DISTINCT status, double_v / v, label, note, rank FROM readings") == [
        ("new", 2, None, "none", 1)
    ]  # fmt: skip
    assert run("SELECT count(DISTINCT seen) FROM readings") == [(1,)]
    run("INSERT INTO readings_2022 (id, taken_on, v) VALUES (9, '2022-07-07', 1)")
    assert run("SELECT note, rank FROM readings WHERE id = 9") == [("nothing", 2)]


def test_whoever_may_act_for_its_owner_attaches_it(run: Run, make_role: Callable[..., tuple[str, str]]) -> None:
    role, url = make_role()
    other, _ = make_role("pd_other")
    run(f"CREATE TABLE readings (id bigint, taken_on date NOT NULL) PARTITION BY RANGE (taken_on); {OWN} TO {role}")
    run(f"CREATE SCHEMA archive AUTHORIZATION {role}; CREATE TABLE archive.readings_2022 (LIKE readings)")
    run(f"ALTER TABLE archive.readings_2022 OWNER TO {other}; GRANT CREATE ON SCHEMA public TO {role}, {other}")
    engine = working_engine(parse_url(url))
    connection = connect(url)
    theirs = runner(connection)
    try:
        obstacle = f'Its owner is {other}, not {role}: ALTER TABLE "archive"."readings_2022" OWNER TO "{role}";'
        assert of(read_table(engine, "readings")) == (obstacle,)
        assert attached(theirs, "readings", "archive.readings_2022").startswith("must be owner of table")
        run(f"GRANT {other} TO {role}")
        table = read_table(engine, "readings")
        assert of(table) == ()
        for step in desks.reattach(engine, table, "readings_2022").steps:
            for statement in step.statements:
                theirs(statement)
        assert run("SELECT relispartition FROM pg_class WHERE relname = 'readings_2022'") == [(True,)]
    finally:
        connection.close()
        engine.dispose()
        run(f"REVOKE {other} FROM {role}")


@pytest.mark.newest_version
@pytest.mark.parametrize("other", ["VIEW {} AS SELECT 1", "SEQUENCE {}", "TYPE {} AS (a int)", "TABLE {} (a int)"])
def test_a_name_that_something_else_has_is_seen_before_anything_is_made(run: Run, road: Road, other: str) -> None:
    run("CREATE TABLE e (d date NOT NULL) PARTITION BY RANGE (d)")
    for year in (2025, 2026):
        run(f"CREATE TABLE e_{year} PARTITION OF e FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')")
    run("CREATE " + other.format("e_2027"))
    ended = road("ensure", "--year", "2027", "--table", "public.e")
    assert (ended.code, ended.out) == (1, "")
    assert "The name public.e_2027 is taken by what is no partition of e." in ended.err
