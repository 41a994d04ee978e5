"""Runs a plan exactly as it was shown: looks before it queues, waits within a budget, and commits step by step.

A lock is asked for while nobody is seen in the way who has been there for longer than the budget of one try, so that
most of the waiting is done outside of the queue that would hold up others. Everything waits within one patience.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from core.console.aftermath import PENDING, is_pending, told_of, with_outcome
from core.console.locks import Blocker, read_blockers, read_holders, read_running, waits_for_relation
from core.console.queue import is_behind
from core.console.record import Record
from core.errors import (
    NOTHING_CHANGED,
    Cancelled,
    CatalogBusy,
    ConnectionFailed,
    DeskError,
    LockNotObtained,
    PlanOutdated,
)
from core.names import literal
from core.plans.archive import ARCHIVE
from core.plans.plan import Lock, Mode, Plan, Step, outdated, tables_of
from core.postgres.advisory import LockKey, read_holder, try_lock, unlock
from core.postgres.capabilities import Capabilities
from core.postgres.connection import (
    CANCELLED,
    DEADLOCK,
    LOCK_TIMEOUT,
    is_lost,
    server_message,
    session,
    sqlstate,
)
from core.postgres.session import as_the_role, under_own_path
from core.tables.catalog.table import read_table_on
from core.text import plural

FIRST_LOOK_S = 0.02
LONGEST_LOOK_S = 0.5
LONGEST_BACKOFF_S = 2.0
REFUSING_S = 20.0
"""How long a step waits for its locks while rows that others write fail because of the steps before it."""
WATCH_S = 0.03

T = TypeVar("T")
log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from core.console.desk import Desk


@dataclass(frozen=True, slots=True)
class Budget:
    """How long others may be held up by one try for a lock, and how long the whole operation may wait."""

    lock_ms: int = 100
    patience_s: float = 300.0


class Cancellation:
    """Set from another thread or by the journal to stop an operation within a second."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        """Stops the operation at its next look or try."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether it was asked for."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleeps unless it is asked for meanwhile."""
        return self._event.wait(seconds)


Progress = Callable[[str, tuple[Blocker, ...]], None]
"""Told what is being done and who is waited for, from the thread that watches."""


@dataclass(slots=True)
class Run:
    """One application of one plan: its sessions, its limits, and how far it is."""

    work: Connection
    watch: Connection
    pid: int
    plan: Plan
    record: Record | None
    budget: Budget
    cancellation: Cancellation
    progress: Progress | None
    deadline: float
    can: Capabilities = field(default_factory=Capabilities)
    give_up: float = 0.0
    """When a step that has rows refused stops waiting, if that lets them in again."""
    done: int = 0
    tries: int = 0
    gave_way: bool = False
    """Whether the watcher cancelled this try because it queued for longer than the budget."""
    refusal: str = ""
    """What the server said of the last try that waited in vain."""

    def left(self) -> float:
        """Seconds of patience that are left."""
        return self.deadline - time.monotonic()

    def waiting_at_most(self, milliseconds: float) -> str:
        """What makes the rest of a transaction wait no longer than that, wherever it waits."""
        return f"{self.can.lock_budget}SET LOCAL lock_timeout = {max(1, round(milliseconds))}"

    def is_over(self, step: Step) -> bool:
        """Whether the step is to wait no longer: all patience is gone, or rows were refused for long enough.

        Who is in the way of taking that back is waited for: nothing ends the refusal while he is there.
        """
        if self.left() <= 0:
            return True
        if not step.refuses or time.monotonic() < self.give_up:
            return False
        back = [lock for earlier in self.plan.steps if earlier.undo for lock in earlier.locks]
        return bool(back) and not read_holders(self.watch, back, self.pid)

    def told(self, doing: str) -> None:
        """Says what is being done now, in the journal and to whoever follows."""
        if self.record is not None:
            self.record.doing(self.watch, doing)
        if self.progress is not None:
            self.progress(doing, ())

    def held_up(self, blockers: tuple[Blocker, ...]) -> None:
        """Says who is in the way."""
        if self.record is not None:
            self.record.waiting(self.watch, blockers, self.tries)
        if self.progress is not None:
            self.progress("", blockers)


def apply(
    work: Connection,
    desk: Desk,
    plan: Plan,
    *,
    record: Record | None,
    cancellation: Cancellation | None = None,
    progress: Progress | None = None,
    anew: Callable[[], Plan] | None = None,
) -> None:
    """Runs `plan` on the session `work`, one operation at a time on a table; a second session watches it.

    Raises PlanOutdated before anything is changed where the catalog no longer says what the plan rests on,
    LockNotObtained when the patience runs out, Cancelled, or what the server refused. Steps that were committed stay
    so, or are taken back where they can be; the error says which. `anew` builds the plan again once nobody else acts on
    the table, and that one is run.
    """
    with session(desk.working) as watch:
        run = Run(
            work=work,
            watch=watch,
            pid=int(work.exec_driver_sql("SELECT pg_catalog.pg_backend_pid()").scalar_one()),
            plan=plan,
            record=record,
            budget=desk.budget,
            cancellation=cancellation or Cancellation(),
            progress=progress,
            deadline=time.monotonic() + desk.budget.patience_s,
        )
        try:
            with _table_to_ourselves(run):
                if anew is not None:
                    run.plan = _patiently(run, anew)
                    if run.record is not None:
                        run.record.planned(run.watch, run.plan)
                _require_unchanged(run, desk.archive_schema)
                for number, step in enumerate(run.plan.steps, 1):
                    run.told(step.title)
                    run.give_up = time.monotonic() + REFUSING_S if step.refuses else run.deadline
                    begun = time.monotonic()
                    _step(run, number, step)
                    run.done = number
                    if not (step.transactional or step.finish or step.leaves):  # it copied or compared, for hours
                        run.deadline += time.monotonic() - begun
        except DBAPIError as error:
            raise with_outcome(run, told_of(run, error)) from error
        except PendingRollbackError as error:  # the watching session was lost while the working one went on
            lost = ConnectionFailed("The connection to the server was lost.", next="Try again once the server is back.")
            raise with_outcome(run, lost) from error
        except DeskError as error:
            raise with_outcome(run, error) from error


@contextmanager
def _table_to_ourselves(run: Run) -> Iterator[None]:
    """Holds the advisory locks under which one operation at a time acts on a table, those of a set in one order.

    Where somebody holds it who may not act here, the journal tells whether another operation is at the table.
    """
    with ExitStack() as held:
        for table in tables_of(run.plan):
            held.enter_context(_one_to_ourselves(run, table))
        yield


@contextmanager
def _one_to_ourselves(run: Run, table: str) -> Iterator[None]:
    key = f"pg_catalog.hashtext({literal(table)})"
    locked = False
    while not (locked := try_lock(run.work, LockKey.TABLE, key)):
        holder = read_holder(run.watch, LockKey.TABLE, key)
        ours = holder is None or holder.ours
        if not ours and not (run.record is not None and is_behind(run.watch, run.record, table)):
            log.warning("%s holds the lock of operations on %s and may not act here.", holder, table)
            break
        run.told("Waiting for another operation on this table")
        if run.cancellation.wait(_jitter(0.25)) or _cancelled(run):
            raise Cancelled("It was cancelled while another operation ran on this table.")
        if run.left() <= 0:
            raise LockNotObtained(
                f"Another operation has been running on {table} for {run.budget.patience_s:.0f} s"
                f"{f', of {holder}' if holder else ''}.",
                next="Look at Activity (partitions history) and ask again when it has ended.",
            )
    try:
        yield
    finally:
        if locked:
            unlock(run.work, LockKey.TABLE, key)


def _require_unchanged(run: Run, archive_schema: str) -> None:
    for address in tables_of(run.plan):
        read = partial(read_table_on, run.work, address, archive_schema=archive_schema, exact=False)
        table = _patiently(run, read)
        run.can = table.server.can
        changes = outdated(run.plan, table)
        if changes:
            raise PlanOutdated(f"{address} is no longer as it was when this was planned.", changes)


def _patiently(run: Run, read: Callable[[], T]) -> T:
    while True:
        try:
            return read()
        except CatalogBusy:
            if run.left() <= 0 or run.cancellation.wait(0.1):
                raise


def _cancelled(run: Run) -> bool:
    if not run.cancellation.requested and run.record is not None and run.record.cancel_requested(run.watch):
        run.cancellation.request()
    return run.cancellation.requested


def _step(run: Run, number: int, step: Step) -> None:
    started = datetime.now(UTC)
    finishing = False
    for attempt in range(1_000_000):
        run.tries, run.gave_way = attempt, False
        current = Step(step.title, (step.finish,), step.locks, waits_for_all=True) if finishing else step
        _wait_for_gap(run, current)
        try:
            with _watched(run, current):
                if current.transactional:
                    _in_transaction(run, number, current, started)
                else:
                    _alone(run, number, current, started)
            return
        except DBAPIError as error:
            if is_lost(error):
                raise
            finishing = finishing or (bool(current.finish) and is_pending(run))
            if run.cancellation.requested:
                raise _cancelled_error(finishing) from error
            if not current.transactional and not current.finish:
                raise  # a failed CREATE INDEX CONCURRENTLY leaves an index that has to be looked at first
            if sqlstate(error) not in (LOCK_TIMEOUT, DEADLOCK) and not (run.gave_way and sqlstate(error) == CANCELLED):
                raise
            run.refusal = server_message(error)
        _back_off(run, step, attempt)


def _back_off(run: Run, step: Step, attempt: int) -> None:
    longest = min(LONGEST_BACKOFF_S, 0.05 * 2 ** min(attempt, 10))
    if run.cancellation.wait(_jitter(longest)):
        raise _cancelled_error(pending=False)
    if run.is_over(step):
        raise _out_of_patience(run, step, read_holders(run.watch, step.locks, run.pid))


def _jitter(longest: float) -> float:
    """Seconds between a quarter of `longest` and all of it, so that two who wait don't meet again."""
    return random.uniform(longest / 4, longest)  # nosec B311 # noqa: S311 no secret


def _cancelled_error(pending: bool) -> Cancelled:
    if pending:
        return Cancelled(
            "It was cancelled in the middle of the detach.",
            safe=PENDING,
            next="Archive it again to finish; there is no way back but through it.",
        )
    return Cancelled("It was cancelled.")


# --- waiting outside of the queue ---------------------------------------------------------------------------------


def _wait_for_gap(run: Run, step: Step) -> None:
    """Waits until nobody is in the way who has been there for longer than one try may last.

    A concurrent detach is begun, too, once all who were there at the first look are gone: it then waits only for
    those who came since, and that is how long the partition is detach pending.
    """
    first: set[tuple[int | None, str]] | None = None
    pause = FIRST_LOOK_S
    while True:
        if _cancelled(run):
            raise _cancelled_error(pending=step.waits_for_all)
        blockers = _in_the_way(run, step)
        seen = {(blocker.pid, blocker.since) for blocker in blockers}
        first = seen if first is None else first & seen
        if not blockers or (step.finish and not first):
            return
        if run.is_over(step):
            raise _out_of_patience(run, step, blockers)
        run.held_up(blockers)
        run.cancellation.wait(pause)
        pause = min(pause * 1.5, LONGEST_LOOK_S)


def _in_the_way(run: Run, step: Step) -> tuple[Blocker, ...]:
    if step.waits_for_all:
        found = read_running(run.work, run.pid)
    elif step.finish:
        # a concurrent detach waits for everybody who holds anything on the parent
        found = read_holders(run.work, (Lock(lock.relation, Mode.ACCESS_EXCLUSIVE) for lock in step.locks), run.pid)
    else:
        # who would be in the way later is waited for before rows are refused, not meanwhile
        ahead = step.undo and any(later.refuses for later in run.plan.steps)
        found = read_holders(run.work, run.plan.locks if ahead else step.locks, run.pid)
    longest = run.budget.lock_ms / 1000
    return tuple(b for b in found if b.is_autovacuum or b.pid is None or b.seconds > longest)


def _out_of_patience(run: Run, step: Step, blockers: tuple[Blocker, ...]) -> LockNotObtained:
    unseen = "somebody on another server, whom citus_lock_waits shows, or " if run.can.citus else ""
    who = "; ".join(blocker.sentence() for blocker in blockers[:3])
    who = who or f"{unseen}sessions that came and went without a gap"
    if not blockers and run.refusal:
        who += f"; the server said: {run.refusal}"
    strong = any(lock.mode is Mode.ACCESS_EXCLUSIVE for lock in step.locks)
    advice = "Ask again in a quieter hour, or allow more patience (PARTITION_DESK_PATIENCE_S)"
    if strong and not step.finish:
        advice += " or a longer lock budget (PARTITION_DESK_LOCK_BUDGET_MS), which lets others wait as long"
        if run.plan.operation is ARCHIVE:
            advice += "; without a DEFAULT partition a detach needs no such lock"
    pending = step.waits_for_all
    within = REFUSING_S if run.left() > 0 else run.budget.patience_s
    return LockNotObtained(
        f"{step.title}: no lock within {within:.0f} s, after {plural(run.tries, 'try', 'tries')}. In the way: {who}.",
        safe=PENDING if pending else NOTHING_CHANGED,
        next=("Archive it again to finish." if pending else f"{advice}."),
    )


# --- running a step -----------------------------------------------------------------------------------------------


def _in_transaction(run: Run, number: int, step: Step, started: datetime) -> None:
    """All statements of a step and its journal row in one transaction, which waits no longer than the budget in all.

    A rehearsal is rolled back, and its journal row written afterwards.
    """
    work = run.work
    work.exec_driver_sql("BEGIN")
    try:
        as_the_role(work)
        began = time.monotonic()
        long = any(not lock.brief for lock in step.locks)
        for statement in step.statements:
            spent = 0.0 if long else (time.monotonic() - began) * 1000
            work.exec_driver_sql(run.waiting_at_most(run.budget.lock_ms - spent))
            work.exec_driver_sql(statement)
        work.exec_driver_sql("ROLLBACK" if step.rehearsal else "SET LOCAL lock_timeout = 0")
        if run.record is not None:
            run.record.step_done(work, number, run.plan.steps[number - 1], started, last=number == len(run.plan.steps))
        if not step.rehearsal:
            work.exec_driver_sql("COMMIT")
    except DBAPIError:
        if not work.invalidated:
            with suppress(DBAPIError):
                work.exec_driver_sql("ROLLBACK")
        raise


def _alone(run: Run, number: int, step: Step, started: datetime) -> None:
    """One statement that PostgreSQL runs outside of any transaction; it waits for people, not in front of them."""
    with under_own_path(run.work, lock_timeout=str(max(1, round(run.left() * 1000)))):
        run.work.exec_driver_sql(step.statements[0])
    if run.record is not None:
        run.record.step_done(run.work, number, step, started, last=number == len(run.plan.steps))


@contextmanager
def _watched(run: Run, step: Step) -> Iterator[None]:
    """Watches the working session while a statement runs: passes a cancel on, tells who it waits for.

    A concurrent detach that queues for a table's lock longer than the budget is stopped, so that nobody queues
    behind it for longer; it is finished afterwards in short tries.
    """
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(run, step, over), daemon=True, name="partition-desk-watch")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _watch(run: Run, step: Step, over: threading.Event) -> None:
    queued_since: float | None = None
    told = asked = time.monotonic()
    while not over.wait(WATCH_S):
        now = time.monotonic()
        try:
            if now - asked > 0.2:
                asked = now
                if _cancelled(run):
                    run.watch.exec_driver_sql(f"SELECT pg_catalog.pg_cancel_backend({run.pid})")
            if step.finish and not step.transactional:
                queues = waits_for_relation(run.watch, run.pid)
                queued_since = (queued_since or now) if queues else None
                if queued_since is not None and (now - queued_since) * 1000 > run.budget.lock_ms - WATCH_S * 1000:
                    run.gave_way = True
                    run.watch.exec_driver_sql(f"SELECT pg_catalog.pg_cancel_backend({run.pid})")
            if now - told > 0.3:
                told = now
                blockers = read_blockers(run.watch, run.pid)
                if blockers:
                    run.held_up(blockers)
                elif step.progress and run.record is not None:
                    share = run.watch.exec_driver_sql(step.progress).scalar_one()
                    run.record.doing(run.watch, step.title, float(share))
        except DBAPIError:
            return  # the server is gone; the working session finds out by itself
