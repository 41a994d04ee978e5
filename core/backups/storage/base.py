"""What every place of backups can do, whatever kind it is of."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import BackupDamaged, BackupNotFound, StorageFailed, UsageError

if TYPE_CHECKING:
    from core.seal import Seal

TEXT_MOST = 16 * 2**20
"""Bytes of the longest text that is read whole."""
_SEGMENT = re.compile(r"[A-Za-z0-9_~%=+,-][A-Za-z0-9._~%=+,-]{0,254}")
_PATH_MOST = 950
"""S3's keys have up to 1024 bytes, the prefix of BACKUP_URL included."""
NO_ROOM = "Make room there, or give another place in BACKUP_URL."


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a place."""

    path: str
    bytes: int


class Storage(ABC):
    """Where backups are kept, for any thread. Every failure is StorageFailed, in plain words and without a secret.

    A path that can't be one raises UsageError, whatever is asked about it.
    """

    label: str
    """The place for people, such as `s3://bucket/prefix` or `/var/backups`; never holds credentials."""
    seal: Seal | None = None
    """What this console's proofs are sealed with: whoever can write here could write others. None without a key."""

    @abstractmethod
    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        """Writes what `chunks` gives and returns its bytes, in bounded memory; an object that was there is replaced.

        What `chunks` raises passes through, and then, as after a failure, nothing is left under `path` but what was
        there before.
        """

    @abstractmethod
    def read(self, path: str) -> Iterator[bytes]:
        """The object's bytes, in order and in bounded memory. Raises BackupNotFound at once where there is none."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """The bytes of the object; None where there is none."""

    @abstractmethod
    def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        """Every object below the folder `prefix`, by path. What bears a name that can't be a path is left out."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Removes the object; there may be none."""

    def write_text(self, path: str, text: str) -> None:
        """Writes a short text in UTF-8, whole or not at all."""
        self.write(path, (text.encode(),))

    def read_text(self, path: str) -> str:
        """The text of an object. Raises BackupNotFound, and BackupDamaged for over 16 MiB or what is no UTF-8."""
        size = self.size(path)
        if size is None:
            raise self._not_found(path)
        return self._text(path, size, b"".join(self.read(path)) if size <= TEXT_MOST else b"")

    def _not_found(self, path: str) -> BackupNotFound:
        return BackupNotFound(f"There is no {path} in {self.label}.", next="Look at the list of backups again.")

    def _text(self, path: str, size: int, content: bytes) -> str:
        if size > TEXT_MOST:
            raise BackupDamaged(f"{path} in {self.label} has {size} bytes, which is no manifest's.")
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise BackupDamaged(f"{path} in {self.label} is no text.") from None


def checked(path: str) -> str:
    if not is_path(path):
        raise UsageError(f"{path[:200]!r} can't be the path of a backup.")
    return path


def is_path(path: str) -> bool:
    return len(path) <= _PATH_MOST and all(_SEGMENT.fullmatch(segment) for segment in path.split("/"))


def failed(label: str, doing: str, reason: str, next_: str) -> StorageFailed:
    what = {
        "written": f"A backup can't be written to {label}: {reason}.",
        "read": f"A backup can't be read from {label}: {reason}.",
        "listed": f"The backups in {label} can't be listed: {reason}.",
        "deleted": f"A backup in {label} can't be deleted: {reason}.",
    }[doing]
    safe = "Nothing half-written is left as a backup." if doing == "written" else "The backups are as they were."
    return StorageFailed(what, safe=safe, next=next_)
