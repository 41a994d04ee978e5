"""Reads what hangs on an archived table: what stops its drop, and what goes with it."""

from __future__ import annotations

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.plans.drop import Hanging
from core.postgres.connection import session, translate
from core.tables.archived import Archived
from core.tables.catalog.definition import read_definition
from core.tables.catalog.ownership import oid_array
from core.tables.tree import Kind


def read_hanging(engine: Engine, archived: Archived) -> Hanging:
    """What hangs on an archived table and all below it. Raises CatalogBusy while somebody holds it."""
    with session(engine) as connection:
        try:
            places = [(archived.schema, archived.name)]
            places += [(one.schema, one.name) for one in archived.members if one.kind is not Kind.FOREIGN]
            every = [_hanging(connection, *place, archived.oids) for place in places]
        except DBAPIError as error:
            raise translate(error) from error
    return Hanging(
        tuple(dict.fromkeys(one for each in every for one in each.dependents)),
        tuple(dict.fromkeys(one for each in every for one in each.belongings)),
    )


def _hanging(connection: Connection, schema: str, name: str, whole: tuple[int, ...]) -> Hanging:
    """What hangs on one table, beside those that are dropped with it."""
    definition = read_definition(connection, schema, name)
    heirs = connection.exec_driver_sql(
        "SELECT i.inhrelid::pg_catalog.regclass::text FROM pg_catalog.pg_inherits i"
        f" WHERE i.inhparent = {definition.oid} AND NOT i.inhrelid = ANY ({oid_array(whole)}) ORDER BY 1"
    ).scalars()
    children = tuple(f"child table {heir}" for heir in heirs)
    keys = tuple(f"foreign key {key.name} of {key.other}" for key in definition.incoming)
    own = tuple(
        f"sequence {one.schema}.{one.name} of its column {one.column}"
        for one in definition.sequences
        if not one.identity
    )
    belongings = (
        *(f"trigger {one.name}" for one in definition.triggers),
        *(f"policy {one.name}" for one in definition.policies),
        *(f"its place in the publication {one.name}" for one in definition.publications),
    )
    return Hanging((*keys, *own, *children, *definition.dependents), belongings)
