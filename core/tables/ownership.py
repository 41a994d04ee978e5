"""Whose archived table is it? One rule for the catalog, for the samples and for the migrations.

A table belongs to one parent or to none:

1. A mark of the console that counts decides. It means the table of its oid, whatever that is called by now, where the
   mark was written on this server; elsewhere, and once that table is gone, the one of its name, where that has its
   columns and its key. Older marks have the name alone. The mark counts where the table's owner may act on that parent,
   since anybody may comment on a table of their own. One that means no partitioned table makes it nobody's: a stray.
2. Without such a mark only a table in the archive schema belongs to anybody, and only where it has the key of the
   parent. The longest name that the table's own begins with wins, then the most columns: `orders_old_2020` came from
   `orders_old`, not from `orders`. The name has to go on with a period, or the table has to have all of the columns.
   The period tells the range only at the width that the parent's own partitions have.
3. A table of another name belongs where a CHECK tells the range of its key, and it has all of the columns; again the
   most columns win.

What fits several parents equally is nobody's: it is not shown as archived, and not sampled, until a mark or its name
tells. Autogenerate leaves it alone all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from core.errors import OffCalendar
from core.names import address, qualified
from core.period import Range, range_of_label
from core.tables.archived import Source
from core.tables.bounds import Bounds
from core.tables.cut import Cut
from core.tables.key import Key
from core.tables.marks import Tag
from core.tables.structure import Check


@dataclass(frozen=True, slots=True)
class Parent:
    """A partitioned table that others may have been partitions of: nothing is above it, or it is by RANGE."""

    oid: int
    schema: str
    name: str
    owner: int
    """The oid of its owner."""
    key: Key | None
    """None where the table is only shown here."""
    columns: frozenset[str]
    cluster: str = ""
    """PostgreSQL's system identifier of its server."""
    grid: Cut | str | None = None
    """How its partitions are cut, or why nothing tells; None where it was not looked at."""

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)

    @property
    def address(self) -> str:
        """A name that `split_qualified` reads back, whatever is in it."""
        return address(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Detached:
    """A table that hangs on no parent and may have been a partition."""

    oid: int
    schema: str
    name: str
    ours: bool
    """Whether its name or its CHECK is enough: it stands in the archive schema, or was known as a partition."""
    columns: frozenset[str]
    checks: tuple[Check, ...]
    tag: Tag | None
    """What its comment says, whoever wrote it."""
    speaks_for: frozenset[int]
    """The oids of the owners of partitioned tables that its own owner is, or has the rights of."""


@dataclass(frozen=True, slots=True)
class Descent:
    """The parent of a table that was a partition, and what tells its bounds."""

    parent: Parent
    bounds: Bounds | None
    source: Source | None


class Ownership:
    """The rule, for all the partitioned tables of a database."""

    def __init__(self, parents: Iterable[Parent]) -> None:
        self._by_sql: dict[str, Parent] = {}
        self._by_oid: dict[int, Parent] = {}
        self._by_name: dict[str, list[Parent]] = {}
        self._by_key: dict[Key, list[Parent]] = {}
        for parent in parents:
            self._by_sql[parent.sql] = parent
            self._by_oid[parent.oid] = parent
            self._by_name.setdefault(parent.name, []).append(parent)
            if parent.key is not None:
                self._by_key.setdefault(parent.key, []).append(parent)

    def origin(self, table: Detached) -> Descent | None:
        """Where the table came from; None for one that is nobody's."""
        found = self.claims(table)
        return found[0] if len(found) == 1 else None

    def claims(self, table: Detached) -> tuple[Descent, ...]:
        """The parents that the table fits best: none, one, or several that it fits equally."""
        tag = table.tag
        marked = self._marked(table, tag) if tag is not None else None
        if tag is not None and marked is None:
            return ()
        if tag is not None and marked is not None and marked.owner in table.speaks_for:
            bounds = tag.range_on(marked.key) if marked.key is not None else None
            if bounds is not None:
                return (Descent(marked, bounds, Source.TAG),)
            found = _fits(table, marked) if table.ours else None
            return () if found is None else (found,)
        if not table.ours:
            return ()
        for parents in self._namesakes(table.name):
            if fitting := _closest(table, parents):
                return fitting
        return _closest(table, self._with_a_check(table))

    def is_stray(self, table: Detached) -> bool:
        """Whether its mark means a table that is no longer there."""
        return table.tag is not None and self._marked(table, table.tag) is None

    def _marked(self, table: Detached, tag: Tag) -> Parent | None:
        """The parent that a mark means, whether it may or not."""
        numbered, named = self._by_oid.get(tag.oid), self._by_sql.get(tag.parent)
        if not tag.oid or (numbered is not None and numbered is named):
            return named
        renamed = numbered if numbered is not None and _may_be_renamed(table, tag, numbered) else None
        if renamed is not None and renamed.cluster == tag.cluster:
            return renamed
        return named if named is not None and is_alike(table, tag, named) else renamed

    def _namesakes(self, name: str) -> Iterator[list[Parent]]:
        """The parents whose name, with an underscore, the name begins with, the longest first."""
        for end in range(len(name) - 1, 0, -1):
            if name[end] == "_" and name[:end] in self._by_name:
                yield self._by_name[name[:end]]

    def _with_a_check(self, table: Detached) -> Iterator[Parent]:
        for key, parents in self._by_key.items():
            if table.columns.issuperset(key.columns) and _checked(table, key) is not None:
                yield from (parent for parent in parents if parent.columns <= table.columns)


def is_alike(table: Detached, tag: Tag, parent: Parent) -> bool:
    """Whether it may have been a partition of the parent: by its key, and columns that were only added, or dropped."""
    columns = parent.columns <= table.columns or table.columns <= parent.columns
    return columns and (
        parent.key is None or (table.columns.issuperset(parent.key.columns) and bool(tag.range_on(parent.key)))
    )


def _may_be_renamed(table: Detached, tag: Tag, parent: Parent) -> bool:
    """The same of the table of the mark's oid, whose columns may have other names by now: half of the fewer stayed."""
    own, others = table.columns - {tag.key}, parent.columns - {parent.key.column if parent.key else tag.key}
    alike = len(own & others) * 2 >= min(len(own), len(others))
    return alike and (parent.key is None or tag.range_on(parent.key) is not None)


def _closest(table: Detached, parents: Iterable[Parent]) -> tuple[Descent, ...]:
    """Of the parents that it fits, the one with the most of its columns, or several with as many."""
    others = (parent for parent in parents if parent.oid != table.oid)
    fitting = [found for parent in others if (found := _fits(table, parent)) is not None]
    most = max((_shared(table, found) for found in fitting), default=0)
    return tuple(found for found in fitting if _shared(table, found) == most)


def _shared(table: Detached, origin: Descent) -> int:
    return len(origin.parent.columns) if origin.parent.columns <= table.columns else 0


def _fits(table: Detached, parent: Parent) -> Descent | None:
    """What its CHECK or its name tells, as a former partition of this parent; None where it can be none."""
    key = parent.key
    named = table.name.startswith(f"{parent.name}_")
    whole = parent.columns <= table.columns
    if key is not None and table.columns.issuperset(key.columns):
        label = range_of_label(table.name[len(parent.name) + 1 :]) if named else None
        checked = _checked(table, key)
        if checked is not None and (label or whole):
            return Descent(parent, checked, Source.CHECK)
        told = _told_by_name(parent, key, label) if label is not None else None
        if told is not None:
            return Descent(parent, told, Source.NAME)
    return Descent(parent, None, None) if named and whole else None


def _told_by_name(parent: Parent, key: Key, label: Range) -> Bounds | None:
    """The range that the name tells at the width that the parent has: 20250301 may be a day, or begin a month.

    None where it is of another width, or where nothing tells one and the name could be of several.
    """
    if key.clock is None:
        return None
    is_day = label[1] - label[0] == timedelta(days=1)
    if not isinstance(parent.grid, Cut):
        return None if is_day and isinstance(parent.grid, str) else Bounds.between(key, *label)
    lower, upper = (datetime.combine(day, time()) for day in label)
    try:
        cell = parent.grid.containing(lower)
        fits = cell == (lower, upper) or (is_day and cell[0] == lower and cell[1] > upper)
        return parent.grid.bounds(*cell) if fits else None
    except (OffCalendar, ValueError, OverflowError):
        return None


def _checked(table: Detached, key: Key) -> Bounds | None:
    """The range of the key, with two ends, that a CHECK says."""
    return next(
        (found for check in table.checks if (found := check.range_on(key)) and found.lower and found.upper), None
    )
