"""What growth says, in pages, command line and report alike: how a figure is said, and the sentences."""

from __future__ import annotations

from datetime import date

from core.growth.forecast import Band, Passing, Trust
from core.growth.history import Change
from core.growth.holdings import Stage
from core.growth.read import Growth
from core.growth.savings import Money
from core.growth.series import day_of
from core.text import NBSP, human_bytes, human_date, human_rows, human_time, plural

MINUS = "\N{MINUS SIGN}"
NEAR_DAYS = 120
"""A day so far ahead is known by its month only."""
FLAT = 0.005
"""A change of less than half a percent is none."""


# The vocabulary: how a figure is said, everywhere ------------------------------------------------------------------


def signed(size: float) -> str:
    """With its sign, none on nothing: +40 MiB."""
    return ("+" if size > 0 else MINUS if size < 0 else "") + human_bytes(round(abs(size)))


def percent(share: float) -> str:
    """60%, 3.1%: a digit after the point for what is small."""
    digits = 1 if 0 < round(abs(share), 3) < 0.1 else 0
    return f"{abs(share):.{digits}%}"


def signed_percent(share: float | None) -> str:
    """+3.1%; nothing where there is none to tell."""
    return "" if share is None else ("+" if share >= 0 else MINUS) + percent(share)


def bracketed(words: str) -> str:
    """ " (+3.1%)"; nothing for nothing."""
    return f" ({words})" if words else ""


def month_of(day: date) -> str:
    """November 2026."""
    return f"{day:%B} {day.year}"


def is_near(day: date, today: date) -> bool:
    """Whether a day to come is known closer than its month."""
    return (day - today).days < NEAR_DAYS


def about(day: date, today: date) -> str:
    """A day to come as closely as it is known: 3 November 2026, or August 2028."""
    return human_date(day) if is_near(day, today) else month_of(day)


def amount(money: Money, currency: str) -> str:
    """An amount in its currency: 0.42 EUR, 1,250 EUR."""
    if 0 < abs(money.month) < 0.01:
        return f"under 0.01{NBSP}{currency}"
    digits = 0 if abs(money.month) >= 1000 else 2
    return f"{MINUS if money.month < 0 else ''}{abs(money.month):,.{digits}f}{NBSP}{currency}"


UNITS = tuple((f"{letter}{kind}", base**power) for power, letter in ((5, "P"), (4, "T"), (3, "G"), (2, "M"), (1, "K"))
              for kind, base in (("B", 1000), ("iB", 1024)))  # fmt: skip


def written(size: int) -> str:
    """A size as somebody would have set it: 500 GB, 2 TiB; never rounded."""
    whole = next((unit for unit in UNITS if size % unit[1] == 0), ("bytes", 1))
    return f"{size // whole[1]} {whole[0]}"


def limit_size(limit: int) -> str:
    """A limit as it was set, and in units of 1,024 where it was set in others: 500 GB (466 GiB), 2 TiB."""
    said = written(limit)
    beside = "" if said.endswith("iB") else bracketed(human_bytes(limit))
    return f"{said.replace(' ', NBSP)}{beside}"


def years(days: int) -> str:
    """How far ahead is looked: 90 days, a year, 3 years."""
    number, rest = divmod(days, 365)
    if rest:
        return plural(days, "day")
    return "a year" if number == 1 else f"{number} years"


def sentence(words: str) -> str:
    """The same as a sentence."""
    return f"{words[:1].upper()}{words[1:]}."


# What is said of a growth ------------------------------------------------------------------------------------------


def money_words(growth: Growth, money: Money | None) -> str:
    """ "12.30 EUR a month"; nothing without prices."""
    return "" if money is None else f"{amount(money, growth.currency)} a month"


def subject(growth: Growth) -> str:
    """What it is about."""
    return growth.table or "All tables together"


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
    return f"{percent(share)} {'more' if share > 0 else 'less'} than {then}"


def reached(growth: Growth, horizon: int) -> str:
    """When the limit is passed, with the retention and without; empty where nobody set one or nobody can tell."""
    kept, planned = growth.passing_kept, growth.passing_planned
    if growth.limit is None or kept is None or planned is None:
        return ""
    limit = f"the limit of {limit_size(growth.limit)}"
    if kept.already:
        return f"{limit} is passed"
    within = f"within {years(horizon)}"
    if kept.expected is None:
        return f"at this pace {limit} is not reached {within}"
    said = f"at this pace {limit} is reached {_when(kept.expected, growth.today)}"
    if not growth.outlook.frees:
        return said
    if planned.expected is None:
        return f"{said}, or not {within} if old data is removed"
    if planned.expected > kept.expected:
        return f"{said}, or {_when(planned.expected, growth.today)} if old data is removed"
    return f"{said}, even if old data is removed"


def _when(day: date, today: date) -> str:
    return f"{'on' if is_near(day, today) else 'in'} {about(day, today)}"


def stored(growth: Growth) -> str:
    """How much there is, where."""
    parts = f"{human_bytes(growth.attached)} in the tables and {in_archive(growth)} archived beside them"
    cost = money_words(growth, growth.money(growth.server, growth.cold or 0))
    sentences = (
        f"{human_bytes(growth.server)} on the server: {parts}.",
        _cold(growth),
        f"All of it costs {cost}." if cost else "",
    )
    return " ".join(sentence for sentence in sentences if sentence)


def in_archive(growth: Growth) -> str:
    """How much is archived on the server."""
    return human_bytes(growth.archived) if growth.archived else "nothing"


def _cold(growth: Growth) -> str:
    if growth.cold is None:
        return ""
    return f"Backups in cold storage: {human_bytes(growth.cold)}." if growth.cold else "No backup in cold storage."


def changed(change: Change | None, days: int) -> str:
    """What a year or a month added."""
    if change is None:
        return f"Nothing was measured {days} days ago to compare with."
    return f"{signed(change.added)}{bracketed(signed_percent(change.share))} since {human_date(change.since)}."


def leads(growth: Growth) -> str:
    """How fast it grows, and where that leads."""
    forecast = growth.forecast
    if not forecast.possible:
        return "There is no forecast yet."
    verb = "written" if forecast.per_month >= 0 else "lost"
    last = day_of(growth.outlook.days[-1])
    low, expected, high = ends(growth.outlook.kept)
    stays = " if everything stays" if growth.outlook.frees else ""
    return (
        f"About {human_bytes(round(abs(forecast.per_month)))} are {verb} a month. On {human_date(last)} the server will"
        f" hold about {human_bytes(expected)}{stays}{spread_words(low, high)}{removed_words(growth)}."
    )


def removed_words(growth: Growth) -> str:
    """What the server holds at the end of the forecast if old data is removed; nothing where that changes nothing."""
    if not growth.outlook.frees:
        return ""
    return f"; about {human_bytes(ends(growth.outlook.planned)[1])} if old data is removed"


def spread_words(low: int, high: int) -> str:
    """ ", most likely between 41 MiB and 43 MiB"; nothing where both read alike."""
    ends = human_bytes(low), human_bytes(high)
    return "" if ends[0] == ends[1] else f", most likely between {ends[0]} and {ends[1]}"


def ends(band: Band, place: int = -1) -> tuple[int, int, int]:
    """(low, expected, high) of a band on one of its days."""
    return round(band.low[place]), round(band.expected[place]), round(band.high[place])


def trust(growth: Growth) -> str:
    """How good the forecast is, and how much longer has to be measured for a better one; no whole sentence."""
    judged = growth.forecast.verdict
    known = judged.trust is not Trust.NONE
    said = f"the forecast is {judged.trust}" if known else "too little is known for a forecast"
    if not judged.needs_days or judged.trust is Trust.GOOD:
        return said
    return f"{said}; {plural(judged.needs_days, 'more day', 'more days')} of measuring make it better"


def limit_words(growth: Growth) -> str:
    """When the limit is passed; nothing without one."""
    if growth.limit is None:
        return ""
    limit = limit_size(growth.limit)
    if growth.passing_kept is None or growth.passing_planned is None:
        over = growth.server >= growth.limit
        return f"The limit of {limit} is {'passed already' if over else 'not passed yet; when it will be is unknown'}."
    said = f"The limit of {limit} is {_passed(growth, growth.passing_kept)}"
    if growth.passing_planned != growth.passing_kept:
        said += " if everything stays; if old data is removed it is "
        said += _passed(growth, growth.passing_planned)
    return f"{said}."


def _passed(growth: Growth, passing: Passing) -> str:
    last = human_date(day_of(growth.outlook.days[-1]))
    if passing.already:
        return "passed already"
    if passing.expected is None:
        early = f", but may be from {about(passing.earliest, growth.today)} on" if passing.earliest else ""
        return f"not passed by {last}{early}"
    first, middle = (about(day, growth.today) for day in (passing.earliest or passing.expected, passing.expected))
    latest = about(passing.latest, growth.today) if passing.latest else f"some day after {last}"
    return f"passed about {middle}" + ("" if first == latest else f", between {first} and {latest}")


def year_words(growth: Growth) -> str:
    """This year beside the last; nothing where the partitions don't tell."""
    found = growth.year_to_date
    if found is None:
        return ""
    return (
        f"This year up to {human_date(found.until)}: {plural(round(found.rows), 'row')}, last year up to the same day"
        f" {human_rows(round(found.rows_before))}{bracketed(signed_percent(found.share))}."
    )


def saved_words(growth: Growth) -> str:
    """What archiving and dropping did so far."""
    if not growth.archived_total and not growth.freed_total:
        return "Nothing was archived or dropped so far, as far as anything tells."
    cost = money_words(growth, growth.money(growth.freed_total))
    worth = f", which saves {cost}" if cost and growth.freed_total else ""
    freed = human_bytes(growth.freed_total) if growth.freed_total else "nothing"
    archived = human_bytes(growth.archived_total) if growth.archived_total else "nothing"
    return f"So far {archived} left its table for the archive, and {freed} left the server{worth}."


def due_words(growth: Growth) -> str:
    """What is due for the archive, and what the next year brings."""
    due = [one for one in growth.leaving if one.due and one.stage is Stage.ATTACHED]
    later = [one for one in growth.leaving if not one.due and one.stage is Stage.ATTACHED]
    words = (
        f"{plural(len(due), 'partition')} with {human_bytes(growth.due)} {'is' if len(due) == 1 else 'are'} due for"
        if due
        else "Nothing is due for"
    )
    more = f"; {plural(len(later), 'more', 'more')} will be within a year" if later else ""
    return f"{words} the archive, {growth.retention.archive_after} after the last day{more}."


def share_words(growth: Growth) -> str:
    """What the bytes on the server are."""
    parts = growth.shares
    rows, indexes, long, dead = (percent(parts.of(part)) for part in (parts.heap, parts.index, parts.toast, parts.dead))
    return (
        f"Of the bytes on the server {rows} are rows, {indexes} indexes (what makes searching fast) and {long} long"
        f" values; dead rows (left by changes, until they are cleaned up) take an estimated {dead}."
    )


def how_words(growth: Growth) -> tuple[str, ...]:
    """How each figure came about, a sentence each."""
    last = growth.last_sample
    found = [f"Sizes now: read from the server on {human_time(growth.as_of)}; rows, indexes and long values together."]
    if last is not None and not growth.derived:
        found.append(
            f"Sizes over time: {plural(len(growth.history), 'daily sample')}, the last on {human_date(last.day)}."
        )
    found += [
        "Written: everything that was ever stored, wherever it is by now, so that archiving bends no trend.",
    ]
    if growth.forecast.possible:
        found.append(
            f"Forecast: a robust line (Theil-Sen) through the last {growth.forecast.trend.fitted_days} days"
            + (" with a yearly pattern" if growth.forecast.seasonal else "")
            + "; the band is as wide as its errors would have been in the past."
        )
    drop = growth.retention.drop_after
    found.append(
        f"Planned: partitions go to the archive {growth.retention.archive_after} after their last day"
        + (f" and leave the server {drop} later." if drop else "; of those only planned drops leave the server.")
    )
    return tuple(found)
