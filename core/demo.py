"""The demo database: invented kids and their absences, year by year, with what the console did to them so far.

    python -m core.demo --reset    empties the embedded database and fills it afresh

The same `today` gives the same rows: they come from arithmetic and PostgreSQL's own hash functions, none from chance.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core import jobs, prepare
from core.actor import Actor, Origin, Role
from core.catalog import read_table
from core.database import parse_url, session, translate, working_engine
from core.embedded import running_server
from core.errors import DeskError, Refused, UsageError
from core.execute import Budget
from core.model import PartitionedTable
from core.names import ident, literal, qualified
from core.plan import Plan
from core.settings import read_settings

PAST_YEARS = 8
"""Years before this one: the oldest archived by hand, two by the console, the others attached."""
DEMO_LOCKS = 20550
"""First key of the advisory lock under which one process at a time fills."""

_WHOLE = "Invented data: the demo of Partition Desk."
_UNFINISHED = "Invented data: the demo of Partition Desk, being filled."
_TABLE = "public.kid_absences"
_OLD_ARCHIVE = "Reports go back seven years; kept in the archive."
_NEW_ARCHIVE = "Older than the retention of three years."
_AHEAD = "Partitions for this year and next."


def is_demo(engine: Engine) -> bool:
    """Whether the database holds the whole demo."""
    with session(engine) as connection:
        return _read_marker(connection) == _WHOLE


def fill(engine: Engine, *, today: date, archive_schema: str = "archive") -> None:
    """Fills a database with the demo, unless it is there; one that was cut short is finished.

    All rows come in one transaction, then the acts, each of which can be done again. Raises Refused where the
    database has tables of those names that are not the demo's.
    """
    with session(engine) as connection, _alone(connection):
        marker = _read_marker(connection)
        if marker == _WHOLE:
            return
        if marker is None:
            _require_free(connection)
            _create(connection, today)
        else:
            today = _day_of(connection)
        for act in _acts(today):
            _run(engine, act, archive_schema)
        _archive_by_hand(connection, today.year - PAST_YEARS, archive_schema)
        for act in _acts(today):
            _backdate(connection, act)
        table = read_table(engine, _TABLE, archive_schema=archive_schema, exact=False)
        archived = ", ".join(item.sql for item in table.archived)
        connection.exec_driver_sql(f"VACUUM (ANALYZE) public.kids, public.kid_absences, {archived}")
        connection.exec_driver_sql(_mark(_WHOLE))


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Holds the lock under which one process at a time fills; errors of the driver become those of core.errors."""
    try:
        connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_lock({DEMO_LOCKS}, 0)")
        yield
        connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_unlock({DEMO_LOCKS}, 0)")
    except DBAPIError as error:
        raise translate(error, safe="What was filled so far is finished next time.") from error
    finally:
        connection.invalidate()  # whatever ended it, the session goes, and its lock and transaction with it


# --- the marker: the comment of the table kids ----------------------------------------------------------------------

_MARKER = """
SELECT pg_catalog.obj_description(pg_catalog.to_regclass('public.kids'), 'pg_class')
WHERE pg_catalog.to_regclass('public.kid_absences') IS NOT NULL
"""


def _read_marker(connection: Connection) -> str | None:
    """The comment of the demo's table of kids, or None where there is no demo."""
    found = connection.exec_driver_sql(_MARKER).scalar_one_or_none()
    return found if found in (_WHOLE, _UNFINISHED) else None


def _mark(words: str) -> str:
    return f"COMMENT ON TABLE public.kids IS {literal(words)}"


def _require_free(connection: Connection) -> None:
    names = "SELECT count(pg_catalog.to_regclass(name)) FROM (VALUES ('public.kids'), ('public.kid_absences')) t (name)"
    if connection.exec_driver_sql(names).scalar_one():
        raise Refused(
            "This database has a table kids or kid_absences that is not the demo's.",
            next="The demo goes into a database without them.",
        )


def _day_of(connection: Connection) -> date:
    """The `today` of a demo that was cut short: its last row's date."""
    last = connection.exec_driver_sql("SELECT max(date) FROM public.kid_absences").scalar_one()
    return date.fromisoformat(str(last))


# --- tables ---------------------------------------------------------------------------------------------------------

_KIDS = """
CREATE TABLE public.kids (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL
)
"""

_ABSENCES = """
CREATE TABLE public.kid_absences (
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    kid_id integer NOT NULL REFERENCES public.kids,
    date date NOT NULL,
    reason text NOT NULL CHECK (reason IN ('sick', 'appointment', 'family', 'other')),
    half_day boolean NOT NULL DEFAULT false,
    note text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (id, date),
    UNIQUE (kid_id, date)
) PARTITION BY RANGE (date);
CREATE INDEX ON public.kid_absences (date)
"""


def _create(connection: Connection, today: date) -> None:
    """Both tables with all their rows, in one transaction."""
    years = range(today.year - PAST_YEARS, today.year + 1)
    connection.exec_driver_sql("BEGIN")
    connection.exec_driver_sql(_KIDS)
    connection.exec_driver_sql(_mark(_UNFINISHED))
    connection.exec_driver_sql(_ABSENCES)
    last = _enrolled(len(years) - 1)
    connection.exec_driver_sql(_names(last.stop - 1))
    for number, year in enumerate(years):
        name = qualified("public", f"kid_absences_{year}")
        connection.exec_driver_sql(
            f"CREATE TABLE {name} PARTITION OF public.kid_absences"
            f" FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        )
        days = [day for day in school_days(year) if day <= today]
        connection.exec_driver_sql(_rows(year, days, _enrolled(number)))
    connection.exec_driver_sql("COMMIT")


_FIRST = (
    "Ada Ben Cleo Dario Elif Finn Greta Hana Ivo Jonna Kofi Lale Mika Nora Oskar Paula Quirin Rosa Samir Tilda Uma Vito"
    " Wanda Xenia Yara Zeno Amadou Bao Carlotta Deniz Emre Fatima Gustav Hilda Ilias Jule Kian Lotte Matteo Noor"
)
_LAST = (
    "Alder Birkland Castellan Dornfeld Emberly Farnholt Grauwinkel Hollerbek Iverdal Jasmund Kestrel Lindqvast Marlowen"
    " Nettelhorst Oakhurst Pellering Quillfeather Rosenhag Silberbach Tannwald Ulmenau Vanterpool Weidengrund Xanthou"
    " Yarrowby Zirbelkamp Amsel Brombeer Drosselby Elderton Fjordholm Ginsterfeld Haselmoor Immergruen Juniper Kornrade"
)


def _names(kids: int) -> str:
    """The INSERT of as many kids, with names put together from two lists."""
    first = f"pg_catalog.string_to_array('{_FIRST}', ' ')"
    last = f"pg_catalog.string_to_array('{_LAST}', ' ')"
    count = len(_FIRST.split()), len(_LAST.split())
    return f"""
    INSERT INTO public.kids (name)
    SELECT ({first})[1 + n % {count[0]}] || ' ' || ({last})[1 + (n * 7 + n / {count[0]}) % {count[1]}]
    FROM pg_catalog.generate_series(1, {kids}) n ORDER BY n
    """


# --- rows -----------------------------------------------------------------------------------------------------------

_KIDS_AT_FIRST = 2_000
_GROWTH = 1.08
_LEAVERS = 6
"""Each year a sixth of the kids leaves."""
_DAYS_PER_SPELL = 2.0
_FEWER = {2020: 0.62, 2021: 0.68}


def _enrolled(number: int) -> range:
    """The ids of the kids who are there in the `number`-th year, from 0 on."""
    sizes = [round(_KIDS_AT_FIRST * _GROWTH**n) for n in range(number + 1)]
    gone = sum(size // _LEAVERS for size in sizes[:-1])
    return range(gone + 1, gone + sizes[-1] + 1)


def school_days(year: int) -> tuple[date, ...]:
    """Monday to Friday, without July and August, two weeks at Christmas and two at Easter."""
    first = date(year, 1, 1)
    easter = _easter(year)
    days = (first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days))
    return tuple(
        day
        for day in days
        if day.weekday() < 5
        and day.month not in (7, 8)
        and date(year, 1, 6) <= day < date(year, 12, 22)
        and not easter - timedelta(days=6) <= day <= easter + timedelta(days=5)
    )


def _easter(year: int) -> date:
    """Easter Sunday. Source: the anonymous Gregorian algorithm (Nature, 1876)."""
    century, rest = divmod(year, 100)
    golden = year % 19
    shift = century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15 + 19 * golden
    epact = shift % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _absent_share(day: date) -> float:
    """The part of all kids whose absence begins or goes on that day: more in winter, most in the year's flu wave."""
    year, number = day.year, day.timetuple().tm_yday
    peak = 24 + year * 37 % 41  # between late January and early March
    height = 0.15 if year in _FEWER else 0.7 + year * 29 % 10 / 10
    season = 0.75 + 0.3 * math.cos(2 * math.pi * (number - 20) / 365)
    season += height * math.exp(-(((number - peak) / 13) ** 2)) + 0.45 * math.exp(-(((number - 327) / 18) ** 2))
    weekday = (1.12, 0.97, 0.93, 0.96, 1.06)[day.weekday()]
    return 0.078 * season * weekday * _FEWER.get(year, 1.0)


# A spell is one kid's absence on one school day or several in a row; n numbers the spells that begin on a day. Bits of
# one hash decide who, why, how long and with which note. Two spells of a kid that meet give the day once.
_ROWS = """
INSERT INTO public.kid_absences (kid_id, date, reason, half_day, note, created_at)
WITH day AS MATERIALIZED (
    SELECT * FROM ROWS FROM (pg_catalog.unnest({days}::date[]), pg_catalog.unnest({starts}::int[]))
        WITH ORDINALITY d (date, starts, place)
), hashed AS (
    SELECT d.place, n, pg_catalog.hashint8extended(d.place * 100000 + n, {year}) AS h
    FROM day d, pg_catalog.generate_series(1, d.starts) n
), spell AS (
    SELECT place, h, {first_kid} + ((h & 1073741823) % {kids})::int AS kid_id,
        CASE WHEN (h >> 30 & 127) < 94 THEN 'sick' WHEN (h >> 30 & 127) < 112 THEN 'appointment'
            WHEN (h >> 30 & 127) < 121 THEN 'family' ELSE 'other' END AS reason,
        CASE WHEN (h >> 30 & 127) >= 94 OR (h >> 37 & 127) < 45 THEN 1 WHEN (h >> 37 & 127) < 81 THEN 2
            WHEN (h >> 37 & 127) < 104 THEN 3 WHEN (h >> 37 & 127) < 115 THEN 4 ELSE 5 END AS length
    FROM hashed
), absence AS (
    SELECT DISTINCT ON (d.place, s.kid_id) d.date, s.kid_id, s.reason, s.h, i
    FROM spell s CROSS JOIN pg_catalog.generate_series(0, s.length - 1) i JOIN day d ON d.place = s.place + i
    ORDER BY d.place, s.kid_id, i, s.h
)
SELECT kid_id, date, reason, reason = 'appointment' AND h >> 44 & 3 > 0,
    CASE WHEN i > 0 THEN NULL
        WHEN reason = 'sick' AND h >> 46 & 127 < 2 THEN 'Certificate, scanned (base64): ' || (
            SELECT pg_catalog.string_agg(pg_catalog.encode(pg_catalog.sha512((h + p)::text::bytea), 'base64'), '')
            FROM pg_catalog.generate_series(1, 35 + (h >> 53 & 63)::int) p)
        WHEN h >> 46 & 127 < 24 THEN ({notes}::text[])[1 + (h >> 53 & 1023) % {note_count}] END,
    (date + time '05:30' + (h >> 54 & 127) * interval '1 minute') AT TIME ZONE 'UTC'
FROM absence ORDER BY date, kid_id
"""

_NOTES = (
    "Called in by the mother.",
    "Called in by the father.",
    "E-mail from home, answered.",
    "Fever since last night, will see the doctor today and call again tomorrow morning.",
    "Picked up at 11:00, did not feel well.",
    "Dentist.",
    "Stomach bug; siblings stay at home, too.",
    "Back tomorrow if there is no more fever.",
    "Family occasion, agreed upon with the class teacher.",
    "No word from home yet; called twice and left a message.",
)


def _rows(year: int, days: Sequence[date], kids: range) -> str:
    """The INSERT of one year's absences on those school days."""
    starts = [round(len(kids) * _absent_share(day) / _DAYS_PER_SPELL) for day in days]
    return _ROWS.format(
        year=year,
        days=literal("{" + ",".join(day.isoformat() for day in days) + "}"),
        starts=literal("{" + ",".join(str(count) for count in starts) + "}"),
        first_kid=kids.start,
        kids=len(kids),
        notes=f"ARRAY[{', '.join(literal(note) for note in _NOTES)}]",
        note_count=len(_NOTES),
    )


# --- what was done to it: really run, then moved to the time when it would have been --------------------------------


@dataclass(frozen=True, slots=True)
class _Act:
    """An operation of the console that the demo's journal tells of."""

    when: datetime
    reason: str
    archived: int | None
    """The year to archive; None for an ensure of this year and next."""
    today: date

    @property
    def subject(self) -> str:
        """As the journal has it."""
        return f"kid_absences_{self.archived}"

    def plan(self, engine: Engine, table: PartitionedTable) -> Plan | None:
        """What is left to do; None where it is done."""
        if self.archived is None:
            year = self.today.year
            ranges = ((date(y, 1, 1), date(y + 1, 1, 1)) for y in (year, year + 1))
            return prepare.prepare_ensure(engine, table, ranges)
        found = table.find_archived(self.subject)
        if found is not None and found.schema == table.archive.name:
            return None
        return prepare.prepare_archive(table, self.subject, now=self.when)
