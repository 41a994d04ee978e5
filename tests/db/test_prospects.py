"""What a plain table could be partitioned by is told from the planner's statistics, before anything is done."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from core.period import Width
from tests import desks
from tests.db.cli.test_commands import Partitions, partitions  # noqa: F401 a fixture
from tests.tables import Run

NOW = datetime(2026, 10, 20, tzinfo=UTC)
YEAR, MONTH = Width(months=12), Width(months=1)


def make(run: Run) -> None:
    run(
        "CREATE TABLE visits (id serial PRIMARY KEY, day date, seen timestamptz, code int, UNIQUE (code),"
        " note text); CREATE INDEX ON visits (day)"
    )
    run(
        "INSERT INTO visits (day, seen, code) SELECT date '2024-01-01' + g % 730, CASE WHEN g % 4 > 0 THEN"
        " timestamptz '2025-05-05 12:00+00' + g * interval '1 minute' END, g FROM generate_series(1, 7300) g"
    )
    run("INSERT INTO visits (day, code) SELECT '1066-10-14', -g FROM generate_series(1, 100) g")


def test_candidates_and_what_would_come_out(run: Run, reader: Engine) -> None:
    make(run)
    desk = desks.desk(reader, now=NOW)
    table = desk.read("visits")
    assert not any(one.is_known for one in desk.prospects(table))
    run("ANALYZE visits")
    day, seen = desk.prospects(table)
    assert (day.key.column, day.indexed, day.broken, day.nulls) == ("day", True, ("visits_code_key",), 0)
    assert (seen.key.column, seen.indexed, seen.broken) == ("seen", False, ("visits_code_key",))
    assert seen.nulls == pytest.approx(0.26, abs=0.02)
    years = day.periods(YEAR, "UTC", desk.today)
    assert [one.label for one in years] == ["2024", "2025"]
    assert [one.rows for one in years] == [pytest.approx(3660, rel=0.05), pytest.approx(3640, rel=0.05)]
    assert sum(one.bytes for one in years) == pytest.approx(day.bytes * 7300 / 7400, rel=0.02)
    months = day.periods(MONTH, "UTC", desk.today)
    assert len(months) == 24
    assert [one.rows for one in months] == [pytest.approx(304, rel=0.15)] * 24
    assert day.odd("UTC", desk.today) == pytest.approx(100, abs=10)


def test_a_dry_run_tells_them(partitions: Partitions, run: Run) -> None:  # noqa: F811
    make(run)
    run("ALTER TABLE visits DROP CONSTRAINT visits_code_key; DELETE FROM visits WHERE day < '1900-01-01'")
    words = ("convert", "--key", "day", "--every", "1 year", "--table", "visits", "--dry-run")
    assert "after an ANALYZE" in partitions(*words).err
    run("ANALYZE visits")
    told = partitions(*words)
    assert told.code == 0, told.err
    assert "It could be partitioned as well by seen (timestamp with time zone, 25% of the rows without)." in told.err
    assert "Every 1 year, by the planner's estimate: 2 partitions with rows" in told.err
    assert "  2024: about 3,6" in told.err
    assert "Every 1 month, by the planner's estimate: 24 partitions with rows" in told.err
