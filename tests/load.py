"""Load on a table like kid_absences, from a process of its own: writers, readers, and one long report.

Every statement is timed from the moment it was due, so that waiting in line behind a stalled one counts. One thread
serves all sessions: what is measured is the server's, not a Python thread's turn. The process ends when its standard
input closes, and so with whoever started it: `python -m tests.load JSON`.
"""

from __future__ import annotations

import json
import math
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import extensions
from psycopg2.extras import wait_select

from core.postgres.connection import parse_url

ROOT = Path(__file__).parents[1]
LONGEST_S = 180.0
"""How long it goes on where nobody stops it."""
LAST_S = 30.0
"""How long a statement under way may take to end once it is stopped."""
KEPT = 5
"""How many of the failures are told in their own words."""


@dataclass(frozen=True, slots=True)
class Load:
    """Who does what, on which table; writers write the current year, readers read it and the whole table."""

    url: str
    table: str = "public.kid_absences"
    """Quoted, as SQL takes it."""
    year: int = 2026
    series: int = 1
    """Which kids are written: two loads with different numbers write different rows."""
    writers: int = 8
    readers: int = 4
    per_second: float = 400.0
    """Statements of all writers and readers together."""
    report_after_s: float = 0.5
    report_s: float = 0.0
    """How long the report holds its transaction; 0 for no report."""
    report_gap_s: float = 0.0
    """How long until the next report; 0 for one report only."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it; times are in milliseconds."""

    statements: int
    written: int
    """Rows whose INSERT was acknowledged."""
    failed: int
    failures: tuple[str, ...]
    """The first of them."""
    writer_ms: float
    """The longest that a writer waited, from when its statement was due."""
    reader_ms: float
    p99_ms: float
    reports: int
    """How many reports were read to their end."""

    @property
    def longest_ms(self) -> float:
        """The longest wait of any statement of the writers and readers."""
        return max(self.writer_ms, self.reader_ms)


class Running:
    """A load that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._expect("ready")

    def await_report(self) -> None:
        """Returns when the first report has read and holds its locks."""
        self._expect("report")

    def stop(self) -> Measured:
        """Lets every statement under way end, and returns what was measured."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        found = self._expect("measured")
        return Measured(**{**found, "failures": tuple(found["failures"])})

    def _expect(self, what: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if what in said:
                found: dict[str, Any] = said[what]
                return found
        raise AssertionError(f"the load ended with {self._process.wait()} before it said {what}")


@contextmanager
def running(load: Load) -> Iterator[Running]:
    """Runs the load meanwhile, once every session is connected."""
    command = [sys.executable, "-m", "tests.load", json.dumps(asdict(load))]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


# --- in the process of its own ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Statement:
    due: float
    sql: str
    by: str
    """writer, reader or report."""


def _due(load: Load, number: int, start: float) -> Iterator[float]:
    """When session `number` has a statement to send: evenly, and never two sessions at once."""
    sessions = load.writers + load.readers
    count = 0
    while True:
        yield start + (count * sessions + number) / load.per_second
        count += 1


def _writes(load: Load, number: int, start: float) -> Iterator[_Statement]:
    first = load.series * 10**10 + number * 10**8
    for count, due in enumerate(_due(load, number, start)):
        day = date(load.year, 1, 1) + timedelta(days=count % 365)
        values = f"{first + count}, '{day}', 'written under load'"
        yield _Statement(due, f"INSERT INTO {load.table} (kid_id, date, reason) VALUES ({values})", "writer")


def _reads(load: Load, number: int, start: float) -> Iterator[_Statement]:
    """Mostly a few days of the current year; one in ten asks every partition for a kid."""
    for count, due in enumerate(_due(load, number, start)):
        day = date(load.year, 1, 1) + timedelta(days=count % 360)
        condition = f"date >= '{day}' AND date < '{day + timedelta(days=2)}'"
        if count % 10 == 9:
            condition = f"kid_id = {1 + count % 1000}"
        yield _Statement(due, f"SELECT count(*) FROM {load.table} WHERE {condition}", "reader")


def _reports(load: Load, start: float) -> Iterator[_Statement]:
    """A transaction that reads every partition and stays open."""
    due = start + load.report_after_s
    while True:
        yield _Statement(due, f"BEGIN; SELECT count(*) FROM {load.table}", "report")
        yield _Statement(time.monotonic() + load.report_s, "COMMIT", "end")
        if not load.report_gap_s:
            return
        due = time.monotonic() + load.report_gap_s


class _Session:
    """A connection that sends one statement after another, each when it is due."""

    def __init__(self, load: Load) -> None:
        self.connection: extensions.connection = psycopg2.connect(
            parse_url(load.url).set(drivername="postgresql").render_as_string(hide_password=False),
            async_=True,
            application_name="load",
            options="-c synchronous_commit=off",
        )
        wait_select(self.connection)
        self._cursor = self.connection.cursor()
        self._statements: Iterator[_Statement] = iter(())
        self.next: _Statement | None = None
        self.under_way: _Statement | None = None

    def begin(self, statements: Iterator[_Statement]) -> None:
        self._statements = statements
        self.next = next(statements, None)

    def send(self) -> None:
        assert self.next is not None
        self.under_way = self.next
        self._cursor.execute(self.under_way.sql)

    def ended(self) -> _Statement | None:
        """The statement that was under way, if it has ended. Raises what the server said against it."""
        found = self.under_way
        if found is None or self.connection.poll() != extensions.POLL_OK:
            return None
        return found

    def go_on(self) -> None:
        self.under_way = None
        self.next = None if self.connection.closed else next(self._statements, None)


class _Tally:
    def __init__(self) -> None:
        self.waits: dict[str, list[float]] = {"writer": [], "reader": []}
        self.written = 0
        self.reports = 0
        self.failed: list[str] = []

    def ended(self, statement: _Statement, error: psycopg2.Error | None) -> None:
        if statement.by in self.waits:
            self.waits[statement.by].append((time.monotonic() - statement.due) * 1000)
        if error is not None:
            self.failed.append(f"{statement.by}: {str(error).strip()} [{statement.sql[:120]}]")
            return
        self.written += statement.by == "writer"
        self.reports += statement.by == "end"
        if statement.by == "report":
            _say(report={})

    def measured(self) -> Measured:
        waits = sorted(wait for found in self.waits.values() for wait in found)
        return Measured(
            statements=len(waits),
            written=self.written,
            failed=len(self.failed),
            failures=tuple(self.failed[:KEPT]),
            writer_ms=max(self.waits["writer"], default=0.0),
            reader_ms=max(self.waits["reader"], default=0.0),
            p99_ms=waits[int(len(waits) * 0.99)] if waits else 0.0,
            reports=self.reports,
        )


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def _run(load: Load) -> Measured:
    sessions = [_Session(load) for _ in range(load.writers + load.readers)]
    report = _Session(load) if load.report_s else None
    start = time.monotonic() + 0.1
    for number, session in enumerate(sessions):
        session.begin((_writes if number < load.writers else _reads)(load, number, start))
    if report is not None:
        report.begin(_reports(load, start))
        sessions.append(report)
    _say(ready={})
    tally = _Tally()
    give_up = start + LONGEST_S
    stopped = False
    while any(session.under_way for session in sessions) or not stopped:
        if not stopped:
            _send_what_is_due(sessions)
        stdin = _wait(sessions, stopped)
        for session in sessions:
            _receive(session, tally)
        if time.monotonic() > give_up:
            raise SystemExit(f"stopped by itself after {LONGEST_S + (LAST_S if stopped else 0):.0f} s")
        if stdin and not stopped:
            stopped, give_up = True, time.monotonic() + LAST_S
    for session in sessions:
        session.connection.close()
    return tally.measured()


def _send_what_is_due(sessions: list[_Session]) -> None:
    for session in sessions:
        if session.under_way is None and session.next is not None and session.next.due <= time.monotonic():
            session.send()


def _wait(sessions: list[_Session], stopped: bool) -> bool:
    """Waits for an answer or until the next statement is due; returns whether standard input has closed."""
    busy = [session.connection for session in sessions if session.under_way is not None]
    due = min((s.next.due for s in sessions if s.under_way is None and s.next is not None), default=math.inf)
    pause = 1.0 if stopped else min(1.0, max(0.0, due - time.monotonic()))
    readable, _, _ = select.select([*busy, *([] if stopped else [sys.stdin])], [], [], pause)
    return sys.stdin in readable


def _receive(session: _Session, tally: _Tally) -> None:
    statement = session.under_way
    if statement is None:
        return
    error = None
    try:
        if session.ended() is None:
            return
    except psycopg2.Error as found:
        error = found
    tally.ended(statement, error)
    session.go_on()


if __name__ == "__main__":
    measured = _run(Load(**json.loads(sys.argv[1])))
    _say(measured=asdict(measured))
