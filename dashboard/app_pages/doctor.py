"""Doctor: every check, green or not, with its reason and its remedy; and where the rows of a date are."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from core.doctor import Finding, Severity
from core.errors import DeskError
from core.find import Kind
from core.text import human_rows, plural
from dashboard import confirm, notices, session
from dashboard.format import plain

BADGES = {
    Severity.CRITICAL: ("Fails now", ":material/error:", "red"),
    Severity.WARNING: ("Needs care", ":material/warning:", "orange"),
    Severity.NOTE: ("Good to know", ":material/info:", "blue"),
    Severity.OK: ("Fine", ":material/check_circle:", "green"),
}
PLACES = {
    Kind.ATTACHED: ":material/check_circle:",
    Kind.DEFAULT: ":material/inbox:",
    Kind.DETACH_PENDING: ":material/pending:",
    Kind.ARCHIVED: ":material/archive:",
    Kind.NO_PARTITION: ":material/block:",
}


def find_my_data() -> None:
    """A date in, where its rows are out."""
    with st.container(border=True):
        st.markdown("**Find my data** — where are the rows of a date?")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            day = st.date_input(
                "Date", value=None, min_value="0001-01-01", max_value="9998-12-31", format="YYYY-MM-DD", width=220
            )
            kid = st.number_input(
                "Kid id (optional)",
                value=None,
                step=1,
                width=220,
                placeholder="all",
                help="Counts only this kid's rows",
            )
        if day is None:
            st.caption("Choose a date: attached, archived, without a partition, or out of all bounds is the answer.")
            return
        try:
            found = session.find(day, None if kid is None else int(kid))
        except DeskError as error:
            notices.show(error)
            return
        st.markdown(f"**{plain(found.verdict)}**")
        for place in found.places:
            rows = f"{human_rows(place.rows)} rows" if place.rows is not None else place.problem or "not counted"
            where = plain(place.relation) or "nowhere"
            st.markdown(f"{PLACES[place.kind]} {where} · {plain(rows)}")
            st.caption(plain(place.note))


def card(number: int, finding: Finding) -> None:
    """One finding that is not green."""
    word, icon, colour = BADGES[finding.severity]
    with st.container(border=True):
        words, act = st.columns([4, 1.2], vertical_alignment="center")
        words.markdown(f":{colour}-badge[{icon} {word}] **{plain(finding.title)}**")
        if finding.reason:
            words.caption(plain(finding.reason))
        if finding.fix is not None:
            fix = finding.fix
            with act:
                confirm.button(finding.act or "Review", lambda: confirm.run(fix), key=f"doctor_{number}")
        elif finding.hint:
            st.markdown("What to do")
            st.code(finding.hint, language=None, wrap_lines=True)
        if finding.subject:
            st.page_link(
                "app_pages/partitions.py",
                label=plain(finding.subject),
                icon=":material/arrow_forward:",
                query_params={
                    session.TABLE_PARAMETER: session.current_address(),
                    session.PARTITION_PARAMETER: finding.subject,
                },
            )


def main() -> None:
    """The page."""
    found = session.findings()
    faults = [finding for finding in found if finding.severity is not Severity.OK]
    fine = [finding for finding in found if finding.severity is Severity.OK]
    counts = Counter(finding.severity for finding in found)
    title, when = st.columns([4, 1], vertical_alignment="center")
    urgent = counts[Severity.CRITICAL] + counts[Severity.WARNING]
    title.title(f"{plural(urgent, 'thing')} to look after" if urgent else "Nothing is wrong", anchor=False)
    with when:
        notices.read_at()
    st.caption(
        f"{plural(len(found), 'check')}: {counts[Severity.CRITICAL]} failing now, {counts[Severity.WARNING]} that need"
        f" care, {counts[Severity.NOTE]} good to know, {len(fine)} fine"
    )
    find_my_data()
    for number, finding in enumerate(faults):
        card(number, finding)
    with st.expander(f"{plural(len(fine), 'check')} found right", icon=":material/check_circle:", expanded=not faults):
        for finding in fine:
            st.markdown(f":green[:material/check:] {plain(finding.title)}")
            if finding.reason:
                st.caption(plain(finding.reason))


main()
