"""Doctor: every check, green or not, with its reason and its remedy; and where the rows of a date are."""

from __future__ import annotations

import json
from collections import Counter

import streamlit as st

from core.doctor.findings import FEW, Finding, Severity, as_json, kinds
from core.tables.table import PartitionedTable
from core.text import plural
from dashboard import layout
from dashboard.dialog import buttons
from dashboard.doctor.alarms import alarms
from dashboard.doctor.find import find_my_data
from dashboard.format import plain
from dashboard.operations import failed
from dashboard.state import current, keys, reads

BADGES = {
    Severity.CRITICAL: ("Fails now", ":material/error:", "red"),
    Severity.WARNING: ("Needs care", ":material/warning:", "orange"),
    Severity.NOTE: ("Good to know", ":material/info:", "blue"),
}


FOLDED = 6
"""So many lines of a remedy are shown; one more is no reason to fold it."""


def card(number: int, finding: Finding) -> None:
    """One finding that is not green: its reason, and its remedy as a button or in exact words."""
    failure = next((one for one in reads.failures() if one.record.id == finding.operation), None)
    if failure is not None and failure.answer is None:
        with st.container(border=True, gap="small"):
            failed.line(failure)
        return
    word, icon, colour = BADGES[finding.severity]
    helped = finding.fix is not None or finding.wants is not None
    with st.container(border=True, gap="small"):
        layout.line(
            f":{colour}-badge[{icon} {word}] **{plain(finding.title)}**",
            finding.reason,
            (lambda: remedy_button(number, finding)) if helped else None,
        )
        if finding.fix is None and finding.hint:
            _what_to_do(number, finding)
        if finding.subject:
            layout.link(
                "partitions",
                finding.subject,
                ":material/arrow_forward:",
                **{keys.PARTITION_PARAMETER: finding.subject},
            )


def _what_to_do(number: int, finding: Finding) -> None:
    """Its remedy in exact words, folded where it is long; all of it is a file."""
    lines, language = finding.hint.splitlines(), _language(finding.hint)
    more = len(lines) - FOLDED if len(lines) > FOLDED + 1 else 0
    shown = "\n".join(lines[:FOLDED]) if more else finding.hint
    st.caption("What to do" + (f", the first {FOLDED} of {len(lines):,} lines" if more else ""))
    st.code(shown, language=language, wrap_lines=True)
    if not more:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "All of it",
            f"{finding.hint}\n",
            file_name=f"{finding.check}.{'sql' if language else 'txt'}",
            mime="text/plain",
            icon=":material/download:",
            key=f"remedy_{number}",
            on_click="ignore",
        )
        st.caption(f"{more:,} more lines")


def take_away(table: PartitionedTable, found: tuple[Finding, ...]) -> None:
    """A file with every finding and every line of what to do, however many there are."""
    st.download_button(
        "All findings (JSON)",
        lambda: json.dumps([as_json(finding) for finding in found], indent=2, ensure_ascii=False),
        file_name="doctor.json",
        mime="application/json",
        icon=":material/download:",
        key="all_findings",
        on_click="ignore",
        help=f"Every finding of {table.label} with all of its SQL; on the command line: partitions doctor --json",
    )


def remedy_button(number: int, finding: Finding) -> None:
    """What puts a finding right, or begins to."""
    buttons.remedy(finding, key=f"doctor_{number}")


def _language(hint: str) -> str | None:
    first = hint.partition("\n")[0]
    return "sql" if hint.endswith(";") and (first.startswith("--") or first.endswith(";")) else None


def main() -> None:
    """The page."""
    table, found = current.table(), reads.findings()
    faults = [finding for finding in found if finding.severity is not Severity.OK]
    fine = [finding for finding in found if finding.severity is Severity.OK]
    counts = Counter(finding.severity for finding in found)
    urgent = counts[Severity.CRITICAL] + counts[Severity.WARNING]
    unchecked = table.not_served is not None or table.key is None
    right = "Not checked" if unchecked else "Nothing is wrong"
    layout.header(
        f"{plural(urgent, 'thing')} to look after" if urgent else right,
        f"**{plain(table.label)}** · {plural(len(found), 'check')}: {counts[Severity.CRITICAL] or 'none'} failing now,"
        f" {counts[Severity.WARNING] or 'none'} that need care, {counts[Severity.NOTE] or 'none'} good to know,"
        f" {len(fine)} fine",
    )
    find_my_data(table)
    number = 0
    for some in kinds(faults):
        for finding in some[:FEW]:
            card(number, finding)
            number += 1
        if len(some) > FEW:
            st.caption(f":material/more_horiz: {len(some) - FEW:,} more of this kind are in the file below")
    if faults:
        take_away(table, found)
    with (
        st.expander(f"{plural(len(fine), 'check')} found right", icon=":material/check_circle:", expanded=not faults),
        st.container(gap="small"),
    ):
        for finding in fine:
            layout.line(f":green[:material/check:] {plain(finding.title)}", finding.reason)
    alarms()


main()
