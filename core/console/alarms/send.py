"""Looks at what is wrong and tells what is due, one process of a database at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.console.alarms import state
from core.console.alarms.causes import Look, look
from core.console.alarms.deliver import deliver
from core.console.alarms.message import Alarm, Event, Message
from core.console.alarms.state import LOOKED, State, States
from core.doctor.findings import Severity
from core.errors import AlarmNotSent, ReadOnlyServer, SettingError
from core.postgres.advisory import LockKey, held
from core.postgres.connection import session, translate

if TYPE_CHECKING:
    from core.console.actor import Actor
    from core.console.desk import Desk
    from core.targets import Mail, Webhook

IN_A_ROW = 2
"""So many messages that a target does not take end the round for it."""
ENGAGED_S = 60.0
"""How long somebody else who sends is waited for."""


@dataclass(frozen=True, slots=True)
class Told:
    """One message to one target, and how that went."""

    channel: str
    place: str
    message: Message
    error: str = ""
    """Why it did not arrive; empty where it did, or was not to be sent."""


def require_targets(desk: Desk) -> None:
    """Raises SettingError where no target is set."""
    if not desk.settings.alarms.every:
        raise SettingError(
            "Nothing says where alarms go.",
            next="Set PARTITION_DESK_ALARM_WEBHOOK, or PARTITION_DESK_ALARM_MAIL_TO and PARTITION_DESK_ALARM_SMTP.",
        )


def wanted(desk: Desk, found: Look) -> dict[str, Alarm]:
    """The alarms that are severe enough, by the keys of their causes."""
    least = Severity(desk.settings.alarms.severity).rank
    return {alarm.key: alarm for alarm in found.alarms if alarm.severity.rank >= least}


@dataclass(frozen=True, slots=True)
class Due:
    """A message that is due, and the state that it leaves from."""

    channel: str
    key: str
    event: Event
    now: Alarm | None
    """None where it is over."""
    state: State

    def message(self, desk: Desk, at: datetime) -> Message:
        """What is sent."""
        alarm = self.now or self.state.alarm
        return Message(self.event, alarm, self.state.since, at, name_of(desk), self.state.sent)


def name_of(desk: Desk) -> str:
    """The database, for people."""
    return desk.address or desk.server().database


def due(desk: Desk, found: Look, states: States, at: datetime) -> tuple[list[Due], dict[tuple[str, str], State]]:
    """What is due, and the states of all causes that are found, new ones too, and of those that ended untold."""
    alarms, messages = wanted(desk, found), []
    changed: dict[tuple[str, str], State] = {}
    for channel in desk.settings.alarms.every:
        for key, alarm in alarms.items():
            as_is = state.begun(states.get((channel, key)), alarm, at)
            changed[channel, key] = as_is
            event = state.event_due(as_is, alarm, at)
            if event is not None:
                messages.append(Due(channel, key, event, alarm, as_is))
        for (of, key), before in states.items():
            if of != channel or key in alarms or not before.open or not found.knows(before.kind, before.table):
                continue
            if not before.was_sent:
                changed[of, key] = replace(before, open=False)
            elif state.event_due(before, None, at) is not None:
                messages.append(Due(of, key, Event.OVER, None, before))
    return messages, changed


def preview(desk: Desk) -> tuple[Look, list[Due], States]:
    """What there is, what would be sent now, and what was sent before; nothing is written, nothing sent."""
    states = state.read_states(desk.reading, desk.seal())
    found = look(desk)
    return found, due(desk, found, states, desk.now)[0], states


def send_due(
    desk: Desk, *, wait_s: float = ENGAGED_S, stopped: Callable[[], bool] = lambda: False
) -> tuple[Look, list[Told]]:
    """Looks, and sends what is due; raises nothing for a target that does not take it.

    What was sent is written down after it has arrived: a process that dies in between sends the same again, under the
    same id. Raises LockNotObtained where another one is at it, NotAllowed, JournalPublished, ReadOnlyServer,
    SettingError.
    """
    require_targets(desk)
    server = desk.acting().server()
    if server.in_recovery or server.read_only:
        raise ReadOnlyServer(
            "This server takes no changes, and what was told could not be written down.",
            next="Alarms are sent by a console on the primary server.",
        )
    seal = desk.make_seal()
    with session(desk.working) as connection:
        try:
            state.make(connection)
            with held(connection, LockKey.ALARM, 0, "sending alarms", wait_s=wait_s):
                found, at = look(desk), desk.now
                messages, changed = due(desk, found, state.read_on(connection, seal), at)
                for (channel, key), as_is in changed.items():
                    state.write(connection, seal, channel, key, as_is)
                told = _send(desk, connection, messages, at, stopped)
                state.write(connection, seal, *LOOKED, State(at))
        except DBAPIError as error:
            raise translate(error) from error
    return found, told


def _send(
    desk: Desk, connection: Connection, messages: list[Due], at: datetime, stopped: Callable[[], bool]
) -> list[Told]:
    targets, seal, told = desk.settings.alarms.every, desk.make_seal(), []
    in_vain = dict.fromkeys(targets, 0)
    for one in sorted(messages, key=lambda one: one.state.tries):
        if stopped() or in_vain[one.channel] >= IN_A_ROW:
            continue
        message = one.message(desk, at)
        error = _try(message, targets[one.channel])
        in_vain[one.channel] = in_vain[one.channel] + 1 if error else 0
        after = (
            replace(one.state, tries=one.state.tries + 1, tried_at=at, error=error)
            if error
            else state.arrived(one.state, one.event, one.now, at)
        )
        state.write(connection, seal, one.channel, one.key, after)
        told.append(Told(one.channel, targets[one.channel].place, message, error))
    return told


def _try(message: Message, target: Webhook | Mail) -> str:
    """Sends it; why it did not arrive, or nothing."""
    try:
        deliver(message, target)
    except AlarmNotSent as error:
        return error.what
    return ""


def send_test(desk: Desk, actor: Actor) -> list[Told]:
    """Sends one message to each target that says that it is a test. Raises NotAllowed, SettingError."""
    from core.console.actor import as_of_now
    from core.plans.operation import TEST_ALARMS

    as_of_now(desk.settings, actor).require(TEST_ALARMS)
    require_targets(desk)
    alarm = Alarm("test", "", Severity.NOTE, f"A test of Partition Desk's alarms, asked for by {actor.name}")
    message = Message(Event.TEST, alarm, desk.now, desk.now, name_of(desk))
    return [
        Told(channel, target.place, message, _try(message, target))
        for channel, target in desk.settings.alarms.every.items()
    ]
