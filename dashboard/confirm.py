"""The one dialog: what a plan does, who is in its way, the way back and its exact SQL; confirmed, it is enqueued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from core.ddl import partition_option, table_option
from core.errors import DeskError
from core.model import Archived, Partition
from core.period import Range
from core.plan import Operation, Plan
from core.text import human_bytes, human_rows, human_seconds
from dashboard import layout, session
from dashboard.blockers import listed
from dashboard.format import plain

READ_BYTES_S = 400 * 1024 * 1024
"""Bytes a second that proving bounds or building an index goes through; a careful guess (MEASURED: over 1 GB/s)."""
LOOK_S = 2
"""How often the dialog looks who is in the way."""
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
    ask(session.plan_archive(name))


def ask_reattach(name: str) -> None:
    """Opens the dialog for bringing an archived table back. Raises Refused for what stands in the way."""
    ask(session.plan_reattach(name))


def ask(plan: Plan) -> None:
    """Opens the dialog for a plan, such as a doctor's fix."""
    table = session.table()
    subject: Partition | Archived | None = table.find(plan.subject) or table.find_archived(plan.subject)
    size = subject.size if subject else None
    reads = any(not lock.brief for step in plan.steps for lock in step.locks)
    st.session_state[session.REASON] = ""
    st.session_state[session.ASKED] = Asked(
        plan=plan,
        rows=subject.rows if subject else None,
        bytes=size.total if size else None,
        seconds=(size.heap if size else 0) / READ_BYTES_S if reads else 0.0,
    )


def ensure(ranges: tuple[Range, ...]) -> None:
    """Creates what the ranges lack, with this one click. Raises Refused for what stands in the way."""
    plan = session.plan_ensure(ranges)
    if plan.steps:
        _begin(plan, "asked for in the dashboard")
    else:
        st.session_state[session.WORD] = "Nothing is missing: every date asked for has a partition."


def run(plan: Plan) -> None:
    """Runs a harmless plan at once; any other opens the dialog."""
    if plan.operation is Operation.ENSURE:
        _begin(plan, "asked for in the dashboard")
    else:
        ask(plan)


def _begin(plan: Plan, reason: str) -> None:
    ticket = session.enqueue(plan, reason)
    if not ticket.new:
        st.session_state[session.WORD] = f"{ACT[plan.operation]} {plan.subject} runs already."


def button(
    label: str, act: Callable[[], None], *, key: str, primary: bool = False, icon: str | None = None, command: str = ""
) -> None:
    """A button that acts, or says why nothing can be done from here; `command` is its twin on the command line."""
    closed = session.closed_reason()
    st.button(
        label,
        key=key,
        icon=icon,
        type="primary" if primary else "secondary",
        width="stretch",
        disabled=closed is not None,
        help=closed or (f"On the command line: {plain(command)}" if command else None),
        on_click=session.attempt(act),
    )


def review(plan: Plan, *, key: str, primary: bool = False) -> None:
    """The button of a plan that is ready: what it will do comes first, unless it can do no harm."""
    label = f"Create {plain(plan.subject)}" if len(plan.subject) < 12 else "Create them"
    if plan.operation is not Operation.ENSURE:
        label = f"Review {plan.operation}"
    button(label, lambda: run(plan), key=key, primary=primary, icon=ICON[plan.operation], command=plan.command)


def archive_button(partition: Partition, *, key: str, primary: bool = False) -> None:
    """Asks to archive a partition, or to finish the detach that was begun."""
    button(
        "Finish the detach" if partition.pending else "Review archive",
        lambda: ask_archive(partition.name),
        key=key,
        primary=primary or partition.pending,
        icon=ICON[Operation.ARCHIVE],
        command=f"partitions archive{partition_option(partition.name)}{table_option(session.table())}",
    )


def reattach_button(archived: Archived, *, key: str) -> None:
    """Asks to bring an archived table back."""
    button(
        "Review reattach",
        lambda: ask_reattach(archived.name),
        key=key,
        icon=ICON[Operation.REATTACH],
        command=f"partitions reattach{partition_option(archived.name)}{table_option(session.table())}",
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
    _figures(asked)
    with st.container(gap="xxsmall"):
        layout.heading("What happens")
        st.markdown("\n".join(f"{number}. {plain(effect)}" for number, effect in enumerate(plan.effects, 1)))
        for warning in plan.warnings:
            st.caption(f":material/info: {plain(warning)}")
    _who_is_in_the_way(plan)
    _locked(plan)
    st.markdown(f"**The way back** — {plain(plan.way_back)}")
    with st.expander("Exactly what will run", icon=":material/code:"):
        st.code(plan.sql, language="sql", wrap_lines=True)
        st.caption("The same from the command line")
        st.code(plan.command, language="bash", wrap_lines=True)
    st.text_input("Reason", key=session.REASON, placeholder="Kept in the journal beside your name; may be left empty")
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Cancel", key="cancel_plan", on_click=_dismiss)
        st.button(
            f"{ACT[plan.operation]} {plain(plan.subject)}",
            key="confirm_plan",
            type="primary",
            icon=ICON[plan.operation],
            on_click=session.attempt(lambda: _confirm(asked)),
        )


def _figures(asked: Asked) -> None:
    leaves = asked.plan.operation is Operation.ARCHIVE
    read = session.read_at()
    exact = f"Exact, read at {read:%H:%M:%S} UTC: rows, indexes and large values" if read else ""
    with st.grid(3, gap="small", min_column_width=190):
        layout.card(
            "Rows leaving its queries" if leaves else "Rows coming back",
            human_rows(asked.rows) if asked.rows is not None else "not known",
            "estimate of the last analyze" if asked.rows is not None else "never analyzed",
            help="The planner's estimate; the exact count takes a read of the whole table.",
        )
        layout.card("Leaving the table" if leaves else "Coming back", human_bytes(asked.bytes), "on disk", help=exact)
        layout.card(
            "Expected to take",
            human_seconds(asked.seconds),
            "and the wait for others",
            help="Once nobody is in the way. It waits for others without making anybody wait for it.",
        )


def _confirm(asked: Asked) -> None:
    """Enqueues the plan that is shown; a second click finds nothing to confirm any more."""
    if st.session_state.get(session.ASKED) != asked:
        return
    _dismiss()
    _begin(asked.plan, str(st.session_state.get(session.REASON, "")).strip())


@st.fragment(run_every=LOOK_S)
def _who_is_in_the_way(plan: Plan) -> None:
    try:
        blockers = session.in_the_way(plan)
    except DeskError as error:
        st.caption(f"Who is in the way can't be read just now. {plain(error.what)}")
        return
    with st.container(gap="xxsmall"):
        if blockers:
            layout.heading("Who is in the way right now", "it would wait for them, and hold up nobody meanwhile")
            listed(blockers)
        else:
            st.markdown("**Who is in the way right now** :green-badge[nobody]")


def _locked(plan: Plan) -> None:
    with st.container(gap="xxsmall"):
        layout.heading("What is locked", "for moments, never longer than the lock budget")
        st.markdown(
            "\n".join(
                f"- {plain(lock.relation.replace(chr(34), ''))}: {lock.mode.meaning} (*{lock.mode.lower()}*)"
                for lock in plan.locks
            )
        )
