"""What tests on real servers share."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from core.backups.storage.folder import PLACES
from core.console.desk import Desk
from core.postgres import connection
from core.postgres.embedded import server_binaries
from tests.plans_kept import keep_plans
from tests.road import Road
from tests.servers import temporary_home
from tests.tables import Run


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Where throwaway servers lie; pytest's own folders are closed to the server's user."""
    with temporary_home() as path:
        yield path
        assert {entry.name for entry in path.iterdir()} <= {PLACES}, "a verification left something behind"


@pytest.fixture
def road(
    database_url: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reader: Engine,
    worker: Engine,
    run: Run,
) -> Road:
    environ = {"PARTITION_DESK_HOME": str(home), "BACKUP_URL": str(tmp_path / "place")}
    return Road(database_url, home, environ, monkeypatch, capsys, reader, worker, run)


@pytest.fixture
def shared_sessions(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The commands of one test share their sessions: a new one reads the catalogs into caches of its own first.

    For tests of very many commands; that each closes what it opened is seen in all others.
    """
    assert database_url
    made: dict[tuple[str, URL], Engine] = {}

    def shared(name: str, make: Callable[[URL], Engine]) -> Callable[[URL], Engine]:
        def find(url: URL) -> Engine:
            if (name, url) not in made:
                made[name, url] = keep_plans(make(url))
            return made[name, url]

        return find

    for name in ("reading_engine", "working_engine"):
        monkeypatch.setattr(connection, name, shared(name, getattr(connection, name)))
    monkeypatch.setattr(Desk, "close", lambda _: None)
    yield
    for engine in made.values():
        engine.dispose()


@pytest.fixture
def dump(database_url: str) -> Callable[[], str]:
    """The schema of the database as pg_dump prints it, less the console's own tables and what changes each time."""
    program = server_binaries(18) / "pg_dump"
    url = database_url.replace("postgresql+psycopg2://", "postgresql://")

    def run() -> str:
        arguments = [
            "--schema-only",
            "--exclude-table=partition_desk_version*",
            "--exclude-schema=partition_desk",
            "--dbname",
            url,
        ]
        done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        own = r"\\(un)?restrict|ALTER TABLE .* SET \(pg_attver=\d+\);"  # 15.20's mark of a column is new in each table
        lines = [re.sub(r", pg_attver=\d+|pg_attver=\d+, ", "", line) for line in done.stdout.splitlines(True)]
        return "".join(line for line in lines if not re.match(own, line))

    return run
