"""Reads what roles may do to a table, to what is archived and to the console's own tables, and what they own there."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.names import literal
from core.postgres.connection import session, translate
from core.postgres.publications import OWN_SCHEMA
from core.postgres.session import Row, reading, rows_of
from core.tables.powers import Connected, Estate, Powers, Relation

_CONNECTED = """
SELECT {role}::text AS name, bool_or(r.rolsuper) AS is_superuser, bool_or(r.rolbypassrls) AS bypasses,
    bool_or(r.rolcreaterole) AS makes_roles, bool_or(r.rolreplication) AS replicates,
    array_agg(r.rolname::text ORDER BY r.rolname) FILTER (WHERE r.rolname IN ('pg_read_all_data', 'pg_write_all_data',
        'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')) AS predefined,
    pg_catalog.has_table_privilege({role}, {oid}::oid, 'SELECT') AS may_read,
    pg_catalog.has_table_privilege({role}, {oid}::oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS may_write
FROM pg_catalog.pg_roles r WHERE pg_catalog.pg_has_role({role}, r.oid, 'MEMBER')
"""

# Relations with the same owner and the same grants are asked once: an archive may have thousands.
_OTHERS = """
WITH kept AS (
    SELECT DISTINCT ON (n.nspname, c.relowner, c.relacl::text) n.nspname, c.oid, c.relowner
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ({archive}, {own}) AND c.relkind IN ('r', 'p')
), asked AS (
    SELECT r.oid, r.rolname FROM pg_catalog.pg_roles r
    WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolname <> ALL ({connected}::name[])
)
SELECT a.rolname::text AS name,
    a.oid <> t.relowner AND pg_catalog.pg_has_role(a.oid, t.relowner, 'MEMBER') AS over_table,
    EXISTS (SELECT FROM kept k WHERE k.nspname = {own} AND {writes}) AS over_journal,
    EXISTS (SELECT FROM kept k WHERE k.nspname = {archive} AND a.oid <> k.relowner AND {writes}) AS over_archive
FROM asked a CROSS JOIN pg_catalog.pg_class t WHERE t.oid = {oid} ORDER BY a.rolname
"""
_WRITES = "pg_catalog.has_table_privilege(a.oid, k.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')"


def read_powers(engine: Engine, oid: int, *, archive_schema: str, reads_as: str | None = None) -> Powers:
    """Of the role that the engine connects as, of the one that reads, and of all others, over the table of that oid."""
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=None):
                acting = str(rows_of(connection, "SELECT current_user AS name")[0].name)
                names = [acting] if reads_as in (None, acting) else [acting, str(reads_as)]
                asked = [rows_of(connection, _CONNECTED.format(role=literal(one), oid=oid))[0] for one in names]
                others = rows_of(
                    connection,
                    _OTHERS.format(
                        archive=literal(archive_schema),
                        own=literal(OWN_SCHEMA),
                        connected=f"ARRAY[{', '.join(map(literal, names))}]",
                        writes=_WRITES,
                        oid=oid,
                    ),
                )
        except DBAPIError as error:
            raise translate(error) from error
    return Powers(
        connected=tuple(_connected(row, reads=number > 0) for number, row in enumerate(asked)),
        over_table=tuple(row.name for row in others if row.over_table),
        over_journal=tuple(row.name for row in others if row.over_journal),
        over_archive=tuple(row.name for row in others if row.over_archive),
    )


def _connected(row: Row, *, reads: bool) -> Connected:
    if row.is_superuser:
        return Connected(row.name, ("is a superuser",))
    beyond = {
        "may pass row security by": row.bypasses,
        "may make roles": row.makes_roles,
        "may replicate": row.replicates,
        "may read rows": reads and row.may_read,
        "may write rows": reads and row.may_write,
    }
    member = tuple(f"is a member of {name}" for name in row.predefined or ())
    return Connected(row.name, (*(word for word, found in beyond.items() if found), *member))


# Every partitioned table with all below it, what is archived, and the console's own; no partition stands alone.
_ESTATE = """
WITH RECURSIVE tree AS (
    SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'p' AND NOT c.relispartition AND c.relpersistence <> 't'
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    UNION SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
), wanted AS (
    SELECT oid FROM tree
    UNION SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ({archive}, {own}) AND c.relkind IN ('r', 'p')
)
SELECT n.nspname::text AS schema, c.relname::text AS name, r.rolname::text AS owner, r.rolsuper AS is_superuser,
    pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') AS may_create,
    (SELECT array_agg(DISTINCT pg_catalog.format('%I.%I', fn.nspname, f.relname)) FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_class f ON f.oid = k.confrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
        WHERE k.conrelid = c.oid AND k.contype = 'f') AS referenced
FROM wanted w JOIN pg_catalog.pg_class c ON c.oid = w.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles r ON r.oid = c.relowner ORDER BY 1, 2
"""


def read_estate(engine: Engine, *, archive_schema: str, roles: tuple[str, ...]) -> Estate:
    """What two roles of these names are to have a part in."""
    asked = ", ".join(map(literal, roles))
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=None):
                rows = rows_of(connection, _ESTATE.format(archive=literal(archive_schema), own=literal(OWN_SCHEMA)))
                found = rows_of(
                    connection,
                    "SELECT pg_catalog.current_database()::text AS database, (SELECT array_agg(r.rolname::text)"
                    f" FROM pg_catalog.pg_roles r WHERE r.rolname IN ({asked})) AS roles",
                )[0]
        except DBAPIError as error:
            raise translate(error) from error
    return Estate(
        database=found.database,
        relations=tuple(Relation(row.schema, row.name, row.owner, row.is_superuser, row.may_create) for row in rows),
        referenced=tuple(dict.fromkeys(one for row in rows for one in row.referenced or ())),
        roles=frozenset(found.roles or ()),
    )
