"""Rules kept day by day over years of simulated time, on many tables of mixed widths and keys at once.

python -m tests.soak --years 3 [--tables 40]

Each day: no row of today or of what is to be ahead is without a partition, nothing is archived before its time, nothing
fails; at the end each act was done once, and all are done.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from core.console.desk import Desk
from core.console.execute import Budget
from core.console.maintain import maintain
from core.console.ruled import wish_for
from core.names import ident
from core.period import Duration, Period
from core.plans.reading import ReadKey
from core.rules.due import Moment, due
from core.rules.value import Rules, parse_rules
from core.tables.coverage import covered_until
from core.tables.key import Reading, key_value
from core.tables.table import PartitionedTable
from tests import desks
from tests.conftest import ADMIN
from tests.tables import make_table

ZONE = "Europe/Berlin"
BEGIN = datetime(2026, 11, 30, 2, tzinfo=UTC)
WIDTHS = (Period.MONTH, Period.QUARTER, Period.YEAR, Period.MONTH, Period.WEEK)
KEYS = ("date", "timestamp", "timestamptz", "seconds")
_KEPT = {
    Period.WEEK: ("3 months", "6 partitions"),
    Period.MONTH: ("6 months", "3 partitions"),
    Period.QUARTER: ("1 year", "2 partitions"),
    Period.YEAR: ("1 year", "1 partition"),
}
"""For how long each width is kept: by age, or by count."""

Run = Callable[[str], Any]


@dataclass(frozen=True)
class Kept:
    """One table with its rules."""

    name: str
    period: Period
    key: str
    rules: Rules

    @classmethod
    def numbered(cls, number: int) -> Kept:
        """Widths, keys and rules go round at different paces, so that each is met with each."""
        period, key = WIDTHS[number % len(WIDTHS)], KEYS[number % len(KEYS)]
        said: dict[str, Any] = {"ahead": 1 + number % 3, "archive_after": _KEPT[period][number // 3 % 2]}
        if number % 7 == 3:
            said["at_most"] = 2
        if number % 11 == 5:
            said["window"] = "22:00-04:00 Europe/Berlin"
        return cls(f"kept_{number:02}", period, key, parse_rules(said))

    def make(self, run: Run, desk: Desk) -> None:
        """The table, with partitions up to now."""
        days = {Period.WEEK: 30, Period.MONTH: 100, Period.QUARTER: 300, Period.YEAR: 700}[self.period]
        first = BEGIN.date() - timedelta(days=days)
        end, count = self.period.containing(first)[1], 1
        while end <= BEGIN.date():
            end, count = self.period.after(end), count + 1
        if self.key == "seconds":
            self._of_seconds(run, first, count)
            desk.run(desk.plan(ReadKey(self.name, Reading.SECONDS)), ADMIN)
        else:
            make_table(run, self.name, key_type=self.key, period=self.period, start=first, count=count, rows=0)

    def _of_seconds(self, run: Run, first: date, count: int) -> None:
        run(f"CREATE TABLE {self.name} (k bigint NOT NULL, v text) PARTITION BY RANGE (k)")
        lower, upper = self.period.containing(first)
        for _ in range(count):
            ends = [int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) for day in (lower, upper)]
            name = ident(f"{self.name}_{self.period.label(lower)}")
            run(f"CREATE TABLE {name} PARTITION OF {self.name} FOR VALUES FROM ({ends[0]}) TO ({ends[1]})")
            lower, upper = upper, self.period.after(upper)


def holds_on(rules: Rules, table: PartitionedTable, now: datetime) -> None:
    """Today's rows, and those ahead, have a place; nothing is archived before its time; nothing is left to do."""
    assert table.key is not None
    at = Moment(now, ZONE)
    found = due(rules, table, at)
    assert found.acts == () or rules.at_most is not None, (table.name, now, found)
    assert not [one for one in found.held if one.wrong], (table.name, now, found.held)
    reach = covered_until(table, now, ZONE)
    assert reach is None or reach > key_value(table.key, at.today, ZONE), (table.name, now, reach)
    if isinstance(rules.archive_after, Duration):
        cutoff = key_value(table.key, rules.archive_after.before(at.today), ZONE)
        early = [one.name for one in table.archived if one.bounds and one.bounds.upper and one.bounds.upper > cutoff]
        assert early == [], (now, early)


def keep(worker: Engine, run: Run, *, tables: int, days: int, say: Callable[[str], None] = print) -> Counter[str]:
    """Keeps so many tables for so many days, and gives how many acts of each kind were done."""
    budget = Budget(lock_ms=1_000, patience_s=60)

    def at(now: datetime) -> Desk:
        return desks.desk(worker, budget=budget, now=now, time_zone=ZONE)

    desk = at(BEGIN)
    every = [Kept.numbered(number) for number in range(tables)]
    for one in every:
        one.make(run, desk)
        desk.run(desk.plan(wish_for(desk, desk.read(one.name), one.rules)), ADMIN)
    known = {one.name: desk.read(one.name) for one in every}
    begun, runs = time.monotonic(), 0
    for number in range(days + 1):
        now = BEGIN + timedelta(days=number)
        moment = Moment(now, ZONE)
        waiting = [one for one in every if due(one.rules, known[one.name], moment).acts]
        if waiting:
            desk = at(now)
            ended = maintain(desk)
            assert ended.good, (now, ended.left)
            runs += 1
            known |= {one.name: replace(desk.read(one.name), as_of=now) for one in waiting}
        for one in every:
            holds_on(one.rules, known[one.name], now)
        if number % 100 == 0:
            say(f"{now.astimezone(ZoneInfo(ZONE)):%Y-%m-%d}: {runs} runs, {time.monotonic() - begun:.0f} s")
    _each_once(run)
    done = run("SELECT kind, count(*) FROM partition_desk.operation GROUP BY 1 ORDER BY 1")
    return Counter({str(kind): int(count) for kind, count in done}) + Counter(runs=runs)


def _each_once(run: Run) -> None:
    """Raises AssertionError where a partition was made or archived twice, or anything did not end as done."""
    twice = run(
        "SELECT kind, table_address, subject, count(*) FROM partition_desk.operation WHERE kind = 'archive'"
        " GROUP BY 1, 2, 3 HAVING count(*) > 1"
    )
    assert twice == [], twice
    made = run(
        "SELECT table_address, made, count(*) FROM partition_desk.operation,"
        " jsonb_array_elements_text(plan::jsonb -> 'makes') made WHERE kind = 'ensure'"
        " GROUP BY 1, 2 HAVING count(*) > 1"
    )
    assert made == [], made
    assert run("SELECT count(*) FROM partition_desk.operation WHERE state <> 'done'") == [(0,)]
