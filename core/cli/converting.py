"""The commands that make a plain table partitioned, and a partitioned one plain."""

from __future__ import annotations

import click

from core.cli.acting import Given, act, say
from core.cli.options import DRY_RUN, REASON, command
from core.errors import UsageError
from core.period import Width
from core.plans.ensure import Ensure
from core.plans.inplace import Convert, following
from core.plans.split import Split
from core.plans.unconvert import Unconvert
from core.tables.plain import CHECK


@command("convert", "make a plain table partitioned where it stands, while everybody works")
@click.option("--key", metavar="COLUMN", required=True, help="the column of dates or times that it is partitioned by")
@click.option(
    "--every", metavar="WIDTH", required=True, type=Width.parse, help="how wide its partitions are to be, as '1 month'"
)
@click.option("--split-later", is_flag=True, help="leave what it holds now in one partition")
@REASON
@DRY_RUN
def convert(given: Given, *, key: str, every: Width, split_later: bool, reason: str, dry_run: bool) -> int:
    act(given, Convert(given.table, key, every), reason=reason, dry_run=dry_run)
    if dry_run:
        return 0
    table = given.read()
    ahead = following(table, every, given.desk.zone)
    if ahead:
        act(given, Ensure(table.address, ranges=ahead, every=every), reason=reason, dry_run=False)
    first = next((one for one in table.ranges if any(check.name == CHECK for check in one.checks)), None)
    if split_later or first is None:
        return 0
    try:
        act(given, Split(table.address, table.called(first), every), reason=reason, dry_run=False)
    except UsageError as error:  # what it is asked for at once is too much; the table is in use all the same
        say(f"What it held stays in {first.name}: {error}")
        return 1
    return 0


@command("unconvert", "make a partitioned table plain where it stands, whose rows lie in one partition")
@REASON
@DRY_RUN
def unconvert(given: Given, *, reason: str, dry_run: bool) -> None:
    act(given, Unconvert(given.table), reason=reason, dry_run=dry_run)
