"""The commands of rules: what should be true of a table, said once, and kept in git by those who like."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli.acting import Given, act, put, put_json
from core.cli.files import text_of
from core.cli.options import DRY_RUN, JSON, REASON, Command, command, plain_text
from core.errors import PlanOutdated, UsageError
from core.rules.file import Difference, TableRules, differences, parse_file, schema, written
from core.rules.value import Rules, parse_rules
from core.text import Json, human_time, plural, shell_word

if TYPE_CHECKING:
    from core.console.ruled import InForce

_TOLD = """\
A duration, a width and a size need a unit; "off" takes a rule away. Rules do nothing by themselves: partitions maintain
keeps to them. README, Rules, tells each key, and the file that plan, apply and check read."""


class Rooms(click.Group):
    """A command with commands below it; no options of its own."""


rules = Rooms(
    "rules",
    short_help="what should be true of a table: show, set, undo; as a file: export, plan, apply, check, schema",
    help="Shows and sets the rules of tables, by hand or from a file.",
    epilog=_TOLD,
    no_args_is_help=False,
)


def _added(one: Command) -> Command:
    rules.add_command(one)
    return one


@_added
@command("show", "show the rules of every table, or of one")
@click.option("--history", is_flag=True, help="who set them when and why, newest first")
@JSON
def show(given: Given, *, history: bool, as_json: bool) -> None:
    from core.console.ruled import read_in_force, read_rulings

    one = _one(given)
    if history:
        rulings = read_rulings(given.desk.reading, given.desk.seal())
        mine = [ruling for ruling in rulings if one is None or ruling.oid == one]
        told: list[Json] = [
            {
                "operation": ruling.operation,
                "table": ruling.table,
                "rules": dict(ruling.rules.said()) if ruling.rules else None,
                "by": ruling.by,
                "at": ruling.at.isoformat(),
                "reason": ruling.reason,
                "obeyed": ruling.good,
            }
            for ruling in mine
        ]
        lines = [
            f"{ruling.operation}  {human_time(ruling.at)}  {ruling.by}  {ruling.table}:"
            f" {ruling.rules.sentence() if ruling.rules else 'no rules'}"
            f"{f' ({ruling.reason})' if ruling.reason else ''}{'' if ruling.good else '  NOT OBEYED: no good seal'}"
            for ruling in mine
        ]
        _put(as_json, {"changes": told}, lines or ["Rules were never set."])
        return
    found = [each for each in read_in_force(given.desk) if one in (None, each.oid)]
    _put(
        as_json, {"tables": [_json(each) for each in found]}, [_line(each) for each in found] or ["No table has rules."]
    )


def _one(given: Given) -> int | None:
    """The oid of the table that was named; None where none was."""
    return None if click.get_current_context().params["table"] is None else given.read().oid


def _json(one: InForce) -> Json:
    ruling = one.ruling
    return {
        "table": one.table,
        "rules": dict(one.rules.said()) if one.rules is not None else None,
        "not_obeyed": one.doubt or None,
        "set_by": ruling.by if ruling else None,
        "set_at": ruling.at.isoformat() if ruling else None,
        "reason": ruling.reason if ruling else None,
        "operation": ruling.operation if ruling else None,
    }


def _line(one: InForce) -> str:
    if one.doubt:
        return f"{one.table}: NOT OBEYED: {one.doubt}."
    if one.rules is None or one.ruling is None:
        return f"{one.table}: no rules"
    why = f", {one.ruling.reason}" if one.ruling.reason else ""
    return f"{one.table}: {one.rules.sentence()} (set by {one.ruling.by} on {human_time(one.ruling.at)}{why})"


def _put(as_json: bool, told: Json, lines: list[str]) -> None:
    if as_json:
        put_json(told)
    else:
        put("\n".join(lines))


_VALUES = {
    "every": ("WIDTH", "how wide a new partition is, as '1 month'; else as its own are"),
    "ahead": ("N", "partitions after the present one that are there"),
    "archive_after": ("HOW", "'3 years', '24 partitions' that stay, or '200 GiB' that all may take"),
    "verify_every": ("D", "how long the proof of a backup holds, as '1 year'"),
    "drop_after": ("D", "how long after its archive, with a proven backup"),
    "hold": ("HOW", "nothing is archived or dropped: 'until 2027-12-31', 'until lifted'"),
    "window": ("WHEN", "when anything but creation is begun, as '01:00-05:00 Europe/Berlin'"),
    "at_most": ("N", "acts in one window, or a day"),
}


def _each_rule(run: click.decorators.FC) -> click.decorators.FC:
    """The options that say one rule each, in the order of the file."""
    for key, (metavar, told) in reversed(_VALUES.items()):
        run = click.option(f"--{key.replace('_', '-')}", key, metavar=metavar, type=plain_text, help=told)(run)
    return run


@_added
@command("set", "set rules of a table; what is not named stays as it is", either=(("only", "none"),))
@_each_rule
@click.option("--backup/--no-backup", default=None, help="whether what is archived is backed up")
@click.option("--only", is_flag=True, help="what is not named is off")
@click.option("--none", is_flag=True, help="no rules any more")
@REASON
@DRY_RUN
@JSON
def set_(
    given: Given,
    *,
    backup: bool | None,
    only: bool,
    none: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
    **values: str | None,
) -> None:
    from core.console.ruled import wish_for

    table = given.read()
    said: dict[str, object] = {key: value for key, value in values.items() if value is not None}
    if backup is not None:
        said["backup"] = backup
    if not said and not only and not none:
        raise UsageError("Which rule?", next="Name one, such as --ahead 2; partitions rules set --help tells them.")
    if none and said:
        raise UsageError("--none takes every rule away, and others are named.")
    wish = wish_for(given.desk, table, None)
    before = {} if only or wish.before is None else dict(wish.before.said())
    if not none:
        wish = replace(wish, rules=parse_rules({**before, **said}))
    act(given, wish, reason=reason, dry_run=dry_run, as_json=as_json)


@_added
@command("undo", "put back the rules that a table had before the last change")
@REASON
@DRY_RUN
@JSON
def undo(given: Given, *, reason: str, dry_run: bool, as_json: bool) -> None:
    from core.console.ruled import wish_back

    act(given, wish_back(given.desk, given.read()), reason=reason, dry_run=dry_run, as_json=as_json)


# As a file --------------------------------------------------------------------------------------------------------

FILE = click.argument("file", metavar="FILE", type=plain_text)


@rules.command("schema", short_help="print the JSON Schema of the file")
def schema_() -> int:
    """Prints the JSON Schema of the file, for editors and checks."""
    put(json.dumps(schema(), indent=2))
    return 0


@_added
@command("export", "print the rules of every table, or of one, as a file")
def export(given: Given) -> None:
    from core.console.ruled import read_in_force

    one = _one(given)
    found = (each.as_in_file for each in read_in_force(given.desk) if one in (None, each.oid))
    put(written([each for each in found if each is not None]).rstrip())


@_added
@command("plan", "show where a file differs from the rules of the database, and what its rules would do")
@FILE
@JSON
def plan(given: Given, *, file: str, as_json: bool) -> None:
    wanted, found = _compared(given, file)
    stamp = _stamp(given, wanted)
    if as_json:
        put_json({"differences": [_difference_json(one) for one in found], "plan": stamp})
        return
    if not found:
        put("Nothing to do: the rules of the database are those of the file.")
        return
    put("\n\n".join("\n".join([one.name, *(f"  {line}" for line in one.lines)]) for one in found))
    put(f"\nApply just this: partitions rules apply {shell_word(file)} --plan {stamp}")


def _difference_json(one: Difference) -> Json:
    here, wanted = (dict(side.said()) if side is not None else None for side in (one.here, one.wanted))
    return {"table": one.name, "here": here, "file": wanted}


@_added
@command("check", "whether the rules of the database are those of a file; exit status 1 where they are not")
@FILE
@JSON
def check(given: Given, *, file: str, as_json: bool) -> int:
    _, found = _compared(given, file)
    lines = [f"{one.name}: {line}" for one in found for line in one.lines]
    _put(
        as_json,
        {"differences": [_difference_json(one) for one in found]},
        lines or ["The rules are those of the file."],
    )
    return 1 if found else 0


@_added
@command("apply", "have the rules of the database be those of a file", saves=False)
@FILE
@click.option("--plan", "stamp", metavar="PLAN", type=plain_text, help="just what `rules plan` showed, else nothing")
@REASON
@DRY_RUN
def apply(given: Given, *, file: str, stamp: str | None, reason: str, dry_run: bool) -> None:
    from core.console.ruled import wish_for

    wanted, found = _compared(given, file)
    if stamp is not None and stamp != _stamp(given, wanted):
        raise PlanOutdated(
            "The file, or the rules of the database, are no longer what that plan was made of.",
            next=f"Look again: partitions rules plan {shell_word(file)}",
        )
    if not found:
        put("Nothing to do: the rules of the database are those of the file.")
    wishes = [wish_for(given.desk, given.desk.read(one.name), one.wanted) for one in found]
    for wish in wishes:  # each is looked at before the first is set
        given.desk.plan(wish)
    for wish in wishes:
        act(given, wish, reason=reason or f"rules apply {Path(file).name}", dry_run=dry_run)
    if len(found) > 1 and not dry_run:
        put(f"The rules of {plural(len(found), 'table')} are those of the file.")


def _compared(given: Given, file: str) -> tuple[tuple[TableRules, ...], tuple[Difference, ...]]:
    """(what the file wants, by the addresses of the tables, where the database differs). Raises UsageError."""
    from core.console.ruled import read_in_force

    wanted = tuple(TableRules(given.desk.address_of(one.name), one.rules) for one in parse_file(text_of(file)))
    here = (one.as_in_file for one in read_in_force(given.desk))
    found = differences([one for one in here if one is not None], wanted)
    return wanted, tuple(one for one in found if one.wanted != (one.here or Rules()))


def _stamp(given: Given, wanted: tuple[TableRules, ...]) -> str:
    """Tells this plan from any other: what the file says, and which changes the rules of the database rest on."""
    from core.console.ruled import read_in_force

    here = sorted((one.table, one.instead_of, one.doubt) for one in read_in_force(given.desk))
    return sha256(f"{written(wanted)}{here}".encode()).hexdigest()[:16]
