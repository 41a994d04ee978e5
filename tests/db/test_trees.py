"""Partitions that are partitioned themselves: each is read, told, archived and brought back as one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from core.console.metrics import read_metrics
from core.growth.samples.daily import sample_today
from core.growth.samples.measure import read_present
from core.growth.samples.read import read_histories
from core.tables.catalog.summaries import read_tables
from core.tables.catalog.table import read_table
from core.tables.tree import Kind
from tests.conftest import OpenSession
from tests.road import Road
from tests.tables import Run
from tests.trees import KINDS, ROWS, on_disk, plant, plant_foreign

NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)


def of(road: Road, name: str, table: str) -> dict[str, Any]:
    """What status says of one partition."""
    found = road.done("status", "--json", "--table", table).json["partitions"]
    return next(one for one in found if one["name"] == name)


# Reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.every_version
@pytest.mark.parametrize("kind", KINDS)
def test_sizes_and_rows_are_summed_over_leaves(road: Road, run: Run, kind: str) -> None:
    planted = plant(run, kind)
    table = read_table(road.reader, planted.name)
    assert table.partitions
    for one in table.partitions:
        assert one.size is not None
        assert one.size.total == on_disk(run, one.sql) > 0
        assert one.rows == run(f"SELECT count(*) FROM {one.sql}")[0][0] > 0
        assert one.activity is not None
        assert one.activity.last_analyze is not None
    told = of(road, planted.branch if kind != "list" else "visit_2023", planted.served)
    assert (told["total_bytes"], told["rows_estimate"]) == (on_disk(run, told["name"]), planted.rows)
    assert told["split"] == (planted.split or None)
    text = road.done("status", "--table", planted.name).out
    assert " 0 bytes  " not in text
    if planted.split:
        assert f"3 partitions are partitioned again, by {planted.split.partition(',')[0]}: figures are sums" in text


def test_estimates_are_summed_as_exact_sizes_are(road: Road, run: Run) -> None:
    plant(run, "range-hash")
    run("VACUUM ANALYZE visit")
    exact, estimated = (read_table(road.reader, "visit", exact=exact) for exact in (True, False))
    for one, other in zip(exact.partitions, estimated.partitions, strict=True):
        assert one.size is not None
        assert other.size is not None
        assert 0 < other.size.total <= one.size.total
        assert not other.size.exact
        assert one.rows == other.rows


def test_a_branch_of_which_somebody_holds_a_leaf_is_busy(reader: Engine, run: Run, session: OpenSession) -> None:
    plant(run, "range-hash")
    before = read_table(reader, "visit")
    session().hold("LOCK TABLE visit_2024_1 IN ACCESS EXCLUSIVE MODE")
    table = read_table(reader, "visit")
    assert [(one.busy, one.size is None) for one in table.partitions] == [(False, False), (True, True), (False, False)]
    assert [one.bounds for one in table.partitions] == [one.bounds for one in before.partitions]


def test_a_leaf_that_was_never_filled_has_no_rows(reader: Engine, run: Run) -> None:
    plant(run, "range-list")
    run("CREATE TABLE visit_2023_z PARTITION OF visit_2023 FOR VALUES IN ('z')")
    assert [one.rows for one in read_table(reader, "visit").partitions] == [ROWS] * 3


@pytest.mark.every_version
def test_a_foreign_partition_and_a_foreign_leaf_are_told(road: Road, run: Run) -> None:
    plant(run, "range-list")
    plant_foreign(run, "visit", "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')", "visit_2020")
    plant_foreign(run, "visit_2023", "FOR VALUES IN ('far')", "visit_2023_far")
    far = of(road, "visit_2020", "visit")
    assert (far["kind"], far["total_bytes"]) == ("foreign", None)
    branch = of(road, "visit_2023", "visit")
    assert branch["split"] == "LIST (kind), 3 partitions, 1 of the leaves foreign"
    assert branch["total_bytes"] == on_disk(run, "visit_2023")
    text = road.done("status", "--table", "visit").out
    assert "2 foreign tables: the rows are on other servers, and take no room here." in text
    assert "No size could be read" not in road.done("growth", "--table", "visit").out


def test_what_is_by_list_or_hash_is_told_with_bounds_and_what_is_not_served(road: Road, run: Run) -> None:
    run("CREATE TABLE h (id int) PARTITION BY HASH (id)")
    run("CREATE TABLE h_0 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0)")
    run("CREATE TABLE h_1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1) PARTITION BY LIST (id)")
    run("CREATE TABLE h_1_1 PARTITION OF h_1 DEFAULT")
    run("INSERT INTO h SELECT generate_series(1, 100)")
    text = road.done("status", "--table", "h").out
    assert text.startswith("public.h is only shown here: it is partitioned by HASH, not by RANGE.")
    assert "WITH (modulus 2, remainder 1)" in text
    (one,) = (p for p in read_table(road.reader, "h").partitions if p.name == "h_1")
    assert (one.kind, one.tree and one.tree.said) == (Kind.BRANCH, "LIST (id), 1 partition")
    assert one.size is not None
    assert one.size.total == on_disk(run, "h_1") > 0


@pytest.mark.parametrize("kind", KINDS)
def test_samples_metrics_and_lists_follow_the_same(road: Road, run: Run, kind: str) -> None:
    planted = plant(run, kind)
    whole = on_disk(run, planted.name)
    present = read_present(road.reader, archive_schema="archive")
    assert sum(one.bytes for one in present) == whole
    assert {one.table for one in present} == (
        {"public.visit_a", "public.visit_bc"} if kind == "list-range" else {"public.visit"}
    )
    assert len(present) == (6 if kind == "list-range" else 3)
    sample_today(
        road.worker, road.cold.open, archive_schema="archive", today=date(2025, 11, 3), keep=None, weekly_after=None
    )
    assert sum(int(history.written[-1]) for history in read_histories(road.reader)) == whole
    figures = read_metrics(road.reader, archive_schema="archive", now=NOW, zone="UTC", kept=None)
    assert sum(one.bytes["attached"] for one in figures.tables) == whole
    assert all(one.bytes["attached"] for one in figures.tables)
    listed = {one.address: one for one in read_tables(road.reader)}
    assert listed["public.visit"].partitions == (2 if kind == "list-range" else 3)
    if kind == "list-range":
        assert [(one.address, one.under) for one in listed.values()] == [
            ("public.visit", ""),
            ("public.visit_a", "public.visit"),
            ("public.visit_bc", "public.visit"),
        ]
        assert listed["public.visit_a"].partitions == 3
    for table in {planted.name, planted.served}:
        grown = road.done("growth", "--json", "--table", table).json
        assert grown["attached_bytes"] == on_disk(run, table)


def test_leaves_that_were_sampled_one_by_one_are_not_told_as_dropped(road: Road, run: Run) -> None:
    plant(run, "range-hash")
    words = {"archive_schema": "archive", "keep": None, "weekly_after": None}
    sample_today(road.worker, road.cold.open, today=date(2025, 11, 2), **words)
    leaf = "(SELECT oid FROM pg_class WHERE relname = 'visit_2023_0')"
    run(f"UPDATE partition_desk.sampled_partition SET name = 'visit_2023_0', bounds = NULL, relation = {leaf}"
        " WHERE name = 'visit_2023'")  # fmt: skip
    sample_today(road.worker, road.cold.open, today=date(2025, 11, 3), **words)
    (history,) = read_histories(road.reader)
    assert int(history.written[-1]) == on_disk(run, "visit")
