"""The whole road for a role and a database whose settings are meant for others: time-outs, a time zone, odd texts."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from core.console.execute import Budget
from core.errors import Failed
from core.names import ident
from core.plans.archive import plan_archive
from core.postgres.connection import parse_url
from core.tables.catalog.table import read_table
from tests.conftest import Act, OpenSession, until
from tests.road import NOW, Road
from tests.tables import Made, Run

pytestmark = pytest.mark.every_version

SETTINGS = {
    "array_nulls": "off",
    "client_min_messages": "debug1",
    "DateStyle": "'SQL, DMY'",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "extra_float_digits": "-15",
    "idle_in_transaction_session_timeout": "'400ms'",
    "idle_session_timeout": "'400ms'",
    "IntervalStyle": "sql_standard",
    "lock_timeout": "'1ms'",
    "quote_all_identifiers": "on",
    "statement_timeout": "'400ms'",
    "transaction_timeout": "'400ms'",
    "xmloption": "document",
}


def put_upon(run: Run, database_url: str, **settings: str) -> None:
    database = ident(parse_url(database_url).database or "")
    for (name,) in run("SELECT name FROM pg_settings"):
        if name in settings:
            run(f"ALTER DATABASE {database} SET {name} = {settings[name]}")


SLOW = """
CREATE FUNCTION slow(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN v; END $$;
CREATE TABLE ev (id int NOT NULL, day date NOT NULL, span interval, texts text[], x float8, CHECK (slow(id) > 0))
    PARTITION BY RANGE (day);
CREATE TABLE ev_2021 PARTITION OF ev FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE ev_2026 PARTITION OF ev FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE ev_other PARTITION OF ev DEFAULT;
INSERT INTO ev SELECT g, date '2021-01-01' + g, '1 mon 2 days', ARRAY['NULL', NULL, 'x'], 0.1::float8 / 3
    FROM generate_series(1, 60) g;
"""
"""Whatever checks these rows takes longer than the time-outs of the database, and names no schema."""


def test_no_setting_of_a_database_ends_or_changes_what_is_done(road: Road, database_url: str) -> None:
    road.run(SLOW)
    rows = road.run("SELECT md5(string_agg(ev::text, '' ORDER BY id)) FROM ev")
    put_upon(road.run, database_url, **SETTINGS)
    one = ("--table", "ev", "--partition", "ev_2021")
    for command in (
        ("archive", *one),
        ("backup", *one),
        ("verify", *one),
        ("drop", *one, "--confirm", "ev_2021", "--now"),
        ("restore", *one, "--no-hold"),
    ):
        road.done(*command)
    road.run("CREATE INDEX ON ev (slow(id))")
    road.done("reattach", *one)
    assert road.run("SELECT md5(string_agg(ev::text, '' ORDER BY id)) FROM ev") == rows
    assert not road.run("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid")
    assert road.done("status", "--table", "ev").code == 0


def test_a_check_that_holds_in_the_time_zone_of_its_database(road: Road, database_url: str) -> None:
    """A CHECK that is not immutable, such as one of a moment's date, is proven and put back in that zone."""
    put_upon(road.run, database_url, TimeZone="'Europe/Berlin'")
    road.run("SET TimeZone = 'Europe/Berlin'")
    road.run(
        "CREATE TABLE ev (id int NOT NULL, day date NOT NULL, at timestamptz, CHECK (at::date = day))"
        " PARTITION BY RANGE (day)"
    )
    road.run("CREATE TABLE ev_2021 PARTITION OF ev FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')")
    road.run("CREATE TABLE ev_2026 PARTITION OF ev FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")
    road.run("INSERT INTO ev SELECT 1, '2021-03-02', timestamptz '2021-03-02 00:30'")
    one = ("--table", "ev", "--partition", "ev_2021")
    for command in ("archive", "backup", "verify"):
        road.done(command, *one)
    road.run("DROP TABLE archive.ev_2021")
    road.done("restore", *one, "--no-hold")
    road.done("reattach", *one)
    assert road.run("SELECT * FROM ev WHERE at::date <> day") == []
    assert road.run("SELECT count(*) FROM ev") == [(1,)]


def test_a_cancel_on_the_server_is_told_as_one(
    reader: Engine, act: Act, make_table: Callable[..., Made], run: Run, session: OpenSession
) -> None:
    """Not as a lock that was waited for, and it is not begun anew behind the back of who cancelled it."""
    made = make_table(default=True)
    run(
        "CREATE FUNCTION wait_here() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); END $$;"
        "CREATE EVENT TRIGGER wait_here ON ddl_command_end WHEN TAG IN ('COMMENT') EXECUTE FUNCTION wait_here()"
    )
    dba = session()
    cancel = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND query LIKE 'COMMENT ON %' AND wait_event = 'PgSleep'"
    )
    stop = threading.Thread(target=lambda: until(lambda: dba.run(cancel)))
    stop.start()
    with pytest.raises(Failed, match="The server stopped it: canceling statement due to user request") as stopped:
        act(plan_archive(read_table(reader, made.address), made.first, now=NOW), Budget(lock_ms=100, patience_s=20))
    stop.join()
    assert stopped.value.sqlstate == "57014"
    assert "What was begun was taken back; nothing is changed." in str(stopped.value)
    run("DROP EVENT TRIGGER wait_here")
