"""What the page Growth says below its pictures."""

from __future__ import annotations

from datetime import date, timedelta

from core.growth.calendar import Calendar
from core.growth.read import Growth
from core.growth.words import due_words, percent, year_words
from core.text import human_bytes, human_date, plural
from dashboard.charts.theme import Theme


def months_note(growth: Growth) -> str:
    """What the bars count, and those that are no whole measurement."""
    said = "What was written, wherever it is by now; archiving and removing change nothing of it."
    if any(not month.complete for month in growth.months):
        said += " In part: measuring had just begun, or the month is not over."
    if any(not month.measured for month in growth.months):
        said += " Interpolated: nobody measured then."
    return said


def rows_note(growth: Growth) -> str:
    """How this year compares with the last, up to the same day."""
    said = year_words(growth)
    return f"{said} Estimated from the server's statistics of the dates." if said else ""


def ahead_note(growth: Growth) -> str:
    """What the retention does, and how far off such a forecast was in the past."""
    retention = growth.retention
    if retention.drop_after is None:
        said = (
            f"What ended {retention.archive_after} ago is archived: moved aside on the same server, which frees nothing"
            " there. Choose above what removing it would free."
        )
    else:
        said = (
            f"If old data is removed: what ended {retention.archive_after} ago is archived, and leaves the server"
            f" {retention.drop_after} later, once it is backed up. Nothing of that happens by itself."
        )
    return f"{said} {tested(growth)}".strip()


def tested(growth: Growth) -> str:
    """The backtest as a sentence."""
    return next((error.sentence for error in reversed(growth.forecast.past) if error.days <= 365), "")


def due_note(growth: Growth, theme: Theme) -> str:
    """What is due now and within a year, and what that frees."""
    if not growth.leaving:
        return "Nothing leaves within a year."
    freed = [one for one in growth.leaving if one.freed_on is not None and one.freed_on <= until(growth)]
    later = (
        f"Within a year {plural(len(freed), 'partition')} with {theme.say(sum(one.bytes for one in freed))} would leave"
        " the server."
        if freed
        else "Nothing would leave the server within a year."
    )
    return f"{due_words(growth)} {later} {_next(growth)}"


def _next(growth: Growth, most: int = 4) -> str:
    """Which partitions leave first."""
    first = growth.leaving[:most]
    named = ", ".join(f"{one.name} {'now' if one.due else f'on {human_date(one.day)}'}" for one in first)
    more = f", and {len(growth.leaving) - most:,} more" if len(growth.leaving) > most else ""
    return f"Next: {named}{more}."


def shares_note(growth: Growth) -> str:
    """Where indexes and dead rows matter."""
    shares = growth.shares
    indexes, dead = shares.of(shares.index), shares.of(shares.dead)
    said = []
    if indexes >= 0.4:
        said.append(
            f"Indexes, which make searching fast, take {percent(indexes)}: it may be worth to look which of them nobody"
            " uses."
        )
    if shares.dead and dead >= 0.02:
        said.append(
            f"About {human_bytes(shares.dead)} ({percent(dead)}) are dead rows: deleted or replaced, their space is"
            " used again after a clean-up (vacuum). An estimate from the server's statistics."
        )
    return " ".join(said) or "Neither indexes nor dead rows (deleted, their space not yet used again) stand out."


def until(growth: Growth) -> date:
    """The last day of the year ahead."""
    return growth.today + timedelta(days=365)


def top(growth: Growth) -> str:
    """The table that grew most."""
    if not growth.growers:
        return "none"
    first = growth.growers[0]
    return f"{first.table} added {human_bytes(round(first.added))}, {percent(first.share)} of all"


def largest(growth: Growth) -> str:
    """The largest partition and how many there are."""
    if not growth.items:
        return "none"
    first = max(growth.items, key=lambda item: item.bytes)
    return f"{plural(len(growth.items), 'partition')}, the largest {first.name} with {human_bytes(first.bytes)}"


def calendar_words(calendar: Calendar | None) -> str:
    """How fine the calendar is."""
    return f"each {calendar.period.value} of it, and the holes" if calendar is not None else ""


def calendar_note(calendar: Calendar | None) -> str:
    """What the calendar tells, and where that is from."""
    if calendar is None:
        return ""
    signs = " In the picture: 0 is no rows, x no partition, ? not known." if calendar.holes else ""
    return f"{calendar.told}{signs} {calendar.how}"
