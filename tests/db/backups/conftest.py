"""Fixtures of the tests of backups: the walk, an empty database, and where verifications restore."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from core.backups.storage.folder import Folder
from core.postgres.programs import Tool, find_pg_dump
from tests.conftest import Act
from tests.db.backups.walks import Alone, Walk
from tests.desks import SEAL
from tests.servers import temporary_home
from tests.tables import Run


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Where throwaway servers lie; pytest's own folders are closed to the server's user."""
    with temporary_home() as path:
        yield path
        assert list(path.iterdir()) == [], "a verification left something behind"


@pytest.fixture
def storage(tmp_path: Path) -> Folder:
    place = Folder(tmp_path / "place")
    place.seal = SEAL
    return place


@pytest.fixture
def walk(reader: Engine, worker: Engine, act: Act, run: Run, storage: Folder, home: Path) -> Walk:
    number = int(run("SHOW server_version_num")[0][0])
    return Walk(reader, worker, act, run, storage, home, find_pg_dump(number, environ=os.environ))


@pytest.fixture
def alone(database_url: str) -> Iterator[Alone]:
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed here")
    found = Alone(database_url)
    yield found
    found.close()


@pytest.fixture
def shared(walk: Walk, server_url: URL) -> None:
    """Verifications restore into a fresh database of the test's own server, where the start of one is not the point."""
    walk.proof_url = server_url.render_as_string(hide_password=False)


@pytest.fixture
def script(tmp_path: Path, walk: Walk) -> Callable[[str], Tool]:
    """A pg_dump of our own making: a shell script in which $REAL is the true one."""

    def make(text: str) -> Tool:
        path = tmp_path / "pg_dump"
        path.write_text(f"#!/bin/bash\nREAL={walk.tool.path}\n{text}\n")
        path.chmod(0o755)
        return replace(walk.tool, path=path)

    return make
