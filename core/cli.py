"""The command line: one command for each operation and each reader, for people and for cron.

Exit status: 0 done, also when there was nothing to do; 1 refused or failed, with one message on standard error;
2 wrong usage; 130 stopped by Ctrl-C. Results go to standard output, everything said meanwhile to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.metadata import version
from io import TextIOWrapper
from zoneinfo import ZoneInfo

from sqlalchemy import URL, Engine
from sqlalchemy.exc import DBAPIError

from core import database, jobs, journal
from core.actor import Actor, Origin, Role, system_user
from core.catalog import count_all_default_rows, read_table
from core.ddl import require_served
from core.doctor import examine
from core.embedded import running_server
from core.errors import DeskError, Failed, PlanOutdated, Refused, TableNotFound, UsageError
from core.execute import Budget, Cancellation
from core.find import find_rows
from core.journal import OperationRecord
from core.model import (
    PartitionedTable,
    next_periods,
)
from core.names import address, split_qualified
from core.plan import Plan
from core.prepare import (
    archived_in,
    partition_in,
    prepare_archive,
    prepare_ensure,
    prepare_reattach,
    year_range,
)
from core.printed import (
    Json,
    finding_json,
    findings_text,
    found_json,
    found_text,
    history_text,
    next_steps,
    operation_json,
    outcome,
    script,
    shown,
    status_json,
    status_text,
)
from core.settings import Settings, read_settings
from core.text import NBSP

MOST_AHEAD = 1000
"""The most periods that are created ahead at once."""
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

    def read(self) -> PartitionedTable:
        """The table as it is now."""
        return read_table(self.reading, self.table, archive_schema=self.settings.archive_schema)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    interrupted = threading.Event()
    try:
        args = _parser().parse_args(argv)
        with _opened(args, interrupted) as desk:
            status: int = args.run(desk, args)
            sys.stdout.flush()
    except UsageError as error:
        _say(str(error))
        return 2
    except DeskError as error:
        _say(str(error))
        return 130 if interrupted.is_set() else 1
    except DBAPIError as error:
        _say(str(database.translate(error)))
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _forget_stdout()
        return 0  # whoever read has read enough
    return status


@contextmanager
def _opened(args: argparse.Namespace, interrupted: threading.Event) -> Iterator[Desk]:
    settings = read_settings()
    with ExitStack() as stack:
        if settings.database_url is None:
            _say(f"Using the embedded database in {settings.home}.")
            url = database.parse_url(stack.enter_context(running_server(settings.home)))
        else:
            url = database.parse_url(settings.database_url)
        reading, working = database.reading_engine(url), database.working_engine(url)
        stack.callback(reading.dispose)
        stack.callback(working.dispose)
        embedded = settings.database_url is None
        yield Desk(settings, args.table or settings.table, url, embedded, reading, working, interrupted)


# What is typed ---------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="partitions",
        description="Sees after date-partitioned PostgreSQL tables: which partitions there are, creating them ahead,"
        " archiving them and bringing them back.",
        epilog="The database is DATABASE_URL; without it, the embedded one. Exit status: 0 done or nothing to do,"
        " 1 refused or failed, 2 wrong usage, 130 stopped by Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"partitions {version('partition-desk')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_readers(commands)
    _add_acts(commands)
    return parser


_STATUS_JSON = """\
--json gives one object: database, server_version, table, key (the column; null where the table is only shown here),
as_of, runway_days (null where it never ends, or the table is only shown), partitions and gaps. Dates are ISO 8601;
a lower or upper of null is unbounded, and bytes are null where somebody holds the partition exclusively. Archived
tables are among the partitions. Gaps are ranges between the first and the last partition that neither a partition nor
an archived table explains."""


def _add_readers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    status = _command(commands, "status", _status, "show the partitions, archived ones too, and how long they last")
    status.epilog = _STATUS_JSON
    _command(commands, "doctor", _doctor, "check everything that can be wrong, with the reason and the remedy")
    find = _command(commands, "find", _find, "tell where the rows of a date are")
    find.add_argument("--date", required=True, metavar="D", type=_date, help="the date, as 2025-03-14")
    kid_id = _number("The kid id", -(2**63), 2**63 - 1)
    find.add_argument("--kid-id", metavar="N", type=kid_id, help="only the rows of this kid")
    history = _command(commands, "history", _history, "list what was done, newest first; of all tables without --table")
    limit = _number("The limit", 1, 100_000)
    history.add_argument("--limit", metavar="N", type=limit, default=20, help="how many (default 20)")
    for reader in (status, find, history, commands.choices["doctor"]):
        reader.add_argument("--json", action="store_true", help="print JSON instead")


def _add_acts(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ensure = _command(commands, "ensure", _ensure, "create the partitions that are missing: this period and the next")
    ensure.add_argument(
        "--year",
        metavar="Y",
        type=year_range,
        nargs="+",
        action="extend",
        default=[],
        help="these years, and no others",
    )
    ahead = _number("The number of periods ahead", 0, MOST_AHEAD)
    ensure.add_argument("--ahead", metavar="N", type=ahead, help="the current period and N more (default 1)")
    archive = _command(commands, "archive", _archive, "detach a partition and move it to the archive schema")
    archive.add_argument("--allow-current", action="store_true", help="also where its dates are not over yet")
    reattach = _command(commands, "reattach", _reattach, "bring an archived partition back")
    for act in (archive, reattach):
        which = act.add_mutually_exclusive_group(required=True)
        which.add_argument("--year", metavar="Y", type=year_range, help="the partition of this year")
        which.add_argument("--partition", metavar="NAME", type=_text, help="the partition of this name")
    for act in (ensure, archive, reattach):
        act.add_argument("--reason", metavar="TEXT", type=_text, default="", help="why, for the history")
    cancel = _command(commands, "cancel", _cancel, "ask a queued or running operation to stop")
    number = _number("The operation", 1, 2**63 - 1)
    cancel.add_argument("id", metavar="ID", type=number, help="its number, as partitions history shows it")
    for act in (ensure, archive, reattach, cancel):
        act.add_argument("--dry-run", action="store_true", help="print the SQL and change nothing")


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[Desk, argparse.Namespace], int],
    does: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.", allow_abbrev=False)
    parser.add_argument(
        "--table",
        metavar="[SCHEMA.]NAME",
        type=_table,
        help="the table (default kid_absences, or PARTITION_DESK_TABLE)",
    )
    parser.set_defaults(run=run)
    return parser


def _text(argument: str) -> str:
    """Refuses bytes that are no text: PostgreSQL would refuse them later, and less clearly."""
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{argument.encode(errors='backslashreplace').decode()} is not text in UTF-8.") from error
    return argument


def _table(argument: str) -> str:
    split_qualified(_text(argument))
    return argument


def _number(what: str, least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers between the two."""

    def read(argument: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", argument) or not least <= int(argument) <= most:
            raise UsageError(f"{what} is {argument!r}, which is not a whole number from {least} to {most}.")
        return int(argument)

    return read


def _date(argument: str) -> date:
    try:
        return datetime.strptime(argument, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise UsageError(f"{argument!r} is not a date.", next="Write it as 2025-03-14.") from error


# Readers ---------------------------------------------------------------------------------------------------------


def _status(desk: Desk, args: argparse.Namespace) -> int:
    table = desk.read()
    if args.json:
        _print_json(status_json(table, desk.today, desk.zone))
    else:
        _print(status_text(table, desk.today, desk.zone, database.place(desk.url)))
    return 0


def _doctor(desk: Desk, args: argparse.Namespace) -> int:
    table = desk.read()
    findings = examine(
        table,
        today=desk.today,
        now=desk.now,
        cutoff=desk.settings.archive_after.before(desk.today),
        automatic_creation=desk.settings.enable_absence_partitions,
        default_rows=count_all_default_rows(desk.reading, table),
        zone=desk.zone,
    )
    if args.json:
        _print_json({"table": table.address, "findings": [finding_json(finding) for finding in findings]})
    else:
        _print(findings_text(table, findings))
    return 0


def _find(desk: Desk, args: argparse.Namespace) -> int:
    found = find_rows(desk.reading, desk.read(), args.date, args.kid_id, zone=desk.zone)
    if args.json:
        _print_json(found_json(found))
    else:
        _print(found_text(found))
    return 0


def _history(desk: Desk, args: argparse.Namespace) -> int:
    table = None if args.table is None else _address(desk)
    operations = journal.read_operations(desk.reading, table=table, limit=args.limit)
    if args.json:
        _print_json({"operations": [operation_json(operation) for operation in operations]})
    else:
        _print(history_text(operations))
    return 0


def _address(desk: Desk) -> str:
    """The address of the table; what a table that is gone had done with it can still be asked for."""
    schema, name = split_qualified(desk.table)
    if schema is not None:
        return address(schema, name)
    try:
        return desk.read().address
    except TableNotFound:
        return address("public", name)


# Acts ------------------------------------------------------------------------------------------------------------


def _ensure(desk: Desk, args: argparse.Namespace) -> int:
    def prepare(table: PartitionedTable) -> Plan:
        period = table.period(desk.zone)
        ranges = [part for year in args.year for part in period.cover(*year)]
        if args.ahead is not None or not args.year:
            ranges += next_periods(table, desk.today, 1 if args.ahead is None else args.ahead, desk.zone)
        return prepare_ensure(desk.reading, table, dict.fromkeys(ranges), zone=desk.zone)

    _act(desk, args, prepare)
    return 0


def _archive(desk: Desk, args: argparse.Namespace) -> int:
    def prepare(table: PartitionedTable) -> Plan:
        name = _named(args, table, partition_in, desk.zone)
        return prepare_archive(table, name, now=desk.now, zone=desk.zone, allow_current=args.allow_current)

    plan = _act(desk, args, prepare)
    if not args.dry_run:
        _print(next_steps(plan, desk.settings.archive_schema, desk.url, embedded=desk.embedded))
    return 0


def _reattach(desk: Desk, args: argparse.Namespace) -> int:
    def prepare(table: PartitionedTable) -> Plan:
        name = _named(args, table, archived_in, desk.zone)
        return prepare_reattach(desk.reading, table, name)

    _act(desk, args, prepare)
    return 0


def _named(
    args: argparse.Namespace,
    table: PartitionedTable,
    choose: Callable[[PartitionedTable, date, date, str], str],
    zone: str,
) -> str:
    """The partition's name as it was typed, or the one of the year that was."""
    if args.partition is not None:
        return str(args.partition)
    lower, upper = args.year
    return choose(table, lower, upper, zone)


def _cancel(desk: Desk, args: argparse.Namespace) -> int:
    operation = journal.read_operation(desk.reading, args.id)
    if operation is None:
        raise Refused(f"There is no operation {args.id}.", next="Look for its number: partitions history.")
    what = f"operation {operation.id}, {operation.kind} {operation.subject}"
    if not operation.state.active:
        _print(f"Nothing to do: {what}, is {operation.state} already.")
    elif args.dry_run:
        _print(f"-- Would ask to stop: {shown(what)}, {operation.state}.")
    else:
        journal.request_cancel(desk.working, operation.id)
        _print(f"Asked to stop: {what}. partitions history tells how it ended.")
    return 0


def _act(desk: Desk, args: argparse.Namespace, prepare: Callable[[PartitionedTable], Plan]) -> Plan:
    """Plans and runs, or prints; plans anew while others change the table before it is begun."""
    for again in reversed(range(PLANNED_AGAIN)):
        table = desk.read()
        require_served(table)
        plan = prepare(table)
        if args.dry_run:
            _print(script(plan))
            return plan
        try:
            done = _run(desk, plan, args.reason)
        except PlanOutdated:
            if not again:
                raise
            continue
        _print(outcome(plan, done, database.place(desk.url)))
        return plan
    raise AssertionError("unreachable")


def _run(desk: Desk, plan: Plan, reason: str) -> OperationRecord | None:
    """Runs the plan in a thread: the driver, while it waits for the server, does not hear Ctrl-C."""
    actor = Actor(system_user(), Role.ADMIN, Origin.COMMAND_LINE)
    ended: list[OperationRecord | None] = []
    failed: list[DeskError] = []
    over = threading.Event()
    cancellation = Cancellation()

    def work() -> None:
        try:
            ended.append(
                jobs.run_now(
                    desk.working,
                    plan,
                    actor,
                    reason,
                    budget=Budget(desk.settings.lock_budget_ms, desk.settings.patience_s),
                    archive_schema=desk.settings.archive_schema,
                    cancellation=cancellation,
                    progress=jobs.printer(_say),
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
                _say("Left at once. The server may still be at its last statement: partitions history tells.")
                raise
            desk.interrupted.set()
            cancellation.request()
            _say("Stopping. Ctrl-C again leaves at once.")
    if failed:
        raise failed[0]
    if not ended:
        raise Failed("The operation ended by a fault of this program.", safe="partitions history tells what was done.")
    return ended[0]


def _print(text: str) -> None:
    print(text.replace(NBSP, " "))


def _print_json(value: Json) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _say(text: str) -> None:
    """Writes one line to standard error, and never fails for nobody listening: an operation may be under way."""
    with suppress(OSError, ValueError):
        print(shown(text), file=sys.stderr, flush=True)


def _forget_stdout() -> None:
    """Lets the interpreter end without another complaint about the closed pipe."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
