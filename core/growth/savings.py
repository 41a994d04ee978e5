"""What archiving and dropping saved, in bytes and in money."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from core.growth.holdings import Stage, local_day
from core.period import Period
from core.tables.marks import Tag
from core.tables.table import PartitionedTable


@dataclass(frozen=True, slots=True)
class Move:
    """A partition that went from one stage to another."""

    day: date
    table: str
    name: str
    before: Stage | None
    """None where it was not seen before."""
    after: Stage
    bytes: int
    derived: bool = False
    """Whether it was not measured, but told by the archived table itself or by the journal."""


def tagged_moves(table: PartitionedTable, *, zone: str = "UTC") -> tuple[Move, ...]:
    """When the console archived what it did, as the archived tables themselves tell."""
    return tuple(
        archived_by(item.tag, table.address, item.name, item.size.total if item.size else 0, zone)
        for item in table.archived
        if item.tag is not None
    )


def archived_by(tag: Tag, table: str, name: str, size: int, zone: str) -> Move:
    """The move to the archive that a tag tells of."""
    return Move(local_day(tag.archived_at, zone), table, name, Stage.ATTACHED, Stage.ARCHIVED, size, derived=True)


def merge_moves(*sources: Iterable[Move]) -> tuple[Move, ...]:
    """All moves, oldest first; one that several sources tell of, within a month, counts once, as the first has it."""
    found: dict[tuple[str, str, Stage], list[Move]] = {}
    for source in sources:
        known = {key: list(moves) for key, moves in found.items()}
        for move in source:
            key = (move.table, move.name, move.after)
            if not any(abs((other.day - move.day).days) <= 31 for other in known.get(key, ())):
                found.setdefault(key, []).append(move)
    every = [move for moves in found.values() for move in moves]
    return tuple(sorted(every, key=lambda move: (move.day, move.table, move.name)))


@dataclass(frozen=True, slots=True)
class Quarter:
    """What was moved and freed in one quarter of a year, in bytes and partitions."""

    first: date
    archived: int
    """Bytes that left their table for the archive, on the same server."""
    archived_partitions: int
    freed: int
    """Bytes that left the server."""
    freed_partitions: int
    returned: int
    """Bytes that came back: reattached, or restored."""

    @property
    def label(self) -> str:
        """2026 Q4."""
        return f"{self.first.year} Q{(self.first.month + 2) // 3}"


_RANK = {Stage.ATTACHED: 0, Stage.ARCHIVED: 1, Stage.DROPPED: 2}


def savings(moves: Iterable[Move]) -> tuple[Quarter, ...]:
    """By quarter, oldest first, those without a move left out."""
    found: dict[date, Quarter] = {}
    for move in moves:
        first = Period.QUARTER.containing(move.day)[0]
        quarter = found.get(first, Quarter(first, 0, 0, 0, 0, 0))
        if move.before is not None and _RANK[move.after] < _RANK[move.before]:
            quarter = replace(quarter, returned=quarter.returned + move.bytes)
        elif move.after is Stage.ARCHIVED and move.before is not None:
            quarter = replace(
                quarter,
                archived=quarter.archived + move.bytes,
                archived_partitions=quarter.archived_partitions + 1,
            )
        elif move.after is Stage.DROPPED:
            quarter = replace(quarter, freed=quarter.freed + move.bytes, freed_partitions=quarter.freed_partitions + 1)
        found[first] = quarter
    return tuple(found[first] for first in sorted(found))


GB = 1_000_000_000
"""Bytes of the gigabyte that prices are for."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount a month, in the currency of the prices."""

    month: float

    @property
    def year(self) -> float:
        """Twelve times as much."""
        return 12 * self.month


@dataclass(frozen=True, slots=True)
class Prices:
    """What a GB (10^9 bytes) costs a month."""

    hot: float
    """On the server."""
    cold: float = 0.0
    """In cold storage."""

    def of(self, hot: float, cold: float = 0.0) -> Money:
        """What so many bytes cost; negative bytes of one kind take off what they saved."""
        return Money((hot * self.hot + cold * self.cold) / GB)
