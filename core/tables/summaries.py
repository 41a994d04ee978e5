"""One line on each table of a database, for lists."""

from __future__ import annotations

from dataclasses import dataclass

from core.names import address


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
    oid: int = 0
    under: str = ""
    """The address of the table that it is a partition of, at whatever depth; empty where nothing is above it."""

    @property
    def label(self) -> str:
        """Its name for people: schema.name."""
        return f"{self.schema}.{self.name}"

    @property
    def address(self) -> str:
        """A name that `split_qualified` reads back, whatever is in it."""
        return address(self.schema, self.name)
