"""Moves the rows of partitions into others that take their place, while everybody reads and writes.

The new partitions are filled below a stage that nobody reads: no reader sees a row twice, or not at all. They take the
place of the old ones in one short transaction, once all rows were compared. Nothing is ever deleted from an old one, so
that no trigger and no ON DELETE action fires; it is dropped as a whole at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from core.names import comment_sql, ident, qualified
from core.plans.equip import Parted, parted
from core.plans.mirror import BOUNDS, Mirror, aside, label_of, progress_of, rename_indexes, require_attached
from core.plans.movable import require_movable
from core.plans.operation import Operation
from core.plans.plan import Lock, Mode, Plan, Step, basis
from core.plans.steps import add_check, attach, exclusion_name, validate
from core.tables.bounds import Bounds, ends_of, outside, within
from core.tables.conditions import of_range, without_nulls
from core.tables.equipment import Equipment, Equipped
from core.tables.key import Key
from core.tables.move import Course, Ground, Move, Piece
from core.tables.structure import ForeignKey
from core.tables.table import PartitionedTable
from core.text import human_bytes, human_seconds, listed

COPIED_A_SECOND = 40 * 1024 * 1024
"""How many bytes of a table, with its indexes, a server copies in a second, roughly; for telling people how long."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a plan is the operation's own."""

    operation: Operation
    subject: str
    command: str
    abandon: str
    """The command that takes it back before the switch."""
    effects: tuple[str, ...]
    way_back: str
    left: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rest_ms: int | None = None
    """How long it rests after each batch; None for as it does already, or not at all."""


@dataclass(frozen=True, slots=True)
class _Work:
    """One move with all that its steps are made of."""

    table: PartitionedTable
    key: Key
    ground: Ground
    course: Course
    mirror: Mirror
    outfits: tuple[Parted, ...]
    """Of each piece, in their order."""

    @property
    def pairs(self) -> Iterator[tuple[Piece, Parted]]:
        return zip(self.course.pieces, self.outfits, strict=True)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(one.sql for one in self.course.leaving)

    @property
    def whole(self) -> Bounds | None:
        """All of the range that is moved; None where the DEFAULT's rows are."""
        if any(one.bounds == "DEFAULT" for one in self.course.leaving):
            return None
        bounds = sorted((self.bounds(one.bounds) for one in self.course.leaving), key=lambda one: one.order)
        return Bounds.of(self.key, bounds[0].lower, bounds[-1].upper)

    def bounds(self, text: str) -> Bounds:
        return Bounds.parse(text, self.key)


def plan_move(
    table: PartitionedTable, key: Key, ground: Ground, begun: Move | None, course: Course, asked: Asked
) -> Plan:
    """A plan that brings a move to its end from wherever it is: not begun, under way, or switched already.

    Raises Refused for what stands in the way, before anything is made.
    """
    if begun is not None and begun.switched:
        steps = tuple(_last_steps(table, course))
    else:
        unique = require_movable(table, ground, course, begun)
        mirror = Mirror(table, unique, course.leaving)
        work = _Work(table, key, ground, course, mirror, tuple(_outfits(table, ground, course)))
        made = _begin(work, begun, asked.rest_ms)
        steps = (*made, *_fill(work, begun), _switch(work), *_last_steps(table, course, to_prove(table)))
    return Plan(
        operation=asked.operation,
        table=table.address,
        subject=asked.subject,
        basis=basis(table, *(one.oid for one in course.leaving), all_partitions=True),
        steps=tuple(steps),
        effects=asked.effects,
        meanwhile=tuple(_meanwhile(table, ground, course, asked, begun)),
        warnings=asked.warnings,
        makes=tuple(one.final for one in course.pieces),
        ranges=tuple(one.bounds for one in course.pieces),
        left=asked.left,
        way_back=asked.way_back,
        command=asked.command,
        oid=course.leaving[0].oid,
    )


def _meanwhile(
    table: PartitionedTable, ground: Ground, course: Course, asked: Asked, begun: Move | None
) -> Iterator[str]:
    names = listed(one.name for one in course.leaving)
    if begun is not None and begun.switched:
        yield f"The new partitions are in place already; what is left is to remove the old rows of {names}."
        return
    if begun is not None:
        paused = " It was paused." if begun.paused else ""
        yield f"It was begun already: {begun.share:.0%} is copied, and it goes on from there.{paused}"
    size, took = ground.bytes, human_seconds(max(1, round(ground.bytes / COPIED_A_SECOND)))
    yield (
        f"The rows are copied in batches, in about {took}, while reads and writes of {names} go on: a trigger carries"
        " each write over, which makes it slower, and whoever wants to change a row of the batch at hand waits for some"
        " hundredths of a second. A REPEATABLE READ transaction may be refused (40001) and has to be tried again."
    )
    yield (
        f"It takes about {human_bytes(size)} more on disk until the old rows are removed, and about twice as much in"
        " the write-ahead log. No column may be added or taken away meanwhile."
    )
    yield (
        "All rows, old and new, are compared before the new partitions take their place; that is one short transaction"
        " for which everybody waits. Nothing is deleted row by row: no trigger and no ON DELETE action fires."
    )
    if table.referenced_by:
        yield (
            f"The foreign keys of {listed(fk.other for fk in table.referenced_by)} are taken away in it and put back"
            " as they were, and their rows checked afterwards while everybody works."
        )
    yield f"Until then it can be taken back whole: {asked.abandon}"


# --- what is made -------------------------------------------------------------------------------------------------


def own_equipment(table: PartitionedTable, equipped: Sequence[Equipped]) -> Equipment:
    """What partitions have of their own, as that by which others are made; without what a move has put there."""
    cleaned = tuple(
        replace(one, traits=tuple(trait for trait in one.traits if not trait.name.startswith("partition_desk_")))
        for one in equipped
    )
    return replace(table.equipment, siblings=cleaned, unread=False)


def _outfits(table: PartitionedTable, ground: Ground, course: Course) -> Iterator[Parted]:
    """Each piece is made as the old partitions are; one that a DEFAULT gives rows to, as its siblings are."""
    own = replace(table, equipment=own_equipment(table, ground.equipped or ()))
    drained = course.leaving[0].bounds == "DEFAULT"
    for one in course.pieces:
        like = table if drained and one.bounds != "DEFAULT" else own
        yield parted(like, one.schema, one.name, one.final)


def _make(work: _Work) -> Step:
    statements: list[str] = []
    for piece, outfit in work.pairs:
        statements += outfit.make
        statements.append(f"ALTER TABLE {piece.sql} ADD CONSTRAINT {ident(BOUNDS)} CHECK ({_condition(work, piece)})")
    statements += work.mirror.make(work.ground.split, work.course.written())
    ordered = sorted(work.course.pieces, key=lambda piece: piece.bounds == "DEFAULT")
    for piece in ordered:
        statements.append(
            f"ALTER TABLE {work.mirror.stage} ATTACH PARTITION {piece.sql} {work.bounds(piece.bounds).sql}"
        )
    statements += work.mirror.begin()
    return Step(
        "Make the new partitions out of sight, and have every write carried over to them from now on",
        tuple(statements),
        (Lock(work.table.sql, Mode.ACCESS_SHARE), *(Lock(one, Mode.SHARE_ROW_EXCLUSIVE) for one in work.sources)),
    )


def _condition(work: _Work, piece: Piece) -> str:
    """What ATTACH has to prove of a piece, in the words of the server's own partition constraint."""
    bounds = work.bounds(piece.bounds)
    if not bounds.is_default:
        return within(work.key, bounds)
    gone = {one.oid for one in work.course.leaving}
    others = sorted(
        (
            *(one.bounds for one in work.table.ranges if one.bounds is not None and one.oid not in gone),
            *(work.bounds(one.bounds) for one in work.course.pieces if one.bounds != "DEFAULT"),
        ),
        key=lambda one: one.order,
    )
    if not others:
        return "true"
    key = work.key
    filled = [f"{part.sql} IS NOT NULL" for part in key.parts]
    ranges = [f"({without_nulls(of_range(key, *ends_of(one.text))).printed(key)})" for one in others]
    elsewhere = " AND ".join((*filled, f"({' OR '.join(ranges)})"))
    return f"{key.above} AND NOT ({elsewhere})" if key.above else f"NOT ({elsewhere})"


def _begin(work: _Work, begun: Move | None, rest_ms: int | None) -> tuple[Step, ...]:
    pace = work.mirror.go_on(rest_ms)
    if begun is None:
        made = _make(work)
        return (made if rest_ms is None else replace(made, statements=(*made.statements, pace)),)
    return (Step("Let it go on", (pace,)),) if begun.paused or rest_ms is not None else ()


# --- what fills it ------------------------------------------------------------------------------------------------


def _fill(work: _Work, begun: Move | None) -> Iterator[Step]:
    for one in work.course.leaving:
        yield Step(
            f"Copy the rows of {one.name} in batches",
            (work.mirror.copy(one),),
            (Lock(one.sql, Mode.ROW_SHARE, brief=False),),
            transactional=False,
            progress=work.mirror.share,
        )
    for piece, outfit in work.pairs:
        yield from _foreign_keys(work.table, piece, outfit, begun.keyed if begun is not None else ())
    yield from _exclude(work)
    yield Step(
        "Gather statistics of the new partitions",
        tuple(f"ANALYZE {one.sql}" for one in work.course.pieces),
        tuple(Lock(one.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False) for one in work.course.pieces),
    )
    yield Step(
        "Compare all rows, old and new",
        (work.mirror.prove([one.sql for one in work.course.pieces]),),
        tuple(Lock(one, Mode.ACCESS_SHARE, brief=False) for one in work.sources),
        transactional=False,
    )


def _foreign_keys(
    table: PartitionedTable, piece: Piece, outfit: Parted, there: Collection[tuple[str, str]]
) -> Iterator[Step]:
    """Those of the table and of its own, checked before ATTACH would do it under its lock."""
    every = [(fk.name, fk.definition) for fk in table.references if not fk.definition.endswith(" NOT ENFORCED")]
    every += outfit.keys
    lacking = [(name, said) for name, said in every if (piece.name, name) not in there]
    others = dict.fromkeys((*(fk.other for fk in table.references), *(lock.relation for lock in outfit.locks)))
    if lacking:
        yield Step(
            f"Add the foreign keys of {piece.name}",
            tuple(
                f"ALTER TABLE {piece.sql} ADD CONSTRAINT {ident(name)} {said.removesuffix(' NOT VALID')} NOT VALID"
                for name, said in lacking
            ),
            (
                Lock(piece.sql, Mode.ACCESS_EXCLUSIVE),
                *(Lock(other, Mode.SHARE_ROW_EXCLUSIVE) for other in others),
            ),
        )
    for name, said in every:
        if not said.endswith(" NOT VALID"):
            yield Step(
                f"Check the rows of {piece.name} against the foreign key {name}",
                (validate(piece.sql, name),),
                (
                    Lock(piece.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),
                    *(Lock(other, Mode.ROW_SHARE) for other in others),
                ),
            )


def _exclude(work: _Work) -> Iterator[Step]:
    """Proves that the DEFAULT holds none of the range, as it can't by now: after the detach ATTACH would read it."""
    default, whole = work.table.default, work.whole
    if default is None or whole is None:
        return
    name = exclusion_name(label_of(work.course))
    drop = f"ALTER TABLE {default.sql} DROP CONSTRAINT {ident(name)}"
    again = (drop,) if any(check.name == name for check in default.checks) else ()
    yield Step(
        f"Say in a CHECK that {default.name} holds none of the range, as it never does",
        (*again, add_check(default.sql, name, outside(work.key, whole))),
        (Lock(default.sql, Mode.ACCESS_EXCLUSIVE),),
        undo=(drop,),
    )
    yield Step(
        f"Prove it of the rows of {default.name}",
        (validate(default.sql, name),),
        (Lock(default.sql, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False),),
    )


# --- the switch and what follows ----------------------------------------------------------------------------------


def _switch(work: _Work) -> Step:
    table, course = work.table, work.course
    drained = work.whole is None
    default = table.default if not drained else None
    referring = table.referenced_by
    locked = [f"ONLY {table.sql}", *(f"ONLY {one}" for one in (*work.sources, *([default.sql] if default else [])))]
    return Step(
        "Put the new partitions in the place of the old ones",
        (
            f"LOCK TABLE {', '.join(locked)} IN ACCESS EXCLUSIVE MODE",
            work.mirror.require_proven(),
            *work.mirror.end(),
            *(f"ALTER TABLE {fk.other} DROP CONSTRAINT {ident(fk.name)}" for fk in referring),
            *(f"ALTER TABLE {table.sql} DETACH PARTITION {one}" for one in work.sources),
            *(f"ALTER TABLE {work.mirror.stage} DETACH PARTITION {one.sql}" for one in course.pieces),
            f"DROP TABLE {work.mirror.stage}",
            *(sql for outfit in work.outfits for sql in outfit.opened),
            *(sql for one in course.leaving for sql in _put_aside(one.schema, one.name)),
            *(f"ALTER TABLE {one.sql} RENAME TO {ident(one.final)}" for one in course.pieces if one.final != one.name),
            *(
                attach(table, one.final_sql, work.bounds(one.bounds))
                for one in sorted(course.pieces, key=lambda piece: piece.bounds == "DEFAULT")
            ),
            *(sql for outfit in work.outfits for sql in outfit.late),
            *(f"ALTER TABLE {one.final_sql} DROP CONSTRAINT {ident(BOUNDS)}" for one in course.pieces),
            *(
                (f"ALTER TABLE {default.sql} DROP CONSTRAINT {ident(exclusion_name(label_of(work.course)))}",)
                if default is not None
                else ()
            ),
            *(sql for fk in referring for sql in _put_back(fk, work.ground)),
        ),
        tuple(_switch_locks(work)),
    )


def _switch_locks(work: _Work) -> Iterator[Lock]:
    yield Lock(work.table.sql, Mode.ACCESS_EXCLUSIVE)
    every = work.table.partitions if work.table.referenced_by else ()
    others = [one.sql for one in every if one.is_plain or one.tree is not None]
    default = [work.table.default.sql] if work.table.default is not None else []
    yield from (Lock(one, Mode.ACCESS_EXCLUSIVE) for one in dict.fromkeys((*work.sources, *default, *others)))
    yield from (Lock(fk.other, Mode.ACCESS_EXCLUSIVE) for fk in work.table.referenced_by)
    yield from (Lock(fk.other, Mode.SHARE_ROW_EXCLUSIVE) for fk in work.table.references)


def _put_aside(schema: str, name: str) -> Iterator[str]:
    yield f"ALTER TABLE {qualified(schema, name)} RENAME TO {ident(aside(name))}"
    yield comment_sql(
        qualified(schema, aside(name)),
        "What a partition held before its rows were moved to others. Partition Desk removes it.",
    )


def _put_back(fk: ForeignKey, ground: Ground) -> Iterator[str]:
    """The foreign key of another table as it was, but for the proof, which follows outside of the lock."""
    bare = fk.definition.removesuffix(" NOT VALID")
    late = "" if bare.endswith(" NOT ENFORCED") else " NOT VALID"
    yield f"ALTER TABLE {fk.other} ADD CONSTRAINT {ident(fk.name)} {bare}{late}"
    for other, name, text in ground.comments:
        if (other, name) == (fk.other, fk.name):
            said = comment_sql("", text).partition(" IS ")[2]
            yield f"COMMENT ON CONSTRAINT {ident(fk.name)} ON {fk.other} IS {said}"


def to_prove(table: PartitionedTable) -> tuple[tuple[str, str], ...]:
    """(table, name) of each foreign key to the table that is proven, and has to be so again after a move."""
    unproven = (" NOT VALID", " NOT ENFORCED")
    return tuple((fk.other, fk.name) for fk in table.referenced_by if not fk.definition.endswith(unproven))


def _last_steps(
    table: PartitionedTable, course: Course, unproven: tuple[tuple[str, str], ...] | None = None
) -> Iterator[Step]:
    """What follows the switch; `unproven` are the foreign keys to be proven, read from the table where it is past."""
    if unproven is None:
        late = {(fk.other, fk.name) for fk in table.referenced_by if fk.definition.endswith(" NOT VALID")}
        unproven = tuple(one for one in course.prove if one in late)
    for other, name in unproven:
        yield Step(
            f"Check that every row of {other} finds its row again ({name})",
            (validate(other, name),),
            (Lock(other, Mode.SHARE_UPDATE_EXCLUSIVE, brief=False), Lock(table.sql, Mode.ROW_SHARE)),
        )
    olds = [qualified(one.schema, aside(one.name)) for one in course.leaving]
    yield Step(
        f"Remove what {listed(one.name for one in course.leaving)} held before",
        (
            require_attached(table, [one.final_sql for one in course.pieces]),
            *(f"DROP TABLE {one}" for one in olds),
            f"DROP TABLE {progress_of(table)}",
            *(rename_indexes(one.final_sql, one.name, one.final) for one in course.pieces if one.final != one.name),
        ),
        (
            *(Lock(one, Mode.ACCESS_EXCLUSIVE) for one in olds),
            *(Lock(fk.other, Mode.ACCESS_EXCLUSIVE) for fk in table.references),
        ),
    )
