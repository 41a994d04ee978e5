"""The commands of cold storage: backup, verify, backups, drop, keep, hold, restore."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial
from typing import Any

import click

from core.backups.drill import newest_of_each
from core.backups.kept import read_all_kept, read_kept
from core.cli.acting import (
    PLANNED_AGAIN,
    Given,
    act,
    put,
    put_json,
    run_plan,
    say,
    target,
)
from core.cli.many import One, Said, act_on_each, targets
from core.cli.options import (
    BACKUP,
    DRY_RUN,
    GO_ON,
    JSON,
    PARTITION,
    PARTITIONS,
    REASON,
    SET,
    SEVERAL,
    YEAR,
    YEARS,
    calendar_date,
    command,
    plain_text,
)
from core.cli.output.backups import kept_json, kept_text
from core.console.actor import system_user
from core.console.planned_drops import Due, plan_due_drops
from core.errors import (
    AmbiguousName,
    BackupNotFound,
    ConnectionFailed,
    DeskError,
    PartitionNotFound,
    PlanOutdated,
    Refused,
    TableNotFound,
    UsageError,
)
from core.names import address, split_qualified
from core.period import Duration, Range
from core.plans.backup import BackUp, without_backup
from core.plans.bound import meant, parts_of
from core.plans.drop import DROP, Drop, DropLater, Keep, require_drops
from core.plans.hold import PutHold
from core.plans.operation import Wish
from core.plans.proof import Kept
from core.plans.restore import Restore, hold_of_restored
from core.plans.target import Target, archived_of
from core.plans.verify import Verify
from core.tables.bonds import Part
from core.tables.commands import option
from core.tables.marks import Hold
from core.tables.table import PartitionedTable
from core.text import Json, plural

NAMED = ("year", "partition")


@command("backup", "copy partitions, attached or archived, to the place of the backups", needs=(*SEVERAL, "due"))
@YEARS
@PARTITIONS
@click.option("--due", is_flag=True, help="all archived tables that no backup holds")
@SET
@GO_ON
@REASON
@DRY_RUN
@JSON
def backup(
    given: Given,
    *,
    years: tuple[Range, ...],
    partitions: tuple[str, ...],
    due: bool,
    as_set: bool,
    go_on: bool,
    **said: Any,
) -> int:
    if as_set and not due:
        parts = _set_of(given, targets(years, partitions))
        ones = [One(part.called, partial(BackUp, partition=part.called), part.table) for part in parts]
        return act_on_each(given, ones, Said(**said, go_on=go_on))
    named = _unkept(given) if due else targets(years, partitions)
    if due or len(named) > 1:
        ones = [One(label, partial(BackUp, partition=one)) for label, one in named]
        return act_on_each(given, ones, Said(**said, go_on=go_on))
    act(given, BackUp(given.table, named[0][1]), **said)
    return 0


def _unkept(given: Given) -> list[tuple[str, Target]]:
    table = given.read()
    bare = without_backup(table, _all_of(given, table))
    return [(table.called(one), table.called(one)) for one in bare]


def _all_of(given: Given, table: PartitionedTable) -> tuple[Kept, ...]:
    """The backups of this very table."""
    every, _ = read_all_kept(given.desk.storage.open(), parent=table.address)
    return tuple(one for one in every if one.backup.is_from(table.server.database, table.server.cluster))


@command(
    "verify",
    "restore backups into a throwaway server and compare every row; the source is left alone",
    either=((*SEVERAL, "backup", "due"),),
)
@YEARS
@PARTITIONS
@BACKUP
@click.option("--due", is_flag=True, help="the newest backup of each partition that was never proven")
@SET
@GO_ON
@REASON
@DRY_RUN
@JSON
def verify(
    given: Given,
    *,
    years: tuple[Range, ...],
    partitions: tuple[str, ...],
    backup: str | None,
    due: bool,
    as_set: bool,
    go_on: bool,
    **said: Any,
) -> int:
    if as_set and (years or partitions):
        parts = _set_of(given, targets(years, partitions))
        ones = [One(part.called, partial(_verified_part, given, part), part.table) for part in parts]
        return act_on_each(given, ones, Said(**said, go_on=go_on))
    if due:
        newest = newest_of_each(_all_of(given, given.read()))
        ones = [_one(kept) for kept in newest if kept.proven is None and kept.damaged is None]
    else:
        ones = [
            One(label, partial(_verified, given, *(one, None) if isinstance(one, tuple) else (None, one)))
            for label, one in targets(years, partitions)
        ]
    if due or len(ones) > 1:
        return act_on_each(given, ones, Said(**said, go_on=go_on))
    kept = _kept(given, years[0] if years else None, partitions[0] if partitions else None, backup, proven_first=False)
    act(given, Verify(kept), **said)
    return 0


def _one(kept: Kept) -> One:
    return One(kept.backup.name, lambda _: Verify(kept))


def _verified(given: Given, year: Range | None, partition: str | None, _: str | PartitionedTable) -> Wish:
    """Of the newest backup of that year or name."""
    return Verify(_kept(given, year, partition, None, proven_first=False))


def _set_of(given: Given, named: Sequence[tuple[str, Target]]) -> tuple[Part, ...]:
    """What goes with each of these in the tables that are bound to this one, what refers to others first."""
    table = given.read()
    found = [
        part
        for _, one in named
        for part in parts_of(given.desk, table, meant(table, archived_of(table, one, given.desk.zone)))
    ]
    return tuple({part.one.oid: part for part in found}.values())


def _verified_part(given: Given, part: Part, _: str | PartitionedTable) -> Wish:
    """Of the newest backup of one table of a set."""
    every, _unreadable = read_all_kept(given.desk.storage.open(), parent=part.table.address)
    server = part.table.server
    named = _of_name(part.table, every, part.called)
    mine = [one for one in named if one.backup.is_from(server.database, server.cluster)]
    if not mine:
        raise BackupNotFound(
            f"No backup is of {part.called}.", next="Back the whole set up first: partitions backup with --set."
        )
    return Verify(max(mine, key=lambda kept: kept.backup.finished_at))


@command("backups", "list the backups in the place, from their manifests alone")
@click.option("--every", is_flag=True, help="of every table and database, not only this one")
@JSON
def backups(given: Given, *, every: bool, as_json: bool) -> None:
    place = given.desk.storage.open()
    there, unreadable = read_all_kept(place)
    address = "" if every else _address_of(given)
    found = tuple(kept for kept in there if every or _is_of(address, kept))
    others = len(there) - len(found)
    if as_json:
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


def _is_of(address: str, kept: Kept) -> bool:
    """Whether a backup is one of the table of that address, by its manifest alone; of a bare name, of any so called."""
    schema, name = split_qualified(address)
    parent_schema, parent = split_qualified(kept.backup.parent)
    return parent == name and schema in (None, parent_schema)


def _address_of(given: Given) -> str:
    """The address of the table that was named; as it was named where it is gone, or the database is."""
    try:
        return given.desk.address_of(given.table)
    except (TableNotFound, ConnectionFailed):
        return given.table


def later(argument: str) -> Duration:
    """How much later; at once has an option of its own."""
    if re.fullmatch(r"\s*0+\s*[a-z]*\s*", argument, re.IGNORECASE):
        raise UsageError(f"--after {argument} is at once.", next="If that is meant, say so: --now.")
    return Duration.parse(argument)


@command(
    "drop",
    "drop an archived table that a verified backup holds, now or later",
    either=((*NAMED, "due"), ("now", "after")),
)
@YEAR
@PARTITION
@click.option("--due", is_flag=True, help="every planned drop whose time has come")
@click.option("--confirm", metavar="NAME", type=plain_text, help="the name of the table, typed once more")
@SET
@click.option("--backup", metavar="BACKUP", type=plain_text, default="", help="rest on this backup")
@click.option("--now", is_flag=True, help="at once, not after PARTITION_DESK_DROP_AFTER")
@click.option("--after", metavar="D", type=later, help="after this long, such as 7d")
@REASON
@DRY_RUN
@JSON
def drop(
    given: Given,
    *,
    year: Range | None,
    partition: str | None,
    due: bool,
    confirm: str | None,
    as_set: bool,
    backup: str,
    now: bool,
    after: Duration | None,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> int:
    require_drops(allowed=given.desk.may_drop)
    if due:
        given.actor.require(DROP)
        return _drop_due(given, reason=reason, dry_run=dry_run, as_json=as_json)
    if year is None and partition is None:
        raise UsageError("Which table is to be dropped?", next="Name it with --year or --partition, or ask for --due.")
    wanted = target(year, partition)
    if not dry_run:
        _require_confirmed(given, wanted, partition, confirm)
    every, _ = read_all_kept(given.desk.storage.open())
    wish: Callable[..., Wish] = partial(Drop, every=every, backup=backup)
    if not now:
        wait = after or given.desk.settings.drop_after
        wish = partial(DropLater, every=every, after=wait, by=system_user(), backup=backup)
    if as_set and backup:
        raise UsageError("--backup names one backup, and a set has one for each table.", next="Leave it out.")
    if as_set and _is_there(given, wanted):
        parts = _set_of(given, [("", wanted)])
        ones = [One(part.called, partial(wish, partition=part.called), part.table) for part in parts]
        return act_on_each(given, ones, Said(reason, dry_run, as_json, go_on=False))
    act(given, wish(given.table, wanted), reason=reason, dry_run=dry_run, as_json=as_json)
    return 0


def _is_there(given: Given, wanted: Target) -> bool:
    table = given.read()
    try:
        return bool(table.named(archived_of(table, wanted, given.desk.zone)))
    except PartitionNotFound:
        return False


def _require_confirmed(given: Given, wanted: Target, partition: str | None, confirm: str | None) -> None:
    """Raises Refused unless the name of the table was typed once more; what is not there needs no care."""
    table = given.read()
    try:
        name = archived_of(table, wanted, given.desk.zone)
    except PartitionNotFound:
        return
    if not table.named(name):
        return
    if confirm not in (name, partition or name):
        raise Refused(
            f"To drop {name}, type its name: {option('--confirm', name)}"
            if confirm is None
            else f"--confirm says {confirm!r}, and the table is {name}.",
            next="Nothing is dropped by a slip of the hand.",
        )


def _drop_due(given: Given, *, reason: str, dry_run: bool, as_json: bool) -> int:
    """Each planned drop on its own: one that fails keeps none of the others from being tried."""
    told: list[Json] = []
    failed = 0
    for due in _due(given):
        try:
            done = _drop_one_due(given, due, reason=reason, dry_run=dry_run, as_json=as_json)
            told.append({"name": due.name, "error": None, **(done or {})})
        except DeskError as error:
            if given.interrupted.is_set():
                raise
            say(f"{due.name}: {error}")
            told.append({"name": due.name, "error": str(error)})
            failed += 1
    if as_json:
        put_json({"dry_run": dry_run, "drops": told})
    elif not told:
        put("Nothing to do: no planned drop is due.")
    return 1 if failed else 0


def _due(given: Given) -> tuple[Due, ...]:
    return plan_due_drops(given.desk, now=given.desk.server_now)


def _drop_one_due(given: Given, due: Due, *, reason: str, dry_run: bool, as_json: bool) -> Json | None:
    """Drops it, planning anew while others change the table; None where another did it, or called it off."""
    for _ in range(PLANNED_AGAIN):
        if due.plan is None:
            raise due.refused or Refused(f"{due.name} can't be dropped.")
        try:
            return run_plan(
                given, due.plan, actor=due.actor, reason=due.reason or reason, dry_run=dry_run, quiet=as_json
            )
        except PlanOutdated:
            same = [one for one in _due(given) if _who(one) == _who(due)]
            if not same:
                return None
            due = same[0]
    raise Refused(f"{due.name} changes all the time.", next="Ask again in a quieter hour.")


def _who(due: Due) -> tuple[str, str, str]:
    """What tells one planned drop from another."""
    return due.name, due.drop.parent, due.drop.backup


@command("keep", "call a planned drop off", needs=NAMED)
@YEAR
@PARTITION
@REASON
@DRY_RUN
@JSON
def keep(given: Given, *, year: Range | None, partition: str | None, reason: str, dry_run: bool, as_json: bool) -> None:
    act(given, Keep(given.table, target(year, partition)), reason=reason, dry_run=dry_run, as_json=as_json)


@command(
    "hold",
    "keep a partition from every rule that would archive or drop it",
    needs=NAMED,
    either=(("until", "lift"),),
)
@YEAR
@PARTITION
@click.option("--until", metavar="D", type=calendar_date, help="through this date; without it, until lifted")
@click.option("--lift", is_flag=True, help="end the hold")
@REASON
@DRY_RUN
@JSON
def hold(
    given: Given,
    *,
    year: Range | None,
    partition: str | None,
    until: date | None,
    lift: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    if not lift and not reason:
        raise UsageError("A hold needs its reason, for whoever meets it in a year.", next="Add --reason TEXT.")
    if until and until < given.desk.today:
        raise UsageError(f"{until} is over: a hold until then holds nothing.", next="To end a hold: --lift.")
    wanted = None if lift else Hold(until.isoformat() if until else "", reason, system_user())

    act(given, PutHold(given.table, target(year, partition), wanted), reason=reason, dry_run=dry_run, as_json=as_json)


@command("restore", "bring a backup back into the archive schema", either=((*NAMED, "backup"),))
@YEAR
@PARTITION
@BACKUP
@click.option("--no-hold", is_flag=True, help="without a hold on the restored table")
@REASON
@DRY_RUN
@JSON
def restore(
    given: Given,
    *,
    year: Range | None,
    partition: str | None,
    backup: str | None,
    no_hold: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    desk = given.desk
    wanted = None if no_hold else hold_of_restored(desk.settings.hold, desk.today, system_user())
    wish = Restore(_kept(given, year, partition, backup), wanted)
    act(given, wish, reason=reason, dry_run=dry_run, as_json=as_json)


def _kept(
    given: Given, year: Range | None, partition: str | None, backup: str | None, *, proven_first: bool = True
) -> Kept:
    """The backup of that id, or the newest of that year or name, of the proven ones if there are any.

    Without `proven_first` it is the newest, proven or not: what is to be proven is what was made last.
    """
    place = given.desk.storage.open()
    if backup is not None:
        return read_kept(place, backup)
    if year is None and partition is None:
        raise UsageError("Which backup?", next="Name it by its id (partitions backups), or by --year or --partition.")
    table = given.read()
    every, _ = read_all_kept(place, parent=table.address)
    if year is None:
        fitting = _of_name(table, every, str(partition))
    else:
        wanted = table.bounds_between(*year, given.desk.zone)
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
    _require_one_range(table, mine, str(partition))
    return max(mine, key=lambda kept: (proven_first and kept.proven is not None, kept.backup.finished_at))


def _of_name(table: PartitionedTable, every: Iterable[Kept], text: str) -> list[Kept]:
    """The backups of that name; with a schema, those of the very table there, or that came from there."""
    alone = [kept for kept in every if kept.backup.name == text]
    if alone:
        return alone
    try:
        schema, name = split_qualified(text)
    except UsageError:  # a bare name that is none of a table with its schema
        return []
    if schema is None:
        return [kept for kept in every if kept.backup.name == name]
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
            for backup in sorted(newest.values(), key=lambda backup: backup.bounds)
        )
        raise AmbiguousName(
            f"{text} means backups of {plural(len(newest), 'partition')} of {table.label}: {said}.",
            next="Name the backup that is meant by its id.",
        )
