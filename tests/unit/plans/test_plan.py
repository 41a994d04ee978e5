"""Plans as data: their script, their locks, their JSON, and when they are outdated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.console.register import named
from core.names import comment_sql
from core.period import Period
from core.plans.archive import ARCHIVE, plan_archive
from core.plans.plan import Lock, Mode, Plan, Step, basis, facts, outdated
from core.plans.reattach import plan_reattach
from core.tables.distribution import Distribution
from core.tables.structure import Check, ForeignKey
from core.tables.table import PartitionedTable
from tests.unit.factories import (
    NOW,
    TODAY,
    archive_schema,
    archived,
    bounds,
    default_partition,
    ensured,
    partition,
    server,
    table,
)

SMALL = Plan(
    operation=ARCHIVE,
    table="public.t",
    subject="t_2024",
    basis=("a fact",),
    steps=(
        Step("First", ("SELECT 1", "SELECT 2"), (Lock("a", Mode.SHARE), Lock("b", Mode.ACCESS_SHARE, brief=False))),
        Step("Then", ("SELECT 3",), (Lock("a", Mode.ACCESS_EXCLUSIVE),), transactional=False, finish="SELECT 4"),
        Step("Last", ("SELECT 5",), (Lock("a", Mode.ROW_SHARE),), waits_for_all=True, undo=("SELECT 6",)),
    ),
    effects=("Something — it's done \\ 100%",),
    way_back="back",
    command="partitions archive",
    warnings=("careful",),
)


def test_the_script() -> None:
    assert SMALL.sql == ("-- First\nBEGIN;\nSELECT 1;\nSELECT 2;\nCOMMIT;\n\n-- Then\nSELECT 3;\n\n-- Last\nSELECT 5;")


def test_the_strongest_lock_on_each_relation() -> None:
    assert SMALL.locks == (Lock("a", Mode.ACCESS_EXCLUSIVE), Lock("b", Mode.ACCESS_SHARE, brief=False))


def test_json_gives_back_the_same_plan() -> None:
    plans = [
        SMALL,
        ensured(table(partitions=(default_partition(),)), [Period.YEAR.containing(TODAY)]),
        plan_archive(table(), "kid_absences_2025", now=NOW),
        plan_reattach(table(archived=(archived(2024),)), "kid_absences_2024"),
    ]
    for plan in plans:
        again = Plan.from_json(plan.to_json(), named)
        assert again == plan
        assert again.digest == plan.digest


def test_digests_tell_plans_apart() -> None:
    assert len(SMALL.digest) == 64
    assert SMALL.digest != replace(SMALL, basis=("another",)).digest
    assert SMALL.digest != replace(SMALL, steps=SMALL.steps[:2]).digest


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"steps": 1}', "null"])
def test_what_is_no_plan(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Plan.from_json(text, named)


# Source: PostgreSQL manual, table "Conflicting Lock Modes".
CONFLICTS = {
    Mode.ACCESS_SHARE: "00000001",
    Mode.ROW_SHARE: "00000011",
    Mode.ROW_EXCLUSIVE: "00001111",
    Mode.SHARE_UPDATE_EXCLUSIVE: "00011111",
    Mode.SHARE: "00110111",
    Mode.SHARE_ROW_EXCLUSIVE: "00111111",
    Mode.EXCLUSIVE: "01111111",
    Mode.ACCESS_EXCLUSIVE: "11111111",
}


@pytest.mark.parametrize("mode", list(Mode))
def test_conflicts(mode: Mode) -> None:
    modes = list(Mode)
    assert mode.conflicts == tuple(m for m, bit in zip(modes, CONFLICTS[mode], strict=True) if bit == "1")
    assert all(mode in other.conflicts for other in mode.conflicts)
    assert mode.meaning


def test_names_of_modes() -> None:
    assert Mode.SHARE_UPDATE_EXCLUSIVE.pg_name == "ShareUpdateExclusiveLock"
    assert Mode.ACCESS_SHARE.pg_name == "AccessShareLock"


def test_comments() -> None:
    assert comment_sql('"t"', None) == 'COMMENT ON TABLE "t" IS NULL'
    assert comment_sql('"t"', "it's") == "COMMENT ON TABLE \"t\" IS 'it''s'"
    assert comment_sql('"t"', "a\\b") == "COMMENT ON TABLE \"t\" IS E'a\\\\b'"
    assert comment_sql('"t"', "") == "COMMENT ON TABLE \"t\" IS ''"


# --- outdated ------------------------------------------------------------------------------------------------------

BEFORE = table(partitions=(partition(2025), partition(2026), default_partition()), archived=(archived(2024),))
ARCHIVE = plan_archive(BEFORE, "kid_absences_2025", now=NOW)
REATTACH = plan_reattach(BEFORE, "kid_absences_2024")
ENSURE = ensured(BEFORE, [Period.YEAR.containing(TODAY.replace(year=2027))])


def with_partition(number: int, **changes: Any) -> PartitionedTable:
    partitions = list(BEFORE.partitions)
    partitions[number] = replace(partitions[number], **changes)
    return replace(BEFORE, partitions=tuple(partitions))


@pytest.mark.parametrize("plan", [ARCHIVE, REATTACH, ENSURE], ids=lambda plan: plan.operation)
def test_nothing_changed(plan: Plan) -> None:
    assert outdated(plan, BEFORE) == ()
    busy = with_partition(0, busy=True, rows=1, size=None, activity=None)
    assert outdated(plan, replace(busy, taken=frozenset({"x"}), may_read=False)) == ()


CHECK = Check("c", "CHECK (true)", validated=True)
EVERYBODY, ARCHIVING, ENSURING, ATTACHING = {ARCHIVE, REATTACH, ENSURE}, {ARCHIVE}, {ENSURE}, {ENSURE, REATTACH}


@pytest.mark.parametrize(
    ("now", "concerned"),
    [
        (replace(BEFORE, oid=2), EVERYBODY),
        (replace(BEFORE, owner="other"), EVERYBODY),
        (replace(BEFORE, columns=BEFORE.columns[:-1]), EVERYBODY),
        (replace(BEFORE, indexes=()), EVERYBODY),
        (replace(BEFORE, indexes=tuple(replace(i, valid=False) for i in BEFORE.indexes)), EVERYBODY),
        (replace(BEFORE, references=(ForeignKey("f", "o", "FOREIGN KEY"),)), EVERYBODY),
        (replace(BEFORE, referenced_by=(ForeignKey("f", "o", "FOREIGN KEY"),)), EVERYBODY),
        (replace(BEFORE, server=server(version_num=160004)), EVERYBODY),
        (replace(BEFORE, distribution=Distribution("kid_id", 1)), EVERYBODY),
        (replace(BEFORE, archive=archive_schema(exists=False)), EVERYBODY),
        (replace(BEFORE, partitions=BEFORE.partitions[:2]), EVERYBODY),
        (with_partition(0, pending=True), EVERYBODY),
        (with_partition(0, comment="new"), EVERYBODY),
        (with_partition(0, checks=(CHECK,)), EVERYBODY),
        (with_partition(0, oid=77), EVERYBODY),
        (with_partition(0, name="renamed"), EVERYBODY),
        (with_partition(0, bounds=bounds(2025, 2027)), EVERYBODY),
        (with_partition(1, comment="another's"), ATTACHING),
        (with_partition(1, pending=True), EVERYBODY),
        (with_partition(2, checks=(CHECK,)), EVERYBODY),
        (replace(BEFORE, partitions=(*BEFORE.partitions, partition(2030))), ATTACHING),
        (replace(BEFORE, archived=()), ATTACHING),
        (replace(BEFORE, archived=(archived(2024, checks=()),)), ATTACHING),
        (replace(BEFORE, archived=(archived(2024, comment="new"),)), ATTACHING),
        (replace(BEFORE, archived=(archived(2024, indexes=()),)), ATTACHING),
        (replace(BEFORE, archived=(*BEFORE.archived, archived(2023))), ENSURING),
    ],
)
def test_what_changed_concerns_a_plan(now: PartitionedTable, concerned: set[Plan]) -> None:
    changed = {plan.operation: outdated(plan, now) for plan in (ARCHIVE, REATTACH, ENSURE)}
    assert {operation for operation, lines in changed.items() if lines} == {plan.operation for plan in concerned}
    assert all(line.startswith(("was: ", "is: ")) for lines in changed.values() for line in lines)


def test_an_archive_schema_that_another_operation_made_is_no_change() -> None:
    none = replace(BEFORE, archive=archive_schema(exists=False))
    plan = plan_archive(none, "kid_absences_2025", now=NOW)
    assert outdated(plan, BEFORE) == outdated(plan, none) == ()
    assert outdated(plan, replace(BEFORE, owner="other"))


def test_the_change_is_told_both_ways() -> None:
    was, is_ = outdated(ARCHIVE, with_partition(0, comment="new"))
    assert was.startswith("was: partition 2025 public.kid_absences_2025 FOR VALUES FROM ('2025-01-01')")
    assert was.endswith("comment None")
    assert is_.endswith("comment 'new'")


def test_the_basis_holds_what_the_operation_rests_on() -> None:
    lines = basis(BEFORE, BEFORE.partitions[0].oid)
    kinds = [line.split(" ", 2)[:2] for line in lines if line.startswith(("partition", "archived"))]
    assert kinds == [["partition", "2025"], ["partition", "90"]]
    assert basis(BEFORE, all_partitions=True) == facts(BEFORE)
