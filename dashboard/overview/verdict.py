"""The state of a table in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from core.tables.bounds import Bounds
from core.tables.coverage import UNLIMITED, covered_until, runway_days, unexplained_gaps
from core.tables.key import day_of
from core.tables.table import PartitionedTable
from core.text import human_date
from dashboard.format import short
from dashboard.partitions.items import days_of


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
