"""What roles of the server may do to the tables and the console's own schemas, and what the console's need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.names import ident, qualified
from core.postgres.publications import OWN_SCHEMA


@dataclass(frozen=True, slots=True)
class Connected:
    """A role that the console connects as."""

    name: str
    beyond: tuple[str, ...]
    """What it may beyond need, as words after "it": is a superuser, may make roles."""


@dataclass(frozen=True, slots=True)
class Powers:
    """What the connected roles may beyond need, and who else may change what the console rests on."""

    connected: tuple[Connected, ...]
    """The one that acts, and the one that reads where that is another."""
    over_table: tuple[str, ...]
    """Roles with a login, no superusers, that may act for the owner of the table without being it."""
    over_journal: tuple[str, ...]
    """Those that may write the console's own tables."""
    over_archive: tuple[str, ...]
    """Those that may write archived tables without owning them."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table that a role which acts has to own: of a partitioned one, of the archive, or of the console's own."""

    schema: str
    name: str
    owner: str
    owner_is_superuser: bool
    owner_may_create: bool
    """Whether its owner may make tables in its schema, as PostgreSQL asks of whoever is given one there."""

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Estate:
    """All that two roles of the console's are to have a part in."""

    database: str
    relations: tuple[Relation, ...]
    referenced: tuple[str, ...]
    """What foreign keys of theirs refer to, quoted and qualified."""
    roles: frozenset[str]
    """Those of the two that are there already."""


def grants(estate: Estate, *, reading: str, acting: str, archive_schema: str) -> Iterator[str]:
    """The statements that make a role that reads the catalog and sizes, and no rows, and one that acts.

    Of tables that a superuser owns the role that acts becomes the owner, as PostgreSQL lets nobody else attach and
    detach; of any other owner it becomes a member, and the application goes on as it is.
    """
    own = [one for one in estate.relations if one.schema == OWN_SCHEMA]
    theirs = [one for one in estate.relations if one.schema != OWN_SCHEMA]
    plain = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    yield from (f"CREATE ROLE {ident(role)} {plain}" for role in (reading, acting) if role not in estate.roles)
    yield f"GRANT CONNECT ON DATABASE {ident(estate.database)} TO {ident(reading)}, {ident(acting)}"
    for schema in (archive_schema, OWN_SCHEMA):
        yield f"CREATE SCHEMA IF NOT EXISTS {ident(schema)} AUTHORIZATION {ident(acting)}"
    for schema in sorted({archive_schema, OWN_SCHEMA} | {one.schema for one in theirs}):
        yield f"GRANT USAGE ON SCHEMA {ident(schema)} TO {ident(reading)}"
        yield f"GRANT USAGE, CREATE ON SCHEMA {ident(schema)} TO {ident(acting)}"
    for owner in dict.fromkeys(one.owner for one in theirs if not one.owner_is_superuser and one.owner != acting):
        yield f"GRANT {ident(owner)} TO {ident(acting)}"
        yield f"GRANT USAGE, CREATE ON SCHEMA {ident(archive_schema)} TO {ident(owner)}"
    for schema, owner in dict.fromkeys((one.schema, one.owner) for one in theirs if not one.owner_may_create):
        yield f"GRANT USAGE, CREATE ON SCHEMA {ident(schema)} TO {ident(owner)}"
    for one in (*(one for one in theirs if one.owner_is_superuser), *(one for one in own if one.owner != acting)):
        yield f"ALTER TABLE {one.sql} OWNER TO {ident(acting)}"
    yield from (f"GRANT REFERENCES ON {relation} TO {ident(acting)}" for relation in estate.referenced)
    yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {OWN_SCHEMA} TO {ident(reading)}"
    yield (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(acting)} IN SCHEMA {OWN_SCHEMA}"
        f" GRANT SELECT ON TABLES TO {ident(reading)}"
    )
