"""How long others wait while a year is archived, or created, beside a report that holds the table for 5 s."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from core.errors import DeskError
from core.plans.archive import plan_archive
from tests import desks
from tests.bench.partsmith import VERSION, Partsmith
from tests.bench.report import Table, Target, ms, times
from tests.bench.server import BUDGET, TABLE, Desk, bounds, desk, make_absences, settle, year
from tests.load import Load, Measured, running

REPORT_S = 5.0
BEFORE_S = 1.0
"""How long the report has been there when the operation begins."""
AFTER_S = 0.7
YEARS = range(1998, 2028)
ROWS = 20_000
CONTROL = "nothing done (control)"
HAND = "by hand"
OURS = "Partition Desk"
PARTSMITH = f"pg-partsmith {VERSION}"
_NOW = datetime(2026, 6, 1, tzinfo=UTC)

Act = Callable[[], str]
"""Does it and returns how it failed, or ''."""
Way = Callable[[Desk], AbstractContextManager[Act]]
"""Makes ready, before the load begins, what is done under it."""


@dataclass(frozen=True, slots=True)
class _Run:
    measured: Measured
    seconds: float
    error: str


def _oldest(at: Desk) -> int:
    """The oldest year that is attached: each run archives the next one."""
    found = at.run(
        "SELECT min(substring(pg_get_expr(c.relpartbound, c.oid) FROM $$FROM \\('(\\d{4})$$)) FROM pg_inherits i"
        f" JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = '{TABLE}'::regclass"
    )
    return int(found[0][0])


def _next(at: Desk) -> int:
    """The first year that is not there yet: each run creates it."""
    found = at.run(
        "SELECT max(substring(pg_get_expr(c.relpartbound, c.oid) FROM $$TO \\('(\\d{4})$$)) FROM pg_inherits i"
        f" JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = '{TABLE}'::regclass"
    )
    return int(found[0][0])


@contextmanager
def _nothing(at: Desk) -> Iterator[Act]:
    yield lambda: ""


@contextmanager
def _archive_by_hand(at: Desk) -> Iterator[Act]:
    name = f"kid_absences_{_oldest(at)}"

    def act() -> str:
        at.run(f"ALTER TABLE kid_absences DETACH PARTITION {name}")
        at.run(f"ALTER TABLE {name} SET SCHEMA archive")
        return ""

    yield act


@contextmanager
def _ensure_by_hand(at: Desk) -> Iterator[Act]:
    first = _next(at)

    def act() -> str:
        at.run(f"CREATE TABLE IF NOT EXISTS kid_absences_{first} PARTITION OF kid_absences {bounds(first)}")
        return ""

    yield act


@contextmanager
def _archive(at: Desk) -> Iterator[Act]:
    name = f"kid_absences_{_oldest(at)}"
    yield lambda: _failure(lambda: at.act(plan_archive(at.table(), name, now=_NOW)))


@contextmanager
def _ensure(at: Desk) -> Iterator[Act]:
    wanted = [year(_next(at))]
    yield lambda: _failure(lambda: at.act(desks.ensure(at.reading, at.table(), wanted)))


def _failure(act: Callable[[], None]) -> str:
    try:
        act()
    except DeskError as error:
        return str(error)
    return ""


def _theirs(partsmith: Partsmith, operation: str) -> Way:
    @contextmanager
    def way(at: Desk) -> Iterator[Act]:
        first = _oldest(at) if operation == "archive" else _next(at)
        with partsmith.planned(at.url, operation, first) as planned:
            yield lambda: planned.apply().error

    return way


def _measure(at: Desk, way: Way, series: int) -> _Run:
    """One run: the load, a report in it, and beside the report whatever the way does."""
    load = Load(at.url, TABLE, series=series, report_s=REPORT_S)
    with way(at) as act:
        settle(at)
        with running(load) as under_load:
            under_load.await_report()
            report_ends = time.monotonic() + REPORT_S
            time.sleep(BEFORE_S)
            begun = time.monotonic()
            error = act()
            ended = time.monotonic()
            time.sleep(max(0.0, report_ends + AFTER_S - ended))
            return _Run(under_load.stop(), ended - begun, error)


def measure_stalls(server: str, runs: int, names: set[str], partsmith: Partsmith | None) -> tuple[Table, ...]:
    """The tables for `names` (archive, ensure), each way `runs` times, one after the other so that noise is shared."""
    archive: dict[str, Way] = {HAND: _archive_by_hand, OURS: _archive}
    ensure: dict[str, Way] = {HAND: _ensure_by_hand, OURS: _ensure}
    if partsmith is not None:
        archive[PARTSMITH] = _theirs(partsmith, "archive")
        ensure[PARTSMITH] = _theirs(partsmith, "ensure")
    cases = [(name, ways) for name, ways in (("archive", archive), ("ensure", ensure)) if name in names]
    found: dict[tuple[str, bool, str], list[_Run]] = {}
    with ExitStack() as stack:
        plain = stack.enter_context(desk(server, "stalls"))
        beside_default = stack.enter_context(desk(server, "stalls_default"))
        for at in (plain, beside_default):
            make_absences(at, YEARS, ROWS)
        beside_default.run(f"CREATE TABLE kid_absences_default PARTITION OF {TABLE} DEFAULT")
        todo: list[tuple[str, bool, str, Way]] = [("", False, CONTROL, _nothing)]
        for default in (False, True):
            todo += [(name, default, label, way) for name, ways in cases for label, way in ways.items()]
        for number in range(runs):
            for at_once, (name, default, label, way) in enumerate(todo):
                series = 1 + number * len(todo) + at_once
                run = _measure(beside_default if default else plain, way, series)
                _follow(f"{number + 1}/{runs} {name or 'control'}{' beside a DEFAULT' * default}, {label}", run)
                found.setdefault((name, default, label), []).append(run)
    control = found["", False, CONTROL]
    tables = []
    for name, ways in cases:
        for default in (False, True):
            measured = {CONTROL: control, **{label: found[name, default, label] for label in ways}}
            tables.append(_table(name, default, measured))
    return tuple(tables)


def _follow(what: str, run: _Run) -> None:
    print(f"  {what}: {run.measured.longest_ms:.0f} ms {run.error}", file=sys.stderr, flush=True)


def _longest(runs: list[_Run]) -> float:
    return median(run.measured.longest_ms for run in runs)


def _table(name: str, default: bool, measured: dict[str, list[_Run]]) -> Table:
    hand, ours, control = (_longest(measured[label]) for label in (HAND, OURS, CONTROL))
    rows = [_row(label, runs, hand) for label, runs in measured.items()]
    if PARTSMITH not in measured:
        rows.append((f"{PARTSMITH}: not installed here", *[""] * (len(rows[0]) - 1)))
    what = {"archive": "a year is archived", "ensure": "a year is created"}[name]
    where = " beside a DEFAULT partition" if default else ""
    # beside a DEFAULT PostgreSQL needs a lock that keeps everybody out, for a moment
    limit = (BUDGET.lock_ms, "the lock budget of one try") if default else (2 * control, "twice the control's")
    errors = [f"{label} failed: {run.error}" for label, runs in measured.items() for run in runs if run.error]
    return Table(
        f"Longest wait of any statement while {what}{where}, a {REPORT_S:.0f} s report open",
        (
            "",
            "ms, median",
            "ms, least to most",
            "p99 ms",
            "operation s",
            "done",
            "failed statements",
            "by hand is longer",
        ),
        tuple(rows),
        notes=(
            f"{len(measured[OURS])} runs a way; 8 writers and 4 readers, 400 statements a second, each counted from"
            f" when it was due; the report began {BEFORE_S:.0f} s before.",
            *dict.fromkeys(error.partition("\n")[0][:200] for error in errors),
        ),
        targets=(
            Target(f"a stall within {limit[1]}", f"{ms(ours)} ms, limit {ms(limit[0])} ms", ours <= limit[0]),
            Target("at least 50 times shorter than by hand", times(hand, ours), hand >= 50 * ours),
        ),
    )


def _row(label: str, runs: list[_Run], hand: float) -> tuple[str, ...]:
    longest = sorted(run.measured.longest_ms for run in runs)
    return (
        label,
        ms(_longest(runs)),
        f"{ms(longest[0])} to {ms(longest[-1])}",
        ms(median(run.measured.p99_ms for run in runs)),
        "" if label == CONTROL else f"{median(run.seconds for run in runs):.2f}",
        "" if label == CONTROL else f"{sum(not run.error for run in runs)} of {len(runs)}",
        f"{sum(run.measured.failed for run in runs):,}",
        "" if label in (CONTROL, HAND) else times(hand, _longest(runs)),
    )
