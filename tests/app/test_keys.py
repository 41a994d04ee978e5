"""Every page of tables whose keys are ids, several columns or expressions: drawn, and told in words that are so."""

from __future__ import annotations

import pytest

from core.tables.coverage import PACE_UNKNOWN
from dashboard.state import database, reads
from tests.app.conftest import Open, settle, texts
from tests.tables import Run

TABLES = {
    "ids": ("k bigint NOT NULL", "k", ["0", "1000", "2000", "3000"], "(1500)"),
    "several columns": (
        "k date NOT NULL, n int NOT NULL",
        "k, n",
        ["'2024-01-01', 1", "'2024-01-01', 9", "'2025-01-01', MINVALUE", "'2025-01-01', MAXVALUE"],
        "('2024-05-05', 3)",
    ),
    "ids before texts": (
        'k int NOT NULL, n text COLLATE "C" NOT NULL',
        "k, n",
        ["1, 'a'", "1, 'b'", "2, MINVALUE", "5, 'x'"],
        "(1, 'bb')",
    ),
    "an expression": ('k text COLLATE "C"', "lower(k)", ["'a'", "'h'", "'p'", "'z'"], "('M')"),
    "uuids": (
        "k uuid NOT NULL",
        "k",
        [f"'{start}0000000-0000-0000-0000-000000000000'" for start in "048c"],
        "('50000000-0000-4000-8000-000000000000')",
    ),
}


@pytest.fixture(params=TABLES.values(), ids=TABLES)
def readings(request: pytest.FixtureRequest, run: Run) -> str:
    """The table readings; what it is partitioned by."""
    columns, key, ends, row = request.param
    run(f"CREATE TABLE readings ({columns}) PARTITION BY RANGE ({key})")
    run("CREATE INDEX ON readings (k)")
    for n in range(3):
        run(f"CREATE TABLE readings_{n} PARTITION OF readings FOR VALUES FROM ({ends[n]}) TO ({ends[n + 1]})")
    run(f"INSERT INTO readings VALUES {row}")
    return str(key)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("page", ["overview", "partitions", "growth", "archive", "doctor"])
def test_every_page_of_every_key(console: Open, readings: str, page: str) -> None:
    app = console(page, table="public.readings")
    assert not app.exception
    said = texts(app)
    assert "unlimited" not in said
    if page == "partitions" and readings != "k, n":
        assert "readings_1" in str([frame.value.to_dict() for frame in app.dataframe]) or "readings_1" in said


def test_ids_left_are_told_as_ids(console: Open, run: Run) -> None:
    run("CREATE TABLE readings (k bigint PRIMARY KEY) PARTITION BY RANGE (k)")
    for n in range(3):
        run(f"CREATE TABLE readings_{n} PARTITION OF readings FOR VALUES FROM ({1000 * n}) TO ({1000 * n + 1000})")
    run("INSERT INTO readings SELECT n FROM generate_series(0, 1100) n")
    said = texts(console(table="public.readings"))
    assert "Runway 1,899 ids above 1,100" in said
    assert PACE_UNKNOWN in texts(console("partitions", table="public.readings"))
    database.desk().sample()
    run("UPDATE partition_desk.key_sample SET taken_at = taken_at - interval '10 days', highest = 100")
    reads.refresh()
    said = texts(console(table="public.readings"))
    assert "Runway about 18 days 1,899 ids" in said
    said = texts(console("partitions", table="public.readings"))
    assert "about 18 days at 100 ids a day, from 2 samples since" in said


def test_ids_of_which_nothing_tells_the_highest_are_no_key_without_a_time(console: Open, run: Run) -> None:
    run("CREATE TABLE readings (k bigint) PARTITION BY RANGE (k)")
    run("CREATE TABLE readings_0 PARTITION OF readings FOR VALUES FROM (0) TO (1000)")
    run("INSERT INTO readings VALUES (1)")
    said = texts(console(table="public.readings"))
    assert "Runway not known highest id not known" in said
    assert "tells no time" not in said


def test_how_the_key_is_read_is_chosen_and_confirmed(console: Open, run: Run) -> None:
    start = run("SELECT 36000 * (extract(epoch FROM now())::bigint / 36000)")[0][0]
    run("CREATE TABLE readings (k bigint NOT NULL) PARTITION BY RANGE (k)")
    run(f"CREATE TABLE readings_1 PARTITION OF readings FOR VALUES FROM ({start}) TO ({start + 36000})")
    app = console("partitions", table="public.readings")
    app.selectbox(key="reading_said").select("yyyymmdd").run()
    app.button(key="say_reading").click().run()
    assert "can't be read as yyyymmdd" in texts(app)
    app.selectbox(key="reading_said").select("epoch").run()
    app.button(key="say_reading").click().run()
    assert f"{start} is " in texts(app)
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: "is done" in texts(page))
    assert run("SELECT obj_description('readings'::regclass)") == [("partition-desk key: epoch",)]
    app = console("partitions", table="public.readings")
    assert not [one for one in app.selectbox if one.key == "reading_said"]
