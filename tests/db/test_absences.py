"""kid_absences and its start-up helper on a real server: what it makes, what it logs, and who it never holds up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine, create_engine, event

from core.absences import create_table, definition, ensure_absence_partition_for_year, ensure_absence_partitions
from core.errors import (
    ConnectionFailed,
    NotAllowed,
    NotServed,
    Overlap,
    ServerFull,
    SettingError,
    TableNotFound,
    UsageError,
)
from core.postgres.connection import parse_url
from tests.starting import Starting

TODAY = date(2025, 6, 1)
BEGUN = "🔄 Ensuring absence partitions..."
ENSURED = "✅ Absence partitions ensured successfully"
BOUNDS = {
    "kid_absences_2025": "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    "kid_absences_2026": "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
}


@pytest.fixture
def application(database_url: str) -> Iterator[Engine]:
    """An application's own engine, with settings of its own, and an empty kid_absences."""
    engine = create_engine(parse_url(database_url), isolation_level="SERIALIZABLE", pool_size=1, max_overflow=0)
    create_table(engine)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("ENABLE_ABSENCE_PARTITIONS", "PARTITION_DESK_TABLE"):
        monkeypatch.delenv(name, raising=False)
    caplog.set_level(logging.INFO, logger="core.absences")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "core.absences"]


def partitions(run: Callable[[str], list[tuple[Any, ...]]], parent: str = "public.kid_absences") -> dict[str, str]:
    return dict(
        run(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c"
            f" ON c.oid = i.inhrelid WHERE i.inhparent = '{parent}'::regclass ORDER BY 1"
        )
    )


@pytest.mark.all_versions
def test_this_year_and_next_are_created_and_logged_as_the_procedure_shows(
    application: Engine, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    created = ensure_absence_partitions(application, today=TODAY)

    assert created == ("kid_absences_2025", "kid_absences_2026")
    assert partitions(run) == BOUNDS
    assert said(caplog) == [
        BEGUN,
        "Created partition kid_absences_2025 for 2025-01-01 to 2026-01-01",
        "Created partition kid_absences_2026 for 2026-01-01 to 2027-01-01",
        ENSURED,
    ]
    done = run("SELECT kind, subject, state, origin FROM partition_desk.operation ORDER BY id")
    assert done == [(("ensure"), year, "done", "application start-up") for year in ("2025", "2026")]


def test_each_partition_has_the_indexes_and_the_unique_constraint(application: Engine, run: Any) -> None:
    ensure_absence_partitions(application, today=TODAY)
    for child in BOUNDS:
        indexes = run(
            f"SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'public.{child}'::regclass ORDER BY 1"
        )
        assert [definition.split(" USING ")[1] for (definition,) in indexes] == [
            "btree (date)",
            "btree (kid_id, date)",
            "btree (id, date)",
        ]
    run("INSERT INTO kid_absences (kid_id, date) VALUES (1, '2025-03-01')")
    with pytest.raises(psycopg2.errors.UniqueViolation, match="kid_absences_2025_kid_id_date_key"):
        run("INSERT INTO kid_absences (kid_id, date) VALUES (1, '2025-03-01')")


def test_nothing_missing_costs_one_round_trip(application: Engine, caplog: pytest.LogCaptureFixture) -> None:
    ensure_absence_partitions(application, today=TODAY)
    caplog.clear()
    statements: list[str] = []
    event.listen(application, "before_cursor_execute", lambda *args: statements.append(args[2]))

    assert ensure_absence_partitions(application, today=TODAY) == ()
    assert len(statements) == 1
    assert said(caplog) == [BEGUN, ENSURED]


def test_nothing_missing_costs_one_round_trip_on_the_engine_of_core_database(
    application: Engine, worker: Engine
) -> None:
    ensure_absence_partitions(application, today=TODAY)
    statements: list[str] = []
    event.listen(worker, "before_cursor_execute", lambda *args: statements.append(args[2]))

    assert ensure_absence_partitions(worker, today=TODAY) == ()
    assert len(statements) == 1


def test_switched_off_it_does_nothing(application: Engine, run: Any) -> None:
    assert ensure_absence_partitions(application, today=TODAY, environ={"ENABLE_ABSENCE_PARTITIONS": "false"}) == ()
    assert partitions(run) == {}


def test_neither_true_nor_false_is_an_error_that_names_it(application: Engine) -> None:
    with pytest.raises(SettingError, match="ENABLE_ABSENCE_PARTITIONS is 'maybe'"):
        ensure_absence_partitions(application, today=TODAY, environ={"ENABLE_ABSENCE_PARTITIONS": "maybe"})


def test_one_year_as_the_procedure_has_it(
    database_url: str, application: Engine, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    from core.postgres.connection import engine

    try:
        assert ensure_absence_partition_for_year(engine, 2027) == "kid_absences_2027"
        assert ensure_absence_partition_for_year(engine, 2027) is None
        with pytest.raises(UsageError, match="'20277' is not a year"):
            ensure_absence_partition_for_year(engine, 20277)
    finally:
        engine.dispose()
    assert list(partitions(run)) == ["kid_absences_2027"]


def test_the_tables_settings_name_another_table(application: Engine, run: Any) -> None:
    environ = {"PARTITION_DESK_TABLE": 'public."Kid %s: Absences"'}
    create_table(application, environ["PARTITION_DESK_TABLE"])
    assert ensure_absence_partitions(application, today=TODAY, environ=environ) == (
        "Kid %s: Absences_2025",
        "Kid %s: Absences_2026",
    )
    assert partitions(run) == {}


def test_the_applications_search_path_decides_whose_table_it_is(
    database_url: str, application: Engine, run: Any
) -> None:
    run("CREATE SCHEMA tenant")
    create_table(application, "tenant.kid_absences")
    engine = create_engine(parse_url(database_url), connect_args={"options": "-c search_path=tenant"})
    ensure_absence_partitions(engine, today=TODAY)
    engine.dispose()
    assert partitions(run) == {}
    assert partitions(run, "tenant.kid_absences") == BOUNDS


def test_partitions_narrower_than_a_year_are_filled_up(application: Engine, run: Any) -> None:
    for month in (1, 2):
        run(
            f"CREATE TABLE kid_absences_2025_0{month} PARTITION OF kid_absences"
            f" FOR VALUES FROM ('2025-0{month}-01') TO ('2025-0{month + 1}-01')"
        )
    ensure_absence_partitions(application, today=TODAY)
    assert len(partitions(run)) == 24


def test_a_year_that_is_archived_keeps_nobody_from_starting(
    application: Engine, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run("CREATE SCHEMA archive")
    run("CREATE TABLE archive.kid_absences_2025 (LIKE kid_absences)")

    assert ensure_absence_partitions(application, today=TODAY) == ("kid_absences_2026",)
    lines = said(caplog)
    assert lines[0] == BEGUN
    assert lines[1].startswith("No partition for 2025: 2025 is archived in archive.kid_absences_2025")
    assert ENSURED not in lines
    with pytest.raises(Overlap):
        ensure_absence_partition_for_year(application, 2025)


def test_what_can_not_be_served_is_raised(application: Engine, run: Any) -> None:
    run("CREATE TABLE plain (id int, date date)")
    with pytest.raises(NotServed, match="it is not partitioned"):
        ensure_absence_partitions(application, environ={"PARTITION_DESK_TABLE": "plain"})
    with pytest.raises(TableNotFound, match="There is no table gone"):
        ensure_absence_partitions(application, environ={"PARTITION_DESK_TABLE": "gone"})


def test_a_role_that_does_not_own_the_table_is_told(application: Engine, make_role: Any) -> None:
    _, url = make_role()
    engine = create_engine(parse_url(url))
    with pytest.raises(NotAllowed, match=r"does not own public\.kid_absences"):
        ensure_absence_partitions(engine, today=TODAY)
    engine.dispose()


def test_a_server_that_is_not_there() -> None:
    engine = create_engine("postgresql+psycopg2://anna:hush-hush@127.0.0.1:9/school")
    with pytest.raises(ConnectionFailed, match="can't be reached") as told:
        ensure_absence_partitions(engine)
    assert "hush-hush" not in str(told.value)


def test_a_reader_in_a_long_transaction_holds_up_neither_this_nor_a_writer(
    application: Engine, run: Any, session: Any
) -> None:
    ensure_absence_partition_for_year(application, 2025)
    run("INSERT INTO kid_absences (kid_id, date) VALUES (1, '2025-03-01')")
    reader = session()
    reader.hold("SELECT * FROM kid_absences")
    writer = session()
    writer.run("SET lock_timeout = '500ms'")
    writer.hold("INSERT INTO kid_absences (kid_id, date) VALUES (2, '2025-03-01')")

    assert ensure_absence_partitions(application, today=TODAY, environ={"PARTITION_DESK_PATIENCE_S": "5"}) == (
        "kid_absences_2026",
    )
    writer.run("INSERT INTO kid_absences (kid_id, date) VALUES (3, '2025-03-01')")


def start_twenty(url: str) -> list[str]:
    """What each of twenty processes said that began at once; every one of them has to end well."""
    started = [Starting(url) for _ in range(20)]
    for process in started:
        process.begin()
    ended = [process.end() for process in started]
    assert [(err, code) for _, err, code in ended] == [("", 0)] * 20
    return [out for out, _, _ in ended]


def test_twenty_processes_at_once_create_each_partition_once(database_url: str, application: Engine, run: Any) -> None:
    outputs = start_twenty(database_url)
    assert partitions(run) == BOUNDS
    assert all(ENSURED in out for out in outputs)
    for name in BOUNDS:
        assert sum(f"Created partition {name}" in out for out in outputs) == 1


@pytest.mark.thorough
def test_twenty_processes_without_a_journal_create_each_partition_once(
    database_url: str, application: Engine, run: Any, make_role: Any
) -> None:
    role, url = make_role()
    run(f'ALTER TABLE kid_absences OWNER TO "{role}"')
    run(f'GRANT CREATE ON SCHEMA public TO "{role}"')

    outputs = start_twenty(url)
    assert partitions(run) == BOUNDS
    for name in BOUNDS:
        assert sum(f"Created partition {name}" in out for out in outputs) == 1
    assert any(f"The role {role} may not write the journal: this is not recorded" in out for out in outputs)
    assert run("SELECT to_regnamespace('partition_desk')") == [(None,)]


def test_a_server_without_a_free_connection_is_waited_for(
    application: Engine, run: Any, make_role: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    role, url = make_role()
    run(f'ALTER TABLE kid_absences OWNER TO "{role}"')
    run(f'GRANT CREATE ON SCHEMA public TO "{role}"')
    run(f'ALTER ROLE "{role}" CONNECTION LIMIT 3')
    held = [psycopg2.connect(parse_url(url).set(drivername="postgresql").render_as_string(False)) for _ in range(3)]
    engine = create_engine(parse_url(url))
    waited: list[float] = []

    def let_go(seconds: float) -> None:
        waited.append(seconds)
        while held:
            held.pop().close()

    monkeypatch.setattr("core.absences.time.sleep", let_go)
    with pytest.raises(ServerFull, match=r"The server has no free connection\. Nothing was changed\."):
        ensure_absence_partitions(engine, today=TODAY, environ={"PARTITION_DESK_PATIENCE_S": "0"})
    assert waited == []
    assert ensure_absence_partitions(engine, today=TODAY, environ={}) == tuple(BOUNDS)
    assert waited != []
    engine.dispose()


def test_the_definition_is_sql_for_anybody() -> None:
    assert definition('x."A "".B"') == (
        'CREATE TABLE "x"."A "".B" (\n'
        "    id bigint GENERATED BY DEFAULT AS IDENTITY,\n"
        "    kid_id bigint NOT NULL,\n"
        "    date date NOT NULL,\n"
        "    reason text,\n"
        "    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),\n"
        "    PRIMARY KEY (id, date),\n"
        "    UNIQUE (kid_id, date)\n"
        ") PARTITION BY RANGE (date);\n"
        'CREATE INDEX ON "x"."A "".B" (date);\n'
        'COMMENT ON TABLE "x"."A "".B" IS \'Absences of kids, one row a kid and day.\''
    )
