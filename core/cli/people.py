"""The command that keeps the accounts of people who sign in with a password."""

from __future__ import annotations

import sys

import click

from core.cli.acting import put, whoever_runs_this
from core.cli.options import plain_text
from core.errors import UsageError
from core.plans.operation import ACCOUNTS
from core.settings import read_settings


@click.command("user", short_help="keep the accounts of who signs in with a password: add, remove, list, password")
@click.argument("what", metavar="add|remove|list|password", type=click.Choice(["add", "remove", "list", "password"]))
@click.argument("name", metavar="[NAME]", required=False, type=plain_text)
def user(what: str, name: str | None) -> int:
    """Keeps the accounts of who signs in with a password.

    A password is asked for, or read from standard input. Roles are given by PARTITION_DESK_ADMINS and its like.
    """
    from core.console import accounts

    settings = read_settings()
    whoever_runs_this(settings).require(ACCOUNTS)
    if what == "list":
        put("\n".join(accounts.names(settings)) or "There are no accounts.")
        return 0
    if not name:
        raise UsageError("Whose account?", next=f"Name it: partitions user {what} NAME.")
    if what == "remove":
        accounts.remove(settings, name)
        put(f"Removed: {name}. Who was signed in by it is not any more.")
        return 0
    accounts.set_password(settings, name, _password(), new=what == "add")
    put(f"{'Added' if what == 'add' else 'Changed'}: {name}.")
    return 0


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\n")
