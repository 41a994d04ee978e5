"""Partitions that are not alike: each drift is found, its words put it right as they are printed, and it is gone."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine

from core.doctor.findings import Finding, Severity
from tests import desks
from tests.tables import Run

NOTES = """
CREATE TABLE tenants (tenant text PRIMARY KEY); INSERT INTO tenants VALUES ('a'), ('b');
CREATE TABLE notes (id bigint NOT NULL, tenant text NOT NULL, taken_on date NOT NULL, v int)
    PARTITION BY RANGE (taken_on);
CREATE TABLE notes_2025 PARTITION OF notes FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE notes_2026 PARTITION OF notes FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE notes_2027 PARTITION OF notes FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
INSERT INTO notes SELECT n, 'a', date '2025-01-01' + n, 1 FROM generate_series(1, 1000) n;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := 7; RETURN NEW; END $$;
CREATE PUBLICATION changes;
"""


def told(engine: Engine) -> list[Finding]:
    desk = desks.desk(engine)
    return [found for found in desk.examine(desk.read("notes"), None) if found.check == "siblings"]


def put_right(run: Run, found: Finding) -> None:
    """Runs the words as psql does, one statement after the other."""
    for line in found.hint.splitlines():
        run(line)


DRIFT = {
    "the key PRIMARY KEY (id)": "ALTER TABLE {} ADD PRIMARY KEY (id)",
    "the key UNIQUE (v, id) DEFERRABLE INITIALLY DEFERRED": "ALTER TABLE {} ADD UNIQUE (v, id) INITIALLY DEFERRED",
    "the key EXCLUDE USING btree (id WITH =)": "ALTER TABLE {} ADD EXCLUDE USING btree (id WITH =)",
    "the unique index USING btree (lower(tenant), id)": "CREATE UNIQUE INDEX ON {} (lower(tenant), id)",
    "the CHECK ((v < 9))": "ALTER TABLE {} ADD CHECK (v < 9)",
    "the FOREIGN KEY (tenant) REFERENCES public.tenants(tenant)": "ALTER TABLE {} ADD FOREIGN KEY (tenant) REFERENCES"
    " tenants",
    "NOT NULL on v": "ALTER TABLE {} ALTER v SET NOT NULL",
    "row security": "ALTER TABLE {} ENABLE ROW LEVEL SECURITY",
    "row security for its owner, too": "ALTER TABLE {} FORCE ROW LEVEL SECURITY",
    "the policy own": "CREATE POLICY own ON {} USING (tenant = current_user)",
    "the trigger touch (ENABLE ALWAYS)": "CREATE TRIGGER touch BEFORE UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION"
    " touch(); ALTER TABLE {} ENABLE ALWAYS TRIGGER touch",
    "the replica identity FULL": "ALTER TABLE {} REPLICA IDENTITY FULL",
    "SELECT for pg_monitor": "GRANT SELECT ON {} TO pg_monitor",
    "UPDATE of v for PUBLIC": "GRANT UPDATE (v) ON {} TO PUBLIC",
    "a place in the publication changes": "ALTER PUBLICATION changes ADD TABLE {}",
}


@pytest.mark.every_version
def test_what_one_lacks_is_told_and_put_right(reader: Engine, run: Run) -> None:
    run(NOTES)
    assert [found.severity for found in told(reader)] == [Severity.OK]
    for said, statement in DRIFT.items():
        for name in ("notes_2025", "notes_2027"):
            run(statement.replace("{}", name))
        (found,) = told(reader)
        assert (found.severity, found.subject) == (Severity.WARNING, "notes_2026"), said
        assert found.title == f"notes_2026 lacks what others have: {said}"
        put_right(run, found)
        assert [found.severity for found in told(reader)] == [Severity.OK], (said, found.hint)
    assert run("SELECT count(*) FROM notes_2026") == [(365,)]


def test_all_that_one_lacks_is_one_finding(reader: Engine, run: Run) -> None:
    run(NOTES)
    for statement in DRIFT.values():
        for name in ("notes_2025", "notes_2026"):
            run(statement.replace("{}", name))
    for name in ("notes_2025", "notes_2026"):
        run(f"ALTER TABLE {name} REPLICA IDENTITY USING INDEX {name}_pkey")
    (found,) = told(reader)
    assert found.title.startswith("notes_2027 lacks what others have: ")
    put_right(run, found)
    assert [found.severity for found in told(reader)] == [Severity.OK]


def test_a_right_that_one_alone_gives_is_taken_back(reader: Engine, run: Run) -> None:
    run(NOTES)
    run("GRANT SELECT, DELETE ON notes_2027 TO PUBLIC; GRANT SELECT ON notes_2025, notes_2026 TO pg_monitor")
    run("GRANT SELECT ON notes_2027 TO pg_monitor WITH GRANT OPTION")
    for found in told(reader):
        put_right(run, found)
    assert [found.severity for found in told(reader)] == [Severity.OK]
    run("CREATE TEMP TABLE asked AS SELECT relname, relacl::text FROM pg_class WHERE relname LIKE 'notes_202_'")
    assert run("SELECT count(DISTINCT relacl) FROM asked") == [(1,)]


@pytest.mark.every_version
def test_an_unlogged_partition_is_told_and_logged(reader: Engine, run: Run) -> None:
    run(NOTES)
    for name in ("notes_2025", "notes_2026", "notes_2027"):
        run(f"ALTER TABLE {name} SET UNLOGGED")
    (found,) = told(reader)
    assert found.severity is Severity.WARNING
    assert found.title == "notes_2025, notes_2026 and notes_2027 are UNLOGGED: the rows are gone after a crash"
    put_right(run, found)
    assert [found.severity for found in told(reader)] == [Severity.OK]
    assert run("SELECT count(*) FROM pg_class WHERE relpersistence = 'u'") == [(0,)]


def test_the_default_partition_is_compared_too(reader: Engine, run: Run) -> None:
    run(NOTES)
    run("CREATE TABLE notes_rest PARTITION OF notes DEFAULT")
    for name in ("notes_2025", "notes_2026", "notes_2027"):
        run(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    (found,) = told(reader)
    assert found.title == "notes_rest lacks what others have: row security"


def test_settings_that_change_with_age_are_noted_of_the_newest_alone(reader: Engine, run: Run) -> None:
    run(NOTES)
    run("CREATE TABLE notes_2024 PARTITION OF notes FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
    run("ALTER TABLE notes_2024 SET (fillfactor = 100); CREATE INDEX ON notes_2024 (v)")
    assert [found.severity for found in told(reader)] == [Severity.OK]
    run("ALTER TABLE notes_2027 SET (autovacuum_enabled = off)")
    (found,) = told(reader)
    assert found.severity is Severity.NOTE
    assert found.title == "The newest partitions differ: notes_2027: autovacuum_enabled=off"


def test_what_stood_on_the_others_after_ensure_made_it_bare(worker: Engine, reader: Engine, run: Run) -> None:
    """One that has it and one that has not: nothing is gained by waiting for a third."""
    run(NOTES)
    run("DROP TABLE notes_2025; ALTER TABLE notes_2026 ADD PRIMARY KEY (id)")
    (found,) = told(reader)
    assert found.title == "notes_2027 lacks what others have: the key PRIMARY KEY (id)"
    put_right(run, found)
    run("INSERT INTO notes VALUES (9999, 'a', '2027-02-02', 1)")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        run("INSERT INTO notes VALUES (9999, 'a', '2027-02-03', 1)")


def test_partitions_that_somebody_holds_are_left_out(reader: Engine, run: Run, session: Any) -> None:
    run(NOTES)
    session().hold("LOCK TABLE notes_2026 IN ACCESS EXCLUSIVE MODE")
    assert [found.severity for found in told(reader)] == [Severity.OK]
