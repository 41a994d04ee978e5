"""Partitions: every partition with its bounds, rows and sizes; select one for its detail and its acts."""

from __future__ import annotations

from datetime import date

import pandas as pd
import streamlit as st

from core.model import Archived, Partition, PartitionedTable, next_periods
from core.text import human_ago, human_bytes, human_rows, human_time
from dashboard import charts, confirm, notices, session
from dashboard.format import Item, describe_bounds, items, plain

MIB = 1024 * 1024
VIEWS = ("Sizes", "Rows", "Bounds")


def listing(shown: list[Item]) -> str | None:
    """The table of partitions; returns the selected one's schema.name."""
    frame = pd.DataFrame(
        {
            "Period": [item.label for item in shown],
            "State": [str(item.state) for item in shown],
            "From": [item.lower for item in shown],
            "Up to, not including": [item.upper for item in shown],
            "Rows (estimate)": [item.rows for item in shown],
            "Size, MiB": [round(item.total / MIB, 2) if item.known else None for item in shown],
            "Rows, MiB": [round(item.heap / MIB, 2) if item.known else None for item in shown],
            "Indexes, MiB": [round(item.index / MIB, 2) if item.known else None for item in shown],
            "Large values, MiB": [round(item.toast / MIB, 2) if item.known else None for item in shown],
            "Table": [item.name for item in shown],
        }
    )
    number = st.column_config.NumberColumn
    event = st.dataframe(
        frame,
        hide_index=True,
        height=min(420, 38 + 35 * len(shown)),
        on_select="rerun",
        selection_mode="single-row",
        key="partition_list",
        alt="Every partition with its state, bounds, rows and sizes",
        column_config={
            "Period": st.column_config.TextColumn(pinned=True),
            "From": st.column_config.DateColumn(format="D MMM YYYY"),
            "Up to, not including": st.column_config.DateColumn(format="D MMM YYYY"),
            "Rows (estimate)": number(format="localized", help="The planner's estimate of the last analyze"),
            "Size, MiB": number(format="%.1f", help="Rows, indexes and large values together"),
            "Rows, MiB": number(format="%.1f", help="The heap, with its free space and visibility maps"),
            "Indexes, MiB": number(format="%.1f"),
            "Large values, MiB": number(format="%.1f", help="TOAST: long texts that are kept beside the rows"),
        },
    )
    selected = event.selection.rows if event else []
    if selected and selected[0] < len(shown):
        return shown[selected[0]].name
    return None


def ensuring(table: PartitionedTable) -> None:
    """Creates what is missing of this period and the next, or any year, with one click."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        confirm.button(
            f"Ensure this {table.period().value} and the next",
            lambda: confirm.ensure(next_periods(table, session.today(), 1)),
            key="ensure_now",
            primary=True,
            icon=":material/add_circle:",
            help="Creates the partitions that are missing; nothing happens where none is.",
        )
        year = st.number_input(
            "Another year", min_value=1900, max_value=9998, value=session.today().year + 2, step=1, width=150
        )
        confirm.button(
            f"Ensure {year}",
            lambda: confirm.ensure(((date(int(year), 1, 1), date(int(year) + 1, 1, 1)),)),
            key="ensure_year",
        )


def detail(table: PartitionedTable, chosen: Partition | Archived) -> None:
    """Everything the catalog says of one partition, and what can be done with it."""
    attached = isinstance(chosen, Partition)
    with st.container(border=True):
        head, act = st.columns([4, 1.3], vertical_alignment="center")
        head.subheader(plain(f"{chosen.schema}.{chosen.name}"), anchor=False)
        with act:
            if table.not_served is None and not (isinstance(chosen, Partition) and chosen.is_default):
                _acts(chosen)
        left, right = st.columns(2)
        activity, size = chosen.activity, chosen.size
        left.table(
            {
                "State": chosen.state.replace("_", " "),
                "Holds": plain(describe_bounds(chosen.bounds)),
                "Rows": f"about {human_rows(chosen.rows)}" if chosen.rows is not None else "never analyzed",
                "Size": f"{human_bytes(size.heap)} rows, {human_bytes(size.index)} indexes,"
                f" {human_bytes(size.toast)} large values"
                if size
                else "busy: somebody holds it exclusively, so it was not measured",
                "Owner": plain(chosen.owner),
            },
            border="horizontal",
        )
        right.table(
            {
                "Dead rows": f"about {human_rows(activity.dead_rows)}" if activity else "unknown",
                "Read": f"{human_rows(activity.scans)} scans since the statistics were reset"
                if activity
                else "unknown",
                "Last vacuum": _when(activity.last_vacuum if activity else None),
                "Last analyze": _when(activity.last_analyze if activity else None),
                "Bounds known from": "the catalog" if attached else str(getattr(chosen, "source", None) or "nothing"),
            },
            border="horizontal",
        )
        with st.expander("Bounds, constraints and indexes as PostgreSQL has them"):
            checks = "\n".join(f"{check.name}: {check.definition}" for check in chosen.checks)
            names = chosen.index_names if isinstance(chosen, Partition) else tuple(i.name for i in chosen.indexes)
            bounds = chosen.bounds.text if chosen.bounds else "unknown"
            st.code(
                f"{bounds}\n\n{checks or 'no CHECK constraint'}\n\nindexes: {', '.join(names) or 'none'}",
                language="sql",
            )


def _when(moment: object) -> str:
    from datetime import datetime

    return f"{human_ago(moment, session.now())}, {human_time(moment)}" if isinstance(moment, datetime) else "never"


def _acts(chosen: Partition | Archived) -> None:
    name = chosen.name
    if isinstance(chosen, Partition):
        label = "Finish the detach" if chosen.pending else "Archive …"
        confirm.button(
            label,
            lambda: confirm.ask_archive(name),
            key="archive_one",
            icon=":material/archive:",
            primary=chosen.pending,
        )
    else:
        confirm.button(
            "Reattach …", lambda: confirm.ask_reattach(name), key="reattach_one", icon=":material/unarchive:"
        )


def main() -> None:
    """The page."""
    table = session.table()
    title, when = st.columns([4, 1], vertical_alignment="center")
    title.title("Partitions", anchor=False)
    with when:
        notices.read_at()
    shown = [item for item in items(table, session.today(), session.cutoff(), session.zone()) if item.name]
    if table.not_served is not None:
        st.info(f"This table is only shown here: {plain(table.not_served)}.", icon=":material/visibility:")
    else:
        ensuring(table)
    if not shown:
        st.info("There is no partition yet. Ensure this period and the next to begin.", icon=":material/info:")
        return
    selected = listing(shown) or st.query_params.get(session.PARTITION_PARAMETER)
    chosen = next(
        (p for p in (*table.partitions, *table.archived) if selected in (p.name, f"{p.schema}.{p.name}")), None
    )
    if chosen is not None:
        st.query_params[session.PARTITION_PARAMETER] = f"{chosen.schema}.{chosen.name}"
        detail(table, chosen)
    else:
        st.caption("Select a row for its bounds, constraints, indexes and acts.")
    with st.container(border=True):
        view = st.segmented_control("Chart", VIEWS, default=VIEWS[0], label_visibility="collapsed", key="chart_view")
        chart = {"Rows": charts.rows, "Sizes": charts.sizes}.get(view or VIEWS[0])
        with st.container(height=460 if len(shown) > 16 else "content", border=False):
            if chart is not None:
                st.altair_chart(chart(shown), alt=f"{view} of each partition")
            elif (bounds := charts.timeline(shown, session.today())) is not None:
                st.altair_chart(bounds, alt="The range of dates of each partition")


main()
