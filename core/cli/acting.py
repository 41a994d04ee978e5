"""What every command of the command line works with: the database it looks at, how it acts, and how it speaks."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import URL, Engine

from core.backups.storage import ColdStorage
from core.cli.output.acts import operation_json, outcome, script
from core.console.actor import Actor, Origin, Role, system_user
from core.console.execute import Budget, Cancellation
from core.console.journal import OperationRecord
from core.errors import DeskError, Failed, PlanOutdated, UsageError
from core.period import Range
from core.plans.plan import Plan
from core.plans.steps import require_served
from core.postgres import connection
from core.postgres.embedded import running_server
from core.settings import Settings, read_settings
from core.tables.catalog.table import read_table
from core.tables.model import PartitionedTable
from core.text import NBSP, Json, shown

PLANNED_AGAIN = 5
"""How often an act is planned anew because the table changed before it was begun."""
LOOK_S = 0.2
"""How long Ctrl-C may go unnoticed."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What every command works with."""

    settings: Settings
    table: str
    """As it was typed, or PARTITION_DESK_TABLE."""
    url: URL
    embedded: bool
    reading: Engine
    working: Engine
    interrupted: threading.Event
    """Ctrl-C was pressed."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def zone(self) -> str:
        """The application's time zone."""
        return self.settings.time_zone

    @property
    def today(self) -> date:
        """The date there."""
        return self.now.astimezone(ZoneInfo(self.zone)).date()

    @property
    def cold(self) -> ColdStorage:
        """Where backups are kept."""
        return ColdStorage(self.settings.backup_url, self.settings.home, os.environ)

    @property
    def budget(self) -> Budget:
        """How long an operation may hold others up, and wait itself."""
        return Budget(self.settings.lock_budget_ms, self.settings.patience_s)

    def read(self) -> PartitionedTable:
        """The table as it is now."""
        return read_table(self.reading, self.table, archive_schema=self.settings.archive_schema)


@contextmanager
def opened(table: str | None, interrupted: threading.Event) -> Iterator[Desk]:
    """The database of a command, its engines closed afterwards; the embedded one is started where none is named."""
    settings = read_settings()
    with ExitStack() as stack:
        if settings.database_url is None:
            say(f"Using the embedded database in {settings.home}.")
            url = connection.parse_url(stack.enter_context(running_server(settings.home)))
        else:
            url = connection.parse_url(settings.database_url)
        reading, working = connection.reading_engine(url), connection.working_engine(url)
        stack.callback(reading.dispose)
        stack.callback(working.dispose)
        embedded = settings.database_url is None
        yield Desk(settings, table or settings.table, url, embedded, reading, working, interrupted)


def named_argument(
    table: PartitionedTable,
    year: Range | None,
    partition: str | None,
    chosen: Callable[[PartitionedTable, date, date, str], str],
    zone: str,
) -> str:
    """What means the partition that was typed, or the one of the year that was, and no other. Raises AmbiguousName."""
    if partition is not None:
        one = table.find(partition) or table.find_archived(partition)
        return partition if one is None else table.called(one)
    if year is None:
        raise UsageError("Which partition?", next="Name it with --year or --partition.")
    return chosen(table, *year, zone)


# Acting and speaking ----------------------------------------------------------------------------------------------


def act(
    desk: Desk, prepare: Callable[[PartitionedTable], Plan], *, reason: str, dry_run: bool, as_json: bool = False
) -> Plan:
    """Plans and runs, or prints; plans anew while others change the table before it is begun."""
    for again in reversed(range(PLANNED_AGAIN)):
        table = desk.read()
        require_served(table)
        plan = prepare(table)
        try:
            run_plan(desk, plan, reason=reason, dry_run=dry_run, as_json=as_json)
        except PlanOutdated:
            if not again:
                raise
            continue
        return plan
    raise AssertionError("unreachable")


def run_plan(
    desk: Desk,
    plan: Plan,
    *,
    reason: str,
    dry_run: bool,
    as_json: bool = False,
    actor: Actor | None = None,
    quiet: bool = False,
) -> Json:
    """Runs one plan and prints how it ended, or only prints it for a dry run.

    Returns what is printed as JSON; `quiet` leaves the printing to the caller.
    """
    told: Json
    if dry_run:
        told = {"dry_run": True, "plan": json.loads(plan.to_json())}
        text = script(plan)
    else:
        done = _run(desk, plan, actor or Actor(system_user(), Role.ADMIN, Origin.COMMAND_LINE), reason)
        plan = done.plan if done else plan  # the same was under way already, and was followed
        told = {"dry_run": False, "operation": operation_json(done) if done else None, "backup": plan.backup or None}
        text = outcome(plan, done, connection.place(desk.url))
    if not quiet:
        if as_json:
            put_json(told)
        else:
            put(text)
    return told


def _run(desk: Desk, plan: Plan, actor: Actor, reason: str) -> OperationRecord | None:
    """Runs the plan in a thread: the driver, while it waits for the server, does not hear Ctrl-C."""
    from core.console import worker

    ended: list[OperationRecord | None] = []
    failed: list[DeskError] = []
    over = threading.Event()
    cancellation = Cancellation()

    def work() -> None:
        try:
            ended.append(
                worker.run_now(
                    desk.working,
                    plan,
                    actor,
                    reason,
                    budget=desk.budget,
                    archive_schema=desk.settings.archive_schema,
                    cold=desk.cold,
                    cancellation=cancellation,
                    progress=worker.printer(say),
                )
            )
        except DeskError as error:
            failed.append(error)
        finally:
            over.set()

    threading.Thread(target=work, daemon=True, name="partitions-operation").start()
    # Thread.join() takes a thread for ended once it was interrupted (bpo-45274)
    while not over.is_set():
        try:
            over.wait(LOOK_S)
        except KeyboardInterrupt:
            if desk.interrupted.is_set():
                say("Left at once. The server may still be at its last statement: partitions history tells.")
                raise
            desk.interrupted.set()
            cancellation.request()
            say("Stopping. Ctrl-C again leaves at once.")
    if failed:
        raise failed[0]
    if not ended:
        raise Failed("The operation ended by a fault of this program.", safe="partitions history tells what was done.")
    return ended[0]


def put(text: str) -> None:
    """Writes a result to standard output."""
    print(text.replace(NBSP, " "))


def put_json(value: Json) -> None:
    """Writes a result as JSON to standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """Writes one line to standard error, and never fails for nobody listening: an operation may be under way."""
    with suppress(OSError, ValueError):
        print(shown(text), file=sys.stderr, flush=True)


def forget_stdout() -> None:
    """Lets the interpreter end without another complaint about the closed pipe."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
