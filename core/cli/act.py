"""The commands that act on partitions: ensure, archive, reattach, cancel."""

from __future__ import annotations

import click

from core.cli.acting import Desk, act, named_argument, put
from core.cli.options import DRY_RUN, PARTITION, REASON, YEAR, command, number
from core.cli.output.acts import next_steps
from core.console import journal
from core.console.prepare import archived_in, partition_in, prepare_archive, prepare_ensure, prepare_reattach
from core.errors import OffCalendar, Refused
from core.names import split_qualified
from core.period import Range, year_range
from core.plans.plan import Plan
from core.tables.model import PartitionedTable, next_periods
from core.text import shown

MOST_AHEAD = 1000
"""The most periods that are created ahead at once."""


@command("ensure", "create the partitions that are missing: this period and the next")
@click.option("--year", "years", metavar="Y ...", type=year_range, multiple=True, help="these years, and no others")
@click.option(
    "--ahead",
    metavar="N",
    type=number("The number of periods ahead", 0, MOST_AHEAD),
    help="the current period and N more (default 1)",
)
@REASON
@DRY_RUN
def ensure(desk: Desk, *, years: tuple[Range, ...], ahead: int | None, reason: str, dry_run: bool) -> None:
    def prepare(table: PartitionedTable) -> Plan:
        if not years and not table.is_cut and table.name != split_qualified(desk.settings.table)[1]:
            raise OffCalendar(
                f"{table.label} has no partition yet: nothing tells how wide its partitions are to be.",
                next="For years, name them: --year 2026 2027. Any other width begins with a partition made by hand.",
            )
        period = table.period(desk.zone)
        ranges = [part for year in years for part in period.cover(*year)]
        if ahead is not None or not years:
            ranges += next_periods(table, desk.today, 1 if ahead is None else ahead, desk.zone)
        return prepare_ensure(desk.reading, table, dict.fromkeys(ranges), zone=desk.zone)

    act(desk, prepare, reason=reason, dry_run=dry_run)


@command("archive", "detach a partition and move it to the archive schema", needs=("year", "partition"))
@YEAR
@PARTITION
@click.option("--allow-current", is_flag=True, help="also where its dates are not over yet")
@REASON
@DRY_RUN
def archive(
    desk: Desk, *, year: Range | None, partition: str | None, allow_current: bool, reason: str, dry_run: bool
) -> None:
    def prepare(table: PartitionedTable) -> Plan:
        name = named_argument(table, year, partition, partition_in, desk.zone)
        return prepare_archive(table, name, now=desk.now, zone=desk.zone, allow_current=allow_current)

    plan = act(desk, prepare, reason=reason, dry_run=dry_run)
    if not dry_run:
        one = desk.read().by_oid(plan.oid)
        name = one.name if one else plan.subject
        put(next_steps(name, desk.settings.archive_schema, desk.url, embedded=desk.embedded))


@command("reattach", "bring an archived partition back", needs=("year", "partition"))
@YEAR
@PARTITION
@REASON
@DRY_RUN
def reattach(desk: Desk, *, year: Range | None, partition: str | None, reason: str, dry_run: bool) -> None:
    def prepare(table: PartitionedTable) -> Plan:
        return prepare_reattach(desk.reading, table, named_argument(table, year, partition, archived_in, desk.zone))

    act(desk, prepare, reason=reason, dry_run=dry_run)


@command("cancel", "ask a queued or running operation to stop")
@click.argument("operation_id", metavar="ID", type=number("The operation", 1, 2**63 - 1))
@DRY_RUN
def cancel(desk: Desk, *, operation_id: int, dry_run: bool) -> None:
    operation = journal.read_operation(desk.reading, operation_id)
    if operation is None:
        raise Refused(f"There is no operation {operation_id}.", next="Look for its number: partitions history.")
    what = f"operation {operation.id}, {operation.kind} {operation.subject}"
    if not operation.state.active:
        put(f"Nothing to do: {what}, is {operation.state} already.")
    elif dry_run:
        put(f"-- Would ask to stop: {shown(what)}, {operation.state}.")
    else:
        journal.request_cancel(desk.working, operation.id)
        put(f"Asked to stop: {what}. partitions history tells how it ended.")
