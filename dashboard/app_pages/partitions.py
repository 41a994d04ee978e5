"""Partitions: every partition with its bounds, rows and sizes; select one for its detail and its acts."""

from __future__ import annotations

import streamlit as st

from core.errors import OffCalendar
from core.period import Period
from core.plans.ensure import require_unit
from core.tables.commands import twin
from core.tables.coverage import next_periods
from core.tables.table import PartitionedTable
from core.text import plural
from dashboard import layout, notices
from dashboard.charts import partitions, spans
from dashboard.dialog import buttons, one_click
from dashboard.format import plain
from dashboard.partitions import detail, listing
from dashboard.partitions.items import Item, items
from dashboard.state import clock, current

VIEWS = ("Sizes", "Rows", "Bounds")
MOST_AHEAD = 60


def ensuring(table: PartitionedTable) -> None:
    """Creates what is missing of this period and the next, or further ahead, with one click."""
    try:
        require_unit(table, clock.zone())
    except OffCalendar as refusal:
        st.info(f"{plain(refusal.what)} {plain(refusal.next)}", icon=":material/straighten:")
        return
    period, today = table.period(clock.zone()), clock.today()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width="content"):
            buttons.button(
                f"Ensure this {period.value} and the next",
                lambda: one_click.ensure(next_periods(table, today, 1, clock.zone())),
                key="ensure_now",
                primary=True,
                icon=":material/add_circle:",
                command=twin("ensure", table),
            )
        if period is Period.YEAR:
            label, least, most, value = "Another year", 1, 9998, today.year + 2
        else:
            label, least, most, value = f"{period.noun.capitalize()} ahead", 1, MOST_AHEAD, 3
        number = int(st.number_input(label, least, most, value, step=1, width=150, key=f"number_{period}"))
        with st.container(width="content"):
            buttons.button(
                f"Ensure {number}" if period is Period.YEAR else f"Ensure {plural(number, period.value)} ahead",
                lambda: one_click.ensure(
                    (period.containing(today.replace(number, 1, 1)),)
                    if period is Period.YEAR
                    else next_periods(table, today, number, clock.zone())
                ),
                key="ensure_more",
                command=twin("ensure", table, "", f"--{'year' if period is Period.YEAR else 'ahead'} {number}"),
            )


def pictures(shown: list[Item]) -> None:
    """Sizes, rows or bounds of all partitions."""
    with st.container(border=True, gap="small"):
        view = st.segmented_control(
            "Chart", VIEWS, default=VIEWS[0], label_visibility="collapsed", key="chart_view", required=True
        )
        draw = {"Rows": partitions.rows, "Sizes": partitions.sizes, "Bounds": partitions.timeline}[view or VIEWS[0]]
        chart = draw(shown, clock.today())
        tall = len(shown) > spans.LISTED and view == "Bounds"
        with st.container(height=460 if tall else "content", border=False):
            if chart is None:
                st.caption("No partition has a range of dates.")
            else:
                st.altair_chart(chart, theme=None, alt=f"{view} of each partition")


def main() -> None:
    """The page."""
    table = current.table()
    shown = [item for item in items(table, clock.today(), clock.cutoff(), clock.zone()) if item.name]
    counted = f"{plural(len(table.partitions), 'partition')} attached, {len(table.archived) or 'none'} archived"
    layout.header("Partitions", f"**{plain(table.label)}** · {counted}")
    if table.not_served is not None:
        layout.only_shown(table.not_served)
    else:
        ensuring(table)
    notices.pending(table)
    if not shown:
        st.info("There is no partition yet. Ensure this period and the next to begin.", icon=":material/info:")
        return
    listing.draw(listing.filtered(shown))
    chosen = detail.chosen(table)
    if chosen is not None:
        detail.draw(table, chosen)
    else:
        st.caption("Select a row for its bounds, constraints, indexes and acts.")
    pictures(shown)


main()
