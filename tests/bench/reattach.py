"""How long an archived year takes to come back, and how long others are kept out meanwhile."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from statistics import median
from typing import Any

from sqlalchemy import event

from core.plans.archive import plan_archive
from tests import desks
from tests.bench.report import Table, Target, ms, times
from tests.bench.server import TABLE, Desk, add_year, bounds, desk, fill, make_absences, settle, timed

_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_FIRST = 2015
UNDER_LOCK_MS = 10.0


@dataclass(frozen=True, slots=True)
class _Times:
    """Milliseconds under the locks of the attaching transaction, and in all."""

    locked: float
    total: float


def measure_reattach(server: str, runs: int, sizes: tuple[int, ...], default_rows: int) -> tuple[Table, ...]:
    """By hand (after a plain DETACH) against ours (archived and brought back by the console), medians of `runs`."""
    with desk(server, "reattach") as at:
        make_absences(at, range(2024, 2028), 1_000)
        for first, rows in enumerate(sizes, _FIRST):
            add_year(at, first, rows)
        settle(at)
        found = {}
        for default in (False, True):
            if default:
                at.run(f"CREATE TABLE kid_absences_default PARTITION OF {TABLE} DEFAULT")
                at.run("SET synchronous_commit = off")
                fill(at, "kid_absences_default", date(1950, 1, 1), default_rows)
                at.run("RESET synchronous_commit")
                at.run("ANALYZE kid_absences_default")
                settle(at)
            for first, rows in enumerate(sizes, _FIRST):
                hand = _medians([_by_hand(at, first) for _ in range(runs)])
                ours = _medians([_ours(at, first) for _ in range(runs)])
                found[default, rows] = hand, ours
                said = f"reattach {rows:,}{' beside a DEFAULT' * default}"
                print(f"  {said}: {hand.locked:.1f} ms, ours {ours.locked:.1f} ms", file=sys.stderr, flush=True)
    return (_table(found, runs, sizes, default_rows),)


def _medians(found: list[_Times]) -> _Times:
    return _Times(median(one.locked for one in found), median(one.total for one in found))


def _by_hand(at: Desk, first: int) -> _Times:
    name = f"kid_absences_{first}"
    for (check,) in at.run(f"SELECT conname FROM pg_constraint WHERE conrelid = '{name}'::regclass AND contype = 'c'"):
        at.run(f'ALTER TABLE {name} DROP CONSTRAINT "{check}"')  # a concurrent detach left it: it spares the scan
    at.run(f"ALTER TABLE kid_absences DETACH PARTITION {name}")
    at.run(f"ALTER TABLE {name} SET SCHEMA archive")
    moved = timed(lambda: at.run(f"ALTER TABLE archive.{name} SET SCHEMA public"))
    attached = timed(lambda: at.run(f"ALTER TABLE kid_absences ATTACH PARTITION {name} {bounds(first)}"))
    return _Times(attached, moved + attached)


def _ours(at: Desk, first: int) -> _Times:
    name = f"kid_absences_{first}"
    at.act(plan_archive(at.table(), name, now=_NOW))
    with _attaching(at) as spans:
        total = timed(lambda: at.act(desks.reattach(at.reading, at.table(), name)))
    return _Times(spans[-1], total)


@contextmanager
def _attaching(at: Desk) -> Iterator[list[float]]:
    """Milliseconds of each transaction with an ATTACH, from its first statement sent until its COMMIT is answered."""
    spans: list[float] = []
    begun: list[float] = []
    attaches: list[bool] = []

    def before(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement == "BEGIN":
            begun.clear()
            attaches.clear()
        elif not statement.startswith("SET LOCAL") and not begun:
            begun.append(time.perf_counter())
        if " ATTACH PARTITION " in statement and statement.startswith("ALTER TABLE"):
            attaches.append(True)

    def after(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement == "COMMIT" and attaches and begun:
            spans.append((time.perf_counter() - begun[0]) * 1000)

    event.listen(at.working, "before_cursor_execute", before)
    event.listen(at.working, "after_cursor_execute", after)
    try:
        yield spans
    finally:
        event.remove(at.working, "before_cursor_execute", before)
        event.remove(at.working, "after_cursor_execute", after)


def _table(
    found: dict[tuple[bool, int], tuple[_Times, _Times]], runs: int, sizes: tuple[int, ...], default_rows: int
) -> Table:
    rows = []
    for (default, size), (hand, ours) in found.items():
        rows.append(
            (
                f"{size:,} rows" + (f", {default_rows:,} in DEFAULT" if default else ""),
                ms(hand.locked),
                ms(ours.locked),
                times(hand.locked, ours.locked),
                ms(hand.total),
                ms(ours.total),
            )
        )
    targets = []
    for default in (False, True):
        least, most = (found[default, size][1].locked for size in (sizes[0], sizes[-1]))
        where = "with a DEFAULT" if default else "without a DEFAULT"
        targets.append(
            Target(f"{sizes[-1]:,} rows {where} under {UNDER_LOCK_MS:.0f} ms", f"{ms(most)} ms", most < UNDER_LOCK_MS)
        )
        said = f"{ms(least)} ms for {sizes[0]:,}, {ms(most)} ms for {sizes[-1]:,}"
        targets.append(Target(f"not growing with the rows {where}", said, most <= 2 * least))
    return Table(
        "Reattach an archived year",
        ("", "by hand, lock ms", "ours, lock ms", "by hand is longer", "by hand, total ms", "ours, total ms"),
        tuple(rows),
        notes=(
            f"Medians of {runs}. Lock: by hand the ATTACH; ours the whole transaction that attaches, move and COMMIT in"
            " it. Total: ours reads, plans, counts the rows before and after, and journals besides.",
            "By hand nothing was left that spares the ATTACH its scan.",
        ),
        targets=tuple(targets),
    )
