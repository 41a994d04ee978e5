"""The figures at the top of the page Growth, each with its note and its meaning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from core.growth.forecast import Passing
from core.growth.read import Growth
from core.growth.words import about, amount, is_near, signed, signed_percent, years
from core.text import human_bytes, human_date, human_rows, plural


@dataclass(frozen=True, slots=True)
class Card:
    """One figure with its note and its meaning."""

    label: str
    value: str
    note: str
    help: str
    urgent: bool = False


def cards(growth: Growth, horizon: int) -> tuple[Card, ...]:
    """The four figures at the top."""
    return _now(growth), _pace(growth), _limit(growth, horizon), _saved(growth)


def further(growth: Growth) -> tuple[Card, ...]:
    """The figures below the pictures."""
    return _year(growth), _cold(growth)


def _now(growth: Growth) -> Card:
    month = f"{signed(growth.change_30.added)} in 30 days" if growth.change_30 else "not measured 30 days ago"
    return Card(
        "On the server",
        human_bytes(growth.server),
        month,
        f"Everything that the tables and their archive take on the server's disk: {human_bytes(growth.attached)} in use"
        f" and {human_bytes(growth.archived)} archived, which means moved aside and still on the server.",
    )


def _year(growth: Growth) -> Card:
    year = growth.year_to_date
    help = "What is on the server now, compared with the day a year ago."
    if growth.change_365 is not None:
        changed = growth.change_365
        note = f"from {human_bytes(round(changed.before))}"
        return Card("Change in a year", signed(changed.added), note, f"{help} Measured on {human_date(changed.since)}.")
    if year is not None and year.share is not None:
        help = (
            f"Rows dated this year up to today, compared with {human_rows(round(year.rows_before))} last year up to the"
            " same day: estimated from the server's statistics of the dates."
        )
        note = f"about {human_rows(round(year.rows))} so far"
        return Card("This year against last", f"{signed_percent(year.share)} rows", note, help)
    return Card("Change in a year", "not known", "nobody measured a year ago", help)


def _pace(growth: Growth) -> Card:
    help = (
        "What is written in a month, the year over, before anything is archived or removed: the robust trend of all"
        " measurements, so that single days and one-off changes don't bend it."
    )
    if not growth.forecast.possible:
        return Card("Growth a month", "not known", "too little is known", f"{help} {growth.forecast.verdict.notes[0]}")
    per_month = growth.forecast.per_month
    note = "derived from the data" if growth.derived else f"{signed(12 * per_month)} a year"
    return Card("Growth a month", signed(per_month), note, help)


def _limit(growth: Growth, horizon: int) -> Card:
    help = (
        "The day on which the limit on the server is passed if everything stays where it is. The range is what such"
        " forecasts missed by in the past, less the worst: the truth lay within in four of five tries."
    )
    kept = growth.passing_kept
    if growth.limit is None:
        return Card("Limit passed", "no limit", "set one above", help)
    if kept is None:
        return Card("Limit passed", "not known", "too little is known for a forecast", help)
    if kept.already:
        return Card("Limit passed", "already", f"{signed(growth.server - growth.limit)} over it", help, urgent=True)
    if kept.expected is None:
        left = f"{human_bytes(growth.limit - growth.server)} left"
        return Card("Limit passed", f"over {years(horizon)}", f"{left}{_maybe(kept, growth.today)}", help)
    near = (kept.expected - growth.today).days < 365
    return Card("Limit passed", about(kept.expected, growth.today), between(kept, growth.today), help, urgent=near)


def _maybe(kept: Passing, today: date) -> str:
    return f"; {_short(kept.earliest, today)} at the earliest" if kept.earliest else ""


def between(passing: Passing, today: date) -> str:
    """The range of the day on which a limit is passed, short."""
    first, last = (_short(day, today) if day else "" for day in (passing.earliest, passing.latest))
    if first and last:
        return f"{first} to {last}" if first != last else f"within {first}"
    return f"{first} or later" if first else "or later"


def _short(day: date, today: date) -> str:
    return f"{day.day} {day:%b %Y}" if is_near(day, today) else f"{day:%b %Y}"


def _saved(growth: Growth) -> Card:
    help = (
        "What was removed from the server so far, as measured or as the journal tells. Archiving alone moves data aside"
        " on the same server: it frees the busy table, not the disk."
    )
    note = f"{human_bytes(growth.archived_total)} archived so far" if growth.archived_total else "nothing archived yet"
    value = human_bytes(growth.freed_total) if growth.freed_total else "nothing yet"
    return Card("Freed on the server", value, note, help)


def _cold(growth: Growth) -> Card:
    help = "Compressed backups of archived and removed data, in the place of the backups."
    if growth.cold is None:
        return Card("In cold storage", "not known", "not looked at yet", help)
    value = human_bytes(growth.cold) if growth.cold else "nothing yet"
    return Card("In cold storage", value, "compressed backups", help)


def costs(growth: Growth) -> tuple[Card, ...]:
    """The same in money; none without prices."""
    if growth.prices is None:
        return ()
    cold = growth.cold or 0
    now = growth.prices.of(growth.server, cold)
    rates = (
        f"At {growth.prices.hot:g} {growth.currency} a GB and month on the server,"
        f" {growth.prices.cold:g} in cold storage."
    )
    found = [Card("Costs a month", amount(now, growth.currency), "server and cold storage", rates)]
    place = min(365, len(growth.outlook.days) - 1)
    if place >= 30:
        when = "In a year" if place == 365 else f"In {plural(place, 'day')}"
        curves = [("all kept", growth.outlook.kept)]
        if growth.outlook.frees:
            curves.append(("old removed", growth.outlook.planned))
        for name, band in curves:
            then = growth.prices.of(float(band.expected[place]), cold)
            help = f"{rates} By the forecast: {human_bytes(round(float(band.expected[place])))} on the server."
            found.append(Card(f"{when}, {name}", amount(then, growth.currency), "a month, by the forecast", help))
    saved = growth.prices.of(growth.freed_total)
    value = amount(saved, growth.currency) if growth.freed_total else "nothing yet"
    found.append(Card("Saved each month", value, "by what was freed so far", rates))
    return tuple(found)
