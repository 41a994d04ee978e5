"""Samples of every partition's size, kept in tables of the console's own, a row only where something changed.

They are made with the first sample; reading where there are none finds nothing. Losing them loses no partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import NotAllowed
from core.growth.outlook import History, Holding, KeyStatistics, Move, Stage
from core.names import ident, literal
from core.postgres.connection import session, sqlstate, translate
from core.tables.bounds import Bounds
from core.tables.key import End, day_of
from core.tables.size import Size

SAMPLE_LOCKS = 20551
"""First key of the advisory lock under which one process at a time samples."""
TIMEOUT_MS = 60_000
"""How long one statement of a sample may take."""
_MAKING = 20549
"""First key of the lock under which the console's schema is made: the journal's, which makes it too."""

STAGES = (Stage.ATTACHED, Stage.ARCHIVED, Stage.DROPPED)
"""What the numbers in the tables stand for."""
Row = Any
"""A row of a result, its columns as attributes."""

_SCHEMA = "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'partition_desk'"
# `state` is a place in STAGES. A partition's figures hold from their day on, until its next row.
_TABLES = """
CREATE TABLE IF NOT EXISTS partition_desk.sampled_table (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address text NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS partition_desk.sampled_partition (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_id integer NOT NULL REFERENCES partition_desk.sampled_table,
    relation oid,
    name text NOT NULL,
    bounds text
);
CREATE INDEX IF NOT EXISTS sampled_partition_by_table ON partition_desk.sampled_partition (table_id);
CREATE TABLE IF NOT EXISTS partition_desk.size_sample (
    partition_id integer NOT NULL,
    day date NOT NULL,
    state smallint NOT NULL,
    moved_from smallint,
    heap bigint NOT NULL,
    index_bytes bigint NOT NULL,
    toast bigint NOT NULL,
    cold bigint NOT NULL,
    live bigint,
    dead bigint,
    exact boolean NOT NULL,
    PRIMARY KEY (partition_id, day)
);
CREATE INDEX IF NOT EXISTS size_sample_moved ON partition_desk.size_sample (day) WHERE moved_from IS NOT NULL;
CREATE TABLE IF NOT EXISTS partition_desk.size_total (
    table_id integer NOT NULL,
    day date NOT NULL,
    state smallint NOT NULL,
    partitions integer NOT NULL,
    heap bigint NOT NULL,
    index_bytes bigint NOT NULL,
    toast bigint NOT NULL,
    cold bigint NOT NULL,
    live bigint NOT NULL,
    dead bigint NOT NULL,
    PRIMARY KEY (table_id, day, state)
);
CREATE TABLE IF NOT EXISTS partition_desk.sample_run (
    day date PRIMARY KEY,
    taken_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    seconds real NOT NULL,
    partitions integer NOT NULL,
    changed integer NOT NULL,
    skipped text[] NOT NULL,
    exact boolean NOT NULL,
    generated boolean NOT NULL
)
"""
_NEWEST = "sample_run"
_EXISTS = f"""
SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'partition_desk' AND c.relname = '{_NEWEST}'
"""


def _exists(connection: Connection) -> bool:
    return bool(connection.exec_driver_sql(_EXISTS).scalar_one())


def rollback(connection: Connection) -> None:
    """Ends the transaction, if the connection is there."""
    if not connection.invalidated:
        connection.exec_driver_sql("ROLLBACK")


def make(connection: Connection) -> None:
    """Makes the tables where they are missing; the connection is in AUTOCOMMIT. Raises NotAllowed."""
    if _exists(connection):
        return
    connection.exec_driver_sql("BEGIN")
    try:
        connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock({_MAKING}, 0)")
        # IF NOT EXISTS would ask for the right to create schemas even where this one was made for the role.
        if not connection.exec_driver_sql(_SCHEMA).scalar_one():
            connection.exec_driver_sql("CREATE SCHEMA partition_desk")
        connection.exec_driver_sql(_TABLES)
        connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        rollback(connection)
        if sqlstate(error) == "42501":
            user = connection.exec_driver_sql("SELECT current_user").scalar_one()
            raise NotAllowed(
                f"The role {user} may not make the tables that samples of sizes are kept in.",
                next=f"Run once as an administrator: CREATE SCHEMA partition_desk AUTHORIZATION {ident(str(user))}.",
            ) from error
        raise


# --- writing down what changed --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """A partition's figures of one day; sizes in bytes."""

    state: int
    """Its place in STAGES."""
    moved_from: int | None
    """The place in STAGES that it had before, where it changed."""
    heap: int
    index: int
    toast: int
    cold: int
    live: int | None
    dead: int | None
    exact: bool

    def like(self, other: Figures | None) -> bool:
        """Whether nothing changed from `other` to this."""
        return other is not None and replace(self, moved_from=None) == replace(other, moved_from=None)


@dataclass(frozen=True, slots=True)
class Known:
    """A partition that was sampled before, with its figures of the last sample before the day."""

    id: int
    table: str
    relation: int | None
    name: str
    bounds: str | None
    figures: Figures | None
    today: bool
    """Whether it has a row for the day itself."""


@dataclass(frozen=True, slots=True)
class SampleRun:
    """One day's sample."""

    day: date
    taken_at: datetime
    """UTC."""
    seconds: float
    partitions: int
    """How many relations were looked at, archived ones as well."""
    changed: int
    """How many of them got a row."""
    skipped: tuple[str, ...]
    """Names of those that somebody held exclusively; they keep their last figures."""
    exact: bool
    """Whether sizes were measured file by file; else they are those of the last vacuum or analyze."""
    generated: bool = False
    """Whether it is invented: the demo's."""


_KNOWN = """
SELECT p.id, t.address, p.relation, p.name, p.bounds, s.state, s.heap, s.index_bytes, s.toast, s.cold, s.live, s.dead,
    s.exact, EXISTS (SELECT 1 FROM partition_desk.size_sample n WHERE n.partition_id = p.id AND n.day = {day}) AS today
FROM partition_desk.sampled_partition p JOIN partition_desk.sampled_table t ON t.id = p.table_id
LEFT JOIN LATERAL (
    SELECT * FROM partition_desk.size_sample s WHERE s.partition_id = p.id AND s.day < {day}
    ORDER BY s.day DESC LIMIT 1) s ON true
"""
# A sample for a day before the newest one: whoever leaned on an older row keeps its figures.
_FREEZE = """
INSERT INTO partition_desk.size_sample
SELECT s.partition_id, r.day, s.state, NULL, s.heap, s.index_bytes, s.toast, s.cold, s.live, s.dead, s.exact
FROM (SELECT min(day) AS day FROM partition_desk.sample_run WHERE day > {day}) r
CROSS JOIN partition_desk.sampled_partition p
CROSS JOIN LATERAL (
    SELECT * FROM partition_desk.size_sample s WHERE s.partition_id = p.id AND s.day <= r.day
    ORDER BY s.day DESC LIMIT 1) s
WHERE r.day IS NOT NULL
ON CONFLICT DO NOTHING
"""


def read_known(connection: Connection, day: date) -> list[Known]:
    """Every partition that was ever sampled, with its figures of before that day."""
    rows = connection.exec_driver_sql(_KNOWN.format(day=literal(day.isoformat()) + "::date"))
    return [
        Known(
            row.id,
            row.address,
            row.relation,
            row.name,
            row.bounds,
            None
            if row.state is None
            else Figures(
                row.state, None, row.heap, row.index_bytes, row.toast, row.cold, row.live, row.dead, row.exact
            ),
            row.today,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Entry:
    """A partition with its figures of the day."""

    known: Known | None
    table: str
    relation: int | None
    name: str
    bounds: str | None
    figures: Figures

    @property
    def changed(self) -> bool:
        """Whether it needs a row for the day."""
        return self.known is None or self.known.today or not self.figures.like(self.known.figures)

    @property
    def renamed(self) -> bool:
        """Whether what is known of its name and place is out of date."""
        one = self.known
        own = (self.table, self.relation, self.name, self.bounds)
        return one is not None and (one.table, one.relation, one.name, one.bounds) != own


def _numbers(values: Iterable[int | None]) -> str:
    return "'{" + ",".join("NULL" if value is None else str(value) for value in values) + "}'"


def _texts(values: Iterable[str | None]) -> str:
    return f"ARRAY[{', '.join('NULL' if value is None else literal(value) for value in values)}]::text[]"


def _flags(values: Iterable[bool]) -> str:
    return "'{" + ",".join("t" if value else "f" for value in values) + "}'::boolean[]"


def write_day(connection: Connection, entries: Sequence[Entry], run: SampleRun) -> None:
    """Writes down one day's sample, or writes it anew, in one transaction; the connection is in AUTOCOMMIT.

    `entries` is everything, changed or not. Raises DBAPIError.
    """
    connection.exec_driver_sql(f"BEGIN; SET LOCAL statement_timeout = {TIMEOUT_MS}")
    try:
        connection.exec_driver_sql(_FREEZE.format(day=literal(run.day.isoformat())))
        entries = _follow_renames(connection, entries)
        tables = _table_ids(connection, {entry.table for entry in entries})
        ids = _partition_ids(connection, entries, tables)
        rows = [(number, run.day, entry.figures) for number, entry in zip(ids, entries, strict=True) if entry.changed]
        _write_rows(connection, rows)
        _write_totals(connection, _totals(entries, tables, run.day, _before(connection, run.day)))
        _write_runs(connection, [run])
        connection.exec_driver_sql("COMMIT")
    except DBAPIError:
        rollback(connection)
        raise


def _follow_renames(connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """A table that was renamed keeps its history, and what was archived from it before."""
    known = {entry.known.table for entry in entries if entry.known}
    there = {entry.table for entry in entries if entry.figures.state == 0}
    renamed: dict[str, str] = {}
    for entry in entries:
        old = entry.known.table if entry.known else entry.table
        if old not in there and old not in renamed and entry.table not in known | set(renamed.values()):
            renamed[old] = entry.table
            connection.exec_driver_sql(
                f"UPDATE partition_desk.sampled_table SET address = {literal(entry.table)}"
                f" WHERE address = {literal(old)}"
            )
    return [replace(entry, table=renamed.get(entry.table, entry.table)) for entry in entries]


def _table_ids(connection: Connection, addresses: Iterable[str]) -> dict[str, int]:
    found = {
        row.address: row.id
        for row in connection.exec_driver_sql("SELECT id, address FROM partition_desk.sampled_table")
    }
    new = sorted(set(addresses) - set(found))
    if new:
        rows = connection.exec_driver_sql(
            f"INSERT INTO partition_desk.sampled_table (address) SELECT unnest({_texts(new)}) RETURNING id, address"
        )
        found |= {row.address: row.id for row in rows}
    return found


def _partition_ids(connection: Connection, entries: Sequence[Entry], tables: Mapping[str, int]) -> list[int]:
    """The number of each entry's partition; new ones are written down, and what is known of others is set right."""
    moved = [entry for entry in entries if entry.renamed]
    if moved:
        connection.exec_driver_sql(
            "UPDATE partition_desk.sampled_partition p"
            " SET table_id = n.table_id, relation = n.relation, name = n.name, bounds = n.bounds FROM unnest("
            f"{_numbers(entry.known.id for entry in moved if entry.known)}::int[],"
            f" {_numbers(tables[entry.table] for entry in moved)}::int[],"
            f" {_numbers(entry.relation for entry in moved)}::oid[],"
            f" {_texts(entry.name for entry in moved)}, {_texts(entry.bounds for entry in moved)})"
            " n (id, table_id, relation, name, bounds) WHERE p.id = n.id"
        )
    new = [entry for entry in entries if entry.known is None]
    numbers: dict[tuple[int, int | None, str, str | None], int] = {}
    if new:
        rows = connection.exec_driver_sql(
            "INSERT INTO partition_desk.sampled_partition (table_id, relation, name, bounds) SELECT * FROM unnest("
            f"{_numbers(tables[entry.table] for entry in new)}::int[],"
            f" {_numbers(entry.relation for entry in new)}::oid[],"
            f" {_texts(entry.name for entry in new)}, {_texts(entry.bounds for entry in new)})"
            " RETURNING id, table_id, relation, name, bounds"
        )
        numbers = {(row.table_id, row.relation, row.name, row.bounds): row.id for row in rows}
    return [
        entry.known.id if entry.known else numbers[tables[entry.table], entry.relation, entry.name, entry.bounds]
        for entry in entries
    ]


def _write_rows(connection: Connection, rows: Sequence[tuple[int, date, Figures]]) -> None:
    if not rows:
        return
    figures = [figure for _, _, figure in rows]
    connection.exec_driver_sql(
        "INSERT INTO partition_desk.size_sample SELECT * FROM unnest("
        f"{_numbers(number for number, _, _ in rows)}::int[], {_days(day for _, day, _ in rows)},"
        f" {_numbers(one.state for one in figures)}::smallint[],"
        f" {_numbers(one.moved_from for one in figures)}::smallint[],"
        f" {_numbers(one.heap for one in figures)}::bigint[], {_numbers(one.index for one in figures)}::bigint[],"
        f" {_numbers(one.toast for one in figures)}::bigint[], {_numbers(one.cold for one in figures)}::bigint[],"
        f" {_numbers(one.live for one in figures)}::bigint[], {_numbers(one.dead for one in figures)}::bigint[],"
        f" {_flags(one.exact for one in figures)})"
        " ON CONFLICT (partition_id, day) DO UPDATE SET state = excluded.state, moved_from = excluded.moved_from,"
        " heap = excluded.heap, index_bytes = excluded.index_bytes, toast = excluded.toast, cold = excluded.cold,"
        " live = excluded.live, dead = excluded.dead, exact = excluded.exact"
    )


def _days(days: Iterable[date]) -> str:
    return "'{" + ",".join(day.isoformat() for day in days) + "}'::date[]"


@dataclass(frozen=True, slots=True)
class _Total:
    """The sums of one table in one place on one day."""

    table: int
    day: date
    state: int
    sums: tuple[int, ...] = (0,) * 7
    """Partitions, heap, indexes, TOAST, cold, live, dead."""


def _before(connection: Connection, day: date) -> set[tuple[int, int]]:
    """(table, state) of the totals of that day and of the last one before."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT table_id, state FROM partition_desk.size_total"
        f" WHERE day = '{day}' OR day = (SELECT max(day) FROM partition_desk.sample_run WHERE day < '{day}')"
    )
    return {(row.table_id, row.state) for row in rows}


def _totals(
    entries: Iterable[Entry], tables: Mapping[str, int], day: date, before: Iterable[tuple[int, int]]
) -> list[_Total]:
    """The day's sums; a place that is empty now and was not is written down as empty."""
    sums: dict[tuple[int, int], list[int]] = {place: [0] * 7 for place in before}
    for entry in entries:
        one = entry.figures
        added = (1, one.heap, one.index, one.toast, one.cold, one.live or 0, one.dead or 0)
        found = sums.setdefault((tables[entry.table], one.state), [0] * 7)
        for place, figure in enumerate(added):
            found[place] += figure
    return [_Total(table, day, state, tuple(found)) for (table, state), found in sums.items()]


def _write_totals(connection: Connection, totals: Sequence[_Total]) -> None:
    if not totals:
        return
    sums = ", ".join(f"{_numbers(total.sums[place] for total in totals)}::bigint[]" for place in range(7))
    connection.exec_driver_sql(
        "INSERT INTO partition_desk.size_total SELECT * FROM unnest("
        f"{_numbers(total.table for total in totals)}::int[], {_days(total.day for total in totals)},"
        f" {_numbers(total.state for total in totals)}::smallint[], {sums})"
        " ON CONFLICT (table_id, day, state) DO UPDATE SET partitions = excluded.partitions, heap = excluded.heap,"
        " index_bytes = excluded.index_bytes, toast = excluded.toast, cold = excluded.cold, live = excluded.live,"
        " dead = excluded.dead"
    )


def _write_runs(connection: Connection, runs: Iterable[SampleRun]) -> None:
    values = ", ".join(
        f"('{run.day}', '{run.taken_at.isoformat()}', {run.seconds}, {run.partitions}, {run.changed},"
        f" {_texts(run.skipped)}, {run.exact}, {run.generated})"
        for run in runs
    )
    connection.exec_driver_sql(
        f"INSERT INTO partition_desk.sample_run VALUES {values} ON CONFLICT (day) DO UPDATE SET"
        " taken_at = excluded.taken_at, seconds = excluded.seconds, partitions = excluded.partitions,"
        " changed = excluded.changed, skipped = excluded.skipped, exact = excluded.exact,"
        " generated = excluded.generated"
    )


# --- reading them ---------------------------------------------------------------------------------------------------


def _read(engine: Engine, sql: str) -> Sequence[Row]:
    """The rows; none where there are no samples yet, or where the role may not see them."""
    with session(engine) as connection:
        try:
            return connection.exec_driver_sql(sql).all() if _exists(connection) else ()
        except DBAPIError as error:
            if sqlstate(error) == "42501":
                return ()
            raise translate(error) from error


def read_runs(engine: Engine, *, limit: int = 400) -> tuple[SampleRun, ...]:
    """The newest samples first; none where nothing was sampled yet."""
    rows = _read(engine, f"SELECT * FROM partition_desk.sample_run ORDER BY day DESC LIMIT {int(limit)}")
    return tuple(
        SampleRun(
            row.day,
            row.taken_at.astimezone(UTC),
            row.seconds,
            row.partitions,
            row.changed,
            tuple(row.skipped),
            row.exact,
            row.generated,
        )
        for row in rows
    )


# One text of numbers a column: a row a day and place would take ten times as long to reach Python.
_HISTORIES = """
SELECT t.address, s.state, {columns},
    (SELECT max(day) FROM partition_desk.sample_run WHERE generated) AS generated_until
FROM (
    SELECT table_id, state, {lists} FROM partition_desk.size_total GROUP BY table_id, state) s
JOIN partition_desk.sampled_table t ON t.id = s.table_id {where}
ORDER BY t.address, s.state
"""
_COLUMNS = ("day", "partitions", "heap", "index_bytes", "toast", "cold", "live", "dead")


def read_histories(engine: Engine, *, table: str | None = None) -> tuple[History, ...]:
    """The sizes by day of every table that was ever sampled, or of one by its address, in the order of addresses.

    None where nothing was sampled yet. Samples that bear a day to come are among them; `growth.written` with `today`
    leaves them out.
    """
    texts = {name: name for name in _COLUMNS} | {"day": "(day - date '1970-01-01')"}
    lists = ", ".join(f"string_agg({text}::text, ',' ORDER BY day) AS {name}" for name, text in texts.items())
    sql = _HISTORIES.format(
        columns=", ".join(f"s.{name}" for name in _COLUMNS),
        lists=lists,
        where=f"WHERE t.address = {literal(table)}" if table else "",
    )
    found: dict[str, list[Row]] = {}
    for row in _read(engine, sql):
        found.setdefault(row.address, []).append(row)
    return tuple(_history(name, rows) for name, rows in found.items())


def _history(table: str, rows: Sequence[Row]) -> History:
    arrays = {
        row.state: {name: np.array(getattr(row, name).split(","), dtype=np.int64) for name in _COLUMNS} for row in rows
    }
    numbers = np.unique(np.concatenate([one["day"] for one in arrays.values()]))

    def spread(name: str, *places: Stage) -> Any:
        whole = np.zeros(len(numbers))
        for place in places or STAGES:
            one = arrays.get(STAGES.index(place))
            if one is not None:
                whole[np.searchsorted(numbers, one["day"])] += one[name]
        return whole

    server = (Stage.ATTACHED, Stage.ARCHIVED)

    def total(place: Stage) -> Any:
        return spread("heap", place) + spread("index_bytes", place) + spread("toast", place)

    return History(
        table=table,
        days=numbers.astype("datetime64[D]"),
        attached=total(Stage.ATTACHED),
        archived=total(Stage.ARCHIVED),
        freed=total(Stage.DROPPED),
        cold=spread("cold"),
        heap=spread("heap", *server),
        index=spread("index_bytes", *server),
        toast=spread("toast", *server),
        rows=spread("live"),
        dead=spread("dead", *server),
        partitions=spread("partitions", *server),
        generated_until=rows[0].generated_until,
    )


_HOLDINGS = """
SELECT t.address, p.name, p.bounds, s.state, s.heap, s.index_bytes, s.toast, s.cold, s.live, s.dead, s.exact
FROM partition_desk.sampled_partition p JOIN partition_desk.sampled_table t ON t.id = p.table_id {where}
CROSS JOIN LATERAL (
    SELECT * FROM partition_desk.size_sample s WHERE s.partition_id = p.id AND s.day <= {day}
    ORDER BY s.day DESC LIMIT 1) s
ORDER BY t.address, p.bounds, p.name
"""


def read_holdings(engine: Engine, *, on: date, table: str | None = None, zone: str = "UTC") -> tuple[Holding, ...]:
    """Every partition as the samples had it on a day, dropped ones as well; of all tables, or of one by its address."""
    where = f"AND t.address = {literal(table)}" if table else ""
    rows = _read(engine, _HOLDINGS.format(day=literal(on.isoformat()), where=where))
    return tuple(_holding(row, zone) for row in rows)


@lru_cache(maxsize=4096)
def parsed_bounds(bounds: str | None) -> Bounds | None:
    """The bounds of a text as it is kept; None where there are none, or none that are a range."""
    try:
        return Bounds.parse(bounds) if bounds else None
    except ValueError:
        return None  # LIST or HASH, or a key of another type


def _holding(row: Row, zone: str) -> Holding:
    size = Size(row.heap, row.index_bytes, row.toast, row.exact)
    return holding(
        row.address, row.name, STAGES[row.state], row.bounds, size,
        zone=zone, rows=row.live, dead_rows=row.dead, cold=row.cold,
    )  # fmt: skip


def holding(
    table: str,
    name: str,
    stage: Stage,
    bounds: str | None,
    size: Size | None,
    *,
    zone: str,
    rows: int | None,
    dead_rows: int | None,
    cold: int | None = None,
) -> Holding:
    """A partition with the days that PostgreSQL's text of its bounds tells."""
    known = parsed_bounds(bounds)
    return Holding(
        table=table,
        name=name,
        stage=stage,
        lower=_day(known.lower, zone) if known else None,
        upper=_day(known.upper, zone) if known else None,
        size=size,
        rows=rows,
        dead_rows=dead_rows,
        cold=cold,
    )


def _day(end: End | None, zone: str) -> date | None:
    if isinstance(end, datetime) and end.tzinfo:
        try:
            return end.astimezone(ZoneInfo(zone)).date()
        except OverflowError:
            return None  # a day that Python's calendar lacks
    return None if end is None else day_of(end)


_MOVES = """
SELECT s.day, t.address, p.name, s.moved_from, s.state, s.heap + s.index_bytes + s.toast AS bytes
FROM partition_desk.size_sample s JOIN partition_desk.sampled_partition p ON p.id = s.partition_id
JOIN partition_desk.sampled_table t ON t.id = p.table_id
WHERE s.moved_from IS NOT NULL ORDER BY s.day, t.address, p.name
"""


def read_moves(engine: Engine) -> tuple[Move, ...]:
    """Every partition that was seen to be archived, dropped or brought back, on the day that first showed it."""
    return tuple(
        Move(row.day, row.address, row.name, STAGES[row.moved_from], STAGES[row.state], row.bytes)
        for row in _read(engine, _MOVES)
    )


_PARTITION = """
SELECT s.day, s.heap + s.index_bytes + s.toast AS bytes, s.state
FROM partition_desk.size_sample s JOIN partition_desk.sampled_partition p ON p.id = s.partition_id
JOIN partition_desk.sampled_table t ON t.id = p.table_id
WHERE t.address = {table} AND p.name = {name} ORDER BY s.day
"""


def read_partition(engine: Engine, table: str, name: str) -> tuple[tuple[date, Stage, int], ...]:
    """(day, place, bytes) of each change of one partition, oldest first."""
    rows = _read(engine, _PARTITION.format(table=literal(table), name=literal(name)))
    return tuple((row.day, STAGES[row.state], row.bytes) for row in rows)


_STATISTICS = """
SELECT tablename AS name, null_frac, most_common_vals::text::text[] AS common, most_common_freqs::float8[] AS shares,
    histogram_bounds::text::text[] AS bounds
FROM pg_catalog.pg_stats WHERE schemaname = {schema} AND attname = {column} AND tablename = ANY ({names})
"""


def read_key_statistics(
    engine: Engine, *, schema: str, names: Iterable[str], column: str, zone: str = "UTC"
) -> dict[str, KeyStatistics]:
    """What the last analyze found of a date column in each of the named tables of a schema, by name.

    Those that were never analyzed, or that the role may not read, are left out. Reads no row and takes no lock on them.
    """
    wanted = list(names)
    if not wanted:
        return {}
    sql = _STATISTICS.format(schema=literal(schema), column=literal(column), names=_texts(wanted) + "::name[]")
    with session(engine) as connection:
        try:
            rows = connection.exec_driver_sql(sql).all()
        except DBAPIError as error:
            raise translate(error) from error
    return {row.name: _statistics(row, zone) for row in rows}


def _statistics(row: Row, zone: str) -> KeyStatistics:
    common = tuple(
        (day, share)
        for text, share in zip(row.common or (), row.shares or (), strict=True)
        if (day := _date(text, zone)) is not None
    )
    bounds = tuple(sorted(day for text in row.bounds or () if (day := _date(text, zone)) is not None))
    return KeyStatistics(common, bounds, row.null_frac)


def _date(text: str, zone: str) -> date | None:
    """The day of a date or timestamp as PostgreSQL prints it; None for one that Python's calendar lacks."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(ZoneInfo(zone)).date() if moment.tzinfo else moment.date()


# --- forgetting -----------------------------------------------------------------------------------------------------


def prune(engine: Engine, *, today: date, keep_days: int | None = None, weekly_after_days: int | None = None) -> int:
    """Forgets samples: those over `keep_days` old, and all but the last of a week over `weekly_after_days` old.

    How many rows went. What a partition was at the oldest kept day stays known, and so does every move from one place
    to another unless it is too old. Raises ValueError for fewer than a day, NotAllowed.
    """
    if any(days is not None and days < 1 for days in (keep_days, weekly_after_days)):
        raise ValueError("at least a day is kept")
    with session(engine) as connection:
        try:
            if not _exists(connection):
                return 0
            statements = [
                *(_forget(today - timedelta(days=keep_days)) if keep_days else ()),
                *(_thin(today - timedelta(days=weekly_after_days)) if weekly_after_days else ()),
            ]
            connection.exec_driver_sql("BEGIN")
            try:
                connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock({SAMPLE_LOCKS}, 1)")
                gone = sum(connection.exec_driver_sql(sql).rowcount for sql in statements)
                connection.exec_driver_sql("COMMIT")
            except DBAPIError:
                rollback(connection)
                raise
            return gone
        except DBAPIError as error:
            raise translate(error) from error


def _forget(before: date) -> tuple[str, ...]:
    day = literal(before.isoformat())
    return (
        f"DELETE FROM partition_desk.size_sample s WHERE s.day < {day} AND EXISTS (SELECT 1"
        " FROM partition_desk.size_sample n"
        f" WHERE n.partition_id = s.partition_id AND n.day > s.day AND n.day <= {day})",
        f"UPDATE partition_desk.size_sample SET moved_from = NULL WHERE day < {day} AND moved_from IS NOT NULL",
        f"DELETE FROM partition_desk.size_total WHERE day < {day}",
        f"DELETE FROM partition_desk.sample_run WHERE day < {day}",
    )


def _thin(before: date) -> tuple[str, ...]:
    """Whole weeks only, from Monday to Sunday."""
    monday = literal((before - timedelta(days=before.weekday())).isoformat())
    later = (
        "DELETE FROM partition_desk.{table} s WHERE s.day < {monday} AND EXISTS (SELECT 1 FROM partition_desk.{other} n"
        " WHERE {same} n.day > s.day AND n.day < {monday}"
        " AND n.day < pg_catalog.date_trunc('week', s.day)::date + 7){kept}"
    )
    return (
        later.format(table="size_sample", other="size_sample", same="n.partition_id = s.partition_id AND",
                     monday=monday, kept=" AND s.moved_from IS NULL"),
        later.format(table="size_total", other="sample_run", same="", monday=monday, kept=""),
        later.format(table="sample_run", other="sample_run", same="", monday=monday, kept=""),
    )  # fmt: skip


# --- what never was measured, but is known --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Past:
    """A partition with a history that is invented: the demo's."""

    table: str
    name: str
    relation: int | None
    bounds: str | None
    changes: tuple[tuple[date, Stage, Size, int], ...]
    """(day, place, size, rows) from each day on, oldest first, days rising."""


def write_generated(connection: Connection, pasts: Sequence[Past], days: Sequence[date]) -> None:
    """Writes an invented history with a sample on each of `days`, marked as generated, unless there are samples.

    In one transaction of its own; the connection is in AUTOCOMMIT. Raises DBAPIError.
    """
    make(connection)
    connection.exec_driver_sql("BEGIN")
    try:
        connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock({SAMPLE_LOCKS}, 1)")
        if not connection.exec_driver_sql("SELECT count(*) FROM partition_desk.sample_run").scalar_one():
            _write_pasts(connection, pasts, days)
        connection.exec_driver_sql("COMMIT")
    except DBAPIError:
        rollback(connection)
        raise


def _write_pasts(connection: Connection, pasts: Sequence[Past], days: Sequence[date]) -> None:
    nothing = Figures(0, None, 0, 0, 0, 0, None, None, exact=True)
    firsts = [Entry(None, past.table, past.relation, past.name, past.bounds, nothing) for past in pasts]
    tables = _table_ids(connection, {past.table for past in pasts})
    ids = _partition_ids(connection, firsts, tables)
    rows: list[tuple[int, date, Figures]] = []
    totals: list[_Total] = []
    current: dict[int, Entry] = {}
    waiting = {number: list(past.changes) for number, past in zip(ids, pasts, strict=True)}
    ever: set[tuple[int, int]] = set()
    for day in days:
        for number, first in zip(ids, firsts, strict=True):
            while waiting[number] and waiting[number][0][0] <= day:
                _, place, size, live = waiting[number].pop(0)
                last = current[number].figures.state if number in current else None
                state = STAGES.index(place)
                figures = Figures(
                    state, last if last not in (None, state) else None, size.heap, size.index, size.toast, 0, live, 0,
                    size.exact,
                )  # fmt: skip
                current[number] = replace(first, figures=figures)
                rows.append((number, day, figures))
        found = _totals(current.values(), tables, day, ever)
        ever |= {(total.table, total.state) for total in found}
        totals += found
    _write_rows(connection, rows)
    _write_totals(connection, totals)
    at = time_of_day(4, 0, tzinfo=UTC)
    changed = [sum(1 for _, when, _ in rows if when == day) for day in days]
    _write_runs(
        connection,
        [
            SampleRun(day, datetime.combine(day, at), 0.0, len(pasts), count, (), exact=True, generated=True)
            for day, count in zip(days, changed, strict=True)
        ],
    )
