"""The parts that every page is laid out with: its first row, cards, and lines with one act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, TypeVar

import streamlit as st

from core.tables.table import PartitionedTable
from core.text import human_time
from dashboard.format import clock_time, plain
from dashboard.state import current, keys, reads

Colour = Literal["gray", "orange", "red"]
T = TypeVar("T")
WORDS_WIDTH = 440
"""Pixels of the words of a line; where an act has no room beside them, as on a telephone, it goes below."""
ACT_WIDTH = 212
"""Pixels of a button at the end of a line, so that all of them are of one width."""


def header(title: str, counted: str = "", *, read: datetime | None = None) -> None:
    """The title, when the figures were read with a button that reads again, and below one line of what was counted.

    They are of the current table as it was read last; `read` is when they were where they are not.
    """
    with st.container(gap=None):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.title(title, anchor=False, width="stretch")
            read_at(read)
        if counted:
            st.caption(counted)


def read_at(read: datetime | None = None) -> None:
    """When the figures on the page were read."""
    table = current.last()
    stale = table is not None and current.is_stale()
    moment = table.as_of if table is not None and (stale or read is None) else read
    shown = table if table is not None and table.as_of == moment else None
    with st.container(horizontal=True, width="content", vertical_alignment="center", gap="xsmall", wrap=False):
        if moment is not None and stale:
            st.badge(
                f"busy since, read {clock_time(moment, st.context.timezone)}",
                icon=":material/lock_clock:",
                color="orange",
                help="Somebody holds the table exclusively, so it is shown as it was. It is read again by itself.",
            )
        elif moment is not None:
            words = f"Read on {human_time(moment)}."
            if shown is not None:
                sizes = "exact" if shown.is_measured else "those of the last vacuum"
                words += f" Sizes are {sizes}; rows are the planner's estimates."
            st.caption(f"read {clock_time(moment, st.context.timezone)}", width="content", help=words)
        st.button(
            "Read again",
            icon=":material/refresh:",
            key="refresh",
            on_click=reads.refresh,
            type="tertiary",
        )


def card(label: str, value: str, note: str, *, help: str, colour: Colour = "gray", line: Sequence[float] = ()) -> None:
    """One figure with a note below it, and below that a small line of how it came there."""
    st.metric(
        label,
        value,
        note,
        delta_color=colour,
        delta_arrow="off",
        border=True,
        height="stretch",
        help=help,
        chart_data=list(line) if len(line) > 2 else None,
        chart_type="area",
    )


def heading(title: str, words: str = "") -> None:
    """What a card on the page is about."""
    st.markdown(f"**{title}**{f' — {words}' if words else ''}")


def line(
    words: str, reason: str, act: Callable[[], None] | None = None, more: Callable[[], None] | None = None
) -> None:
    """A line with its reason below it and one act at its end; `words` is Markdown, `reason` is not.

    `more` draws what else can be done, after the act.
    """
    alone = act is None and more is None
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
        with st.container(width="stretch" if alone else WORDS_WIDTH, gap=None):
            st.markdown(words)
            if reason:
                st.caption(plain(reason))
        if alone:
            return
        with st.container(horizontal=True, vertical_alignment="center", width="content", gap="small"):
            if act is not None:
                with st.container(width=ACT_WIDTH):
                    act()
            if more is not None:
                with st.container(width="content"):
                    more()


def paged(found: Sequence[T], draw: Callable[[T], None], *, key: str, size: int) -> None:
    """So many of them, and below them the way to the rest."""
    pages, page = -(-len(found) // size), 1
    lines = st.container(gap="small")
    if pages > 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            page = st.pagination(pages, key=key)
            st.caption(f"{(page - 1) * size + 1:,} to {min(page * size, len(found)):,} of {len(found):,}")
    with lines:
        for one in found[(page - 1) * size : page * size]:
            draw(one)


def only_shown(table: PartitionedTable) -> None:
    """That a table is shown here and not acted on."""
    reason = table.not_served or "it has no key that is served"
    st.info(
        f"This table is only shown here: {plain(reason)}. {plain(table.limits)}".strip(),
        icon=":material/visibility:",
    )


PAGES = {
    "doctor": "app_pages/doctor.py",
    "partitions": "app_pages/partitions.py",
    "activity": "app_pages/activity.py",
    "growth": "app_pages/growth.py",
    "rules": "app_pages/rules.py",
    "operation": "app_pages/operation.py",
}


def link(page: str, label: str, icon: str, **parameters: str) -> None:
    """A link to another page about the same table; `label` is not Markdown."""
    st.page_link(
        PAGES[page],
        label=plain(label),
        icon=icon,
        query_params={keys.TABLE_PARAMETER: current.address(), **parameters},
    )
