"""The commands of cold storage: backup, verify, backups, drop, keep, hold, restore."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from core.backups.backup import read_all_kept, read_kept
from core.cli.acting import (
    PLANNED_AGAIN,
    Desk,
    act,
    command,
    date_argument,
    named_argument,
    put,
    put_json,
    run_plan,
    say,
    text_argument,
)
from core.cli.output.backups import kept_json, kept_text
from core.console.actor import system_user
from core.console.cold import hold_of_restored, later, prepare_backup, prepare_restore, prepare_verify, require_drops
from core.console.prepare import archived_in, partition_in, prepare_drop, prepare_later_drop, year_range
from core.console.worker import Due, plan_due_drops, server_time
from core.errors import AmbiguousName, BackupNotFound, DeskError, PlanOutdated, Refused, UsageError
from core.names import address, split_qualified
from core.period import Duration
from core.plans.drop import plan_hold, plan_keep
from core.plans.manifest import Kept
from core.plans.plan import Plan
from core.tables.model import Hold, PartitionedTable
from core.text import Json

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
        which.add_argument("--partition", metavar="[SCHEMA.]NAME", type=text_argument, help="the one of this name")
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
    def prepare(table: PartitionedTable) -> Plan:
        return prepare_backup(desk.cold, table, named_argument(args, table, partition_in, desk.zone), now=desk.now)

    act(desk, args, prepare)
    return 0


def _verify(desk: Desk, args: argparse.Namespace) -> int:
    run_plan(desk, args, prepare_verify(desk.cold, _kept(desk, args, proven_first=False)))
    return 0


def _backups(desk: Desk, args: argparse.Namespace) -> int:
    place = desk.cold.open()
    every, unreadable = read_all_kept(place)
    found = every if args.every else tuple(kept for kept in every if _is_asked_for(desk, kept))
    others = len(every) - len(found)
    if args.json:
        put_json(
            {
                "place": place.label,
                "backups": [kept_json(kept) for kept in found],
                "others": others,
                "unreadable": [{"path": one.path, "reason": one.reason} for one in unreadable],
            }
        )
    else:
        put(kept_text(found, unreadable, place.label, others=others))
    return 0


def _is_asked_for(desk: Desk, kept: Kept) -> bool:
    """Whether a backup is one of the table that was named, by its address alone: it may be gone with its database."""
    schema, name = split_qualified(desk.table)
    parent_schema, parent = split_qualified(kept.backup.parent)
    return parent == name and schema in (None, parent_schema)


def _drop(desk: Desk, args: argparse.Namespace) -> int:
    require_drops(allowed=desk.settings.allow_drop)
    if args.due:
        return _drop_due(desk, args)
    if args.year is None and args.partition is None:
        raise UsageError("Which table is to be dropped?", next="Name it with --year or --partition, or ask for --due.")
    place = desk.cold.open()
    every, _ = read_all_kept(place)

    def prepare(table: PartitionedTable) -> Plan:
        name = named_argument(args, table, archived_in, desk.zone)
        if args.confirm not in (name, args.partition or name) and not args.dry_run:
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
            at=later(desk.now, after, desk.zone),
            by=system_user(),
            today=desk.today,
            backup_id=args.backup,
        )

    act(desk, args, prepare)
    return 0


def _drop_due(desk: Desk, args: argparse.Namespace) -> int:
    """Each planned drop on its own: one that fails keeps none of the others from being tried."""
    told: list[Json] = []
    failed = 0
    for due in _due(desk):
        try:
            done = _drop_one_due(desk, args, due)
            told.append({"name": due.name, "error": None, **(done or {})})
        except DeskError as error:
            if desk.interrupted.is_set():
                raise
            say(f"{due.name}: {error}")
            told.append({"name": due.name, "error": str(error)})
            failed += 1
    if args.json:
        put_json({"dry_run": args.dry_run, "drops": told})
    elif not told:
        put("Nothing to do: no planned drop is due.")
    return 1 if failed else 0


def _due(desk: Desk) -> tuple[Due, ...]:
    now = server_time(desk.working)
    return plan_due_drops(desk.working, desk.cold, archive_schema=desk.settings.archive_schema, now=now, zone=desk.zone)


def _drop_one_due(desk: Desk, args: argparse.Namespace, due: Due) -> Json | None:
    """Drops it, planning anew while others change the table; None where another did it, or called it off."""
    for _ in range(PLANNED_AGAIN):
        if due.plan is None:
            raise due.refused or Refused(f"{due.name} can't be dropped.")
        try:
            return run_plan(desk, args, due.plan, actor=due.actor, reason=due.reason, quiet=args.json)
        except PlanOutdated:
            same = [one for one in _due(desk) if _who(one) == _who(due)]
            if not same:
                return None
            due = same[0]
    raise Refused(f"{due.name} changes all the time.", next="Ask again in a quieter hour.")


def _who(due: Due) -> tuple[str, str, str]:
    """What tells one planned drop from another."""
    return due.name, due.drop.parent, due.drop.backup


def _keep(desk: Desk, args: argparse.Namespace) -> int:
    act(desk, args, lambda table: plan_keep(table, named_argument(args, table, archived_in, desk.zone)))
    return 0


def _hold(desk: Desk, args: argparse.Namespace) -> int:
    if not args.lift and not args.reason:
        raise UsageError("A hold needs its reason, for whoever meets it in a year.", next="Add --reason TEXT.")
    if args.until and args.until < desk.today:
        raise UsageError(f"{args.until} is over: a hold until then holds nothing.", next="To end a hold: --lift.")
    until = args.until.isoformat() if args.until else ""
    hold = None if args.lift else Hold(until, args.reason, system_user())
    act(desk, args, lambda table: plan_hold(table, named_argument(args, table, partition_in, desk.zone), hold))
    return 0


def _restore(desk: Desk, args: argparse.Namespace) -> int:
    hold = None if args.no_hold else hold_of_restored(desk.settings.hold, desk.today, system_user())
    plan = prepare_restore(
        desk.reading, desk.cold, _kept(desk, args), archive_schema=desk.settings.archive_schema, hold=hold
    )
    run_plan(desk, args, plan)
    return 0


def _kept(desk: Desk, args: argparse.Namespace, *, proven_first: bool = True) -> Kept:
    """The backup of that id, or the newest of that year or name, of the proven ones if there are any.

    Without `proven_first` it is the newest, proven or not: what is to be proven is what was made last.
    """
    place = desk.cold.open()
    if args.backup is not None:
        return read_kept(place, args.backup)
    if args.year is None and args.partition is None:
        raise UsageError("Which backup?", next="Name it by its id (partitions backups), or by --year or --partition.")
    table = desk.read()
    every, _ = read_all_kept(place, parent=table.address)
    if args.partition is not None:
        fitting = _of_name(table, every, args.partition)
    else:
        lower, upper = args.year
        wanted = table.bounds_between(lower, upper, desk.zone)
        fitting = [kept for kept in every if kept.backup.bounds == wanted.text]
    mine = [kept for kept in fitting if kept.backup.is_from(table.server.database, table.server.cluster)]
    if not mine:
        here = table.server.database
        elsewhere = f" of the database {here}, but of {fitting[0].backup.whence(here)}" if fitting else ""
        raise BackupNotFound(
            f"{place.label} holds no backup of that{elsewhere}.",
            next=f"If that one is meant, name it: {fitting[0].backup.id}"
            if fitting
            else "See what there is: partitions backups --every",
        )
    _require_one_range(table, mine, str(args.partition))
    return max(mine, key=lambda kept: (proven_first and kept.proven is not None, kept.backup.finished_at))


def _of_name(table: PartitionedTable, every: Iterable[Kept], text: str) -> list[Kept]:
    """The backups of that name; with a schema, those of the very table there, or that came from there."""
    alone = [kept for kept in every if kept.backup.name == text]
    schema, name = split_qualified(text)
    if alone or schema is None:
        return alone or [kept for kept in every if kept.backup.name == name]
    found = [one for one in table.named(text) if one.bounds is not None]
    if found:
        name, texts = found[0].name, {one.bounds.text for one in found if one.bounds}
        return [kept for kept in every if kept.backup.name == name and kept.backup.bounds in texts]
    return [kept for kept in every if (kept.backup.schema, kept.backup.name) == (schema, name)]


def _require_one_range(table: PartitionedTable, found: Iterable[Kept], text: str) -> None:
    """Raises AmbiguousName where the backups are of more than one partition of the same name."""
    newest = {kept.backup.bounds: kept.backup for kept in sorted(found, key=lambda kept: kept.backup.finished_at)}
    if len(newest) > 1:
        said = ", ".join(
            f"{address(backup.schema, backup.name)} ({backup.bounds.removeprefix('FOR VALUES ')}): {backup.id}"
            for backup in newest.values()
        )
        raise AmbiguousName(
            f"{text} means backups of {len(newest)} partitions of {table.label}: {said}.",
            next="Name the backup that is meant by its id.",
        )
