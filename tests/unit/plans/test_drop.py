"""Drop, its delay and its undo, and holds: the whole SQL, and everything that forbids them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import DeskError, NotAllowed, NotServed, NotVerified, PartitionNotFound, ReadOnlyServer, Refused
from core.names import literal
from core.plans.drop import DROP, SCHEDULE, choose, fits, plan_drop, plan_keep, plan_later_drop
from core.plans.hold import plan_hold
from core.plans.plan import Mode, Plan
from core.plans.proof import Kept, Verdict
from core.tables.fingerprint import require_fingerprint_sql, require_same_sql
from core.tables.marks import Hold, Marks, PlannedDrop
from core.tables.table import PartitionedTable
from tests.unit.factories import COLUMNS, NOW, TODAY, archived, bounds, kept, partition, server, table

OLD = '"archive"."kid_absences_2020"'
HOLD = Hold("2027-01-31", "the audit", "ada")
PLANNED = PlannedDrop("public.kid_absences", "2026-12-01T09:30:00+00:00", kept(2020).backup.id, "text-1:1:1", "ada")


def with_archived(**changes: Any) -> PartitionedTable:
    return table(archived=(archived(2020, **changes),))


def dropping(of: PartitionedTable | None = None, backup: Kept | None = None, **more: Any) -> Plan:
    return plan_drop(of or with_archived(), "kid_absences_2020", backup or kept(2020), today=TODAY, **more)


def test_a_drop_compares_every_row_under_its_lock_and_drops_in_the_same_transaction() -> None:
    plan = dropping(place="s3://bucket")
    (step,) = plan.steps
    names = [column.name for column in COLUMNS]
    changed = (
        "archive.kid_absences_2020 no longer holds what the backup"
        " school/public.kid_absences/kid_absences_2020/20261001T080000Z-abc123 holds: rows were changed since."
    )
    assert step.transactional
    assert step.statements == (
        f"LOCK TABLE {OLD} IN SHARE MODE",
        require_same_sql(
            OLD,
            [(column.name, column.type) for column in COLUMNS],
            [],
            ["partition-desk hold: "],
            "archive.kid_absences_2020 is not what it was a moment ago: it got another column, or a hold, or its drop"
            " was called off.",
        ),
        require_fingerprint_sql(OLD, names, kept(2020).backup.fingerprint, changed),
        f"DROP TABLE {OLD}",
    )
    assert "CASCADE" not in plan.sql
    assert [(lock.relation, lock.mode, lock.brief) for lock in step.locks] == [
        (OLD, Mode.SHARE, False),
        (OLD, Mode.ACCESS_EXCLUSIVE, True),
    ]
    assert plan.effects[1] == (
        "Writes to it wait while its rows are read once more, under 1\N{NO-BREAK SPACE}s; reads go on."
    )
    assert plan.effects[2].startswith(f"The backup {kept(2020).backup.id} in s3://bucket keeps all of it")
    assert plan.effects[2].endswith("last restored and compared on 2 October 2026.")
    assert plan.way_back == f"Restore: partitions restore {kept(2020).backup.id}"
    assert plan.command == (
        "partitions drop --partition kid_absences_2020 --now --confirm kid_absences_2020"
        f" --backup {kept(2020).backup.id} --table public.kid_absences"
    )
    assert (plan.operation, plan.backup) == (DROP, kept(2020).backup.id)


def test_a_drop_looks_for_its_own_planned_drop_and_for_the_hold_that_it_knew() -> None:
    over = replace(HOLD, until="2026-10-19")
    check = dropping(with_archived(hold=over, drop=PLANNED)).steps[0].statements[1]
    for line in (Marks(hold=over).beside(None), Marks(drop=PLANNED).beside(None)):
        assert f"{literal(line or '')}) = 0" in check
    assert ") > 0" not in check


def test_what_goes_with_the_table_is_told() -> None:
    plan = dropping(belongings=("trigger audit", "policy own"))
    assert plan.warnings == ("With it go trigger audit, policy own: a restore does not bring them back.",)


@pytest.mark.parametrize(
    ("of", "backup", "more", "error", "said"),
    [
        (table(), kept(2020), {}, PartitionNotFound, "No archived table kid_absences_2020"),
        (table(partitions=(partition(2020),)), kept(2020), {}, Refused, "is attached to public.kid_absences"),
        (with_archived(), None, {}, NotVerified, "There is no backup of archive.kid_absences_2020"),
        (with_archived(), kept(2020, proven=False), {}, NotVerified, "was never restored and compared"),
        (with_archived(), kept(2020, name="kid_absences_2019"), {}, NotVerified, "is not one of"),
        (with_archived(), kept(2020, parent="public.other"), {}, NotVerified, "is not one of"),
        (with_archived(), kept(2020, bounds=bounds(2019, 2020).text), {}, NotVerified, "is not one of"),
        (with_archived(columns=COLUMNS[:-1]), kept(2020), {}, NotVerified, "is not one of"),
        (with_archived(), kept(2020), {"dependents": ("view public.old",)}, Refused, "is needed by view public.old"),
        (with_archived(hold=HOLD), kept(2020), {}, Refused, "held through 31 January 2027 by ada: the audit"),
        (with_archived(hold=replace(HOLD, until="")), kept(2020), {}, Refused, "held for good by ada"),
        (with_archived(owner="eve"), kept(2020), {}, NotAllowed, "belongs to eve"),
        (replace(with_archived(), owned=False), kept(2020), {}, NotAllowed, "does not own"),
        (replace(with_archived(), not_served="plain"), kept(2020), {}, NotServed, "only shown"),
        (replace(with_archived(), server=server(in_recovery=True)), kept(2020), {}, ReadOnlyServer, "standby"),
    ],
)
def test_what_forbids_a_drop_forbids_planning_it(
    of: PartitionedTable, backup: Kept | None, more: dict[str, Any], error: type[DeskError], said: str
) -> None:
    with pytest.raises(error, match=said) as refused:
        plan_drop(of, "kid_absences_2020", backup, today=TODAY, **more)
    assert refused.value.safe == "Nothing was changed."
    with pytest.raises(error, match=said):
        plan_later_drop(of, "kid_absences_2020", backup, at=NOW, by="ada", today=TODAY, **more)


def test_a_proof_that_is_not_of_this_backup_is_none() -> None:
    other = replace(kept(2020).proofs[0], sha256="cd" * 32)
    with pytest.raises(NotVerified):
        dropping(backup=Kept(kept(2020).backup, (other,)))
    failed = replace(kept(2020).proofs[0], verdict=Verdict.DAMAGED, reason="a flipped byte")
    with pytest.raises(NotVerified, match="was found damaged when it was restored and compared"):
        dropping(backup=Kept(kept(2020).backup, (*kept(2020).proofs, failed)))
    here = replace(failed, verdict=Verdict.UNPROVABLE, reason="There is no citext here.")
    with pytest.raises(NotVerified, match=r"could not be proven so far: There is no citext here\. Nothing"):
        dropping(backup=Kept(kept(2020).backup, (here,)))
    assert dropping(backup=Kept(kept(2020).backup, (*kept(2020).proofs, here))).steps, "it says nothing of the backup"


def test_a_hold_that_has_run_out_forbids_nothing() -> None:
    assert dropping(with_archived(hold=replace(HOLD, until="2026-10-19"))).steps


def test_the_best_backup_is_the_newest_that_is_proven() -> None:
    older = kept(2020, id="a", finished_at="2026-09-01T08:00:00+00:00")
    newer = kept(2020, id="b", finished_at="2026-10-01T08:00:00+00:00")
    unproven = kept(2020, id="c", finished_at="2026-10-05T08:00:00+00:00", proven=False)
    of, one = with_archived(), archived(2020)
    assert choose((older, newer, unproven, kept(2021)), of, one) == newer
    assert choose((unproven,), of, one) == unproven
    assert choose((kept(2021),), of, one) is None
    elsewhere = replace(newer, backup=replace(newer.backup, database="a copy"))
    assert choose((older, elsewhere), of, one) == older
    assert choose((elsewhere,), of, one) == elsewhere
    assert fits(newer, of, archived(2020, bounds=None))


def test_a_later_drop_is_a_line_in_the_comment_and_can_be_taken_back() -> None:
    at = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
    mine = with_archived(comment="mine")
    plan = plan_later_drop(mine, "kid_absences_2020", kept(2020), at=at, by="ada", today=TODAY)
    (step,) = plan.steps
    written = replace(PLANNED, fingerprint=kept(2020).backup.fingerprint)
    marks = Marks(archived(2020).tag, drop=written)
    assert step.statements[0].startswith(f"COMMENT ON TABLE {OLD} IS E'mine\npartition-desk: ")
    assert '"at": "2026-12-01T09:30:00+00:00"' in step.statements[0]
    assert step.locks[0].mode is Mode.SHARE_UPDATE_EXCLUSIVE
    assert plan.operation is SCHEDULE
    planned = with_archived(comment="mine", drop=written)
    assert planned.archived[0].marks == marks
    back = plan_keep(planned, "kid_absences_2020")
    assert back.steps[0].statements == step.undo
    assert plan_keep(mine, "kid_absences_2020").steps == ()


def test_a_hold_calls_a_planned_drop_off() -> None:
    plan = plan_hold(with_archived(drop=PLANNED), "kid_absences_2020", HOLD)
    assert "partition-desk hold: " in plan.sql
    assert "partition-desk drop: " not in plan.sql
    assert plan.effects == (
        "No rule archives kid_absences_2020 and nobody drops it through 31 January 2027: the audit",
        "Its planned drop is called off.",
    )
    assert (
        plan.command == "partitions hold --partition kid_absences_2020 --until 2027-01-31 --reason 'the audit'"
        " --table public.kid_absences"
    )


def test_a_hold_of_an_attached_partition_and_its_end() -> None:
    plan = plan_hold(table(), "kid_absences_2025", HOLD)
    line = Marks(hold=HOLD).beside(None)
    assert plan.steps[0].statements == (f'COMMENT ON TABLE "public"."kid_absences_2025" IS \'{line}\'',)
    held = table(partitions=(partition(2025, comment=line),))
    assert plan_hold(held, "kid_absences_2025", HOLD).steps == ()
    lifted = plan_hold(held, "kid_absences_2025", None)
    assert lifted.steps[0].statements == ('COMMENT ON TABLE "public"."kid_absences_2025" IS NULL',)
    assert plan_hold(table(), "kid_absences_2025", None).steps == ()
    with pytest.raises(PartitionNotFound):
        plan_hold(table(), "kid_absences_1999", HOLD)
