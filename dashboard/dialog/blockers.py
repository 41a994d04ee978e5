"""Says who is in the way of an operation: each session with what it does and since when, or in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from core.console.journal import OperationRecord, OperationState
from core.console.locks import Blocker
from core.text import human_seconds
from dashboard.format import plain

SHOWN = 5


def listed(blockers: Sequence[Blocker]) -> None:
    """Each with pid, user, application, client, since when, and its query with the constants hidden."""
    for blocker in blockers[:SHOWN]:
        st.markdown(f":material/front_hand: {plain(_who(blocker))}")
        if blocker.query:
            st.code(blocker.query, language="sql", wrap_lines=True)
    if len(blockers) > SHOWN:
        st.caption(f"and {len(blockers) - SHOWN} more")


def doing(operation: OperationRecord) -> str:
    """What an operation under way is at: archiving, waiting for nightly-report (pid 4711)."""
    words = "queued" if operation.state is OperationState.QUEUED else operation.plan.operation.doing
    if operation.cancel_requested:
        return f"{words}, stopping"
    return f"{words}, {waiting(operation.blockers)}" if operation.blockers else words


def waiting(blockers: Sequence[Blocker]) -> str:
    """For whom it waits, in a few words: waiting for nightly-report (pid 4711) and 2 more."""
    first = blockers[0]
    name = first.application or first.user or first.kind
    more = f" and {len(blockers) - 1} more" if len(blockers) > 1 else ""
    return f"waiting for {name}{f' (pid {first.pid})' if first.pid else ''}{more}"


def _who(blocker: Blocker) -> str:
    who = [f"{blocker.kind} {blocker.pid}" if blocker.pid else blocker.kind]
    who += [f"user {blocker.user}"] if blocker.user else []
    who += [part for part in (blocker.application, blocker.client) if part]
    since = ""
    if blocker.since:
        since = f" since {datetime.fromisoformat(blocker.since):%H:%M:%S} UTC"
    return f"{', '.join(who)}: {blocker.state or 'running'}{since}, {human_seconds(blocker.seconds)}"
