"""How the pages name things: partitions by their period, states by their word, and names kept from Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from core.cli.output import acts
from core.plans.plan import Operation, Plan
from core.tables.bounds import Bounds, End, day_of
from core.tables.model import (
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

HELD, DROP_PLANNED = "Held", "Drop planned"


class Shown(StrEnum):
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


VERBS: dict[Operation, str] = {
    Operation.ENSURE: "Ensure",
    Operation.ARCHIVE: "Archive",
    Operation.REATTACH: "Reattach",
    Operation.BACKUP: "Back up",
    Operation.VERIFY: "Verify",
    Operation.DROP: "Drop",
    Operation.RESTORE: "Restore",
    Operation.HOLD: "Hold",
    Operation.SCHEDULE: "Plan the drop of",
}


def deed(plan: Plan) -> str:
    """What a plan does, for a button or a heading: Archive kid_absences_2024; Lift the hold of kid_absences_2024."""
    if plan.operation in (Operation.HOLD, Operation.SCHEDULE) and plan.steps:
        return plan.steps[0].title
    return f"{VERBS[plan.operation]} {plan.subject}"


@dataclass(frozen=True, slots=True)
class Item:
    """One stretch of time in a table's life: a partition, an archived table, or a gap."""

    label: str
    name: str
    """schema.name, or empty for a gap."""
    state: Shown
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


_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|:$~^&=])")
# What the Markdown renderer still replaces when escapes are gone: icons, addresses, arrows that stand alone.
_REPLACED = re.compile(r":(?=[A-Za-z_/+\-])|@(?=\w)|www(?=\.)|(?<!\S)[<\->~!=](?=[<\->=]+(?!\S))")
JOINER = "\N{WORD JOINER}"


def plain(text: str) -> str:
    """A text inside Markdown as it stands: nothing in it makes a link, a picture, an icon, an arrow or a colour.

    An invisible joiner breaks up what escapes don't: "http://x", ":material/x:", "->".
    """
    joined = _REPLACED.sub(lambda found: found[0] + JOINER, text.replace("\n", " "))
    return _MARKUP.sub(r"\\\1", joined)


def short(bounds: Bounds | None, name: str, zone: str = "UTC") -> str:
    """What a person calls a partition: 2024, 2024-05, 2024-q1; DEFAULT; else its name."""
    if bounds is None:
        return name
    if bounds.is_default:
        return "DEFAULT"
    dates, period = bounds.dates(zone), bounds.period(zone)
    return period.label(dates[0]).replace("_", "-") if dates and period else name


def describe_bounds(bounds: Bounds | None, zone: str = "UTC") -> str:
    """A range in words: 1 January 2024 up to, not including, 1 January 2025."""
    if bounds is None:
        return "unknown"
    if bounds.is_default:
        return "whatever no other partition takes"
    dates = bounds.dates(zone)
    if dates is not None:
        return f"{human_date(dates[0])} up to, not including, {human_date(dates[1])}"
    lower = "the beginning" if bounds.lower is None else _moment(bounds.lower_sql, bounds.lower)
    upper = "the end" if bounds.upper is None else _moment(bounds.upper_sql, bounds.upper)
    return f"{lower} up to, not including, {upper}"


def _moment(sql: str, end: End) -> str:
    clock = sql.strip("'").partition(" ")[2]
    return human_date(day_of(end)) + (f" {clock}" if clock not in ("", "00:00:00", "00:00:00+00") else "")


def items(
    table: PartitionedTable, today: date, cutoff: date, zone: str = "UTC", elsewhere: Iterable[Bounds] = ()
) -> tuple[Item, ...]:
    """Everything there is of a table, in the order of time; gaps that nothing explains are among them.

    `elsewhere`: the bounds of what was dropped and lies in the place of the backups.
    """
    overdue = {p.oid for p in due(table, cutoff, today, zone)}
    found = [_item(p, _partition_state(p, overdue, today, zone), today, zone) for p in table.partitions]
    found += [_item(a, Shown.BUSY if a.busy else Shown.ARCHIVED, today, zone) for a in table.archived]
    for gap in unexplained_gaps(table, elsewhere):
        bounds = Bounds("", gap.lower, gap.upper)
        lower, upper = days_of(bounds, zone)
        words = f"{human_date(lower)} up to, not including, {human_date(upper)}"
        label = short(bounds, "missing", zone)
        found.append(Item(label, "", Shown.MISSING, lower, upper, words, None, 0, 0, 0))
    named = Counter(item.label for item in found)
    found = [item if named[item.label] == 1 else replace(item, label=item.name or item.label) for item in found]
    return tuple(sorted(found, key=lambda item: (not item.ranged, item.lower or date.min, item.label)))


def _partition_state(partition: Partition, overdue: set[int], today: date, zone: str) -> Shown:
    if partition.pending:
        return Shown.PENDING
    if partition.busy:
        return Shown.BUSY
    if partition.oid in overdue:
        return Shown.DUE
    lower = days_of(partition.bounds, zone)[0] if partition.bounds else None
    return Shown.AHEAD if lower is not None and lower > today else Shown.ATTACHED


def _item(one: Partition | Archived, state: Shown, today: date, zone: str) -> Item:
    bounds, size, hold = one.bounds, one.size, one.hold
    also: tuple[str, ...] = (HELD,) if hold is not None and hold.binds(today) else ()
    if isinstance(one, Archived) and one.drop is not None:
        also += (DROP_PLANNED,)
    lower, upper = days_of(bounds, zone) if bounds else (None, None)
    return Item(
        label=short(bounds, one.name, zone),
        name=f"{one.schema}.{one.name}",
        state=state,
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
    return (
        day_of(bounds.lower) if bounds.lower is not None else None,
        day_of(bounds.upper) if bounds.upper is not None else None,
    )


def verdict(table: PartitionedTable, today: date, zone: str = "UTC", elsewhere: Iterable[Bounds] = ()) -> str:
    """The state of a table in one sentence: until when every date has a place, or what fails."""
    if table.not_served is not None or table.key is None:
        return f"{table.label} is only shown here"
    if table.pending is not None:
        return f"The detach of {table.pending.name} is not finished"
    if not table.partitions:
        return f"{table.label} has no partition yet: every insert fails"
    days = runway_days(table, today, zone)
    fails = "rows go to the DEFAULT partition" if table.default else "inserts fail"
    if days == 0:
        return f"Today, {human_date(today)}, has no partition: {fails}"
    refused = "its rows go to the DEFAULT" if table.default else "its rows are refused"
    for gap in unexplained_gaps(table, elsewhere):
        bounds = Bounds("", gap.lower, gap.upper)
        lower, upper = days_of(bounds, zone)
        if lower is not None and lower <= today:
            whole = f"The time from {human_date(lower)} to {human_date(upper)}"
            return f"{short(bounds, whole, zone)} has no partition: {refused}"
    until = covered_until(table, today, zone)
    if until is None or days >= UNLIMITED:
        return "Everything has a place, without an end"
    first = days_of(Bounds("", until, until), zone)[0] or day_of(until)
    period = table.unit(zone)
    if period is not None and first <= period.containing(today)[1]:
        return f"{period.label(first).replace('_', '-')} has no partition: {fails} from {human_date(first)}"
    return f"Everything has a place until {human_date(first)}"


def by_hand(archived: Archived) -> str:
    """Backup, upload and drop as commands for a shell, for who does it without the console."""
    return "\n".join(acts.by_hand(archived.schema, archived.name))
