"""A proof as a file of its own, which an auditor can keep and check: what was proven, when, by which versions, how."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from core.errors import BackupDamaged, NotVerified
from core.plans.proof import Kept
from core.seal import Seal
from core.text import plural

KIND = "Partition Desk proof of a backup, 1"

MEANS = (
    "Last proven on a day means: on that day the backup was fetched from its place, its checksum compared, restored"
    " whole into another PostgreSQL, and the stored values of each of its rows compared with what was written; it says"
    " nothing of any day since."
)
"""For an auditor, in one sentence."""

_AGAIN = "Ask for a new one: partitions proof show BACKUP"


def record_of(kept: Kept, seal: Seal) -> str:
    """The newest verification that says anything of a backup, as JSON with a seal of its own. Raises NotVerified."""
    proof, backup = kept.judged, kept.backup
    if proof is None:
        raise NotVerified(
            f"The backup {backup.id} {kept.unproven}: there is no proof of it to be told of.",
            next=f"partitions verify {backup.id}",
        )
    said = {
        "record": KIND,
        "means": MEANS,
        "backup": {
            "id": backup.id,
            "database": backup.database,
            "cluster": backup.cluster,
            "table": backup.parent,
            "partition": f"{backup.schema}.{backup.name}",
            "bounds": backup.bounds,
            "finished_at": backup.finished_at,
            "server_version": backup.server_version,
            "written_by": f"Partition Desk {backup.console}, {backup.tool}",
            "bytes": backup.bytes,
            "rows": backup.rows,
            "fingerprint": backup.fingerprint,
            "object_sha256": backup.sha256,
            "manifest_sha256": kept.manifest_sha256,
        },
        "proof": {
            "at": proof.at,
            "actor": proof.actor,
            "verdict": proof.verdict.value,
            "reason": proof.reason,
            "server_version": proof.server_version,
            "rows": proof.rows,
            "fingerprint": proof.fingerprint,
            "object_sha256": proof.sha256,
            "seconds": proof.seconds,
        },
    }
    return json.dumps({**said, "digest": _digest(said), "seal": seal.of(*_sealed(said))}, indent=1) + "\n"


@dataclass(frozen=True, slots=True)
class Checked:
    """A record that is as a console with the same key made it."""

    said: str
    """For people."""
    proven: bool


def check(text: str, seal: Seal | None) -> Checked:
    """What a record says, where the key made it so. Raises BackupDamaged for any other, NotVerified without a key."""
    said = _read(text)
    mark, digest = said.pop("seal"), said.pop("digest")
    if digest != _digest(said):
        raise BackupDamaged("The record was changed: it differs from its own digest.", next=_AGAIN)
    if seal is None:
        raise NotVerified(
            "The record agrees with its own digest, which anybody can compute; there is no key here with which its seal"
            " could be checked.",
            next="Set PARTITION_DESK_KEY as the console has it that made the record, or run it where that key is.",
        )
    if not seal.fits(mark, *_sealed(said)):
        raise BackupDamaged(
            "The record has no seal of this console's key: anybody may have made it.",
            next=f"If the key was changed since, or is another console's, check it with that one. {_AGAIN}",
        )
    backup, proof = said["backup"], said["proof"]
    same = all(backup[name] == proof[name] for name in ("rows", "fingerprint", "object_sha256"))
    proven = proof["verdict"] == "proven" and same
    verdict = "proven" if proven else "found damaged"
    rows = f" {plural(proof['rows'], 'row')}," if proven else ""
    about = f"{backup['partition']} of {backup['table']} in {backup['database']}, {backup['bounds']}"
    return Checked(
        f"The record is as it was sealed. The backup {backup['id']} ({about}) was {verdict} on {proof['at']} by"
        f" {proof['actor']}:{rows} PostgreSQL {proof['server_version'] or 'unknown'}."
        + (f" {proof['reason']}" if proof["reason"] else ""),
        proven,
    )


_FIELDS = {"record": str, "means": str, "backup": dict, "proof": dict, "digest": str, "seal": str}


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BackupDamaged("The file is no record of a proof: it is not JSON.", next=_AGAIN) from error
    whole = isinstance(found, dict) and {name: type(value) for name, value in found.items()} == _FIELDS
    if not whole or found["record"] != KIND:
        raise BackupDamaged("The file is no record of a proof, or one of a later version.", next=_AGAIN)
    return dict(found)


def _canonical(said: dict[str, Any]) -> str:
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def _digest(said: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(said).encode()).hexdigest()


def _sealed(said: dict[str, Any]) -> tuple[str, str]:
    return "record of a proof", _canonical(said)
