"""Asks Citus where its tables are, and every server that has a part of them for sizes and rows, once for all tables.

On the coordinator a distributed table is an empty shell, and `reltuples` is never known. What
`citus_total_relation_size` sums up for one table, shard by shard and server by server, is asked of each server in one
go here, so that a thousand partitions are asked for as often as three, and a shard that somebody holds is passed over.
"""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.names import literal
from core.postgres.capabilities import Capabilities
from core.postgres.session import rows_of
from core.tables.catalog.relation import BUSY, size_columns
from core.tables.distribution import Distribution, Shards, Spread
from core.tables.size import Size

ANSWER_MS = 3_000
"""How long the other servers have for their answer."""

_TABLES = """
SELECT p.logicalrelid::oid AS oid, p.colocationid AS place,
    CASE WHEN p.partkey IS NOT NULL THEN pg_catalog.column_to_column_name(p.logicalrelid, p.partkey) END AS name
FROM pg_catalog.pg_dist_partition p
"""

# Run on each server: the tables there that are named like a shard, and an empty one has no rows, analyzed or not.
_ON_EACH = """
SELECT coalesce(json_agg(json_build_array(x.shard, x.nspname, x.heap, x.index_bytes, x.toast, x.rows)), '[]')
FROM (
    SELECT substring(c.relname FROM '_([0-9]{{1,18}})$')::bigint AS shard, n.nspname, {size},
        CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint
            WHEN b.oid IS NULL AND pg_catalog.pg_relation_size(c.oid) = 0 THEN 0 END AS rows
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN ({busy}) b ON b.oid = c.oid
    WHERE c.relkind = 'r' AND c.relname ~ '_[0-9]{{1,18}}$') x
"""

# A shard counts where Citus says that it is. One that is kept twice takes twice the room, and has its rows once.
_SHARDS = """
WITH said AS MATERIALIZED (
    SELECT n.groupid, one.value AS shard
    FROM pg_catalog.run_command_on_all_nodes({command}) w
    JOIN pg_catalog.pg_dist_node n ON n.nodeid = w.nodeid
    CROSS JOIN LATERAL json_array_elements(CASE WHEN w.success THEN w.result ELSE '[]' END::json) one),
found AS (
    SELECT groupid, (shard->>0)::bigint AS shardid, shard->>1 AS nspname, (shard->>2)::bigint AS heap,
        (shard->>3)::bigint AS index_bytes, (shard->>4)::bigint AS toast, (shard->>5)::bigint AS rows
    FROM said),
placed AS (
    SELECT s.logicalrelid, s.shardid, count(*) = count(f.heap) AS complete, sum(f.heap) AS heap,
        sum(f.index_bytes) AS index_bytes, sum(f.toast) AS toast, max(f.rows) AS rows
    FROM pg_catalog.pg_dist_shard s
    JOIN pg_catalog.pg_class c ON c.oid = s.logicalrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_dist_placement p ON p.shardid = s.shardid AND p.shardstate = 1
    LEFT JOIN found f ON f.groupid = p.groupid AND f.shardid = p.shardid AND f.nspname = n.nspname
    GROUP BY s.logicalrelid, s.shardid)
SELECT logicalrelid::oid AS oid, bool_and(complete) AS complete, sum(heap)::bigint AS heap,
    sum(index_bytes)::bigint AS index_bytes, sum(toast)::bigint AS toast,
    CASE WHEN count(*) = count(rows) THEN sum(rows)::bigint END AS rows
FROM placed GROUP BY logicalrelid
"""


def read_spread(connection: Connection, can: Capabilities, *, exact: bool) -> Spread:
    """Which tables are distributed and what their shards take, in the transaction that is open. Raises DBAPIError.

    Servers that don't answer in time leave sizes and rows unknown.
    """
    if not can.citus:
        return Spread()
    tables = {row.oid: Distribution(row.name, row.place) for row in rows_of(connection, _TABLES)}
    return Spread(tables, _shards(connection, exact) if tables else {})


def _shards(connection: Connection, exact: bool) -> dict[int, Shards]:
    before = rows_of(connection, "SELECT pg_catalog.current_setting('statement_timeout') AS ms")[0].ms
    connection.exec_driver_sql(f"SAVEPOINT partition_desk_shards; SET LOCAL statement_timeout = {ANSWER_MS}")
    try:
        rows = rows_of(connection, shards_sql(exact))
    except DBAPIError:
        if connection.invalidated:
            raise
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT partition_desk_shards")
        return {}
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {literal(before)}")
    return {
        row.oid: Shards(Size(row.heap, row.index_bytes, row.toast, exact) if row.complete else None, row.rows)
        for row in rows
    }


def shards_sql(exact: bool) -> str:
    """The query on the coordinator; Citus runs its one argument on each server."""
    return _SHARDS.format(command=literal(_ON_EACH.format(size=size_columns(exact), busy=BUSY)))
