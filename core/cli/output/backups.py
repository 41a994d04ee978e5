"""What the commands of cold storage print."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.plans.proof import Kept, Unreadable
from core.text import Json, aligned, human_bytes, human_rows, plural, shown


def kept_json(kept: Kept) -> Json:
    """One backup as `backups --json` prints it."""
    backup = kept.backup
    return {
        "id": backup.id,
        "database": backup.database,
        "table": backup.parent,
        "name": backup.name,
        "bounds": backup.bounds,
        "rows": backup.rows,
        "bytes": backup.bytes,
        "fingerprint": backup.fingerprint,
        "sha256": backup.sha256,
        "server_version": backup.server_version,
        "finished_at": backup.finished_at,
        "actor": backup.actor,
        "reason": backup.reason,
        "proven": kept.proven is not None,
        "proven_at": kept.proven_at.isoformat() if kept.proven_at else None,
        "foreign_proof": kept.foreign,
        "last_try": _last_try(kept),
    }


def _last_try(kept: Kept) -> Json | None:
    if not kept.proofs:
        return None
    last = kept.proofs[-1]
    return {"at": last.at, "verdict": last.verdict, "reason": last.reason or None, "actor": last.actor}


def kept_text(found: Sequence[Kept], unreadable: Sequence[Unreadable], place: str, *, others: int = 0) -> str:
    """What `backups` prints; `others` are backups of other tables, which are not among `found`."""
    more = f"Of other tables there are {others:,} more: partitions backups --every"
    if not found and not unreadable:
        return f"No backup{' of this table' if others else ''} lies in {shown(place)}." + (f" {more}" if others else "")
    head = ("partition", "made", "last proof", "backup", "rows", "size")
    rows = [
        (
            shown(k.backup.name),
            f"{datetime.fromisoformat(k.backup.finished_at):%Y-%m-%d %H:%M} UTC",
            _proof_text(k),
            shown(k.backup.id),
            human_rows(k.backup.rows),
            human_bytes(k.backup.bytes),
        )
        for k in found
    ]
    lines = aligned(head, rows, numbers=2) if rows else []
    total = f"{plural(len(found), 'backup')} in {place}, {human_bytes(sum(k.backup.bytes for k in found))}."
    return "\n".join(
        [
            *lines,
            *(["", shown(total)] if rows else []),
            *([more] if others else []),
            *(shown(f"Not usable: {one.path}: {one.reason}") for one in unreadable),
        ]
    )


def _proof_text(kept: Kept) -> str:
    if kept.proven_at is not None:
        return f"{kept.proven_at:%Y-%m-%d}"
    if kept.damaged or kept.unprovable:
        return "damaged" if kept.damaged else "not provable here"
    return "foreign" if kept.foreign else "never"
