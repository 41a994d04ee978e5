"""Reads what a move of rows rests on, how far one is that was begun, and which ranges the rows of a DEFAULT are of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.names import literal, qualified
from core.postgres.connection import session, translate
from core.postgres.session import READ_TIMEOUT_MS, Row, as_the_role, reading, rows_of
from core.tables.bounds import Bounds, within
from core.tables.catalog.ownership import oid_array
from core.tables.catalog.rows import ROWS_TIMEOUT_MS
from core.tables.catalog.siblings import read_equipped_of
from core.tables.move import Course, Ground, Move, Strewn, Unique
from core.tables.partition import Partition
from core.tables.table import PartitionedTable

PROGRESS = "partition_desk_move_"
"""How the name begins of the table that keeps how far a move is; the oid of the partitioned table follows."""
STAGE = "partition_desk_stage_"
"""The same of the table below which the new partitions are filled."""

# Whoever could change the table anyway is believed.
_MOVE = """
SELECT pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
    EXISTS (SELECT 1 FROM pg_catalog.pg_class s WHERE s.relnamespace = c.relnamespace AND s.relkind = 'p'
        AND s.relname = {stage}) AS staged,
    pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable,
    (SELECT json_agg(json_build_array(r.relname, k.conname)) FROM pg_catalog.pg_class s
        JOIN pg_catalog.pg_inherits i ON i.inhparent = s.oid JOIN pg_catalog.pg_class r ON r.oid = i.inhrelid
        JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype = 'f'
        WHERE s.relnamespace = c.relnamespace AND s.relname = {stage}) AS keyed
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_class p ON p.oid = {oid}
WHERE c.relname = {name} AND c.relnamespace = p.relnamespace AND c.relowner = p.relowner AND c.relkind = 'r'
"""
_DONE = """
SELECT coalesce(sum(least(block, last)) / nullif(sum(last), 0), 1)::float8 AS share,
    coalesce(bool_or(paused), false) AS paused FROM {progress}
"""


def read_move(engine: Engine, table: PartitionedTable) -> Move | None:
    """The move of rows of a table that was begun and not finished. Raises ConnectionFailed."""
    name = f"{PROGRESS}{table.oid}"
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=READ_TIMEOUT_MS):
                asked = _MOVE.format(oid=table.oid, name=literal(name), stage=literal(f"{STAGE}{table.oid}"))
                for row in rows_of(connection, asked):
                    course = Course.read(row.comment)
                    if course is None:
                        continue
                    share, paused = 1.0, False
                    if row.staged and row.readable:
                        done = rows_of(connection, _DONE.format(progress=qualified(table.schema, name)))[0]
                        share, paused = done.share, done.paused
                    keyed = tuple((one, key) for one, key in row.keyed or ())
                    return Move(course, not row.staged, share, keyed, paused)
        except DBAPIError as error:
            raise translate(error) from error
    return None


_GROUND = """
SELECT pg_catalog.pg_get_partkeydef({parent}) AS split,
    (SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0) FROM pg_catalog.pg_class c
        WHERE c.oid = ANY ({oids})) AS bytes,
    ARRAY(SELECT c.relname::text FROM pg_catalog.pg_class c
        WHERE c.oid = ANY ({oids}) AND c.relrowsecurity AND c.relforcerowsecurity ORDER BY 1) AS forced,
    ARRAY(SELECT pg_catalog.format('%s of %s', k.conname, k.conrelid::regclass) FROM pg_catalog.pg_constraint k
        WHERE k.confrelid = ANY ({oids}) AND k.contype = 'f' AND k.conparentid = 0 ORDER BY 1) AS referenced,
    ARRAY(SELECT DISTINCT CASE WHEN w.oid IS NULL THEN pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
            ELSE pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, w.ev_class, 0) END
        FROM pg_catalog.pg_depend d
        LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = d.objid
        LEFT JOIN pg_catalog.pg_policy y ON d.classid = 'pg_catalog.pg_policy'::regclass AND y.oid = d.objid
        WHERE d.deptype = 'n' AND NOT coalesce(coalesce(w.ev_class, y.polrelid) = ANY ({oids}), false)
            AND d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_proc'::regclass,
                'pg_catalog.pg_class'::regclass, 'pg_catalog.pg_policy'::regclass)
            AND (d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = ANY ({oids})
                OR d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid IN (
                    SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typrelid = ANY ({oids})))) AS dependents,
    ARRAY(SELECT DISTINCT k.conrelid::regclass::text FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
        WHERE k.confrelid = {parent} AND k.contype = 'f' AND k.conparentid = 0 AND c.relkind = 'p') AS referrers,
    (SELECT json_agg(json_build_array(pg_catalog.format('%I.%I', n.nspname, c.relname), k.conname, d.description))
        FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_description d ON d.objoid = k.oid AND d.classoid = 'pg_catalog.pg_constraint'::regclass
        WHERE k.confrelid = {parent} AND k.contype = 'f' AND k.conparentid = 0) AS comments
"""

_UNIQUE = """
SELECT k.contype = 'p' AS is_primary, (
    SELECT json_agg(json_build_array(a.attname, pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname))
        ORDER BY u.n)
    FROM unnest(k.conkey) WITH ORDINALITY u(num, n)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num
    JOIN pg_catalog.pg_opclass c ON c.oid = x.indclass[u.n - 1]
    JOIN pg_catalog.pg_amop s ON s.amopfamily = c.opcfamily AND s.amoplefttype = c.opcintype
        AND s.amoprighttype = c.opcintype AND s.amopstrategy = 3
    JOIN pg_catalog.pg_operator o ON o.oid = s.amopopr
    JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace) AS columns
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_index x ON x.indexrelid = k.conindid AND x.indisvalid AND x.indimmediate
JOIN pg_catalog.pg_class i ON i.oid = k.conindid
JOIN pg_catalog.pg_am m ON m.oid = i.relam AND m.amname = 'btree'
WHERE k.conrelid = {parent} AND k.contype IN ('p', 'u') AND x.indnatts = x.indnkeyatts
    AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND NOT a.attnotnull)
ORDER BY k.contype, pg_catalog.cardinality(k.conkey), k.conname LIMIT 1
"""


def read_ground(engine: Engine, table: PartitionedTable, oids: Iterable[int]) -> Ground:
    """What has to be known of these partitions before their rows are moved. Raises ConnectionFailed, CatalogBusy."""
    every = tuple(oids)
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=READ_TIMEOUT_MS):
                row = rows_of(connection, _GROUND.format(parent=table.oid, oids=oid_array(every)))[0]
                unique = [_unique(one) for one in rows_of(connection, _UNIQUE.format(parent=table.oid))]
        except DBAPIError as error:
            raise translate(error) from error
    return Ground(
        split=row.split,
        unique=unique[0] if unique else None,
        equipped=read_equipped_of(engine, table, every),
        bytes=int(row.bytes),
        forced=tuple(row.forced),
        referenced=tuple(row.referenced),
        dependents=tuple(row.dependents),
        partitioned_referrers=tuple(row.referrers),
        comments=tuple((other, name, text) for other, name, text in row.comments or ()),
    )


def _unique(row: Row) -> Unique:
    return Unique(row.is_primary, tuple(name for name, _ in row.columns), tuple(equals for _, equals in row.columns))


def read_strewn(engine: Engine, table: PartitionedTable, one: Partition, sane: Bounds) -> Strewn:
    """How the rows of a partition lie about the range `sane`. Reads every row. Raises ConnectionFailed."""
    key = table.key
    if key is None:
        raise ValueError(f"{table.label} has no key that is served")
    rows, first = one.rows_sql, key.sql
    some = f"SELECT {first}::text FROM {rows} WHERE {within(key, sane)} ORDER BY {first}"
    lacks = " OR ".join(f"{part.sql} IS NULL" for part in key.parts)
    row = _read(
        engine,
        f"SELECT ({some} LIMIT 1) AS lowest, ({some} DESC LIMIT 1) AS highest,"
        f" count(*) FILTER (WHERE {lacks}) AS without,"
        f" count(*) FILTER (WHERE {first} < {sane.lower_sql}::{key.cast}) AS before,"
        f" count(*) FILTER (WHERE {first} >= {sane.upper_sql}::{key.cast}) AS after FROM {rows}",
    )[0]
    lowest, highest = (None if text is None else key.end(text) for text in (row.lowest, row.highest))
    return Strewn(lowest, highest, int(row.without), int(row.before), int(row.after))


def read_cells(engine: Engine, table: PartitionedTable, ends: Sequence[Bounds]) -> dict[Bounds, int]:
    """How many rows of the DEFAULT lie in each of the ranges, which follow on each other; those with none left out."""
    key, default = table.key, table.default
    if key is None or default is None or not ends:
        return {}
    whole = f"{key.sql} >= {ends[0].lower_sql}::{key.cast} AND {key.sql} < {ends[-1].upper_sql}::{key.cast}"
    starts = ", ".join(f"{one.lower_sql}::{key.cast}" for one in ends)
    found = _read(
        engine,
        f"SELECT pg_catalog.width_bucket({key.sql}, ARRAY[{starts}]) AS cell, count(*) AS found"
        f" FROM {default.rows_sql} WHERE {whole} GROUP BY 1 ORDER BY 1",
    )
    return {ends[row.cell - 1]: int(row.found) for row in found}


def _read(engine: Engine, sql: str) -> Sequence[Row]:
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=ROWS_TIMEOUT_MS):
                as_the_role(connection)
                return rows_of(connection, sql)
        except DBAPIError as error:
            raise translate(error) from error
