"""The sidebar: which table, on which database, and whether anything can be done from here."""

from __future__ import annotations

import streamlit as st

from core.errors import DeskError, NotAllowed, SettingError
from core.tables.summaries import TableSummary
from core.text import human_bytes, plural
from dashboard import finder
from dashboard.format import plain
from dashboard.state import access, current, database, keys, reads

UNASKED = (
    "Nobody is asked who is there (PARTITION_DESK_OPEN): everybody on this machine can act here, under the name of"
    " whoever started it."
)


def draw(trouble: DeskError | None) -> None:
    """The choice of the table and the badge of the database; without them where it can't be read."""
    with st.sidebar:
        if trouble is None:
            finder.box()
            _choose_table()
        with st.container(gap="xxsmall"):
            _database(trouble)
        if trouble is None:
            _who_is_here()
            if access.is_unasked():
                st.warning(UNASKED, icon=":material/lock_open:")


def _who_is_here() -> None:
    try:
        here = access.actor()
    except NotAllowed:  # it has ended since this page began to be drawn: the next one says so
        st.rerun()
    named = database.desk().settings.names_people
    st.caption(
        f"You are here as {plain(here.name)}, {here.role}",
        help=None
        if named
        else "The settings name nobody: whoever gets in may do all. PARTITION_DESK_ADMINS names who.",
    )
    access.sign_out()


def _database(trouble: DeskError | None) -> None:
    try:
        desk = database.desk()
    except SettingError:
        return  # the page says what is wrong with it
    st.caption("Database")
    if desk.embedded:
        st.badge(database.EMBEDDED, icon=":material/science:", color="violet")
    else:
        st.markdown(plain(desk.address))
    if trouble is not None:
        st.badge("Not reached", icon=":material/cloud_off:", color="red")
    else:
        server = database.server()
        st.caption(f"{plain(server.product)} as {plain(server.user)}")


def _label(table: TableSummary, stands: str) -> str:
    """Its name and how it stands; a branch that is a table of its own stands below the table it is a branch of."""
    shown = f" · {stands}" if stands else "" if table.not_served is None else " (only shown)"
    return f"{table.label}{f', a branch of {table.under}' if table.under else ''}{shown}"


def _choose_table() -> None:
    known = database.tables()
    if not known:
        return
    chosen = current.address()
    addresses = [table.address for table in known]
    stands = reads.standings()
    labels = {table.address: _label(table, stands.get(table.address, "")) for table in known}
    details = {t.address: f"{plural(t.partitions, 'partition')}, about {human_bytes(t.bytes)}" for t in known}
    if chosen not in addresses:
        addresses.insert(0, chosen)
    st.session_state[keys.TABLE_CHOICE] = chosen
    st.selectbox(
        "Table",
        addresses,
        key=keys.TABLE_CHOICE,
        format_func=lambda address: labels.get(address, address),
        help=details.get(chosen),
        on_change=lambda: current.choose(st.session_state[keys.TABLE_CHOICE]),
    )
