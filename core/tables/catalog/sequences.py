"""Reads the sequences that the partitions and the archived tables of one table own, and what else uses them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from core.names import ident
from core.postgres.session import rows_of
from core.tables.catalog.ownership import oid_array
from core.tables.structure import OwnSequence

# What depends on a sequence, and whose column's default that is. A default that names it in a text, as
# nextval('ids'::text) does, depends on nothing: only the parent's are looked through for the name.
_SEQUENCES = """
WITH own AS MATERIALIZED (
    SELECT d.refobjid AS owner, d.refobjsubid AS num, d.deptype = 'i' AS identity, s.oid, s.relname, s.relnamespace
    FROM pg_catalog.pg_class s
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = s.oid AND d.objsubid = 0
        AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    WHERE s.relkind = 'S' AND (d.refobjid = ANY ({others})
        OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = d.refobjid AND i.inhparent = {parent}))),
texts AS (
    SELECT f.adnum, pg_catalog.pg_get_expr(f.adbin, 0) AS text FROM pg_catalog.pg_attrdef f
    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated = ''
    WHERE f.adrelid = {parent})
SELECT own.owner, n.nspname, own.relname, a.attname AS column, own.identity, used.users, used.kin,
    (SELECT pa.attname FROM pg_catalog.pg_attribute pa WHERE pa.attrelid = {parent} AND pa.attnum = coalesce(
        used.heir, (SELECT t.adnum FROM texts t WHERE t.text LIKE '%nextval(%'
            AND pg_catalog.strpos(t.text, pg_catalog.quote_ident(own.relname)) > 0 LIMIT 1))) AS served,
    (SELECT pa.attname FROM pg_catalog.pg_attribute pa WHERE pa.attrelid = {parent} AND pa.attname = a.attname
        AND NOT pa.atthasdef AND pa.attidentity = '') AS namesake,
    p.relnamespace = own.relnamespace AND p.relowner = o.relowner AS may_inherit
FROM own
JOIN pg_catalog.pg_class o ON o.oid = own.owner
JOIN pg_catalog.pg_class p ON p.oid = {parent}
JOIN pg_catalog.pg_namespace n ON n.oid = own.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = own.owner AND a.attnum = own.num
CROSS JOIN LATERAL (
    SELECT json_agg(pg_catalog.pg_describe_object(u.classid, u.objid, u.objsubid) ORDER BY f.adrelid) AS users,
        bool_or(f.adrelid = {parent} OR i.inhparent = {parent}) AS kin,
        min(f.adnum) FILTER (WHERE f.adrelid = {parent}) AS heir
    FROM pg_catalog.pg_depend u
    LEFT JOIN pg_catalog.pg_attrdef f ON u.classid = 'pg_catalog.pg_attrdef'::regclass AND f.oid = u.objid
    LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = f.adrelid
    WHERE u.refclassid = 'pg_catalog.pg_class'::regclass AND u.refobjid = own.oid AND u.deptype = 'n'
        AND f.adrelid IS DISTINCT FROM own.owner) used
ORDER BY own.owner, n.nspname, own.relname
"""


def read_sequences(connection: Connection, parent: int, others: Iterable[int]) -> dict[int, tuple[OwnSequence, ...]]:
    """By oid: the sequences of the partitions of a table, and of the tables `others`. Raises DBAPIError."""
    found: dict[int, tuple[OwnSequence, ...]] = {}
    for row in rows_of(connection, _SEQUENCES.format(parent=parent, others=oid_array(others))):
        users = tuple(row.users or ())
        if row.served is not None and not users:
            users = (f"the default of the table's column {ident(row.served)}",)
        heir = row.served or (row.namesake if row.kin else None)
        one = OwnSequence(
            row.nspname,
            row.relname,
            row.column,
            row.identity,
            heir,
            row.may_inherit,
            users,
        )
        found[row.owner] = (*found.get(row.owner, ()), one)
    return found
