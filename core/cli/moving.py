"""The commands that move rows between partitions: drain, split, merge."""

from __future__ import annotations

import click

from core.cli.acting import Given, act, say, target
from core.cli.options import BATCH_PAUSE, DRY_RUN, JSON, PARTITION, REASON, YEAR, command, plain_text
from core.period import Range, Width
from core.plans.drain import Drain
from core.plans.split import Merge, Split
from core.plans.under_way import Abandon

ABANDON = click.option("--abandon", is_flag=True, help="take back what was begun; the rows are where they were")


@command("drain", "move the rows of the DEFAULT partition into partitions of their own, while everybody works")
@click.option(
    "--every",
    metavar="WIDTH",
    type=Width.parse,
    help="how wide partitions are to be, as '1 month', where the table's own don't tell",
)
@BATCH_PAUSE
@ABANDON
@REASON
@DRY_RUN
@JSON
def drain(
    given: Given,
    *,
    every: Width | None,
    rest_ms: int | None,
    abandon: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    wish = Abandon(given.table) if abandon else Drain(given.table, every, rest_ms)
    plan = act(given, wish, reason=reason, dry_run=dry_run, as_json=as_json)
    for one in plan.left:
        say(f"Left: {one}")


@command("split", "make several partitions of one, while everybody works")
@YEAR
@PARTITION
@click.option("--every", metavar="WIDTH", type=Width.parse, help="how wide the new ones are to be, as '1 month'")
@BATCH_PAUSE
@ABANDON
@REASON
@DRY_RUN
@JSON
def split(
    given: Given,
    *,
    year: Range | None,
    partition: str | None,
    every: Width | None,
    rest_ms: int | None,
    abandon: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    wish = Abandon(given.table) if abandon else Split(given.table, target(year, partition), every, rest_ms)
    act(given, wish, reason=reason, dry_run=dry_run, as_json=as_json)


@command("merge", "make one partition of several that lie side by side, while everybody works")
@click.option(
    "--partition",
    "partitions",
    metavar="[SCHEMA.]NAME ...",
    type=plain_text,
    multiple=True,
    help="those that become one; each by its name",
)
@BATCH_PAUSE
@click.option("--across-gaps", is_flag=True, help="let ranges between them that have no partition be part of it")
@ABANDON
@REASON
@DRY_RUN
@JSON
def merge(
    given: Given,
    *,
    partitions: tuple[str, ...],
    rest_ms: int | None,
    across_gaps: bool,
    abandon: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    wish = Abandon(given.table) if abandon else Merge(given.table, partitions, rest_ms, across_gaps)
    act(given, wish, reason=reason, dry_run=dry_run, as_json=as_json)
