"""How far a conversion of a table is, or its way back: the stage, what going back would cost, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from core.names import address
from core.period import Width
from core.plans.ensure import Ensure
from core.plans.inplace import Convert, following
from core.plans.operation import Sources, Wish
from core.plans.repartition import COPIED_A_SECOND
from core.plans.split import Split
from core.plans.withdraw import made_indexes
from core.tables.commands import twin
from core.tables.move import Move
from core.tables.partition import Partition
from core.tables.plain import Begun
from core.tables.table import PartitionedTable
from core.text import human_bytes, human_rows, human_seconds, listed, plural


class Stage(StrEnum):
    """Where it is."""

    PLAIN = "plain"
    """Nothing was begun, or all of it was taken back."""
    BEGUN = "begun"
    """Only what is made beforehand: a CHECK, an index."""
    IN_USE = "in use"
    """Partitioned, and what it held lies in one partition."""
    MOVING = "moving"
    """Rows are being copied into other partitions, or into a plain table."""
    SWITCHED = "switched"
    """They are in their new place; what is left is to check foreign keys and to remove the old copy."""
    PARTITIONED = "partitioned"
    """Nothing is under way."""

    @property
    def under_way(self) -> bool:
        """Whether something of it is left to be done, or to be taken back."""
        return self in (Stage.BEGUN, Stage.IN_USE, Stage.MOVING, Stage.SWITCHED)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far it is, as `partitions convert --status` tells it."""

    act: str
    """convert or unconvert."""
    table: PartitionedTable
    stage: Stage
    said: str
    """The stage in a sentence or two."""
    back: str
    """Whether one can still go back, and what that costs."""
    next: tuple[tuple[str, str], ...]
    """(what one may do, its command), the nearest first."""
    move: Move | None = None
    begun: Begun | None = None
    first: Partition | None = None
    """The partition that holds what the table held."""
    periods: int | None = None
    """Into how many the rows are being moved."""
    rows: int | None = None
    """The estimate of the planner, of those that are moved or still to be."""
    bytes: int | None = None

    @property
    def paused(self) -> bool:
        """Whether somebody has paused it."""
        return self.move is not None and self.move.paused

    @property
    def moved(self) -> int | None:
        """How many rows are copied, about."""
        if self.move is None or self.rows is None:
            return None
        return self.rows if self.move.switched else round(self.rows * self.move.share)

    @property
    def seconds(self) -> float | None:
        """How long copying what is left takes, about."""
        if self.stage is not Stage.MOVING or self.move is None or self.bytes is None:
            return None
        return self.bytes * (1 - self.move.share) / COPIED_A_SECOND

    def command(self, *words: str) -> str:
        """The command that does a word to it."""
        return twin(self.act, self.table, "", *words)


def standing_of(desk: Sources, table: PartitionedTable, act: str) -> Standing:
    """How far the conversion of a table is, or with `unconvert` its way back. Looks for rows, and counts none."""
    plain = Standing(act, table, Stage.PLAIN, f"{table.label} is a plain table.", "", ())
    if table.strategy == "plain":
        begun = desk.begun(table) if act == "convert" else None
        left = begun is not None or (act == "convert" and bool(made_indexes(table)))
        return _told_begun(replace(plain, begun=begun, stage=Stage.BEGUN)) if left else _told_plain(plain)
    move, begun = desk.under_way(table), desk.begun(table)
    if act == "unconvert":
        move = move if move is not None and move.course.act == "merge" else None  # as `gathering` begins it
        stage = _stage_of(move) or (Stage.BEGUN if made_indexes(table) else Stage.PARTITIONED)
        return _told_back(replace(plain, stage=stage, move=move), desk)
    first = next((one for one in table.partitions if begun is not None and one.oid == begun.oid), None)
    if move is not None and not _is_of(move, begun):
        move = None
    stage = _stage_of(move) or (Stage.IN_USE if first is not None else Stage.PARTITIONED)
    return _told(replace(plain, stage=stage, move=move, begun=begun, first=first), desk)


def to_its_end(
    desk: Sources, table: str, every: Width | None, begin: Convert | None, *, split: bool, rest_ms: int | None = None
) -> Iterator[Wish]:
    """The wishes by which a conversion comes to its end, or without `split` to its first use, from wherever it is.

    Each is to be done before the next is asked for. `every` is None where rows are being moved already.
    """
    if begin is not None:
        yield begin
    found = standing_of(desk, desk.read(table), "convert")
    if every is not None and found.stage is Stage.IN_USE:
        ahead = following(found.table, every, desk.zone)
        if ahead:
            yield Ensure(table, ranges=ahead, every=every)
            found = standing_of(desk, desk.read(table), "convert")
    if found.move is not None and split:
        yield Split(table, found.move.course.leaving[0].name, None, rest_ms)
    elif split and (one := found.first) is not None and address(one.schema, one.name) in desk.filled(found.table):
        yield Split(table, found.table.called(one), every, rest_ms)


def _is_of(move: Move, begun: Begun | None) -> bool:
    """Whether rows are moved out of the partition that a conversion has made, or were before the switch."""
    if move.course.act != "split":
        return False
    return move.switched or (begun is not None and begun.oid in {one.oid for one in move.course.leaving})


def _stage_of(move: Move | None) -> Stage | None:
    return None if move is None else Stage.SWITCHED if move.switched else Stage.MOVING


def _told_plain(one: Standing) -> Standing:
    if one.act == "unconvert":
        again = twin("convert", one.table, "", "--key ... --every ...")
        return replace(one, back="It is converted again as any plain table.", next=(("Convert it", again),))
    return replace(
        one,
        said=f"{one.table.label} is a plain table; no conversion of it is under way.",
        back="There is nothing to go back from.",
        next=(("See what it would take", one.command("--key ... --every ... --dry-run")),),
    )


def _told_begun(one: Standing) -> Standing:
    asked = one.begun.asked if one.begun is not None else None
    wanted = f" by {asked.key}, every {asked.every}" if asked is not None else ""
    words = ("--resume",) if asked is not None else ("--key ... --every ...",)
    return replace(
        one,
        said=f"A conversion of {one.table.label}{wanted} was begun and has not come to its first use: it is a plain"
        " table still, and nothing of it was changed but what is made beforehand.",
        back="Yes, in moments: a CHECK and an index are taken away, and no row was touched.",
        next=(("Go on", one.command(*words)), ("Take it back", one.command("--abandon"))),
    )


def _told(one: Standing, desk: Sources) -> Standing:
    table = one.table
    by = f"{table.label} is partitioned by {table.key.name if table.key else table.strategy}"
    if one.stage is Stage.PARTITIONED:
        said = f"{by}; no conversion of it is under way."
        return replace(one, said=said, back=_way_back(one, desk), next=(("Make it plain", twin("unconvert", table)),))
    one = _with_amounts(one)
    go_on = ("Go on" if one.stage is Stage.IN_USE or one.paused else "Go on, unless it runs", one.command("--resume"))
    if one.stage is Stage.SWITCHED:
        said = f"{by}, and its rows lie in {plural(one.periods or 0, 'period')} of their own; what is left is to check"
        said += " foreign keys and to remove the old copy of the rows."
        return replace(one, said=said, back=_way_back(one, desk), next=(("Finish it", one.command("--finish")),))
    name = one.first.name if one.first is not None else listed(each.name for each in _leaving(one))
    back = ("Take it back, to a plain table", one.command("--abandon"))
    if one.stage is Stage.IN_USE:
        said = f"{by}; what it held, {_rows(one)}{human_bytes(one.bytes)}, lies in one"
        said += f" partition {name} and is not split by period yet."
        finish = ("Split what is left, which ends the quick way back", one.command("--finish"))
        return replace(one, said=said, back=_way_back(one, desk), next=(finish, back))
    share = one.move.share if one.move is not None else 0.0
    said = f"{by}; the rows of {name} are being moved into {plural(one.periods or 0, 'period')}: {share:.0%} is copied,"
    moved = "" if one.rows is None else f" about {human_rows(one.moved)} of {plural(one.rows, 'row')},"
    said += (
        f"{moved} and takes its place when all of it is proven. What is left takes about {human_seconds(one.seconds)}."
    )
    pause = () if one.paused else (("Pause it", one.command("--pause")),)
    return replace(one, said=said, back=_way_back(one, desk), next=(go_on, *pause, back))


def _rows(one: Standing) -> str:
    return "" if one.rows is None else f"about {plural(one.rows, 'row')}, "


def _leaving(one: Standing) -> Iterator[Partition]:
    wanted = {each.oid for each in one.move.course.leaving} if one.move is not None else set()
    yield from (each for each in one.table.partitions if each.oid in wanted)


def _with_amounts(one: Standing) -> Standing:
    """With how many periods, rows and bytes it is about."""
    if one.move is not None and one.move.switched:
        names = {(each.schema, each.final) for each in one.move.course.pieces}
        held = [each for each in one.table.partitions if (each.schema, each.name) in names]
    else:
        held = [one.first] if one.first is not None else list(_leaving(one))
    known = [each.rows for each in held if each.rows is not None]
    return replace(
        one,
        periods=len(one.move.course.pieces) if one.move is not None else None,
        rows=sum(known) if known else None,
        bytes=sum(each.size.total for each in held if each.size is not None),
    )


def _way_back(one: Standing, desk: Sources) -> str:
    """Whether it can become plain again, and how."""
    filled = desk.filled(one.table)
    first = "" if one.stage is not Stage.MOVING else "The copy is thrown away first. "
    if len(filled) <= 1:
        return (
            f"Yes, in moments: {first}{'All rows lie in ' + filled[0] if filled else 'No row is there'}, which becomes"
            " the plain table again, and none is copied."
        )
    size = sum(each.size.total for each in one.table.partitions if each.size is not None)
    return (
        f"Yes, but no longer in moments: {first}Its rows lie in {plural(len(filled), 'partition')},"
        f" {human_bytes(size)}, and have to be brought together. partitions unconvert --dry-run tells how."
    )


def _told_back(one: Standing, desk: Sources) -> Standing:
    table = one.table
    if one.stage is Stage.PARTITIONED:
        return replace(
            one,
            said=f"{table.label} is partitioned; no way back of it is under way.",
            back=_way_back(one, desk),
            next=(("See what it would take", one.command("--dry-run")),),
        )
    on = ("Go on", one.command("--resume"))
    if one.stage is Stage.BEGUN:
        return replace(
            one,
            said=f"{table.label} was to become plain, and has not come to its switch: it is partitioned still, and an"
            " index was built beforehand.",
            back="Yes, in moments: that index is taken away, and no row was touched.",
            next=(on, ("Take it back", one.command("--abandon"))),
        )
    one = _with_amounts(one)
    share = one.move.share if one.move is not None else 0.0
    if one.stage is Stage.SWITCHED:
        return replace(
            one,
            said=f"{table.label} has its rows together; what is left is to remove the old copy.",
            back="It is converted again as any plain table.",
            next=(("Finish it", one.command("--finish")),),
        )
    pause = () if one.paused else (("Pause it", one.command("--pause")),)
    return replace(
        one,
        said=f"The rows of {table.label} are being brought together: {share:.0%} is copied.",
        back="Yes, in moments: the copy is thrown away, and all rows are where they were.",
        next=(on, *pause, ("Take it back", one.command("--abandon"))),
    )
