"""Hold and lift: what keeps a partition or an archived table from every rule, and what ends that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import ClassVar

from core.plans.marking import comment_step, require_archived
from core.plans.operation import Danger, Operation, Sources, table_for
from core.plans.plan import Plan, basis, nothing_to_do
from core.plans.refusals import require_served
from core.plans.target import Target, partition_of
from core.tables.commands import option, twin
from core.tables.marks import Hold, Marks
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import human_date

HOLD = Operation("hold", "Hold", "changing its hold", Danger.DIALOG, marks_only=True, told_apart_by="steps")


@dataclass(frozen=True, slots=True)
class PutHold:
    """That a partition or an archived table is held, or, with None, that its hold is lifted."""

    operation: ClassVar = HOLD
    table: str | PartitionedTable
    partition: Target
    hold: Hold | None

    def plan(self, desk: Sources) -> Plan:
        """Reads nothing but the table."""
        table = table_for(desk, self.table)
        return plan_hold(table, partition_of(table, self.partition, desk.zone), self.hold)


def plan_hold(table: PartitionedTable, name: str, hold: Hold | None) -> Plan:
    """A plan that sets the hold of a partition or an archived table, or lifts it with None. Raises Refused.

    No steps where it is so already. A hold calls a planned drop off.
    """
    require_served(table)
    one = table.find(name) or require_archived(table, name)
    name = table.called(one)
    if isinstance(one, Partition):
        own, marks = Marks.split(one.comment)
    else:
        own, marks = one.comment, one.marks
    new = replace(marks, hold=hold, drop=None if hold else marks.drop)
    lift = twin("hold", table, name, "--lift")
    if hold is None:
        title, effect = f"Lift the hold of {name}", f"Rules and people may archive or drop {name} again."
        command, back = lift, f"Hold it again: {_hold_twin(table, name, marks.hold)}"
    else:
        until = f"through {human_date(date.fromisoformat(hold.until))}" if hold.until else "until somebody lifts it"
        title, effect = f"Hold {name} {until}", f"No rule archives {name} and nobody drops it {until}: {hold.reason}"
        command, back = _hold_twin(table, name, hold), f"Lift it: {lift}"
    plan = Plan(
        operation=HOLD,
        table=table.address,
        subject=name,
        basis=basis(table, one.oid),
        steps=(comment_step(title, one, own, marks, new),),
        effects=(effect, *(["Its planned drop is called off."] if hold and marks.drop else [])),
        way_back=back,
        command=command,
        oid=one.oid,
    )
    if new != marks:
        return plan
    why = f"{name} is held so already." if hold else f"{name} is not held."
    return nothing_to_do(HOLD, table.address, name, why, command=command)


def _hold_twin(table: PartitionedTable, name: str, hold: Hold | None) -> str:
    """The command that holds it so, or as it was held; with the reason left open where nothing was."""
    if hold is None:
        return twin("hold", table, name, "--reason ...")
    limit = [f"--until {hold.until}"] if hold.until else []
    return twin("hold", table, name, *limit, option("--reason", hold.reason))
