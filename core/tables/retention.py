"""Which partitions are old enough to be archived."""

from __future__ import annotations

from datetime import date

from core.tables.key import key_value
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import Kind


def due(table: PartitionedTable, cutoff: date, today: date, zone: str = "UTC") -> tuple[Partition, ...]:
    """The attached partitions whose whole range lies before `cutoff` and that no hold binds today, oldest first."""
    if table.key is None or table.key.clock is None:
        return ()
    limit = key_value(table.key, cutoff, zone)
    over = (
        p
        for p in table.ranges
        if p.kind is not Kind.FOREIGN
        and not p.pending
        and p.bounds
        and p.bounds.upper is not None
        and p.bounds.upper <= limit
    )
    return tuple(p for p in over if p.hold is None or not p.hold.binds(today))
