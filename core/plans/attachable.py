"""What an archived table has to be to come back, and what it gets before it is attached, outside of any lock."""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import NameTaken, NotAttachable, Overlap
from core.names import fit, ident, qualified, split_qualified
from core.plans.branch import homeward, locks_below
from core.plans.obstacles import attach_obstacles
from core.plans.plan import Lock, Mode, Step
from core.plans.steps import out_of_default, validate
from core.tables.archived import Archived, Source
from core.tables.bounds import Bounds
from core.tables.key import Key, KeyRange
from core.tables.structure import ForeignKey, Index
from core.tables.table import PartitionedTable
from core.tables.tree import Kind, type_names
from core.text import plural, to_run

SHARED_NAMES = "tables, their row types, indexes and sequences share names there"


def home_of(table: PartitionedTable, archived: Archived) -> str:
    """The schema that it goes back to: where it stood, or the table's where that is gone."""
    return archived.tag.schema if archived.tag and not archived.home_gone else table.schema


def require_attachable(
    table: PartitionedTable,
    key: Key,
    archived: Archived,
    rows: KeyRange | None,
    default_rows: int,
    *,
    home: str = "",
    more: tuple[str, ...] = (),
) -> Bounds:
    """Its bounds. `home` is the schema that it is to stand in, where that is not as it was; `more` stands in the way.

    Raises Overlap, NameTaken, and NotAttachable with every reason at once.
    """
    bounds = archived.bounds
    if bounds is None:
        raise NotAttachable(
            f"Nothing tells which range {archived.schema}.{archived.name} held.",
            ("It has no tag, no CHECK of a range on the key, and no year in its name.",),
            next="Add a CHECK, with its own ends in place of the dots: "
            + to_run(f"ALTER TABLE {archived.sql} ADD CHECK ({key.sql} >= '...' AND {key.sql} < '...')"),
        )
    overlapping = [p for p in table.ranges if p.bounds and p.bounds.overlaps(bounds)]
    if overlapping:
        raise Overlap(
            f"{overlapping[0].name} holds a part of {archived.name}'s range already: "
            f"{overlapping[0].bounds.text if overlapping[0].bounds else ''}.",
            next="Two partitions can't share a date; partitions doctor tells what can be done.",
        )
    _require_room(table, archived, home or home_of(table, archived))
    reasons = tuple(str(obstacle) for obstacle in attach_obstacles(table, archived))
    reasons += branch_obstacles(table, archived)
    if rows is not None:
        reasons += row_obstacles(key, archived, bounds, rows)
    if default_rows and table.default is not None:
        reasons += (
            f"The DEFAULT partition {table.default.name} holds {plural(default_rows, 'row')} of its range."
            f" {out_of_default(table)}",
        )
    reasons += more
    if reasons:
        raise NotAttachable(f"{archived.schema}.{archived.name} can't be attached as it is.", reasons)
    return bounds


def _require_room(table: PartitionedTable, archived: Archived, home: str) -> None:
    """Raises NameTaken where the schemas that it and all below it go back to hold what they would meet."""
    for each, schema in homeward(archived, home):
        taken = table.taken if schema == table.schema else archived.home_taken
        taken = taken if schema == home else archived.homes_below[schema]
        names = each.own_names if isinstance(each, Archived) else each.names
        clash = sorted({*names, *type_names(each.name)} & taken)
        if clash:
            raise NameTaken(
                f"{schema} already holds {', '.join(clash)}; {SHARED_NAMES}.",
                next="Rename what stands there, or the archived one.",
            )


def branch_obstacles(table: PartitionedTable, archived: Archived) -> tuple[str, ...]:
    """What a branch can't be given step by step as a plain table can."""
    if archived.kind is not Kind.BRANCH:
        return ()
    lacking = [index for index in _lacking_indexes(table, archived) if index.constraint]
    reasons = [
        f"It lacks the {'primary key' if index.primary else 'unique constraint'} {index.name}:"
        f" {to_run(f'ALTER TABLE {archived.sql} ADD {_constraint(index)}')}"
        for index in lacking
    ]
    return tuple(reasons)


def _constraint(index: Index) -> str:
    """The key that stands on an index, as ADD takes it."""
    columns, nulls, rest = index.definition.removeprefix("USING btree ").partition(" NULLS NOT DISTINCT")
    return f"{'PRIMARY KEY' if index.primary else f'UNIQUE{nulls}'} {columns}{rest}"


def _lacking_indexes(table: PartitionedTable, archived: Archived) -> list[Index]:
    free = [index for index in archived.indexes if index.valid and not index.exclusion]
    lacking: list[Index] = []
    for wanted in (index for index in table.indexes if not index.exclusion):
        match = next((i for i in free if i.shape == wanted.shape and (i.constraint or not wanted.constraint)), None)
        if match is None:
            lacking.append(wanted)
        else:
            free.remove(match)
    return lacking


def _lacking_foreign_keys(table: PartitionedTable, archived: Archived) -> list[ForeignKey]:
    """Those that ATTACH would add, checking every row under its lock."""
    own = {one.definition for one in archived.foreign_keys}
    return [
        wanted
        for wanted in table.references
        if split_qualified(wanted.other) != (table.schema, table.name)
        and not wanted.definition.endswith(" NOT ENFORCED")
        and not {wanted.definition, wanted.definition.removesuffix(" NOT VALID")} & own
    ]


def _unproven(archived: Archived, wanted: ForeignKey) -> ForeignKey | None:
    """Its own foreign key that is the wanted one but for its proof; beside it ATTACH would make a second."""
    return next((one for one in archived.foreign_keys if one.definition == f"{wanted.definition} NOT VALID"), None)


def _build_below(archived: Archived, wanted: Index) -> Step:
    """An index of a branch is built on its leaves while writes to them wait: it is archived, and nobody's to write."""
    name = fit(f"{archived.name}_{'_'.join(wanted.columns)}", "_idx")
    unique = "UNIQUE " if wanted.unique else ""
    made = f"CREATE {unique}INDEX {ident(name)} ON {archived.sql} {wanted.definition}"
    mode, statements = Mode.SHARE, [made]
    if any(index.name == name for index in archived.indexes):  # a dump leaves it unfinished beside a foreign leaf
        mode, statements = Mode.ACCESS_EXCLUSIVE, [f"DROP INDEX {qualified(archived.schema, name)}", made]
    return Step(
        f"Build the missing index on {', '.join(wanted.columns)}, on all that hangs below",
        tuple(statements),
        (Lock(archived.sql, mode, brief=False), *locks_below(archived, mode, brief=False)),
        transactional=len(statements) > 1,
    )


def _foreign_key_below(archived: Archived, wanted: ForeignKey) -> Iterator[Step]:
    """Each leaf gets it and is checked on its own; the branch takes those over without reading a row."""
    definition = wanted.definition.removesuffix(" NOT VALID")
    leaves = archived.tree.here if archived.tree is not None else ()
    there = {one.oid: {said: name for name, said in one.foreign_keys} for one in leaves}
    lacking = [one for one in leaves if not {definition, f"{definition} NOT VALID"} & there[one.oid].keys()]
    names = {one.oid: fit(one.name, f"_{wanted.name}"[:20]) for one in lacking}
    if lacking:
        yield Step(
            f"Add the missing foreign key to {wanted.other} to each leaf",
            tuple(
                f"ALTER TABLE {one.sql} ADD CONSTRAINT {ident(names[one.oid])} {definition} NOT VALID"
                for one in lacking
            ),
            tuple(
                Lock(relation, Mode.SHARE_ROW_EXCLUSIVE) for relation in (*(one.sql for one in lacking), wanted.other)
            ),
            undo=tuple(f"ALTER TABLE {one.sql} DROP CONSTRAINT {ident(names[one.oid])}" for one in lacking),
        )
    for one in leaves if definition == wanted.definition else ():
        if definition not in there[one.oid]:
            yield Step(
                f"Check every row of {one.name} against {wanted.other}",
                (validate(one.sql, names.get(one.oid) or there[one.oid][f"{definition} NOT VALID"]),),
                (Lock(one.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False), Lock(wanted.other, Mode.ROW_SHARE)),
            )
    name = ident(fit(archived.name, f"_{wanted.name}"[:20]))
    yield Step(
        f"Have {archived.name} take over the foreign keys of its leaves",
        (f"ALTER TABLE {archived.sql} ADD CONSTRAINT {name} {wanted.definition}",),
        (
            Lock(archived.sql, Mode.SHARE_ROW_EXCLUSIVE),
            *locks_below(archived, Mode.SHARE_ROW_EXCLUSIVE),
            Lock(wanted.other, Mode.SHARE_ROW_EXCLUSIVE),
        ),
    )


def row_obstacles(key: Key, archived: Archived, bounds: Bounds, rows: KeyRange) -> tuple[str, ...]:
    reasons: list[str] = []
    if rows.nulls:
        reasons.append(f"{rows.nulls:,} of its rows have no {key.name}.")
    outside = [end for end in (rows.lowest, rows.highest) if end is not None and not bounds.holds(end)]
    if outside:
        by = {Source.NAME: "its name says", Source.CHECK: "its CHECK says", Source.TAG: "its tag says"}
        says = by[archived.source] if archived.source else "are expected"
        reasons.append(
            f"Its rows run from {rows.lowest} to {rows.highest}, outside of the bounds that {says}: {bounds.text}."
            " Move the rows that don't belong, or rename the table to what it holds."
        )
    return tuple(reasons)


def built_within(table: PartitionedTable) -> tuple[Index, ...]:
    """What ATTACH itself builds, over all rows: it takes no exclusion constraint that is there (17 and 18)."""
    return tuple(index for index in table.indexes if index.exclusion)


def is_not_null(archived: Archived, key: Key) -> bool:
    filled = {column.name for column in archived.columns if column.not_null}
    return all(part.column in filled for part in archived.own_key(key).parts)


def missing_indexes(table: PartitionedTable, archived: Archived) -> list[Step]:
    if archived.kind is Kind.BRANCH:
        return [_build_below(archived, wanted) for wanted in _lacking_indexes(table, archived)]
    steps: list[Step] = []
    free = [index for index in archived.indexes if index.valid and not index.exclusion]
    names = {index.name for index in archived.indexes}
    for wanted in (index for index in table.indexes if not index.exclusion):
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
    """ATTACH would add them and check every row under its lock; here each row is checked before.

    Where the table's own is not proven (18), rows are left unchecked as the table's others are. ATTACH does it for one
    that is not enforced, and for one that refers to the table itself: rows may refer to each other.
    """
    steps: list[Step] = []
    for wanted in _lacking_foreign_keys(table, archived):
        own = _unproven(archived, wanted)
        if archived.kind is Kind.BRANCH and own is None:
            steps += _foreign_key_below(archived, wanted)
            continue
        definition = wanted.definition.removesuffix(" NOT VALID")
        name = own.name if own else fit(archived.name, f"_{wanted.name}"[:20])
        if own is None:
            steps.append(
                Step(
                    f"Add the missing foreign key to {wanted.other}",
                    (f"ALTER TABLE {archived.sql} ADD CONSTRAINT {ident(name)} {definition} NOT VALID",),
                    (Lock(archived.sql, Mode.SHARE_ROW_EXCLUSIVE), Lock(wanted.other, Mode.SHARE_ROW_EXCLUSIVE)),
                    undo=(f"ALTER TABLE {archived.sql} DROP CONSTRAINT {ident(name)}",),
                )
            )
        if definition != wanted.definition:
            continue
        steps.append(
            Step(
                f"Check every row against {wanted.other}",
                (validate(archived.sql, name),),
                (Lock(archived.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False), Lock(wanted.other, Mode.ROW_SHARE)),
            )
        )
    return steps
