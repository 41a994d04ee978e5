"""The indexes of a whole tree: a table, the branches below it, and the leaves that hold the rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.names import qualified
from core.tables.tree import Kind

_LEFTOVER = re.compile(r"_cc(?:new|old)\d*$")
_STORED = re.compile(r" WITH \([^()]*\)")


@dataclass(frozen=True, slots=True)
class TreeIndex:
    """One index of one table of a tree."""

    oid: int
    schema: str
    name: str
    definition: str
    """What follows the table in CREATE INDEX: USING btree (kid_id)."""
    unique: bool
    valid: bool
    constraint: bool
    exclusion: bool
    parent: int | None
    """The oid of the index above it, which it is attached to."""
    bytes: int

    @property
    def sql(self) -> str:
        """Quoted and qualified."""
        return qualified(self.schema, self.name)

    @property
    def is_leftover(self) -> bool:
        """Whether it is what a REINDEX CONCURRENTLY that was cut short has left."""
        return not self.valid and self.parent is None and _LEFTOVER.search(self.name) is not None

    def is_like(self, definition: str, *, unique: bool) -> bool:
        """Whether one of that definition would be the same, but for how it is stored."""
        return (_STORED.sub("", self.definition), self.unique) == (_STORED.sub("", definition), unique)


@dataclass(frozen=True, slots=True)
class Node:
    """One table of a tree with its indexes."""

    oid: int
    schema: str
    name: str
    kind: Kind
    parent: int | None
    """The oid of the table that it is a partition of; None for the topmost."""
    key: tuple[str, ...]
    """The columns that it is partitioned by itself, an empty one for an expression."""
    busy: bool
    building: bool
    """Whether somebody builds an index on it just now."""
    indexes: tuple[TreeIndex, ...]

    @property
    def sql(self) -> str:
        """Quoted and qualified."""
        return qualified(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class TreeIndexes:
    """The tables of a tree, each after the one that it is a partition of, with their indexes."""

    nodes: tuple[Node, ...]
    quoted: tuple[tuple[str, str], ...]
    """Each column of the topmost with its name as PostgreSQL prints it."""
    taken: frozenset[tuple[str, str]]
    """(schema, name) of every relation in the schemas that they stand in."""

    @property
    def top(self) -> Node:
        """The table itself."""
        return self.nodes[0]

    @property
    def leaves(self) -> tuple[Node, ...]:
        """What holds rows."""
        return tuple(node for node in self.nodes if node.kind is not Kind.BRANCH)

    @property
    def branches(self) -> tuple[Node, ...]:
        """What is partitioned below the topmost, the lowest first."""
        return tuple(node for node in reversed(self.nodes[1:]) if node.kind is Kind.BRANCH)

    def below(self, index: TreeIndex) -> Iterator[tuple[Node, TreeIndex]]:
        """The indexes of leaves that are attached to an index of the topmost, at whatever depth."""
        above = {index.oid}
        for node in self.nodes[1:]:
            for one in node.indexes:
                if one.parent in above:
                    above.add(one.oid)
                    if node.kind is not Kind.BRANCH:
                        yield node, one
