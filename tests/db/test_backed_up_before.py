"""A branch that was backed up before it was archived."""

from __future__ import annotations

import pytest

from tests.road import Road
from tests.tables import Run
from tests.trees import content, plant, shape

AT = ("--year", "2023")


@pytest.mark.parametrize("kind", ["range-hash", "three levels"])
def test_a_backup_from_before_the_archive_is_one_of_it_too(road: Road, run: Run, kind: str) -> None:
    """Its leaves may have their columns in another order, and everything may be sent by a publication."""
    plant(run, kind)
    leaf, ends = ("visit_2023_1", "WITH (MODULUS 2, REMAINDER 1)")
    if kind == "three levels":
        leaf, ends = ("visit_2023_a", "IN ('a', 'b')")
    run(f"ALTER TABLE visit_2023 DETACH PARTITION {leaf}; ALTER TABLE {leaf} RENAME TO old")
    columns = "gone int, day date NOT NULL, kind text NOT NULL, kid_id int NOT NULL, id bigint NOT NULL"
    run(f"CREATE TABLE {leaf} ({columns}); ALTER TABLE {leaf} DROP COLUMN gone")
    run(f"INSERT INTO {leaf} SELECT day, kind, kid_id, id FROM old; DROP TABLE old")
    run(f"ALTER TABLE visit_2023 ATTACH PARTITION {leaf} FOR VALUES {ends}")
    before, rows = shape(run, "visit"), content(run, "visit")
    on = (*AT, "--table", "visit")
    road.done("backup", *on)
    (kept,) = road.every()
    road.done("verify", kept.backup.id)
    road.done("archive", *on)
    road.done("drop", *on, "--confirm=visit_2023", "--now")
    run("CREATE PUBLICATION everything FOR ALL TABLES")
    shown = road.done("restore", kept.backup.id, "--no-hold", "--dry-run").out
    assert f'ALTER TABLE "archive"."{leaf}" SET UNLOGGED' in shown
    road.done("restore", kept.backup.id, "--no-hold")
    assert run("SELECT DISTINCT relpersistence FROM pg_class WHERE relname LIKE 'visit%'") == [("p",)]
    road.done("reattach", *on)
    assert (shape(run, "visit"), content(run, "visit")) == (before, rows)
