"""Partitions: every partition with its bounds, rows and sizes; select one for its detail and its acts."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from core.tables.coverage import PACE_UNKNOWN
from core.tables.table import PartitionedTable
from core.tables.tree import kinds_told
from core.text import plural
from dashboard import layout, notices
from dashboard.charts import partitions, spans
from dashboard.format import plain
from dashboard.overview.verdict import lacks_next
from dashboard.partitions import detail, dropped, ensuring, listing, several
from dashboard.partitions.axis import axis_of
from dashboard.partitions.items import Item, items, with_default
from dashboard.state import clock, current, keys, reads

VIEWS = ("Sizes", "Rows", "Bounds")


def pictures(every: tuple[Item, ...], table: PartitionedTable, now: datetime | None) -> None:
    """Sizes, rows or bounds of all partitions."""
    shown = [item for item in every if item.name]
    with st.container(border=True, gap="small"):
        st.session_state.setdefault(keys.CHART, VIEWS[0])
        view = st.segmented_control("Chart", VIEWS, label_visibility="collapsed", key=keys.CHART, required=True)
        draw = {"Rows": partitions.rows, "Sizes": partitions.sizes, "Bounds": partitions.timeline}[view or VIEWS[0]]
        placed = view == "Bounds" and table.default is not None
        chart = draw(with_default(every, table) if placed else shown, now)
        tall = len(shown) > spans.LISTED and view == "Bounds"
        with st.container(height=460 if tall else "content", border=False):
            if chart is None:
                st.caption("No partition has a range.")
            else:
                st.altair_chart(chart, theme=None, alt=f"{view} of each partition")
        for said in (spans.summed(shown), spans.unplaced(shown) if view != "Bounds" else None):
            if said is not None:
                st.caption(said)


def selected(table: PartitionedTable) -> None:
    """What is selected, one or several; else how to, and that the address bar names what there is not."""
    chosen, some = detail.chosen(table), several.chosen(table)
    if chosen is not None:
        detail.draw(table, chosen)
        return
    if len(some) > 1 and table.not_served is None:
        several.draw(table, some)
        return
    asked = st.query_params.get(keys.PARTITION_PARAMETER)
    if asked:
        here = table.named(asked)
        why = (
            f"{plain(asked)} names {len(here):,} of {plain(table.label)}: name it with its schema."
            if here
            else f"{plain(table.label)} has no partition {plain(asked)}, neither attached nor archived."
        )
        st.warning(why, icon=":material/search_off:")
    st.caption("Select a row for its bounds, constraints, indexes and acts; several for an act on all of them.")


def main() -> None:
    """The page."""
    table = current.table()
    now, axis = clock.now(), axis_of(table, clock.zone())
    every = items(table, now, clock.cutoff(), axis.zone)
    shown = [item for item in every if item.name]
    counted = f"{plural(len(table.partitions), 'partition')} attached, {len(table.archived) or 'none'} archived"
    if table.upkeep is not None and not table.upkeep.unread:
        counted += f", managed by {plain(table.upkeep.tool)} as well"
    layout.header("Partitions", f"**{plain(table.label)}** · {counted}")
    if table.not_served is not None:
        layout.only_shown(table)
    else:
        ensuring.draw(table, missing=lacks_next(table, now, clock.zone()))
    notices.pending(table)
    ids = reads.ids_left() if table.key is not None and table.key.clock is None else None
    if ids is not None:
        st.caption(f":material/hourglass_bottom: {plain(ids.said)}{f' {PACE_UNKNOWN}' if ids.runway is None else ''}")
    if not shown:
        st.info("There is no partition yet. Ensure this period and the next to begin.", icon=":material/info:")
        return
    listing.draw(listing.filtered(shown), axis, table.name)
    dropped.draw(table)
    for said in kinds_told((one.kind, one.tree) for one in table.everything):
        st.caption(plain(said))
    selected(table)
    pictures(every, table, axis.now(now))


main()
