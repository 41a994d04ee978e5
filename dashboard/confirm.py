"""The one dialog: what a plan does, who is in its way, the way back and its exact SQL; confirmed, it is enqueued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from core.errors import DeskError
from core.model import Archived, Partition, PartitionedTable
from core.period import Range
from core.plan import Operation, Plan
from core.text import human_bytes, human_rows, human_seconds
from dashboard import session
from dashboard.format import plain

READ_BYTES_S = 400 * 1024 * 1024
"""Bytes a second that proving bounds or building an index goes through; a careful guess (MEASURED: over 1 GB/s)."""
REASON = "reason"
ACT = {Operation.ENSURE: "Create", Operation.ARCHIVE: "Archive", Operation.REATTACH: "Reattach"}
ICON = {
    Operation.ENSURE: ":material/add_circle:",
    Operation.ARCHIVE: ":material/archive:",
    Operation.REATTACH: ":material/unarchive:",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A plan on its way to be confirmed, with the figures of what it moves."""

    plan: Plan
    rows: int | None
    bytes: int | None
    seconds: float


def ask_archive(name: str) -> None:
    """Opens the dialog for archiving a partition. Raises Refused for what stands in the way."""
    plan = session.plan_archive(name)
    _ask(plan, session.table())


def ask_reattach(name: str) -> None:
    """Opens the dialog for bringing an archived table back. Raises Refused for what stands in the way."""
    plan = session.plan_reattach(name)
    _ask(plan, session.table())


def ask(plan: Plan) -> None:
    """Opens the dialog for a plan that is built already, such as a doctor's fix."""
    _ask(plan, session.table())


def ensure(ranges: tuple[Range, ...]) -> None:
    """Creates what the ranges lack, with this one click. Raises Refused for what stands in the way."""
    plan = session.plan_ensure(ranges)
    if plan.steps:
        session.enqueue(plan, "asked for in the dashboard")
    else:
        st.toast("Nothing is missing: every date asked for has a partition.", icon=":material/check_circle:")


def run(plan: Plan) -> None:
    """Runs a harmless plan at once; any other opens the dialog."""
    if plan.operation is Operation.ENSURE:
        session.enqueue(plan, "asked for in the dashboard")
    else:
        ask(plan)


def _ask(plan: Plan, table: PartitionedTable) -> None:
    subject: Partition | Archived | None = table.find(plan.subject) or table.find_archived(plan.subject)
    size = subject.size if subject else None
    reads = any(not lock.brief for step in plan.steps for lock in step.locks)
    st.session_state[REASON] = ""
    st.session_state[session.ASKED] = Asked(
        plan=plan,
        rows=subject.rows if subject else None,
        bytes=size.total if size else None,
        seconds=(size.heap if size else 0) / READ_BYTES_S if reads else 0.0,
    )


def button(
    label: str, act: Callable[[], None], *, key: str, primary: bool = False, icon: str | None = None, help: str = ""
) -> None:
    """A button that acts, or says why nothing can be done from here."""
    closed = session.read_only_reason()
    st.button(
        label,
        key=key,
        icon=icon,
        type="primary" if primary else "secondary",
        disabled=closed is not None,
        help=closed or help or None,
        on_click=session.attempt(act),
    )


def open_if_asked() -> None:
    """Draws the dialog while a plan waits to be confirmed."""
    asked = st.session_state.get(session.ASKED)
    if isinstance(asked, Asked):
        title = f"{ACT[asked.plan.operation]} {plain(asked.plan.subject)}"
        st.dialog(title, width="large", on_dismiss=_dismiss)(_body)(asked)


def _dismiss() -> None:
    st.session_state.pop(session.ASKED, None)


def _body(asked: Asked) -> None:
    if session.ASKED not in st.session_state:
        st.rerun()
    plan = asked.plan
    leaves = plan.operation is Operation.ARCHIVE
    with st.grid(3, gap="small"):
        st.metric(
            "Rows leaving the table's queries" if leaves else "Rows coming back",
            f"about {human_rows(asked.rows)}" if asked.rows is not None else "not counted yet",
            border=True,
            help="The planner's estimate of the last analyze; the exact count takes a read of the table.",
        )
        st.metric("Leaving the busy table" if leaves else "Coming back", human_bytes(asked.bytes), border=True)
        st.metric("Expected to take", human_seconds(asked.seconds), border=True, help="Without the waiting for others.")
    st.markdown("**What happens**")
    st.markdown("\n".join(f"{number}. {plain(effect)}" for number, effect in enumerate(plan.effects, 1)))
    for warning in plan.warnings:
        st.caption(f":material/info: {plain(warning)}")
    _who_is_in_the_way(plan)
    st.markdown(f"**The way back** — {plain(plan.way_back)}")
    st.markdown("**From the command line**")
    st.code(plan.command, language="bash")
    with st.expander("Exactly what will run", icon=":material/code:"):
        st.code(plan.sql, language="sql", wrap_lines=True)
    st.text_input(
        "Reason", key=REASON, placeholder="kept in the journal beside your name, such as: past the three years we keep"
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Cancel", key="cancel_plan", on_click=_dismiss)
        st.button(
            f"{ACT[plan.operation]} {plain(plan.subject)}",
            key="confirm_plan",
            type="primary",
            icon=ICON[plan.operation],
            on_click=session.attempt(lambda: _confirm(asked)),
        )


def _confirm(asked: Asked) -> None:
    _dismiss()
    session.enqueue(asked.plan, str(st.session_state.get(REASON, "")).strip())


def _who_is_in_the_way(plan: Plan) -> None:
    try:
        blockers = session.in_the_way(plan)
    except DeskError as error:
        st.caption(f"Who is in the way can't be read just now. {plain(error.what)}")
        return
    if blockers:
        st.markdown("**Who is in the way right now** — it waits for them, and holds up nobody meanwhile")
        for blocker in blockers[:5]:
            st.caption(f":material/front_hand: {plain(blocker.sentence())}")
    else:
        st.markdown("**Who is in the way right now** :green-badge[nobody]")
    st.markdown("**What is locked, for moments**")
    st.markdown(
        "\n".join(
            f"- {plain(lock.relation.replace(chr(34), ''))}: {lock.mode.meaning} (*{lock.mode.lower()}*)"
            for lock in plan.locks
        )
    )
