"""Keeps backups in a place: a folder, or a bucket of S3, Google Cloud Storage or Azure.

A path in a place is relative, `/` between its parts, each of them up to 255 letters, digits and `-._~%=+,`, and none
beginning with a dot. What is being written is in the place under no such path until it is whole:

    a folder   `.partial/` holds files that are being written, each locked by who writes it. One that nobody holds was
               left by a crash, and the next write removes it. A whole file is renamed to its path.
               A folder that BACKUP_URL names has a random id in `.partition-desk-place` from its first write on, and
               the console's home remembers that id: without its disk mounted, the folder is told from the real one.
    a bucket   an upload shows nothing before its end, and one that fails is aborted. Where the abort fails as well, as
               without a network, its parts stay unseen: a lifecycle rule for incomplete uploads removes those.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from configparser import Error as ConfigError
from configparser import RawConfigParser
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote

from core.errors import BackupDamaged, BackupNotFound, PlaceFailed, SettingError, UsageError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

log = logging.getLogger(__name__)

DEFAULT_FOLDER = "backups"
"""Below PARTITION_DESK_HOME, where BACKUP_URL says nothing."""
SCHEMES = ("s3", "gs", "az")

TEXT_MOST = 16 * 2**20
"""Bytes of the longest text that is read whole."""
PART = 16 * 2**20
"""Bytes of one part of an upload. S3 takes 10,000 parts, so the largest backup has 156 GiB."""
PARTS_MOST = 10_000
_UPLOADS = 2
"""Parts under way at once. With the part that is being filled, an upload holds about three parts in memory."""
_RANGE = 8 * 2**20
"""Bytes asked for at once in a download. Each range is a request of its own, so that a slow reader breaks none."""
_CHUNK = 2**20

_CONNECT = timedelta(seconds=4)
_ANSWER = timedelta(seconds=9)
_RETRIES = 2
_GIVE_UP = timedelta(seconds=10)
"""After this long no further try begins; with _ANSWER, a place that doesn't answer is told of within 20 s."""
_PART_ANSWER = timedelta(seconds=120)
_PART_RETRIES = 6
_PART_GIVE_UP = timedelta(seconds=60)

_SEGMENT = re.compile(r"[A-Za-z0-9_~%=+,-][A-Za-z0-9._~%=+,-]{0,254}")
_PATH_MOST = 950
"""S3's keys have up to 1024 bytes, the prefix of BACKUP_URL included."""
_PARTIAL = ".partial"
MARKER = ".partition-desk-place"
"""The file in a folder that holds its id."""
PLACES = "places.json"
"""The file below PARTITION_DESK_HOME that remembers the id of each folder that was written to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a place."""

    path: str
    bytes: int
    modified: datetime
    """When it was last written, in UTC."""


class Place(ABC):
    """Where backups are kept. Any thread may use it; every failure is PlaceFailed, in plain words and without a secret.

    A path that can't be one raises UsageError, whatever is asked about it.
    """

    label: str
    """The place for people, such as `s3://bucket/prefix` or `/var/backups`; never holds credentials."""

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
    def list(self, prefix: str = "") -> tuple[Entry, ...]:
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


def open_place(url: str, *, home: Path, environ: Mapping[str, str]) -> Place:
    """The place that BACKUP_URL names: nothing for `backups` below `home`, a whole path or `file://` for a folder,
    `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.

    Nothing is made and nobody is asked yet. S3 reads AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY and
    AWS_SESSION_TOKEN, else the keys of the profile AWS_PROFILE in `~/.aws`, else what the machine or container has;
    further AWS_REGION, AWS_ENDPOINT_URL and AWS_CA_BUNDLE, all of `environ`. Azure, Google and the rarer settings of
    S3 are read by obstore from the process's own environment. Raises SettingError, which never repeats a secret.
    """
    if not url:
        return Folder(home / DEFAULT_FOLDER, under_home=True)
    if "\0" in url:
        raise SettingError("BACKUP_URL has a NUL in it.")
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    if not found:
        if re.match(r"(s3|gs|az|file):", url, re.IGNORECASE):
            raise SettingError("BACKUP_URL lacks the // after its scheme.", next="Write it as in s3://bucket/prefix.")
        return Folder(_whole(url), home=home)
    if scheme == "file":
        host, slash, path = rest.partition("/")
        if host not in ("", "localhost") or not slash:
            raise SettingError("BACKUP_URL names a file:// of another machine.", next="Write it as in file:///folder.")
        return Folder(Path("/" + unquote(path)), home=home)
    if scheme not in SCHEMES:
        raise SettingError(
            "BACKUP_URL begins with a scheme that is not known here.",
            next="Give a whole path, or a URL that begins with file://, s3://, gs:// or az://.",
        )
    return _bucket(scheme, url, environ)


def _whole(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise SettingError("BACKUP_URL begins with the home directory of a user who has none.") from None
    if not path.is_absolute():
        raise SettingError(
            "BACKUP_URL is no whole path, and so another folder wherever a command is started.",
            next="Write the whole path, or a URL that begins with s3://, gs:// or az://.",
        )
    return path


def _checked(path: str) -> str:
    if not _is_path(path):
        raise UsageError(f"{path[:200]!r} can't be the path of a backup.")
    return path


def _is_path(path: str) -> bool:
    return len(path) <= _PATH_MOST and all(_SEGMENT.fullmatch(segment) for segment in path.split("/"))


# Folders


class Folder(Place):
    """A folder of this machine. Folders that are made have mode 0700, files 0600; others are left as they are."""

    def __init__(self, root: Path, *, under_home: bool = False, home: Path | None = None) -> None:
        """`home` remembers the folder, so that it is told from the one that is there without its disk."""
        self._root = root
        self._under_home = under_home
        self._home = home
        self.label = str(root)

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        target = self._root / _checked(path)
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
            file = self._root / _checked(path)
            self._recognize()
            try:
                found = file.stat()
            except FileNotFoundError:
                self._look()
                return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str = "") -> tuple[Entry, ...]:
        start = self._root / _checked(prefix) if prefix else self._root
        with self._telling("listed"):
            self._look()
            return tuple(sorted(self._entries(start), key=lambda entry: entry.path))

    def delete(self, path: str) -> None:
        target = self._root / _checked(path)
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

    def _entries(self, start: Path) -> Iterator[Entry]:
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
                    if stat.S_ISREG(found.st_mode) and _is_path(path):
                        yield Entry(path, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def _look(self) -> None:
        """Raises where the folder isn't there and couldn't be made either, as with a disk that isn't mounted."""
        if not self._under_home:
            self._root.parent.stat()
        if self._root.exists() and not self._root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(self._root))
        self._recognize()

    def _recognize(self) -> None:
        """Raises PlaceFailed where the home remembers another folder, as with a disk that isn't mounted."""
        if self._home is None:
            return
        try:
            known = _read_places(self._home).get(self.label)
        except PermissionError:  # somebody else's home
            return
        if known is None or known == self._read_marker():
            return
        raise PlaceFailed(
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
            raise _failed(self.label, doing, f"{reason}{where}", next_) from error


_NO_ROOM = "Make room there, or give another place in BACKUP_URL."
_NOT_ALLOWED = "Let this program's user write and read there, or give another place in BACKUP_URL."
_NO_FOLDER = "See that the disk is mounted and BACKUP_URL names the right folder; only the last folder of it is made."
_FILE_REASONS: Mapping[int, tuple[str, str]] = {
    errno.ENOSPC: ("there is no room left", _NO_ROOM),
    errno.EDQUOT: ("the quota is used up", _NO_ROOM),
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
        raise PlaceFailed(
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


def _failed(label: str, doing: str, reason: str, next_: str) -> PlaceFailed:
    what = {
        "written": f"A backup can't be written to {label}: {reason}.",
        "read": f"A backup can't be read from {label}: {reason}.",
        "listed": f"The backups in {label} can't be listed: {reason}.",
        "deleted": f"A backup in {label} can't be deleted: {reason}.",
    }[doing]
    safe = "Nothing half-written is left as a backup." if doing == "written" else "The backups are as they were."
    return PlaceFailed(what, safe=safe, next=next_)


# Buckets


class Bucket(Place):
    """A bucket of an object store: `quick` for what is short, `patient` for the parts of backups, both of one bucket.

    The text of the library's errors can hold signed URLs, so that nothing of it is shown, nor kept as a cause.
    """

    def __init__(self, label: str, quick: ObjectStore, patient: ObjectStore) -> None:
        self.label = label
        self._quick = quick
        self._patient = patient

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        import obstore

        with self._telling("written"):
            self._reach(_checked(path))  # an upload would ask for the first time after 16 MiB, and patiently
            writer = obstore.open_writer(self._patient, path, buffer_size=PART, max_concurrency=_UPLOADS)
        written = 0
        try:
            for chunk in chunks:
                written += len(chunk)
                if written > PART * PARTS_MOST:
                    raise _failed(self.label, "written", "it is larger than 156 GiB", "Give a folder in BACKUP_URL.")
                with self._telling("written"):
                    writer.write(chunk)
        except BaseException as error:  # also Ctrl-C: an upload that stays open costs money unseen
            with suppress(obstore.exceptions.BaseError, OSError):
                writer.__exit__(type(error), error, error.__traceback__)  # obstore's only way to abort
            raise
        with self._telling("written"):
            writer.close()
        return written

    def write_text(self, path: str, text: str) -> None:
        import obstore

        with self._telling("written"):
            obstore.put(self._quick, _checked(path), text.encode(), use_multipart=False)

    def read(self, path: str) -> Iterator[bytes]:
        import obstore

        with self._telling("read"):
            try:
                meta = obstore.head(self._quick, _checked(path))
            except FileNotFoundError:
                self._reach(path)
                raise self._not_found(path) from None
        return self._ranges(path, meta["size"], meta["e_tag"])

    def read_text(self, path: str) -> str:
        import obstore

        with self._telling("read"):
            try:
                result = obstore.get(self._quick, _checked(path))
            except FileNotFoundError:
                self._reach(path)
                raise self._not_found(path) from None
            size = result.meta["size"]
            content = result.bytes().to_bytes() if size <= TEXT_MOST else b""
        return self._text(path, size, content)

    def size(self, path: str) -> int | None:
        import obstore

        with self._telling("read"):
            try:
                return obstore.head(self._quick, _checked(path))["size"]
            except FileNotFoundError:  # also where the whole bucket is missing
                self._reach(path)
                return None

    def list(self, prefix: str = "") -> tuple[Entry, ...]:
        import obstore

        with self._telling("listed"):
            found = [
                Entry(meta["path"], meta["size"], meta["last_modified"])
                for batch in obstore.list(self._quick, _checked(prefix) if prefix else None, chunk_size=1000)
                for meta in batch
                if _is_path(meta["path"])
            ]
        return tuple(sorted(found, key=lambda entry: entry.path))

    def delete(self, path: str) -> None:
        import obstore

        with self._telling("deleted"):
            try:
                obstore.delete(self._quick, _checked(path))
            except FileNotFoundError:
                self._reach(path)

    def _reach(self, path: str) -> None:
        """Asks for the bucket: an answer about an object doesn't tell a missing bucket from a missing object."""
        import obstore

        next(iter(obstore.list(self._quick, path)), None)

    def _ranges(self, path: str, size: int, e_tag: str | None) -> Iterator[bytes]:
        import obstore

        for start in range(0, size, _RANGE):
            end = min(start + _RANGE, size)
            with self._telling("read"):
                result = obstore.get(self._patient, path, options={"range": (start, end), "if_match": e_tag})
                content = result.bytes().to_bytes()
            if len(content) != end - start:
                raise _failed(self.label, "read", "it ended too early", _AGAIN)
            yield content

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        import obstore

        try:
            yield
        except (obstore.exceptions.BaseError, OSError) as error:
            reason, next_ = _store_reason(str(error))
            raise _failed(self.label, doing, reason, next_) from None


_AGAIN = "Try again once the network is well."
_CREDENTIALS = "See that the credentials in the environment, or of AWS_PROFILE, are the bucket's."
_STORE_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        r"NoSuchBucket|ContainerNotFound|specified (bucket|container) does not exist",
        "there is no such bucket",
        "Make the bucket, or correct BACKUP_URL.",
    ),
    (
        r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google|/latest/api/token",
        "no credentials were found",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; or what Google or Azure wants.",
    ),
    (r"RequestTimeTooSkewed", "this machine's clock is wrong", "Set the clock."),
    (r"ExpiredToken|TokenRefreshRequired|token.{0,20}expired", "the credentials have expired", "Get fresh ones."),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidClientTokenId|InvalidToken|AuthenticationFailed"
        r"|InvalidSecurity|Unauthenticated|401 Unauthorized",
        "the credentials are wrong",
        _CREDENTIALS,
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|301 Moved|307 Temporary"
        r"|without LOCATION",
        "the bucket is in another region",
        "Set AWS_REGION to the bucket's region.",
    ),
    (r"QuotaExceeded|StorageFull|InsufficientStorage|507 |EntityTooLarge", "there is no room left", _NO_ROOM),
    (r"ObjectLocked|WORM|retention", "what is there is protected against change", "Wait, or give another place."),
    (
        r"AccessDenied|AuthorizationPermissionMismatch|PermissionDenied|403 Forbidden",
        "the credentials may not do that, or are wrong",
        "The bucket's policy has to allow listing, reading, writing and deleting. " + _CREDENTIALS,
    ),
    (
        r"412 Precondition|Precondition \{|PreconditionFailed",
        "it was replaced while it was read",
        "Read it again.",
    ),
    (
        r"InvalidPath|invalid path",
        "an object there has a name that can't be read",
        "Give the backups a prefix of their own in BACKUP_URL.",
    ),
    (
        r"InvalidCertificate|certificate|UnknownIssuer|InvalidContentType|CorruptMessage",
        "no secure connection came about",
        "See that the endpoint is right, and set AWS_CA_BUNDLE where its certificate is one of your own.",
    ),
    (
        r"dns error|lookup address|Name or service",
        "its host name is not known",
        "Look at BACKUP_URL, AWS_ENDPOINT_URL and the network.",
    ),
    (
        r"ConnectionRefused|HostUnreachable|NetworkUnreachable|ConnectError|Connect,",
        "it can't be reached",
        "Look at AWS_ENDPOINT_URL and the network.",
    ),
    (r"TimedOut|timed out|Timeout", "it did not answer in time", _AGAIN),
    (
        r"ConnectionReset|ConnectionAborted|BrokenPipe|IncompleteMessage|UnexpectedEof|ChannelClosed|Canceled"
        r"|Kind::Body|kind: (Body|Decode|Request)|error sending request|error decoding response",
        "the connection was cut off",
        _AGAIN,
    ),
    (r"NotFound|404 Not Found", "what was asked for is not there", "Look at BACKUP_URL and AWS_ENDPOINT_URL."),
    (r"(?<!\d)(429|5\d\d) [A-Z]", "the store is out of order", "Try again later."),
)
"""What an answer, or the lack of one, looks like in obstore's errors, the surest first; what it means; what next."""


def _store_reason(text: str) -> tuple[str, str]:
    found = ((reason, next_) for pattern, reason, next_ in _STORE_REASONS if re.search(pattern, text))
    reason, next_ = next(found, ("the store's answer is not understood", "Look at BACKUP_URL and AWS_ENDPOINT_URL."))
    code = re.search(r"<Code>(\w{1,60})</Code>", text) or re.search(r"status: (\d{3})\b", text)
    return (f"{reason} ({code[1]})" if code else reason), next_


def _bucket(scheme: str, url: str, environ: Mapping[str, str]) -> Bucket:
    from obstore.exceptions import BaseError

    if any(sign in url for sign in "@?#"):  # anywhere: a secret key can hold slashes
        raise SettingError(
            "BACKUP_URL has a user, a password, a question mark or a # in it.",
            next=f"Write {scheme}://bucket/prefix, and give credentials in variables of their own.",
        )
    name, _, prefix = url.partition("://")[2].partition("/")
    prefix = prefix.removesuffix("/")
    if not re.fullmatch(r"[A-Za-z0-9$][A-Za-z0-9._-]*", name):
        raise SettingError(f"BACKUP_URL names no bucket after {scheme}://.", next="Write it as in s3://bucket/prefix.")
    if prefix and not _is_path(prefix):
        raise SettingError(
            f"BACKUP_URL's prefix {prefix!r} can't be used.",
            next="Use letters, digits and -._~%=+, between single slashes, no part of it beginning with a dot.",
        )
    client: ClientConfig = {"connect_timeout": _CONNECT, "timeout": _ANSWER}
    retry: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": _GIVE_UP}
    part_client: ClientConfig = {"connect_timeout": _CONNECT, "timeout": _PART_ANSWER}
    part_retry: RetryConfig = {"max_retries": _PART_RETRIES, "retry_timeout": _PART_GIVE_UP}
    try:
        quick = _store(scheme, name, prefix or None, environ, client, retry)
        patient = _store(scheme, name, prefix or None, environ, part_client, part_retry)
    except (BaseError, ValueError):
        variables = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_STORAGE_ACCOUNT_NAME and other AZURE_"}[scheme]
        raise SettingError(
            f"BACKUP_URL begins with {scheme}://, and no store can be made of that and the environment.",
            next=f"Look at the {variables} variables.",
        ) from None
    return Bucket(f"{scheme}://{name}/{prefix}".rstrip("/"), quick, patient)


def _store(
    scheme: str, name: str, prefix: str | None, environ: Mapping[str, str], client: ClientConfig, retry: RetryConfig
) -> ObjectStore:
    from obstore.store import AzureStore, GCSStore, S3Store

    if scheme == "gs":
        return GCSStore(name, prefix=prefix, client_options=client, retry_config=retry)
    if scheme == "az":
        return AzureStore(name, prefix=prefix, client_options=client, retry_config=retry)
    endpoint = _aws_endpoint(environ)
    authority = environ.get("AWS_CA_BUNDLE")
    options: ClientConfig = {**client, "allow_http": endpoint.startswith("http://")}
    if authority:
        try:
            options["root_certificate"] = Path(authority).read_bytes()
        except OSError as error:
            raise SettingError(f"AWS_CA_BUNDLE is {authority!r}, which can't be read: {error.strerror}.") from error
    return S3Store(
        name, prefix=prefix, config=_aws_config(environ, endpoint), client_options=options, retry_config=retry
    )


# What AWS's own programs read from the environment and ~/.aws; obstore knows the environment alone.


def _aws_config(environ: Mapping[str, str], endpoint: str) -> S3Config:
    """The settings of S3, credentials among them where the environment or a profile has any."""
    config: S3Config = {"disable_bulk_delete": True}  # which not every store that speaks S3 knows
    if endpoint:
        config["endpoint"] = endpoint
    profile = _aws_profile(environ)
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or profile.get("region")
    if region:
        config["region"] = region
    keys = {name: environ.get(name.upper(), "") for name in _AWS_KEYS}
    if not keys["aws_access_key_id"] and not any(environ.get(name) for name in _AWS_OTHERS):
        keys = {name: profile.get(name, "") for name in _AWS_KEYS}
        indirect = next((name for name in _AWS_INDIRECT if name in profile), None)
        if indirect and not keys["aws_access_key_id"]:
            raise SettingError(
                f"The AWS profile {_profile_name(environ)!r} gets its credentials by {indirect}, which isn't followed.",
                next='Run eval "$(aws configure export-credentials --format env)" first, or set AWS_ACCESS_KEY_ID.',
            )
    if keys["aws_access_key_id"]:
        if not keys["aws_secret_access_key"]:
            raise SettingError("There is an AWS_ACCESS_KEY_ID without its AWS_SECRET_ACCESS_KEY.")
        config["access_key_id"] = keys["aws_access_key_id"]
        config["secret_access_key"] = keys["aws_secret_access_key"]
        if keys["aws_session_token"]:
            config["session_token"] = keys["aws_session_token"]
    return config


_AWS_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_AWS_OTHERS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
"""With one of these, obstore gets credentials by itself, or needs none."""
_AWS_INDIRECT = ("role_arn", "sso_session", "sso_start_url", "credential_process", "login_session")


def _aws_endpoint(environ: Mapping[str, str]) -> str:
    """AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's; empty for Amazon's own."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoint = next((environ[name] for name in names if environ.get(name)), "")
    endpoint = endpoint or _aws_profile(environ).get("endpoint_url", "")
    if endpoint and not re.fullmatch(r"https?://[^@?#\s]+", endpoint):
        raise SettingError(
            "AWS_ENDPOINT_URL is no plain http:// or https:// address.",
            next="Write it as in https://minio.example.com:9000, without user and password.",
        )
    return endpoint.rstrip("/")


def _profile_name(environ: Mapping[str, str]) -> str:
    return environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"


def _aws_profile(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The profile's settings, of both files; empty where there is no profile and none was asked for."""
    name = _profile_name(environ)
    folder = Path(environ.get("HOME") or Path.home()) / ".aws"
    config = _read_ini(environ.get("AWS_CONFIG_FILE") or str(folder / "config"))
    credentials = _read_ini(environ.get("AWS_SHARED_CREDENTIALS_FILE") or str(folder / "credentials"))
    section = name if name == "default" and "profile default" not in config else f"profile {name}"
    found = {**config.get(section, {}), **credentials.get(name, {})}
    if not found and name != "default":
        raise SettingError(
            f"There is no AWS profile {name!r} in ~/.aws/credentials or ~/.aws/config.", next="Correct AWS_PROFILE."
        )
    return found


def _read_ini(path: str) -> dict[str, dict[str, str]]:
    """The sections of a file, which may be missing."""
    parser = RawConfigParser(default_section="", strict=False, allow_no_value=True)
    try:
        parser.read(Path(path).expanduser(), encoding="utf-8")
    except (OSError, ConfigError, UnicodeDecodeError):  # the message would quote a line, which may be the secret
        raise SettingError(f"{path} can't be read as a file of AWS profiles.") from None
    return {name: {key: value or "" for key, value in parser.items(name)} for name in parser.sections()}


@dataclass(frozen=True, slots=True)
class ColdStorage:
    """Where backups are kept, and what it takes to get there."""

    url: str
    """BACKUP_URL; empty for a folder in `home`."""
    home: Path
    """The console's own folder."""
    environ: Mapping[str, str]
    """Where the credentials of the place are looked up, and programs."""

    def open(self) -> Place:
        """The place. Raises SettingError."""
        from core.backups.storage.folder import open_place  # object storage is loaded where it is needed only

        return open_place(self.url, home=self.home, environ=self.environ)
