"""A table that Citus keeps on several servers, and what its shards there take and hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.tables.size import Size


@dataclass(frozen=True, slots=True)
class Distribution:
    """How Citus spreads a table: tables of one `group` keep rows of one value on one server."""

    column: str | None
    """None for what is not cut up: a reference table, or one on a single server."""
    group: int


@dataclass(frozen=True, slots=True)
class Shards:
    """What all shards of one table take on their servers, and the rows that the planner expects in them."""

    size: Size | None
    """None while a shard is busy or its server doesn't answer."""
    rows: int | None
    """None where a shard with rows was never analyzed."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Every table of the database that Citus manages, by oid; empty without Citus."""

    tables: Mapping[int, Distribution] = field(default_factory=dict)
    shards: Mapping[int, Shards] = field(default_factory=dict)

    def of(self, oid: int) -> Shards | None:
        """Its shards, of which nothing may be known; None for a table that is here, in one piece."""
        return self.shards.get(oid, Shards(None, None)) if oid in self.tables else None
