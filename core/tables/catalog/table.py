"""Reads the system catalog, and only this module does: rows in, values of core.tables.table out.

Nothing here waits behind a lock for more than a moment. What reads of a locked relation would wait for (sizes, printed
bounds) is left out for the relations that pg_locks names, and those are marked busy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import CatalogBusy, DeskError, TableNotFound, UsageError
from core.names import address, fit, ident, literal, qualified, split_qualified
from core.period import Range, range_of_label
from core.postgres.connection import APPLICATION_NAME, LOCK_TIMEOUT, READ_LOCK_TIMEOUT_MS, session, sqlstate, translate
from core.tables.bounds import Bounds, Key, KeyType, stored_bounds, stored_key_type, within
from core.tables.table import (
    Activity,
    Archived,
    ArchiveSchema,
    Check,
    Column,
    Coverage,
    ForeignKey,
    Index,
    KeyRange,
    Marks,
    Partition,
    PartitionedTable,
    PartitionSummary,
    PlannedDrop,
    Server,
    Size,
    Source,
    TableSummary,
)

TRIES = 3
"""How often a read is begun again that met a lock after pg_locks was asked."""

Row = Any
"""A row of a result, its columns as attributes."""


def _rows(connection: Connection, sql: str) -> Sequence[Row]:
    return connection.exec_driver_sql(sql).all()


# Relations that somebody holds, or waits for, in ACCESS EXCLUSIVE: reading their size or bounds would wait.
_BUSY = """
    SELECT DISTINCT l.relation AS oid FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""


def _size(exact: bool) -> str:
    """Columns heap, index_bytes, toast of the relation c; NULL where it is busy (source: dbsize.c).

    An exact size costs a look at each file, so none is looked at twice.
    """
    if exact:
        return """
            CASE WHEN b.oid IS NULL THEN pg_catalog.pg_relation_size(c.oid) + pg_catalog.pg_relation_size(c.oid, 'fsm')
                + pg_catalog.pg_relation_size(c.oid, 'vm') END AS heap,
            CASE WHEN b.oid IS NULL THEN pg_catalog.pg_indexes_size(c.oid) END AS index_bytes,
            CASE WHEN b.oid IS NULL AND c.reltoastrelid <> 0
                THEN pg_catalog.pg_total_relation_size(c.reltoastrelid) ELSE 0 END AS toast
        """
    return """
        c.relpages::bigint * pg_catalog.current_setting('block_size')::int AS heap,
        (SELECT coalesce(sum(ic.relpages), 0)::bigint FROM pg_catalog.pg_index x
            JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid WHERE x.indrelid = c.oid)
            * pg_catalog.current_setting('block_size')::int AS index_bytes,
        (SELECT coalesce(sum(tc.relpages), 0)::bigint FROM pg_catalog.pg_class tc WHERE tc.oid = ANY (ARRAY(
            SELECT c.reltoastrelid
            UNION ALL SELECT x.indexrelid FROM pg_catalog.pg_index x WHERE x.indrelid = c.reltoastrelid)))
            * pg_catalog.current_setting('block_size')::int AS toast
    """


# What pg_stat_all_tables shows, asked for these tables alone: the view sums up every table of the database first.
_ACTIVITY = """
    pg_catalog.pg_stat_get_dead_tuples(c.oid) AS n_dead_tup,
    pg_catalog.pg_stat_get_numscans(c.oid)
        + (SELECT coalesce(sum(pg_catalog.pg_stat_get_numscans(sx.indexrelid)), 0)::bigint
            FROM pg_catalog.pg_index sx WHERE sx.indrelid = c.oid) AS scans,
    CASE WHEN c.relkind <> 'f' THEN pg_catalog.pg_stat_get_tuples_inserted(c.oid) END AS n_tup_ins,
    greatest(pg_catalog.pg_stat_get_last_vacuum_time(c.oid), pg_catalog.pg_stat_get_last_autovacuum_time(c.oid))
        AS vacuumed,
    greatest(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid))
        AS analyzed
"""

# Printing an expression opens the relation that its columns are named by: for a busy one that is its parent, where
# the same number names the same column (source: ruleutils.c).
_CHECKS = """
    (SELECT json_agg(json_build_array(k.conname, CASE WHEN b.oid IS NULL THEN pg_catalog.pg_get_constraintdef(k.oid)
            WHEN NOT EXISTS (SELECT 1 FROM unnest(k.conkey) u(num)
                JOIN pg_catalog.pg_attribute own ON own.attrelid = c.oid AND own.attnum = u.num
                LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = {parent} AND a.attnum = u.num
                WHERE a.attname IS DISTINCT FROM own.attname)
            THEN 'CHECK (' || pg_catalog.pg_get_expr(k.conbin, {parent}) || ')'
                || CASE WHEN k.connoinherit THEN ' NO INHERIT' ELSE '' END
                || CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END
            ELSE '' END, k.convalidated)
        ORDER BY k.conname) FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c')
"""

_COLUMNS = """
    (SELECT json_agg(json_build_array(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attidentity <> '',
            CASE WHEN a.attgenerated <> '' THEN a.attgenerated::text || ' ' || pg_catalog.pg_get_expr(d.adbin,
                CASE WHEN b.oid IS NULL THEN d.adrelid ELSE {parent} END)
                ELSE '' END,
            CASE WHEN a.attcollation <> t.typcollation THEN co.collname ELSE '' END) ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a
     JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
"""


def _indexes(definition: bool) -> str:
    """A JSON list of the indexes of c. Shapes come from columns alone, which no lock guards; expressions do not."""
    tail = (
        """CASE WHEN b.oid IS NULL THEN pg_catalog.substr(pg_catalog.pg_get_indexdef(x.indexrelid),
            pg_catalog.length('CREATE ' || CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX '
                || pg_catalog.quote_ident(ic.relname) || ' ON '
                || CASE WHEN c.relkind = 'p' THEN 'ONLY ' ELSE '' END || pg_catalog.quote_ident(n.nspname) || '.'
                || pg_catalog.quote_ident(c.relname) || ' ') + 1) ELSE '' END"""
        if definition
        else "''"
    )
    return f"""
    (SELECT json_agg(json_build_array(ic.relname,
            am.amname || ' ' || CASE WHEN x.indisunique THEN 'unique ' ELSE '' END
                || x.indnkeyatts || ' ' || x.indclass::text || ' ' || x.indcollation::text || ' '
                || x.indoption::text || ' ' || (SELECT coalesce(json_agg(a.attname ORDER BY u.n), '[]')::text
                    FROM unnest(x.indkey) WITH ORDINALITY u(num, n)
                    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.num)
                || CASE WHEN x.indexprs IS NULL AND x.indpred IS NULL THEN '' WHEN b.oid IS NOT NULL THEN ' (busy)'
                    ELSE coalesce(' on ' || pg_catalog.pg_get_expr(x.indexprs, x.indrelid), '')
                    || coalesce(' where ' || pg_catalog.pg_get_expr(x.indpred, x.indrelid), '') END,
            (SELECT coalesce(json_agg(coalesce(a.attname, 'expression') ORDER BY u.n), '[]')
                FROM unnest(x.indkey) WITH ORDINALITY u(num, n)
                LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.num
                WHERE u.n <= x.indnkeyatts),
            x.indisunique, x.indisprimary,
            EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
                WHERE k.conindid = x.indexrelid AND k.conrelid = x.indrelid AND k.contype IN ('p', 'u')),
            x.indisvalid, {tail}) ORDER BY ic.relname)
     FROM pg_catalog.pg_index x
     JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
     JOIN pg_catalog.pg_am am ON am.oid = ic.relam
     WHERE x.indrelid = c.oid)
    """


_SERVER = """
SELECT pg_catalog.current_database() AS database, current_user AS role,
    pg_catalog.current_setting('server_version_num')::int AS version_num,
    pg_catalog.current_setting('server_version') AS version, pg_catalog.pg_is_in_recovery() AS in_recovery,
    (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only') = 'on' AS read_only,
    (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone') AS time_zone,
    (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser,
    EXISTS (SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'citus') AS citus,
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create_schema,
    j.oid IS NOT NULL AS journal,
    pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_read_cluster,
    CASE WHEN j.oid IS NULL THEN pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
        ELSE pg_catalog.has_schema_privilege(j.oid, 'USAGE') AND coalesce((
            SELECT pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
            FROM pg_catalog.pg_class c WHERE c.relnamespace = j.oid AND c.relname = 'operation'),
            pg_catalog.has_schema_privilege(j.oid, 'CREATE'))
    END AS may_write_journal
FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace j ON j.nspname = 'partition_desk'
"""


_CLUSTER = "system_identifier"


def _server(connection: Connection) -> Server:
    row = _rows(connection, _SERVER)[0]
    if _CLUSTER not in connection.info:  # it never changes; a session asks once
        connection.info[_CLUSTER] = (
            _rows(connection, "SELECT system_identifier::text AS id FROM pg_catalog.pg_control_system()")[0].id
            if row.may_read_cluster
            else ""
        )
    return Server(
        cluster=connection.info[_CLUSTER],
        database=row.database,
        user=row.role,
        version_num=row.version_num,
        version=row.version,
        in_recovery=row.in_recovery,
        read_only=row.read_only,
        time_zone=row.time_zone,
        superuser=row.superuser,
        citus=row.citus,
        may_create_schema=row.may_create_schema,
        journal=row.journal,
        may_write_journal=row.may_write_journal,
    )


_PARENT = """
WITH busy AS ({busy})
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relowner, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
    c.relispartition,
    pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
    pg_catalog.has_schema_privilege(n.oid, 'CREATE') AS may_create,
    pg_catalog.has_table_privilege(c.oid, 'SELECT') AS may_read,
    p.partstrat, p.partnatts, ka.attname AS key_column,
    pg_catalog.format_type(ka.atttypid, ka.atttypmod) AS key_type, ts.spcname,
    {columns} AS columns, {checks} AS checks, {indexes} AS indexes,
    (SELECT json_agg(json_build_array(k.conname, pg_catalog.format('%I.%I', fn.nspname, fc.relname),
            pg_catalog.pg_get_constraintdef(k.oid)) ORDER BY k.conname)
        FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class fc ON fc.oid = k.confrelid
        JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
        WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0) AS refs,
    (SELECT json_agg(json_build_array(k.conname, pg_catalog.format('%I.%I', fn.nspname, fc.relname),
            pg_catalog.pg_get_constraintdef(k.oid)) ORDER BY k.conname)
        FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class fc ON fc.oid = k.conrelid
        JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
        WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0 AND k.conrelid <> c.oid) AS referenced_by,
    an.oid IS NOT NULL AS archive_exists,
    coalesce(pg_catalog.has_schema_privilege(an.oid, 'CREATE'), false) AS archive_create,
    coalesce((SELECT bool_or(acl.grantee = 0) FROM pg_catalog.aclexplode(an.nspacl) acl), false) AS archive_public
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN busy b ON b.oid = c.oid
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
LEFT JOIN pg_catalog.pg_attribute ka ON ka.attrelid = c.oid AND ka.attnum = p.partattrs[0] AND p.partnatts = 1
LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = c.reltablespace
LEFT JOIN pg_catalog.pg_namespace an ON an.nspname = {archive}
WHERE c.relname = {name} AND c.relkind IN ('p', 'r') AND {schema}
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'partition_desk')
ORDER BY c.relkind = 'p' DESC, n.nspname = 'public' DESC, n.nspname = {archive}, n.nspname
"""

_CHILDREN = """
WITH busy AS ({busy})
SELECT c.oid, n.nspname, c.relname, c.relkind, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
    {pending} AS pending, b.oid IS NOT NULL AS busy,
    CASE WHEN b.oid IS NULL THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END AS bounds,
    CASE WHEN b.oid IS NOT NULL THEN c.relpartbound::text END AS stored,
    d.description AS comment, nullif(c.reltuples, -1)::bigint AS rows, {size}, {activity}, {checks} AS checks,
    (SELECT json_agg(k.conname) FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid) AS constraint_names,
    (SELECT json_agg(json_build_array(ic.relname, x.indisvalid) ORDER BY ic.relname) FROM pg_catalog.pg_index x
        JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid WHERE x.indrelid = c.oid) AS index_names
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN busy b ON b.oid = c.oid
LEFT JOIN pg_catalog.pg_description d
    ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
WHERE i.inhparent = {parent}
"""

# Any role may comment on a table of its own, and needs no right in any schema for a temporary one. What counts is the
# word of who could do as much to the parent: its owner, members of that role, superusers.
_COUNTS = "c.relpersistence <> 't' AND pg_catalog.pg_has_role(c.relowner, {owner}, 'USAGE')"

_ARCHIVED = """
WITH busy AS ({busy})
SELECT c.oid, n.nspname, c.relname, pg_catalog.pg_get_userbyid(c.relowner) AS owner, b.oid IS NOT NULL AS busy,
    n.nspname = {archive} AS shelved, d.description AS comment, {counts} AS counts,
    nullif(c.reltuples, -1)::bigint AS rows, {size}, {activity},
    {columns} AS columns, {checks} AS checks, {indexes} AS indexes,
    (SELECT json_agg(pg_catalog.pg_get_constraintdef(k.oid)) FROM pg_catalog.pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.convalidated) AS foreign_keys
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN busy b ON b.oid = c.oid
LEFT JOIN pg_catalog.pg_description d
    ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
WHERE c.relkind = 'r' AND NOT c.relispartition AND c.oid <> {parent}
    AND (n.nspname = {archive} OR pg_catalog.strpos(d.description, 'partition-desk: {{') > 0 AND {counts})
    AND EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname = {key} AND NOT a.attisdropped)
ORDER BY n.nspname, c.relname
"""

# Names that are taken where a partition would go: in the archive schema, and back in its own.
_TAKEN = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (n.nspname = {archive} AND c.relname = ANY ({leaving}))
    OR (n.nspname = {home} AND c.relname = ANY ({coming}))
    OR (n.nspname = {home} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND pg_catalog.starts_with(c.relname, {stem}))
"""


def _array(names: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(literal(name) for name in names)}]::name[]"


def read_server(engine: Engine) -> Server:
    """The server, its version and what the connected role may do there."""
    with session(engine) as connection:
        try:
            return _server(connection)
        except DBAPIError as error:
            raise translate(error) from error


def read_table(engine: Engine, name: str, *, archive_schema: str = "archive", exact: bool = True) -> PartitionedTable:
    """The table called `name` or `schema.name`, its partitions, and what was archived from it.

    One snapshot. `exact` sizes ask the file system, others come from the last analyze. Raises TableNotFound,
    ConnectionFailed, and CatalogBusy where the table itself stays locked.
    """
    schema, relation = split_qualified(name)
    with session(engine) as connection:
        return read_table_on(connection, schema, relation, archive_schema=archive_schema, exact=exact)


def read_table_on(
    connection: Connection, schema: str | None, name: str, *, archive_schema: str, exact: bool = True
) -> PartitionedTable:
    """`read_table` on a connection that is there already, which must be in AUTOCOMMIT."""
    for attempt in range(TRIES):
        try:
            connection.exec_driver_sql(
                f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = {READ_LOCK_TIMEOUT_MS}"
            )
            try:
                return _read_table(connection, schema, name, archive_schema, exact)
            finally:
                if not connection.invalidated:
                    connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            if sqlstate(error) != LOCK_TIMEOUT:
                raise translate(error) from error
            if attempt == TRIES - 1:
                raise CatalogBusy(
                    f"{name} is locked by somebody else just now.", next="It is read again in a moment."
                ) from error
    raise AssertionError("unreachable")


def _read_table(
    connection: Connection, schema: str | None, name: str, archive_schema: str, exact: bool
) -> PartitionedTable:
    server = _server(connection)
    where = f"n.nspname = {literal(schema)}" if schema else f"n.nspname <> {literal(archive_schema)}"
    parents = _rows(
        connection,
        _PARENT.format(
            busy=_BUSY,
            columns=_COLUMNS.format(parent="c.oid"),
            checks=_CHECKS.format(parent="c.oid"),
            indexes=_indexes(definition=True),
            archive=literal(archive_schema),
            name=literal(name),
            schema=where,
        ),
    )
    if not parents:
        raise TableNotFound(
            f"There is no table {f'{schema}.' if schema else ''}{name} in the database {server.database}.",
            next="Check the name, its capitals and its schema; partitions status --table names another.",
        )
    row = parents[0]
    if len(parents) > 1 and parents[1].relkind == "p" == row.relkind and row.nspname != "public":
        names = ", ".join(f"{other.nspname}.{other.relname}" for other in parents if other.relkind == "p")
        raise UsageError(f"{name} stands in several schemas: {names}.", next="Name one with its schema.")
    key, not_served = _key(row)
    children = _children(connection, row, key, server, exact) if row.relkind == "p" else ()
    if any(not child.leaf for child in children) and not_served is None:
        not_served = "some of its partitions are partitioned again, or foreign tables"
    columns = _columns(row.columns)
    archived = (
        _archived(connection, row, key, archive_schema, columns, exact)
        if key is not None and not_served is None
        else ()
    )
    taken = _taken(connection, row, archive_schema, children, archived)
    return PartitionedTable(
        oid=row.oid,
        schema=row.nspname,
        name=row.relname,
        owner=row.owner,
        key=key,
        strategy={"r": "range", "l": "list", "h": "hash"}.get(row.partstrat or "", "plain"),
        not_served=not_served,
        server=server,
        archive=ArchiveSchema(
            archive_schema, row.archive_exists, row.archive_create, row.archive_public, taken[archive_schema]
        ),
        owned=row.owned,
        may_create=row.may_create,
        may_read=row.may_read,
        columns=columns,
        indexes=_index_values(row.indexes),
        checks=_checks(row.checks),
        references=tuple(ForeignKey(*fk) for fk in row.refs or ()),
        referenced_by=tuple(ForeignKey(*fk) for fk in row.referenced_by or ()),
        tablespace=row.spcname,
        taken=taken[row.nspname],
        partitions=children,
        archived=archived,
        as_of=datetime.now(UTC),
    )


def _key(row: Row) -> tuple[Key | None, str | None]:
    """The key, where the table has one that is served, or why it is not served."""
    if row.relkind != "p":
        return None, "it is not partitioned"
    reason = unserved(row.partstrat, row.partnatts, row.key_type)
    if reason is not None:
        return None, reason
    if row.relispartition:
        return None, "it is a partition of another table"
    return Key(row.key_column, KeyType(row.key_type)), None


def unserved(strategy: str, columns: int, key_type: str | None) -> str | None:
    """Why a partitioned table is only shown: its strategy, several columns, an expression, or another type."""
    if strategy != "r":
        return f"it is partitioned by {'LIST' if strategy == 'l' else 'HASH'}, not by RANGE"
    if columns != 1:
        return "it is partitioned by several columns"
    if key_type is None:
        return "it is partitioned by an expression"
    if (key_type.split("(")[0] + key_type.partition(")")[2]) not in set(KeyType):
        return f"its key is {key_type}, not a date or timestamp"
    return None if key_type in set(KeyType) else f"its key is {key_type}, with a precision of its own"


def _columns(raw: Iterable[Sequence[Any]] | None) -> tuple[Column, ...]:
    return tuple(Column(*column) for column in raw or ())


def _checks(raw: Iterable[Sequence[Any]] | None) -> tuple[Check, ...]:
    return tuple(Check(*check) for check in raw or ())


def _index_values(raw: Iterable[Sequence[Any]] | None) -> tuple[Index, ...]:
    return tuple(
        Index(name, shape, tuple(columns), unique, primary, constraint, valid, definition)
        for name, shape, columns, unique, primary, constraint, valid, definition in raw or ()
    )


def _measured(row: Row, exact: bool) -> Size | None:
    return None if row.heap is None else Size(row.heap, row.index_bytes, row.toast, exact)


def _active(row: Row) -> Activity | None:
    if row.n_tup_ins is None:
        return None
    return Activity(row.n_dead_tup, row.scans, row.n_tup_ins, row.vacuumed, row.analyzed)


def _children(
    connection: Connection, parent: Row, key: Key | None, server: Server, exact: bool
) -> tuple[Partition, ...]:
    sql = _CHILDREN.format(
        busy=_BUSY,
        pending="i.inhdetachpending" if server.version_num >= 140000 else "false",
        size=_size(exact),
        activity=_ACTIVITY,
        checks=_CHECKS.format(parent=parent.oid),
        parent=parent.oid,
    )
    return tuple(sorted((_partition(row, key, exact) for row in _rows(connection, sql)), key=_place))


def _printed(bounds: str, key: Key | None) -> Bounds | None:
    """Bounds as PostgreSQL printed them; those of a key that is not served have no ends and are only shown."""
    try:
        return Bounds.parse(bounds, key.type if key else None)
    except ValueError:
        return Bounds(bounds, None, None) if key is None and bounds.startswith("FOR VALUES FROM ") else None


def _partition(row: Row, key: Key | None, exact: bool) -> Partition:
    bounds = _printed(row.bounds, key) if row.bounds else stored_bounds(row.stored or "")
    indexes = row.index_names or ()
    return Partition(
        oid=row.oid,
        schema=row.nspname,
        name=row.relname,
        owner=row.owner,
        bounds=bounds,
        pending=row.pending,
        leaf=row.relkind == "r",
        checks=_checks(row.checks),
        index_names=tuple(name for name, _ in indexes),
        comment=row.comment,
        constraint_names=tuple(row.constraint_names or ()),
        busy=row.busy,
        size=_measured(row, exact),
        rows=row.rows,
        activity=_active(row),
        invalid_indexes=tuple(name for name, valid in indexes if not valid),
    )


def _place(item: Partition) -> tuple[int, float, str]:
    """Sorts by lower end: MINVALUE first, unknown bounds after the known, DEFAULT last."""
    bounds = item.bounds
    if bounds is None or bounds.is_default:
        return (2 if bounds is None else 3), 0, item.name
    return (0, 0, item.name) if bounds.lower is None else (1, _ordinal(bounds), item.name)


def _ordinal(bounds: Bounds) -> float:
    lower = bounds.lower
    if isinstance(lower, datetime):
        midnight = lower.replace(hour=0, minute=0, second=0, microsecond=0)
        return lower.toordinal() + (lower - midnight).total_seconds() / 86400
    return lower.toordinal() if lower is not None else 0


def _archived(
    connection: Connection, parent: Row, key: Key, schema: str, columns: tuple[Column, ...], exact: bool
) -> tuple[Archived, ...]:
    sql = _ARCHIVED.format(
        busy=_BUSY,
        size=_size(exact),
        activity=_ACTIVITY,
        columns=_COLUMNS.format(parent=parent.oid),
        checks=_CHECKS.format(parent=parent.oid),
        indexes=_indexes(definition=False),
        parent=parent.oid,
        counts=_COUNTS.format(owner=parent.relowner),
        archive=literal(schema),
        key=literal(key.column),
    )
    home = qualified(parent.nspname, parent.relname)
    names = {column.name for column in columns}
    found = [_archived_value(row, key, parent.relname, home, names, exact) for row in _rows(connection, sql)]
    return tuple(sorted((a for a in found if a), key=lambda a: (a.bounds is None, a.bounds.text if a.bounds else "")))


def _archived_value(row: Row, key: Key, parent: str, home: str, columns: set[str], exact: bool) -> Archived | None:
    """The archived table, or None where it belongs to another parent."""
    comment, marks = Marks.split(row.comment) if row.counts else (row.comment, Marks())
    tag = marks.tag
    tagged = tag.range_on(key) if tag is not None else None
    checks = _checks(row.checks)
    if (tag is not None and tag.parent != home) or (tagged is None and not row.shelved):
        return None
    if tag is not None and tagged is None:
        comment, tag, marks = Marks(tag).beside(comment), None, replace(marks, tag=None)
    named = range_of_label(row.relname[len(parent) + 1 :]) if row.relname.startswith(f"{parent}_") else None
    ranged = next((found for check in checks if (found := check.range_on(key)) and found.lower and found.upper), None)
    own = _columns(row.columns)
    bounds: Bounds | None
    source: Source | None
    if tagged is not None:
        bounds, source = tagged, Source.TAG
    elif ranged is not None and (named or columns <= {column.name for column in own}):
        bounds, source = ranged, Source.CHECK
    elif named is not None:
        bounds, source = Bounds.between(key, *named), Source.NAME
    elif row.relname.startswith(f"{parent}_") and columns <= {column.name for column in own}:
        bounds, source = None, None
    else:
        return None
    return Archived(
        oid=row.oid,
        schema=row.nspname,
        name=row.relname,
        owner=row.owner,
        bounds=bounds,
        source=source,
        tag=tag,
        comment=comment,
        columns=own,
        indexes=_index_values(row.indexes),
        checks=checks,
        foreign_keys=tuple(row.foreign_keys or ()),
        hold=marks.hold,
        drop=marks.drop,
        busy=row.busy,
        size=_measured(row, exact),
        rows=row.rows,
        activity=_active(row),
    )


def _taken(
    connection: Connection,
    parent: Row,
    schema: str,
    children: tuple[Partition, ...],
    archived: tuple[Archived, ...],
) -> dict[str, frozenset[str]]:
    leaving = [name for child in children for name in (child.name, *child.index_names)]
    halfway = [item for item in archived if item.schema != schema]
    leaving += [name for item in halfway for name in (item.name, *(index.name for index in item.indexes))]
    coming = [name for item in archived for name in (item.name, *(index.name for index in item.indexes))]
    outside = [item.name for item in archived if item.schema == parent.nspname]
    stem = fit(parent.relname, "_" + "x" * 12)[: len(parent.relname)]
    rows = _rows(
        connection,
        _TAKEN.format(
            archive=literal(schema),
            home=literal(parent.nspname),
            leaving=_array(leaving),
            coming=_array(coming),
            stem=literal(stem[:40]),
        ),
    )
    taken: dict[str, set[str]] = {schema: set(), parent.nspname: set()}
    own = {child.name for child in children if child.schema == parent.nspname} | set(outside) | {parent.relname}
    for row in rows:
        if not (row.nspname == parent.nspname and row.relname in own):
            taken[row.nspname].add(row.relname)
    return {place: frozenset(names) for place, names in taken.items()}


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
            rows = _rows(connection, _TABLES)
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

_EXACT_SOURCES = f"LEFT JOIN ({_BUSY}) b ON b.oid = c.oid"

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
        size=_size(exact=True) if exact else _ESTIMATED,
        sources=_EXACT_SOURCES if exact else _ESTIMATE_SOURCES,
    )
    with session(engine) as connection:
        try:
            rows = _rows(connection, sql)
        except DBAPIError as error:
            raise translate(error) from error
    return tuple(
        PartitionSummary(
            parent_schema, parent, schema, name, estimate, None if heap is None else Size(heap, index, toast, exact)
        )
        for parent_schema, parent, schema, name, estimate, heap, index, toast in rows
    )


_COVERAGE = """
SELECT n.nspname, c.relname, p.partstrat, p.partnatts, ka.attname AS key_column,
    pg_catalog.format_type(ka.atttypid, ka.atttypmod) AS key_type, cn.nspname AS child_schema, r.relname AS child,
    CASE WHEN p.partstrat = 'r' THEN r.relpartbound::text END AS stored, {pending} AS pending
FROM pg_catalog.pg_partitioned_table p
JOIN pg_catalog.pg_class c ON c.oid = p.partrelid AND NOT c.relispartition
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute ka ON ka.attrelid = c.oid AND ka.attnum = p.partattrs[0] AND p.partnatts = 1
LEFT JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid
LEFT JOIN pg_catalog.pg_class r ON r.oid = i.inhrelid
LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = r.relnamespace
ORDER BY n.nspname, c.relname
"""


def read_coverage(engine: Engine) -> tuple[Coverage, ...]:
    """What every partitioned table of the database covers, in one look that opens no relation and takes no lock."""
    pending = "i.inhdetachpending" if read_server(engine).version_num >= 140000 else "false"
    with session(engine) as connection:
        try:
            rows = _rows(connection, _COVERAGE.format(pending=f"coalesce({pending}, false)"))
        except DBAPIError as error:
            raise translate(error) from error
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.nspname, row.relname), []).append(row)
    return tuple(_coverage(children) for children in found.values())


def _coverage(rows: Sequence[Row]) -> Coverage:
    table = rows[0]
    served = unserved(table.partstrat, table.partnatts, table.key_type) is None
    bounds = [(stored_bounds(row.stored), row) for row in rows if row.stored]
    ranges = [one for one, row in bounds if one is not None and not one.is_default and not row.pending]
    default = next((row for one, row in bounds if one is not None and one.is_default), None)
    return Coverage(
        schema=table.nspname,
        name=table.relname,
        key=Key(table.key_column, KeyType(table.key_type)) if served else None,
        ranges=tuple(sorted(ranges, key=lambda one: (one.lower is not None, _ordinal(one)))) if served else (),
        pending=sum(1 for row in rows if row.pending),
        default=qualified(default.child_schema, default.child) if default is not None else "",
    )


# One round trip, whatever the session's settings are: bounds come as stored, and a bare name is looked for where
# `read_address` and `read_table` find it, on the search path and then in public. Looked up one catalog after the other,
# since a join takes longer to plan than to run.
_STORED = """
SELECT c.relpartbound::text FROM pg_catalog.pg_class c WHERE c.oid = ANY (ARRAY(
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE NOT i.inhdetachpending AND i.inhparent = (
        SELECT p.partrelid FROM pg_catalog.pg_partitioned_table p
        WHERE p.partrelid = coalesce(pg_catalog.to_regclass({name}), pg_catalog.to_regclass({public}))
            AND p.partstrat = 'r' AND p.partnatts = 1 AND p.partattrs[0] <> 0)))
"""


def lacks(engine: Engine, name: str, ranges: Iterable[Range], *, zone: str = "UTC") -> bool:
    """Whether some of the ranges may lack a partition, in one round trip and without a lock; False is certain."""
    schema, relation = split_qualified(name)
    target = qualified(schema, relation) if schema else ident(relation)
    sql = _STORED.format(name=literal(target), public=literal(qualified(schema or "public", relation)))
    try:
        with engine.connect() as connection:
            if not connection.info.get(APPLICATION_NAME):  # the console's own are in AUTOCOMMIT
                connection.execution_options(isolation_level="AUTOCOMMIT")
            rows = connection.exec_driver_sql(sql, execution_options={"no_parameters": True}).all()
    except DBAPIError:
        return True
    key_type = next((known for (node,) in rows if (known := stored_key_type(node)) is not None), None)
    if key_type is None:
        return True
    left = [Bounds.between(Key("", key_type), lower, upper, zone) for lower, upper in ranges]
    for (node,) in reversed(rows):  # what was added last is the likeliest to hold this year and the next
        bounds = stored_bounds(node)
        left = [one for one in left if bounds is None or not bounds.covers(one)]
        if not left:
            return False
    return True


_NAMED = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass({name})
"""


def read_address(engine: Engine, name: str) -> str:
    """`name` with the schema that the engine's own search path finds it in; as it is where that finds none."""
    schema, relation = split_qualified(name)
    if schema:
        return name
    try:
        with engine.connect() as connection:
            own = connection.execution_options(isolation_level="AUTOCOMMIT", no_parameters=True)
            rows = _rows(own, _NAMED.format(name=literal(ident(relation))))
    except DBAPIError as error:
        raise translate(error, engine.url) from error
    return address(rows[0].nspname, rows[0].relname) if rows else name


ROWS_TIMEOUT_MS = 120_000
"""How long a read of rows, not of the catalog, may take."""


def _read_rows(engine: Engine, sql: str, timeout_ms: int = ROWS_TIMEOUT_MS) -> Row:
    with session(engine) as connection:
        try:
            connection.exec_driver_sql(
                f"BEGIN READ ONLY; SET LOCAL statement_timeout = {timeout_ms};"
                f" SET LOCAL lock_timeout = {READ_LOCK_TIMEOUT_MS}"
            )
            try:
                return _rows(connection, sql)[0]
            finally:
                if not connection.invalidated:
                    connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            raise translate(error) from error


@dataclass(frozen=True, slots=True)
class Marked:
    """A table that the console left a word on, or somebody in its name."""

    schema: str
    name: str
    marks: Marks
    speaks_for: frozenset[int]
    """The oids of the owners of partitioned tables that its own owner is, or has the rights of."""
    attached: bool

    def counts_for(self, owner: int | None) -> bool:
        """Whether the marks count for a table that the role of this oid owns: any role may write them on its own."""
        attached = self.attached and self.marks.tag is None and self.marks.drop is None
        return attached or owner in self.speaks_for


_MARKED = """
WITH parents AS MATERIALIZED (SELECT DISTINCT p.relowner FROM pg_catalog.pg_class p WHERE p.relkind = 'p')
SELECT n.nspname, c.relname, d.description, c.relispartition,
    ARRAY(SELECT p.relowner::bigint FROM parents p WHERE pg_catalog.pg_has_role(c.relowner, p.relowner, 'USAGE'))
        AS speaks_for
FROM pg_catalog.pg_description d
JOIN pg_catalog.pg_class c ON c.oid = d.objoid AND c.relkind = 'r' AND c.relpersistence <> 't'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
    AND d.description LIKE '%partition-desk%'
ORDER BY c.relname
"""

_OWNERS = """
SELECT n.nspname, c.relname, c.relowner FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'p'
"""


def read_planned_drops(engine: Engine) -> tuple[tuple[str, PlannedDrop], ...]:
    """(name, planned drop) of every table of the database whose comment says, and counts, that it is to be dropped."""
    found, owners = read_marks(engine)
    return tuple(
        (one.name, drop)
        for one in found
        if (drop := one.marks.drop) is not None and not one.attached and one.counts_for(owners.get(drop.parent))
    )


def read_marks(engine: Engine) -> tuple[tuple[Marked, ...], dict[str, int]]:
    """(every partition and archived table of the database with marks, the owners of partitioned tables by address)."""
    with session(engine) as connection:
        try:
            rows, parents = _rows(connection, _MARKED), _rows(connection, _OWNERS)
        except DBAPIError as error:
            raise translate(error) from error
    found = (
        Marked(
            row.nspname,
            row.relname,
            Marks.split(row.description)[1],
            frozenset(row.speaks_for),
            row.relispartition,
        )
        for row in rows
    )
    owners = {address(row.nspname, row.relname): row.relowner for row in parents}
    return tuple(one for one in found if one.marks != Marks()), owners


def read_key_range(engine: Engine, table: PartitionedTable, archived: Archived) -> KeyRange:
    """The real range of keys in an archived table; reads every row where no index helps."""
    if table.key is None:
        raise ValueError(f"{table.label} has no key that is served")
    column = ident(table.key.column)
    nulls = any(c.name == table.key.column and not c.not_null for c in archived.columns)
    row = _read_rows(
        engine,
        f"SELECT min({column})::text AS lowest, max({column})::text AS highest,"
        f" {f'count(*) FILTER (WHERE {column} IS NULL)' if nulls else '0'} AS nulls FROM ONLY {archived.sql}",
    )
    ends = Bounds.parse(
        f"FOR VALUES FROM ({literal(row.lowest or '-infinity')}) TO ({literal(row.highest or 'infinity')})",
        table.key.type,
    )
    return KeyRange(ends.lower, ends.upper, row.nulls)


def count_rows(engine: Engine, table: PartitionedTable, name: str, *, timeout_ms: int) -> int | None:
    """How many rows the partition or archived table `name` holds, wherever it is; None where that takes too long."""
    item = table.find(name) or table.find_archived(name)
    if item is None:
        return None
    try:
        return int(_read_rows(engine, f"SELECT count(*) AS found FROM ONLY {item.sql}", timeout_ms).found)
    except DeskError:
        return None


GLANCE_MS = 1_500
"""How long counting rows for a page may take."""
COUNTED_ROWS = 1_000_000
"""Where counting the rows of a DEFAULT partition stops: as many are too many either way."""


def count_default_rows(engine: Engine, table: PartitionedTable, wanted: Iterable[Bounds]) -> int:
    """How many rows of the ranges the DEFAULT partition holds, at most COUNTED_ROWS; 0 without a DEFAULT."""
    conditions = " OR ".join(f"({within(table.key, bounds)})" for bounds in wanted) if table.key else ""
    return _count_default(engine, table, f"WHERE {conditions}") if conditions else 0


def count_all_default_rows(engine: Engine, table: PartitionedTable) -> int | None:
    """How many rows the DEFAULT partition holds, at most COUNTED_ROWS; None where they can't be counted just now."""
    try:
        return _count_default(engine, table, "", timeout_ms=GLANCE_MS)
    except DeskError:
        return None  # busy, or not for this role to read: no reason to show nothing else


def count_covered_by_default(engine: Engine, coverage: Coverage, *, timeout_ms: int = GLANCE_MS) -> int | None:
    """The same of a table known by its coverage alone."""
    if not coverage.default:
        return 0
    some = f"SELECT count(*) AS found FROM (SELECT 1 FROM ONLY {coverage.default} LIMIT {COUNTED_ROWS}) rows"
    try:
        return int(_read_rows(engine, some, timeout_ms).found)
    except DeskError:
        return None


def _count_default(engine: Engine, table: PartitionedTable, where: str, *, timeout_ms: int = ROWS_TIMEOUT_MS) -> int:
    if table.default is None:
        return 0
    row = _read_rows(
        engine,
        f"SELECT count(*) AS found FROM (SELECT 1 FROM ONLY {table.default.sql} {where} LIMIT {COUNTED_ROWS}) rows",
        timeout_ms,
    )
    return int(row.found)
