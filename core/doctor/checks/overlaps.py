"""Can what was archived come back, or does something else hold its range by now?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from core.doctor.findings import (
    Case,
    Finding,
    Severity,
    archive_fine,
    gently,
    one_line,
    script,
)
from core.names import ident
from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.commands import twin
from core.tables.partition import Partition
from core.tables.table import PartitionedTable


def overlaps(case: Case) -> Iterator[Finding]:
    """WARNING for each archived table whose range a partition, or another archived table, holds too."""
    pairs = tuple(_overlapping(case.table))
    found = [
        *(_can_not_come_back(case, archived, holder) for archived, holder in _attached(pairs)),
        *(_archived_twice(case, one, other) for one, other in pairs if isinstance(other, Archived)),
    ]
    yield from found
    if not found:
        yield archive_fine(case, "overlaps", "No partition stands where {} came from")


def _overlapping(table: PartitionedTable) -> Iterator[tuple[Archived, Partition | Archived]]:
    """Each archived table with each partition, or archived table after it, that holds a part of its range."""
    everything: tuple[Partition | Archived, ...] = (*table.ranges, *table.archived)
    known = [(one.bounds, one) for one in everything if one.bounds is not None]
    under_way: list[tuple[Bounds, Partition | Archived]] = []
    for bounds, one in sorted(known, key=lambda pair: pair[0].order):
        # what ends before this one begins meets none that begins later
        under_way = [(other, that) for other, that in under_way if other.overlaps(bounds)]
        for _, that in under_way:
            if isinstance(that, Archived):
                yield that, one
            elif isinstance(one, Archived):
                yield one, that
        under_way.append((bounds, one))


def _attached(pairs: Iterable[tuple[Archived, Partition | Archived]]) -> list[tuple[Archived, Partition]]:
    """Each archived table with the first partition that holds a part of its range."""
    first: dict[int, tuple[Archived, Partition]] = {}
    for archived, holder in pairs:
        if isinstance(holder, Partition):
            first.setdefault(archived.oid, (archived, holder))
    return list(first.values())


def _can_not_come_back(case: Case, archived: Archived, holder: Partition) -> Finding:
    return Finding(
        "overlaps",
        Severity.WARNING,
        f"{archived.schema}.{archived.name} can't come back: {holder.name} holds a part of its range",
        "Two partitions can't share a date; its rows of that time are in two tables now.",
        hint=_merge(case, holder, archived) if _may_give_way(case, holder, archived) else _both_stay(holder, archived),
        subject=case.called(archived),
    )


def _archived_twice(case: Case, one: Archived, other: Archived) -> Finding:
    column = case.key.sql
    return Finding(
        "overlaps",
        Severity.WARNING,
        f"{one.schema}.{one.name} and {other.schema}.{other.name} hold the same range",
        "Only one of them can come back.",
        hint="-- Compare them:\n"
        + script(*(f"SELECT count(*), min({column}), max({column}) FROM {each.sql}" for each in (one, other))),
        subject=case.called(one),
    )


def _may_give_way(case: Case, holder: Partition, archived: Archived) -> bool:
    """Whether all rows of a partition can go to an archived table, and it can go, without anybody missing it.

    Not where it holds more than the archived range or days that are not over, or is held; nor where a trigger or a
    rule could keep rows from arriving, or a DEFAULT would take those that come meanwhile.
    """
    bounds, its = archived.bounds, holder.bounds
    return (
        bounds is not None
        and its is not None
        and its.upper is not None
        and case.key.clock is not None
        and its.upper <= case.moment
        and bounds.covers(its)
        and case.table.default is None
        and case.table.pending is None
        and holder.is_plain
        and archived.is_plain
        and holder.hold is None
        and archived.hold is None
        and archived.drop is None
        and not archived.fires
    )


def _both_stay(holder: Partition, archived: Archived) -> str:
    """What to do where the partition can't give way as a whole."""
    name = f"{archived.schema}.{archived.name}"
    return (
        f"Leave both where they are: no row is lost, and those of {name} can be read there. This console has no safe"
        f" way to bring them together while {holder.name} holds more than the range of {name}, days that are not over,"
        " or what is on either has to stay as it is. Ask your DBA if they have to be in one table."
    )


def _merge(case: Case, holder: Partition, archived: Archived) -> str:
    """SQL that moves all rows of a partition within the archived table's range there, or none.

    Writers to the partition wait while its rows are copied, and everybody for the moment of the detach.
    """
    table = case.table
    columns = _columns(table)
    return "\n".join(
        (
            f"-- Put the rows of {one_line(holder.name)} to the archived ones, then bring those back. Until then reads"
            " miss them:",
            gently(
                "SET LOCAL row_security = off",
                f"LOCK TABLE {holder.sql} IN SHARE ROW EXCLUSIVE MODE",
                f"INSERT INTO {archived.sql} ({columns}) SELECT {columns} FROM ONLY {holder.sql}",
                f"ALTER TABLE {table.sql} DETACH PARTITION {holder.sql}",
                f"DROP TABLE {holder.sql}",
            ),
            f"-- {twin('reattach', table, _called_alone(table, holder, archived))}",
        )
    )


def _called_alone(table: PartitionedTable, holder: Partition, archived: Archived) -> str:
    """What the archived table will be called once the partition that holds its range is gone."""
    rest = tuple(p for p in table.partitions if p is not holder)
    return replace(table, partitions=rest).called(archived)


def _columns(table: PartitionedTable) -> str:
    """The columns that can be written, in the table's order; that of a partition may be another."""
    return ", ".join(ident(column.name) for column in table.columns if not column.generated)
