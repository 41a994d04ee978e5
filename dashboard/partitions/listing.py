"""The table of partitions: filtered, sorted, page by page, and one of them selected, which the address bar names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, time
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from core.text import plural, unit_of
from dashboard import selection
from dashboard.growth.tables import Table, as_csv
from dashboard.operations import files
from dashboard.partitions.axis import Axis
from dashboard.partitions.items import DROP_PLANNED, HELD, Item, Status
from dashboard.state import clock, kept, keys

FILTER_FROM = 20
"""More partitions than this get a filter."""
PAGE = 15
"""Rows of one page: all of them are in view, so that the one that is selected is."""
ORDERS: dict[str, Callable[[Item], float] | None] = {
    "Newest first": None,
    "Largest first": lambda item: -item.total,
    "Most rows first": lambda item: -(item.rows or 0),
}
LETTER, WIDEST = 7, 520
"""Pixels of a letter of a name, and of a column of names at most, in which one of 63 letters has room."""
SIZES = ("Size", "Rows alone", "Indexes", "Large values")
CHIPS = {
    Status.ATTACHED: "blue",
    Status.DUE: "orange",
    Status.AHEAD: "primary",
    Status.ARCHIVED: "gray",
    Status.PENDING: "red",
    Status.BUSY: "violet",
    HELD: "violet",
    DROP_PLANNED: "red",
}


def filtered(shown: list[Item]) -> list[Item]:
    """The items that the filters leave, where there are enough to filter."""
    if len(shown) <= FILTER_FROM:
        st.session_state.pop(keys.PARTITION_ORDER, None)  # of a longer table
        return shown
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Find", key=keys.PARTITION_TEXT, placeholder="a part of the period or the name", width=300, live=True
        )
        present = [state for state in Status if any(item.status is state for item in shown)]
        kept.within(keys.PARTITION_STATES, present)
        states = st.pills(
            "State",
            present,
            key=keys.PARTITION_STATES,
            selection_mode="multi",
            format_func=str,
            label_visibility="collapsed",
        )
        st.selectbox("Order", list(ORDERS), key=keys.PARTITION_ORDER, width=160)
    wanted = (text or "").strip().casefold()
    found = [
        item
        for item in shown
        if (not states or item.status in states) and (wanted in item.label.casefold() or wanted in item.name.casefold())
    ]
    st.caption(f"{len(found):,} of {plural(len(shown), 'partition')} like that")
    return found


def draw(found: Sequence[Item], axis: Axis, called: str) -> None:
    """The table, newest first; selecting a row puts its name into the address bar, and that name selects its row.

    What is `called` so can be taken away as a file, all of it.
    """
    if not found:
        st.caption("None is like that.")
        return
    found = _ordered(found)
    asked = st.query_params.get(keys.PARTITION_PARAMETER)
    alike = [number for number, item in enumerate(found) if asked in (item.name, item.name.partition(".")[2])]
    row = alike[0] if len(alike) == 1 else None
    place = st.container()
    with st.container(horizontal=True, vertical_alignment="center"):
        first = _page(found, row)
        files.button(
            "CSV",
            lambda: as_csv(_table(found, axis)),
            f"partitions-{called}-{clock.today()}.csv",
            key="take_partitions",
            icon=":material/table:",
            help=f"All {len(found):,} that are listed, on every page, with their bytes.",
        )
    with place:
        _draw_page(found[first : first + PAGE], axis, None if row is None else row - first, max(i.total for i in found))


def _ordered(found: Sequence[Item]) -> Sequence[Item]:
    """Newest first, or as was chosen."""
    order = ORDERS[st.session_state.get(keys.PARTITION_ORDER) or "Newest first"]
    newest = found[::-1]
    return sorted(newest, key=order) if order is not None else newest


def _page(found: Sequence[Item], row: int | None) -> int:
    """The way to the other pages; gives the number of the first row of the one that is shown.

    That is the one with the selected row, until another is turned to.
    """
    pages = -(-len(found) // PAGE)
    if pages == 1:
        return 0
    listed = hash(tuple(item.name for item in found))
    seen, last = st.session_state.get(keys.PARTITION_PAGE) or (listed, 1)
    default = row // PAGE + 1 if row is not None else last if seen == listed else 1
    page = st.pagination(pages, default=default, key=f"partition_page_{listed}_{row}")
    st.session_state[keys.PARTITION_PAGE] = (listed, page)
    st.caption(f"{(page - 1) * PAGE + 1:,} to {min(page * PAGE, len(found)):,} of {len(found):,}", width="content")
    return (page - 1) * PAGE


def _table(found: Sequence[Item], axis: Axis) -> Table:
    """The same for a spreadsheet: bytes as they are."""
    columns = ("Period", "Table", "State", "Holds", "Rows (estimate)", *(f"{name} (bytes)" for name in SIZES))

    def row(item: Item) -> tuple[object, ...]:
        sizes = (item.total, item.heap, item.index, item.toast) if item.known else (None,) * 4
        return item.label, item.name, ", ".join((item.status, *item.also)), item.bounds, item.rows, *sizes

    return columns, (row(item) for item in found)


def _draw_page(shown: Sequence[Item], axis: Axis, row: int | None, largest: int) -> None:
    names = [item.name for item in shown]
    unit, factor = unit_of(largest)
    selection.table(
        _frame(shown, factor, axis),
        names,
        row if row is not None and 0 <= row < len(shown) else None,
        parameter=keys.PARTITION_PARAMETER,
        alt="Every partition with its state, bounds, rows and sizes",
        several=keys.CHOSEN,
        columns=_columns(
            unit,
            largest / factor,
            _ends(shown, axis),
            max(len(name) for name in names),
            marked=any(item.also for item in shown),
        ),
    )


def _ends(shown: Sequence[Item], axis: Axis) -> ColumnConfig:
    """How a column of the ends of ranges is written: dates, moments, numbers, or the texts that they are."""
    if not axis.clock:
        return (
            st.column_config.TextColumn()
            if axis.slots is not None
            else st.column_config.NumberColumn(format="localized")
        )
    spots = [spot for item in shown for spot in (item.lower, item.upper) if isinstance(spot, datetime)]
    if all(spot.time() == time() for spot in spots):
        return st.column_config.DateColumn(format="D MMM YYYY")
    return st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm")


def _held(shown: Sequence[Item], axis: Axis) -> dict[str, list[Any]]:
    """What each holds: from where until where; in the server's own words where none has a range."""
    if all(item.lower is None and item.upper is None and not any(item.ends) for item in shown):
        return {"Holds": [item.bounds for item in shown]}
    if axis.slots is not None:
        return {"From": [item.ends[0] for item in shown], "Until": [item.ends[1] for item in shown]}
    return {"From": [item.lower for item in shown], "Until": [item.upper for item in shown]}


def _frame(shown: Sequence[Item], factor: int, axis: Axis) -> pd.DataFrame:
    def sized(size: int, item: Item) -> float | None:
        return size / factor if item.known else None

    return pd.DataFrame(
        {
            "Period": [item.label for item in shown],
            "Table": [item.name for item in shown],
            "State": [[str(item.status), *item.also] for item in shown],
            **_held(shown, axis),
            "Rows": [item.rows for item in shown],
            "Size": [sized(item.total, item) for item in shown],
            "Rows alone": [sized(item.heap, item) for item in shown],
            "Indexes": [sized(item.index, item) for item in shown],
            "Large values": [sized(item.toast, item) for item in shown],
        }
    )


def _columns(unit: str, largest: float, ends: ColumnConfig, longest: int, *, marked: bool) -> dict[str, ColumnConfig]:
    number = st.column_config.NumberColumn
    return {
        "Period": st.column_config.TextColumn(pinned=True),
        "Table": st.column_config.TextColumn(width=max(200, min(WIDEST, 16 + LETTER * longest))),
        "State": st.column_config.MultiselectColumn(
            options=[str(state) for state in CHIPS], color=list(CHIPS.values()), width=210 if marked else 125
        ),
        "From": {**ends, "help": "The first that it holds"},
        "Until": {**ends, "help": "The first that it does not hold any more"},
        "Rows": number(format="localized", help="The planner's estimate of the last analyze"),
        "Size": st.column_config.ProgressColumn(
            format=f"%.1f {unit}",
            max_value=largest or 1,
            help="Exact: rows, indexes and large values together",
            width=130,
        ),
        "Rows alone": number(format=f"%.1f {unit}", help="The heap, with its free space and visibility maps; exact"),
        "Indexes": number(format=f"%.1f {unit}", help="Exact"),
        "Large values": number(format=f"%.1f {unit}", help="TOAST, exact: long texts that are kept beside the rows"),
    }
