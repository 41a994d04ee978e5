"""What was told of each cause, and to which target: kept in the database, so that nobody is told twice.

A row counts only with the seal of a console of this database: what others write there tells nothing and hides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.console.alarms.message import Alarm, Event
from core.doctor.findings import Severity
from core.names import literal
from core.postgres.connection import session, sqlstate, translate
from core.postgres.own_tables import make_tables, require_plain, require_trusted
from core.seal import Seal

DAY = timedelta(days=1)
"""After so long what is so still is told again."""
_LONGEST_PAUSE = timedelta(hours=1)
_MOST_SUBJECTS = 500

_TABLE = """
CREATE TABLE IF NOT EXISTS partition_desk.alarm (
    channel text NOT NULL,
    cause text NOT NULL,
    state text NOT NULL,
    seal text NOT NULL,
    PRIMARY KEY (channel, cause)
)
"""
LOOKED = ("", "")
"""Under this channel and cause it stands when it was last looked."""


@dataclass(frozen=True, slots=True)
class State:
    """What one target was told of one cause; the moments are those of consoles' clocks."""

    since: datetime
    kind: str = ""
    table: str = ""
    severity: Severity = Severity.OK
    """As it was found last."""
    title: str = ""
    sent: int = 0
    """How many messages since it began; 0 where none has arrived yet."""
    sent_at: datetime | None = None
    """Of the last of them, also of one that told of the end."""
    told: Severity = Severity.OK
    """How severe it was then."""
    subjects: tuple[str, ...] = ()
    """What was told of it."""
    open: bool = True
    """False once its end was told, or it ended untold."""
    tries: int = 0
    """How often the message that is due was sent in vain."""
    tried_at: datetime | None = None
    error: str = ""
    """Why, in words of this program."""

    @property
    def was_sent(self) -> bool:
        """Whether anybody may know of it: where an answer was lost the message may have arrived."""
        return bool(self.sent or self.tries)

    @property
    def alarm(self) -> Alarm:
        """The cause as it was found last, for the message of its end."""
        return Alarm(self.kind, self.table, self.severity, self.title)

    @property
    def again_at(self) -> datetime | None:
        """When what was sent in vain is sent again: after 1, 2, 4 minutes and so on, an hour at most."""
        if self.tried_at is None or not self.tries:
            return None
        return self.tried_at + min(timedelta(minutes=2 ** min(self.tries - 1, 10)), _LONGEST_PAUSE)


def event_due(state: State, alarm: Alarm | None, now: datetime) -> Event | None:
    """What is to be told of a cause, `alarm` being how it is now, None where it is over; None where nothing is."""
    if state.again_at is not None and now < state.again_at:
        return None
    if alarm is None:
        return Event.OVER if state.open and state.was_sent else None
    worse = alarm.severity.rank > state.told.rank
    if not state.sent or worse or set(alarm.subjects[:_MOST_SUBJECTS]) - set(state.subjects):
        return Event.RAISED
    return Event.STILL if state.sent_at is None or now - state.sent_at >= DAY else None


def begun(state: State | None, alarm: Alarm, now: datetime) -> State:
    """The state of a cause that is found, as it is now; a new one where it was over."""
    if state is None or not state.open:
        state = State(now)
    return replace(state, kind=alarm.kind, table=alarm.table, severity=alarm.severity, title=alarm.title)


def arrived(state: State, event: Event, alarm: Alarm | None, now: datetime) -> State:
    """The state once a message has arrived."""
    done = replace(state, sent=state.sent + 1, sent_at=now, tries=0, tried_at=None, error="")
    if alarm is None:
        return replace(done, open=False)
    kept = state.subjects if event is Event.RAISED else ()
    subjects = tuple(dict.fromkeys((*alarm.subjects, *kept)))[:_MOST_SUBJECTS]
    return replace(done, told=alarm.severity, subjects=subjects)


States = Mapping[tuple[str, str], State]
"""By channel and cause."""


def read_states(engine: Engine, seal: Seal | None) -> States:
    """Every state that a console of this database wrote; none where there is no table, or it may not be read."""
    if seal is None:
        return {}
    with session(engine) as connection:
        try:
            return _read(connection, seal) if _exists(connection) else {}
        except DBAPIError as error:
            if sqlstate(error) == "42501":
                return {}
            raise translate(error) from error


def read_on(connection: Connection, seal: Seal) -> States:
    """The same on a connection, where the table is there. Raises DBAPIError."""
    return _read(connection, seal)


def _read(connection: Connection, seal: Seal) -> dict[tuple[str, str], State]:
    found: dict[tuple[str, str], State] = {}
    for row in connection.exec_driver_sql("SELECT channel, cause, state, seal FROM partition_desk.alarm").all():
        if seal.fits(row.seal, "alarm", row.channel, row.cause, row.state):
            found[row.channel, row.cause] = _parsed(json.loads(row.state))
    return found


def _parsed(said: dict[str, str]) -> State:
    known = {field.name: said[field.name] for field in fields(State) if field.name in said}
    moments = {name: datetime.fromisoformat(known[name]) for name in ("since", "sent_at", "tried_at") if known[name]}
    severities = {name: Severity(known[name]) for name in ("severity", "told")}
    return State(**{**known, **moments, **severities, "subjects": tuple(known["subjects"])})  # type: ignore[arg-type]


def write(connection: Connection, seal: Seal, channel: str, cause: str, state: State) -> None:
    """Writes a state down; the connection is in AUTOCOMMIT. Raises DBAPIError."""
    text = json.dumps(asdict(state), default=datetime.isoformat)
    row = ", ".join(literal(one) for one in (channel, cause, text, seal.of("alarm", channel, cause, text)))
    connection.exec_driver_sql(
        f"INSERT INTO partition_desk.alarm (channel, cause, state, seal) VALUES ({row})"
        " ON CONFLICT (channel, cause) DO UPDATE SET state = excluded.state, seal = excluded.seal"
    )


def _exists(connection: Connection) -> bool:
    there = connection.exec_driver_sql("SELECT pg_catalog.to_regclass('partition_desk.alarm') IS NOT NULL").scalar_one()
    if there:
        require_plain(connection)
    return bool(there)


def definition() -> str:
    """The SQL that makes the table where it is missing, once its schema is there."""
    return _TABLE.strip()


def make(connection: Connection) -> None:
    """Makes the table where it is missing; the connection is in AUTOCOMMIT. Raises NotAllowed, JournalPublished."""
    require_trusted(connection)
    if not _exists(connection):
        otherwise = "the table of what was told, without which no alarm is sent"
        make_tables(connection, definition(), there=_exists, otherwise=otherwise)
