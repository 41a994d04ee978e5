"""Whether a publication sends the console's own tables, schema partition_desk: a subscriber without them stops.

Before they are made, a publication FOR ALL TABLES or FOR TABLES IN SCHEMA partition_desk tells that it will.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import JournalPublished
from core.names import literal
from core.postgres.connection import session, translate
from core.postgres.session import rows_of

OWN_SCHEMA = "partition_desk"

MAKE_THERE = (
    "Run the SQL that partitions journal prints on every subscriber first, then on this database as the role that"
    " the console connects as: a table that is there already is no surprise to anybody, and acts go on. Looking"
    " needs none of it."
)

_HAS_SCHEMAS = "SELECT pg_catalog.to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL AS has"

_WILL_SEND = """
SELECT p.pubname FROM pg_catalog.pg_publication p
WHERE (p.pubinsert OR p.pubupdate OR p.pubdelete) AND (p.puballtables{schemas}) ORDER BY 1
"""

# Since 15.
_SCHEMAS = """ OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_namespace s
    JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid AND n.nspname = {schema})"""

_SENDS = """
SELECT DISTINCT p.pubname FROM pg_catalog.pg_publication p
    CROSS JOIN LATERAL pg_catalog.pg_get_publication_tables(p.pubname) t
    JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (p.pubinsert OR p.pubupdate OR p.pubdelete) AND n.nspname = 'partition_desk' ORDER BY 1
"""


def will_send(connection: Connection, schema: str = OWN_SCHEMA) -> tuple[str, ...]:
    """The publications that a new table of the schema is in as soon as it is made."""
    schemas = _SCHEMAS.format(schema=literal(schema)) if rows_of(connection, _HAS_SCHEMAS)[0].has else ""
    return tuple(row.pubname for row in rows_of(connection, _WILL_SEND.format(schemas=schemas)))


def sends(connection: Connection) -> tuple[str, ...]:
    """The publications that a table of the schema partition_desk is in."""
    return tuple(row.pubname for row in rows_of(connection, _SENDS))


def why_not(publications: Iterable[str]) -> str:
    """What the first row of a table of ours does where these publications are."""
    names = ", ".join(publications)
    return (
        f"The console's own tables, schema {OWN_SCHEMA}, are not there yet, and the publication {names} would send"
        " their rows: a subscriber that lacks them stops at the first, for all its tables."
    )


def require_unpublished(connection: Connection) -> None:
    """Raises JournalPublished where making a table of ours would put it into a publication."""
    found = will_send(connection)
    if found:
        raise JournalPublished(why_not(found), next=MAKE_THERE)


def read_publishing(engine: Engine, *, made: bool) -> tuple[str, ...]:
    """The publications that send the console's own tables, or would once they are made."""
    with session(engine) as connection:
        try:
            return sends(connection) if made else will_send(connection)
        except DBAPIError as error:
            raise translate(error) from error
