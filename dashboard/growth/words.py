"""What the page Growth says: the verdict in one sentence, the cards, the notes; in words that need no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from core.growth.forecast import Passing, PastError, Trust
from core.growth.outlook import Change
from core.growth.reading import Growth
from core.text import human_bytes, human_date, plural
from dashboard.charts.theme import Pen, written
from dashboard.growth.charts import differs

MINUS = "\N{MINUS SIGN}"
FLAT = 0.005
"""A change of less than half a percent is none."""


def month_of(day: date, today: date) -> str:
    """A day as far off as it is: the month, or the day itself where it is near."""
    return human_date(day) if (day - today).days < 120 else f"{day:%B} {day.year}"


def years(days: int) -> str:
    """How far ahead is looked: 90 days, a year, 3 years."""
    number, rest = divmod(days, 365)
    if rest:
        return plural(days, "day")
    return "a year" if number == 1 else f"{number} years"


def verdict(growth: Growth, horizon: int) -> str:
    """How much is on the server, how that changed, and when the limit is passed: one sentence."""
    said = reached(growth, horizon)
    return f"{stands(growth)}; {said}" if said else stands(growth)


def stands(growth: Growth) -> str:
    """How much is on the server, and how that changed."""
    whole = f"{human_bytes(growth.server)} on the server"
    changed = growth.change_365 or growth.change_30
    if growth.derived or changed is None:
        per_month = growth.forecast.per_month
        if growth.forecast.possible and per_month > 0:
            whole += f", growing by about {human_bytes(round(per_month))} a month"
    else:
        whole += f", {compared(changed, 'a year ago' if growth.change_365 else '30 days ago')}"
    return whole


def compared(changed: Change, then: str) -> str:
    """9 % more than a year ago."""
    share = changed.share
    if share is None:
        return f"nothing {then}"
    if abs(share) < FLAT:
        return f"as much as {then}"
    if share < -0.98:
        return f"a small part of what it was {then}"
    if share > 1:
        return f"{1 + share:.1f} times as much as {then}"
    return f"{abs(share):.0%} {'more' if share > 0 else 'less'} than {then}"


def reached(growth: Growth, horizon: int) -> str:
    """When the limit is passed, with the retention and without; empty where nobody set one or nobody can tell."""
    kept, planned = growth.passing_kept, growth.passing_planned
    if growth.limit is None or kept is None or planned is None:
        return ""
    limit = f"the limit of {written(growth.limit)}"
    if kept.already:
        return f"{limit} is passed"
    within = f"within {years(horizon)}"
    if kept.expected is None:
        return f"at this pace {limit} is not reached {within}"
    said = f"at this pace {limit} is reached {_when(kept.expected, growth.today)}"
    if not differs(growth.outlook):
        return said
    if planned.expected is None:
        return f"{said}, or not {within} if old data is removed"
    if planned.expected > kept.expected:
        return f"{said}, or {_when(planned.expected, growth.today)} if old data is removed"
    return f"{said}, even if old data is removed"


def _when(day: date, today: date) -> str:
    return f"{'on' if (day - today).days < 120 else 'in'} {month_of(day, today)}"


@dataclass(frozen=True, slots=True)
class Card:
    """One figure with its note and its meaning."""

    label: str
    value: str
    note: str
    help: str
    urgent: bool = False


def cards(growth: Growth, horizon: int) -> tuple[Card, ...]:
    """The six figures at the top."""
    return (_now(growth), _year(growth), _pace(growth), _limit(growth, horizon), _saved(growth),
            _cold(growth))  # fmt: skip


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
            f"Rows dated this year up to today, compared with {year.rows_before:,.0f} last year up to the same day:"
            " estimated from the server's statistics of the dates."
        )
        note = f"about {year.rows:,.0f} so far"
        return Card("This year against last", f"{year.share:+.0%} rows", note, help)
    return Card("Change in a year", "not known", "nobody measured a year ago", help)


def _pace(growth: Growth) -> Card:
    help = (
        "What is written in a month, the year over, before anything is archived or removed: the robust trend of all"
        " measurements, so that single days and one-off changes don't bend it."
    )
    if not growth.forecast.possible:
        return Card("Growth a month", "not known", growth.forecast.verdict.notes[0], help)
    per_month = growth.forecast.per_month
    note = "derived from the data" if growth.derived else f"{signed(12 * per_month)} a year"
    return Card("Growth a month", signed(per_month), note, help)


def _limit(growth: Growth, horizon: int) -> Card:
    help = (
        "The day on which the limit on the server is passed if everything stays where it is. The range is what such"
        " forecasts missed by in the past: four times of five the truth lay within."
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
        return Card("Limit passed", f"not within {years(horizon)}", f"{left}{_maybe(kept, growth.today)}", help)
    near = (kept.expected - growth.today).days < 365
    return Card("Limit passed", month_of(kept.expected, growth.today), between(kept, growth.today), help, urgent=near)


def _maybe(kept: Passing, today: date) -> str:
    return f"; {_short(kept.earliest, today)} at the earliest" if kept.earliest else ""


def between(passing: Passing, today: date) -> str:
    """The range of the day on which a limit is passed, short."""
    first, last = (_short(day, today) if day else "" for day in (passing.earliest, passing.latest))
    if first and last:
        return f"{first} to {last}" if first != last else f"within {first}"
    return f"{first} or later" if first else "or later"


def _short(day: date, today: date) -> str:
    return f"{day.day} {day:%b %Y}" if (day - today).days < 120 else f"{day:%b %Y}"


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


def costs(growth: Growth, pen: Pen) -> tuple[Card, ...]:
    """The same in money; none without prices."""
    if growth.prices is None:
        return ()
    cold = growth.cold or 0
    now = growth.prices.of(growth.server, cold)
    rates = (
        f"At {growth.prices.hot:g} {growth.currency} a GB and month on the server,"
        f" {growth.prices.cold:g} in cold storage."
    )
    found = [Card("Costs a month", pen.amount(now), "server and cold storage", rates)]
    place = min(365, len(growth.outlook.days) - 1)
    if place >= 30:
        when = "In a year" if place == 365 else f"In {plural(place, 'day')}"
        curves = [("all kept", growth.outlook.kept)]
        if differs(growth.outlook):
            curves.append(("old removed", growth.outlook.planned))
        for name, band in curves:
            then = growth.prices.of(float(band.expected[place]), cold)
            help = f"{rates} By the forecast: {human_bytes(round(float(band.expected[place])))} on the server."
            found.append(Card(f"{when}, {name}", pen.amount(then), "a month, by the forecast", help))
    saved = growth.prices.of(growth.freed_total)
    value = pen.amount(saved) if growth.freed_total else "nothing yet"
    found.append(Card("Saved each month", value, "by what was freed so far", rates))
    return tuple(found)


def signed(size: float) -> str:
    """Bytes with their sign."""
    return f"{'+' if size > 0 else MINUS if size < 0 else ''}{human_bytes(round(abs(size)))}"


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
    year = growth.year_to_date
    if year is None or year.share is None:
        return ""
    more = f"{abs(year.share):.0%} {'more' if year.share >= 0 else 'fewer'}"
    if abs(year.share) < FLAT:
        more = "as many"
    than = "as" if abs(year.share) < FLAT else "than"
    return (
        f"Up to {year.until.day} {year.until:%B}, this year has {more} rows {than} last year had:"
        f" about {year.rows:,.0f} against {year.rows_before:,.0f}, estimated from the server's statistics of the dates."
    )


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
    error: PastError | None = next((one for one in reversed(growth.forecast.past) if one.days <= 365), None)
    return error.sentence if error else ""


def due_sentence(growth: Growth, pen: Pen) -> str:
    """What is due now and within a year, and what that frees."""
    due = [one for one in growth.leaving if one.due and one.stage == "attached"]
    freed = [one for one in growth.leaving if one.freed_on is not None and (one.freed_on - growth.today).days <= 365]
    if not growth.leaving:
        return "Nothing leaves within a year."
    first = f"{plural(len(due), 'partition')} with {pen.say(growth.due)} can be archived now" if due else ""
    later = (
        f"within a year {plural(len(freed), 'partition')} with {pen.say(sum(one.bytes for one in freed))} would leave"
        " the server"
        if freed
        else "nothing would leave the server within a year"
    )
    said = f"{first}; {later}." if first else f"{later}."
    return f"{said[0].upper()}{said[1:]} {_next(growth)}"


def _next(growth: Growth, most: int = 4) -> str:
    """Which partitions leave first."""
    first = growth.leaving[:most]
    named = ", ".join(f"{one.name} {'now' if one.due else f'on {human_date(one.day)}'}" for one in first)
    more = f", and {len(growth.leaving) - most:,} more" if len(growth.leaving) > most else ""
    return f"Next: {named}{more}."


def shares_note(growth: Growth) -> str:
    """Where indexes and dead rows matter."""
    shares = growth.shares
    said = []
    if shares.of(shares.index) >= 0.4:
        said.append(
            f"Indexes, which make searching fast, take {shares.of(shares.index):.0%}: it may be worth to look which of"
            " them nobody uses."
        )
    if shares.dead and shares.of(shares.dead) >= 0.02:
        said.append(
            f"About {human_bytes(shares.dead)} ({shares.of(shares.dead):.0%}) are dead rows: deleted or replaced, their"
            " space is used again after a clean-up (vacuum). An estimate from the server's statistics."
        )
    return " ".join(said) or "Neither indexes nor dead rows (deleted, their space not yet used again) stand out."


def saved_note(growth: Growth, pen: Pen) -> str:
    """What was freed in all."""
    said = (
        f"In all {human_bytes(growth.archived_total) if growth.archived_total else 'nothing'} was moved aside, and"
        f" {human_bytes(growth.freed_total) if growth.freed_total else 'nothing'} was freed on the server so far."
    )
    paid = pen.paid(growth.freed_total) if growth.freed_total else ""
    return f"{said} That saves {paid} each month." if paid else said


def until(growth: Growth) -> date:
    """The last day of the year ahead."""
    return growth.today + timedelta(days=365)


def top(growth: Growth) -> str:
    """The table that grew most."""
    if not growth.growers:
        return "none"
    first = growth.growers[0]
    return f"{first.table} added {human_bytes(round(first.added))}, {first.share:.0%} of all"


def largest(growth: Growth) -> str:
    """The largest partition and how many there are."""
    if not growth.items:
        return "none"
    first = max(growth.items, key=lambda item: item.bytes)
    return f"{plural(len(growth.items), 'partition')}, the largest {first.name} with {human_bytes(first.bytes)}"


TRUSTED = {
    Trust.NONE: "too little is known for a forecast",
    Trust.ROUGH: "the forecast is rough",
    Trust.FAIR: "the forecast is fair",
    Trust.GOOD: "the forecast is good",
}


def trust(growth: Growth) -> str:
    """How good the forecast is, and how much longer has to be measured for a better one."""
    judged = growth.forecast.verdict
    needs = f"; {plural(judged.needs_days, 'more day', 'more days')} of measuring make it better"
    return TRUSTED[judged.trust] + (needs if judged.needs_days and judged.trust is not Trust.GOOD else "")
