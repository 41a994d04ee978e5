"""The command that does what a saved plan says: apply. Every command that acts saves one: --save-plan."""

from __future__ import annotations

import click
from click.core import ParameterSource

from core.cli.acting import Given, run_plan
from core.cli.files import contents
from core.cli.options import DRY_RUN, JSON, REASON, command, plain_text
from core.console import saved
from core.console.actor import system_user
from core.errors import Refused
from core.tables.commands import option

_TOLD = """\
FILE is what --save-plan of another command has written, or "Save this plan" of a dialog. It is planned anew, and done
only where that is the very same still. Its SQL is there to be read; nothing of it is run. Roles, two persons and the
name that a drop asks for are as for the command itself."""


@command("apply", "do what a saved plan says, where nothing has changed since", epilog=_TOLD, saves=False)
@click.argument("file", metavar="FILE", type=plain_text)
@click.option("--confirm", metavar="NAME", type=plain_text, help="a drop: the name of the table, typed once more")
@REASON
@DRY_RUN
@JSON
def apply(given: Given, *, file: str, confirm: str | None, reason: str, dry_run: bool, as_json: bool) -> None:
    found = saved.parse(contents(file, saved.MOST_BYTES))
    _require_table(given, found)
    plan = saved.planned(given.desk, found, system_user())
    if saved.needs_name(plan) and plan.steps and not dry_run and confirm != plan.subject:
        raise Refused(
            f"To drop {plan.subject}, type its name: {option('--confirm', plan.subject)}"
            if confirm is None
            else f"--confirm says {confirm!r}, and the table is {plan.subject}.",
            next="Nothing is dropped by a slip of the hand.",
        )
    run_plan(given, plan, reason=reason, dry_run=dry_run, as_json=as_json)


def _require_table(given: Given, found: saved.Saved) -> None:
    """Raises Refused where another table is named with --table than the file is of."""
    named = click.get_current_context().get_parameter_source("table") is ParameterSource.COMMANDLINE
    if named and given.desk.address_of(given.table) != found.table:
        raise Refused(
            f"That plan is of {found.table}, and not of {given.table}.", next="Leave --table out, or name the other."
        )
