"""Reads what lies in the place of the backups: manifests, proofs, and what is no backup."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256

from core.backups.storage import StorageSettings
from core.backups.storage.base import Storage
from core.errors import BackupDamaged, BackupNotFound, BackupUnusable, DeskError, NotVerified, StorageFailed
from core.plans.manifest import MANIFEST, OBJECT, Backup, may_be_of
from core.plans.plan import Plan
from core.plans.proof import (
    Kept,
    Proof,
    Unreadable,
    Verdict,
    is_since,
    newest_last,
    proof_path,
    proofs_from_json,
    proofs_to_json,
    proven_backup,
)
from core.postgres.server import Server

PROOFS_READ = 100
"""So many of the newest proofs are looked at."""
LEFTOVER = "An object without a manifest: a backup that did not come to its end. It can be deleted."
"""The reason with which `read_all_kept` tells of leftovers."""


def read_kept(storage: Storage, id: str, proofs: Iterable[str] | None = None, *, since: date | None = None) -> Kept:
    """A backup and its proofs, of which the paths may be known; with `since` all that were tried from that day on.

    Raises BackupNotFound, BackupUnusable, BackupDamaged for its manifest, StorageFailed.
    """
    kept, _ = read_with_manifest(storage, id, proofs, since=since)
    return kept


def read_with_manifest(
    storage: Storage, id: str, proofs: Iterable[str] | None = None, *, since: date | None = None
) -> tuple[Kept, str]:
    """(the same, the text of its manifest)."""
    manifest = storage.read_text(id + MANIFEST)
    backup = Backup.from_json(manifest)
    if backup.id != id:
        raise BackupDamaged(
            f"The manifest is that of another backup: {backup.id}.", next="Use another backup of the same table."
        )
    if proofs is None:
        proofs = [one.path for one in storage.list(id.rpartition("/")[0]) if proven_backup(one.path) == id]
    paths = newest_last(proofs)[: -PROOFS_READ - 1 : -1]
    ours, foreign, read = _read_proofs(storage, paths, manifest)
    earlier = [_sealed(storage, path, manifest) for path in paths[read:] if since is not None and is_since(path, since)]
    tried = (*(proof for each in reversed(earlier) for proof in each), *ours) if since is not None else ()
    return Kept(backup, ours, foreign, sha256(manifest.encode()).hexdigest(), tried), manifest


def _read_proofs(storage: Storage, paths: Sequence[str], manifest: str) -> tuple[tuple[Proof, ...], bool, int]:
    """(those with this console's seal, from the newest that says anything of the backup on; whether others lie there;
    how many of the paths, newest first, that took).

    What can't be read has no seal either.
    """
    found: tuple[Proof, ...] = ()
    foreign = False
    for read, path in enumerate(paths, 1):
        try:
            each = proofs_from_json(storage.read_text(path))
        except BackupNotFound:  # deleted meanwhile
            continue
        except BackupDamaged:
            each = ()
        ours = _with_seal(storage, each, manifest)
        foreign |= not each or len(ours) < len(each)
        found = (*ours, *found)
        if any(proof.verdict is not Verdict.UNPROVABLE for proof in ours):
            return found, foreign, read
    return found, foreign, len(paths)


def _with_seal(storage: Storage, each: Iterable[Proof], manifest: str) -> tuple[Proof, ...]:
    return tuple(p for p in each if storage.seal is not None and storage.seal.fits(p.seal, *p.said(manifest)))


_EARLIER: dict[tuple[str, str], str] = {}
"""Texts of proofs by place and path: none is ever written anew, and a page asks for a year of them each time."""
_MOST_EARLIER = 10_000


def _sealed(storage: Storage, path: str, manifest: str) -> tuple[Proof, ...]:
    """What an earlier verification found, where this console's key has sealed it; nothing of what can't be read."""
    key = (storage.label, path)
    try:
        if key not in _EARLIER:
            text = storage.read_text(path)
            if len(_EARLIER) >= _MOST_EARLIER:
                _EARLIER.clear()
            _EARLIER[key] = text
        return _with_seal(storage, proofs_from_json(_EARLIER.get(key, "")), manifest)
    except (BackupNotFound, BackupDamaged):
        return ()


def keep_proof(storage: Storage, id: str, proof: Proof) -> None:
    """Writes a proof beside its backup, as an object of its own that replaces none. Raises StorageFailed."""
    storage.write_text(proof_path(id, datetime.now(UTC), secrets.token_hex(3)), proofs_to_json((proof,)))


def read_all_kept(
    storage: Storage, *, parent: str | None = None, since: date | None = None
) -> tuple[tuple[Kept, ...], tuple[Unreadable, ...]]:
    """Every backup in the place, or those of the table with the address `parent`, newest first, by manifests alone.

    The second are what looks like a backup and is none, leftovers among them (`LEFTOVER`). Raises StorageFailed.
    """
    sizes = {entry.path: entry.bytes for entry in storage.list() if parent is None or may_be_of(entry.path, parent)}
    proofs: dict[str, list[str]] = {}
    for path in sizes:
        whose = proven_backup(path)
        if whose is not None:
            proofs.setdefault(whose, []).append(path)
    ids = [path.removesuffix(MANIFEST) for path in sizes if path.endswith(MANIFEST) and not proven_backup(path)]
    strange = [
        Unreadable(path, LEFTOVER)
        for path in sizes
        if path.endswith(OBJECT) and path.removesuffix(OBJECT) + MANIFEST not in sizes
    ]
    kept: list[Kept] = []
    with ThreadPoolExecutor(8, thread_name_prefix="partition-desk-manifests") as pool:
        for found in pool.map(lambda id: _kept_or_not(storage, id, sizes, proofs.get(id, ()), since), ids):
            if isinstance(found, Unreadable):
                strange.append(found)
            elif found is not None and (parent is None or found.backup.parent == parent):
                kept.append(found)
    kept.sort(key=lambda one: (one.backup.started_at, one.backup.id), reverse=True)
    return tuple(kept), tuple(strange)


def _kept_or_not(
    storage: Storage, id: str, sizes: dict[str, int], proofs: Iterable[str], since: date | None
) -> Kept | Unreadable | None:
    try:
        kept = read_kept(storage, id, proofs, since=since)
    except BackupNotFound:
        return None  # deleted meanwhile
    except (BackupUnusable, BackupDamaged, StorageFailed) as error:
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


def read_backups(settings: StorageSettings, address: str, server: Server, *, since: date | None = None) -> Backups:
    """The backups of the table `address` of a database, by their manifests alone; never raises a DeskError.

    With `since`, each with all that was tried with it from that day on.
    """
    label = settings.url
    try:
        storage = settings.open()
        label = storage.label
        found, unusable = read_all_kept(storage, parent=address, since=since)
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
