"""Folders as places, and how BACKUP_URL is read; nothing here needs a server."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.backups.storage import open_storage
from core.backups.storage.base import Storage
from core.backups.storage.folder import MARKER, PLACES, Folder
from core.errors import BackupDamaged, BackupNotFound, SettingError, StorageFailed, UsageError
from tests.unit.backups.places import SECRET, opened

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Storage:
    return opened(str(tmp_path / "backups"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Which place


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("", "/dev/null/desk/backups"),
        ("/var/backups", "/var/backups"),
        ("/var/back ups/", "/var/back ups"),
        ("file:///var/back%20ups", "/var/back ups"),
        ("file://localhost/srv", "/srv"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("S3://Bucket/A", "s3://Bucket/A"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
    ],
)
def test_label(url: str, label: str) -> None:
    assert opened(url).label == label


def test_home_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert opened("~/backups").label == "/home/ada/backups"


def test_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(SettingError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        opened("az://container/a")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "desk")
    assert opened("az://container/a").label == "az://container/a"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("backups", "another folder wherever a command is started.*Write the whole path"),
        ("./backups", "Write the whole path"),
        ("s3:/bucket", "lacks the //"),
        ("s3:bucket", "lacks the //"),
        ("ftp://host/x", "a scheme that is not known"),
        ("http://host/x", "a scheme that is not known"),
        ("~nobody-at-all/x", "the home directory of a user who has none"),
        ("file://elsewhere/srv", "of another machine"),
        ("file://localhost", "of another machine"),
        ("s3://", "names no bucket"),
        ("s3:///a", "names no bucket"),
        ("s3://bu cket/a", "names no bucket"),
        ("s3://bucket:90/a", "names no bucket"),
        ("s3://[/a", "names no bucket"),
        ("s3://bucket/a//b", "prefix 'a//b' can't be used"),
        ("s3://bucket/../b", "prefix '../b' can't be used"),
        ("s3://bucket/a b", "prefix 'a b' can't be used"),
        ("/a\0b", "a NUL"),
    ],
)
def test_what_is_no_place(url: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        opened(url)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
@pytest.mark.parametrize("rest", [f"key:{SECRET}@bucket/a", f"{SECRET}@bucket", f"bucket/a?sig={SECRET}", "bucket/#a"])
def test_credentials_in_the_url_are_not_repeated(scheme: str, rest: str) -> None:
    with pytest.raises(SettingError, match="a user, a password") as caught:
        opened(f"{scheme}://{rest}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", [f"{SECRET}@bucket", f"ftp://key:{SECRET}@host", f"{SECRET}://bucket", f"s3:{SECRET}@b"]
)
def test_credentials_in_what_is_no_url_are_not_repeated(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        opened(url)
    assert SECRET not in str(caught.value)


# Folders


@pytest.mark.parametrize("size", [0, 1, 3_000_001])
def test_what_is_written_is_read(folder: Storage, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    assert folder.write("db/a/b.zst", (content[start : start + 999] for start in range(0, size, 999))) == size
    assert b"".join(folder.read("db/a/b.zst")) == content
    assert folder.size("db/a/b.zst") == size
    (entry,) = folder.list()
    assert (entry.path, entry.bytes) == ("db/a/b.zst", size)
    assert mode(tmp_path / "backups") == mode(tmp_path / "backups/db/a") == 0o700
    assert mode(tmp_path / "backups/db/a/b.zst") == 0o600
    assert list((tmp_path / "backups/.partial").iterdir()) == []


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    storage = opened(str(tmp_path))
    storage.write_text("a", "1")
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "a") == 0o600


def test_the_folder_of_home_is_made_with_it(tmp_path: Path) -> None:
    home = tmp_path / "not/yet"
    storage = open_storage("", home=home, environ={})
    assert storage.list() == ()
    assert storage.size("a") is None
    storage.delete("a")
    assert not home.exists()
    storage.write_text("a", "1")
    assert mode(home / "backups") == 0o700
    assert mode(home) == (0o711 if os.geteuid() == 0 else 0o700)  # as the embedded server wants it


def test_reading_makes_nothing(folder: Storage, tmp_path: Path) -> None:
    assert folder.list() == ()
    assert folder.size("a") is None
    folder.delete("a")
    with pytest.raises(BackupNotFound, match="There is no a in"):
        folder.read("a")
    with pytest.raises(BackupNotFound):
        folder.read_text("a")
    assert list(tmp_path.iterdir()) == []


class Mine(Exception):
    pass


@pytest.mark.parametrize("error", [Mine, OSError, KeyboardInterrupt])
def test_a_source_that_breaks_leaves_what_was_there(
    folder: Storage, tmp_path: Path, error: type[BaseException]
) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"x" * 3_000_000
        assert folder.size("new") is None
        assert [entry.path for entry in folder.list()] == ["old"]
        raise error("mine")

    folder.write("old", [b"first"])
    for path in ("new", "old"):
        with pytest.raises(error, match="mine"):
            folder.write(path, breaking())
    assert [entry.path for entry in folder.list()] == ["old"]
    assert b"".join(folder.read("old")) == b"first"
    assert list((tmp_path / "backups/.partial").iterdir()) == []


def test_what_a_crash_left_is_removed_and_what_is_being_written_is_not(folder: Storage, tmp_path: Path) -> None:
    folder.write("a", [b"1"])
    left = tmp_path / "backups/.partial/left"
    left.write_bytes(b"half")

    def during() -> Iterator[bytes]:
        yield b"b"
        folder.write("c", [b"3"])
        assert len(list(left.parent.iterdir())) == 1
        yield b"b"

    assert folder.write("b", during()) == 2
    assert b"".join(folder.read("b")) == b"bb"
    assert list(left.parent.iterdir()) == []
    with left.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        folder.write("a", [b"2"])
        assert left.exists()


def test_a_listing_is_of_one_folder(folder: Storage, tmp_path: Path) -> None:
    for path in ("a/b", "a/c/d", "ab/e", "a%2Fb/Kid%20A.2025", "Z"):
        folder.write_text(path, path)
    for foreign in ("my file.txt", ".hidden", "a/ä"):
        (tmp_path / "backups" / foreign).write_text("1")
    assert [entry.path for entry in folder.list()] == ["Z", "a%2Fb/Kid%20A.2025", "a/b", "a/c/d", "ab/e"]
    assert [entry.path for entry in folder.list("a")] == ["a/b", "a/c/d"]
    assert folder.list("a/b") == ()
    assert folder.list("nowhere") == ()


def test_folders_that_were_moved_and_linked_are_listed_once(folder: Storage, tmp_path: Path) -> None:
    for path in ("db/public.t/a/1", "db/public.t/b/2", "other/3"):
        folder.write_text(path, path)
    shutil.move(tmp_path / "backups/db", tmp_path / "larger")
    (tmp_path / "backups/db").symlink_to(tmp_path / "larger")
    (tmp_path / "larger/public.t/again").symlink_to(tmp_path / "larger")
    (tmp_path / "larger/public.t/up").symlink_to(tmp_path / "backups")
    assert [entry.path for entry in folder.list()] == ["db/public.t/a/1", "db/public.t/b/2", "other/3"]
    assert [entry.path for entry in folder.list("db") if "/up/" not in entry.path] == [
        "db/public.t/a/1",
        "db/public.t/b/2",
    ]
    assert folder.read_text("db/public.t/a/1") == "db/public.t/a/1"


def test_texts(folder: Storage) -> None:
    folder.write_text("a", "отсутствия ✓")
    assert folder.read_text("a") == "отсутствия ✓"
    folder.write("b", [b"\xff"])
    with pytest.raises(BackupDamaged, match="is no text"):
        folder.read_text("b")
    folder.write("c", (b" " * 2**20 for _ in range(17)))
    with pytest.raises(BackupDamaged, match="17825792 bytes"):
        folder.read_text("c")


def test_delete(folder: Storage) -> None:
    folder.write_text("a/b", "1")
    folder.delete("a/b")
    folder.delete("a/b")
    assert folder.list() == ()


@pytest.mark.parametrize(
    "path",
    ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.b", ".partial/x", "a\0", "a\n", "a\\b", "a b", "ä", "a:b",
     "x" * 256, "/".join(["x" * 200] * 5)],
)  # fmt: skip
def test_hostile_paths(folder: Storage, tmp_path: Path, path: str) -> None:
    for use in (folder.read, folder.read_text, folder.size, folder.delete):
        with pytest.raises(UsageError, match="can't be the path of a backup"):
            use(path)
    with pytest.raises(UsageError):
        folder.write(path, [b"1"])
    if path:
        with pytest.raises(UsageError):
            folder.list(path)
    assert list(tmp_path.iterdir()) == []


# What goes wrong in a folder


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("a file")
    storage = opened(str(tmp_path / "backups"))
    for use in (
        lambda: storage.write_text("a", "1"),
        storage.list,
        lambda: storage.size("a"),
        lambda: storage.delete("a"),
    ):
        with pytest.raises(StorageFailed, match="a file is where a folder should be"):
            use()


def test_a_folder_in_place_of_the_file(folder: Storage) -> None:
    folder.write_text("a/b", "1")
    with pytest.raises(StorageFailed, match="a folder is where a file should be"):
        folder.write_text("a", "1")
    with pytest.raises(StorageFailed, match="a file is where a folder should be"):
        folder.write_text("a/b/c", "1")
    assert folder.size("a") is None
    assert [entry.path for entry in folder.list()] == ["a/b"]


def test_a_disk_that_is_not_mounted(tmp_path: Path) -> None:
    storage = opened(str(tmp_path / "disk/backups"))
    for use in (
        lambda: storage.write_text("a", "1"),
        storage.list,
        lambda: storage.size("a"),
        lambda: storage.delete("a"),
    ):
        with pytest.raises(StorageFailed, match=r"there is no such folder.*See that the disk is mounted"):
            use()


@dataclass(frozen=True)
class Disk:
    """A place on a disk that can be taken away, and the home that knows it."""

    root: Path
    home: Path
    beside: Path

    @property
    def storage(self) -> Storage:
        return open_storage(str(self.root), home=self.home, environ={})

    def unmount(self, mount_point: Path) -> None:
        """Leaves an empty folder, as a mount point without its disk is."""
        mount_point.rename(self.beside)
        mount_point.mkdir()

    def refuses(self) -> None:
        storage, before = self.storage, sorted(self.root.parent.rglob("*"))
        for use in (
            lambda: storage.write_text("b", "1"),
            storage.list,
            lambda: storage.list("db"),
            lambda: storage.size("db/a"),
            lambda: storage.read_text("db/a"),
            lambda: storage.delete("db/a"),
        ):
            with pytest.raises(StorageFailed, match="is not the one that was used before: the disk may not be mounted"):
                use()
        assert sorted(self.root.parent.rglob("*")) == before


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "mnt").mkdir()
    disk = Disk(tmp_path / "mnt/backups", tmp_path / "home", tmp_path / "taken away")
    disk.storage.write_text("db/a", "1")
    return disk


@pytest.mark.parametrize("of", ["the folder itself", "the folder above"])
def test_a_mount_point_without_its_disk_is_told_from_the_place(disk: Disk, of: str) -> None:
    mount_point = disk.root if of == "the folder itself" else disk.root.parent
    disk.unmount(mount_point)
    disk.refuses()
    mount_point.rmdir()
    disk.beside.rename(mount_point)
    assert disk.storage.read_text("db/a") == "1"
    disk.storage.write_text("b", "2")
    assert [entry.path for entry in disk.storage.list()] == ["b", "db/a"]


def test_a_folder_is_marked_and_remembered_at_its_first_write(disk: Disk) -> None:
    marker, places = disk.root / MARKER, disk.home / PLACES
    assert json.loads(places.read_text()) == {str(disk.root): marker.read_text().strip()}
    assert (mode(places), mode(marker)) == (0o600, 0o644)
    assert [path.name for path in disk.home.iterdir()] == [PLACES]
    before = marker.read_text(), places.read_text(), places.stat().st_mtime_ns
    open_storage(f"file://{disk.root}", home=disk.home, environ={}).write_text("c", "1")
    assert (marker.read_text(), places.read_text(), places.stat().st_mtime_ns) == before
    other = open_storage(str(disk.root.parent / "second"), home=disk.home, environ={})
    other.write_text("a", "1")
    assert len(set(json.loads(places.read_text()).values())) == 2
    assert [entry.path for entry in disk.storage.list()] == ["c", "db/a"]


def test_another_disk_is_refused_until_one_says_it_is_meant(disk: Disk) -> None:
    known = (disk.root / MARKER).read_text()
    disk.unmount(disk.root)
    open_storage(str(disk.root), home=disk.home.with_name("another home"), environ={}).write_text("z", "1")
    disk.refuses()
    with pytest.raises(StorageFailed) as caught:
        disk.storage.list()
    assert f"remove it from {disk.home / PLACES}" in caught.value.next
    assert f"write {known.strip()} into {disk.root / MARKER}" in caught.value.next
    (disk.home / PLACES).write_text("{}")
    disk.storage.write_text("y", "1")
    assert json.loads((disk.home / PLACES).read_text()) == {str(disk.root): (disk.root / MARKER).read_text().strip()}
    (disk.root / MARKER).write_text(known)
    disk.refuses()
    (disk.home / PLACES).write_text(json.dumps({str(disk.root): known.strip()}))
    assert [entry.path for entry in disk.storage.list()] == ["y", "z"]


def test_who_remembers_nothing_reads_on_and_writes_nothing(disk: Disk, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    storage = open_storage(str(disk.root), home=tmp_path / "none", environ={})
    assert [entry.path for entry in storage.list()] == ["db/a"]
    assert storage.read_text("db/a") == "1"
    (disk.root / MARKER).unlink()  # a place of before there were markers
    assert [entry.path for entry in storage.list()] == ["db/a"]
    (disk.root / MARKER).touch()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_home_that_cannot_be_written_keeps_no_backup_from_being_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(str(tmp_path / "backups")).write_text("a", "1")
    assert "can't be remembered in /dev/null/desk" in caplog.text


def test_what_is_remembered_and_can_not_be_read_is_told(disk: Disk) -> None:
    for text in ("", "[]", '{"a": 1}'):
        (disk.home / PLACES).write_text(text)
        with pytest.raises(StorageFailed, match=r"places\.json, .* can't be understood.*then remove that file"):
            disk.storage.list()


def test_the_folder_of_home_has_no_marker(tmp_path: Path) -> None:
    open_storage("", home=tmp_path, environ={}).write_text("a", "1")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".partial", "a", "backups"]


def test_first_writes_at_once_agree_on_one_id(tmp_path: Path) -> None:
    homes = [tmp_path / f"home {number % 2}" for number in range(8)]
    (tmp_path / "backups").mkdir()

    def write(number: int) -> None:
        open_storage(str(tmp_path / "backups"), home=homes[number], environ={}).write_text(f"a{number}", "1")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    ids = {json.loads((home / PLACES).read_text())[str(tmp_path / "backups")] for home in homes}
    assert ids == {(tmp_path / "backups" / MARKER).read_text().strip()}


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "this program's user may not"),
        (errno.EROFS, "it is mounted read-only"),
        (errno.EIO, "the disk reports an error"),
        (errno.EXDEV, "Invalid cross-device link"),
    ],
)
def test_the_system_refuses(folder: Folder, number: int, reason: str) -> None:
    """Root may do anything: these are raised by hand where the system would."""
    with pytest.raises(StorageFailed) as caught, folder._telling("written"):
        raise OSError(number, os.strerror(number), "/x")
    assert caught.value.what == f"A backup can't be written to {folder.label}: {reason} (/x)."
    assert caught.value.safe == "Nothing half-written is left as a backup."


WRITE = """
import os, pathlib, resource, signal, sys
from core.errors import StorageFailed
from core.backups.storage import open_storage

place = open_storage(sys.argv[1], home=pathlib.Path("/dev/null/desk"), environ={})
place.write("old", [b"1"])
if sys.argv[2] == "limited":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
elif sys.argv[2] == "as nobody":
    os.setgid(65534); os.setuid(65534)
try:
    place.write(sys.argv[3], (b"x" * 2**20 for _ in range(8)))
except StorageFailed as error:
    print(error)
print([entry.path for entry in place.list()], os.listdir(sys.argv[1] + "/.partial"))
"""


def write_eight_megabytes(folder: Path, how: str, path: str = "new") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(folder), how, path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_file_grows_too_large(tmp_path: Path) -> None:
    error, after = write_eight_megabytes(tmp_path / "backups", "limited")
    assert "the file would be larger than files may be there" in error
    assert after == "['old'] []"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("only root can make a small disk")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_no_room_is_left(small_disk: Path) -> None:
    error, after = write_eight_megabytes(small_disk, "on a full disk")
    assert f"A backup can't be written to {small_disk}: there is no room left. Nothing half-written is left" in error
    assert "Make room there" in error
    assert after == "['old'] []"


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_read_only_disk(small_disk: Path) -> None:
    storage = opened(str(small_disk))
    storage.write_text("a", "1")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for use in (lambda: storage.write_text("b", "1"), lambda: storage.delete("a")):
        with pytest.raises(StorageFailed, match="it is mounted read-only"):
            use()
    assert storage.read_text("a") == "1"
