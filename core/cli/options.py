"""What is typed: what makes a function a command, the options that several commands have, and how values are read."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import wraps
from itertools import pairwise, takewhile
from typing import Any

import click
from click.core import ParameterSource

from core.cli.acting import opened
from core.errors import UsageError
from core.names import split_qualified
from core.period import Duration, year_range
from core.text import listed

_NO_VALUE = re.compile(r"-(?![\d.])\S+")
"""A word behind an option that is meant as the next option; what begins with a dash on purpose stands behind `=`."""

Run = Callable[..., int | None]
"""Takes the desk and the values of the options by name; None is exit status 0."""


class Command(click.Command):
    """A command that knows which of its options exclude each other, and keeps an option from being taken for a value.

    An option that may be repeated takes several words as well: --year 2026 2027.
    """

    def __init__(
        self, *args: Any, needs: tuple[str, ...] = (), either: tuple[tuple[str, ...], ...] = (), **more: Any
    ) -> None:
        """`needs` are options of which exactly one is typed, `either` those of which one at most is."""
        super().__init__(*args, **more)
        self.needs = needs
        self.either = either

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises click.UsageError, or UsageError for a value that can't be what was meant."""
        takes_value = {word: one for one in self.params if _has_value(one) for word in one.opts}
        for word, following in pairwise(takewhile(lambda arg: arg != "--", args)):
            if word in takes_value and _NO_VALUE.fullmatch(following):
                raise click.UsageError(f"Option {word!r} requires an argument, and {following!r} is none.", ctx)
        repeated = {word for word, one in takes_value.items() if isinstance(one, click.Option) and one.multiple}
        try:
            rest = super().parse_args(ctx, list(_spread(args, repeated)))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # the parser forgets which command it reads
            raise
        for names in (self.needs, *self.either):
            self._require_choice(ctx, names)
        return rest

    def _require_choice(self, ctx: click.Context, names: tuple[str, ...]) -> None:
        words = {one.name: one.opts[0] if isinstance(one, click.Option) else "an id" for one in self.params}
        typed = [words[name] for name in names if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if len(typed) > 1:
            raise click.UsageError(f"{' and '.join(typed)} exclude each other.", ctx)
        if names and names == self.needs and not typed:
            raise click.UsageError(f"One of {listed(words[name] for name in names)} is needed.", ctx)


def _has_value(one: click.Parameter) -> bool:
    return isinstance(one, click.Option) and not one.is_flag


def _spread(args: Sequence[str], repeated: set[str]) -> Iterator[str]:
    """`--year 2026 2027` as `--year 2026 --year 2027`."""
    option, given = "", True
    for word in args:
        if word.startswith("-"):
            option, given = (word if word in repeated else ""), False
        elif option:
            if given:
                yield option
            given = True
        yield word


def command(
    name: str,
    does: str,
    *,
    needs: tuple[str, ...] = (),
    either: tuple[tuple[str, ...], ...] = (),
    epilog: str | None = None,
    saves: bool = True,
) -> Callable[[Run], Command]:
    """Makes a function a command, with the option that every one has, and opens the database that it works with.

    One that acts, for a reason and not in a dry run, also saves its plan, unless it is not one that `saves`.
    """

    def make(run: Run) -> Command:
        acts = saves and {"reason", "dry_run"} <= {one.name for one in getattr(run, "__click_params__", ())}

        @wraps(run)
        def call(table: str | None, save_plan: str | None = None, **typed: object) -> int:
            with opened(table, click.get_current_context().obj, save_plan) as desk:
                status = run(desk, **(typed if save_plan is None else typed | {"dry_run": True}))
                sys.stdout.flush()
            return status or 0

        make_command = click.command(
            name,
            cls=Command,
            help=f"{does[0].upper()}{does[1:]}.",
            short_help=does,
            epilog=epilog,
            needs=needs,
            either=either,
        )
        made = make_command(TABLE(call))
        made.params += [SAVE_PLAN] if acts else []
        return made

    return make


# How values are read ---------------------------------------------------------------------------------------------


def plain_text(argument: str) -> str:
    """Refuses bytes that are no text: PostgreSQL would refuse them later, and less clearly."""
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{argument.encode(errors='backslashreplace').decode()} is not text in UTF-8.") from error
    return argument


def table_name(argument: str) -> str:
    """A table's name that can be read."""
    split_qualified(plain_text(argument))
    return argument


def number(what: str, least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers between the two."""

    def read(argument: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", argument) or not least <= int(argument) <= most:
            raise UsageError(f"{what} is {argument!r}, which is not a whole number from {least} to {most}.")
        return int(argument)

    return read


def calendar_date(argument: str) -> date:
    """A date as 2025-03-14."""
    try:
        return datetime.strptime(argument, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise UsageError(f"{argument!r} is not a date.", next="Write it as 2025-03-14.") from error


def date_or_time(argument: str) -> date | datetime:
    """A date as 2025-03-14, or a local time as 2025-03-14 06:00."""
    try:
        return calendar_date(argument)
    except UsageError:
        try:
            found = datetime.fromisoformat(argument)
        except ValueError:
            found = None
        if found is None or found.tzinfo is not None or not re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:", argument):
            raise UsageError(
                f"{argument!r} is not a date or a local time.", next="Write it as 2025-03-14 or '2025-03-14 06:00'."
            ) from None
        return found


def column_value(argument: str) -> tuple[str, str]:
    """(column, value) of COLUMN=VALUE."""
    column, equals, value = plain_text(argument).partition("=")
    if not equals or not column:
        raise UsageError(f"{argument!r} is not a column and its value.", next="Write it as COLUMN=VALUE.")
    return column, value


def milliseconds(argument: str) -> int:
    """A short while, as 50ms or 1.5s, in milliseconds."""
    match = re.fullmatch(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)\s*(ms|s)", argument)
    found = round(float(match[1]) * (1000 if match[2] == "s" else 1)) if match else -1
    if not 0 <= found <= 60_000:
        raise UsageError(f"{argument!r} is not a pause of up to a minute.", next="Write it as 50ms or 2s.")
    return found


# What several commands have --------------------------------------------------------------------------------------

TABLE = click.option(
    "--table",
    metavar="[SCHEMA.]NAME",
    type=table_name,
    help="the table (default kid_absences, or PARTITION_DESK_TABLE)",
)
YEAR = click.option("--year", metavar="Y", type=year_range, help="the one of this year")
PARTITION = click.option("--partition", metavar="[SCHEMA.]NAME", type=plain_text, help="the one of this name")
SEVERAL = ("years", "partitions")
"""The two that take several words, of which one is needed."""
YEARS = click.option("--year", "years", metavar="Y ...", type=year_range, multiple=True, help="those of these years")
PARTITIONS = click.option(
    "--partition",
    "partitions",
    metavar="[SCHEMA.]NAME ...",
    type=plain_text,
    multiple=True,
    help="those of these names",
)
SET = click.option(
    "--set",
    "as_set",
    is_flag=True,
    help="with those of the same period in the tables that foreign keys bind to it, all or none",
)
GO_ON = click.option("--go-on", is_flag=True, help="of several: one that is refused or fails does not end the rest")
BACKUP = click.argument("backup", metavar="[BACKUP]", required=False, type=plain_text)
REASON = click.option("--reason", metavar="TEXT", type=plain_text, default="", help="why, for the history")
DRY_RUN = click.option("--dry-run", is_flag=True, help="print what would be done and change nothing")
SAVE_PLAN = click.Option(
    ("--save-plan",),
    metavar="FILE",
    type=plain_text,
    help="write what would be done into a file, for partitions apply, and change nothing",
)
JSON = click.option("--json", "as_json", is_flag=True, help="print JSON instead")
BATCH_PAUSE = click.option(
    "--batch-pause",
    "rest_ms",
    metavar="50ms",
    type=milliseconds,
    help="how long to rest after each batch of rows (default: not at all)",
)
DURATION = Duration.parse
"""The type of a duration, such as 7d."""
