"""Activity: what was done, by whom, why, with which SQL, how long it took, and how it ended."""

from __future__ import annotations

import streamlit as st

from core.console.journal import OperationRecord, OperationState
from core.text import human_rows, human_seconds, human_time, plural
from dashboard import layout
from dashboard.format import plain
from dashboard.operations import journal, outcome, waiting
from dashboard.state import clock, keys, reads

SHOWN = 500


def detail(operation: OperationRecord) -> None:
    """One operation whole: times, outcome, each committed step with its SQL, the plan."""
    with st.container(border=True, gap="small"):
        layout.line(f"##### {operation.id} · {outcome.title(operation)}", "", lambda: act(operation))
        outcome.say(operation)
        if operation.told:
            st.warning(plain(operation.told), icon=":material/gpp_maybe:")
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
        outcome.stop_button(operation, key="stop_one")
    elif operation.state is not OperationState.DONE and operation.sealed is not False:
        outcome.resume_button(operation, key="resume_one")


def main() -> None:
    """The page."""
    operations = reads.operations(limit=SHOWN)
    if not operations:
        layout.header("Activity", read=clock.now())
        if why := reads.hidden():
            st.warning(plain(why), icon=":material/visibility_off:")
            return
        st.info(
            "Nothing has been done yet. Every act is written down here: who, when, why, the exact SQL, how it ended.",
            icon=":material/history:",
        )
        return
    asked = st.query_params.get(keys.OPERATION_PARAMETER, "")
    number = int(asked) if asked.isdecimal() and len(asked) < 18 else None
    head = st.container()
    waiting.draw()
    shown = journal.filtered(operations)
    failed = sum(o.state in (OperationState.FAILED, OperationState.INTERRUPTED) for o in shown)
    newest = f" of the newest {SHOWN:,}" if len(operations) == SHOWN else ""
    with head:
        said = f"{plural(len(shown), 'operation')}{newest}, {failed or 'none'} of them failed"
        layout.header("Activity", said, read=clock.now())
    journal.draw(shown, number)
    chosen = reads.operation(number) if number is not None else None
    if chosen is not None:
        detail(chosen)
    else:
        if asked:
            st.warning(f"The journal has no operation {plain(asked)}.", icon=":material/search_off:")
        st.caption("Select a row for its steps, its SQL and its outcome.")


main()
