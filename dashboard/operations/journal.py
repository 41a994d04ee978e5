"""The journal as a table: what of it is shown, which the address bar says, and one operation of it selected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import pandas as pd
import streamlit as st

from core.console.journal import OperationRecord, OperationState
from core.console.search import Choices, Sought, act
from dashboard import selection
from dashboard.operations import files
from dashboard.state import current, keys, reads

STATES = {
    OperationState.QUEUED: "Queued",
    OperationState.RUNNING: "Running",
    OperationState.DONE: "Done",
    OperationState.FAILED: "Failed",
    OperationState.CANCELLED: "Stopped",
    OperationState.INTERRUPTED: "Interrupted",
}
CHIPS = dict(zip(STATES.values(), ("gray", "blue", "green", "red", "orange", "red"), strict=True))
THIS, ALL = "this table", "all tables"
PAGE = 200
"""So many operations are listed at once."""


def sought(choices: Choices) -> Sought:
    """What the filters ask for."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            "Text",
            key=keys.WORDS,
            placeholder="in name, reason, outcome, SQL",
            max_chars=200,
            width=210,
            bind="query-params",
        )
        kinds = _several(keys.KINDS, "What", "everything", choices.acts)
        ends = _several(keys.ENDS, "Outcome", "any", STATES.values())
        people = _several(keys.ACTORS, "Who", "anybody", choices.people) if choices.people else []
        here = current.address()
        others = [table for table in choices.tables if table != here]
        of = st.selectbox("Of", [THIS, ALL, *others], key=keys.OF, width=210, bind="query-params") or THIS
        since = _day(keys.SINCE, "From", "The first day on which it was asked for, in UTC.")
        until = _day(keys.TILL, "To", "The last day on which it was asked for, in UTC.")
    return Sought(
        table={THIS: here, ALL: ""}.get(of, of),
        acts=tuple(kinds),
        states=tuple(state for state, word in STATES.items() if word in ends),
        people=tuple(people),
        since=since,
        until=until,
        text=(words or "").strip(),
    )


def _several(key: str, label: str, everything: str, values: Iterable[str]) -> list[str]:
    options = list(dict.fromkeys((*values, *st.session_state.get(key, ()))))
    return st.multiselect(label, options, placeholder=everything, width=160, key=key, bind="query-params")


def _day(key: str, label: str, help: str) -> date | None:
    found = st.date_input(label, None, key=key, format="YYYY-MM-DD", width=140, help=help, bind="query-params")
    return found if isinstance(found, date) else None


def listed(sought: Sought, found: int, number: int | None) -> None:
    """A page of what the filters leave, the way to the others, and the files of all of it."""
    place = st.container()
    page = 1
    with st.container(horizontal=True, vertical_alignment="center"):
        if found > PAGE:
            # each list has its own place in it, so that what is filtered anew begins with its first page
            page = st.pagination(-(-found // PAGE), key=f"journal_page_{hash(sought)}")
            st.caption(f"{(page - 1) * PAGE + 1:,} to {min(page * PAGE, found):,} of {found:,}", width="content")
        if found:
            files.listed(sought, found)
    with place:
        _draw(reads.found(sought, limit=PAGE, skip=(page - 1) * PAGE), number)


def _draw(shown: Sequence[OperationRecord], number: int | None) -> None:
    """Some of it; selecting a row puts its number into the address bar, and that number selects its row."""
    numbers = [operation.id for operation in shown]
    row = numbers.index(number) if number in numbers else None
    frame = pd.DataFrame(
        {
            "No.": numbers,
            "Asked for, UTC": [o.requested_at for o in shown],
            "What": [act(o) for o in shown],
            "On": [o.subject for o in shown],
            "Outcome": [[STATES[o.state]] for o in shown],
            "Took": [o.seconds for o in shown],
            "Who": [f"{o.actor} (unsealed)" if o.told else o.actor for o in shown],
            "Reason": [o.reason for o in shown],
            "From": [o.origin for o in shown],
            "Table": [o.table for o in shown],
        }
    )
    selection.table(
        frame,
        [str(one) for one in numbers],
        row,
        parameter=keys.OPERATION_PARAMETER,
        alt="The operations, newest first",
        columns={
            "Asked for, UTC": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm:ss", timezone="UTC"),
            "Outcome": st.column_config.MultiselectColumn(options=list(CHIPS), color=list(CHIPS.values()), width=110),
            "Took": st.column_config.NumberColumn(format="%.2f s"),
        },
    )
