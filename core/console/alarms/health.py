"""How the sending of alarms goes, from what is kept of it: for the Doctor, a page and the metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from core.console.alarms.state import LOOKED, State, States, read_states
from core.doctor.findings import AlarmsSent, Severity
from core.seal import trusted_seal
from core.settings import Settings

if TYPE_CHECKING:
    from core.console.desk import Desk


@dataclass(frozen=True, slots=True)
class AlarmFigures:
    """What metrics tell of alarms."""

    active: dict[str, int]
    """Causes that were found last, by severity."""
    unsent: dict[str, int]
    """Messages that did not arrive yet, by target."""
    looked_at: datetime | None


def read_health(desk: Desk) -> AlarmsSent:
    """Where people are told, and how that goes. Raises CatalogBusy, ConnectionFailed."""
    targets = desk.settings.alarms.every
    if not targets:
        return AlarmsSent(())
    states = read_states(desk.reading, desk.seal())
    failing = {channel: one for channel, one in _latest_in_vain(states).items() if channel in targets}
    return AlarmsSent(
        tuple(one.place for one in targets.values()),
        tuple(one.error.rstrip(".") for one in failing.values()),
        states[LOOKED].since if LOOKED in states else None,
    )


def _latest_in_vain(states: States) -> dict[str, State]:
    """By target, the message that it was last sent in vain, where none has arrived since."""
    found: dict[str, State] = {}
    for channel in {channel for channel, _ in states if channel}:
        own = [one for (of, _), one in states.items() if of == channel]
        tried = [one for one in own if one.tries and one.tried_at is not None]
        last = max((one.sent_at for one in own if one.sent_at is not None), default=None)
        worst = max(tried, key=lambda one: one.tried_at or one.since, default=None)
        if worst is not None and worst.tried_at is not None and (last is None or last < worst.tried_at):
            found[channel] = worst
    return found


def read_figures(engine: Engine, settings: Settings) -> AlarmFigures | None:
    """The figures; None where no target is set."""
    targets = settings.alarms.every
    if not targets:
        return None
    states = read_states(engine, trusted_seal(settings.key, settings.home))
    causes = {cause: one.severity for (channel, cause), one in states.items() if channel in targets and one.open}
    active = Counter(severity.value for severity in causes.values())
    unsent = Counter(channel for (channel, _), one in states.items() if one.tries)
    return AlarmFigures(
        {one.value: active[one.value] for one in Severity if one is not Severity.OK},
        {channel: unsent[channel] for channel in targets},
        states[LOOKED].since if LOOKED in states else None,
    )
