"""A saved plan on its way back: the file is chosen, and the very dialog opens that it was saved in."""

from __future__ import annotations

import streamlit as st

from core.console.saved import MOST_BYTES
from core.plans.ensure import ENSURE
from dashboard.dialog import ask
from dashboard.state import access, acts, keys


def draw() -> None:
    """The place for the file; nothing for who may do nothing."""
    if not access.may(ENSURE):
        return
    with st.expander("Do what a saved plan says", icon=":material/upload_file:"):
        file = st.file_uploader(
            "A plan that was saved in a dialog, or with --save-plan",
            type="json",
            key=keys.SAVED_PLAN,
            max_upload_size=MOST_BYTES // 1024**2,
            help="It is planned anew from the table as it is. Where that would do anything else, you are told what.",
        )
        if file is not None:
            st.button(
                "Look at it",
                key="open_saved",
                icon=":material/visibility:",
                on_click=acts.attempt(lambda: ask.saved(file.getvalue())),
            )
