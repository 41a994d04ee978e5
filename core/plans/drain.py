"""Drain: move the rows of the DEFAULT partition into partitions of their own, while everybody reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from core.errors import OffCalendar, Refused
from core.names import fit
from core.period import Width
from core.plans.beside import beside_making
from core.plans.ensure import cut_for, missing
from core.plans.equip import told_apart
from core.plans.movable import leaving_of
from core.plans.operation import Danger, Operation, Scope, Sources, table_for
from core.plans.plan import Plan, nothing_to_do
from core.plans.refusals import require_served
from core.plans.repartition import Asked, plan_move, to_prove
from core.plans.under_way import ground_of, require_own, resting
from core.tables.bounds import Bounds
from core.tables.commands import option, twin
from core.tables.cut import Cut
from core.tables.key import Key
from core.tables.move import Course, Piece
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import listed, plural

DRAIN = Operation(
    "drain", "Drain", "moving rows out of the DEFAULT", Danger.DIALOG, scope=Scope.PARTITIONS, counts_rows=False,
    told_apart_by="steps",
)  # fmt: skip
SANE_FROM = date(1900, 1, 1)
"""Rows before it stay in the DEFAULT: their dates are slips rather than times."""
SANE_AHEAD = 20
"""So do those that lie more years ahead."""
MOST_CELLS = 20_000
"""The most ranges that are looked at for rows."""
MOST_PIECES = 60
"""The most partitions that one move makes: each takes some thousandths of a second of the switch."""


@dataclass(frozen=True, slots=True)
class Drain:
    """That the rows of the DEFAULT have partitions of their own."""

    operation: ClassVar = DRAIN
    table: str | PartitionedTable
    every: Width | None = None
    """How wide a partition is to be, where the table's own do not tell."""
    rest_ms: int | None = None
    """How long it is to rest after each batch; None for as it does already, or not at all."""

    def plan(self, desk: Sources) -> Plan:
        """Reads every row of the DEFAULT, to see which ranges they are of."""
        table = table_for(desk, self.table)
        key = require_served(table)
        begun = require_own(table, desk.under_way(table), DRAIN.name)
        words = [option("--every", str(self.every))] if self.every is not None else []
        words += resting(self.rest_ms)
        command, abandon = twin("drain", table, "", *words), twin("drain", table, "", "--abandon")
        if begun is not None:
            told = _told(begun.course, {})
            asked = Asked(DRAIN, begun.course.leaving[0].name, command, abandon, told, _BACK, rest_ms=self.rest_ms)
            return plan_move(table, key, ground_of(desk, table, begun.course, begun), begun, begun.course, asked)
        default = table.default
        if default is None:
            return nothing_to_do(DRAIN, table.address, "DEFAULT", f"{table.label} has no DEFAULT partition.")
        rows, left = found_rows(desk, table, key, default, self.every)
        if not rows:
            why = f"{default.name} holds no row that a partition could be made for. {' '.join(left)}".strip()
            return nothing_to_do(DRAIN, table.address, default.name, why, command=command)
        course = _course(table, default, rows)
        told, warnings = (*_told(course, rows), *left), (*told_apart(table.equipment), *beside_making(table))
        asked = Asked(DRAIN, default.name, command, abandon, told, _BACK, warnings=warnings, rest_ms=self.rest_ms)
        return plan_move(table, key, desk.ground(table, (default.oid,)), None, course, asked)


_BACK = (
    "There is none in one act, and none is needed: rows are read and written as before. partitions merge makes one"
    " partition of several that lie side by side."
)


@dataclass(frozen=True, slots=True)
class _New:
    name: str
    schema: str
    rows: int


def found_rows(
    desk: Sources, table: PartitionedTable, key: Key, default: Partition, every: Width | None
) -> tuple[dict[Bounds, _New], tuple[str, ...]]:
    """(each range that is to get a partition, with its rows; what stays in the DEFAULT, a sentence each)."""
    cut = cut_for(table, desk, every)
    sane = Bounds.between(key, SANE_FROM, date(desk.today.year + SANE_AHEAD, 1, 1), cut.zone)
    strewn = desk.strewn(table, default, sane)
    left = [
        f"{plural(count, 'row')} {why} {'stays' if count == 1 else 'stay'} in {default.name}."
        for count, why in (
            (strewn.without, f"without {key.name}"),
            (strewn.before, f"before {SANE_FROM:%Y}"),
            (strewn.after, f"from {desk.today.year + SANE_AHEAD} on, which nobody means,"),
        )
        if count
    ]
    cells = _cells(cut, strewn.lowest, strewn.highest) if strewn.lowest and strewn.highest else ()
    rows = desk.cells(table, cells)
    new, refused = missing(table, rows, cut, desk.zone)
    left += [f"{error.what} Its rows stay in {default.name}. {error.next}".strip() for error in refused]
    if any(one.branched.split for one in new):
        raise Refused(
            f"New partitions of {table.label} are partitioned themselves: rows can't be moved into them here.",
        )
    more = new[MOST_PIECES:]
    if more:
        left.append(f"{plural(len(more), 'more range')} follow when it is asked again.")
    schema = table.equipment.schema or table.schema
    return {one.bounds: _New(one.name, schema, rows[one.bounds]) for one in new[:MOST_PIECES]}, tuple(left)


def _cells(cut: Cut, lowest: object, highest: object) -> tuple[Bounds, ...]:
    lower, upper = (cut.local(end) for end in (lowest, highest))  # type: ignore[arg-type]
    if lower is None or upper is None:
        return ()
    found: list[Bounds] = []
    begin, end = cut.containing(lower)
    while begin <= upper and len(found) <= MOST_CELLS:
        found.append(cut.bounds(begin, end))
        begin, end = end, cut.width.after(end)
    if len(found) > MOST_CELLS:
        raise OffCalendar(
            f"The rows of the DEFAULT are spread over more than {MOST_CELLS:,} ranges of {cut.width}.",
            next="Say a greater width with --every.",
        )
    return tuple(found)


def _course(table: PartitionedTable, default: Partition, rows: dict[Bounds, _New]) -> Course:
    pieces = [Piece(one.schema, one.name, bounds.text, one.name) for bounds, one in rows.items()]
    rest = Piece(default.schema, fit(default.name, "_new"), "DEFAULT", default.name)
    return Course(DRAIN.name, (leaving_of(default),), (*pieces, rest), to_prove(table))


def _told(course: Course, rows: dict[Bounds, _New]) -> tuple[str, ...]:
    new = [one for one in course.pieces if one.bounds != "DEFAULT"]
    counts = {one.name: one.rows for one in rows.values()}
    told = listed((f"{one.final} ({plural(counts[one.name], 'row')})" if counts else one.final for one in new), 24)
    default = course.leaving[0].name
    return (
        f"{told} {'gets' if len(new) == 1 else 'get'} the rows of {default} that belong there; {default} is made anew"
        " with what is left.",
    )
