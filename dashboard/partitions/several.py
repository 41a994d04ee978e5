"""Several partitions that are selected: what they weigh together, and what can be done with all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from core.plans.archive import ARCHIVE
from core.plans.backup import BACKUP, BackUp
from core.plans.proof import Kept
from core.plans.split import MERGE
from core.plans.verify import VERIFY, Verify
from core.tables.archived import Archived
from core.tables.commands import option, twin
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import human_bytes, plural
from dashboard import layout
from dashboard.dialog import ask, buttons, many
from dashboard.lifecycle import lines
from dashboard.state import acts, keys


def chosen(table: PartitionedTable) -> tuple[Partition | Archived, ...]:
    """The partitions and archived tables that are selected together, as far as each name means one."""
    names = st.session_state.get(keys.CHOSEN, ())
    found = [table.named(name) for name in names]
    return tuple(one[0] for one in found if len(one) == 1)


def draw(table: PartitionedTable, some: Sequence[Partition | Archived]) -> None:
    """A card of those that are selected, with one button for each act."""
    size = sum(one.size.total for one in some if one.size)
    calls = table.calls()
    attached = [one for one in some if isinstance(one, Partition)]
    lives, _ = lines.read(table)
    oids = {one.oid for one in some}
    unproven = [life.best for life in lives if life.one is not None and life.one.oid in oids and life.best is not None]
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            layout.heading(f"{plural(len(some), 'partition')} selected", f"{human_bytes(size)} together")
            st.button("Select none", key="select_none", icon=":material/deselect:", type="tertiary", on_click=_none)
        with st.container(horizontal=True):
            if attached:
                many.button(
                    f"Archive {len(attached)}",
                    ARCHIVE,
                    lambda: [(calls[one.oid], acts.archiving(calls[one.oid])) for one in attached],
                    key="archive_several",
                )
            if len(attached) > 1:
                _merge(table, attached)
            many.button(
                f"Back up {len(some)}",
                BACKUP,
                lambda: [(calls[one.oid], partial(BackUp, partition=calls[one.oid])) for one in some],
                key="backup_several",
            )
            if unproven:
                many.button(
                    f"Verify {len(unproven)}",
                    VERIFY,
                    lambda: [(kept.backup.name, partial(_verify, kept)) for kept in unproven],
                    key="verify_several",
                )


def _merge(table: PartitionedTable, attached: Sequence[Partition]) -> None:
    """The button that makes one partition of those that are selected and attached; what lies apart is told."""
    names = tuple(table.called(one) for one in attached)
    buttons.button(
        f"Merge {len(names)}",
        lambda: ask.merge(names),
        operation=MERGE,
        key="merge_several",
        icon=buttons.ICON[MERGE],
        command=twin("merge", table, "", *(option("--partition", name) for name in names)),
    )


def _none() -> None:
    st.session_state[keys.CHOSEN] = []


def _verify(kept: Kept, _: PartitionedTable) -> Verify:
    return Verify(kept)
