"""The command that keeps to the rules, for cron: maintain."""

from __future__ import annotations

import click

from core.cli.acting import Given, put, put_json, run_apart, say
from core.cli.options import DRY_RUN, JSON, command
from core.plans.operation import MAINTAIN
from core.rules.run import Run
from core.text import Json, plural

_TOLD = """\
Creation comes first, and waits for no window. What fails on one table or partition keeps nothing else from being done.
Exit status: 0 everything is as the rules want it, or will be by itself; 1 something failed, or needs somebody, or
another one is running. Run it at least once a day, and once in each window."""


@command(
    "maintain", "make the rules of every table true, or of one: create, archive, back up, verify, drop", epilog=_TOLD
)
@click.option("--outside-window", "outside", is_flag=True, help="now, whatever the windows of the rules say")
@DRY_RUN
@JSON
def maintain(given: Given, *, outside: bool, dry_run: bool, as_json: bool) -> int:
    from core.console.maintain import maintain as keep_to

    only = None if click.get_current_context().params["table"] is None else given.read().oid
    if dry_run:
        return _dry(given, only, outside=outside, as_json=as_json)
    given.actor.require(MAINTAIN)
    run = run_apart(
        given,
        lambda cancellation, progress: keep_to(
            given.desk, told=say, outside=outside, only=only, cancellation=cancellation, progress=progress
        ),
    )
    if as_json:
        put_json(_json(run))
    else:
        put(_text(run))
    return 0 if run.good else 1


def _json(run: Run) -> Json:
    return {
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat() if run.ended else None,
        "did": [
            {"table": one.table, "act": one.act, "subject": one.subject, "at": one.at, "error": one.error or None}
            for one in run.did
        ],
        "left": [
            {"table": one.table, "act": one.act, "subject": one.subject, "why": one.why, "needs_somebody": one.wrong}
            for one in run.left
        ],
        "stopped": run.stopped or None,
        "good": run.good,
    }


_WRONG = {True: "NOT DONE", False: "Later"}


def _text(run: Run) -> str:
    good = [one for one in run.did if one.good]
    lines = [f"Done: {one.table}: {one.act} {one.subject}" for one in good]
    lines += [f"{_WRONG[one.wrong]}: {_left(one.table, one.act, one.subject, one.why)}" for one in run.left]
    if run.stopped:
        lines.append(run.stopped)
    if not lines:
        return "Nothing to do: everything is as the rules want it."
    return "\n".join([*lines, f"{plural(len(good), 'act')} done, {plural(len(run.failed), 'thing')} to be looked at."])


def _left(table: str, act: str, subject: str, why: str) -> str:
    return f"{table}: {why}" if subject == table else f"{table}: {act} {subject}: {why}"


def _dry(given: Given, only: int | None, *, outside: bool, as_json: bool) -> int:
    """What a run would do now, and what it would leave."""
    from core.console.maintain import would_do
    from core.console.ruled import read_in_force

    told: list[Json] = []
    wrong = 0
    for one in read_in_force(given.desk):
        if only not in (None, one.oid) or (one.rules is None and not one.doubt):
            continue
        found, _ = would_do(given.desk, one, outside=outside)
        acts: list[Json] = [{"act": act.operation.name, "subject": act.subject, "why": act.why} for act in found.acts]
        held = [
            {"act": each.operation.name, "subject": each.subject, "why": each.why, "needs_somebody": each.wrong}
            for each in found.held
        ]
        wrong += bool(one.doubt) + sum(each.wrong for each in found.held)
        told.append({"table": one.table, "acts": acts, "left": held, "not_obeyed": one.doubt or None})
        if not as_json:
            put("\n".join(_dry_lines(told[-1], acts, held)))
    if as_json:
        put_json({"dry_run": True, "tables": told})
    elif not told:
        put("No table has rules.")
    return 1 if wrong else 0


def _dry_lines(told: Json, acts: list[Json], held: list[Json]) -> list[str]:
    table = str(told["table"])
    lines = [f"-- {table}: the rules are not obeyed: {told['not_obeyed']}"] if told["not_obeyed"] else []
    lines += [f"-- {table}: would {act['act']} {act['subject']}: {act['why']}" for act in acts]
    for one in held:
        lines.append(f"-- {_left(table, str(one['act']), str(one['subject']), 'not now: ' + str(one['why']))}")
    return lines or [f"-- {table}: nothing to do"]
