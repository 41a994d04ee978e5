"""A folder of this machine as a place of backups, told from the one that is there without its disk."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from core.backups.storage.base import NO_ROOM, Storage, StoredObject, checked, failed, is_path
from core.errors import StorageFailed

log = logging.getLogger(__name__)
_CHUNK = 2**20
_PARTIAL = ".partial"
MARKER = ".partition-desk-place"
"""The file in a folder that holds its id."""
PLACES = "places.json"
"""The file below PARTITION_DESK_HOME that remembers the id of each folder that was written to."""


class Folder(Storage):
    """A folder of this machine. Folders that are made have mode 0700, files 0600; others are left as they are."""

    def __init__(self, root: Path, *, under_home: bool = False, home: Path | None = None) -> None:
        """`home` remembers the folder, so that it is told from the one that is there without its disk."""
        self._root = root
        self._under_home = under_home
        self._home = home
        self.label = str(root)

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        target = self._root / checked(path)
        with self._telling("written"):
            self._recognize()
            self._make(target.parent)
            self._sweep()
        written = 0
        with self._part() as (part, file):
            for chunk in chunks:
                with self._telling("written"):
                    file.write(chunk)
                written += len(chunk)
            with self._telling("written"):
                file.flush()
                os.fsync(file.fileno())
                self._remember()
                part.replace(target)
                _sync(target.parent)
        return written

    def read(self, path: str) -> Iterator[bytes]:
        if self.size(path) is None:
            raise self._not_found(path)
        return self._chunks(self._root / path)

    def size(self, path: str) -> int | None:
        with self._telling("read"):
            file = self._root / checked(path)
            self._recognize()
            try:
                found = file.stat()
            except FileNotFoundError:
                self._look()
                return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        start = self._root / checked(prefix) if prefix else self._root
        with self._telling("listed"):
            self._look()
            return tuple(sorted(self._entries(start), key=lambda entry: entry.path))

    def delete(self, path: str) -> None:
        target = self._root / checked(path)
        with self._telling("deleted"):
            self._look()
            with suppress(FileNotFoundError):
                target.unlink()
                _sync(target.parent)

    def _chunks(self, file: Path) -> Iterator[bytes]:
        with self._telling("read"):
            source = file.open("rb")
        with source:
            while True:
                with self._telling("read"):
                    chunk = source.read(_CHUNK)
                if not chunk:
                    return
                yield chunk

    def _entries(self, start: Path) -> Iterator[StoredObject]:
        """Follows links to folders, as to one that was moved to another disk; each folder is gone through once."""
        seen: set[tuple[int, int]] = set()
        for folder, below, files in os.walk(start, onerror=_unless_missing, followlinks=True):
            if not _is_new(folder, seen):
                below.clear()
                continue
            below[:] = [name for name in below if not name.startswith(".")]
            for file in (Path(folder, name) for name in files):
                path = file.relative_to(self._root).as_posix()
                with suppress(FileNotFoundError):  # one that was deleted meanwhile
                    found = file.stat()
                    if stat.S_ISREG(found.st_mode) and is_path(path):
                        yield StoredObject(path, found.st_size)

    def _look(self) -> None:
        """Raises where the folder isn't there and couldn't be made either, as with a disk that isn't mounted."""
        if not self._under_home:
            self._root.parent.stat()
        if self._root.exists() and not self._root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(self._root))
        self._recognize()

    def _recognize(self) -> None:
        """Raises StorageFailed where the home remembers another folder, as with a disk that isn't mounted."""
        if self._home is None:
            return
        try:
            known = _read_places(self._home).get(self.label)
        except PermissionError:  # somebody else's home
            return
        if known is None or known == self._read_marker():
            return
        raise StorageFailed(
            f"The folder {self.label} is not the one that was used before: the disk may not be mounted.",
            safe="Nothing was read or written there.",
            next=f"Mount the disk. If the folder was changed on purpose, remove it from {self._home / PLACES},"
            f" or write {known} into {self._root / MARKER}.",
        )

    def _read_marker(self) -> str | None:
        try:
            with (self._root / MARKER).open(encoding="utf-8", errors="replace") as file:
                return file.read(200).strip() or None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _remember(self) -> None:
        """Has the home remember the folder, which gets its id if it has none; a home that can't be written is told."""
        if self._home is None:
            return
        try:
            if self.label in _read_places(self._home):
                return
        except PermissionError:
            return
        found = self._read_marker() or self._mark()
        try:
            _write_place(self._home, self.label, found)
        except OSError as error:
            log.warning(
                "%s can't be remembered in %s, so nothing tells when its disk is not mounted: %s",
                self.label,
                self._home,
                error.strerror,
            )

    def _mark(self) -> str:
        """Gives the folder an id, which is returned; that of another who was faster, if there is one."""
        marker = self._root / MARKER
        made = secrets.token_hex(16)
        with self._part() as (part, file):
            file.write(f"{made}\n".encode())
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # no secret: whoever may enter the folder may know it again
            os.fsync(file.fileno())
            with suppress(OSError):  # another's marker stays; a file system without links gets it by the next line
                os.link(part, marker)
            if self._read_marker() is None:
                part.replace(marker)
        _sync(self._root)
        return self._read_marker() or made

    def _make(self, folder: Path) -> None:
        if self._under_home:
            # An empty home gets this mode from the server too; it would not touch that of one with backups in it.
            self._root.parent.mkdir(0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        steps = (self._root, *reversed([p for p in folder.parents if p.is_relative_to(self._root)][:-1]), folder)
        for step in (*steps, self._root / _PARTIAL):
            try:
                step.mkdir(0o700)
            except FileExistsError:
                if not step.is_dir():
                    raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(step)) from None
            else:
                _sync(step.parent)

    @contextmanager
    def _part(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A locked file that no listing shows, gone at the end unless it was renamed."""
        with self._telling("written"):
            part, file = self._new_part()
        try:
            yield part, file
        finally:
            with suppress(OSError):  # a full disk says so again when what is buffered is flushed
                file.close()
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _new_part(self) -> tuple[Path, BinaryIO]:
        while True:
            part = self._root / _PARTIAL / secrets.token_hex(16)
            file = os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb", _CHUNK)
            with suppress(OSError):  # a file system without locks: nothing is swept there either
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:  # another write may have swept it before it was locked
                return part, file
            file.close()

    def _sweep(self) -> None:
        """Removes what a crashed write left."""
        for part in (self._root / _PARTIAL).iterdir():
            with suppress(OSError), part.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason, next_ = _FILE_REASONS.get(error.errno or 0, (error.strerror or type(error).__name__, ""))
            where = f" ({error.filename})" if error.filename and str(error.filename) != self.label else ""
            raise failed(self.label, doing, f"{reason}{where}", next_) from error


_NOT_ALLOWED = "Let this program's user write and read there, or give another place in BACKUP_URL."
_NO_FOLDER = "See that the disk is mounted and BACKUP_URL names the right folder; only the last folder of it is made."
_FILE_REASONS: Mapping[int, tuple[str, str]] = {
    errno.ENOSPC: ("there is no room left", NO_ROOM),
    errno.EDQUOT: ("the quota is used up", NO_ROOM),
    errno.EFBIG: ("the file would be larger than files may be there", "Give another place in BACKUP_URL."),
    errno.EACCES: ("this program's user may not", _NOT_ALLOWED),
    errno.EPERM: ("this program's user may not", _NOT_ALLOWED),
    errno.EROFS: ("it is mounted read-only", "Mount it for writing, or give another place in BACKUP_URL."),
    errno.ENOENT: ("there is no such folder", _NO_FOLDER),
    errno.ENOTDIR: ("a file is where a folder should be", "Give another place in BACKUP_URL."),
    errno.EISDIR: ("a folder is where a file should be", "Move that folder away."),
    errno.ENAMETOOLONG: ("a name is longer than names may be there", "Give another place in BACKUP_URL."),
    errno.EIO: ("the disk reports an error", "Look at the machine's log: the disk may be failing."),
    errno.ESTALE: ("the network folder is gone", "Mount it again."),
}


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _is_new(folder: str, seen: set[tuple[int, int]]) -> bool:
    """Whether the folder wasn't seen yet by any of its names; it is now. Not one that was deleted meanwhile."""
    try:
        found = Path(folder).stat()
    except FileNotFoundError:
        return False
    key = (found.st_dev, found.st_ino)
    if key in seen:
        return False
    seen.add(key)
    return True


def _read_places(home: Path) -> dict[str, str]:
    """The id of each folder that the home remembers, by its label."""
    file = home / PLACES
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError:  # no UTF-8, or no JSON
        found = None
    if not isinstance(found, dict) or not all(isinstance(id, str) for id in found.values()):
        raise StorageFailed(
            f"{file}, which tells the folders of backups apart, can't be understood.",
            safe="The backups are as they were.",
            next="See that the disk of the backups is mounted, then remove that file: it is written anew.",
        )
    return found


def _write_place(home: Path, label: str, id: str) -> None:
    """Has the home remember a folder's id, whole or not at all, whoever else writes there."""
    home.mkdir(0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    new = home / f".{PLACES}-{secrets.token_hex(8)}"
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        places = {**_read_places(home), label: id}
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(json.dumps(places, indent=2, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(home / PLACES)
        os.fsync(handle)
    finally:
        new.unlink(missing_ok=True)
        os.close(handle)


def _sync(folder: Path) -> None:
    """Makes the names in a folder last through a power failure."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
