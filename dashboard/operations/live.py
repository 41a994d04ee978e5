"""The operations under way, live on every page, and how those asked for here ended, each with its way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
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
from core.text import human_seconds, plural
from dashboard import layout
from dashboard.dialog import blockers, buttons, many
from dashboard.format import in_a_shell, plain
from dashboard.operations import outcome
from dashboard.state import access, acts, backups, clock, current, database, keys, reads

LIVE_S = 1
IDLE_S = 5
RECENT = 30
BAR = 3
"""How many operations the bar tells of before it says how many more there are."""


def draw() -> None:
    """A bar that stays in view: what runs now, followed without a click, and the ends of what was asked for here."""
    st.session_state.pop(keys.ACTED, None)
    st.session_state.pop(keys.AWAITED, None)
    st.session_state[keys.SEEN_AS] = access.seen()
    recent = reads.operations(limit=RECENT)
    active = tuple(operation for operation in recent if operation.state.active)
    st.session_state[keys.UNDER_WAY] = active
    acts.watched().update(operation.id for operation in active)
    together = database.opened().in_order
    live = bool(active) or any(not one.over for one in together)
    with st.bottom if any(_told(recent)) or together else nullcontext():
        st.fragment(_draw, run_every=LIVE_S if live else IDLE_S)()


def _told(recent: Sequence[OperationRecord]) -> Iterator[OperationRecord]:
    """What the bar tells: what runs, and until it is closed the newest end on each subject that was asked for here.

    What was interrupted is told everywhere, whoever asked for it.
    """
    seen: set[tuple[str, str]] = set()
    for operation in recent:
        subject = (operation.table, operation.subject)
        ended = operation.id in acts.watched() or (
            operation.state is OperationState.INTERRUPTED and operation.id not in st.session_state.get(keys.CLOSED, ())
        )
        if operation.state.active or (ended and subject not in seen):
            yield operation
        seen.add(subject)  # what came before it on the same is told in Activity


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
    states = {(operation.id, operation.state) for operation in recent}
    if states != st.session_state.setdefault(keys.STATES_SEEN, states):
        st.session_state[keys.STATES_SEEN] = states  # also of one that began and ended between two looks
        reads.refresh()
        st.rerun()
    told = list(_told(recent))
    with st.container(gap="small"):
        for operation in told[:BAR]:
            (_running if operation.state.active else _ended)(operation)
        if len(told) > BAR:
            st.caption(f"and {len(told) - BAR} more, in Activity")
        for several in list(database.opened().in_order):
            many.draw_progress(several)


def _running(operation: OperationRecord) -> None:
    now = plain(operation.doing or _begun(operation))
    said = f":material/progress_activity: **{outcome.title(operation)}** — {now}"
    if operation.blockers:
        said += f" :orange-badge[:material/hourglass_top: {plain(blockers.waiting(operation.blockers))}]"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch", gap=None):
            st.markdown(said)
            share = operation.share if operation.share is not None else operation.step / max(1, operation.steps)
            st.progress(min(1.0, max(0.0, share)), text=_progress(operation))
        if operation.blockers:
            with st.popover("In the way", icon=":material/front_hand:"):
                st.markdown("They are waited for; nobody else is held up meanwhile, and nothing is killed:")
                blockers.listed(operation.blockers)
        with st.container(width=layout.ACT_WIDTH):
            if operation.cancel_requested:
                st.caption("Stopping …")
            else:
                outcome.stop_button(operation, key=f"stop_{operation.id}")


def _begun(operation: OperationRecord) -> str:
    return "queued" if operation.state is OperationState.QUEUED else "begun"


def _progress(operation: OperationRecord) -> str:
    """How much is done, for how long, and how often a lock was asked for."""
    if operation.state is OperationState.QUEUED:
        return "not begun yet"
    done = f"{operation.step} of {plural(operation.steps, 'step')} done"
    if operation.plan.operation.moves_files:
        done = f"{operation.share:.0%} done" if operation.share is not None else "begun"
    if operation.started_at is not None:
        done += f" · for {human_seconds((clock.now() - operation.started_at).total_seconds())}"
    return done + (f" · {plural(operation.tries, 'try', 'tries')} for a lock" if operation.tries else "")


def _ended(operation: OperationRecord) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch"):
            outcome.say(operation)
        following = _next(operation)
        for act in following[-1:]:
            with st.container(width=layout.ACT_WIDTH):
                act()
        with st.popover("More", icon=":material/more_horiz:"):
            _more(operation, following[:-1])
        st.button(
            "Close",
            key=f"close_{operation.id}",
            type="tertiary",
            icon=":material/close:",
            on_click=_close,
            args=(operation.id,),
        )


def _close(number: int) -> None:
    acts.watched().discard(number)
    st.session_state[keys.CLOSED] = {*st.session_state.get(keys.CLOSED, ()), number}
    st.session_state[keys.ACTED] = True  # the bar goes when the page is drawn


def _more(operation: OperationRecord, others: Sequence[Callable[[], None]]) -> None:
    """The way back of what is done, what else may follow, and what exactly ran."""
    done = operation.state is OperationState.DONE
    if done and operation.plan.operation not in (BACKUP, VERIFY):
        st.markdown(f"**The way back** — {plain(operation.plan.way_back)}")
    for act in others:
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
    if done and operation.plan.operation is ARCHIVE:
        _in_a_shell(operation)


def _next(operation: OperationRecord) -> list[Callable[[], None]]:
    """The buttons of the way back and, last, of the next stop of the road; or of the way on of what is not done."""
    kind, key, backup = operation.plan.operation, f"next_{operation.id}", operation.plan.backup
    if operation.state is not OperationState.DONE:
        return [partial(outcome.resume_button, operation, key=f"resume_{operation.id}")]
    if operation.table != current.address():
        return []
    archived, of = outcome.archived_of(operation), buttons.spoken(operation.subject)
    if archived is None:
        return [partial(buttons.restore_button, backup, key=key, of=of)] if kind is DROP else []
    name = current.table().called(archived)
    found: list[Callable[[], None]] = []
    if kind in (ARCHIVE, RESTORE):
        found.append(partial(buttons.reattach_button, archived, key=f"back_{operation.id}"))
    if kind is ARCHIVE:
        found.append(partial(buttons.backup_button, name, key=key, of=of))
    elif kind is BACKUP:
        found.append(partial(buttons.verify_button, backup, key=key, of=of))
    elif kind is VERIFY and not _binds(archived.hold):
        found.append(partial(buttons.drop_button, name, key=key, of=of))
    elif kind is SCHEDULE and archived.drop is not None:
        found.append(partial(buttons.keep_button, name, key=key, of=of))
    return found


def _in_a_shell(operation: OperationRecord) -> None:
    archived = outcome.archived_of(operation)
    if archived is None or operation.table != current.address():
        return
    with st.expander("Or back up, verify and drop in a shell", icon=":material/terminal:"):
        st.code(in_a_shell(current.table(), archived), language="bash", wrap_lines=True)


def _binds(hold: Hold | None) -> bool:
    return hold is not None and hold.binds(clock.today())
