"""What the commands of growth print: text for people, and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from core.growth.forecast import Passing
from core.growth.history import Change, Month
from core.growth.holdings import PeriodBytes
from core.growth.outlook import Leaving
from core.growth.read import Growth
from core.growth.samples.daily import Sampled
from core.growth.savings import Quarter
from core.growth.series import day_of
from core.growth.words import (
    MINUS,
    changed,
    due_words,
    ends,
    leads,
    limit_words,
    month_of,
    percent,
    saved_words,
    sentence,
    share_words,
    signed,
    stored,
    subject,
    trust,
    year_words,
)
from core.text import Json, aligned, human_bytes, human_date, human_seconds, human_time, plural, shown

LATEST_MONTHS = 13
"""So many months the text shows."""
POINTS = (30, 90, 180, 365)
"""Days ahead for which the text and the JSON say figures."""


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
    notes = (*growth.notes, sentence(trust(growth)), *growth.forecast.verdict.notes)
    return "\n".join([*lines, "", *(shown(note) for note in notes)]).replace(MINUS, "-")


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
        (shown(grower.table), human_bytes(round(grower.now)), signed(grower.added), percent(grower.share))
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
    parts = growth.shares
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
        "months": [_month_json(one) for one in growth.months],
        "rows_by_month": [
            {"first": month.first.isoformat(), "rows": round(month.rows), "complete": month.complete}
            for month in growth.month_rows
        ],
        "year_to_date": _year_json(growth),
        "period": growth.period.value,
        "by_period": [_period_json(one) for one in growth.by_period],
        "forecast": _forecast_json(growth),
        "limit_bytes": growth.limit,
        "limit_passed_if_kept": _passing_json(growth.passing_kept),
        "limit_passed_as_planned": _passing_json(growth.passing_planned),
        "growers_days": growth.growers_days,
        "growers": [
            {"table": one.table, "bytes": round(one.now), "added_bytes": round(one.added), "share": one.share}
            for one in growth.growers
        ],
        "leaving": [_leaving_json(one) for one in growth.leaving],
        "savings": [_quarter_json(one) for one in growth.savings],
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


def _month_json(month: Month) -> Json:
    return {
        "first": month.first.isoformat(),
        "added_bytes": round(month.added),
        "complete": month.complete,
        "measured": month.measured,
    }


def _period_json(one: PeriodBytes) -> Json:
    return {
        "lower": one.lower.isoformat(),
        "upper": one.upper.isoformat(),
        "bytes": one.bytes,
        "rows_estimate": one.rows,
        "complete": one.complete,
    }


def _forecast_json(growth: Growth) -> Json:
    forecast = growth.forecast
    return {
        "trust": forecast.verdict.trust.value,
        "needs_days": forecast.verdict.needs_days,
        "per_month_bytes": round(forecast.per_month) if forecast.possible else None,
        "seasonal": forecast.seasonal,
        "points": [_point_json(growth, place) for place in _places(growth)],
        "past_errors": [
            {"days": one.days, "tries": one.tries, "of_size": one.of_size, "of_growth": one.of_growth}
            for one in forecast.past
        ],
        "notes": list(forecast.verdict.notes),
    }


def _quarter_json(one: Quarter) -> Json:
    return {
        "quarter": one.label,
        "archived_bytes": one.archived,
        "archived_partitions": one.archived_partitions,
        "freed_bytes": one.freed,
        "freed_partitions": one.freed_partitions,
        "returned_bytes": one.returned,
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
