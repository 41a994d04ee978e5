"""Looks at the partitions as they are now, of one table or of all, with what their comments tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Engine

from core.errors import NotServed
from core.growth.holdings import Holding, Stage, held_until, holdings, local_day
from core.growth.key_statistics import KeyStatistics, read_key_statistics
from core.growth.question import Question
from core.growth.samples.measure import read_present
from core.growth.samples.read import read_holdings, read_sampled
from core.growth.samples.values import SampleRun
from core.growth.savings import Move, archived_by, tagged_moves
from core.names import address, qualified, split_qualified
from core.period import Period
from core.postgres.server import read_server
from core.tables.catalog.marks import Marked, read_marks
from core.tables.catalog.table import read_table
from core.tables.marks import Marks
from core.tables.table import PartitionedTable
from core.tables.tree import Kind


@dataclass(frozen=True, slots=True)
class Seen:
    """The partitions as they are, with what only a look at them tells."""

    address: str
    """Of the table; empty for all together."""
    database: str
    as_of: datetime
    items: tuple[Holding, ...]
    moves: tuple[Move, ...]
    """What the archived tables themselves tell."""
    period: Period | None = None
    statistics: Mapping[int, KeyStatistics] = field(default_factory=dict)
    branches: tuple[str, ...] = ()
    """The addresses of the branches of a table by LIST or HASH: those by RANGE have histories of their own."""

    def by_table(self) -> dict[str, tuple[Holding, ...]]:
        """The partitions of each table, in the order of the addresses."""
        found: dict[str, list[Holding]] = {}
        for item in self.items:
            found.setdefault(item.table, []).append(item)
        return {table: tuple(found[table]) for table in sorted(found)}


def see_one(engine: Engine, asked: Question, table: str | PartitionedTable) -> Seen:
    """One table, read now where it is not given as it was read before."""
    zone = asked.zone
    if isinstance(table, str):
        table = read_table(engine, table, archive_schema=asked.archive_schema)
    if table.strategy == "plain":
        raise NotServed(f"{table.label} is not partitioned.", next="Name a partitioned table, or ask for all of them.")
    items = holdings(table, zone=zone)
    items += _left_by_hand(engine, asked, table.address, items)
    branches = [(p.schema, p.name) for p in table.partitions if p.kind is Kind.BRANCH]
    branches += [(one.schema, one.name) for p in table.partitions for one in p.members if one.kind is Kind.BRANCH]
    return Seen(
        table.address,
        table.server.database,
        table.as_of,
        items,
        tagged_moves(table, zone=zone),
        table.period(zone),
        _statistics(engine, table, items, asked),
        () if table.strategy == "range" else tuple(address(*one) for one in branches),
    )


def _left_by_hand(engine: Engine, asked: Question, table: str, items: Iterable[Holding]) -> tuple[Holding, ...]:
    """What was detached by hand and stands outside of the archive schema: samples alone tell whose it was."""
    known = {one.oid for one in items}
    if all(one.oid in known for one in read_sampled(engine, table=table)):
        return ()
    every = read_present(engine, archive_schema=asked.archive_schema, zone=asked.zone)
    return tuple(one for one in every if one.table == table and one.oid not in known and one.stage is Stage.ARCHIVED)


def see_all(engine: Engine, asked: Question, last: SampleRun | None) -> Seen:
    """All tables, as of today's or yesterday's sample; looked at now where there is none so new."""
    zone = asked.zone
    database = read_server(engine).database
    if last is not None and last.day >= asked.today - timedelta(days=1) and not last.generated:
        as_of, every = last.taken_at, read_holdings(engine, on=last.day, zone=zone)
    else:
        as_of, every = datetime.now(UTC), read_present(engine, archive_schema=asked.archive_schema, zone=zone)
    marks = MarksKnown(*read_marks(engine), asked.archive_schema)
    items = tuple(marks.on(item, zone) for item in every if item.stage is not Stage.DROPPED)
    moves = tuple(
        archived_by(tag, item.table, item.name, item.bytes, zone)
        for item in items
        if item.stage is Stage.ARCHIVED and (tag := marks.of(item).tag) is not None
    )
    return Seen("", database, as_of, items, moves)


class MarksKnown:
    """What the console left a word on: of the very relation; by name and table where no oid is known."""

    def __init__(self, found: Iterable[Marked], owners: Mapping[str, int], archive_schema: str) -> None:
        self._archive = archive_schema
        self._owners = owners
        self._by_oid: dict[int, Marked] = {}
        self._by_name: dict[str, list[Marked]] = {}
        for one in found:
            self._by_oid[one.oid] = one
            self._by_name.setdefault(one.name, []).append(one)

    def of(self, item: Holding) -> Marks:
        """The marks of one partition; none where nothing is known."""
        home, name = split_qualified(item.table)
        very = self._by_oid.get(item.oid) if item.oid is not None else None
        for one in [very] if very is not None else () if item.oid is not None else self._by_name.get(item.name, ()):
            schema, marks = one.schema, one.marks
            if not one.counts_for(self._owners.get(item.table)):
                continue
            if marks.tag is not None and marks.tag.parent != qualified(home or "public", name):
                continue
            if marks.drop is not None and marks.drop.parent != item.table:
                continue
            if one is very or marks.tag is not None or schema in (home, self._archive):
                return marks
        return Marks()

    def on(self, item: Holding, zone: str) -> Holding:
        """The partition with the hold and the planned drop that its comment tells."""
        marks = self.of(item)
        if marks == Marks():
            return item
        drop_on = local_day(marks.drop.at, zone) if marks.drop else None
        return replace(item, held_until=held_until(marks.hold), drop_on=drop_on)


def _statistics(
    engine: Engine, table: PartitionedTable, items: Iterable[Holding], asked: Question
) -> dict[int, KeyStatistics]:
    """Of the partitions that hold days of this year or the last, by oid."""
    if table.key is None or table.key.clock is None or not table.key.column:
        return {}
    first, today = date(asked.today.year - 1, 1, 1), asked.today
    wanted = [one.oid for one in items if one.lower and one.upper and one.upper > first and one.lower <= today]
    return read_key_statistics(engine, [oid for oid in wanted if oid], key=table.key, zone=asked.zone)
