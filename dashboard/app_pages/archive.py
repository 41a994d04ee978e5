"""Archive: each period on its road from attached to dropped and back, its bytes, its proof and its one next act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from core.console.journal import OperationState
from core.plans.plan import Operation
from core.tables.bounds import key_value
from core.tables.model import Archived, Partition, PartitionedTable
from core.text import human_bytes, human_date, plural
from dashboard import layout, notices
from dashboard.charts import partitions
from dashboard.format import by_hand, items, plain
from dashboard.road import backups, road
from dashboard.road.backups import Read
from dashboard.road.road import Leg, Stop
from dashboard.state import clock, current, database, reads

PAGE = 12
"""Lines of one stop that are shown at a time."""
ON_SERVER = (Stop.ARCHIVED, Stop.BACKED_UP, Stop.VERIFIED)
STOPS = {
    Stop.ATTACHED: ("1 · Attached, kept", "In the table, and not due for archive."),
    Stop.DUE: ("2 · Due for archive", "In the table, and over for longer than it is kept there."),
    Stop.ARCHIVED: ("3 · Archived", "Detached, on the server. No backup holds it as it is now."),
    Stop.BACKED_UP: ("4 · Backed up", "On the server and in the place; no proof says that the backup is good."),
    Stop.VERIFIED: ("5 · Verified", "On the server and in the place; its backup was restored elsewhere and compared."),
    Stop.DROPPED: ("6 · Dropped", "In the place of the backups alone. One click brings it back."),
}


def verdict(found: Sequence[Leg], read: Read) -> str:
    """What matters most on the road, in one sentence."""
    failed = [leg for leg in found if leg.failed is not None]
    planned = [leg for leg in found if leg.drop is not None]
    bare = [leg for leg in found if leg.stop in (Stop.ARCHIVED, Stop.BACKED_UP)]
    overdue = [leg for leg in found if leg.stop is Stop.DUE]
    if failed:
        return f"The last proof of {failed[0].name} failed" if len(failed) == 1 else f"{len(failed):,} proofs failed"
    if len(planned) == 1 and planned[0].drop is not None:
        return f"{planned[0].name} is to be dropped on {human_date(datetime.fromisoformat(planned[0].drop.at).date())}"
    if planned:
        return f"{len(planned):,} drops are planned"
    if bare and read is not None and read.kept is not None:
        have = "has" if len(bare) == 1 else "have"
        return f"{plural(len(bare), 'archived table')} {have} no verified backup"
    if overdue:
        are = "is" if len(overdue) == 1 else "are"
        return f"{plural(len(overdue), 'partition')} {are} due for archive"
    return "Every period is where it belongs"


def counted(found: Sequence[Leg], read: Read, table: PartitionedTable) -> str:
    """What was freed on the server and what is held in the place."""
    gone = [leg for leg in found if leg.stop is Stop.DROPPED and not leg.whence]
    freed = {
        o.subject: o.plan.bytes
        for o in reversed(reads.operations(of_table=table.address))
        if (o.kind, o.state) == (Operation.DROP, OperationState.DONE) and o.plan.bytes
    }
    known = [freed[leg.name] for leg in gone if leg.name in freed]
    total = f"{human_bytes(sum(known))} freed on the server" if known else "nothing freed on the server yet"
    if gone and len(known) < len(gone):
        total = f"{human_bytes(sum(known))} freed on the server, and {len(gone) - len(known):,} dropped unmeasured"
    if read is None or read.kept is None:
        return f"{total} · what is held in the place is not known"
    size = sum(leg.in_place for leg in found if not leg.whence)
    number = sum(len(leg.backups) for leg in found if not leg.whence)
    held = f"{human_bytes(size)} held in {plural(number, 'backup')}" if number else "no backup held yet"
    return f"{total} · {held} · place of the backups: {plain(read.place)}"


def stops(table: PartitionedTable, found: Sequence[Leg]) -> None:
    """Bytes at each stop of the road, on the server and in the place, and each period at its stop."""
    exact = f"Exact, read at {table.as_of:%H:%M:%S} UTC; busy ones are left out."
    with st.grid(3, gap="small", min_column_width=190):
        for stop, (label, means) in STOPS.items():
            here = [leg for leg in found if leg.stop is stop]
            server, place = sum(leg.on_server for leg in here), sum(leg.in_place for leg in here)
            note = plural(len(here), "period") if here else "no period here"
            if stop is not Stop.DROPPED and place:
                note += f", {human_bytes(place)} in the place"
            if stop is Stop.DROPPED:
                note += ", in the place alone" if here else ""
            value = human_bytes(place if stop is Stop.DROPPED else server)
            layout.card(label, value if here else "none", note, help=f"{means} {exact}")
    shown = road.drawn(
        found, items(table, clock.today(), clock.cutoff(), clock.zone(), road.elsewhere(found)), clock.zone()
    )
    chart = partitions.road(shown, clock.today())
    if chart is not None:
        with st.container(border=True, gap="small"):
            unit = partitions.road_unit(shown)
            layout.heading("The road", f"where each period stands, and what it weighs there in {unit}")
            st.altair_chart(chart, theme=None, alt="Each period at its stop, from attached to dropped")


def planned(found: Sequence[Leg]) -> None:
    """The drops that wait for their time, with what keeps the table."""
    waiting = [leg for leg in found if leg.drop is not None]
    if not waiting:
        return
    with st.container(border=True, gap="small"):
        layout.heading("Planned drops", "nothing happens before the day; one click keeps the table")
        for leg in waiting[:PAGE]:
            planned_line(leg)
        if len(waiting) > PAGE:
            st.caption(f"and {len(waiting) - PAGE:,} more, among the archived below")


def planned_line(leg: Leg) -> None:
    """One planned drop: when, by whom, on what proof."""
    if leg.drop is not None:
        at = datetime.fromisoformat(leg.drop.at)
        layout.line(
            f"**{plain(leg.label)}** · {plain(leg.called)} — on **{human_date(at.date())}** at {at:%H:%M} UTC",
            f"asked for by {leg.drop.by}; every row is compared with its verified backup first",
            lambda: backups.act(leg, known=True, key="planned_"),
        )


def due_list(found: Sequence[Leg], read: Read) -> None:
    """What is due, oldest first."""
    waiting = [leg for leg in found if leg.stop is Stop.DUE]
    with st.container(border=True, gap="small"):
        layout.heading("Due for archive", f"ended more than {database.desk().settings.archive_after} ago")
        if not waiting:
            st.caption("Nothing is due. What is over can be archived earlier below.")
        first = waiting[0].called if waiting else ""
        layout.paged(
            waiting, lambda leg: backups.line(leg, read, primary=leg.called == first), key="page_due", size=PAGE
        )


def archived_list(found: Sequence[Leg], read: Read) -> None:
    """What is archived, each with its proof and its next act."""
    there = [leg for leg in found if leg.stop in ON_SERVER]
    with st.container(border=True, gap="small"):
        layout.heading("Archived", "detached, on the server, out of the table's queries")
        if not there:
            st.caption("Nothing is archived yet. The first archive begins above; its backup and its proof come after.")
        if len(there) > PAGE:
            counts = Counter(str(leg.stop) for leg in there)
            chosen = st.pills(
                "Stop",
                [str(stop) for stop in ON_SERVER if counts[str(stop)]],
                format_func=lambda stop: f"{stop}: {counts[stop]:,}",
                selection_mode="multi",
                key="archived_stops",
                label_visibility="collapsed",
            )
            there = [leg for leg in there if not chosen or str(leg.stop) in chosen]
        layout.paged(there, lambda leg: backups.line(leg, read), key="page_archived", size=PAGE)


def dropped_list(found: Sequence[Leg], read: Read) -> None:
    """What is in the place alone, each with its way back."""
    gone = [leg for leg in found if leg.stop is Stop.DROPPED]
    if not gone:
        return
    with st.container(border=True, gap="small"):
        layout.heading("Dropped", "in the place of the backups alone; a restore brings each back into the archive")
        layout.paged(gone, lambda leg: backups.line(leg, read), key="page_dropped", size=PAGE)


def unusable(read: Read) -> None:
    """What lies in the place and is no backup."""
    if read is None or not read.unusable:
        return
    with st.expander(f"Not usable as a backup: {len(read.unusable):,}", icon=":material/broken_image:"):
        for one in read.unusable[:PAGE]:
            st.markdown(f"{plain(one.path)}  \n:red[{plain(one.reason)}]")
        if len(read.unusable) > PAGE:
            st.caption(f"and {len(read.unusable) - PAGE:,} more: partitions backups lists all")


def still_kept(found: Sequence[Leg], read: Read, table: PartitionedTable) -> None:
    """What is over and not due yet, folded away."""
    if table.key is None:
        return
    now = key_value(table.key, clock.today(), clock.zone())
    over = [leg for leg in found if leg.stop is Stop.ATTACHED and _is_over(leg.one) and leg.bounds]
    over = [leg for leg in over if leg.bounds and leg.bounds.upper is not None and leg.bounds.upper <= now]
    with st.expander(f"Over, and still kept: {len(over):,}", icon=":material/hourglass_bottom:"):
        st.caption("Periods that have ended and are not due yet, or held. They can be archived early.")
        layout.paged(over, lambda leg: backups.line(leg, read), key="page_kept", size=PAGE)


def _is_over(one: Partition | Archived | None) -> bool:
    return isinstance(one, Partition) and one.leaf and not one.is_default


def hand_work(table: PartitionedTable) -> None:
    """Backup, upload and drop as plain commands, for who does it without the console."""
    with st.expander("Back up, upload and drop by hand", icon=":material/terminal:"):
        st.caption(
            "The buttons above do all of this, with a proof before the drop. By hand: read a dump back completely"
            " before you drop anything; a listing succeeds on a truncated file."
        )
        for archived in table.archived[:PAGE]:
            st.code(by_hand(archived), language="bash", wrap_lines=True)
        if len(table.archived) > PAGE:
            st.caption(f"and {len(table.archived) - PAGE:,} more, in the same words")
        if not table.archived:
            st.caption("Nothing is archived yet.")


def main() -> None:
    """The page."""
    table = current.table()
    if table.not_served is not None or table.key is None:
        layout.header("Archive")
        layout.only_shown(table.not_served)
        return
    found, read = backups.read(table)
    layout.header(plain(verdict(found, read)), counted(found, read, table))
    backups.unread(read)
    notices.pending(table)
    stops(table, found)
    planned(found)
    due_list(found, read)
    archived_list(found, read)
    dropped_list(found, read)
    unusable(read)
    still_kept(found, read, table)
    hand_work(table)


main()
