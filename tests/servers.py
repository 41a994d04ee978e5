"""Real PostgreSQL servers for tests: started at first use, shared by all of pytest's processes, a database a test."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from psycopg2 import extensions
from sqlalchemy import URL

from core.postgres.connection import parse_url
from core.postgres.embedded import DEFAULT_MAJOR, running_server
from tests.binaries import NotHere, unpack

MAJORS = (18, 17, 16, 15, 14)
DIFFERENT = (18, 15, 14)
"""What most tests run on that run on several: both ends, and 15, whose newest releases write options of their own."""
ATTACKED = (18, 16, 15, 14)
"""What the attacks are made on: the rights of CREATEROLE changed with 16, those of PUBLIC in `public` with 15."""
GIVEN = os.environ.get("TEST_DATABASE_URL") or None
"""A server to use instead of those that are started here."""

_HOMES = "PARTITION_DESK_TEST_HOMES"
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 3 * 2**30
"""So much of it has to be free; a run takes less than a third of that."""
_TEMPLATE = "pd_template"
_COUNTER = itertools.count(1)
_SESSIONS: dict[URL, extensions.connection] = {}
"""This process's own session on each server, for making databases and dropping them."""
_FAST = (
    "ALTER SYSTEM SET max_connections = 300",  # three processes of tests are here at once, each with twenty at a time
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET synchronous_commit = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "ALTER SYSTEM SET jit = off",  # to compile a query on small tables takes longer than the query
    "ALTER SYSTEM SET autovacuum = off",  # a worker that comes by would be one more who holds a lock
    "ALTER SYSTEM SET max_prepared_transactions = 10",
    "ALTER SYSTEM SET wal_level = logical",  # so that a test may have a subscriber
)


def make_homes() -> None:
    """Makes the folder of all servers of this run; pytest's other processes find it in their environment.

    It is in memory where that has room: a database a test is some three hundred files a test.
    """
    _sweep()
    homes = Path(tempfile.mkdtemp(prefix=f"pd-{os.getpid()}-", dir=_MEMORY if _memory_serves() else None))
    homes.chmod(0o711)  # the server's user has to pass through
    os.environ[_HOMES] = str(homes)


def _memory_serves() -> bool:
    """Whether servers can be run from there, with their programs."""
    if not os.access(_MEMORY, os.W_OK | os.X_OK) or os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:
        return False
    return min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available) > _MEMORY_BYTES


def _sweep() -> None:
    """Stops and removes the servers of runs that were killed: memory would hold them until the machine ends."""
    for homes in _MEMORY.glob("pd-[0-9]*-*"):  # a bench names its own otherwise
        with suppress(OSError, psutil.Error):  # another run may be at it
            if homes.stat().st_uid != os.geteuid() or psutil.pid_exists(int(homes.name.split("-")[1])):
                continue
            for noted in homes.rglob("postmaster.pid"):
                server = psutil.Process(int(noted.read_text().partition("\n")[0]))
                if server.cwd() == str(noted.parent):
                    server.send_signal(signal.SIGQUIT)
                    server.wait(10)
            shutil.rmtree(homes, ignore_errors=True)


@contextmanager
def temporary_home() -> Iterator[Path]:
    """An empty folder for a server, beside those of the run: pytest's own folders are closed to a server's user."""
    home = Path(tempfile.mkdtemp(prefix="pd-", dir=homes_of_run()))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home)


@contextmanager
def prepared_server(home: Path, *, major: int = DEFAULT_MAJOR, binaries: Path | None = None) -> Iterator[str]:
    """`running_server` on a copy of a cluster that this run makes once: initdb is a second of a processor."""
    homes = homes_of_run()
    ready = homes / f"ready-{major}"
    with (homes / f"ready-{major}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            part = homes / f"ready-{major}.part"
            with running_server(part, major=major, binaries=binaries):
                pass
            part.rename(ready)
    if not home.exists():
        subprocess.run(["cp", "-a", ready, home], check=True)
    with running_server(home, major=major, binaries=binaries) as url:
        yield url


def homes_of_run() -> Path:
    """The folder of everything that is started in this run."""
    return Path(os.environ[_HOMES])


def remove_homes() -> None:
    """Removes the folder, once every server in it has stopped."""
    shutil.rmtree(os.environ.pop(_HOMES))


def connect(url: URL | str, **options: Any) -> extensions.connection:
    """A plain psycopg2 connection in AUTOCOMMIT, for whoever is to be in the console's way."""
    parsed = parse_url(str(url)) if isinstance(url, str) else url
    words = {**parsed.translate_connect_args(username="user", database="dbname"), **parsed.query, **options}
    connection = psycopg2.connect(**{"application_name": "test", **words})
    connection.autocommit = True
    return connection


class Servers:
    """Starts a server of each version at its first use; `close` stops those that nobody else uses."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._urls: dict[int | None, URL] = {}

    def url(self, major: int | None) -> URL:
        """The address of the running server of that version; of the given one for None. Raises NotHere."""
        if major not in self._urls:
            self._urls[major] = self._given() if major is None else self._start(major)
        return self._urls[major]

    def close(self) -> None:
        """Stops what was started here and is used by no other process."""
        while _SESSIONS:
            _SESSIONS.popitem()[1].close()
        self._stack.close()

    def _given(self) -> URL:
        assert GIVEN is not None
        return parse_url(GIVEN)

    def _start(self, major: int) -> URL:
        homes = homes_of_run()
        home = homes / str(major)
        with (homes / f"{major}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            binaries = _binaries(homes, major)
            if not home.exists():
                _make_fast(home, major, binaries)  # and stopped again: not every setting is taken while a server runs
            return parse_url(self._stack.enter_context(running_server(home, major=major, binaries=binaries)))


def _binaries(homes: Path, major: int) -> Path:
    """Those of that version, unpacked by whichever process comes first. Raises NotHere, for one reason."""
    found = homes / f"{major}.found"
    if not found.exists():
        try:
            found.write_text(str(unpack(major, homes / f"binaries-{major}")))
        except NotHere as error:
            found.write_text(f"not here: {error}")
    if found.read_text().startswith("not here: "):
        raise NotHere(found.read_text().partition(": ")[2])
    return Path(found.read_text())


def _make_fast(home: Path, major: int, binaries: Path) -> None:
    """Makes the cluster in `home` with the settings of tests, and the template of their databases."""
    running = running_server(home, major=major, binaries=binaries)
    with running as url, closing(connect(url)) as connection, connection.cursor() as cursor:
        for statement in (*_FAST, f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0"):
            cursor.execute(statement)
        # Whoever is first in a database writes the cache that lets others in faster; it is copied with the rest.
        connect(parse_url(url).set(database=_TEMPLATE)).close()


class Database:
    """A fresh database of a server, dropped by `drop`, which finds whoever was left connected to it."""

    def __init__(self, server: URL, worker: str, template: str | None = None) -> None:
        self._server = server
        self.name = f"pd_{worker}_{os.getpid()}_{next(_COUNTER)}"
        # Less work than to log every page of it, which is what 15 and later do if not told.
        copied = " STRATEGY file_copy" if _session(server).server_version >= 150000 else ""
        source = template or ("template0" if GIVEN else _TEMPLATE)
        _run(server, f'CREATE DATABASE "{self.name}" TEMPLATE {source}{copied}')

    @property
    def url(self) -> str:
        """Its address, driver and all."""
        return self._server.set(database=self.name).render_as_string(hide_password=False)

    def left_open(self, patience_s: float = 2.0) -> list[tuple[Any, ...]]:
        """The sessions that are still connected: (application, state, last query); a closing one gets a moment."""
        give_up = time.monotonic() + patience_s
        while True:
            found = _run(
                self._server,
                "SELECT application_name, state, left(query, 200) FROM pg_stat_activity"
                f" WHERE datname = '{self.name}' AND backend_type = 'client backend'",
            )
            if not found or time.monotonic() > give_up:
                return found
            time.sleep(0.01)

    def drop(self) -> None:
        """Drops it with everybody who is in it."""
        _run(self._server, f'DROP DATABASE "{self.name}" WITH (FORCE)')


def _session(server: URL) -> extensions.connection:
    """This process's session there; a new one where the server was started again since."""
    if server not in _SESSIONS or _SESSIONS[server].closed:
        _SESSIONS[server] = connect(server)
    return _SESSIONS[server]


def _run(server: URL, sql: str) -> list[tuple[Any, ...]]:
    session = _session(server)
    try:
        with session.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    except psycopg2.OperationalError:
        if not session.closed:
            raise
        return _run(server, sql)  # it was lost before the statement came there
