"""What the rows of a table say before it is converted: all of them are read, under the locks of the migration."""

from __future__ import annotations

from sqlalchemy import Connection

from core.names import ident, literal
from core.plans.convert import wanted_unique
from core.plans.convertible import Target
from core.postgres.session import rows_of
from core.tables.catalog.plain import count_duplicates, read_taken
from core.tables.definition import Contents, Definition, remembered_key

_YEARS = """
SELECT CASE WHEN k IS NULL THEN NULL WHEN k >= '0001-01-01' AND k < '9999-01-01'
    THEN extract(year FROM k)::int ELSE 0 END AS year, count(*) AS rows
FROM (SELECT {key} AS k FROM {table}) keys GROUP BY 1
"""


def read_plain_contents(connection: Connection, definition: Definition, target: Target, zone: str) -> Contents:
    """What the rows of a plain table say that is to be partitioned; reads all of them."""
    column = definition.column(target.key)
    local = f" AT TIME ZONE {literal(zone)}" if column and column.type.endswith("with time zone") else ""
    sql = _YEARS.format(key=ident(target.key) + local, table=definition.sql)
    counted = {row.year: row.rows for row in rows_of(connection, sql)}
    return Contents(
        rows=sum(counted.values()),
        years=tuple(sorted(year for year in counted if year)),
        without_key=counted.get(None, 0),
        out_of_calendar=counted.get(0, 0),
        duplicates=count_duplicates(connection, definition.sql, wanted_unique(definition, target)),
        taken=read_taken(connection, definition.schema),
    )


def read_partitioned_contents(connection: Connection, definition: Definition) -> Contents:
    """What the rows of a partitioned table say that is to become plain; reads all of them."""
    rows = int(rows_of(connection, f"SELECT count(*) AS rows FROM {definition.sql}")[0].rows)
    return Contents(
        rows=rows,
        duplicates=count_duplicates(connection, definition.sql, remembered_key(definition)),
        taken=read_taken(connection, definition.schema),
    )
