"""The worker: takes operations from the queue and runs each to its end, whatever becomes of any page.

Besides, it begins planned drops when their time has come, samples sizes once a day, begins a restore drill a night,
sends alarms, and keeps to the rules of the tables where the settings say so.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.console.audit import found_foreign, note
from core.console.drill import begin_drill
from core.console.execute import Cancellation, Progress
from core.console.in_order import InOrder, do_in_order
from core.console.locks import Blocker
from core.console.planned_drops import plan_due_drops
from core.console.queue import claim, queued
from core.console.run import POLL_S, RECONNECT_S, let_go, run_queued
from core.errors import (
    ConnectionFailed,
    DeskError,
    LockNotObtained,
    NotSealed,
    Refused,
    SettingError,
)
from core.postgres.advisory import LockKey, is_strangers, try_lock, unlock
from core.postgres.connection import is_lost, server_message, session, translate

if TYPE_CHECKING:
    from core.console.desk import Desk

log = logging.getLogger(__name__)

STOP_S = 3.0
"""How long a worker that is stopped waits for its operations to end."""
DROPS_S = 60.0
"""How often planned drops are looked at."""
_DUE = 1
"""The second key of the advisory lock of the worker that begins planned drops."""
SAMPLE_S = 600.0
"""How often it is looked whether the day's sample is there."""
_SAMPLING = 2
"""That of the lock of the worker that samples."""
DRILL_S = 600.0
"""How often it is looked whether it is night, and a drill is to be begun."""
_DRILLING = 3
"""That of the lock of the worker that begins it."""
ALARMS_S = 300.0
"""How often it is looked whether there is anything to be told of."""
MAINTAIN_S = 600.0
"""How often it keeps to the rules."""
AT_ONCE = 4
"""How many operations one worker runs side by side; those of one table wait for each other."""

_WORKERS: set[Worker] = set()


def stop_workers() -> None:
    """Stops every worker of this process; for the moment before it ends."""
    for worker in list(_WORKERS):
        worker.stop()


@contextmanager
def _alone(connection: Connection, key: int) -> Iterator[bool]:
    """Whether no other worker is at it; whoever may not act here keeps nobody from it."""
    locked = try_lock(connection, LockKey.TABLE, key)
    try:
        yield locked or is_strangers(connection, LockKey.TABLE, key)
    finally:
        if locked:
            unlock(connection, LockKey.TABLE, key)


_MAY_SAMPLE = """
SELECT pg_catalog.to_regnamespace('partition_desk') IS NOT NULL AND NOT pg_catalog.pg_is_in_recovery()
"""


class Worker:
    """Takes operations from the queue of one database and runs each to its end, whatever becomes of any page."""

    def __init__(self, desk: Desk) -> None:
        """Takes drops, and begins planned ones when their time has come, where the settings allow any.

        It samples sizes as well, once a day, where the settings say so and the console has its schema already.
        """
        self._desk = desk
        self._engine = desk.working
        self._drops = desk.may_drop
        self._looked = -math.inf
        self._sampled = -math.inf
        self._drilled = -math.inf
        self._alarmed = -math.inf
        self._alarming: threading.Thread | None = None
        self._maintained = -math.inf
        self._sampling: Future[None] | None = None
        self._keeping: Future[None] | None = None
        self._upkeep = Cancellation()
        self._refused: dict[tuple[str, str], str] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._mine: dict[int, Cancellation] = {}
        self._foreign: set[int] = set()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="partition-desk-operation")
        self._thread = threading.Thread(target=self._loop, daemon=True, name="partition-desk-worker")

    def start(self) -> None:
        """Begins to look at the queue."""
        self._thread.start()
        _WORKERS.add(self)

    def wake(self) -> None:
        """Looks at the queue at once: something was just put into it."""
        self._wake.set()

    def do_in_order(self, several: InOrder, told: Callable[[int], None]) -> None:
        """Puts plans into the queue one after the other, until they are done or this worker is stopped."""
        do_in_order(self._desk, several, self._stop, self.wake, told)

    def stop(self) -> None:
        """Takes nothing more, and stops what runs as a person would: each ends told and resumable within a second."""
        self._stop.set()
        self._wake.set()
        for cancellation in [*self._mine.values(), self._upkeep]:
            cancellation.request()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._pool.shutdown(wait=False, cancel_futures=True)
        give_up = time.monotonic() + STOP_S
        while (self._mine or self._is_sampling or self._is_keeping) and time.monotonic() < give_up:
            time.sleep(0.02)
        _WORKERS.discard(self)

    def _loop(self) -> None:
        from core.backups.throwaway import sweep

        sweep(self._desk.storage.home)
        while not self._stop.is_set():
            pause = POLL_S
            try:
                self._begin_due_drops()
                self._begin_sample()
                self._begin_drill()
                self._begin_alarms()
                self._begin_upkeep()
                with session(self._engine) as connection:
                    for operation_id in queued(connection, drops=self._drops):
                        if operation_id not in self._mine and operation_id not in self._foreign:
                            self._mine[operation_id] = Cancellation()
                            self._pool.submit(self._take, operation_id).add_done_callback(_log_unexpected)
            except (DBAPIError, ConnectionFailed):
                pause = RECONNECT_S
            self._wake.wait(pause)
            self._wake.clear()

    def _begin_due_drops(self) -> None:
        """Puts into the queue what is due; one worker of a database looks at a time, so that none is begun twice."""
        if not self._drops or time.monotonic() - self._looked < DROPS_S:
            return
        self._looked = time.monotonic()
        with session(self._engine) as connection, _alone(connection, _DUE) as alone:
            if not alone:
                return
            try:
                self._enqueue_due()
            except DeskError as error:
                log.warning("Planned drops can't be looked at just now: %s", error)

    def _begin_drill(self) -> None:
        """Puts the night's verification into the queue; one worker of a database looks at a time."""
        if self._desk.settings.drill is None or time.monotonic() - self._drilled < DRILL_S:
            return
        self._drilled = time.monotonic()
        with session(self._engine) as connection, _alone(connection, _DRILLING) as alone:
            if not alone:
                return
            try:
                begin_drill(self._desk)
            except DeskError as error:
                log.warning("No restore drill can be begun just now: %s", error)

    def _begin_alarms(self) -> None:
        """Has what is due told, beside the operations: a target that hangs holds nothing up, nor the end of this."""
        if not self._desk.settings.alarms.every or time.monotonic() - self._alarmed < ALARMS_S:
            return
        if self._alarming is not None and self._alarming.is_alive():
            return
        self._alarmed = time.monotonic()
        self._alarming = threading.Thread(target=self._send_alarms, daemon=True, name="partition-desk-alarms")
        self._alarming.start()

    def _send_alarms(self) -> None:
        from core.console.alarms.send import send_due  # so is what looks at everything

        try:
            _, told = send_due(self._desk, wait_s=0, stopped=self._stop.is_set)
        except LockNotObtained:
            return  # another console is at it
        except DeskError as error:
            log.warning("Alarms can't be sent just now: %s", error)
            return
        for one in told:
            if one.error:
                log.warning("An alarm did not arrive: %s", one.error)

    @property
    def _is_sampling(self) -> bool:
        return self._sampling is not None and not self._sampling.done()

    def _begin_sample(self) -> None:
        """Has the day's sample taken beside the operations, unless it is there."""
        if not self._desk.settings.sample_daily or time.monotonic() - self._sampled < SAMPLE_S:
            return
        if self._is_sampling:
            return
        self._sampled = time.monotonic()
        self._sampling = self._pool.submit(self._sample)

    def _sample(self) -> None:
        """Samples unless somebody did today; one worker of a database looks at a time, so that none samples twice."""
        from core.growth.samples.read import read_runs

        desk, today = self._desk, self._desk.today
        try:
            with session(self._engine) as connection:
                # A server that nobody ever acted on stays as it is: looking makes nothing there.
                if not connection.exec_driver_sql(_MAY_SAMPLE).scalar_one():
                    return
                with _alone(connection, _SAMPLING) as alone:
                    if alone and not any(run.day >= today for run in read_runs(self._engine, limit=1)):
                        desk.sample()
        except DeskError as error:
            log.warning("Sizes can't be sampled just now: %s", error)
        except DBAPIError as error:
            log.warning("Sizes can't be sampled just now: %s", translate(error))

    @property
    def _is_keeping(self) -> bool:
        return self._keeping is not None and not self._keeping.done()

    def _begin_upkeep(self) -> None:
        """Has the rules kept to beside the operations, where the settings say so; one console at a time does."""
        if not self._desk.settings.maintain or time.monotonic() - self._maintained < MAINTAIN_S or self._is_keeping:
            return
        self._maintained = time.monotonic()
        self._keeping = self._pool.submit(self._keep_to_rules)
        self._keeping.add_done_callback(_log_unexpected)

    def _keep_to_rules(self) -> None:
        from core.console.maintain import maintain

        try:
            for one in maintain(self._desk, cancellation=self._upkeep).failed:
                log.warning("A rule of %s is not kept: to %s %s: %s", one.table, one.act, one.subject, one.why)
        except Refused as error:  # another is at it
            log.info("%s", error)
        except DeskError as error:
            log.warning("The rules can't be kept to just now: %s", error)

    def _enqueue_due(self) -> None:
        for one in plan_due_drops(self._desk, now=self._desk.server_now, again=False):
            if one.plan is not None:
                self._desk.enqueue(one.plan, one.actor, one.reason)
            elif self._refused.get((one.name, one.drop.backup)) != str(one.refused):
                self._refused[one.name, one.drop.backup] = str(one.refused)
                log.warning("The planned drop of %s is not begun: %s", one.name, one.refused)

    def _take(self, operation_id: int) -> None:
        try:
            with session(self._engine) as work:
                try:
                    claimed = claim(work, operation_id, self._desk.make_seal())
                except NotSealed as error:
                    self._foreign.add(operation_id)
                    log.warning("%s", error)
                    note(self._engine, self._desk.seal(), found_foreign(operation_id, error))
                    return
                if claimed is None:
                    return
                mine = self._mine[operation_id]
                try:
                    run_queued(self._desk, work, claimed, mine)
                except DeskError as error:
                    log.info("Operation %s ended: %s", operation_id, type(error).__name__)
                finally:
                    let_go(work)
        except DBAPIError as error:
            if not is_lost(error):
                log.error("Operation %s met an error that nobody expected: %s", operation_id, server_message(error))
        except SettingError as error:
            log.error("Operation %s is not begun: %s", operation_id, error)
        except ConnectionFailed:
            log.warning("The server is gone; operation %s is tried again once it is back", operation_id)
        finally:
            self._mine.pop(operation_id, None)


def _log_unexpected(taken: Future[None]) -> None:
    """An error of the console's own; its operation is shown as interrupted, as its lock is gone."""
    error = taken.exception()
    if error is not None:
        log.error("An operation met an error that nobody expected", exc_info=error)


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
