"""What is behind and ahead: when the server is full, what was done last, and what happens by itself."""

from __future__ import annotations

import streamlit as st

from core.console.journal import OperationState
from core.console.register import ROOMS
from core.console.unattended import Unattended
from core.growth.outlook import Retention
from core.text import human_ago, human_bytes, human_time, plural
from dashboard import layout
from dashboard.format import deed, plain
from dashboard.operations.journal import STATES
from dashboard.state import clock, database, reads

YEAR, SOON, LATER = 365, 31, 90
"""Days: how far it is looked ahead, and what is told in red and in orange."""
ACTS = 5
LOOKED_AT = 30
"""How many rows of the journal are looked through for acts: who looked or asked is no act."""
_ACTS = {room.operation.name for room in ROOMS}
_COLOUR = {
    OperationState.DONE: ("green", ":material/check:"),
    OperationState.FAILED: ("red", ":material/error:"),
    OperationState.INTERRUPTED: ("red", ":material/power_off:"),
    OperationState.CANCELLED: ("orange", ":material/stop_circle:"),
}


def until_full() -> None:
    """How many days until the limit that is set for the server is passed, if everything stays."""
    settings = database.desk().settings
    limit = settings.storage_limit
    if limit is None:
        return
    retention = Retention(settings.archive_after, settings.drop_after if settings.allow_drop else None)
    growth = reads.growth(None, horizon=YEAR, limit=limit, prices=None, retention=retention)
    passing, held = growth.passing_kept, f"{human_bytes(growth.server)} of {human_bytes(limit)}"
    if passing is None:
        st.caption(f":material/storage: When the server is full is not known yet: {held} are taken")
    elif passing.already:
        st.markdown(f":red-badge[:material/error: The server is full] {held} are taken")
    elif passing.expected is None:
        st.caption(f":material/storage: The server is not full within a year: {held} are taken")
    else:
        days = (passing.expected - growth.today).days
        colour = "red" if days < SOON else "orange" if days < LATER else "gray"
        st.markdown(f":{colour}-badge[:material/storage: Full in {plural(days, 'day')}] {held} are taken, if all stays")


def done(address: str) -> None:
    """The last acts on the table, newest first."""
    layout.heading("Done last")
    if why := reads.hidden():
        st.caption(plain(why))
        return
    found = [one for one in reads.operations(of_table=address, limit=LOOKED_AT) if one.kind in _ACTS][:ACTS]
    for one in found:
        colour, icon = _COLOUR.get(one.state, ("blue", ":material/progress_activity:"))
        when = human_ago(one.finished_at or one.requested_at, clock.now())
        st.markdown(
            f":{colour}[{icon}] {plain(deed(one.plan))} — {STATES[one.state].lower()}, {when}, by {plain(one.actor)}",
            help=human_time(one.finished_at or one.requested_at),
        )
    if not found:
        st.caption("Nothing was done with this table yet.")
    layout.link("activity", "All that was done", ":material/history:")


def by_itself(found: tuple[Unattended, ...]) -> None:
    """What nobody has to ask for, while a dashboard runs."""
    layout.heading("By itself", "while a dashboard runs")
    for one in found:
        last = human_ago(one.last, clock.now())
        icon = ":blue[:material/schedule:]" if one.on else ":gray[:material/do_not_disturb_on:]"
        st.markdown(
            f"{icon} **{one.what}** — next: {plain(one.next)}; last: {last}",
            help=human_time(one.last) if one.last else None,
        )
