"""What tests on real servers share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.backups.storage.folder import PLACES
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
