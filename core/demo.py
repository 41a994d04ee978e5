"""The demo database: invented kids and their absences, year by year, with what the console did to them so far.

python -m core.demo --reset    empties the embedded database and fills it afresh
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from itertools import accumulate
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.absences import definition
from core.console.actor import Actor, Origin
from core.console.desk import Desk
from core.errors import DeskError, Refused
from core.growth.holdings import Stage
from core.growth.samples.values import Past
from core.growth.samples.write import write_generated
from core.migrations import stamp_head
from core.names import ident, literal, qualified
from core.period import Range
from core.plans.archive import ARCHIVE, Archive
from core.plans.ensure import ENSURE, Ensure
from core.plans.operation import Operation, Role, Wish
from core.postgres.advisory import LockKey
from core.postgres.connection import parse_url, session, translate, working_engine
from core.postgres.embedded import running_server
from core.school import PAST_YEARS, absences_of, enrolled, names, school_days, starts_on
from core.settings import read_settings
from core.tables.archived import Archived
from core.tables.catalog.table import read_table
from core.tables.partition import Partition
from core.tables.size import Size
from core.tables.table import PartitionedTable

_TABLE = "public.kid_absences"
_COMMENT = re.compile(r"Invented data: the demo of Partition Desk for (\d{4}-\d\d-\d\d)(, being filled)?")


@dataclass(frozen=True, slots=True)
class _Marker:
    """What the comment of the table kids says: that this is the demo, and whether all of it is there."""

    day: date
    whole: bool

    @property
    def sql(self) -> str:
        """The statement that writes it."""
        words = f"Invented data: the demo of Partition Desk for {self.day}{'' if self.whole else ', being filled'}"
        return f"COMMENT ON TABLE public.kids IS {literal(words)}"


_READ_MARKER = """
SELECT pg_catalog.obj_description(kids, 'pg_class') AS comment, pg_catalog.num_nonnulls(kids, absences) AS found
FROM (SELECT pg_catalog.to_regclass('public.kids'), pg_catalog.to_regclass('public.kid_absences')) t (kids, absences)
"""


def _read_marker(connection: Connection) -> _Marker | None:
    """The demo's marker, or None where neither of its tables is there. Raises Refused where somebody else's is."""
    row = connection.exec_driver_sql(_READ_MARKER).one()
    if not row.found:
        return None
    found = _COMMENT.fullmatch(row.comment or "")
    if found is None:
        raise Refused(
            "This database has a table kids or kid_absences that is not the demo's.",
            next="The demo goes into a database without them.",
        )
    return _Marker(date.fromisoformat(found[1]), whole=found[2] is None)


def is_demo(engine: Engine) -> bool:
    """Whether the database holds the whole demo."""
    with session(engine) as connection:
        try:
            marker = _read_marker(connection)
        except Refused:
            return False
        except DBAPIError as error:
            raise translate(error) from error
    return marker is not None and marker.whole


def fill(engine: Engine, *, today: date, archive_schema: str = "archive") -> None:
    """Fills a database with the demo, unless it is there; one that was cut short is finished.

    All rows come in one transaction; of what follows, each act is left out where it is done. Raises Refused where
    the database has tables of those names that are not the demo's.
    """
    with session(engine) as connection:
        try:
            connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_lock({LockKey.DEMO}, 0)")
            marker = _read_marker(connection)
            if marker is None:
                marker = _Marker(today, whole=False)
                _create(connection, marker)
            if not marker.whole:
                _finish(engine, connection, marker.day, archive_schema)
        except DBAPIError as error:
            raise translate(error, safe="What was filled so far is finished next time.") from error
        finally:
            connection.invalidate()  # the session ends, and with it the lock and whatever transaction was open


def _finish(engine: Engine, connection: Connection, today: date, archive_schema: str) -> None:
    """Everything after the rows."""
    desk = Desk.on(engine, replace(read_settings({}), archive_schema=archive_schema))
    for act in _acts(today):
        _run(desk, act)
        _backdate(connection, act)
    _archive_by_hand(engine, connection, today.year - PAST_YEARS, archive_schema)
    stamp_head(connection, "public", "kid_absences")  # so that alembic downgrade -1 works here, too
    archived = read_table(engine, _TABLE, archive_schema=archive_schema, exact=False).archived
    tables = ", ".join(["public.kids", "public.kid_absences", *(item.sql for item in archived)])
    connection.exec_driver_sql(f"VACUUM (ANALYZE) {tables}")
    table = read_table(engine, _TABLE, archive_schema=archive_schema)
    write_generated(connection, sizes_until(table, today), _sampled_days(today))
    connection.exec_driver_sql(_Marker(today, whole=True).sql)


# --- tables ---------------------------------------------------------------------------------------------------------

# What absences.py defines, and what a school would add: a foreign key, and notes long enough for TOAST.
_TABLES = f"""
CREATE TABLE public.kids (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL
);
{definition(_TABLE)};
ALTER TABLE public.kid_absences
    ALTER COLUMN reason SET NOT NULL,
    ADD CHECK (reason IN ('sick', 'appointment', 'family', 'other')),
    ADD COLUMN half_day boolean NOT NULL DEFAULT false,
    ADD COLUMN note text
"""
# After the rows: checked once for all, it costs a tenth of what it does row by row.
_FOREIGN_KEY = "ALTER TABLE public.kid_absences ADD FOREIGN KEY (kid_id) REFERENCES public.kids"


def _create(connection: Connection, marker: _Marker) -> None:
    """Both tables with all their rows, in one transaction."""
    years = range(marker.day.year - PAST_YEARS, marker.day.year + 1)
    connection.exec_driver_sql("BEGIN")
    connection.exec_driver_sql(_TABLES)
    connection.exec_driver_sql(marker.sql)
    last = enrolled(len(years) - 1)
    connection.exec_driver_sql(names(last.stop - 1))
    for number, year in enumerate(years):
        name = qualified("public", f"kid_absences_{year}")
        connection.exec_driver_sql(
            f"CREATE TABLE {name} PARTITION OF public.kid_absences"
            f" FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        )
        days = [day for day in school_days(year) if day <= marker.day]
        connection.exec_driver_sql(absences_of(year, days, enrolled(number)))
    connection.exec_driver_sql(_FOREIGN_KEY)
    connection.exec_driver_sql("COMMIT")


# --- what was done to it: really run, then moved to the time when it would have been --------------------------------


@dataclass(frozen=True, slots=True)
class _Act:
    """One operation of the console that the demo's journal tells of."""

    when: datetime
    origin: Origin
    reason: str
    kind: Operation
    subject: str
    """What the journal calls it; an ensure's is found by its kind alone."""
    ranges: tuple[Range, ...] = ()

    @property
    def wish(self) -> Wish:
        """What was asked for."""
        return Ensure(_TABLE, years=self.ranges) if self.kind is ENSURE else Archive(_TABLE, self.subject)


def _acts(today: date) -> tuple[_Act, ...]:
    """Oldest first: two archives, then the partition of next year."""
    year = today.year
    morning = datetime.combine(today, time_of_day(8, 14), UTC)
    ensured = max(morning - timedelta(days=90), datetime(year, 1, 1, 5, 0, tzinfo=UTC))
    ahead = tuple((date(y, 1, 1), date(y + 1, 1, 1)) for y in (year, year + 1))

    def archived(days_ago: int, old: int, reason: str) -> _Act:
        when = morning - timedelta(days=days_ago)
        return _Act(when, Origin.COMMAND_LINE, reason, ARCHIVE, f"kid_absences_{old}")

    oldest = year - PAST_YEARS + 1
    return (
        archived(311, oldest, f"No report needs {oldest} any more."),
        archived(193, oldest + 1, "Beyond the retention of three years; agreed with the school office."),
        _Act(ensured, Origin.START_UP, "Partitions for this year and next.", ENSURE, "", ahead),
    )


def _run(desk: Desk, act: _Act) -> None:
    """Does what is left of it; an archive that is done is left alone."""
    plan = replace(desk, clock=lambda: act.when).plan(act.wish)
    desk.run(plan, Actor("Demo", Role.ADMIN, act.origin), act.reason)


_BACKDATE = """
WITH moved AS (
    SELECT id, {when}::timestamptz - requested_at AS by FROM partition_desk.operation
    WHERE table_address = {table} AND kind = {kind} AND {subject}
), steps AS (
    UPDATE partition_desk.operation_step s SET started_at = s.started_at + by, finished_at = s.finished_at + by
    FROM moved WHERE s.operation_id = moved.id
)
UPDATE partition_desk.operation o
SET requested_at = o.requested_at + by, started_at = o.started_at + by, finished_at = o.finished_at + by
FROM moved WHERE o.id = moved.id
"""


def _backdate(connection: Connection, act: _Act) -> None:
    """Moves an act's row to its `when`; how long it took stays true."""
    connection.exec_driver_sql(
        _BACKDATE.format(
            when=literal(act.when.isoformat()),
            table=literal(_TABLE),
            kind=literal(act.kind.name),
            subject=f"subject = {literal(act.subject)}" if act.subject else "true",
        )
    )


def _archive_by_hand(engine: Engine, connection: Connection, year: int, archive_schema: str) -> None:
    """The SQL of kid_absences_partitioning.md, as somebody ran it before there was a console: no tag, no CHECK."""
    name = f"kid_absences_{year}"
    if read_table(engine, _TABLE, archive_schema=archive_schema, exact=False).find(name) is None:
        return
    connection.exec_driver_sql("BEGIN")
    connection.exec_driver_sql(f"ALTER TABLE public.kid_absences DETACH PARTITION public.{name}")
    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {ident(archive_schema)}")
    connection.exec_driver_sql(f"ALTER TABLE public.{name} SET SCHEMA {ident(archive_schema)}")
    connection.exec_driver_sql("COMMIT")


# --- how large it was: invented from what it is now, so that growth can be seen at once ----------------------------

SAMPLED_DAYS = 730
"""How far back the invented samples reach."""
_BY_HAND_DAYS_AGO = 520
_PAGE = 8192


def _sampled_days(today: date) -> tuple[date, ...]:
    return tuple(today - timedelta(days=ago) for ago in reversed(range(SAMPLED_DAYS)))


def sizes_until(table: PartitionedTable, today: date) -> tuple[Past, ...]:
    """What samples of the last two years would have shown of the demo's table, from its sizes of now.

    Each year's partition grows with the absences that were written, page by page, and keeps its size once the year is
    over; it was archived when the journal says, the oldest by hand.
    """
    archived = {act.subject: act.when.date() for act in _acts(today) if act.kind is ARCHIVE}
    by_hand = today - timedelta(days=_BY_HAND_DAYS_AGO)
    left = {item.oid: archived.get(item.name, by_hand) for item in table.archived}
    items: tuple[Partition | Archived, ...] = (*table.partitions, *table.archived)
    pasts = []
    for item in items:
        dates = item.bounds.dates() if item.bounds else None
        if item.bounds is not None and dates is not None and item.size is not None:
            changes = _changes(dates[0].year, item.size, item.rows or 0, left.get(item.oid), today)
            pasts.append(Past(table.address, item.name, item.oid, item.bounds.text, changes))
    return tuple(pasts)


def _changes(
    year: int, size: Size, rows: int, left: date | None, today: date
) -> tuple[tuple[date, Stage, Size, int], ...]:
    """(day, stage, size, rows) wherever one of the last three changed."""
    sampled = _sampled_days(today)
    days = [day for day in school_days(year) if day <= today]
    starts = starts_on(days, enrolled(max(0, year - today.year + PAST_YEARS)))
    begun = dict(zip(days, accumulate(starts), strict=True))
    before = max((count for day, count in begun.items() if day < sampled[0]), default=0)
    made = min(date(year - 1, 12, 1), today)
    found: list[tuple[date, Stage, Size, int]] = []
    for day in sampled:
        before = begun.get(day, before)
        if day < made:
            continue
        share = before / max(1, sum(starts))
        stage = Stage.ARCHIVED if left is not None and day >= left else Stage.ATTACHED
        now = (stage, _grown(size, share) if rows else size, round(rows * share))
        if not found or found[-1][1:] != now:
            found.append((day, *now))
    return tuple(found)


def _grown(size: Size, share: float) -> Size:
    """A part of a size in whole pages; indexes and TOAST have a page or two from the beginning."""
    index, toast = (min(part, max(least, _pages(part * share))) for part, least in
                    ((size.index, 2 * _PAGE), (size.toast, _PAGE)))  # fmt: skip
    return Size(_pages(size.heap * share), index, toast)


def _pages(count: float) -> int:
    return round(count / _PAGE) * _PAGE


# --- the embedded server --------------------------------------------------------------------------------------------


def fill_embedded(
    url: str, *, today: date, archive_schema: str, begin: Callable[[], None] = lambda: None
) -> float | None:
    """Fills the running embedded server's database; how many seconds that took, or None where nothing was to do.

    `begin` is called where there is something to do. Raises Refused where the database holds tables of the user's
    under the demo's names.
    """
    _make_database(url)
    engine = working_engine(parse_url(url))
    try:
        if is_demo(engine):
            return None
        begin()
        began = time.monotonic()
        fill(engine, today=today, archive_schema=archive_schema)
        return time.monotonic() - began
    finally:
        engine.dispose()


@contextmanager
def _beside(url: str) -> Iterator[Connection]:
    """A connection to the server's other database, from which its own can be dropped and made."""
    engine = working_engine(parse_url(url).set(database="template1"))
    try:
        with session(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def _make_database(url: str) -> None:
    """Makes the database where a reset was cut short between the old one and the new."""
    name = parse_url(url).database or ""
    with _beside(url) as connection:
        found = connection.exec_driver_sql(f"SELECT count(*) FROM pg_database WHERE datname = {literal(name)}")
        if not found.scalar_one():
            connection.exec_driver_sql(f"CREATE DATABASE {ident(name)} TEMPLATE template0")


def _drop_database(url: str) -> None:
    """Drops the database under whoever looks at it: a dashboard that runs finds the new one by itself."""
    with _beside(url) as connection:
        connection.exec_driver_sql(f"DROP DATABASE {ident(parse_url(url).database or '')} WITH (FORCE)")


def reset(home: Path, *, today: date, archive_schema: str) -> float:
    """Empties the embedded server's database in `home` and fills it; how many seconds the filling took."""
    with running_server(home) as url:
        _make_database(url)
        _drop_database(url)
        return fill_embedded(url, today=today, archive_schema=archive_schema) or 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m core.demo --reset`: 0 done, 1 refused or failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m core.demo", description="Fills the embedded demo database afresh.")
    parser.add_argument("--reset", action="store_true", required=True, help="empty the embedded database and fill it")
    parser.parse_args(arguments)
    try:
        settings = read_settings()
        if settings.database_url is not None:
            raise Refused(
                "DATABASE_URL is set; only the embedded demo database is ever reset.",
                next="Run it without: env -u DATABASE_URL make demo-reset.",
            )
        print(f"Emptying the embedded database in {settings.home} and filling it afresh ...", flush=True)
        today = datetime.now(ZoneInfo(settings.time_zone)).date()
        seconds = reset(settings.home, today=today, archive_schema=settings.archive_schema)
    except DeskError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Done: what was in it is gone, and the demo is as on the first day (filled in {seconds:.1f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
