"""Writes down a day's sizes of every partition where they changed, with the sums of each table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from types import MappingProxyType

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.growth.samples.tables import (
    KEYS,
    TIMEOUT_MS,
    bool_array,
    date_array,
    exists,
    int_array,
    make,
    text_array,
)
from core.growth.samples.values import STAGES, Figures, Known, Past, SampleEntry, SampleRun
from core.names import literal
from core.postgres.advisory import LockKey, held
from core.postgres.own_tables import rollback
from core.postgres.session import set_local
from core.tables.ends import Value
from core.tables.pace import LOOKED_AT

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


def write_day(
    connection: Connection,
    entries: Sequence[SampleEntry],
    run: SampleRun,
    highest: Mapping[str, Value] = MappingProxyType({}),
) -> None:
    """Writes down one day's sample, or writes it anew, in one transaction; the connection is in AUTOCOMMIT.

    `entries` is everything, changed or not; `highest` the highest id of each table that has one, by its address. Raises
    DBAPIError.
    """
    connection.exec_driver_sql("BEGIN")
    try:
        set_local(connection, {"statement_timeout": str(TIMEOUT_MS)})
        connection.exec_driver_sql(_FREEZE.format(day=literal(run.day.isoformat())))
        entries = _follow_renames(connection, entries)
        tables = _table_ids(connection, {entry.table for entry in entries})
        ids = _partition_ids(connection, entries, tables)
        _divide(connection, _divided(entries), run.day)
        rows = [(number, run.day, entry.figures) for number, entry in zip(ids, entries, strict=True) if entry.changed]
        _write_rows(connection, rows)
        _write_totals(connection, _totals(entries, tables, run.day, _before(connection, run.day)))
        _write_runs(connection, [run])
        _write_highest(connection, {tables[name]: one for name, one in highest.items() if name in tables}, run.taken_at)
        connection.exec_driver_sql("COMMIT")
    except DBAPIError:
        rollback(connection)
        raise


def _write_highest(connection: Connection, found: Mapping[int, Value], at: datetime) -> None:
    """One row a table and moment, since the pace of ids shows in hours, too; what is long past tells nothing of it."""
    whole = {number: one.text for number, one in found.items() if Decimal(one.text).is_finite()}
    if whole and exists(connection, KEYS):
        rows = ", ".join(f"({number}, '{at.isoformat()}', {literal(text)})" for number, text in whole.items())
        connection.exec_driver_sql(f"INSERT INTO partition_desk.key_sample VALUES {rows} ON CONFLICT DO NOTHING")
        before = (at - 3 * LOOKED_AT).isoformat()
        connection.exec_driver_sql(f"DELETE FROM partition_desk.key_sample WHERE taken_at < '{before}'")


def _follow_renames(connection: Connection, entries: Sequence[SampleEntry]) -> list[SampleEntry]:
    """A table that was renamed keeps its history, and what was archived from it before."""
    known = {entry.known.table for entry in entries if entry.known}
    there = {entry.table for entry in entries if entry.figures.state == 0}
    heirs: dict[str, set[str]] = {}
    for entry in entries:
        if entry.figures.state == 0:
            heirs.setdefault(entry.known.table if entry.known else entry.table, set()).add(entry.table)
    renamed: dict[str, str] = {}
    for entry in entries:
        old = entry.known.table if entry.known else entry.table
        alone = len(heirs.get(old, ())) == 1
        if alone and old not in there and old not in renamed and entry.table not in known | set(renamed.values()):
            renamed[old] = entry.table
            connection.exec_driver_sql(
                f"UPDATE partition_desk.sampled_table SET address = {literal(entry.table)}"
                f" WHERE address = {literal(old)}"
            )
    return [replace(entry, table=renamed.get(entry.table, entry.table)) for entry in entries]


def _divided(entries: Sequence[SampleEntry]) -> set[str]:
    """The tables that are new and take over some partitions of another, and that other: its branches count now."""
    heirs: dict[str, set[str]] = {}
    for entry in entries:
        if entry.known:
            heirs.setdefault(entry.known.table, set()).add(entry.table)
    return {
        one for old, tables in heirs.items() if len(tables) > 1 for new in tables - heirs.keys() for one in (old, new)
    }


# Of the samples of their partitions, which they took with them; what was thinned out keeps the figure before.
_DIVIDE = """
DELETE FROM partition_desk.size_total z USING partition_desk.sampled_table t
WHERE t.id = z.table_id AND t.address = ANY ({tables}) AND z.day < {day};
INSERT INTO partition_desk.size_total
SELECT p.table_id, r.day, s.state, count(*), sum(s.heap), sum(s.index_bytes), sum(s.toast), sum(s.cold),
    sum(coalesce(s.live, 0)), sum(coalesce(s.dead, 0))
FROM partition_desk.sampled_partition p
JOIN partition_desk.sampled_table t ON t.id = p.table_id AND t.address = ANY ({tables})
CROSS JOIN (SELECT day FROM partition_desk.sample_run WHERE day < {day}) r
CROSS JOIN LATERAL (
    SELECT * FROM partition_desk.size_sample s WHERE s.partition_id = p.id AND s.day <= r.day
    ORDER BY s.day DESC LIMIT 1) s
GROUP BY p.table_id, r.day, s.state
"""


def _divide(connection: Connection, tables: Iterable[str], day: date) -> None:
    """Gives the past of tables anew to those that their partitions belong to now."""
    addresses = sorted(tables)
    if addresses:
        connection.exec_driver_sql(
            _DIVIDE.format(tables=text_array(addresses), day=f"{literal(day.isoformat())}::date")
        )


def _table_ids(connection: Connection, addresses: Iterable[str]) -> dict[str, int]:
    found = {
        row.address: row.id
        for row in connection.exec_driver_sql("SELECT id, address FROM partition_desk.sampled_table")
    }
    new = sorted(set(addresses) - set(found))
    if new:
        rows = connection.exec_driver_sql(
            f"INSERT INTO partition_desk.sampled_table (address) SELECT unnest({text_array(new)}) RETURNING id, address"
        )
        found |= {row.address: row.id for row in rows}
    return found


def _partition_ids(connection: Connection, entries: Sequence[SampleEntry], tables: Mapping[str, int]) -> list[int]:
    """The number of each entry's partition; new ones are written down, and what is known of others is set right."""
    moved = [entry for entry in entries if entry.renamed]
    if moved:
        connection.exec_driver_sql(
            "UPDATE partition_desk.sampled_partition p"
            " SET table_id = n.table_id, relation = n.relation, name = n.name, bounds = n.bounds FROM unnest("
            f"{int_array(entry.known.id for entry in moved if entry.known)}::int[],"
            f" {int_array(tables[entry.table] for entry in moved)}::int[],"
            f" {int_array(entry.relation for entry in moved)}::oid[],"
            f" {text_array(entry.name for entry in moved)}, {text_array(entry.bounds for entry in moved)})"
            " n (id, table_id, relation, name, bounds) WHERE p.id = n.id"
        )
    new = [entry for entry in entries if entry.known is None]
    numbers: dict[tuple[int, int | None, str, str | None], int] = {}
    if new:
        rows = connection.exec_driver_sql(
            "INSERT INTO partition_desk.sampled_partition (table_id, relation, name, bounds) SELECT * FROM unnest("
            f"{int_array(tables[entry.table] for entry in new)}::int[],"
            f" {int_array(entry.relation for entry in new)}::oid[],"
            f" {text_array(entry.name for entry in new)}, {text_array(entry.bounds for entry in new)})"
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
        f"{int_array(number for number, _, _ in rows)}::int[], {date_array(day for _, day, _ in rows)},"
        f" {int_array(one.state for one in figures)}::smallint[],"
        f" {int_array(one.moved_from for one in figures)}::smallint[],"
        f" {int_array(one.heap for one in figures)}::bigint[], {int_array(one.index for one in figures)}::bigint[],"
        f" {int_array(one.toast for one in figures)}::bigint[], {int_array(one.cold for one in figures)}::bigint[],"
        f" {int_array(one.live for one in figures)}::bigint[], {int_array(one.dead for one in figures)}::bigint[],"
        f" {bool_array(one.exact for one in figures)})"
        " ON CONFLICT (partition_id, day) DO UPDATE SET state = excluded.state, moved_from = excluded.moved_from,"
        " heap = excluded.heap, index_bytes = excluded.index_bytes, toast = excluded.toast, cold = excluded.cold,"
        " live = excluded.live, dead = excluded.dead, exact = excluded.exact"
    )


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
    entries: Iterable[SampleEntry], tables: Mapping[str, int], day: date, before: Iterable[tuple[int, int]]
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
    sums = ", ".join(f"{int_array(total.sums[place] for total in totals)}::bigint[]" for place in range(7))
    connection.exec_driver_sql(
        "INSERT INTO partition_desk.size_total SELECT * FROM unnest("
        f"{int_array(total.table for total in totals)}::int[], {date_array(total.day for total in totals)},"
        f" {int_array(total.state for total in totals)}::smallint[], {sums})"
        " ON CONFLICT (table_id, day, state) DO UPDATE SET partitions = excluded.partitions, heap = excluded.heap,"
        " index_bytes = excluded.index_bytes, toast = excluded.toast, cold = excluded.cold, live = excluded.live,"
        " dead = excluded.dead"
    )


def _write_runs(connection: Connection, runs: Iterable[SampleRun]) -> None:
    values = ", ".join(
        f"('{run.day}', '{run.taken_at.isoformat()}', {run.seconds}, {run.partitions}, {run.changed},"
        f" {text_array(run.skipped)}, {run.exact}, {run.generated})"
        for run in runs
    )
    connection.exec_driver_sql(
        f"INSERT INTO partition_desk.sample_run VALUES {values} ON CONFLICT (day) DO UPDATE SET"
        " taken_at = excluded.taken_at, seconds = excluded.seconds, partitions = excluded.partitions,"
        " changed = excluded.changed, skipped = excluded.skipped, exact = excluded.exact,"
        " generated = excluded.generated"
    )


def write_generated(connection: Connection, pasts: Sequence[Past], days: Sequence[date]) -> None:
    """Writes an invented history with a sample on each of `days`, marked as generated, unless there are samples.

    In one transaction of its own; the connection is in AUTOCOMMIT. Raises DBAPIError.
    """
    make(connection)
    with held(connection, LockKey.SAMPLE, 1, "sampling"):
        _write_generated(connection, pasts, days)


def _write_generated(connection: Connection, pasts: Sequence[Past], days: Sequence[date]) -> None:
    connection.exec_driver_sql("BEGIN")
    try:
        if not connection.exec_driver_sql("SELECT count(*) FROM partition_desk.sample_run").scalar_one():
            _write_pasts(connection, pasts, days)
        connection.exec_driver_sql("COMMIT")
    except DBAPIError:
        rollback(connection)
        raise


def _write_pasts(connection: Connection, pasts: Sequence[Past], days: Sequence[date]) -> None:
    nothing = Figures(0, None, 0, 0, 0, 0, None, None, exact=True)
    firsts = [SampleEntry(None, past.table, past.relation, past.name, past.bounds, nothing) for past in pasts]
    tables = _table_ids(connection, {past.table for past in pasts})
    ids = _partition_ids(connection, firsts, tables)
    rows: list[tuple[int, date, Figures]] = []
    totals: list[_Total] = []
    current: dict[int, SampleEntry] = {}
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
