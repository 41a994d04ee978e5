"""A publication as far as it may send the rows of one table's partitions, attached or archived."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Publication:
    """Which tables a publication sends, of those that concern one partitioned table."""

    name: str
    parent: bool
    """Whether it sends the partitioned table, and so every partition of it, wherever that stands."""
    via_root: bool = False
    """Whether rows of partitions are sent as rows of the partitioned table."""
    all_tables: bool = False
    schemas: tuple[str, ...] = ()
    """The schemas of which it sends every table."""
    tables: tuple[int, ...] = ()
    """The partitions and others that it names one by one."""

    def sends_attached(self, schema: str, oid: int | None = None) -> bool:
        """Whether it sends a partition of the table that stands in that schema."""
        return self.parent or self.sends_alone(schema, oid)

    def sends_alone(self, schema: str, oid: int | None = None) -> bool:
        """Whether it sends a table of no partitioned one that stands in that schema."""
        return self.all_tables or schema in self.schemas or oid in self.tables

    @property
    def as_parent(self) -> bool:
        """Whether a subscriber needs no table of an attached partition's own name."""
        return self.parent and self.via_root
