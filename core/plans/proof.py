"""What the verifications of a backup found, each written beside it, and the backup with them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from enum import StrEnum

from core.errors import BackupDamaged
from core.plans.manifest import MANIFEST, Backup, read_fields

PROOF = ".proof"
"""What follows the path of a backup in those of its proofs."""
_PROOF = re.compile(rf"(?P<id>.+){re.escape(PROOF)}(?P<moment>-[0-9]{{8}}T[0-9]+Z-[0-9a-f]+)?{re.escape(MANIFEST)}")
"""One object a proof; before, all of a backup in a single one without a moment in its name."""


class Verdict(StrEnum):
    """What a verification found."""

    PROVEN = "proven"
    DAMAGED = "damaged"
    """The bytes or the rows are not those that were written."""
    UNPROVABLE = "unprovable"
    """It could not be proven there, which says nothing of what it holds."""


NEVER = "never"
"""In place of a verdict where nobody has tried."""


@dataclass(frozen=True, slots=True)
class Proof:
    """One verification of one backup."""

    at: str
    """ISO 8601, UTC."""
    actor: str
    verdict: Verdict
    reason: str
    """Why it is not proven; of a proven one what was left out of the comparison, or empty."""
    rows: int | None
    fingerprint: str
    """What was found; empty where it did not come so far."""
    sha256: str
    server_version: str
    """Of the server that it was restored into."""
    seconds: float
    next: str = ""
    """What helps, where that is known."""
    seal: str = ""
    """With the key of the console that found it; empty in the oldest, and where that had none."""

    def said(self, manifest: str) -> tuple[str, ...]:
        """What the seal is of: the manifest whose backup was proven, and all that was found."""
        found = (self.at, self.actor, self.verdict.value, self.reason, self.rows, self.fingerprint, self.sha256)
        digest = hashlib.sha256(manifest.encode()).hexdigest()
        return ("proof", digest, *map(str, found), self.server_version, str(self.seconds))

    @property
    def good(self) -> bool:
        """Whether it proves the backup."""
        return self.verdict is Verdict.PROVEN


def proof_path(id: str, at: datetime, token: str) -> str:
    """Where a proof of the backup is kept; `token` tells two of one moment apart."""
    return f"{id}{PROOF}-{at:%Y%m%dT%H%M%S%fZ}-{token}{MANIFEST}"


def proven_backup(path: str) -> str | None:
    """The id of the backup whose proof this is the path of; None for another path."""
    found = _PROOF.fullmatch(path)
    return found["id"] if found else None


def newest_last(paths: Iterable[str]) -> list[str]:
    """The paths of proofs of one backup, in the order of their moments."""
    return sorted(paths, key=lambda path: (found["moment"] or "") if (found := _PROOF.fullmatch(path)) else "")


def is_since(path: str, day: date) -> bool:
    """Whether a proof was written on that day or later, by its path."""
    found = _PROOF.fullmatch(path)
    return bool(found and found["moment"] and found["moment"] >= f"-{day:%Y%m%d}")


def proofs_to_json(proofs: tuple[Proof, ...]) -> str:
    """A JSON list, newest last."""
    return json.dumps([asdict(proof) for proof in proofs], ensure_ascii=False, indent=1) + "\n"


def proofs_from_json(text: str) -> tuple[Proof, ...]:
    """What `proofs_to_json` wrote. Raises BackupDamaged for anything else."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise BackupDamaged("The list of proofs can't be read.") from error
    if not isinstance(raw, list):
        raise BackupDamaged("The list of proofs is none.")
    found = tuple(read_fields(Proof, _with_verdict(one), "list of proofs") for one in raw)
    for one in found:
        try:
            datetime.fromisoformat(one.at)
        except ValueError as error:
            raise BackupDamaged("The list of proofs has one of no moment.") from error
    return found


def _with_verdict(raw: object) -> object:
    """A proof as it is written now, of one that says only whether it is good."""
    if not isinstance(raw, dict) or "verdict" in raw or not isinstance(raw.get("good"), bool):
        return raw
    verdict = Verdict.PROVEN if raw["good"] else Verdict.DAMAGED
    return {**{name: value for name, value in raw.items() if name != "good"}, "verdict": verdict.value}


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup in its place, with what its verifications found, oldest first.

    A proof counts where this console, or one with its key, has sealed it: whoever can write to the place could change
    the object, the manifest and a proof so that they fit.
    """

    backup: Backup
    proofs: tuple[Proof, ...] = ()
    foreign: bool = False
    """Whether there is one, newer than what these say of the backup, that has no seal of this console's key."""
    manifest_sha256: str = field(default="", compare=False)
    """Of the manifest's text, as it lies in the place."""
    tried: tuple[Proof, ...] = field(default=(), compare=False)
    """Every verification since the day that was asked for, oldest first."""

    @property
    def unproven(self) -> str:
        """Why it does not count as proven, for people."""
        if self.damaged is not None:
            return "was found damaged when it was restored and compared"
        if self.unprovable is not None:
            return f"could not be proven so far: {self.unprovable.reason.removesuffix('.')}"
        if self.foreign:
            return "was proven by no console that has this one's key, and anybody may have written the proof beside it"
        return "was never restored and compared"

    @property
    def judged(self) -> Proof | None:
        """The newest verification that says anything of what the backup holds."""
        return next((one for one in reversed(self.proofs) if one.verdict is not Verdict.UNPROVABLE), None)

    @property
    def proven(self) -> Proof | None:
        """The same, where it is good and of these very bytes and rows."""
        found = self.judged
        if found is None or not found.good:
            return None
        same = (found.sha256, found.fingerprint, found.rows)
        return found if same == (self.backup.sha256, self.backup.fingerprint, self.backup.rows) else None

    @property
    def damaged(self) -> Proof | None:
        """The same, where it found damage."""
        found = self.judged
        return found if found is not None and found.verdict is Verdict.DAMAGED else None

    @property
    def unprovable(self) -> Proof | None:
        """The newest verification, where it could not be proven and nothing is known of it otherwise."""
        return self.proofs[-1] if self.proofs and self.judged is None else None

    @property
    def verdict(self) -> str:
        """One word for it: a Verdict's, or never."""
        if self.proven:
            return Verdict.PROVEN.value
        return Verdict.DAMAGED.value if self.damaged else Verdict.UNPROVABLE.value if self.unprovable else NEVER

    @property
    def proven_at(self) -> datetime | None:
        """When it was last proven."""
        return datetime.fromisoformat(self.proven.at) if self.proven else None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something in the place that looks like a backup and can't be used."""

    path: str
    reason: str
