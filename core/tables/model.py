"""What the catalog says of a partitioned table, as frozen values that can be compared.

Fields that change by themselves (sizes, estimates, times) take no part in comparisons.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from core.errors import AmbiguousName, UsageError
from core.names import address, ident, qualified, split_qualified
from core.period import Period, Range
from core.tables.bounds import Bounds, End, Key, day_of, key_value


class State(StrEnum):
    """Where a partition is in its life."""

    ATTACHED = "attached"
    DETACH_PENDING = "detach_pending"
    ARCHIVED = "archived"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of one table on disk, split as PostgreSQL stores them; `exact` is False for relpages estimates."""

    heap: int
    index: int
    toast: int
    exact: bool = True

    @property
    def total(self) -> int:
        """All three in bytes."""
        return self.heap + self.index + self.toast


@dataclass(frozen=True, slots=True)
class Activity:
    """What pg_stat_all_tables counts of one table since its last reset."""

    dead_rows: int
    scans: int
    inserted: int
    last_vacuum: datetime | None
    last_analyze: datetime | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column as ATTACH compares it."""

    name: str
    type: str
    not_null: bool
    identity: bool = field(default=False, compare=False)
    """Whether it is GENERATED ... AS IDENTITY; a child's comes and goes with the attachment."""
    generated: str = ""
    collation: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """An index; `shape` says everything ATTACH matches it by, and is equal for indexes that match."""

    name: str
    shape: str
    columns: tuple[str, ...]
    unique: bool
    primary: bool
    constraint: bool
    """Whether a PRIMARY KEY or UNIQUE constraint stands on it."""
    valid: bool
    definition: str = field(default="", compare=False)


_CONDITION = re.compile(r"(\"(?:[^\"]|\"\")+\"|[\w$]+) (>=|<|IS NOT NULL)(?: ('[^']*')::([a-z ]+))?")
_JOINED = re.compile(r"[() ]|AND")


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint, its definition as pg_get_constraintdef() gives it."""

    name: str
    definition: str
    validated: bool

    def range_on(self, key: Key) -> Bounds | None:
        """The range of `key` that this constraint says and nothing else, or None."""
        body = self.definition.removeprefix("CHECK ").removesuffix(" NOT VALID")
        if _JOINED.sub("", _CONDITION.sub("", body)):
            return None
        lower, upper = "MINVALUE", "MAXVALUE"
        for match in _CONDITION.finditer(body):
            column = match[1][1:-1].replace('""', '"') if match[1].startswith('"') else match[1]
            if column != key.column or match[4] not in (None, key.type.value):
                return None
            if match[2] == ">=":
                lower = match[3]
            elif match[2] == "<":
                upper = match[3]
        if (lower, upper) == ("MINVALUE", "MAXVALUE"):
            return None
        try:
            return Bounds.parse(f"FOR VALUES FROM ({lower}) TO ({upper})", key.type)
        except ValueError:
            return None

    def excludes_null(self) -> bool:
        """Whether it says that the key is not null."""
        return "IS NOT NULL" in self.definition


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key between the table and another one, named `schema.table`."""

    name: str
    other: str
    definition: str


_TAG, _DROP = "partition-desk: ", "partition-desk drop: "
HOLD_LINE = "partition-desk hold: "
"""How the line of a hold begins in a table's comment."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Where an archived table came from."""

    parent: str
    """The parent, quoted and qualified."""
    schema: str
    """The schema that the partition stood in."""
    bounds: str
    """PostgreSQL's text of the bounds, verbatim: to be shown and compared, and never to be run."""
    archived_at: str
    """ISO 8601, UTC."""
    made_check: bool
    """Whether archiving left the CHECK of the bounds, so that reattaching takes it away again."""

    def range_on(self, key: Key) -> Bounds | None:
        """The bounds, or None where they are none of a key of this type."""
        try:
            return Bounds.parse(self.bounds, key.type)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Hold:
    """Keeps a partition or an archived table from every rule that would move or drop it."""

    until: str
    """The last day of the hold, ISO 8601; empty while it lasts until somebody lifts it."""
    reason: str
    by: str

    def binds(self, today: date) -> bool:
        """Whether it still holds on that day."""
        return not self.until or date.fromisoformat(self.until) >= today


@dataclass(frozen=True, slots=True)
class PlannedDrop:
    """An archived table is to be dropped at a time, on the strength of one verified backup."""

    parent: str
    """The address of the table that it was a partition of."""
    at: str
    """ISO 8601, UTC: not before."""
    backup: str
    """The id of the backup."""
    fingerprint: str
    """What the table held when this was written; any other content is not dropped."""
    by: str

    def is_due(self, now: datetime) -> bool:
        """Whether its time has come."""
        return datetime.fromisoformat(self.at) <= now


@dataclass(frozen=True, slots=True)
class Marks:
    """What the console keeps in a table's comment: a line each, below the user's own text."""

    tag: Tag | None = None
    hold: Hold | None = None
    drop: PlannedDrop | None = None

    def beside(self, comment: str | None) -> str | None:
        """The user's comment with the marks as its last lines; None where there is neither."""
        lines = [
            f"{line}{json.dumps(asdict(mark), ensure_ascii=False)}"
            for line, mark in ((_TAG, self.tag), (HOLD_LINE, self.hold), (_DROP, self.drop))
            if mark is not None
        ]
        return "\n".join([*([comment] if comment else []), *lines]) or comment

    @classmethod
    def split(cls, comment: str | None) -> tuple[str | None, Marks]:
        """(the user's comment, the marks) of a table comment; a line that can't be read counts as the user's text."""
        rest, found = comment, cls()
        while rest:
            head, _, last = rest.rpartition("\n")
            read = _read_mark(last)
            if read is None or any(getattr(found, name) is not None for name in read):
                break
            rest, found = head or None, replace(found, **read)
        return rest, found


M = TypeVar("M", Tag, Hold, PlannedDrop)


def _read_mark(line: str) -> dict[str, Any] | None:
    """{field of Marks: value} of one line of a comment, or None where it is no mark.

    Anybody may have written it: what is not in every field as the console writes it is no mark.
    """
    try:
        if line.startswith(_TAG):
            tag = _read_fields(Tag, line.removeprefix(_TAG))
            if Bounds.parse(tag.bounds).is_default:
                return None
            ident(tag.schema)
            _moment(tag.archived_at)
            return {"tag": tag}
        if line.startswith(HOLD_LINE):
            hold = _read_fields(Hold, line.removeprefix(HOLD_LINE))
            hold.binds(date.min)
            return {"hold": hold}
        if line.startswith(_DROP):
            drop = _read_fields(PlannedDrop, line.removeprefix(_DROP))
            split_qualified(drop.parent)
            _moment(drop.at)
            return {"drop": drop}
    except (ValueError, TypeError, OverflowError, RecursionError, UsageError):
        return None
    return None


def _read_fields(kind: type[M], text: str) -> M:
    """A mark from its JSON. Raises ValueError, TypeError or RecursionError for what the console does not write."""
    found = kind(**json.loads(text))
    for one in fields(kind):
        value = getattr(found, one.name)
        if type(value).__name__ != one.type:
            raise TypeError(f"{one.name} is {type(value).__name__}")
        if isinstance(value, str) and b"\0" in value.encode():
            raise ValueError(f"{one.name} holds a NUL character")
    return found


def _moment(text: str) -> None:
    """Raises ValueError for what is no moment with an offset, or one that some time zone has no date for."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not 1 < moment.year < 9999:
        raise ValueError(f"not a moment: {text}")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition that hangs on its parent."""

    oid: int
    schema: str
    name: str
    owner: str
    bounds: Bounds | None
    """None where they could not be read."""
    pending: bool = False
    """Detach pending: the rows are out of the parent's sight until the detach is finished."""
    leaf: bool = True
    """False for one that is partitioned itself, or foreign."""
    checks: tuple[Check, ...] = ()
    index_names: tuple[str, ...] = ()
    comment: str | None = None
    constraint_names: tuple[str, ...] = field(default=(), compare=False)
    busy: bool = field(default=False, compare=False)
    """Somebody holds or waits for ACCESS EXCLUSIVE on it just now."""
    size: Size | None = field(default=None, compare=False)
    rows: int | None = field(default=None, compare=False)
    """The planner's estimate; None before the first analyze."""
    activity: Activity | None = field(default=None, compare=False)
    invalid_indexes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def state(self) -> State:
        """busy wins over attached, pending over busy."""
        if self.pending:
            return State.DETACH_PENDING
        return State.BUSY if self.busy else State.ATTACHED

    @property
    def hold(self) -> Hold | None:
        """What keeps it from every rule that would archive it."""
        return Marks.split(self.comment)[1].hold

    @property
    def is_default(self) -> bool:
        """Whether it takes the rows that no other partition wants."""
        return self.bounds is not None and self.bounds.is_default

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)


class Source(StrEnum):
    """How the bounds of an archived table are known."""

    TAG = "tag"
    CHECK = "check"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Archived:
    """A table that was a partition: tagged by the console, or moved to the archive schema by hand."""

    oid: int
    schema: str
    name: str
    owner: str
    bounds: Bounds | None
    """None where neither tag nor CHECK nor name tells them."""
    source: Source | None
    tag: Tag | None
    comment: str | None
    """The user's own comment, without the console's marks."""
    columns: tuple[Column, ...] = ()
    indexes: tuple[Index, ...] = ()
    checks: tuple[Check, ...] = ()
    foreign_keys: tuple[str, ...] = ()
    """The definitions of its own foreign keys, which ATTACH matches against the parent's."""
    hold: Hold | None = None
    drop: PlannedDrop | None = None
    busy: bool = field(default=False, compare=False)
    size: Size | None = field(default=None, compare=False)
    rows: int | None = field(default=None, compare=False)
    activity: Activity | None = field(default=None, compare=False)

    @property
    def state(self) -> State:
        """busy while somebody holds it exclusively."""
        return State.BUSY if self.busy else State.ARCHIVED

    @property
    def marks(self) -> Marks:
        """What the console keeps in its comment."""
        return Marks(self.tag, self.hold, self.drop)

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)

    def bounds_check(self, key: Key) -> Check | None:
        """Its CHECK that says exactly its bounds, if it has one; a validated one first."""
        fits = [check for check in self.checks if check.range_on(key) == self.bounds]
        return min(fits, key=lambda check: not check.validated, default=None)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The smallest and largest key among a table's rows, and how many rows have none."""

    lowest: End | None
    highest: End | None
    nulls: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """The server and the session that looks at it."""

    database: str
    user: str
    version_num: int
    version: str
    in_recovery: bool
    read_only: bool
    time_zone: str = "UTC"
    superuser: bool = False
    citus: bool = False
    may_create_schema: bool = False
    journal: bool = False
    """Whether the journal's schema exists."""
    may_write_journal: bool = False
    cluster: str = ""
    """PostgreSQL's system identifier, to tell servers with databases of one name apart; empty where it is hidden."""

    @property
    def detaches_concurrently(self) -> bool:
        """DETACH ... CONCURRENTLY came with 14; Citus refuses it."""
        return self.version_num >= 140000 and not self.citus


@dataclass(frozen=True, slots=True)
class ArchiveSchema:
    """The schema that archived partitions move to."""

    name: str
    exists: bool
    may_create: bool
    open_to_public: bool = False
    taken: frozenset[str] = field(default=frozenset(), compare=False)
    """The relations there whose names partitions of this table, or their indexes, have too."""


@dataclass(frozen=True, slots=True)
class PartitionedTable:
    """A partitioned table with everything that hangs on it or came from it."""

    oid: int
    schema: str
    name: str
    owner: str
    key: Key | None
    strategy: str
    """range, list, hash, or plain for a table that is not partitioned."""
    not_served: str | None
    """Why the console only shows this table, in plain words; None where it serves it."""
    server: Server
    archive: ArchiveSchema
    owned: bool
    """Whether the connected role owns it, or is a member of its owner."""
    may_create: bool = False
    """Whether the connected role may create tables in the table's schema."""
    may_read: bool = False
    columns: tuple[Column, ...] = ()
    indexes: tuple[Index, ...] = ()
    checks: tuple[Check, ...] = ()
    referenced_by: tuple[ForeignKey, ...] = ()
    references: tuple[ForeignKey, ...] = ()
    tablespace: str | None = None
    taken: frozenset[str] = field(default=frozenset(), compare=False)
    """Names in the table's own schema that a new or returning partition could meet."""
    partitions: tuple[Partition, ...] = ()
    """In the order of their lower ends; DEFAULT last."""
    archived: tuple[Archived, ...] = ()
    as_of: datetime = field(default=datetime(1, 1, 1, tzinfo=UTC), compare=False)
    """When it was read, UTC."""

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)

    @property
    def label(self) -> str:
        """Its name for people: schema.name."""
        return f"{self.schema}.{self.name}"

    @property
    def address(self) -> str:
        """A name that `split_qualified` reads back, whatever is in it."""
        return address(self.schema, self.name)

    @property
    def identifying(self) -> tuple[Column, ...]:
        """The columns beside the key that tell one row from another, by its constraints; generated numbers last."""
        unique = {name for index in self.indexes if index.constraint for name in index.columns}
        key = self.key.column if self.key else None
        found = (column for column in self.columns if column.name in unique and column.name != key)
        return tuple(sorted(found, key=lambda column: column.identity))

    @property
    def default(self) -> Partition | None:
        """The DEFAULT partition."""
        return next((p for p in self.partitions if p.is_default), None)

    @property
    def pending(self) -> Partition | None:
        """The partition whose detach was begun and not finished; the server allows one at a time."""
        return next((p for p in self.partitions if p.pending), None)

    @property
    def ranges(self) -> tuple[Partition, ...]:
        """The partitions with known bounds, without the DEFAULT."""
        return tuple(p for p in self.partitions if p.bounds is not None and not p.bounds.is_default)

    @property
    def everything(self) -> tuple[Partition | Archived, ...]:
        """The partitions, then the archived tables."""
        return (*self.partitions, *self.archived)

    def named(self, text: str) -> tuple[Partition | Archived, ...]:
        """The partitions and archived tables that `name`, or `schema.name` as `split_qualified` reads it, means."""
        try:
            schema, name = split_qualified(text)
        except UsageError:
            schema, name = None, text
        return tuple(
            one
            for one in self.everything
            if one.name == text
            or (one.name == name and schema in (None, one.schema))
            or ("." in text and f"{one.schema}.{one.name}" == text)
        )

    def called(self, one: Partition | Archived) -> str:
        """What means this one and no other of the table: its name, else the name with its schema."""
        words = (one.name, address(one.schema, one.name))
        return next((word for word in words if len(self.named(word)) == 1), one.sql)

    def calls(self) -> dict[int, str]:
        """`called` of every partition and archived table, by its oid."""
        named = Counter(one.name for one in self.everything)
        return {
            one.oid: one.name if named[one.name] == 1 and _PLAIN.fullmatch(one.name) else self.called(one)
            for one in self.everything
        }

    def find(self, name: str) -> Partition | None:
        """The attached partition of that name, with or without its schema. Raises AmbiguousName."""
        one = self._find(name)
        return one if isinstance(one, Partition) else None

    def find_archived(self, name: str) -> Archived | None:
        """The archived table of that name, with or without its schema. Raises AmbiguousName."""
        one = self._find(name)
        return one if isinstance(one, Archived) else None

    def _find(self, name: str) -> Partition | Archived | None:
        found = self.named(name)
        if len(found) > 1:
            said = ", ".join(f"{self.called(one)} ({_spoken(one)})" for one in found)
            raise AmbiguousName(
                f"{name} means {len(found)} tables of {self.label}: {said}.",
                next=f"Name one of them with its schema, as --partition {shlex.quote(self.called(found[0]))} does.",
            )
        return found[0] if found else None

    def by_oid(self, oid: int | None) -> Partition | Archived | None:
        """The partition or archived table that this very number is of."""
        return next((one for one in self.everything if one.oid == oid), None)

    def holding(self, lower: date, upper: date, zone: str = "UTC") -> tuple[Partition, ...]:
        """The partitions whose ranges overlap [lower, upper)."""
        wanted = self.bounds_between(lower, upper, zone)
        return tuple(p for p in self.ranges if p.bounds and p.bounds.overlaps(wanted))

    def archived_in(self, lower: date, upper: date, zone: str = "UTC") -> tuple[Archived, ...]:
        """The archived tables whose ranges overlap [lower, upper)."""
        wanted = self.bounds_between(lower, upper, zone)
        return tuple(a for a in self.archived if a.bounds and a.bounds.overlaps(wanted))

    def bounds_between(self, lower: date, upper: date, zone: str = "UTC") -> Bounds:
        """The bounds that a partition for [lower, upper) of this table has."""
        if self.key is None:
            raise ValueError(f"{self.label} has no key that is served")
        return Bounds.between(self.key, lower, upper, zone)

    def period(self, zone: str = "UTC") -> Period:
        """The period that its newest partitions have, else most of them; year where nothing tells."""
        return self.unit(zone) or self._commonest(zone) or Period.YEAR

    def _commonest(self, zone: str) -> Period | None:
        known = [item.bounds for item in self.ranges] + [item.bounds for item in self.archived]
        found = [period for bounds in known if bounds and (period := bounds.period(zone)) is not None]
        return max(set(found), key=lambda period: (found.count(period), period.value), default=None)

    @property
    def is_cut(self) -> bool:
        """Whether there is, or was, a partition with a range."""
        return bool(self.ranges) or any(a.bounds is not None for a in self.archived)

    def newest(self) -> Bounds | None:
        """The latest range with two ends, of the attached partitions, else of the archived tables."""
        return next(reversed(self._widths()), None)

    def _widths(self) -> tuple[Bounds, ...]:
        """The ranges with two ends, in the order of time."""
        of_archived = sorted((a.bounds for a in self.archived if a.bounds), key=lambda bounds: bounds.text)
        for known in ([p.bounds for p in self.ranges if p.bounds], of_archived):
            found = tuple(bounds for bounds in known if bounds.lower is not None and bounds.upper is not None)
            if found:
                return found
        return ()

    def unit(self, zone: str = "UTC") -> Period | None:
        """The calendar unit that the next partition is to have; None where the partitions tell none.

        The newest unbroken run of one unit decides. One partition alone tells no other unit than most have: it may be
        the slip, or the beginning of something new. A table that never had a partition has years.
        """
        found = self._widths()
        if not found:
            return None if self.is_cut else Period.YEAR
        unit = found[-1].period(zone)
        before = found[-2] if len(found) > 1 else None
        alone = before is None or before.upper != found[-1].lower or before.period(zone) is not unit
        return None if alone and unit is not self._commonest(zone) else unit


_PLAIN = re.compile(r'[^".]+')


def _spoken(one: Partition | Archived) -> str:
    """Its bounds in PostgreSQL's words, and whether it is archived."""
    bounds = one.bounds.text.removeprefix("FOR VALUES ") if one.bounds else "bounds unknown"
    return f"{bounds}, archived" if isinstance(one, Archived) else bounds


@dataclass(frozen=True, slots=True)
class TableSummary:
    """One partitioned table of the database, for a list to choose from."""

    schema: str
    name: str
    strategy: str
    not_served: str | None
    partitions: int
    bytes: int
    """Estimated from relpages."""

    @property
    def label(self) -> str:
        """Its name for people: schema.name."""
        return f"{self.schema}.{self.name}"

    @property
    def address(self) -> str:
        """A name that `split_qualified` reads back, whatever is in it."""
        return address(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """One partition of the database with its size, for totals over all tables."""

    parent_schema: str
    parent: str
    schema: str
    name: str
    rows: int | None
    """Estimated by the last analyze; None before the first."""
    size: Size | None
    """None where it could not be read without waiting."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the partitions of one table hold, as a look at all tables of a database at once tells it."""

    schema: str
    name: str
    key: Key | None
    """None where the table is only shown here."""
    ranges: tuple[Bounds, ...]
    """In the order of their lower ends, without DEFAULT and what is half detached."""
    pending: int
    """How many detaches were begun and not finished."""
    default: str
    """The quoted and qualified name of the DEFAULT partition; empty without one."""

    @property
    def address(self) -> str:
        """A name that `split_qualified` reads back, whatever is in it."""
        return address(self.schema, self.name)

    def runway_days(self, today: date, zone: str = "UTC") -> int | None:
        """Whole days until a date has no partition, UNLIMITED for never; None where the table is only shown."""
        return None if self.key is None else _days_until(_reach(self.key, self.ranges, today, zone), today, zone)


@dataclass(frozen=True, slots=True)
class Gap:
    """A range between partitions, or after them, that no partition holds."""

    lower: End
    upper: End


def gaps(table: PartitionedTable) -> tuple[Gap, ...]:
    """The ranges between the first lower and the last upper end that no partition holds.

    A detach-pending partition leaves a gap: inserts for its range fail. An archived one does as well, by intent.
    """
    found: list[Gap] = []
    reach: End | None = None
    for partition in table.ranges:
        bounds = partition.bounds
        if bounds is None or partition.pending:
            continue
        if reach is not None and bounds.lower is not None and bounds.lower > reach:
            found.append(Gap(reach, bounds.lower))
        if bounds.upper is None:
            return tuple(found)
        reach = bounds.upper if reach is None else max(reach, bounds.upper)
    return tuple(found)


def unexplained_gaps(table: PartitionedTable, elsewhere: Iterable[Bounds] = ()) -> tuple[Gap, ...]:
    """The gaps, less the ranges that archived tables hold, that a detach-pending partition does, or that lie elsewhere.

    `elsewhere`: the bounds of backups, whose tables may have been dropped; those of another key explain nothing.
    """
    pieces: list[Gap] = list(gaps(table))
    holders = [a.bounds for a in table.archived] + [p.bounds for p in table.partitions if p.pending]
    holders += [bounds for bounds in elsewhere if table.key is not None and bounds.is_of(table.key.type)]
    for bounds in holders:
        if bounds is not None:
            pieces = [piece for gap in pieces for piece in _without(gap, bounds)]
    return tuple(pieces)


def _without(gap: Gap, bounds: Bounds) -> Iterator[Gap]:
    if (bounds.lower is not None and bounds.lower >= gap.upper) or (
        bounds.upper is not None and bounds.upper <= gap.lower
    ):
        yield gap
        return
    if bounds.lower is not None and bounds.lower > gap.lower:
        yield Gap(gap.lower, bounds.lower)
    if bounds.upper is not None and bounds.upper < gap.upper:
        yield Gap(bounds.upper, gap.upper)


def covered_until(table: PartitionedTable, today: date, zone: str = "UTC") -> End | None:
    """The first moment from `today` on that has no partition; None where the last one is open to MAXVALUE.

    A DEFAULT partition is not counted: rows in it make the next partition fail.
    """
    if table.key is None:
        return None
    return _reach(table.key, (p.bounds for p in table.ranges if p.bounds is not None and not p.pending), today, zone)


def _reach(key: Key, ranges: Iterable[Bounds], today: date, zone: str) -> End | None:
    """How far ranges, in the order of their lower ends, reach without a gap from `today` on; None for ever."""
    reach = key_value(key, today, zone)
    for bounds in ranges:
        if bounds.holds(reach):
            if bounds.upper is None:
                return None
            reach = bounds.upper
    return reach


UNLIMITED = 1_000_000
"""Days of runway that stand for "for ever": a partition open to MAXVALUE."""


def runway_days(table: PartitionedTable, today: date, zone: str = "UTC") -> int:
    """Whole days from `today` until a date has no partition; 0 when today has none."""
    return _days_until(covered_until(table, today, zone), today, zone)


def _days_until(until: End | None, today: date, zone: str) -> int:
    if until is None:
        return UNLIMITED
    moment = until.astimezone(ZoneInfo(zone)) if isinstance(until, datetime) and until.tzinfo else until
    return max(0, (day_of(moment) - today).days)


def due(table: PartitionedTable, cutoff: date, today: date, zone: str = "UTC") -> tuple[Partition, ...]:
    """The attached partitions whose whole range lies before `cutoff` and that no hold binds today, oldest first."""
    if table.key is None:
        return ()
    limit = key_value(table.key, cutoff, zone)
    over = (
        p
        for p in table.ranges
        if p.leaf and not p.pending and p.bounds and p.bounds.upper is not None and p.bounds.upper <= limit
    )
    return tuple(p for p in over if p.hold is None or not p.hold.binds(today))


def next_periods(table: PartitionedTable, today: date, ahead: int, zone: str = "UTC") -> tuple[Range, ...]:
    """The current period and `ahead` more, by the table's own period."""
    period = table.period(zone)
    lower, upper = period.containing(today)
    found = [(lower, upper)]
    for _ in range(ahead):
        lower, upper = upper, period.after(upper)
        found.append((lower, upper))
    return tuple(found)
