"""The lists of the page Archive: what is planned, due, archived, dropped, and still kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from core.plans.archive import ARCHIVE
from core.tables.archived import Archived
from core.tables.commands import twin
from core.tables.coverage import frontier
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import Kind
from core.text import human_date
from dashboard import layout
from dashboard.dialog import many
from dashboard.format import in_a_shell, plain
from dashboard.lifecycle import lines
from dashboard.lifecycle.lines import Read
from dashboard.lifecycle.periods import Lifecycle
from dashboard.partitions.items import Status
from dashboard.state import acts, clock, database, kept, keys

PAGE = 12
"""Lines of one stop that are shown at a time."""
ON_SERVER = (Status.ARCHIVED, Status.BACKED_UP, Status.VERIFIED)


def planned(found: Sequence[Lifecycle]) -> None:
    """The drops that wait for their time, with what keeps the table."""
    waiting = [life for life in found if life.drop is not None]
    if not waiting:
        return
    with st.container(border=True, gap="small"):
        layout.heading("Planned drops", "nothing happens before the day; one click keeps the table")
        for life in waiting[:PAGE]:
            _planned_line(life)
        if len(waiting) > PAGE:
            st.caption(f"and {len(waiting) - PAGE:,} more, among the archived below")


def _planned_line(life: Lifecycle) -> None:
    """One planned drop: when, by whom, on what proof."""
    if life.drop is not None:
        at = datetime.fromisoformat(life.drop.at)
        layout.line(
            f"**{plain(life.label)}** · {plain(life.called)} — on **{human_date(at.date())}** at {at:%H:%M} UTC",
            f"asked for by {life.drop.by}; every row is compared with its verified backup first",
            lambda: lines.act(life, known=True, key="planned_"),
        )


def due(found: Sequence[Lifecycle], read: Read, table: PartitionedTable) -> None:
    """What is due, oldest first."""
    waiting = [life for life in found if life.status is Status.DUE]
    with st.container(border=True, gap="small"):
        layout.heading("Due for archive", f"ended more than {database.desk().settings.archive_after} ago")
        if not waiting:
            st.caption("Nothing is due. What is over can be archived earlier below.")
        if len(waiting) > 1:
            with st.container(width="content"):
                many.button(
                    f"Archive all {len(waiting)} that are due",
                    ARCHIVE,
                    lambda: [(life.called, acts.archiving(life.called)) for life in waiting],
                    key="archive_due",
                    command=twin("archive", table, "", "--due"),
                )
        first = waiting[0].called if waiting else ""
        layout.paged(
            waiting, lambda life: lines.line(life, read, primary=life.called == first), key="page_due", size=PAGE
        )


def archived(found: Sequence[Lifecycle], read: Read) -> None:
    """What is archived, each with its proof and its next act."""
    there = [life for life in found if life.status in ON_SERVER]
    with st.container(border=True, gap="small"):
        layout.heading("Archived", "detached, on the server, out of the table's queries")
        if not there:
            st.caption("Nothing is archived yet. The first archive begins above; its backup and its proof come after.")
        if len(there) > PAGE:
            counts = Counter(str(life.status) for life in there)
            stops = [str(stop) for stop in ON_SERVER if counts[str(stop)]]
            kept.within(keys.ARCHIVED_STOPS, stops)
            chosen = st.pills(
                "Stop",
                stops,
                format_func=lambda stop: f"{stop}: {counts[stop]:,}",
                selection_mode="multi",
                key=keys.ARCHIVED_STOPS,
                label_visibility="collapsed",
            )
            there = [life for life in there if not chosen or str(life.status) in chosen]
        layout.paged(there, lambda life: lines.line(life, read), key="page_archived", size=PAGE)


def dropped(found: Sequence[Lifecycle], read: Read) -> None:
    """What is in the place alone, each with its way back."""
    gone = [life for life in found if life.status is Status.DROPPED]
    if not gone:
        return
    with st.container(border=True, gap="small"):
        layout.heading("Dropped", "in the place of the backups alone; a restore brings each back into the archive")
        layout.paged(gone, lambda life: lines.line(life, read), key="page_dropped", size=PAGE)


def unusable(read: Read) -> None:
    """What lies in the place and is no backup."""
    if read is None or not read.unusable:
        return
    with st.expander(f"Not usable as a backup: {len(read.unusable):,}", icon=":material/broken_image:"):
        for one in read.unusable[:PAGE]:
            st.markdown(f"{plain(one.path)}  \n:red[{plain(one.reason)}]")
        if len(read.unusable) > PAGE:
            st.caption(f"and {len(read.unusable) - PAGE:,} more: partitions backups lists all")


def still_kept(found: Sequence[Lifecycle], read: Read, table: PartitionedTable) -> None:
    """What is over and not due yet, folded away."""
    reached = frontier(table, clock.now(), clock.zone())
    if reached is None:
        return
    over = [life for life in found if life.status is Status.ATTACHED and _is_over(life.one) and life.bounds]
    over = [life for life in over if life.bounds and life.bounds.upper is not None and life.bounds.upper <= reached]
    with st.expander(f"Over, and still kept: {len(over):,}", icon=":material/hourglass_bottom:"):
        timed = table.key is not None and table.key.clock is not None
        ended = "Periods that have ended and are not due yet, or held." if timed else "Ranges before the newest rows."
        st.caption(f"{ended} They can be archived early.")
        layout.paged(over, lambda life: lines.line(life, read), key="page_kept", size=PAGE)


def _is_over(one: Partition | Archived | None) -> bool:
    return isinstance(one, Partition) and one.kind is not Kind.FOREIGN and not one.is_default


def hand_work(table: PartitionedTable) -> None:
    """The road as commands for a shell, for who goes it without the pages."""
    with st.expander("Back up, verify and drop in a shell", icon=":material/terminal:", key="in_a_shell"):
        st.caption("What the buttons above do; a drop compares every row with a backup that is proven.")
        for archived in table.archived[:PAGE]:
            st.code(in_a_shell(table, archived), language="bash", wrap_lines=True)
        if len(table.archived) > PAGE:
            st.caption(f"and {len(table.archived) - PAGE:,} more, in the same words")
        if not table.archived:
            st.caption("Nothing is archived yet.")
