"""Reads all that tells how storage grows, from samples, catalog and backups, and computes it once for every edge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from core.errors import NotAllowed
from core.growth.calendar import Calendar, calendar
from core.growth.forecast import Forecast, Passing, enough, forecast, passing
from core.growth.history import (
    Change,
    Grower,
    History,
    Month,
    change,
    derived_from,
    derived_history,
    monthly,
    on_server,
    shares_of_growth,
    together,
    top_growers,
    written,
)
from core.growth.holdings import Holding, PeriodBytes, Shares, Stage, as_bars, shares, usual_period
from core.growth.outlook import Leaving, Outlook, Retention, Schedule, next_leaving, outlook
from core.growth.present import Seen, see_all, see_one
from core.growth.question import Question
from core.growth.rows import MonthRows, YearToDate, month_rows, year_to_date
from core.growth.samples.read import read_histories, read_moves, read_runs
from core.growth.samples.values import SampleRun
from core.growth.savings import Money, Move, Prices, Quarter, merge_moves, savings
from core.period import Period
from core.plans.proof import Kept
from core.postgres.own_tables import read_hidden
from core.tables.table import PartitionedTable
from core.text import human_bytes, human_date, plural

AHEAD_DAYS = 365
"""How far ahead it is told which partitions leave."""
GROWERS = 8


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
    """As sampled; derived from the partitions until there are samples enough for a forecast."""
    last_sample: SampleRun | None
    """The newest of the database; None where nothing was ever sampled."""
    sampled_days: int
    """On how many days what is looked at was sampled."""
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
    def calendar(self) -> Calendar | None:
        """Rows by day, week or month of one table; None of all together, and where nothing tells them."""
        return calendar(self.items, self.month_rows, today=self.today) if self.table else None

    @property
    def derived(self) -> bool:
        """Whether nothing was measured yet, or too little for a forecast."""
        return self.history.derived

    @property
    def why_derived(self) -> str:
        """Why the figures are not those of samples, in a sentence; empty where they are."""
        if not self.derived:
            return ""
        if not self.sampled_days:
            return f"Nothing was sampled {'of it ' if self.last_sample else ''}yet."
        return (
            f"Sampled on {plural(self.sampled_days, 'day')} so far, which is too little for a forecast: until it is"
            " enough, in about two weeks, the figures are those that the partitions tell."
        )

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


def read_growth(engine: Engine, asked: Question, table: PartitionedTable | None = None) -> Growth:
    """Everything that page, command line and report show; of `table`, where what is asked for was read before.

    Works without a single sample: then what can be derived from the partitions is, and says so. Reads no row of any
    table and waits behind no lock. Raises TableNotFound, NotServed for a table that is not partitioned, UsageError,
    CatalogBusy, ConnectionFailed.
    """
    last = next(iter(read_runs(engine, limit=1)), None)
    hidden = read_hidden(engine) if last is None else None
    measured = read_histories(engine)
    seen = see_all(engine, asked, last) if asked.table is None else see_one(engine, asked, table or asked.table)
    growth = _reckon(asked, seen, last, measured, read_moves(engine))
    return replace(growth, notes=_notes(growth, hidden))


def _reckon(
    asked: Question, seen: Seen, last: SampleRun | None, measured: Sequence[History], moves: Sequence[Move]
) -> Growth:
    """The same from what was read."""
    today = asked.today
    chosen = _measured(asked, seen, measured)
    histories = _histories(asked, seen, chosen)
    history = _history(asked, seen, histories)
    series = written(history, today=today)
    schedules = _schedules(asked, seen, histories)
    found = forecast(series, today=today, horizon=asked.horizon, derived=history.derived)
    narrowest = min((schedule.period for schedule in schedules), key=list(Period).index, default=Period.YEAR)
    period, bars = as_bars(seen.items, narrowest, today)
    attached, archived = (
        sum(item.bytes for item in seen.items if item.stage is stage) for stage in (Stage.ATTACHED, Stage.ARCHIVED)
    )
    change_30, change_365 = (_change(history, attached + archived, today, days) for days in (30, 365))
    growers_days = 30 if measured else 365
    growth = Growth(
        table=seen.address,
        database=seen.database,
        today=today,
        as_of=seen.as_of,
        items=seen.items,
        history=history,
        last_sample=last,
        sampled_days=max((len(one) for one in chosen), default=0),
        attached=attached,
        archived=archived,
        cold=_cold(together(chosen) if chosen else history, asked.kept, {seen.address, *seen.branches}),
        change_30=change_30,
        change_365=change_365,
        months=tuple(month for month in monthly(series) if month.measured or not history.derived),
        month_rows=month_rows(seen.items, seen.statistics, today),
        year_to_date=year_to_date(seen.items, seen.statistics, today=today),
        period=period,
        by_period=bars,
        forecast=found,
        outlook=outlook(found, schedules, today=today),
        limit=None,
        passing_kept=None,
        passing_planned=None,
        growers=top_growers(measured or histories, today=today, days=growers_days, limit=GROWERS),
        growers_days=growers_days,
        leaving=_leaving(schedules, today),
        savings=savings(
            move
            for move in merge_moves(moves, seen.moves)
            if seen.address == "" or move.table in (seen.address, *seen.branches)
        ),
        shares=shares(seen.items),
        retention=asked.retention,
        prices=asked.prices,
        currency=asked.currency,
        notes=(),
    )
    return growth.with_limit(asked.limit)


def _measured(asked: Question, seen: Seen, measured: Sequence[History]) -> tuple[History, ...]:
    """Those of what is asked for."""
    wanted = {seen.address, *seen.branches}
    return tuple(history for history in measured if asked.table is None or history.table in wanted)


def _histories(asked: Question, seen: Seen, chosen: tuple[History, ...]) -> tuple[History, ...]:
    """The measured ones; those that the partitions tell, as long as those alone are enough for a forecast."""
    if chosen and _enough(chosen, asked.today):
        return chosen
    told = tuple(derived_history(items, today=asked.today) for items in seen.by_table().values())
    return told if not chosen or _enough(told, asked.today) else chosen


def _enough(histories: Sequence[History], today: date) -> bool:
    return bool(histories) and enough(written(together(histories), today=today).until(today))


def _history(asked: Question, seen: Seen, histories: Sequence[History]) -> History:
    """The one of the table, or of all tables together."""
    if asked.table is not None:
        return histories[0] if len(histories) == 1 else together(histories)
    whole = together(histories)
    measured = any(not history.derived for history in histories)
    return whole if measured else replace(whole, how=derived_from(len(seen.items)))


def _schedules(asked: Question, seen: Seen, histories: Sequence[History]) -> tuple[Schedule, ...]:
    parts = shares_of_growth(histories, today=asked.today) if asked.table is None else {}
    return tuple(
        Schedule(
            items,
            asked.retention,
            seen.period or usual_period(items),
            parts.get(name, 0.0) if asked.table is None else 1.0,
        )
        for name, items in seen.by_table().items()
    )


def _change(history: History, now: float, today: date, days: int) -> Change | None:
    """The change of what is on the server, to what is there now."""
    found = change(on_server(history, today=today), today=today, days=days)
    return replace(found, now=float(now)) if found else None


def _leaving(schedules: Iterable[Schedule], today: date) -> tuple[Leaving, ...]:
    until = today + timedelta(days=AHEAD_DAYS)
    found = [one for schedule in schedules for one in next_leaving(schedule, today=today, until=until)]
    return tuple(sorted(found, key=lambda one: (one.day, one.table, one.name)))


# --- what a reader has to know --------------------------------------------------------------------------------------


def _cold(history: History, kept: Sequence[Kept] | None, tables: set[str]) -> int | None:
    """The bytes of the backups: as listed just now, else as sampled; None where nobody ever looked."""
    if kept is not None:
        return sum(one.backup.bytes for one in kept if not tables.isdisjoint(("", one.backup.parent)))
    return int(history.cold[-1]) if len(history) and history.cold[-1] > 0 else None


def _notes(growth: Growth, hidden: NotAllowed | None = None) -> tuple[str, ...]:
    notes: list[str] = []
    history, last = growth.history, growth.last_sample
    if hidden is not None:
        notes.append(f"{hidden.what} {history.how}".strip())
    elif growth.derived:
        notes.append(f"{growth.why_derived} {history.how}")
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
