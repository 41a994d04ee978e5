"""The figures of the page Growth: each with its picture, its words and the table behind it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from core.growth import words
from core.growth.holdings import Stage
from core.growth.read import Growth
from dashboard.charts import treemap_chart
from dashboard.charts.downloads import Figure
from dashboard.charts.palette import Chart
from dashboard.charts.theme import Theme
from dashboard.charts.treemap import Leaf
from dashboard.growth import bars, calendar_chart, notes
from dashboard.growth import charts as growth_charts
from dashboard.growth import tables as growth_tables


def figures(growth: Growth, horizon: int) -> dict[str, Figure]:
    """All pictures of the page, by their keys."""

    def made(key: str, draw: Callable[..., Chart | None], *values: Any, title: str, words: str, alt: str,
             note: str = "", empty: str = "") -> Figure:  # fmt: skip
        table = partial(getattr(growth_tables, key), growth)
        return Figure(
            key,
            title,
            words,
            alt,
            lambda ink: draw(*values, Theme(ink, growth.prices, growth.currency)),
            table,
            note,
            empty,
        )

    today = growth.today
    black = Theme(prices=growth.prices, currency=growth.currency)
    found_calendar = growth.calendar
    passings = (growth.passing_kept, growth.passing_planned)
    found = (
        made("stored", growth_charts.stored, growth.history, title="What is stored", words="by where it is",
             alt=words.verdict(growth, horizon),
             note="Archived: moved aside, on the same server. Freed: removed from it. Backups are compressed.",
             empty="The partitions themselves tell too little for a history."),
        made("ahead", growth_charts.ahead, growth.history, growth.outlook, passings, today, title="Where it leads",
             words="bytes on the server, with the range where it most likely leads",
             alt=words.reached(growth, horizon) or notes.tested(growth), note=notes.ahead_note(growth),
             empty=" ".join(growth.forecast.verdict.notes)),
        made("months", bars.months, growth.months, title="Growth a month", words="what was written",
             alt="bytes added in each month",
             note=notes.months_note(growth),
             empty="No month was measured yet; by period shows what the data tell."),
        made("month_rows", bars.month_rows, growth.month_rows, title="Rows a month",
             words="by their date, as the server estimates", alt="rows dated in each month",
             note=notes.rows_note(growth), empty="The server has no statistics of the dates yet."),
        made("periods", bars.periods, growth.by_period, title=f"By {growth.period.value}",
             words="what is stored for each, now", alt=f"bytes of each {growth.period.value}",
             note="Derived from the present size of the partitions.", empty="No partition has a range of dates."),
        made("growers", bars.growers, growth.growers, title="Top growers",
             words=f"tables by what they added in {growth.growers_days} days", alt=notes.top(growth),
             empty="Nothing was measured of any table yet."),
        made("made_of", bars.made_of, growth.shares, title="What it is made of",
             words="rows, indexes, large values", alt=notes.shares_note(growth), note=notes.shares_note(growth)),
        made("savings", bars.saved, growth.savings, title="What archiving saved", words="by quarter",
             alt=words.saved_words(growth), note=words.saved_words(growth),
             empty="Nothing was archived or removed yet."),
        made("leaving", bars.leaving, growth.leaving, today, notes.until(growth), title="What is due next",
             words="and what it would free", alt=notes.due_note(growth, black),
             note=notes.due_note(growth, black), empty="Nothing leaves within a year."),
        made("calendar", calendar_chart.calendar, found_calendar, title="Rows by date",
             words=notes.calendar_words(found_calendar), alt=found_calendar.told if found_calendar else "",
             note=notes.calendar_note(found_calendar),
             empty="Nothing tells how many rows there are of a day, week or month."),
        made("partitions", treemap_chart.treemap, _leaves(growth), title="All partitions",
             words="each as large as its bytes, small ones together", alt=notes.largest(growth)),
    )  # fmt: skip
    return {figure.key: figure for figure in found}


def _leaves(growth: Growth) -> list[Leaf]:
    return [
        Leaf(
            item.table,
            item.name,
            growth_charts.IN_USE if item.stage is Stage.ATTACHED else growth_charts.ARCHIVED,
            item.bytes,
            short=bars.short(item.lower, item.upper),
        )
        for item in growth.items
    ]
