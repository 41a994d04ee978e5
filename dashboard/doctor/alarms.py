"""Alarms at the foot of the Doctor: where people are told of what is wrong, and a test of it."""

from __future__ import annotations

import streamlit as st

from core.plans.operation import LEAST, TEST_ALARMS
from dashboard.format import plain
from dashboard.state import access, acts


def alarms() -> None:
    """Where they go, and a button that sends a test; where nothing says, how that is said."""
    places, severity = acts.alarm_places()
    with st.expander("Alarms", icon=":material/notifications:"):
        if not places:
            st.markdown("Nobody is told of what is wrong unless he looks here.")
            st.caption(
                "PARTITION_DESK_ALARM_WEBHOOK posts it to an address, as JSON or in the form of Slack or Teams;"
                " PARTITION_DESK_ALARM_SMTP and PARTITION_DESK_ALARM_MAIL_TO send it by mail."
            )
            return
        st.markdown(f"What is {severity} or worse is told to {', '.join(plain(place) for place in places)}.")
        st.caption("Once a cause, again after a day while it is so still, and once more when it is over.")
        closed = None if access.may(TEST_ALARMS) else f"To test alarms takes an {LEAST[TEST_ALARMS]}."
        st.button(
            "Send a test",
            key="test_alarms",
            icon=":material/outgoing_mail:",
            disabled=closed is not None,
            help=closed or "On the command line: partitions alarms test",
            on_click=acts.attempt(acts.test_alarms),
        )
