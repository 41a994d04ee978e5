"""The commands that make a plain table partitioned, and a partitioned one plain."""

from __future__ import annotations

import click

from core.cli.acting import Given, act
from core.cli.options import DRY_RUN, REASON, command
from core.period import Width
from core.plans.ensure import Ensure
from core.plans.inplace import Convert, following
from core.plans.unconvert import Unconvert


@command("convert", "make a plain table partitioned where it stands, while everybody works")
@click.option("--key", metavar="COLUMN", required=True, help="the column of dates or times that it is partitioned by")
@click.option(
    "--every", metavar="WIDTH", required=True, type=Width.parse, help="how wide its partitions are to be, as '1 month'"
)
@click.option("--split-later", is_flag=True, help="leave what it holds now in one partition")
@REASON
@DRY_RUN
def convert(given: Given, *, key: str, every: Width, split_later: bool, reason: str, dry_run: bool) -> None:
    act(given, Convert(given.table, key, every), reason=reason, dry_run=dry_run)
    if dry_run:
        return
    table = given.read()
    ahead = following(table, every, given.desk.zone)
    if ahead:
        act(given, Ensure(table.address, ranges=ahead, every=every), reason=reason, dry_run=False)


@command("unconvert", "make a partitioned table plain where it stands, whose rows lie in one partition")
@REASON
@DRY_RUN
def unconvert(given: Given, *, reason: str, dry_run: bool) -> None:
    act(given, Unconvert(given.table), reason=reason, dry_run=dry_run)
