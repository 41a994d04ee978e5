"""Reads what a plain table could be partitioned by from the catalog and the planner's statistics; reads no row."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.names import literal
from core.postgres.connection import session, translate
from core.postgres.session import READ_TIMEOUT_MS, Row, reading, rows_of
from core.tables.catalog.definition import read_definition
from core.tables.definition import Definition
from core.tables.ends import TIMES, End, key_type_of
from core.tables.key import Key
from core.tables.prospect import Prospect

_STATISTICS = """
SELECT s.attname, s.null_frac::float8 AS nulls, s.most_common_vals::text AS common,
    s.most_common_freqs::float8[] AS shares, s.histogram_bounds::text AS marks
FROM pg_catalog.pg_stats s WHERE s.schemaname = {schema} AND s.tablename = {name} AND NOT s.inherited
"""
_SIZE = """
SELECT greatest(c.reltuples, 0)::bigint AS rows, pg_catalog.pg_total_relation_size(c.oid) AS bytes
FROM pg_catalog.pg_class c WHERE c.oid = {oid}
"""


def read_prospects(engine: Engine, schema: str, name: str) -> tuple[Prospect, ...]:
    """The columns of dates and times of a plain table, those first that the fewest constraints stand against.

    Raises TableNotFound, ConnectionFailed.
    """
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=READ_TIMEOUT_MS):
                definition = read_definition(connection, schema, name)
                size = rows_of(connection, _SIZE.format(oid=definition.oid))[0]
                asked = _STATISTICS.format(schema=literal(schema), name=literal(name))
                known = {row.attname: row for row in rows_of(connection, asked)}
        except DBAPIError as error:
            raise translate(error) from error
    found = []
    for column in definition.columns:
        type_ = key_type_of(column.type)
        if type_ in TIMES and not column.generated:
            key = Key(column.name, type_, declared="" if column.type == type_.value else column.type)
            found.append(_prospect(definition, key, size, known.get(column.name)))
    return tuple(sorted(found, key=lambda one: (len(one.broken), one.nulls, not one.indexed)))


def _prospect(definition: Definition, key: Key, size: Row, known: Row | None) -> Prospect:
    common = zip(_values(key, known.common), known.shares or (), strict=True) if known is not None else ()
    return Prospect(
        key,
        size.rows,
        size.bytes,
        known.nulls if known is not None else 0.0,
        tuple(common),
        _values(key, known.marks) if known is not None else (),
        any(one.columns[:1] == (key.column,) and not one.partial for one in definition.indexes),
        tuple(_broken(definition, key.column)),
    )


def _values(key: Key, array: str | None) -> tuple[End, ...]:
    """Those of an array of dates or times as PostgreSQL prints it."""
    return tuple(key.end(one.strip('"')) for one in array[1:-1].split(",")) if array and array != "{}" else ()


def _broken(definition: Definition, column: str) -> list[str]:
    unique = [one.name for one in definition.of_kind("u") if column not in one.columns]
    unique += [
        one.name for one in definition.indexes if one.unique and not one.constraint and column not in one.columns
    ]
    return [*unique, *(f"{fk.name} of {fk.other}" for fk in definition.incoming if column not in fk.columns)]
