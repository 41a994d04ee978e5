"""A branch goes the whole road as one: archived, backed up, verified, dropped, restored and reattached."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from core.plans.manifest import Backup
from core.plans.script import after_rows, before_rows, between_rows
from core.tables.catalog.table import read_table
from tests.db.test_asking_again import killed
from tests.road import Road
from tests.tables import Run
from tests.trees import SERVED, Planted, content, furnish, plant, shape, tree_of

AT = ("--year", "2023")


def kept_of(road: Road, planted: Planted) -> str:
    """Archives, backs up and verifies the branch; returns the id of its backup."""
    at = (*AT, "--table", planted.served)
    road.done("archive", *at)
    road.done("backup", *at)
    (kept,) = road.every()
    road.done("verify", kept.backup.id)
    return kept.backup.id


@pytest.mark.one_in(3)
@pytest.mark.every_version
@pytest.mark.parametrize("kind", [*SERVED, "three levels", "empty"])
def test_a_branch_walks_the_whole_road(road: Road, run: Run, kind: str) -> None:
    planted = plant(run, kind)
    furnish(run, planted.branch)
    before, rows = shape(run, planted.name), content(run, planted.name)
    at = (*AT, "--table", planted.served)
    id = kept_of(road, planted)
    archived = shape(run, f"archive.{planted.branch}")
    held = content(run, f"archive.{planted.branch}")
    (kept,) = road.every()
    backup = kept.backup
    assert kept.proven is not None
    assert (backup.rows, backup.split) == (planted.rows, planted.split.partition(",")[0])
    assert {f"archive.{one.name}" for one in backup.levels} == tree_of(run, f"archive.{planted.branch}")
    assert {one.name: one.rows for one in backup.leaves} == {
        name: run(f"SELECT count(*) FROM archive.{name}")[0][0] for name in (one.name for one in backup.leaves)
    }
    shown = road.done("drop", *at, f"--confirm={planted.branch}", "--now", "--dry-run").out
    assert all(f'"archive"."{one.name}"' in shown for one in backup.leaves)
    road.done("drop", *at, f"--confirm={planted.branch}", "--now")
    assert run("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
               " WHERE nspname = 'archive' AND relkind IN ('r', 'p')") == [(0,)]  # fmt: skip
    assert road.done("drop", *at, f"--confirm={planted.branch}", "--now").out.startswith("Nothing to do: ")
    road.done("restore", id, "--no-hold")
    assert shape(run, f"archive.{planted.branch}") == archived
    assert content(run, f"archive.{planted.branch}") == held
    assert road.done("restore", id).out.startswith("Nothing to do: ")
    road.done("reattach", *at)
    assert shape(run, planted.name) == before
    assert content(run, planted.name) == rows
    assert road.done("reattach", *at).out.startswith("Nothing to do: ")
    assert road.done("restore", id).out.startswith("Nothing to do: ")
    (there,) = (one for one in read_table(road.reader, planted.served).partitions if one.name == planted.branch)
    assert (there.tree.said if there.tree else "") == planted.split


def test_a_leaf_of_another_schema_goes_with_its_branch_and_comes_back_to_its_own(road: Road, run: Run) -> None:
    plant(run, "range-hash")
    run("CREATE SCHEMA cold")
    run("ALTER TABLE visit_2023_1 SET SCHEMA cold")
    before, rows = shape(run, "visit"), content(run, "visit")
    at = ("--year", "2023", "--table", "visit")
    shown = road.done("archive", *at, "--dry-run").out
    assert "cold.visit_2023_1 of another schema go with it, and come back to theirs" in shown
    road.done("archive", *at)
    held = {f"archive.visit_2023{end}" for end in ("", "_0", "_1")}
    assert tree_of(run, "archive.visit_2023") == held
    run("CREATE TABLE cold.visit_2023_1 ()")
    ended = road("reattach", *at)
    assert ended.code == 1
    assert "cold already holds visit_2023_1" in ended.err
    run("DROP TABLE cold.visit_2023_1; CREATE TABLE visit_2023_1 ()")
    road.done("backup", *at)
    (kept,) = road.every()
    road.done("verify", kept.backup.id)
    road.done("drop", *at, "--confirm=visit_2023", "--now")
    road.done("restore", kept.backup.id, "--no-hold")
    assert tree_of(run, "archive.visit_2023") == held
    road.done("reattach", *at)
    assert (shape(run, "visit"), content(run, "visit")) == (before, rows)


def test_a_leaf_whose_schema_is_gone_comes_back_beside_its_branch(road: Road, run: Run) -> None:
    plant(run, "range-hash")
    run("CREATE SCHEMA cold; ALTER TABLE visit_2023_1 SET SCHEMA cold")
    road.done("archive", "--year", "2023", "--table", "visit")
    run("DROP SCHEMA cold")
    road.done("reattach", "--year", "2023", "--table", "visit")
    assert tree_of(run, "visit_2023") == {"visit_2023", "visit_2023_0", "visit_2023_1"}


def test_two_leaves_of_one_name_can_not_go_to_the_archive_together(road: Road, run: Run) -> None:
    plant(run, "range-hash")
    run("CREATE SCHEMA cold; ALTER TABLE visit_2023_1 SET SCHEMA cold")
    run("ALTER TABLE cold.visit_2023_1 RENAME TO visit_2023_0")
    before = shape(run, "visit")
    for words in ("archive", "backup"):
        ended = road(words, "--year", "2023", "--table", "visit")
        assert ended.code == 1
        assert "two are called visit_2023_0, in several schemas" in ended.err
    assert shape(run, "visit") == before


# What is not as the backup has it ------------------------------------------------------------------------------------

Edit = Callable[[list[bytes]], list[bytes]]


def forged(road: Road, backup: Backup, edit: Edit, **changes: Any) -> None:
    """Writes the backup anew with other rows of its leaves, sealed again, as who may write to the place can."""
    place = Path(road.environ["BACKUP_URL"])
    whole = zstandard.ZstdDecompressor().decompressobj().decompress((place / backup.object).read_bytes())
    texts = [text.encode() for text in (before_rows(backup), *between_rows(backup), after_rows(backup))]
    at, rows = len(texts[0]), []
    for leaf, text in zip(backup.leaves, texts[1:], strict=True):
        rows.append(whole[at : at + leaf.raw_bytes])
        at += leaf.raw_bytes + len(text)
    assert at == len(whole)
    rows = edit(rows)
    sizes = {leaf.name: len(piece) for leaf, piece in zip(backup.leaves, rows, strict=True)}
    below = tuple(replace(one, raw_bytes=sizes.get(one.name, 0)) for one in backup.below)
    forgery = replace(backup, **{"below": below, **changes})
    text = b"".join(piece for pair in zip(texts, [*rows, b""], strict=True) for piece in pair)
    packed = zstandard.ZstdCompressor().compress(text)
    (place / backup.object).write_bytes(packed)
    seal = {"raw_bytes": len(text), "bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}
    (place / backup.manifest).write_text(replace(forgery, **seal).to_json())


def first_row_moved(rows: list[bytes]) -> list[bytes]:
    """Takes the first row of the first leaf to the second."""
    row, end, rest = rows[0].partition(b"\n")
    return [rest, rows[1] + row + end, *rows[2:]]


def first_row_changed(rows: list[bytes]) -> list[bytes]:
    """The first row of the second leaf with another number, which fits as well."""
    number, tab, rest = rows[1].partition(b"\t")
    return [rows[0], b"9" + number + tab + rest, *rows[2:]]


def test_a_damaged_leaf_is_found(road: Road, run: Run) -> None:
    plant(run, "range-list")
    road.done("archive", *AT, "--table", "visit")
    road.done("backup", *AT, "--table", "visit")
    (kept,) = road.every()
    backup = kept.backup
    place = Path(road.environ["BACKUP_URL"])
    whole = {name: (place / name).read_bytes() for name in (backup.object, backup.manifest)}

    def found() -> str:
        ended = road("verify", backup.id)
        assert ended.code == 1
        for name, text in whole.items():
            (place / name).write_bytes(text)
        return ended.err

    flipped = bytearray(whole[backup.object])
    flipped[len(flipped) // 2] ^= 1
    (place / backup.object).write_bytes(flipped)
    assert "the checksum is not the manifest's" in found()
    forged(road, backup, first_row_moved)
    said = found()
    assert "is damaged: A row stands in another leaf than its own" in said
    assert 'partition constraint of relation "visit_2023_rest" is violated' in said
    forged(road, backup, first_row_changed)
    assert "The rows of its visit_2023_rest are not those of the manifest" in found()
    forged(road, backup, lambda rows: rows, afterwards=tuple(s for s in backup.afterwards if " ATTACH " not in s))
    assert "The manifest holds a statement that making this one table does not need" in found()
    ill = replace(backup.below[0], bounds="FOR VALUES IN ('x')")
    forged(road, backup, lambda rows: rows, below=(ill, *backup.below[1:]))
    assert "The manifest holds a statement" in found()
    assert road.done("verify", backup.id).code == 0


ANOTHER = "no backup of archive.visit_2023 as it is now"


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "DELETE FROM archive.visit_2023_a WHERE id = (SELECT min(id) FROM archive.visit_2023_a)",
            "no longer holds what",
        ),
        ("UPDATE archive.visit_2023 SET kind = 'c' WHERE id = (SELECT min(id) FROM archive.visit_2023_a)", "no longer"),
        (
            "CREATE TABLE archive.visit_2023_x PARTITION OF archive.visit_2023 FOR VALUES IN ('x')",
            "no backup of archive.visit_2023 as it is now",
        ),
        (
            "ALTER TABLE archive.visit_2023 DETACH PARTITION archive.visit_2023_a",
            "no backup of archive.visit_2023 as it is now",
        ),
        ("ALTER TABLE archive.visit_2023_a RENAME TO other", ANOTHER),
        ("ALTER TABLE archive.visit_2023 ADD COLUMN extra int", ANOTHER),
        ("CREATE VIEW seen AS SELECT * FROM archive.visit_2023_a", "is needed by view public.seen"),
    ],
    ids=["row gone", "row moved", "leaf more", "leaf out", "leaf renamed", "column", "view on a leaf"],
)
def test_what_was_changed_since_is_not_dropped(road: Road, run: Run, change: str, said: str) -> None:
    plant(run, "range-list")
    road.done("archive", *AT, "--table", "visit")
    road.done("backup", *AT, "--table", "visit")
    (kept,) = road.every()
    road.prove(kept.backup.id)
    run(change)
    before = shape(run, "archive.visit_2023"), content(run, "archive.visit_2023")
    ended = road("drop", *AT, "--table", "visit", "--confirm=visit_2023", "--now")
    assert ended.code == 1
    assert said in ended.err
    assert (shape(run, "archive.visit_2023"), content(run, "archive.visit_2023")) == before


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE archive.visit_2023_x PARTITION OF archive.visit_2023 FOR VALUES IN ('x')",
        "ALTER TABLE archive.visit_2023_a RENAME TO other",
    ],
)
def test_what_hangs_below_is_compared_under_the_lock(road: Road, run: Run, change: str) -> None:
    """What is changed between the plan and its lock is seen by the drop itself."""
    plant(run, "range-list")
    road.done("archive", *AT, "--table", "visit")
    road.done("backup", *AT, "--table", "visit")
    (kept,) = road.every()
    road.prove(kept.backup.id)
    script = road.done("drop", *AT, "--table", "visit", "--confirm=visit_2023", "--now", "--dry-run").out
    blocks = [one.group() for one in re.finditer(r"DO (\$desk_*\$).*?\1", script, re.DOTALL)]
    (compared,) = (one for one in blocks if "pg_partition_tree" in one)
    run(compared)
    run(change)
    with pytest.raises(Exception, match=r"What hangs below archive\.visit_2023 is not what the backup"):
        run(compared)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("at", [4, 9, 14, 22, 33])
def test_a_branch_after_a_kill_at_any_act_comes_to_the_same_end(road: Road, run: Run, at: int) -> None:
    plant(run, "range-list")
    before, rows = shape(run, "visit"), content(run, "visit")
    on = (*AT, "--table", "visit")
    road.done("archive", *on)
    killed(road, at, "backup", *on)
    road.done("backup", *on)
    kept = max(road.every(), key=lambda kept: kept.backup.finished_at)
    road.prove(kept.backup.id)
    drop = ("drop", *on, "--confirm=visit_2023", "--now", f"--backup={kept.backup.id}")
    killed(road, at, *drop)
    road.done(*drop)
    assert road.done(*drop).out.startswith("Nothing to do: ")
    restore = ("restore", kept.backup.id)
    killed(road, at, *restore)
    road.done(*restore)
    assert road.done(*restore).out.startswith("Nothing to do: ")
    killed(road, at, "reattach", *on)
    road.done("reattach", *on)
    run(
        "DO $$ DECLARE c text; BEGIN SELECT obj_description('visit_2023'::regclass) INTO c;"
        " IF c LIKE 'partition-desk hold%' THEN COMMENT ON TABLE visit_2023 IS NULL; END IF; END $$"
    )
    assert (shape(run, "visit"), content(run, "visit")) == (before, rows)


@pytest.mark.every_version
def test_a_branch_that_lacks_a_foreign_key_gets_it_leaf_by_leaf(road: Road, run: Run) -> None:
    planted = plant(run, "three levels")
    run("CREATE TABLE kid (id int PRIMARY KEY); INSERT INTO kid SELECT generate_series(0, 2000)")
    run("ALTER TABLE visit ADD CONSTRAINT of_kid FOREIGN KEY (kid_id) REFERENCES kid")
    keys = "SELECT conrelid::regclass::text, convalidated FROM pg_constraint WHERE contype = 'f'"
    keys += " AND conrelid::regclass::text LIKE 'visit%' ORDER BY 1"
    before, rows = run(keys), content(run, "visit")
    id = kept_of(road, planted)
    road.done("drop", *AT, "--table", "visit", "--confirm=visit_2023", "--now")
    road.done("restore", id, "--no-hold")
    run("ALTER TABLE archive.visit_2023_a ADD CONSTRAINT begun FOREIGN KEY (kid_id) REFERENCES kid(id) NOT VALID")
    road.done("reattach", *AT, "--table", "visit")
    assert (run(keys), content(run, "visit")) == (before, rows)


# What is of one server alone ----------------------------------------------------------------------------------------


@pytest.mark.every_version
def test_a_partition_below_hash_is_proven_and_comes_back_to_it(road: Road, run: Run) -> None:
    """A detach leaves a CHECK that names its table by the oid of today: no other server can look at it."""
    run("CREATE TABLE seen (id int NOT NULL, day date NOT NULL) PARTITION BY HASH (id)")
    run("CREATE TABLE seen_0 PARTITION OF seen FOR VALUES WITH (MODULUS 1, REMAINDER 0) PARTITION BY RANGE (day)")
    for year in (2023, 2024):
        run(f"CREATE TABLE seen_0_{year} PARTITION OF seen_0 FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')")
        run(f"INSERT INTO seen SELECT g, '{year}-05-01' FROM generate_series(1, 50) g")
    before, rows = shape(run, "seen"), content(run, "seen")
    on = (*AT, "--table", "seen_0")
    road.done("archive", *on)
    checks = "SELECT string_agg(pg_get_constraintdef(oid), ' ') FROM pg_constraint"
    checks += " WHERE conrelid = 'archive.seen_0_2023'::regclass AND contype = 'c'"
    assert "satisfies_hash_partition" in run(checks)[0][0]
    road.done("backup", *on)
    (kept,) = road.every()
    road.done("verify", kept.backup.id)
    assert kept.backup.bounded
    road.done("drop", *on, "--confirm=seen_0_2023", "--now")
    road.done("restore", kept.backup.id, "--no-hold")
    assert "satisfies_hash_partition" not in run(checks)[0][0]
    shown = road.done("reattach", *on, "--dry-run").out
    assert "satisfies_hash_partition" in shown, "proven before its lock"
    road.done("reattach", *on)
    assert (shape(run, "seen"), content(run, "seen")) == (before, rows)


@pytest.mark.parametrize(
    ("cut", "why"),
    [
        ("HASH (mood)", "the HASH of an enum"),
        ("LIST (half(kid_id))", "function public.half(integer)"),
    ],
)
def test_what_no_other_server_cuts_alike_is_not_backed_up(road: Road, run: Run, cut: str, why: str) -> None:
    run("CREATE TYPE mood AS ENUM ('a', 'b')")
    run("CREATE FUNCTION half(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 2'")
    run("CREATE TABLE seen (kid_id int NOT NULL, mood mood, day date NOT NULL) PARTITION BY RANGE (day)")
    run(f"CREATE TABLE seen_2023 PARTITION OF seen FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') PARTITION BY {cut}")
    road.done("archive", *AT, "--table", "seen")
    ended = road("backup", *AT, "--table", "seen")
    assert ended.code == 1
    assert f"seen_2023 rests on {why}" in ended.err
    assert "pg_dump (16 or newer) writes it as it is: pg_dump --dbname=" in ended.err
    assert not road.every()
