"""What a table is bound to: which partitions of other tables go with one of its own, and who may not go alone."""

from __future__ import annotations

from core.errors import PartitionNotFound, Refused
from core.plans.operation import Sources
from core.plans.refusals import require_served
from core.tables.archived import Archived
from core.tables.bonds import Bond, Part, in_order, of_range
from core.tables.bounds import Bounds
from core.tables.commands import twin
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import listed


def parts_of(desk: Sources, table: PartitionedTable, one: Partition | Archived) -> tuple[Part, ...]:
    """The set of a partition, or of what was one: it, and what the bound tables have of its range, referring first.

    Raises Refused where it is bound to nothing, where another table is cut elsewhere, and for what is not served.
    """
    bonds = desk.bonds(table)
    if not bonds:
        raise Refused(
            f"{table.label} is bound to no other table: no foreign key on its key leads from or to a partitioned one.",
            next=f"Leave --set out: {twin('archive', table, table.called(one))}",
        )
    bounds = one.bounds
    if bounds is None or bounds.is_default:
        raise Refused(f"{table.called(one)} has no range that other tables could have as well.")
    try:
        order = in_order({word for bond in bonds for word in (bond.referring, bond.referred)}, bonds)
    except ValueError as error:
        raise Refused(f"{table.label} and the tables that it is bound to refer to each other in a circle.") from error
    found: list[tuple[PartitionedTable, Partition | Archived]] = []
    for address in order:
        other = table if address == table.address else desk.read(address)
        require_served(other)
        each = _part(other, bounds)
        if each is not None:
            found.append((other, one if other is table else each))
    keys = desk.own_keys([each.oid for _, each in found], [other.oid for other, _ in found])
    return tuple(Part(other, each, tuple(key.name for key in keys if key.oid == each.oid)) for other, each in found)


def _part(table: PartitionedTable, bounds: Bounds) -> Partition | Archived | None:
    try:
        found = of_range(table, bounds)
    except ValueError as error:
        raise Refused(
            f"{table.label} is cut elsewhere: {error} does not hold the range {bounds.text} and no other.",
            next="Split or merge its partitions first, so that they hold the same period.",
        ) from error
    if found is not None and not found.is_plain:
        raise Refused(f"{table.called(found)} is no plain table, and can't go with others as one.")
    return found


def meant(table: PartitionedTable, name: str) -> Partition | Archived:
    """The partition, or what was one, of that name. Raises PartitionNotFound."""
    one = table.find(name) or table.find_archived(name)
    if one is None:
        known = ", ".join(table.calls().values()) or "none"
        raise PartitionNotFound(f"{table.label} has no partition {name}.", next=f"There are: {known}.")
    return one


def require_alone(desk: Sources, table: PartitionedTable, name: str) -> None:
    """Raises Refused where rows of a bound table refer to the partition, so that it can't be archived without them."""
    one = table.find(name)
    if one is None or one.bounds is None or not table.referenced_by:
        return
    for other, each in _across(desk, table, one, referring=True):
        attached = isinstance(each, Partition)
        if desk.own_keys([each.oid], [table.oid]) and desk.holds_rows(each):
            there = "" if attached else ", which is archived and keeps its foreign key,"
            raise Refused(
                f"Rows of {other.called(each)} of {other.label}{there} refer to those of {table.called(one)}.",
                next=f"Archive both as one: {twin('archive', table, table.called(one), '--set')}",
            )


def require_alone_back(desk: Sources, table: PartitionedTable, archived: Archived) -> None:
    """Raises Refused where what its rows refer to is archived as well, so that it can't come back before that."""
    if archived.bounds is None or not table.references:
        return
    gone = [
        f"{other.called(each)} of {other.label}"
        for other, each in _across(desk, table, archived, referring=False)
        if isinstance(each, Archived)
    ]
    if gone and desk.holds_rows(archived):
        raise Refused(
            f"Rows of {table.called(archived)} refer to those of {listed(gone)}, archived as well.",
            next=f"Bring both back as one: {twin('reattach', table, table.called(archived), '--set')}",
        )


def _across(
    desk: Sources, table: PartitionedTable, one: Partition | Archived, *, referring: bool
) -> list[tuple[PartitionedTable, Partition | Archived]]:
    """What the tables at the other end of its own bonds have of its range; without those that are cut elsewhere."""
    found = []
    for address in dict.fromkeys(_others(desk.bonds(table), table.address, referring=referring)):
        other = desk.read(address)
        try:
            each = of_range(other, one.bounds) if one.bounds is not None else None
        except ValueError:
            continue
        if each is not None:
            found.append((other, each))
    return found


def is_bound(desk: Sources, table: PartitionedTable, one: Partition | Archived | None) -> bool:
    """Whether other tables have partitions of its range that go with it: all of one cut, attached or archived."""
    if one is None or one.bounds is None or one.bounds.is_default:
        return False
    return any(_across(desk, table, one, referring=referring) for referring in (True, False))


def _others(bonds: tuple[Bond, ...], address: str, *, referring: bool) -> list[str]:
    if referring:
        return [bond.referring for bond in bonds if bond.referred == address]
    return [bond.referred for bond in bonds if bond.referring == address]
