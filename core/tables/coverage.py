"""What the partitions of a table hold and what they don't: gaps, the runway, and the periods that come next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from core.names import address
from core.period import Range
from core.tables.bounds import Bounds
from core.tables.key import End, Key, day_of, key_value
from core.tables.table import PartitionedTable

UNLIMITED = 1_000_000
"""Days of runway that stand for "for ever": a partition open to MAXVALUE."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the partitions of one table hold, as a look at all tables of a database at once tells it."""

    schema: str
    name: str
    key: Key | None
    """None where the table is only shown here."""
    ranges: tuple[Bounds, ...]
    """In the order of their lower ends, without DEFAULT and what is half detached."""
    pending: int
    """How many detaches were begun and not finished."""
    default: str
    """The quoted and qualified name of the DEFAULT partition; empty without one."""

    @property
    def address(self) -> str:
        """A name that `split_qualified` reads back, whatever is in it."""
        return address(self.schema, self.name)

    def runway_days(self, today: date, zone: str = "UTC") -> int | None:
        """Whole days until a date has no partition, UNLIMITED for never; None where the table is only shown."""
        return None if self.key is None else _days_until(_reach(self.key, self.ranges, today, zone), today, zone)


@dataclass(frozen=True, slots=True)
class Gap:
    """A range between partitions, or after them, that no partition holds."""

    lower: End
    upper: End


def gaps(table: PartitionedTable) -> tuple[Gap, ...]:
    """The ranges between the first lower and the last upper end that no partition holds.

    A detach-pending partition leaves a gap: inserts for its range fail. An archived one does as well, by intent.
    """
    found: list[Gap] = []
    reach: End | None = None
    for partition in table.ranges:
        bounds = partition.bounds
        if bounds is None or partition.pending:
            continue
        if reach is not None and bounds.lower is not None and bounds.lower > reach:
            found.append(Gap(reach, bounds.lower))
        if bounds.upper is None:
            return tuple(found)
        reach = bounds.upper if reach is None else max(reach, bounds.upper)
    return tuple(found)


def unexplained_gaps(table: PartitionedTable, elsewhere: Iterable[Bounds] = ()) -> tuple[Gap, ...]:
    """The gaps, less the ranges that archived tables hold, that a detach-pending partition does, or that lie elsewhere.

    `elsewhere`: the bounds of backups, whose tables may have been dropped; those of another key explain nothing.
    """
    pieces: list[Gap] = list(gaps(table))
    holders = [a.bounds for a in table.archived] + [p.bounds for p in table.partitions if p.pending]
    holders += [bounds for bounds in elsewhere if table.key is not None and bounds.is_of(table.key.type)]
    for bounds in holders:
        if bounds is not None:
            pieces = [piece for gap in pieces for piece in _without(gap, bounds)]
    return tuple(pieces)


def _without(gap: Gap, bounds: Bounds) -> Iterator[Gap]:
    if (bounds.lower is not None and bounds.lower >= gap.upper) or (
        bounds.upper is not None and bounds.upper <= gap.lower
    ):
        yield gap
        return
    if bounds.lower is not None and bounds.lower > gap.lower:
        yield Gap(gap.lower, bounds.lower)
    if bounds.upper is not None and bounds.upper < gap.upper:
        yield Gap(bounds.upper, gap.upper)


def covered_until(table: PartitionedTable, today: date, zone: str = "UTC") -> End | None:
    """The first moment from `today` on that has no partition; None where the last one is open to MAXVALUE.

    A DEFAULT partition is not counted: rows in it make the next partition fail.
    """
    if table.key is None:
        return None
    return _reach(table.key, (p.bounds for p in table.ranges if p.bounds is not None and not p.pending), today, zone)


def _reach(key: Key, ranges: Iterable[Bounds], today: date, zone: str) -> End | None:
    """How far ranges, in the order of their lower ends, reach without a gap from `today` on; None for ever."""
    reach = key_value(key, today, zone)
    for bounds in ranges:
        if bounds.holds(reach):
            if bounds.upper is None:
                return None
            reach = bounds.upper
    return reach


def runway_days(table: PartitionedTable, today: date, zone: str = "UTC") -> int:
    """Whole days from `today` until a date has no partition; 0 when today has none."""
    return _days_until(covered_until(table, today, zone), today, zone)


def _days_until(until: End | None, today: date, zone: str) -> int:
    if until is None:
        return UNLIMITED
    moment = until.astimezone(ZoneInfo(zone)) if isinstance(until, datetime) and until.tzinfo else until
    return max(0, (day_of(moment) - today).days)


def next_periods(table: PartitionedTable, today: date, ahead: int, zone: str = "UTC") -> tuple[Range, ...]:
    """The current period and `ahead` more, by the table's own period."""
    period = table.period(zone)
    lower, upper = period.containing(today)
    found = [(lower, upper)]
    for _ in range(ahead):
        lower, upper = upper, period.after(upper)
        found.append((lower, upper))
    return tuple(found)
