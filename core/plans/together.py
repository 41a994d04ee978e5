"""What several acts take when they are done one after the other: rows, bytes and locks, added up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.plans.operation import Wish
from core.plans.plan import Mode, Plan
from core.plans.verify import Verify
from core.tables.table import PartitionedTable
from core.text import human_bytes, listed, plural


@dataclass(frozen=True, slots=True)
class Planned:
    """One of several acts, as it was planned before the first of them is done."""

    wish: Wish
    plan: Plan
    rows: int | None
    """Estimated, or as the manifest of its backup says; None where nothing tells."""
    bytes: int


def planned(table: PartitionedTable, wish: Wish, plan: Plan) -> Planned:
    """The plan with the figures of what it moves or reads."""
    if isinstance(wish, Verify):
        return Planned(wish, plan, wish.kept.backup.rows, wish.kept.backup.bytes)
    one = None if plan.oid is None else table.by_oid(plan.oid)
    return Planned(wish, plan, one.rows if one else None, one.size.total if one and one.size else 0)


def same_act(plan: Plan) -> tuple[str, str]:
    """Equal for two plans that do the same to the same."""
    return plan.subject, plan.backup if plan.operation.told_apart_by == "backup" else ""


def summed_up(acts: Sequence[Planned]) -> str:
    """How much it is in all, in one sentence; without those that hold already, of which there is one that does not."""
    left = [act for act in acts if act.plan.steps]
    known = [act.rows for act in left if act.rows is not None]
    rows = f"about {plural(sum(known), 'row')}" if known else "rows that nobody has counted"
    if known and len(known) < len(left):
        rows += f" and those of {len(left) - len(known):,} that were never analyzed"
    what, verb = plural(len(left), "partition"), left[0].plan.operation.verb
    return f"{verb} {what}: {rows}, {human_bytes(sum(act.bytes for act in left))}."


def locks_of(plans: Sequence[Plan]) -> Iterator[str]:
    """The locks that they take in turn, a line for each mode; what only one takes is counted."""
    takers: dict[tuple[str, Mode], int] = {}
    for plan in plans:
        for lock in plan.locks:
            takers[lock.relation, lock.mode] = takers.get((lock.relation, lock.mode), 0) + 1
    for mode in reversed(Mode):
        shared = [relation for (relation, taken), count in takers.items() if taken is mode and count > 1]
        alone = [relation for (relation, taken), count in takers.items() if taken is mode and count == 1]
        several = [f"{plural(len(alone), 'table')} in turn"] if len(alone) > 1 else alone
        if shared or alone:
            yield f"{mode} on {listed([*shared, *several])}: {mode.meaning}."
