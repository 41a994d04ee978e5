"""A sequence that a partition owns and others use stays where they look for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from core.errors import NameTaken
from core.plans.archive import plan_archive
from core.plans.plan import Plan
from core.tables.catalog.table import read_table
from tests import desks
from tests.conftest import Act
from tests.tables import Run

pytestmark = pytest.mark.every_version

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
YEAR = "FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')"
KEY = "PRIMARY KEY (id, taken_on)"


def converted(run: Run, *, kind: str = "bigserial", default: bool = False) -> None:
    """A plain table with a serial became the first partition of a table of its own name."""
    run(f"CREATE TABLE readings (id {kind} NOT NULL, taken_on date NOT NULL, {KEY})")
    run("INSERT INTO readings (taken_on) VALUES ('2022-05-05'), ('2022-05-06')")
    run("ALTER TABLE readings RENAME TO readings_2022")
    run(f"CREATE TABLE readings (LIKE readings_2022 INCLUDING DEFAULTS, {KEY}) PARTITION BY RANGE (taken_on)")
    run(f"ALTER TABLE readings ATTACH PARTITION readings_2022 {YEAR}")
    run("CREATE TABLE readings_2026 PARTITION OF readings FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")
    if default:
        run("CREATE TABLE readings_default PARTITION OF readings DEFAULT")


def archive(reader: Engine, act: Act, table: str = "readings", name: str = "readings_2022") -> Plan:
    plan = plan_archive(read_table(reader, table), name, now=NOW)
    act(plan)
    return plan


def reattach(reader: Engine, act: Act, table: str = "readings", name: str = "readings_2022") -> Plan:
    plan = desks.reattach(reader, read_table(reader, table), name)
    act(plan)
    return plan


def owner_of(run: Run, sequence: str) -> str | None:
    """The column that owns it, as schema.table.column."""
    found = run(
        "SELECT n.nspname || '.' || c.relname || '.' || a.attname FROM pg_depend d"
        " JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid"
        f" WHERE d.objid = '{sequence}'::regclass AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')"
    )
    return str(found[0][0]) if found else None


def findings(reader: Engine, table: str = "readings") -> list[tuple[str, str, str]]:
    desk = desks.desk(reader, now=NOW)
    return [
        (one.severity.value, one.title, one.hint)
        for one in desk.examine(desk.read(table), None)
        if one.check == "sequences"
    ]


@pytest.mark.parametrize("default", [False, True], ids=["concurrently", "in one transaction"])
@pytest.mark.parametrize("kind", ["bigserial", "smallserial"])
def test_it_is_given_to_the_table_before_its_partition_leaves(
    reader: Engine, act: Act, run: Run, *, kind: str, default: bool
) -> None:
    converted(run, kind=kind, default=default)
    plan = archive(reader, act)
    step = plan.steps[1]  # after the schema
    assert step.title == "Leave the sequence public.readings_id_seq where it is and give it to readings.id"
    assert step.statements == ('ALTER SEQUENCE "public"."readings_id_seq" OWNED BY "public"."readings"."id"',)
    assert step.undo == ('ALTER SEQUENCE "public"."readings_id_seq" OWNED BY "public"."readings_2022"."id"',)
    assert owner_of(run, "public.readings_id_seq") == "public.readings.id"
    assert run("SELECT nextval('public.readings_id_seq')") == [(3,)]
    run("INSERT INTO readings (taken_on) VALUES ('2026-02-02')")
    reattach(reader, act)
    assert owner_of(run, "public.readings_id_seq") == "public.readings.id"
    assert not any("equence" in step.title for step in archive(reader, act).steps)


def test_one_that_only_other_partitions_use_goes_to_the_table_s_column(reader: Engine, act: Act, run: Run) -> None:
    converted(run)
    run("ALTER TABLE ONLY readings ALTER COLUMN id DROP DEFAULT")
    archive(reader, act)
    assert owner_of(run, "public.readings_id_seq") == "public.readings.id"


def test_one_that_another_table_uses_belongs_to_nobody_then(reader: Engine, act: Act, run: Run) -> None:
    converted(run)
    run("ALTER TABLE readings ALTER COLUMN id DROP DEFAULT")
    run("CREATE TABLE elsewhere (id bigint DEFAULT nextval('readings_id_seq'))")
    plan = archive(reader, act)
    assert plan.steps[1].title == "Leave the sequence public.readings_id_seq where it is, owned by no column"
    assert owner_of(run, "public.readings_id_seq") is None


def test_a_default_that_names_it_in_a_text_counts_as_use(reader: Engine, act: Act, run: Run) -> None:
    converted(run)
    run("ALTER TABLE readings ALTER COLUMN id SET DEFAULT nextval('readings_id_seq'::text::regclass)")
    archive(reader, act)
    assert owner_of(run, "public.readings_id_seq") == "public.readings.id"
    run("INSERT INTO readings (taken_on) VALUES ('2026-02-02')")


def test_a_partition_of_another_schema_leaves_its_sequence_there(reader: Engine, act: Act, run: Run) -> None:
    converted(run)
    run("CREATE SCHEMA old; ALTER TABLE readings_2022 SET SCHEMA old")
    archive(reader, act)
    assert owner_of(run, "old.readings_id_seq") is None
    run("INSERT INTO readings (taken_on) VALUES ('2026-02-02')")


def test_a_partition_of_another_owner_leaves_its_sequence_there(
    reader: Engine, act: Act, run: Run, make_role: Callable[..., tuple[str, str]]
) -> None:
    converted(run)
    run(f"ALTER TABLE readings_2022 OWNER TO {make_role()[0]}")
    archive(reader, act)
    assert owner_of(run, "public.readings_id_seq") is None


def test_one_that_nothing_else_uses_moves_with_its_partition_and_back(reader: Engine, act: Act, run: Run) -> None:
    run(f"CREATE TABLE readings (id bigint, n int, taken_on date NOT NULL, {KEY}) PARTITION BY RANGE (taken_on)")
    run(f"CREATE TABLE readings_2022 (id bigserial, n serial, taken_on date NOT NULL, {KEY})")
    run("ALTER TABLE readings_2022 ALTER COLUMN n DROP NOT NULL")
    run(f"ALTER TABLE readings ATTACH PARTITION readings_2022 {YEAR}")
    plan = archive(reader, act)
    assert [warning for warning in plan.warnings if "equence" in warning] == [
        f"The sequence public.readings_2022_{name}_seq, which nothing else is known to use, moves with it, and back."
        for name in ("id", "n")
    ]
    assert owner_of(run, "archive.readings_2022_id_seq") == "archive.readings_2022.id"
    assert [severity for severity, *_ in findings(reader)] == ["ok"]
    reattach(reader, act)
    assert owner_of(run, "public.readings_2022_n_seq") == "public.readings_2022.n"


@pytest.mark.parametrize(
    "taken",
    [
        "CREATE SEQUENCE archive.readings_2022_id_seq",
        "CREATE TYPE archive.readings_2022 AS ENUM ('a')",
        "CREATE DOMAIN archive._readings_2022 AS int",
        "CREATE TABLE archive.a_table (x int CONSTRAINT readings_2022_pkey PRIMARY KEY)",
    ],
)
def test_what_its_move_would_meet_is_seen_before(reader: Engine, act: Act, run: Run, taken: str) -> None:
    run(f"CREATE TABLE readings (id bigint NOT NULL, taken_on date NOT NULL, {KEY}) PARTITION BY RANGE (taken_on)")
    run(f"CREATE TABLE readings_2022 (id bigserial, taken_on date NOT NULL, {KEY})")
    run(f"ALTER TABLE readings ATTACH PARTITION readings_2022 {YEAR}")
    run(f"CREATE SCHEMA archive; {taken}")
    with pytest.raises(NameTaken):
        archive(reader, act)
    run("DROP SCHEMA archive CASCADE")
    archive(reader, act)
    run(taken.replace("archive.", "public."))
    with pytest.raises(NameTaken):
        reattach(reader, act)


def test_one_that_stays_meets_nothing_in_the_archive(reader: Engine, act: Act, run: Run) -> None:
    converted(run)
    run("CREATE SCHEMA archive; CREATE SEQUENCE archive.readings_id_seq")
    archive(reader, act)
    assert owner_of(run, "public.readings_id_seq") == "public.readings.id"


def test_the_doctor_tells_and_its_statements_put_it_right(reader: Engine, run: Run) -> None:
    converted(run)
    [(severity, title, hint)] = findings(reader)
    assert (severity, title) == (
        "note",
        "The sequence public.readings_id_seq belongs to public.readings_2022, and others use it",
    )
    run(hint)
    assert owner_of(run, "public.readings_id_seq") == "public.readings.id"
    assert [severity for severity, *_ in findings(reader)] == ["ok"]


def test_one_that_went_with_an_archived_table_is_brought_home(reader: Engine, act: Act, run: Run) -> None:
    converted(run)
    archive(reader, act)
    run("ALTER SEQUENCE readings_id_seq OWNED BY NONE; ALTER SEQUENCE readings_id_seq SET SCHEMA archive")
    run("ALTER SEQUENCE archive.readings_id_seq OWNED BY archive.readings_2022.id")
    [(severity, _, hint)] = findings(reader)
    assert severity == "warning"
    run(hint)
    assert owner_of(run, "public.readings_id_seq") == "public.readings.id"


def test_a_detach_begun_by_hand_leaves_it_too(reader: Engine, act: Act, run: Run) -> None:
    converted(run)
    run("UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'readings_2022'::regclass")
    archive(reader, act)
    assert owner_of(run, "public.readings_id_seq") == "public.readings.id"
