"""What needs attention: now, later, or not from here as it waits; each line with its reason and its one button."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import streamlit as st

from core.console.failures import Failure
from core.doctor.findings import Finding, Severity, kinds
from core.tables.table import PartitionedTable
from core.text import human_time, plural
from dashboard import layout
from dashboard.dialog import buttons
from dashboard.format import deed, plain
from dashboard.operations import failed, outcome
from dashboard.state import reads

SHOWN = 5
"""How many lines of a group are shown."""
TOGETHER = 3
"""From so many findings of one kind on they are told in one line."""
WAITS = ("planned_drops", "holds")
"""The checks whose notes are of what was decided and has its time."""
ICONS = {
    Severity.CRITICAL: (":material/error:", "red"),
    Severity.WARNING: (":material/warning:", "orange"),
    Severity.NOTE: (":material/info:", "blue"),
}


class Group(StrEnum):
    """When a thing is to be done."""

    NOW = "Do now"
    LATER = "Later"
    WAITING = "Waiting"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that needs attention."""

    group: Group
    draw: Callable[[bool], None]
    """Draws it; with True its button stands out."""


def draw(found: tuple[Finding, ...], table: PartitionedTable) -> None:
    """What needs attention, in its groups; then how much is right."""
    layout.heading("Needs attention")
    lines = list(_lines(found, table))
    for group in Group:
        some = [line for line in lines if line.group is group]
        if not some:
            continue
        st.markdown(f":gray[**{group}**]")
        for number, line in enumerate(some[:SHOWN]):
            line.draw(group is Group.NOW and number == 0)
        if len(some) > SHOWN:
            layout.link("doctor", f"{len(some) - SHOWN:,} more to {group.lower()}", ":material/more_horiz:")
    right = sum(finding.severity is Severity.OK for finding in found)
    unchecked = table.not_served is not None or table.key is None
    layout.line(
        ":gray[:material/help:] Not checked: this table is only shown here"
        if unchecked
        else f":green[:material/check_circle:] {plural(right, 'check')} passed",
        "",
        lambda: layout.link("doctor", "See all checks", ":material/stethoscope:"),
    )


def _lines(found: tuple[Finding, ...], table: PartitionedTable) -> Iterator[Line]:
    for failure in reads.failures(table.address):
        if failure.answer is None:
            yield Line(Group.NOW, partial(_failed, failure))
        else:
            yield Line(Group.WAITING, partial(_acknowledged, failure))
    for request in reads.requests():
        if request.plan.table == table.address:
            words = f":orange[:material/group:] **{plain(deed(request.plan))} waits for approval**"
            reason = (
                f"{request.record.actor} asked for it. Another admin can approve it until {human_time(request.until)}."
            )
            yield Line(Group.WAITING, partial(_request, words, reason))
    wanting = [one for one in found if one.severity is not Severity.OK and one.operation is None]
    for number, some in enumerate(kinds(wanting)):
        if len(some) >= TOGETHER:
            yield Line(_group(some[0]), partial(_several, some))
            continue
        for place, finding in enumerate(some):
            yield Line(_group(finding), partial(_finding, f"fix_{number}_{place}", finding))


def _group(finding: Finding) -> Group:
    if finding.severity.rank >= Severity.WARNING.rank:
        return Group.NOW
    return Group.WAITING if finding.check in WAITS else Group.LATER


def _failed(failure: Failure, _first: bool) -> None:
    failed.line(failure)


def _acknowledged(failure: Failure, _first: bool) -> None:
    record = failure.record
    layout.line(
        f":blue[:material/done_all:] **{outcome.title(record)}: {record.state}**, acknowledged",
        failed.acknowledged(record),
        lambda: layout.link("activity", "Look at it", ":material/arrow_forward:", operation=str(record.id)),
    )


def _request(words: str, reason: str, _first: bool) -> None:
    layout.line(words, reason, lambda: layout.link("activity", "Look at it", ":material/arrow_forward:"))


def _finding(key: str, finding: Finding, first: bool) -> None:
    icon, colour = ICONS[finding.severity]
    layout.line(
        f":{colour}[{icon}] **{plain(finding.title)}**",
        finding.reason,
        partial(_remedy, key, finding, first),
    )


def _several(some: tuple[Finding, ...], _first: bool) -> None:
    """The findings of one kind in one line."""
    icon, colour = ICONS[some[0].severity]
    layout.line(
        f":{colour}[{icon}] **{plain(some[0].title)}**, and {len(some) - 1:,} more like it",
        some[0].reason,
        lambda: layout.link("doctor", f"See all {len(some):,}", ":material/arrow_forward:"),
    )


def _remedy(key: str, finding: Finding, first: bool) -> None:
    """The button of a finding, or where its remedy is told."""
    if not buttons.remedy(finding, key=key, primary=first):
        layout.link("doctor", "What to do", ":material/arrow_forward:")
