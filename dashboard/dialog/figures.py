"""The figures of what a plan moves, and the proof of the backup that it rests on."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from core.plans.adopt import ADOPT, RELEASE
from core.plans.archive import ARCHIVE
from core.plans.hold import HOLD
from core.plans.index import INDEX, REINDEX, UNINDEX
from core.plans.plan import Plan
from core.plans.proof import Kept
from core.plans.reading import KEY
from core.plans.reattach import REATTACH
from core.plans.restore import RESTORE
from core.tables.fingerprint import ROWS_A_SECOND
from core.text import human_ago, human_bytes, human_date, human_rows, human_seconds, human_time
from dashboard import layout
from dashboard.dialog import ask
from dashboard.format import plain
from dashboard.state import clock, current, database

NO_FIGURES = (HOLD, KEY, ADOPT, RELEASE, INDEX, REINDEX, UNINDEX)
"""What moves no partition out of the table or back into it from the archive."""


def proof(kept: Kept, plan: Plan) -> None:
    """Which backup it is, and how it is known to be whole."""
    backup, proven = kept.backup, kept.proven
    said = {
        "Made": f"{human_time(datetime.fromisoformat(backup.finished_at))} by {plain(backup.actor)}",
        "Last proof": f"{human_time(kept.proven_at)}, {human_ago(kept.proven_at, clock.now())},"
        f" by {plain(proven.actor)}"
        if proven
        else f":{'red' if kept.damaged else 'orange'}[it {plain(kept.unproven)}]",
        "Rows": human_rows(backup.rows),
        "Fingerprint": plain(backup.fingerprint),
    }
    title = f"The proof: restored and compared {human_ago(kept.proven_at, clock.now())}" if proven else "The backup"
    with st.expander(title, icon=":material/verified_user:" if proven else ":material/cloud_done:"):
        words = "The table has to equal it, row by row: " if plan.operation is not RESTORE else ""
        st.caption(f"{words}{plain(backup.id)}")
        st.table(said, border="horizontal")


def draw(asked: ask.Asked) -> None:
    plan = asked.plan
    if plan.operation in NO_FIGURES:
        return
    if ask.is_drop(plan) and asked.kept is not None:
        _dropped(asked, asked.kept)
    elif plan.operation is RESTORE and asked.kept is not None:
        _restored(asked.kept)
    else:
        _moved(asked)


def _dropped(asked: ask.Asked, kept: Kept) -> None:
    with st.grid(3, gap="small", min_column_width=190):
        layout.card(
            "Rows leaving the server",
            human_rows(kept.backup.rows),
            f"read once more, {human_seconds(kept.backup.rows / ROWS_A_SECOND)}",
            help="Counted when it was backed up. They are read and compared once more right before the drop.",
        )
        layout.card("Freed on the server", human_bytes(asked.bytes), "on disk", help="Rows, indexes and large values.")
        layout.card(
            "Kept in the place",
            human_bytes(kept.backup.bytes),
            f"proven {human_ago(kept.proven_at, clock.now())}",
            help="The compressed backup, from which the table is made again.",
        )


def _restored(kept: Kept) -> None:
    until = database.desk().settings.hold.after(clock.today())
    with st.grid(3, gap="small", min_column_width=190):
        layout.card("Rows coming back", human_rows(kept.backup.rows), "counted", help="As its manifest says.")
        layout.card(
            "Fetched from the place",
            human_bytes(kept.backup.bytes),
            f"{human_bytes(kept.backup.raw_bytes)} of text",
            help="The compressed backup. On the server its rows and indexes take about what they took before.",
        )
        layout.card(
            "Held until",
            human_date(until),
            str(database.desk().settings.hold),
            help="A restored table is kept from every rule for that long; the hold can be lifted.",
        )


MOVED = {
    ARCHIVE: ("Rows leaving its queries", "Leaving the table"),
    REATTACH: ("Rows coming back", "Coming back"),
}


def _moved(asked: ask.Asked) -> None:
    rows, size = MOVED.get(asked.plan.operation, ("Rows in it", "Size"))
    read = current.read_at()
    exact = f"Exact, read at {read:%H:%M:%S} UTC: rows, indexes and large values" if read else ""
    with st.grid(3, gap="small", min_column_width=190):
        layout.card(
            rows,
            human_rows(asked.rows) if asked.rows is not None else "not known",
            "estimate of the last analyze" if asked.rows is not None else "never analyzed",
            help="The planner's estimate; the exact count takes a read of the whole table.",
        )
        layout.card(size, human_bytes(asked.bytes), "on disk", help=exact)
        if asked.plan.operation in MOVED:  # the others say it among what happens
            layout.card(
                "Expected to take",
                human_seconds(asked.seconds),
                "and the wait for others",
                help="Once nobody is in the way. It waits for others without making anybody wait for it.",
            )
