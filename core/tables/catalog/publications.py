"""Reads which publications send a table, its partitions or what is archived from it, and what fills it."""

from __future__ import annotations

from sqlalchemy import Connection

from core.postgres.capabilities import Capabilities
from core.postgres.session import rows_of
from core.tables.publication import Publication

# What a later server knows of a publication, such as tables that FOR ALL TABLES leaves out, is asked by its name in
# JSON: an older one answers with nothing.
_PUBLICATIONS = """
SELECT p.pubname, p.puballtables, p.pubviaroot, {schemas} AS schemas, pg_catalog.array_agg(r.prrelid::bigint)
        FILTER (WHERE r.prrelid IS NOT NULL AND NOT coalesce((pg_catalog.to_jsonb(r) ->> 'prexcept')::boolean, false))
        AS tables,
    coalesce(pg_catalog.bool_or(r.prrelid = {parent} AND (pg_catalog.to_jsonb(r) ->> 'prexcept')::boolean), false)
        AS left_out
FROM pg_catalog.pg_publication p LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
WHERE p.pubinsert OR p.pubupdate OR p.pubdelete
GROUP BY p.oid, p.pubname, p.puballtables, p.pubviaroot ORDER BY p.pubname
"""

# FOR TABLES IN SCHEMA came with 15.
_SCHEMAS = """(SELECT pg_catalog.array_agg(n.nspname::text) FROM pg_catalog.pg_publication_namespace s
    JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid)"""


def publications_of(connection: Connection, parent: int, schema: str, can: Capabilities) -> tuple[Publication, ...]:
    """The publications that send changes of rows, and how each is about the table `parent` in `schema`."""
    sql = _PUBLICATIONS.format(schemas=_SCHEMAS if can.narrow_publications else "NULL::text[]", parent=parent)
    return tuple(
        Publication(
            name=row.pubname,
            parent=(row.puballtables and not row.left_out)
            or schema in (row.schemas or ())
            or parent in (row.tables or ()),
            via_root=row.pubviaroot,
            all_tables=row.puballtables and not row.left_out,
            schemas=tuple(row.schemas or ()),
            tables=tuple(row.tables or ()),
        )
        for row in rows_of(connection, sql)
    )


_SUBSCRIPTIONS = """
SELECT DISTINCT s.subname FROM pg_catalog.pg_subscription s
    JOIN pg_catalog.pg_subscription_rel r ON r.srsubid = s.oid
    LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.srrelid
WHERE {parent} IN (r.srrelid, i.inhparent) ORDER BY 1
"""


def subscriptions_of(connection: Connection, parent: int) -> tuple[str, ...]:
    """The subscriptions that write into the table `parent` or its partitions."""
    return tuple(row.subname for row in rows_of(connection, _SUBSCRIPTIONS.format(parent=parent)))
