"""Reads all that tells how storage grows, from samples, catalog and backups, and computes it once for every edge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from core.errors import NotServed
from core.growth.forecast import Forecast, Passing, forecast, passing
from core.growth.outlook import (
    Change,
    Grower,
    History,
    Holding,
    KeyStatistics,
    Leaving,
    Money,
    Month,
    MonthRows,
    Move,
    Outlook,
    PeriodBytes,
    Prices,
    Quarter,
    Retention,
    Schedule,
    Shares,
    Stage,
    YearToDate,
    by_period,
    change,
    derived_from,
    derived_history,
    holdings,
    merge_moves,
    monthly,
    next_leaving,
    on_server,
    outlook,
    rows_by_month,
    savings,
    shares,
    shares_of_growth,
    tagged_moves,
    together,
    top_growers,
    written,
    year_to_date,
)
from core.growth.samples import SampleRun, read_histories, read_holdings, read_key_statistics, read_moves, read_runs
from core.growth.sampling import read_present
from core.names import qualified, split_qualified
from core.period import Period, add_months, period_of
from core.plans.manifest import Kept
from core.postgres.server import read_server
from core.tables.catalog.marks import Marked, read_marks
from core.tables.catalog.table import read_table
from core.tables.marks import Marks
from core.tables.table import PartitionedTable
from core.text import human_bytes, human_date, plural

MOST_PERIODS = 36
"""So many bars at most; of more partitions each bar takes a wider period."""
AHEAD_DAYS = 365
"""How far ahead it is told which partitions leave."""
GROWERS = 8
NEWEST = 24
"""So many partitions tell how wide a table's are."""


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """How much is stored, how fast it grows, where that leads, and what archiving saved; bytes unless told.

    Of one table, or of all tables of the database together.
    """

    table: str
    """Its address; empty for all tables together."""
    database: str
    today: date
    as_of: datetime
    """When the partitions were looked at, UTC."""
    items: tuple[Holding, ...]
    """Every partition on the server, attached or archived, as it was then."""
    history: History
    """As sampled; derived from the partitions where nothing was."""
    last_sample: SampleRun | None
    """The newest of the database; None where nothing was ever sampled."""
    attached: int
    archived: int
    """Out of the tables, on the server still."""
    cold: int | None
    """Backups; None where nobody looked."""
    change_30: Change | None
    """Of what is on the server, to what it is now; None where nothing was measured then."""
    change_365: Change | None
    months: tuple[Month, ...]
    """What was written in each, wherever it is by now; of a derived history only those that it tells."""
    month_rows: tuple[MonthRows, ...]
    """Rows dated in each of the last months; of one table only."""
    year_to_date: YearToDate | None
    period: Period
    """How wide the bars of `by_period` are."""
    by_period: tuple[PeriodBytes, ...]
    forecast: Forecast
    """Of all that is ever written, wherever it is by then."""
    outlook: Outlook
    """What that means for the server, with the retention and without."""
    limit: int | None
    """Bytes on the server that somebody set."""
    passing_kept: Passing | None
    """When it is passed if everything stays; None without a limit or a forecast."""
    passing_planned: Passing | None
    """When it is passed with the retention."""
    growers: tuple[Grower, ...]
    """The tables that grew most, of all tables whatever is looked at; empty where nothing was sampled of them."""
    growers_days: int
    """Over how many days."""
    leaving: tuple[Leaving, ...]
    """What leaves its table, or the server, within AHEAD_DAYS days; what is due first."""
    savings: tuple[Quarter, ...]
    shares: Shares
    retention: Retention
    prices: Prices | None
    currency: str
    notes: tuple[str, ...]
    """What a reader has to know before trusting it: plain sentences."""

    @property
    def derived(self) -> bool:
        """Whether nothing was measured yet."""
        return self.history.derived

    @property
    def server(self) -> int:
        """Bytes on the server now."""
        return self.attached + self.archived

    @property
    def archived_total(self) -> int:
        """What left its table for the archive so far, as far as anything tells."""
        return sum(quarter.archived for quarter in self.savings)

    @property
    def freed_total(self) -> int:
        """What left the server so far, as far as anything tells."""
        return sum(quarter.freed for quarter in self.savings)

    @property
    def due(self) -> int:
        """Bytes of the partitions that are due for the archive today."""
        return sum(one.bytes for one in self.leaving if one.due and one.stage is Stage.ATTACHED)

    def with_limit(self, limit: int | None) -> Growth:
        """The same with another limit, or none: nothing has to be read again for it."""
        if limit is None or not self.forecast.possible:
            return replace(self, limit=limit, passing_kept=None, passing_planned=None)
        bands = (self.outlook.kept, self.outlook.planned)
        kept, planned = (passing(self.outlook.days, band, limit) for band in bands)
        return replace(self, limit=limit, passing_kept=kept, passing_planned=planned)

    def money(self, hot: float, cold: float = 0.0) -> Money | None:
        """What so many bytes on the server and in cold storage cost; None where no prices are set."""
        return self.prices.of(hot, cold) if self.prices else None


def read_growth(
    engine: Engine,
    *,
    table: str | None,
    archive_schema: str,
    today: date,
    zone: str,
    retention: Retention,
    limit: int | None = None,
    prices: Prices | None = None,
    currency: str = "EUR",
    horizon: int = 365,
    kept: Sequence[Kept] | None = None,
) -> Growth:
    """Everything that page, command line and report show of one table, or with `table` None of all together.

    `kept` are the backups; None leaves cold storage to what was sampled of it. Works without a single sample: then
    what can be derived from the partitions is, and says so. Reads no row of any table and waits behind no lock. Raises
    TableNotFound, NotServed for a table that is not partitioned, UsageError, CatalogBusy, ConnectionFailed.
    """
    last = next(iter(read_runs(engine, limit=1)), None)
    measured = read_histories(engine)
    if table is None:
        seen = _see_all(engine, last, archive_schema=archive_schema, today=today, zone=zone)
        chosen = measured
    else:
        seen = _see(engine, table, archive_schema=archive_schema, today=today, zone=zone)
        chosen = tuple(history for history in measured if history.table == seen.address)
    by_table = _by_table(seen.items)
    histories = tuple(chosen) or tuple(derived_history(items, today=today) for items in by_table.values())
    history = histories[0] if table is not None and histories else together(histories)
    if table is None and not chosen:
        history = replace(history, how=derived_from(len(seen.items)))
    series, server = written(history, today=today), on_server(history, today=today)
    attached = sum(item.bytes for item in seen.items if item.stage is Stage.ATTACHED)
    archived = sum(item.bytes for item in seen.items if item.stage is Stage.ARCHIVED)
    changes = (change(server, today=today, days=days) for days in (30, 365))
    change_30, change_365 = (replace(one, now=float(attached + archived)) if one else None for one in changes)
    found = forecast(series, today=today, horizon=horizon, derived=history.derived)
    parts = shares_of_growth(histories, today=today)
    schedules = tuple(
        Schedule(items, retention, seen.period or _period(items), parts.get(name, 0.0) if table is None else 1.0)
        for name, items in by_table.items()
    )
    ahead = outlook(found, schedules, today=today)
    narrowest = min((schedule.period for schedule in schedules), key=list(Period).index, default=Period.YEAR)
    bars = _bars(seen.items, narrowest, today)
    own = None if table is None else seen.address
    moves = [move for move in merge_moves(read_moves(engine), seen.moves) if own in (None, move.table)]
    until = today + timedelta(days=AHEAD_DAYS)
    leaving = [one for schedule in schedules for one in next_leaving(schedule, today=today, until=until)]
    growers_days = 30 if measured else 365
    growth = Growth(
        table=own or "",
        database=seen.database,
        today=today,
        as_of=seen.as_of,
        items=seen.items,
        history=history,
        last_sample=last,
        attached=attached,
        archived=archived,
        cold=_cold(history, kept, own),
        change_30=change_30,
        change_365=change_365,
        months=tuple(month for month in monthly(series) if month.measured or not history.derived),
        month_rows=_month_rows(seen.items, seen.statistics, today),
        year_to_date=year_to_date(seen.items, seen.statistics, today=today),
        period=bars[0],
        by_period=bars[1],
        forecast=found,
        outlook=ahead,
        limit=None,
        passing_kept=None,
        passing_planned=None,
        growers=top_growers(measured or histories, today=today, days=growers_days, limit=GROWERS),
        growers_days=growers_days,
        leaving=tuple(sorted(leaving, key=lambda one: (one.day, one.table, one.name))),
        savings=savings(moves),
        shares=shares(seen.items),
        retention=retention,
        prices=prices,
        currency=currency,
        notes=(),
    )
    return replace(growth, notes=_notes(growth)).with_limit(limit)


def prices_of(hot: float | None, cold: float | None) -> Prices | None:
    """The prices of two settings; None where neither is set."""
    return None if hot is None and cold is None else Prices(hot or 0.0, cold or 0.0)


# --- what there is now ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Seen:
    """The partitions as they are, with what only a look at them tells."""

    address: str
    database: str
    as_of: datetime
    items: tuple[Holding, ...]
    moves: tuple[Move, ...]
    """What the archived tables themselves tell."""
    period: Period | None = None
    statistics: Mapping[str, KeyStatistics] = field(default_factory=dict)


def _see(engine: Engine, name: str, *, archive_schema: str, today: date, zone: str) -> _Seen:
    """One table, read now."""
    table = read_table(engine, name, archive_schema=archive_schema)
    if table.strategy == "plain":
        raise NotServed(f"{table.label} is not partitioned.", next="Name a partitioned table, or ask for all of them.")
    items = holdings(table, zone=zone)
    if any(not partition.leaf for partition in table.partitions):  # partitioned again: the bytes are further down
        items = tuple(
            one for one in read_present(engine, archive_schema=archive_schema, zone=zone) if one.table == table.address
        )
    return _Seen(
        table.address,
        table.server.database,
        table.as_of,
        items,
        tagged_moves(table, zone=zone),
        table.period(zone),
        _statistics(engine, table, items, today, zone),
    )


def _see_all(engine: Engine, last: SampleRun | None, *, archive_schema: str, today: date, zone: str) -> _Seen:
    """All tables, as of today's or yesterday's sample; looked at now where there is none so new."""
    database = read_server(engine).database
    if last is not None and last.day >= today - timedelta(days=1) and not last.generated:
        as_of, every = last.taken_at, read_holdings(engine, on=last.day, zone=zone)
    else:
        as_of, every = datetime.now(UTC), read_present(engine, archive_schema=archive_schema, zone=zone)
    marks = _Marked(*read_marks(engine), archive_schema)
    items = tuple(marks.on(item, zone) for item in every if item.stage is not Stage.DROPPED)
    moves = tuple(
        Move(
            _day(tag.archived_at, zone), item.table, item.name, Stage.ATTACHED, Stage.ARCHIVED, item.bytes, derived=True
        )
        for item in items
        if item.stage is Stage.ARCHIVED and (tag := marks.of(item).tag) is not None
    )
    return _Seen("", database, as_of, items, moves)


class _Marked:
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


def _by_table(items: Iterable[Holding]) -> dict[str, tuple[Holding, ...]]:
    found: dict[str, list[Holding]] = {}
    for item in items:
        found.setdefault(item.table, []).append(item)
    return {table: tuple(found[table]) for table in sorted(found)}


def _period(items: Iterable[Holding]) -> Period:
    """The width that most of the newest partitions have; a year where nothing tells."""
    ranges = sorted({(item.lower, item.upper) for item in items if item.lower and item.upper})[-NEWEST:]
    known = [period_of(*ends) or _about(*ends) for ends in ranges]
    return max(set(known), key=lambda period: (known.count(period), period.value), default=Period.YEAR)


def _about(lower: date, upper: date) -> Period:
    """The period that a range is about as wide as."""
    longest = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 31, Period.QUARTER: 92}
    return next((period for period, days in longest.items() if (upper - lower).days <= days), Period.YEAR)


def _bars(items: Sequence[Holding], period: Period, today: date) -> tuple[Period, tuple[PeriodBytes, ...]]:
    """Bytes by the narrowest period, from that of the partitions on, that gives no more than MOST_PERIODS bars."""
    widths = list(Period)[list(Period).index(period) :]
    for width in widths:
        bars = by_period(items, width, today=today)
        if len(bars) <= MOST_PERIODS:
            return width, bars
    return Period.YEAR, by_period(items, Period.YEAR, today=today)[-MOST_PERIODS:]


# --- rows by month, from what the planner knows ----------------------------------------------------------------------


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


def _month_rows(
    items: Iterable[Holding], statistics: Mapping[str, KeyStatistics], today: date
) -> tuple[MonthRows, ...]:
    """The rows of the last thirteen months, this one included."""
    since = add_months(today.replace(day=1), -12)
    found: dict[date, MonthRows] = {}
    for item in items:
        if not (item.lower and item.upper and item.upper > since and item.lower <= today and item.rows is not None):
            continue
        known = statistics.get(item.name)
        if known is None:
            continue
        for month in rows_by_month(item.rows, known, item.lower, item.upper, today=today):
            if month.first >= since:
                other = found.get(month.first)
                found[month.first] = replace(month, rows=month.rows + (other.rows if other else 0.0))
    return tuple(found[first] for first in sorted(found))


# --- what a reader has to know --------------------------------------------------------------------------------------


def _cold(history: History, kept: Sequence[Kept] | None, table: str | None) -> int | None:
    """The bytes of the backups: as listed just now, else as sampled; None where nobody ever looked."""
    if kept is not None:
        return sum(one.backup.bytes for one in kept if table in (None, one.backup.parent))
    return int(history.cold[-1]) if len(history) and history.cold[-1] > 0 else None


def _notes(growth: Growth) -> tuple[str, ...]:
    notes: list[str] = []
    history, last = growth.history, growth.last_sample
    if growth.derived:
        notes.append(f"Nothing was sampled {'of it ' if last else ''}yet. {history.how}")
    if history.generated_until is not None:
        notes.append(f"Sizes up to {human_date(history.generated_until)} are invented: they belong to the demo.")
    unread = [item.name for item in growth.items if item.size is None]
    if unread:
        notes.append(f"Of {plural(len(unread), 'partition')} no size could be read just now: {_named(unread)}.")
    if any(item.size is not None and not item.size.exact for item in growth.items):
        notes.append("Sizes are those of the last vacuum or analyze: there are too many partitions to measure each.")
    if last is not None and last.skipped:
        notes.append(f"The last sample skipped what somebody held exclusively: {_named(last.skipped)}.")
    if growth.prices is not None:
        notes.append(
            f"Money is at {growth.prices.hot:g} {growth.currency} a GB (10^9 bytes) and month on the server and"
            f" {growth.prices.cold:g} {growth.currency} in cold storage."
        )
    if growth.shares.dead > growth.shares.bytes / 10:
        notes.append(
            f"About {human_bytes(growth.shares.dead)} are taken by dead rows, which a vacuum makes usable again;"
            " an estimate from the statistics."
        )
    return tuple(notes)


def _named(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
