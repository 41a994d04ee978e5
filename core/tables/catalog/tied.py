"""Reads what PostgreSQL ties to a table by its oid: what can follow its name to another table, and what can't."""

from __future__ import annotations

from sqlalchemy import Connection

from core.names import ident
from core.postgres.session import Row, rows_of
from core.tables.rebuild import with_options
from core.tables.tied import Tied

# Everything with a normal dependency on the table, its partitions, their row types and identity sequences, less what
# is made anew with it.
_HANGING = """
WITH rels AS (
    SELECT {oid}::oid AS oid UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = {oid}
), types AS (
    SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typrelid IN (SELECT oid FROM rels)
    UNION ALL SELECT t.typarray FROM pg_catalog.pg_type t WHERE t.typrelid IN (SELECT oid FROM rels)
), sources AS (
    SELECT 'pg_catalog.pg_class'::regclass AS classid, oid FROM rels
    UNION ALL SELECT 'pg_catalog.pg_type'::regclass, oid FROM types
    UNION ALL SELECT 'pg_catalog.pg_class'::regclass, d.objid FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
            AND d.refobjid IN (SELECT oid FROM rels) AND d.refobjsubid > 0 AND d.deptype = 'i'
), hanging AS (
SELECT d.classid, d.objid, CASE WHEN r.rulename = '_RETURN'
        THEN pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, r.ev_class, 0)
        ELSE pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END AS what,
    bool_and(d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = {oid}) AS alone
FROM pg_catalog.pg_depend d
JOIN sources s ON s.classid = d.refclassid AND s.oid = d.refobjid
LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
WHERE d.deptype = 'n'
    AND NOT coalesce(CASE d.classid
        WHEN 'pg_catalog.pg_rewrite'::regclass THEN r.ev_class IN (SELECT oid FROM rels)
        WHEN 'pg_catalog.pg_class'::regclass THEN d.objid IN (SELECT oid FROM rels) OR EXISTS (
            SELECT 1 FROM pg_catalog.pg_index x WHERE x.indexrelid = d.objid AND x.indrelid IN (SELECT oid FROM rels))
        WHEN 'pg_catalog.pg_constraint'::regclass THEN (SELECT k.conrelid IN (SELECT oid FROM rels)
            OR k.confrelid = {oid} OR k.conparentid <> 0 FROM pg_catalog.pg_constraint k WHERE k.oid = d.objid)
        WHEN 'pg_catalog.pg_attrdef'::regclass THEN (SELECT f.adrelid IN (SELECT oid FROM rels)
            FROM pg_catalog.pg_attrdef f WHERE f.oid = d.objid)
        WHEN 'pg_catalog.pg_policy'::regclass THEN (SELECT p.polrelid IN (SELECT oid FROM rels)
            FROM pg_catalog.pg_policy p WHERE p.oid = d.objid)
        WHEN 'pg_catalog.pg_trigger'::regclass THEN (SELECT t.tgrelid IN (SELECT oid FROM rels)
            FROM pg_catalog.pg_trigger t WHERE t.oid = d.objid)
        WHEN 'pg_catalog.pg_statistic_ext'::regclass THEN (SELECT e.stxrelid IN (SELECT oid FROM rels)
            FROM pg_catalog.pg_statistic_ext e WHERE e.oid = d.objid)
        WHEN 'pg_catalog.pg_publication_rel'::regclass THEN (SELECT b.prrelid = {oid}
            FROM pg_catalog.pg_publication_rel b WHERE b.oid = d.objid)
    END, false)
GROUP BY 1, 2, 3
)
"""

_DEPENDENTS = _HANGING + "SELECT DISTINCT what FROM hanging ORDER BY 1"

# A view of columns of the table's own row type hangs on that with its columns, and can't be replaced.
_TIED = (
    _HANGING
    + """
SELECT h.what, r.rulename, p.polname, n.nspname, c.relname, c.relkind, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
    to_json(c.reloptions) AS options, pg_catalog.rtrim(pg_catalog.pg_get_viewdef(c.oid), ';') AS view_body,
    pg_catalog.rtrim(pg_catalog.pg_get_ruledef(r.oid), ';') AS rule, pg_catalog.pg_get_functiondef(f.oid) AS function,
    pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS qual,
    pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS checked,
    pg_catalog.pg_has_role(coalesce(c.relowner, f.proowner), 'USAGE')
        AND (p.oid IS NOT NULL OR pg_catalog.has_schema_privilege(coalesce(c.relnamespace, f.pronamespace), 'CREATE'))
        AS owned,
    EXISTS (SELECT 1 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_constraint k ON k.oid = d.refobjid
        WHERE d.classid = h.classid AND d.objid = h.objid AND d.refclassid = 'pg_catalog.pg_constraint'::regclass
            AND k.conrelid = {oid}) AS grouped,
    (SELECT pg_catalog.format('ONLY %I.%I', s.nspname, t.relname) FROM pg_catalog.pg_class t
        JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace WHERE t.oid = {oid}) AS alone
FROM hanging h
LEFT JOIN pg_catalog.pg_rewrite r ON h.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = h.objid
LEFT JOIN pg_catalog.pg_policy p ON h.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = h.objid
LEFT JOIN pg_catalog.pg_proc f ON h.classid = 'pg_catalog.pg_proc'::regclass AND f.oid = h.objid
    AND f.prosqlbody IS NOT NULL AND f.prokind IN ('f', 'p')
LEFT JOIN pg_catalog.pg_class c ON c.oid = coalesce(r.ev_class, p.polrelid)
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE h.alone AND (f.oid IS NOT NULL OR c.relpersistence <> 't' AND c.relkind <> 'm')
    AND NOT EXISTS (SELECT 1 FROM hanging other JOIN pg_catalog.pg_class v ON v.oid = other.objid
        AND other.classid = 'pg_catalog.pg_class'::regclass WHERE v.oid = r.ev_class)
ORDER BY h.what
"""
)


def read_dependents(connection: Connection, oid: int) -> tuple[str, ...]:
    """All that hangs on the table from outside, in PostgreSQL's words."""
    return tuple(row.what for row in rows_of(connection, _DEPENDENTS.format(oid=oid)))


def read_tied(connection: Connection, oid: int) -> tuple[Tied, ...]:
    """What of that can follow the table's name."""
    return tuple(_tied(row) for row in rows_of(connection, _TIED.format(oid=oid)))


def _tied(row: Row) -> Tied:
    if row.function is not None:
        return Tied(row.what, row.function.rstrip(), "", "", row.owned, row.grouped, row.alone in row.function)
    relation = f"{ident(row.nspname)}.{ident(row.relname)}"
    lock = f"LOCK TABLE ONLY {relation} IN ACCESS EXCLUSIVE MODE"
    if row.relkind == "v":  # LOCK TABLE would take all that it reads, too
        lock = f"ALTER VIEW {relation} OWNER TO {ident(row.owner)}"
    if row.rulename == "_RETURN":
        again = f"CREATE OR REPLACE VIEW {relation}{with_options(tuple(row.options or ()))} AS\n{row.view_body}"
    elif row.rulename is not None:
        again = row.rule.replace("CREATE RULE", "CREATE OR REPLACE RULE", 1)
    else:
        again = f"ALTER POLICY {ident(row.polname)} ON {relation}"
        again += f" USING ({row.qual})" if row.qual is not None else ""
        again += f" WITH CHECK ({row.checked})" if row.checked is not None else ""
    return Tied(row.what, again, relation, lock, row.owned, row.grouped, row.alone in again)
