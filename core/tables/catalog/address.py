"""Which table a name means: the one that the role's own search path finds, as psql would; one rule for every edge."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import AmbiguousName, TableNotFound
from core.names import address, literal, split_qualified
from core.postgres.connection import session, translate
from core.postgres.session import Row, as_the_role, reading, rows_of

_KINDS = {"v": "view", "m": "materialized view", "f": "foreign table", "S": "sequence", "c": "type"}

_OF_THAT_NAME = """
SELECT n.nspname, c.relkind, c.relispartition, pg_catalog.array_position({path}::name[], n.nspname) AS place
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = {name} AND c.relpersistence <> 't' AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')
    AND n.nspname NOT IN ('information_schema', 'partition_desk')
ORDER BY place, n.nspname
"""


def read_path(engine: Engine) -> tuple[str, ...]:
    """The schemas that the role's own search path leads to, in order; of another's engine, the path that it sets."""
    with session(engine) as connection:
        try:
            return _read_path(connection)
        except DBAPIError as error:
            raise translate(error) from error


def _read_path(connection: Connection) -> tuple[str, ...]:
    with reading(connection, timeout_ms=None):
        as_the_role(connection)
        path = rows_of(connection, "SELECT pg_catalog.current_schemas(false)::text[] AS path")[0].path
    return tuple(schema for schema in path if not schema.startswith("pg_"))


def read_address(engine: Engine, name: str, *, archive_schema: str = "archive") -> str:
    """The address, schema and name, of the table that `name` means; one with its schema means what it says.

    A bare name means the first relation of that name on the role's search path, never a temporary one; where the path
    leads to none, the only table of that name elsewhere. Raises TableNotFound, AmbiguousName, ConnectionFailed.
    """
    schema, relation = split_qualified(name)
    if schema is not None:
        return address(schema, relation)
    with session(engine) as connection:
        try:
            path = _read_path(connection)
            rows = rows_of(connection, _OF_THAT_NAME.format(path=_array(path), name=literal(relation)))
            database = str(connection.exec_driver_sql("SELECT pg_catalog.current_database()").scalar_one())
        except DBAPIError as error:
            raise translate(error) from error
    on_path = next((row for row in rows if row.place is not None), None)
    if on_path is not None:
        return _table(on_path, relation)
    elsewhere = [row for row in rows if _may_be_meant(row, archive_schema)]
    choices = [address(row.nspname, relation) for row in elsewhere]
    if not choices:
        raise TableNotFound(
            f"There is no table {relation} in the database {database}.",
            next="Check the name, its capitals and its schema; partitions status --table names another.",
        )
    if len(choices) > 1:
        raise AmbiguousName(
            f"{relation} stands in several schemas, none of which is on the search path: {', '.join(choices)}.",
            next=f"Name one with its schema, such as {choices[0]}.",
        )
    return choices[0]


def _array(path: Sequence[str]) -> str:
    return f"ARRAY[{', '.join(literal(schema) for schema in path)}]"


def _may_be_meant(row: Row, archive_schema: str) -> bool:
    """Whether a table that the path does not lead to can be what a bare name means: no partition, former ones neither.

    The name of a partition may be that of its own table.
    """
    return row.relkind in ("r", "p") and not row.relispartition and row.nspname != archive_schema


def _table(row: Row, relation: str) -> str:
    found = address(row.nspname, relation)
    if row.relkind not in ("r", "p"):
        kind = _KINDS.get(row.relkind, "index")
        raise TableNotFound(
            f"On the search path {relation} is the {kind} {found}, and no table.",
            next="Name the table with its schema.",
        )
    return found
