"""Split and merge: one partition becomes several, or several become one, while everybody reads and writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import islice, pairwise
from typing import ClassVar

from core.errors import OffCalendar, Overlap, PartitionNotFound, Refused, UsageError
from core.names import fit
from core.period import Width
from core.plans.drain import SANE_FROM
from core.plans.ensure import named
from core.plans.movable import leaving_of
from core.plans.operation import Danger, Operation, Scope, Sources, table_for
from core.plans.plan import Plan, nothing_to_do
from core.plans.refusals import require_served
from core.plans.repartition import Asked, plan_move, to_prove
from core.plans.target import Target, partition_of
from core.plans.under_way import called_of, goes_on, ground_of, require_own, resting
from core.tables.bounds import Bounds
from core.tables.commands import option, twin
from core.tables.cut import Cut, cut_by
from core.tables.ends import End
from core.tables.key import Key, key_value
from core.tables.move import Course, Piece
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import listed

SPLIT = Operation(
    "split", "Split", "splitting", Danger.DIALOG, scope=Scope.PARTITIONS, counts_rows=False, told_apart_by="steps"
)
MERGE = Operation(
    "merge", "Merge", "merging", Danger.DIALOG, scope=Scope.PARTITIONS, counts_rows=False, told_apart_by="steps"
)
_EPOCH = date(2000, 1, 1)
_MONTH = Width(months=1)
_APART = "They stand in several schemas: nothing tells where their heir is to stand."
MOST_PIECES = 60
"""The most partitions that one becomes: each takes some thousandths of a second of the switch."""


@dataclass(frozen=True, slots=True)
class Split:
    """That a partition becomes several of a width."""

    operation: ClassVar = SPLIT
    table: str | PartitionedTable
    partition: Target
    every: Width | None
    """None for whoever goes on with what was begun."""
    rest_ms: int | None = None
    """How long it is to rest after each batch; None for as it does already, or not at all."""

    def plan(self, desk: Sources) -> Plan:
        """Reads what the partition has of its own."""
        table = table_for(desk, self.table)
        key = require_served(table)
        said = (self.partition,) if isinstance(self.partition, str) else ()
        begun = require_own(table, desk.under_way(table), SPLIT.name, said)
        if begun is not None:
            course = begun.course
        else:
            one = _attached(table, self.partition, desk.zone)
            if self.every is None:
                raise UsageError("How wide are they to be?", next="Say it: --every '1 month'.")
            pieces = _cells(table, key, one, self.every, desk.zone, _lowest(desk, table, key, one))
            if len(pieces) < 2:
                why = f"{one.name} is no wider than {self.every}: there is nothing to split."
                return nothing_to_do(SPLIT, table.address, table.called(one), why)
            course = Course(SPLIT.name, (leaving_of(one),), pieces, to_prove(table))
        source = course.leaving[0]
        words = [option("--every", str(self.every))] if self.every is not None else []
        words += resting(self.rest_ms)
        asked = Asked(
            SPLIT,
            source.name,
            twin("split", table, called_of(table, source), *words),
            goes_on(table, course, "--abandon"),
            (f"{source.name} becomes {_spoken(course)}: together they hold the same range, and the same rows.",),
            f"Merge them again: {_merged(table, course.pieces)}",
            rest_ms=self.rest_ms,
        )
        return plan_move(table, key, ground_of(desk, table, course, begun), begun, course, asked)


@dataclass(frozen=True, slots=True)
class Merge:
    """That partitions which lie side by side become one."""

    operation: ClassVar = MERGE
    table: str | PartitionedTable
    partitions: tuple[str, ...]
    rest_ms: int | None = None
    across_gaps: bool = False
    """Whether a range between them that has no partition becomes theirs, too."""

    def plan(self, desk: Sources) -> Plan:
        """Reads what the partitions have of their own."""
        table = table_for(desk, self.table)
        key = require_served(table)
        begun = require_own(table, desk.under_way(table), MERGE.name, self.partitions)
        course = begun.course if begun is not None else self._course(desk, table, key)
        names = tuple(one.name for one in course.leaving)
        asked = Asked(
            MERGE,
            listed(names, 3),
            goes_on(table, course, *(["--across-gaps"] if self.across_gaps else []), *resting(self.rest_ms)),
            goes_on(table, course, "--abandon"),
            (f"{listed(names, 24)} become {course.pieces[0].final}, which holds the range and the rows of all.",),
            f"Split it again: {_split_again(table, course.pieces[0])}",
            rest_ms=self.rest_ms,
        )
        return plan_move(table, key, ground_of(desk, table, course, begun), begun, course, asked)

    def _course(self, desk: Sources, table: PartitionedTable, key: Key) -> Course:
        default = table.default
        named = [partition_of(table, name, desk.zone) for name in self.partitions]
        if self.across_gaps and default is not None and any(table.find(name) == default for name in named):
            return _all_into_default(table, default, {one.oid for name in named if (one := table.find(name))})
        chosen = [_attached(table, name, desk.zone) for name in self.partitions]
        course = _merging(table, key, chosen, desk.zone, across_gaps=self.across_gaps)
        if self.across_gaps:
            _require_none_between(desk, table, Bounds.parse(course.pieces[0].bounds, key))
        return course


def _split_again(table: PartitionedTable, piece: Piece) -> str:
    return (
        twin("drain", table, "", "--every ...")
        if piece.bounds == "DEFAULT"
        else twin("split", table, piece.final, "--every ...")
    )


def _all_into_default(table: PartitionedTable, default: Partition, oids: set[int]) -> Course:
    """The DEFAULT takes the rows of all others. Raises UsageError where one is left out."""
    if left := [table.called(one) for one in table.partitions if one.oid not in oids]:
        raise UsageError(
            f"{default.name}, the DEFAULT, can become one only with all others.",
            next=f"Name these, too: {listed(left)}.",
        )
    every = (*table.ranges, default)
    if len({one.schema for one in every}) > 1:
        raise Refused(_APART)
    return Course(
        MERGE.name,
        tuple(leaving_of(one) for one in every),
        (_piece(default, default.name, "DEFAULT", every),),
        to_prove(table),
    )


def _attached(table: PartitionedTable, target: Target, zone: str) -> Partition:
    """The partition that is meant. Raises PartitionNotFound, and Refused for what has no two ends."""
    name = partition_of(table, target, zone)
    one = table.find(name)
    if one is None:
        raise PartitionNotFound(
            f"{table.label} has no partition {name}.", next=f"There are: {listed(table.calls().values(), 24)}."
        )
    if one.bounds is None or not one.bounds.is_range:
        raise Refused(
            f"{one.name} is the DEFAULT partition: it has no range.",
            next=f"Give its rows partitions of their own: {twin('drain', table)}",
        )
    return one


def _spoken(course: Course) -> str:
    return listed((one.final for one in course.pieces), 24)


def _merged(table: PartitionedTable, pieces: Iterable[Piece]) -> str:
    return twin("merge", table, "", *(option("--partition", one.final) for one in pieces))


def _lowest(desk: Sources, table: PartitionedTable, key: Key, one: Partition) -> End | None:
    """The lowest key of a partition that has no lower end, so that its first range ends after that."""
    bounds = one.bounds
    if key.clock is None or bounds is None or bounds.lower is not None or not isinstance(bounds.upper, date):
        return None
    return desk.strewn(table, one, Bounds.of(key, key_value(key, SANE_FROM, desk.zone), bounds.upper)).lowest


def _cells(
    table: PartitionedTable, key: Key, one: Partition, every: Width, zone: str, lowest: End | None
) -> tuple[Piece, ...]:
    """The ranges of the calendar that lie in a partition's, the first and the last as far as they do.

    Where it has no lower end, neither has the first, which holds the `lowest` of its keys.
    """
    bounds = one.bounds
    grid = table.cut(zone)
    place = grid.zone if isinstance(grid, Cut) else zone
    ends = None
    from_lowest = bounds is not None and bounds.lower is None and lowest is not None
    if key.clock is not None and bounds is not None:
        whole = Bounds.of(key, lowest, bounds.upper) if from_lowest else bounds
        ends = cut_by(key, every, place, _EPOCH).located(whole)
    if bounds is None or ends is None:
        raise OffCalendar(
            f"{one.name} can't be split by {every}: its ends are no times of the calendar.",
            next="Split what has two of them.",
        )
    lower, upper = ends
    cut = cut_by(key, every, place, lower.date())
    lower = cut.containing(lower)[0] if from_lowest else lower
    cells = tuple(islice(cut.cover(lower, upper), MOST_PIECES + 1))
    if len(cells) > MOST_PIECES:
        raise UsageError(f"That makes more than {MOST_PIECES} partitions at once.", next="Say a greater width.")
    marks = [lower, *(begin for begin, _ in cells[1:]), upper]
    pattern = table.pattern(zone) if isinstance(grid, Cut) and grid.width == every else None
    taken = {*table.taken, *table.equipment.taken, *(each.name for each in table.partitions)} - {one.name}
    found: list[Piece] = []
    for begin, end in pairwise(marks):
        range_ = cut.bounds(begin, end)
        name = named(table, range_, cut, pattern, taken).name
        taken.add(name)
        if from_lowest and not found:
            range_ = Bounds.of(key, None, range_.upper)
        found.append(_piece(one, name, range_.text, (one,)))
    return tuple(found)


def _piece(like: Partition, final: str, bounds: str, leaving: Iterable[Partition]) -> Piece:
    """A new partition; under another name until those that it comes from have given up theirs."""
    taken = {each.name for each in leaving}
    return Piece(like.schema, fit(final, "_new") if final in taken else final, bounds, final)


def _require_none_between(desk: Sources, table: PartitionedTable, whole: Bounds) -> None:
    """Raises Refused where the DEFAULT holds rows of a range that becomes part of another partition."""
    if table.default is not None and desk.default_rows(table, [whole]):
        raise Refused(
            f"{table.default.name} holds rows of the ranges between them.",
            next=f"Give those partitions of their own first: {twin('drain', table)}",
        )


def _merging(
    table: PartitionedTable, key: Key, chosen: list[Partition], zone: str, *, across_gaps: bool = False
) -> Course:
    """Raises UsageError for fewer than two, Overlap where others, or with a gap nothing, lies between them."""
    every = sorted({one.oid: one for one in chosen}.values(), key=table.partitions.index)
    if len(every) < 2:
        raise UsageError("It takes two partitions at least.", next="Name each with --partition.")
    for one, following in pairwise(every):
        beside = one.bounds is not None and following.bounds is not None and one.bounds.upper == following.bounds.lower
        next_to_it = table.partitions.index(following) == table.partitions.index(one) + 1
        if not (beside or (across_gaps and next_to_it)):
            raise Overlap(
                f"{one.name} and {following.name} do not lie side by side.",
                next=f"Name all between them as well: {listed(table.calls().values(), 24)}.",
            )
    if len({one.schema for one in every}) > 1:
        raise Refused(_APART)
    first, last = every[0].bounds, every[-1].bounds
    whole = Bounds.of(key, first.lower if first else None, last.upper if last else None)
    taken = {*table.taken, *table.equipment.taken, *(each.name for each in table.partitions)}
    taken -= {one.name for one in every}
    grid = table.cut(zone)
    cut = grid if isinstance(grid, Cut) else cut_by(key, _MONTH, zone, _EPOCH) if key.clock is not None else None
    name = named(table, whole, cut, None, taken).name if cut is not None else fit(every[0].name, "_merged")
    return Course(
        MERGE.name,
        tuple(leaving_of(one) for one in every),
        (_piece(every[0], name, whole.text, every),),
        to_prove(table),
    )
