"""A table that was a partition, and how its bounds are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from core.tables.bounds import Bounds
from core.tables.distribution import Distribution
from core.tables.key import Key
from core.tables.marks import Hold, Marks, PlannedDrop, Tag
from core.tables.partition import State
from core.tables.size import Activity, Size
from core.tables.structure import Check, Column, ForeignKey, Index, OwnSequence
from core.tables.tree import Kind, Member, Rooted, Tree


class Source(StrEnum):
    """How the bounds of an archived table are known."""

    TAG = "tag"
    CHECK = "check"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Archived(Rooted):
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
    kind: Kind = Kind.PLAIN
    tree: Tree | None = None
    """What hangs below a branch; its figures are sums over that. None for any other."""
    columns: tuple[Column, ...] = ()
    indexes: tuple[Index, ...] = ()
    checks: tuple[Check, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    """Its own, which ATTACH matches against the parent's by their definitions."""
    sequences: tuple[OwnSequence, ...] = ()
    barriers: tuple[tuple[str, str], ...] = ()
    """What no partition may be or have, as (kind, quoted name): typed, child, parent, trigger."""
    owned: bool = True
    """Whether the connected role owns it, or is a member of its owner."""
    key_column: str = ""
    """What it calls the parent's key, where that is not what the parent calls it."""
    home_gone: bool = False
    """Whether the schema that it stood in is no longer there, so that it goes to the parent's."""
    home_taken: frozenset[str] = field(default=frozenset(), compare=False)
    """Names there that it could meet, where that is not the parent's schema."""
    homes_below: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False, hash=False)
    """The other schemas that tables below it stood in, as far as they are there, with such names."""
    hold: Hold | None = None
    drop: PlannedDrop | None = None
    distribution: Distribution | None = None
    """How Citus spreads it over servers; None where it is here, in one piece."""
    left_here: bool = field(default=False, compare=False)
    """Whether rows from before it was distributed lie on the coordinator still, unseen; known with exact sizes."""
    busy: bool = field(default=False, compare=False)
    fires: bool = field(default=False, compare=False)
    """Whether a trigger or a rule is on it that somebody made."""
    unlogged: bool = field(default=False, compare=False)
    """Whether its rows are gone after a crash of the server, and not on a standby."""
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
    def own_names(self) -> tuple[str, ...]:
        """What it takes in its schema: its name, and those of its indexes and sequences."""
        return (self.name, *(index.name for index in self.indexes), *(one.name for one in self.sequences))

    @property
    def beside(self) -> tuple[Member, ...]:
        """What hangs below it and is where it is; what somebody put elsewhere stays there."""
        return tuple(one for one in self.members if one.schema == self.schema)

    @property
    def former(self) -> frozenset[str]:
        """The addresses that its parent is known to have had."""
        return frozenset(
            [*([self.tag.address] if self.tag else []), *([self.drop.parent] if self.drop else [])],
        )

    def own_key(self, key: Key) -> Key:
        """The parent's key as it is called here."""
        return replace(key, column=self.key_column) if self.key_column else key

    def has_key(self, key: Key) -> bool:
        """Whether it has the column, under whatever name."""
        return {column.name for column in self.columns}.issuperset(self.own_key(key).columns)

    def bounds_check(self, key: Key) -> Check | None:
        """Its CHECK that says exactly its bounds, if it has one; a validated one first."""
        own = self.own_key(key)
        fits = [check for check in self.checks if check.says(own, self.bounds)]
        return min(fits, key=lambda check: not check.validated, default=None)
