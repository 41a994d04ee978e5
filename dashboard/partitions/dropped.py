"""What was dropped, when, by whom, and the backup that brings it back: from the journal and the place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import streamlit as st

from core.console.journal import OperationRecord, OperationState
from core.console.search import Sought
from core.plans.drop import DROP
from core.tables.table import PartitionedTable
from core.text import human_bytes, plural, spreadsheet_text
from dashboard.lifecycle import lines
from dashboard.lifecycle.periods import Lifecycle
from dashboard.partitions.items import Status
from dashboard.state import keys, reads

MOST = 1000
"""So many drops are looked for in the journal."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """One that was dropped, as far as journal and place tell."""

    period: str
    name: str
    record: OperationRecord | None
    """Its drop; None where another console did it, or the journal was lost."""
    life: Lifecycle | None
    """What lies in the place of it; None where nothing does any more, or the place was not read."""


def draw(table: PartitionedTable) -> None:
    """An option, where anything was dropped; chosen, a table of it below the other."""
    if table.not_served is not None:
        return
    lives, read = lines.read(table)
    found = tuple(dropped(table, lives))
    if not found or not st.toggle(f"Dropped, too: {len(found):,}", key=keys.PARTITION_DROPPED):
        return
    known = read is not None and read.kept is not None
    st.dataframe(
        _frame(found, known=known).map(spreadsheet_text),
        hide_index=True,
        placeholder="-",
        alt="What was dropped, when, by whom, and the backup that brings it back",
        column_config={
            "Period": st.column_config.TextColumn(pinned=True),
            "Dropped, UTC": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm:ss", timezone="UTC"),
            "Rows": st.column_config.NumberColumn(format="localized", help="As its backup counted them"),
        },
    )
    gone = sum(one.life is None for one in found)
    if gone and known:
        st.caption(f":material/cloud_off: {plural(gone, 'partition')} without a backup in the place any more.")


def dropped(table: PartitionedTable, lives: tuple[Lifecycle, ...]) -> Iterator[Dropped]:
    """What was dropped and is not there again, newest first: what the place holds alone, and what the journal tells."""
    sought = Sought(table=table.address, acts=(DROP.name,), states=(OperationState.DONE,))
    drops = {one.plan.backup: one for one in reversed(reads.found(sought, limit=MOST, skip=0))}
    for life in reversed([life for life in lives if life.status is Status.DROPPED]):
        mine = [drops.pop(kept.backup.id, None) for kept in life.backups]
        yield Dropped(life.label, life.name, next((one for one in mine if one is not None), None), life)
    held = {kept.backup.id for life in lives for kept in life.backups}
    for backup, record in reversed(drops.items()):
        if backup not in held and not table.named(record.subject):
            yield Dropped("", record.subject, record, None)


def _frame(found: tuple[Dropped, ...], *, known: bool) -> pd.DataFrame:
    kept = [one.life.best.backup if one.life is not None and one.life.best is not None else None for one in found]
    none = "none in the place" if known else "the place was not read"
    return pd.DataFrame(
        {
            "Period": [one.period or one.name for one in found],
            "Table": [one.name for one in found],
            "Dropped, UTC": [_when(one.record) for one in found],
            "By": [one.record.actor if one.record is not None else None for one in found],
            "Reason": [one.record.reason if one.record is not None else None for one in found],
            "Rows": [backup.rows if backup is not None else None for backup in kept],
            "In the place": [human_bytes(one.life.in_place) if one.life is not None else none for one in found],
            "Backup": [
                backup.id if backup is not None else one.record.plan.backup if one.record is not None else None
                for one, backup in zip(found, kept, strict=True)
            ],
        }
    )


def _when(record: OperationRecord | None) -> datetime | None:
    return (record.finished_at or record.requested_at) if record is not None else None
