"""What comes before a partitioned table is made plain: its rows come into one partition, while everybody works."""

from __future__ import annotations

from collections.abc import Iterator

from core.plans.convertible import require_rights
from core.plans.drain import Drain
from core.plans.operation import Sources, Wish
from core.plans.split import Merge, Split
from core.plans.unconvert import Unconvert, require_free
from core.plans.under_way import called_of
from core.tables.move import Course
from core.tables.table import PartitionedTable


def gathering(desk: Sources, table: PartitionedTable, rest_ms: int | None = None) -> Wish | None:
    """The next act that brings the rows of a table into one partition; None where they are.

    Goes on with what was begun. Looks whether each partition holds a row. Raises Refused for what would keep the table
    from becoming plain after it.
    """
    if table.strategy == "plain":
        return None
    begun = desk.under_way(table)
    if begun is not None:
        return _rest(table, begun.course, rest_ms)
    whole = desk.whole(table)
    filled = set(whole.filled)
    if len(filled) < 2:
        return None
    require_rights(table)
    require_free(whole)
    default = table.default
    if default is not None and f"{default.schema}.{default.name}" in filled:
        return Merge(table.address, tuple(table.called(one) for one in table.partitions), rest_ms, True)
    first = next(number for number, one in enumerate(table.ranges) if f"{one.schema}.{one.name}" in filled)
    every = table.ranges[first:]  # those too that hold none yet, as new rows come
    return Merge(table.address, tuple(table.called(one) for one in every), rest_ms, True)


def to_plain(desk: Sources, table: str, rest_ms: int | None = None) -> Iterator[Wish]:
    """The wishes by which a partitioned table becomes plain, from wherever it is: each is done before the next."""
    while (first := gathering(desk, desk.read(table), rest_ms)) is not None:
        yield first
    yield Unconvert(table)


def _rest(table: PartitionedTable, course: Course, rest_ms: int | None) -> Wish:
    names = tuple(called_of(table, one) for one in course.leaving)
    if course.act == "drain":
        return Drain(table.address, rest_ms=rest_ms)
    if course.act == "merge":
        return Merge(table.address, names, rest_ms)
    return Split(table.address, names[0], None, rest_ms)
