"""Activity: what was done, by whom, why, with which SQL, how long it took, and how it ended."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.errors import DeskError
from core.journal import OperationRecord, OperationState
from core.text import human_seconds, human_time
from dashboard import confirm, session
from dashboard.format import plain

SHOWN = 1000
WORDS = {
    OperationState.QUEUED: "Queued",
    OperationState.RUNNING: "Running",
    OperationState.DONE: "Done",
    OperationState.FAILED: "Failed",
    OperationState.CANCELLED: "Stopped",
    OperationState.INTERRUPTED: "Interrupted",
}


def filtered(operations: tuple[OperationRecord, ...]) -> list[OperationRecord]:
    """The operations that the filters leave."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kinds = st.multiselect("What", sorted({o.kind for o in operations}), placeholder="everything", width=220)
        ends = st.multiselect("Outcome", sorted({WORDS[o.state] for o in operations}), placeholder="any", width=220)
        actors = st.multiselect("Who", sorted({o.actor for o in operations}), placeholder="anybody", width=220)
        everywhere = st.toggle("All tables", value=False)
    here = session.current_address()
    return [
        o
        for o in operations
        if (not kinds or o.kind in kinds)
        and (not ends or WORDS[o.state] in ends)
        and (not actors or o.actor in actors)
        and (everywhere or o.table == here)
    ]


def listing(shown: list[OperationRecord]) -> int | None:
    """The journal; returns the number of the selected operation."""
    frame = pd.DataFrame(
        {
            "No.": [o.id for o in shown],
            "Asked for": [o.requested_at for o in shown],
            "What": [o.kind for o in shown],
            "On": [o.subject for o in shown],
            "Outcome": [WORDS[o.state] for o in shown],
            "Took, s": [o.seconds for o in shown],
            "Who": [o.actor for o in shown],
            "From": [o.origin for o in shown],
            "Reason": [o.reason for o in shown],
            "Table": [o.table for o in shown],
        }
    )
    event = st.dataframe(
        frame,
        hide_index=True,
        height=min(420, 38 + 35 * max(1, len(shown))),
        on_select="rerun",
        selection_mode="single-row",
        key="journal",
        alt="The operations, newest first",
        column_config={
            "Asked for": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm:ss", timezone="UTC", help="UTC"),
            "Took, s": st.column_config.NumberColumn(format="%.2f"),
        },
    )
    selected = event.selection.rows if event else []
    return shown[selected[0]].id if selected and selected[0] < len(shown) else None


def detail(operation: OperationRecord) -> None:
    """One operation whole: times, outcome, each committed step with its SQL, the plan."""
    with st.container(border=True):
        head, act = st.columns([4, 1.2], vertical_alignment="center")
        head.subheader(plain(f"{operation.id} · {operation.kind.capitalize()} {operation.subject}"), anchor=False)
        with act:
            if operation.state.active:
                confirm.button("Stop", lambda: session.cancel(operation.id), key="stop_one", icon=":material/stop:")
            elif operation.state is not OperationState.DONE and operation.kind != "ensure":
                confirm.button("Ask again …", lambda: again(operation), key="again", icon=":material/replay:")
        st.table(
            {
                "Outcome": WORDS[operation.state],
                "Asked for": f"{human_time(operation.requested_at)} by {plain(operation.actor)} ({operation.role}),"
                f" from the {operation.origin}",
                "Reason": plain(operation.reason) or "none given",
                "Ran": f"{human_seconds(operation.seconds)}, {operation.step} of {operation.steps} steps,"
                f" {operation.tries} tries for a lock given up",
                **({"What happened": plain(operation.error)} if operation.error else {}),
                **(
                    {"Server said": plain(f"{operation.sqlstate} {operation.server_message}")}
                    if operation.server_message
                    else {}
                ),
            },
            border="horizontal",
        )
        for step in session.steps(operation.id):
            took = human_seconds((step.finished_at - step.started_at).total_seconds())
            st.markdown(f":green[:material/check:] {step.step}. {plain(step.title)} · {took}")
            st.code(step.sql, language="sql", wrap_lines=True)
        if operation.step < operation.steps:
            with st.expander("The whole plan"):
                st.code(operation.plan.sql, language="sql", wrap_lines=True)


def again(operation: OperationRecord) -> None:
    """Plans the same act from the state that the table is in now."""
    st.query_params[session.TABLE_PARAMETER] = operation.table
    (confirm.ask_archive if operation.kind == "archive" else confirm.ask_reattach)(operation.subject)


def main() -> None:
    """The page."""
    st.title("Activity", anchor=False)
    operations = session.operations(limit=SHOWN)
    if not operations:
        st.info(
            "Nothing has been done yet. Every act is written down here: who, when, why, the exact SQL, and the outcome.",
            icon=":material/history:",
        )
        return
    shown = filtered(operations)
    failed = sum(o.state in (OperationState.FAILED, OperationState.INTERRUPTED) for o in shown)
    st.caption(f"{len(shown)} of the newest {len(operations)} operations, {failed} of them failed or interrupted")
    asked = st.query_params.get(session.OPERATION_PARAMETER)
    number = listing(shown) or (int(asked) if asked and asked.isdigit() else None)
    if number is not None:
        st.query_params[session.OPERATION_PARAMETER] = str(number)
        try:
            chosen = session.operation(number)
        except DeskError as error:
            chosen = None
            st.caption(plain(error.what))
        if chosen is not None:
            detail(chosen)
    else:
        st.caption("Select a row for its steps, its SQL and its outcome.")


main()
