"""A backup of a branch: what its manifest says of each table, in which order they are attached, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core.errors import BackupDamaged, BackupUnusable
from core.plans.guard import OwnStatements
from core.plans.manifest import Backup, Level
from core.plans.script import after_rows, attach_below, attached_in_order, before_rows, between_rows
from tests.unit.cold_factories import RELATION, backup

COLUMNS = backup().columns
BELOW = (
    Level("b", "public", "kid_absences_2024", "FOR VALUES IN ('x', NULL)", "HASH (kid_id)", COLUMNS, 0, "", 0),
    Level("b_0", "public", "b", "FOR VALUES WITH (modulus 1, remainder 0)", "", COLUMNS, 15, "text-1:15:-4", 150),
    Level("rest", "cold", "kid_absences_2024", "DEFAULT", "", COLUMNS, 5, "text-1:5:11", 50),
)
CREATE = backup().create[-1]


def table_of(name: str) -> str:
    return f'"archive"."{name}"'


def branch(**changes: Any) -> Backup:
    """A backup of a branch of three tables on two levels."""
    flat = backup(split="LIST (kind)", below=BELOW)
    made = {
        "create": (
            *flat.create[:-1],
            f"{CREATE} PARTITION BY LIST (kind)",
            f"{CREATE.replace(RELATION, table_of('b'))} PARTITION BY HASH (kid_id)",
            *(CREATE.replace(RELATION, table_of(name)) for name in ("b_0", "rest")),
        ),
        "afterwards": tuple(attach_below("archive", one) for one in attached_in_order(flat.levels)),
    }
    return replace(flat, **{**made, **changes})


def test_it_is_of_the_next_format_and_read_back_equal() -> None:
    whole = branch()
    raw = json.loads(whole.to_json())
    assert raw["format"] == 2
    assert Backup.from_json(whole.to_json()) == whole
    assert [one.name for one in whole.levels] == ["kid_absences_2024", "b", "b_0", "rest"]
    assert [one.name for one in whole.leaves] == ["b_0", "rest"]


def test_a_plain_table_stays_in_the_first_format_without_a_word_of_levels() -> None:
    raw = json.loads(backup().to_json())
    assert raw["format"] == 1
    assert {"split", "below"}.isdisjoint(raw)
    assert [one.name for one in backup().leaves] == ["kid_absences_2024"]


def test_its_text_has_the_rows_of_each_leaf_in_turn() -> None:
    whole = branch()
    assert before_rows(whole).startswith("-- Partition Desk backup, format 2: a/b/c\n")
    assert before_rows(whole).endswith('COPY "archive"."b_0" ("id", "kid_id", "date", "reason") FROM stdin;\n')
    assert between_rows(whole) == ('\\.\nCOPY "archive"."rest" ("id", "kid_id", "date", "reason") FROM stdin;\n',)
    assert after_rows(whole).startswith('\\.\nALTER TABLE "archive"."b" ATTACH PARTITION "archive"."b_0" ')


def test_each_is_whole_before_it_is_attached_and_a_default_comes_last() -> None:
    assert [one.name for one in attached_in_order(branch().levels)] == ["b_0", "b", "rest"]
    turned = (BELOW[2], *BELOW[:2])
    assert [one.name for one in attached_in_order((branch().itself, *turned))] == ["b_0", "b", "rest"]


@pytest.mark.parametrize(
    "changes",
    [
        {"below": (BELOW[1], BELOW[0], BELOW[2])},
        {"below": (*BELOW, BELOW[2])},
        {"below": (*BELOW[:2], replace(BELOW[2], parent="b_0"))},
        {"below": (*BELOW[:2], replace(BELOW[2], parent=""))},
        {"below": (*BELOW[:2], replace(BELOW[2], name="kid_absences_2024"))},
        {"below": (*BELOW[:2], replace(BELOW[2], fingerprint="text-1:5:12"))},
        {"below": (*BELOW[:2], replace(BELOW[2], fingerprint="text-2:5:11"))},
        {"below": (*BELOW[:2], replace(BELOW[2], raw_bytes=-1))},
        {"below": BELOW[:2]},
        {"split": ""},
    ],
    ids=["order", "twice", "on a leaf", "on nothing", "itself", "sum", "kind", "negative", "lacking", "no branch"],
)
def test_tables_that_are_no_tree_or_not_the_whole_are_damage(changes: dict[str, Any]) -> None:
    with pytest.raises(BackupDamaged, match="no tree, or not the whole of one"):
        Backup.from_json(branch(**changes).to_json())


def test_it_runs_in_any_archive_schema_with_its_tables_alone() -> None:
    parts = OwnStatements(branch(), "cold store")
    assert parts.create[-4].startswith('CREATE TABLE "cold store"."kid_absences_2024" (')
    assert parts.create[-4].endswith(") PARTITION BY LIST (kind)")
    assert parts.afterwards[0] == (
        'ALTER TABLE "cold store"."b" ATTACH PARTITION "cold store"."b_0" FOR VALUES WITH (modulus 1, remainder 0)'
    )


def with_split(split: str) -> dict[str, Any]:
    """The first table partitioned by it, in the manifest and in its statement."""
    create = branch().create
    at = next(number for number, one in enumerate(create) if one.startswith(f"CREATE TABLE {RELATION} "))
    return {"split": split, "create": (*create[:at], f"{CREATE} PARTITION BY {split}", *create[at + 1 :])}


def with_bounds(bounds: str) -> dict[str, Any]:
    """A leaf with those bounds, in the manifest and in its statement."""
    below = (*BELOW[:2], replace(BELOW[2], bounds=bounds))
    return {"below": below, "afterwards": tuple(attach_below("archive", one) for one in (*below[1::-1], below[2]))}


@pytest.mark.parametrize(
    "changes",
    [
        {"afterwards": branch().afterwards[:-1]},
        {"afterwards": (*branch().afterwards, 'ALTER TABLE "archive"."b" ATTACH PARTITION "public"."kids" DEFAULT')},
        {"afterwards": (*branch().afterwards, 'ALTER TABLE "public"."kids" ATTACH PARTITION "archive"."rest" DEFAULT')},
        {"afterwards": (*branch().afterwards, 'ALTER TABLE "archive"."b" ATTACH PARTITION "archive"."rest" DEFAULT')},
        {"afterwards": (*branch().afterwards, 'ALTER TABLE "archive"."other" ADD CONSTRAINT "x" CHECK (true)')},
        {"afterwards": (*branch().afterwards, 'ALTER TABLE "archive"."b" DETACH PARTITION "archive"."b_0"')},
        {"create": (*branch().create, f"{CREATE.replace(RELATION, table_of('b_0'))} PARTITION BY HASH (id)")},
        {"create": (*branch().create, f"{CREATE} PARTITION BY LIST (kind) TABLESPACE elsewhere")},
        with_bounds("FOR VALUES IN (pg_sleep(9))"),
        with_bounds("FOR VALUES IN ('x' || 'y')"),
        with_bounds("FOR VALUES IN ('x'); DROP TABLE kids"),
        with_bounds("FOR VALUES IN ('x'), DETACH PARTITION b"),
        with_bounds(""),
        with_split("LIST (kind) TABLESPACE elsewhere"),
        with_split("LIST (kind) WITH (fillfactor='70')"),
        with_split("LIST (kind); DROP TABLE kids"),
        with_split("LIST (kind"),
        with_split("SPIRAL (kind)"),
    ],
)
def test_a_manifest_of_a_branch_can_not_make_anything_else_happen(changes: dict[str, Any]) -> None:
    with pytest.raises(BackupUnusable, match="that making this one table does not need"):
        OwnStatements(branch(**changes), "archive")


@pytest.mark.parametrize(
    "bounds",
    [
        "FOR VALUES FROM ('2024-01-01', MINVALUE) TO ('it''s', MAXVALUE)",
        "FOR VALUES IN (1, -2.5, NULL, true, 'a', E'\\\\b')",
        "FOR VALUES WITH (modulus 4, remainder 3)",
        "DEFAULT",
    ],
)
def test_bounds_that_a_server_prints_are_taken(bounds: str) -> None:
    OwnStatements(branch(**with_bounds(bounds)), "archive")
