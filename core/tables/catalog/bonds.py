"""Reads which tables are bound to each other by foreign keys on the same period."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.names import address, qualified
from core.postgres.connection import session
from core.postgres.session import reading, rows_of
from core.tables.bonds import Bond, OwnKey
from core.tables.catalog.ownership import oid_array

_BONDS = """
WITH RECURSIVE edge AS (
    SELECT k.conname, k.conrelid, k.confrelid FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = k.conrelid AND p.partstrat = 'r'
    JOIN pg_catalog.pg_partitioned_table q ON q.partrelid = k.confrelid AND q.partstrat = 'r'
    JOIN pg_catalog.pg_class a ON a.oid = k.conrelid AND NOT a.relispartition
    JOIN pg_catalog.pg_class b ON b.oid = k.confrelid AND NOT b.relispartition
    WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid <> k.confrelid
        AND EXISTS (SELECT FROM unnest(k.conkey, k.confkey) AS pair(ours, theirs)
            WHERE pair.ours = p.partattrs[0] AND pair.theirs = q.partattrs[0])
), bound(oid) AS (
    SELECT {oid}::oid UNION
    SELECT CASE WHEN edge.conrelid = bound.oid THEN edge.confrelid ELSE edge.conrelid END
    FROM bound JOIN edge ON bound.oid IN (edge.conrelid, edge.confrelid)
)
SELECT edge.conname, an.nspname AS schema, a.relname AS name, bn.nspname AS other_schema, b.relname AS other
FROM edge JOIN bound ON bound.oid = edge.conrelid
JOIN pg_catalog.pg_class a ON a.oid = edge.conrelid JOIN pg_catalog.pg_namespace an ON an.oid = a.relnamespace
JOIN pg_catalog.pg_class b ON b.oid = edge.confrelid JOIN pg_catalog.pg_namespace bn ON bn.oid = b.relnamespace
ORDER BY 2, 3, 4, 5, 1
"""

# The rows for each partition of the table that is referred to have that partition as confrelid.
_KEYS = """
SELECT k.conrelid, k.conname FROM pg_catalog.pg_constraint k
WHERE k.contype = 'f' AND k.conrelid = ANY ({oids}) AND k.confrelid = ANY ({tables}) AND k.conrelid <> k.confrelid
ORDER BY 1, 2
"""


def read_bonds(engine: Engine, oid: int) -> tuple[Bond, ...]:
    """The foreign keys that bind a table to others, and those to others yet; none where it is bound to none."""
    with session(engine) as connection, reading(connection, timeout_ms=None):
        return tuple(
            Bond(row.conname, address(row.schema, row.name), address(row.other_schema, row.other))
            for row in rows_of(connection, _BONDS.format(oid=oid))
        )


def read_own_keys(engine: Engine, oids: Iterable[int], tables: Iterable[int]) -> tuple[OwnKey, ...]:
    """The foreign keys of these partitions, and of those that were, to these tables."""
    sql = _KEYS.format(oids=oid_array(oids), tables=oid_array(tables))
    with session(engine) as connection, reading(connection, timeout_ms=None):
        return tuple(OwnKey(row.conrelid, row.conname) for row in rows_of(connection, sql))


def read_holds_rows(engine: Engine, schema: str, name: str) -> bool:
    """Whether a table holds a row; True, too, where that can't be read: nobody may say then that it is empty."""
    with session(engine) as connection, suppress(DBAPIError), reading(connection, timeout_ms=None):
        return bool(rows_of(connection, f"SELECT EXISTS (SELECT FROM {qualified(schema, name)}) AS any")[0].any)
    return True
