"""Runs an operation to its end in this process: written down first, done, and written down how it ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.console.actor import Actor, Origin, as_of_now
from core.console.approval import require_approved
from core.console.audit import settle
from core.console.execute import Cancellation, Progress, apply
from core.console.file_work import Job, JournalProgress, require_backup
from core.console.journal import BEAT_S, OperationRecord, OperationState, read_operation
from core.console.queue import Claimed, claim, request_cancel, set_aside, start
from core.console.record import Record
from core.console.register import room
from core.console.said import parse
from core.console.wishes import plan_again
from core.errors import (
    Cancelled,
    ConnectionFailed,
    DeskError,
    Failed,
    HoldsAlready,
    NotSealed,
    PlanOutdated,
    SettingError,
)
from core.plans.operation import Role
from core.plans.plan import Plan
from core.postgres.connection import is_lost, session, translate
from core.tables.catalog.rows import count_rows

if TYPE_CHECKING:
    from core.console.desk import Desk
    from core.seal import Seal

log = logging.getLogger(__name__)

POLL_S = 0.5
RECONNECT_S = 2.0
TAKE_OVER_S = 2.0
"""How long a worker may take to begin what it would begin at once, before somebody who waits for it does it."""
COUNT_MS = 1_000
"""How long counting the rows of what is moved may take, before and after."""
TRIES = 5
"""How often the journal is tried when it can't be written."""


def run_now(
    desk: Desk,
    plan: Plan,
    actor: Actor,
    reason: str,
    *,
    cancellation: Cancellation | None = None,
    progress: Progress | None = None,
) -> OperationRecord | None:
    """Runs a plan in this process, as `Desk.run` says."""
    engine = desk.working
    if not plan.steps:
        return None
    while True:
        with session(engine) as work:
            as_of_now(desk.settings, actor).require(plan.operation)  # another's operation was waited for, perhaps
            try:
                ticket = start(work, plan, actor, reason, seal=_seal(desk, actor))
            except DBAPIError as error:
                raise translate(error) from error
            if ticket.new:
                try:
                    run(desk, work, plan, Record(ticket.id, ticket.beats), cancellation, progress)
                finally:
                    let_go(work)
                return read_operation(engine, ticket.id)
        met = read_operation(engine, ticket.id)
        if met is None or is_same_wish(plan, met.plan):
            take = partial(_take_over, desk, ticket.id, cancellation, progress)
            return follow(engine, ticket.id, cancellation=cancellation, progress=progress, take=take)
        _await(engine, met, cancellation, progress)


def _seal(desk: Desk, actor: Actor) -> Seal | None:
    """What the row is sealed with. What runs here obeys no row: without a key it goes on, and the row has no seal."""
    try:
        return desk.seal() if actor.origin is Origin.START_UP else desk.make_seal()
    except SettingError:
        return None


def is_same_wish(plan: Plan, other: Plan) -> bool:
    """Whether the end of `other`, which is the same operation on the same subject, is the end of `plan`, too."""
    if None not in (plan.oid, other.oid) and plan.oid != other.oid:
        return False  # a name may mean another table by now
    difference = plan.operation.told_apart_by
    return not difference or getattr(plan, difference) == getattr(other, difference)


def _take_over(desk: Desk, number: int, cancellation: Cancellation | None, progress: Progress | None) -> None:
    """Runs here what nobody takes from the queue, as a worker would. Raises PlanOutdated where it was not asked for."""
    with session(desk.working) as work:
        try:
            claimed = claim(work, number, desk.make_seal())
        except NotSealed as error:
            set_aside(work, number)
            raise PlanOutdated(error.what) from error
        if claimed is not None:
            try:
                run_queued(desk, work, claimed, cancellation, progress)
            finally:
                let_go(work)


def _await(engine: Engine, met: OperationRecord, cancellation: Cancellation | None, progress: Progress | None) -> None:
    """Waits until somebody else's operation has ended, however it ends; a cancel ends the waiting alone."""
    if progress is not None:
        progress(f"Waiting for operation {met.id}, {met.kind} {met.subject}", ())
    while (now := read_operation(engine, met.id)) is not None and now.state.active:
        if cancellation is None:
            time.sleep(POLL_S / 2)
        elif cancellation.wait(POLL_S / 2):
            raise Cancelled(f"It was cancelled while operation {met.id} ran on the same table.")


def let_go(work: Connection) -> None:
    """Has the session go back to its pool without the advisory lock of the operation."""
    if not work.invalidated:
        with suppress(DBAPIError):
            work.exec_driver_sql("SELECT pg_catalog.pg_advisory_unlock_all()")


def run_unrecorded(desk: Desk, plan: Plan) -> None:
    """Runs a plan without a row in the journal."""
    with session(desk.working) as work:
        apply(work, desk, plan, record=None)


def follow(
    engine: Engine,
    operation_id: int,
    *,
    cancellation: Cancellation | None = None,
    progress: Progress | None = None,
    take: Callable[[], None] | None = None,
) -> OperationRecord | None:
    """Waits until an operation has ended. Raises how it failed, as if it had been run here.

    What stays in the queue is done by `take`: the worker that it was meant for may be dead.
    """
    asked = False
    begun = time.monotonic()
    while True:
        operation = read_operation(engine, operation_id)
        if operation is None:
            return None
        if not operation.state.active:
            break
        if progress is not None:
            progress(operation.doing, operation.blockers)
        if operation.state is OperationState.QUEUED and take is not None and time.monotonic() - begun > TAKE_OVER_S:
            take()
            continue
        if cancellation is None:
            time.sleep(POLL_S / 2)
        elif cancellation.wait(POLL_S / 2) and not asked:
            request_cancel(engine, operation_id)
            asked = True
    if operation.state is OperationState.DONE:
        return operation
    if operation.state is OperationState.CANCELLED:
        raise Cancelled(operation.error, safe="")
    message = operation.error or f"Operation {operation_id} was interrupted."
    if operation.state is OperationState.INTERRUPTED and not asked:  # whoever asks now goes on from where that stopped
        raise PlanOutdated(message, safe="", next="")
    if operation.error_kind == PlanOutdated.__name__:
        raise PlanOutdated(message, tuple(operation.server_message.splitlines()), safe="", next="")
    raise Failed(message, sqlstate=operation.sqlstate, safe="")


def run_queued(
    desk: Desk,
    work: Connection,
    claimed: Claimed,
    cancellation: Cancellation | None,
    progress: Progress | None = None,
) -> None:
    """Runs what was taken from the queue, unless who asked for it may not do it any more."""
    plan, record = claimed.shown, claimed.record
    try:
        asked = read_operation(desk.working, record.id, desk.make_seal())
        if asked is not None:
            said = parse(asked.verified) if asked.sealed else None
            actor = Actor(asked.actor, Role(asked.role), Origin(asked.origin), said=said)
            as_of_now(desk.settings, actor).require(plan.operation)
            require_approved(desk, plan, asked)
    except DeskError as error:
        _write_end(desk.working, record, error, None)
        note_ends(desk)
        raise
    run(desk, work, plan, record, cancellation, progress, wish=claimed.wish)


def run(
    desk: Desk,
    work: Connection,
    plan: Plan,
    record: Record,
    cancellation: Cancellation | None,
    progress: Progress | None = None,
    *,
    wish: str | None = None,
) -> None:
    """Does what a running operation's plan says, and writes down how it ended and how many rows there were.

    With `wish`, what a row of the journal says, it does what that takes, where it is this very plan.
    """
    engine = desk.working
    before = _count(desk, plan)
    _note_rows(engine, record, before=before)
    try:
        anew = None if wish is None else partial(plan_again, desk, wish, plan)
        with _beating(engine, record):
            _do(desk, work, plan, record, cancellation, progress, anew)
    except DBAPIError as error:
        _write_end(engine, record, translate(error), None)
        note_ends(desk)
        raise translate(error) from error
    except HoldsAlready as held:
        _write_end(engine, record, held, before)
        note_ends(desk)
        return
    except DeskError as error:
        after = _count(desk, plan)
        if before is not None and after is not None and not isinstance(error, PlanOutdated):
            error.safe += f" Rows of {plan.subject}: {before:,} before, {after:,} after."
        _write_end(engine, record, error, after)
        note_ends(desk)
        raise
    _note_rows(engine, record, after=_count(desk, plan))
    note_ends(desk)


def note_ends(desk: Desk) -> None:
    """Has the record say how operations ended; where that can't be written just now, whoever acts next does it."""
    with suppress(DBAPIError, ConnectionFailed), session(desk.working) as connection:
        settle(connection, desk.seal())
    desk.keep_record()


@contextmanager
def _beating(engine: Engine, record: Record) -> Iterator[None]:
    """Has the row of an operation whose lock could not be had say that it is alive, until it has ended."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_S):
            with suppress(DBAPIError, ConnectionFailed), session(engine) as connection:
                record.beat(connection)

    beating = threading.Thread(target=beat, daemon=True, name="partition-desk-beat")
    if record.beats:
        beating.start()
    try:
        yield
    finally:
        over.set()


def _do(
    desk: Desk,
    work: Connection,
    plan: Plan,
    record: Record,
    cancellation: Cancellation | None,
    progress: Progress | None,
    anew: Callable[[], Plan] | None,
) -> None:
    """Has its worker's part do it, where the operation has one; else applies it as it was shown."""
    part = room(plan.operation).work
    if part is None:
        if plan.operation.destroys:
            require_backup(desk, plan)
        apply(work, desk, plan, record=record, cancellation=cancellation, progress=progress, anew=anew)
        return
    plan = anew() if anew is not None else plan
    begun = datetime.now(UTC)
    operation = read_operation(desk.working, record.id)
    actor, reason = (operation.actor, operation.reason) if operation else ("", "")
    following = JournalProgress(desk.working, record, cancellation or Cancellation(), progress)
    rows = part(Job(desk, work, plan, actor, reason, following))
    _write_done(desk.working, plan, record, begun, rows)


def _count(desk: Desk, plan: Plan) -> int | None:
    """The rows of what an operation moves, where they can be counted within a moment."""
    if not plan.operation.counts_rows or plan.oid is None:
        return None
    try:
        return count_rows(desk.working, plan.oid, timeout_ms=COUNT_MS)
    except DeskError:
        return None


def _note_rows(engine: Engine, record: Record, *, before: int | None = None, after: int | None = None) -> None:
    """Writes a count down, on a session of its own; the operation stands without it."""
    with suppress(DBAPIError, ConnectionFailed), session(engine) as connection:
        record.counted(connection, before=before, after=after)


def _write_end(engine: Engine, record: Record, error: DeskError, after: int | None) -> None:
    """Writes down how it ended otherwise than by its steps.

    On a session of its own: the working one may be gone, the server for a moment, too.
    """
    state = OperationState.FAILED
    if isinstance(error, HoldsAlready):
        state = OperationState.DONE
    elif isinstance(error, Cancelled):
        state = OperationState.CANCELLED
    elif isinstance(error, ConnectionFailed):
        state = OperationState.INTERRUPTED
    code, said = (error.sqlstate, error.server_message) if isinstance(error, Failed) else ("", "")
    if isinstance(error, PlanOutdated):
        said = "\n".join(error.changes)
    for _ in range(TRIES):
        try:
            with session(engine) as connection:
                record.counted(connection, after=after)
                record.ended(connection, state, error, code, said)
            return
        except (DBAPIError, ConnectionFailed) as failure:
            log.warning("The journal can't be written just now: %s", type(failure).__name__)
            time.sleep(RECONNECT_S / 4)


def _write_done(engine: Engine, plan: Plan, record: Record, begun: datetime, rows: int | None) -> None:
    """Writes down what was done; it is done already, so that a server that is away for a moment is waited for."""
    for left in reversed(range(TRIES)):
        try:
            with session(engine) as connection:
                _note_done(connection, plan, record, begun, rows)
            return
        except (DBAPIError, ConnectionFailed) as error:
            if isinstance(error, DBAPIError) and not is_lost(error):
                raise
            if not left:
                raise ConnectionFailed(
                    "The server was lost before its journal could be told.",
                    safe=f"To {plan.operation} {plan.subject} was done, to its end.",
                    next="Look at the table and its backups once the server is back: partitions backups.",
                ) from error
        time.sleep(RECONNECT_S / 4)


def _note_done(connection: Connection, plan: Plan, record: Record, begun: datetime, rows: int | None) -> None:
    connection.exec_driver_sql("BEGIN")
    try:
        record.counted(connection, after=rows)
        for number, step in enumerate(plan.steps, 1):
            record.step_done(connection, number, step, begun, last=number == len(plan.steps))
        connection.exec_driver_sql("COMMIT")
    except DBAPIError:
        if not connection.invalidated:
            with suppress(DBAPIError):
                connection.exec_driver_sql("ROLLBACK")
        raise
