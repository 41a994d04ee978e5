"""What failed and waits for somebody, a line each: tried again, or acknowledged with a reason and until when."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import streamlit as st

from core.console.failures import Failure
from core.console.journal import OperationRecord
from core.console.register import ACKNOWLEDGED
from core.text import human_ago, human_date
from dashboard import layout
from dashboard.operations import outcome
from dashboard.state import access, acts, clock, reads

FOR_DAYS = 7
"""For how many days a failure is acknowledged unless another day is chosen."""


def line(failure: Failure) -> None:
    """One failure with its two buttons."""
    record = failure.record
    ended = human_ago(record.finished_at or record.requested_at, clock.now())
    layout.line(
        f":red[:material/error:] **{outcome.title(record)}: {record.state}**",
        f"{ended}. {record.error}",
        partial(outcome.resume_button, record, key=f"again_{record.id}"),
        partial(acknowledge, record),
    )


def acknowledged(record: OperationRecord) -> str:
    """By whom it was acknowledged, why and until when; empty where nobody has."""
    failure = next((one for one in reads.failures(record.table) if one.record.id == record.id), None)
    if failure is None or failure.answer is None:
        return ""
    until = f" until {human_date(failure.until)}" if failure.until else ""
    return f"Acknowledged{until} by {failure.answer.actor}: {failure.answer.reason}"


def acknowledge(record: OperationRecord) -> None:
    """Asks for reason and end, behind one button."""
    closed = access.closed_reason(ACKNOWLEDGED) or access.closed_reason(record.plan.operation)
    reason, until = f"ack_reason_{record.id}", f"ack_until_{record.id}"
    with st.popover("Acknowledge", icon=":material/done_all:", disabled=closed is not None, help=closed):
        st.markdown("It stays in the journal as it is, and is told no more as one that waits.")
        st.text_input("Reason", key=reason, live=True, placeholder="Kept in the journal beside your name")
        st.date_input(
            "Until, the last day of it",
            clock.today() + timedelta(days=FOR_DAYS),
            key=until,
            min_value=clock.today(),
            format="YYYY-MM-DD",
            help="Emptied, it lasts for as long as it is not done.",
        )
        said = str(st.session_state.get(reason, "")).strip()
        st.button(
            "Acknowledge it",
            key=f"ack_{record.id}",
            type="primary",
            disabled=not said,
            help=None if said else "Say why first.",
            on_click=acts.attempt(lambda: acts.acknowledge(record.id, said, st.session_state.get(until))),
        )
