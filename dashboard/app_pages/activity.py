"""Activity: what was done, by whom, why, with which SQL, how long it took, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.console.journal import OperationRecord, OperationState
from core.text import human_rows, human_seconds, human_time, plural
from dashboard import layout
from dashboard.format import plain
from dashboard.state import current, following, keys, reads

SHOWN = 500
WORDS = {
    OperationState.QUEUED: "Queued",
    OperationState.RUNNING: "Running",
    OperationState.DONE: "Done",
    OperationState.FAILED: "Failed",
    OperationState.CANCELLED: "Stopped",
    OperationState.INTERRUPTED: "Interrupted",
}
CHIPS = dict(zip(WORDS.values(), ("gray", "blue", "green", "red", "orange", "red"), strict=True))


def filtered(operations: Sequence[OperationRecord]) -> list[OperationRecord]:
    """The operations that the filters leave."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kinds = _choice("What", "everything", [o.kind for o in operations])
        ends = _choice("Outcome", "any", [WORDS[o.state] for o in operations])
        actors = _choice("Who", "anybody", [o.actor for o in operations])
        everywhere = st.toggle("All tables", value=False, key="all_tables")
    here = current.address()
    return [
        o
        for o in operations
        if (not kinds or o.kind in kinds)
        and (not ends or WORDS[o.state] in ends)
        and (not actors or o.actor in actors)
        and (everywhere or o.table == here)
    ]


def _choice(label: str, everything: str, values: Sequence[str]) -> list[str]:
    return st.multiselect(label, sorted(set(values)), placeholder=everything, width=200, key=f"filter_{label}")


def listing(shown: Sequence[OperationRecord], number: int | None) -> None:
    """The journal; selecting a row puts its number into the address bar, and that number selects its row."""
    numbers = [operation.id for operation in shown]
    row = numbers.index(number) if number in numbers else None
    key = f"journal_{hash((tuple(numbers), row))}"
    frame = pd.DataFrame(
        {
            "No.": numbers,
            "Asked for, UTC": [o.requested_at for o in shown],
            "What": [o.kind for o in shown],
            "On": [o.subject for o in shown],
            "Outcome": [[WORDS[o.state]] for o in shown],
            "Took": [o.seconds for o in shown],
            "Who": [o.actor for o in shown],
            "From": [o.origin for o in shown],
            "Reason": [o.reason for o in shown],
            "Table": [o.table for o in shown],
        }
    )
    st.dataframe(
        frame,
        hide_index=True,
        height=min(420, 38 + 35 * max(1, len(shown))),
        on_select=lambda: _select(key, numbers),
        selection_mode="single-row",
        selection_default={"selection": {"rows": [] if row is None else [row], "columns": [], "cells": []}},
        key=key,
        alt="The operations, newest first",
        column_config={
            "Asked for, UTC": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm:ss", timezone="UTC"),
            "Outcome": st.column_config.MultiselectColumn(options=list(CHIPS), color=list(CHIPS.values()), width=110),
            "Took": st.column_config.NumberColumn(format="%.2f s"),
        },
    )


def _select(key: str, numbers: list[int]) -> None:
    rows = st.session_state[key].selection.rows
    if rows and rows[0] < len(numbers):
        st.query_params[keys.OPERATION_PARAMETER] = str(numbers[rows[0]])
    elif keys.OPERATION_PARAMETER in st.query_params:
        del st.query_params[keys.OPERATION_PARAMETER]


def detail(operation: OperationRecord) -> None:
    """One operation whole: times, outcome, each committed step with its SQL, the plan."""
    with st.container(border=True, gap="small"):
        layout.line(f"##### {operation.id} · {following.title(operation)}", "", lambda: act(operation))
        following.outcome(operation)
        origin = f"by {plain(operation.actor)} as {operation.role}, from the {operation.origin}"
        tries = f", {plural(operation.tries, 'try', 'tries')} for a lock given up" if operation.tries else ""
        rows = {
            "Asked for": f"{human_time(operation.requested_at)} {origin}",
            "Reason": plain(operation.reason) or "none given",
            "Table": plain(operation.table),
            "Ran": f"{human_seconds(operation.seconds)}, {operation.step} of {operation.steps} steps{tries}",
        }
        if operation.rows_before is not None:
            after = human_rows(operation.rows_after) if operation.rows_after is not None else "not counted"
            rows["Rows counted"] = f"{human_rows(operation.rows_before)} before, {after} after"
        if operation.server_message:
            rows["Server said"] = plain(f"{operation.sqlstate} {operation.server_message}".strip())
        st.table(rows, border="horizontal")
        for step in reads.steps(operation.id):
            took = human_seconds((step.finished_at - step.started_at).total_seconds())
            st.markdown(f":green[:material/check:] {step.step}. {plain(step.title)} · {took}")
            st.code(step.sql, language="sql", wrap_lines=True)
        if operation.step < operation.steps:
            with st.expander("The whole plan", icon=":material/code:"):
                st.code(operation.plan.sql, language="sql", wrap_lines=True)


def act(operation: OperationRecord) -> None:
    """Stop what runs, resume what did not end as asked."""
    if operation.state.active:
        following.stop_button(operation, key="stop_one")
    elif operation.state is not OperationState.DONE:
        following.resume_button(operation, key="resume_one")


def main() -> None:
    """The page."""
    operations = reads.operations(limit=SHOWN)
    if not operations:
        layout.header("Activity")
        st.info(
            "Nothing has been done yet. Every act is written down here: who, when, why, the exact SQL, how it ended.",
            icon=":material/history:",
        )
        return
    asked = st.query_params.get(keys.OPERATION_PARAMETER, "")
    number = int(asked) if asked.isdecimal() and len(asked) < 18 else None
    failed = sum(o.state in (OperationState.FAILED, OperationState.INTERRUPTED) for o in operations)
    layout.header("Activity", f"The newest {plural(len(operations), 'operation')}, {failed or 'none'} of them failed")
    listing(filtered(operations), number)
    chosen = reads.operation(number) if number is not None else None
    if chosen is not None:
        detail(chosen)
    else:
        st.caption("Select a row for its steps, its SQL and its outcome.")


main()
