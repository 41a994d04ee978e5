"""The backups of one table, as their place has them."""

from __future__ import annotations

from dataclasses import dataclass

from core.backups.kept import read_all_kept
from core.backups.storage import ColdStorage
from core.errors import DeskError
from core.plans.manifest import Kept, Unreadable
from core.postgres.server import Server


@dataclass(frozen=True, slots=True)
class Backups:
    """The backups of one table, as its place has them."""

    place: str
    """For people; BACKUP_URL where it can't be opened."""
    kept: tuple[Kept, ...] | None
    """Newest first; None where the place could not be read."""
    others: tuple[Kept, ...] = ()
    """Those of a table of the same address in another database, or on another server."""
    unusable: tuple[Unreadable, ...] = ()
    """What lies there for this table and can't be used as a backup."""
    unread: DeskError | None = None
    """Why it could not be read."""


def read_backups(cold: ColdStorage, address: str, server: Server) -> Backups:
    """The backups of the table `address` of a database, by their manifests alone; never raises a DeskError."""
    label = cold.url
    try:
        place = cold.open()
        label = place.label
        found, unusable = read_all_kept(place, parent=address)
    except DeskError as error:
        return Backups(label, None, unread=error)
    own = tuple(kept for kept in found if kept.backup.is_from(server.database, server.cluster))
    others = tuple(kept for kept in found if not kept.backup.is_from(server.database, server.cluster))
    return Backups(label, own, others, unusable)
