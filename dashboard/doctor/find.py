"""Find my data: a date in, where its rows are out."""

from __future__ import annotations

from functools import partial

import streamlit as st

from core.errors import DeskError
from core.plans.operation import FIND, LEAST
from core.tables.archived import Archived
from core.tables.find import Kind, Place
from core.tables.table import PartitionedTable
from core.text import plural
from dashboard import layout, notices
from dashboard.dialog import buttons
from dashboard.format import parse_day, plain
from dashboard.state import access, keys, reads

PLACES = {
    Kind.ATTACHED: ":green[:material/check_circle:]",
    Kind.DEFAULT: ":orange[:material/inbox:]",
    Kind.DETACH_PENDING: ":red[:material/pending:]",
    Kind.ARCHIVED: ":gray[:material/archive:]",
    Kind.STRAY: ":orange[:material/archive:]",
    Kind.NO_PARTITION: ":red[:material/block:]",
}


def find_my_data(table: PartitionedTable) -> None:
    """A date in, where its rows are out; the address bar keeps what was asked."""
    if table.key is None or table.key.clock is None or table.not_served is not None:
        return
    with st.container(border=True, gap="small"):
        layout.heading("Find my data", "where are the rows of a date?")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            # a text, as Enter takes what was typed there: a date input of Streamlit's waits until it is left
            typed = st.text_input(
                "Date",
                key=keys.DATE,
                placeholder="such as 2025-03-14",
                icon=":material/calendar_today:",
                max_chars=10,
                width=220,
                bind="query-params",
            )
            where, may_find = {}, access.may(FIND)
            for column in table.identifying:
                where[column.name] = st.text_input(
                    f"{plain(column.name)} (optional)",
                    width=220,
                    placeholder="all",
                    key=f"where_{column.name}",
                    bind="query-params",
                    disabled=not may_find,
                    help="Counts the rows of this value only"
                    if may_find
                    else f"To look for one value takes an {LEAST[FIND]}",
                )
        if not (typed or "").strip():
            st.caption("Type a date. The answer: attached, archived, in no partition, or out of all bounds.")
            return
        day = parse_day(typed)
        if day is None:
            st.warning(
                f"{plain(typed)} is no date. Write it as year, month and day: 2025-03-14.",
                icon=":material/event_busy:",
            )
            return
        try:
            found = reads.find(day, {name: value for name, value in where.items() if value})
        except DeskError as error:
            notices.show(error)
            return
        st.markdown(f"**{plain(found.verdict)}**")
        for place in found.places:
            rows = f"{plural(place.rows, 'row')}, counted" if place.rows is not None else place.problem
            name = f"**{plain(place.relation)}** · " if place.relation else ""
            words = f"{PLACES[place.kind]} {name}{plain(rows or 'not counted')}"
            leads = place.relation and place.kind is not Kind.STRAY
            layout.line(words, place.note, partial(remedy, table, place) if leads else None)


def remedy(table: PartitionedTable, place: Place) -> None:
    """The way back of an archived table; else the way to the partition."""
    one = table.by_oid(place.oid)
    if isinstance(one, Archived):
        buttons.reattach_button(one, key=f"found_{one.oid}")
    elif one is not None:
        parameters = {keys.PARTITION_PARAMETER: table.called(one)}
        layout.link("partitions", "Look at it", ":material/arrow_forward:", **parameters)
