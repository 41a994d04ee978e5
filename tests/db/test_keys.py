"""Keys of other types on a real server: ids, numbers and texts that tell a time, each through what can be done."""

from __future__ import annotations

import json

import pytest

from core.cli.main import main
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
    "text": ('text COLLATE "C"', ["'A'", "'H'", "'P'", "'a'"], "'Jo''e \\ x'"),
}
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
    run(f"CREATE TABLE readings (k {type_} NOT NULL, note text) PARTITION BY RANGE (k)")
    for n in range(3):
        run(f"CREATE TABLE readings_{n} PARTITION OF readings FOR VALUES FROM ({ends[n]}) TO ({ends[n + 1]})")
    run(f"INSERT INTO readings VALUES ({value}, 'x')")
    return str(value)


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
