"""Archive: each period on its road from attached to archived and back, with its bytes and its one next act."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from core.bounds import key_value
from core.model import Archived, Partition, PartitionedTable, Source, due
from core.text import human_ago, human_bytes, human_date, human_rows, plural
from dashboard import charts, confirm, layout, notices, session
from dashboard.format import by_hand, items, plain, short

PAGE = 12
"""Lines of one stop that are shown."""
KNOWN: dict[Source | None, str] = {
    Source.CHECK: "its bounds come from its CHECK",
    Source.NAME: "its bounds come from its name",
}


def stops(table: PartitionedTable, waiting: tuple[Partition, ...], kept: tuple[Partition, ...]) -> None:
    """Bytes at each stop of the road, and each period at its stop."""
    exact = f"Exact, read at {table.as_of:%H:%M:%S} UTC; busy ones are left out."
    with st.grid(3, gap="small", min_column_width=190):
        for label, found, noun in (
            ("1 · Attached, kept", kept, "partition"),
            ("2 · Due for archive", waiting, "partition"),
            ("3 · Archived, on the server", table.archived, "table"),
        ):
            size = sum(one.size.total for one in found if one.size)
            layout.card(label, human_bytes(size), plural(len(found), noun), help=exact)
    chart = charts.road(items(table, session.today(), session.cutoff(), session.zone()), session.today())
    if chart is not None:
        with st.container(border=True, gap="small"):
            layout.heading("The road", "where each period stands; the larger the circle, the more bytes")
            st.altair_chart(chart, theme=None, alt="Each period at its stop: attached, due for archive, archived")


def due_list(waiting: tuple[Partition, ...]) -> None:
    """What is due, oldest first."""
    with st.container(border=True, gap="small"):
        layout.heading("Due for archive", f"ended more than {session.desk().settings.archive_after} ago")
        if not waiting:
            st.caption("Nothing is due. What is over can be archived earlier below.")
        for number, partition in enumerate(waiting[:PAGE]):
            attached_line(partition, primary=number == 0)
        if len(waiting) > PAGE:
            st.caption(f"and {len(waiting) - PAGE:,} more; the oldest come first")


def attached_line(partition: Partition, *, primary: bool = False) -> None:
    """One attached partition and its one next act."""
    size = human_bytes(partition.size.total) if partition.size else "busy, not measured"
    rows = f"about {human_rows(partition.rows)} rows" if partition.rows is not None else "rows not counted yet"
    label = plain(short(partition.bounds, partition.name, session.zone()))
    layout.line(
        f"**{label}** · {plain(partition.name)}",
        f"{rows}, {size}",
        lambda: confirm.archive_button(partition, key=f"archive_{partition.oid}", primary=primary),
    )


def archived_list(table: PartitionedTable) -> None:
    """What is archived, each with its way back."""
    with st.container(border=True, gap="small"):
        layout.heading("Archived", "detached, on the server, out of the table's queries")
        if not table.archived:
            st.caption("Nothing is archived yet.")
        for archived in table.archived[:PAGE]:
            archived_line(archived)
        if len(table.archived) > PAGE:
            st.caption(f"and {len(table.archived) - PAGE:,} more; all are on the page Partitions")


def archived_line(archived: Archived) -> None:
    """One archived table and its way back."""
    label = plain(short(archived.bounds, archived.name, session.zone()))
    layout.line(
        f"**{label}** · {plain(f'{archived.schema}.{archived.name}')}",
        history(archived),
        lambda: confirm.reattach_button(archived, key=f"reattach_{archived.oid}"),
    )


def history(archived: Archived) -> str:
    """How big it is, since when it is archived, and how its bounds are known."""
    if archived.tag is not None:
        moment = datetime.fromisoformat(archived.tag.archived_at)
        since = f"archived {human_ago(moment, session.now())}, on {human_date(moment.date())}"
    else:
        known = KNOWN.get(archived.source, "its range is unknown")
        since = f"archived by hand; {known}"
    size = human_bytes(archived.size.total) if archived.size else "busy, not measured"
    rows = f"about {human_rows(archived.rows)} rows, " if archived.rows is not None else ""
    return f"{rows}{size} · {since}"


def still_kept(kept: tuple[Partition, ...], table: PartitionedTable) -> None:
    """What is over and not due yet, folded away."""
    if table.key is None:
        return
    now = key_value(table.key, session.today(), session.zone())
    over = [p for p in kept if p.leaf and p.bounds and p.bounds.upper is not None and p.bounds.upper <= now]
    with st.expander(f"Over, and still kept: {len(over):,}", icon=":material/hourglass_bottom:"):
        st.caption("Periods that have ended and are not due yet. They can be archived early.")
        for partition in over[:PAGE]:
            attached_line(partition)
        if len(over) > PAGE:
            st.caption(f"and {len(over) - PAGE:,} more; all are on the page Partitions")


def hand_work(table: PartitionedTable) -> None:
    """Backup, upload and drop as plain commands, for what the console does not do yet."""
    with st.expander("Back up, upload and drop by hand", icon=":material/terminal:"):
        st.caption(
            "The console does not take backups yet. Read a dump back completely before you drop anything:"
            " a listing succeeds on a truncated file."
        )
        for archived in table.archived[:PAGE]:
            st.code(by_hand(archived), language="bash", wrap_lines=True)
        if not table.archived:
            st.caption("Nothing is archived yet.")


def main() -> None:
    """The page."""
    table = session.table()
    layout.header(
        "Archive",
        f"An archived partition stays on the server, in the schema *{plain(table.archive.name)}*, with its bounds"
        " written on it; it comes back without a row being read.",
    )
    if table.not_served is not None or table.key is None:
        layout.only_shown(table.not_served)
        return
    notices.pending(table)
    waiting = due(table, session.cutoff(), session.today(), session.zone())
    overdue = {partition.oid for partition in waiting}
    kept = tuple(p for p in table.partitions if p.oid not in overdue)
    stops(table, waiting, kept)
    due_list(waiting)
    archived_list(table)
    still_kept(kept, table)
    hand_work(table)


main()
