"""The operations under way, live on every page, and how those asked for here ended, each with its way back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.console.journal import OperationRecord, OperationState
from core.errors import DeskError
from core.plans.archive import ARCHIVE
from core.plans.backup import BACKUP
from core.plans.drop import DROP, SCHEDULE
from core.plans.restore import RESTORE
from core.plans.verify import VERIFY
from core.tables.marks import Hold
from core.text import human_seconds
from dashboard import layout
from dashboard.dialog import blockers, buttons
from dashboard.format import in_a_shell, plain
from dashboard.operations import outcome
from dashboard.state import access, acts, backups, clock, current, database, keys, reads

LIVE_S = 1
IDLE_S = 5
RECENT = 30


def draw() -> None:
    """What runs now, followed without a click, and the ends of what was asked for here."""
    st.session_state.pop(keys.ACTED, None)
    st.session_state.pop(keys.AWAITED, None)
    st.session_state[keys.SEEN_AS] = access.seen()
    running = any(operation.state.active for operation in reads.operations(limit=RECENT))
    st.fragment(_draw, run_every=LIVE_S if running else IDLE_S)()


def _draw() -> None:
    if st.session_state.get(keys.ACTED) or st.session_state.get(keys.SEEN_AS) != access.seen():
        st.rerun()
    try:
        with database.told():
            recent = reads.operations(limit=RECENT)
            here = database.server()
    except DeskError as error:
        st.error(
            f"**{plain(error.what)}** What is below was read before. It is tried again every few seconds.",
            icon=":material/cloud_off:",
        )
        return
    if backups.have_arrived():
        st.rerun()  # the backups were read meanwhile
    if current.is_stale() and current.read_at() and not current.is_stale():
        st.rerun()  # the table can be read again
    takes = (here.in_recovery, here.read_only)
    if takes != st.session_state.setdefault(keys.TAKES_SEEN, takes):
        st.session_state[keys.TAKES_SEEN] = takes  # a standby that was promoted takes acts from now on
        st.rerun()
    active = {operation.id for operation in recent if operation.state.active}
    acts.watched().update(active)
    states = {(operation.id, operation.state) for operation in recent}
    if states != st.session_state.setdefault(keys.STATES_SEEN, states):
        st.session_state[keys.STATES_SEEN] = states  # also of one that began and ended between two looks
        reads.refresh()
        st.rerun()
    told: set[tuple[str, str]] = set()
    for operation in recent:
        subject = (operation.table, operation.subject)
        if operation.state.active:
            _running(operation)
        elif operation.id in acts.watched() and subject not in told:
            _ended(operation)
        told.add(subject)  # what came before it on the same is told in Activity


def _running(operation: OperationRecord) -> None:
    with st.container(border=True, gap="xsmall"):
        doing = operation.doing or ("queued" if operation.state is OperationState.QUEUED else "begun")
        waiting = " :orange-badge[:material/hourglass_top: waiting]" if operation.blockers else ""
        layout.line(
            f":material/progress_activity: **{outcome.title(operation)}** — {plain(doing)}{waiting}",
            "",
            lambda: _stop(operation),
        )
        elapsed = ""
        if operation.started_at is not None:
            elapsed = f" · for {human_seconds((clock.now() - operation.started_at).total_seconds())}"
        tried = f" · {operation.tries} tries for a lock" if operation.tries else ""
        share = operation.share if operation.share is not None else operation.step / max(1, operation.steps)
        done = f"{operation.step} of {operation.steps} steps done"
        if operation.plan.operation.moves_files:
            done = f"{share:.0%} done" if operation.share is not None else "begun"
        if operation.state is OperationState.QUEUED:
            done = "not begun yet"
        st.progress(min(1.0, max(0.0, share)), text=f"{done}{elapsed}{tried}")
        if operation.blockers:
            st.markdown("**In the way**, and waited for; nobody else is held up meanwhile, and nothing is killed:")
            blockers.listed(operation.blockers)


def _stop(operation: OperationRecord) -> None:
    if operation.cancel_requested:
        st.caption("Stopping …")
    else:
        outcome.stop_button(operation, key=f"stop_{operation.id}")


def _ended(operation: OperationRecord) -> None:
    with st.container(border=True, gap="small"):
        outcome.say(operation)
        done = operation.state is OperationState.DONE
        if done and operation.plan.operation not in (BACKUP, VERIFY):
            st.markdown(f"**The way back** — {plain(operation.plan.way_back)}")
        with st.container(horizontal=True, vertical_alignment="center"):
            for act in _next(operation):
                with st.container(width=layout.ACT_WIDTH):
                    act()
            st.page_link(
                "app_pages/activity.py",
                label="What exactly ran",
                icon=":material/history:",
                query_params={
                    keys.TABLE_PARAMETER: current.address(),
                    keys.OPERATION_PARAMETER: str(operation.id),
                },
            )
            st.button(
                "Close",
                key=f"close_{operation.id}",
                type="tertiary",
                icon=":material/close:",
                on_click=acts.watched().discard,
                args=(operation.id,),
            )
        if done and operation.plan.operation is ARCHIVE:
            _in_a_shell(operation)


def _next(operation: OperationRecord) -> list[Callable[[], None]]:
    """The buttons of the way back and of the next stop of the road, or of the way on of what is not done."""
    kind, key, backup = operation.plan.operation, f"next_{operation.id}", operation.plan.backup
    if operation.state is not OperationState.DONE:
        return [partial(outcome.resume_button, operation, key=f"resume_{operation.id}")]
    if operation.table != current.address():
        return []
    archived = outcome.archived_of(operation)
    if archived is None:
        return [partial(buttons.restore_button, backup, key=key)] if kind is DROP else []
    name = current.table().called(archived)
    acts: list[Callable[[], None]] = []
    if kind in (ARCHIVE, RESTORE):
        acts.append(partial(buttons.reattach_button, archived, key=f"back_{operation.id}"))
    if kind is ARCHIVE:
        acts.append(partial(buttons.backup_button, name, key=key))
    elif kind is BACKUP:
        acts.append(partial(buttons.verify_button, backup, key=key))
    elif kind is VERIFY and not _binds(archived.hold):
        acts.append(partial(buttons.drop_button, name, key=key))
    elif kind is SCHEDULE and archived.drop is not None:
        acts.append(partial(buttons.keep_button, name, key=key))
    return acts


def _in_a_shell(operation: OperationRecord) -> None:
    archived = outcome.archived_of(operation)
    if archived is None or operation.table != current.address():
        return
    with st.expander("Or back up, verify and drop in a shell", icon=":material/terminal:"):
        st.code(in_a_shell(current.table(), archived), language="bash", wrap_lines=True)


def _binds(hold: Hold | None) -> bool:
    return hold is not None and hold.binds(clock.today())
