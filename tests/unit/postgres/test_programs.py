"""Which pg_dump is taken, among false ones and the real ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import ConnectionFailed, ToolMissing
from core.postgres import programs
from core.postgres.embedded import server_binaries
from core.postgres.programs import Tool, find_pg_dump


def program(folder: Path, said: str, *, code: int = 0) -> Path:
    """A pg_dump that says only this."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pg_dump"
    path.write_text(f"#!/bin/sh\necho '{said}'\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(major: int) -> Path:
        raise ConnectionFailed(f"PostgreSQL {major} is not installed here.")

    monkeypatch.setattr(programs, "server_binaries", missing)


def find(root: Path, number: int, *folders: str) -> Tool:
    return find_pg_dump(number, environ={"PATH": ":".join(str(root / folder) for folder in folders)}, root=root)


def test_the_newest_of_all(tmp_path: Path, no_wheel: None) -> None:
    program(tmp_path / "a", "pg_dump (PostgreSQL) 17.2")
    newest = program(tmp_path / "usr/lib/postgresql/18/bin", "pg_dump (PostgreSQL) 18.10 (Debian 18.10-1.pgdg12+1)")
    program(tmp_path / "usr/lib/postgresql/16/bin", "pg_dump (PostgreSQL) 16.9")
    program(tmp_path / "b", "pg_dump (PostgreSQL) 18.9")
    assert find(tmp_path, 150004, "a", "b", "nowhere") == Tool(newest, "18.10", 18)


def test_path_comes_first_among_equals(tmp_path: Path, no_wheel: None) -> None:
    program(tmp_path / "usr/lib/postgresql/18/bin", "pg_dump (PostgreSQL) 18.4")
    first = program(tmp_path / "b", "pg_dump (PostgreSQL) 18.4")
    program(tmp_path / "a", "pg_dump (PostgreSQL) 18.4")
    assert find(tmp_path, 180000, "b", "a").path == first


@pytest.mark.parametrize(
    ("older", "newer"),
    [("18.4", "18.10"), ("9.6.24", "10.1"), ("19beta1", "19.0"), ("18.9", "19devel")],
)
def test_order(tmp_path: Path, no_wheel: None, older: str, newer: str) -> None:
    program(tmp_path / "a", f"pg_dump (PostgreSQL) {older}")
    program(tmp_path / "b", f"pg_dump (PostgreSQL) {newer}")
    assert find(tmp_path, 90600, "a", "b").version == newer


def test_what_does_not_run_is_passed_over(tmp_path: Path, no_wheel: None) -> None:
    program(tmp_path / "fails", "pg_dump (PostgreSQL) 19.1", code=1)
    program(tmp_path / "other", "I am no pg_dump 19.1")
    program(tmp_path / "not-executable", "pg_dump (PostgreSQL) 19.1").chmod(0o644)
    program(tmp_path / "no-interpreter", "").write_text("#!/nonexistent\n")
    (tmp_path / "folder/pg_dump").mkdir(parents=True)
    right = program(tmp_path / "right", "pg_dump (PostgreSQL) 18.4")
    folders = ("fails", "other", "not-executable", "no-interpreter", "folder", "right")
    assert find(tmp_path, 180004, *folders).path == right


def test_a_program_that_hangs(tmp_path: Path, no_wheel: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_SECONDS", 0.2)
    program(tmp_path / "a", "").write_text("#!/bin/sh\nexec sleep 20\n")
    with pytest.raises(ToolMissing):
        find(tmp_path, 180004, "a")


def test_debians_wrapper_is_passed_over(tmp_path: Path, no_wheel: None) -> None:
    wrapper = program(tmp_path / "share", "pg_dump (PostgreSQL) 18.4").rename(tmp_path / "share/pg_wrapper")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pg_dump").symlink_to(wrapper)
    with pytest.raises(ToolMissing, match="there is no pg_dump here"):
        find(tmp_path, 180004, "bin")


def test_none_is_new_enough(tmp_path: Path, no_wheel: None) -> None:
    path = program(tmp_path / "a", "pg_dump (PostgreSQL) 17.2")
    with pytest.raises(ToolMissing) as caught:
        find(tmp_path, 180004, "a")
    assert str(caught.value) == (
        f"The server is PostgreSQL 18, and the newest pg_dump here is 17.2 ({path}). Nothing was changed. "
        "Install the client programs of PostgreSQL 18 or later, such as postgresql-client-18."
    )


def test_none_at_all(tmp_path: Path, no_wheel: None) -> None:
    with pytest.raises(ToolMissing, match="The server is PostgreSQL 16, and there is no pg_dump here"):
        find_pg_dump(160002, environ={}, root=tmp_path)


@pytest.mark.parametrize("number", [150000, 180004])
def test_the_real_ones(number: int) -> None:
    found = find_pg_dump(number, environ=os.environ)
    assert found.major >= 18
    assert found.path.is_absolute()


def test_the_embedded_servers_is_found_without_any_other(tmp_path: Path) -> None:
    found = find_pg_dump(180000, environ={"PATH": ""}, root=tmp_path)
    assert found.path == server_binaries(18) / "pg_dump"
    assert found.version.startswith("18.")
