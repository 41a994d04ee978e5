"""What one click does without a dialog, because it can do no harm; and how a confirmed plan begins."""

from __future__ import annotations

import streamlit as st

from core.console.run import is_same_wish
from core.errors import Asked, Refused
from core.period import Range, Width
from core.plans.operation import Danger
from core.plans.plan import Plan
from core.tables.bounds import Bounds
from dashboard.dialog import ask
from dashboard.format import deed
from dashboard.state import acts, keys, reads

ASKED_HERE = "asked for in the dashboard"


def ensure(
    ranges: tuple[Bounds, ...] = (),
    years: tuple[Range, ...] = (),
    ahead: int | None = None,
    every: Width | None = None,
) -> None:
    """Creates what is lacking of what is asked for, with this one click. Raises Refused for what stands in the way."""
    begin(acts.plan_ensure(ranges, years, ahead, every), ASKED_HERE)


def back_up(name: str) -> None:
    """Backs a partition up, with this one click. Raises what stands in the way."""
    begin(acts.plan_backup(name), ASKED_HERE)


def verify(backup: str) -> None:
    """Proves a backup, with this one click. Raises what stands in the way."""
    begin(acts.plan_verify(backup), ASKED_HERE)


def keep(name: str) -> None:
    """Calls a planned drop off, with this one click. Raises Refused."""
    begin(acts.plan_not_to_drop(name), ASKED_HERE)


def lift(name: str) -> None:
    """Ends a hold, with this one click. Raises Refused."""
    begin(acts.plan_lift(name), ASKED_HERE)


def run(plan: Plan) -> None:
    """Runs a harmless plan at once; any other opens the dialog."""
    if plan.operation.danger is Danger.CLICK:
        begin(plan, ASKED_HERE)
    else:
        ask.about(plan)


def begin(plan: Plan, reason: str) -> None:
    """Enqueues a plan, or says that nothing is to be done, or that another has to approve it.

    Raises Refused where another one on the same still runs.
    """
    if not plan.steps:
        st.session_state[keys.WORD] = ask.told_nothing(plan)
        return
    try:
        ticket = acts.enqueue(plan, reason)
    except Asked as asked:
        st.session_state[keys.WORD] = str(asked)
        reads.refresh()
        return
    if not ticket.new:
        met = reads.operation(ticket.id)
        if met is not None and not is_same_wish(plan, met.plan):
            raise Refused(
                f"Another operation on {plan.subject} is still running: {deed(met.plan)}.",
                safe="Nothing was asked for, and nothing was changed by this click.",
                next="Ask again once it has ended.",
            )
        st.session_state[keys.WORD] = f"{deed(plan)} runs already."
