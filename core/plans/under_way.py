"""A move of rows that was begun: who may go on with it, and how it is taken back before the switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.errors import Refused
from core.names import address, ident
from core.plans.mirror import Mirror, label_of, progress_of, stage_of
from core.plans.operation import Danger, Operation, Sources, table_for
from core.plans.plan import Lock, Mode, Plan, Step, basis, nothing_to_do
from core.plans.steps import exclusion_name
from core.tables.commands import option, twin
from core.tables.move import Course, Ground, Leaving, Move, Unique
from core.tables.table import PartitionedTable
from core.text import listed

ABANDON = Operation("abandon", "Abandon", "taking a move of rows back", Danger.DIALOG, counts_rows=False)


def called_of(table: PartitionedTable, one: Leaving) -> str:
    """What means a partition that is left; its name alone once it is in place no more."""
    attached = table.by_oid(one.oid)
    return one.name if attached is None else table.called(attached)


def ground_of(desk: Sources, table: PartitionedTable, course: Course, begun: Move | None) -> Ground:
    """What is known of the partitions that are left; once they are out of place nothing of it matters."""
    gone = begun is not None and begun.switched
    return desk.ground(table, () if gone else (one.oid for one in course.leaving))


def goes_on(table: PartitionedTable, course: Course, *words: str) -> str:
    """The command that goes on with a move, or with --abandon takes it back."""
    named = [] if course.act == "drain" else [option("--partition", called_of(table, one)) for one in course.leaving]
    return twin(course.act, table, "", *named, *words)


def resting(rest_ms: int | None) -> list[str]:
    """The words that say how long a move rests after each batch."""
    return [] if rest_ms is None else [option("--batch-pause", f"{rest_ms}ms")]


def require_own(table: PartitionedTable, begun: Move | None, act: str, names: tuple[str, ...] = ()) -> Move | None:
    """The move under way, where it is of that act and of these partitions. Raises Refused for another."""
    if begun is None:
        return None
    course = begun.course
    own = {word for one in course.leaving for word in (one.name, address(one.schema, one.name))}
    if course.act == act and set(names) <= own and (act == "drain" or names):
        return begun
    back = "" if begun.switched else f" Or take it back: {goes_on(table, course, '--abandon')}"
    raise Refused(
        f"The rows of {listed(one.name for one in course.leaving)} are being moved already.",
        next=f"Finish that first: {goes_on(table, course)}{back}",
    )


def require_still(table: PartitionedTable, begun: Move | None, name: str) -> None:
    """Raises Refused where rows of that partition are being moved: what is carried over would be left behind."""
    one = table.find(name)
    if begun is not None and one is not None and one.oid in {left.oid for left in begun.course.leaving}:
        back = "" if begun.switched else f" Or take it back: {goes_on(table, begun.course, '--abandon')}"
        raise Refused(
            f"The rows of {name} are being moved into other partitions.",
            next=f"Finish that first: {goes_on(table, begun.course)}{back}",
        )


@dataclass(frozen=True, slots=True)
class Abandon:
    """That a move of rows that was begun leaves no trace; the rows are where they were all the time."""

    operation: ClassVar = ABANDON
    table: str | PartitionedTable

    def plan(self, desk: Sources) -> Plan:
        """Reads how far the move is."""
        table = table_for(desk, self.table)
        begun = desk.under_way(table)
        if begun is None:
            return nothing_to_do(ABANDON, table.address, table.name, f"No move of rows of {table.label} is under way.")
        return plan_abandon(table, begun)


def plan_abandon(table: PartitionedTable, begun: Move) -> Plan:
    """A plan that removes all that a move has made. Raises Refused once the new partitions are in place."""
    course = begun.course
    names = listed(one.name for one in course.leaving)
    if begun.switched:
        raise Refused(
            f"The rows of {names} are in their new partitions already: there is nothing to take back.",
            next=f"Finish it: {goes_on(table, course)}",
        )
    mirror = Mirror(table, Unique(False, (), ()), course.leaving)
    left = exclusion_name(label_of(course))
    default = table.default
    checks = [check.name for check in default.checks if check.name == left] if default is not None else []
    gone = [one.name for one in course.leaving if table.by_oid(one.oid) not in table.partitions]
    if gone:
        raise Refused(
            f"{listed(gone)} is no longer a partition of {table.label}: bring it back, then take the move back.",
        )
    return Plan(
        operation=ABANDON,
        table=table.address,
        subject=names,
        basis=basis(table, *(one.oid for one in course.leaving)),
        steps=(
            Step(
                f"Have no write of {names} carried over any more, and remove what was copied",
                (
                    *mirror.end(),
                    f"DROP TABLE {stage_of(table)}",
                    f"DROP TABLE {progress_of(table)}",
                    *(
                        f"ALTER TABLE {default.sql} DROP CONSTRAINT {ident(name)}"
                        for name in checks
                        if default is not None
                    ),
                ),
                (
                    *(Lock(one.sql, Mode.ACCESS_EXCLUSIVE) for one in course.leaving),
                    *([Lock(default.sql, Mode.ACCESS_EXCLUSIVE)] if checks and default is not None else []),
                    *(Lock(fk.other, Mode.ACCESS_EXCLUSIVE) for fk in table.references),
                ),
            ),
        ),
        effects=(
            f"All rows of {names} are where they were all the time; only copies of them are removed,"
            f" and the partitions that they were in: {listed((one.name for one in course.pieces), 24)}.",
        ),
        way_back=f"Begin it anew: {goes_on(table, course)}",
        command=goes_on(table, course, "--abandon"),
        oid=course.leaving[0].oid,
    )
