"""One operation on a page of its own, which can be linked to, printed, and sent to somebody as a file."""

from __future__ import annotations

import streamlit as st

from dashboard import layout
from dashboard.format import plain
from dashboard.operations import detail, outcome
from dashboard.state import clock, keys, reads


def main() -> None:
    """The page."""
    asked = st.query_params.get(keys.OPERATION_PARAMETER, "")
    chosen = reads.asked_operation(asked)
    if chosen is not None:
        layout.header(f"{chosen.id} · {outcome.title(chosen)}", read=clock.now())
        detail.draw(chosen, alone=True)
    else:
        layout.header("Operation", read=clock.now())
        why = reads.hidden() or (f"The journal has no operation {asked}." if asked else "No operation is named.")
        st.warning(plain(why), icon=":material/search_off:")
    layout.link("activity", "All operations", ":material/history:")


main()
