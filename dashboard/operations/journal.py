"""The journal as a table: filtered, and one operation of it selected, which the address bar names."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.console.journal import OperationRecord, OperationState
from core.plans.drop import SCHEDULE
from dashboard import selection
from dashboard.state import current, kept, keys

WORDS = {
    OperationState.QUEUED: "Queued",
    OperationState.RUNNING: "Running",
    OperationState.DONE: "Done",
    OperationState.FAILED: "Failed",
    OperationState.CANCELLED: "Stopped",
    OperationState.INTERRUPTED: "Interrupted",
}
CHIPS = dict(zip(WORDS.values(), ("gray", "blue", "green", "red", "orange", "red"), strict=True))


def what(operation: OperationRecord) -> str:
    """What it does, in a word or two: a planned drop and its calling off are one operation with two ends."""
    if operation.plan.operation is SCHEDULE and operation.plan.steps:
        return "plan a drop" if operation.plan.backup else "keep"
    return operation.kind


def filtered(operations: Sequence[OperationRecord]) -> list[OperationRecord]:
    """The operations that the filters leave."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kinds = _choice(keys.KINDS, "What", "everything", [what(o) for o in operations])
        ends = _choice(keys.ENDS, "Outcome", "any", [WORDS[o.state] for o in operations])
        actors = _choice(keys.ACTORS, "Who", "anybody", [o.actor for o in operations])
        everywhere = st.toggle("All tables", key=keys.ALL_TABLES)
    here = current.address()
    return [
        o
        for o in operations
        if (not kinds or what(o) in kinds)
        and (not ends or WORDS[o.state] in ends)
        and (not actors or o.actor in actors)
        and (everywhere or o.table == here)
    ]


def _choice(key: str, label: str, everything: str, values: Sequence[str]) -> list[str]:
    options = sorted(set(values))
    kept.within(key, options)
    return st.multiselect(label, options, placeholder=everything, width=200, key=key)


def draw(shown: Sequence[OperationRecord], number: int | None) -> None:
    """The journal; selecting a row puts its number into the address bar, and that number selects its row."""
    numbers = [operation.id for operation in shown]
    row = numbers.index(number) if number in numbers else None
    frame = pd.DataFrame(
        {
            "No.": numbers,
            "Asked for, UTC": [o.requested_at for o in shown],
            "What": [what(o) for o in shown],
            "On": [o.subject for o in shown],
            "Outcome": [[WORDS[o.state]] for o in shown],
            "Took": [o.seconds for o in shown],
            "Who": [f"{o.actor} (unsealed)" if o.told else o.actor for o in shown],
            "From": [o.origin for o in shown],
            "Reason": [o.reason for o in shown],
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
