"""An archived table stays known when its parent is renamed, moved, or calls its key otherwise; a namesake of the parent
does not inherit it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine

from core.doctor.findings import Finding
from core.errors import NotAttachable
from core.growth.samples.measure import read_present
from core.names import literal
from core.plans.archive import plan_archive
from core.tables.catalog.table import read_table
from core.tables.find import Kind, find_rows
from core.tables.marks import Marks
from tests import desks
from tests.conftest import Act
from tests.tables import Run

pytestmark = pytest.mark.every_version

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
DAY = date(2022, 5, 5)
COLUMNS = "(id bigint NOT NULL, taken_on date NOT NULL, note text)"
YEAR = "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"


@pytest.fixture(autouse=True)
def readings(run: Run, reader: Engine, act: Act) -> None:
    """The year 2022 of readings is archived."""
    run(f"CREATE TABLE readings {COLUMNS} PARTITION BY RANGE (taken_on)")
    run("CREATE TABLE readings_2022 PARTITION OF readings FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')")
    run(f"CREATE TABLE readings_2026 PARTITION OF readings {YEAR}")
    run("INSERT INTO readings VALUES (1, '2022-05-05', 'a note')")
    act(plan_archive(read_table(reader, "readings"), "readings_2022", now=NOW))


def archived(reader: Engine, table: str) -> list[str]:
    return [one.name for one in read_table(reader, table).archived]


def strays(reader: Engine, table: str) -> list[str]:
    return [one.name for one in read_table(reader, table).strays]


def told(reader: Engine, table: str, check: str) -> list[Finding]:
    desk = desks.desk(reader, now=NOW)
    return [one for one in desk.examine(desk.read(table), None) if one.check == check]


def sampled(reader: Engine) -> dict[str, str]:
    return {one.name: one.table for one in read_present(reader, archive_schema="archive")}


def rewrite(run: Run, **changes: object) -> None:
    """Changes fields of the mark; None takes one away."""
    [(comment,)] = run("SELECT obj_description('archive.readings_2022'::regclass)")
    kind, _, fields = str(comment).partition(" ")
    told = {name: value for name, value in (json.loads(fields) | changes).items() if value is not None}
    run(f"COMMENT ON TABLE archive.readings_2022 IS {literal(f'{kind} {json.dumps(told)}').strip()}")


RENAMES = {
    "renamed": ("ALTER TABLE readings RENAME TO measurements", "measurements"),
    "moved": ("CREATE SCHEMA app; ALTER TABLE readings SET SCHEMA app", "app.readings"),
    "another column renamed": (
        "ALTER TABLE readings RENAME TO measurements; ALTER TABLE measurements RENAME note TO remark",
        "measurements",
    ),
    "a column added and one dropped": (
        "ALTER TABLE readings RENAME TO m; ALTER TABLE m DROP note; ALTER TABLE m ADD more int",
        "m",
    ),
}


@pytest.mark.parametrize("change", RENAMES)
def test_it_is_known_by_its_parent_whatever_that_is_called(reader: Engine, run: Run, change: str) -> None:
    sql, table = RENAMES[change]
    run(sql)
    assert archived(reader, table) == ["readings_2022"]
    assert strays(reader, table) == []
    found = find_rows(reader, read_table(reader, table), DAY)
    assert [(place.kind, place.rows) for place in found.places] == [(Kind.ARCHIVED, 1)]
    assert sampled(reader)["readings_2022"].split(".")[-1] == table.split(".")[-1]


@pytest.mark.parametrize("change", ["renamed", "moved"])
def test_it_comes_back_to_it(reader: Engine, run: Run, act: Act, change: str) -> None:
    sql, table = RENAMES[change]
    run(sql)
    act(desks.reattach(reader, read_table(reader, table), "readings_2022"))
    assert run(f"SELECT tableoid::regclass::text, note FROM {table}") == [("readings_2022", "a note")]
    act(plan_archive(read_table(reader, table), "readings_2022", now=NOW))
    assert archived(reader, table) == ["readings_2022"]


def test_where_the_schema_that_it_stood_in_is_gone_it_comes_back_beside_its_parent(
    reader: Engine, run: Run, act: Act
) -> None:
    run("CREATE SCHEMA app; ALTER TABLE readings SET SCHEMA app; ALTER TABLE readings_2026 SET SCHEMA app")
    rewrite(run, schema="gone")
    act(desks.reattach(reader, read_table(reader, "app.readings"), "readings_2022"))
    assert run("SELECT tableoid::regclass::text FROM app.readings") == [("app.readings_2022",)]


def test_a_renamed_key_keeps_it_listed_and_one_statement_brings_it_back(reader: Engine, run: Run, act: Act) -> None:
    run("ALTER TABLE readings RENAME TO measurements; ALTER TABLE measurements RENAME taken_on TO measured_on")
    run("CREATE INDEX ON measurements (measured_on)")
    table = read_table(reader, "measurements")
    found = find_rows(reader, table, DAY)
    assert [(place.kind, place.rows) for place in found.places] == [(Kind.ARCHIVED, 1)]
    with pytest.raises(NotAttachable) as refused:
        desks.reattach(reader, table, "readings_2022")
    statement = 'ALTER TABLE "archive"."readings_2022" RENAME COLUMN "taken_on" TO "measured_on"'
    assert refused.value.reasons == (
        f"What the table calls measured_on by now it calls taken_on, unless that is another column: {statement};",
    )
    assert [one.hint for one in told(reader, "measurements", "archived_columns")] == list(refused.value.reasons)
    assert [one.severity.value for one in told(reader, "measurements", "half_archived")] == ["ok"]
    run(statement)
    act(desks.reattach(reader, read_table(reader, "measurements"), "readings_2022"))
    assert run("SELECT count(*) FROM measurements") == [(1,)]


def test_a_new_table_of_the_old_name_does_not_inherit_it(reader: Engine, run: Run) -> None:
    run(f"ALTER TABLE readings RENAME TO retired; CREATE TABLE readings {COLUMNS} PARTITION BY RANGE (taken_on)")
    assert archived(reader, "readings") == strays(reader, "readings") == []
    assert archived(reader, "retired") == ["readings_2022"]
    assert sampled(reader)["readings_2022"] == "public.retired"


def test_once_its_parent_is_gone_one_of_the_same_name_and_shape_has_it(reader: Engine, run: Run) -> None:
    run(f"DROP TABLE readings; CREATE TABLE readings {COLUMNS} PARTITION BY RANGE (taken_on)")
    assert archived(reader, "readings") == ["readings_2022"]


@pytest.mark.parametrize("other", ["(id bigint, taken_on date, price numeric)", "(taken_on timestamp)"])
def test_of_a_table_that_is_gone_it_is_a_stray_and_told(reader: Engine, run: Run, other: str) -> None:
    run(f"DROP TABLE readings; CREATE TABLE readings {other} PARTITION BY RANGE (taken_on)")
    table = read_table(reader, "readings")
    assert ([one.name for one in table.archived], [one.name for one in table.strays]) == ([], ["readings_2022"])
    [finding] = told(reader, "readings", "strays")
    assert finding.title == "archive.readings_2022 is of a table that is no longer there: public.readings"
    assert sampled(reader) == {}


def test_a_stray_is_found_and_can_be_given_to_a_table(reader: Engine, run: Run) -> None:
    rewrite(run, oid=None, key=None, cluster=None)  # as the console wrote it before
    run("ALTER TABLE readings RENAME TO measurements")
    table = read_table(reader, "measurements")
    found = find_rows(reader, table, DAY)
    assert [(place.kind, place.rows) for place in found.places] == [(Kind.NO_PARTITION, 0), (Kind.STRAY, 1)]
    note = "Archived on 20 October 2026 from public.readings, a table that is no longer there."
    assert found.verdict == f"The one row of 5 May 2022 is in archive.readings_2022. {note}"
    [finding] = told(reader, "measurements", "strays")
    statement = finding.hint.partition("\n")[2]
    run(statement)
    assert (archived(reader, "measurements"), strays(reader, "measurements")) == (["readings_2022"], [])


def test_a_mark_without_an_oid_still_means_the_table_of_its_name(reader: Engine, run: Run) -> None:
    rewrite(run, oid=None, key=None, cluster=None)
    assert archived(reader, "readings") == ["readings_2022"]


def test_after_a_dump_its_oid_may_be_another_table_s(reader: Engine, run: Run) -> None:
    run(f"CREATE TABLE twin {COLUMNS} PARTITION BY RANGE (taken_on)")
    [(oid,)] = run("SELECT 'twin'::regclass::oid::bigint")
    rewrite(run, oid=oid, cluster="another server")
    assert (archived(reader, "readings"), archived(reader, "twin")) == (["readings_2022"], [])
    rewrite(run, oid=1, cluster="another server")
    assert archived(reader, "readings") == ["readings_2022"]
    [(plain,)] = run("SELECT 'archive.readings_2022'::regclass::oid::bigint")
    rewrite(run, oid=plain)
    assert archived(reader, "readings") == ["readings_2022"]


def test_a_mark_of_a_stranger_s_brings_nothing_by_an_oid(
    reader: Engine, run: Run, make_role: Callable[..., tuple[str, str]]
) -> None:
    [(comment,)] = run("SELECT obj_description('archive.readings_2022'::regclass)")
    role = make_role()[0]
    run(f"CREATE SCHEMA theirs; CREATE TABLE theirs.readings_2019 {COLUMNS}")
    run(f"ALTER TABLE theirs.readings_2019 OWNER TO {role}")
    run(f"COMMENT ON TABLE theirs.readings_2019 IS {literal(comment)}")
    assert (archived(reader, "readings"), strays(reader, "readings")) == (["readings_2022"], [])
    run("DROP TABLE archive.readings_2022; ALTER TABLE readings RENAME TO measurements")
    assert (archived(reader, "measurements"), strays(reader, "measurements")) == ([], [])


def test_it_says_what_it_was_archived_from(run: Run, reader: Engine) -> None:
    table = read_table(reader, "readings")
    tag = Marks.split(str(run("SELECT obj_description('archive.readings_2022'::regclass)")[0][0]))[1].tag
    assert tag is not None
    assert (tag.oid, tag.cluster, tag.key) == (table.oid, table.server.cluster, "taken_on")
