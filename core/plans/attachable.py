"""What keeps an archived table from being attached as it is, and what is built on it before, outside of any lock."""

from __future__ import annotations

from core.names import fit, ident, qualified
from core.plans.plan import Lock, Mode, Step
from core.plans.steps import validate
from core.tables.archived import Archived, Source
from core.tables.bounds import Bounds
from core.tables.key import Key, KeyRange
from core.tables.structure import Column, Index
from core.tables.table import PartitionedTable


def attach_obstacles(table: PartitionedTable, archived: Archived) -> tuple[str, ...]:
    """What of an archived table's shape keeps it from its parent, each with what puts it right; no rows are read."""
    theirs = {column.name: column for column in archived.columns}
    reasons: list[str] = []
    for column in table.columns:
        own = theirs.pop(column.name, None)
        reasons += _column_obstacles(archived, column, own)
    reasons += [
        f"It has a column {name} that the table lacks: ALTER TABLE {archived.sql} DROP COLUMN {ident(name)},"
        " or add the column to the table."
        for name in theirs
    ]
    checks = {(check.name, check.definition) for check in archived.checks}
    reasons += [
        f"It lacks the constraint {check.name}: ALTER TABLE {archived.sql} ADD CONSTRAINT {ident(check.name)}"
        f" {check.definition}."
        for check in table.checks
        if (check.name, check.definition) not in checks
    ]
    if archived.owner != table.owner and not table.server.can.superuser:
        reasons.append(
            f"Its owner is {archived.owner}, not {table.owner}: ALTER TABLE {archived.sql} OWNER TO"
            f" {ident(table.owner)}."
        )
    return tuple(reasons)


def _column_obstacles(archived: Archived, column: Column, own: Column | None) -> list[str]:
    alter = f"ALTER TABLE {archived.sql}"
    name = ident(column.name)
    if own is None:
        return [f"It lacks the column {column.name}: {alter} ADD COLUMN {name} {column.type}."]
    reasons: list[str] = []
    if own.type != column.type:
        reasons.append(
            f"Its column {column.name} is {own.type}, the table's is {column.type}:"
            f" {alter} ALTER COLUMN {name} TYPE {column.type}."
        )
    if own.collation != column.collation:
        reasons.append(f"Its column {column.name} has the collation {own.collation}, the table's {column.collation}.")
    if column.not_null and not own.not_null:
        reasons.append(f"Its column {column.name} allows NULL: {alter} ALTER COLUMN {name} SET NOT NULL.")
    if own.generated != column.generated:
        reasons.append(f"Its column {column.name} is generated differently from the table's.")
    if own.identity:
        reasons.append(
            f"Its column {column.name} has an identity of its own: {alter} ALTER COLUMN {name} DROP IDENTITY."
        )
    return reasons


def row_obstacles(key: Key, archived: Archived, bounds: Bounds, rows: KeyRange) -> tuple[str, ...]:
    reasons: list[str] = []
    if rows.nulls:
        reasons.append(f"{rows.nulls:,} of its rows have no {key.column}.")
    outside = [end for end in (rows.lowest, rows.highest) if end is not None and not bounds.holds(end)]
    if outside:
        by = {Source.NAME: "its name says", Source.CHECK: "its CHECK says", Source.TAG: "its tag says"}
        says = by[archived.source] if archived.source else "are expected"
        reasons.append(
            f"Its rows run from {rows.lowest} to {rows.highest}, outside of the bounds that {says}: {bounds.text}."
            " Move the rows that don't belong, or rename the table to what it holds."
        )
    return tuple(reasons)


def is_not_null(archived: Archived, key: Key) -> bool:
    return any(column.name == key.column and column.not_null for column in archived.columns)


def missing_indexes(table: PartitionedTable, archived: Archived) -> list[Step]:
    steps: list[Step] = []
    free = [index for index in archived.indexes if index.valid]
    names = {index.name for index in archived.indexes}
    for wanted in table.indexes:
        match = next((i for i in free if i.shape == wanted.shape and (i.constraint or not wanted.constraint)), None)
        if match is not None:
            free.remove(match)
            continue
        bare = next((i for i in free if i.shape == wanted.shape), None)
        if bare is not None:
            free.remove(bare)
            steps.append(_constraint_step(archived, bare.name, wanted))
            continue
        name = fit(f"{archived.name}_{'_'.join(wanted.columns)}", "_key" if wanted.constraint else "_idx")
        if wanted.primary:
            name = fit(archived.name, "_pkey")
        broken = next((i for i in archived.indexes if i.name == name and not i.valid), None)
        if broken is None and name in names:
            name = fit(name, "_partition")
        steps += _build_index(archived, name, wanted, broken)
        names.add(name)
    return steps


def _build_index(archived: Archived, name: str, wanted: Index, broken: Index | None) -> list[Step]:
    lock = (Lock(archived.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),)
    steps: list[Step] = []
    if broken is not None:
        steps.append(
            Step(
                f"Take away the unfinished index {name}",
                (f"DROP INDEX CONCURRENTLY {qualified(archived.schema, name)}",),
                lock,
                transactional=False,
            )
        )
    unique = "UNIQUE " if wanted.unique else ""
    steps.append(
        Step(
            f"Build the missing index on {', '.join(wanted.columns)}",
            (f"CREATE {unique}INDEX CONCURRENTLY {ident(name)} ON {archived.sql} {wanted.definition}",),
            lock,
            transactional=False,
            leaves=qualified(archived.schema, name),
        )
    )
    if wanted.constraint:
        steps.append(_constraint_step(archived, name, wanted))
    return steps


def _constraint_step(archived: Archived, index: str, wanted: Index) -> Step:
    kind = "PRIMARY KEY" if wanted.primary else "UNIQUE"
    return Step(
        f"Make {index} the {kind.lower()} constraint",
        (f"ALTER TABLE {archived.sql} ADD CONSTRAINT {ident(index)} {kind} USING INDEX {ident(index)}",),
        (Lock(archived.sql, Mode.ACCESS_EXCLUSIVE),),
    )


def missing_foreign_keys(table: PartitionedTable, archived: Archived) -> list[Step]:
    """ATTACH would add them and check every row under its lock; here each row is checked before."""
    steps: list[Step] = []
    for wanted in table.references:
        if wanted.definition in archived.foreign_keys:
            continue
        name = fit(archived.name, f"_{wanted.name}"[:20])
        steps.append(
            Step(
                f"Add the missing foreign key to {wanted.other}",
                (f"ALTER TABLE {archived.sql} ADD CONSTRAINT {ident(name)} {wanted.definition} NOT VALID",),
                (Lock(archived.sql, Mode.SHARE_ROW_EXCLUSIVE), Lock(wanted.other, Mode.SHARE_ROW_EXCLUSIVE)),
                undo=(f"ALTER TABLE {archived.sql} DROP CONSTRAINT {ident(name)}",),
            )
        )
        steps.append(
            Step(
                f"Check every row against {wanted.other}",
                (validate(archived.sql, name),),
                (Lock(archived.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False), Lock(wanted.other, Mode.ROW_SHARE)),
            )
        )
    return steps
