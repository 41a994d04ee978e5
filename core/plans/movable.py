"""What stands in the way of moving rows from partitions to others, told before anything is made."""

from __future__ import annotations

from collections.abc import Iterator

from core.errors import NotAllowed, Refused
from core.names import qualified, split_qualified
from core.plans.refusals import require_nothing_pending
from core.tables.equipment import Kind
from core.tables.move import Course, Ground, Leaving, Move, Unique
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import listed


def leaving_of(one: Partition) -> Leaving:
    """A partition as a move knows it."""
    return Leaving(one.oid, one.schema, one.name, one.bounds.text if one.bounds else "")


def require_movable(table: PartitionedTable, ground: Ground, course: Course, begun: Move | None) -> Unique:
    """By what rows are told apart, where all of it can be done. Raises Refused."""
    require_nothing_pending(table)
    names = listed(one.name for one in course.leaving)
    gone = [one.name for one in course.leaving if table.by_oid(one.oid) not in table.partitions]
    if gone:
        raise Refused(
            f"{listed(gone)} is no longer a partition of {table.label}, and its rows were to be moved.",
            next="Take back what was begun, with --abandon, and ask anew.",
        )
    if ground.equipped is None or (course.leaving[0].bounds == "DEFAULT" and table.equipment.unread):
        raise Refused(
            f"{names}, or what new partitions are made like, is locked by somebody else just now.",
            next="Try again once that has ended.",
        )
    _require_rights(table, course)
    reasons = (*_of_rows(table, ground), *_of_partitions(table, ground, course), *_of_others(table, ground, course))
    if begun is None:
        reasons = (*reasons, *_of_names(table, course))
    if reasons or ground.unique is None:
        raise Refused(" ".join((f"The rows of {names} can't be moved as things are.", *dict.fromkeys(reasons))))
    return ground.unique


def _require_rights(table: PartitionedTable, course: Course) -> None:
    schemas = {table.schema, *(one.schema for one in course.pieces)}
    lacking = [
        schema
        for schema in sorted(schemas)
        if not (table.may_create if schema == table.schema else table.equipment.may_create)
    ]
    if lacking:
        raise NotAllowed(
            f"The role {table.server.user} may not create tables in the schema {listed(lacking)}.",
            next="Have it granted USAGE and CREATE there.",
        )


def _of_rows(table: PartitionedTable, ground: Ground) -> Iterator[str]:
    if ground.unique is None:
        yield (
            f"{table.label} has no primary key or unique constraint whose columns are all NOT NULL and which is checked"
            " at once: nothing tells one of its rows from another while it is copied. Add one first."
        )
    for name in ground.forced:
        yield f"{name} has FORCE ROW LEVEL SECURITY, which keeps rows from the copy. Take it off for the time."


def _of_partitions(table: PartitionedTable, ground: Ground, course: Course) -> Iterator[str]:
    for leaving in course.leaving:
        one = table.by_oid(leaving.oid)
        if not isinstance(one, Partition):
            continue
        if not one.is_plain:
            yield f"{one.name} is {'a foreign table' if one.tree is None else 'partitioned itself'}."
        if one.owner != table.owner:
            yield f"{one.name} belongs to {one.owner}, and the table to {table.owner}."
        if one.hold is not None:
            yield f"{one.name} is held, and the hold would end with it: {one.hold.reason}. Lift it first."
        if one.sequences:
            yield f"The sequence {listed(each.label for each in one.sequences)} belongs to a column of {one.name}."
    for equipped in ground.equipped or ():
        for trait in equipped.traits:
            if trait.lacks and not trait.name.startswith("partition_desk_"):
                yield f"{equipped.name} has {trait.said}, which another can't be given: {trait.lacks}."
    yield from (
        f"The foreign key {said} leads to the partition itself, not to the table." for said in ground.referenced
    )
    yield from (f"{said} is made on the partition itself: it would not go with the rows." for said in ground.dependents)
    if len(ground.equipped or ()) > 1:
        yield from _apart(ground)


def _apart(ground: Ground) -> Iterator[str]:
    """What some of the partitions have and others have not, so that nothing tells what their common heir is to have."""
    every = ground.equipped or ()
    for one in every:
        for trait in one.traits:
            lacking = [other.name for other in every if trait not in other.traits]
            own = trait.name.startswith("partition_desk_")  # each has its own mirror once it is begun
            if lacking and not (own or trait.inherited or trait.kind is Kind.COMMENT):
                yield f"{one.name} has {trait.said}, {listed(lacking)} has not: make them alike first."


def _of_others(table: PartitionedTable, ground: Ground, course: Course) -> Iterator[str]:
    if table.distribution is not None or table.server.can.citus:
        yield "Citus is in this database: it lets no trigger carry writes over."
    if table.subscriptions:
        yield f"The subscription {listed(table.subscriptions)} writes into it."
    oids = {one.oid for one in course.leaving}
    schemas = {table.schema, *(one.schema for one in course.pieces)}
    for publication in table.publications:
        alone = publication.all_tables or schemas & set(publication.schemas) or oids & set(publication.tables)
        if alone or (publication.parent and not publication.via_root):
            yield (
                f"The publication {publication.name} sends partitions under their own names: the copied rows would be"
                " sent again, and subscribers keep the old ones. It can be done with one that names the table, with"
                " publish_via_partition_root."
            )
    if any(split_qualified(fk.other) == (table.schema, table.name) for fk in table.references):
        yield "A foreign key of the table refers to the table itself."
    for fk in table.referenced_by:
        if not fk.owned:
            yield (
                f"The foreign key {fk.name} of {fk.other} leads to the table, and the role {table.server.user} does not"
                " own that: it has to be taken away for the moment of the switch, and put back."
            )
    if not table.server.can.named_not_null:
        for name in ground.partitioned_referrers:
            yield (
                f"{name} is partitioned itself and has a foreign key to the table: this server can't put it back"
                " without checking every row of it while everybody waits (PostgreSQL 18 can)."
            )


def _of_names(table: PartitionedTable, course: Course) -> Iterator[str]:
    own = {one.name for one in course.leaving}
    others = {one.name for one in table.partitions} - own
    taken = table.taken | table.equipment.taken | others
    for piece in course.pieces:
        clash = sorted({piece.name, piece.final} & taken)
        if clash:
            yield f"The name {qualified(piece.schema, clash[0])} is taken already."
