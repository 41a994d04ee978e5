"""The sidebar: which table, on which database, and whether anything can be done from here."""

from __future__ import annotations

import streamlit as st

from core.errors import DeskError
from core.text import human_bytes
from dashboard import session
from dashboard.format import plain


def draw() -> DeskError | None:
    """The choice of the table and the badge of the database; returns why the database can't be read, if it can't."""
    trouble: DeskError | None = None
    with st.sidebar:
        try:
            with session.told():
                session.settle()
                _choose_table()
        except DeskError as error:
            trouble = error
        try:
            desk = session.desk()
        except DeskError as error:
            return error
        with st.container(gap="xxsmall"):
            st.caption("Database")
            if desk.embedded:
                st.badge("Embedded demo database", icon=":material/science:", color="violet")
            else:
                st.markdown(plain(desk.place))
            trouble = trouble or _server()
        if trouble is not None:
            st.badge("Not reached", icon=":material/cloud_off:", color="red")
        closed = session.read_only_reason()
        if closed is not None:
            st.warning(closed, icon=":material/visibility:")
    return trouble


def _server() -> DeskError | None:
    try:
        with session.told():
            server = session.server()
    except DeskError as error:
        return error
    st.caption(f"PostgreSQL {plain(server.version.split(' ', maxsplit=1)[0])} as {plain(server.user)}")
    return None


def _choose_table() -> None:
    known = session.tables()
    current = session.current_address()
    addresses = [table.address for table in known]
    labels = {table.address: f"{table.label}{'' if table.not_served is None else ' (only shown)'}" for table in known}
    details = {t.address: f"{t.partitions:,} partitions, about {human_bytes(t.bytes)}" for t in known}
    if current not in addresses:
        addresses.insert(0, current)
    st.session_state[session.TABLE_CHOICE] = current
    st.selectbox(
        "Table",
        addresses,
        key=session.TABLE_CHOICE,
        format_func=lambda address: labels.get(address, address),
        help=details.get(current),
        on_change=lambda: session.choose(st.session_state[session.TABLE_CHOICE]),
    )
