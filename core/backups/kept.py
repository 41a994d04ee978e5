"""Reads what lies in the place of the backups: manifests, proofs, and what is no backup."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from core.backups.storage import StorageSettings
from core.backups.storage.base import Storage
from core.errors import BackupDamaged, BackupNotFound, BackupUnusable, DeskError, NotVerified
from core.plans.manifest import MANIFEST, OBJECT, PROOFS, Backup, Kept, Proof, Unreadable, may_be_of, proofs_from_json
from core.plans.plan import Plan
from core.postgres.server import Server

PROOFS_READ = 100
"""So many of the newest proofs are looked at."""
LEFTOVER = "An object without a manifest: a backup that did not come to its end. It can be deleted."
"""The reason with which `read_all_kept` tells of leftovers."""


def read_kept(storage: Storage, id: str) -> Kept:
    """A backup and its proofs. Raises BackupNotFound, BackupUnusable, BackupDamaged for its manifest, StorageFailed."""
    kept, _ = read_with_manifest(storage, id)
    return kept


def read_with_manifest(storage: Storage, id: str) -> tuple[Kept, str]:
    """(the same, the text of its manifest)."""
    manifest = storage.read_text(id + MANIFEST)
    backup = Backup.from_json(manifest)
    if backup.id != id:
        raise BackupDamaged(
            f"The manifest is that of another backup: {backup.id}.", next="Use another backup of the same table."
        )
    proofs = read_proofs(storage, id)[-PROOFS_READ:]
    ours = tuple(p for p in proofs if storage.seal is not None and storage.seal.fits(p.seal, *p.said(manifest)))
    return Kept(backup, ours, foreign=len(ours) < len(proofs)), manifest


def read_proofs(storage: Storage, id: str) -> tuple[Proof, ...]:
    """Those of the side file, whoever wrote them; one that can't be read proves nothing."""
    try:
        return proofs_from_json(storage.read_text(id + PROOFS))
    except (BackupNotFound, BackupDamaged):
        return ()


def read_all_kept(storage: Storage, *, parent: str | None = None) -> tuple[tuple[Kept, ...], tuple[Unreadable, ...]]:
    """Every backup in the place, or those of the table with the address `parent`, newest first, by manifests alone.

    The second are what looks like a backup and is none, leftovers among them (`LEFTOVER`). Raises StorageFailed.
    """
    sizes = {entry.path: entry.bytes for entry in storage.list() if parent is None or may_be_of(entry.path, parent)}
    ids = [path.removesuffix(MANIFEST) for path in sizes if path.endswith(MANIFEST) and not path.endswith(PROOFS)]
    strange = [
        Unreadable(path, LEFTOVER)
        for path in sizes
        if path.endswith(OBJECT) and path.removesuffix(OBJECT) + MANIFEST not in sizes
    ]
    kept: list[Kept] = []
    with ThreadPoolExecutor(8, thread_name_prefix="partition-desk-manifests") as pool:
        for found in pool.map(lambda id: _kept_or_not(storage, id, sizes), ids):
            if isinstance(found, Unreadable):
                strange.append(found)
            elif found is not None and (parent is None or found.backup.parent == parent):
                kept.append(found)
    kept.sort(key=lambda one: (one.backup.started_at, one.backup.id), reverse=True)
    return tuple(kept), tuple(strange)


def _kept_or_not(storage: Storage, id: str, sizes: dict[str, int]) -> Kept | Unreadable | None:
    try:
        kept = read_kept(storage, id)
    except BackupNotFound:
        return None  # deleted meanwhile
    except (BackupUnusable, BackupDamaged) as error:
        return Unreadable(id + MANIFEST, error.what)
    size = sizes.get(kept.backup.object)
    if size is None:
        return Unreadable(kept.backup.object, "It is missing, and its manifest is there.")
    if size != kept.backup.bytes:
        return Unreadable(kept.backup.object, f"It has {size:,} bytes, and its manifest says {kept.backup.bytes:,}.")
    return kept


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


def read_backups(settings: StorageSettings, address: str, server: Server) -> Backups:
    """The backups of the table `address` of a database, by their manifests alone; never raises a DeskError."""
    label = settings.url
    try:
        storage = settings.open()
        label = storage.label
        found, unusable = read_all_kept(storage, parent=address)
    except DeskError as error:
        return Backups(label, None, unread=error)
    own = tuple(kept for kept in found if kept.backup.is_from(server.database, server.cluster))
    others = tuple(kept for kept in found if not kept.backup.is_from(server.database, server.cluster))
    return Backups(label, own, others, unusable)


def read_database_backups(
    open_storage: Callable[[], Storage], server: Server
) -> tuple[tuple[Kept, ...] | None, DeskError | None]:
    """(the backups of a database, None), or (None, why their place can't be read); never raises a DeskError."""
    try:
        found, _ = read_all_kept(open_storage())
    except DeskError as error:
        return None, error
    return tuple(kept for kept in found if kept.backup.is_from(server.database, server.cluster)), None


def require_backup(storage: Storage, plan: Plan) -> None:
    """That the backup on which a drop rests lies there still, byte by byte, and proven. Raises NotVerified."""
    gone = NotVerified(
        f"The backup {plan.backup} on which the drop of {plan.subject} rests is no longer in {storage.label}"
        " as it was.",
        next="Back the table up again and verify that backup, then ask again.",
    )
    try:
        kept = read_kept(storage, plan.backup)
        if kept.proven is None or any(leaf.fingerprint not in plan.sql for leaf in kept.backup.leaves):
            raise gone
        digest = sha256()
        for chunk in storage.read(kept.backup.object):
            digest.update(chunk)
    except (BackupNotFound, BackupDamaged, BackupUnusable) as error:
        raise gone from error
    if digest.hexdigest() != kept.backup.sha256:
        raise gone
