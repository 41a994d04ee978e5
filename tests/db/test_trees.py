"""Partitions that are partitioned themselves: each is read, told, archived and brought back as one."""

from __future__ import annotations

import shlex
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from core.console.metrics import read_metrics
from core.growth.samples.daily import sample_today
from core.growth.samples.measure import read_present
from core.growth.samples.read import read_histories
from core.migrations import skip_partitions
from core.postgres.connection import parse_url
from core.postgres.programs import find_pg_dump
from core.tables.catalog.marks import read_marks
from core.tables.catalog.summaries import read_tables
from core.tables.catalog.table import read_table
from core.tables.tree import Kind
from tests import tables
from tests.conftest import OpenSession, until
from tests.db.test_asking_again import killed
from tests.road import Road
from tests.servers import connect
from tests.tables import Run
from tests.trees import KINDS, ROWS, SERVED, content, on_disk, plant, plant_foreign, shape, tree_of

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
    # 14 keeps such figures a moment later
    until(lambda: run("SELECT bool_and(last_analyze IS NOT NULL) FROM pg_stat_user_tables WHERE n_live_tup > 0")[0][0])
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


# Archive and reattach -----------------------------------------------------------------------------------------------


@pytest.mark.one_in(2)
@pytest.mark.every_version
@pytest.mark.parametrize("kind", SERVED)
@pytest.mark.parametrize("default", [False, True], ids=["", "beside a DEFAULT"])
def test_a_branch_goes_and_comes_back_as_one(road: Road, run: Run, kind: str, default: bool) -> None:
    planted = plant(run, kind)
    if default:
        run(f"CREATE TABLE rest PARTITION OF {planted.served} DEFAULT")
    before, rows = shape(run, planted.name), content(run, planted.name)
    below = tree_of(run, planted.branch)
    archive = ("archive", "--year", "2023", "--table", planted.served)
    shown = road.done(*archive, "--dry-run").out
    for name in below:
        assert f'ALTER TABLE "public"."{name}" SET SCHEMA "archive"' in shown
    done = road.done(*archive).out
    assert f"--table public.{planted.served}" in done
    assert f"partitions backup --partition {planted.branch} " in done
    assert tree_of(run, f"archive.{planted.branch}") == {f"archive.{name}" for name in below}
    assert content(run, planted.name)[0] == rows[0] - planted.rows
    (archived,) = read_table(road.reader, planted.served).archived
    assert (archived.size and archived.size.total) == on_disk(run, archived.sql) > 0
    assert archived.rows == planted.rows
    assert (archived.tree.said if archived.tree else "") == planted.split
    assert len(road.done("status", "--json", "--table", planted.served).json["partitions"]) == 3 + default
    assert road.done(*archive).out.startswith("Nothing to do: ")

    lists = [one.address for one in read_tables(road.reader)]
    assert lists == (["public.visit", "public.visit_a", "public.visit_bc"] if "list-" in kind else ["public.visit"])
    (there,) = (one for one in read_present(road.reader, archive_schema="archive") if one.stage == "archived")
    assert (there.table, there.bytes) == (f"public.{planted.served}", archived.size.total if archived.size else 0)

    reattach = ("reattach", "--year", "2023", "--table", planted.served)
    road.done(*reattach)
    assert shape(run, planted.name) == before
    assert content(run, planted.name) == rows
    assert road.done(*reattach).out.startswith("Nothing to do: ")


@pytest.mark.every_version
@pytest.mark.parametrize("kind", SERVED)
@pytest.mark.parametrize("default", [False, True], ids=["", "beside a DEFAULT"])
def test_the_attach_of_a_branch_reads_no_row(road: Road, run: Run, kind: str, default: bool) -> None:
    """The server itself says what its proof rests on, or else that it reads."""
    planted = plant(run, kind)
    if default:
        run(f"CREATE TABLE rest PARTITION OF {planted.served} DEFAULT")
    road.done("archive", "--year", "2023", "--table", planted.served)
    plan = road.done("reattach", "--year", "2023", "--table", planted.served, "--dry-run").out
    attach = next(line for line in plan.splitlines() if " ATTACH PARTITION " in line)
    run(f"ALTER TABLE archive.{planted.branch} SET SCHEMA public")
    somebody = connect(road.url)
    tables.runner(somebody)("SET client_min_messages = debug1")
    tables.runner(somebody)(attach)
    notices = [str(one).strip() for one in somebody.notices]
    somebody.close()
    proven = f'partition constraint for table "{planted.branch}" is implied by existing constraints'
    assert any(proven in notice for notice in notices), notices
    assert not any(f'verifying table "{planted.branch}' in notice for notice in notices), notices


def test_what_stands_in_the_archive_already_under_a_leafs_name_is_seen_before(road: Road, run: Run) -> None:
    plant(run, "range-hash")
    run("CREATE SCHEMA archive CREATE TABLE visit_2023_1_day_idx (id int)")
    before = shape(run, "visit")
    ended = road("archive", "--year", "2023", "--table", "visit")
    assert ended.code == 1
    assert "archive already holds visit_2023_1_day_idx" in ended.err
    assert shape(run, "visit") == before


def test_sequences_of_leaves_stay_where_programs_look_for_them(road: Road, run: Run) -> None:
    plant(run, "range-hash")
    run("CREATE SEQUENCE numbers OWNED BY visit_2023_1.kid_id")
    run("ALTER TABLE visit ALTER kid_id SET DEFAULT nextval('numbers')")
    run("CREATE SEQUENCE own OWNED BY visit_2023_0.kid_id")
    road.done("archive", "--year", "2023", "--table", "visit")
    assert run("SELECT to_regclass('public.numbers') IS NOT NULL, to_regclass('archive.own') IS NOT NULL") == [
        (True, True)
    ]
    road.done("reattach", "--year", "2023", "--table", "visit")
    assert run("SELECT to_regclass('public.own') IS NOT NULL") == [(True,)]


@pytest.mark.every_version
def test_a_branch_with_a_foreign_leaf_goes_and_comes_back(road: Road, run: Run) -> None:
    plant(run, "range-list")
    plant_foreign(run, "visit_2023", "FOR VALUES IN ('far')", "visit_2023_far")
    before = shape(run, "visit")
    told = road.done("archive", "--year", "2023", "--table", "visit", "--dry-run").out
    assert "The rows of visit_2023_far are on another server" in told
    road.done("archive", "--year", "2023", "--table", "visit")
    assert "archive.visit_2023_far" in tree_of(run, "archive.visit_2023")
    road.done("reattach", "--year", "2023", "--table", "visit")
    assert shape(run, "visit") == before


def test_a_foreign_partition_is_left_alone_with_the_reason(road: Road, run: Run) -> None:
    plant(run, "range-list")
    plant_foreign(run, "visit", "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')", "visit_2020")
    for words in (("archive",), ("backup",)):
        ended = road(*words, "--year", "2020", "--table", "visit")
        assert ended.code == 1
        assert "visit_2020 is a foreign table: its rows are on another server" in ended.err


def test_an_index_that_the_table_has_gained_is_built_on_all_leaves(road: Road, run: Run) -> None:
    plant(run, "range-hash")
    road.done("archive", "--year", "2023", "--table", "visit")
    run("CREATE INDEX by_kid ON visit (kid_id)")
    road.done("reattach", "--year", "2023", "--table", "visit")
    assert run("SELECT bool_and(indisvalid), count(*) FROM pg_index x JOIN pg_partition_tree('by_kid') t"
               " ON t.relid = x.indexrelid") == [(True, 10)]  # fmt: skip


@pytest.mark.parametrize("words", [("backup", "--year", "2023"), ("drop", "--year", "2023", "--confirm=visit_2023")])
def test_a_branch_with_a_foreign_leaf_is_not_backed_up_by_half_and_never_dropped(
    road: Road, run: Run, words: tuple[str, ...]
) -> None:
    plant(run, "range-list")
    plant_foreign(run, "visit_2023", "FOR VALUES IN ('far')", "visit_2023_far")
    road.done("archive", "--year", "2023", "--table", "visit")
    before = tree_of(run, "archive.visit_2023")
    now = ("--now",) if words[0] == "drop" else ()
    ended = road(*words, *now, "--table", "visit")
    assert ended.code == 1
    assert "visit_2023_far, below visit_2023, is a foreign table: the rows are on another server" in ended.err
    assert '--table-and-children=\'"archive"."visit_2023"\'' in ended.err
    assert not road.every()
    assert tree_of(run, "archive.visit_2023") == before


@pytest.mark.one_in(4)
@pytest.mark.parametrize("at", range(3, 13))
def test_a_branch_after_a_kill_comes_to_the_same_end(road: Road, run: Run, at: int) -> None:
    plant(run, "range-hash")
    before, rows = shape(run, "visit"), content(run, "visit")
    archive, reattach = (
        (act, "--year", "2023", "--table", "visit", "--reason", "a test") for act in ("archive", "reattach")
    )
    killed(road, at, *archive)
    road.done(*archive)
    assert tree_of(run, "archive.visit_2023") == {f"archive.visit_2023{end}" for end in ("", "_0", "_1")}
    assert road.done(*archive).out.startswith("Nothing to do: ")
    killed(road, at, *reattach)
    road.done(*reattach)
    assert (shape(run, "visit"), content(run, "visit")) == (before, rows)


# Ensure -------------------------------------------------------------------------------------------------------------


def made_below(run: Run, table: str) -> list[tuple[Any, ...]]:
    """The names and bounds of a table and all below it."""
    return run(
        "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid) FROM pg_class c"
        f" JOIN pg_partition_tree('{table}') t ON t.relid = c.oid ORDER BY t.level, 1"
    )


BELOW = {
    "range-hash": [
        ("visit_2026", "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", "HASH (kid_id)"),
        ("visit_2026_0", "FOR VALUES WITH (modulus 2, remainder 0)", None),
        ("visit_2026_1", "FOR VALUES WITH (modulus 2, remainder 1)", None),
    ],
    "range-list": [
        ("visit_2026", "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", "LIST (kind)"),
        ("visit_2026_a", "FOR VALUES IN ('a', 'b')", None),
        ("visit_2026_rest", "DEFAULT", None),
    ],
    "range-range": [
        ("visit_2026", "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", "RANGE (day)"),
        ("visit_2026_h1", "FOR VALUES FROM ('2026-01-01') TO ('2026-07-01')", None),
        ("visit_2026_h2", "FOR VALUES FROM ('2026-07-01') TO ('2027-01-01')", None),
    ],
    "list-range": [("visit_a_2026", "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", None)],
}


@pytest.mark.every_version
@pytest.mark.parametrize("kind", SERVED)
def test_a_new_period_gets_below_it_what_its_siblings_have(road: Road, run: Run, kind: str) -> None:
    planted = plant(run, kind)
    run("CREATE ROLE reads_leaves") if not run("SELECT 1 FROM pg_roles WHERE rolname = 'reads_leaves'") else None
    for leaf in (name for name in tree_of(run, planted.served) if len(tree_of(run, name)) == 1):
        run(f"ALTER TABLE {leaf} SET (fillfactor = 70); GRANT SELECT ON {leaf} TO reads_leaves")
    ensure = ("ensure", "--year", "2026", "--table", planted.served)
    shown = road.done(*ensure, "--dry-run").out
    for name, _, split in BELOW[kind]:
        assert f'"{name}"' in shown
        assert split is None or f") PARTITION BY {split};" in shown
    road.done(*ensure)
    assert made_below(run, BELOW[kind][0][0]) == BELOW[kind]
    leaf = BELOW[kind][-1][0]
    assert run(f"SELECT reloptions, has_table_privilege('reads_leaves', oid, 'SELECT') FROM pg_class"
               f" WHERE oid = '{leaf}'::regclass") == [(["fillfactor=70"], True)]  # fmt: skip
    run("INSERT INTO visit (kid_id, kind, day) SELECT g, 'a', '2026-01-01'::date + g FROM generate_series(1, 300) g")
    assert run("SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid::regclass::text LIKE 'visit%'") == [(True,)]
    assert road.done(*ensure).out.startswith("Nothing to do: ")
    assert road.done("ensure", "--year", "2027", "--table", planted.served).code == 0
    run("DROP OWNED BY reads_leaves")


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        ("CREATE TABLE visit_2025_2 PARTITION OF visit_2025 FOR VALUES IN ('x')", "have partitions of other bounds"),
        ("ALTER TABLE visit_2025_a RENAME TO something; ALTER TABLE visit_2024_a RENAME TO other", "follow no pattern"),
        ("CREATE TABLE visit_2026_rest (id int)", "the name visit_2026_rest, which it would have, is taken"),
        ("DROP TABLE visit_2025_a, visit_2025_rest", "has no partition itself"),
    ],
    ids=["bounds", "names", "taken", "empty"],
)
def test_a_period_whose_siblings_do_not_tell_is_left_out(road: Road, run: Run, spoiled: str, why: str) -> None:
    plant(run, "range-list")
    run(spoiled)
    before = shape(run, "visit")
    ended = road("ensure", "--year", "2026", "--table", "visit")
    assert ended.code == 1
    assert "Nothing tells what visit_2026 is to have below it: " in ended.err
    assert why in ended.err
    assert shape(run, "visit") == before


def test_a_foreign_leaf_of_the_siblings_is_not_made(road: Road, run: Run) -> None:
    plant(run, "range-list")
    plant_foreign(run, "visit_2025", "FOR VALUES IN ('far')", "visit_2025_far")
    ended = road("ensure", "--year", "2026", "--table", "visit")
    assert ended.code == 1
    assert "visit_2025_far is a foreign table, which is not made here" in ended.err


def test_months_are_cut_into_days_of_their_own_number(road: Road, run: Run) -> None:
    run("CREATE TABLE log (at date NOT NULL, id int) PARTITION BY RANGE (at)")
    for month, days in ((1, 31), (2, 28)):
        run(f"CREATE TABLE log_2025_{month:02} PARTITION OF log FOR VALUES FROM ('2025-{month:02}-01')"
            f" TO ('2025-{month + 1:02}-01') PARTITION BY RANGE (at)")  # fmt: skip
        run("".join(
            f"CREATE TABLE log_2025{month:02}{day:02} PARTITION OF log_2025_{month:02}"
            f" FOR VALUES FROM ('2025-{month:02}-{day:02}') TO (date '2025-{month:02}-{day:02}' + 1);"
            for day in range(1, days + 1)
        ))  # fmt: skip
    road.done("ensure", "--date", "2025-03-10", "--table", "log")
    names = [name for name, _, _ in made_below(run, "log_2025_03")]
    assert names == ["log_2025_03", *(f"log_202503{day:02}" for day in range(1, 32))]


def test_three_levels_are_made_as_they_are(road: Road, run: Run) -> None:
    plant(run, "range-list")
    for year in (2023, 2024, 2025):
        run(f"CREATE TABLE visit_{year}_c PARTITION OF visit_{year} FOR VALUES IN ('x') PARTITION BY HASH (kid_id)")
        for n in range(3):
            run(f"CREATE TABLE visit_{year}_c_{n} PARTITION OF visit_{year}_c"
                f" FOR VALUES WITH (MODULUS 3, REMAINDER {n})")  # fmt: skip
    road.done("ensure", "--year", "2026", "--table", "visit")
    before = {(name.replace("2025", "2026"), split) for name, _, split in made_below(run, "visit_2025")}
    assert {(name, split) for name, _, split in made_below(run, "visit_2026")} == before


# Tables of their own below LIST or HASH -----------------------------------------------------------------------------


def test_a_table_by_list_shows_how_long_each_branch_lasts(road: Road, run: Run) -> None:
    plant(run, "list-range")
    run("CREATE TABLE visit_a_rest PARTITION OF visit_a FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)")
    text = road.done("status", "--table", "visit").out
    assert (
        "Its branches by RANGE are tables of their own, and served as such: public.visit_a and public.visit_bc." in text
    )
    assert "public.visit_a: everything has a place, without end. See: partitions status --table public.visit_a" in text
    assert "public.visit_bc: no partition holds today." in text
    told = road.done("status", "--json", "--table", "visit").json["branches"]
    assert told == [
        {"table": "public.visit_a", "runway_days": None},
        {"table": "public.visit_bc", "runway_days": 0},
    ]
    assert "itself a partition of public.visit," in road.done("status", "--table", "visit_a").out


def test_the_doctor_of_a_table_by_list_looks_at_each_branch(road: Road, run: Run) -> None:
    plant(run, "list-range")
    found = road.done("doctor", "--json", "--table", "visit").json
    assert [one["table"] for one in found["branches"]] == ["public.visit_a", "public.visit_bc"]
    assert "public.visit_a and public.visit_bc" in found["findings"][0]["reason"]
    checks = {each["check"]: each["severity"] for each in found["branches"][0]["findings"]}
    assert checks["current_period"] == "critical"
    text = road.done("doctor", "--table", "visit").out
    assert "Run: partitions doctor --table public.visit_bc" in text
    assert text.count(" check") >= 3


def test_ensure_of_a_table_by_list_goes_through_its_branches(road: Road, run: Run) -> None:
    plant(run, "list-range")
    run("CREATE TABLE visit_bc_wide PARTITION OF visit_bc FOR VALUES FROM ('2026-06-01') TO ('2030-01-01')")
    ended = road("ensure", "--year", "2026", "--table", "visit")
    assert ended.code == 1
    assert "public.visit_a:\nDone: ensure 2026" in ended.out
    assert (
        "Left out: public.visit_bc: Nothing tells how wide the next partition of public.visit_bc is to be" in ended.err
    )
    assert [name for name, _, _ in made_below(run, "visit_a")][-1] == "visit_a_2026"
    run("DROP TABLE visit_bc_wide")
    again = road.done("ensure", "--year", "2026", "--table", "visit").out
    assert again.startswith("public.visit_a:\nNothing to do: ")
    assert "public.visit_bc:\nDone: ensure 2026" in again


@pytest.mark.parametrize("kind", ["list", "hash"])
def test_what_has_no_order_says_what_cant_be_done(road: Road, run: Run, kind: str) -> None:
    if kind == "list":
        plant(run, "list")
    else:
        run("CREATE TABLE visit (id int) PARTITION BY HASH (id)")
        run("CREATE TABLE visit_2023 PARTITION OF visit FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    text = road.done("status", "--table", "visit").out
    assert "none is made ahead, archived, backed up or brought back here." in text
    assert "IN ('2024')" in text or kind == "hash"
    for words in (("ensure",), ("archive", "--partition", "visit_2023"), ("backup", "--partition", "visit_2023")):
        ended = road(*words, "--table", "visit")
        assert ended.code == 1
        assert f"public.visit is only shown here: it is partitioned by {kind.upper()}, not by RANGE" in ended.err


def test_a_refusal_of_a_table_by_list_names_its_branches(road: Road, run: Run) -> None:
    plant(run, "list-range")
    ended = road("archive", "--year", "2023", "--table", "visit")
    assert ended.code == 1
    assert "Its branches are tables of their own: --table public.visit_a, and 1 more" in ended.err


def test_the_doctor_tells_which_archived_branches_have_no_backup(road: Road, run: Run) -> None:
    plant(run, "range-list")
    plant_foreign(run, "visit_2024", "FOR VALUES IN ('far')", "visit_2024_far")
    for year in ("2023", "2024"):
        road.done("archive", "--year", year, "--table", "visit")
    findings = road.done("doctor", "--json", "--table", "visit").json["findings"]
    told, bare = (one for one in findings if one["check"] == "backed_up")
    assert bare["title"].startswith("1 archived table has no backup, ")
    assert "partitions backup --partition visit_2023 " in bare["hint"]
    assert told["title"] == "1 archived table is partitioned again with foreign leaves: not backed up here"
    dump = told["hint"].replace("pg_dump --dbname=", "").partition(" ")[2]
    assert dump.startswith("--table-and-children=")
    assert not any("sub" in one["check"] and one["severity"] == "critical" for one in findings)


def test_the_dump_that_a_refusal_names_holds_the_whole_tree(road: Road, run: Run, tmp_path: Path) -> None:
    plant(run, "range-list")
    plant_foreign(run, "visit_2023", "FOR VALUES IN ('far')", "visit_2023_far")
    road.done("archive", "--year", "2023", "--table", "visit")
    before = content(run, "archive.visit_2023_a"), content(run, "archive.visit_2023_rest")
    words = shlex.split(road("backup", "--year", "2023", "--table", "visit").err.partition("as it is: ")[2])
    url = parse_url(road.url)
    program = find_pg_dump(180000, environ={}).path
    where = url.set(drivername="postgresql").render_as_string(hide_password=False)
    file = tmp_path / "tree.dump"
    given = [word for word in words[1:] if not word.startswith(("--dbname", "--file"))]
    subprocess.run([program, *given, f"--dbname={where}", f"--file={file}"], check=True)
    run("DROP TABLE archive.visit_2023")
    restore = Path(program).with_name("pg_restore")
    subprocess.run([restore, f"--dbname={where}", "--exit-on-error", file], check=True)
    assert (content(run, "archive.visit_2023_a"), content(run, "archive.visit_2023_rest")) == before
    road.done("reattach", "--year", "2023", "--table", "visit")


# The whole road of a partition below two others ---------------------------------------------------------------------


@pytest.mark.one_in(2)
@pytest.mark.every_version
@pytest.mark.parametrize("kind", ["list-range", "range-range"])
def test_a_partition_of_a_branch_walks_the_whole_road(road: Road, run: Run, kind: str) -> None:
    plant(run, kind)
    branch, leaf, words = (
        ("visit_a", "visit_a_2023", ("--year", "2023"))
        if kind == "list-range"
        else ("visit_2023", "visit_2023_h1", ("--partition", "visit_2023_h1"))
    )
    before, rows = shape(run, "visit"), content(run, "visit")
    at = (*words, "--table", branch)
    road.done("archive", *at)
    assert tree_of(run, f"archive.{leaf}") == {f"archive.{leaf}"}
    assert road.done("reattach", *at).out.startswith("Done: ")
    assert (shape(run, "visit"), content(run, "visit")) == (before, rows)
    road.done("archive", *at)
    road.done("backup", *at)
    (kept,) = road.every()
    road.done("verify", kept.backup.id)
    road.done("drop", *at, f"--confirm={leaf}", "--now")
    assert not road.is_there(f"archive.{leaf}")
    road.done("restore", kept.backup.id)
    road.done("reattach", *at)
    assert content(run, "visit") == rows
    assert {name for name, *_ in shape(run, "visit")} == {name for name, *_ in before}
    assert road.done("doctor", "--table", branch).code == 0


def test_a_hold_on_a_branch_is_known(road: Road, run: Run) -> None:
    plant(run, "range-hash")
    road.done("hold", "--year", "2023", "--reason", "the audit", "--table", "visit")
    road.done("archive", "--year", "2023", "--table", "visit")
    (archived,) = read_table(road.reader, "visit").archived
    assert archived.hold is not None
    found, _ = read_marks(road.reader)
    assert [(one.name, one.marks.hold is not None) for one in found] == [("visit_2023", True)]


def test_an_archived_partition_is_not_proposed_to_be_dropped(road: Road, run: Run) -> None:
    """Autogenerate leaves the whole tree alone."""
    plant(run, "range-hash")
    road.done("archive", "--year", "2023", "--table", "visit")
    with road.reader.connect() as connection:
        include = skip_partitions(connection)
        names = {name for name in ("visit_2023", "visit_2023_0") if include(name, "table", {"schema_name": "archive"})}
    assert names == set()
