"""The one dialog: what a plan does, who is in its way, the way back and its exact SQL; confirmed, it is enqueued."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

import streamlit as st

from core.console import saved
from core.errors import DeskError, Refused
from core.plans.drop import SCHEDULE
from core.plans.hold import HOLD
from core.plans.plan import Lock, Mode, Plan
from dashboard import layout
from dashboard.dialog import ask, buttons, figures, inputs, one_click
from dashboard.dialog.blockers import listed
from dashboard.format import deed, plain
from dashboard.state import access, acts, database, keys, reads

FEW, SCROLLED = 7, 400
"""So many lines of a plan leave the buttons in view on a page of 900 pixels; more are scrolled in so many pixels."""
FEW_BESIDE_A_DROP, BESIDE_A_DROP = 3, 250
"""The same of a drop, which has its proof, its time and the typed name in the dialog besides."""
LINE, BLOCKED = 150, 3
"""Letters of a line in the dialog; lines that a session takes which is in the way."""
LOOK_S = 2
"""How often the dialog looks who is in the way."""


def open_if_asked() -> bool:
    """Draws the dialog while a plan waits to be confirmed; whether one does."""
    asked = st.session_state.get(keys.ASKED)
    if isinstance(asked, ask.Asked):
        st.dialog(plain(_title(asked.plan)), width="large", on_dismiss=_dismiss)(_body)()
        return True
    return False


def _title(plan: Plan) -> str:
    if plan.request is not None:
        return f"Approve: {deed(plan)}"
    if ask.is_drop(plan):
        return f"Drop {plan.subject}"
    return f"Hold {plan.subject}" if plan.operation is HOLD else deed(plan)


def _dismiss() -> None:
    st.session_state.pop(keys.ASKED, None)


def _body() -> None:
    asked = st.session_state.get(keys.ASKED)
    if not isinstance(asked, ask.Asked):
        st.rerun()
    plan = asked.plan
    st.caption(f":material/database: {plain(database.named())} · {plain(plan.table)}")
    _done_meanwhile(asked)
    figures.draw(asked)
    if asked.kept is not None:
        figures.proof(asked.kept, asked.plan)
    if asked.fixed:
        st.caption(f"It is done just as it was {'saved' if plan.request is None else 'asked for'}, or not at all.")
    elif ask.is_drop(plan):
        inputs.when()
    elif plan.operation is HOLD:
        inputs.until()
    room = _room(plan)
    with st.container(height=room, border=room != "content"):
        _told(plan)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if plan.operation is not HOLD or asked.fixed:
            st.text_input(
                "Reason", key=keys.REASON, placeholder="Kept in the journal beside your name; may be left empty"
            )
        if ask.is_drop(plan):
            st.text_input(
                "Type the table's name, so that nothing is dropped by a slip of the hand",
                key=keys.TYPED,
                placeholder=plan.subject,
                live=True,
            )
    if asked.trouble is not None:
        st.error(f"{plain(asked.trouble.what)} {plain(asked.trouble.next)}", icon=":material/block:")
    lacking = _lacking(asked)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if plan.steps and plan.request is None:
            _save(plan)
        st.button("Cancel", key="cancel_plan", on_click=_dismiss)
        st.button(
            f":red[{_confirm_label(plan)}]" if ask.is_drop(plan) else _confirm_label(plan),
            key="confirm_plan",
            type="secondary" if ask.is_drop(plan) else "primary",
            icon=buttons.ICON[plan.operation],
            disabled=lacking is not None,
            help=lacking,
            on_click=acts.attempt(lambda: _confirm(asked)),
        )


def _room(plan: Plan) -> int | Literal["content"]:
    """Pixels of what is told of a plan: a long one is scrolled, so that the buttons below it stay in view."""
    drops = ask.is_drop(plan)
    lines = sum(1 + len(said) // LINE for said in (*plan.effects, *plan.meanwhile, *plan.warnings)) + len(_locks(plan))
    if plan.locks:
        with suppress(DeskError):  # told where they are listed
            lines += BLOCKED * len(reads.in_the_way(plan))
    return "content" if lines <= (FEW_BESIDE_A_DROP if drops else FEW) else (BESIDE_A_DROP if drops else SCROLLED)


def _told(plan: Plan) -> None:
    """What happens, who is in the way, what is locked, the way back, and folded the exact SQL."""
    with st.container(gap="xxsmall"):
        layout.heading("What happens")
        st.markdown(
            "\n".join(f"{number}. {plain(effect)}" for number, effect in enumerate((*plan.effects, *plan.meanwhile), 1))
        )
        for warning in plan.warnings:
            st.caption(f":material/info: {plain(warning)}")
    if plan.locks:
        _who_is_in_the_way(plan)
        _locked(plan)
    if plan.way_back:
        st.markdown(f"**The way back** — {plain(plan.way_back)}")
    with st.expander("Exactly what will run", icon=":material/code:"):
        st.code(plan.sql, language="sql", wrap_lines=True)
        st.caption("The same from the command line")
        st.code(plan.command, language="bash", wrap_lines=True)


def _save(plan: Plan) -> None:
    """The button that takes the plan away as a file, for later or for somebody else."""
    desk, name = database.desk(), access.actor().name
    st.download_button(
        "Save this plan",
        lambda: saved.written(desk, plan, name),
        saved.file_name(plan),
        "application/json",
        key="save_plan",
        icon=":material/download:",
        help="A file that does just this later, or says what has changed since: on Activity, or by partitions apply.",
        on_click="ignore",
        type="tertiary",
    )


def _confirm_label(plan: Plan) -> str:
    if plan.operation is SCHEDULE and plan.request is None:
        return f"Plan the drop of {plain(plan.subject)}"
    return plain(_title(plan))


def _lacking(asked: ask.Asked) -> str | None:
    """What has to be filled in before it can be confirmed."""
    if asked.trouble is not None:
        return plain(asked.trouble.what)
    if not asked.plan.steps:
        return plain(ask.told_nothing(asked.plan))
    if ask.is_drop(asked.plan) and st.session_state.get(keys.TYPED, "") != asked.plan.subject:
        return "Type the table's name first."
    if asked.plan.operation is HOLD and not asked.fixed and not inputs.reason():
        return "A hold needs its reason, for whoever meets it in a year."
    return None


def _confirm(asked: ask.Asked) -> None:
    """Enqueues the plan that is shown; a second click finds nothing to confirm any more."""
    if st.session_state.get(keys.ASKED) != asked:
        return
    lacking = _lacking(asked)
    if lacking is not None:
        raise Refused(lacking)
    _dismiss()
    one_click.begin(asked.plan, inputs.reason())


@st.fragment(run_every=LOOK_S)
def _done_meanwhile(asked: ask.Asked) -> None:
    """That somebody has acted on the same since the dialog was opened."""
    with suppress(DeskError):  # the page says it
        for operation in ask.done_on(asked.plan):
            if operation.id not in asked.done:
                st.warning(
                    f"**{plain(operation.actor)} did this meanwhile: {plain(deed(operation.plan))}.** What is shown"
                    " here was planned before. Cancel, and look at it as it is now.",
                    icon=":material/update:",
                )
                return


@st.fragment(run_every=LOOK_S)
def _who_is_in_the_way(plan: Plan) -> None:
    try:
        blockers = reads.in_the_way(plan)
    except DeskError as error:
        st.caption(f"Who is in the way can't be read just now. {plain(error.what)}")
        return
    with st.container(gap="xxsmall"):
        if blockers:
            layout.heading("Who is in the way right now", "it would wait for them, and hold up nobody meanwhile")
            listed(blockers)
        else:
            st.markdown("**Who is in the way right now** :green-badge[nobody]")


def _long_locks(plan: Plan) -> list[Lock]:
    """Those that are held while rows are compared."""
    locks = dict.fromkeys(lock for step in plan.steps for lock in step.locks)
    return [lock for lock in locks if not lock.brief and lock.mode is Mode.SHARE]


def _locks(plan: Plan) -> tuple[Lock, ...]:
    return tuple(dict.fromkeys((*_long_locks(plan), *plan.locks)))


def _locked(plan: Plan) -> None:
    long, said = _long_locks(plan), _locks(plan)
    with st.container(gap="xxsmall"):
        layout.heading("What is locked", "" if long else "for moments, never longer than the lock budget")
        st.markdown(
            "\n".join(
                f"- {plain(lock.relation.replace(chr(34), ''))}: {lock.mode.meaning} (*{lock.mode.lower()}*)"
                + ((", while its rows are compared" if lock in long else ", for moments") if long else "")
                for lock in said
            )
        )
