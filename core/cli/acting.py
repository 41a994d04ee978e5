"""What every command of the command line works with: the database it looks at, how it acts, and how it speaks."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import URL, Engine

from core.backups.storage import StorageSettings
from core.cli.printed import operation_json, outcome, script
from core.console import worker
from core.console.actor import Actor, Origin, Role, system_user
from core.console.execute import Budget, Cancellation
from core.console.journal import OperationRecord
from core.errors import DeskError, Failed, PlanOutdated, UsageError
from core.names import split_qualified
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
    def cold(self) -> StorageSettings:
        """Where backups are kept."""
        return StorageSettings(self.settings.backup_url, self.settings.home, os.environ)

    @property
    def budget(self) -> Budget:
        """How long an operation may hold others up, and wait itself."""
        return Budget(self.settings.lock_budget_ms, self.settings.patience_s)

    def read(self) -> PartitionedTable:
        """The table as it is now."""
        return read_table(self.reading, self.table, archive_schema=self.settings.archive_schema)


@contextmanager
def opened(args: argparse.Namespace, interrupted: threading.Event) -> Iterator[Desk]:
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
        yield Desk(settings, args.table or settings.table, url, embedded, reading, working, interrupted)


# What is typed ---------------------------------------------------------------------------------------------------


def command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[Desk, argparse.Namespace], int],
    does: str,
) -> argparse.ArgumentParser:
    """A command's parser, with the option that every one has."""
    parser = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.", allow_abbrev=False)
    parser.add_argument(
        "--table",
        metavar="[SCHEMA.]NAME",
        type=table_argument,
        help="the table (default kid_absences, or PARTITION_DESK_TABLE)",
    )
    parser.set_defaults(run=run)
    return parser


def text_argument(argument: str) -> str:
    """Refuses bytes that are no text: PostgreSQL would refuse them later, and less clearly."""
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{argument.encode(errors='backslashreplace').decode()} is not text in UTF-8.") from error
    return argument


def table_argument(argument: str) -> str:
    """A table's name that can be read."""
    split_qualified(text_argument(argument))
    return argument


def number_argument(what: str, least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers between the two."""

    def read(argument: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", argument) or not least <= int(argument) <= most:
            raise UsageError(f"{what} is {argument!r}, which is not a whole number from {least} to {most}.")
        return int(argument)

    return read


def date_argument(argument: str) -> date:
    """A date as 2025-03-14."""
    try:
        return datetime.strptime(argument, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise UsageError(f"{argument!r} is not a date.", next="Write it as 2025-03-14.") from error


def named_argument(
    args: argparse.Namespace,
    table: PartitionedTable,
    chosen: Callable[[PartitionedTable, date, date, str], str],
    zone: str,
) -> str:
    """What means the partition that was typed, or the one of the year that was, and no other. Raises AmbiguousName."""
    if args.partition is not None:
        typed = str(args.partition)
        one = table.find(typed) or table.find_archived(typed)
        return typed if one is None else table.called(one)
    lower, upper = args.year
    return chosen(table, lower, upper, zone)


# Acting and speaking ----------------------------------------------------------------------------------------------


def act(desk: Desk, args: argparse.Namespace, prepare: Callable[[PartitionedTable], Plan]) -> Plan:
    """Plans and runs, or prints; plans anew while others change the table before it is begun."""
    for again in reversed(range(PLANNED_AGAIN)):
        table = desk.read()
        require_served(table)
        plan = prepare(table)
        try:
            run_plan(desk, args, plan)
        except PlanOutdated:
            if not again:
                raise
            continue
        return plan
    raise AssertionError("unreachable")


def run_plan(
    desk: Desk,
    args: argparse.Namespace,
    plan: Plan,
    *,
    actor: Actor | None = None,
    reason: str = "",
    quiet: bool = False,
) -> Json:
    """Runs one plan and prints how it ended, or only prints it for a dry run.

    Returns what is printed as JSON; `quiet` leaves the printing to the caller.
    """
    told: Json
    if args.dry_run:
        told = {"dry_run": True, "plan": json.loads(plan.to_json())}
        text = script(plan)
    else:
        done = _run(desk, plan, actor or Actor(system_user(), Role.ADMIN, Origin.COMMAND_LINE), reason or args.reason)
        plan = done.plan if done else plan  # the same was under way already, and was followed
        told = {"dry_run": False, "operation": operation_json(done) if done else None, "backup": plan.backup or None}
        text = outcome(plan, done, connection.place(desk.url))
    if not quiet:
        if getattr(args, "json", False):
            put_json(told)
        else:
            put(text)
    return told


def _run(desk: Desk, plan: Plan, actor: Actor, reason: str) -> OperationRecord | None:
    """Runs the plan in a thread: the driver, while it waits for the server, does not hear Ctrl-C."""
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
