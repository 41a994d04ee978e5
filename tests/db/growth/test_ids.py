"""How long ids last: the highest is sampled, and command, Doctor and metrics tell what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.road import Road

TABLE = ("--table", "public.readings")
AGO = "UPDATE partition_desk.key_sample SET taken_at = taken_at - interval '10 days'"


@pytest.fixture
def readings(road: Road) -> Road:
    """Ids up to 4000 have a place, those up to 1100 are used."""
    road.run("CREATE TABLE readings (k bigint PRIMARY KEY) PARTITION BY RANGE (k)")
    for n in range(4):
        road.run(f"CREATE TABLE r_{n} PARTITION OF readings FOR VALUES FROM ({1000 * n}) TO ({1000 * n + 1000})")
    road.run("INSERT INTO readings SELECT n FROM generate_series(0, 1100) n")
    return road


def told(road: Road) -> tuple[Any, Any, str]:
    """(days, ids a day) of `status --json`, and what `status` says."""
    found = road.done("status", *TABLE, "--json").json
    return found["runway_days"], found["ids_a_day"], road.done("status", *TABLE).out


def next_period(road: Road) -> tuple[str, str, str]:
    found = {one["check"]: one for one in road.done("doctor", *TABLE, "--json").json["findings"]}["next_period"]
    return found["severity"], found["title"], found["reason"]


def test_samples_tell_how_long_ids_last(readings: Road) -> None:
    unknown = "How long they last is not known yet: two samples some hours apart tell it."
    assert told(readings)[:2] == (None, None)
    readings.done("sample")
    assert unknown in told(readings)[2]  # a moment is no pace
    assert next_period(readings) == ("ok", "2,899 ids above 1100, the highest in use, have a place.", unknown)
    assert "partition_desk_ids_left{" in (metrics := readings.done("metrics").out)
    assert "runway_days{" not in metrics

    readings.run(AGO)
    readings.run("INSERT INTO readings SELECT n FROM generate_series(1101, 2100) n")
    days, a_day, said = told(readings)
    assert (days, round(a_day)) == (18, 100)
    assert "1,899 ids above 2100, the highest in use, have a place: about 18 days at 100 ids a day, from 2 sa" in said
    assert next_period(readings)[0] == "ok"
    metrics = readings.done("metrics").out
    assert 'partition_desk_ids_left{table="public.readings"} 1899\n' in metrics
    assert 'partition_desk_runway_days{table="public.readings"} 18.99' in metrics
    assert 'partition_desk_ids_a_day{table="public.readings"} ' in metrics

    readings.run("INSERT INTO readings SELECT n FROM generate_series(2101, 2990) n")  # 1,890 in ten days, 1,009 left
    readings.run("UPDATE partition_desk.key_sample SET highest = 1100 - 100000")
    severity, title, _ = next_period(readings)
    assert (severity, "have a place: about 2 hours at " in title) == ("warning", True), title


def test_samples_of_before_are_read_as_they_are(readings: Road) -> None:
    readings.done("sample")
    readings.run("DROP TABLE partition_desk.key_sample")
    assert told(readings)[:2] == (None, None)
    assert readings.done("metrics").out
    readings.done("sample")
    assert readings.run("SELECT highest FROM partition_desk.key_sample") == [(1100,)]


def test_what_has_no_distance_is_not_guessed(road: Road) -> None:
    road.run("CREATE TABLE readings (k text PRIMARY KEY) PARTITION BY RANGE (k)")
    road.run("CREATE TABLE r_0 PARTITION OF readings FOR VALUES FROM ('a') TO ('m')")
    road.run("INSERT INTO readings VALUES ('b')")
    road.done("sample")
    assert road.run("SELECT count(*) FROM partition_desk.key_sample") == [(0,)]
    assert "How long they last is not told: from one text to another there is no distance." in told(road)[2]
    assert next_period(road)[0] == "note"
