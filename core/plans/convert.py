"""Migrate: a plain table becomes partitioned with all its rows, and plain again, each in one transaction.

The table is made anew beside the old one, filled, compared, and only then is the old one dropped. What the new table
has only because it is partitioned says so in its own comment (`Memo`), so that the way back takes it away again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from core.errors import DetachPending, NameTaken, NotAllowed, NotServed, Refused
from core.names import address, fit, ident, qualified
from core.period import Period
from core.plans.refusals import require_writable
from core.tables.bounds import Bounds
from core.tables.commands import option
from core.tables.definition import Constraint, Contents, DefinedColumn, DefinedIndex, Definition, Memo
from core.tables.ends import TIMES, key_type_of
from core.tables.key import Key
from core.tables.rebuild import (
    belongings,
    compare,
    copy,
    in_tablespace,
    indexing,
    like,
    make_index,
    owner,
    put_aside,
    sequences,
    told,
    with_options,
)
from core.tables.table import PartitionedTable
from core.text import to_run


@dataclass(frozen=True, slots=True)
class Target:
    """What a plain table is to become: partitioned by years of `key`, with `unique` enforced at the parent."""

    key: str
    unique: tuple[str, ...] = ()
    """Left alone where the table lacks one of the columns."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The final SQL of a migration, one transaction: what takes locks first, then what works under them."""

    table: str
    locks: tuple[str, ...]
    """Run together, under the lock budget, and begun again where a lock isn't got in time."""
    statements: tuple[str, ...]
    effects: tuple[str, ...]
    """What has changed, in plain sentences."""

    @property
    def sql(self) -> str:
        """The whole as a script for psql."""
        return "\n".join(["BEGIN;", *(f"{statement};" for statement in (*self.locks, *self.statements)), "COMMIT;"])


# ---------------------------------------------------------------- what is looked at beforehand


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
        raise NotServed(
            f"{definition.label} is partitioned already.",
            next="If it was partitioned in another way, alembic stamp head records that without changing it.",
        )
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
    if definition.dependents:
        yield (
            f"These would stay with the old table: {', '.join(definition.dependents)}. "
            "Drop them first and make them again afterwards."
        )
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
    if column.generated:
        yield f"{key} is a generated column, which can't be a partition key."
    for fk in definition.incoming:
        if key not in fk.columns:
            yield (
                f"The foreign key {fk.name} of {fk.other} references ({', '.join(fk.columns)}), which can't stay "
                f"unique without {key}. Drop that foreign key first."
            )
    for one in definition.constraints:
        yield from _unfit_constraint(one, key)
    for index in definition.indexes:
        if index.unique and not index.constraint and key not in index.columns:
            yield f"The unique index {index.name} can't be kept: PostgreSQL needs {key} in it. Drop it first."
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


def _unfit_constraint(one: Constraint, key: str) -> Iterator[str]:
    if one.kind == "u" and key not in one.columns:
        yield f"The unique constraint {one.name} can't be kept: PostgreSQL needs {key} in it. Drop it first."
    if one.kind == "x":
        yield f"The exclusion constraint {one.name} can't be kept. Drop it first."
    if one.to_itself and key not in one.to_itself:
        yield (
            f"The foreign key {one.name} references ({', '.join(one.to_itself)}) of the table itself, which can't stay "
            f"unique without {key}. Drop that foreign key first."
        )
    if not one.validated:
        yield f"The constraint {one.name} is not valid for all rows. Have it validated first."
    if one.no_inherit:
        yield f"The constraint {one.name} is NO INHERIT, which a partitioned table can't have."


# ---------------------------------------------------------------- the two plans


def lock_statements(definition: Definition) -> tuple[str, ...]:
    """What takes every lock of the migration: on the table, and on those that foreign keys join it to.

    A foreign key is dropped here, and made again at the end, because that locks the other table without needing
    rights on it.
    """
    forced = (f"ALTER TABLE {definition.sql} NO FORCE ROW LEVEL SECURITY",) if definition.row_security_forced else ()
    return (
        f"LOCK TABLE {definition.sql} IN ACCESS EXCLUSIVE MODE",
        *(f"ALTER TABLE {fk.other} DROP CONSTRAINT {ident(fk.name)}" for fk in definition.incoming),
        *(f"ALTER TABLE {definition.sql} DROP CONSTRAINT {ident(fk.name)}" for fk in definition.of_kind("f")),
        *forced,
    )


def wanted_unique(definition: Definition, target: Target) -> tuple[str, ...]:
    """The columns that have to become unique, or none: they are already, or the table lacks one of them."""
    if not target.unique or any(definition.column(name) is None for name in target.unique):
        return ()
    wanted = set(target.unique)
    found = any(i.unique and not i.partial and set(i.columns) == wanted for i in definition.indexes)
    return () if found else target.unique


def remembered_key(definition: Definition) -> tuple[str, ...]:
    """The columns of the primary key that the plain table had, where partitioning added the key to it."""
    primary = definition.primary_key
    memo = Memo.split(primary.comment)[1] if primary else None
    if primary is None or memo is None or not memo.was or primary.columns[-1] != definition.key:
        return ()
    return primary.columns[:-1]


def plan_partition(
    definition: Definition, contents: Contents, target: Target, *, today: date, zone: str = "UTC"
) -> Conversion:
    """The SQL that partitions a plain table by years: those with rows, this one and the next.

    ACCESS EXCLUSIVE on the table from beginning to end. Raises Refused for what stands in the way.
    """
    key = require_partitionable(definition, target)
    children = _new_children(definition, contents, key, today, zone)
    _require_rows_fit(definition, contents, target)
    constraints, notes = _widened(definition, target)
    added = _additions(definition, target)
    _require_free(definition, contents, (*(name for name, _ in children), *(one.name for one in added)))
    options = with_options(definition.options)
    made = [
        f"CREATE TABLE {definition.sql} ({like(definition)}) PARTITION BY RANGE ({ident(key.column)})"
        + in_tablespace(definition),
        *owner(definition, definition.sql),
        *sequences(definition),
    ]
    for name, bounds in children:
        child = qualified(definition.schema, name)
        made.append(f"CREATE TABLE {child} PARTITION OF {definition.sql} {bounds.sql}{options}")
        made.extend(owner(definition, child))
    statements = (
        *put_aside(definition),
        *made,
        copy(definition),
        compare(definition),
        f"DROP TABLE {definition.aside_sql}",
        *indexing(definition, (*constraints, *(one for one in added if isinstance(one, Constraint)))),
        *(line for one in added if isinstance(one, DefinedIndex) for line in make_index(definition, one)),
        *belongings(definition, tuple(qualified(definition.schema, name) for name, _ in children)),
        f"ANALYZE {definition.sql}",
    )
    first, last = children[0][0], children[-1][0]
    effects = (
        f"{definition.label} is partitioned by RANGE ({key.column}): {contents.rows:,} rows "
        f"in {len(children)} partitions, {first} to {last}.",
        *notes,
        *(f"{_what(one)} was added; the way back takes it away again." for one in added),
        *told(definition),
    )
    return Conversion(definition.label, lock_statements(definition), statements, effects)


def plan_unpartition(definition: Definition, contents: Contents, *, archived: Iterable[str] = ()) -> Conversion:
    """The SQL that makes a partitioned table plain, with the rows of all its partitions.

    `archived` are the names of the tables that were detached from it; they are left where they are, and told.
    `contents.duplicates` counts groups of rows equal in `remembered_key`. ACCESS EXCLUSIVE on the table and all its
    partitions from beginning to end. Raises Refused for what stands in the way.
    """
    require_unpartitionable(definition)
    _require_free(definition, contents, ())
    constraints, indexes, nullable, notes = _narrowed(definition, contents)
    options = Counter(child.options for child in definition.children).most_common(1)
    statements = (
        *put_aside(definition),
        f"CREATE TABLE {definition.sql} ({like(definition)}){with_options(options[0][0] if options else ())}"
        + in_tablespace(definition),
        *owner(definition, definition.sql),
        *sequences(definition),
        copy(definition),
        compare(definition),
        "DROP TABLE " + ", ".join((*(child.sql for child in definition.children), definition.aside_sql)),
        *_nullable(definition, nullable),
        *indexing(definition, constraints, indexes),
        *belongings(definition, ()),
        f"ANALYZE {definition.sql}",
    )
    left = tuple(archived)
    extras = [extra for child in definition.children for extra in child.extras]
    effects = (
        f"{definition.label} is a plain table again: {contents.rows:,} rows "
        f"from {len(definition.children)} partitions.",
        *notes,
        *([f"Archived and left where they are, not in the plain table: {', '.join(left)}."] if left else []),
        *([f"Gone with the partitions that alone had them: {', '.join(extras)}."] if extras else []),
        *told(definition),
    )
    return Conversion(definition.label, lock_statements(definition), statements, effects)


# ---------------------------------------------------------------- what only partitioning does


def _new_children(
    definition: Definition, contents: Contents, key: Key, today: date, zone: str
) -> tuple[tuple[str, Bounds], ...]:
    years = sorted({*contents.years, today.year, today.year + 1})
    ranges = [Period.YEAR.containing(date(year, 1, 1)) for year in years]
    return tuple(
        (fit(definition.name, f"_{Period.YEAR.label(lower)}"), Bounds.between(key, lower, upper, zone))
        for lower, upper in ranges
    )


def _require_rows_fit(definition: Definition, contents: Contents, target: Target) -> None:
    if contents.without_key:
        raise Refused(
            f"{contents.without_key:,} rows of {definition.label} have no {target.key}: no partition can hold them.",
            next="Give them one, or move them out: "
            + to_run(f"SELECT * FROM {definition.sql} WHERE {ident(target.key)} IS NULL"),
        )
    if contents.out_of_calendar:
        raise Refused(
            f"{contents.out_of_calendar:,} rows of {definition.label} have a {target.key} that is infinite, or lies "
            "before the year 1 or after 9998.",
            next="Put them right, or move them out, first.",
        )
    if contents.duplicates:
        columns, listed = ", ".join(target.unique), ", ".join(map(ident, target.unique))
        filled = " AND ".join(f"{ident(column)} IS NOT NULL" for column in target.unique)
        raise Refused(
            f"({columns}) has to be unique in {definition.label}, and {contents.duplicates:,} pairs of values stand in "
            "more than one row.",
            next="Find them: "
            + to_run(f"SELECT {listed} FROM {definition.sql} WHERE {filled} GROUP BY {listed} HAVING count(*) > 1"),
        )


def _require_free(definition: Definition, contents: Contents, names: tuple[str, ...]) -> None:
    asides = [fit(one.name, "_before") for one in definition.sequences if one.identity]
    clash = sorted({definition.aside, *asides, *names} & contents.taken)
    if clash:
        raise NameTaken(
            f"{definition.schema} already holds {', '.join(clash)}, which the migration needs for itself.",
            next="Rename what stands there, or move it to another schema.",
        )


_PRIMARY_KEY = re.compile(r'PRIMARY KEY \((?P<columns>(?:"(?:[^"]|"")+"|[^")])*)\)')


def _widened(definition: Definition, target: Target) -> tuple[tuple[Constraint, ...], tuple[str, ...]]:
    """The PRIMARY KEY and UNIQUE constraints that the partitioned table gets, and what there is to tell of them."""
    primary = definition.primary_key
    constraints = definition.of_kind("pu")
    if primary is None or target.key in primary.columns:
        return constraints, ()
    column = definition.column(target.key)
    memo = Memo(primary.definition, nullable=column is not None and not column.not_null)
    wider = Constraint(
        primary.name,
        "p",
        _PRIMARY_KEY.sub(lambda found: f"PRIMARY KEY ({found['columns']}, {ident(target.key)})", primary.definition),
        (*primary.columns, target.key),
        comment=memo.beside(primary.comment),
    )
    before = ", ".join(primary.columns)
    note = (
        f"The primary key {primary.name} is ({before}, {target.key}) now: PostgreSQL needs the partition column in it. "
        f"That ({before}) alone is unique is no longer checked."
    )
    return tuple(wider if one is primary else one for one in constraints), (note,)


def _additions(definition: Definition, target: Target) -> tuple[Constraint | DefinedIndex, ...]:
    memo = Memo().beside(None)
    added: list[Constraint | DefinedIndex] = []
    unique = wanted_unique(definition, target)
    if unique:
        listed = ", ".join(map(ident, unique))
        name = fit(definition.name, fit("_" + "_".join(unique), "_key")[-40:])
        added.append(Constraint(name, "u", f"UNIQUE ({listed})", unique, comment=memo))
    if not any(index.columns == (target.key,) and not index.partial for index in definition.indexes):
        name = fit(definition.name, fit(f"_{target.key}", "_idx")[-40:])
        added.append(DefinedIndex(name, f"USING btree ({ident(target.key)})", (target.key,), comment=memo))
    return tuple(added)


def _what(one: Constraint | DefinedIndex) -> str:
    kind = "unique constraint" if isinstance(one, Constraint) else "index"
    return f"The {kind} {one.name} on ({', '.join(one.columns)})"


# ---------------------------------------------------------------- what only the way back does


def _narrowed(
    definition: Definition, contents: Contents
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
        elif memo.was and contents.duplicates:
            constraints.append(_commented(one, comment))
            notes.append(
                f"The primary key stays on ({', '.join(one.columns)}): {contents.duplicates:,} values of "
                f"({', '.join(remembered_key(definition))}) stand in more than one row."
            )
        elif memo.was:
            nullable = memo.nullable
            constraints.append(Constraint(one.name, one.kind, memo.was, one.columns[:-1], comment=comment))
            notes.append(f"The primary key {one.name} is ({', '.join(one.columns[:-1])}) again.")
        else:
            notes.append(f"{_what(one)} was there for the partitions only and is gone.")
    indexes: list[DefinedIndex] = []
    for index in definition.indexes:
        if Memo.split(index.comment)[1] is None:
            indexes.append(index)
        else:
            notes.append(f"{_what(index)} was there for the partitions only and is gone.")
    return tuple(constraints), tuple(indexes), nullable, tuple(notes)


def _nullable(definition: Definition, nullable: bool) -> tuple[str, ...]:
    if not nullable or definition.key is None:
        return ()
    return (f"ALTER TABLE {definition.sql} ALTER COLUMN {ident(definition.key)} DROP NOT NULL",)


def _commented(one: Constraint, comment: str | None) -> Constraint:
    return Constraint(one.name, one.kind, one.definition, one.columns, comment=comment)
