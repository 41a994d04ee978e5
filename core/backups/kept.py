"""Reads what lies in the place of the backups: manifests, proofs, and what is no backup."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from core.backups.storage.base import Place
from core.errors import BackupDamaged, BackupNotFound, BackupUnusable
from core.plans.manifest import MANIFEST, OBJECT, PROOFS, Backup, Kept, Proof, Unreadable, may_be_of, proofs_from_json

LEFTOVER = "An object without a manifest: a backup that did not come to its end. It can be deleted."
"""The reason with which `read_all_kept` tells of leftovers."""


def read_kept(place: Place, id: str) -> Kept:
    """A backup and its proofs. Raises BackupNotFound, BackupUnusable, BackupDamaged for its manifest, PlaceFailed."""
    backup = Backup.from_json(place.read_text(id + MANIFEST))
    if backup.id != id:
        raise BackupDamaged(
            f"The manifest is that of another backup: {backup.id}.", next="Use another backup of the same table."
        )
    return Kept(backup, read_proofs(place, id))


def read_proofs(place: Place, id: str) -> tuple[Proof, ...]:
    """Those of the side file; one that can't be read proves nothing."""
    try:
        return proofs_from_json(place.read_text(id + PROOFS))
    except (BackupNotFound, BackupDamaged):
        return ()


def read_all_kept(place: Place, *, parent: str | None = None) -> tuple[tuple[Kept, ...], tuple[Unreadable, ...]]:
    """Every backup in the place, or those of the table with the address `parent`, newest first, by manifests alone.

    The second are what looks like a backup and is none, leftovers among them (`LEFTOVER`). Raises PlaceFailed.
    """
    sizes = {entry.path: entry.bytes for entry in place.list() if parent is None or may_be_of(entry.path, parent)}
    ids = [path.removesuffix(MANIFEST) for path in sizes if path.endswith(MANIFEST) and not path.endswith(PROOFS)]
    strange = [
        Unreadable(path, LEFTOVER)
        for path in sizes
        if path.endswith(OBJECT) and path.removesuffix(OBJECT) + MANIFEST not in sizes
    ]
    kept: list[Kept] = []
    with ThreadPoolExecutor(8, thread_name_prefix="partition-desk-manifests") as pool:
        for found in pool.map(lambda id: _kept_or_not(place, id, sizes), ids):
            if isinstance(found, Unreadable):
                strange.append(found)
            elif found is not None and (parent is None or found.backup.parent == parent):
                kept.append(found)
    kept.sort(key=lambda one: (one.backup.started_at, one.backup.id), reverse=True)
    return tuple(kept), tuple(strange)


def _kept_or_not(place: Place, id: str, sizes: dict[str, int]) -> Kept | Unreadable | None:
    try:
        kept = read_kept(place, id)
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
