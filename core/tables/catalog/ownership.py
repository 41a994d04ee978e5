"""Reads what core.tables.ownership judges: the partitioned tables of a database, and what may have been a partition."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from core.names import literal
from core.postgres.server import server_of
from core.postgres.session import Row, rows_of
from core.tables.catalog.relation import (
    BUSY,
    CHECKS,
    COLUMN_NAMES,
    KEY,
    OWNERS,
    SPEAKS_FOR,
    checks_of,
    key_of,
    unserved,
)
from core.tables.marks import Marks
from core.tables.ownership import Detached, Ownership, Parent

_PARENTS = """
SELECT c.oid, n.nspname, c.relname, c.relowner, p.partstrat, p.partnatts, {key}, {columns} AS columns
FROM pg_catalog.pg_partitioned_table p
JOIN pg_catalog.pg_class c ON c.oid = p.partrelid AND (NOT c.relispartition OR p.partstrat = 'r')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
"""


def read_parents(connection: Connection) -> tuple[Parent, ...]:
    """Every partitioned table of the database that nothing is above, or that is by RANGE itself. Raises DBAPIError."""
    cluster = server_of(connection).cluster
    rows = rows_of(connection, _PARENTS.format(columns=COLUMN_NAMES, key=KEY))
    return tuple(_parent(row, cluster) for row in rows)


def _parent(row: Row, cluster: str) -> Parent:
    served = unserved(row) is None
    key = key_of(row) if served else None
    return Parent(row.oid, row.nspname, row.relname, row.relowner, key, frozenset(row.columns), cluster)


MAY_BE_DETACHED = """c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND n.nspname <> 'partition_desk'
    AND (n.nspname = {archive} OR c.oid = ANY ({also}) OR c.relpersistence <> 't'
        AND pg_catalog.strpos(pg_catalog.obj_description(c.oid, 'pg_class'), 'partition-desk: {{') > 0)"""
"""What is looked at of the relations `c` in the schemas `n`: in the archive schema, marked, or named by oid."""


def oid_array(oids: Iterable[int]) -> str:
    """A constant of these oids."""
    return literal("{" + ",".join(str(int(oid)) for oid in oids) + "}") + "::oid[]"


def name_array(names: Iterable[str]) -> str:
    """A constant of these names."""
    return f"ARRAY[{', '.join(literal(name) for name in names)}]::name[]"


# Without a parent nothing tells the columns of a busy one's CHECKs, so those are not printed.
_DETACHED = """
WITH busy AS ({busy}), {owners}
SELECT c.oid, n.nspname, c.relname, n.nspname = {archive} OR c.oid = ANY ({also}) AS ours,
    pg_catalog.obj_description(c.oid, 'pg_class') AS comment, {speaks_for} AS speaks_for,
    {columns} AS columns, {checks} AS checks
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN busy b ON b.oid = c.oid
WHERE {detached}{only}
"""


def read_detached(connection: Connection, archive_schema: str, *, also: Iterable[int] = ()) -> tuple[Detached, ...]:
    """What may have been a partition; the tables of the oids `also` wherever they stand. Raises DBAPIError.

    The session has to print ISO dates.
    """
    return _read_detached(connection, archive_schema, oid_array(also))


def read_archived_branches(connection: Connection, archive_schema: str) -> frozenset[int]:
    """The oids of the partitioned tables that are archived partitions of others. Raises DBAPIError."""
    found = _read_detached(connection, archive_schema, oid_array(()), only=" AND c.relkind = 'p'")
    ownership = Ownership(read_parents(connection)) if found else None
    return frozenset(one.oid for one in found if ownership is not None and ownership.origin(one) is not None)


def _read_detached(connection: Connection, archive_schema: str, known: str, *, only: str = "") -> tuple[Detached, ...]:
    archive = literal(archive_schema)
    sql = _DETACHED.format(
        busy=BUSY,
        owners=OWNERS,
        archive=archive,
        also=known,
        speaks_for=SPEAKS_FOR,
        columns=COLUMN_NAMES,
        checks=CHECKS.format(parent="NULL"),
        detached=MAY_BE_DETACHED.format(archive=archive, also=known),
        only=only,
    )
    return tuple(detached(row, row.columns) for row in rows_of(connection, sql))


def detached(row: Row, columns: Iterable[str]) -> Detached:
    """A row with the columns of the query above, its columns by name."""
    return Detached(
        oid=row.oid,
        schema=row.nspname,
        name=row.relname,
        ours=row.ours,
        columns=frozenset(columns),
        checks=checks_of(row.checks),
        tag=Marks.split(row.comment)[1].tag,
        speaks_for=frozenset(row.speaks_for),
    )
