"""Runs the two migrations as `partitions convert` and `unconvert` do, while everybody works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.console.desk import Desk
from core.errors import PlanOutdated, Refused, UsageError
from core.period import Width
from core.plans.conversion import to_its_end
from core.plans.convertible import Target
from core.plans.gather import to_plain
from core.plans.inplace import Convert
from core.plans.operation import Wish
from core.plans.split import Split
from core.plans.under_way import Abandon
from core.tables.table import PartitionedTable
from core.text import plural

YEAR = Width(months=12)
PLANNED_AGAIN = 5
"""How often a wish is planned anew because the table changed before it was begun."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What both directions work with, beside Alembic's session, in which nothing is done but keeping the revision."""

    desk: Desk
    table: PartitionedTable


def partition(migration: Migration, target: Target) -> Iterator[str]:
    """Partitions the plain table by years, online, from wherever it is; tells what is done. Raises DeskError.

    What can't be split stays in one partition, which is told: the table is in use partitioned all the same.
    """
    desk, table = migration.desk, migration.table.address
    key = migration.table.key
    if migration.table.strategy != "plain" and (key is None or key.column != target.key):
        raise Refused(
            f"{migration.table.label} is partitioned already, and not by {target.key}.",
            next="alembic stamp head records that without changing it.",
        )
    begin = Convert(table, target.key, YEAR, target.unique, target.indexed)
    for wish in to_its_end(desk, table, YEAR, begin, split=True):
        try:
            yield from _done(desk, wish)
        except (Refused, UsageError) as why:
            if not isinstance(wish, Split):
                raise
            yield f"What it held stays in one partition. {why.what} {why.next}".strip()
    found = desk.read(table)
    names = [one.name for one in found.ranges]
    count = plural(len(names), "partition")
    yield (
        f"{found.label} is partitioned by RANGE ({target.key}): {count}"
        f"{f', {names[0]} to {names[-1]}' if names else ''}."
    )


def unpartition(migration: Migration) -> Iterator[str]:
    """Makes the partitioned table plain, online; tells what is done, and what is left in the archive.

    A split that was begun is taken back rather than brought to its end. Raises DeskError.
    """
    desk, table = migration.desk, migration.table
    move = desk.under_way(table) if table.strategy != "plain" else None
    if move is not None and move.course.act == "split" and not move.switched:
        yield from _done(desk, Abandon(table.address))
    for wish in to_plain(desk, table.address):
        yield from _done(desk, wish)


def _done(desk: Desk, wish: Wish) -> Iterator[str]:
    """Tells what a wish takes and does it; plans anew while others change the table before it is begun."""
    for again in reversed(range(PLANNED_AGAIN)):
        plan = desk.plan(wish)
        yield from (*plan.effects, *plan.meanwhile) if again == PLANNED_AGAIN - 1 else ()
        if not plan.steps:
            return
        try:
            desk.run_unrecorded(plan)
        except PlanOutdated:
            if not again:
                raise
        else:
            return
