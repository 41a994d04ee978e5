"""A move of rows from partitions to others that take their place, as it stands in the database while it lasts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from core.names import ident, qualified
from core.tables.ends import End
from core.tables.equipment import Equipped

_MARK = "partition-desk-move: "
"""How the comment begins of the table that keeps how far a move is."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A partition whose rows are moved."""

    oid: int
    schema: str
    name: str
    bounds: str
    """As PostgreSQL prints them."""

    @property
    def sql(self) -> str:
        """Its quoted and qualified name, as long as it is attached."""
        return qualified(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Piece:
    """A partition that is made for them."""

    schema: str
    name: str
    """As it is called while it is filled."""
    bounds: str
    final: str
    """As it is called once it is attached."""

    @property
    def sql(self) -> str:
        """Its quoted and qualified name, as long as it is filled."""
        return qualified(self.schema, self.name)

    @property
    def final_sql(self) -> str:
        """The same once it is attached."""
        return qualified(self.schema, self.final)


@dataclass(frozen=True, slots=True)
class Course:
    """What is moved where: all that has to be known to go on with it, or to take it back."""

    act: str
    """The operation that began it: drain, split or merge."""
    leaving: tuple[Leaving, ...]
    pieces: tuple[Piece, ...]
    prove: tuple[tuple[str, str], ...] = ()
    """(table, name) of each foreign key to the table that was proven before, and has to be so again after."""

    def written(self) -> str:
        """The comment that says it."""
        return _MARK + json.dumps(asdict(self))

    @classmethod
    def read(cls, comment: str | None) -> Course | None:
        """What `written` gave; None for anything else."""
        if not comment or not comment.startswith(_MARK):
            return None
        try:
            raw = json.loads(comment.removeprefix(_MARK))
            return cls(
                str(raw["act"]),
                tuple(
                    Leaving(int(o["oid"]), *(str(o[n]) for n in ("schema", "name", "bounds"))) for o in raw["leaving"]
                ),
                tuple(Piece(*(str(o[n]) for n in ("schema", "name", "bounds", "final"))) for o in raw["pieces"]),
                tuple((str(other), str(name)) for other, name in raw["prove"]),
            )
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Move:
    """A move under way."""

    course: Course
    switched: bool
    """Whether the new partitions are in place already, and only the old ones are left to be removed."""
    share: float = 0.0
    """How much of the rows was copied, 0 to 1."""
    keyed: tuple[tuple[str, str], ...] = ()
    """(new partition, name) of each foreign key that it has already."""
    paused: bool = False
    """Whether somebody has had it stop until it is asked for again."""


@dataclass(frozen=True, slots=True)
class Unique:
    """What tells each row of a table from any other: a constraint whose columns are never NULL."""

    primary: bool
    columns: tuple[str, ...]
    equals: tuple[str, ...]
    """The operator of each column by which the constraint compares, as OPERATOR(schema.name)."""

    def same(self, one: str, other: str) -> str:
        """That two rows, by the words before their columns, are the same one."""
        pairs = zip(self.columns, self.equals, strict=True)
        return " AND ".join(f"{one}.{ident(name)} {equal} {other}.{ident(name)}" for name, equal in pairs)


@dataclass(frozen=True, slots=True)
class Ground:
    """What has to be known of a table and some of its partitions before rows are moved."""

    split: str
    """How the table is partitioned, as RANGE (date)."""
    unique: Unique | None
    equipped: tuple[Equipped, ...] | None
    """What the partitions have of their own; None where somebody holds one locked."""
    bytes: int = 0
    """What they take on disk, indexes and all."""
    forced: tuple[str, ...] = ()
    """The names of those whose row security binds their owner."""
    referenced: tuple[str, ...] = ()
    """The foreign keys that lead to one of them and not to the table, for people."""
    dependents: tuple[str, ...] = ()
    """What else was made on one of them, in PostgreSQL's words."""
    partitioned_referrers: tuple[str, ...] = ()
    """The partitioned tables whose foreign keys lead to the table."""
    comments: tuple[tuple[str, str, str], ...] = ()
    """(table, foreign key, its comment)."""


@dataclass(frozen=True, slots=True)
class Strewn:
    """The rows of a DEFAULT partition by where they lie."""

    lowest: End | None
    """Of the keys within what was asked about."""
    highest: End | None
    without: int
    """Rows that have no key."""
    before: int
    after: int
