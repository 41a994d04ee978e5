"""What was typed or chosen on a page stays while another page is looked at: Streamlit forgets what it doesn't draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard.state import keys


def keep() -> None:
    """Takes what was chosen over into this run, whichever page it draws."""
    for key in keys.KEPT:
        if key in st.session_state:
            st.session_state[key] = st.session_state[key]


def within(key: str, options: Sequence[Any]) -> None:
    """Leaves of what was chosen before what can still be chosen."""
    st.session_state[key] = [one for one in st.session_state.get(key) or () if one in options]
