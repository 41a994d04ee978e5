"""What the planner's statistics tell of the dates in a partition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.names import literal
from core.postgres.connection import session, translate
from core.postgres.session import Row, rows_of
from core.tables.catalog.ownership import oid_array
from core.tables.key import Key, local_moment


@dataclass(frozen=True, slots=True)
class KeyStatistics:
    """What the planner's statistics tell of the dates in one partition."""

    common: tuple[tuple[date, float], ...]
    """The most common dates, each with its share of the rows."""
    bounds: tuple[date, ...]
    """The bounds of a histogram of all other rows, each bucket holding as many."""
    null_share: float = 0.0

    def share_before(self, day: date) -> float | None:
        """The share of the rows whose date lies before `day`, 0 to 1; None where nothing is known."""
        if not self.common and len(self.bounds) < 2:
            return None
        commons = sum(share for _, share in self.common)
        rest = max(0.0, 1 - commons - self.null_share)
        before = sum(share for when, share in self.common if when < day)
        if len(self.bounds) >= 2:
            numbers = np.array([one.toordinal() for one in self.bounds], float)
            # A bound belongs to its bucket: with whole days, what lies before a day ends half a day earlier.
            before += rest * float(np.interp(day.toordinal() - 0.5, numbers, np.linspace(0, 1, len(numbers))))
        known = commons + (rest if len(self.bounds) >= 2 else 0.0)
        return min(1.0, before / known) if known else None


_STATISTICS = """
SELECT c.oid, null_frac, most_common_vals::text::text[] AS common, most_common_freqs::float8[] AS shares,
    histogram_bounds::text::text[] AS bounds
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
WHERE c.oid = ANY ({oids}) AND s.attname = {column}
"""


def read_key_statistics(
    engine: Engine, oids: Iterable[int], *, key: Key, zone: str = "UTC"
) -> dict[int, KeyStatistics]:
    """What the last analyze found of the key in each of these tables, by oid.

    Those that were never analyzed, or that the role may not read, are left out. Reads no row and takes no lock on them.
    """
    wanted = list(oids)
    if not wanted:
        return {}
    sql = _STATISTICS.format(column=literal(key.column), oids=oid_array(wanted))
    with session(engine) as connection:
        try:
            rows = rows_of(connection, sql)
        except DBAPIError as error:
            raise translate(error) from error
    return {row.oid: _statistics(row, key, zone) for row in rows}


def _statistics(row: Row, key: Key, zone: str) -> KeyStatistics:
    common = tuple(
        (day, share)
        for text, share in zip(row.common or (), row.shares or (), strict=True)
        if (day := _date(text, key, zone)) is not None
    )
    bounds = tuple(sorted(day for text in row.bounds or () if (day := _date(text, key, zone)) is not None))
    return KeyStatistics(common, bounds, row.null_frac)


def _date(text: str, key: Key, zone: str) -> date | None:
    """The day that a value of the key tells; None for one that Python's calendar lacks."""
    try:
        local = local_moment(key.end(text), zone)
    except ValueError:
        return None
    return None if local is None else local.date()
