"""The operations under way, live on every page, and how those asked for here ended, each with its way back."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from core.errors import DeskError
from core.journal import OperationRecord, OperationState
from core.model import PartitionedTable
from core.period import range_of_label
from core.text import human_seconds
from dashboard import blockers, confirm, layout, session
from dashboard.format import by_hand, plain

LIVE_S = 1
IDLE_S = 5
RECENT = 30


def title(operation: OperationRecord) -> str:
    """What it does to what: Archive kid_absences_2024. Markdown."""
    return plain(f"{operation.kind.capitalize()} {operation.subject}")


def draw() -> None:
    """What runs now, followed without a click, and the ends of what was asked for here."""
    st.session_state.pop(session.ACTED, None)
    running = any(operation.state.active for operation in session.operations(limit=RECENT))
    st.fragment(_draw, run_every=LIVE_S if running else IDLE_S)()


def _draw() -> None:
    if st.session_state.get(session.ACTED):
        st.rerun()
    try:
        with session.told():
            recent = session.operations(limit=RECENT)
    except DeskError as error:
        st.error(
            f"**{plain(error.what)}** What is below was read before. It is tried again every few seconds.",
            icon=":material/cloud_off:",
        )
        return
    if session.is_stale() and session.read_at() and not session.is_stale():
        st.rerun()  # the table can be read again
    active = {operation.id for operation in recent if operation.state.active}
    session.watched().update(active)
    if active != st.session_state.setdefault(session.ACTIVE_SEEN, active):
        st.session_state[session.ACTIVE_SEEN] = active
        session.refresh()
        st.rerun()
    for operation in recent:
        if operation.state.active:
            _running(operation)
        elif operation.id in session.watched():
            _ended(operation)


def _running(operation: OperationRecord) -> None:
    with st.container(border=True, gap="xsmall"):
        doing = operation.doing or ("queued" if operation.state is OperationState.QUEUED else "begun")
        waiting = " :orange-badge[:material/hourglass_top: waiting]" if operation.blockers else ""
        layout.line(
            f":material/progress_activity: **{title(operation)}** — {plain(doing)}{waiting}",
            "",
            lambda: _stop(operation),
        )
        elapsed = ""
        if operation.started_at is not None:
            elapsed = f" · for {human_seconds((session.now() - operation.started_at).total_seconds())}"
        tried = f" · {operation.tries} tries for a lock" if operation.tries else ""
        st.progress(
            min(1.0, operation.step / max(1, operation.steps)),
            text=f"{operation.step} of {operation.steps} steps done{elapsed}{tried}",
        )
        if operation.blockers:
            st.markdown("**In the way**, and waited for; nobody else is held up meanwhile, and nothing is killed:")
            blockers.listed(operation.blockers)


def _stop(operation: OperationRecord) -> None:
    if operation.cancel_requested:
        st.caption("Stopping …")
    else:
        stop_button(operation, key=f"stop_{operation.id}")


def stop_button(operation: OperationRecord, *, key: str) -> None:
    """Asks for a running operation to stop."""
    confirm.button("Stop", lambda: session.cancel(operation.id), key=key, icon=":material/stop_circle:")


def _ended(operation: OperationRecord) -> None:
    with st.container(border=True, gap="small"):
        outcome(operation)
        _next(operation)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link(
                "app_pages/activity.py",
                label="What exactly ran",
                icon=":material/history:",
                query_params={
                    session.TABLE_PARAMETER: session.current_address(),
                    session.OPERATION_PARAMETER: str(operation.id),
                },
            )
            st.button(
                "Close",
                key=f"close_{operation.id}",
                type="tertiary",
                icon=":material/close:",
                on_click=session.watched().discard,
                args=(operation.id,),
            )


def outcome(operation: OperationRecord) -> None:
    """How it ended, whether data is safe, and what to do next."""
    name, said = title(operation), plain(operation.error)
    if operation.state is OperationState.DONE:
        st.success(f"**{name}** is done, in {human_seconds(operation.seconds)}.", icon=":material/check_circle:")
    elif operation.state is OperationState.CANCELLED:
        st.warning(f"**{name}** was stopped. {said}", icon=":material/stop_circle:")
    elif operation.state is OperationState.INTERRUPTED:
        st.error(
            f"**{name}** was interrupted: the process that ran it is gone. {said} No row is lost;"
            " Resume looks at where it stopped and goes on from there.",
            icon=":material/power_off:",
        )
    else:
        st.error(f"**{name}** did not happen. {said}", icon=":material/error:")


def _next(operation: OperationRecord) -> None:
    """The way back of what is done, and the way on of what is not."""
    if operation.state is not OperationState.DONE:
        with st.container(width=layout.ACT_WIDTH):
            resume_button(operation, key=f"resume_{operation.id}")
        return
    archived = None
    if operation.table == session.current_address() and operation.kind == "archive":
        archived = session.table().find_archived(operation.subject)
    st.markdown(f"**The way back** — {plain(operation.plan.way_back)}")
    if archived is None:
        return
    with st.container(width=layout.ACT_WIDTH):
        confirm.reattach_button(archived, key=f"back_{operation.id}")
    with st.expander("Next: back up, upload, then drop by hand", icon=":material/terminal:"):
        st.caption("Read the dump back completely before you drop anything: a listing succeeds on a truncated file.")
        st.code(by_hand(archived), language="bash", wrap_lines=True)


def resume_button(operation: OperationRecord, *, key: str) -> None:
    """Plans the same act again from the state that the table is in now, where it did not end as asked."""
    label = "Resume" if operation.state is OperationState.INTERRUPTED else "Try again"
    confirm.button(label, lambda: again(operation), key=key, icon=":material/replay:", command=operation.plan.command)


def again(operation: OperationRecord) -> None:
    """Plans the same act anew: archive and reattach open the dialog, ensure runs. Raises Refused."""
    if operation.table != session.current_address():
        session.choose(operation.table)
    if operation.kind == "archive":
        confirm.ask_archive(operation.subject)
    elif operation.kind == "reattach":
        confirm.ask_reattach(operation.subject)
    else:
        ranges = (range_of_label(label.strip()) for label in operation.subject.split(","))
        confirm.ensure(tuple(found for found in ranges if found is not None))
    session.watched().discard(operation.id)


def unsettled(operations: Iterable[OperationRecord], table: PartitionedTable) -> tuple[OperationRecord, ...]:
    """The operations of a table that failed or were interrupted, where nobody has done since what they were for."""
    found: list[OperationRecord] = []
    seen: set[str] = set()
    for operation in operations:
        if operation.table != table.address or operation.subject in seen:
            continue
        seen.add(operation.subject)
        if operation.state in (OperationState.FAILED, OperationState.INTERRUPTED):
            found.append(operation)
    return tuple(found)
