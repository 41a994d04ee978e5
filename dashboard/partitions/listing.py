"""The table of partitions: filtered, sorted, and one of them selected, which the address bar names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from core.text import unit_of
from dashboard import selection
from dashboard.partitions.axis import Axis
from dashboard.partitions.items import DROP_PLANNED, HELD, Item, Status
from dashboard.state import kept, keys

FILTER_FROM = 20
"""More partitions than this get a filter."""
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
    wanted = (text or "").strip().casefold()
    found = [
        item
        for item in shown
        if (not states or item.status in states) and (wanted in item.label.casefold() or wanted in item.name.casefold())
    ]
    st.caption(f"{len(found):,} of {len(shown):,} are shown")
    return found


def draw(shown: Sequence[Item], axis: Axis) -> None:
    """The table, newest first; selecting a row puts its name into the address bar, and that name selects its row."""
    if not shown:
        st.caption("None is like that.")
        return
    shown = shown[::-1]
    names = [item.name for item in shown]
    asked = st.query_params.get(keys.PARTITION_PARAMETER)
    alike = [number for number, name in enumerate(names) if asked in (name, name.partition(".")[2])]
    row = alike[0] if len(alike) == 1 else None
    largest = max(item.total for item in shown)
    unit, factor = unit_of(largest)
    selection.table(
        _frame(shown, factor, axis),
        names,
        row,
        parameter=keys.PARTITION_PARAMETER,
        alt="Every partition with its state, bounds, rows and sizes",
        several=keys.CHOSEN,
        columns=_columns(unit, largest / factor, _ends(shown, axis), marked=any(item.also for item in shown)),
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


def _columns(unit: str, largest: float, ends: ColumnConfig, *, marked: bool) -> dict[str, ColumnConfig]:
    number = st.column_config.NumberColumn
    return {
        "Period": st.column_config.TextColumn(pinned=True),
        "Table": st.column_config.TextColumn(width="medium"),
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
