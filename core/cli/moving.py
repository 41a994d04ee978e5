"""The commands that move rows between partitions: drain."""

from __future__ import annotations

import click

from core.cli.acting import Given, act, say
from core.cli.options import DRY_RUN, JSON, REASON, command
from core.period import Width
from core.plans.drain import Drain
from core.plans.under_way import Abandon

ABANDON = click.option("--abandon", is_flag=True, help="take back what was begun; the rows are where they were")


@command("drain", "move the rows of the DEFAULT partition into partitions of their own, while everybody works")
@click.option(
    "--every",
    metavar="WIDTH",
    type=Width.parse,
    help="how wide partitions are to be, as '1 month', where the table's own don't tell",
)
@ABANDON
@REASON
@DRY_RUN
@JSON
def drain(given: Given, *, every: Width | None, abandon: bool, reason: str, dry_run: bool, as_json: bool) -> None:
    wish = Abandon(given.table) if abandon else Drain(given.table, every)
    plan = act(given, wish, reason=reason, dry_run=dry_run, as_json=as_json)
    for one in plan.left:
        say(f"Left: {one}")
