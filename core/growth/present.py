"""Looks at the partitions as they are now, of one table or of all, with what their comments tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from core.errors import NotServed
from core.growth.holdings import Holding, Stage, holdings
from core.growth.key_statistics import KeyStatistics, read_key_statistics
from core.growth.samples.measure import read_present
from core.growth.samples.read import read_holdings
from core.growth.samples.values import SampleRun
from core.growth.savings import Move, tagged_moves
from core.names import qualified, split_qualified
from core.period import Period
from core.tables.catalog.table import Marked, read_marks, read_server, read_table
from core.tables.model import Marks, PartitionedTable


@dataclass(frozen=True, slots=True)
class Seen:
    """The partitions as they are, with what only a look at them tells."""

    address: str
    database: str
    as_of: datetime
    items: tuple[Holding, ...]
    moves: tuple[Move, ...]
    """What the archived tables themselves tell."""
    period: Period | None = None
    statistics: Mapping[str, KeyStatistics] = field(default_factory=dict)


def see_one(engine: Engine, name: str, *, archive_schema: str, today: date, zone: str) -> Seen:
    """One table, read now."""
    table = read_table(engine, name, archive_schema=archive_schema)
    if table.strategy == "plain":
        raise NotServed(f"{table.label} is not partitioned.", next="Name a partitioned table, or ask for all of them.")
    items = holdings(table, zone=zone)
    if any(not partition.leaf for partition in table.partitions):  # partitioned again: the bytes are further down
        items = tuple(
            one for one in read_present(engine, archive_schema=archive_schema, zone=zone) if one.table == table.address
        )
    return Seen(
        table.address,
        table.server.database,
        table.as_of,
        items,
        tagged_moves(table, zone=zone),
        table.period(zone),
        _statistics(engine, table, items, today, zone),
    )


def see_all(engine: Engine, last: SampleRun | None, *, archive_schema: str, today: date, zone: str) -> Seen:
    """All tables, as of today's or yesterday's sample; looked at now where there is none so new."""
    database = read_server(engine).database
    if last is not None and last.day >= today - timedelta(days=1) and not last.generated:
        as_of, every = last.taken_at, read_holdings(engine, on=last.day, zone=zone)
    else:
        as_of, every = datetime.now(UTC), read_present(engine, archive_schema=archive_schema, zone=zone)
    marks = MarksByName(*read_marks(engine), archive_schema)
    items = tuple(marks.on(item, zone) for item in every if item.stage is not Stage.DROPPED)
    moves = tuple(
        Move(
            _day(tag.archived_at, zone), item.table, item.name, Stage.ATTACHED, Stage.ARCHIVED, item.bytes, derived=True
        )
        for item in items
        if item.stage is Stage.ARCHIVED and (tag := marks.of(item).tag) is not None
    )
    return Seen("", database, as_of, items, moves)


class MarksByName:
    """What the console left a word on, found by the name of the partition and the table that it belongs to."""

    def __init__(self, found: Iterable[Marked], owners: Mapping[str, int], archive_schema: str) -> None:
        self._archive = archive_schema
        self._owners = owners
        self._by_name: dict[str, list[Marked]] = {}
        for one in found:
            self._by_name.setdefault(one.name, []).append(one)

    def of(self, item: Holding) -> Marks:
        """The marks of one partition; none where nothing is known."""
        home, name = split_qualified(item.table)
        for one in self._by_name.get(item.name, ()):
            schema, marks = one.schema, one.marks
            if not one.counts_for(self._owners.get(item.table)):
                continue
            if marks.tag is not None and marks.tag.parent != qualified(home or "public", name):
                continue
            if marks.drop is not None and marks.drop.parent != item.table:
                continue
            if marks.tag is not None or schema in (home, self._archive):
                return marks
        return Marks()

    def on(self, item: Holding, zone: str) -> Holding:
        """The partition with the hold and the planned drop that its comment tells."""
        if item.name not in self._by_name:
            return item
        marks = self.of(item)
        held = None if marks.hold is None else date.fromisoformat(marks.hold.until or date.max.isoformat())
        return replace(item, held_until=held, drop_on=_day(marks.drop.at, zone) if marks.drop else None)


def _day(moment: str, zone: str) -> date:
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(zone)).date()


def by_table(items: Iterable[Holding]) -> dict[str, tuple[Holding, ...]]:
    found: dict[str, list[Holding]] = {}
    for item in items:
        found.setdefault(item.table, []).append(item)
    return {table: tuple(found[table]) for table in sorted(found)}


def _statistics(
    engine: Engine, table: PartitionedTable, items: Iterable[Holding], today: date, zone: str
) -> dict[str, KeyStatistics]:
    """Of the partitions that hold days of this year or the last, by name."""
    if table.key is None:
        return {}
    first = date(today.year - 1, 1, 1)
    wanted = {one.name for one in items if one.lower and one.upper and one.upper > first and one.lower <= today}
    schemas: dict[str, list[str]] = {}
    places = [(one.schema, one.name) for one in table.partitions] + [(one.schema, one.name) for one in table.archived]
    for schema, name in places:
        if name in wanted:
            schemas.setdefault(schema, []).append(name)
    found: dict[str, KeyStatistics] = {}
    for schema, names in schemas.items():
        found |= read_key_statistics(engine, schema=schema, names=names, column=table.key.column, zone=zone)
    return found
