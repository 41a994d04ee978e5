"""What growth says: sentences for people, which command line and report share, and its text and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from core.growth.forecast import Band, Passing, Trust
from core.growth.history import Change
from core.growth.holdings import Stage
from core.growth.outlook import Leaving
from core.growth.read import Growth
from core.growth.samples.daily import Sampled
from core.growth.savings import Money
from core.growth.savings import per_month as by_month
from core.growth.series import day_of
from core.text import NBSP, Json, aligned, human_bytes, human_date, human_rows, human_seconds, human_time, plural, shown

POINTS = (30, 90, 180, 365)
"""Days ahead for which the text and the JSON say figures."""
LATEST_MONTHS = 13
"""So many months the text and the report show."""


# Words --------------------------------------------------------------------------------------------


def signed(size: float) -> str:
    """+40 MiB, -1.2 GiB; no sign on nothing."""
    return ("+" if size > 0 else "-" if size < 0 else "") + human_bytes(round(abs(size)))


def percent(share: float | None) -> str:
    """ " (+3.1%)"; nothing where there is none to tell."""
    return "" if share is None else f" ({share:+.1%})"


def month_of(first: date) -> str:
    """November 2026."""
    return f"{first:%B} {first.year}"


def money_words(growth: Growth, money: Money | None) -> str:
    """ "12.30 EUR a month"; nothing without prices."""
    return "" if money is None else f"{amount(money.month)} {growth.currency} a month"


def amount(value: float) -> str:
    """Two digits after the point; more for what would be nothing then."""
    return f"{value:,.2f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"


def subject(growth: Growth) -> str:
    """What it is about."""
    return growth.table or "All tables together"


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
    return f"{signed(change.added)}{percent(change.share)} since {human_date(change.since)}."


def leads(growth: Growth) -> str:
    """How fast it grows, and where that leads."""
    forecast = growth.forecast
    if not forecast.possible:
        return "There is no forecast yet."
    verb = "written" if forecast.per_month >= 0 else "lost"
    last = day_of(growth.outlook.days[-1])
    low, expected, high = ends(growth.outlook.planned)
    return (
        f"About {human_bytes(round(abs(forecast.per_month)))} are {verb} a month. On {human_date(last)} the server will"
        f" hold about {human_bytes(expected)}{spread_words(low, high)}."
    )


def spread_words(low: int, high: int) -> str:
    """ ", four times of five between 41 MiB and 43 MiB"; nothing where both read alike."""
    ends = human_bytes(low), human_bytes(high)
    return "" if ends[0] == ends[1] else f", four times of five between {ends[0]} and {ends[1]}"


def ends(band: Band, place: int = -1) -> tuple[int, int, int]:
    """(low, expected, high) of a band on one of its days."""
    return round(band.low[place]), round(band.expected[place]), round(band.high[place])


def trust(growth: Growth) -> str:
    """How much the forecast is worth, in one sentence."""
    return {
        Trust.NONE: "Too little is known for a forecast.",
        Trust.ROUGH: "The forecast is rough.",
        Trust.FAIR: "The forecast is fair.",
        Trust.GOOD: "The forecast is good, as far as the past tells.",
    }[growth.forecast.verdict.trust]


def limit_size(limit: int) -> str:
    """A limit in units of 1,024, and as it was typed where that was in units of 1,000."""
    size = float(limit)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 1000 and limit >= 10**6 and round(size, 1) == size:
            return f"{size:,g}{NBSP}{unit} ({human_bytes(limit)})"
    return human_bytes(limit)


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
        said += " if everything stays; with what is planned for old partitions it is "
        said += _passed(growth, growth.passing_planned)
    return f"{said}."


def _passed(growth: Growth, passing: Passing) -> str:
    last = human_date(day_of(growth.outlook.days[-1]))
    if passing.already:
        return "passed already"
    if passing.expected is None:
        early = f", but may be from {human_date(passing.earliest)} on" if passing.earliest else ""
        return f"not passed by {last}{early}"
    if passing.earliest == passing.latest:
        return f"passed about {human_date(passing.expected)}"
    latest = f"and {human_date(passing.latest)}" if passing.latest else f"and some day after {last}"
    return f"passed about {human_date(passing.expected)}, between {human_date(passing.earliest)} {latest}"


def year_words(growth: Growth) -> str:
    """This year beside the last; nothing where the partitions don't tell."""
    found = growth.year_to_date
    if found is None:
        return ""
    return (
        f"This year up to {human_date(found.until)}: {human_rows(round(found.rows))} rows, last year up to the same day"
        f" {human_rows(round(found.rows_before))}{percent(found.share)}."
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
    return (
        f"Of the bytes on the server {parts.of(parts.heap):.0%} are rows, {parts.of(parts.index):.0%} indexes (what"
        f" makes searching fast) and {parts.of(parts.toast):.0%} long values; dead rows (left by changes, until they"
        f" are cleaned up) take an estimated {parts.of(parts.dead):.1%}."
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


# Text ---------------------------------------------------------------------------------------------


def growth_text(growth: Growth, place: str) -> str:
    """What `growth` prints."""
    lines = [
        f"{subject(growth)} in {place}, {human_time(growth.as_of)}.",
        stored(growth),
        f"30 days: {changed(growth.change_30, 30)}",
        f"365 days: {changed(growth.change_365, 365)}",
        leads(growth),
        limit_words(growth),
        year_words(growth),
        saved_words(growth),
        due_words(growth),
        share_words(growth),
    ]
    lines = [shown(line) for line in lines if line]
    for table in (_months(growth), _ahead(growth), _savings(growth), _growers(growth)):
        lines += ["", *table] if table else []
    notes = (*growth.notes, trust(growth), *growth.forecast.verdict.notes)
    return "\n".join([*lines, "", *(shown(note) for note in notes)])


def _months(growth: Growth) -> list[str]:
    rows = [
        (month_of(month.first), signed(month.added), _doubt(month.complete, month.measured))
        for month in growth.months[-LATEST_MONTHS:]
    ]
    return [line.rstrip() for line in _right(("month", "written", ""), rows)] if rows else []


def _doubt(complete: bool, measured: bool) -> str:
    return "" if complete and measured else "not whole" if measured else "not measured, from its neighbours"


def _right(head: tuple[str, str, str], rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Two columns, the second to the right, and a word after them."""
    lines = aligned(head[:2], [row[:2] for row in rows], numbers=1)
    return (f"{line}  {last}" for line, last in zip(lines, (head[2], *(row[2] for row in rows)), strict=True))


def _ahead(growth: Growth) -> list[str]:
    if not growth.forecast.possible:
        return []
    rows = []
    for place in _places(growth):
        kept, planned = ends(growth.outlook.kept, place), ends(growth.outlook.planned, place)
        rows.append(
            (human_date(day_of(growth.outlook.days[place])), *(human_bytes(size) for size in (*planned, kept[1])))
        )
    return aligned(("on the server", "at least", "expected", "at most", "if all stays"), rows, numbers=4)


def _places(growth: Growth) -> list[int]:
    """Which days of the forecast are told."""
    last = len(growth.outlook.days) - 1
    return [days for days in POINTS if days <= last]


def _savings(growth: Growth) -> list[str]:
    rows = [
        (quarter.label, human_bytes(quarter.archived), human_bytes(quarter.freed), human_bytes(quarter.returned))
        for quarter in growth.savings
    ]
    return aligned(("quarter", "archived", "left the server", "came back"), rows, numbers=3) if rows else []


def _growers(growth: Growth) -> list[str]:
    if len(growth.growers) < 2:
        return []
    rows = [
        (shown(grower.table), human_bytes(round(grower.now)), signed(grower.added), f"{grower.share:.0%}")
        for grower in growth.growers
    ]
    return aligned(("grew most", "written", f"in {growth.growers_days} days", "share"), rows, numbers=3)


def sampled_text(sampled: Sampled) -> str:
    """What `sample` prints."""
    run = sampled.run
    measured = "" if run.exact else " Sizes are those of the last vacuum: there are too many to measure each."
    lines = [
        f"Sampled {plural(run.partitions, 'partition')} for {human_date(run.day)} in {human_seconds(run.seconds)};"
        f" {plural(run.changed, 'has', 'have')} changed.{measured}",
        f"Held exclusively by somebody, so that the last figures stay: {', '.join(run.skipped)}."
        if run.skipped
        else "",
        f"Forgot {plural(sampled.forgotten, 'row')} of old samples." if sampled.forgotten else "",
        f"Cold storage was not read: {sampled.unread}" if sampled.unread else "",
    ]
    return "\n".join(shown(line) for line in lines if line)


# JSON ---------------------------------------------------------------------------------------------


def sampled_json(sampled: Sampled) -> Json:
    """What `sample --json` prints."""
    run = sampled.run
    return {
        "day": run.day.isoformat(),
        "taken_at": run.taken_at.isoformat(timespec="seconds"),
        "seconds": run.seconds,
        "partitions": run.partitions,
        "changed": run.changed,
        "skipped": list(run.skipped),
        "exact": run.exact,
        "cold_bytes": sampled.cold,
        "forgotten_rows": sampled.forgotten,
    }


def growth_json(growth: Growth) -> Json:
    """What `growth --json` prints; sizes are bytes."""
    forecast, parts = growth.forecast, growth.shares
    return {
        "database": growth.database,
        "table": growth.table or None,
        "as_of": growth.as_of.isoformat(timespec="seconds"),
        "today": growth.today.isoformat(),
        "derived": growth.derived,
        "last_sample": growth.last_sample.day.isoformat() if growth.last_sample else None,
        "server_bytes": growth.server,
        "attached_bytes": growth.attached,
        "archived_bytes": growth.archived,
        "cold_bytes": growth.cold,
        "change_30_days": _change_json(growth.change_30),
        "change_365_days": _change_json(growth.change_365),
        "months": [
            {
                "first": month.first.isoformat(),
                "added_bytes": round(month.added),
                "complete": month.complete,
                "measured": month.measured,
            }
            for month in growth.months
        ],
        "rows_by_month": [
            {"first": month.first.isoformat(), "rows": round(month.rows), "complete": month.complete}
            for month in growth.month_rows
        ],
        "year_to_date": _year_json(growth),
        "period": growth.period.value,
        "by_period": [
            {
                "lower": bar.lower.isoformat(),
                "upper": bar.upper.isoformat(),
                "bytes": bar.bytes,
                "rows_estimate": bar.rows,
                "complete": bar.complete,
            }
            for bar in growth.by_period
        ],
        "forecast": {
            "trust": forecast.verdict.trust.value,
            "needs_days": forecast.verdict.needs_days,
            "per_month_bytes": round(by_month(forecast.trend.per_day)) if forecast.possible else None,
            "seasonal": forecast.seasonal,
            "points": [_point_json(growth, place) for place in _places(growth)],
            "past_errors": [
                {"days": one.days, "tries": one.tries, "of_size": one.of_size, "of_growth": one.of_growth}
                for one in forecast.past
            ],
            "notes": list(forecast.verdict.notes),
        },
        "limit_bytes": growth.limit,
        "limit_passed_if_kept": _passing_json(growth.passing_kept),
        "limit_passed_as_planned": _passing_json(growth.passing_planned),
        "growers_days": growth.growers_days,
        "growers": [
            {"table": one.table, "bytes": round(one.now), "added_bytes": round(one.added), "share": one.share}
            for one in growth.growers
        ],
        "leaving": [_leaving_json(one) for one in growth.leaving],
        "savings": [
            {
                "quarter": one.label,
                "archived_bytes": one.archived,
                "archived_partitions": one.archived_partitions,
                "freed_bytes": one.freed,
                "freed_partitions": one.freed_partitions,
                "returned_bytes": one.returned,
            }
            for one in growth.savings
        ],
        "shares": {
            "heap_bytes": parts.heap,
            "index_bytes": parts.index,
            "toast_bytes": parts.toast,
            "dead_bytes_estimate": parts.dead,
        },
        "money": _money_json(growth),
        "history": _history_json(growth),
        "notes": list(growth.notes),
    }


def _change_json(change: Change | None) -> Json | None:
    if change is None:
        return None
    return {
        "since": change.since.isoformat(),
        "before_bytes": round(change.before),
        "added_bytes": round(change.added),
        "share": change.share,
    }


def _year_json(growth: Growth) -> Json | None:
    found = growth.year_to_date
    if found is None:
        return None
    return {
        "until": found.until.isoformat(),
        "rows": round(found.rows),
        "rows_before": round(found.rows_before),
        "bytes": round(found.bytes),
        "bytes_before": round(found.bytes_before),
        "how": found.how,
    }


def _point_json(growth: Growth, place: int) -> Json:
    names = ("low", "expected", "high")
    return {
        "date": (growth.today + timedelta(days=place)).isoformat(),
        "if_kept_bytes": dict(zip(names, ends(growth.outlook.kept, place), strict=True)),
        "as_planned_bytes": dict(zip(names, ends(growth.outlook.planned, place), strict=True)),
    }


def _passing_json(passing: Passing | None) -> Json | None:
    if passing is None:
        return None
    days = {"earliest": passing.earliest, "expected": passing.expected, "latest": passing.latest}
    return {"already": passing.already} | {name: day.isoformat() if day else None for name, day in days.items()}


def _leaving_json(one: Leaving) -> Json:
    return {
        "table": one.table,
        "name": one.name,
        "state": one.stage.value,
        "date": one.day.isoformat(),
        "due": one.due,
        "bytes": one.bytes,
        "leaves_server": one.freed_on.isoformat() if one.freed_on else None,
    }


def _money_json(growth: Growth) -> Json | None:
    if growth.prices is None:
        return None
    prices = growth.prices
    return {
        "currency": growth.currency,
        "price_hot": prices.hot,
        "price_cold": prices.cold,
        "server_month": prices.of(growth.server).month,
        "cold_month": prices.of(0, growth.cold or 0).month,
        "freed_month": prices.of(growth.freed_total).month,
        "due_month": prices.of(growth.due).month,
    }


def _history_json(growth: Growth) -> Json:
    history = growth.history
    columns = {
        "attached_bytes": history.attached,
        "archived_bytes": history.archived,
        "freed_bytes": history.freed,
        "cold_bytes": history.cold,
        "rows_estimate": history.rows,
    }
    days: list[str] = [day_of(day).isoformat() for day in history.days]
    return {"date": days} | {name: [round(value) for value in column.tolist()] for name, column in columns.items()}
