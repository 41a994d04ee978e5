"""Overview: is everything in place, and what needs doing now?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from core.doctor.findings import Finding, Severity
from core.growth.history import sparkline
from core.growth.series import clean
from core.tables.bounds import day_of
from core.tables.model import UNLIMITED, PartitionedTable, covered_until, due, runway_days
from core.text import human_ago, human_bytes, human_date, human_time, plural
from dashboard import layout, notices
from dashboard.charts import partitions, stretches
from dashboard.dialog import confirm
from dashboard.format import Item, Shown, items, plain, verdict
from dashboard.road import backups, road
from dashboard.state import following, session

SHOWN_FINDINGS = 6
MIB = 1024**2
ICONS = {
    Severity.CRITICAL: (":material/error:", "red"),
    Severity.WARNING: (":material/warning:", "orange"),
    Severity.NOTE: (":material/info:", "blue"),
}


def counted(table: PartitionedTable, shown: tuple[Item, ...]) -> str:
    """One line of what there is."""
    missing = sum(item.state is Shown.MISSING for item in shown)
    unit = table.unit(session.zone())
    key = f"{f' by {unit.value}' if unit else ''} on *{plain(table.key.column)}*" if table.key else ""
    return (
        f"**{plain(table.label)}**{key} · {plural(len(table.partitions), 'partition')} attached ·"
        f" {len(table.archived) or 'none'} archived · {missing or 'none'} missing"
    )


def cards(table: PartitionedTable) -> None:
    """Runway, size, due and archived."""
    zone = session.zone()
    runway = runway_days(table, session.today(), zone)
    until = covered_until(table, session.today(), zone)
    overdue = due(table, session.cutoff(), session.today(), zone)
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
            line=so_far(),
        )
        layout.card(
            "Due for archive",
            plural(len(overdue), unit.value if (unit := table.unit(zone)) else "partition") if overdue else "none",
            f"would move {human_bytes(sum(p.size.total for p in overdue if p.size))}" if overdue else "nothing to do",
            colour="orange" if overdue else "gray",
            help=f"Partitions that ended more than {session.desk().settings.archive_after} ago. {exact}",
        )
        layout.card(
            "Archived",
            human_bytes(sum(a.size.total for a in table.archived if a.size)) if table.archived else "none",
            proof_note(table),
            help=f"Detached tables, on the server and out of the table's queries. {exact} A backup is verified once it"
            " was restored elsewhere and every row compared.",
        )


def so_far() -> list[float]:
    """The same in MiB by day, as sampled; nothing where it was not."""
    history = session.history()
    if history is None:
        return []
    found = sparkline(clean(history.days, history.attached / MIB, today=session.today()))
    return [round(float(value), 2) for value in found.values]


def proof_note(table: PartitionedTable) -> str:
    """How many of the archived tables a verified backup holds."""
    number = len(table.archived)
    if not number:
        return "nothing yet"
    legs, read = backups.read(table)
    if read is None or read.kept is None:
        return f"{plural(number, 'table')}, backups not read"
    verified = sum(leg.stop is road.Stop.VERIFIED for leg in legs)
    return f"{verified or 'none'} of {number:,} verified"


def attention(found: tuple[Finding, ...], table: PartitionedTable) -> None:
    """What needs attention, each line with its reason and its one button; then how much is right."""
    layout.heading("Needs attention")
    for operation in following.unsettled(session.operations(of_table=table.address), table)[:2]:
        ended = human_ago(operation.finished_at or operation.requested_at, session.now())
        layout.line(
            f":red[:material/error:] **{following.title(operation)}: {operation.state}**",
            f"{ended}. {operation.error}",
            partial(following.resume_button, operation, key=f"again_{operation.id}"),
        )
    wanting = [finding for finding in found if finding.severity is not Severity.OK]
    for number, finding in enumerate(wanting[:SHOWN_FINDINGS]):
        icon, colour = ICONS[finding.severity]
        layout.line(
            f":{colour}[{icon}] **{plain(finding.title)}**",
            finding.reason,
            partial(remedy, number, finding),
        )
    more = len(wanting) - SHOWN_FINDINGS
    right = len(found) - len(wanting)
    layout.line(
        f":green[:material/check_circle:] {plural(right, 'check')} passed" if right else "",
        "",
        lambda: layout.link("doctor", f"{more} more" if more > 0 else "See all checks", ":material/stethoscope:"),
    )


def remedy(number: int, finding: Finding) -> None:
    """The button of a finding, or where its remedy is told."""
    if not confirm.remedy(finding, key=f"fix_{number}", primary=number == 0):
        layout.link("doctor", "What to do", ":material/arrow_forward:")


def main() -> None:
    """The page."""
    table = session.table()
    today, zone = session.today(), session.zone()
    legs, _ = backups.read(table)
    dropped = road.elsewhere(legs)
    title = verdict(table, today, zone, dropped)
    shown = items(table, today, session.cutoff(), zone, dropped)
    layout.header(plain(title), counted(table, shown))
    if table.not_served is not None or table.key is None:
        layout.only_shown(table.not_served)
    else:
        cards(table)
    notices.pending(table)
    with st.container(border=True, gap="small"):
        layout.heading("Coverage", "which dates have a partition, and where it is")
        chart = partitions.coverage((*shown, *road.gone(legs, zone)), today)
        if chart is None:
            st.caption("No partition has a range of dates.")
        else:
            st.altair_chart(chart, theme=None, alt=title)
        if table.default is not None:
            st.caption(f"{plain(table.default.name)} is the DEFAULT partition: it takes what no other one does.")
    with st.grid(2, gap="small", min_column_width=330):
        with st.container(border=True, height="stretch"):
            attention(session.findings(), table)
        with st.container(border=True, height="stretch", gap="small"):
            how_large(shown)


def how_large(shown: tuple[Item, ...]) -> None:
    """The picture of the partitions' sizes."""
    layout.heading("Size of each partition")
    if not any(item.name for item in shown):
        st.caption("There is no partition yet.")
        return
    with st.container(height=340 if 12 < len(shown) <= stretches.LISTED else "content", border=False):
        chart = partitions.sizes(shown, session.today())
        st.altair_chart(chart, theme=None, alt="Bytes of each partition: rows, indexes, large values")
    layout.link("growth", "How it grows", ":material/trending_up:")


main()
