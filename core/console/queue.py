"""The journal as a queue: what is asked for goes in, a worker takes what a console with this key wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.console import audit
from core.console.actor import Actor
from core.console.journal import STALE_AFTER_S, STATED, UNSEALED, OperationState, is_sealed
from core.console.journal_tables import exists, make
from core.console.record import Record, as_json, stored
from core.console.register import named
from core.errors import NotSealed, Refused
from core.names import literal
from core.plans.drop import DROP
from core.plans.plan import Plan
from core.postgres.advisory import LockKey, is_strangers, try_lock, unlock
from core.postgres.connection import session, translate
from core.postgres.encoding import unstorable
from core.postgres.own_tables import transaction
from core.postgres.session import encoding_of
from core.seal import Seal


def _require_storable(connection: Connection, plan: Plan) -> None:
    """Raises Refused where the database lacks a letter of what the plan would write into it."""
    if plan.operation.moves_files:  # of a backup, which is of the same encoding, or no SQL at all
        return
    encoding = encoding_of(connection)
    for statement in (statement for step in plan.steps for statement in step.statements):
        letter = unstorable(statement, encoding)
        if letter:
            raise Refused(
                f"This database keeps text in {encoding}, which has no {letter!r}: {' '.join(statement.split())[:200]}",
                next="Say it in letters that the database has.",
            )


def _insert(
    connection: Connection, plan: Plan, actor: Actor, reason: str, state: OperationState, seal: Seal | None
) -> str:
    now = connection.exec_driver_sql("SELECT pg_catalog.clock_timestamp()::text").scalar_one()
    asked = (plan.table, plan.operation.name, plan.subject, plan.digest, plan.to_json())
    who = (stored(connection, actor.name), actor.role, actor.origin, stored(connection, reason))
    parts = (*asked, *who, str(now), plan.wish, stored(connection, actor.known_by), stored(connection, actor.address))
    texts = ", ".join(as_json(connection, text) if number == 4 else literal(text) for number, text in enumerate(parts))
    started = "NULL" if state is OperationState.QUEUED else "pg_catalog.clock_timestamp()"
    return (
        "INSERT INTO partition_desk.operation (table_address, kind, subject, digest, plan, actor, role, origin,"
        " reason, sealed_at, wish, verified, address, seal, state, steps, started_at, asked)"
        f" VALUES ({texts}, {literal(seal.of(*parts) if seal else '')}, {literal(state)}, {len(plan.steps)}, {started},"
        " true)"
        " ON CONFLICT (table_address, kind, subject) WHERE state IN ('queued', 'running') DO NOTHING RETURNING id"
    )


def _reap(connection: Connection) -> None:
    """Writes down as interrupted what has no process any more, so that the same can be asked for again."""
    connection.exec_driver_sql(
        "UPDATE partition_desk.operation t SET state = 'interrupted', finished_at = pg_catalog.clock_timestamp()"
        f" FROM ({STATED} WHERE o.state IN ('queued', 'running')) r"
        " WHERE r.id = t.id AND r.state_now = 'interrupted' AND t.state = r.state"
    )


SET_ASIDE_S = 5
"""A queued row that no console with this key wrote stands in nobody's way for longer."""


def set_aside(connection: Connection, operation_id: int) -> None:
    """Has a queued row that this console does not obey stand in nobody's way."""
    connection.exec_driver_sql(
        f"UPDATE partition_desk.operation SET state = 'cancelled', error = {literal(f'Set aside. {UNSEALED}')},"
        f" finished_at = pg_catalog.clock_timestamp() WHERE id = {int(operation_id)} AND state = 'queued'"
    )


def _set_strangers_aside(connection: Connection, plan: Plan, seal: Seal) -> None:
    rows = connection.exec_driver_sql(
        f"{STATED} WHERE o.state = 'queued' AND {_is_of(plan)} AND o.requested_at NOT BETWEEN"
        f" pg_catalog.clock_timestamp() - interval '{SET_ASIDE_S} seconds' AND pg_catalog.clock_timestamp()"
    ).all()
    for row in rows:
        if not is_sealed(row, seal):
            set_aside(connection, row.id)


def _is_of(plan: Plan) -> str:
    return (
        f"table_address = {literal(plan.table)} AND kind = {literal(plan.operation.name)}"
        f" AND subject = {literal(plan.subject)}"
    )


def _active_id(connection: Connection, plan: Plan) -> int | None:
    found = connection.exec_driver_sql(
        f"SELECT id FROM partition_desk.operation WHERE state IN ('queued', 'running') AND {_is_of(plan)}"
    ).scalar_one_or_none()
    return None if found is None else int(found)


@dataclass(frozen=True, slots=True)
class Ticket:
    """The number of an operation, and whether this request made it or met it there."""

    id: int
    new: bool
    beats: bool = False
    """Whether its advisory lock could not be had."""


def enqueue(engine: Engine, plan: Plan, actor: Actor, reason: str, *, seal: Seal) -> Ticket:
    """Puts a plan into the queue; asked for twice it is there once. Raises NotAllowed for the actor's role."""
    actor.require(plan.operation)
    with session(engine) as connection:
        try:
            make(connection)
            audit.settle(connection, seal)
            with transaction(connection):
                return _add(connection, plan, actor, reason, OperationState.QUEUED, seal)
        except DBAPIError as error:
            raise translate(error) from error


def start(connection: Connection, plan: Plan, actor: Actor, reason: str, *, seal: Seal | None) -> Ticket:
    """Writes down an operation that this very session runs, and takes its advisory lock, both at once."""
    actor.require(plan.operation)
    make(connection)
    audit.settle(connection, seal)
    with transaction(connection):
        ticket = _add(connection, plan, actor, reason, OperationState.RUNNING, seal)
        if ticket.new and not try_lock(
            connection, LockKey.OPERATION, ticket.id
        ):  # a stranger has it: the number is new
            ticket = replace(ticket, beats=True)
            Record(ticket.id).beat(connection)
    return ticket


def note(engine: Engine, plan: Plan, actor: Actor, reason: str = "", *, seal: Seal, making: bool) -> int | None:
    """Writes down as done what changes nothing, and gives its number; without a journal, with `making` alone."""
    with session(engine) as connection:
        try:
            if making:
                make(connection)
            elif not exists(connection, current=True):
                return None
            with transaction(connection):
                sql = _insert(connection, plan, actor, reason, OperationState.DONE, seal)
                new = int(connection.exec_driver_sql(sql).scalar_one())
                connection.exec_driver_sql(
                    f"UPDATE partition_desk.operation SET finished_at = started_at WHERE id = {new}"
                )
                audit.append(connection, seal, (audit.asked(new, plan, actor, reason),))
                return new
        except DBAPIError as error:
            raise translate(error) from error


_CALL_OFF = """
UPDATE partition_desk.operation SET cancel_requested = true,
    state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
    error = CASE WHEN state = 'queued' THEN 'Called off before it was begun. Nothing was changed.' ELSE error END,
    finished_at = CASE WHEN state = 'queued' THEN pg_catalog.clock_timestamp() ELSE finished_at END
WHERE kind = 'drop' AND state IN ('queued', 'running') AND table_address = {table}
    AND (subject = {subject} OR plan ->> 'oid' = {oid})
"""


def _add(
    connection: Connection, plan: Plan, actor: Actor, reason: str, state: OperationState, seal: Seal | None
) -> Ticket:
    _require_storable(connection, plan)
    _reap(connection)
    if seal is not None:
        _set_strangers_aside(connection, plan, seal)
    if plan.operation.marks_only:  # a drop that still waits is not to win that race
        connection.exec_driver_sql(
            _CALL_OFF.format(table=literal(plan.table), subject=literal(plan.subject), oid=literal(str(plan.oid)))
        )
    for _ in range(3):
        new = connection.exec_driver_sql(_insert(connection, plan, actor, reason, state, seal)).scalar_one_or_none()
        if new is not None:
            audit.append(connection, seal, (audit.asked(int(new), plan, actor, reason),))
            return Ticket(int(new), new=True)
        met = _active_id(connection, plan)
        if met is not None:
            return Ticket(met, new=False)
    raise AssertionError("an operation ended and began three times between two statements")


def queued(connection: Connection, *, drops: bool = True) -> tuple[int, ...]:
    """The numbers of the operations that wait to be begun, oldest first; without `drops` those are left to others."""
    if not exists(connection):
        return ()
    rows = connection.exec_driver_sql(
        "SELECT id FROM partition_desk.operation WHERE state = 'queued' AND requested_at >"
        f" pg_catalog.clock_timestamp() - interval '{STALE_AFTER_S} seconds'"
        f"{'' if drops else f' AND kind <> {literal(DROP.name)}'} ORDER BY id LIMIT 20"
    ).all()
    return tuple(row.id for row in rows)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a worker took from the queue."""

    wish: str
    """What was asked for; the plan is built from it anew."""
    shown: Plan
    """What was confirmed."""
    record: Record


def claim(connection: Connection, operation_id: int, seal: Seal) -> Claimed | None:
    """Takes a queued operation for this session, or None where another was faster. Holds its advisory lock then.

    Raises NotSealed for a row that no console with this key has written, or not just now: it stays as it is.
    """
    locked = try_lock(connection, LockKey.OPERATION, operation_id)
    if not locked and not is_strangers(connection, LockKey.OPERATION, operation_id):
        return None
    beat = "NULL" if locked else "pg_catalog.clock_timestamp()"
    connection.exec_driver_sql("BEGIN")
    try:
        row = connection.exec_driver_sql(
            "UPDATE partition_desk.operation SET state = 'running', started_at = pg_catalog.clock_timestamp(),"
            f" beat = {beat} WHERE id = {operation_id} AND state = 'queued' AND NOT cancel_requested"
            " RETURNING *, pg_catalog.clock_timestamp()::text AS now"
        ).one_or_none()
        good = row is not None and is_sealed(row, seal) and _is_fresh(row)
        connection.exec_driver_sql("COMMIT" if good else "ROLLBACK")
    except DBAPIError:
        if not connection.invalidated:
            connection.exec_driver_sql("ROLLBACK")
        raise
    if row is not None and good:
        plan = Plan.from_json(json.dumps(row.plan), named)
        return Claimed(row.wish, plan, Record(operation_id, beats=not locked))
    if locked:
        unlock(connection, LockKey.OPERATION, operation_id)
    if row is None:
        return None
    raise NotSealed(
        f"Operation {operation_id} was not asked for by this console, or one with its key.",
        next="Find out who writes to the schema partition_desk. Consoles of one database share PARTITION_DESK_KEY.",
    )


def _is_fresh(row: Any) -> bool:
    """Whether it was sealed just now: an old row that somebody puts back into the queue is not asked for any more."""
    age = datetime.fromisoformat(row.now) - datetime.fromisoformat(row.sealed_at)
    return age.total_seconds() < 2 * STALE_AFTER_S


def request_cancel(engine: Engine, operation_id: int) -> None:
    """Asks for an operation to stop; one that was not begun yet is cancelled at once."""
    with session(engine) as connection:
        try:
            connection.exec_driver_sql(
                "UPDATE partition_desk.operation SET cancel_requested = true,"
                " state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,"
                " error = CASE WHEN state = 'queued' THEN 'Cancelled before it was begun. Nothing was changed.'"
                " ELSE error END,"
                " finished_at = CASE WHEN state = 'queued' THEN pg_catalog.clock_timestamp() ELSE finished_at END"
                f" WHERE id = {int(operation_id)} AND state IN ('queued', 'running')"
            )
        except DBAPIError as error:
            raise translate(error) from error


def is_behind(connection: Connection, record: Record, table: str) -> bool:
    """Whether an operation on the table that was asked for before is running."""
    earlier = f"WHERE o.id < {record.id} AND o.state = 'running' AND o.table_address = {literal(table)}"
    rows = connection.exec_driver_sql(f"{STATED} {earlier}").all()
    return any(row.state_now == "running" for row in rows)
