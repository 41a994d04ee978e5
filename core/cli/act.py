"""The commands that act on partitions, and on what was asked for: ensure, archive, reattach, cancel, approve."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import Any

import click

from core.cli.acting import Given, act, put, run_plan, say
from core.cli.many import One, Said, act_on_each, targets
from core.cli.options import (
    DRY_RUN,
    GO_ON,
    JSON,
    PARTITIONS,
    REASON,
    SET,
    SEVERAL,
    YEARS,
    calendar_date,
    command,
    date_or_time,
    number,
)
from core.cli.output.acts import branch_by_hand, next_steps
from core.console import approval, failures, journal
from core.console.queue import request_cancel
from core.errors import DeskError, NotServed, Refused
from core.period import Range, Width, year_range
from core.plans.archive import Archive
from core.plans.ensure import Ensure
from core.plans.plan import Plan
from core.plans.reading import ReadKey
from core.plans.reattach import Reattach
from core.plans.sets import ArchiveSet, ReattachSet
from core.plans.target import Target
from core.tables.key import Reading
from core.tables.retention import due as find_due
from core.tables.tree import Kind
from core.text import shown

MOST_AHEAD = 1000
"""The most periods that are created ahead at once."""


@command("ensure", "create the partitions that are missing: this period and the next")
@click.option("--year", "years", metavar="Y ...", type=year_range, multiple=True, help="these years, and no others")
@click.option(
    "--date",
    "dates",
    metavar="D ...",
    type=date_or_time,
    multiple=True,
    help="the partitions of these dates, as 2027-05-01, or local times, as '2027-05-01 06:00'",
)
@click.option(
    "--ahead",
    metavar="N",
    type=number("The number of periods ahead", 0, MOST_AHEAD),
    help="the current partition and N more (default 1)",
)
@click.option(
    "--every",
    metavar="WIDTH",
    type=Width.parse,
    help="how wide partitions are to be, as '1 month', where the table's own don't tell",
)
@REASON
@DRY_RUN
def ensure(
    given: Given,
    *,
    years: tuple[Range, ...],
    dates: tuple[date | datetime, ...],
    ahead: int | None,
    every: Width | None,
    reason: str,
    dry_run: bool,
) -> int:
    wish = Ensure(given.table, years=years, dates=dates, ahead=ahead, every=every)
    try:
        left = act(given, wish, reason=reason, dry_run=dry_run).left
    except NotServed:
        branches = given.read().branch_tables
        if not branches:
            raise
        left = tuple(
            one for address in branches for one in _ensure(given, replace(wish, table=address), reason, dry_run)
        )
    for one in left:
        say(f"Left out: {one}")
    return 1 if left else 0


def _ensure(given: Given, wish: Ensure, reason: str, dry_run: bool) -> tuple[str, ...]:
    """What one branch of a table that is not served itself leaves out; the others are not kept back by it."""
    put(f"{'-- ' if dry_run else ''}{wish.table}:")
    try:
        return tuple(f"{wish.table}: {one}" for one in act(given, wish, reason=reason, dry_run=dry_run).left)
    except DeskError as error:
        return (f"{wish.table}: {error}",)


@command("archive", "detach partitions and move them to the archive schema", needs=(*SEVERAL, "due"))
@YEARS
@PARTITIONS
@click.option("--due", is_flag=True, help="all that are over for longer than PARTITION_DESK_ARCHIVE_AFTER")
@click.option("--allow-current", is_flag=True, help="also where its dates are not over yet")
@SET
@GO_ON
@REASON
@DRY_RUN
@JSON
def archive(
    given: Given,
    *,
    years: tuple[Range, ...],
    partitions: tuple[str, ...],
    due: bool,
    allow_current: bool,
    as_set: bool,
    go_on: bool,
    **said: Any,
) -> int:
    kind = ArchiveSet if as_set else Archive
    if due:
        table = given.read()
        found = find_due(table, given.desk.cutoff, given.desk.today, given.desk.zone)
        named: list[tuple[str, Target]] = [(table.called(one), table.called(one)) for one in found]
    else:
        named = targets(years, partitions)
    if due or len(named) > 1:
        ones = [One(label, partial(kind, partition=one, allow_current=allow_current)) for label, one in named]
        return act_on_each(given, ones, Said(**said, go_on=go_on))
    plan = act(given, kind(given.table, named[0][1], allow_current), **said)
    if plan.steps and not said["dry_run"] and not said["as_json"] and given.desk.url is not None:
        with suppress(DeskError):  # it is done already, whatever can be read now
            put_next_steps(given, plan)
    return 0


def put_next_steps(given: Given, plan: Plan) -> None:
    """What to do with the table that was archived."""
    table = given.read()
    one = table.by_oid(plan.oid) if plan.oid is not None else None
    if one is not None and one.kind is Kind.BRANCH and not one.is_here and given.desk.url is not None:
        put(branch_by_hand(one.schema, one.name, given.desk.url, embedded=given.desk.embedded))
    elif one is not None:
        put(next_steps(table, table.called(one)))


@command("reattach", "bring archived partitions back", needs=SEVERAL)
@YEARS
@PARTITIONS
@SET
@GO_ON
@REASON
@DRY_RUN
@JSON
def reattach(
    given: Given, *, years: tuple[Range, ...], partitions: tuple[str, ...], as_set: bool, go_on: bool, **said: Any
) -> int:
    kind = ReattachSet if as_set else Reattach
    named = targets(years, partitions)
    if len(named) > 1:
        ones = [One(label, partial(kind, partition=one)) for label, one in named]
        return act_on_each(given, ones, Said(**said, go_on=go_on))
    act(given, kind(given.table, named[0][1]), **said)
    return 0


@command("key", "say how the numbers, uuids or texts of the key are read", needs=("reading", "undo"))
@click.option(
    "--as",
    "reading",
    metavar="READING",
    type=click.Choice([one.value for one in Reading]),
    help=f"as {', '.join(Reading)}; ids tell no time",
)
@click.option("--undo", is_flag=True, help="as what is recognised from the bounds, or as ids")
@REASON
@DRY_RUN
def key(given: Given, *, reading: str | None, undo: bool, reason: str, dry_run: bool) -> None:
    wanted = None if undo or reading is None else Reading(reading)
    act(given, ReadKey(given.table, wanted), reason=reason, dry_run=dry_run)


@command("cancel", "ask a queued or running operation to stop")
@click.argument("operation_id", metavar="ID", type=number("The operation", 1, 2**63 - 1))
@DRY_RUN
def cancel(given: Given, *, operation_id: int, dry_run: bool) -> None:
    operation = journal.read_operation(given.desk.reading, operation_id)
    if operation is None:
        raise Refused(f"There is no operation {operation_id}.", next="Look for its number: partitions history.")
    what = f"operation {operation.id}, {operation.kind} {operation.subject}"
    if not operation.state.active:
        put(f"Nothing to do: {what}, is {operation.state} already.")
    elif dry_run:
        put(f"-- Would ask to stop: {shown(what)}, {operation.state}.")
    else:
        given.actor.require(operation.plan.operation)
        request_cancel(given.desk.working, operation.id)
        put(f"Asked to stop: {what}. partitions history tells how it ended.")


@command(
    "approve",
    "approve what another admin has asked for, and do it; PARTITION_DESK_TWO_PERSONS says what takes two",
    saves=False,
)
@click.argument("operation_id", metavar="ID", type=number("The operation", 1, 2**63 - 1))
@click.option("--decline", is_flag=True, help="take it away instead")
@REASON
@DRY_RUN
def approve(given: Given, *, operation_id: int, decline: bool, reason: str, dry_run: bool) -> None:
    if not decline:
        run_plan(given, approval.approved(given.desk, operation_id, given.actor), reason=reason, dry_run=dry_run)
    elif dry_run:
        put(f"-- Would decline: operation {operation_id}.")
    else:
        approval.decline(given.desk, operation_id, given.actor, reason)
        put(f"Declined: operation {operation_id}.")


@command(
    "acknowledge", "answer for an operation that failed, so that it stops to be told as one that waits", saves=False
)
@click.argument("operation_id", metavar="ID", type=number("The operation", 1, 2**63 - 1))
@click.option(
    "--until", metavar="D", type=calendar_date, help="through this date; without it, for as long as it is not done"
)
@REASON
@DRY_RUN
def acknowledge(given: Given, *, operation_id: int, until: date | None, reason: str, dry_run: bool) -> None:
    if dry_run:
        failed = failures.require_failed(given.desk, operation_id)
        put(f"-- Would acknowledge: operation {operation_id}, {shown(f'{failed.kind} {failed.subject}')}.")
    elif failures.acknowledge(given.desk, operation_id, given.actor, reason, until):
        put(f"Acknowledged: operation {operation_id}.")
    else:
        put(f"Nothing to do: operation {operation_id} is acknowledged so already, or was done since.")
