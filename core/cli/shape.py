"""The commands that change what a table is made of: adopt, release."""

from __future__ import annotations

from typing import Any

import click

from core.cli.acting import Given, act
from core.cli.options import DRY_RUN, JSON, REASON, command, plain_text, table_name
from core.plans.adopt import Adopt, Release

ALONE = click.argument("alone", metavar="[SCHEMA.]NAME", type=table_name)


@command("adopt", "make a plain table that fits the partition of a range, where it stands")
@ALONE
@click.option("--lower", metavar="L", required=True, type=plain_text, help="where its range begins, or MINVALUE")
@click.option("--upper", metavar="U", required=True, type=plain_text, help="where it ends, without it, or MAXVALUE")
@REASON
@DRY_RUN
@JSON
def adopt(given: Given, *, alone: str, lower: str, upper: str, **said: Any) -> None:
    act(given, Adopt(given.table, alone, lower, upper), **said)


@command("release", "detach a partition and leave it where it stands: what undoes adopt")
@ALONE
@REASON
@DRY_RUN
@JSON
def release(given: Given, *, alone: str, **said: Any) -> None:
    act(given, Release(given.table, alone), **said)
