"""The commands of cold storage: backup, verify, backups, drop, keep, hold, restore."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.actor import system_user
from core.backup import read_all_kept, read_kept, read_surroundings
from core.catalog import read_table
from core.desk import Desk, act, command, date_argument, put, put_json, run_plan, say, text_argument
from core.errors import BackupNotFound, DeskError, Refused, TableNotFound, UsageError
from core.jobs import plan_due_drops
from core.manifest import Kept, backup_id
from core.model import Hold, PartitionedTable
from core.operations.cold import plan_backup, plan_restore, plan_verify
from core.operations.drop import plan_hold, plan_keep
from core.period import Duration
from core.plan import Plan
from core.prepare import archived_in, partition_in, prepare_drop, prepare_later_drop, year_range
from core.printed import kept_json, kept_text
from core.tools import find_pg_dump

Parser = argparse.ArgumentParser


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Adds the commands to the parser."""
    backup = command(commands, "backup", _backup, "copy a partition, attached or archived, to the place of the backups")
    verify = command(
        commands,
        "verify",
        _verify,
        "restore a backup into a throwaway server and compare every row; the source is left alone",
    )
    backups = command(commands, "backups", _backups, "list the backups in the place, from their manifests alone")
    drop = command(commands, "drop", _drop, "drop an archived table that a verified backup holds, now or later")
    keep = command(commands, "keep", _keep, "call a planned drop off")
    hold = command(commands, "hold", _hold, "keep a partition from every rule that would archive or drop it")
    restore = command(commands, "restore", _restore, "bring a backup back into the archive schema")
    backups.add_argument("--every", action="store_true", help="of every table and database, not only this one")
    for one in (backup, drop, keep, hold, verify, restore):
        which = one.add_mutually_exclusive_group(required=one in (backup, keep, hold))
        which.add_argument("--year", metavar="Y", type=year_range, help="the one of this year")
        which.add_argument("--partition", metavar="NAME", type=text_argument, help="the one of this name")
        if one in (verify, restore):
            which.add_argument("backup", metavar="BACKUP", nargs="?", type=text_argument, help="the backup's id")
        if one is drop:
            which.add_argument("--due", action="store_true", help="every planned drop whose time has come")
    drop.add_argument("--confirm", metavar="NAME", type=text_argument, help="the name of the table, typed once more")
    drop.add_argument("--backup", metavar="BACKUP", type=text_argument, default="", help="rest on this backup")
    when = drop.add_mutually_exclusive_group()
    when.add_argument("--now", action="store_true", help="at once, not after PARTITION_DESK_DROP_AFTER")
    when.add_argument("--after", metavar="D", type=Duration.parse, help="after this long, such as 7d")
    until = hold.add_mutually_exclusive_group()
    until.add_argument("--until", metavar="D", type=date_argument, help="through this date; without it, until lifted")
    until.add_argument("--lift", action="store_true", help="end the hold")
    restore.add_argument("--no-hold", action="store_true", help="without a hold on the restored table")
    for one in (backup, verify, drop, keep, hold, restore):
        one.add_argument("--reason", metavar="TEXT", type=text_argument, default="", help="why, for the history")
        one.add_argument("--dry-run", action="store_true", help="print what would be done and change nothing")
    for one in (backup, verify, backups, drop, keep, hold, restore):
        one.add_argument("--json", action="store_true", help="print JSON instead")


def _backup(desk: Desk, args: argparse.Namespace) -> int:
    place = desk.cold.open()

    def prepare(table: PartitionedTable) -> Plan:
        name = _named(args, table, partition_in, desk.zone)
        made = backup_id(table.server.database, table.address, name, desk.now, secrets.token_hex(3))
        tool = find_pg_dump(table.server.version_num, environ=desk.cold.environ)
        return plan_backup(table, name, id=made, place_label=place.label, tool=f"pg_dump {tool.version}")

    act(desk, args, prepare)
    return 0


def _verify(desk: Desk, args: argparse.Namespace) -> int:
    place = desk.cold.open()
    kept = _kept(desk, args)
    run_plan(desk, args, plan_verify(kept.backup, place.label))
    return 0


def _backups(desk: Desk, args: argparse.Namespace) -> int:
    place = desk.cold.open()
    found, unreadable = read_all_kept(place)
    if not args.every:
        table = desk.read()
        found = tuple(
            k for k in found if (k.backup.database, k.backup.parent) == (table.server.database, table.address)
        )
    if args.json:
        put_json(
            {
                "place": place.label,
                "backups": [kept_json(kept) for kept in found],
                "unreadable": [{"path": one.path, "reason": one.reason} for one in unreadable],
            }
        )
    else:
        put(kept_text(found, unreadable, place.label))
    return 0


def _drop(desk: Desk, args: argparse.Namespace) -> int:
    if not desk.settings.allow_drop:
        raise Refused("Dropping is switched off here: PARTITION_DESK_ALLOW_DROP is false.", next="Ask whoever set it.")
    if args.due:
        return _drop_due(desk, args)
    if args.year is None and args.partition is None:
        raise UsageError("Which table is to be dropped?", next="Name it with --year or --partition, or ask for --due.")
    place = desk.cold.open()
    every, _ = read_all_kept(place)

    def prepare(table: PartitionedTable) -> Plan:
        name = _named(args, table, archived_in, desk.zone)
        if args.confirm != name and not args.dry_run:
            raise Refused(
                f"To drop {name}, type its name: --confirm {name}"
                if args.confirm is None
                else f"--confirm says {args.confirm!r}, and the table is {name}.",
                next="Nothing is dropped by a slip of the hand.",
            )
        if args.now:
            return prepare_drop(
                desk.reading, table, name, every, today=desk.today, place=place.label, backup_id=args.backup
            )
        after = args.after or desk.settings.drop_after
        return prepare_later_drop(
            desk.reading,
            table,
            name,
            every,
            at=_moment(desk, after),
            by=system_user(),
            today=desk.today,
            backup_id=args.backup,
        )

    act(desk, args, prepare)
    return 0


def _moment(desk: Desk, after: Duration) -> datetime:
    """This time of day, so much later."""
    local = desk.now.astimezone(ZoneInfo(desk.zone))
    day = min(after.after(local.date()), date.max - timedelta(days=1))
    return datetime.combine(day, time(local.hour, local.minute, local.second), local.tzinfo)


def _drop_due(desk: Desk, args: argparse.Namespace) -> int:
    """Each planned drop on its own: one that fails keeps none of the others from being tried."""
    due = plan_due_drops(
        desk.working, desk.cold, archive_schema=desk.settings.archive_schema, now=desk.now, zone=desk.zone
    )
    if not due:
        put("Nothing to do: no planned drop is due.")
    failed = 0
    for plan, actor, reason in due:
        try:
            run_plan(desk, args, plan, actor=actor, reason=reason)
        except DeskError as error:
            say(f"{plan.subject}: {error}")
            failed += 1
    return 1 if failed else 0


def _keep(desk: Desk, args: argparse.Namespace) -> int:
    act(desk, args, lambda table: plan_keep(table, _named(args, table, archived_in, desk.zone)))
    return 0


def _hold(desk: Desk, args: argparse.Namespace) -> int:
    if not args.lift and not args.reason:
        raise UsageError("A hold needs its reason, for whoever meets it in a year.", next="Add --reason TEXT.")
    until = args.until.isoformat() if args.until else ""
    hold = None if args.lift else Hold(until, args.reason, system_user())
    act(desk, args, lambda table: plan_hold(table, _named(args, table, partition_in, desk.zone), hold))
    return 0


def _restore(desk: Desk, args: argparse.Namespace) -> int:
    place = desk.cold.open()
    kept = _kept(desk, args)
    days = desk.settings.hold
    hold = Hold(days.after(desk.today).isoformat(), "Restored from a backup", system_user())

    try:
        table = read_table(desk.reading, kept.backup.parent, archive_schema=desk.settings.archive_schema)
    except TableNotFound:
        table = None  # a new database: the rows come back all the same
    there = read_surroundings(desk.reading, kept.backup, archive_schema=desk.settings.archive_schema)
    plan = plan_restore(table, kept, there=there, hold=None if args.no_hold else hold, place_label=place.label)
    run_plan(desk, args, plan)
    return 0


def _kept(desk: Desk, args: argparse.Namespace) -> Kept:
    """The backup of that id, or the newest of that year or name; proven ones first."""
    place = desk.cold.open()
    if args.backup is not None:
        return read_kept(place, args.backup)
    if args.year is None and args.partition is None:
        raise UsageError("Which backup?", next="Name it by its id (partitions backups), or by --year or --partition.")
    table = desk.read()
    every = [kept for kept in read_all_kept(place)[0] if kept.backup.parent == table.address]
    if args.partition is not None:
        mine = [kept for kept in every if kept.backup.name == args.partition]
    else:
        lower, upper = args.year
        wanted = table.bounds_between(lower, upper, desk.zone)
        mine = [kept for kept in every if kept.backup.bounds == wanted.text]
    if not mine:
        raise BackupNotFound(
            f"{place.label} holds no backup of that.", next="See what there is: partitions backups --every"
        )
    return max(mine, key=lambda kept: (kept.proven is not None, kept.backup.finished_at))


def _named(
    args: argparse.Namespace,
    table: PartitionedTable,
    chosen: Callable[[PartitionedTable, date, date, str], str],
    zone: str,
) -> str:
    """The name as it was typed, or the one of the year that was."""
    if args.partition is not None:
        return str(args.partition)
    lower, upper = args.year
    return chosen(table, lower, upper, zone)
