"""The dialog for several acts at once: what they take together, each of them, and whether a failure ends the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import streamlit as st

from core.console.in_order import InOrder
from core.errors import Refused
from core.plans.operation import Operation, Wish
from core.plans.together import Planned, locks_of, planned, summed_up
from core.tables.table import PartitionedTable
from core.text import human_bytes, human_rows, plural
from dashboard import layout
from dashboard.dialog import buttons
from dashboard.format import plain
from dashboard.state import access, acts, current, database, keys, reads

SHOWN = 50
"""How many are listed one by one."""
Make = Callable[[PartitionedTable], Wish]


class Then(StrEnum):
    """What a failure means to those after it."""

    STOP = "Stop there"
    GO_ON = "Go on with the rest"


@dataclass(frozen=True, slots=True)
class Several:
    """Plans of one operation on their way to be confirmed together."""

    operation: Operation
    ready: tuple[Planned, ...]
    refused: tuple[tuple[str, str], ...]
    """(what it is, why it can't be) of those that are left out."""


def ask(operation: Operation, wanted: Sequence[tuple[str, Make]]) -> None:
    """Opens the dialog for the wishes, each with what it is called. Raises Refused where none can be."""
    access.require(operation)
    reads.refresh()
    table, desk = current.table_now(), database.desk()
    ready: list[Planned] = []
    refused: list[tuple[str, str]] = []
    for name, make in wanted:
        try:
            wish = make(table)
            one = planned(table, wish, desk.warned(desk.plan(wish)))
        except Refused as error:
            refused.append((name, f"{error.what} {error.next}".strip()))
            continue
        if one.plan.steps:
            ready.append(one)
        else:
            refused.append((name, f"Nothing to do: {' '.join(one.plan.effects)}"))
    if not ready:
        raise Refused(
            f"None of {plural(len(wanted), 'partition')} can be done: {refused[0][0]}: {refused[0][1]}"
            if refused
            else "Nothing was chosen."
        )
    st.session_state[keys.REASON] = ""
    st.session_state[keys.THEN] = Then.STOP
    st.session_state[keys.SEVERAL] = Several(operation, tuple(ready), tuple(refused))


def open_if_asked() -> bool:
    """Draws the dialog while several plans wait to be confirmed; whether it does."""
    several = st.session_state.get(keys.SEVERAL)
    if not isinstance(several, Several):
        return False
    st.dialog(_title(several), width="large", on_dismiss=_dismiss)(_body)()
    return True


def _title(several: Several) -> str:
    return f"{several.operation.verb} {plural(len(several.ready), 'partition')}"


def _body() -> None:
    several = st.session_state.get(keys.SEVERAL)
    if not isinstance(several, Several):
        return
    st.markdown(f"**{plain(summed_up(several.ready))}** One after the other, in this order:")
    st.table(
        {
            "Partition": [plain(one.plan.subject) for one in several.ready[:SHOWN]],
            "Rows": [human_rows(one.rows) if one.rows is not None else "not known" for one in several.ready[:SHOWN]],
            "Size": [human_bytes(one.bytes) for one in several.ready[:SHOWN]],
        },
        border="horizontal",
    )
    if len(several.ready) > SHOWN:
        st.caption(f"and {len(several.ready) - SHOWN:,} more")
    for name, why in several.refused[:SHOWN]:
        st.warning(f"**{plain(name)} is left out.** {plain(why)}", icon=":material/block:")
    told = dict.fromkeys(warning for one in several.ready for warning in one.plan.warnings)
    for warning in list(told)[:SHOWN]:
        st.caption(f":material/info: {plain(warning)}")
    locked = list(locks_of([one.plan for one in several.ready]))
    if locked:
        with st.container(gap="xxsmall"):
            layout.heading("What is locked", "by one at a time")
            st.markdown("\n".join(f"- {plain(line.replace(chr(34), ''))}" for line in locked))
    with st.expander("Exactly what will run", icon=":material/code:"):
        st.code("\n\n".join(one.plan.sql for one in several.ready[:SHOWN]), language="sql", wrap_lines=True)
        st.caption("The same from the command line, one by one")
        st.code("\n".join(one.plan.command for one in several.ready[:SHOWN]), language="bash", wrap_lines=True)
    st.segmented_control("If one fails", list(Then), key=keys.THEN, required=True, format_func=str)
    st.text_input("Reason", key=keys.REASON, placeholder="Kept in the journal beside your name; may be left empty")
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Cancel", key="cancel_several", on_click=_dismiss)
        st.button(
            _title(several),
            key="confirm_several",
            type="primary",
            icon=buttons.ICON[several.operation],
            on_click=acts.attempt(lambda: _confirm(several)),
        )


def _confirm(several: Several) -> None:
    """Has them done; a second click finds nothing to confirm any more."""
    if st.session_state.get(keys.SEVERAL) is not several:
        return
    access.require(several.operation)
    reason = str(st.session_state.get(keys.REASON, "")).strip()
    go_on = st.session_state.get(keys.THEN) is Then.GO_ON
    _dismiss()
    st.session_state.pop(keys.CHOSEN, None)
    acts.begin_in_order(InOrder(tuple(one.plan for one in several.ready), access.actor(), reason, go_on))


def _dismiss() -> None:
    st.session_state.pop(keys.SEVERAL, None)


def draw_progress(several: InOrder) -> None:
    """How far several are that were asked for together, in the bar; once they are over it stays until it is closed."""
    number, verb, who = len(several.plans), several.plans[0].operation.verb, plain(several.actor.name)
    said = f":material/checklist: {verb}, asked for together by {who}: "
    if not several.over:
        failed = f", {len(several.failed)} not done" if several.failed else ""
        st.caption(f"{said}{several.begun} of {number} begun, one after the other{failed}")
        return
    left = f", {several.left} not begun" if several.left else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(width="stretch", gap=None):
            st.caption(f"{said}{several.begun - len(several.failed)} of {number} done{left}")
            for why in several.failed[:3]:
                st.caption(f":material/error: {plain(why)}")
        st.button(
            "Close",
            key=f"close_together_{id(several)}",
            type="tertiary",
            icon=":material/close:",
            on_click=_close,
            args=(several,),
        )


def _close(several: InOrder) -> None:
    together = database.opened().in_order
    if several in together:
        together.remove(several)
    st.session_state[keys.ACTED] = True


def button(
    label: str, operation: Operation, wanted: Callable[[], Sequence[tuple[str, Make]]], *, key: str, command: str = ""
) -> None:
    """A button that opens the dialog."""
    buttons.button(
        label,
        lambda: ask(operation, wanted()),
        operation=operation,
        key=key,
        icon=buttons.ICON[operation],
        command=command,
    )
