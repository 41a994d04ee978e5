"""One line on each table or partition of a database, for lists and totals."""

from __future__ import annotations

from dataclasses import dataclass

from core.names import address
from core.tables.size import Size


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

    @property
    def label(self) -> str:
        """Its name for people: schema.name."""
        return f"{self.schema}.{self.name}"

    @property
    def address(self) -> str:
        """A name that `split_qualified` reads back, whatever is in it."""
        return address(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """One partition of the database with its size, for totals over all tables."""

    parent_schema: str
    parent: str
    schema: str
    name: str
    rows: int | None
    """Estimated by the last analyze; None before the first."""
    size: Size | None
    """None where it could not be read without waiting."""
