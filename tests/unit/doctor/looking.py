"""Examines a table as tests do."""

from __future__ import annotations

from datetime import date
from typing import Any

from core.doctor.examine import examine
from core.doctor.findings import Case, Finding
from core.tables.table import PartitionedTable
from tests.unit.factories import (
    NOW,
    TODAY,
    partition,
)

YEARS = (partition(2025), partition(2026), partition(2027))


def look(of: PartitionedTable, **circumstances: Any) -> tuple[Finding, ...]:
    """`examine` on 20 October 2026, with what ended by 20 October 2023 due."""
    given: dict[str, Any] = {"today": TODAY, "now": NOW, "cutoff": date(2023, 10, 20), "automatic_creation": True}
    return examine(Case(of, **{**given, **circumstances}))


def findings(check: str, of: PartitionedTable, **circumstances: Any) -> tuple[Finding, ...]:
    return tuple(finding for finding in look(of, **circumstances) if finding.check == check)


def only(check: str, of: PartitionedTable, **circumstances: Any) -> Finding:
    """The one finding of that check."""
    found = findings(check, of, **circumstances)
    assert len(found) == 1, found
    return found[0]
