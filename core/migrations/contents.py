"""What the rows of a partitioned table say before it becomes plain: all are read, under the locks of the migration."""

from __future__ import annotations

from sqlalchemy import Connection

from core.postgres.session import rows_of
from core.tables.catalog.plain import count_duplicates, read_taken
from core.tables.definition import Contents, Definition, remembered_key


def read_partitioned_contents(connection: Connection, definition: Definition) -> Contents:
    """What the rows of a partitioned table say that is to become plain; reads all of them."""
    rows = int(rows_of(connection, f"SELECT count(*) AS rows FROM {definition.sql}")[0].rows)
    return Contents(
        rows=rows,
        duplicates=count_duplicates(connection, definition.sql, remembered_key(definition)),
        taken=read_taken(connection, definition.schema),
    )
