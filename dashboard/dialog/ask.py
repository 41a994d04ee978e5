"""Opens the dialog for a plan that has to be confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import streamlit as st

from core.console.journal import OperationRecord, OperationState
from core.errors import DeskError
from core.period import Width
from core.plans.drop import DROP, SCHEDULE
from core.plans.plan import Plan
from core.plans.proof import Kept
from core.tables.key import Reading
from dashboard.state import acts, backups, clock, current, database, keys, reads

READ_BYTES_S = 400 * 1024 * 1024
"""Bytes a second that proving bounds or building an index goes through; a careful guess (MEASURED: over 1 GB/s)."""
MOST_DAYS = 3650
RECENT = 30
"""How many operations of a table are looked at for what was done meanwhile."""


class When(StrEnum):
    """When a table is to be dropped."""

    LATER = "Later"
    NOW = "Now"


@dataclass(frozen=True, slots=True)
class Asked:
    """A plan on its way to be confirmed, with the figures of what it moves."""

    plan: Plan
    rows: int | None
    bytes: int | None
    seconds: float
    kept: Kept | None = None
    """The backup that it rests on, or brings back."""
    done: frozenset[int] = frozenset()
    """What was done on the same before the dialog was opened, by the numbers of the journal."""
    fixed: bool = False
    """Whether nothing of it is chosen here: another has asked for it so, or it was saved so."""
    trouble: DeskError | None = None
    """Why what was chosen in the dialog can't be; the plan is that of the choice before."""


def is_drop(plan: Plan) -> bool:
    """Whether it drops, now or later."""
    return plan.operation is DROP or (plan.operation is SCHEDULE and bool(plan.backup))


def archive(name: str) -> None:
    """Opens the dialog for archiving a partition. Raises Refused for what stands in the way."""
    about(acts.plan_archive(name))


def drain() -> None:
    """Opens the dialog for moving the rows of the DEFAULT. Raises Refused for what stands in the way."""
    about(acts.plan_drain())


def split(name: str, every: Width) -> None:
    """Opens the dialog for splitting a partition. Raises Refused for what stands in the way."""
    about(acts.plan_split(name, every))


def merge(names: tuple[str, ...]) -> None:
    """Opens the dialog for making one partition of several. Raises Refused for what stands in the way."""
    about(acts.plan_merge(names))


def abandon() -> None:
    """Opens the dialog for taking a move of rows back. Raises Refused once it can't be."""
    about(acts.plan_abandon())


def reattach(name: str) -> None:
    """Opens the dialog for bringing an archived table back. Raises Refused for what stands in the way."""
    about(acts.plan_reattach(name))


def drop(name: str) -> None:
    """Opens the dialog for dropping an archived table, after the wait that is set. Raises Refused."""
    after = database.desk().settings.drop_after
    plan = acts.plan_drop(name, after)
    days = max(1, min(MOST_DAYS, (after.after(clock.today()) - clock.today()).days))
    st.session_state[keys.TYPED] = ""
    st.session_state[keys.WHEN] = When.LATER
    st.session_state[keys.DAYS] = days
    _open(plan)


def restore(backup: str) -> None:
    """Opens the dialog for bringing a backup back. Raises Refused for what stands in the way."""
    about(acts.plan_restore(backup))


def approval(number: int) -> None:
    """Opens the dialog for what somebody else has asked for, which is confirmed as it is. Raises NotAllowed."""
    _as_it_is(acts.approved(number))


def saved(file: bytes) -> None:
    """Opens the dialog for a saved plan, which is confirmed as it is. Raises UsageError, Refused, PlanOutdated."""
    plan = acts.plan_saved(file)
    if plan.steps:
        _as_it_is(plan)
    else:
        st.session_state[keys.WORD] = told_nothing(plan)


def _as_it_is(plan: Plan) -> None:
    if plan.table != current.address():
        current.choose(plan.table)
    st.session_state[keys.TYPED] = ""
    _open(plan, fixed=True)


def hold(name: str) -> None:
    """Opens the dialog for a hold, which asks for its end and its reason. Raises Refused."""
    until = database.desk().settings.hold.after(clock.today())
    st.session_state[keys.UNTIL] = until
    reads.refresh()
    _open(acts.plan_to_hold(name, until, ""))


def reading(wanted: Reading) -> None:
    """Opens the dialog for how the key is read. Raises Refused where the bounds don't allow it."""
    about(acts.plan_reading(wanted))


def about(plan: Plan) -> None:
    """Opens the dialog for a plan, such as a doctor's fix; says why where nothing is to be done."""
    if plan.steps:
        _open(plan)
    else:
        st.session_state[keys.WORD] = told_nothing(plan)


def told_nothing(plan: Plan) -> str:
    """That nothing is to be done, and why."""
    return f"Nothing to do: {' '.join(plan.effects)}"


def _open(plan: Plan, *, fixed: bool = False) -> None:
    subject = current.subject(plan)
    size = subject.size if subject else None
    compared = any(not lock.brief for step in plan.steps for lock in step.locks)
    st.session_state[keys.REASON] = ""
    st.session_state[keys.ASKED] = Asked(
        plan=plan,
        rows=subject.rows if subject else None,
        bytes=size.total if size else None,
        seconds=(size.heap if size else 0) / READ_BYTES_S if compared else 0.0,
        kept=backups.find_kept(plan.backup) if plan.backup else None,
        done=frozenset(operation.id for operation in done_on(plan)),
        fixed=fixed,
    )


def done_on(plan: Plan) -> tuple[OperationRecord, ...]:
    """What was done of late on the subject of a plan, newest first."""
    return tuple(
        operation
        for operation in reads.operations(of_table=plan.table, limit=RECENT)
        if operation.state is OperationState.DONE and operation.subject == plan.subject
    )
