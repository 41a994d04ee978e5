"""What a partition has of its own, beyond what LIKE its parent and ATTACH give, and what its siblings share of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from core.tables.definition import Grant


class Kind(StrEnum):
    """What a trait is, in the order in which a new table gets them."""

    UNLOGGED = "unlogged"
    ACCESS_METHOD = "access method"
    OPTION = "option"
    TABLESPACE = "tablespace"
    COLUMN = "column"
    INDEX = "index"
    UNIQUE_INDEX = "unique index"
    KEY = "key"
    CHECK = "check"
    NOT_NULL = "not null"
    IDENTITY = "replica identity"
    CLUSTER = "cluster"
    STATISTICS = "statistics"
    TRIGGER = "trigger"
    CONSTRAINT_TRIGGER = "constraint trigger"
    RULE = "rule"
    SECURITY = "row security"
    POLICY = "policy"
    FOREIGN_KEY = "foreign key"
    LABEL = "security label"
    GRANT = "grant"
    COMMENT = "comment"
    PUBLICATION = "publication"
    TRIGGER_STATE = "trigger state"
    """Whether a trigger of the parent fires here, too; it comes with ATTACH, so that it is set after it."""


INDEXES = (Kind.INDEX, Kind.UNIQUE_INDEX, Kind.KEY)
GUARDS = (
    Kind.UNIQUE_INDEX,
    Kind.KEY,
    Kind.CHECK,
    Kind.NOT_NULL,
    Kind.IDENTITY,
    Kind.TRIGGER,
    Kind.CONSTRAINT_TRIGGER,
    Kind.RULE,
    Kind.SECURITY,
    Kind.POLICY,
    Kind.FOREIGN_KEY,
    Kind.GRANT,
    Kind.PUBLICATION,
    Kind.TRIGGER_STATE,
)
"""What decides which rows are taken, seen and sent; the rest is about speed and place, and may change with age."""


@dataclass(frozen=True, slots=True)
class Trait:
    """One thing that a partition has of its own; two partitions have it alike where these are equal."""

    kind: Kind
    parts: tuple[str, ...]
    """Its SQL, with the name of the table left out between the parts."""
    said: str = field(compare=False)
    """What it is, for people, after "has": the policy own."""
    name: str = field(default="", compare=False)
    """Its own name on the partition that it was read from; empty for what has none."""
    of: str = field(default="", compare=False)
    """The name of that partition, with which its own may begin."""
    under: str = field(default="", compare=False)
    """What CREATE UNIQUE INDEX says of the index under a key, after the table; empty where none can be made first."""
    state: str = ""
    """How a trigger fires, the target of statistics, the options of a key's index."""
    tablespace: str = ""
    """Of an index."""
    index: Trait | None = None
    """The index that a replica identity or a cluster mark is about."""
    inherited: bool = field(default=False, compare=False)
    """Whether the parent has this index, too, and it is told for a mark, a place or options of its own."""
    lacks: str = field(default="", compare=False)
    """Why a new partition can't get it, in words after "because"."""
    place_lacks: str = field(default="", compare=False)
    """The same of the tablespace of an index alone."""

    @property
    def fact(self) -> str:
        """All that tells it from another, in one line for those who compare."""
        index = f" ({self.index.fact})" if self.index is not None else ""
        said = " ".join(part for part in ("...".join(self.parts), self.state, self.tablespace) if part)
        return f"{self.kind}: {said}{index}"

    def on(self, relation: str) -> str:
        """Its SQL about a table."""
        return relation.join(self.parts)


@dataclass(frozen=True, slots=True)
class Equipped:
    """A partition and all that it has of its own."""

    oid: int
    schema: str
    name: str
    traits: tuple[Trait, ...] = ()


@dataclass(frozen=True, slots=True)
class Apart:
    """A trait in which the newest partitions differ."""

    trait: Trait
    having: tuple[str, ...]
    """The names of those that have it."""
    lacking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the newest partitions have of their own, read for the next one."""

    siblings: tuple[Equipped, ...] = ()
    """The newest three at most, the newest last."""
    foreign_owned: int = 0
    """How many partitions another role than the parent's owner has: their word does not count."""
    unread: bool = field(default=False, compare=False)
    """Whether there are such partitions and somebody holds every one of them locked."""
    by_default: tuple[Grant, ...] = ()
    """What ALTER DEFAULT PRIVILEGES gives to others on a table that the connected role makes."""
    may_create: bool = True
    """Whether the connected role may create tables in `schema`."""
    taken: frozenset[str] = field(default=frozenset(), compare=False)
    """The names of relations there that an index of a new partition could meet."""

    @property
    def models(self) -> tuple[Equipped, ...]:
        """Those whose traits a new partition gets where they agree: the newest two, or the only one."""
        return self.siblings[-2:]

    @property
    def schema(self) -> str | None:
        """The schema that all of them stand in; None where they stand in several, or there are none."""
        schemas = {one.schema for one in self.siblings}
        return schemas.pop() if len(schemas) == 1 else None

    @property
    def shared(self) -> tuple[Trait, ...]:
        """What a new partition is to have, in the order in which it gets it; named as on the newest."""
        if not self.models:
            return ()
        others = [set(one.traits) for one in self.models[:-1]]
        return in_order(trait for trait in self.models[-1].traits if all(trait in other for other in others))

    def missed_by(self, one: Equipped) -> tuple[Trait, ...]:
        """What guards the rows of the siblings and is not on a table that comes to stand beside them."""
        own = set(one.traits)
        return tuple(
            trait
            for trait in self.shared
            if trait.kind in GUARDS and trait.kind is not Kind.TRIGGER_STATE and not trait.inherited
            if trait not in own
        )

    @property
    def apart(self) -> tuple[Apart, ...]:
        """What some of the newest have and others have not, and the new one does not get."""
        shared = set(self.shared)
        every = dict.fromkeys(trait for one in reversed(self.siblings) for trait in one.traits if not trait.inherited)
        return tuple(
            Apart(
                trait,
                tuple(one.name for one in self.siblings if trait in one.traits),
                tuple(one.name for one in self.siblings if trait not in one.traits),
            )
            for trait in in_order(every)
            if trait not in shared
        )


def in_order(traits: Iterable[Trait]) -> tuple[Trait, ...]:
    """Each once, so that each finds what it needs; those of one kind as they were given."""
    order = {kind: number for number, kind in enumerate(Kind)}
    return tuple(sorted(dict.fromkeys(traits), key=lambda trait: order[trait.kind]))
