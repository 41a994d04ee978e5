"""What another tool that works on the same table makes of an act: told before it, since no plan can prevent it."""

from __future__ import annotations

from collections.abc import Iterator

from core.tables.table import PartitionedTable
from core.tables.upkeep import Upkeep


def _at_work(table: PartitionedTable) -> Iterator[Upkeep]:
    if table.upkeep is not None and not table.upkeep.unread:
        yield table.upkeep


def beside_making(table: PartitionedTable) -> Iterator[str]:
    """Of new partitions, which are named as the tool's own are."""
    for other in _at_work(table):
        after = f" By itself it {other.takes_away}, these as well." if other.takes_away else ""
        ahead = f", {other.ahead} ahead of the newest row" if other.ahead is not None else ""
        yield f"{other.tool} makes partitions of this table as well{ahead}, and goes on after these.{after}"
    if table.upkeep is not None and table.upkeep.unread:
        yield (
            f"{table.upkeep.tool} is in this database: the role {table.server.user} may not read"
            " whether it makes partitions of this table."
        )


def beside_archiving(table: PartitionedTable) -> Iterator[str]:
    """Of a range that has no partition any more."""
    for other in _at_work(table):
        yield (
            f"{other.tool} makes partitions of this table as well and knows nothing of the archive: if it fills gaps,"
            " or this is its newest, it makes an empty one in the place of this, which keeps it from coming back."
        )


def beside_returning(table: PartitionedTable) -> Iterator[str]:
    """Of a partition that is old again."""
    for other in _at_work(table):
        if other.takes_away:
            yield f"{other.tool} {other.takes_away}: if this is one of them, its next run takes it away again."
