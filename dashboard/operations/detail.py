"""One operation whole: all that its row of the journal says, its outcome, each committed step, and what can be sent."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.console.journal import OperationRecord, OperationState, StepRecord
from core.console.sheet import facts, html
from core.text import human_seconds
from dashboard import layout
from dashboard.format import plain
from dashboard.operations import failed, files, outcome
from dashboard.state import clock, database, reads


def draw(operation: OperationRecord, *, alone: bool = False) -> None:
    """In a card; `alone` where it has a page to itself, whose title says what it is."""
    with st.container(border=True, gap="small"):
        title = "Outcome" if alone else f"{operation.id} · {outcome.title(operation)}"
        layout.line(f"## {title}", "", lambda: _act(operation))
        outcome.say(operation)
        if said := failed.acknowledged(operation):
            st.info(plain(said), icon=":material/done_all:")
        if operation.told:
            st.warning(plain(operation.told), icon=":material/gpp_maybe:")
        st.table({name: plain(value) for name, value in facts(operation)}, border="horizontal")
        steps = reads.steps(operation.id)
        _steps(operation, steps)
        with st.container(horizontal=True, vertical_alignment="center"):
            _files(operation, steps)
            if not alone:
                layout.link("operation", "On a page of its own", ":material/open_in_full:", operation=str(operation.id))


def _steps(operation: OperationRecord, steps: Sequence[StepRecord]) -> None:
    for step in steps:
        took = human_seconds((step.finished_at - step.started_at).total_seconds())
        st.markdown(f":green[:material/check:] {step.step}. {plain(step.title)} · {took}")
        st.code(step.sql, language="sql", wrap_lines=True)
    if operation.step < operation.steps:
        with st.expander("The whole plan", icon=":material/code:"):
            st.code(operation.plan.sql, language="sql", wrap_lines=True)


def _files(operation: OperationRecord, steps: Sequence[StepRecord]) -> None:
    """What can be sent to somebody who has no console: a page that opens anywhere, and the row for a program."""
    number, place, moment = operation.id, database.desk().address, clock.now()
    files.button(
        "A page to send",
        lambda: html(operation, steps, place=place, made_at=moment),
        f"operation-{number}.html",
        key=f"take_page_{number}",
        icon=":material/description:",
        help="HTML that opens anywhere and prints well: who, how that is known, why, the plan, the SQL, the outcome and"
        " the seal.",
    )
    files.button(
        "JSON",
        lambda: files.as_json(operation, steps),
        f"operation-{number}.json",
        key=f"take_json_{number}",
        icon=":material/data_object:",
        help="The same for a program.",
    )


def _act(operation: OperationRecord) -> None:
    """Stop what runs, resume what did not end as asked."""
    if operation.state.active:
        outcome.stop_button(operation, key="stop_one")
    elif operation.state is not OperationState.DONE and operation.sealed is not False:
        outcome.resume_button(operation, key="resume_one")
