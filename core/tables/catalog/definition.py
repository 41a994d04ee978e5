"""Reads the whole definition of one table, for what makes it anew: migrations, backups and restores.

Everything is read on the caller's connection, inside its transaction, so that it holds as long as the lock does. The
session must print qualified names (search_path = pg_catalog).
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from core.errors import TableNotFound
from core.names import literal
from core.postgres.capabilities import CAPABILITIES, Capabilities, capabilities_of
from core.postgres.session import Row, rows_of
from core.tables.catalog.tied import read_dependents, read_tied
from core.tables.definition import (
    Child,
    Constraint,
    DefinedColumn,
    DefinedIndex,
    Definition,
    Grant,
    IncomingKey,
    OwnedSequence,
    Policy,
    Publication,
    Rights,
    Statistics,
    Trigger,
)


def _acl(acl: str) -> str:
    """A JSON list of [grantee, privilege, grantable] in the list's own order; NULL where `acl` is."""
    return f"""
    (SELECT json_agg(json_build_array(coalesce(g.rolname, ''), x.privilege_type, x.is_grantable) ORDER BY x.n)
     FROM pg_catalog.aclexplode({acl}) WITH ORDINALITY x(grantor, grantee, privilege_type, is_grantable, n)
     LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee)
    """


def _rights(kind: str, default_kind: str, creator: str) -> str:
    """Columns acl, limited, by_default, regranted of the relation c; kinds as in acldefault() and pg_default_acl."""
    return f"""
    {_acl("c.relacl")} AS acl,
    c.relacl IS NOT NULL AND EXISTS (
        SELECT 1 FROM pg_catalog.aclexplode(pg_catalog.acldefault('{kind}', c.relowner)) d WHERE d.grantee = c.relowner
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(c.relacl) x
                WHERE x.grantee = c.relowner AND x.privilege_type = d.privilege_type)) AS limited,
    (SELECT json_agg(DISTINCT coalesce(g.rolname, '')) FROM pg_catalog.pg_default_acl d,
            pg_catalog.aclexplode(d.defaclacl) x LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee
        WHERE d.defaclobjtype = '{default_kind}' AND d.defaclnamespace IN (0, c.relnamespace)
            AND d.defaclrole = {creator} AND x.grantee <> {creator} AND x.grantee <> c.relowner) AS by_default,
    EXISTS (SELECT 1 FROM pg_catalog.aclexplode(c.relacl) x WHERE x.grantor <> c.relowner) AS regranted
    """


def _rights_value(row: Row) -> Rights:
    grants = None if row.acl is None else tuple(Grant(*one) for one in row.acl)
    return Rights(grants, row.limited, tuple(row.by_default or ()))


_OPTIONS = """
    (SELECT json_agg(o.option) FROM (SELECT unnest(c.reloptions) AS option
        UNION ALL SELECT 'toast.' || unnest(o.reloptions) FROM pg_catalog.pg_class o WHERE o.oid = c.reltoastrelid) o)
"""

_TABLE = """
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relispartition, c.relreplident,
    c.relrowsecurity, c.relforcerowsecurity, c.reloftype <> 0 AS typed, ts.spcname, am.amname,
    pg_catalog.pg_get_userbyid(c.relowner) AS owner, current_user AS role,
    pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
    {capabilities},
    EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid) AS ruled,
    EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) AS inherits,
    EXISTS (SELECT 1 FROM pg_catalog.pg_seclabel l
        WHERE l.classoid = 'pg_catalog.pg_class'::regclass AND l.objoid = c.oid) AS labelled,
    EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS extension,
    CASE WHEN p.partstrat = 'r' AND p.partnatts = 1 THEN ka.attname END AS key_column,
    {options} AS options, {rights}
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = c.reltablespace
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
LEFT JOIN pg_catalog.pg_attribute ka ON ka.attrelid = c.oid AND ka.attnum = p.partattrs[0]
WHERE n.nspname = {schema} AND c.relname = {name} AND c.relkind IN ('r', 'p')
"""


def read_definition(connection: Connection, schema: str, name: str) -> Definition:
    """The definition of `schema`.`name`, plain or partitioned. Raises TableNotFound."""
    creator = "(SELECT u.oid FROM pg_catalog.pg_roles u WHERE u.rolname = current_user)"
    sql = _TABLE.format(
        capabilities=CAPABILITIES,
        options=_OPTIONS,
        rights=_rights("r", "r", creator),
        schema=literal(schema),
        name=literal(name),
    )
    found = rows_of(connection, sql)
    if not found:
        raise TableNotFound(f"There is no table {schema}.{name}.", next="Check the name, its capitals and its schema.")
    row = found[0]
    children = _children(connection, row.oid) if row.relkind == "p" else ()
    return Definition(
        oid=row.oid,
        schema=row.nspname,
        name=row.relname,
        owner=row.owner,
        user=row.role,
        partitioned=row.relkind == "p",
        key=row.key_column,
        columns=_columns(connection, row.oid),
        sequences=_sequences(connection, row.oid),
        constraints=_constraints(connection, row.oid),
        indexes=_indexes(connection, row.oid),
        incoming=_incoming(connection, row.oid),
        triggers=_triggers(connection, row.oid),
        policies=_policies(connection, row.oid),
        statistics=_statistics(connection, row.oid),
        publications=_publications(connection, row.oid, capabilities_of(row)),
        children=children,
        rights=_rights_value(row),
        regranted=row.regranted,
        row_security=row.relrowsecurity,
        row_security_forced=row.relforcerowsecurity,
        replica_identity=row.relreplident,
        reloptions=tuple(row.options or ()),
        tablespace=row.spcname or "",
        unlogged=row.relpersistence == "u",
        comment=row.comment,
        dependents=read_dependents(connection, row.oid),
        tied=read_tied(connection, row.oid),
        oddities=tuple(_oddities(row)),
    )


def _oddities(row: Row) -> Iterable[str]:
    if row.relpersistence != "p":
        yield "It is unlogged or temporary: a partitioned table can't be."
    if row.relispartition:
        yield "It is itself a partition of another table."
    elif row.relkind == "r" and row.inherits:
        yield "It takes part in table inheritance."
    if row.typed:
        yield "It is a typed table (CREATE TABLE ... OF)."
    if row.amname not in (None, "heap"):
        yield f"Its rows are stored by the access method {row.amname}."
    if row.ruled:
        yield "It has rewrite rules. Turn them into triggers, or drop them, first."
    if row.labelled:
        yield "It has security labels, which would be lost."
    if row.extension:
        yield "It belongs to an extension."
    if row.citus:
        yield "The server runs Citus, on which this migration is not supported."


_COLUMNS = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull,
    a.attgenerated <> '' AS generated,
    nullif(a.attstattarget, -1) AS statistics, to_json(a.attoptions::text[]) AS attoptions, {acl} AS acl
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


def _columns(connection: Connection, oid: int) -> tuple[DefinedColumn, ...]:
    return tuple(
        DefinedColumn(
            name=row.attname,
            type=row.type,
            not_null=row.attnotnull,
            generated=row.generated,
            statistics=row.statistics,
            attoptions=tuple(row.attoptions or ()),
            grants=tuple(Grant(*one) for one in row.acl or ()),
        )
        for row in rows_of(connection, _COLUMNS.format(acl=_acl("a.attacl"), oid=oid))
    )


_SEQUENCES = """
SELECT n.nspname, c.relname, a.attname,
    CASE WHEN d.deptype = 'a' THEN '' WHEN a.attidentity = 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END AS identity,
    pg_catalog.format('START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s', s.seqstart, s.seqincrement,
        s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) AS options,
    pg_catalog.obj_description(c.oid, 'pg_class') AS comment, {rights}
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
    AND d.refobjid = {oid} AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
ORDER BY a.attnum, c.relname
"""


def _sequences(connection: Connection, oid: int) -> tuple[OwnedSequence, ...]:
    sql = _SEQUENCES.format(rights=_rights("s", "S", "c.relowner"), oid=oid)
    return tuple(
        OwnedSequence(row.nspname, row.relname, row.attname, row.identity, row.options, _rights_value(row), row.comment)
        for row in rows_of(connection, sql)
    )


def _names(numbers: str, table: str) -> str:
    """A JSON list of the columns of `table` whose numbers stand in the array `numbers`."""
    return f"""
    (SELECT json_agg(coalesce(a.attname, '') ORDER BY u.n) FROM unnest({numbers}) WITH ORDINALITY u(num, n)
     LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = {table} AND a.attnum = u.num)
    """


_CONSTRAINTS = """
SELECT k.conname, k.contype, pg_catalog.pg_get_constraintdef(k.oid) AS definition, {columns} AS columns, k.convalidated,
    k.contype IN ('c', 'n') AND k.connoinherit AS no_inherit,
    pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment,
    CASE WHEN k.confrelid = k.conrelid THEN {referenced} END AS to_itself
FROM pg_catalog.pg_constraint k
WHERE k.conrelid = {oid} AND k.contype IN ('p', 'u', 'f', 'c', 'x', 'n') AND k.conparentid = 0
ORDER BY k.contype = 'p' DESC, k.contype, k.conname
"""


def _constraints(connection: Connection, oid: int) -> tuple[Constraint, ...]:
    sql = _CONSTRAINTS.format(
        columns=_names("k.conkey", "k.conrelid"), referenced=_names("k.confkey", "k.confrelid"), oid=oid
    )
    return tuple(
        Constraint(
            name=row.conname,
            kind=row.contype,
            definition=row.definition,
            columns=tuple(row.columns or ()),
            validated=row.convalidated,
            no_inherit=row.no_inherit,
            comment=row.comment,
            to_itself=tuple(row.to_itself or ()),
        )
        for row in rows_of(connection, sql)
    )


_INDEXES = """
SELECT ic.relname, x.indisunique, x.indpred IS NOT NULL AS partial, x.indisvalid, x.indisclustered, ts.spcname,
    pg_catalog.obj_description(ic.oid, 'pg_class') AS comment,
    EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
        WHERE k.conindid = ic.oid AND k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x')) AS under_constraint,
    (SELECT json_agg(coalesce(a.attname, '') ORDER BY u.n) FROM unnest(x.indkey) WITH ORDINALITY u(num, n)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.num
        WHERE u.n <= x.indnkeyatts) AS columns,
    pg_catalog.substr(pg_catalog.pg_get_indexdef(ic.oid),
        pg_catalog.length(pg_catalog.format('CREATE %sINDEX %I ON %s%I.%I ', CASE WHEN x.indisunique THEN 'UNIQUE ' END,
            ic.relname, CASE WHEN c.relkind = 'p' THEN 'ONLY ' END, n.nspname, c.relname)) + 1) AS tail
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = ic.reltablespace
WHERE x.indrelid = {oid}
ORDER BY ic.relname
"""


def _indexes(connection: Connection, oid: int) -> tuple[DefinedIndex, ...]:
    return tuple(
        DefinedIndex(
            name=row.relname,
            tail=row.tail,
            columns=tuple(row.columns),
            unique=row.indisunique,
            partial=row.partial,
            valid=row.indisvalid,
            constraint=row.under_constraint,
            comment=row.comment,
            tablespace=row.spcname or "",
            clustered=row.indisclustered,
        )
        for row in rows_of(connection, _INDEXES.format(oid=oid))
    )


_INCOMING = """
SELECT k.conname, pg_catalog.format('%I.%I', n.nspname, c.relname) AS other,
    pg_catalog.pg_get_constraintdef(k.oid) AS definition, {columns} AS columns,
    pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
    pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.confrelid = {oid} AND k.conrelid <> {oid} AND k.contype = 'f' AND k.conparentid = 0
ORDER BY n.nspname, c.relname, k.conname
"""


def _incoming(connection: Connection, oid: int) -> tuple[IncomingKey, ...]:
    sql = _INCOMING.format(columns=_names("k.confkey", "k.confrelid"), oid=oid)
    return tuple(
        IncomingKey(row.conname, row.other, row.definition, tuple(row.columns), row.owned, row.comment)
        for row in rows_of(connection, sql)
    )


_TRIGGERS = """
SELECT t.tgname, pg_catalog.pg_get_triggerdef(t.oid) AS definition, t.tgenabled,
    (t.tgtype & 1) = 1 AND (t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL) AS reads_rows,
    pg_catalog.obj_description(t.oid, 'pg_trigger') AS comment
FROM pg_catalog.pg_trigger t
WHERE t.tgrelid = {oid} AND NOT t.tgisinternal AND t.tgparentid = 0
ORDER BY t.tgname
"""


def _triggers(connection: Connection, oid: int) -> tuple[Trigger, ...]:
    return tuple(
        Trigger(row.tgname, row.definition, row.tgenabled, row.reads_rows, row.comment)
        for row in rows_of(connection, _TRIGGERS.format(oid=oid))
    )


_POLICIES = """
SELECT p.polname, pg_catalog.obj_description(p.oid, 'pg_policy') AS comment,
    pg_catalog.format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s', p.polname, n.nspname, c.relname,
        CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
        CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
            ELSE 'ALL' END,
        (SELECT string_agg(coalesce(pg_catalog.quote_ident(g.rolname), 'PUBLIC'), ', ')
            FROM unnest(p.polroles) u(role) LEFT JOIN pg_catalog.pg_roles g ON g.oid = u.role))
        || coalesce(' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
        || coalesce(' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', '') AS definition
FROM pg_catalog.pg_policy p
JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.polrelid = {oid}
ORDER BY p.polname
"""


def _policies(connection: Connection, oid: int) -> tuple[Policy, ...]:
    return tuple(
        Policy(row.polname, row.definition, row.comment) for row in rows_of(connection, _POLICIES.format(oid=oid))
    )


_STATISTICS = """
SELECT n.nspname, s.stxname, pg_catalog.pg_get_userbyid(s.stxowner) AS owner, nullif(s.stxstattarget, -1) AS target,
    pg_catalog.pg_get_statisticsobjdef(s.oid) AS definition,
    pg_catalog.obj_description(s.oid, 'pg_statistic_ext') AS comment
FROM pg_catalog.pg_statistic_ext s
JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
WHERE s.stxrelid = {oid}
ORDER BY n.nspname, s.stxname
"""


def _statistics(connection: Connection, oid: int) -> tuple[Statistics, ...]:
    return tuple(
        Statistics(row.nspname, row.stxname, row.owner, row.definition, row.target, row.comment)
        for row in rows_of(connection, _STATISTICS.format(oid=oid))
    )


_PUBLICATIONS = """
SELECT p.pubname, p.pubviaroot, pg_catalog.pg_has_role(p.pubowner, 'USAGE') AS owned, {columns} AS columns,
    {condition} AS condition
FROM pg_catalog.pg_publication_rel r
JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
WHERE r.prrelid = {oid}
ORDER BY p.pubname
"""


def _publications(connection: Connection, oid: int, can: Capabilities) -> tuple[Publication, ...]:
    narrow = can.narrow_publications
    sql = _PUBLICATIONS.format(
        columns=_names("r.prattrs", "r.prrelid") if narrow else "NULL",
        condition="pg_catalog.pg_get_expr(r.prqual, r.prrelid)" if narrow else "NULL",
        oid=oid,
    )
    return tuple(
        Publication(row.pubname, row.pubviaroot, row.owned, tuple(row.columns or ()), row.condition or "")
        for row in rows_of(connection, sql)
    )


# What a partition has that its parent has not: PostgreSQL marks the parent's in tgparentid and pg_inherits.
_CHILDREN = """
SELECT n.nspname, c.relname, c.relkind, i.inhdetachpending, {options} AS options,
    (SELECT json_agg(e.what ORDER BY e.what) FROM (
        SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, x.indexrelid, 0) AS what
            FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_inherits h WHERE h.inhrelid = x.indexrelid)
        UNION ALL
        SELECT pg_catalog.pg_describe_object('pg_catalog.pg_trigger'::regclass, t.oid, 0)
            FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgparentid = 0
        UNION ALL
        SELECT pg_catalog.pg_describe_object('pg_catalog.pg_policy'::regclass, p.oid, 0)
            FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid
        UNION ALL
        SELECT pg_catalog.pg_describe_object('pg_catalog.pg_statistic_ext'::regclass, s.oid, 0)
            FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = c.oid
        UNION ALL
        SELECT DISTINCT 'rights of ' || coalesce(g.rolname, 'PUBLIC') || ' on ' || c.oid::regclass::text
            FROM pg_catalog.aclexplode(c.relacl) x LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee
            WHERE x.grantee <> c.relowner
    ) e) AS extras
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = {oid}
ORDER BY n.nspname, c.relname
"""


def _children(connection: Connection, oid: int) -> tuple[Child, ...]:
    return tuple(
        Child(
            schema=row.nspname,
            name=row.relname,
            kind=row.relkind,
            pending=row.inhdetachpending,
            reloptions=tuple(row.options or ()),
            extras=tuple(row.extras or ()),
        )
        for row in rows_of(connection, _CHILDREN.format(options=_OPTIONS, oid=oid))
    )
