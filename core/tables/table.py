"""A partitioned table with everything that hangs on it or came from it, as one frozen value that can be compared."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from core.errors import AmbiguousName, UsageError
from core.names import address, qualified, split_qualified
from core.period import Period, Width
from core.postgres.server import Server
from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.cut import Cut, read_cut
from core.tables.distribution import Distribution
from core.tables.equipment import Equipment
from core.tables.key import Key
from core.tables.naming import Pattern, learnt
from core.tables.partition import Partition
from core.tables.publication import Publication
from core.tables.structure import Check, Column, ForeignKey, Index
from core.tables.tree import Kind
from core.tables.upkeep import Upkeep
from core.text import listed, shell_word


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
    owner_is_superuser: bool = False
    may_create: bool = False
    """Whether the connected role may create tables in the table's schema."""
    may_read: bool = False
    part_of: str = ""
    """The table that it is a partition of itself, quoted and qualified; empty where nothing is above it."""
    comment: str | None = None
    columns: tuple[Column, ...] = ()
    indexes: tuple[Index, ...] = ()
    checks: tuple[Check, ...] = ()
    referenced_by: tuple[ForeignKey, ...] = ()
    references: tuple[ForeignKey, ...] = ()
    tablespace: str | None = None
    distribution: Distribution | None = None
    """How Citus spreads it over servers; None where it is here, in one piece."""
    taken: frozenset[str] = field(default=frozenset(), compare=False)
    """Names in the table's own schema that a new or returning partition could meet."""
    partitions: tuple[Partition, ...] = ()
    """In the order of their lower ends; DEFAULT last."""
    archived: tuple[Archived, ...] = ()
    publications: tuple[Publication, ...] = field(default=(), compare=False)
    """Those of the database that send changes of rows."""
    equipment: Equipment = field(default=Equipment(), compare=False)
    """What the newest partitions that nobody holds locked have of their own, for the next one."""
    upkeep: Upkeep | None = field(default=None, compare=False)
    """The other tool that makes partitions of it, or takes them away."""
    branching: Equipment = field(default=Equipment(), compare=False)
    """The same of those that are partitioned themselves: `equipment` is of their leaves then."""
    strays: tuple[Archived, ...] = field(default=(), compare=False)
    """What was archived from tables that are no longer there, by their marks, which whoever owns this one may see."""
    subscriptions: tuple[str, ...] = field(default=(), compare=False)
    """Those that write rows of another database into it."""
    as_of: datetime = field(default=datetime(1, 1, 1, tzinfo=UTC), compare=False)
    """When it was read, UTC."""
    ranges: tuple[Partition, ...] = field(init=False, compare=False, repr=False)
    """The partitions with known bounds, without the DEFAULT."""
    _cuts: dict[str, Cut | str] = field(default_factory=dict, init=False, compare=False, repr=False)
    """`cut` by zone, told once: of ten thousand partitions a page asks for it often."""

    def __post_init__(self) -> None:
        ranges = tuple(p for p in self.partitions if p.bounds is not None and p.bounds.is_range)
        object.__setattr__(self, "ranges", ranges)

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
    def branch_tables(self) -> tuple[str, ...]:
        """The addresses of the branches by RANGE of a table by LIST or HASH, which are tables of their own."""
        if self.strategy not in ("list", "hash"):
            return ()
        found: list[str] = []
        for one in self.partitions:
            if one.tree is None:
                continue
            below = {one.oid} if not one.tree.by_range else set()
            found += [address(one.schema, one.name)] if one.tree.by_range else []
            for member in one.members:
                if member.parent in below and member.kind is Kind.BRANCH:
                    found += [address(member.schema, member.name)] if member.by_range else []
                    below |= set() if member.by_range else {member.oid}
        return tuple(found)

    @property
    def limits(self) -> str:
        """What can't be done with a table by LIST or HASH, and what can; empty for any other."""
        if self.strategy not in ("list", "hash"):
            return ""
        if self.branch_tables:
            names = listed(self.branch_tables)
            return f"Its branches by RANGE are tables of their own, and served as such: {names}."
        return (
            "Its partitions are shown with their sizes. Nothing tells which of them comes after which, so that none is"
            " made ahead, archived, backed up or brought back here."
        )

    @property
    def detaches_concurrently(self) -> bool:
        """Whether a partition can leave while reads and writes go on; Citus refuses it to what it distributes."""
        return self.server.can.concurrent_detach and self.distribution is None

    @property
    def identifying(self) -> tuple[Column, ...]:
        """The columns beside the key that tell one row from another, by its constraints; generated numbers last."""
        unique = {name for index in self.indexes if index.constraint for name in index.columns}
        key = self.key.columns if self.key else ()
        found = (column for column in self.columns if column.name in unique and column.name not in key)
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
    def is_measured(self) -> bool:
        """Whether its sizes were asked of the file system, and are not those of the last vacuum or analyze."""
        return all(one.size is None or one.size.exact for one in self.everything)

    @property
    def everything(self) -> tuple[Partition | Archived, ...]:
        """The partitions, then the archived tables."""
        return (*self.partitions, *self.archived)

    def named(self, text: str) -> tuple[Partition | Archived, ...]:
        """The partitions and archived tables that `name`, or `schema.name` as `split_qualified` reads it, means.

        An archived one also by the schema that it came from, where nothing stands there under that name: so that the
        command that archived it can be said again.
        """
        try:
            schema, name = split_qualified(text)
        except UsageError:
            schema, name = None, text
        here = tuple(
            one
            for one in self.everything
            if one.name == text
            or (one.name == name and schema in (None, one.schema))
            or ("." in text and f"{one.schema}.{one.name}" == text)
        )
        homes = ((one, one.tag.schema) for one in self.archived if one.tag is not None)
        return here or tuple(
            one for one, home in homes if (home, one.name) == (schema, name) or f"{home}.{one.name}" == text
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
                next=f"Name one of them with its schema, as --partition {shell_word(self.called(found[0]))} does.",
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
        """The bounds that a partition for [lower, upper) of this table has, in the zone that it is cut in."""
        if self.key is None:
            raise ValueError(f"{self.label} has no key that is served")
        return Bounds.between(self.key, lower, upper, self.zone_of(zone))

    def zone_of(self, zone: str) -> str:
        """The zone at whose midnights its partitions are cut, for an application in `zone`."""
        cut = self.cut(zone)
        return cut.zone if isinstance(cut, Cut) and not cut.width.seconds else zone

    def cut(self, zone: str = "UTC") -> Cut | str:
        """The grid that its newest partitions lie on, else its archived tables; or why none can be told."""
        if zone not in self._cuts:
            self._cuts[zone] = self._cut(zone)
        return self._cuts[zone]

    def _cut(self, zone: str) -> Cut | str:
        if self.key is None:
            return "its key is not served"
        uneven = self.uneven
        if uneven is not None:
            first = self.key.column or self.key.expression
            return f"{self.called(uneven)} goes {_spoken(uneven)}: not only {first} tells where it ends"
        if self.key.clock is None:
            return "its key tells no time"
        attached = [p.bounds for p in self.ranges if p.bounds is not None]
        archived = sorted((a.bounds for a in self.archived if a.bounds is not None), key=lambda one: one.order)
        known = attached if any(one.is_finite for one in attached) else archived
        if not self.is_cut:
            return "it has no partition yet"
        now = self.as_of if self.as_of.year > 1 else None
        return read_cut(self.key, tuple(known), (zone, self.server.time_zone, "UTC"), now)

    def width(self, zone: str = "UTC") -> Width | None:
        """How wide the next partition is to be; None where the partitions don't tell."""
        cut = self.cut(zone)
        return cut.width if isinstance(cut, Cut) else None

    def period(self, zone: str = "UTC") -> Period:
        """The unit of the calendar that comes nearest to its partitions, for charts; year where nothing tells."""
        width = self.width(zone)
        return width.nearest if width is not None else Period.YEAR

    @property
    def uneven(self) -> Partition | None:
        """The newest partition that ends, or begins, amid what is alike in the first column of the key."""
        return next((p for p in reversed(self.ranges) if p.bounds is not None and p.bounds.is_uneven), None)

    @property
    def is_cut(self) -> bool:
        """Whether there is, or was, a partition with a range."""
        return bool(self.ranges) or any(a.bounds is not None for a in self.archived)

    def pattern(self, zone: str = "UTC") -> Pattern | None:
        """How the newest partitions are named; None where their names follow no pattern."""
        cut = self.cut(zone)
        if not isinstance(cut, Cut):
            return None
        located = ((one.name, cut.located(one.bounds)) for one in self.ranges if one.bounds is not None)
        return learnt([(name, *cell) for name, cell in located if cell is not None and cell[1] <= cut.start])


_PLAIN = re.compile(r'[^".]+')


def _spoken(one: Partition | Archived) -> str:
    """Its bounds in PostgreSQL's words, and whether it is archived."""
    bounds = one.bounds.text.removeprefix("FOR VALUES ") if one.bounds else "bounds unknown"
    return f"{bounds}, archived" if isinstance(one, Archived) else bounds
