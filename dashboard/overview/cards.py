"""The four figures of the Overview: runway, size, what is due, what is archived."""

from __future__ import annotations

from datetime import time

import streamlit as st

from core.doctor.findings import Severity
from core.growth.history import sparkline
from core.growth.series import clean
from core.period import Width
from core.tables.bounds import spoken_end
from core.tables.catalog.highest import counts_on
from core.tables.coverage import NEVER, PACE_UNKNOWN, covered_until, runway, spoken_runway
from core.tables.ends import End
from core.tables.key import local_moment
from core.tables.retention import due
from core.tables.table import PartitionedTable
from core.text import human_bytes, human_time, plural
from dashboard import layout
from dashboard.format import plain, short
from dashboard.lifecycle import lines
from dashboard.partitions.items import Status
from dashboard.state import clock, database, reads

MIB = 1024**2
_RUNS_OUT = ("current_period", "next_period")
"""The checks that tell how long there is a place for new rows."""


def draw(table: PartitionedTable) -> None:
    """Runway, size, due and archived."""
    zone = clock.zone()
    left = runway(table, clock.now(), zone)
    until = covered_until(table, clock.now(), zone)
    overdue = due(table, clock.cutoff(), clock.today(), zone)
    width = table.width(zone)
    exact = f"Exact, read on {human_time(table.as_of)}."
    unread = sum(p.size is None for p in table.partitions)
    with st.grid(4, gap="small", min_column_width=170):
        if table.key is not None and table.key.clock is None:
            _ids(table, soon=_is_short())
        else:
            layout.card(
                "Runway",
                "unlimited" if left == NEVER else spoken_runway(left),
                "today has no partition" if not left else f"until {_said(until)}" if until else "open-ended",
                colour="red" if _is_short() else "gray",
                help="Days until a date has no partition: from then on, writing it fails.",
            )
        layout.card(
            "In the table",
            human_bytes(sum(p.size.total for p in table.partitions if p.size)),
            f"without {plural(unread, 'busy one')}" if unread else plural(len(table.partitions), "partition"),
            help=f"Rows, indexes and large values of all attached partitions, on disk. {exact}",
            line=_so_far(),
        )
        layout.card(
            "Due for archive",
            plural(len(overdue), _counted(width)) if overdue else "none",
            f"oldest {short(overdue[0].bounds, overdue[0].name, zone)},"
            f" {human_bytes(sum(p.size.total for p in overdue if p.size))}"
            if overdue
            else "nothing to do",
            colour="orange" if overdue else "gray",
            help=f"Partitions that ended more than {database.desk().settings.archive_after} ago. {exact}",
        )
        layout.card(
            "Archived",
            human_bytes(sum(a.size.total for a in table.archived if a.size)) if table.archived else "none",
            _proof_note(table),
            help=f"Detached tables, on the server and out of the table's queries. {exact} A backup is verified once it"
            " was restored elsewhere and every row compared.",
        )


def _ids(table: PartitionedTable, *, soon: bool) -> None:
    """How many ids have a place, where the key counts; else that nothing tells."""
    means = "Ids that have a partition above the highest in use: beyond them, writing fails."
    ids = reads.ids_left()
    if ids is None:
        key = table.key if table.key is not None and counts_on(table.key) else None
        why = "its key tells no time" if key is None else "highest id not known"
        told = "" if key is None else f" An index that begins with {plain(key.name)}, or an ANALYZE, tells it."
        layout.card("Runway", "not known", why, help=means + told)
        return
    counted = "unlimited" if ids.count is None else plural(ids.count, "id")
    lasting = ids.lasting if ids.count is not None else ""
    layout.card(
        "Runway",
        lasting or counted,
        counted if lasting else f"above {plain(_grouped(ids.highest.text))}",
        colour="red" if soon else "gray",
        help=f"{means} {plain(ids.said)}{f' {PACE_UNKNOWN}' if ids.runway is None else ''}",
    )


def _is_short() -> bool:
    """Whether it ends so soon that a line below says so, with what to do."""
    return any(one.check in _RUNS_OUT and one.severity.rank >= Severity.WARNING.rank for one in reads.findings())


def _grouped(number: str) -> str:
    return f"{int(number):,}" if number.lstrip("-").isdecimal() else number


def _said(until: End) -> str:
    """Until when, as short as it can be said."""
    local = local_moment(until, clock.zone())
    if local is not None and local.time() != time() and local.date() == clock.today():
        return f"{local:%H:%M} today"
    return spoken_end(until, clock.zone())


def _counted(width: Width | None) -> str:
    """What one partition is: a year, where each is one; else a partition."""
    return width.noun if width is not None and width.unit[0] == 1 else "partition"


def _so_far() -> list[float]:
    """The same in MiB by day, as sampled; nothing where it was not."""
    history = reads.history()
    if history is None:
        return []
    found = sparkline(clean(history.days, history.attached / MIB, today=clock.today()))
    return [round(float(value), 2) for value in found.values]


def _proof_note(table: PartitionedTable) -> str:
    """How many of the archived tables a verified backup holds."""
    number = len(table.archived)
    if not number:
        return "nothing yet"
    lives, read = lines.read(table)
    if read is None or read.kept is None:
        return f"{plural(number, 'table')}, backups not read"
    verified = sum(life.status is Status.VERIFIED for life in lives)
    return f"{verified or 'none'} of {number:,} verified"
