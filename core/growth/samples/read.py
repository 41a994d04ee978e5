"""Reads the samples: histories, partitions as they were on a day, moves from one place to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.growth.history import History
from core.growth.holdings import Holding, Stage, holding
from core.growth.samples.tables import KEYS, SIZES, exists
from core.growth.samples.values import STAGES, SampleRun
from core.growth.savings import Move
from core.names import literal
from core.postgres.connection import session, sqlstate, translate
from core.postgres.session import Row, rows_of
from core.tables.pace import Sample
from core.tables.size import Size


def _read(engine: Engine, sql: str, name: str = SIZES) -> Sequence[Row]:
    """The rows; none where there are no samples yet, or where the role may not see them."""
    with session(engine) as connection:
        try:
            return rows_of(connection, sql) if exists(connection, name) else ()
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


@dataclass(frozen=True, slots=True)
class Sampled:
    """A partition that was sampled at some time."""

    oid: int
    name: str
    table: str
    """The address of the table that it was a partition of."""
    bounds: str | None


_SAMPLED = """
SELECT p.relation AS oid, p.name, t.address, p.bounds
FROM partition_desk.sampled_partition p JOIN partition_desk.sampled_table t ON t.id = p.table_id
WHERE p.relation IS NOT NULL {where}
"""


def read_sampled(engine: Engine, *, table: str | None = None) -> tuple[Sampled, ...]:
    """Every partition that was ever sampled, of all tables or of one by its address, whether it is there or not."""
    where = f"AND t.address = {literal(table)}" if table else ""
    rows = _read(engine, _SAMPLED.format(where=where))
    return tuple(Sampled(row.oid, row.name, row.address, row.bounds) for row in rows)


# One text of numbers a column: a row a day and place would take ten times as long to reach Python.
_HISTORIES = """
SELECT t.address, s.state, {columns},
    (SELECT max(day) FROM partition_desk.sample_run WHERE generated) AS generated_until
FROM (
    SELECT table_id, state, {lists} FROM partition_desk.size_total GROUP BY table_id, state) s
JOIN partition_desk.sampled_table t ON t.id = s.table_id {where}
ORDER BY t.address, s.state
"""

_COLUMNS = ("day", "partitions", "heap", "index_bytes", "toast", "cold", "live")


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
        partitions=spread("partitions", *server),
        generated_until=rows[0].generated_until,
    )


_HOLDINGS = """
SELECT t.address, p.name, p.relation, p.bounds, s.state, s.heap, s.index_bytes, s.toast, s.cold, s.live, s.dead, s.exact
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


def _holding(row: Row, zone: str) -> Holding:
    size = Size(row.heap, row.index_bytes, row.toast, row.exact)
    return holding(
        row.address, row.name, STAGES[row.state], row.bounds, size,
        zone=zone, rows=row.live, dead_rows=row.dead, cold=row.cold, oid=row.relation,
    )  # fmt: skip


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


_HIGHEST = """
SELECT t.address, k.taken_at, k.highest FROM partition_desk.key_sample k
JOIN partition_desk.sampled_table t ON t.id = k.table_id
WHERE k.taken_at >= '{since}' {where} ORDER BY k.taken_at
"""


def read_highest_ids(engine: Engine, *, since: datetime, table: str | None = None) -> dict[str, tuple[Sample, ...]]:
    """What the highest id was at each sample from then on, oldest first, by the address of the table."""
    where = f"AND t.address = {literal(table)}" if table else ""
    found: dict[str, list[Sample]] = {}
    for row in _read(engine, _HIGHEST.format(since=since.isoformat(), where=where), KEYS):
        found.setdefault(row.address, []).append((row.taken_at.astimezone(UTC), row.highest))
    return {address: tuple(samples) for address, samples in found.items()}
