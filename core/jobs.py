"""Runs operations to their end outside of any page: the worker that takes them from the queue, and the run in place."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.actor import Actor
from core.catalog import count_rows, read_table
from core.database import is_lost, session, translate
from core.errors import Cancelled, ConnectionFailed, DeskError, Failed, PlanOutdated
from core.execute import Budget, Cancellation, Progress, apply
from core.journal import (
    OperationRecord,
    OperationState,
    Record,
    claim,
    queued,
    read_operation,
    request_cancel,
    start,
)
from core.locks import Blocker
from core.plan import Operation, Plan

log = logging.getLogger(__name__)

POLL_S = 0.5
RECONNECT_S = 2.0
STOP_S = 3.0
"""How long a worker that is stopped waits for its operations to end."""
COUNT_MS = 1_000
"""How long counting the rows of what is moved may take, before and after."""
AT_ONCE = 4
"""How many operations one worker runs side by side; those of one table wait for each other."""


def run_now(
    engine: Engine,
    plan: Plan,
    actor: Actor,
    reason: str,
    *,
    budget: Budget,
    archive_schema: str,
    cancellation: Cancellation | None = None,
    progress: Progress | None = None,
) -> OperationRecord | None:
    """Runs a plan in this process and returns its journal row; None where there was nothing to do.

    If the same is being done already, by whomever, that is followed to its end instead. Raises how it failed.
    """
    if not plan.steps:
        return None
    with session(engine) as work:
        try:
            ticket = start(work, plan, actor, reason)
        except DBAPIError as error:
            raise translate(error) from error
        if ticket.new:
            record = Record(ticket.id)
            _run(
                work,
                engine,
                plan,
                record,
                budget=budget,
                archive_schema=archive_schema,
                cancellation=cancellation,
                progress=progress,
            )
            return read_operation(engine, ticket.id)
    return follow(engine, ticket.id, cancellation=cancellation, progress=progress)


def run_unrecorded(engine: Engine, plan: Plan, *, budget: Budget, archive_schema: str) -> None:
    """Runs a plan for a role that may not write the journal; for an application's start-up only."""
    with session(engine) as work:
        apply(work, engine, plan, record=None, budget=budget, archive_schema=archive_schema)


def follow(
    engine: Engine,
    operation_id: int,
    *,
    cancellation: Cancellation | None = None,
    progress: Progress | None = None,
) -> OperationRecord | None:
    """Waits until an operation has ended. Raises how it failed, as if it had been run here."""
    asked = False
    while True:
        operation = read_operation(engine, operation_id)
        if operation is None:
            return None
        if not operation.state.active:
            break
        if progress is not None:
            progress(operation.doing, operation.blockers)
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
    if operation.error_kind == PlanOutdated.__name__:
        raise PlanOutdated(message, tuple(operation.server_message.splitlines()), safe="", next="")
    raise Failed(message, sqlstate=operation.sqlstate, safe="")


def _run(
    work: Connection,
    engine: Engine,
    plan: Plan,
    record: Record,
    *,
    budget: Budget,
    archive_schema: str,
    cancellation: Cancellation | None,
    progress: Progress | None,
) -> None:
    """Applies a plan that the journal has as running, and writes down how it ended and how many rows there were."""
    before = _count(engine, plan, archive_schema)
    _note_rows(engine, record, before=before)
    try:
        apply(
            work,
            engine,
            plan,
            record=record,
            budget=budget,
            archive_schema=archive_schema,
            cancellation=cancellation,
            progress=progress,
        )
    except DeskError as error:
        after = _count(engine, plan, archive_schema)
        if before is not None and after is not None and not isinstance(error, PlanOutdated):
            error.safe += f" Rows of {plan.subject}: {before:,} before, {after:,} after."
        _write_end(engine, record, error, after)
        raise
    _note_rows(engine, record, after=_count(engine, plan, archive_schema))


def _count(engine: Engine, plan: Plan, archive_schema: str) -> int | None:
    """The rows of what an operation moves, where they can be counted within a moment."""
    if plan.operation is Operation.ENSURE:
        return None
    try:
        table = read_table(engine, plan.table, archive_schema=archive_schema, exact=False)
    except DeskError:
        return None
    return count_rows(engine, table, plan.subject, timeout_ms=COUNT_MS)


def _note_rows(engine: Engine, record: Record, *, before: int | None = None, after: int | None = None) -> None:
    """Writes a count down, on a session of its own; the operation stands without it."""
    with suppress(DBAPIError, ConnectionFailed), session(engine) as connection:
        record.counted(connection, before=before, after=after)


def _write_end(engine: Engine, record: Record, error: DeskError, after: int | None) -> None:
    """Writes down a failure on a session of its own: the working one may be gone, the server for a moment, too."""
    state = OperationState.FAILED
    if isinstance(error, Cancelled):
        state = OperationState.CANCELLED
    elif isinstance(error, ConnectionFailed):
        state = OperationState.INTERRUPTED
    code, said = (error.sqlstate, error.server_message) if isinstance(error, Failed) else ("", "")
    if isinstance(error, PlanOutdated):
        said = "\n".join(error.changes)
    for _ in range(5):
        try:
            with session(engine) as connection:
                record.counted(connection, after=after)
                record.ended(connection, state, error, code, said)
            return
        except (DBAPIError, ConnectionFailed) as failure:
            log.warning("The journal can't be written just now: %s", type(failure).__name__)
            time.sleep(RECONNECT_S / 4)


_WORKERS: set[Worker] = set()


def stop_workers() -> None:
    """Stops every worker of this process; for the moment before it ends."""
    for worker in list(_WORKERS):
        worker.stop()


class Worker:
    """Takes operations from the queue of one database and runs each to its end, whatever becomes of any page."""

    def __init__(self, engine: Engine, *, budget: Budget, archive_schema: str) -> None:
        self._engine = engine
        self._budget = budget
        self._archive_schema = archive_schema
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._mine: dict[int, Cancellation] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="partition-desk-operation")
        self._thread = threading.Thread(target=self._loop, daemon=True, name="partition-desk-worker")

    def start(self) -> None:
        """Begins to look at the queue."""
        self._thread.start()
        _WORKERS.add(self)

    def wake(self) -> None:
        """Looks at the queue at once: something was just put into it."""
        self._wake.set()

    def stop(self) -> None:
        """Takes nothing more, and stops what runs as a person would: each ends told and resumable within a second."""
        self._stop.set()
        self._wake.set()
        for cancellation in list(self._mine.values()):
            cancellation.request()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._pool.shutdown(wait=False, cancel_futures=True)
        give_up = time.monotonic() + STOP_S
        while self._mine and time.monotonic() < give_up:
            time.sleep(0.02)
        _WORKERS.discard(self)

    def _loop(self) -> None:
        while not self._stop.is_set():
            pause = POLL_S
            try:
                with session(self._engine) as connection:
                    for operation_id in queued(connection):
                        if operation_id not in self._mine:
                            self._mine[operation_id] = Cancellation()
                            self._pool.submit(self._take, operation_id)
            except (DBAPIError, ConnectionFailed):
                pause = RECONNECT_S
            self._wake.wait(pause)
            self._wake.clear()

    def _take(self, operation_id: int) -> None:
        try:
            with session(self._engine) as work:
                plan = claim(work, operation_id)
                if plan is None:
                    return
                try:
                    _run(
                        work,
                        self._engine,
                        plan,
                        Record(operation_id),
                        budget=self._budget,
                        archive_schema=self._archive_schema,
                        cancellation=self._mine[operation_id],
                        progress=None,
                    )
                except DeskError as error:
                    log.info("Operation %s ended: %s", operation_id, type(error).__name__)
                finally:
                    # the session goes back without the advisory lock of the operation
                    if not work.invalidated:
                        work.exec_driver_sql("SELECT pg_catalog.pg_advisory_unlock_all()")
        except DBAPIError as error:
            if not is_lost(error):
                log.exception("Operation %s met an error that nobody expected", operation_id)
        except ConnectionFailed:
            log.warning("The server is gone; operation %s is tried again once it is back", operation_id)
        finally:
            self._mine.pop(operation_id, None)


def printer(write: Callable[[str], None]) -> Progress:
    """A progress listener that writes a line for each new thing: the step, and who is in the way."""
    last: list[str] = [""]

    def tell(doing: str, blockers: tuple[Blocker, ...]) -> None:
        line = f"Waiting for {blockers[0].sentence()}" if blockers else doing
        key = f"{blockers[0].pid} {blockers[0].since}" if blockers else doing
        if line and key != last[0]:
            last[0] = key
            write(line)

    return tell
