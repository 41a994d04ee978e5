"""Reads the indexes of a whole tree."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.errors import CatalogBusy
from core.postgres.connection import session, translate
from core.postgres.session import Row, reading, rows_of
from core.tables.catalog.ownership import oid_array
from core.tables.catalog.relation import BUSY
from core.tables.catalog.tree import kind_of
from core.tables.indexes import Node, TreeIndex, TreeIndexes

_NODES = """
WITH RECURSIVE busy AS ({busy}), tree(oid, parent, level) AS (
    SELECT {table}::oid, NULL::oid, 0
    UNION ALL SELECT i.inhrelid, i.inhparent, tree.level + 1 FROM tree
    JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
SELECT t.oid, t.parent, n.nspname, c.relname, c.relkind, b.oid IS NOT NULL AS busy,
    EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index g WHERE g.relid = t.oid) AS building,
    (SELECT json_agg(coalesce(a.attname, '')) FROM unnest(p.partattrs) u(num)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.num AND u.num <> 0) AS key,
    (SELECT json_agg(json_build_array(x.indexrelid::bigint, xn.nspname, ic.relname,
            CASE WHEN b.oid IS NULL THEN pg_catalog.substr(pg_catalog.pg_get_indexdef(x.indexrelid),
                pg_catalog.length('CREATE ' || CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX '
                    || pg_catalog.quote_ident(ic.relname) || ' ON '
                    || CASE WHEN c.relkind = 'p' THEN 'ONLY ' ELSE '' END || pg_catalog.quote_ident(n.nspname) || '.'
                    || pg_catalog.quote_ident(c.relname) || ' ') + 1) ELSE '' END,
            x.indisunique, x.indisvalid, EXISTS (SELECT FROM pg_catalog.pg_constraint k
                WHERE k.conindid = x.indexrelid AND k.conrelid = x.indrelid AND k.contype IN ('p', 'u', 'x')),
            x.indisexclusion,
            (SELECT i.inhparent::bigint FROM pg_catalog.pg_inherits i WHERE i.inhrelid = x.indexrelid),
            CASE WHEN b.oid IS NULL THEN pg_catalog.pg_relation_size(x.indexrelid) ELSE 0 END) ORDER BY ic.relname)
        FROM pg_catalog.pg_index x
        JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
        JOIN pg_catalog.pg_namespace xn ON xn.oid = ic.relnamespace WHERE x.indrelid = c.oid) AS indexes
FROM tree t
JOIN pg_catalog.pg_class c ON c.oid = t.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
LEFT JOIN busy b ON b.oid = c.oid
ORDER BY t.level, n.nspname, c.relname
"""

_QUOTED = """
SELECT a.attname, pg_catalog.quote_ident(a.attname) AS quoted FROM pg_catalog.pg_attribute a
WHERE a.attrelid = {table} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

_TAKEN = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relnamespace IN (SELECT o.relnamespace FROM pg_catalog.pg_class o WHERE o.oid = ANY ({oids}))
"""


def read_tree_indexes(engine: Engine, table: int) -> TreeIndexes:
    """The indexes of the table of that oid and of all below it. Raises ConnectionFailed, CatalogBusy."""
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=None):
                rows = rows_of(connection, _NODES.format(busy=BUSY, table=table))
                quoted = rows_of(connection, _QUOTED.format(table=table))
                taken = rows_of(connection, _TAKEN.format(oids=oid_array(row.oid for row in rows)))
        except DBAPIError as error:
            raise translate(error) from error
    if not rows:
        raise CatalogBusy("The table is gone just now.", next="Ask again in a moment.")
    return TreeIndexes(
        tuple(_node(row) for row in rows),
        tuple((row.attname, row.quoted) for row in quoted),
        frozenset((row.nspname, row.relname) for row in taken),
    )


def _node(row: Row) -> Node:
    return Node(
        oid=row.oid,
        schema=row.nspname,
        name=row.relname,
        kind=kind_of(row.relkind),
        parent=row.parent,
        key=tuple(row.key or ()),
        busy=row.busy,
        building=row.building,
        indexes=tuple(TreeIndex(*one) for one in row.indexes or ()),
    )
