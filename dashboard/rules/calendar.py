"""The next twelve months by rules: in each month what would be done, and what that moves and frees."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import streamlit as st

from core.plans.archive import ARCHIVE
from core.plans.backup import BACKUP
from core.plans.drop import DROP
from core.plans.ensure import ENSURE
from core.plans.operation import Operation
from core.plans.verify import VERIFY
from core.rules.calendar import Planned
from core.rules.due import Act
from core.text import human_bytes, plural, spanned
from dashboard import layout

_VERBS: dict[Operation, str] = {
    ENSURE: "create",
    ARCHIVE: "archive",
    BACKUP: "back up",
    VERIFY: "verify",
    DROP: "drop",
}


def draw(found: tuple[Planned, ...]) -> None:
    """A line a month, and above them the sum."""
    layout.heading("The next twelve months", summed(found))
    for month, some in groupby(found, key=lambda planned: (planned.day.year, planned.day.month)):
        acts = list(some)
        layout.line(f"**{acts[0].day:%B} {month[0]}**", told(planned.act for planned in acts))
    if not found:
        st.caption("Nothing would be done: everything is as these rules want it, all year.")


def summed(found: tuple[Planned, ...]) -> str:
    """How much would be done in all."""
    moved, freed = sum(one.act.moves for one in found), sum(one.act.frees for one in found)
    parts = [plural(len(found), "act")]
    if moved:
        parts.append(f"{human_bytes(moved)} leave the table for the archive")
    if freed:
        parts.append(f"{human_bytes(freed)} are freed on the server")
    return ", ".join(parts)


def told(acts: Iterable[Act]) -> str:
    """What is done in a month, by kind, and the bytes of it."""
    every = list(acts)
    parts = []
    for operation, verb in _VERBS.items():
        of_kind = [act.subject for act in every if act.operation is operation]
        if of_kind:
            parts.append(f"{verb} {spanned(of_kind)}")
    moved, freed = sum(act.moves for act in every), sum(act.frees for act in every)
    parts += [f"{human_bytes(moved)} leave the table"] if moved else []
    parts += [f"{human_bytes(freed)} are freed"] if freed else []
    return " · ".join(parts)
