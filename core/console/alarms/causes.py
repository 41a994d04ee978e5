"""What there is to be told of: findings of the Doctor, open failures of the journal, and growth's outlook.

Each says itself how severe it is; nothing is judged anew here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from core.console.alarms.message import Alarm
from core.console.failures import Failure, failures, findings
from core.console.journal import OperationRecord
from core.doctor.findings import FEW, Finding, Severity
from core.errors import ConnectionFailed, DeskError
from core.postgres.own_tables import read_hidden
from core.tables.commands import option
from core.text import human_time

if TYPE_CHECKING:
    from core.console.desk import Desk
    from core.growth.read import Growth

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "current_period": "runway",
        "next_period": "runway",
        "gaps": "runway",
        "detach_pending": "detach pending",
        "proven": "backup",
        "unusable_backups": "backup",
        "planned_drops": "planned drop",
        "default_partition": "default",
        "maintained": "maintenance",
    }
)
"""The checks of the Doctor that people are told of where they are, and what the alarm is called."""
_OF_THE_PLACE = "backup"
_TELLS_ITS_REASON = ("runway", "detach pending", "default", "maintenance")
"""Whose reason is of this program's words alone; a backup's may quote what lies in its place."""
FAILED, LIMIT = "failed act", "limit"
LIMIT_AHEAD = timedelta(days=90)
"""A limit that is expected to be passed so soon is told of."""


@dataclass(slots=True)
class Look:
    """What was found, and what could not be looked at, of which nobody is told that it is over."""

    alarms: list[Alarm] = field(default_factory=list)
    unknown: set[tuple[str, str]] = field(default_factory=set)
    """(kind, table); an empty kind is each of that table."""
    why: list[str] = field(default_factory=list)

    def knows(self, kind: str, table: str) -> bool:
        """Whether a cause that was not found is over."""
        return not {(kind, table), ("", table), (kind, "")} & self.unknown

    def miss(self, kind: str, table: str, error: DeskError) -> None:
        """Notes what could not be looked at, and why."""
        self.unknown.add((kind, table))
        self.why.append(str(error))


def look(desk: Desk) -> Look:
    """Everything that is to be told of this database, whatever its severity. Raises ConnectionFailed."""
    found = Look()
    hidden = read_hidden(desk.reading)
    if hidden is not None:
        found.miss(FAILED, "", hidden)
    for one in desk.tables():
        try:
            _look_at(desk, one.address, found)
        except ConnectionFailed:
            raise
        except DeskError as error:
            found.miss("", one.address, error)
    if desk.settings.storage_limit is not None:
        try:
            found.alarms += _of_growth(_growth(desk))
        except ConnectionFailed:
            raise
        except DeskError as error:
            found.miss(LIMIT, "", error)
    return found


def _look_at(desk: Desk, address: str, found: Look) -> None:
    table = desk.read(address)
    backups = desk.backups(table.address, table.server)
    if backups.unread is not None:
        found.miss(_OF_THE_PLACE, address, backups.unread)
    if table.not_served is None:
        examined = desk.examine(table, backups)
        found.unknown |= {(CHECKS[one.check], address) for one in examined if one.unread and one.check in CHECKS}
        found.alarms += of_findings(address, examined)
    found.alarms += of_failures(address, failures(desk, address))


def of_findings(table: str, examined: Iterable[Finding]) -> Iterator[Alarm]:
    """One alarm for each kind, of the findings that are not right, most severe first."""
    kinds: dict[str, list[Finding]] = {}
    for finding in examined:
        if finding.check in CHECKS and finding.severity is not Severity.OK:
            kinds.setdefault(CHECKS[finding.check], []).append(finding)
    for kind, some in kinds.items():
        worst, *others = sorted(some, key=lambda one: -one.severity.rank)
        reason = (worst.reason,) if worst.reason and kind in _TELLS_ITS_REASON else ()
        yield Alarm(
            kind,
            table,
            worst.severity,
            worst.title,
            (*reason, *_more([one.title for one in others])),
            tuple(f"{one.check} {one.subject} {one.severity}" for one in some),
            f"partitions doctor {option('--table', table)}",
        )


def _more(titles: list[str]) -> Iterator[str]:
    yield from (f"{title}." for title in titles[: FEW - 1])
    if len(titles) >= FEW:
        yield f"And {len(titles) - FEW + 1:,} more of this kind."


def of_failures(table: str, found: Iterable[Failure]) -> Iterator[Alarm]:
    """One alarm for the acts that failed or were interrupted and wait for somebody, as the journal has it."""
    waiting = [one for one in found if one.answer is None and one.record.sealed is not False]
    if waiting:
        first, *others = (_failed(one.record) for one in waiting)
        yield Alarm(
            FAILED,
            table,
            max((one.severity for one in findings(waiting)), key=lambda severity: severity.rank),
            first,
            (*_more(others), "Why, in the journal: the page Activity."),
            tuple(f"{one.record.kind} {one.record.subject}" for one in waiting),
            f"partitions history {option('--table', table)}",
        )


_KINDS = {
    "LockNotObtained": "no lock was to be had in time",
    "PlanOutdated": "the table was changed meanwhile",
    "StorageFailed": "the place of the backups failed",
    "BackupDamaged": "the backup is damaged",
    "Unprovable": "the backup can't be proven here",
    "ConnectionFailed": "the server was gone",
}


def _failed(operation: OperationRecord) -> str:
    """What did not happen, and why in words of this program: the server's may hold what stands in a row."""
    why = _KINDS.get(operation.error_kind, "")
    state = operation.sqlstate if re.fullmatch("[0-9A-Z]{5}", operation.sqlstate) else ""
    said = "; ".join(part for part in (why, state and f"SQLSTATE {state}") if part)
    at = human_time(operation.finished_at or operation.requested_at)
    did = f"{operation.plan.operation.verb} {operation.subject}".strip()
    return f"{did} {operation.state} on {at}{f': {said}' if said else ''}"


def _growth(desk: Desk) -> Growth:
    from core.growth.outlook import Retention  # what reckons is loaded where there is a limit

    kept, _ = desk.database_backups()
    settings = desk.settings
    retention = Retention(settings.archive_after)
    return desk.growth(None, retention=retention, kept=kept, prices=None, limit=settings.storage_limit)


def _of_growth(growth: Growth) -> Iterator[Alarm]:
    """CRITICAL where the limit is passed, WARNING where it is expected to be soon."""
    from core.growth.words import limit_words, reached

    passing = growth.passing_kept
    over = growth.limit is not None and growth.server >= growth.limit
    soon = passing is not None and passing.expected is not None and passing.expected <= growth.today + LIMIT_AHEAD
    if over or soon:
        said = reached(growth, 365) or limit_words(growth).rstrip(".")
        severity = Severity.CRITICAL if over else Severity.WARNING
        yield Alarm(LIMIT, "", severity, said[0].upper() + said[1:], command="partitions growth --all")
