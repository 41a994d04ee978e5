"""The four figures of the Overview: runway, size, what is due, what is archived."""

from __future__ import annotations

import streamlit as st

from core.growth.history import sparkline
from core.growth.series import clean
from core.tables.coverage import UNLIMITED, covered_until, runway_days
from core.tables.key import day_of
from core.tables.retention import due
from core.tables.table import PartitionedTable
from core.text import human_bytes, human_date, human_time, plural
from dashboard import layout
from dashboard.lifecycle import lines
from dashboard.partitions.items import Status
from dashboard.state import clock, database, reads

MIB = 1024**2


def draw(table: PartitionedTable) -> None:
    """Runway, size, due and archived."""
    zone = clock.zone()
    runway = runway_days(table, clock.today(), zone)
    until = covered_until(table, clock.today(), zone)
    overdue = due(table, clock.cutoff(), clock.today(), zone)
    exact = f"Exact, read on {human_time(table.as_of)}."
    unread = sum(p.size is None for p in table.partitions)
    with st.grid(4, gap="small", min_column_width=170):
        layout.card(
            "Runway",
            "unlimited" if runway >= UNLIMITED else plural(runway, "day"),
            "today has no partition"
            if runway == 0
            else f"until {human_date(day_of(until))}"
            if until
            else "open-ended",
            colour="red" if runway < 31 else "gray",
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
            plural(len(overdue), unit.value if (unit := table.unit(zone)) else "partition") if overdue else "none",
            f"would move {human_bytes(sum(p.size.total for p in overdue if p.size))}" if overdue else "nothing to do",
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
