"""A partition that hangs on its parent, and where a partition is in its life."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from core.tables.bounds import Bounds
from core.tables.marks import Hold, Marks
from core.tables.size import Activity, Size
from core.tables.structure import Check, OwnSequence
from core.tables.tree import Kind, Rooted, Tree


class State(StrEnum):
    """Where a partition is in its life."""

    ATTACHED = "attached"
    DETACH_PENDING = "detach_pending"
    ARCHIVED = "archived"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Partition(Rooted):
    """A partition that hangs on its parent."""

    oid: int
    schema: str
    name: str
    owner: str
    bounds: Bounds | None
    """None where they could not be read."""
    pending: bool = False
    """Detach pending: the rows are out of the parent's sight until the detach is finished."""
    kind: Kind = Kind.PLAIN
    tree: Tree | None = None
    """What hangs below a branch; its figures are sums over that. None for any other."""
    checks: tuple[Check, ...] = ()
    index_names: tuple[str, ...] = ()
    comment: str | None = None
    sequences: tuple[OwnSequence, ...] = ()
    constraint_names: tuple[str, ...] = field(default=(), compare=False)
    busy: bool = field(default=False, compare=False)
    """Somebody holds or waits for ACCESS EXCLUSIVE on it just now."""
    unlogged: bool = field(default=False, compare=False)
    """Whether its rows are gone after a crash of the server, and not on a standby."""
    size: Size | None = field(default=None, compare=False)
    read_through: int | None = field(default=None, compare=False)
    """Bytes that whoever reads every row of it reads; of the DEFAULT partition alone, None where that is unknown."""
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
    def own_names(self) -> tuple[str, ...]:
        """What it takes in its schema: its name, and those of its indexes and sequences."""
        return (self.name, *self.index_names, *(one.name for one in self.sequences))
