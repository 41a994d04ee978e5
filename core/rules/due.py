"""What the rules of a table want done at a moment, in order and with the reason, and what they hold back and why.

Pure: the calendar of a page, a dry run and `partitions maintain` ask the same function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from core.errors import OffCalendar
from core.period import Duration
from core.plans.archive import ARCHIVE
from core.plans.backup import BACKUP
from core.plans.drop import DROP, choose
from core.plans.ensure import ENSURE, grid_for, next_cells
from core.plans.operation import Operation
from core.plans.proof import Kept
from core.plans.verify import VERIFY
from core.rules.value import Bytes, Newest, Rules
from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.coverage import frontier, is_covered
from core.tables.ends import End
from core.tables.key import key_value
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import Kind
from core.text import human_bytes, human_date, human_time, plural, spanned


@dataclass(frozen=True, slots=True)
class Copy:
    """A backup, as far as rules ask: what it is of, and what is known of it."""

    backup: str
    """Its id."""
    name: str
    """Of the table that it was made of."""
    of: int | None
    """The archived table that it is of as that is now; None where there is none any more."""
    proven: datetime | None = None
    tried: datetime | None = None
    """When it was last tried to prove it, with whatever result."""
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that is to be done now."""

    operation: Operation
    subject: str
    """What it acts on, for people."""
    why: str
    oid: int | None = None
    """The partition or archived table; None for creation, and for the proof of a backup whose table was dropped."""
    backup: str = ""
    """The id of the backup that it rests on or proves."""
    frees: int = 0
    """Bytes that leave the server by it."""
    moves: int = 0
    """Bytes that leave the table by it."""
    makes: tuple[Bounds, ...] = ()
    """The ranges that get a partition by it."""

    @property
    def key(self) -> tuple[str, str]:
        """Tells it from any other act on the same table."""
        return self.operation.name, self.backup or (str(self.oid) if self.oid is not None else self.subject)


@dataclass(frozen=True, slots=True)
class HeldBack:
    """One thing that a rule wants and that is not done now."""

    operation: Operation
    subject: str
    why: str
    wrong: bool = False
    """Whether it needs somebody; else its time comes by itself."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done on one table, in order, and what is not."""

    acts: tuple[Act, ...] = ()
    held: tuple[HeldBack, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """When, and what the table alone does not tell."""

    now: datetime
    zone: str = "UTC"
    copies: tuple[Copy, ...] | None = ()
    """None where the place of the backups can't be read."""
    done: int = 0
    """Acts since the window opened, or since midnight: creation is not counted."""
    may_drop: bool = True
    outside: bool = False
    """Whether the window is passed over, because somebody said so."""
    failed: frozenset[tuple[str, str]] = field(default=frozenset())
    """Acts, by key, that were tried in this run and failed."""

    @property
    def today(self) -> date:
        """The date in `zone`."""
        return self.now.astimezone(ZoneInfo(self.zone)).date()


def copies_of(table: PartitionedTable, every: Iterable[Kept]) -> tuple[Copy, ...]:
    """The newest backup of each archived table, and of each that was dropped since."""
    mine = [kept for kept in every if kept.backup.is_from(table.server.database, table.server.cluster)]
    found: dict[str, Copy] = {}
    for archived in table.archived:
        best = choose(every, table, archived)
        if best is not None:
            found[best.backup.id] = _copy(best, archived.oid)
    held = {(one.name, one.bounds.text) for one in table.everything if one.bounds is not None}
    newest: dict[tuple[str, str], Kept] = {}
    for kept in sorted(mine, key=lambda kept: (kept.backup.finished_at, kept.backup.id)):
        backup = kept.backup
        if backup.parent == table.address and (backup.name, backup.bounds) not in held:
            newest[backup.name, backup.bounds] = kept
    for kept in newest.values():
        found.setdefault(kept.backup.id, _copy(kept, None))
    return tuple(found.values())


def _copy(kept: Kept, oid: int | None) -> Copy:
    tried = datetime.fromisoformat(kept.proofs[-1].at) if kept.proofs else None
    return Copy(kept.backup.id, kept.backup.name, oid, kept.proven_at, tried, kept.damaged is not None)


def due(rules: Rules, table: PartitionedTable, at: Moment) -> Due:
    """What the rules want done now, creation first, then from the oldest on; and what is held back, with the reason."""
    made, unmade = _creation(rules, table, at)
    wanted, held = _upkeep(rules, table, at)
    wanted = [act for act in wanted if act.key not in at.failed]
    closed = _closed(rules, at)
    room = len(wanted) if rules.at_most is None else max(0, rules.at_most - at.done)
    if closed:
        held += [HeldBack(act.operation, act.subject, closed) for act in wanted]
        wanted = []
    elif len(wanted) > room:
        later = f"{plural(rules.at_most or 0, 'act')} a {'night' if rules.window else 'day'} at most"
        held += [HeldBack(act.operation, act.subject, later) for act in wanted[room:]]
        wanted = wanted[:room]
    made = [act for act in made if act.key not in at.failed]
    return Due((*made, *wanted), (*unmade, *held))


def _closed(rules: Rules, at: Moment) -> str:
    """Why nothing but creation is begun at that moment; empty where it may be."""
    if rules.window is None or at.outside or rules.window.is_open(at.now):
        return ""
    return f"outside of its window, {rules.window}"


def counted_since(rules: Rules, at: Moment) -> datetime:
    """From when on acts count for `at_most`: since the window opened, else since midnight."""
    if rules.window is not None:
        return rules.window.opened(at.now)
    local = at.now.astimezone(ZoneInfo(at.zone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _creation(rules: Rules, table: PartitionedTable, at: Moment) -> tuple[list[Act], list[HeldBack]]:
    """One act for all that is missing: the present partition and those ahead."""
    if rules.ahead is None:
        return [], []
    try:
        cut = grid_for(table, rules.every, zone=at.zone, today=at.today)
        cells = next_cells(table, cut, at.now, rules.ahead, at.zone)
    except OffCalendar as error:
        return [], [HeldBack(ENSURE, table.label, str(error.what), wrong=True)]
    lacking = [cell for cell in cells if not is_covered(cut.bounds(*cell), (p.bounds for p in table.ranges))]
    if not lacking:
        return [], []
    labels = [cut.width.label(lower) for lower, _ in lacking]
    made = tuple(cut.bounds(*cell) for cell in lacking)
    return [Act(ENSURE, spanned(labels), f"{rules.ahead} ahead are to be there", makes=made)], []


def _upkeep(rules: Rules, table: PartitionedTable, at: Moment) -> tuple[list[Act], list[HeldBack]]:
    acts: list[Act] = []
    held: list[HeldBack] = []
    for each in (_archive(rules, table, at), _copied(rules, table, at), _dropped(rules, table, at)):
        for one in each:
            if isinstance(one, Act):
                acts.append(one)
            else:
                held.append(one)
    return acts, held


# Archive ----------------------------------------------------------------------------------------------------------


def _archive(rules: Rules, table: PartitionedTable, at: Moment) -> Iterator[Act | HeldBack]:
    if rules.archive_after is None:
        return
    for half in (p for p in table.archived if p.tag is not None and p.schema != table.archive.name):
        yield Act(ARCHIVE, table.called(half), "its archive was cut short", half.oid)
    old, why = _old(rules, table, at)
    if table.pending is not None:
        old = (table.pending, *(one for one in old if one is not table.pending))
    if isinstance(why, HeldBack):
        yield why
    for one in old:
        subject = table.called(one)
        if one is not table.pending and rules.hold is not None and rules.hold.binds(at.today):
            yield HeldBack(ARCHIVE, subject, f"the table is held {rules.hold}")
        elif one.hold is not None and one.hold.binds(at.today):
            yield HeldBack(ARCHIVE, subject, f"{one.hold.by} holds it: {one.hold.reason}")
        else:
            told = "its archive was cut short" if one is table.pending else str(why)
            yield Act(ARCHIVE, subject, told, one.oid, moves=one.size.total if one.size else 0)


def _old(rules: Rules, table: PartitionedTable, at: Moment) -> tuple[tuple[Partition, ...], str | HeldBack]:
    """(the partitions that are to be archived, oldest first, held ones among them; why, or why none can be told)."""
    keep = rules.archive_after
    if isinstance(keep, Duration):
        if table.key is None or table.key.clock is None:
            return (), ""
        cutoff = key_value(table.key, keep.before(at.today), at.zone)
        return _before(table, cutoff), f"over for longer than {keep}"
    over = _over(table, at)
    if isinstance(keep, Newest):
        return over[: -keep.count], f"all but the newest {keep} that are over are to be archived"
    if not isinstance(keep, Bytes):
        return (), ""
    unknown = [one for one in table.partitions if one.size is None]
    if unknown:
        subject = table.called(unknown[0])
        return (), HeldBack(ARCHIVE, table.label, f"the size of {subject} is not known just now", wrong=True)
    left = sum(one.size.total for one in table.partitions if one.size) - keep.count
    found: list[Partition] = []
    for one in over:
        if left <= 0:
            break
        found.append(one)
        left -= one.size.total if one.size else 0
    return tuple(found), f"what is attached takes more than {human_bytes(keep.count)}"


def _over(table: PartitionedTable, at: Moment) -> tuple[Partition, ...]:
    """The attached partitions that no new row belongs to any more, oldest first."""
    reached = frontier(table, at.now, at.zone)
    return () if reached is None else _before(table, reached)


def _before(table: PartitionedTable, limit: End) -> tuple[Partition, ...]:
    """The attached partitions that end there or before, oldest first, but for what can't be archived."""
    return tuple(
        one
        for one in table.ranges
        if one.kind is not Kind.FOREIGN
        and not one.pending
        and one.bounds is not None
        and one.bounds.upper is not None
        and one.bounds.upper <= limit
    )


# Backups ----------------------------------------------------------------------------------------------------------


def _copied(rules: Rules, table: PartitionedTable, at: Moment) -> Iterator[Act | HeldBack]:
    if not rules.backup and rules.verify_every is None:
        return
    if at.copies is None:
        yield HeldBack(BACKUP, table.label, "the place of the backups can't be read just now", wrong=True)
        return
    if rules.backup:
        for one in _in_archive(table):
            copy = _of(at.copies, one)
            if copy is None or copy.damaged:
                why = "its backup is damaged" if copy else "it is archived and has no backup"
                yield Act(BACKUP, table.called(one), why, one.oid)
    if rules.verify_every is not None:
        yield from _proofs(rules.verify_every, at.copies, at)


def _proofs(every: Duration, copies: Sequence[Copy], at: Moment) -> Iterator[Act | HeldBack]:
    before = every.before(at.today)
    for copy in sorted(copies, key=lambda copy: copy.name):
        if copy.damaged or (copy.proven is not None and copy.proven.date() > before):
            continue
        if copy.tried is not None and copy.tried != copy.proven and at.now - copy.tried < timedelta(hours=20):
            when = human_time(copy.tried)
            yield HeldBack(VERIFY, copy.name, f"its backup could not be proven on {when}", wrong=True)
            continue
        since = f"was proven last on {human_date(copy.proven.date())}" if copy.proven else "was never proven"
        yield Act(VERIFY, copy.name, f"its backup {since}", copy.of, copy.backup)


def _in_archive(table: PartitionedTable) -> tuple[Archived, ...]:
    """What is wholly archived, oldest first; what was cut short is finished first."""
    return tuple(one for one in table.archived if one.schema == table.archive.name and one.bounds is not None)


def _of(copies: Iterable[Copy], archived: Archived) -> Copy | None:
    return next((copy for copy in copies if copy.of == archived.oid), None)


# Drop -------------------------------------------------------------------------------------------------------------


def _dropped(rules: Rules, table: PartitionedTable, at: Moment) -> Iterator[Act | HeldBack]:
    if rules.drop_after is None:
        return
    for one in _in_archive(table):
        if one.tag is None:
            continue
        archived = datetime.fromisoformat(one.tag.archived_at).astimezone(ZoneInfo(at.zone)).date()
        if rules.drop_after.after(archived) > at.today:
            continue
        subject = table.called(one)
        why = _kept_from_drop(rules, one, at)
        if why is None:
            copy = _of(at.copies or (), one)
            told = f"archived for longer than {rules.drop_after}"
            freed = one.size.total if one.size else 0
            yield Act(DROP, subject, told, one.oid, copy.backup if copy else "", frees=freed)
        else:
            yield HeldBack(DROP, subject, *why)


def _kept_from_drop(rules: Rules, one: Archived, at: Moment) -> tuple[str, bool] | None:
    """(why it is not dropped now, whether somebody has to see to that)."""
    if not at.may_drop:
        return "dropping is switched off here: PARTITION_DESK_ALLOW_DROP is false", True
    if rules.hold is not None and rules.hold.binds(at.today):
        return f"the table is held {rules.hold}", False
    if one.hold is not None and one.hold.binds(at.today):
        return f"{one.hold.by} holds it: {one.hold.reason}", False
    if one.drop is not None:
        return f"{one.drop.by} has planned its drop already", False
    return _unproven(rules, one, at.copies)


def _unproven(rules: Rules, one: Archived, copies: Sequence[Copy] | None) -> tuple[str, bool] | None:
    """The same for want of a backup that is proven."""
    if copies is None:
        return "the place of the backups can't be read just now", True
    copy = _of(copies, one)
    if copy is None:
        return "it has no backup", not rules.backup
    if copy.damaged:
        return "its backup is damaged", not rules.backup
    if copy.proven is None:
        return "its backup is not proven", rules.verify_every is None
    return None
