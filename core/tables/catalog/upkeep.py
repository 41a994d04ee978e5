"""Reads from pg_partman's configuration what it does with a table by itself."""

from __future__ import annotations

from sqlalchemy import Connection

from core.names import ident, literal, qualified
from core.postgres.session import Row, rows_of
from core.tables.upkeep import Upkeep

# Anybody may make a table of that name: it counts where the extension owns it, or who could change the table anyway.
# A policy on it would run its owner's functions with the rights of whoever reads it.
_CONFIGURED = """
SELECT n.nspname, e.extversion, pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable,
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
        AND a.atttypid IN ('pg_catalog.text'::regtype, 'pg_catalog.int4'::regtype, 'pg_catalog.bool'::regtype))
        AS columns
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_partman'
WHERE c.relname = 'part_config' AND c.relkind = 'r' AND NOT c.relrowsecurity
    AND (e.oid IS NOT NULL OR r.rolsuper OR c.relowner = {owner})
ORDER BY e.oid IS NULL, n.nspname
"""
_NAMED = ("parent_table", "premake", "retention", "retention_schema", "retention_keep_table")
"""What is read of it, by the names that both pg_partman 4 and 5 have."""


def read_partman(connection: Connection, table: Row) -> Upkeep | None:
    """What pg_partman does with a table; None where it is not there, or has nothing to do with it."""
    unread: Upkeep | None = None
    for row in rows_of(connection, _CONFIGURED.format(owner=int(table.relowner))):
        tool = f"pg_partman {row.extversion}" if row.extversion else "pg_partman"
        notes = qualified(row.nspname, "part_config")
        if not set(_NAMED) <= set(row.columns):
            continue
        if not row.readable:
            unread = unread or Upkeep(tool, notes=notes, unread=True)
            continue
        columns = ", ".join(map(ident, _NAMED[1:]))
        named = literal(f"{table.nspname}.{table.relname}")
        for found in rows_of(connection, f"SELECT {columns} FROM {notes} WHERE parent_table = {named}"):
            kept = found.retention_keep_table or bool(found.retention_schema)
            return Upkeep(
                tool, found.premake, found.retention or "", found.retention_schema or "", drops=not kept, notes=notes
            )
    return unread
