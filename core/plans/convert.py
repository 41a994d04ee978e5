"""Migrate: a plain table becomes partitioned with all its rows, and plain again, each in one transaction.

The table is made anew beside the old one, filled, compared, and only then is the old one dropped. What the new table
has only because it is partitioned says so in its own comment (`Memo`), so that the way back takes it away again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from core.errors import NameTaken, Refused
from core.names import fit, ident, qualified
from core.period import Period
from core.plans.convertible import (
    Target,
    called,
    narrowed,
    nullable_again,
    require_partitionable,
    require_unpartitionable,
    widened,
)
from core.tables.bounds import Bounds
from core.tables.definition import Constraint, Contents, DefinedIndex, Definition, Memo
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
from core.text import to_run


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


def plan_partition(
    definition: Definition, contents: Contents, target: Target, *, today: date, zone: str = "UTC"
) -> Conversion:
    """The SQL that partitions a plain table by years: those with rows, this one and the next.

    ACCESS EXCLUSIVE on the table from beginning to end. Raises Refused for what stands in the way.
    """
    key = require_partitionable(definition, target)
    children = _new_children(definition, contents, key, today, zone)
    _require_rows_fit(definition, contents, target)
    constraints, notes = widened(definition, target.key)
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
        *(f"{called(one)} was added; the way back takes it away again." for one in added),
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
    constraints, indexes, nullable, notes = narrowed(definition, contents)
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
        *nullable_again(definition, nullable),
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
