"""The state of a table in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from core.plans.ensure import now_in
from core.tables.bounds import Bounds, spoken_end
from core.tables.coverage import NEVER, covered_until, key_at, runway, unexplained_gaps
from core.tables.cut import Cut
from core.tables.key import Key
from core.tables.table import PartitionedTable
from core.text import human_date, plural
from dashboard.format import short


def verdict(table: PartitionedTable, now: datetime, zone: str = "UTC", elsewhere: Iterable[Bounds] = ()) -> str:
    """The state of a table in one sentence: until when every date has a place, or what fails."""
    if table.not_served is not None or table.key is None:
        return f"{table.label} is only shown here"
    if table.pending is not None:
        return f"The detach of {table.pending.name} is not finished"
    if not table.partitions:
        return f"{table.label} has no partition yet: every insert fails"
    if table.key.clock is None:
        return f"{table.label} holds {plural(len(table.partitions), 'range')} of {table.key.name}"
    return _of_times(table, table.key, now, zone, elsewhere)


def lacks_next(table: PartitionedTable, now: datetime, zone: str = "UTC") -> bool:
    """Whether the period of now or the one after it has no partition, of a table whose width is known."""
    cut = table.cut(zone)
    if table.key is None or table.key.clock is None or not isinstance(cut, Cut):
        return False
    if not runway(table, now, zone):
        return True
    until = covered_until(table, now, zone)
    local = cut.local(until) if until is not None else None
    return local is not None and local <= cut.containing(now_in(cut, now, zone))[1]


def _of_times(table: PartitionedTable, key: Key, now: datetime, zone: str, elsewhere: Iterable[Bounds]) -> str:
    """Until when every date of a table has a place, or what fails."""
    today = now.astimezone(ZoneInfo(zone)).date()
    left = runway(table, now, zone)
    fails = "rows go to the DEFAULT partition" if table.default else "inserts fail"
    if not left:
        return f"Today, {human_date(today)}, has no partition: {fails}"
    refused = "its rows go to the DEFAULT" if table.default else "its rows are refused"
    for gap in unexplained_gaps(table, elsewhere):
        if gap.lower <= key_at(key, now, zone):
            bounds = Bounds("FOR VALUES FROM ", gap.lower, gap.upper)
            whole = f"The time from {spoken_end(gap.lower, zone)} to {spoken_end(gap.upper, zone)}"
            return f"{short(bounds, whole, zone)} has no partition: {refused}"
    until = covered_until(table, now, zone)
    if until is None or left == NEVER:
        return "Everything has a place, without an end"
    cut, first = table.cut(zone), spoken_end(until, zone)
    local = cut.local(until) if isinstance(cut, Cut) else None
    if isinstance(cut, Cut) and local is not None and lacks_next(table, now, zone):
        return f"{cut.width.label(local).replace('_', '-')} has no partition: {fails} from {first}"
    return f"Everything has a place until {first}"
