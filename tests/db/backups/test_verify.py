"""Verifying a backup: whatever was changed is found, and nothing is left of the throwaway server."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from core.backups.kept import read_all_kept, read_kept
from core.backups.progress import Work
from core.backups.proving import Proving
from core.backups.verify import verify
from core.errors import BackupUnusable, Cancelled, Failed
from core.plans.proof import Verdict
from tests.db.backups.walks import Make, Walk, bad


@pytest.fixture(scope="module", autouse=True)
def throwaway_servers() -> None:
    """Here they are made from nothing, as outside of tests."""


def test_200_flipped_bytes_are_200_refused(walk: Walk, make_table: Make) -> None:
    made = make_table(rows=2000)
    backup = walk.back_up(made, made.first)
    path = walk.object(backup)
    whole = path.read_bytes()
    chance = random.Random(4)
    for offset in (0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(198))):
        flipped = bytearray(whole)
        flipped[offset] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        proof = walk.verify(backup)
        assert (proof.verdict, proof.server_version) == (Verdict.DAMAGED, ""), f"the byte at {offset}"
        assert "checksum" in proof.reason
    for length in (0, 1, len(whole) // 2, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(20))):
        path.write_bytes(whole[:length])
        assert "its manifest says" in bad(walk, backup).reason
    path.write_bytes(whole + b"\0")
    assert "its manifest says" in bad(walk, backup).reason
    path.unlink()
    assert bad(walk, backup).reason == "Its object is missing."


def test_swapped_for_another(walk: Walk, make_table: Make, shared: None) -> None:
    made = make_table()
    one, other = (walk.back_up(made, made.partition(date(year, 1, 1))) for year in (2022, 2023))
    walk.object(one).write_bytes(walk.object(other).read_bytes())
    assert "manifest" in bad(walk, one).reason
    Path(walk.storage.label, one.manifest).write_text(other.to_json())
    assert bad(walk, one).reason == f"The manifest is that of another backup: {other.id}."
    Path(walk.storage.label, one.manifest).write_text(replace(other, id=one.id).to_json())
    assert bad(walk, one).reason == "Its SQL before the rows is not what its manifest says."
    assert [kept.backup.id for kept in read_all_kept(walk.storage)[0] if kept.proven] == []
    assert walk.verify(other).good


def test_an_edited_manifest(walk: Walk, make_table: Make, shared: None) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    other_type = replace(backup.columns[1], type="integer")
    edits = {
        "It holds 20 rows, and its manifest says 21.": {"rows": 21},
        "It holds more rows than the 19 of its manifest.": {"rows": 19},
        "the fingerprint differs": {"fingerprint": backup.fingerprint + "0"},
        "is bigint, which is not as the manifest says: integer": {
            "columns": (backup.columns[0], other_type, *backup.columns[2:])
        },
        "Its SQL before": {"columns": (*backup.columns[:-1], replace(backup.columns[-1], name="x"))},
        "Its comment does not say": {"bounds": backup.bounds.replace("2022-01-01", "2021-01-01")},
        "is not as long as its manifest says": {"raw_bytes": backup.raw_bytes + 1},
        "Its SQL after the rows": {"raw_bytes": backup.raw_bytes - 1},
        "Its SQL before the rows": {"create": backup.create[:-1]},
        "It holds more rows than the 20 of its manifest.": {
            "afterwards": backup.afterwards[:-1],
            "raw_bytes": backup.raw_bytes,
        },
    }
    for reason, edit in edits.items():
        edited = replace(backup, **edit)
        Path(walk.storage.label, backup.manifest).write_text(edited.to_json())
        said = bad(walk, backup).reason
        assert reason in said
    text = backup.to_json()
    for offset in random.Random(6).sample(range(len(text)), 40):
        letter = "0" if text[offset] != "0" else "1"
        Path(walk.storage.label, backup.manifest).write_text(text[:offset] + letter + text[offset + 1 :])
        with suppress(BackupUnusable):  # its format became a later one
            assert not walk.verify(backup).good
    Path(walk.storage.label, backup.manifest).write_text(text)
    assert walk.verify(backup).good


def test_what_would_fill_the_disk_is_not_begun(walk: Walk, make_table: Make) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    Path(walk.storage.label, backup.manifest).write_text(replace(backup, raw_bytes=2**60).to_json())
    with pytest.raises(Failed, match=r"The restored rows take about .* left"):
        walk.verify(backup)
    assert read_kept(walk.storage, backup.id).proofs == ()


def test_a_cancel_of_a_verification_leaves_nothing(walk: Walk, make_table: Make) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    told: list[Work] = []

    def cancelled() -> bool:
        return any(work.doing.startswith("Starting") for work in told)

    with pytest.raises(Cancelled):
        verify(
            walk.storage,
            backup.id,
            proving=Proving(walk.home, os.environ),
            actor="Ada",
            cancelled=cancelled,
            report=told.append,
        )
    assert list(walk.home.iterdir()) == []
    assert read_kept(walk.storage, backup.id).proofs == ()


def test_throwaway_servers_of_the_dead_are_removed(walk: Walk, make_table: Make, shared: None) -> None:
    made = make_table()
    backup = walk.back_up(made, made.first)
    dead, alive, fetching, young = (walk.home / f"throwaway-{what}" for what in ("dead", "alive", "fetching", "young"))
    for folder in (dead, alive):
        (folder / "server").mkdir(parents=True)
        (folder / "server" / "users.lock").touch()
    for folder in (fetching, young):
        folder.mkdir()
    for folder in (dead, fetching):
        (folder / "in-use.lock").touch()
    for folder in (dead, alive, fetching):
        os.utime(folder, (0, 0))
    with (alive / "server" / "users.lock").open() as users, (fetching / "in-use.lock").open() as lock:
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert walk.verify(backup).good
        assert set(walk.home.iterdir()) == {alive, fetching, young}
    for folder in (alive, fetching, young):
        shutil.rmtree(folder)
