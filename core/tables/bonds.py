"""Tables that are bound to each other: by foreign keys on the same period, so that their partitions go together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.partition import Partition
from core.tables.table import PartitionedTable


@dataclass(frozen=True, slots=True)
class Bond:
    """A foreign key from one partitioned table to another that has the key of both among its columns."""

    name: str
    referring: str
    """The address of the table that it is of."""
    referred: str


@dataclass(frozen=True, slots=True)
class OwnKey:
    """The foreign key of one partition, or of one that was, that holds it to the tables of its set."""

    oid: int
    name: str


@dataclass(frozen=True, slots=True)
class Part:
    """One table of a set, with its partition of the period."""

    table: PartitionedTable
    one: Partition | Archived
    keys: tuple[str, ...] = ()
    """The names of its foreign keys to the other tables of the set."""

    @property
    def called(self) -> str:
        """What its partition is called in its table."""
        return self.table.called(self.one)


def in_order(addresses: Iterable[str], bonds: Iterable[Bond]) -> tuple[str, ...]:
    """The tables, each before those that it refers to. Raises ValueError where two refer to each other."""
    left = sorted(addresses)
    bonds = tuple(bonds)
    found: list[str] = []
    while left:
        free = [one for one in left if not any(bond.referred == one and bond.referring in left for bond in bonds)]
        if not free:
            raise ValueError("they refer to each other")
        found.append(free[0])
        left.remove(free[0])
    return tuple(found)


def of_range(table: PartitionedTable, bounds: Bounds) -> Partition | Archived | None:
    """What a table has of that very range, attached or archived; None where it has nothing of it.

    Raises ValueError where what it has is cut elsewhere.
    """
    every: tuple[tuple[Partition | Archived, ...], ...] = (tuple(table.ranges), table.archived)
    found = ([one for one in some if one.bounds is not None and one.bounds.overlaps(bounds)] for some in every)
    held = next((some for some in found if some), [])
    if not held:
        return None
    if len(held) > 1 or held[0].bounds is None or held[0].bounds.text != bounds.text:
        raise ValueError(", ".join(one.name for one in held))
    return held[0]
