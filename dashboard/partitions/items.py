"""Everything there is of a table in the order of time, for lists and pictures: partitions, archived tables, gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.coverage import unexplained_gaps
from core.tables.key import Beyond, Value, day_of
from core.tables.partition import Partition
from core.tables.retention import due
from core.tables.table import PartitionedTable
from core.text import human_date
from dashboard.format import describe_bounds, short

HELD, DROP_PLANNED = "Held", "Drop planned"


class Status(StrEnum):
    """The states that a reader sees; the same words and colours on every page."""

    ATTACHED = "Attached"
    DUE = "Due for archive"
    AHEAD = "Ahead"
    ARCHIVED = "Archived"
    BACKED_UP = "Backed up"
    VERIFIED = "Verified"
    DROPPED = "Dropped"
    PENDING = "Detach pending"
    BUSY = "Busy"
    MISSING = "Missing"


PHASES = (Status.ATTACHED, Status.DUE, Status.ARCHIVED, Status.BACKED_UP, Status.VERIFIED, Status.DROPPED)
"""Where a period can stand, in order; what was dropped is on the server no more, and a backup brings it back."""


@dataclass(frozen=True, slots=True)
class Item:
    """One stretch of time in a table's life: a partition, an archived table, or a gap."""

    label: str
    name: str
    """schema.name, or empty for a gap."""
    status: Status
    lower: date | None
    """None where it is open, or not known; so for `upper`."""
    upper: date | None
    bounds: str
    rows: int | None
    heap: int
    index: int
    toast: int
    known: bool = True
    """Whether the sizes could be read."""
    ranged: bool = True
    """Whether it stands somewhere in time: a DEFAULT, a LIST partition and an unknown range do not."""
    also: tuple[str, ...] = ()
    """What else is to be seen of it at a glance: HELD, DROP_PLANNED."""

    @property
    def total(self) -> int:
        """Bytes on disk."""
        return self.heap + self.index + self.toast


def items(
    table: PartitionedTable, today: date, cutoff: date, zone: str = "UTC", elsewhere: Iterable[Bounds] = ()
) -> tuple[Item, ...]:
    """Everything there is of a table, in the order of time; gaps that nothing explains are among them.

    `elsewhere`: the bounds of what was dropped and lies in the place of the backups.
    """
    overdue = {p.oid for p in due(table, cutoff, today, zone)}
    found = [_item(p, _partition_state(p, overdue, today, zone), today, zone) for p in table.partitions]
    found += [_item(a, Status.BUSY if a.busy else Status.ARCHIVED, today, zone) for a in table.archived]
    for gap in unexplained_gaps(table, elsewhere):
        bounds = Bounds("", gap.lower, gap.upper)
        lower, upper = days_of(bounds, zone)
        words = f"{human_date(lower)} up to, not including, {human_date(upper)}"
        label = short(bounds, "missing", zone)
        found.append(Item(label, "", Status.MISSING, lower, upper, words, None, 0, 0, 0))
    named = Counter(item.label for item in found)
    found = [item if named[item.label] == 1 else replace(item, label=item.name or item.label) for item in found]
    return tuple(sorted(found, key=lambda item: (not item.ranged, item.lower or date.min, item.label)))


def _partition_state(partition: Partition, overdue: set[int], today: date, zone: str) -> Status:
    if partition.pending:
        return Status.PENDING
    if partition.busy:
        return Status.BUSY
    if partition.oid in overdue:
        return Status.DUE
    lower = days_of(partition.bounds, zone)[0] if partition.bounds else None
    return Status.AHEAD if lower is not None and lower > today else Status.ATTACHED


def _item(one: Partition | Archived, status: Status, today: date, zone: str) -> Item:
    bounds, size, hold = one.bounds, one.size, one.hold
    also: tuple[str, ...] = (HELD,) if hold is not None and hold.binds(today) else ()
    if isinstance(one, Archived) and one.drop is not None:
        also += (DROP_PLANNED,)
    lower, upper = days_of(bounds, zone) if bounds else (None, None)
    return Item(
        label=short(bounds, one.name, zone),
        name=f"{one.schema}.{one.name}",
        status=status,
        lower=lower,
        upper=upper,
        bounds=describe_bounds(bounds, zone),
        rows=one.rows,
        heap=size.heap if size else 0,
        index=size.index if size else 0,
        toast=size.toast if size else 0,
        known=size is not None,
        ranged=bounds is not None and not bounds.is_default,
        also=also,
    )


def days_of(bounds: Bounds, zone: str) -> tuple[date | None, date | None]:
    """The first date of a range and the first one after it; None where an end is open."""
    dates = bounds.dates(zone)
    if dates is not None:
        return dates
    lower, upper = (
        None if isinstance(end, Value | Beyond | None) else day_of(end) for end in (bounds.lower, bounds.upper)
    )
    return lower, upper
