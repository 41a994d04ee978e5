"""Reads a plain table for becoming partitioned: its definition, and the range of the column it is to be cut by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import NotServed, Refused
from core.names import ident, literal, qualified
from core.postgres.connection import session, translate
from core.postgres.session import READ_TIMEOUT_MS, as_the_role, reading, rows_of
from core.tables.catalog.definition import read_definition
from core.tables.catalog.ownership import oid_array
from core.tables.definition import Definition, remembered_key, wanted_unique
from core.tables.ends import TIMES, End, key_type_of
from core.tables.key import Key
from core.tables.plain import CHECK, Asked, Begun, Plain, Whole, signature_sql

READ_MS = 600_000
"""How long reading every row may take."""

# Column and expression statistics have a namespace of their own; a type is made with every relation.
_TAKEN = """
SELECT c.relname AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {schema}
UNION SELECT t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = {schema}
"""

_REFERRERS = """
SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname) AS sql FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid AND c.relkind = 'p'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.confrelid = {oid} AND k.contype = 'f' ORDER BY 1
"""


_BEGUN = """
SELECT k.conrelid::bigint AS oid, pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment
FROM pg_catalog.pg_constraint k WHERE k.contype = 'c' AND k.conname = {check} AND k.conrelid = ANY ({oids})
ORDER BY k.conrelid LIMIT 1
"""


def read_begun(engine: Engine, oids: Iterable[int]) -> Begun | None:
    """Which of these tables a conversion has put its CHECK on, and what that was asked for. Raises ConnectionFailed."""
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=READ_TIMEOUT_MS):
                rows = rows_of(connection, _BEGUN.format(check=literal(CHECK), oids=oid_array(oids)))
        except DBAPIError as error:
            raise translate(error) from error
    return next((Begun(row.oid, Asked.read(row.comment)) for row in rows), None)


def read_filled(engine: Engine, parts: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Which of the tables `(schema, name)` hold a row. Raises ConnectionFailed."""
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=READ_TIMEOUT_MS):
                as_the_role(connection)
                return tuple(one for one in parts if _holds_rows(connection, qualified(*one)))
        except DBAPIError as error:
            raise translate(error) from error


def read_taken(connection: Connection, schema: str) -> frozenset[str]:
    """The names of relations and types of a schema."""
    return frozenset(row.name for row in rows_of(connection, _TAKEN.format(schema=literal(schema))))


def count_duplicates(connection: Connection, table: str, columns: tuple[str, ...]) -> int:
    """How many groups of rows are alike in the columns; 0 of none. Reads every row."""
    if not columns:
        return 0
    listed = ", ".join(map(ident, columns))
    present = " AND ".join(f"{ident(column)} IS NOT NULL" for column in columns)
    sql = (
        f"SELECT count(*) AS found FROM"
        f" (SELECT 1 FROM {table} WHERE {present} GROUP BY {listed} HAVING count(*) > 1) groups"
    )
    return int(rows_of(connection, sql)[0].found)


def key_in(definition: Definition, column: str) -> Key:
    """The key that the column would be. Raises Refused where the table lacks it, or its type tells no time."""
    found = definition.column(column)
    if found is None:
        times = ", ".join(one.name for one in definition.columns if key_type_of(one.type) in TIMES)
        raise Refused(
            f"{definition.label} has no column {column} to be partitioned by.",
            next=f"Its columns of dates and times: {times}." if times else "It has no column of dates or times.",
        )
    type_ = key_type_of(found.type)
    if type_ not in TIMES:
        raise NotServed(
            f"{definition.label} can't be converted by {column}: its type is {found.type}, not date, timestamp or"
            " timestamp with time zone.",
            next="Name a column of one of them with --key.",
        )
    return Key(column, type_, declared="" if found.type == type_.value else found.type)


def read_plain(
    engine: Engine, schema: str, name: str, column: str, ours: tuple[str, ...], unique: tuple[str, ...]
) -> Plain:
    """The table and what its rows say of the column; reads every row. Raises TableNotFound, Refused, NotServed.

    `ours` are the names of indexes that a conversion makes beforehand; `unique` are columns that are to become so.
    """
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=READ_MS):
                definition = _less(read_definition(connection, schema, name), ours)
                key = key_in(definition, column)
                signature = signature_sql(definition.oid, ours)
                row = rows_of(
                    connection,
                    f"SELECT {signature} AS signature, pg_catalog.pg_total_relation_size({definition.oid}) AS size,"
                    f" pg_catalog.pg_relation_size({definition.oid}) AS heap",
                )[0]
                taken = read_taken(connection, schema)
                referrers = tuple(one.sql for one in rows_of(connection, _REFERRERS.format(oid=definition.oid)))
                as_the_role(connection)  # a policy's functions find what they name
                found = rows_of(
                    connection,
                    f"SELECT count(*) AS rows, count({key.sql}) AS keys, min({key.sql})::text AS lowest,"
                    f" max({key.sql})::text AS highest FROM ONLY {definition.sql}",
                )[0]
                duplicates = count_duplicates(connection, definition.sql, wanted_unique(definition, unique))
        except DBAPIError as error:
            raise translate(error) from error
    lowest, highest = _end(key, found.lowest), _end(key, found.highest)
    return Plain(
        definition,
        key,
        found.rows,
        found.rows - found.keys,
        lowest,
        highest,
        row.size,
        row.heap,
        row.signature,
        taken,
        referrers,
        duplicates,
    )


def _less(definition: Definition, ours: tuple[str, ...]) -> Definition:
    """The definition without what a conversion that was cut short has made beforehand."""
    return replace(
        definition,
        constraints=tuple(one for one in definition.constraints if one.name != CHECK),
        indexes=tuple(one for one in definition.indexes if one.name not in ours),
    )


def _end(key: Key, text: str | None) -> End | None:
    return None if text is None else key.end(text)


_PAIRS = """
SELECT own.relname AS own, above.relname AS above FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class own ON own.oid = x.indexrelid JOIN pg_catalog.pg_inherits i ON i.inhrelid = own.oid
JOIN pg_catalog.pg_class above ON above.oid = i.inhparent WHERE x.indrelid = {oid} ORDER BY 1
"""


def read_whole(engine: Engine, schema: str, name: str, parts: tuple[tuple[str, str], ...]) -> Whole:
    """The table, and which of its partitions `parts` hold rows; the first of those, else the first, is the one kept.

    Raises TableNotFound.
    """
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=READ_MS):
                definition = read_definition(connection, schema, name)
                signature = rows_of(connection, f"SELECT {signature_sql(definition.oid, ())} AS signature")[0].signature
                referrers = tuple(one.sql for one in rows_of(connection, _REFERRERS.format(oid=definition.oid)))
                taken = read_taken(connection, schema)
                filled = tuple(one for one in parts if _holds_rows(connection, qualified(*one)))
                home, called = (filled or parts)[0]
                kept = read_definition(connection, home, called)
                pairs = tuple((row.own, row.above) for row in rows_of(connection, _PAIRS.format(oid=kept.oid)))
                as_the_role(connection)  # a policy's functions find what they name
                duplicates = count_duplicates(connection, definition.sql, remembered_key(definition))
        except DBAPIError as error:
            raise translate(error) from error
    others = tuple(qualified(*one) for one in parts if one != (home, called))
    names = tuple(".".join(one) for one in filled)
    return Whole(definition, kept, pairs, names, others, duplicates, signature, taken, referrers)


def _holds_rows(connection: Connection, relation: str) -> bool:
    return bool(rows_of(connection, f"SELECT EXISTS (SELECT FROM {relation}) AS found")[0].found)
