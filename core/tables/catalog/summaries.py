"""Reads every partitioned table or every partition of a database at once, with sizes."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.postgres.connection import session, translate
from core.postgres.session import rows_of
from core.tables.catalog.relation import BUSY, size_columns
from core.tables.key import unserved
from core.tables.size import Size
from core.tables.summaries import PartitionSummary, TableSummary

# pg_class is read once, and indexes are summed once: asked for each of 10,000 partitions it takes twice as long.
_TABLES = """
WITH RECURSIVE tree(root, oid, level) AS (
    SELECT i.inhparent, i.inhrelid, 1 FROM pg_catalog.pg_partitioned_table p
    JOIN pg_catalog.pg_class c ON c.oid = p.partrelid AND NOT c.relispartition
    JOIN pg_catalog.pg_inherits i ON i.inhparent = p.partrelid
    UNION ALL SELECT tree.root, i.inhrelid, tree.level + 1 FROM tree
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = tree.oid
    JOIN pg_catalog.pg_inherits i ON i.inhparent = p.partrelid),
class AS MATERIALIZED (
    SELECT oid, relkind, relpages, reltoastrelid FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'f', 't', 'i')),
heaps AS MATERIALIZED (
    SELECT tree.root, tree.level, r.oid, r.reltoastrelid, r.relpages FROM tree
    JOIN class r ON r.oid = tree.oid AND r.relkind IN ('r', 'p', 'f')),
relations AS MATERIALIZED (
    SELECT root, level, oid, relpages FROM heaps
    UNION ALL SELECT heaps.root, 0, r.oid, r.relpages FROM heaps
    JOIN class r ON r.oid = heaps.reltoastrelid AND r.relkind = 't'),
pages AS (
    SELECT root, level, relpages FROM relations
    UNION ALL SELECT r.root, 0, ic.relpages FROM relations r
    JOIN pg_catalog.pg_index x ON x.indrelid = r.oid JOIN class ic ON ic.oid = x.indexrelid AND ic.relkind = 'i'),
sums AS (
    SELECT root, count(*) FILTER (WHERE level = 1) AS partitions, max(level) > 1 AS sub, sum(relpages) AS pages
    FROM pages GROUP BY root)
SELECT n.nspname, c.relname, p.partstrat, p.partnatts, pg_catalog.format_type(ka.atttypid, ka.atttypmod) AS key_type,
    coalesce(s.partitions, 0) AS partitions, coalesce(s.sub, false) AS sub,
    coalesce(s.pages, 0)::bigint * pg_catalog.current_setting('block_size')::bigint AS bytes
FROM pg_catalog.pg_partitioned_table p
JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute ka ON ka.attrelid = c.oid AND ka.attnum = p.partattrs[0] AND p.partnatts = 1
LEFT JOIN sums s ON s.root = c.oid
WHERE NOT c.relispartition
ORDER BY n.nspname, c.relname
"""


def read_tables(engine: Engine) -> tuple[TableSummary, ...]:
    """Every partitioned table of the database, served or only shown, with estimated sizes."""
    with session(engine) as connection:
        try:
            rows = rows_of(connection, _TABLES)
        except DBAPIError as error:
            raise translate(error) from error
    return tuple(
        TableSummary(
            schema=row.nspname,
            name=row.relname,
            strategy={"r": "range", "l": "list", "h": "hash"}[row.partstrat],
            not_served=unserved(row.partstrat, row.partnatts, row.key_type)
            or ("some of its partitions are partitioned again" if row.sub else None),
            partitions=row.partitions,
            bytes=row.bytes,
        )
        for row in rows
    )


# Joined by hashes of the whole catalog: the planner expects few partitions where `parent` is not set apart.
_ALL_PARTITIONS = """
WITH parent AS MATERIALIZED (
    SELECT t.partrelid AS oid, n.nspname, p.relname FROM pg_catalog.pg_partitioned_table t
    JOIN pg_catalog.pg_class p ON p.oid = t.partrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace)
    {estimate}
SELECT p.nspname AS parent_schema, p.relname AS parent, n.nspname, c.relname,
    nullif(c.reltuples, -1)::bigint AS rows, {size}
FROM parent p
JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'f')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
{sources}
"""

_EXACT_SOURCES = f"LEFT JOIN ({BUSY}) b ON b.oid = c.oid"

_ESTIMATE = """,
class AS MATERIALIZED (SELECT oid, relkind, relpages FROM pg_catalog.pg_class WHERE relkind IN ('t', 'i')),
indexed AS MATERIALIZED (
    SELECT x.indrelid AS oid, sum(r.relpages)::bigint AS pages
    FROM pg_catalog.pg_index x JOIN class r ON r.oid = x.indexrelid GROUP BY x.indrelid),
toast AS MATERIALIZED (
    SELECT r.oid, r.relpages + coalesce(x.pages, 0) AS pages
    FROM class r LEFT JOIN indexed x ON x.oid = r.oid WHERE r.relkind = 't')
"""

_ESTIMATED = """
    c.relpages::bigint * pg_catalog.current_setting('block_size')::int AS heap,
    coalesce(x.pages, 0) * pg_catalog.current_setting('block_size')::int AS index_bytes,
    coalesce(t.pages, 0) * pg_catalog.current_setting('block_size')::int AS toast
"""

_ESTIMATE_SOURCES = "LEFT JOIN indexed x ON x.oid = c.oid LEFT JOIN toast t ON t.oid = c.reltoastrelid"


def read_all_partitions(engine: Engine, *, exact: bool) -> tuple[PartitionSummary, ...]:
    """Every leaf partition of every table of the database with its size, in one set-based query, in no order.

    Exact sizes cost a look at each file; a partition that somebody holds exclusively has none then. Raises CatalogBusy
    where one was locked between the look at the locks and the look at its files.
    """
    sql = _ALL_PARTITIONS.format(
        estimate="" if exact else _ESTIMATE,
        size=size_columns(exact=True) if exact else _ESTIMATED,
        sources=_EXACT_SOURCES if exact else _ESTIMATE_SOURCES,
    )
    with session(engine) as connection:
        try:
            rows = rows_of(connection, sql)
        except DBAPIError as error:
            raise translate(error) from error
    return tuple(
        PartitionSummary(
            parent_schema, parent, schema, name, estimate, None if heap is None else Size(heap, index, toast, exact)
        )
        for parent_schema, parent, schema, name, estimate, heap, index, toast in rows
    )
