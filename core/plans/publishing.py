"""What a publication makes of a partition that comes, leaves or comes back: which one sends it, and under which name.

A subscriber stops, for all its tables, at the first row of a table that it lacks.
"""

from __future__ import annotations

from collections.abc import Iterable

from core.names import address
from core.tables.archived import Archived
from core.tables.partition import Partition
from core.tables.publication import Publication
from core.tables.table import PartitionedTable


def _named(publications: Iterable[Publication]) -> str:
    names = [publication.name for publication in publications]
    return f"The publication{'s' if len(names) > 1 else ''} {', '.join(names)}"


def entering(table: PartitionedTable, schema: str, names: Iterable[str], oid: int | None = None) -> tuple[str, ...]:
    """What publications do with partitions of those names once they are attached, and stand in `schema`."""
    sending = [publication for publication in table.publications if publication.sends_attached(schema, oid)]
    whole = [publication for publication in sending if publication.as_parent]
    alone = [publication for publication in sending if not publication.as_parent]
    called = ", ".join(address(schema, name) for name in names)
    found: list[str] = []
    if alone:
        found.append(
            f"{_named(alone)} will send the rows of {called} under that name: make it on every subscriber before the"
            " first row is written, or it stops there, for all tables."
        )
    if whole:
        found.append(f"{_named(whole)} will send the rows of {called} as those of {table.label}.")
    return tuple(found)


def leaving(table: PartitionedTable, partition: Partition) -> tuple[str, ...]:
    """What publications do with a partition that is archived."""
    before = [p for p in table.publications if p.sends_attached(partition.schema, partition.oid)]
    archive = table.archive.name
    staying = [p for p in table.publications if p.sends_alone(archive, partition.oid)]
    gone = [publication for publication in before if publication not in staying]
    called = address(archive, partition.name)
    found: list[str] = []
    if gone:
        found.append(f"{_named(gone)} will no longer send {partition.name}; subscribers keep the rows that they have.")
    if staying:
        found.append(
            f"{_named(staying)} will send {called} under that name: a row that is written to it there stops a"
            " subscriber that has no such table. Archiving itself writes none."
        )
    if table.subscriptions:
        found.append(
            f"The subscription {', '.join(table.subscriptions)} writes into {table.label}: a row of the range of"
            f" {partition.name} that still arrives once it is archived stops it, for all tables."
        )
    return tuple(found)


def returning(table: PartitionedTable, archived: Archived, home: str) -> tuple[str, ...]:
    """What publications do with an archived table that comes back; its rows of before are not sent again."""
    return entering(table, home, (archived.name,), archived.oid)
