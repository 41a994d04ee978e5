"""What stands in the way of a plain table's becoming partitioned, and of a partitioned one's becoming plain."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.errors import DetachPending, NotAllowed, NotServed, Refused
from core.names import address, fit, ident
from core.plans.given_up import choice
from core.plans.refusals import require_writable
from core.tables.commands import option
from core.tables.definition import (
    Constraint,
    DefinedColumn,
    DefinedIndex,
    Definition,
    Memo,
    remembered_key,
    wanted_unique,
)
from core.tables.ends import TIMES, key_type_of
from core.tables.key import Key
from core.tables.table import PartitionedTable
from core.tables.tied import unfit
from core.text import to_run


@dataclass(frozen=True, slots=True)
class Target:
    """What a plain table is to become: partitioned by `key`, with `unique` enforced at the parent."""

    key: str
    unique: tuple[str, ...] = ()
    """Left alone where the table lacks one of the columns."""
    indexed: bool = False
    """Whether the key gets an index where it has none of its own."""


def require_rights(table: PartitionedTable) -> None:
    """Raises NotAllowed or ReadOnlyServer where the connected role can't make the table anew on this server."""
    server = table.server
    require_writable(server)
    if not table.owned:
        raise NotAllowed(
            f"The role {server.user} does not own {table.label}; its owner is {table.owner}.",
            next=f"Connect as {table.owner}, or grant the role {table.owner} to {server.user}.",
        )
    if not table.may_create:
        raise NotAllowed(
            f"The role {server.user} may not create tables in the schema {table.schema}.",
            next="Run as its owner: "
            + to_run(f"GRANT USAGE, CREATE ON SCHEMA {ident(table.schema)} TO {ident(server.user)}"),
        )


def require_partitionable(definition: Definition, target: Target) -> Key:
    """The key, where the table can become partitioned. Raises Refused with every reason that stands against it."""
    if definition.partitioned:
        raise NotServed(f"{definition.label} is partitioned already.")
    column = definition.column(target.key)
    if column is None:
        raise Refused(
            f"{definition.label} has no column {target.key} to be partitioned by.",
            next="Name another with alembic -x key=COLUMN upgrade head.",
        )
    type_ = key_type_of(column.type)
    if type_ not in TIMES:
        raise Refused(
            f"{definition.label} can't be partitioned by years: its column {target.key} is {column.type}, "
            "not date, timestamp or timestamp with time zone.",
            next="Its type has to be one of them first.",
        )
    reasons = (*definition.oddities, *_left_behind(definition), *_unfit(definition, column))
    if reasons:
        raise Refused(" ".join((f"{definition.label} can't be partitioned as it is.", *reasons)))
    return Key(target.key, type_)


def require_unpartitionable(definition: Definition) -> None:
    """Raises Refused with every reason that stands against a plain table."""
    if not definition.partitioned:
        raise NotServed(f"{definition.label} is not partitioned: there is nothing to take back.")
    column = definition.column(definition.key or "")
    if column is None or key_type_of(column.type) not in TIMES:
        raise NotServed(f"{definition.label} is not partitioned by RANGE of one date or timestamp column.")
    for child in definition.children:
        if child.pending:
            raise DetachPending(
                f"The detach of {child.name} was begun and not finished: its rows would be left out.",
                next=f"Finish it first: partitions archive {option('--partition', address(child.schema, child.name))}"
                f" {option('--table', address(definition.schema, definition.name))}",
            )
        if child.kind != "r":
            what = "partitioned again" if child.kind == "p" else "a foreign table"
            raise NotServed(f"{child.name} is {what}; the console only shows such a table.")
    reasons = (*definition.oddities, *_left_behind(definition), *_unowned(definition))
    if reasons:
        raise Refused(" ".join((f"{definition.label} can't become a plain table as it is.", *reasons)))


def _left_behind(definition: Definition) -> Iterator[str]:
    following = {one.what for one in definition.tied}
    staying = [one for one in definition.dependents if one not in following]
    if staying:
        yield (
            f"These would stay with the old table: {', '.join(staying)}. "
            "Drop them first and make them again afterwards."
        )
    yield from unfit(definition.tied)
    if definition.replica_identity == "i":
        yield "Its replica identity is an index. Set it to DEFAULT or FULL first."


def _unowned(definition: Definition) -> Iterator[str]:
    for fk in definition.incoming:
        if not fk.owned:
            yield f"The foreign key {fk.name} has to be made again, and its table {fk.other} belongs to another role."
    for publication in definition.publications:
        if not publication.owned:
            yield f"The publication {publication.name}, which has to name the new table, belongs to another role."


def _unfit(definition: Definition, column: DefinedColumn) -> Iterator[str]:
    key = column.name

    def first(what: str, name: str) -> str:
        return f" Drop {what} first.{choice(name)}"

    if column.generated:
        yield f"{key} is a generated column, which can't be a partition key."
    for fk in definition.incoming:
        if key not in fk.columns:
            yield (
                f"The foreign key {fk.name} of {fk.other} references ({', '.join(fk.columns)}), which can't stay "
                f"unique without {key}.{first('that foreign key', fk.name)}"
            )
    for one in definition.constraints:
        yield from _unfit_constraint(one, key, first)
    for index in definition.indexes:
        if index.unique and not index.constraint and key not in index.columns:
            needs = f"PostgreSQL needs {key} in it.{first('it', index.name)}"
            yield f"The unique index {index.name} can't be kept: {needs}"
        if not index.valid:
            yield f"The index {index.name} is invalid. Drop it first, or build it again."
    for trigger in definition.triggers:
        if trigger.reads_rows:
            yield f"The trigger {trigger.name} has transition tables for each row, which partitions can't have."
    for publication in definition.publications:
        if (publication.columns or publication.condition) and not publication.via_root:
            yield (
                f"The publication {publication.name} names columns or rows of the table, which needs "
                "publish_via_partition_root. Set it first."
            )
    yield from _unowned(definition)


def _unfit_constraint(one: Constraint, key: str, first: Callable[[str, str], str]) -> Iterator[str]:
    if one.kind == "u" and key not in one.columns:
        needs = f"PostgreSQL needs {key} in it.{first('it', one.name)}"
        yield f"The unique constraint {one.name} can't be kept: {needs}"
    if one.kind == "x":
        yield f"The exclusion constraint {one.name} can't be kept.{first('it', one.name)}"
    if one.to_itself and key not in one.to_itself:
        yield (
            f"The foreign key {one.name} references ({', '.join(one.to_itself)}) of the table itself, which can't stay "
            f"unique without {key}.{first('that foreign key', one.name)}"
        )
    if not one.validated:
        yield f"The constraint {one.name} is not valid for all rows. Have it validated first."
    if one.no_inherit:
        yield f"The constraint {one.name} is NO INHERIT, which a partitioned table can't have."


_PRIMARY_KEY = re.compile(r'PRIMARY KEY \((?P<columns>(?:"(?:[^"]|"")+"|[^")])*)\)')


def widened(definition: Definition, key: str) -> tuple[tuple[Constraint, ...], tuple[str, ...]]:
    """The PRIMARY KEY and UNIQUE constraints that the partitioned table gets, and what there is to tell of them."""
    primary = definition.primary_key
    constraints = definition.of_kind("pu")
    if primary is None or key in primary.columns:
        return constraints, ()
    column = definition.column(key)
    memo = Memo(primary.definition, nullable=column is not None and not column.not_null)
    wider = Constraint(
        primary.name,
        "p",
        _PRIMARY_KEY.sub(lambda found: f"PRIMARY KEY ({found['columns']}, {ident(key)})", primary.definition),
        (*primary.columns, key),
        comment=memo.beside(primary.comment),
    )
    before = ", ".join(primary.columns)
    note = (
        f"The primary key {primary.name} is ({before}, {key}) now: PostgreSQL needs the partition column in it. "
        f"That ({before}) alone is unique is no longer checked, and ON CONFLICT ({before}) fails from then"
        f" on: it has to name ({before}, {key}), or nothing."
    )
    return tuple(wider if one is primary else one for one in constraints), (note,)


def additions(definition: Definition, target: Target) -> tuple[Constraint | DefinedIndex, ...]:
    """What the table lacks and gets; the way back takes it away again."""
    memo = Memo().beside(None)
    added: list[Constraint | DefinedIndex] = []
    unique = wanted_unique(definition, target.unique)
    if unique:
        listed = ", ".join(map(ident, unique))
        name = fit(definition.name, fit("_" + "_".join(unique), "_key")[-40:])
        added.append(Constraint(name, "u", f"UNIQUE ({listed})", unique, comment=memo))
    if target.indexed and not any(one.columns == (target.key,) and not one.partial for one in definition.indexes):
        name = fit(definition.name, fit(f"_{target.key}", "_idx")[-40:])
        added.append(DefinedIndex(name, f"USING btree ({ident(target.key)})", (target.key,), comment=memo))
    return tuple(added)


def called(one: Constraint | DefinedIndex) -> str:
    """What it is, for the beginning of a sentence."""
    kind = "unique constraint" if isinstance(one, Constraint) else "index"
    return f"The {kind} {one.name} on ({', '.join(one.columns)})"


def narrowed(
    definition: Definition, duplicates: int
) -> tuple[tuple[Constraint, ...], tuple[DefinedIndex, ...], bool, tuple[str, ...]]:
    """The constraints and indexes of the plain table, whether its key may be NULL again, and what there is to tell."""
    referenced = [frozenset(fk.columns) for fk in definition.incoming]
    referenced += [frozenset(one.to_itself) for one in definition.constraints if one.to_itself]
    constraints: list[Constraint] = []
    notes: list[str] = []
    nullable = False
    for one in definition.of_kind("pux"):
        comment, memo = Memo.split(one.comment)
        if memo is None:
            constraints.append(one)
        elif frozenset(one.columns) in referenced:
            constraints.append(_commented(one, comment))
            notes.append(f"{one.name} stays on ({', '.join(one.columns)}): a foreign key references it.")
        elif memo.was and duplicates:
            constraints.append(_commented(one, comment))
            notes.append(
                f"The primary key stays on ({', '.join(one.columns)}): {duplicates:,} values of "
                f"({', '.join(remembered_key(definition))}) stand in more than one row."
            )
        elif memo.was:
            nullable = memo.nullable
            constraints.append(Constraint(one.name, one.kind, memo.was, one.columns[:-1], comment=comment))
            notes.append(f"The primary key {one.name} is ({', '.join(one.columns[:-1])}) again.")
        else:
            notes.append(f"{called(one)} was there for the partitions only and is gone.")
    indexes: list[DefinedIndex] = []
    for index in definition.indexes:
        if Memo.split(index.comment)[1] is None:
            indexes.append(index)
        else:
            notes.append(f"{called(index)} was there for the partitions only and is gone.")
    return tuple(constraints), tuple(indexes), nullable, tuple(notes)


def nullable_again(definition: Definition, nullable: bool) -> tuple[str, ...]:
    if not nullable or definition.key is None:
        return ()
    return (f"ALTER TABLE {definition.sql} ALTER COLUMN {ident(definition.key)} DROP NOT NULL",)


def _commented(one: Constraint, comment: str | None) -> Constraint:
    return Constraint(one.name, one.kind, one.definition, one.columns, comment=comment)
