"""A PostgreSQL of its own in a folder of its own, thrown away at the end: what a backup is proven in."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from core.errors import DeskError, Failed
from core.postgres.connection import parse_url, server_message, session, sqlstate, working_engine
from core.postgres.embedded import REPLAY, running_server
from core.postgres.programs import ServerPrograms

_STALE_S = 120
"""How long a folder without a lock may be one that is being made."""
_THROWAWAY = "throwaway-"
_LOCK = "in-use.lock"
_LONGEST_HOME = 58
"""Bytes of a home in which a server's socket has room a folder further down."""


@contextmanager
def temporary_folder(home: Path) -> Iterator[Path]:
    """A fresh folder for a server, in `home` where the path leaves room for its socket; those of the dead go, too."""
    try:
        parent = _parent(home)
        if not parent.exists():
            parent.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True)
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=_THROWAWAY, dir=parent))
        lock = _locked(folder, create=True)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # the server's user passes through; what lies below is its owner's alone
    except OSError as error:
        raise Failed(
            f"There is no room for a throwaway server in {home}: {error.strerror}.",
            safe="The backup was not changed; this says nothing about it.",
            next="Set PARTITION_DESK_HOME to a folder with room for the restored table.",
        ) from error
    with lock, _watched(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(home: Path) -> None:
    """Removes what verifications of processes that were killed have left, with all the rows in it."""
    _sweep(_parent(home))


def _parent(home: Path) -> Path:
    return home if len(os.fsencode(home.absolute())) <= _LONGEST_HOME else Path(tempfile.gettempdir())


_WATCH = """
while read -r _; do :; done
kill -QUIT "$(head -n 1 "$1/server/data/postmaster.pid")"
for again in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && exit; sleep 1; done
"""
"""Waits for the end of its input, which nobody writes: that comes when the process that holds the other end is gone."""


@contextmanager
def _watched(folder: Path) -> Iterator[None]:
    """Has a shell end the server and remove the folder once this process is killed: both hold all rows of a backup."""
    watch = subprocess.Popen(  # nosec B603 # the script is a constant, the folder its argument
        ["/bin/sh", "-c", _WATCH, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={"PATH": os.defpath},
    )
    try:
        yield
    finally:
        watch.kill()
        watch.communicate()


def _sweep(parent: Path) -> None:
    """Removes the throwaway servers of processes that were killed: those whose locks nobody holds."""
    for folder in parent.glob(f"{_THROWAWAY}*"):
        with suppress(OSError):
            if folder.stat().st_uid != os.geteuid():
                continue
            lock = (folder / _LOCK).exists()
            if not lock and time.time() - folder.stat().st_mtime < _STALE_S:
                continue
            home = folder / "server"
            with _locked(folder) if lock else nullcontext():
                if (home / "users.lock").exists():
                    with (home / "users.lock").open("a") as users:
                        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if (home / "data" / "postmaster.pid").exists():
                        with suppress(DeskError), running_server(home):  # the last to leave stops it
                            pass
                shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path, *, create: bool = False) -> IO[bytes]:
    """The folder's lock, held until it is closed; nobody else can open it. Raises OSError where somebody holds it."""
    opened = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    file = os.fdopen(opened, "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


_FAST = (
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "ALTER SYSTEM SET synchronous_commit = off",
    "ALTER SYSTEM SET autovacuum = off",
    "ALTER SYSTEM SET max_wal_size = '4GB'",
    "SELECT pg_catalog.pg_reload_conf()",
)


@contextmanager
def throwaway_server(folder: Path, programs: ServerPrograms) -> Iterator[tuple[URL, URL]]:
    """A server of its own that need not survive anything, made of these programs.

    Two addresses lead there: the superuser's, and that of a role which may do nothing but log in. The second logs in as
    itself, so that no SQL makes it another.
    """
    with running_server(folder / "server", major=programs.major, binaries=programs.folder) as url:
        main = working_engine(parse_url(url))
        try:
            with session(main) as connection:
                for statement in (*_FAST, f"CREATE ROLE {REPLAY} LOGIN"):
                    connection.exec_driver_sql(statement)
        except DBAPIError as error:
            raise Failed(f"The throwaway server failed: {server_message(error)}.", sqlstate=sqlstate(error)) from error
        finally:
            main.dispose()
        yield parse_url(url), parse_url(url).set(username=REPLAY)
