"""Tables cut at no unit of the calendar, on a real server: ensure and the start-up make nothing, and say why."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from core.absences import ensure_absence_partitions
from core.cli.main import main
from tests.tables import Run

SUNDAYS = [("date", "'2025-12-14'", "'2025-12-21'"), ("date", "'2025-12-21'", "'2025-12-28'")]
TOKYO = [
    ("timestamptz", "'2025-01-01 00:00+09'", "'2026-01-01 00:00+09'"),
    ("timestamptz", "'2026-01-01 00:00+09'", "'2027-01-01 00:00+09'"),
]
HOURS = [("timestamptz", f"'2026-01-01 0{h}:00+00'", f"'2026-01-01 0{h + 1}:00+00'") for h in range(3)]
TABLES = {"weeks from Sunday": SUNDAYS, "midnights in Tokyo": TOKYO, "hours": HOURS}


@pytest.fixture(params=TABLES.values(), ids=TABLES)
def readings(request: pytest.FixtureRequest, run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The table readings; how many partitions it has."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("PARTITION_DESK_TABLE", "public.readings")
    monkeypatch.delenv("PARTITION_DESK_TIME_ZONE", raising=False)
    cuts: list[tuple[str, str, str]] = request.param
    run(f"CREATE TABLE readings (id bigint NOT NULL, taken {cuts[0][0]} NOT NULL) PARTITION BY RANGE (taken)")
    for number, (_, lower, upper) in enumerate(cuts):
        run(f"CREATE TABLE readings_{number} PARTITION OF readings FOR VALUES FROM ({lower}) TO ({upper})")
    return len(cuts)


def count(run: Run) -> int:
    return int(run("SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.readings'::regclass")[0][0])


@pytest.mark.parametrize("asked", [(), ("--ahead", "2"), ("--year", "2097")], ids=" ".join)
def test_ensure_is_refused_and_makes_nothing(
    readings: int, run: Run, asked: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ensure", *asked]) == 1
    said = capsys.readouterr().err
    assert "The newest partition of public.readings goes FROM (" in said
    assert "Nothing was changed. Create the next partitions by hand" in said
    assert count(run) == readings


def test_the_doctor_offers_no_ensure(readings: int, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "partitions ensure" not in said
    assert "The next period" not in said
    assert "The partitions end on" in said


def test_the_start_of_an_application_makes_no_years(
    readings: int, run: Run, worker: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    assert ensure_absence_partitions(worker) == ()
    assert "is no day, week from Monday, month, quarter or year" in caplog.text
    assert count(run) == readings


def test_ensure_guesses_no_width_for_a_table_without_a_partition(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("PARTITION_DESK_TABLE", raising=False)
    run("CREATE TABLE readings (id bigint NOT NULL, taken date NOT NULL) PARTITION BY RANGE (taken)")
    assert main(["ensure", "--table", "public.readings"]) == 1
    assert "public.readings has no partition yet: nothing tells how wide" in capsys.readouterr().err
    assert count(run) == 0
    assert main(["ensure", "--table", "public.readings", "--year", "2097"]) == 0
    assert count(run) == 1
