"""What a new partition gets below it where its siblings are partitioned themselves: the same, named as theirs are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from core.errors import Refused
from core.names import MAX_BYTES, ident, qualified
from core.plans.equip import outfit
from core.plans.plan import Lock
from core.tables.bounds import Bounds
from core.tables.commands import twin
from core.tables.cut import Cut, read_cut
from core.tables.naming import learnt
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import Kind, Member
from core.text import listed

MODELS = 2
"""So many of the newest siblings have to be split alike."""

Cell = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Below:
    """A partition to be made below a new one."""

    schema: str
    name: str
    bounds: Bounds
    split: str = ""
    """How it is partitioned itself; empty for a leaf."""
    below: tuple[Below, ...] = ()

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)

    def every(self) -> Iterator[Below]:
        """Itself and all below it."""
        yield self
        for one in self.below:
            yield from one.every()


@dataclass(frozen=True, slots=True)
class Branched:
    """How a new partition is split, and what it gets; nothing where its siblings are plain."""

    split: str = ""
    below: tuple[Below, ...] = ()

    def every(self) -> tuple[Below, ...]:
        """All that is below it."""
        return tuple(each for one in self.below for each in one.every())


PLAIN = Branched()


def models(table: PartitionedTable) -> tuple[Partition, ...]:
    """The newest siblings, the newest last, where they are partitioned themselves; none where the newest is plain."""
    siblings = [p for p in table.ranges if not p.pending and p.kind is not Kind.FOREIGN][-MODELS:]
    return tuple(siblings) if siblings and siblings[-1].kind is Kind.BRANCH else ()


def below(table: PartitionedTable, name: str, cell: Cell | None, cut: Cut, taken: Iterable[str]) -> Branched:
    """What the partition `name` gets below it, as its newest siblings have. Raises Refused where they don't tell."""
    found = models(table)
    if not found:
        return PLAIN
    newest = found[-1]
    if cell is None or newest.tree is None:
        raise _untold(table, name, f"its range is none of the grid of {newest.name}")
    plain = [one.name for one in found if one.kind is not Kind.BRANCH]
    if plain:
        raise _untold(table, name, f"{newest.name} is partitioned by {newest.tree.split}, {plain[0]} is not")
    if not newest.members:
        raise _untold(table, name, f"{newest.name} is partitioned by {newest.tree.split} and has no partition itself")
    schema = table.branching.schema or table.schema
    try:
        made = _Sprouting(table, cut, schema, found).made(name, cell)
    except _NotTold as error:
        raise _untold(table, name, str(error)) from error
    names = [each.name for one in made for each in one.every()]
    clash = sorted({*names} & {*taken, name}) or [one for one in names if names.count(one) > 1]
    if clash:
        raise _untold(table, name, f"the name {clash[0]}, which it would have, is taken")
    return Branched(newest.tree.split, made)


def _untold(table: PartitionedTable, name: str, why: str) -> Refused:
    return Refused(
        f"Nothing tells what {name} is to have below it: {why}.",
        next=f"Make it by hand as it is to be; the next ones follow it then. What there is: {twin('status', table)}",
    )


class _NotTold(Exception):
    """Why siblings don't tell what is below the next one, in words that follow "because"."""


@dataclass(frozen=True, slots=True)
class _Parent:
    """A sibling, or a table below one, of which each has its likes below the others."""

    name: str
    schema: str
    split: str
    members: tuple[Member, ...]
    """All below it."""
    oid: int

    @property
    def own(self) -> tuple[Member, ...]:
        return tuple(one for one in self.members if one.parent == self.oid)

    def of(self, one: Member) -> _Parent:
        return _Parent(one.name, one.schema, one.split, self.members, one.oid)


@dataclass(frozen=True, slots=True)
class _Sprouting:
    table: PartitionedTable
    cut: Cut
    schema: str
    siblings: tuple[Partition, ...]

    def made(self, name: str, cell: Cell) -> tuple[Below, ...]:
        parents = [
            (_Parent(one.name, one.schema, one.tree.split, one.members, one.oid), located)
            for one in self.siblings
            if one.tree is not None and one.bounds is not None and (located := self.cut.located(one.bounds))
        ]
        return self._below(parents, name, cell)

    def _below(self, parents: Sequence[tuple[_Parent, Cell]], name: str, cell: Cell) -> tuple[Below, ...]:
        newest, _ = parents[-1]
        foreign = next((one for parent, _ in parents for one in parent.own if one.kind is Kind.FOREIGN), None)
        if foreign is not None:
            raise _NotTold(f"{foreign.name} is a foreign table, which is not made here")
        unread = next((one.name for parent, _ in parents for one in parent.own if not one.bounds), None)
        if unread is not None:
            raise _NotTold(f"the bounds of {unread} can't be read just now")
        for parent, _ in parents:
            if parent.split != newest.split:
                raise _NotTold(f"{parent.name} is split by {parent.split}, {newest.name} by {newest.split}")
        if self._is_on_the_key(newest.split):
            return self._ranges(parents, name, cell)
        return self._alike(parents, name, cell)

    def _is_on_the_key(self, split: str) -> bool:
        column = self.cut.key.column
        return bool(column) and split in (f"RANGE ({column})", f"RANGE ({ident(column)})")

    def _alike(self, parents: Sequence[tuple[_Parent, Cell]], name: str, cell: Cell) -> tuple[Below, ...]:
        """Partitions of the same bounds in each: by HASH, LIST, or RANGE of another column."""
        newest, _ = parents[-1]
        for parent, _ in parents:
            if {one.bounds for one in parent.own} != {one.bounds for one in newest.own}:
                raise _NotTold(f"{parent.name} and {newest.name} have partitions of other bounds")
        found = []
        for one in newest.own:
            likes = [
                (parent, other, place)
                for parent, place in parents
                for other in parent.own
                if other.bounds == one.bounds
            ]
            own = _named(name, cell, [(parent.name, other.name, place) for parent, other, place in likes])
            found.append(self._one(own, one.bounds, one, [(p.of(o), place) for p, o, place in likes], cell, newest))
        return tuple(found)

    def _ranges(self, parents: Sequence[tuple[_Parent, Cell]], name: str, cell: Cell) -> tuple[Below, ...]:
        """Ranges of the same key within the new range, on the grid of those below its siblings."""
        key = self.cut.key
        newest, _ = parents[-1]
        placed: list[tuple[_Parent, int, Member, Bounds]] = []
        for parent, _ in parents:
            ranges = sorted(
                (
                    (one, bounds)
                    for one in parent.own
                    if (bounds := Bounds.shown(one.bounds).on(key)) and bounds.is_range
                ),
                key=lambda pair: pair[1].order,
            )
            placed += [(parent, place, one, bounds) for place, (one, bounds) in enumerate(ranges)]
        grid = read_cut(key, sorted((p[3] for p in placed), key=lambda b: b.order), (self.cut.zone, "UTC"), None)
        if not isinstance(grid, Cut):
            raise _NotTold(f"of what is below {newest.name} {grid}")
        cells = tuple(grid.cover(*cell))
        if not cells or (cells[0][0], cells[-1][1]) != cell:
            raise _NotTold(f"what is below {newest.name} is cut every {grid.width}, which does not fill the new range")
        found = []
        for place, (lower, upper) in enumerate(cells):
            likes = [(parent.name, one.name, at) for parent, at, one, _ in placed]
            there = [(parent, one) for parent, one, at in likes if at == place]
            own = _suffixed(name, there) or _by_pattern(
                [(one.name, *within) for _, _, one, b in placed if (within := grid.located(b))], lower, upper
            )
            if own is None:
                raise _NotTold(f"the names below {newest.name} follow no pattern")
            model = next(one for _, _, one, _ in reversed(placed))
            kin = [(parent.of(one), within) for parent, _, one, b in placed if (within := grid.located(b))]
            text = grid.bounds(lower, upper).text
            found.append(self._one(own, text, model, kin, (lower, upper), newest))
        defaults = [(parent, one) for parent, _ in parents for one in parent.own if one.bounds == "DEFAULT"]
        if defaults and len(defaults) < len(parents):
            raise _NotTold(f"only {defaults[0][0].name} has a DEFAULT partition")
        if defaults:
            parent, one = defaults[-1]
            spots = dict(zip((p.name for p, _ in parents), (place for _, place in parents), strict=True))
            own = _named(name, cell, [(p.name, o.name, spots[p.name]) for p, o in defaults])
            kin = [(p.of(o), spots[p.name]) for p, o in defaults]
            found.append(self._one(own, "DEFAULT", one, kin, cell, parent))
        return tuple(found)

    def _one(
        self,
        name: str,
        bounds: str,
        model: Member,
        kin: Sequence[tuple[_Parent, Cell]],
        cell: Cell,
        newest: _Parent,
    ) -> Below:
        """One partition, with what is below it as below its likes."""
        if not 0 < len(name.encode()) <= MAX_BYTES:
            raise _NotTold(f"the name {name} would be too long")
        schema = self.schema if model.schema == newest.schema else model.schema
        one = Below(schema, name, Bounds.shown(bounds))
        if len({each.split for each, _ in kin}) > 1:
            raise _NotTold(f"{listed(each.name for each, _ in kin)} are not split alike")
        if model.kind is not Kind.BRANCH:
            return one
        return replace(one, split=model.split, below=self._below(kin[-MODELS:], name, cell))


def _named(name: str, cell: Cell, likes: Sequence[tuple[str, str, Cell]]) -> str:
    """The name below `name` like those of its likes, each (what it is below, its own name, the range of that)."""
    found = _suffixed(name, [(parent, own) for parent, own, _ in likes])
    found = found or _by_pattern([(own, *place) for _, own, place in likes], *cell)
    if found is None:
        raise _NotTold(f"the names {listed(own for _, own, _ in likes)} follow no pattern")
    return found


def _suffixed(name: str, likes: Iterable[tuple[str, str]]) -> str | None:
    """The name with what all of them add to that of the table above them."""
    added = {own.removeprefix(parent) if own.startswith(parent) else "" for parent, own in likes}
    return f"{name}{added.pop()}" if len(added) == 1 and "" not in added else None


def _by_pattern(likes: Sequence[tuple[str, datetime, datetime]], lower: datetime, upper: datetime) -> str | None:
    pattern = learnt(sorted(likes, key=lambda one: one[1]))
    return pattern.made(lower, upper) if pattern is not None else None


# --- statements ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grown:
    """The statements for a new partition with all that is below it, around the ATTACH of itself."""

    create: tuple[str, ...]
    late: tuple[str, ...]
    locks: tuple[Lock, ...]


def grown(table: PartitionedTable, schema: str, name: str, branched: Branched) -> Grown:
    """What makes the partition `schema`.`name` with all that is below it, in one transaction."""
    if not branched.split:
        whole = outfit(table, schema, name)
        return Grown(whole.create, whole.late, whole.locks)
    like = replace(table, equipment=table.branching)
    whole = outfit(like, schema, name, split=branched.split)
    create, late, locks = [*whole.create], [*whole.late], [*whole.locks]

    def add(parent: str, one: Below) -> None:
        own = outfit(like if one.split else table, one.schema, one.name, split=one.split)
        create.extend(own.create)
        create.append(f"ALTER TABLE {parent} ATTACH PARTITION {one.sql} {one.bounds.sql}")
        late.extend(own.late)
        locks.extend(lock for lock in own.locks if lock not in locks)
        for each in one.below:
            add(one.sql, each)

    for one in branched.below:
        add(qualified(schema, name), one)
    return Grown(tuple(create), tuple(late), tuple(locks))


def told_branched(name: str, branched: Branched) -> Iterator[str]:
    """What a new partition gets below it."""
    if branched.split:
        names = listed((one.name for one in branched.every()), 12)
        yield f"{name} is partitioned by {branched.split} as its newest siblings are, with {names}."
