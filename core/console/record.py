"""What a running operation writes into its row of the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from core.console.locks import Blocker
from core.errors import DeskError
from core.names import literal
from core.plans.plan import Plan, Step
from core.postgres.encoding import storable, unstorable
from core.postgres.session import encoding_of


def as_text(connection: Connection, text: str) -> str:
    """A text for the journal as a constant, in letters that the database has."""
    return literal(stored(connection, text))


def stored(connection: Connection, text: str) -> str:
    """A text as the journal keeps it, in letters that the database has."""
    return storable(text.replace("\x00", ""), encoding_of(connection))


def as_json(connection: Connection, text: str) -> str:
    """The same for JSON, which writes what the database lacks so that it is read back."""
    plain = unstorable(text, encoding_of(connection))
    return literal(json.dumps(json.loads(text), sort_keys=True) if plain else text)


@dataclass(frozen=True, slots=True)
class Record:
    """Writes one running operation's progress into the journal, on whichever connection is at hand."""

    id: int
    beats: bool = False
    """Whether its advisory lock could not be had, so that its row has to say that it is alive."""

    def beat(self, connection: Connection) -> None:
        """It is alive."""
        self._update(connection, "beat = pg_catalog.clock_timestamp()")

    def _update(self, connection: Connection, assignments: str) -> None:
        connection.exec_driver_sql(f"UPDATE partition_desk.operation SET {assignments} WHERE id = {self.id}")

    def doing(self, connection: Connection, what: str, share: float | None = None) -> None:
        """What it is at now, for people, and how much of it is done (0 to 1)."""
        done = "NULL" if share is None else f"{min(max(share, 0.0), 1.0):.4f}"
        self._update(connection, f"doing = {as_text(connection, what)}, share = {done}, blockers = '[]'")

    def planned(self, connection: Connection, plan: Plan) -> None:
        """How many steps it takes as everything is now."""
        self._update(connection, f"steps = {len(plan.steps)}")

    def waiting(self, connection: Connection, blockers: Iterable[Blocker], tries: int) -> None:
        """Who it waits for, and how often it tried."""
        people = json.dumps([blocker.as_json() for blocker in blockers], ensure_ascii=False)
        self._update(connection, f"blockers = {as_json(connection, people)}, tries = {tries}")

    def step_done(self, connection: Connection, number: int, step: Step, started: datetime, *, last: bool) -> None:
        """Step `number` (from 1) is done; inside its transaction, so that both are there or neither is."""
        connection.exec_driver_sql(
            "INSERT INTO partition_desk.operation_step VALUES"
            f" ({self.id}, {number}, {as_text(connection, step.title)}, {as_text(connection, step.sql)},"
            f" {literal(started.isoformat())},"
            " pg_catalog.clock_timestamp())"
        )
        end = ", state = 'done', doing = '', finished_at = pg_catalog.clock_timestamp()" if last else ""
        self._update(connection, f"step = {number}, blockers = '[]'{end}")

    def counted(self, connection: Connection, *, before: int | None = None, after: int | None = None) -> None:
        """How many rows the subject held before, or holds after."""
        column, rows = ("rows_before", before) if after is None else ("rows_after", after)
        if rows is not None:
            self._update(connection, f"{column} = {rows}")

    def cancel_requested(self, connection: Connection) -> bool:
        """Whether a person asked for it to stop."""
        return bool(
            connection.exec_driver_sql(
                f"SELECT cancel_requested FROM partition_desk.operation WHERE id = {self.id}"
            ).scalar_one()
        )

    def ended(
        self, connection: Connection, state: str, error: DeskError, sqlstate: str = "", message: str = ""
    ) -> None:
        """It ended otherwise than by its last step."""
        self._update(
            connection,
            f"state = {literal(state)}, doing = '', error = {as_text(connection, str(error))},"
            f" error_kind = {literal(type(error).__name__)}, sqlstate = {literal(sqlstate)},"
            f" server_message = {as_text(connection, message)}, finished_at = pg_catalog.clock_timestamp()",
        )
