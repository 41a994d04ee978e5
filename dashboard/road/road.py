"""The road of each period: attached, due, archived, backed up, verified, dropped; and what it weighs there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from core.plans.drop import choose
from core.plans.manifest import Kept, Proof
from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.marks import Hold, PlannedDrop
from core.tables.partition import Partition
from core.tables.retention import due
from core.tables.table import PartitionedTable
from dashboard.format import Item, Shown, days_of, describe_bounds, short


class Stop(StrEnum):
    """Where a period stands."""

    ATTACHED = "Attached"
    DUE = "Due for archive"
    ARCHIVED = "Archived"
    BACKED_UP = "Backed up"
    VERIFIED = "Verified"
    DROPPED = "Dropped"
    """On the server no more; a backup brings it back."""


SHOWN = {
    Stop.DUE: Shown.DUE,
    Stop.ARCHIVED: Shown.ARCHIVED,
    Stop.BACKED_UP: Shown.BACKED_UP,
    Stop.VERIFIED: Shown.VERIFIED,
    Stop.DROPPED: Shown.DROPPED,
}


@dataclass(frozen=True, slots=True)
class Leg:
    """One period on its road."""

    label: str
    name: str
    called: str
    """What tells it from every other one: its name, with its schema where others have that name; of what was dropped
    beside one of its name, the id of its backup."""
    stop: Stop
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
    def failed(self) -> Proof | None:
        """The last proof of its best backup, where that found it to be none."""
        last = self.best.proofs[-1] if self.best and self.best.proofs else None
        return last if self.best and last and self.best.proven is None else None

    def is_stale(self, verify_before: date) -> bool:
        """Whether its best backup was proven, and not since that date."""
        proven = self.best.proven_at if self.best else None
        return proven is not None and proven.date() < verify_before


def legs(
    table: PartitionedTable,
    kept: Iterable[Kept],
    others: Iterable[Kept],
    *,
    today: date,
    cutoff: date,
    zone: str,
) -> tuple[Leg, ...]:
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
            found.append(_dropped(own or backups, whence, zone, alone=alone))
    return tuple(sorted(found, key=lambda leg: (_days(leg, zone)[0] or date.min, leg.name)))


def _attached(partition: Partition, called: str, backups: Sequence[Kept], overdue: bool, zone: str) -> Leg:
    fitting = [one for one in backups if partition.bounds and one.backup.bounds == partition.bounds.text]
    return Leg(
        label=short(partition.bounds, partition.name, zone),
        name=partition.name,
        called=called,
        stop=Stop.DUE if overdue else Stop.ATTACHED,
        bounds=partition.bounds,
        one=partition,
        backups=tuple(backups),
        best=_best(fitting),
    )


def _archived(table: PartitionedTable, archived: Archived, called: str, backups: Sequence[Kept], zone: str) -> Leg:
    best = choose(backups, table, archived)
    stop = Stop.ARCHIVED if best is None else Stop.VERIFIED if best.proven else Stop.BACKED_UP
    return Leg(
        label=short(archived.bounds, archived.name, zone),
        name=archived.name,
        called=called,
        stop=stop,
        bounds=archived.bounds,
        one=archived,
        backups=tuple(backups),
        best=best,
    )


def _dropped(backups: Sequence[Kept], whence: str, zone: str, *, alone: bool) -> Leg:
    best = _best(backups)
    backup = backups[0].backup
    bounds = Bounds.parse(best.backup.bounds if best else backup.bounds)
    return Leg(
        label=short(bounds, backup.name, zone),
        name=backup.name,
        called=backup.name if alone else backup.id,
        stop=Stop.DROPPED,
        bounds=bounds,
        one=None,
        backups=tuple(backups),
        best=best,
        whence=whence,
    )


def _best(backups: Iterable[Kept]) -> Kept | None:
    return max(backups, key=lambda kept: (kept.proven is not None, kept.backup.finished_at), default=None)


def _days(leg: Leg, zone: str) -> tuple[date | None, date | None]:
    return days_of(leg.bounds, zone) if leg.bounds and not leg.bounds.is_default else (None, None)


def drawn(found: Sequence[Leg], shown: Sequence[Item], zone: str) -> tuple[Item, ...]:
    """What the picture of the road shows: what `items` tells of the table, at its stop, and what the place holds."""
    stops = {f"{leg.one.schema}.{leg.name}": leg.stop for leg in found if leg.one is not None}
    there = [replace(item, state=SHOWN.get(stops.get(item.name, Stop.ATTACHED), item.state)) for item in shown]
    return tuple(sorted((*there, *gone(found, zone)), key=lambda item: (item.lower or date.min, item.label)))


def gone(found: Iterable[Leg], zone: str) -> tuple[Item, ...]:
    """What lies in the place of the backups alone."""
    return tuple(_gone(leg, zone) for leg in found if leg.one is None)


def elsewhere(found: Iterable[Leg]) -> tuple[Bounds, ...]:
    """The ranges of what lies in the place of the backups alone."""
    return tuple(leg.bounds for leg in found if leg.one is None and leg.bounds is not None)


def _gone(leg: Leg, zone: str) -> Item:
    lower, upper = _days(leg, zone)
    return Item(
        label=leg.label,
        name=f"{leg.name}, in the place of the backups",
        state=Shown.DROPPED,
        lower=lower,
        upper=upper,
        bounds=describe_bounds(leg.bounds, zone),
        rows=leg.best.backup.rows if leg.best else None,
        heap=leg.in_place,
        index=0,
        toast=0,
        ranged=leg.bounds is not None and not leg.bounds.is_default,
    )
