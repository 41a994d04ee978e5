"""What is to be created: this period and the next, or more; and what is asked where the others don't tell how."""

from __future__ import annotations

from datetime import date

import streamlit as st

from core.period import Width
from core.plans.ensure import ENSURE
from core.plans.reading import KEY
from core.tables.commands import option, twin
from core.tables.key import Key, Reading
from core.tables.reading import readings_of
from core.tables.table import PartitionedTable
from dashboard.dialog import ask, buttons, one_click
from dashboard.format import plain
from dashboard.state import clock

MOST_AHEAD = 60
WIDTHS = ("1 year", "1 quarter", "1 month", "1 week", "1 day", "1 hour")


def draw(table: PartitionedTable, *, missing: bool) -> None:
    """Creates what is missing of this partition and the next, or further ahead, with one click.

    It stands out where something is `missing`.
    """
    cut = table.cut(clock.zone())
    if isinstance(cut, str):
        _asking(table, cut)
        return
    noun, by_years = cut.width.noun, cut.width == Width(months=12)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width="content"):
            buttons.button(
                f"Ensure this {noun} and the next" if cut.width.unit[0] == 1 else f"Ensure these {noun} and the next",
                one_click.ensure,
                operation=ENSURE,
                key="ensure_now",
                primary=missing,
                icon=":material/add_circle:",
                command=twin("ensure", table),
            )
        if by_years:
            label, least, most, value = "Another year", 1, 9998, clock.today().year + 2
        else:
            label, least, most, value = "Partitions ahead", 1, MOST_AHEAD, 3
        number = int(st.number_input(label, least, most, value, step=1, width=150, key=f"number_{cut.width}"))
        with st.container(width="content"):
            buttons.button(
                f"Ensure {number}" if by_years else f"Ensure {number} ahead",
                lambda: (
                    one_click.ensure(years=((date(number, 1, 1), date(number + 1, 1, 1)),))
                    if by_years
                    else one_click.ensure(ahead=number)
                ),
                operation=ENSURE,
                key="ensure_more",
                command=twin("ensure", table, "", f"--{'year' if by_years else 'ahead'} {number}"),
            )


def _asking(table: PartitionedTable, why: str) -> None:
    """Asks how wide the next partition is to be, where the others don't tell."""
    if table.key is None or table.key.clock is None:
        st.info("Partitions of a key that tells no time are made by hand.", icon=":material/straighten:")
        if table.key is not None and table.key.reading is None:
            _asking_for_a_reading(table, table.key)
        return
    st.info(f"Nothing tells how wide the next partition is to be: {plain(why)}.", icon=":material/straighten:")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        said = st.selectbox("Width", WIDTHS, index=None, accept_new_options=True, width=200, key="width_said")
        with st.container(width="content"):
            buttons.button(
                f"Ensure {said or 'this and the next'}",
                lambda: one_click.ensure(every=Width.parse(said or "")),
                operation=ENSURE,
                key="ensure_every",
                closed=None if said else "Choose or type a width first.",
                icon=":material/add_circle:",
                command=twin("ensure", table, "", option("--every", said or "1 month")),
            )


def _asking_for_a_reading(table: PartitionedTable, key: Key) -> None:
    """Asks how the values of the key are read, where that was neither recognised nor said."""
    readings = readings_of(key)
    if not readings:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        said = st.selectbox(
            f"{plain(key.name)} is",
            readings,
            index=None,
            placeholder="not known",
            width=200,
            key="reading_said",
        )
        with st.container(width="content"):
            buttons.button(
                f"Read it as {said}" if said else "Say how it is read",
                lambda: ask.reading(Reading(said or Reading.IDS)),
                operation=KEY,
                key="say_reading",
                closed=None if said else "Choose one first; what the newest bounds are by it is shown then.",
                icon=":material/key:",
                command=twin("key", table, "", option("--as", said or readings[0])),
            )
