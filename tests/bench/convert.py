"""How long others wait while a plain table becomes partitioned, and plain again: in place, and in one transaction."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from core.period import Width
from core.plans.inplace import Convert
from core.plans.unconvert import Unconvert
from tests import desks
from tests.bench.report import Table, Target, ms, times
from tests.bench.server import TABLE, Desk, desk, settle
from tests.load import Load, Measured, running

HAND, OURS = "by hand, one transaction", "Partition Desk"
STALL_MS, FIRST_USE_S = 50.0, 5.0
YEARS = range(2022, 2027)

_PARTITION = """
BEGIN;
LOCK TABLE kid_absences IN ACCESS EXCLUSIVE MODE;
ALTER TABLE kid_absences RENAME TO kid_absences_plain;
CREATE TABLE kid_absences (LIKE kid_absences_plain INCLUDING DEFAULTS, PRIMARY KEY (id, date))
    PARTITION BY RANGE (date);
{children}
INSERT INTO kid_absences SELECT * FROM kid_absences_plain;
CREATE INDEX ON kid_absences (date);
COMMIT;
"""
_PLAIN = """
BEGIN;
LOCK TABLE kid_absences IN ACCESS EXCLUSIVE MODE;
CREATE TABLE kid_absences_new (LIKE kid_absences INCLUDING DEFAULTS);
INSERT INTO kid_absences_new SELECT * FROM kid_absences;
ALTER TABLE kid_absences_new ADD PRIMARY KEY (id);
CREATE INDEX ON kid_absences_new (date);
DROP TABLE kid_absences;
ALTER TABLE kid_absences_new RENAME TO kid_absences;
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class _Run:
    measured: Measured
    seconds: float


def measure_convert(server: str, rows: int) -> tuple[Table, ...]:
    """There and back, each way once on a database of its own, under 8 writers and 4 readers."""
    found: dict[tuple[str, bool], _Run] = {}
    with ExitStack() as stack:
        for number, label in enumerate((HAND, OURS)):
            at = stack.enter_context(desk(server, f"convert_{number}"))
            _make(at, rows)
            for series, (back, act) in enumerate(_ways(at)[label], 1):
                found[label, back] = run = _measure(at, act, series)
                print(
                    f"  {'back' if back else 'convert'}, {label}: {run.measured.longest_ms:.0f} ms in"
                    f" {run.seconds:.1f} s",
                    file=sys.stderr,
                    flush=True,
                )
    return tuple(_table(rows, back, found[HAND, back], found[OURS, back]) for back in (False, True))


def _make(at: Desk, rows: int) -> None:
    at.run(
        "CREATE TABLE kid_absences (id bigserial PRIMARY KEY, kid_id bigint NOT NULL, date date NOT NULL,"
        " reason text, created_at timestamptz NOT NULL DEFAULT now())"
    )
    at.run(
        f"INSERT INTO kid_absences (kid_id, date, reason) SELECT g, '{YEARS[0]}-01-01'::date + (g % 1700)::int,"
        f" 'reason ' || g FROM generate_series(1, {rows}) g"
    )
    at.run("CREATE INDEX ON kid_absences (date)")
    settle(at)


def _ways(at: Desk) -> dict[str, tuple[tuple[bool, Callable[[], None]], ...]]:
    children = "\n".join(
        f"CREATE TABLE kid_absences_{year} PARTITION OF kid_absences FOR VALUES FROM ('{year}-01-01') TO"
        f" ('{year + 1}-01-01');"
        for year in (*YEARS, YEARS[-1] + 1)
    )
    wish = Convert(TABLE, "date", Width(months=12))
    return {
        HAND: (
            (False, lambda: _script(at, _PARTITION.format(children=children))),
            (True, lambda: _script(at, _PLAIN)),
        ),
        OURS: (
            (False, lambda: at.act(desks.desk(at.reading).plan(wish))),
            (True, lambda: at.act(desks.desk(at.reading).plan(Unconvert(TABLE)))),
        ),
    }


def _script(at: Desk, sql: str) -> None:
    at.run(sql)


def _measure(at: Desk, act: Callable[[], None], series: int) -> _Run:
    load = Load(at.url, TABLE, year=YEARS[-1], series=series)
    with running(load) as under_load:
        time.sleep(1.0)
        begun = time.monotonic()
        act()
        ended = time.monotonic()
        time.sleep(1.0)
        return _Run(under_load.stop(), ended - begun)


def _table(rows: int, back: bool, hand: _Run, ours: _Run) -> Table:
    what = "a partitioned table becomes plain" if back else "a plain table becomes partitioned"
    targets = [
        Target(
            f"a stall under {STALL_MS:.0f} ms",
            f"{ms(ours.measured.longest_ms)} ms",
            ours.measured.longest_ms < STALL_MS,
        )
    ]
    if not back:
        first = Target(f"first use in under {FIRST_USE_S:.0f} s", f"{ours.seconds:.1f} s", ours.seconds < FIRST_USE_S)
        targets.append(first)
    return Table(
        f"Longest wait of any statement while {what}, {rows:,} rows",
        ("", "longest ms", "p99 ms", "operation s", "failed statements", "by hand is longer"),
        tuple(
            (
                label,
                ms(run.measured.longest_ms),
                ms(run.measured.p99_ms),
                f"{run.seconds:.1f}",
                f"{run.measured.failed:,}",
                "" if run is hand else times(hand.measured.longest_ms, run.measured.longest_ms),
            )
            for label, run in ((HAND, hand), (OURS, ours))
        ),
        notes=("One run a way; 8 writers and 4 readers, 400 statements a second, each counted from when it was due.",),
        targets=tuple(targets),
    )
