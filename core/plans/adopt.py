"""Adopt: a plain table that was made by hand becomes a partition where it stands; release is the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import ClassVar

from core.errors import Overlap, PartitionNotFound, Refused, TableNotFound, UsageError
from core.names import address, comment_sql, ident
from core.plans.attachable import missing_foreign_keys, missing_indexes, require_attachable
from core.plans.equip import mended
from core.plans.operation import Danger, Operation, Scope, Sources, table_for
from core.plans.plan import Lock, Mode, Plan, Step, basis, nothing_to_do
from core.plans.publishing import entering
from core.plans.reattach import attach_step, prove_range
from core.plans.refusals import require_nothing_pending, require_served
from core.plans.spread import spread_like_parent
from core.plans.steps import default_meanwhile, exclude_from_default, validate
from core.plans.target import called_in
from core.plans.under_way import require_still
from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.commands import option, twin
from core.tables.cut import Cut
from core.tables.ends import Beyond, End, KeyType, Value
from core.tables.equipment import Equipped, Trait
from core.tables.equipment import Kind as Has
from core.tables.key import Clock, Key, at_clock
from core.tables.marks import Marks
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import Kind
from core.text import listed, plural, shell_word, shown, to_run

ADOPT = Operation("adopt", "Adopt", "adopting", Danger.DIALOG, scope=Scope.PARTITIONS)
RELEASE = Operation("release", "Release", "releasing", Danger.DIALOG)

PROOF = "partition_desk_adopts"
"""The CHECK that proves the rows before they are attached, and goes with the attach."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """That a plain table becomes the partition of a range."""

    operation: ClassVar = ADOPT
    table: str | PartitionedTable
    partition: str
    """Its name, with its schema where it has to be."""
    lower: str
    """As it is typed: a date, a local time, a number, what PostgreSQL prints, or MINVALUE."""
    upper: str

    def plan(self, desk: Sources) -> Plan:
        """Reads all rows of the table, where no CHECK proves that they lie in the range."""
        table = table_for(desk, self.table)
        key = require_served(table)
        bounds = typed_bounds(key, self.lower, self.upper, desk.zone)
        found = _found(desk, table, self.partition)
        if isinstance(found, Partition):
            return _adopted(table, key, found, bounds)
        alone = replace(found, bounds=bounds)
        check = alone.bounds_check(key)
        proven = check is not None and check.validated
        outside = 0 if proven or not alone.has_key(key) else desk.outside(table, alone, bounds)
        return plan_adopt(
            table,
            alone,
            outside=outside,
            default_rows=desk.default_rows(table, [bounds]),
            own=desk.equipped(table, alone) if alone.kind is Kind.PLAIN else None,
            zone=desk.zone,
        )


@dataclass(frozen=True, slots=True)
class Release:
    """That a partition is a table of its own again, where it stands."""

    operation: ClassVar = RELEASE
    table: str | PartitionedTable
    partition: str

    def plan(self, desk: Sources) -> Plan:
        """Reads whether its rows are being moved."""
        table = table_for(desk, self.table)
        found = _found(desk, table, self.partition)
        if not isinstance(found, Partition):
            called = address(found.schema, found.name)
            why = f"{called} is no partition of {table.label}."
            return nothing_to_do(RELEASE, table.address, called, why, command=_release_twin(table, called))
        require_still(table, desk.under_way(table), table.called(found))
        return plan_release(table, found)


def _found(desk: Sources, table: PartitionedTable, name: str) -> Partition | Archived:
    """The partition of that name, or the table that is to be one. Raises TableNotFound, Refused."""
    try:
        said = desk.address_of(name)
    except TableNotFound:
        said = ""
    there = [one for one in table.partitions if address(one.schema, one.name) == said]
    attached = there[0] if there else None if said else table.find(name)
    if attached is not None:
        return attached
    alone = desk.alone(table, said) if said else None
    if alone is None:
        raise PartitionNotFound(
            f"{said or name} is no table that could be a partition of {table.label}.",
            next="It has to be a table that is there, that is no partition of another, and that is not temporary.",
        )
    return alone


# --- what is typed ----------------------------------------------------------------------------------------------


def typed_bounds(key: Key, lower: str, upper: str, zone: str) -> Bounds:
    """The range from one end to the other, made anew from what was read of each. Raises UsageError."""
    if any(part.ranks is not None or part.type is KeyType.OTHER for part in key.parts):
        raise Refused(
            f"The order of {key.name} is known to the server alone: its ends can't be read here.",
            next="Attach the table by hand; it is served as the others are.",
        )
    found = Bounds.of(key, _typed(key, lower, "MINVALUE", zone), _typed(key, upper, "MAXVALUE", zone))
    if found.lower is not None and found.upper is not None and not found.lower < found.upper:
        raise UsageError(f"{lower} is not before {upper}.", next="The range goes from --lower up to, without, --upper.")
    return found


def _typed(key: Key, text: str, unbounded: str, zone: str) -> End | None:
    if text.upper() == unbounded:
        return None
    try:
        found = key.end(text)
    except ValueError:
        found = _local(key, text, zone)
    if isinstance(found, Value) and isinstance(found.rank, int) and key.type.is_number:
        return key.end(str(found.rank))
    return found


def _local(key: Key, text: str, zone: str) -> End:
    """A date, or a local time of the application, as the key has it."""
    refused = UsageError(
        f"{text!r} is no value of {key.name}, which is {key.declared or key.type.value}.",
        next="Write a date as 2025-01-01, a local time as '2025-01-01 06:00', or a value as PostgreSQL prints it.",
    )
    if key.clock is None or key.type.is_text:
        raise refused
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        raise refused from None
    if local.tzinfo is not None or text[:1] not in "0123456789" or "-" not in text:
        raise refused
    if key.clock is Clock.DATE and local.time() != time():
        raise refused
    return at_clock(key, local, zone)


def _said(key: Key, end: End | None, unbounded: str) -> str:
    """An end so that it can be typed again."""
    if end is None:
        return unbounded
    return end.text if isinstance(end, Beyond | Value) else key.constant(end)  # type: ignore[arg-type]


# --- adopting ---------------------------------------------------------------------------------------------------


def _adopted(table: PartitionedTable, key: Key, attached: Partition, bounds: Bounds) -> Plan:
    called = table.called(attached)
    own = attached.bounds
    if attached.pending:
        require_nothing_pending(table)
    if own is None or not (own.covers(bounds) and bounds.covers(own)):
        raise Overlap(
            f"{called} is a partition of {table.label} already, with other bounds: {own.text if own else 'unknown'}.",
            next=f"If they are wrong, take it out first: {_release_twin(table, called)}",
        )
    why = f"{called} is a partition of {table.label} already, with these bounds."
    return nothing_to_do(ADOPT, table.address, called, why, command=_adopt_twin(table, key, called, bounds))


def plan_adopt(
    table: PartitionedTable,
    alone: Archived,
    *,
    outside: int = 0,
    default_rows: int = 0,
    own: Equipped | None = None,
    zone: str = "UTC",
) -> Plan:
    """A plan that makes the table `alone` the partition of its bounds, where it stands.

    `outside` is how many of its rows lie elsewhere, `default_rows` how many rows of the range the DEFAULT holds, `own`
    what the table has beyond its columns. Everything that reads rows is done before the attach, whose locks last
    moments. Raises Refused, and NotAttachable with every reason at once.
    """
    key = require_served(table)
    require_nothing_pending(table)
    called = address(alone.schema, alone.name)
    _require_own(table, alone, called)
    bounds = require_attachable(
        table, key, alone, None, default_rows, home=alone.schema, more=_rows_outside(alone, outside)
    )
    proof, made = prove_range(key, alone, bounds, PROOF)
    lacking = _lacking(table, own)
    steps = (
        *spread_like_parent(table, alone),
        *missing_indexes(table, alone),
        *proof,
        *missing_foreign_keys(table, alone),
        *_equip(table, alone, own, lacking),
        *exclude_from_default(table, key, bounds, alone.name),
        attach_step(table, alone, bounds, alone.schema, made),
    )
    return Plan(
        operation=ADOPT,
        table=table.address,
        subject=called,
        basis=basis(table, all_partitions=True),
        steps=steps,
        effects=(
            f"{called} becomes a partition of {table.label} where it stands, for {bounds.lower_sql} up to, not"
            f" including, {bounds.upper_sql}.",
            "Queries through the table return its rows, and rows of its range can be written through it.",
            *(f"It gets {trait.said}, as the newest partitions have." for trait in lacking),
            *([f"Its owner becomes {table.owner}, as the table's is."] if alone.owner != table.owner else []),
        ),
        way_back=f"Take it out again, where it stands: {_release_twin(table, called)}",
        command=_adopt_twin(table, key, called, bounds),
        warnings=(*_warnings(table, alone, bounds, own, zone), *default_meanwhile(table, alone.name)),
        oid=alone.oid,
    )


def _adopt_twin(table: PartitionedTable, key: Key, called: str, bounds: Bounds) -> str:
    lower = option("--lower", _said(key, bounds.lower, "MINVALUE"))
    upper = option("--upper", _said(key, bounds.upper, "MAXVALUE"))
    return f"partitions adopt {lower} {upper} {option('--table', table.address)} {_word(called)}"


def _word(called: str) -> str:
    """A name as the last word of a command."""
    return f"-- {shell_word(called)}" if called.startswith("-") else shell_word(called)


def _require_own(table: PartitionedTable, alone: Archived, called: str) -> None:
    """Raises Refused for what is no plain table of nobody's."""
    if alone.kind is not Kind.PLAIN:
        what = "a foreign table" if alone.kind is Kind.FOREIGN else "partitioned itself"
        raise Refused(f"{called} is {what}: only plain tables are adopted.", next="Attach it by hand.")
    archived = table.by_oid(alone.oid)
    if archived is not None:
        raise Refused(
            f"{called} is archived from {table.label}.",
            next=f"Reattach it: {twin('reattach', table, table.called(archived))}",
        )
    own, marks = Marks.split(alone.comment)
    if marks != Marks():
        raise Refused(
            f"The comment of {called} says that this console archived or held it, for another table.",
            next=f"If that is over, take it out: {to_run(comment_sql(alone.sql, own))}",
        )
    taken = [a for a in table.archived if a.bounds and alone.bounds and a.bounds.overlaps(alone.bounds)]
    if taken:
        raise Overlap(
            f"A part of that range is archived in {taken[0].schema}.{taken[0].name}: this would keep it from coming"
            " back.",
            next=f"Reattach that instead: {twin('reattach', table, table.called(taken[0]))}",
        )


def _rows_outside(alone: Archived, outside: int) -> tuple[str, ...]:
    if not outside or alone.bounds is None:
        return ()
    ends = f"{alone.bounds.lower_sql} up to, not including, {alone.bounds.upper_sql}"
    lie = "lies" if outside == 1 else "lie"
    return (f"{plural(outside, 'row')} of it {lie} outside of {ends}: move them, or give the range that it holds.",)


_MADE_ELSE = (Has.KEY, Has.UNIQUE_INDEX)
"""What needs an index of its own that no sibling's table-wide one is: told, and left to the Doctor's remedy."""


def _lacking(table: PartitionedTable, own: Equipped | None) -> tuple[Trait, ...]:
    """What the newest partitions share and it gets before it is attached."""
    missed = table.equipment.missed_by(own) if own is not None else ()
    return tuple(
        trait
        for trait in missed
        if not trait.lacks and trait.kind not in _MADE_ELSE and not (trait.index and trait.index in missed)
    )


def _equip(
    table: PartitionedTable, alone: Archived, own: Equipped | None, lacking: tuple[Trait, ...]
) -> Iterator[Step]:
    """What proves rows is a step of its own, outside of the strong lock that the rest takes for a moment."""
    brief: list[str] = []
    if alone.owner != table.owner:
        brief.append(f"ALTER TABLE {alone.sql} OWNER TO {ident(table.owner)}")
    begun = [trait for trait in lacking if own is not None and _unproven(own, trait)]
    proving = [validate(alone.sql, one.name) for trait in begun if own is not None and (one := _unproven(own, trait))]
    rest = [trait for trait in lacking if trait not in begun]
    for statement in mended(rest, own) if own is not None else ():
        (proving if " VALIDATE CONSTRAINT " in statement else brief).append(statement)
    if brief:
        yield Step(
            f"Equip {alone.name} as the newest partitions are", tuple(brief), (Lock(alone.sql, Mode.ACCESS_EXCLUSIVE),)
        )
    for statement in proving:
        yield Step(
            "Check every row against what the newest partitions demand",
            (statement,),
            (Lock(alone.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),),
        )


def _unproven(own: Equipped, trait: Trait) -> Trait | None:
    """The same of its own, as a try that was cut short has left it."""
    parts = (*trait.parts[:-1], f"{trait.parts[-1]} NOT VALID")
    return next((one for one in own.traits if one.kind is trait.kind and one.parts == parts), None)


def _warnings(
    table: PartitionedTable, alone: Archived, bounds: Bounds, own: Equipped | None, zone: str
) -> Iterator[str]:
    cut, pattern = table.cut(zone), table.pattern(zone)
    cell = cut.located(bounds) if isinstance(cut, Cut) else None
    if isinstance(cut, Cut):
        lower = cell[0] if cell else None
        if cell is None or lower is None or cut.containing(lower) != cell:
            yield f"Its range is no cell of the grid of the others, which are {cut.width} wide."
        elif pattern is not None and pattern.made(*cell, 1 + cut.number(lower)) != alone.name:
            usual = pattern.made(*cell, 1 + cut.number(lower))
            yield f"Its name is not made as the others' are: {shown(usual)} would be. Nothing here goes by names."
    given = _lacking(table, own)
    left = [trait for trait in (table.equipment.missed_by(own) if own is not None else ()) if trait not in given]
    if left:
        yield (
            f"It comes without what the newest partitions share: {', '.join(trait.said for trait in left)}."
            " The Doctor compares them once it is attached."
        )
    if own is not None and table.equipment.siblings:
        shared = set(table.equipment.shared)
        more = [trait.said for trait in own.traits if trait.kind is Has.GRANT and trait not in shared]
        if more:
            yield f"It keeps rights that the newest partitions don't give: {listed(more)}."
    if alone.unlogged:
        yield "It is UNLOGGED: its rows are gone after a crash of the server."
    yield from entering(table, alone.schema, (alone.name,), alone.oid)


# --- releasing --------------------------------------------------------------------------------------------------


def _release_twin(table: PartitionedTable, called: str) -> str:
    return f"partitions release {option('--table', table.address)} {_word(called)}"


def plan_release(table: PartitionedTable, partition: Partition) -> Plan:
    """A plan that detaches a partition and leaves it where it stands. Raises Refused."""
    key = require_served(table)
    if table.pending is not None and table.pending is not partition:
        require_nothing_pending(table)
    called = called_in(table, partition, partition.schema)
    if partition.is_default or not partition.is_plain or partition.bounds is None:
        raise Refused(f"{called} is no plain partition of a range.", next="Detach it by hand.")
    detach = f"ALTER TABLE {table.sql} DETACH PARTITION {partition.sql}"
    concurrently = table.default is None and table.detaches_concurrently and not table.server.event_triggers
    weak = Mode.SHARE_UPDATE_EXCLUSIVE if concurrently or partition.pending else Mode.ACCESS_EXCLUSIVE
    others = dict.fromkeys(fk.other for fk in (*table.references, *table.referenced_by))
    locks = (
        Lock(table.sql, weak),
        Lock(partition.sql, Mode.ACCESS_EXCLUSIVE),
        *([Lock(table.default.sql, Mode.ACCESS_EXCLUSIVE)] if table.default else []),
        *(Lock(other, Mode.ACCESS_EXCLUSIVE) for other in others),
    )
    title = f"Detach {partition.name}"
    if partition.pending:
        step = Step(f"Finish the detach of {partition.name}", (f"{detach} FINALIZE",), locks, waits_for_all=True)
    elif concurrently:
        step = Step(
            f"{title} while reads and writes go on",
            (f"{detach} CONCURRENTLY",),
            locks,
            transactional=False,
            finish=f"{detach} FINALIZE",
        )
    else:
        step = Step(title, (detach,), locks)
    whole = address(partition.schema, partition.name)
    return Plan(
        operation=RELEASE,
        table=table.address,
        subject=called,
        basis=basis(table, partition.oid),
        steps=(step,),
        effects=(
            f"{called} leaves {table.label} and is a table of its own, where it stands and with all that it has.",
            "Queries through the table no longer return its rows; new rows of its range "
            + (f"land in {table.default.name}." if table.default else "fail."),
        ),
        way_back=f"Adopt it: {_adopt_twin(table, key, whole, partition.bounds)}",
        command=_release_twin(table, whole),
        warnings=(
            "For what is over, archive says more: it moves the table away, with its bounds written on it, so that it is"
            " known here and can be backed up, dropped and brought back.",
        ),
        oid=partition.oid,
    )
