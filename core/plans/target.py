"""Which partition is meant: by its name, or by the dates that it holds."""

from __future__ import annotations

from core.errors import PartitionNotFound
from core.names import address
from core.period import Range
from core.tables.archived import Archived
from core.tables.commands import option
from core.tables.partition import Partition
from core.tables.table import PartitionedTable

Target = str | Range
"""A name, with its schema where it has to be, or a range of dates."""


def partition_of(table: PartitionedTable, target: Target, zone: str = "UTC") -> str:
    """What the one partition that is meant is called, else the archived table.

    Raises PartitionNotFound, and AmbiguousName for a name that several have.
    """
    if isinstance(target, str):
        return _called(table, target)
    found: list[Partition | Archived] = [*table.holding(*target, zone)]
    found = found or [*table.archived_in(*target, zone)]
    return _only(table, found, target, "partition", zone)


def archived_of(table: PartitionedTable, target: Target, zone: str = "UTC") -> str:
    """What the one archived table that is meant is called, else the partition. Raises as `partition_of` does.

    By its name in the archive also the partition that has come back from there, so that the same can be said again.
    """
    if isinstance(target, str):
        back = [one for one in table.partitions if target == address(table.archive.name, one.name)]
        return table.called(back[0]) if len(back) == 1 and not table.named(target) else _called(table, target)
    found: list[Partition | Archived] = [*table.archived_in(*target, zone)]
    found = found or [*table.holding(*target, zone)]
    return _only(table, found, target, "archived table", zone)


def _called(table: PartitionedTable, name: str) -> str:
    one = table.find(name) or table.find_archived(name)
    return name if one is None else table.called(one)


def _only(table: PartitionedTable, found: list[Partition | Archived], asked: Range, what: str, zone: str) -> str:
    lower, upper = asked
    label = f"{lower:%Y}" if (lower.month, lower.day) == (1, 1) else f"{lower} to {upper}"
    if not found:
        known = ", ".join(table.calls().values()) or "none"
        raise PartitionNotFound(f"{table.label} has no {what} for {label}.", next=f"There are: {known}.")
    if len(found) > 1:
        names = ", ".join(table.called(item) for item in found)
        raise PartitionNotFound(
            f"{label} lies in {len(found)} of them: {names}.", next="Name one with --partition NAME."
        )
    bounds, called = found[0].bounds, table.called(found[0])
    if bounds is None or not table.bounds_between(lower, upper, zone).covers(bounds):
        raise PartitionNotFound(
            f"{label} lies in {called}, which holds more than that: {bounds.text if bounds else 'unknown'}.",
            next=f"If all of it is meant, name it: {option('--partition', called)}",
        )
    return called


def called_in(table: PartitionedTable, one: Partition | Archived, schema: str) -> str:
    """What it will be called once it has moved to that schema."""
    called = table.called(one)
    return called if called == one.name else address(schema, one.name)
