"""Found from every page: the rows of a date, and by some of its name a page, a table, a partition or an act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from itertools import islice

import streamlit as st
from streamlit.navigation.page import Page

from core.errors import DeskError
from core.plans.archive import ARCHIVE
from core.plans.drop import DROP
from core.plans.operation import Operation
from core.plans.reattach import REATTACH
from core.tables.archived import Archived
from core.tables.table import PartitionedTable
from core.text import human_date, plural
from dashboard import layout
from dashboard.dialog import ask
from dashboard.format import parse_day, plain, short
from dashboard.state import access, acts, clock, current, database, keys

MOST = 10
"""So many are offered at once; who types more of the name is offered the right ones."""
SHORTCUT = "Ctrl+K"

# A dialog is opened with the focus on itself, and no input of Streamlit's asks for it: it is put into the dialog's.
_type_at_once = st.components.v2.component(
    "partition_desk_type_at_once",
    js="""
export default function ({ parentElement }) {
  const dialog = parentElement.closest("[role=dialog]")
  if (dialog && document.activeElement === dialog) dialog.querySelector("input").focus()
}
""",
    isolate_styles=False,
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where one can go."""

    label: str
    icon: str
    go: Callable[[], None]
    """A callback of a button: it says which page is next, or opens the dialog of an act. Raises DeskError."""


@dataclass(frozen=True, slots=True)
class _Named:
    """A partition or an archived table, by all that it is called."""

    called: str
    label: str
    words: str
    archived: bool


def box() -> None:
    """The box in the sidebar, and the key that opens the same over the page."""
    st.text_input(
        "Find my data",
        key=keys.FINDING,
        placeholder="date, partition, table",
        icon=":material/search:",
        on_change=_typed,
        help="A date, such as 2025-03-14, tells where its rows are. Some of a name leads to a page, a table, a"
        f" partition or an act on one; so does {SHORTCUT}.",
    )
    st.button(
        "Go to",
        key="go_to",
        icon=":material/arrow_forward:",
        type="tertiary",
        shortcut=SHORTCUT,
        on_click=_open,
        help="A page, a table, a partition or an act, by some of its name",
    )


def _typed() -> None:
    text = str(st.session_state.get(keys.FINDING) or "").strip()
    st.session_state[keys.FINDING] = ""
    day = parse_day(text)
    if day is not None and _tells_dates():
        _find(day)
    elif text:
        _open(text)


def _open(text: str = "") -> None:
    st.session_state[keys.GOING_TO] = text
    st.session_state[keys.GO_TO_TEXT] = text


def open_if_asked(pages: Sequence[Page]) -> None:
    """Draws the dialog while somebody looks for where to go; `pages` are those of the menu."""
    if keys.GOING_TO in st.session_state:
        st.dialog("Go to", on_dismiss=_close)(_body)(pages)


def go_on(drawn: Page) -> None:
    """Turns to the page that was chosen, before `drawn` is."""
    chosen = st.session_state.pop(keys.NEXT_PAGE, None)
    if chosen is None:
        return
    page, parameters = chosen
    if page == layout.PAGES["doctor"] and drawn.url_path == "doctor":
        return  # where the input is drawn already, it alone may say what the address bar has of it
    st.switch_page(page, query_params={keys.TABLE_PARAMETER: current.address(), **parameters})


def _close() -> None:
    st.session_state.pop(keys.GOING_TO, None)


def _body(pages: Sequence[Page]) -> None:
    if keys.GOING_TO not in st.session_state:
        st.rerun()
    typed = st.text_input(
        "A date, or some of the name of a page, table, partition or act",
        key=keys.GO_TO_TEXT,
        placeholder="such as 2025-03-14, archive 2021, growth",
        live=True,
    )
    shown = list(islice(matching(targets(typed or "", pages), typed or ""), MOST + 1))
    with st.container(gap=None):
        for number, target in enumerate(shown[:MOST]):
            label, act = plain(target.label), partial(_choose, target)
            st.button(label, key=f"target_{number}", icon=target.icon, type="tertiary", on_click=act)
    if len(shown) > MOST:
        st.caption(f"The first {MOST} are shown: type more of the name.")
    elif not shown:
        st.caption("Nothing here is called so.")
    else:
        st.caption(f"{plural(len(shown), 'place')} to go to. Tab moves to them, Enter goes there.")
    _type_at_once(height=1)


def _choose(target: Target) -> None:
    _close()
    acts.attempt(target.go)()


def matching(found: Iterable[tuple[str, Target]], typed: str) -> Iterator[Target]:
    """Those in whose words everything stands that was typed."""
    parts = typed.casefold().split()
    return (target for words, target in found if all(part in words for part in parts))


def targets(typed: str, pages: Sequence[Page]) -> Iterator[tuple[str, Target]]:
    """All that there is, each with the words that it is found by: dates, pages, tables, partitions, acts."""
    day = parse_day(typed)
    if day is not None and _tells_dates():
        yield (
            typed.strip().casefold(),
            Target(f"Where the rows of {human_date(day)} are", ":material/search:", partial(_find, day)),
        )
    for place in pages:
        yield place.title.casefold(), Target(place.title, place.icon, partial(_turn_to, place))
    yield from _tables()
    try:
        table = current.table()
    except DeskError:
        return
    named = _named((database.url(), table.oid, table.as_of, clock.zone()), table)
    for one in named:
        page = partial(_turn_to, layout.PAGES["partitions"], **{keys.PARTITION_PARAMETER: one.called})
        yield one.words, Target(one.label, ":material/view_list:", page)
    if table.not_served is None:
        yield from _acts(named)


def _tables() -> Iterator[tuple[str, Target]]:
    for summary in database.tables():
        label = f"Table {summary.label}"
        yield label.casefold(), Target(label, ":material/table:", partial(current.choose, summary.address))


def _acts(named: Iterable[_Named]) -> Iterator[tuple[str, Target]]:
    offered: dict[bool, list[tuple[Operation, str, Callable[[str], None]]]] = {
        False: [(ARCHIVE, ":material/archive:", ask.archive)],
        True: [(REATTACH, ":material/unarchive:", ask.reattach), (DROP, ":material/delete_forever:", ask.drop)],
    }
    may = {
        archived: [
            one
            for one in some
            if access.closed_reason(one[0]) is None and (one[0] is not DROP or access.no_drop_reason() is None)
        ]
        for archived, some in offered.items()
    }
    for one in named:
        for operation, icon, opens in may[one.archived]:
            label = f"{operation.verb} {one.label}"
            yield f"{operation.verb.casefold()} {one.words}", Target(label, icon, partial(opens, one.called))


@st.cache_resource(ttl=60, show_spinner=False, max_entries=20)
def _named(of: tuple[str, int, datetime, str], _table: PartitionedTable) -> tuple[_Named, ...]:
    """Of one reading of a table, newest first."""
    calls = _table.calls()
    found = []
    for one in reversed(_table.everything):
        called, period = calls[one.oid], short(one.bounds, one.name, of[-1])
        label = called if period in called else f"{period} · {called}"
        found.append(_Named(called, label, f"{label} {one.schema}".casefold(), isinstance(one, Archived)))
    return tuple(found)


def _tells_dates() -> bool:
    """Whether the rows of a date can be looked for in the current table."""
    try:
        table = current.table()
    except DeskError:
        return False
    return table.key is not None and table.key.clock is not None and table.not_served is None


def _find(day: date) -> None:
    st.session_state[keys.DATE] = str(day)
    _turn_to(layout.PAGES["doctor"], date=str(day))


def _turn_to(page: Page | str, **parameters: str) -> None:
    st.session_state[keys.NEXT_PAGE] = (page, parameters)
