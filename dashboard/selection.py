"""A table of which one row can be selected: the address bar says which, so that it can be linked to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from core.text import spreadsheet_text

TALLEST = 38 + 35 * 15
"""Pixels of a table of fifteen rows; the rows of a longer one are scrolled."""


def table(
    frame: pd.DataFrame,
    names: Sequence[str],
    row: int | None,
    *,
    parameter: str,
    alt: str,
    columns: Mapping[str, ColumnConfig],
    several: str = "",
) -> None:
    """A row for each of `names`; selecting one puts its name into `parameter` of the address bar. `row` is selected.

    Where several can be, the names of more than one are kept under `several` of the session state. The table can be
    downloaded: what a spreadsheet would take for a formula is kept a text.
    """
    # one widget for each list and selection: what the address bar says is what is selected
    together = () if row is not None or not several else tuple(st.session_state.get(several, ()))
    chosen = [number for number, name in enumerate(names) if name in together] if row is None else [row]
    elsewhere = [name for name in together if name not in names]  # on another page of the list
    key = f"{parameter}_{hash((tuple(names), *chosen))}"

    def select() -> None:
        rows = st.session_state[key].selection.rows
        some = [*elsewhere, *(names[row] for row in rows if row < len(names))]
        if several:
            st.session_state[several] = some if len(some) > 1 else []
        if len(some) == 1:
            st.query_params[parameter] = some[0]
        elif parameter in st.query_params:
            del st.query_params[parameter]

    st.dataframe(
        frame.map(spreadsheet_text),
        hide_index=True,
        height=min(TALLEST, 38 + 35 * max(1, len(names))),
        on_select=select,
        selection_mode="multi-row" if several else "single-row",
        selection_default={"selection": {"rows": chosen, "columns": [], "cells": []}},
        key=key,
        alt=alt,
        placeholder="-",
        column_config=columns,
    )
