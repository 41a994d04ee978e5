"""Unconvert: a partitioned table whose rows lie in one partition becomes that partition, plain, where it stands.

The way back of `inplace`: no row is copied; the other partitions, which hold none, go with the parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from core.errors import NameTaken, Refused
from core.names import dollar_quoted, fit, ident, literal, qualified
from core.plans.built import build_key, built_for_the_way_back, is_built, key_parts
from core.plans.convertible import narrowed, nullable_again, require_rights, require_unpartitionable
from core.plans.inplace import prove_referrer, switch_locks, unchanged, unproven
from core.plans.operation import Danger, Operation, Sources
from core.plans.plan import Plan, Step, basis, nothing_to_do
from core.plans.under_way import require_own
from core.tables.commands import option, twin
from core.tables.definition import Constraint, DefinedIndex, Definition, Memo
from core.tables.plain import CHECK, Whole
from core.tables.rebuild import belongings, commented, put_sequences_aside, sequences
from core.tables.table import PartitionedTable
from core.tables.tied import locked_first, told
from core.text import plural

UNCONVERT = Operation(
    "unconvert", "Make plain", "becoming plain", Danger.DIALOG, counts_rows=False, told_apart_by="steps"
)


@dataclass(frozen=True, slots=True)
class Unconvert:
    """That a partitioned table is plain."""

    operation: ClassVar = UNCONVERT
    table: str | PartitionedTable

    def plan(self, desk: Sources) -> Plan:
        """Looks whether each partition holds a row, and for doubles of the key that the plain table had."""
        table = desk.read(self.table) if isinstance(self.table, str) else self.table
        command = twin("unconvert", table)
        if table.strategy == "plain":
            left = tuple(prove_referrer(table.sql, fk.name, fk.other) for fk in table.referenced_by if fk.is_unproven)
            told = f"{table.label} is a plain table already"
            if left:
                effect = f"{told}; foreign keys to it are left to be checked."
                return Plan(
                    UNCONVERT, table.address, table.label, basis(table), left, (effect,), command=command, oid=table.oid
                )
            return nothing_to_do(UNCONVERT, table.address, table.label, f"{told}.", command=command)
        require_rights(table)
        require_own(table, desk.under_way(table), UNCONVERT.name)
        return plan_unconvert(table, desk.whole(table))


def plan_unconvert(table: PartitionedTable, whole: Whole) -> Plan:
    """A plan that makes the table plain in place. From whatever a killed one left it plans what is left.

    Raises Refused with every reason that stands in the way.
    """
    definition, kept = whole.definition, whole.kept
    require_free(whole)
    _require_whole(table, whole)
    constraints, indexes, nullable, notes = narrowed(definition, whole.duplicates)
    own = {above: one for one, above in whole.pairs}
    primary = next((one for one in constraints if one.kind == "p"), None)
    narrow = primary if primary is not None and primary.definition != _before(definition) else None
    built = built_for_the_way_back(definition.name)
    left = tuple(one for one in definition.children if one.extras and one.name != kept.name)
    archived = ", ".join(f"{one.schema}.{one.name}" for one in table.archived)
    return Plan(
        operation=UNCONVERT,
        table=table.address,
        subject=table.label,
        basis=basis(table, all_partitions=True),
        steps=(
            *(build_key(kept, narrow, built, is_built(kept.indexes, built)) if narrow is not None else ()),
            _switch(whole, constraints, indexes, nullable, own, (narrow, built)),
            *(prove_referrer(definition.sql, fk.name, fk.other) for fk in definition.incoming),
        ),
        effects=(
            f"{definition.label} is a plain table again: all its rows lie in {kept.name}, which gets its name; none is"
            " copied.",
            f"{plural(len(whole.others), 'partition')} that {'holds' if len(whole.others) == 1 else 'hold'} no row"
            f" {'goes' if len(whole.others) == 1 else 'go'} with the parent.",
            *notes,
            *told(definition.tied),
            *([f"Archived and left where they are, not in the plain table: {archived}."] if archived else []),
            *(f"Gone with {one.name}, which alone had it: {', '.join(one.extras)}." for one in left),
        ),
        meanwhile=("The switch holds everybody up for some milliseconds.",),
        way_back="Convert it again: "
        + twin("convert", table, "", option("--key", definition.key or ""), "--every ...", "--split-later"),
        command=twin("unconvert", table),
        oid=table.oid,
    )


def _before(definition: Definition) -> str:
    primary = definition.primary_key
    return primary.definition if primary is not None else ""


def _require_whole(table: PartitionedTable, whole: Whole) -> None:
    if len(whole.filled) < 2:
        return
    names = ", ".join(whole.filled[:3]) + (f" and {len(whole.filled) - 3:,} more" if whole.filled[3:] else "")
    raise Refused(
        f"{whole.definition.label} can't become plain where it stands:"
        f" its rows lie in {plural(len(whole.filled), 'partition')}, {names}.",
        next=f"Have them brought into one, while everybody works, which this does first: {twin('unconvert', table)}",
    )


def require_free(whole: Whole) -> None:
    """Raises Refused for what keeps the table from becoming plain in place, wherever its rows lie."""
    definition = whole.definition
    require_unpartitionable(definition)
    if whole.partitioned_referrers:
        tables = ", ".join(whole.partitioned_referrers)
        raise Refused(f"{tables}, partitioned itself, references it: that foreign key can't be made anew online.")
    if any(one.to_itself for one in definition.constraints):
        raise Refused(
            f"{definition.label} has a foreign key to itself, which can't be made anew online. Drop it first."
        )
    needed = {fit(one.name, "_before") for one in definition.sequences if one.identity} | {_parent(definition)}
    clash = sorted(needed & whole.taken)
    if clash:
        raise NameTaken(
            f"{definition.schema} already holds {', '.join(clash)}, which this needs for itself.",
            next="Rename what stands there, or move it to another schema.",
        )


def _parent(definition: Definition) -> str:
    return fit(definition.name, "_parent")


def _switch(
    whole: Whole,
    constraints: tuple[Constraint, ...],
    indexes: tuple[DefinedIndex, ...],
    nullable: bool,
    own: dict[str, str],
    key: tuple[Constraint | None, str],
) -> Step:
    definition, kept = whole.definition, whole.kept
    parent = qualified(definition.schema, _parent(definition))
    moved = qualified(kept.schema, definition.name)
    others = dict.fromkeys(fk.other for fk in definition.incoming)
    foreign = definition.of_kind("f")
    return Step(
        f"Put {kept.name} in the place of {definition.label}, and take the parent away",
        (
            *locked_first(definition.tied),
            f"LOCK TABLE {definition.sql} IN ACCESS EXCLUSIVE MODE",
            "SET LOCAL default_tablespace = ''",
            unchanged(definition.oid, whole.signature, ()),
            *([_empty(whole.others)] if whole.others else []),
            *(f"ALTER TABLE {fk.other} DROP CONSTRAINT {ident(fk.name)}" for fk in definition.incoming),
            f"ALTER TABLE {definition.sql} DETACH PARTITION {kept.sql}",
            *_stripped(kept),
            *put_sequences_aside(definition),
            f"ALTER TABLE {definition.sql} RENAME TO {ident(_parent(definition))}",
            f"ALTER TABLE {kept.sql} RENAME TO {ident(definition.name)}",
            *([f"ALTER TABLE {moved} SET SCHEMA {ident(definition.schema)}"] if moved != definition.sql else []),
            *sequences(definition),
            *(one.again for one in definition.tied),
            f"DROP TABLE {', '.join((*whole.others, parent))}",
            *_named(definition, constraints, indexes, own, key),
            *nullable_again(definition, nullable),
            *belongings(replace(definition, incoming=(), constraints=_without(definition, foreign)), ()),
            *(
                line
                for one in foreign
                for line in commented(f"CONSTRAINT {ident(one.name)} ON {definition.sql}", one.comment)
            ),
            *unproven(definition.incoming),
        ),
        switch_locks(definition, others),
    )


def _without(definition: Definition, foreign: tuple[Constraint, ...]) -> tuple[Constraint, ...]:
    return tuple(one for one in definition.constraints if one not in foreign)


def _empty(others: tuple[str, ...]) -> str:
    """Raises where one of the partitions that go holds a row by now."""
    looks = "".join(
        f" IF EXISTS (SELECT FROM {one}) THEN RAISE EXCEPTION 'rows lie in % by now', {literal(one).strip()}; END IF;\n"
        for one in others
    )
    return f"DO {dollar_quoted(f'BEGIN {looks} END')}"


def _stripped(kept: Definition) -> Iterator[str]:
    """What the one partition has of its own and the plain table gets from the parent's definition."""
    if any(one.name == CHECK for one in kept.constraints):
        yield f"ALTER TABLE {kept.sql} DROP CONSTRAINT {ident(CHECK)}"
    for one in kept.statistics:
        yield f"DROP STATISTICS {qualified(one.schema, one.name)}"
    for policy in kept.policies:
        yield f"DROP POLICY {ident(policy.name)} ON {kept.sql}"
    for trigger in kept.triggers:
        yield f"DROP TRIGGER {ident(trigger.name)} ON {kept.sql}"
    grantees = dict.fromkeys(one.grantee for one in kept.rights.grants or () if one.grantee != kept.owner)
    if grantees:
        yield f"REVOKE ALL ON {kept.sql} FROM {', '.join(ident(name) if name else 'PUBLIC' for name in grantees)}"
    if kept.comment is not None:
        yield f"COMMENT ON TABLE {kept.sql} IS NULL"


def _named(
    definition: Definition,
    constraints: tuple[Constraint, ...],
    indexes: tuple[DefinedIndex, ...],
    own: dict[str, str],
    key: tuple[Constraint | None, str],
) -> Iterator[str]:
    """The indexes of the one partition get the names that the parent's had; what only partitions needed goes."""
    narrow, built = key
    wanted = {one.name: one for one in constraints}
    for one in definition.of_kind("pux"):
        index = own[one.name]
        if one.name not in wanted:
            yield f"ALTER TABLE {definition.sql} DROP CONSTRAINT {ident(index)}"
            continue
        if narrow is not None and one.name == narrow.name:
            yield f"ALTER TABLE {definition.sql} DROP CONSTRAINT {ident(index)}"
            yield (
                f"ALTER TABLE {definition.sql} ADD CONSTRAINT {ident(narrow.name)} PRIMARY KEY"
                f" USING INDEX {ident(built)}{key_parts(narrow)[1]}"
            )
        elif index != one.name:
            yield f"ALTER INDEX {qualified(definition.schema, index)} RENAME TO {ident(one.name)}"
        yield from commented(f"CONSTRAINT {ident(one.name)} ON {definition.sql}", wanted[one.name].comment)
    kept = {one.name: one for one in indexes}
    for each in definition.indexes:
        index = own.get(each.name, "")
        if each.constraint or not index:
            comment = each.comment if each.name in wanted else None
            yield from commented(f"INDEX {qualified(definition.schema, each.name)}", comment)
        elif each.name not in kept:
            yield f"DROP INDEX {qualified(definition.schema, index)}"
        else:
            if index != each.name:
                yield f"ALTER INDEX {qualified(definition.schema, index)} RENAME TO {ident(each.name)}"
            comment = Memo.split(each.comment)[0]
            yield from commented(f"INDEX {qualified(definition.schema, each.name)}", comment)
