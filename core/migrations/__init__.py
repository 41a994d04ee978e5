"""Alembic: kid_absences plain to partitioned and back; and the filter for the Alembic of the user's own project.

`env.py` and `versions/` are this project's own migrations. `skip_partitions` is for somebody else's `env.py`:

    from core.migrations import skip_partitions

    context.configure(connection=connection, target_metadata=..., include_name=skip_partitions(connection))
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Literal

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from core.names import fit, literal
from core.postgres.session import PRINTED, local_settings, rows_of
from core.tables.catalog.ownership import read_detached, read_parents
from core.tables.ownership import Ownership

VERSION_TABLE = "partition_desk_version"
"""How the name begins of the table in which these migrations keep their revision, beside the table they migrate."""

Kind = Literal["schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint"]
Parents = MutableMapping[Literal["schema_name", "table_name", "schema_qualified_table_name"], str | None]
IncludeName = Callable[[str | None, Kind, Parents], bool]
"""What Alembic calls with each name that it finds in the database, before it compares it with the models."""

# Partitions of whatever table, and the console's own tables.
_SKIPPED = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND (
    c.relispartition OR n.nspname = 'partition_desk' OR pg_catalog.starts_with(c.relname, {version_table}))
"""


def skip_partitions(
    connection: Connection, *, archive_schema: str = "archive", also: IncludeName | None = None
) -> IncludeName:
    """An `include_name` that keeps autogenerate from proposing to drop partitions, attached or archived.

    The catalog is asked once, when autogenerate first asks: a query before that would open a transaction that Alembic
    then would not commit. `also` is an `include_name` of your own, asked about everything else.
    """
    skipped: set[tuple[str, str]] | None = None

    def include_name(name: str | None, kind: Kind, parents: Parents) -> bool:
        nonlocal skipped
        if kind == "schema" and name == "partition_desk":
            return False
        if kind == "table" and name is not None:
            if skipped is None:
                skipped = _read_skipped(connection, archive_schema)
            if (_schema(connection, parents), name) in skipped:
                return False
        return also is None or also(name, kind, parents)

    return include_name


def version_table(table_name: str) -> str:
    """The name of the table that keeps a migrated table's revision; the name of its key fits, too."""
    return fit(f"{VERSION_TABLE}_{table_name}", "_pkc").removesuffix("_pkc")


def stamp_head(connection: Connection, schema: str, table_name: str) -> None:
    """Writes down that the table is at the newest revision, as `alembic stamp head` does."""
    options = {"version_table": version_table(table_name), "version_table_schema": schema}
    migrations = MigrationContext.configure(connection, opts=options)
    migrations.stamp(ScriptDirectory(str(Path(__file__).parent)), "head")


def _schema(connection: Connection, parents: Parents) -> str:
    return parents.get("schema_name") or connection.dialect.default_schema_name or "public"


def _read_skipped(connection: Connection, archive_schema: str) -> set[tuple[str, str]]:
    """Those, and what was archived: what has a parent's mark, whether it is there still or not, or fits some parent."""
    rows = rows_of(connection, _SKIPPED.format(version_table=literal(VERSION_TABLE)))
    with local_settings(connection, PRINTED):
        ownership = Ownership(read_parents(connection))
        found = read_detached(connection, archive_schema)
    archived = {(one.schema, one.name) for one in found if one.tag is not None or ownership.claims(one)}
    return archived | {(row.nspname, row.relname) for row in rows}
