"""The command that tells people of what is wrong: alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from core.cli.acting import Given, put, put_json, say
from core.cli.options import DRY_RUN, JSON, command
from core.errors import UsageError
from core.text import Json, aligned, human_ago, plural, shown

if TYPE_CHECKING:
    from core.console.alarms.causes import Look
    from core.console.alarms.send import Due, Told
    from core.console.alarms.state import States

_TOLD = """\
list (as it is without a word) looks at what there is to be told of, and when that was told; test sends a message that
says it is a test; send looks, and sends what is due: what is new or worse, once a day what is so still, and what is
over. It is for cron, where no dashboard runs; who else sends at the time is waited for. A message that did not arrive
is sent again by the next one: exit status 1. Where alarms go: README, Alarms."""


@command("alarms", "tell people of what is wrong, where PARTITION_DESK_ALARM_... says (for cron)", epilog=_TOLD)
@click.argument("what", metavar="[list|test|send]", type=click.Choice(("list", "test", "send")), default="list")
@DRY_RUN
@JSON
def alarms(given: Given, *, what: str, dry_run: bool, as_json: bool) -> int:
    if what == "test":
        return _test(given, dry_run=dry_run, as_json=as_json)
    if what == "send" and not dry_run:
        return _send(given, as_json=as_json)
    return _show(given, only_due=what == "send", as_json=as_json)


def _test(given: Given, *, dry_run: bool, as_json: bool) -> int:
    from core.console.alarms.send import send_test

    if dry_run:
        raise UsageError("A test is sent, or it is none.", next="Leave --dry-run out.")
    return _ended(send_test(given.desk, given.actor), (), as_json=as_json)


def _send(given: Given, *, as_json: bool) -> int:
    from core.console.alarms.send import send_due
    from core.plans.operation import SEND_ALARMS

    given.actor.require(SEND_ALARMS)
    found, told = send_due(given.desk)
    return _ended(told, found.why, as_json=as_json)


def _ended(told: list[Told], why: tuple[str, ...] | list[str], *, as_json: bool) -> int:
    """Prints what was sent; 1 where something did not arrive."""
    for one in why:
        say(f"Not looked at: {one}")
    if as_json:
        put_json({"sent": [_sent_json(one) for one in told], "unread": list(why)})
    else:
        put("\n".join(_sent_text(one) for one in told) or "Nothing is due.")
    return 1 if any(one.error for one in told) else 0


def _sent_text(one: Told) -> str:
    return shown(one.error or f"Told {one.place}: {one.message.heading}")


def _sent_json(one: Told) -> Json:
    from core.console.alarms.message import as_json

    return {"channel": one.channel, "place": one.place, "error": one.error or None, "message": as_json(one.message)}


def _show(given: Given, *, only_due: bool, as_json: bool) -> int:
    """Prints what there is, or what would be sent."""
    from core.console.alarms.send import preview, require_targets

    if only_due:
        require_targets(given.desk)
    found, messages, states = preview(given.desk)
    for one in found.why:
        say(f"Not looked at: {one}")
    if only_due:
        _put_due(given, messages, as_json=as_json)
    else:
        _put_alarms(given, found, states, as_json=as_json)
    return 0


def _put_due(given: Given, messages: list[Due], *, as_json: bool) -> None:
    from core.console.alarms.message import as_json as message_json

    made = [(one.channel, one.message(given.desk, given.desk.now)) for one in messages]
    if as_json:
        put_json({"due": [{"channel": channel, "message": message_json(message)} for channel, message in made]})
    else:
        said = (f"Would tell by {channel}: {shown(message.heading)}" for channel, message in made)
        put("\n".join(said) or "Nothing is due.")


def _put_alarms(given: Given, found: Look, states: States, *, as_json: bool) -> None:
    from core.console.alarms.send import wanted

    desk = given.desk
    targets, told = desk.settings.alarms.every, wanted(desk, found)
    every = sorted(found.alarms, key=lambda one: (-one.severity.rank, one.key))
    latest = {
        one.key: max(
            (s.sent_at for (_, key), s in states.items() if key == one.key and s.open and s.sent_at), default=None
        )
        for one in every
    }
    if as_json:
        alarms_json: list[Json] = [
            {
                "cause": one.kind,
                "table": one.table or None,
                "severity": one.severity.value,
                "title": one.title,
                "told": one.key in told and bool(targets),
                "last_told": at.isoformat() if (at := latest[one.key]) else None,
            }
            for one in every
        ]
        put_json({"targets": {name: one.place for name, one in targets.items()}, "alarms": alarms_json})
        return
    where = "; ".join(f"{name}: {one.place}" for name, one in targets.items())
    lines = [f"They go to {where}." if where else "Nothing says where they go: README, Alarms.", ""]
    rows = [
        (one.severity.value, one.kind, shown(one.table or "-"), shown(one.title), human_ago(latest[one.key], desk.now))
        for one in every
    ]
    lines += aligned(("severity", "cause", "table", "what", "told"), rows, numbers=0) if rows else []
    less = len(every) - len(told)
    if less:
        lines += ["", f"{plural(less, 'alarm')} less severe than {desk.settings.alarms.severity}: not told."]
    put("\n".join(lines) if rows else f"{lines[0]}\nThere is nothing to be told of.")
