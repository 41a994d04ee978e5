"""How the pages name things: partitions by their period, states by their word, and names kept from Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from core.bounds import Bounds, day_of
from core.model import (
    UNLIMITED,
    Archived,
    Partition,
    PartitionedTable,
    covered_until,
    due,
    runway_days,
    unexplained_gaps,
)
from core.text import human_date


class Shown(StrEnum):
    """The states that a reader sees; the same words and colours on every page."""

    ATTACHED = "Attached"
    DUE = "Due for archive"
    AHEAD = "Ahead"
    ARCHIVED = "Archived"
    PENDING = "Detach pending"
    BUSY = "Busy"
    MISSING = "Missing"


@dataclass(frozen=True, slots=True)
class Item:
    """One stretch of time in a table's life: a partition, an archived table, or a gap."""

    label: str
    name: str
    """schema.name, or empty for a gap."""
    state: Shown
    lower: date | None
    upper: date | None
    bounds: str
    rows: int | None
    heap: int
    index: int
    toast: int
    known: bool = True
    """Whether the sizes could be read."""

    @property
    def total(self) -> int:
        """Bytes on disk."""
        return self.heap + self.index + self.toast


def plain(text: str) -> str:
    """A name inside Markdown: nothing in it makes a link, a picture or a colour."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|:$~^])", r"\\\1", text)


def short(bounds: Bounds | None, name: str, zone: str = "UTC") -> str:
    """What a person calls a partition: 2024, 2024-05, Q1 2024; DEFAULT; else its name."""
    if bounds is None:
        return name
    if bounds.is_default:
        return "DEFAULT"
    dates, period = bounds.dates(zone), bounds.period(zone)
    return period.label(dates[0]).replace("_", "-") if dates and period else name


def describe_bounds(bounds: Bounds | None) -> str:
    """A range in words: 1 January 2024 up to, not including, 1 January 2025."""
    if bounds is None:
        return "unknown"
    if bounds.is_default:
        return "whatever no other partition takes"
    lower = "the beginning" if bounds.lower is None else _moment(bounds.lower_sql, day_of(bounds.lower))
    upper = "the end" if bounds.upper is None else _moment(bounds.upper_sql, day_of(bounds.upper))
    return f"{lower} up to, not including, {upper}"


def _moment(sql: str, day: date) -> str:
    clock = sql.strip("'").partition(" ")[2]
    return human_date(day) if clock in ("", "00:00:00", "00:00:00+00") else f"{human_date(day)} {clock}"


def items(table: PartitionedTable, today: date, cutoff: date, zone: str = "UTC") -> tuple[Item, ...]:
    """Everything there is of a table, in the order of time; gaps that nothing explains are among them."""
    overdue = {p.oid for p in due(table, cutoff, zone)}
    found = [_partition_item(p, overdue, today, zone) for p in table.partitions]
    found += [_archived_item(a, zone) for a in table.archived]
    for gap in unexplained_gaps(table):
        lower, upper = day_of(gap.lower), day_of(gap.upper)
        found.append(Item("missing", "", Shown.MISSING, lower, upper, f"{lower} to {upper}", None, 0, 0, 0))
    return tuple(sorted(found, key=lambda item: (item.lower or date.min, item.label)))


def _partition_item(partition: Partition, overdue: set[int], today: date, zone: str) -> Item:
    bounds = partition.bounds
    lower = day_of(bounds.lower) if bounds and bounds.lower is not None else None
    state = Shown.ATTACHED
    if partition.pending:
        state = Shown.PENDING
    elif partition.busy:
        state = Shown.BUSY
    elif partition.oid in overdue:
        state = Shown.DUE
    elif lower is not None and lower > today:
        state = Shown.AHEAD
    size = partition.size
    return Item(
        label=short(bounds, partition.name, zone),
        name=f"{partition.schema}.{partition.name}",
        state=state,
        lower=lower,
        upper=day_of(bounds.upper) if bounds and bounds.upper is not None else None,
        bounds=describe_bounds(bounds),
        rows=partition.rows,
        heap=size.heap if size else 0,
        index=size.index if size else 0,
        toast=size.toast if size else 0,
        known=size is not None,
    )


def _archived_item(archived: Archived, zone: str) -> Item:
    bounds = archived.bounds
    size = archived.size
    return Item(
        label=short(bounds, archived.name, zone),
        name=f"{archived.schema}.{archived.name}",
        state=Shown.ARCHIVED,
        lower=day_of(bounds.lower) if bounds and bounds.lower is not None else None,
        upper=day_of(bounds.upper) if bounds and bounds.upper is not None else None,
        bounds=describe_bounds(bounds),
        rows=archived.rows,
        heap=size.heap if size else 0,
        index=size.index if size else 0,
        toast=size.toast if size else 0,
        known=size is not None,
    )


def verdict(table: PartitionedTable, today: date, zone: str = "UTC") -> str:
    """The state of a table in one sentence: until when every date has a place, or what fails."""
    if table.not_served is not None or table.key is None:
        return f"{table.label} is not a table this console acts on"
    if table.pending is not None:
        return f"The detach of {table.pending.name} is not finished"
    days = runway_days(table, today, zone)
    until = covered_until(table, today, zone)
    if until is None or days >= UNLIMITED:
        return "Everything has a place, without an end"
    if days == 0:
        return f"{human_date(today)} has no partition: inserts fail now"
    missing = [gap for gap in unexplained_gaps(table) if day_of(gap.lower) <= today]
    if missing:
        gap = missing[0]
        return f"{human_date(day_of(gap.lower))} to {human_date(day_of(gap.upper))} has no partition"
    return f"Everything has a place until {human_date(day_of(until))}"
