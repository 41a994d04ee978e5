"""Reads every partitioned table of a database at once, with sizes."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.names import address
from core.postgres.connection import session, translate
from core.postgres.session import rows_of
from core.tables.catalog.ownership import oid_array, read_archived_branches
from core.tables.catalog.relation import KEY, unserved
from core.tables.catalog.tree import OWN_TABLES
from core.tables.summaries import TableSummary

# pg_class is read once, and indexes are summed once: asked for each of 10,000 partitions it takes twice as long.
_TABLES = """
WITH RECURSIVE {own_tables},
tables AS (SELECT oid, root FROM own WHERE oid = root OR ranged),
tree(root, oid, level) AS (
    SELECT i.inhparent, i.inhrelid, 1 FROM tables
    JOIN pg_catalog.pg_inherits i ON i.inhparent = tables.oid
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
    SELECT root, count(*) FILTER (WHERE level = 1) AS partitions, sum(relpages) AS pages
    FROM pages GROUP BY root)
SELECT c.oid, n.nspname, c.relname, p.partstrat, p.partnatts, {key},
    coalesce(s.partitions, 0) AS partitions,
    coalesce(s.pages, 0)::bigint * pg_catalog.current_setting('block_size')::bigint AS bytes,
    t.root <> t.oid AS is_branch, rn.nspname AS root_schema, r.relname AS root_name
FROM tables t
JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.oid
JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
JOIN pg_catalog.pg_class r ON r.oid = t.root
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN sums s ON s.root = c.oid
ORDER BY rn.nspname, r.relname, is_branch, n.nspname, c.relname
"""


def read_tables(engine: Engine, archive_schema: str = "archive") -> tuple[TableSummary, ...]:
    """Every partitioned table of the database, served or only shown, with estimated sizes.

    Branches by RANGE below a table by LIST or HASH are tables of their own, after it.
    """
    with session(engine) as connection:
        try:
            archived = oid_array(read_archived_branches(connection, archive_schema))
            rows = rows_of(connection, _TABLES.format(own_tables=OWN_TABLES.format(archived=archived), key=KEY))
        except DBAPIError as error:
            raise translate(error) from error
    return tuple(
        TableSummary(
            schema=row.nspname,
            name=row.relname,
            strategy={"r": "range", "l": "list", "h": "hash"}[row.partstrat],
            not_served=unserved(row),
            partitions=row.partitions,
            bytes=row.bytes,
            oid=row.oid,
            under=address(row.root_schema, row.root_name) if row.is_branch else "",
        )
        for row in rows
    )
