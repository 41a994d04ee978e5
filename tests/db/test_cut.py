"""Tables of every width, zone and naming on a real server: what comes next begins where the last one ends."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from sqlalchemy import Engine

from core.absences import ensure_absence_partitions
from core.cli.main import main
from tests.tables import Run

SUNDAYS = (
    "SELECT 'w_' || to_char(d, 'YYYYMMDD'), d, d + 7"
    " FROM (SELECT current_date - extract(dow FROM current_date)::int + n AS d FROM generate_series(-21, 0, 7) n) s"
)
TEN_DAYS = "SELECT 't_' || n, d, d + 10 FROM (SELECT n, current_date - 25 + 10 * n AS d FROM generate_series(0, 2) n) s"
HALVES = (
    "SELECT 'h' || n + 3, d, (d + interval '6 months')::date FROM (SELECT n, (date_trunc('year', current_date)"
    " + n * interval '6 months')::date AS d FROM generate_series(-3, 1) n) s"
)
SCHOOL = (
    "SELECT format('s_%s_%s', y, y + 1), make_date(y, 8, 1), make_date(y + 1, 8, 1)"
    " FROM generate_series(extract(year FROM current_date)::int - 3, extract(year FROM current_date)::int) y"
)
MONTHS_OF_PARTMAN = (
    "SELECT 'readings_p' || to_char(d, 'YYYYMMDD'), d::date, (d + interval '1 month')::date"
    " FROM generate_series(date_trunc('month', current_date) - interval '5 months', date_trunc('month', current_date),"
    " '1 month') d"
)
HOURS = (
    "SELECT 'r_' || to_char(h, 'YYYY_MM_DD_HH24'), h, h + interval '1 hour'"
    " FROM generate_series(date_trunc('hour', now()) - interval '9 hours', date_trunc('hour', now()), '1 hour') h"
)


def of_zone(zone: str, step: str, back: int) -> str:
    """Contiguous ranges that are midnights of a zone, the last of them around now."""
    unit = step.split()[1]
    return (
        f"SELECT 'z_' || n + {back}, (d + n * interval '{step}') AT TIME ZONE '{zone}',"
        f" (d + (n + 1) * interval '{step}') AT TIME ZONE '{zone}'"
        f" FROM (SELECT date_trunc('{unit}', now() AT TIME ZONE '{zone}') AS d) s, generate_series({-back}, 0) n"
    )


TABLES = {
    "weeks from Sunday": ("date", SUNDAYS),
    "ten days": ("date", TEN_DAYS),
    "half-years": ("date", HALVES),
    "school years": ("date", SCHOOL),
    "months as pg_partman names them": ("date", MONTHS_OF_PARTMAN),
    "hours": ("timestamptz", HOURS),
    "hours without a zone": ("timestamp", HOURS.replace("now()", "now() AT TIME ZONE 'UTC'")),
    "years of Tokyo": ("timestamptz", of_zone("Asia/Tokyo", "1 year", 3)),
    "months of Berlin": ("timestamptz", of_zone("Europe/Berlin", "1 month", 12)),
    "days of New York": ("timestamptz", of_zone("America/New_York", "1 day", 30)),
    "milliseconds": ("timestamp(3)", of_zone("UTC", "1 month", 3)),
    "microseconds with a zone": ("timestamptz(6)", of_zone("UTC", "1 month", 3)),
    "a domain": ("day", HALVES),
}


@pytest.fixture(params=TABLES.values(), ids=TABLES)
def readings(request: pytest.FixtureRequest, run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The table readings; the type of its key."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("PARTITION_DESK_TABLE", "public.readings")
    monkeypatch.delenv("PARTITION_DESK_TIME_ZONE", raising=False)
    type_, ranges = request.param
    run("CREATE DOMAIN day AS date")
    run(f"CREATE TABLE readings (id bigint NOT NULL, taken {type_} NOT NULL) PARTITION BY RANGE (taken)")
    run("SET TIME ZONE 'UTC'")
    for name, lower, upper in run(ranges):
        run(f"CREATE TABLE {name} PARTITION OF readings FOR VALUES FROM ('{lower}') TO ('{upper}')")
    return str(type_)


def bounds(run: Run) -> list[tuple[str, str, str]]:
    """(name, lower, upper) of every partition, oldest first."""
    rows = run(
        "SELECT c.relname, m[1], m[2] FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,"
        " regexp_match(pg_get_expr(c.relpartbound, c.oid), $$FROM \\('(.*)'\\) TO \\('(.*)'\\)$$) m"
        " WHERE i.inhparent = 'public.readings'::regclass ORDER BY m[1]::timestamptz"
    )
    return [(name, lower, upper) for name, lower, upper in rows]


@pytest.mark.one_in(2)
def test_what_comes_next_begins_where_the_last_one_ends(
    readings: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bounds(run)
    assert main(["status"]) == 0
    assert "No partition holds" not in capsys.readouterr().out
    assert main(["ensure", "--ahead", "3"]) == 0
    after = bounds(run)
    assert len(after) == len(before) + 3
    assert all(one[2] == other[1] for one, other in pairwise(after))
    run(
        "INSERT INTO readings SELECT 1, upper::timestamptz - interval '1 second' FROM (SELECT '"
        f"{after[-1][2]}'::timestamptz AS upper) s"
        if readings != "date"
        else f"INSERT INTO readings SELECT 1, '{after[-1][2]}'::date - 1"
    )
    assert main(["ensure", "--ahead", "3"]) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert bounds(run) == after
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "has its partition" in said
    assert "The next period" in said


def test_new_names_follow_those_of_the_siblings(readings: str, run: Run) -> None:
    names = [name for name, _, _ in bounds(run)]
    assert main(["ensure", "--ahead", "1"]) == 0
    name, lower, _ = bounds(run)[-1]
    if names[-1].startswith("readings_p"):
        assert name == f"readings_p{date.fromisoformat(lower):%Y%m%d}"
    elif names[-1].startswith("s_"):
        assert name == f"s_{lower[:4]}_{int(lower[:4]) + 1}"
    elif names[-1] == "t_2":
        assert name == "t_3"
    assert name.rstrip("0123456789")[:2] == names[-1].rstrip("0123456789")[:2]


@pytest.mark.one_in(4)
def test_the_start_of_an_application_goes_on_as_the_table_is_cut(readings: str, run: Run, worker: Engine) -> None:
    before = bounds(run)
    year = date.fromisoformat(before[-1][2][:10]).year
    ensure_absence_partitions(worker, today=date(year, 12, 31))
    after = bounds(run)
    assert all(one[2] == other[1] for one, other in pairwise(after))


def test_a_table_without_a_partition_is_asked_for_its_width(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("PARTITION_DESK_TABLE", "public.readings")
    run("CREATE TABLE readings (id bigint NOT NULL, taken date NOT NULL) PARTITION BY RANGE (taken)")
    for asked in ((), ("--ahead", "2"), ("--year", "2097")):
        assert main(["ensure", *asked]) == 1
        said = capsys.readouterr().err
        assert "it has no partition yet. Nothing was changed." in said
        assert "--every '1 month'" in said
    assert bounds(run) == []
    assert main(["ensure", "--every", "1 month", "--ahead", "2"]) == 0
    assert len(bounds(run)) == 3
    assert main(["ensure", "--ahead", "3"]) == 0
    assert len(bounds(run)) == 4


def test_a_month_that_was_archived_by_hand_comes_back_as_a_month(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named by its first day, as pg_partman 5 does: of an empty one nothing but the table's own width tells its end."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("PARTITION_DESK_TABLE", "public.readings")
    run("CREATE TABLE readings (id bigint NOT NULL, taken date NOT NULL) PARTITION BY RANGE (taken)")
    for month in range(1, 7):
        run(
            f"CREATE TABLE readings_p20250{month}01 PARTITION OF readings"
            f" FOR VALUES FROM ('2025-0{month}-01') TO ('2025-0{month + 1}-01')"
        )
    run("INSERT INTO readings SELECT n, date '2025-01-01' + n FROM generate_series(0, 30) n")
    run("CREATE SCHEMA archive")
    for month in (1, 3):
        run(f"ALTER TABLE readings DETACH PARTITION readings_p20250{month}01")
        run(f"ALTER TABLE readings_p20250{month}01 SET SCHEMA archive")
    before = bounds(run)
    for month in (1, 3):
        assert main(["reattach", "--partition", f"readings_p20250{month}01"]) == 0, capsys.readouterr().err
    after = bounds(run)
    assert len(after) == len(before) + 2
    assert all(one[2] == other[1] for one, other in pairwise(after))


def test_a_table_by_ids_with_a_year_in_the_archive_is_read(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    run("CREATE TABLE readings (id bigint NOT NULL) PARTITION BY RANGE (id); CREATE SCHEMA archive")
    run("CREATE TABLE archive.readings_2022 (id bigint NOT NULL)")
    assert main(["status", "--table", "public.readings"]) == 0
    assert "readings_2022" in capsys.readouterr().out
