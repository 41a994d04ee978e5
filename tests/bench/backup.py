"""A backup of an archived year against the procedure's own pg_dump | gzip, and what proving and restoring it takes.

Ours runs in a process of its own, whose memory is watched: python -m tests.bench.backup URL NAME FOLDER ID
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil

from core.backups.kept import read_kept
from core.backups.proving import Proving
from core.backups.restore import read_surroundings, restore
from core.backups.storage.folder import Folder
from core.backups.verify import verify
from core.backups.write import back_up
from core.plans.archive import plan_archive
from core.plans.restore import plan_restore
from core.postgres.connection import parse_url, session, working_engine
from core.postgres.embedded import server_binaries
from core.postgres.programs import find_pg_dump
from core.tables.catalog.table import read_table
from tests.bench.report import Table, Target
from tests.bench.server import TABLE, Desk, add_year, desk, make_absences, settle

_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_FIRST = 2018
TIME_RATIO, BYTES_RATIO = 0.6, 0.65
MEMORY = 200 * 10**6
GROWTH = 1.25
"""How much more memory ten times the rows may take: what differs from run to run, and no more."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One backup: seconds, bytes of the result, and the largest memory of ours and of its pg_dump in bytes."""

    seconds: float
    bytes: int
    memory: int = 0
    dump_memory: int = 0


def measure_backup(server: str, runs: int, rows: int) -> tuple[Table, ...]:
    """By hand against ours, medians of `runs`; then one verification and one restore of the last backup."""
    folder = Path(tempfile.mkdtemp(prefix="pd-bench-"))
    folder.chmod(0o711)  # the throwaway server's user has to pass through
    try:
        with desk(server, "backup") as at:
            make_absences(at, range(2024, 2028), 1_000)
            small, large = f"kid_absences_{_FIRST}", f"kid_absences_{_FIRST + 1}"
            add_year(at, _FIRST, rows // 10)
            add_year(at, _FIRST + 1, rows)
            at.run(f"ANALYZE {TABLE}")
            for name in (small, large):
                at.act(plan_archive(at.table(), name, now=_NOW))
            settle(at)
            little = _ours(at, folder, small, "small")
            hand: list[_Run] = []
            ours: list[_Run] = []
            for number in range(runs):
                hand.append(_by_hand(at, folder, large))
                ours.append(_ours(at, folder, large, f"large-{number}"))
                _tell(f"backup by hand {hand[-1].seconds:.2f} s, ours {ours[-1].seconds:.2f} s")
            proof_s = _verified(folder, f"large-{runs - 1}")
            restore_s = _restored(at, folder, large, f"large-{runs - 1}")
            _tell(f"verify {proof_s:.2f} s, restore {restore_s:.2f} s")
    finally:
        shutil.rmtree(folder)
    return (_table(hand, ours, little, rows, proof_s, restore_s),)


def _tell(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)


def _by_hand(at: Desk, folder: Path, name: str) -> _Run:
    """The procedure's own line, with the pg_dump that ours uses."""
    url = parse_url(at.url)
    target = folder / "by-hand.sql.gz"
    words = [str(server_binaries(18) / "pg_dump"), "-h", str(url.query["host"]), "-p", str(url.query["port"])]
    words += ["-U", str(url.username), "-t", f"archive.{name}", str(url.database)]
    began = time.perf_counter()
    subprocess.run(f"{shlex.join(words)} | gzip > {target}", shell=True, check=True)
    return _Run(time.perf_counter() - began, target.stat().st_size)


def _ours(at: Desk, folder: Path, name: str, id: str) -> _Run:
    command = [sys.executable, "-m", "tests.bench.backup", at.url, name, str(folder / "place"), id]
    memory = dump_memory = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                memory = max(memory, watched.memory_info().rss)
                for child in watched.children():
                    dump_memory = max(dump_memory, child.memory_info().rss)
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.02)
        said = json.loads(process.stdout.read() if process.stdout else "")
    return _Run(said["seconds"], said["bytes"], memory, dump_memory)


def _verified(folder: Path, id: str) -> float:
    began = time.perf_counter()
    proof = verify(
        Folder(folder / "place"),
        id,
        proving=Proving(folder, os.environ),
        actor="bench",
        cancelled=lambda: False,
        report=lambda work: None,
    )
    if not proof.good:
        raise SystemExit(f"the backup proves nothing: {proof.reason}")
    return time.perf_counter() - began


def _restored(at: Desk, folder: Path, name: str, id: str) -> float:
    place = Folder(folder / "place")
    kept = read_kept(place, id)
    at.run(f"DROP TABLE archive.{name}")
    settle(at)
    began = time.perf_counter()
    there = read_surroundings(at.working, kept.backup, archive_schema="archive")
    plan = plan_restore(at.table(), kept, there=there)
    with session(at.working) as work:
        restore(work, place, kept, plan, cancelled=lambda: False, report=lambda work: None)
    return time.perf_counter() - began


def _table(hand: list[_Run], ours: list[_Run], little: _Run, rows: int, proof_s: float, restore_s: float) -> Table:
    hand_s, ours_s = (median(run.seconds for run in runs) for runs in (hand, ours))
    hand_bytes, ours_bytes = (median(run.bytes for run in runs) for runs in (hand, ours))
    memory, dump = max(run.memory for run in ours), max(run.dump_memory for run in ours)
    ratio, smaller, growth = ours_s / hand_s, ours_bytes / hand_bytes, memory / little.memory
    return Table(
        f"Back up an archived year of {rows:,} rows",
        ("", "by hand", "ours"),
        (
            ("back up, s", f"{hand_s:.2f}", f"{ours_s:.2f}"),
            ("size, MB", f"{hand_bytes / 1e6:.1f}", f"{ours_bytes / 1e6:.1f}"),
            ("memory of the process at most, MB", "", f"{memory / 1e6:.0f}"),
            (f"the same for {rows // 10:,} rows, MB", "", f"{little.memory / 1e6:.0f}"),
            ("memory of its pg_dump at most, MB", "", f"{dump / 1e6:.0f}"),
            ("verify, s", "", f"{proof_s:.2f}"),
            ("restore, s", "", f"{restore_s:.2f}"),
        ),
        notes=(
            f"Medians of {len(ours)}; one verification and one restore. By hand: pg_dump -t ... | gzip > file.",
            "Ours fingerprints every row besides. Verify fetches, starts a PostgreSQL, restores with all indexes and"
            " compares every row; restore does so in one transaction on the server.",
        ),
        targets=(
            Target(f"at most {TIME_RATIO} of the time", f"{ratio:.2f}", ratio <= TIME_RATIO),
            Target(f"at most {BYTES_RATIO} of the bytes", f"{smaller:.2f}", smaller <= BYTES_RATIO),
            Target("memory under 200 MB", f"{memory / 1e6:.0f} MB", memory < MEMORY),
            Target("memory not growing with the rows", f"{growth:.2f} times for ten times the rows", growth <= GROWTH),
        ),
    )


def _main(url: str, name: str, folder: str, id: str) -> None:
    engine = working_engine(parse_url(url))
    table = read_table(engine, TABLE)
    tool = find_pg_dump(table.server.version_num, environ=os.environ)
    began = time.perf_counter()
    backup = back_up(
        engine,
        table,
        name,
        Folder(Path(folder)),
        id=id,
        tool=tool,
        actor="bench",
        reason="",
        archive_schema="archive",
        cancelled=lambda: False,
        report=lambda work: None,
    )
    print(json.dumps({"seconds": time.perf_counter() - began, "bytes": backup.bytes}))
    engine.dispose()


if __name__ == "__main__":
    _main(*sys.argv[1:])
