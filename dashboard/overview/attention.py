"""What needs attention now, each with its reason and its one button."""

from __future__ import annotations

from functools import partial

from core.doctor.findings import Finding, Severity
from core.tables.table import PartitionedTable
from core.text import plural
from dashboard import layout
from dashboard.dialog import buttons
from dashboard.format import deed, plain
from dashboard.operations import failed
from dashboard.state import reads

SHOWN_FINDINGS = 6
ICONS = {
    Severity.CRITICAL: (":material/error:", "red"),
    Severity.WARNING: (":material/warning:", "orange"),
    Severity.NOTE: (":material/info:", "blue"),
}


def draw(found: tuple[Finding, ...], table: PartitionedTable) -> None:
    """What needs attention, each line with its reason and its one button; then how much is right."""
    layout.heading("Needs attention")
    for failure in reads.failures(table.address):
        if failure.answer is None:
            failed.line(failure)
    for request in reads.requests():
        if request.plan.table == table.address:
            layout.line(
                f":orange[:material/group:] **{plain(deed(request.plan))} waits for approval**",
                f"{request.record.actor} asked for it. Another admin can approve it.",
                lambda: layout.link("activity", "Look at it", ":material/arrow_forward:"),
            )
    wanting = [one for one in found if one.severity is not Severity.OK and one.operation is None]
    for number, finding in enumerate(wanting[:SHOWN_FINDINGS]):
        icon, colour = ICONS[finding.severity]
        layout.line(
            f":{colour}[{icon}] **{plain(finding.title)}**",
            finding.reason,
            partial(_remedy, number, finding),
        )
    more = len(wanting) - SHOWN_FINDINGS
    right = len(found) - len(wanting)
    layout.line(
        f":green[:material/check_circle:] {plural(right, 'check')} passed" if right else "",
        "",
        lambda: layout.link("doctor", f"{more} more" if more > 0 else "See all checks", ":material/stethoscope:"),
    )


def _remedy(number: int, finding: Finding) -> None:
    """The button of a finding, or where its remedy is told."""
    if not buttons.remedy(finding, key=f"fix_{number}", primary=number == 0):
        layout.link("doctor", "What to do", ":material/arrow_forward:")
