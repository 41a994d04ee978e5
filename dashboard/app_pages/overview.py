"""Overview: is everything in place, and what needs doing now?"""

from __future__ import annotations

import streamlit as st

from core.bounds import day_of
from core.doctor import Finding, Severity
from core.model import UNLIMITED, PartitionedTable, covered_until, due, runway_days
from core.text import human_bytes, human_date, plural
from dashboard import charts, confirm, notices, session
from dashboard.format import items, plain, verdict

SHOWN_FINDINGS = 6
ICONS = {
    Severity.CRITICAL: (":material/error:", "red"),
    Severity.WARNING: (":material/warning:", "orange"),
    Severity.NOTE: (":material/info:", "blue"),
}


def cards(table: PartitionedTable) -> None:
    """Runway, size, due and archived."""
    runway = runway_days(table, session.today(), session.zone())
    until = covered_until(table, session.today(), session.zone())
    size = sum(p.size.total for p in table.partitions if p.size)
    overdue = due(table, session.cutoff(), session.zone())
    archived = sum(a.size.total for a in table.archived if a.size)
    with st.grid(4, gap="small", min_column_width=190):
        st.metric(
            "Runway",
            "unlimited" if runway >= UNLIMITED else plural(runway, "day"),
            f"until {human_date(day_of(until))}" if until else "open-ended",
            delta_color="red" if runway < 31 else "gray",
            delta_arrow="off",
            border=True,
            help="Days until a date has no partition: from then on, writing it fails.",
        )
        st.metric(
            "In the table",
            human_bytes(size),
            plural(len(table.partitions), "partition"),
            delta_color="gray",
            delta_arrow="off",
            border=True,
            help="Rows, indexes and large values of all attached partitions, on disk.",
        )
        st.metric(
            "Due for archive",
            plural(len(overdue), table.period().value),
            f"would move {human_bytes(sum(p.size.total for p in overdue if p.size))}" if overdue else "nothing to do",
            delta_color="orange" if overdue else "gray",
            delta_arrow="off",
            border=True,
            help=f"Partitions that ended more than {session.desk().settings.archive_after} ago.",
        )
        st.metric(
            "Archived",
            human_bytes(archived),
            plural(len(table.archived), "table"),
            delta_color="gray",
            delta_arrow="off",
            border=True,
            help=f"Detached tables in the schema {table.archive.name}: on the server, out of the table's queries.",
        )


def attention(found: tuple[Finding, ...]) -> None:
    """What needs attention, each line with its reason and its one button; then how much is right."""
    st.markdown("**Needs attention**")
    wanting = [finding for finding in found if finding.severity is not Severity.OK]
    for number, finding in enumerate(wanting[:SHOWN_FINDINGS]):
        icon, colour = ICONS[finding.severity]
        words, act = st.columns([4, 1.4], vertical_alignment="center")
        words.markdown(f":{colour}[{icon}] **{plain(finding.title)}**")
        if finding.reason:
            words.caption(plain(finding.reason))
        with act:
            if finding.fix is not None:
                fix = finding.fix
                confirm.button(finding.act or "Review", lambda fix=fix: confirm.run(fix), key=f"fix_{number}")
            else:
                st.page_link("app_pages/doctor.py", label="What to do", icon=":material/stethoscope:")
    right = len(found) - len(wanting)
    if len(wanting) > SHOWN_FINDINGS:
        st.page_link("app_pages/doctor.py", label=f"{len(wanting) - SHOWN_FINDINGS} more", icon=":material/more_horiz:")
    st.markdown(f":green[:material/check_circle:] {plural(right, 'check')} passed")
    st.page_link("app_pages/doctor.py", label="See all checks", icon=":material/stethoscope:")


def main() -> None:
    """The page."""
    table = session.table()
    title, when = st.columns([4, 1], vertical_alignment="center")
    title.title(verdict(table, session.today(), session.zone()), anchor=False)
    with when:
        notices.read_at()
    shown = items(table, session.today(), session.cutoff(), session.zone())
    if table.not_served is not None or table.key is None:
        st.info(f"This table is only shown here: {plain(table.not_served or '')}.", icon=":material/visibility:")
    else:
        attached, archived = len(table.partitions), len(table.archived)
        st.caption(
            f"{plural(attached, 'partition')} of **{plain(table.label)}** by {table.period().value} on"
            f" *{plain(table.key.column)}* · {attached} attached · {archived} archived ·"
            f" {sum(item.state.name == 'MISSING' for item in shown) or 'none'} missing"
        )
    cards(table)
    chart = charts.coverage(shown, session.today())
    with st.container(border=True):
        st.markdown("**Coverage** — which dates have a partition, and where it is")
        if chart is None:
            st.caption("No partition has a range of dates yet.")
        else:
            st.altair_chart(chart, alt=verdict(table, session.today(), session.zone()))
    left, right = st.columns([3, 2])
    with left.container(border=True, height="stretch"):
        attention(session.findings())
    with right.container(border=True, height="stretch"):
        st.markdown("**Size of each partition**")
        if shown:
            with st.container(height=340, border=False):
                st.altair_chart(charts.sizes(shown), alt="Bytes of each partition: rows, indexes, large values")
        else:
            st.caption("There is no partition yet.")


main()
