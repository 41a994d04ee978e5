"""What is filled in in the dialog: when a table is dropped, until when one is held, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import streamlit as st

from core.errors import DeskError
from core.period import Duration
from core.plans.plan import Plan
from dashboard.dialog import ask
from dashboard.state import acts, backups, clock, database, keys


def reason() -> str:
    """What was typed as the reason."""
    return str(st.session_state.get(keys.REASON, "")).strip()


def when() -> None:
    """Now or later; another choice is another plan, which is what is shown and run then."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "When", list(ask.When), key=keys.WHEN, required=True, format_func=str, on_change=_plan_the_drop_again
        )
        st.number_input(  # drawn for both, as one that is not drawn would lose its value
            "After how many days",
            1,
            ask.MOST_DAYS,
            step=1,
            key=keys.DAYS,
            width=180,
            disabled=st.session_state.get(keys.WHEN) is ask.When.NOW,
            on_change=_plan_the_drop_again,
            help="Until then the table stays as it is, in plain sight, and one click keeps it.",
        )


def _plan_the_drop_again() -> None:
    asked = st.session_state.get(keys.ASKED)
    if isinstance(asked, ask.Asked):
        later = st.session_state.get(keys.WHEN) is not ask.When.NOW
        days = Duration(int(st.session_state.get(keys.DAYS) or 1), "day") if later else None
        _choose(asked, lambda: acts.plan_drop(asked.plan.subject, days))


def until() -> None:
    """The end of a hold and its reason."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.date_input(
            "Until, the last day of it",
            key=keys.UNTIL,
            min_value=clock.today(),
            max_value=clock.today() + timedelta(days=36500),
            format="YYYY-MM-DD",
            width=220,
            help="Emptied, the hold lasts until somebody lifts it.",
            on_change=_plan_the_hold_again,
        )
        st.text_input(
            "Reason, for whoever meets it in a year",
            key=keys.REASON,
            live=True,
            on_change=_plan_the_hold_again,
        )


def _plan_the_hold_again() -> None:
    asked = st.session_state.get(keys.ASKED)
    until = st.session_state.get(keys.UNTIL)
    if isinstance(asked, ask.Asked):
        day = until if isinstance(until, date) else None
        _choose(asked, lambda: acts.plan_to_hold(asked.plan.subject, day, reason()))


def _choose(asked: ask.Asked, build: Callable[[], Plan]) -> None:
    """Puts another plan in the place of the one that is shown; keeps what forbids it for the dialog to say."""
    try:
        with database.told():
            plan = build()
            kept = backups.find_kept(plan.backup) if plan.backup else None
            chosen = replace(asked, plan=plan, kept=kept, trouble=None)
    except DeskError as error:
        chosen = replace(asked, trouble=error)
    st.session_state[keys.ASKED] = chosen
