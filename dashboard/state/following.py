"""The operations under way, live on every page, and how those asked for here ended, each with its way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import streamlit as st

from core.console.journal import OperationRecord, OperationState
from core.errors import BackupDamaged, DeskError
from core.period import range_of_label
from core.plans.plan import Operation, Plan
from core.tables.model import Archived, Hold, PartitionedTable
from core.text import human_seconds
from dashboard import layout
from dashboard.dialog import ask, blockers, buttons, one_click
from dashboard.format import by_hand, deed, plain
from dashboard.state import acts, backups, clock, current, database, keys, reads

LIVE_S = 1
IDLE_S = 5
RECENT = 30


def title(operation: OperationRecord) -> str:
    """What it does to what: Archive kid_absences_2024. Markdown."""
    return plain(deed(operation.plan))


def draw() -> None:
    """What runs now, followed without a click, and the ends of what was asked for here."""
    st.session_state.pop(keys.ACTED, None)
    st.session_state.pop(keys.AWAITED, None)
    running = any(operation.state.active for operation in reads.operations(limit=RECENT))
    st.fragment(_draw, run_every=LIVE_S if running else IDLE_S)()


def _draw() -> None:
    if st.session_state.get(keys.ACTED):
        st.rerun()
    try:
        with database.told():
            recent = reads.operations(limit=RECENT)
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
            f":material/progress_activity: **{title(operation)}** — {plain(doing)}{waiting}",
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
        stop_button(operation, key=f"stop_{operation.id}")


def stop_button(operation: OperationRecord, *, key: str) -> None:
    """Asks for a running operation to stop."""
    buttons.button("Stop", lambda: acts.cancel(operation.id), key=key, icon=":material/stop_circle:")


def _ended(operation: OperationRecord) -> None:
    with st.container(border=True, gap="small"):
        outcome(operation)
        done = operation.state is OperationState.DONE
        if done and operation.kind not in (Operation.BACKUP, Operation.VERIFY):
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
        if done and operation.kind == Operation.ARCHIVE:
            _by_hand(operation)


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
    elif operation.kind == Operation.VERIFY and operation.error_kind == BackupDamaged.__name__:
        st.error(f"**{name}**: the backup is not good. {said}", icon=":material/gpp_bad:")
    else:
        st.error(f"**{name}** did not happen. {said}", icon=":material/error:")


def _next(operation: OperationRecord) -> list[Callable[[], None]]:
    """The buttons of the way back and of the next stop of the road, or of the way on of what is not done."""
    kind, key, backup = operation.kind, f"next_{operation.id}", operation.plan.backup
    if operation.state is not OperationState.DONE:
        return [partial(resume_button, operation, key=f"resume_{operation.id}")]
    if operation.table != current.address():
        return []
    archived = _archived_of(operation)
    if archived is None:
        return [partial(buttons.restore_button, backup, key=key)] if kind == Operation.DROP else []
    name = current.table().called(archived)
    acts: list[Callable[[], None]] = []
    if kind in (Operation.ARCHIVE, Operation.RESTORE):
        acts.append(partial(buttons.reattach_button, archived, key=f"back_{operation.id}"))
    if kind == Operation.ARCHIVE:
        acts.append(partial(buttons.backup_button, name, key=key))
    elif kind == Operation.BACKUP:
        acts.append(partial(buttons.verify_button, backup, key=key))
    elif kind == Operation.VERIFY and not _binds(archived.hold):
        acts.append(partial(buttons.drop_button, name, key=key))
    elif kind == Operation.SCHEDULE and archived.drop is not None:
        acts.append(partial(buttons.keep_button, name, key=key))
    return acts


def _archived_of(operation: OperationRecord) -> Archived | None:
    """The very table that it was about, where that is archived now; by its name where the plan knows no more."""
    table, plan = current.table(), operation.plan
    named = table.named(operation.subject)
    one = table.by_oid(plan.oid) if plan.oid is not None else named[0] if len(named) == 1 else None
    return one if isinstance(one, Archived) else None


def _by_hand(operation: OperationRecord) -> None:
    archived = _archived_of(operation)
    if archived is None or operation.table != current.address():
        return
    with st.expander("Or back up, upload and drop by hand", icon=":material/terminal:"):
        st.caption("Read the dump back completely before you drop anything: a listing succeeds on a truncated file.")
        st.code(by_hand(archived), language="bash", wrap_lines=True)


def _binds(hold: Hold | None) -> bool:
    return hold is not None and hold.binds(clock.today())


def resume_button(operation: OperationRecord, *, key: str) -> None:
    """Plans the same act again from the state that the table is in now, where it did not end as asked."""
    label = "Resume" if operation.state is OperationState.INTERRUPTED else "Try again"
    buttons.button(label, lambda: again(operation), key=key, icon=":material/replay:", command=operation.plan.command)


def again(operation: OperationRecord) -> None:
    """Plans the same act anew: what is harmless runs, anything else opens the dialog. Raises Refused."""
    if operation.table != current.address():
        current.choose(operation.table)
    plan, name = operation.plan, operation.subject
    if plan.operation is Operation.ENSURE:
        ranges = (range_of_label(label.strip()) for label in name.split(","))
        one_click.ensure(tuple(found for found in ranges if found is not None))
    elif plan.operation is Operation.HOLD:
        ask.about(plan)
    else:
        _AGAIN[plan.operation](plan)
    acts.watched().discard(operation.id)


_AGAIN: dict[Operation, Callable[[Plan], None]] = {
    Operation.ARCHIVE: lambda plan: ask.archive(plan.subject),
    Operation.REATTACH: lambda plan: ask.reattach(plan.subject),
    Operation.BACKUP: lambda plan: one_click.back_up(plan.subject),
    Operation.VERIFY: lambda plan: one_click.verify(plan.backup),
    Operation.DROP: lambda plan: ask.drop(plan.subject),
    Operation.RESTORE: lambda plan: ask.restore(plan.backup),
    Operation.SCHEDULE: lambda plan: (ask.drop if plan.backup else one_click.keep)(plan.subject),
}


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
