"""A real PgBouncer before a test's database, which keeps sessions or gives each transaction whichever is free."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import URL

from core.postgres.account import find_account
from core.postgres.connection import parse_url
from tests.binaries import NotHere, unpack_pooler
from tests.conftest import until
from tests.servers import connect, homes_of_run, temporary_home

MODES = ("session", "transaction", "statement")
SESSIONS = 3
"""How many of the server's sessions each of its pools has."""


@contextmanager
def pgbouncer(server: URL, *settings: str) -> Iterator[dict[str, str]]:
    """The addresses of a running PgBouncer's pools by their mode. Skips where none can be had."""
    try:
        program, libraries = _program()
    except NotHere as error:
        pytest.skip(f"PgBouncer can't be had: {error}")
    account = find_account()
    with temporary_home() as home:
        os.chown(home, account.uid, account.gid)
        (home / "pgbouncer.ini").write_text(_configuration(server, home, settings))
        (home / "users").write_text(f'"{server.username}" ""\n')
        process = subprocess.Popen(
            [program, "--quiet", home / "pgbouncer.ini"],
            user=account.uid if account.other else None,
            group=account.gid if account.other else None,
            env={"LD_LIBRARY_PATH": str(libraries)},
            stdout=(log := (home / "log").open("w")),
            stderr=log,
            cwd="/",
        )
        try:
            pools = {mode: _address(server, home, mode) for mode in MODES}
            until(lambda: process.poll() is not None or _answers(pools["session"]))
            assert process.poll() is None, (home / "log").read_text()
            yield pools
        finally:
            process.terminate()
            process.wait(10)
            log.close()


def _program() -> tuple[Path, Path]:
    """Unpacked by whichever process comes first."""
    homes = homes_of_run()
    with (homes / "pgbouncer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (found := homes / "pgbouncer.found").exists():
            found.write_text("\n".join(map(str, unpack_pooler(homes / "pgbouncer"))))
    program, libraries = found.read_text().split("\n")
    return Path(program), Path(libraries)


def _configuration(server: URL, home: Path, settings: tuple[str, ...]) -> str:
    words = {
        "host": server.host or server.query.get("host"),
        "port": server.port or server.query.get("port"),
        "dbname": server.database,
        "user": server.username,
        "password": server.password,
    }
    to = " ".join(f"{name}={value}" for name, value in words.items() if value)
    pools = "\n".join(f"{mode} = {to} pool_mode={mode}" for mode in MODES)
    return "\n".join(
        [
            f"[databases]\n{pools}\n[pgbouncer]",
            f"unix_socket_dir = {home}\nlisten_addr =\nlisten_port = 6432",
            f"auth_type = trust\nauth_file = {home}/users\ndefault_pool_size = {SESSIONS}",
            *settings,
            "",
        ]
    )


def _address(server: URL, home: Path, mode: str) -> str:
    made = URL.create("postgresql", username=server.username, database=mode, query={"host": str(home), "port": "6432"})
    return made.render_as_string(hide_password=False)


def _answers(url: str) -> bool:
    with suppress(psycopg2.OperationalError):
        connect(parse_url(url)).close()
        return True
    return False
