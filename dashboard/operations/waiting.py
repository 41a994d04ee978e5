"""What waits for a second person: who asked for what, until when, and the buttons of who may approve or decline it."""

from __future__ import annotations

from functools import partial

import streamlit as st

from core.console.approval import Request
from core.text import human_time
from dashboard import layout
from dashboard.dialog import ask, buttons
from dashboard.format import deed, plain
from dashboard.state import access, acts, reads


def draw(*, of_table: str | None = None) -> None:
    """Every request, a line each; those of one table, or all."""
    for one in reads.requests():
        if of_table is not None and one.plan.table != of_table:
            continue
        with st.container(border=True, gap="small"):
            layout.line(
                f":orange-badge[:material/group: waits for approval] **{plain(deed(one.plan))}**",
                f"{one.record.actor} asked for it{f': {one.record.reason}' if one.record.reason else ''}."
                f" Another admin can approve it until {human_time(one.until)}.",
                partial(_approve, one),
                partial(_decline, one),
            )


def _approve(one: Request) -> None:
    own = one.is_of(access.actor().name)
    buttons.button(
        "Review approval",
        lambda: ask.approval(one.record.id),
        operation=one.plan.operation,
        key=f"approve_{one.record.id}",
        icon=":material/how_to_reg:",
        command=f"partitions approve {one.record.id}",
        closed="You have asked for it: another admin approves it." if own else None,
    )


def _decline(one: Request) -> None:
    buttons.button(
        "Decline",
        lambda: acts.decline(one.record.id),
        operation=one.plan.operation,
        key=f"decline_{one.record.id}",
        command=f"partitions approve {one.record.id} --decline",
    )
