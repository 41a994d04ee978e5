"""Activity: what was done, by whom, why, with which SQL, how long it took, and how it ended."""

from __future__ import annotations

import streamlit as st

from core.text import plural
from dashboard import layout
from dashboard.format import plain
from dashboard.operations import detail, journal, saved, waiting
from dashboard.state import clock, keys, reads


def main() -> None:
    """The page."""
    choices = reads.choices()
    if not choices.acts:
        layout.header("Activity", read=clock.now())
        if why := reads.hidden():
            st.warning(plain(why), icon=":material/visibility_off:")
            return
        st.info(
            "Nothing has been done yet. Every act is written down here: who, when, why, the exact SQL, how it ended.",
            icon=":material/history:",
        )
        saved.draw()
        return
    asked = st.query_params.get(keys.OPERATION_PARAMETER, "")
    head = st.container()
    waiting.draw()
    saved.draw()
    sought = journal.sought(choices)
    counted = reads.counted(sought)
    with head:
        said = (
            f"{plural(counted.all, 'operation')}, {f'{counted.failed:,}' if counted.failed else 'none'} of them failed"
        )
        layout.header("Activity", said, read=clock.now())
    chosen = reads.asked_operation(asked)
    journal.listed(sought, counted.all, chosen.id if chosen is not None else None)
    if chosen is not None:
        detail.draw(chosen)
    else:
        if asked:
            st.warning(f"The journal has no operation {plain(asked)}.", icon=":material/search_off:")
        st.caption("Select a row for its steps, its SQL and its outcome.")


main()
