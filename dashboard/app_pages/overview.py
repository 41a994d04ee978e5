"""Overview: is everything in place, and what needs doing now?"""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from core.tables.coverage import runway
from core.tables.table import PartitionedTable
from core.text import plural
from dashboard import layout, notices
from dashboard.charts import partitions, spans
from dashboard.format import plain
from dashboard.lifecycle import lines, periods
from dashboard.overview import attention, cards, lately
from dashboard.overview.verdict import verdict
from dashboard.partitions.axis import axis_of
from dashboard.partitions.items import Item, Status, items, with_default
from dashboard.state import clock, current, reads


def counted(table: PartitionedTable, shown: tuple[Item, ...]) -> str:
    """One line of what there is."""
    missing = sum(item.status is Status.MISSING for item in shown)
    today = table.key is not None and table.key.clock is not None and not runway(table, clock.now(), clock.zone())
    width = table.width(clock.zone())
    key = f"{f' by {width.noun}' if width else ''} on *{plain(table.key.name)}*" if table.key else ""
    return (
        f"**{plain(table.label)}**{key} · {plural(len(table.partitions), 'partition')} attached ·"
        f" {len(table.archived) or 'none'} archived · {_missing(missing, today=today)}"
    )


def _missing(gaps: int, *, today: bool) -> str:
    """How many ranges lack a partition; that of today may lie behind the last partition, and is no gap then."""
    if today and not gaps:
        return "today missing"
    return f"{gaps or 'none'} missing"


def coverage(table: PartitionedTable, shown: tuple[Item, ...], title: str, now: datetime | None) -> None:
    """The picture of which part of the key has a partition."""
    timed = table.key is None or table.key.clock is not None
    with st.container(border=True, gap="small"):
        what = "dates" if timed or table.key is None else f"values of {plain(table.key.name)}"
        layout.heading("Coverage", f"which {what} have a partition, and where it is")
        chart = partitions.coverage(with_default(shown, table), now)
        if chart is None:
            st.caption("No partition has a range.")
        else:
            st.altair_chart(chart, theme=None, alt=title)
        if table.default is not None:
            st.caption(f"{plain(table.default.name)} is the DEFAULT partition: it takes what no other one does.")


def how_large(shown: tuple[Item, ...], now: datetime | None) -> None:
    """The picture of the partitions' sizes."""
    layout.heading("Size of each partition")
    if not any(item.name for item in shown):
        st.caption("There is no partition yet.")
        return
    with st.container(height=340 if 12 < len(shown) <= spans.LISTED else "content", border=False):
        chart = partitions.sizes(shown, now)
        st.altair_chart(chart, theme=None, alt="Bytes of each partition: rows, indexes, large values")
    for said in (spans.summed(shown), spans.unplaced(shown)):
        if said is not None:
            st.caption(said)
    layout.link("growth", "How it grows", ":material/trending_up:")


def main() -> None:
    """The page."""
    table = current.table()
    now, zone = clock.now(), clock.zone()
    lives, _ = lines.read(table)
    dropped = periods.elsewhere(lives)
    title = verdict(table, now, zone, dropped)
    shown = items(table, now, clock.cutoff(), zone, dropped)
    axis = axis_of(table, zone, dropped)
    layout.header(plain(title), counted(table, shown))
    lately.until_full()
    if table.not_served is not None or table.key is None:
        layout.only_shown(table)
    else:
        cards.draw(table)
    notices.pending(table)
    coverage(table, (*shown, *periods.gone(lives, axis)), title, axis.now(now))
    with st.container(border=True):
        attention.draw(reads.findings(), table)
    with st.container(border=True, gap="small"):
        how_large(shown, axis.now(now))
    with st.grid(2, gap="small", min_column_width=380):
        with st.container(border=True, gap="small", height="stretch"):
            lately.done(table.address)
        with st.container(border=True, gap="small", height="stretch"):
            lately.by_itself(reads.unattended())


main()
