"""The road of each period: attached, due, archived, backed up, verified, dropped; and what it weighs there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from core.plans.drop import choose
from core.plans.proof import Kept, Proof
from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.key import Key
from core.tables.marks import Hold, PlannedDrop
from core.tables.partition import Partition
from core.tables.retention import due
from core.tables.table import PartitionedTable
from dashboard.format import describe_bounds, short
from dashboard.partitions.axis import Axis
from dashboard.partitions.items import Item, Status, ordered


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """One period between attached and dropped, with the backups of it."""

    label: str
    name: str
    called: str
    """What tells it from every other one: its name, with its schema where others have that name; of what was dropped
    beside one of its name, the id of its backup."""
    status: Status
    """One of PHASES."""
    bounds: Bounds | None
    one: Partition | Archived | None
    """What there is of it on the server."""
    backups: tuple[Kept, ...] = ()
    """All of its name, newest first."""
    best: Kept | None = None
    """The one that a drop or a restore rests on: of what is there now, and proven where one is."""
    whence: str = ""
    """The database that its backups came from, where it is another one: "the database kita"."""

    @property
    def hold(self) -> Hold | None:
        """What keeps it from every rule."""
        return self.one.hold if self.one else None

    @property
    def drop(self) -> PlannedDrop | None:
        """Its planned drop."""
        return self.one.drop if isinstance(self.one, Archived) else None

    @property
    def on_server(self) -> int:
        """Bytes on the server, as far as they were measured."""
        return self.one.size.total if self.one and self.one.size else 0

    @property
    def in_place(self) -> int:
        """Bytes of all its backups."""
        return sum(kept.backup.bytes for kept in self.backups)

    @property
    def damaged(self) -> Proof | None:
        """The verification that found its best backup to be none."""
        return self.best.damaged if self.best else None

    def is_stale(self, verify_before: date) -> bool:
        """Whether its best backup was proven, and not since that date."""
        proven = self.best.proven_at if self.best else None
        return proven is not None and proven.date() < verify_before


def lives(
    table: PartitionedTable,
    kept: Iterable[Kept],
    others: Iterable[Kept],
    *,
    today: date,
    cutoff: date,
    zone: str,
) -> tuple[Lifecycle, ...]:
    """Every period in the order of time. `others` are backups of a table of the same address in another database or
    on another server."""
    by_name: dict[str, list[Kept]] = {}
    for one in sorted((*kept, *others), key=lambda kept: kept.backup.finished_at, reverse=True):
        by_name.setdefault(one.backup.name, []).append(one)
    calls = table.calls()
    shared = {one.name for one in table.everything if calls[one.oid] != one.name}

    def backups_of(one: Partition | Archived) -> list[Kept]:
        """All of its name; where others have that name, those of its range."""
        if one.name not in shared:
            return by_name.pop(one.name, [])
        every = by_name.get(one.name, [])
        own = [kept for kept in every if one.bounds is not None and kept.backup.bounds == one.bounds.text]
        by_name[one.name] = [kept for kept in every if kept not in own]
        return own

    overdue = {partition.oid for partition in due(table, cutoff, today, zone)}
    found = [_attached(p, calls[p.oid], backups_of(p), p.oid in overdue, zone) for p in table.partitions]
    found += [_archived(table, a, calls[a.oid], backups_of(a), zone) for a in table.archived]
    for name, rest in by_name.items():
        ranges: dict[str, list[Kept]] = {}
        for one in rest:
            ranges.setdefault(one.backup.bounds, []).append(one)
        alone = len(ranges) == 1 and name not in shared
        for backups in ranges.values():
            own = [one for one in backups if one.backup.is_from(table.server.database, table.server.cluster)]
            whence = "" if own else backups[0].backup.whence(table.server.database)
            found.append(_dropped(own or backups, whence, table.key, zone, alone=alone))
    return tuple(sorted(found, key=lambda life: (*(life.bounds.order if life.bounds else (False, None)), life.name)))


def _attached(partition: Partition, called: str, backups: Sequence[Kept], overdue: bool, zone: str) -> Lifecycle:
    fitting = [one for one in backups if partition.bounds and one.backup.bounds == partition.bounds.text]
    return Lifecycle(
        label=short(partition.bounds, partition.name, zone),
        name=partition.name,
        called=called,
        status=Status.DUE if overdue else Status.ATTACHED,
        bounds=partition.bounds,
        one=partition,
        backups=tuple(backups),
        best=_best(fitting),
    )


def _archived(
    table: PartitionedTable, archived: Archived, called: str, backups: Sequence[Kept], zone: str
) -> Lifecycle:
    best = choose(backups, table, archived)
    status = Status.ARCHIVED if best is None else Status.VERIFIED if best.proven else Status.BACKED_UP
    return Lifecycle(
        label=short(archived.bounds, archived.name, zone),
        name=archived.name,
        called=called,
        status=status,
        bounds=archived.bounds,
        one=archived,
        backups=tuple(backups),
        best=best,
    )


def _dropped(backups: Sequence[Kept], whence: str, key: Key | None, zone: str, *, alone: bool) -> Lifecycle:
    best = _best(backups)
    backup = backups[0].backup
    shown = Bounds.shown(best.backup.bounds if best else backup.bounds)
    bounds = (shown.on(key) if key is not None else None) or shown
    return Lifecycle(
        label=short(bounds, backup.name, zone),
        name=backup.name,
        called=backup.name if alone else backup.id,
        status=Status.DROPPED,
        bounds=bounds,
        one=None,
        backups=tuple(backups),
        best=best,
        whence=whence,
    )


def _best(backups: Iterable[Kept]) -> Kept | None:
    return max(backups, key=lambda kept: (kept.proven is not None, kept.backup.finished_at), default=None)


def drawn(found: Sequence[Lifecycle], shown: Sequence[Item], axis: Axis) -> tuple[Item, ...]:
    """What the picture of the road shows: what `items` tells of the table, at its stop, and what the place holds."""
    moved = {
        f"{life.one.schema}.{life.name}": life.status
        for life in found
        if life.one is not None and life.status is not Status.ATTACHED
    }
    there = [replace(item, status=moved.get(item.name, item.status)) for item in shown]
    return ordered((*there, *gone(found, axis)))


def gone(found: Iterable[Lifecycle], axis: Axis) -> tuple[Item, ...]:
    """What lies in the place of the backups alone."""
    return tuple(_gone(life, axis) for life in found if life.one is None)


def elsewhere(found: Iterable[Lifecycle]) -> tuple[Bounds, ...]:
    """The ranges of what lies in the place of the backups alone."""
    return tuple(life.bounds for life in found if life.one is None and life.bounds is not None)


def _gone(life: Lifecycle, axis: Axis) -> Item:
    lower, upper = axis.ends(life.bounds)
    return Item(
        label=life.label,
        name=f"{life.name}, in the place of the backups",
        status=Status.DROPPED,
        lower=lower,
        upper=upper,
        bounds=describe_bounds(life.bounds, axis.zone),
        rows=life.best.backup.rows if life.best else None,
        heap=life.in_place,
        index=0,
        toast=0,
        ranged=life.bounds is not None and life.bounds.is_range,
    )
