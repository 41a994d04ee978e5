"""The command line: one command for each operation and each reader, for people and for cron.

Exit status: 0 done, also when there was nothing to do; 1 refused or failed, with one message on standard error;
2 wrong usage; 130 stopped by Ctrl-C. Results go to standard output, everything said meanwhile to standard error.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper

from sqlalchemy.exc import DBAPIError

from core.backups.kept import read_backups
from core.cli import backups, growth
from core.cli.acting import (
    Desk,
    act,
    command,
    date_argument,
    forget_stdout,
    named_argument,
    number_argument,
    opened,
    put,
    put_json,
    say,
    text_argument,
)
from core.cli.printed import (
    finding_json,
    findings_text,
    found_json,
    found_text,
    history_text,
    next_steps,
    operation_json,
    status_json,
    status_text,
)
from core.console import journal
from core.console.prepare import (
    archived_in,
    partition_in,
    prepare_archive,
    prepare_ensure,
    prepare_reattach,
    year_range,
)
from core.doctor.examine import examine
from core.errors import DeskError, OffCalendar, Refused, TableNotFound, UsageError
from core.names import address, split_qualified
from core.plans.plan import Plan
from core.postgres import connection
from core.tables.catalog.table import count_all_default_rows
from core.tables.find import find_rows
from core.tables.model import PartitionedTable, next_periods
from core.text import shown

MOST_AHEAD = 1000
"""The most periods that are created ahead at once."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    interrupted = threading.Event()
    try:
        args = _parser().parse_args(argv)
        with opened(args, interrupted) as desk:
            status: int = args.run(desk, args)
            sys.stdout.flush()
    except UsageError as error:
        say(str(error))
        return 2
    except DeskError as error:
        say(str(error))
        return 130 if interrupted.is_set() else 1
    except DBAPIError as error:
        say(str(connection.translate(error)))
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        forget_stdout()
        return 0  # whoever read has read enough
    return status


# What is typed ---------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="partitions",
        description="Sees after date-partitioned PostgreSQL tables: which partitions there are, creating them ahead,"
        " archiving them, backing them up with proof, dropping them, and bringing them back.",
        epilog="The database is DATABASE_URL; without it, the embedded one. Exit status: 0 done or nothing to do,"
        " 1 refused or failed, 2 wrong usage, 130 stopped by Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"partitions {version('partition-desk')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_readers(commands)
    _add_acts(commands)
    backups.add(commands)
    growth.add(commands)
    return parser


_STATUS_JSON = """\
--json gives one object: database, server_version, table, key (the column; null where the table is only shown here),
as_of, runway_days (null where it never ends, or the table is only shown), partitions and gaps. Dates are ISO 8601;
a lower or upper of null is unbounded, and bytes are null where somebody holds the partition exclusively. Archived
tables are among the partitions. Gaps are ranges between the first and the last partition that neither a partition nor
an archived table explains."""


def _add_readers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    status = command(commands, "status", _status, "show the partitions, archived ones too, and how long they last")
    status.epilog = _STATUS_JSON
    command(commands, "doctor", _doctor, "check everything that can be wrong, with the reason and the remedy")
    find = command(commands, "find", _find, "tell where the rows of a date are")
    find.add_argument("--date", required=True, metavar="D", type=date_argument, help="the date, as 2025-03-14")
    kid_id = number_argument("The kid id", -(2**63), 2**63 - 1)
    find.add_argument("--kid-id", metavar="N", type=kid_id, help="only the rows of this kid")
    history = command(commands, "history", _history, "list what was done, newest first; of all tables without --table")
    limit = number_argument("The limit", 1, 100_000)
    history.add_argument("--limit", metavar="N", type=limit, default=20, help="how many (default 20)")
    for reader in (status, find, history, commands.choices["doctor"]):
        reader.add_argument("--json", action="store_true", help="print JSON instead")


def _add_acts(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ensure = command(commands, "ensure", _ensure, "create the partitions that are missing: this period and the next")
    ensure.add_argument(
        "--year",
        metavar="Y",
        type=year_range,
        nargs="+",
        action="extend",
        default=[],
        help="these years, and no others",
    )
    ahead = number_argument("The number of periods ahead", 0, MOST_AHEAD)
    ensure.add_argument("--ahead", metavar="N", type=ahead, help="the current period and N more (default 1)")
    archive = command(commands, "archive", _archive, "detach a partition and move it to the archive schema")
    archive.add_argument("--allow-current", action="store_true", help="also where its dates are not over yet")
    reattach = command(commands, "reattach", _reattach, "bring an archived partition back")
    for one in (archive, reattach):
        which = one.add_mutually_exclusive_group(required=True)
        which.add_argument("--year", metavar="Y", type=year_range, help="the partition of this year")
        which.add_argument(
            "--partition", metavar="[SCHEMA.]NAME", type=text_argument, help="the partition of this name"
        )
    for one in (ensure, archive, reattach):
        one.add_argument("--reason", metavar="TEXT", type=text_argument, default="", help="why, for the history")
    cancel = command(commands, "cancel", _cancel, "ask a queued or running operation to stop")
    number = number_argument("The operation", 1, 2**63 - 1)
    cancel.add_argument("id", metavar="ID", type=number, help="its number, as partitions history shows it")
    for one in (ensure, archive, reattach, cancel):
        one.add_argument("--dry-run", action="store_true", help="print the SQL and change nothing")


# Readers ---------------------------------------------------------------------------------------------------------


def _status(desk: Desk, args: argparse.Namespace) -> int:
    table = desk.read()
    if args.json:
        put_json(status_json(table, desk.today, desk.zone))
    else:
        put(status_text(table, desk.today, desk.zone, connection.place(desk.url)))
    return 0


def _doctor(desk: Desk, args: argparse.Namespace) -> int:
    table = desk.read()
    backups = read_backups(desk.cold, table.address, table.server)
    findings = examine(
        table,
        today=desk.today,
        now=desk.now,
        cutoff=desk.settings.archive_after.before(desk.today),
        automatic_creation=desk.settings.enable_absence_partitions,
        default_rows=count_all_default_rows(desk.reading, table),
        zone=desk.zone,
        verify_before=desk.settings.verify_every.before(desk.today),
        kept=backups.kept,
        unusable=backups.unusable,
        backups_unread=str(backups.unread or ""),
    )
    if args.json:
        put_json({"table": table.address, "findings": [finding_json(finding) for finding in findings]})
    else:
        put(findings_text(table, findings))
    return 0


def _find(desk: Desk, args: argparse.Namespace) -> int:
    found = find_rows(desk.reading, desk.read(), args.date, args.kid_id, zone=desk.zone)
    if args.json:
        put_json(found_json(found))
    else:
        put(found_text(found))
    return 0


def _history(desk: Desk, args: argparse.Namespace) -> int:
    table = None if args.table is None else _address(desk)
    operations = journal.read_operations(desk.reading, table=table, limit=args.limit)
    if args.json:
        put_json({"operations": [operation_json(operation) for operation in operations]})
    else:
        put(history_text(operations))
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
        if not args.year and not table.is_cut and table.name != split_qualified(desk.settings.table)[1]:
            raise OffCalendar(
                f"{table.label} has no partition yet: nothing tells how wide its partitions are to be.",
                next="For years, name them: --year 2026 2027. Any other width begins with a partition made by hand.",
            )
        period = table.period(desk.zone)
        ranges = [part for year in args.year for part in period.cover(*year)]
        if args.ahead is not None or not args.year:
            ranges += next_periods(table, desk.today, 1 if args.ahead is None else args.ahead, desk.zone)
        return prepare_ensure(desk.reading, table, dict.fromkeys(ranges), zone=desk.zone)

    act(desk, args, prepare)
    return 0


def _archive(desk: Desk, args: argparse.Namespace) -> int:
    def prepare(table: PartitionedTable) -> Plan:
        name = named_argument(args, table, partition_in, desk.zone)
        return prepare_archive(table, name, now=desk.now, zone=desk.zone, allow_current=args.allow_current)

    plan = act(desk, args, prepare)
    if not args.dry_run:
        one = desk.read().by_oid(plan.oid)
        name = one.name if one else plan.subject
        put(next_steps(name, desk.settings.archive_schema, desk.url, embedded=desk.embedded))
    return 0


def _reattach(desk: Desk, args: argparse.Namespace) -> int:
    def prepare(table: PartitionedTable) -> Plan:
        name = named_argument(args, table, archived_in, desk.zone)
        return prepare_reattach(desk.reading, table, name)

    act(desk, args, prepare)
    return 0


def _cancel(desk: Desk, args: argparse.Namespace) -> int:
    operation = journal.read_operation(desk.reading, args.id)
    if operation is None:
        raise Refused(f"There is no operation {args.id}.", next="Look for its number: partitions history.")
    what = f"operation {operation.id}, {operation.kind} {operation.subject}"
    if not operation.state.active:
        put(f"Nothing to do: {what}, is {operation.state} already.")
    elif args.dry_run:
        put(f"-- Would ask to stop: {shown(what)}, {operation.state}.")
    else:
        journal.request_cancel(desk.working, operation.id)
        put(f"Asked to stop: {what}. partitions history tells how it ended.")
    return 0
