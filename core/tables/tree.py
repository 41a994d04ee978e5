"""What hangs below a partition that is partitioned itself: its tree, of which its figures are sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from core.names import MAX_BYTES, qualified
from core.tables.size import Activity, Size
from core.tables.structure import OwnSequence
from core.text import plural


class Kind(StrEnum):
    """What a partition is, whatever its state."""

    PLAIN = "plain"
    FOREIGN = "foreign"
    """Its rows are on another server."""
    BRANCH = "branch"
    """It is partitioned itself."""


@dataclass(frozen=True, slots=True)
class Member:
    """One table below a branch, at whatever depth."""

    oid: int
    parent: int
    """The oid of the table that it is a partition of."""
    schema: str
    name: str
    owner: str
    kind: Kind
    bounds: str
    """In PostgreSQL's words; empty where they can't be read just now."""
    split: str = ""
    """How it is partitioned itself, as `Tree.split` has it."""
    pending: bool = False
    """Whether it is detach pending."""
    index_names: tuple[str, ...] = ()
    foreign_keys: tuple[tuple[str, str], ...] = ()
    """(name, definition) of its own; known of what is archived."""
    sequences: tuple[OwnSequence, ...] = ()
    comment: str | None = None
    owned: bool = True
    """Whether the connected role owns it, or is a member of its owner."""
    busy: bool = field(default=False, compare=False)
    size: Size | None = field(default=None, compare=False)
    """None of a foreign table, and where somebody holds it locked."""
    rows: int | None = field(default=None, compare=False)
    activity: Activity | None = field(default=None, compare=False)

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)

    @property
    def by_range(self) -> bool:
        """Whether it is partitioned itself, by RANGE."""
        return self.split.startswith("RANGE")

    @property
    def names(self) -> tuple[str, ...]:
        """What it takes in its schema: its own name and those of its indexes and sequences."""
        return (self.name, *self.index_names, *(one.name for one in self.sequences))


@dataclass(frozen=True, slots=True)
class Tree:
    """How a branch is partitioned, and everything below it."""

    split: str
    """In PostgreSQL's words: HASH (kid_id)."""
    oid: int
    """The branch's own."""
    members: tuple[Member, ...] = ()
    """Parents before their partitions."""

    @property
    def said(self) -> str:
        """For people: HASH (kid_id), 4 partitions."""
        direct = sum(1 for one in self.members if one.parent == self.oid)
        foreign = sum(1 for one in self.members if one.kind is Kind.FOREIGN)
        apart = f", {foreign:,} of the leaves foreign" if foreign else ""
        return f"{self.split}, {plural(direct, 'partition')}{apart}"

    @property
    def by_range(self) -> bool:
        """Whether the branch is partitioned by RANGE."""
        return self.split.startswith("RANGE")

    @property
    def leaves(self) -> tuple[Member, ...]:
        """Those that hold rows themselves, foreign ones too."""
        return tuple(one for one in self.members if one.kind is not Kind.BRANCH)

    @property
    def here(self) -> tuple[Member, ...]:
        """The leaves whose rows are on this server."""
        return tuple(one for one in self.members if one.kind is Kind.PLAIN)

    @property
    def foreign(self) -> tuple[Member, ...]:
        """The leaves whose rows are elsewhere."""
        return tuple(one for one in self.members if one.kind is Kind.FOREIGN)

    @property
    def busy(self) -> bool:
        """Whether somebody holds a part of it exclusively."""
        return any(one.busy for one in self.members)

    @property
    def size(self) -> Size | None:
        """What its leaves here take; None while one of them can't be measured."""
        sizes = [one.size for one in self.here]
        if any(one is None for one in sizes):
            return None
        known = [one for one in sizes if one is not None]
        return Size(
            sum(one.heap for one in known),
            sum(one.index for one in known),
            sum(one.toast for one in known),
            all(one.exact for one in known),
        )

    @property
    def rows(self) -> int | None:
        """The planner's estimate of all leaves; None before the first analyze of one here that has rows."""
        if any(_rows(one) is None for one in self.here):
            return None
        return sum(_rows(one) or 0 for one in self.leaves)

    @property
    def activity(self) -> Activity | None:
        """What is counted of all leaves here; the oldest of their last vacuums and analyzes."""
        found = [one.activity for one in self.here if one.activity is not None]
        if not found or len(found) < len(self.here):
            return None
        vacuums, analyzes = ([getattr(one, name) for one in found] for name in ("last_vacuum", "last_analyze"))
        return Activity(
            sum(one.dead_rows for one in found),
            sum(one.scans for one in found),
            sum(one.inserted for one in found),
            None if None in vacuums else min(vacuums),
            None if None in analyzes else min(analyzes),
        )


def _rows(leaf: Member) -> int | None:
    if leaf.rows is None and leaf.size is not None and leaf.size.exact and not leaf.size.heap:
        return 0
    return leaf.rows


def kinds_told(kinds: Iterable[tuple[Kind, Tree | None]]) -> Iterator[str]:
    """What of a table's partitions is not plain, a sentence each."""
    kinds = tuple(kinds)
    for split, number in Counter(tree.split for _, tree in kinds if tree is not None).items():
        yield (
            f"{plural(number, 'partition')} {'is' if number == 1 else 'are'} partitioned again, by {split}:"
            " figures are sums over all that is below."
        )
    foreign = sum(1 for kind, _ in kinds if kind is Kind.FOREIGN)
    foreign += sum(len(tree.foreign) for _, tree in kinds if tree is not None)
    if foreign:
        yield f"{plural(foreign, 'foreign table')}: the rows are on other servers, and take no room here."


class Rooted:
    """What a partition and an archived table have in common: all that hangs below each goes where it goes."""

    __slots__ = ()

    oid: int
    schema: str
    name: str
    kind: Kind
    tree: Tree | None

    @property
    def own_names(self) -> tuple[str, ...]:
        """What it takes in its schema: its name, and those of its indexes and sequences."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        """The same with what all that goes with it takes."""
        return (*self.own_names, *(name for one in self.beside for name in one.names))

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)

    @property
    def beside(self) -> tuple[Member, ...]:
        """What goes where it goes: all that hangs below it, whatever its schema."""
        return self.members

    @property
    def rows_sql(self) -> str:
        """What a FROM takes for all of its rows and no others."""
        return self.sql if self.kind is Kind.BRANCH else f"ONLY {self.sql}"

    @property
    def oids(self) -> tuple[int, ...]:
        """Its own and those of all that hangs below it."""
        return (self.oid, *(one.oid for one in self.members))

    @property
    def is_plain(self) -> bool:
        """Whether it holds its rows itself, on this server."""
        return self.kind is Kind.PLAIN

    @property
    def is_here(self) -> bool:
        """Whether all of its rows are on this server, so that a backup can hold them."""
        return self.kind is not Kind.FOREIGN and not (self.tree is not None and self.tree.foreign)

    @property
    def members(self) -> tuple[Member, ...]:
        """All that hangs below it."""
        return self.tree.members if self.tree is not None else ()

    @property
    def type_names(self) -> tuple[str, ...]:
        """The names of the row types, of itself and all that goes with it, and of the types of arrays of them."""
        return tuple(
            name for relation in (self.name, *(one.name for one in self.beside)) for name in type_names(relation)
        )


def type_names(name: str) -> tuple[str, ...]:
    """The names of a table's row type and of the type of arrays of it."""
    return name, f"_{name}".encode()[:MAX_BYTES].decode(errors="ignore")
