"""Where the periods stand, folded: a card and a row of circles for each phase."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.tables.table import PartitionedTable
from core.text import human_bytes, plural
from dashboard import layout
from dashboard.charts import partitions
from dashboard.lifecycle import periods
from dashboard.lifecycle.periods import Lifecycle
from dashboard.partitions.axis import axis_of
from dashboard.partitions.items import Status, items
from dashboard.state import clock

CARDS = {
    Status.ATTACHED: ("1 · Attached, kept", "In the table, and not due for archive."),
    Status.DUE: ("2 · Due for archive", "In the table, and over for longer than it is kept there."),
    Status.ARCHIVED: ("3 · Archived", "Detached, on the server. No backup holds it as it is now."),
    Status.BACKED_UP: ("4 · Backed up", "On the server and in the place; no proof says that the backup is good."),
    Status.VERIFIED: (
        "5 · Verified",
        "On the server and in the place; its backup was restored elsewhere and compared.",
    ),
    Status.DROPPED: ("6 · Dropped", "In the place of the backups alone. One click brings it back."),
}


def draw(table: PartitionedTable, found: Sequence[Lifecycle]) -> None:
    """Bytes at each phase in one line; unfolded, a card for each and each period where it stands."""
    standing = [(phase, [life for life in found if life.status is phase]) for phase in CARDS]
    said = " · ".join(f"{_bytes(phase, here)} {str(phase).lower()}" for phase, here in standing if here)
    with st.expander(f"**The road** — {said or 'no period is on it yet'}", icon=":material/timeline:", key="road"):
        _cards(table, standing)
        _picture(table, found)


def _bytes(phase: Status, here: Sequence[Lifecycle]) -> str:
    """What they weigh: in the place where they are there alone, else on the server."""
    place = phase is Status.DROPPED
    return human_bytes(sum(life.in_place if place else life.on_server for life in here))


def _cards(table: PartitionedTable, standing: Sequence[tuple[Status, Sequence[Lifecycle]]]) -> None:
    exact = f"Exact, read at {table.as_of:%H:%M:%S} UTC; busy ones are left out."
    with st.grid(3, gap="small", min_column_width=190):
        for phase, here in standing:
            label, means = CARDS[phase]
            place = sum(life.in_place for life in here)
            note = plural(len(here), "period") if here else "no period here"
            if phase is not Status.DROPPED and place:
                note += f", {human_bytes(place)} in the place"
            if phase is Status.DROPPED:
                note += ", in the place alone" if here else ""
            layout.card(label, _bytes(phase, here) if here else "none", note, help=f"{means} {exact}")


def _picture(table: PartitionedTable, found: Sequence[Lifecycle]) -> None:
    elsewhere, zone, now = periods.elsewhere(found), clock.zone(), clock.now()
    axis = axis_of(table, zone, elsewhere)
    shown = periods.drawn(found, items(table, now, clock.cutoff(), zone, elsewhere), axis)
    chart = partitions.road(shown, axis.now(now))
    if chart is not None:
        layout.heading("Each period", f"where it stands, and what it weighs there in {partitions.road_unit(shown)}")
        st.altair_chart(chart, theme=None, alt="Each period at its stop, from attached to dropped")
