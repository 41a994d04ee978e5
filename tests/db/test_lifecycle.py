"""The whole life of a partition on real servers: ensured, filled, archived, reattached, and equal to what it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from core.names import qualified
from core.period import Period, Range
from core.plans import steps
from core.plans.archive import ARCHIVE, plan_archive
from core.plans.ensure import ENSURE
from core.plans.plan import Plan
from core.plans.reattach import REATTACH
from core.tables.archived import Archived, Source
from core.tables.bounds import Bounds
from core.tables.catalog.table import read_table
from core.tables.table import PartitionedTable
from tests import desks
from tests.conftest import Act, OpenSession
from tests.tables import KEY_TYPES, Made, Run, describe, fingerprint

pytestmark = pytest.mark.all_versions

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
Make = Callable[..., Made]

NAMES = {
    "63 bytes": "a" * 63,
    "62 bytes in Cyrillic": "отсутствия_детей_в_школе_номер_",
    "quotes": 'Kid "absent" \'s',
    "backslash": "kid\\absences\\'",
    "percent": "100% of %s %(days)s",
    "colon": "time:of :day::date",
    "space and capitals": "Kid Absences",
    "Chinese": "孩子缺勤记录",
    "dot": "kid.absences",
    "dollar": "kid$absences$$1",
    "braces": "kid{0}{name}",
    "a keyword": "table",
    "parentheses": "kid (absences) AND OR",
}


@dataclass
class Desk:
    """What a test walks with."""

    reader: Engine
    act: Act
    run: Run

    def read(self, made: Made) -> PartitionedTable:
        return read_table(self.reader, made.address)

    def ensure(self, made: Made, *ranges: Range) -> Plan:
        plan = desks.ensure(self.reader, self.read(made), ranges)
        self.act(plan)
        return plan

    def archive(self, made: Made, name: str) -> Plan:
        plan = plan_archive(self.read(made), name, now=NOW)
        self.act(plan)
        return plan

    def reattach(self, made: Made, name: str) -> Plan:
        plan = desks.reattach(self.reader, self.read(made), name)
        self.act(plan)
        return plan


@pytest.fixture
def desk(reader: Engine, act: Act, run: Run) -> Desk:
    return Desk(reader, act, run)


def state_of(desk: Desk, made: Made, name: str) -> tuple[Any, ...]:
    """Everything that has to be as it was: what the console reads, what the catalog says, and the rows."""
    table = desk.read(made)
    relation = qualified(made.schema, name)
    return (
        replace(table, archive=replace(table.archive, exists=True, may_create=True)),
        describe(desk.run, made.sql),
        describe(desk.run, relation),
        describe(desk.run, qualified(made.schema, made.default)) if table.default else None,
        fingerprint(desk.reader, made.sql),
        fingerprint(desk.reader, relation),
    )


def found_archived(desk: Desk, made: Made, name: str) -> Archived:
    """The archived table, which is no partition any more."""
    table = desk.read(made)
    assert table.find(name) is None
    archived = table.find_archived(name)
    assert archived is not None
    return archived


def walk(desk: Desk, made: Made) -> None:
    """Ensure, insert, then archive and reattach the oldest partition, twice."""
    last = made.ranges[-1][1]
    coming = (last, made.period.after(last))
    desk.ensure(made, coming)
    ensured = desk.read(made).find(made.partition(last))
    assert ensured is not None
    assert ensured.bounds == Bounds.between(made.key, *coming)
    assert not desk.ensure(made, *made.ranges, coming).steps
    made.insert(*coming, rows=7)
    assert desk.run(f"SELECT count(*) FROM ONLY {qualified(made.schema, ensured.name)}") == [(7,)]

    name = made.first
    before = state_of(desk, made, name)
    rows = made.count()
    for _ in range(2):
        desk.archive(made, name)
        assert made.count() == rows - 20
        archived = found_archived(desk, made, name)
        assert (archived.schema, archived.source) == ("archive", Source.TAG)
        assert archived.bounds == Bounds.between(made.key, *made.ranges[0])
        check = archived.bounds_check(made.key)
        assert check is not None
        assert check.validated
        assert fingerprint(desk.reader, archived.sql) == before[-1]

        desk.reattach(made, name)
        after = state_of(desk, made, name)
        assert after == before
        assert after[0].archived == ()


@pytest.mark.parametrize("key_type", list(KEY_TYPES))
def test_every_key_type(desk: Desk, make_table: Make, key_type: str) -> None:
    walk(desk, make_table(key_type=key_type, period=Period.MONTH))


@pytest.mark.one_in(4)
@pytest.mark.newest_version
@pytest.mark.parametrize("period", list(Period))
@pytest.mark.parametrize("key_type", list(KEY_TYPES))
def test_every_key_type_and_period(desk: Desk, make_table: Make, key_type: str, period: Period) -> None:
    walk(desk, make_table(key_type=key_type, period=period, start=date(2023, 12, 29)))


@pytest.mark.one_in(4)
@pytest.mark.every_version  # 16 and 17 take names as their neighbours do
@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_hostile_names(desk: Desk, make_table: Make, name: str) -> None:
    made = make_table(name, schema=f"in {name}"[:20], key=name)
    walk(desk, made)
    assert desk.read(made).schema == f"in {name}"[:20]


def test_names_of_63_bytes_stay_apart(desk: Desk, make_table: Make) -> None:
    first, second = make_table("a" * 62 + "b"), make_table("a" * 62 + "c")
    desk.ensure(first, (date(2026, 1, 1), date(2027, 1, 1)))
    desk.ensure(second, (date(2026, 1, 1), date(2027, 1, 1)))
    names = {p.name for made in (first, second) for p in desk.read(made).partitions}
    assert len(names) == 8
    assert max(len(name.encode()) for name in names) == 63


def test_with_a_default_partition(desk: Desk, make_table: Make) -> None:
    walk(desk, make_table(default=True))


def test_with_a_foreign_key(desk: Desk, make_table: Make) -> None:
    walk(desk, make_table(foreign_key=True))


def test_with_a_default_partition_and_a_foreign_key(desk: Desk, make_table: Make) -> None:
    walk(desk, make_table(default=True, foreign_key=True, key_type="timestamptz"))


def test_referenced_by_another_table_that_holds_none_of_its_rows(desk: Desk, make_table: Make, run: Run) -> None:
    made = make_table()
    run("CREATE TABLE public.letters (kid_id bigint, day date, FOREIGN KEY (kid_id, day) REFERENCES kid_absences"
        " (kid_id, date))")  # fmt: skip
    run("INSERT INTO public.letters SELECT kid_id, date FROM kid_absences WHERE date >= '2024-01-01' LIMIT 3")
    walk(desk, made)


def test_rights_comment_and_storage_of_the_partition_stay(desk: Desk, make_table: Make, run: Run) -> None:
    made = make_table()
    run(f"COMMENT ON TABLE public.{made.first} IS 'checked by Anna:\nit''s \\ 100% fine'")
    run(f"GRANT SELECT ON public.{made.first} TO PUBLIC")
    run(f"ALTER TABLE public.{made.first} SET (fillfactor = 80)")
    walk(desk, made)
    desk.archive(made, made.first)
    archived = found_archived(desk, made, made.first)
    assert archived.comment == "checked by Anna:\nit's \\ 100% fine"
    assert archived.tag is not None
    assert archived.tag.parent == made.sql


@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_a_users_own_check_of_the_bounds_stays(desk: Desk, make_table: Make, run: Run, default: bool) -> None:
    made = make_table(default=default)
    run(f"ALTER TABLE {made.first} ADD CONSTRAINT mine CHECK (date IS NOT NULL AND date >= '2022-01-01'"
        " AND date < '2023-01-01')")  # fmt: skip
    walk(desk, made)


def test_archive_is_closed_to_the_public(desk: Desk, make_table: Make, run: Run) -> None:
    desk.archive(make_table(), "kid_absences_2022")
    assert run("SELECT has_schema_privilege('public', 'archive', 'USAGE')") == [(False,)]
    assert run("SELECT nspacl FROM pg_namespace WHERE nspname = 'archive'") != [(None,)]


BY_HAND = ("CREATE SCHEMA IF NOT EXISTS archive", "{detach}", "ALTER TABLE {partition} SET SCHEMA archive")


@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
@pytest.mark.parametrize(
    ("detach", "source"), [("", Source.NAME), (" CONCURRENTLY", Source.CHECK)], ids=["plain", "concurrently"]
)
def test_archived_by_hand(desk: Desk, make_table: Make, run: Run, detach: str, source: Source, default: bool) -> None:
    made = make_table("Kid Absences", key_type="timestamptz", default=default and not detach)
    before = state_of(desk, made, made.first)
    relation = qualified("public", made.first)
    for statement in BY_HAND:
        run(statement.format(detach=f"ALTER TABLE {made.sql} DETACH PARTITION {relation}{detach}", partition=relation))
    archived = found_archived(desk, made, made.first)
    assert (archived.source, archived.tag, archived.bounds) == (source, None, Bounds.between(made.key, *made.ranges[0]))
    desk.reattach(made, made.first)
    assert fingerprint(desk.reader, made.sql) == before[-2]
    after = desk.read(made).find(made.first)
    assert after is not None
    assert after.bounds == archived.bounds
    assert [check.name for check in after.checks if check.range_on(made.key)] == [
        check.name for check in archived.checks if check.range_on(made.key)
    ]


def play(run: Run, plan: Plan) -> None:
    """Runs the script that the plan shows, as psql would."""
    for step in plan.steps:
        for statement in ["BEGIN", *step.statements, "COMMIT"] if step.transactional else step.statements:
            run(statement)


@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_the_shown_sql_is_all_there_is_to_it(desk: Desk, make_table: Make, session: OpenSession, default: bool) -> None:
    made = make_table(default=default, foreign_key=True)
    psql = session()
    before = state_of(desk, made, made.first)
    play(psql.run, plan_archive(desk.read(made), made.first, now=NOW))
    assert found_archived(desk, made, made.first).source is Source.TAG
    play(psql.run, desks.reattach(desk.reader, desk.read(made), made.first))
    assert state_of(desk, made, made.first) == before


@pytest.mark.parametrize("key_type", list(KEY_TYPES))
@pytest.mark.parametrize("default", [False, True], ids=["", "default"])
def test_reattaching_reads_no_row(
    desk: Desk, make_table: Make, session: OpenSession, default: bool, key_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "READ_UNDER_LOCK", -1)  # no DEFAULT is small enough to be read under the lock
    made = make_table(key_type=key_type, default=default)
    desk.archive(made, made.first)
    plan = desks.reattach(desk.reader, desk.read(made), made.first)
    psql = session()
    *proofs, attach = plan.steps
    assert any("VALIDATE" in s for step in proofs for s in step.statements) is default
    for step in proofs:
        for statement in step.statements:
            psql.run(statement)
    psql.run("SET client_min_messages = debug1")
    for statement in attach.statements:
        psql.run(statement)
    said = "".join(psql.connection.notices)
    assert f'partition constraint for table "{made.first}" is implied by existing constraints' in said
    updated = f'updated partition constraint for default partition "{made.default}" is implied by existing constraints'
    assert (updated in said) is default
    assert "verifying table" not in said
    assert "building index" not in said


def test_reattaching_what_lacks_an_index_a_constraint_and_a_foreign_key(
    desk: Desk, make_table: Make, run: Run, session: OpenSession
) -> None:
    made = make_table(foreign_key=True)
    before = fingerprint(desk.reader, made.sql)
    desk.archive(made, made.first)
    run("ALTER TABLE archive.kid_absences_2022 DROP CONSTRAINT kid_absences_2022_kid_id_fkey1"
        if run("SELECT 1 FROM pg_constraint WHERE conname = 'kid_absences_2022_kid_id_fkey1'")
        else "ALTER TABLE archive.kid_absences_2022 DROP CONSTRAINT kid_absences_kid_id_fkey")  # fmt: skip
    run("ALTER TABLE archive.kid_absences_2022 DROP CONSTRAINT kid_absences_2022_kid_id_date_key")
    run("DROP INDEX archive.kid_absences_2022_date_idx")
    run("CREATE INDEX ON public.kid_absences (reason) WHERE reason <> 'ill'")
    run("CREATE UNIQUE INDEX ON public.kid_absences (date, kid_id DESC) INCLUDE (id)")
    plan = desks.reattach(desk.reader, desk.read(made), made.first)
    titles = [step.title for step in plan.steps]
    assert sum(title.startswith("Build the missing index") for title in titles) == 4
    assert "Check every row against public.kids" in titles
    psql = session()
    for step in plan.steps[:-1]:
        for statement in step.statements:
            psql.run(statement)
    psql.run("SET client_min_messages = debug1")
    play(psql.run, replace(plan, steps=plan.steps[-1:]))
    said = "".join(psql.connection.notices)
    assert "verifying" not in said  # neither rows against the bounds nor against a foreign key
    assert "building index" not in said
    assert fingerprint(desk.reader, made.sql) == before
    child = [row for row in describe(run, "public.kid_absences_2022") if row[0] == "index"]
    parent = [row for row in describe(run, "public.kid_absences") if row[0] == "index"]
    assert len(child) == len(parent) == 4
    foreign = run("SELECT conparentid <> 0, convalidated FROM pg_constraint"
                  " WHERE conrelid = 'kid_absences_2022'::regclass AND contype = 'f'")  # fmt: skip
    assert foreign == [(True, True)]


def test_an_invalid_index_of_an_interrupted_build_is_built_anew(desk: Desk, make_table: Make, run: Run) -> None:
    made = make_table()
    desk.archive(made, made.first)
    run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'archive.kid_absences_2022_date_idx'::regclass")
    plan = desk.reattach(made, made.first)
    assert "Take away the unfinished index kid_absences_2022_date_idx" in [step.title for step in plan.steps]
    assert all(valid for (valid,) in run("SELECT indisvalid FROM pg_index WHERE indrelid ="
                                         " 'kid_absences_2022'::regclass"))  # fmt: skip
    assert made.count() == 60


def test_a_partition_that_stood_in_another_schema_goes_back_there(desk: Desk, make_table: Make, run: Run) -> None:
    made = make_table()
    run("CREATE SCHEMA elsewhere")
    run(f"ALTER TABLE {made.first} SET SCHEMA elsewhere")
    before = fingerprint(desk.reader, made.sql)
    desk.archive(made, made.first)
    desk.reattach(made, made.first)
    partition = desk.read(made).find(made.first)
    assert partition is not None
    assert partition.schema == "elsewhere"
    assert fingerprint(desk.reader, made.sql) == before


def test_the_detach_of_one_table_leaves_its_twin_alone(desk: Desk, make_table: Make) -> None:
    """Tables of one name in two schemas archive into one: the second finds the name taken, and nothing happens."""
    one, two = make_table(), make_table(schema="north")
    desk.archive(one, one.first)
    with pytest.raises(Exception, match="archive already holds kid_absences_2022") as refused:
        desk.archive(two, two.first)
    assert type(refused.value).__name__ == "NameTaken"
    assert two.count() == 60
    assert desk.read(two).archived == ()


def test_later_rows_of_an_archived_range_fail_or_go_to_the_default(desk: Desk, make_table: Make, run: Run) -> None:
    made = make_table(default=True)
    desk.archive(made, made.first)
    made.insert(*made.ranges[0], rows=3)
    assert run(f"SELECT count(*) FROM {made.default}") == [(3,)]
    with pytest.raises(Exception, match="The DEFAULT partition kid_absences_default holds 3 rows of its range"):
        desk.reattach(made, made.first)
    run(f"DELETE FROM {made.default}")
    desk.reattach(made, made.first)
    assert made.count() == 60


def test_operations_of_a_plan_are_what_they_say(desk: Desk, make_table: Make) -> None:
    made = make_table()
    operations = [
        desk.ensure(made, (date(2027, 1, 1), date(2028, 1, 1))).operation,
        desk.archive(made, made.first).operation,
        desk.reattach(made, made.first).operation,
    ]
    assert operations == [ENSURE, ARCHIVE, REATTACH]
