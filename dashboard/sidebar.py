"""The sidebar: which table, on which database, and whether anything can be done from here."""

from __future__ import annotations

import streamlit as st

from core.errors import DeskError
from core.text import human_bytes
from dashboard import session
from dashboard.format import plain


def draw() -> None:
    """The choice of the table and the badge of the database; drawn even where the database can't be reached."""
    with st.sidebar:
        desk = session.desk()
        try:
            _choose_table()
        except DeskError:
            st.caption("The tables can't be read just now.")  # the page says why
        st.caption("Database")
        if desk.embedded:
            st.badge("Embedded demo database", icon=":material/science:", color="violet")
        else:
            st.text(desk.place)
        try:
            server = session.table().server
        except DeskError:
            st.badge("not reached", icon=":material/cloud_off:", color="red")
        else:
            st.caption(f"PostgreSQL {plain(server.version.split(' ', maxsplit=1)[0])} as {plain(server.user)}")
        closed = session.read_only_reason()
        if closed is not None:
            st.warning(closed, icon=":material/visibility:")


def _choose_table() -> None:
    tables = session.tables()
    current = session.current_address()
    addresses = [table.address for table in tables]
    if current not in addresses:
        addresses.insert(0, current)
    labels = {table.address: f"{table.label}{'' if table.not_served is None else ' (only shown)'}" for table in tables}
    details = {t.address: f"{t.partitions:,} partitions, about {human_bytes(t.bytes)}" for t in tables}
    chosen = st.selectbox(
        "Table",
        addresses,
        index=addresses.index(current),
        format_func=lambda address: labels.get(address, address),
        help=details.get(current),
    )
    if chosen != current:
        st.query_params.clear()
        st.query_params[session.TABLE_PARAMETER] = chosen
        session.refresh()
        st.rerun()
    if chosen and st.query_params.get(session.TABLE_PARAMETER) != chosen:
        st.query_params[session.TABLE_PARAMETER] = chosen
