"""The indexes that a conversion, or its way back, builds beforehand, while everybody works."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core.errors import Refused
from core.names import fit, ident, qualified
from core.plans.plan import Lock, Mode, Step
from core.tables.definition import Constraint, DefinedIndex, Definition
from core.tables.structure import Index
from core.tables.table import PartitionedTable


def our_indexes(name: str) -> tuple[str, ...]:
    """The indexes that a conversion of the table of that name makes beforehand."""
    return fit(name, "_before_pkey"), fit(name, "_before_unique"), fit(name, "_before_keyed")


def built_for_the_way_back(name: str) -> str:
    """The index that the way back of the table of that name builds beforehand, on the partition that it keeps."""
    return fit(name, "_after_pkey")


def build_key(definition: Definition, primary: Constraint, name: str, valid: bool | None) -> tuple[Step, ...]:
    """The unique index that a PRIMARY KEY of a table is to be made from, built while everybody works.

    `valid` says whether an earlier try has finished it; None where none has begun.
    """
    what = f"the index of the primary key ({', '.join(primary.columns)})"
    return _build(definition, name, what, "UNIQUE ", key_parts(primary)[0], valid)


def build_added(
    table: PartitionedTable, definition: Definition, one: Constraint | DefinedIndex, name: str
) -> tuple[Step, ...]:
    columns = ", ".join(one.columns)
    valid = is_built(table.indexes, name)
    if isinstance(one, Constraint):
        return _build(
            definition,
            name,
            f"the index by which ({columns}) is unique",
            "UNIQUE ",
            f"({', '.join(map(ident, one.columns))})",
            valid,
        )
    return _build(definition, name, f"the index on ({columns})", "", one.tail, valid)


def _build(
    definition: Definition, name: str, what: str, unique: str, tail: str, valid: bool | None
) -> tuple[Step, ...]:
    if valid:
        return ()
    index = qualified(definition.schema, name)
    lock = (Lock(definition.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),)
    build = Step(
        f"Build {what}",
        (f"CREATE {unique}INDEX CONCURRENTLY {ident(name)} ON {definition.sql} {tail}",),
        lock,
        transactional=False,
        leaves=index,
        undo=(f"DROP INDEX {index}",),
    )
    if valid is None:
        return (build,)
    return (Step(f"Take away the unfinished index {name}", (f"DROP INDEX CONCURRENTLY {index}",), lock, False), build)


def is_built(indexes: Iterable[Index | DefinedIndex], name: str) -> bool | None:
    """Whether the index of that name is valid; None where there is none."""
    return next((index.valid for index in indexes if index.name == name), None)


_KEY = re.compile(
    r'PRIMARY KEY (?P<columns>\((?:"(?:[^"]|"")+"|[^")])*\)(?: INCLUDE \((?:"(?:[^"]|"")+"|[^")])*\))?)(?P<rest>.*)'
)


def key_parts(primary: Constraint) -> tuple[str, str]:
    """(the columns of an index, what follows USING INDEX) of a PRIMARY KEY as PostgreSQL prints it."""
    match = _KEY.fullmatch(primary.definition)
    if match is None:
        raise Refused(f"The primary key {primary.name} can't be read: {primary.definition}.")
    return match["columns"], match["rest"]
