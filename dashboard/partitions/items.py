"""Everything there is of a table in the order of its ranges, for lists and pictures: partitions, archived, gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import streamlit as st

from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.coverage import frontier, unexplained_gaps
from core.tables.ends import End
from core.tables.partition import Partition
from core.tables.retention import due
from core.tables.table import PartitionedTable
from dashboard.format import describe_bounds, describe_days, short, short_of
from dashboard.partitions.axis import Axis, Spot, axis_of, spoken_spot

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
    CAUGHT = "Goes to the DEFAULT"


PHASES = (Status.ATTACHED, Status.DUE, Status.ARCHIVED, Status.BACKED_UP, Status.VERIFIED, Status.DROPPED)
"""Where a period can stand, in order; what was dropped is on the server no more, and a backup brings it back."""


@dataclass(frozen=True, slots=True)
class Item:
    """One stretch of a table: a partition, an archived table, or a gap."""

    label: str
    name: str
    """schema.name, or empty for a gap."""
    status: Status
    lower: Spot | None
    """Its place on the table's axis; None where it is open, or not known; so for `upper`."""
    upper: Spot | None
    bounds: str
    rows: int | None
    heap: int
    index: int
    toast: int
    known: bool = True
    """Whether the sizes could be read."""
    ranged: bool = True
    """Whether it stands somewhere on the axis: a DEFAULT, a LIST partition and an unknown range do not."""
    ends: tuple[str, str] = ("", "")
    """Its first value, and the first that it does not hold any more, for a column."""
    also: tuple[str, ...] = ()
    """What else is to be seen of it at a glance: HELD, DROP_PLANNED."""

    @property
    def total(self) -> int:
        """Bytes on disk."""
        return self.heap + self.index + self.toast


def items(
    table: PartitionedTable, now: datetime, cutoff: date, zone: str = "UTC", elsewhere: Iterable[Bounds] = ()
) -> tuple[Item, ...]:
    """Everything there is of a table, in the order of its ranges; gaps that nothing explains are among them.

    `elsewhere`: the bounds of what was dropped and lies in the place of the backups. Remembered for as long as the
    reading of the table is, and what is ahead for half a minute.
    """
    elsewhere = tuple(elsewhere)
    of = (table.oid, table.as_of, now.timestamp() // 30, tuple(bounds.text for bounds in elsewhere))
    return _items(of, cutoff, zone, table, now, elsewhere)


@st.cache_resource(ttl=60, show_spinner=False, max_entries=20)
def _items(
    of: tuple[object, ...],
    cutoff: date,
    zone: str,
    _table: PartitionedTable,
    _now: datetime,
    _elsewhere: tuple[Bounds, ...],
) -> tuple[Item, ...]:
    table, now, elsewhere = _table, _now, _elsewhere
    axis = axis_of(table, zone, elsewhere)
    today = now.astimezone(ZoneInfo(zone)).date()
    overdue = {p.oid for p in due(table, cutoff, today, zone)}
    reached = frontier(table, now, zone)
    found = [_item(p, _partition_state(p, overdue, reached), today, axis) for p in table.partitions]
    found += [_item(a, Status.BUSY if a.busy else Status.ARCHIVED, today, axis) for a in table.archived]
    for gap in unexplained_gaps(table, elsewhere):
        bounds = Bounds("FOR VALUES FROM ", gap.lower, gap.upper)
        label, words = short(bounds, "missing", zone), describe_bounds(bounds, zone)
        ends = (axis.spoken(gap.lower), axis.spoken(gap.upper))
        found.append(Item(label, "", Status.MISSING, *axis.ends(bounds), words, None, 0, 0, 0, ends=ends))
    named = Counter(item.label for item in found)
    found = [item if named[item.label] == 1 else replace(item, label=item.name or item.label) for item in found]
    return ordered(found)


def with_default(shown: Iterable[Item], table: PartitionedTable) -> tuple[Item, ...]:
    """The same for a picture of places: what is missing, and what lies beyond the ends, goes to the DEFAULT if any."""
    found, default = tuple(shown), table.default
    ranged = [item for item in found if item.ranged]
    if default is None or not ranged:
        return found
    caught = Item("DEFAULT", f"{default.schema}.{default.name}", Status.CAUGHT, None, None, "", None, 0, 0, 0)
    gaps = [
        replace(caught, lower=item.lower, upper=item.upper, bounds=item.bounds)
        if item.status is Status.MISSING
        else item
        for item in found
    ]
    first = min((item.lower for item in ranged if item.lower is not None), default=None)
    last = max((item.upper for item in ranged if item.upper is not None), default=None)
    ends = []
    if first is not None and all(item.lower is not None for item in ranged):
        ends.append(replace(caught, upper=first, bounds=f"before {spoken_spot(first)}"))
    if last is not None and all(item.upper is not None for item in ranged):
        ends.append(replace(caught, lower=last, bounds=f"from {spoken_spot(last)} on"))
    return ordered((*gaps, *ends))


def ordered(items: Iterable[Item]) -> tuple[Item, ...]:
    """In the order of their lower ends, open ones first, and what stands nowhere last."""
    closed = [item for item in items if item.ranged and item.lower is not None]
    open_ = [item for item in items if not (item.ranged and item.lower is not None)]
    return (
        *sorted((item for item in open_ if item.ranged), key=lambda item: item.label),
        *sorted(closed, key=lambda item: (item.lower, item.label)),
        *sorted((item for item in open_ if not item.ranged), key=lambda item: item.label),
    )


def _partition_state(partition: Partition, overdue: set[int], reached: End | None) -> Status:
    if partition.pending:
        return Status.PENDING
    if partition.busy:
        return Status.BUSY
    if partition.oid in overdue:
        return Status.DUE
    lower = partition.bounds.lower if partition.bounds else None
    return Status.AHEAD if lower is not None and reached is not None and lower > reached else Status.ATTACHED


def _item(one: Partition | Archived, status: Status, today: date, axis: Axis) -> Item:
    bounds, size, hold = one.bounds, one.size, one.hold
    also: tuple[str, ...] = (HELD,) if hold is not None and hold.binds(today) else ()
    if isinstance(one, Archived) and one.drop is not None:
        also += (DROP_PLANNED,)
    lower, upper = axis.ends(bounds)
    ranged = bounds is not None and bounds.is_range
    days = bounds.dates(axis.zone) if bounds is not None and ranged and axis.clock else None
    # the ends as words are for a column of texts, or for what has no place on the axis
    worded = bounds is not None and ranged and (axis.slots is not None or lower is None or upper is None)
    return Item(
        label=short_of(days, one.name) if days else short(bounds, one.name, axis.zone),
        name=f"{one.schema}.{one.name}",
        status=status,
        lower=lower,
        upper=upper,
        bounds=describe_days(days) if days else describe_bounds(bounds, axis.zone),
        rows=one.rows,
        heap=size.heap if size else 0,
        index=size.index if size else 0,
        toast=size.toast if size else 0,
        known=size is not None,
        ranged=ranged,
        ends=(axis.spoken(bounds.lower), axis.spoken(bounds.upper)) if bounds and worded else ("", ""),
        also=also,
    )
