"""What a check says: findings, the case that is examined, and the words that the checks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from core.errors import Refused
from core.period import Period, period_of
from core.plans.ensure import Cell
from core.plans.operation import Operation
from core.plans.plan import Plan
from core.plans.proof import Kept, Unreadable
from core.rules.run import Upkeep
from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.coverage import IdsLeft, key_at
from core.tables.cut import Cut
from core.tables.ends import End
from core.tables.equipment import Equipped
from core.tables.key import Key
from core.tables.move import Move
from core.tables.partition import Partition
from core.tables.powers import Powers
from core.tables.table import PartitionedTable
from core.text import Json, human_date


class Severity(StrEnum):
    """How much a finding matters, least first."""

    OK = "ok"
    """Looked at and found right."""
    NOTE = "note"
    """Worth knowing; nothing breaks."""
    WARNING = "warning"
    """Something will break, or is slower or laxer than it should be."""
    CRITICAL = "critical"
    """Something fails now."""

    @property
    def rank(self) -> int:
        """0 for OK up to 3."""
        return tuple(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says about one thing."""

    check: str
    """The check's stable name."""
    severity: Severity
    title: str
    """A sentence for a reader who knows no SQL."""
    reason: str = ""
    """Why it matters."""
    fix: Plan | None = None
    hint: str = ""
    """The exact words to do by hand, where there is no plan."""
    subject: str = ""
    """The name of the partition or archived table it is about."""
    act: str = ""
    """What the button of the fix says."""
    wants: Operation | None = None
    """What a button may do about the subject, where the plan takes more than the catalog: SCHEDULE calls a planned
    drop off, HOLD lifts a hold, DRAIN moves rows out of the DEFAULT."""
    backup: str = ""
    """The id of the backup that is wanted to be verified."""
    operation: int | None = None
    """The number of the operation that it is about, which failed."""
    unread: bool = False
    """Whether it could not be looked at just now: it is neither right nor wrong."""


@dataclass(frozen=True, slots=True)
class AlarmsSent:
    """Where people are told of what is wrong, and how that goes."""

    places: tuple[str, ...]
    """Where they are told, without what is secret of it; none where nothing says."""
    failing: tuple[str, ...] = ()
    """Why a message did not arrive, a sentence for each target that took none."""
    looked_at: datetime | None = None
    """When it was last looked whether there is anything to be told of; None for never."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is examined, and the circumstances that the catalog doesn't know."""

    table: PartitionedTable
    today: date
    now: datetime
    cutoff: date
    """Partitions wholly before it are due for archive."""
    automatic_creation: bool
    equipped: tuple[Equipped, ...] | None = ()
    """What each partition has of its own; None where that could not be read."""
    ids: IdsLeft | None = None
    """How many ids have a place above the highest in use, where the key counts and that is known."""
    default_rows: int | None = None
    """How many rows the DEFAULT partition holds in all; None where nobody counted."""
    default_held: Callable[[Bounds], int] = field(default=lambda _bounds: 0, compare=False)
    """How many rows of a range the DEFAULT partition holds, asked only where it holds any."""
    zone: str = "UTC"
    verify_before: date = date.min
    """A backup that was not proven since is told of."""
    backups: tuple[Kept, ...] | None = ()
    """The backups of this table; None where their place could not be read."""
    unusable: tuple[Unreadable, ...] = ()
    backups_unread: str = ""
    """Why the place could not be read."""
    powers: Powers | None = None
    """What the roles of the server may; None where that is not asked, as on the server that comes with the console."""
    journal_unmade_for: tuple[str, ...] = ()
    """The publications for whose subscribers' sake the console's own tables are not made by the first act."""
    journal_sent_by: tuple[str, ...] = ()
    """The publications that send the console's own tables."""
    move: Move | None = None
    """The move of rows between its partitions that was begun and not finished."""
    alarms: AlarmsSent = AlarmsSent(())
    upkeep: Upkeep | None = None
    """How it stands with the rules of the database; None where that is not known."""

    _calls: dict[int, str] = field(default_factory=dict, compare=False, repr=False)

    def called(self, one: Partition | Archived) -> str:
        """What means this one and no other of the table; of all of them at once, as there may be thousands."""
        if not self._calls:
            self._calls.update(self.table.calls())
        return self._calls[one.oid]

    @property
    def key(self) -> Key:
        """The table's key; what has none is not examined."""
        if self.table.key is None:
            raise ValueError(f"{self.table.label} has no key that could be examined.")
        return self.table.key

    @property
    def cut(self) -> Cut | None:
        """The grid of the table's partitions; None where they tell none."""
        found = self.table.cut(self.zone)
        return found if isinstance(found, Cut) else None

    @property
    def moment(self) -> End:
        """The key of a row of this very moment."""
        return key_at(self.key, self.now, self.zone)


def spoken_period(wanted: Cell) -> str:
    """A period for people: 2027, quarter 1 of 2027, January 2027, one date, or the first and the last of it."""
    if any(local.time() != time() for local in wanted):
        return f"{human_date(wanted[0].date())} {wanted[0]:%H:%M} to {wanted[1]:%H:%M}"
    lower, upper = (local.date() for local in wanted)
    period = period_of(lower, upper)
    if period is Period.YEAR:
        return f"{lower.year}"
    if period is Period.QUARTER:
        return f"quarter {(lower.month + 2) // 3} of {lower.year}"
    if period is Period.MONTH:
        return f"{lower:%B} {lower.year}"
    if period is Period.DAY:
        return human_date(lower)
    return f"{human_date(lower)} to {human_date(upper - timedelta(days=1))}"


FEW = 5
"""How many findings of one kind are shown, and have their plan; every one is in `doctor --json`."""
MOST_LINES = 15
"""How many lines of a hint are shown."""


def kinds(findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], ...]:
    """The findings of each check and severity together, in their order, for whoever shows a FEW of each."""
    found: dict[tuple[str, Severity], list[Finding]] = {}
    for finding in findings:
        found.setdefault((finding.check, finding.severity), []).append(finding)
    return tuple(tuple(some) for some in found.values())


def first_lines(hint: str) -> tuple[str, int]:
    """The lines of a hint that are shown, and how many it has more."""
    lines = hint.splitlines()
    if len(lines) <= MOST_LINES:
        return hint, 0
    shown = lines[: 2 * FEW + 1]
    return "\n".join(shown), len(lines) - len(shown)


def as_json(finding: Finding) -> Json:
    """All of a finding."""
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "subject": finding.subject,
        "title": finding.title,
        "reason": finding.reason,
        "hint": finding.hint,
        "command": finding.fix.command if finding.fix else None,
        "sql": finding.fix.sql if finding.fix else None,
    }


def script(*statements: str) -> str:
    """Statements as lines for psql."""
    return "\n".join(f"{statement};" for statement in statements)


def one_line(name: str) -> str:
    """A name in a comment of SQL, which ends with its line."""
    return " ".join(name.splitlines())


def gently(*statements: str) -> str:
    """Statements that happen together or not at all, and hold nobody up for long by waiting for a lock."""
    return script("BEGIN", "SET LOCAL lock_timeout = '2s'", *statements, "COMMIT")


def planned(finding: Finding, act: str, build: Callable[[], Plan]) -> Finding:
    """The finding with its plan, or, where the builder refuses, with its reason and its words."""
    try:
        plan = build()
    except Refused as refusal:
        return replace(finding, reason=f"{finding.reason} {refusal.what}".strip(), hint=refusal.next or refusal.what)
    return replace(finding, fix=plan, act=act)


def archive_fine(case: Case, check: str, title: str) -> Finding:
    """The OK of a check of archived tables, where `{}` in the title stands for them."""
    number = len(case.table.archived)
    if not number:
        return Finding(check, Severity.OK, f"Nothing is archived from {case.table.label} yet")
    tables = "the one archived table" if number == 1 else f"the {number:,} archived tables"
    return Finding(check, Severity.OK, title.format(tables))
