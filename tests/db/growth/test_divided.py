"""A table by LIST whose branches were sampled as one table before: its past goes on in theirs."""

from __future__ import annotations

from datetime import date

import pytest

from core.growth.samples.daily import sample_today
from core.growth.samples.read import read_histories, read_moves
from tests.road import Road
from tests.tables import Run
from tests.trees import on_disk, plant


def sampled_as_one(run: Run, size: int) -> None:
    """What is sampled becomes what a console of before wrote: one table, and all of it in that."""
    run(
        "UPDATE partition_desk.sampled_partition SET table_id ="
        " (SELECT id FROM partition_desk.sampled_table WHERE address = 'public.visit_a')"
    )
    run("DELETE FROM partition_desk.size_total z USING partition_desk.sampled_table t"
        " WHERE t.id = z.table_id AND t.address = 'public.visit_bc'")  # fmt: skip
    run(f"UPDATE partition_desk.size_total SET heap = {size}, index_bytes = 0, toast = 0, partitions = 6")
    run("DELETE FROM partition_desk.sampled_table WHERE address = 'public.visit_bc'")
    run("UPDATE partition_desk.sampled_table SET address = 'public.visit'")


@pytest.mark.parametrize("whole", [False, True], ids=["by partitions", "by branches"])
def test_branches_that_were_sampled_as_one_table_keep_their_past(road: Road, run: Run, whole: bool) -> None:
    plant(run, "list-range")
    words = {"archive_schema": "archive", "keep": None, "weekly_after": None}
    sample_today(road.worker, road.cold.open, today=date(2025, 11, 2), **words)
    sizes = {f"public.{name}": on_disk(run, name) for name in ("visit", "visit_a", "visit_bc")}
    before = sizes.pop("public.visit")
    sampled_as_one(run, before)
    if whole:
        run("DELETE FROM partition_desk.sampled_partition WHERE name NOT IN ('visit_a_2023', 'visit_bc_2023')")
        run("UPDATE partition_desk.sampled_partition SET bounds = NULL, name = replace(name, '_2023', ''),"
            " relation = replace(name, '_2023', '')::regclass")  # fmt: skip
    sample_today(road.worker, road.cold.open, today=date(2025, 11, 3), **words)
    found = {one.table: [int(each) for each in one.written] for one in read_histories(road.reader)}
    if whole:
        assert found == {"public.visit": [before, 0], **{name: [size] for name, size in sizes.items()}}
    else:
        assert {name: each for name, each in found.items() if any(each)} == {
            name: [size] * 2 for name, size in sizes.items()
        }
    assert read_moves(road.reader) == ()
    grown = road.done("growth", "--json", "--table", "visit").json
    assert grown["attached_bytes"] == before
    assert grown["history"]["attached_bytes"] == [before, before]
