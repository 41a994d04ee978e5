"""Keys of other types on a real server: ids, numbers and texts that tell a time, each through what can be done."""

from __future__ import annotations

import json

import pytest

from core.cli.main import main
from tests.road import Road
from tests.tables import Run

IDS = {
    "bigint": ("bigint", ["0", "1000", "2000", "3000"], "1500"),
    "smallint": ("smallint", ["-100", "0", "100", "200"], "50"),
    "numeric": ("numeric(12,2)", ["0.5", "1000", "2000.25", "3000"], "1500"),
    "uuid": (
        "uuid",
        [f"'{start}0000000-0000-0000-0000-000000000000'" for start in "048c"],
        "'50000000-0000-4000-8000-000000000000'",
    ),
    "enum": ('"Own"."Ph ase"', ["'raw'", "'it''s'", "'done'", "'a'"], "'well'"),
    "inet": ("inet", ["'9.0.0.0'", "'10.0.0.0'", "'100.0.0.0'", "'fe80::'"], "'11.0.0.1/8'"),
    "interval": ("interval", ["'-1 days'", "'1 hour'", "'2 mons'", "'1 year'"], "'40 days'"),
    "double": ("double precision", ["-1.5", "9", "1e20", "'Infinity'"], "11"),
    "bytea": ("bytea", ["'\\x00'", "'\\x0a'", "'\\xa0'", "'\\xff'"], "'\\x0b'"),
    "text": ('text COLLATE "C"', ["'A'", "'H'", "'P'", "'a'"], "'Jo''e \\ x'"),
}
PHASES = """CREATE SCHEMA "Own"; CREATE TYPE "Own"."Ph ase" AS ENUM ('raw', 'it''s', 'well', 'done', 'a')"""
MONTHS = "SELECT date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month' FROM generate_series(-3, 1) n"
TIMES = {
    "epoch": ("bigint", "extract(epoch FROM m AT TIME ZONE 'UTC')::bigint::text"),
    "epoch_ms": ("bigint", "(1000 * extract(epoch FROM m AT TIME ZONE 'UTC'))::bigint::text"),
    "yyyymm": ("integer", "to_char(m, 'YYYYMM')"),
    "yyyymmdd": ("integer", "to_char(m, 'YYYYMMDD')"),
    "iso": ("text", "to_char(m, 'YYYY-MM-DD')"),
    "uuidv7": (
        "uuid",
        "regexp_replace(lpad(to_hex((1000 * extract(epoch FROM m AT TIME ZONE 'UTC'))::bigint), 12, '0'),"
        " '(.{8})(.{4})', '\\1-\\2-7000-8000-000000000000')",
    ),
}


@pytest.fixture(params=IDS.values(), ids=IDS)
def ids(request: pytest.FixtureRequest, run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The table readings with three ranges of a key that tells no time; a value of the middle one."""
    type_, ends, value = request.param
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("PARTITION_DESK_TABLE", "public.readings")
    run(PHASES)
    run(f"CREATE TABLE readings (k {type_} NOT NULL, note text) PARTITION BY RANGE (k)")
    for n in range(3):
        run(f"CREATE TABLE readings_{n} PARTITION OF readings FOR VALUES FROM ({ends[n]}) TO ({ends[n + 1]})")
    run(f"INSERT INTO readings VALUES ({value}, 'x')")
    return str(value)


@pytest.mark.one_in(4)
def test_ranges_of_a_key_that_tells_no_time(ids: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["partitions"]] == ["readings_0", "readings_1", "readings_2"]
    assert all(one["lower"] and one["upper"] for one in told["partitions"])
    assert told["runway_days"] is None
    for command in ("status", "doctor"):
        assert main([command]) == 0
    assert main(["ensure"]) == 1
    assert "its key tells no time" in capsys.readouterr().err
    assert main(["find", "--date", "2026-01-01"]) == 1
    assert main(["archive", "--partition", "readings_1"]) == 1
    assert "--allow-current" in capsys.readouterr().err
    assert main(["archive", "--partition", "readings_1", "--allow-current"]) == 0
    assert run("SELECT count(*) FROM readings") == [(0,)]
    assert main(["reattach", "--partition", "readings_1"]) == 0
    assert run("SELECT count(*) FROM readings") == [(1,)]
    assert main(["sample"]) == 0
    assert main(["metrics"]) == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["enum", "interval"])
def test_a_key_that_only_the_server_can_order_goes_the_whole_road(road: Road, kind: str) -> None:
    type_, ends, value = IDS[kind]
    road.run(PHASES)
    road.run(f"CREATE TABLE readings (k {type_} NOT NULL, note text, UNIQUE (k)) PARTITION BY RANGE (k)")
    for n in (2, 0, 1):
        road.run(f"CREATE TABLE readings_{n} PARTITION OF readings FOR VALUES FROM ({ends[n]}) TO ({ends[n + 1]})")
    road.run(f"INSERT INTO readings VALUES ({ends[0]}, 'first'), ({value}, 'x')")
    before = road.run("SELECT readings::text FROM readings ORDER BY 1")
    one = ("--table", "public.readings", "--partition", "readings_1")
    road.done("archive", *one, "--allow-current")
    road.done("backup", *one)
    road.done("verify", *one)
    road.done("drop", *one, "--confirm=readings_1", "--now")
    assert not road.is_there("archive.readings_1")
    road.done("restore", *one, "--no-hold")
    road.done("reattach", *one)
    assert road.run("SELECT readings::text FROM readings ORDER BY 1") == before
    shown = road.done("status", "--table", "public.readings", "--json").json
    assert [one["name"] for one in shown["partitions"]] == ["readings_0", "readings_1", "readings_2"]


@pytest.fixture(params=TIMES.values(), ids=TIMES)
def times(request: pytest.FixtureRequest, run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The table readings with four months of a key that tells a time; how a month is written as one."""
    type_, written = request.param
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("PARTITION_DESK_TABLE", "public.readings")
    run(f"CREATE TABLE readings (k {type_} NOT NULL, note text) PARTITION BY RANGE (k)")
    ends = [row[0] for row in run(f"SELECT {written} FROM ({MONTHS}) s(m)")]
    for n in range(4):
        run(f"CREATE TABLE readings_{n} PARTITION OF readings FOR VALUES FROM ('{ends[n]}') TO ('{ends[n + 1]}')")
    run(f"INSERT INTO readings VALUES ('{ends[1]}', 'x')")
    return str(written)


@pytest.mark.one_in(2)
def test_a_key_that_tells_a_time_is_gone_on_with(times: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["runway_days"] is not None
    assert main(["doctor"]) == 0
    assert main(["ensure", "--ahead", "2"]) == 0
    assert len(run("SELECT 1 FROM pg_inherits WHERE inhparent = 'readings'::regclass")) == 6
    assert main(["archive", "--partition", "readings_1"]) == 0
    assert main(["reattach", "--partition", "readings_1"]) == 0
    assert run("SELECT count(*) FROM readings") == [(1,)]
    assert main(["ensure", "--ahead", "2"]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_how_a_number_is_read_is_said_once_and_kept(road: Road) -> None:
    """One range of ten hours tells no midnights: nobody but the owner knows that it is of times."""
    run, table = road.run, ("--table", "public.readings")
    run("CREATE TABLE readings (k bigint NOT NULL, note text) PARTITION BY RANGE (k)")
    run("COMMENT ON TABLE readings IS E'checked by Anna:\nit''s fine'")
    start = run("SELECT 36000 * (extract(epoch FROM now())::bigint / 36000)")[0][0]
    run(f"CREATE TABLE r_1 PARTITION OF readings FOR VALUES FROM ({start}) TO ({start + 36000})")
    told = road("ensure", *table)
    assert told.code == 1
    command = "partitions key --as epoch --table public.readings"
    assert command in told.err
    assert command in road.done("status", *table).out
    assert road("key", "--as", "yyyymmdd", *table).code == 1
    assert road("key", "--as", "uuidv7", *table).code == 1
    assert road("key", *table).code == 2
    dry = road.done("key", "--as", "epoch", "--dry-run", *table)
    assert f"{start} is " in dry.out
    road.done("key", "--as", "epoch", *table)
    comment = run("SELECT obj_description('readings'::regclass)")[0][0]
    assert comment == "checked by Anna:\nit's fine\npartition-desk key: epoch"
    assert road.done("status", *table, "--json").json["reading"] == "epoch"
    assert "k is read as epoch." in road.done("status", *table).out
    road.done("ensure", "--ahead", "2", *table)
    made = "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
    assert [row[0] for row in run(f"{made} ORDER BY c.oid")] == [
        f"FOR VALUES FROM ('{start + n}') TO ('{start + n + 36000}')" for n in (0, 36000, 72000)
    ]
    assert "Nothing to do" in road.done("key", "--as", "epoch", *table).out
    road.done("key", "--as", "ids", *table)
    assert run("SELECT obj_description('readings'::regclass)")[0][0].endswith("fine\npartition-desk key: ids")
    assert "key --as" not in road.done("status", *table).out
    road.done("key", "--undo", *table)
    assert run("SELECT obj_description('readings'::regclass)") == [("checked by Anna:\nit's fine",)]
    assert "Nothing to do" in road.done("key", "--undo", *table).out
    history = road.done("history", *table, "--json").json["operations"]
    assert [one["kind"] for one in history][:3] == ["key", "key", "ensure"]


def test_a_reading_that_would_lose_the_order_is_refused(road: Road) -> None:
    run, table = road.run, ("--table", "public.readings")
    run("CREATE TABLE readings (k bigint NOT NULL) PARTITION BY RANGE (k)")
    ends = [700000000000000000 + n for n in (0, 1, 2)]
    for n in range(2):
        run(f"CREATE TABLE r_{n} PARTITION OF readings FOR VALUES FROM ({ends[n]}) TO ({ends[n + 1]})")
    refused = road("key", "--as", "snowflake", *table)
    assert (refused.code, str(ends[0]) in refused.err) == (1, True), refused.err
    run("CREATE TABLE days (d date) PARTITION BY RANGE (d)")
    refused = road("key", "--as", "epoch", "--table", "public.days")
    assert (refused.code, "nothing has to be said" in refused.err) == (1, True)


@pytest.mark.parametrize("indexed", [True, False], ids=["by an index", "by the statistics"])
def test_how_many_ids_have_a_place(road: Road, indexed: bool) -> None:
    run, table = road.run, ("--table", "public.readings")
    run("CREATE TABLE readings (k bigint NOT NULL, note text) PARTITION BY RANGE (k)")
    run("CREATE INDEX ON readings (k)" if indexed else "CREATE INDEX ON readings (note)")
    for n in range(4):
        run(f"CREATE TABLE r_{n} PARTITION OF readings FOR VALUES FROM ({1000 * n}) TO ({1000 * n + 1000})")
    assert road.done("status", *table, "--json").json["runway_ids"] is None
    run("INSERT INTO readings SELECT n FROM generate_series(0, 2100) n")
    if not indexed:
        assert road.done("status", *table, "--json").json["runway_ids"] is None
        run("ANALYZE readings")
    assert road.done("status", *table, "--json").json["runway_ids"] == 1899
    assert "1,899 ids above 2100, the highest in use, have a place." in road.done("status", *table).out
    findings = {one["check"]: one for one in road.done("doctor", *table, "--json").json["findings"]}
    assert findings["next_period"]["severity"] == "ok"
    run("INSERT INTO readings SELECT n FROM generate_series(3900, 3990) n")
    if not indexed:
        assert road.done("status", *table, "--json").json["runway_ids"] is None
        run("ANALYZE readings")
    findings = {one["check"]: one for one in road.done("doctor", *table, "--json").json["findings"]}
    assert findings["next_period"]["severity"] == "warning"
    assert findings["next_period"]["title"] == "Only 9 ids above 3990, the highest in use, have a place."
    run("CREATE TABLE r_last PARTITION OF readings FOR VALUES FROM (4000) TO (MAXVALUE)")
    assert "has a place, without end" in road.done("status", *table).out
