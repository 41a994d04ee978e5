"""The rows of a DEFAULT partition move into partitions of their own, and nothing else of the database changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine

from core.console.desk import Desk
from core.doctor.findings import Severity
from core.errors import DeskError, Refused
from core.names import qualified
from core.plans.drain import Drain
from core.plans.under_way import Abandon
from core.postgres.connection import parse_url, working_engine
from tests import desks
from tests.conftest import ADMIN, OpenSession
from tests.moving import TRACES, everything, make_visits
from tests.tables import Made, Run, describe

NOW = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture
def desk(worker: Engine) -> Desk:
    return desks.desk(worker, now=NOW)


def bounds(run: Run) -> dict[str, str]:
    return dict(
        run(
            "SELECT c.relname::text, pg_get_expr(c.relpartbound, 0) FROM pg_inherits i"
            " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'visits'::regclass"
        )
    )


def own_of(run: Run, relation: str) -> list[tuple[Any, ...]]:
    """What the catalog says of it, without the part of a foreign key that PostgreSQL keeps for each partition."""
    return [one for one in describe(run, relation) if one[0] != "constraint" or one[2].endswith(" f")]


def drain(desk: Desk, table: str = "visits") -> None:
    desk.run(desk.plan(Drain(table)), ADMIN)


@pytest.mark.every_version
def test_rows_move_and_nothing_else_changes(run: Run, desk: Desk) -> None:
    make_visits(run)
    run("INSERT INTO visits (kid_id, day) VALUES (7, '9999-12-01'), (8, '1850-01-01'), (9, 'infinity')")
    run("TRUNCATE log")
    relations = ("visits", "bills", "log", "kids")
    before = everything(run, *relations)
    own, inner = describe(run, "visits_default"), own_of(run, "bills")
    plan = desk.plan(Drain("visits"))
    assert plan.makes == ("visits_2025_01", "visits_2025_02", "visits_2025_03", "visits_default")
    assert plan.effects[0].startswith("visits_2025_01 (310 rows), visits_2025_02 (280 rows) and visits_2025_03 (310 ro")
    assert plan.effects[1:3] == (
        "1 row before 1900 stays in visits_default.",
        "2 rows from 2045 on, which nobody means, stay in visits_default.",
    )
    desk.run(plan, ADMIN)
    assert everything(run, *relations) == before
    assert describe(run, "visits_default") == own
    assert own_of(run, "bills") == inner
    assert run("SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'of_visit'") == [
        ("what it is for",)
    ] + [(None,)] * (len(run("SELECT 1 FROM pg_constraint WHERE conname = 'of_visit'")) - 1)
    assert run("SELECT day FROM ONLY visits_default ORDER BY 1") != []
    assert everything(run, "ONLY visits_default")[0][0] == 3
    assert [run(f"SELECT count(*) FROM ONLY visits_2025_0{n}")[0][0] for n in (1, 2, 3)] == [310, 280, 310]
    assert bounds(run)["visits_2025_02"] == "FOR VALUES FROM ('2025-02-01') TO ('2025-03-01')"
    assert run(TRACES) == []
    like = [one for one in describe(run, "visits_2024_12") if one[0] in ("constraint", "trigger")]
    made = [one for one in describe(run, "visits_2025_01") if one[0] in ("constraint", "trigger")]
    assert [one[2] for one in made] == [one[2] for one in like]
    again = desk.plan(Drain("visits"))
    assert not again.steps
    assert "holds no row that a partition could be made for" in again.effects[0]
    # and the keys hold: what a visit takes with it, and what has no visit
    run("DELETE FROM visits WHERE day = '2025-02-02'")
    assert run("SELECT count(*) FROM bills WHERE day = '2025-02-02'") == [(0,)]
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        run("INSERT INTO bills VALUES (0, 0, '2025-02-02')")
    run("INSERT INTO visits (kid_id, day) VALUES (1, '2025-02-02')")


WRITES = (
    "INSERT INTO visits (id, kid_id, day, note) VALUES (5{n}001, 1, '2025-01-31', 'a'),"
    " (5{n}002, 2, '2025-03-02', 'b')",
    "UPDATE visits SET note = note || '!' WHERE id % 7 = {n} % 7",
    "UPDATE visits SET day = day + 31 WHERE id % 31 = {n} AND day < '2025-02-20' AND day >= '2025-01-01'",
    "UPDATE visits SET id = id + 100000 WHERE id % 37 = {n} AND id < 100000",
    "UPDATE visits SET day = '2024-12-24' WHERE id % 41 = {n}",
    "UPDATE visits SET day = '2025-02-24' WHERE id % 43 = {n} AND day < '2025-01-01'",
    "DELETE FROM visits WHERE id % 29 = {n}",
    "INSERT INTO visits (id, kid_id, day, note) SELECT id, kid_id, day, 'again' FROM visits WHERE id % 17 = {n}"
    " ON CONFLICT (id, day) DO UPDATE SET note = EXCLUDED.note",
    "DELETE FROM kids WHERE id = {n} + 3",
)
"""Every kind of write, each another at each {n}."""


def test_what_is_written_between_any_two_steps_is_carried_over(run: Run, desk: Desk, session: OpenSession) -> None:
    """A twin of the table takes the same writes: in the end both hold the same."""
    make_visits(run, cascade=False)
    run(
        "CREATE TABLE twin (LIKE visits INCLUDING ALL);"
        "INSERT INTO twin (id, kid_id, day, note) SELECT id, kid_id, day, note FROM visits;"
        "ALTER TABLE twin ADD FOREIGN KEY (kid_id) REFERENCES kids ON DELETE CASCADE"
    )
    other, count = session(), iter(range(100))

    def between(doing: str, _: object) -> None:
        if doing:
            number = next(count)
            for sql in WRITES:
                other.run(sql.format(n=number))
                if "kids" not in sql:
                    other.run(sql.format(n=number).replace("visits", "twin"))

    desk.run(desk.plan(Drain("visits")), ADMIN, progress=between)
    assert next(count) > 5
    assert everything(run, "visits") == everything(run, "twin")
    assert run(TRACES) == []


def begun(desk: Desk, until: str, table: str = "visits") -> None:
    """Drains up to the step of that title, which is not begun."""

    class Stop(Exception):
        pass

    def between(doing: str, _: object) -> None:
        if doing.startswith(until):
            raise Stop

    with pytest.raises(Stop):
        desk.run(desk.plan(Drain(table)), ADMIN, progress=between)


def test_an_older_snapshot_is_refused_rather_than_let_lose_a_row(run: Run, desk: Desk, session: OpenSession) -> None:
    make_visits(run, cascade=False)
    old = session()
    old.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    old.run("SELECT count(*) FROM visits")
    begun(desk, "Add the foreign keys")
    for sql in ("DELETE FROM visits WHERE day = '2025-01-05'", "UPDATE visits SET note = 'x' WHERE day = '2025-01-05'"):
        old.run("SAVEPOINT one")
        with pytest.raises(psycopg2.errors.SerializationFailure):
            old.run(sql)
        old.run("ROLLBACK TO one")
    old.run("COMMIT")
    # a snapshot of now sees the copy, and writes
    old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; DELETE FROM visits WHERE day = '2025-01-05'; COMMIT")
    rows = everything(run, "visits")
    drain(desk)
    assert everything(run, "visits") == rows


def test_it_goes_on_where_it_was_and_copies_a_table_anew_that_was_rewritten(run: Run, desk: Desk) -> None:
    make_visits(run, cascade=False)
    rows = everything(run, "visits")
    begun(desk, "Copy")
    plan = desk.plan(Drain("visits"))
    assert plan.meanwhile[0].startswith("It was begun already: 0% is copied")
    run("UPDATE partition_desk_move_{} SET block = last".format(run("SELECT 'visits'::regclass::oid")[0][0]))
    run("VACUUM FULL visits_default")
    drain(desk)
    assert everything(run, "visits") == rows


def test_the_doctor_tells_of_what_was_begun(run: Run, desk: Desk) -> None:
    make_visits(run, cascade=False)
    begun(desk, "Copy")
    (found,) = (one for one in desk.examine(desk.read("visits"), None) if one.check == "leftovers")
    assert found.title == "The rows of visits_default are being moved, and that is not finished"
    assert "partitions drain --table public.visits" in found.hint.splitlines()
    assert "partitions drain --abandon --table public.visits" in found.hint.splitlines()
    drain(desk)
    (found,) = (one for one in desk.examine(desk.read("visits"), None) if one.check == "leftovers")
    assert found.severity is Severity.OK


def test_a_mirror_that_somebody_switched_off_is_found(run: Run, desk: Desk) -> None:
    make_visits(run, cascade=False)
    begun(desk, "Compare")
    run("ALTER TABLE visits_default DISABLE TRIGGER ALL; UPDATE visits SET note = 'unseen' WHERE day = '2025-01-07'")
    run("ALTER TABLE visits_default ENABLE ALWAYS TRIGGER partition_desk_mirror")
    rows = everything(run, "visits")
    with pytest.raises(DeskError, match="The rows that were copied are not those that are there"):
        drain(desk)
    desk.run(desk.plan(Abandon("visits")), ADMIN)
    assert run(TRACES) == []
    drain(desk)
    assert everything(run, "visits") == rows


def test_a_trigger_that_is_off_at_the_switch_stops_it(run: Run, desk: Desk) -> None:
    make_visits(run, cascade=False)
    begun(desk, "Put the new")
    plan = desk.plan(Drain("visits"))

    def between(doing: str, _: object) -> None:
        if doing.startswith("Put the new"):
            run("ALTER TABLE visits_default DISABLE TRIGGER partition_desk_mirror")

    with pytest.raises(DeskError, match="switched off what keeps it in step"):
        desk.run(plan, ADMIN, progress=between)
    assert bounds(run)["visits_default"] == "DEFAULT"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("ALTER TABLE visits DROP CONSTRAINT visits_pkey", "has no primary key or unique constraint"),
        ("ALTER TABLE visits_default ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY"),
        ("CREATE VIEW seen AS SELECT * FROM visits_default", "view public.seen is made on the partition itself"),
        ("CREATE TABLE x (a bigint, d date, FOREIGN KEY (a, d) REFERENCES visits_default)", "leads to the partition"),
        ("CREATE PUBLICATION everything FOR ALL TABLES", "The publication everything sends partitions"),
        ("CREATE PUBLICATION one FOR TABLE visits", "The publication one sends partitions"),
    ],
)
def test_what_stands_in_the_way_is_told_before_anything_is_made(run: Run, desk: Desk, change: str, why: str) -> None:
    make_visits(run, cascade=False)
    run(change)
    with pytest.raises(Refused, match=why):
        desk.plan(Drain("visits"))
    assert run(TRACES) == []


def test_a_publication_by_the_root_is_no_obstacle(run: Run, desk: Desk) -> None:
    make_visits(run, cascade=False)
    run("CREATE PUBLICATION one FOR TABLE visits WITH (publish_via_partition_root = true)")
    rows = everything(run, "visits")
    drain(desk)
    assert everything(run, "visits") == rows


def test_names_of_any_kind_and_moments_in_a_zone(make_table: Callable[..., Made], run: Run, worker: Engine) -> None:
    made = make_table(
        schema="No.rth", name="Kid \"A\" 100%; $(x) 'b'", key="The Day: %s", key_type="timestamptz", default=True
    )
    made.insert(date(2026, 1, 1), date(2027, 1, 1), 300)
    made.insert(date(2031, 1, 1), date(2032, 1, 1), 50)
    rows = everything(run, made.sql)
    desk = desks.desk(worker, now=NOW)
    desk.run(desk.plan(Drain(made.address)), ADMIN)
    assert everything(run, made.sql) == rows
    assert everything(run, f"ONLY {qualified(made.schema, made.default)}")[0][0] == 0
    assert len(desk.read(made.address).ranges) == 5


def test_writers_of_another_role_with_few_rights_are_carried_over(
    make_role: Callable[..., tuple[str, str]], run: Run
) -> None:
    """The owner acts; who may only write through the table, and whom row security binds, goes on writing."""
    owner, url = make_role("pd_owner")
    writer, _ = make_role("pd_writer")
    make_visits(run, cascade=False)
    run(f"GRANT CREATE, USAGE ON SCHEMA public TO {owner}; GRANT USAGE ON SCHEMA public TO {writer}")
    run(f"GRANT CREATE ON DATABASE {run('SELECT current_database()')[0][0]} TO {owner}")
    for name in ("visits", "visits_2024_11", "visits_2024_12", "visits_default", "kids"):
        run(f"ALTER TABLE {name} OWNER TO {owner}")
    run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON visits TO {writer}; ALTER TABLE visits ENABLE ROW LEVEL SECURITY")
    run(f"CREATE POLICY own ON visits TO {writer} USING (kid_id < 50) WITH CHECK (kid_id < 50)")
    run(f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {writer}")
    engine = working_engine(parse_url(url))
    try:
        desk = desks.desk(engine, now=NOW)

        def between(doing: str, _: object) -> None:
            if doing.startswith(("Copy", "Compare")):
                run(f"SET ROLE {writer}")
                run("UPDATE visits SET note = note || '+' WHERE day < '2025-02-01'")
                run("DELETE FROM visits WHERE id % 9 = 1")
                run("INSERT INTO visits (id, kid_id, day) SELECT max(id) + 7000, 1, '2025-02-03' FROM visits")
                for name in ("visits_2025_01", "visits_default_new"):
                    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                        run(f"SELECT 1 FROM {name}")
                run("RESET ROLE")
                rows[:] = everything(run, "visits")

        rows: list[Any] = []
        desk.run(desk.plan(Drain("visits")), ADMIN, progress=between)
    finally:
        engine.dispose()
    assert everything(run, "visits") == rows
    assert run(TRACES) == []
