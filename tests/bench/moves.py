"""How long others wait, and how fast it goes, while the rows of a DEFAULT partition get a partition of their own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from core.plans.drain import Drain
from tests import desks
from tests.bench.report import Table, Target, ms
from tests.bench.server import TABLE, Desk, desk, make_absences, settle
from tests.load import Load, Measured, running

YEARS = range(2020, 2026)
HAND = "by hand, in one transaction"
OURS = "Partition Desk: partitions drain"
_NOW = datetime(2026, 6, 1, tzinfo=UTC)
STALL_MS = 100.0
"""What nobody is to wait longer than."""


@dataclass(frozen=True, slots=True)
class _Run:
    measured: Measured
    seconds: float


def _by_hand(at: Desk) -> None:
    """As it is written where nobody may write meanwhile: else rows that come are lost, or the attach fails."""
    at.run(
        "BEGIN; LOCK TABLE kid_absences_default IN ACCESS EXCLUSIVE MODE;"
        "CREATE TABLE kid_absences_2026 (LIKE kid_absences INCLUDING ALL EXCLUDING IDENTITY);"
        "WITH moved AS (DELETE FROM kid_absences_default WHERE date >= '2026-01-01' AND date < '2027-01-01'"
        " RETURNING *) INSERT INTO kid_absences_2026 SELECT * FROM moved;"
        "ALTER TABLE kid_absences ATTACH PARTITION kid_absences_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
        "COMMIT"
    )


def _drain(at: Desk) -> None:
    at.act(desks.desk(at.reading, at.working, now=_NOW).plan(Drain(TABLE)))


def measure_moves(server: str, rows: int) -> tuple[Table, ...]:
    """One run a way, each on a database of its own, 8 writers and 4 readers on the very rows."""
    found: dict[str, _Run] = {}
    ways: dict[str, Callable[[Desk], None]] = {HAND: _by_hand, OURS: _drain}
    for number, (label, way) in enumerate(ways.items()):
        with desk(server, f"moves_{number}") as at:
            make_absences(at, YEARS, 2_000)
            at.run(f"CREATE TABLE kid_absences_default PARTITION OF {TABLE} DEFAULT")
            at.run(
                f"INSERT INTO {TABLE} (kid_id, date, reason) SELECT 1000000 + g, date '2026-01-01' + g % 365, 'flu'"
                f" FROM generate_series(1, {rows}) g"
            )
            settle(at)
            with running(Load(at.url, TABLE, series=1)) as load:
                time.sleep(1)
                begun = time.monotonic()
                way(at)
                seconds = time.monotonic() - begun
                found[label] = _Run(load.stop(), seconds)
            print(f"  {label}: {found[label].measured.longest_ms:.0f} ms", file=sys.stderr, flush=True)
    ours, hand = found[OURS], found[HAND]
    head = ("", "longest wait, ms", "p99 ms", "seconds", "rows a second", "failed statements")
    return (
        Table(
            f"{rows:,} rows of a DEFAULT partition get a partition of their own",
            head,
            tuple(
                (
                    label,
                    ms(run.measured.longest_ms),
                    ms(run.measured.p99_ms),
                    f"{run.seconds:.1f}",
                    f"{rows / run.seconds:,.0f}",
                    f"{run.measured.failed:,}",
                )
                for label, run in found.items()
            ),
            notes=("8 writers and 4 readers on the same rows, 400 statements a second, from when each was due.",),
            targets=(
                Target(
                    f"nobody waits longer than {STALL_MS:.0f} ms",
                    f"{ms(ours.measured.longest_ms)} ms; by hand {ms(hand.measured.longest_ms)} ms",
                    ours.measured.longest_ms <= STALL_MS,
                ),
                Target("no statement fails", f"{ours.measured.failed:,}", not ours.measured.failed),
            ),
        ),
    )
