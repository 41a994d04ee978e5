"""The console's own tables, schema partition_desk: every operation asked for. As a queue: core.console.queue.

Losing them loses no partition. They are made with the first act; reading where there are none finds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.console.journal_tables import exists
from core.console.locks import Blocker
from core.console.register import named
from core.names import literal
from core.plans.operation import Danger, Operation
from core.plans.plan import Plan
from core.postgres.advisory import HELD, OURS, LockKey
from core.postgres.connection import session, sqlstate, translate
from core.seal import Seal

BEAT_S = 5
"""How often a running operation without its lock says that it is alive."""
DEAD_AFTER_S = 6 * BEAT_S
"""Without a beat for so long it counts as dead."""
STALE_AFTER_S = 120
"""A queued operation that nobody took for so long is not begun any more."""


UNSEALED = "It has no seal of this console, or of one with its key: anybody may have written it."


class OperationState(StrEnum):
    """Where an operation is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def active(self) -> bool:
        """Whether it is still to end."""
        return self in (OperationState.QUEUED, OperationState.RUNNING)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step that was committed."""

    step: int
    title: str
    sql: str
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One operation as the journal knows it; times are in UTC."""

    id: int
    table: str
    kind: str
    subject: str
    plan: Plan
    actor: str
    role: str
    origin: str
    reason: str
    state: OperationState
    step: int
    """How many steps are committed."""
    steps: int
    doing: str
    tries: int
    """How often a lock was asked for and given up."""
    blockers: tuple[Blocker, ...]
    cancel_requested: bool
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    rows_before: int | None
    """Rows of the subject as counted before and after; None where counting took too long, or for a new partition."""
    rows_after: int | None
    share: float | None
    """How much of its work is done, 0 to 1; None where that can't be known."""
    error: str
    error_kind: str
    """The class of core.errors that it ended with; empty in rows of an older version."""
    sqlstate: str
    server_message: str
    sealed_at: str = ""
    """When the seal was made, by the server's clock; empty in rows of an older version."""
    wish: str = ""
    """What was asked for, from which its plan is built; empty in rows of an older version."""
    sealed: bool | None = None
    """Whether a console with this one's key wrote down what was asked for; None where that was not looked at."""
    verified: str = ""
    """How it is known who that was; empty in rows of an older version, as are the two that follow."""
    address: str = ""
    """Where the person sat, as far as that is known."""
    digest: str = ""
    """Of the plan that was confirmed; `seal` is of that, of who asked, and of when."""
    seal: str = ""

    @property
    def told(self) -> str:
        """A warning for people where somebody else may have written this row; else empty."""
        return UNSEALED if self.sealed is False else ""

    @property
    def seconds(self) -> float | None:
        """How long it ran, once it has ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


# An operation whose advisory lock is gone has no process any more; nor has one whose lock a stranger holds. Where one
# could not be had for a stranger's sake, its row says when it was last alive (journals of before lack that column).
STATED = f"""
SELECT o.*, CASE WHEN o.state = 'running' AND NOT EXISTS (
        SELECT 1 FROM {HELD.format(first=LockKey.OPERATION, second="o.id")} AND {OURS})
        AND coalesce((pg_catalog.row_to_json(o) ->> 'beat')::timestamptz NOT BETWEEN
            pg_catalog.clock_timestamp() - interval '{DEAD_AFTER_S} seconds' AND pg_catalog.clock_timestamp(), true)
        THEN 'interrupted'
    WHEN o.state = 'queued' AND o.requested_at < pg_catalog.clock_timestamp() - interval '{STALE_AFTER_S} seconds'
        THEN 'interrupted'
    ELSE o.state END AS state_now
FROM partition_desk.operation o
"""


def _sealed_parts(row: Any) -> tuple[str, ...]:
    """What the seal of a row is of: all that was asked for, by whom, and when."""
    plan = json.dumps(row.plan, ensure_ascii=False, sort_keys=True)
    asked = (row.table_address, row.kind, row.subject, row.digest, plan)
    who = (row.actor, row.role, row.origin, row.reason)
    return (*asked, *who, row.sealed_at, row.wish, row.verified, row.address)


def is_sealed(row: Any, seal: Seal) -> bool:
    """Whether a console with this key wrote what a row asks for, and the plan that it shows is the one confirmed."""
    known = hasattr(row, "recorded")  # a journal of an older version is read as it is
    return known and seal.fits(row.seal, *_sealed_parts(row)) and _plan(row).digest == row.digest


def _plan(row: Any) -> Plan:
    """The plan of a row; one without steps where anybody wrote what is none."""
    try:
        return Plan.from_json(json.dumps(row.plan), named)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        foreign = Operation(row.kind, row.kind, row.kind, Danger.TYPED_NAME)
        return Plan(foreign, row.table_address, row.subject, basis=(), steps=())


def record(row: Any, seal: Seal | None) -> OperationRecord:
    """One row, with its state of now; whether it is sealed where a seal is given to hold it against."""
    return OperationRecord(
        id=row.id,
        table=row.table_address,
        kind=row.kind,
        subject=row.subject,
        plan=_plan(row),
        actor=row.actor,
        role=row.role,
        origin=row.origin,
        reason=row.reason,
        state=OperationState(row.state_now),
        step=row.step,
        steps=row.steps,
        doing=row.doing,
        tries=row.tries,
        blockers=tuple(Blocker(**blocker) for blocker in row.blockers),
        cancel_requested=row.cancel_requested,
        requested_at=row.requested_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        rows_before=getattr(row, "rows_before", None),
        rows_after=getattr(row, "rows_after", None),
        share=getattr(row, "share", None),
        error=row.error,
        error_kind=getattr(row, "error_kind", ""),
        sqlstate=row.sqlstate,
        server_message=row.server_message,
        sealed_at=getattr(row, "sealed_at", ""),
        wish=getattr(row, "wish", ""),
        sealed=None if seal is None else is_sealed(row, seal),
        verified=getattr(row, "verified", ""),
        address=getattr(row, "address", ""),
        digest=row.digest,
        seal=getattr(row, "seal", ""),
    )


def read_rows(engine: Engine, statement: Callable[[Connection], str]) -> Sequence[Any]:
    """The rows of a statement over the journal; none where there is no journal, or none that the role may read."""
    with session(engine) as connection:
        try:
            if not exists(connection):
                return ()
            return connection.exec_driver_sql(statement(connection)).all()
        except DBAPIError as error:
            if sqlstate(error) == "42501":
                return ()  # a role that may only read the catalog sees no history
            raise translate(error) from error


def _select(engine: Engine, where: str, seal: Seal | None = None) -> tuple[OperationRecord, ...]:
    return tuple(record(row, seal) for row in read_rows(engine, lambda _: f"{STATED} {where}"))


def read_operations(
    engine: Engine, *, table: str | None = None, limit: int = 200, seal: Seal | None = None
) -> tuple[OperationRecord, ...]:
    """The newest operations first, of one table or of all; none where there is no journal yet."""
    where = f"WHERE o.table_address = {literal(table)}" if table else ""
    return _select(engine, f"{where} ORDER BY o.id DESC LIMIT {int(limit)}", seal)


def read_operation(engine: Engine, operation_id: int, seal: Seal | None = None) -> OperationRecord | None:
    """One operation by its number."""
    return next(iter(_select(engine, f"WHERE o.id = {int(operation_id)}", seal)), None)


def read_operations_of(
    engine: Engine, operation: Operation, *, limit: int, seal: Seal | None
) -> tuple[OperationRecord, ...]:
    """The newest rows of an operation, newest first, whoever wrote them."""
    return _select(engine, f"WHERE o.kind = {literal(operation.name)} ORDER BY o.id DESC LIMIT {int(limit)}", seal)


def read_kind(engine: Engine, operation: Operation, *, limit: int, seal: Seal) -> tuple[OperationRecord, ...]:
    """The newest rows of an operation, newest first, by their seal."""
    return tuple(one for one in read_operations_of(engine, operation, limit=limit, seal=seal) if one.sealed)


def read_of_requests(engine: Engine, numbers: Iterable[int], seal: Seal) -> tuple[OperationRecord, ...]:
    """What was done with what was asked for by these numbers, by its seal: approved, declined."""
    listed = ", ".join(literal(str(number)) for number in numbers)
    found = _select(engine, f"WHERE o.plan ->> 'request' IN ({listed}) ORDER BY o.id", seal) if listed else ()
    return tuple(one for one in found if one.sealed)


def read_done(engine: Engine, operation: Operation, table: str, backup: str) -> datetime | None:
    """When such an operation on a table was last done with a backup; None where the journal knows of none."""
    found = _select(
        engine,
        f"WHERE o.state = 'done' AND o.kind = {literal(operation.name)} AND o.table_address = {literal(table)}"
        f" AND o.plan ->> 'backup' = {literal(backup)} ORDER BY o.id DESC LIMIT 1",
    )
    return found[0].finished_at if found else None


def read_last_of(engine: Engine, origin: str) -> datetime | None:
    """When an operation of that origin was last asked for; None where the journal knows of none."""
    found = _select(engine, f"WHERE o.origin = {literal(origin)} ORDER BY o.id DESC LIMIT 1")
    return found[0].requested_at if found else None


def read_newest(engine: Engine, operation: Operation, oid: int, seal: Seal) -> OperationRecord | None:
    """The newest such operation on the table of that oid that was done, by its seal; None where there is none."""
    found = _select(
        engine,
        f"WHERE o.state = 'done' AND o.kind = {literal(operation.name)} AND o.plan ->> 'oid' = {literal(str(oid))}"
        " ORDER BY o.id DESC LIMIT 100",
        seal,
    )
    return next((one for one in found if one.sealed), None)


_SETTLES = {"archive": "reattach", "reattach": "archive", "drop": "schedule", "schedule": "drop"}
"""An act that was asked for and failed is not wanted any more once its opposite was done."""
# Rows that may have failed, and of which nothing on the same object says that it was done, tried again or undone since.
_UNANSWERED = f"""
WHERE o.state NOT IN ('done', 'cancelled') {{of_table}} AND NOT EXISTS (
    SELECT 1 FROM partition_desk.operation d WHERE d.table_address = o.table_address AND d.id > o.id
    AND CASE WHEN o.plan ->> 'oid' IS NULL OR d.plan ->> 'oid' IS NULL THEN d.subject = o.subject
        ELSE d.plan ->> 'oid' = o.plan ->> 'oid' END
    AND (d.kind = o.kind AND d.state <> 'cancelled'
        OR d.state = 'done' AND (d.kind = CASE o.kind
            {" ".join(f"WHEN {literal(one)} THEN {literal(other)}" for one, other in _SETTLES.items())} END
            OR d.kind = 'drop' AND o.plan ->> 'oid' IS NOT NULL)))
ORDER BY o.id DESC LIMIT {{limit}}
"""


def read_unanswered(engine: Engine, *, table: str | None, limit: int, seal: Seal | None) -> tuple[OperationRecord, ...]:
    """The newest rows that are not done, newest first, unless a later one on the same object takes their place."""
    of_table = f"AND o.table_address = {literal(table)}" if table is not None else ""
    return _select(engine, _UNANSWERED.format(of_table=of_table, limit=int(limit)), seal)


def count_failures(engine: Engine) -> dict[str, int]:
    """How many operations of each table failed or were interrupted so far, by its address; those of none left out."""
    rows = read_rows(
        engine,
        lambda _: (
            f"SELECT table_address, count(*) AS failures FROM ({STATED}) o"
            " WHERE state_now IN ('failed', 'interrupted') GROUP BY table_address"
        ),
    )
    return {row.table_address: int(row.failures) for row in rows}


def read_steps(engine: Engine, operation_id: int) -> tuple[StepRecord, ...]:
    """The committed steps of an operation, in order."""
    with session(engine) as connection:
        try:
            if not exists(connection):
                return ()
            rows = connection.exec_driver_sql(
                "SELECT step, title, sql, started_at, finished_at FROM partition_desk.operation_step"
                f" WHERE operation_id = {int(operation_id)} ORDER BY step"
            ).all()
        except DBAPIError as error:
            raise translate(error) from error
    return tuple(StepRecord(*row) for row in rows)
