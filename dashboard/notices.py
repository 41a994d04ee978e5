"""Shows errors, refusals and the operations under way: the one place where a page says what went wrong."""

from __future__ import annotations

import streamlit as st

from core.errors import CatalogBusy, ConnectionFailed, DeskError, NotAttachable, PlanOutdated
from core.journal import OperationRecord, OperationState
from core.text import human_seconds, human_time
from dashboard import session
from dashboard.format import plain

RETRY_S = 3
IDLE_S = 15


def show(error: DeskError) -> None:
    """An error in its own words; one that passes by itself is tried again until it is gone."""
    icon = ":material/cloud_off:" if isinstance(error, ConnectionFailed) else ":material/error:"
    st.error(f"**{plain(error.what)}** {plain(error.safe)}", icon=icon)
    if isinstance(error, NotAttachable):
        for reason in error.reasons:
            st.markdown(f"- {plain(reason)}")
    if error.next:
        st.markdown(f"**What to do:** {plain(error.next)}")
    if isinstance(error, PlanOutdated) and error.changes:
        with st.expander("What changed"):
            st.code("\n".join(error.changes), language=None, wrap_lines=True)
    if isinstance(error, ConnectionFailed | CatalogBusy):
        _retry()


@st.fragment(run_every=RETRY_S)
def _retry() -> None:
    """Looks again every few seconds, and brings the page back when the database is."""
    if st.session_state.get("retried"):
        try:
            session.refresh()
            session.table()
        except (ConnectionFailed, CatalogBusy):
            pass
        except DeskError:
            st.session_state.pop("retried")
            st.rerun()
        else:
            st.session_state.pop("retried")
            st.rerun()
    st.session_state["retried"] = True
    st.caption(f":material/autorenew: Tried again every {RETRY_S} s; this page comes back by itself.")


def refusal() -> None:
    """What stood in the way of the last click."""
    error = st.session_state.get(session.REFUSAL)
    if error is not None:
        show(error)
        st.button("Close", key="close_refusal", on_click=lambda: st.session_state.pop(session.REFUSAL, None))


def under_way() -> None:
    """The operations that run now, live, and the end of the one asked for here, with its way back."""
    running = any(operation.state.active for operation in session.operations(limit=20))
    st.fragment(_under_way, run_every=1 if running else IDLE_S)()


def _under_way() -> None:
    try:
        recent = session.operations(limit=20)
    except DeskError:
        return  # the page itself says that the database is gone
    active = {operation.id for operation in recent if operation.state.active}
    if active != st.session_state.setdefault(session.ACTIVE_SEEN, active):
        st.session_state[session.ACTIVE_SEEN] = active
        session.refresh()
        st.rerun()
    for operation in recent:
        if operation.state.active:
            _running(operation)
        elif operation.id == st.session_state.get(session.FOLLOWED):
            _ended(operation)


def _running(operation: OperationRecord) -> None:
    title = f"{operation.kind.capitalize()} {operation.subject}"
    with st.container(border=True):
        line, stop = st.columns([5, 1], vertical_alignment="center")
        waiting = " · waiting" if operation.blockers else ""
        line.markdown(
            f":material/progress_activity: **{plain(title)}** — {plain(operation.doing or 'queued')}{waiting}"
        )
        if operation.cancel_requested:
            stop.caption("stopping …")
        else:
            stop.button("Stop", key=f"stop_{operation.id}", on_click=session.cancel, args=(operation.id,))
        st.progress(operation.step / max(1, operation.steps), text=f"step {operation.step} of {operation.steps} done")
        for blocker in operation.blockers[:5]:
            st.caption(f":material/front_hand: In the way: {plain(blocker.sentence())}")
        if operation.blockers:
            st.caption("Nobody else is held up by this waiting. It goes on by itself, or stop it; nothing is killed.")


def _ended(operation: OperationRecord) -> None:
    title = plain(f"{operation.kind.capitalize()} {operation.subject}")
    took = human_seconds(operation.seconds)
    if operation.state is OperationState.DONE:
        st.success(f"**{title}** is done, in {took}. {plain(operation.plan.way_back)}", icon=":material/check_circle:")
    elif operation.state is OperationState.CANCELLED:
        st.warning(f"**{title}** was stopped. {plain(operation.error)}", icon=":material/cancel:")
    elif operation.state is OperationState.INTERRUPTED:
        st.error(
            f"**{title}** was interrupted: the process that ran it is gone. {plain(operation.error)}"
            " Ask for the same again to finish it.",
            icon=":material/power_off:",
        )
    else:
        st.error(f"**{title}** did not happen. {plain(operation.error)}", icon=":material/error:")
    with st.container(horizontal=True):
        st.page_link(
            "app_pages/activity.py",
            label="What exactly ran",
            icon=":material/history:",
            query_params={session.OPERATION_PARAMETER: str(operation.id)},
        )
        st.button("Close", key="close_ended", on_click=lambda: st.session_state.pop(session.FOLLOWED, None))


def read_at() -> None:
    """When the figures on the page were read."""
    moment = session.table().as_of
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
        st.caption(
            f"read {moment:%H:%M:%S} UTC", help=f"Read on {human_time(moment)}; sizes are exact, rows are estimates."
        )
        st.button("", icon=":material/refresh:", key="refresh", help="Read again now", on_click=session.refresh, type="tertiary")
