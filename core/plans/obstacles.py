"""What ATTACH refuses of an archived table on this server, and no more; each with the statements that put it right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.names import ident, literal
from core.tables.archived import Archived
from core.tables.structure import Column
from core.tables.table import PartitionedTable
from core.text import to_run


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps a table from being attached."""

    said: str
    remedy: tuple[str, ...]
    """Statements to be run in this order, after those of the obstacles before it."""

    def __str__(self) -> str:
        return f"{self.said}: {to_run(*self.remedy)}"


def attach_obstacles(table: PartitionedTable, archived: Archived) -> tuple[Obstacle, ...]:
    """What of an archived table's shape keeps it from its parent; no rows are read."""
    return (
        *_of_kind(archived),
        *_of_columns(table, archived),
        *_of_checks(table, archived),
        *_of_keys(table, archived),
        *_of_owner(table, archived),
    )


_KINDS = {
    "typed": ("It is a table OF the type {0}", "ALTER TABLE {1} NOT OF"),
    "child": ("It inherits from {0}", "ALTER TABLE {1} NO INHERIT {0}"),
    "parent": ("{0} inherits from it", "ALTER TABLE {0} NO INHERIT {1}"),
    "trigger": ("Its row trigger {0} has a transition table, which no partition may have", "DROP TRIGGER {0} ON {1}"),
}


def _of_kind(archived: Archived) -> Iterator[Obstacle]:
    for kind, name in archived.barriers:
        said, remedy = _KINDS[kind]
        yield Obstacle(said.format(name), (remedy.format(name, archived.sql),))


def _of_owner(table: PartitionedTable, archived: Archived) -> Iterator[Obstacle]:
    if not archived.owned and archived.owner != table.owner and not table.server.can.superuser:
        alter = f"ALTER TABLE {archived.sql} OWNER TO {ident(table.owner)}"
        yield Obstacle(f"Its owner is {archived.owner}, not {table.owner}", (alter,))


# Columns ---------------------------------------------------------------------------------------------------------


def _of_columns(table: PartitionedTable, archived: Archived) -> Iterator[Obstacle]:
    theirs = {column.name: column for column in archived.columns}
    renamed = _renamed(table, archived)
    for column in table.columns:
        old = renamed.get(column.name)
        if old is not None:
            yield Obstacle(
                f"What the table calls {column.name} by now it calls {old}, unless that is another column",
                (f"ALTER TABLE {archived.sql} RENAME COLUMN {ident(old)} TO {ident(column.name)}",),
            )
        own = theirs.pop(old or column.name, None)
        yield from [_lacking(table, archived, column)] if own is None else _differing(table, archived, column, own)
    for name in theirs:
        drop = f"ALTER TABLE {archived.sql} DROP COLUMN {ident(name)}"
        yield Obstacle(f"It has a column {name} that the table lacks; add it to the table, or drop it here", (drop,))


def _renamed(table: PartitionedTable, archived: Archived) -> dict[str, str]:
    """By a column of the table that it lacks: the column of its own that seems to be the same under an older name.

    The key is known by its mark; any other by its type, where no second one of that type was lost or won.
    """
    names = {column.name for column in table.columns}
    own = {column.name for column in archived.columns}
    lacking = [column for column in table.columns if column.name not in own]
    more = [column for column in archived.columns if column.name not in names]
    found: dict[str, str] = {}
    if table.key is not None and archived.key_column:
        found[table.key.column] = archived.key_column
    for column in lacking:
        alike = [one.name for one in more if _alike(one, column) and one.name not in found.values()]
        rivals = [one for one in lacking if _alike(one, column) and one.name not in found]
        if column.name not in found and len(alike) == 1 == len(rivals):
            found[column.name] = alike[0]
    return found


def _alike(one: Column, other: Column) -> bool:
    return (one.type, one.generated[:1], one.default) == (other.type, other.generated[:1], other.default)


def _lacking(table: PartitionedTable, archived: Archived, column: Column) -> Obstacle:
    said = f"It lacks the column {column.name}"
    if column.identity:
        said += ", whose numbers its rows get from the table's sequence"
    elif column.not_null and not column.generated and not column.default and column.missing is None:
        said += ", which has no default and is not NULL; between these two give each row its value"
    elif "(" in column.default and column.missing is None:
        said += ", whose default is computed anew, row by row where it is volatile"
    return Obstacle(said, add_column(table, archived.sql, column))


def add_column(table: PartitionedTable, relation: str, column: Column) -> tuple[str, ...]:
    """What adds the parent's column to a table, so that its rows read what the parent's others read."""
    name = ident(column.name)
    alter = f"ALTER TABLE {relation}"
    add = f"{alter} ADD COLUMN {name} {column.type}" + (f" COLLATE {column.collation}" if column.collation else "")
    not_null = " NOT NULL" if column.not_null else ""
    if column.generated:
        return (f"{add} {_generated(column)}{not_null}",)
    if column.identity:
        sequence = f"pg_catalog.pg_get_serial_sequence({literal(table.sql)}, {literal(column.name)})"
        number = f"UPDATE {relation} SET {name} = pg_catalog.nextval({sequence})"
        return add, number, f"{alter} ALTER COLUMN {name} SET NOT NULL"
    if column.missing is not None and not _says(column.default, column.missing):
        then = f"SET DEFAULT {column.default}" if column.default else "DROP DEFAULT"
        return (
            f"{add} DEFAULT {literal(column.missing)}::{column.type}{not_null}",
            f"{alter} ALTER COLUMN {name} {then}",
        )
    if column.default:
        return (f"{add} DEFAULT {column.default}{not_null}",)
    return (add, _set_not_null(relation, column)) if column.not_null else (add,)


def _generated(column: Column) -> str:
    kind = "VIRTUAL" if column.generated.startswith("v") else "STORED"
    return f"GENERATED ALWAYS AS ({column.generated[2:]}) {kind}"


_CONSTANT = re.compile(r"'((?:[^']|'')*)'(?:::[^()]+(?:\(\d+(?:,\d+)?\))?)?|(-?[\d.]+)|(true|false)", re.DOTALL)


def _says(default: str, value: str) -> bool:
    """Whether a default is a constant that reads as this."""
    found = _CONSTANT.fullmatch(default)
    if found is None:
        return False
    if found[3]:
        return found[3][0] == value
    return value == (found[2] if found[1] is None else found[1].replace("''", "'"))


def _set_not_null(relation: str, column: Column) -> str:
    nulls = column.nulls
    if nulls is not None and not nulls.validated:
        return f"ALTER TABLE {relation} ADD CONSTRAINT {ident(nulls.name)} {nulls.definition}"
    return f"ALTER TABLE {relation} ALTER COLUMN {ident(column.name)} SET NOT NULL"


def _differing(table: PartitionedTable, archived: Archived, column: Column, own: Column) -> Iterator[Obstacle]:
    alter = f"ALTER TABLE {archived.sql} ALTER COLUMN {ident(column.name)}"
    yield from _differing_generation(table, archived, column, own)
    if own.type != column.type or own.collation != column.collation:
        yield _retyped(alter, column, own)
    if own.identity and table.server.version_num >= 170000:
        yield Obstacle(f"Its column {column.name} has an identity of its own", (f"{alter} DROP IDENTITY",))
    if column.not_null:
        yield from _differing_nulls(archived, column, own)


def _retyped(alter: str, column: Column, own: Column) -> Obstacle:
    if own.type != column.type:
        said = f"Its column {column.name} is {own.type}, the table's is {column.type}"
    else:
        others = column.collation or "that of its type"
        said = f"Its column {column.name} has the collation {own.collation or 'of its type'}, the table's {others}"
    to = f"{column.type} COLLATE {column.collation}" if column.collation else column.type
    if column.generated or own.type == column.type:
        return Obstacle(said, (f"{alter} TYPE {to}",))
    using = f"{alter} TYPE {to} USING {ident(column.name)}::{column.type}"
    if not own.default:
        return Obstacle(said, (using,))
    again = (f"{alter} SET DEFAULT {column.default}",) if column.default else ()
    return Obstacle(said, (f"{alter} DROP DEFAULT", using, *again))


def _differing_generation(
    table: PartitionedTable, archived: Archived, column: Column, own: Column
) -> Iterator[Obstacle]:
    """Both have to be generated or neither, in one way (18); before 16 by one expression, and this one may be alone."""
    kinds = own.generated[:1], column.generated[:1]
    old = table.server.version_num < 160000
    if own.generated == column.generated or (not old and kinds[0] == kinds[1]) or (old and not column.generated):
        return
    name, alter = ident(column.name), f"ALTER TABLE {archived.sql}"
    if column.generated:
        why = "otherwise" if own.generated else "not"
        yield Obstacle(
            f"Its column {column.name} is {why} generated as the table's is; its values are computed anew by this",
            (f"{alter} DROP COLUMN {name}", *add_column(table, archived.sql, column)),
        )
        return
    said = f"Its column {column.name} is generated, the table's is not; its values stay as they are by this"
    if kinds[0] == "s":
        yield Obstacle(said, (f"{alter} ALTER COLUMN {name} DROP EXPRESSION",))
        return
    kept = ident(f"{column.name[:40]}_kept")
    yield Obstacle(
        said,
        (
            f"{alter} ADD COLUMN {kept} {own.type}",
            f"UPDATE {archived.sql} SET {kept} = {name}",
            f"{alter} DROP COLUMN {name}",
            f"{alter} RENAME COLUMN {kept} TO {name}",
        ),
    )


def _differing_nulls(archived: Archived, column: Column, own: Column) -> Iterator[Obstacle]:
    """NOT NULL, which is a constraint of its own since 18: inherited, and proven where the table's is."""
    if not own.not_null:
        said = f"Its column {column.name} allows NULL; rows without a value have to get one first"
        yield Obstacle(said, (_set_not_null(archived.sql, column),))
        return
    nulls, wanted = own.nulls, column.nulls
    if nulls is not None and nulls.no_inherit:
        yield Obstacle(
            f"The NOT NULL of its column {column.name} is NO INHERIT",
            (f"ALTER TABLE {archived.sql} ALTER CONSTRAINT {ident(nulls.name)} INHERIT",),
        )
    if nulls is not None and wanted is not None and wanted.validated and not nulls.validated:
        yield Obstacle(
            f"The NOT NULL of its column {column.name} is not proven",
            (f"ALTER TABLE {archived.sql} VALIDATE CONSTRAINT {ident(nulls.name)}",),
        )


# Constraints -----------------------------------------------------------------------------------------------------


def _of_checks(table: PartitionedTable, archived: Archived) -> Iterator[Obstacle]:
    """A CHECK of the same name and expression, inherited, enforced and proven where the table's is."""
    own = {check.name: check for check in archived.checks}
    alter = f"ALTER TABLE {archived.sql}"
    for wanted in table.checks:
        name = ident(wanted.name)
        has = own.get(wanted.name)
        add = f"ADD CONSTRAINT {name} {wanted.definition}"
        if has is None:
            yield Obstacle(f"It lacks the constraint {wanted.name}", (f"{alter} {add}",))
        elif has.expression != wanted.expression:
            said = f"Its constraint {wanted.name} says something else: {has.definition}"
            yield Obstacle(said, (f"{alter} DROP CONSTRAINT {name}, {add}",))
        elif has.no_inherit or (wanted.enforced and not has.enforced):
            what = "NO INHERIT" if has.no_inherit else "not enforced"
            yield Obstacle(f"Its constraint {wanted.name} is {what}", (f"{alter} DROP CONSTRAINT {name}, {add}",))
        elif wanted.validated and has.enforced and not has.validated:
            said = f"Its constraint {wanted.name} is not proven"
            yield Obstacle(said, (f"{alter} VALIDATE CONSTRAINT {name}",))


def _of_keys(table: PartitionedTable, archived: Archived) -> Iterator[Obstacle]:
    """One primary key is all that a table can have; every other index and key is built before or within ATTACH."""
    wanted = next((index for index in table.indexes if index.primary), None)
    own = next((index for index in archived.indexes if index.primary), None)
    if wanted is not None and own is not None and wanted.shape != own.shape:
        yield Obstacle(
            f"Its primary key is on {', '.join(own.columns)}, the table's on {', '.join(wanted.columns)}",
            (f"ALTER TABLE {archived.sql} DROP CONSTRAINT {ident(own.name)}",),
        )
