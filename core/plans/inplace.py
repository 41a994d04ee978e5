"""Convert: a plain table becomes partitioned where it stands; what it holds is its first partition, no row is copied.

Its range is proven while everybody works; then one short transaction puts the table under a new parent that has its
name and everything that hung on it. What the parent has only because it is partitioned says so in its own comment
(`Memo`), as after a migration, so that the way back takes it away again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise
from typing import ClassVar

from core.errors import NameTaken, OffCalendar, Refused
from core.names import dollar_quoted, fit, ident, literal, qualified
from core.period import Width
from core.plans import given_up
from core.plans.built import build_added, build_key, is_built, key_parts, our_indexes
from core.plans.convertible import Target, additions, called, require_partitionable, require_rights, widened
from core.plans.given_up import GivenUp, choice, give_up, taken_away
from core.plans.operation import Danger, Operation, Sources
from core.plans.plan import Lock, Mode, Plan, Step, basis, nothing_to_do
from core.plans.steps import READ_A_SECOND, add_check, validate
from core.tables import tied
from core.tables.bounds import Bounds, spoken_end, within
from core.tables.commands import option, twin
from core.tables.cut import Cut, cut_by
from core.tables.definition import Constraint, DefinedIndex, Definition, IncomingKey
from core.tables.ends import End
from core.tables.key import Clock
from core.tables.plain import CHECK, Asked, Begun, Plain, signature_sql
from core.tables.rebuild import (
    belongings,
    commented,
    in_tablespace,
    indexing,
    like,
    make_index,
    owner,
    put_aside,
    sequences,
    told,
)
from core.tables.table import PartitionedTable
from core.tables.tied import locked_first
from core.text import human_bytes, plural, to_run

CONVERT = Operation("convert", "Convert", "converting", Danger.DIALOG, counts_rows=False, told_apart_by="steps")
FARTHEST = 10
"""So many years ahead a row may lie; what lies beyond is a slip, and would leave no range for new partitions."""


@dataclass(frozen=True, slots=True)
class Convert:
    """That a plain table is partitioned by a column, and new rows by ranges of one width."""

    operation: ClassVar = CONVERT
    table: str | PartitionedTable
    key: str
    every: Width
    unique: tuple[str, ...] = ()
    """Columns that become unique together, where the table has them and they are not; the way back takes that away."""
    indexed: bool = False
    """Whether the key gets an index where it has none of its own; the way back takes it away."""
    without: tuple[str, ...] = ()
    """The constraints, unique indexes and foreign keys to it that may be given up."""

    def plan(self, desk: Sources) -> Plan:
        """Reads every row of the table, for the first and the last key and for those that have none."""
        table = desk.read(self.table) if isinstance(self.table, str) else self.table
        if table.strategy != "plain":
            return _done(table, self.key, self.every)
        require_rights(table)
        plain, begun = desk.plain(table, self.key, self.unique), desk.begun(table)
        target = Target(self.key, self.unique, self.indexed)
        return plan_convert(table, plain, target, self.every, begun, without=self.without, now=desk.now, zone=desk.zone)


def _done(table: PartitionedTable, key: str, every: Width) -> Plan:
    """What is left of a conversion that was cut short after its switch. Raises Refused for a table by another key."""
    command = _twin(table, key, every)
    if table.key is None or table.key.column != key:
        by = table.key.name if table.key else "something else"
        raise Refused(f"{table.label} is partitioned already, by {by}.")
    left = tuple(prove_referrer(table.sql, fk.name, fk.other) for fk in table.referenced_by if fk.is_unproven)
    if left:
        effect = f"{table.label} is partitioned by {key} already; foreign keys to it are left to be checked."
        return Plan(CONVERT, table.address, table.label, basis(table), left, (effect,), command=command, oid=table.oid)
    return nothing_to_do(
        CONVERT, table.address, table.label, f"{table.label} is partitioned by {key} already.", command=command
    )


def _twin(table: PartitionedTable, key: str, every: Width, without: Iterable[str] = ()) -> str:
    words = (option("--key", key), option("--every", str(every)), *(option("--without", one) for one in without))
    return twin("convert", table, "", *words, "--split-later")


def first_bounds(plain: Plain, every: Width, now: datetime, zone: str) -> tuple[Bounds, Cut]:
    """The range of all that the table holds, through the period after its last row, or after now; and the grid.

    So that no row that is written meanwhile lies beyond it. Raises Refused, OffCalendar.
    """
    grid = cut_by(plain.key, every, zone, now.date())
    _, end = grid.containing(grid.local(_at(plain, now)) or now.replace(tzinfo=None))
    if plain.highest is not None:
        local = grid.local(plain.highest)
        if local is None or local.year > now.year + FARTHEST:
            raise _too_far(plain, now, zone)
        end = max(end, grid.containing(local)[1])
    try:
        upper = every.after(end)
    except (ValueError, OverflowError) as error:
        raise OffCalendar(f"The period after {end:%Y-%m-%d} ends beyond the calendar.") from error
    both = grid.bounds(end, upper)
    return Bounds.of(plain.key, None, both.upper), replace(grid, start=upper)


def following(table: PartitionedTable, every: Width, zone: str, count: int = 2) -> tuple[Bounds, ...]:
    """The ranges after the last partition that are not there yet; two tell those after them how wide they are to be."""
    last = next((one.bounds for one in reversed(table.ranges)), None)
    if table.key is None or last is None or last.upper is None or len(table.ranges) > count:
        return ()
    grid = cut_by(table.key, every, zone, date.min)
    start = grid.local(last.upper)
    if start is None:
        return ()
    starts = [every.after(start, number) for number in range(count + 2 - len(table.ranges))]
    return tuple(grid.bounds(lower, upper) for lower, upper in pairwise(starts))


def _at(plain: Plain, now: datetime) -> End:
    if plain.key.clock is Clock.DATE:
        return now.date()
    return now if plain.key.clock is Clock.INSTANT else now.replace(tzinfo=None)


def _too_far(plain: Plain, now: datetime, zone: str) -> Refused:
    key, definition = plain.key, plain.definition
    limit = literal(f"{now.year + FARTHEST + 1}-01-01").strip()
    return Refused(
        f"Rows of {definition.label} lie more than {FARTHEST} years ahead, up to {spoken_end(plain.highest, zone)}: the"
        " one partition that holds all of them would leave no range for new ones.",
        next=f"Put them right, or move them out, first: "
        f"{to_run(f'SELECT * FROM {definition.sql} WHERE {key.sql} >= {limit}')}",
    )


# ---------------------------------------------------------------- the plan


def plan_convert(
    table: PartitionedTable,
    plain: Plain,
    target: Target,
    every: Width,
    begun: Begun | None,
    *,
    without: tuple[str, ...] = (),
    now: datetime,
    zone: str = "UTC",
) -> Plan:
    """A plan that partitions a plain table in place. From whatever a killed one left it plans what is left.

    Raises Refused with every reason that stands in the way.
    """
    key = plain.key
    definition, given = give_up(plain.definition, key.column, without)
    plain = replace(plain, definition=definition)
    require_partitionable(definition, target)
    _require_convertible(plain)
    bounds, grid = first_bounds(plain, every, now, zone)
    constraints, notes = widened(definition, key.column)
    added = additions(definition, target)
    _require_unique(plain, added)
    names = _Names.of(plain, added)
    wider = next((one for one in constraints if one.kind == "p" and one is not definition.primary_key), None)
    steps = (
        *_refuse_others(table, plain, bounds, begun, Asked(key.column, every, without)),
        *(build_key(definition, wider, names.key_index, is_built(table.indexes, names.key_index)) if wider else ()),
        *(step for one, name in names.added for step in build_added(table, definition, one, name)),
        _prove(definition),
        _switch(table, plain, bounds, constraints, names, given),
        *(prove_referrer(definition.sql, fk.name, fk.other) for fk in definition.incoming),
        Step(
            f"Have the planner know {definition.label} as a whole",
            (f"ANALYZE {_only(table)}{definition.sql}",),
            (Lock(definition.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),),
        ),
    )
    return Plan(
        operation=CONVERT,
        table=table.address,
        subject=table.label,
        basis=basis(table),
        steps=steps,
        effects=(
            *_effects(plain, bounds, grid, names, zone),
            *given_up.told(definition, given),
            *notes,
            *(f"{called(one)} was added; the way back takes it away again." for one in added),
            *told(definition),
        ),
        meanwhile=_meanwhile(plain, spoken_end(bounds.upper, zone)),
        way_back=f"Take it back as quickly, while nothing lies in a partition made after it:"
        f" {twin('unconvert', table)}",
        command=_twin(table, key.column, every, without),
        oid=table.oid,
    )


def _only(table: PartitionedTable) -> str:
    """PostgreSQL 18 can leave the partitions, whose figures are there, unread."""
    return "ONLY " if table.server.major >= 18 else ""


@dataclass(frozen=True, slots=True)
class _Names:
    """What things are called once the table is a partition."""

    aside: str
    """The table itself."""
    key_index: str
    """The unique index that its PRIMARY KEY is made from, where that gets the partition column."""
    renamed: tuple[tuple[str, str], ...]
    """(index or constraint, what it is called then), since the parent's gets its name."""
    added: tuple[tuple[Constraint | DefinedIndex, str], ...]
    """(what the parent gets besides, the index of the table that is built for it)."""

    @classmethod
    def of(cls, plain: Plain, added: tuple[Constraint | DefinedIndex, ...]) -> _Names:
        definition = plain.definition
        key_index, unique, keyed = our_indexes(definition.name)
        renamed = tuple((one.name, fit(one.name, "_before")) for one in definition.indexes if one.name != key_index)
        sequences = [fit(one.name, "_before") for one in definition.sequences if one.identity]
        new = [one.name for one in added]
        clash = sorted({definition.aside, *(name for _, name in renamed), *sequences, *new} & plain.taken)
        if clash:
            raise NameTaken(
                f"{definition.schema} already holds {', '.join(clash)}, which the conversion needs for itself.",
                next="Rename what stands there, or move it to another schema.",
            )
        built = tuple((one, unique if isinstance(one, Constraint) else keyed) for one in added)
        return cls(definition.aside, key_index, renamed, built)


def _require_convertible(plain: Plain) -> None:
    definition = plain.definition
    reasons: list[str] = []
    if plain.nulls:
        have, them = ("has", "it") if plain.nulls == 1 else ("have", "them")
        rows = plural(plain.nulls, "row")
        reasons.append(f"{rows} of {definition.label} {have} no {plain.key.column}: no partition can hold {them}.")
    itself = next((one for one in definition.constraints if one.to_itself), None)
    if itself is not None:
        reasons.append(
            "It has a foreign key to itself, which can't be made anew without reading all rows under a lock. Drop it"
            f" first.{choice(itself.name)}"
        )
    reasons += [
        f"The foreign key {fk.name} of {fk.other} is not valid for all rows. Have it validated first."
        for fk in definition.incoming
        if fk.definition.endswith(" NOT VALID")
    ]
    if plain.partitioned_referrers:
        tables = ", ".join(plain.partitioned_referrers)
        reasons.append(f"{tables}, partitioned itself, references it: that foreign key can't be made anew online.")
    if reasons:
        without = f"SELECT * FROM {definition.sql} WHERE {plain.key.sql} IS NULL"
        raise Refused(
            " ".join((f"{definition.label} can't be partitioned in place.", *reasons)),
            next=f"Give them one, or move them out: {to_run(without)}" if plain.nulls else "",
        )


def _require_unique(plain: Plain, added: tuple[Constraint | DefinedIndex, ...]) -> None:
    """Raises Refused where rows are alike in what is to become unique."""
    columns = next((one.columns for one in added if isinstance(one, Constraint)), ())
    if columns and plain.duplicates:
        listed = ", ".join(map(ident, columns))
        filled = " AND ".join(f"{ident(column)} IS NOT NULL" for column in columns)
        relation = plain.definition.sql
        raise Refused(
            f"({', '.join(columns)}) has to be unique in {plain.definition.label}, and {plain.duplicates:,} pairs of"
            " values stand in more than one row.",
            next="Find them: "
            + to_run(f"SELECT {listed} FROM {relation} WHERE {filled} GROUP BY {listed} HAVING count(*) > 1"),
        )


def _refuse_others(
    table: PartitionedTable, plain: Plain, bounds: Bounds, begun: Begun | None, asked: Asked
) -> tuple[Step, ...]:
    """The CHECK that holds new rows to the range, and says what is asked for, unless it is there."""
    definition, key = plain.definition, plain.key
    present = next((check for check in table.checks if check.name == CHECK), None)
    said = f"COMMENT ON CONSTRAINT {ident(CHECK)} ON {definition.sql} IS {literal(asked.written()).strip()}"
    if present is not None and present.says(key, bounds):
        if begun is not None and begun.asked == asked:
            return ()
        return (Step("Write down what is asked for", (said,), (Lock(definition.sql, Mode.ACCESS_SHARE),)),)
    drop = f"ALTER TABLE {definition.sql} DROP CONSTRAINT {ident(CHECK)}"
    return (
        Step(
            f"Hold {definition.label} to rows before {bounds.upper_sql}",
            (
                *([drop] if present is not None else []),
                add_check(definition.sql, CHECK, within(key, bounds)),
                said,
            ),
            (Lock(definition.sql, Mode.ACCESS_EXCLUSIVE),),
            undo=(drop,),
        ),
    )


def _prove(definition: Definition) -> Step:
    return Step(
        f"Check that {definition.label} holds no other row",
        (validate(definition.sql, CHECK),),
        (Lock(definition.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),),
    )


def prove_referrer(relation: str, name: str, other: str) -> Step:
    """Reads the rows of another table that reference this one."""
    return Step(
        f"Check the foreign key {name} of {other}",
        (f"ALTER TABLE {other} VALIDATE CONSTRAINT {ident(name)}",),
        (Lock(other, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False), Lock(relation, Mode.ROW_SHARE, brief=False)),
    )


# ---------------------------------------------------------------- the switch


def _switch(
    table: PartitionedTable,
    plain: Plain,
    bounds: Bounds,
    constraints: tuple[Constraint, ...],
    names: _Names,
    given: GivenUp,
) -> Step:
    """One transaction in which nothing reads a row: the table steps aside, the parent takes its name and its place."""
    definition = plain.definition
    aside = definition.aside_sql
    incoming = (*definition.incoming, *given.incoming)
    others = dict.fromkeys((*(fk.other for fk in incoming), *(fk.other for fk in table.references)))
    return Step(
        f"Put {definition.label} under a parent of its name, as its first partition {names.aside}",
        (
            *locked_first(definition.tied),
            f"LOCK TABLE {definition.sql} IN ACCESS EXCLUSIVE MODE",
            "SET LOCAL default_tablespace = ''",
            unchanged(definition.oid, plain.signature, our_indexes(definition.name)),
            *(f"ALTER TABLE {fk.other} DROP CONSTRAINT {ident(fk.name)}" for fk in definition.incoming),
            *taken_away(definition, given),
            *_step_aside(plain, constraints, names),
            f"CREATE TABLE {definition.sql} ({like(definition)}) PARTITION BY RANGE ({ident(plain.key.column)})"
            + in_tablespace(definition),
            f"ALTER TABLE {definition.sql} DROP CONSTRAINT {ident(CHECK)}",
            *owner(definition, definition.sql),
            *sequences(definition),
            *(
                f"ALTER TABLE {aside} ALTER COLUMN {ident(one.column)} DROP IDENTITY"
                for one in definition.sequences
                if one.identity
            ),
            *indexing(definition, (*constraints, *(one for one, _ in names.added if isinstance(one, Constraint)))),
            *(line for one, _ in names.added if isinstance(one, DefinedIndex) for line in make_index(definition, one)),
            *belongings(replace(definition, incoming=()), ()),
            f"ALTER TABLE {definition.sql} ATTACH PARTITION {aside} {bounds.sql}",
            *(one.again for one in definition.tied),
            *unproven(definition.incoming),
        ),
        switch_locks(definition, others),
    )


def switch_locks(definition: Definition, others: Iterable[str]) -> tuple[Lock, ...]:
    """What a switch takes: the views and the like that are made anew in it, the table, and what foreign keys join."""
    tied = dict.fromkeys(one.relation for one in definition.tied if one.relation)
    return (
        *(Lock(one, Mode.ACCESS_EXCLUSIVE) for one in tied),
        Lock(definition.sql, Mode.ACCESS_EXCLUSIVE),
        *(Lock(one, Mode.SHARE_ROW_EXCLUSIVE) for one in others),
    )


def unproven(keys: Iterable[IncomingKey]) -> Iterator[str]:
    """Has foreign keys of other tables hold for new rows at once, without a look at those that are there."""
    for fk in keys:
        yield f"ALTER TABLE {fk.other} ADD CONSTRAINT {ident(fk.name)} {fk.definition} NOT VALID"
        yield from commented(f"CONSTRAINT {ident(fk.name)} ON {fk.other}", fk.comment)


def unchanged(oid: int, signature: str, ours: tuple[str, ...]) -> str:
    """Raises where something hangs on a table that was not there when this was planned."""
    body = f"""
DECLARE
  path text := pg_catalog.current_setting('search_path');
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true);
  IF {signature_sql(oid, ours)} IS DISTINCT FROM {literal(signature).strip()} THEN
    RAISE EXCEPTION 'the table is no longer defined as it was when this was planned';
  END IF;
  PERFORM pg_catalog.set_config('search_path', path, true);
END
"""
    return f"DO {dollar_quoted(body)}"


def _step_aside(plain: Plain, constraints: tuple[Constraint, ...], names: _Names) -> Iterator[str]:
    """The table gives up its name and what else the parent gets; what only a partition has is made."""
    definition = plain.definition
    yield from put_aside(definition)
    aside = definition.aside_sql
    wider = next((one for one in constraints if one.kind == "p"), None)
    primary = definition.primary_key
    swapped = wider is not None and wider is not primary
    if primary is not None and wider is not None and swapped:
        yield f"ALTER TABLE {aside} ALTER COLUMN {ident(plain.key.column)} SET NOT NULL"
        yield f"ALTER TABLE {aside} DROP CONSTRAINT {ident(primary.name)}"
        yield (
            f"ALTER TABLE {aside} ADD CONSTRAINT {ident(names.key_index)} PRIMARY KEY"
            f" USING INDEX {ident(names.key_index)}{key_parts(wider)[1]}"
        )
    for one, name in names.added:
        if isinstance(one, Constraint):
            yield f"ALTER TABLE {aside} ADD CONSTRAINT {ident(name)} UNIQUE USING INDEX {ident(name)}"
    for old, new in names.renamed:
        if not (swapped and primary is not None and old == primary.name):
            yield f"ALTER INDEX {qualified(definition.schema, old)} RENAME TO {ident(new)}"
    for kept in definition.statistics:
        yield f"ALTER STATISTICS {qualified(kept.schema, kept.name)} RENAME TO {ident(fit(kept.name, '_before'))}"
    for trigger in definition.triggers:
        yield f"DROP TRIGGER {ident(trigger.name)} ON {aside}"
    for publication in definition.publications:
        yield f"ALTER PUBLICATION {ident(publication.name)} DROP TABLE {aside}"
    if definition.comment is not None:
        yield f"COMMENT ON TABLE {aside} IS NULL"


# ---------------------------------------------------------------- what is told


def _effects(plain: Plain, bounds: Bounds, grid: Cut, names: _Names, zone: str) -> tuple[str, ...]:
    definition = plain.definition
    end = spoken_end(bounds.upper, zone)
    rows = plural(plain.rows, "row")
    return (
        f"{definition.label} is partitioned by RANGE ({plain.key.column}): its {rows}, {human_bytes(plain.size)}, stay"
        f" where they are, in one partition {names.aside} of all before {end}; none is copied.",
        f"From {end} on there is a partition for every {grid.width.noun}.",
        *tied.told(definition.tied),
        "Functions whose body is a text, and all that applications send, find the table by its name, as before;"
        " but what says ONLY before it finds no row from then on.",
    )


def _meanwhile(plain: Plain, end: str) -> tuple[str, ...]:
    seconds = max(1, round(2 * plain.heap / READ_A_SECOND))
    return (
        f"While the rows are read through, for about {plural(seconds, 'second')}, reads and writes go on; only new rows"
        f" of {end} and later fail, and there are none now.",
        "The switch itself holds everybody up for some milliseconds.",
    )
