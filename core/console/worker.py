"""Runs operations to their end outside of any page: the worker that takes them from the queue, and the run in place.

Every operation is written down first. What is SQL alone is applied as it was shown; what moves rows between the
server and the place of the backups is done by core.backups.verify, under the same record, cancel and progress.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.backups.storage import StorageSettings
from core.console.actor import Actor, Origin, Role
from core.console.execute import Budget, Cancellation, Progress, apply
from core.console.journal import (
    TABLE_LOCKS,
    OperationRecord,
    OperationState,
    Record,
    claim,
    enqueue,
    queued,
    read_operation,
    read_operations,
    request_cancel,
    start,
)
from core.console.locks import Blocker
from core.console.prepare import prepare_drop
from core.errors import (
    BackupDamaged,
    Cancelled,
    ConnectionFailed,
    DeskError,
    Failed,
    NotVerified,
    PlanOutdated,
)
from core.period import Duration
from core.plans.plan import Operation, Plan
from core.postgres.connection import is_lost, session, translate
from core.tables.catalog.table import count_rows, read_planned_drops, read_table
from core.tables.model import PartitionedTable, PlannedDrop
from core.text import human_bytes, human_date, human_seconds

if TYPE_CHECKING:
    from core.backups.progress import Work
    from core.backups.storage import Storage

log = logging.getLogger(__name__)

POLL_S = 0.5
RECONNECT_S = 2.0
STOP_S = 3.0
"""How long a worker that is stopped waits for its operations to end."""
COUNT_MS = 1_000
"""How long counting the rows of what is moved may take, before and after."""
TOLD_S = 0.5
"""How often the progress of a backup is written down, and a cancel looked for."""
TRIES = 5
"""How often the journal is tried when it can't be written."""
DROPS_S = 60.0
"""How often planned drops are looked at."""
AGAIN = timedelta(days=1)
"""How long a worker waits before it tries a planned drop again that failed."""
_DUE = f"{TABLE_LOCKS}, 1"
"""The advisory lock of the worker that begins planned drops."""
SAMPLE_S = 600.0
"""How often it is looked whether the day's sample is there."""
_SAMPLING = f"{TABLE_LOCKS}, 2"
"""The advisory lock of the worker that samples."""
AT_ONCE = 4
"""How many operations one worker runs side by side; those of one table wait for each other."""


@dataclass(frozen=True, slots=True)
class Samples:
    """How long samples of sizes are kept."""

    keep: Duration | None = None
    """Older ones are forgotten; None: none is."""
    weekly_after: Duration | None = None
    """Of older ones the last of each week stays; None: all of them do."""


def run_now(
    engine: Engine,
    plan: Plan,
    actor: Actor,
    reason: str,
    *,
    budget: Budget,
    archive_schema: str,
    cold: StorageSettings | None = None,
    cancellation: Cancellation | None = None,
    progress: Progress | None = None,
) -> OperationRecord | None:
    """Runs a plan in this process and returns its journal row; None where there was nothing to do.

    If the same is being done already, by whomever, that is followed to its end instead. Raises how it failed.
    """
    if not plan.steps:
        return None
    while True:
        with session(engine) as work:
            try:
                ticket = start(work, plan, actor, reason)
            except DBAPIError as error:
                raise translate(error) from error
            if ticket.new:
                terms = _Terms(budget, archive_schema, cold)
                try:
                    _run(work, engine, plan, Record(ticket.id), terms, cancellation, progress)
                finally:
                    _let_go(work)
                return read_operation(engine, ticket.id)
        met = read_operation(engine, ticket.id)
        if met is None or is_same_wish(plan, met.plan):
            return follow(engine, ticket.id, cancellation=cancellation, progress=progress)
        _await(engine, met, cancellation, progress)


def is_same_wish(plan: Plan, other: Plan) -> bool:
    """Whether the end of `other`, which is the same operation on the same subject, is the end of `plan`, too."""
    if plan.operation in (Operation.VERIFY, Operation.RESTORE):
        return plan.backup == other.backup
    if plan.operation in (Operation.HOLD, Operation.SCHEDULE):
        return plan.steps == other.steps
    return True


def _await(engine: Engine, met: OperationRecord, cancellation: Cancellation | None, progress: Progress | None) -> None:
    """Waits until somebody else's operation has ended, however it ends; a cancel ends the waiting alone."""
    if progress is not None:
        progress(f"Waiting for operation {met.id}, {met.kind} {met.subject}", ())
    while (now := read_operation(engine, met.id)) is not None and now.state.active:
        if cancellation is None:
            time.sleep(POLL_S / 2)
        elif cancellation.wait(POLL_S / 2):
            raise Cancelled(f"It was cancelled while operation {met.id} ran on the same table.")


def _let_go(work: Connection) -> None:
    """Has the session go back to its pool without the advisory lock of the operation."""
    if not work.invalidated:
        with suppress(DBAPIError):
            work.exec_driver_sql("SELECT pg_catalog.pg_advisory_unlock_all()")


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


@dataclass(frozen=True, slots=True)
class _Terms:
    """Under which terms a process runs its operations."""

    budget: Budget
    archive_schema: str
    cold: StorageSettings | None


def _run(
    work: Connection,
    engine: Engine,
    plan: Plan,
    record: Record,
    terms: _Terms,
    cancellation: Cancellation | None,
    progress: Progress | None = None,
) -> None:
    """Does what a running operation's plan says, and writes down how it ended and how many rows there were."""
    archive_schema = terms.archive_schema
    before = _count(engine, plan, archive_schema)
    _note_rows(engine, record, before=before)
    try:
        if plan.operation.moves_files:
            following = _Following(engine, record, cancellation or Cancellation(), progress)
            _move(work, engine, plan, record, terms, following)
        else:
            if plan.operation is Operation.DROP:
                _require_backup(terms.cold, plan)
            apply(
                work,
                engine,
                plan,
                record=record,
                budget=terms.budget,
                archive_schema=archive_schema,
                cancellation=cancellation,
                progress=progress,
            )
    except DBAPIError as error:
        _write_end(engine, record, translate(error), None)
        raise translate(error) from error
    except DeskError as error:
        after = _count(engine, plan, archive_schema)
        if before is not None and after is not None and not isinstance(error, PlanOutdated):
            error.safe += f" Rows of {plan.subject}: {before:,} before, {after:,} after."
        _write_end(engine, record, error, after)
        raise
    _note_rows(engine, record, after=_count(engine, plan, archive_schema))


@dataclass(slots=True)
class _Following:
    """Between core.backups.verify and the journal: tells how far it is, and whether a person asked for it to stop.

    The journal is met on a session of its own each time: the server may be away for a moment, and the work goes on.
    """

    engine: Engine
    record: Record
    cancellation: Cancellation
    progress: Progress | None
    asked: float = -math.inf
    told: float = -math.inf

    def cancelled(self) -> bool:
        """Whether it is to stop; the journal is looked at twice a second."""
        if not self.cancellation.requested and time.monotonic() - self.asked > TOLD_S:
            self.asked = time.monotonic()
            with suppress(DBAPIError, ConnectionFailed), session(self.engine) as watch:
                if self.record.cancel_requested(watch):
                    self.cancellation.request()
        return self.cancellation.requested

    def report(self, at: Work) -> None:
        """Writes the progress down, twice a second."""
        if time.monotonic() - self.told > TOLD_S:
            self.told = time.monotonic()
            with suppress(DBAPIError, ConnectionFailed), session(self.engine) as watch:
                self.record.doing(watch, _sentence(at), _share(at))
        if self.progress is not None:
            self.progress(at.doing, ())


def _sentence(at: Work) -> str:
    """How far it is, for people: what, bytes, rows, time left."""
    parts = [at.doing]
    if at.bytes_done:
        of = f" of {human_bytes(at.bytes_total)}" if at.bytes_total else ""
        parts.append(f"{human_bytes(at.bytes_done)}{of}")
    if at.rows_done:
        of = f" of {at.rows_total:,}" if at.rows_total else ""
        parts.append(f"{at.rows_done:,}{of} rows")
    if at.seconds_left is not None:
        parts.append(f"about {human_seconds(at.seconds_left)} left")
    return ", ".join(parts)


def _share(at: Work) -> float | None:
    """How much is done, 0 to 1, by rows, else by bytes; None where nobody knows."""
    if at.rows_total and at.rows_done:
        return at.rows_done / at.rows_total
    return at.bytes_done / at.bytes_total if at.bytes_total and at.bytes_done else None


def _move(work: Connection, engine: Engine, plan: Plan, record: Record, terms: _Terms, following: _Following) -> None:
    """Backs up, verifies or restores, telling the journal how far it is, and stopping when a person asks for it."""
    from core.backups.kept import read_kept
    from core.backups.restore import restore
    from core.backups.verify import verify
    from core.backups.write import back_up
    from core.postgres.programs import find_pg_dump

    cold = terms.cold
    if cold is None:
        raise Failed(f"This process knows no place for backups, and can't {plan.operation}.")
    begun = datetime.now(UTC)
    operation = read_operation(engine, record.id)
    actor, reason = (operation.actor, operation.reason) if operation else ("", "")
    place = _open_place(cold, plan)
    rows: int | None
    if plan.operation is Operation.BACKUP:
        table = read_table(engine, plan.table, archive_schema=terms.archive_schema, exact=False)
        rows = back_up(
            engine,
            table,
            _called_now(table, plan),
            place,
            id=plan.backup,
            tool=find_pg_dump(table.server.version_num, environ=cold.environ),
            actor=actor,
            reason=reason,
            archive_schema=terms.archive_schema,
            cancelled=following.cancelled,
            report=following.report,
        ).rows
    elif plan.operation is Operation.VERIFY:
        proof = verify(
            place,
            plan.backup,
            home=cold.home,
            actor=actor,
            cancelled=following.cancelled,
            report=following.report,
        )
        if not proof.good:
            raise BackupDamaged(
                f"The backup {plan.backup} proves nothing: {proof.reason}",
                safe="Nothing was dropped, and the failed proof is written down beside it.",
                next="Back the table up again while it is there, or use another backup of it.",
            )
        rows = proof.rows
    else:
        kept = read_kept(place, plan.backup)
        rows = restore(work, place, kept, plan, cancelled=following.cancelled, report=following.report)
    _write_done(engine, plan, record, begun, rows)


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


def _open_place(cold: StorageSettings, plan: Plan) -> Storage:
    """The place of this process, which has to be the one that the plan was shown with. Raises Failed."""
    place = cold.open()
    if plan.place and place.label != plan.place:
        raise Failed(
            f"The plan names {plan.place} as the place of its backup; the process that took it keeps them in"
            f" {place.label}.",
            next="Give every dashboard and command line of this database the same BACKUP_URL.",
        )
    return place


def _require_backup(cold: StorageSettings | None, plan: Plan) -> None:
    """That the backup on which a drop rests lies in its place still, byte by byte, and proven. Raises NotVerified."""
    from core.backups.kept import require_backup

    if cold is None:
        raise NotVerified("This process knows no place for backups, so that nothing proves what would be dropped.")
    require_backup(_open_place(cold, plan), plan)


def _count(engine: Engine, plan: Plan, archive_schema: str) -> int | None:
    """The rows of what an operation moves, where they can be counted within a moment."""
    if plan.operation is Operation.ENSURE or plan.operation.moves_files:
        return None
    try:
        table = read_table(engine, plan.table, archive_schema=archive_schema, exact=False)
    except DeskError:
        return None
    try:
        return count_rows(engine, table, _called_now(table, plan), timeout_ms=COUNT_MS)
    except DeskError:
        return None


def _called_now(table: PartitionedTable, plan: Plan) -> str:
    """What means the very table of the plan, wherever it is by now. Raises PlanOutdated where it is gone."""
    if plan.oid is None:
        return plan.subject
    one = table.by_oid(plan.oid)
    if one is None:
        raise PlanOutdated(f"{plan.subject} is no longer there.")
    return table.called(one)


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
    for _ in range(TRIES):
        try:
            with session(engine) as connection:
                record.counted(connection, after=after)
                record.ended(connection, state, error, code, said)
            return
        except (DBAPIError, ConnectionFailed) as failure:
            log.warning("The journal can't be written just now: %s", type(failure).__name__)
            time.sleep(RECONNECT_S / 4)


@dataclass(frozen=True, slots=True)
class Due:
    """A planned drop whose time has come."""

    name: str
    drop: PlannedDrop
    plan: Plan | None
    """None where something stands in the way."""
    refused: DeskError | None = None

    @property
    def actor(self) -> Actor:
        """Who planned it."""
        return Actor(self.drop.by, Role.ADMIN, Origin.SCHEDULE)

    @property
    def reason(self) -> str:
        """For the journal."""
        return f"Planned by {self.drop.by} for {human_date(datetime.fromisoformat(self.drop.at).date())}"


def server_time(engine: Engine) -> datetime:
    """The server's own time: a console whose clock runs fast drops nothing early."""
    with session(engine) as connection:
        return datetime.fromisoformat(
            str(connection.exec_driver_sql("SELECT pg_catalog.clock_timestamp()::text").scalar_one())
        )


def plan_due_drops(
    engine: Engine, cold: StorageSettings, *, archive_schema: str, now: datetime, zone: str, again: bool = True
) -> tuple[Due, ...]:
    """Each planned drop whose time has come, planned on what is there now.

    Without `again` those are left out that were tried within the last day.
    """
    found: list[Due] = []
    for name, drop in read_planned_drops(engine):
        if not drop.is_due(now) or (not again and _was_tried(engine, name, drop, now)):
            continue
        try:
            found.append(Due(name, drop, _plan_due(engine, cold, name, drop, archive_schema, now, zone)))
        except DeskError as error:
            found.append(Due(name, drop, None, error))
    return tuple(found)


def _plan_due(
    engine: Engine, cold: StorageSettings, name: str, drop: PlannedDrop, archive_schema: str, now: datetime, zone: str
) -> Plan:
    from core.backups.kept import read_kept

    table = read_table(engine, drop.parent, archive_schema=archive_schema)
    place = cold.open()
    kept = read_kept(place, drop.backup)
    if kept.backup.fingerprint != drop.fingerprint:
        raise NotVerified(
            f"The backup {drop.backup} is another than the drop of {name} was planned on.",
            next="Look who writes to the place of the backups, and plan the drop again.",
        )
    archived = table.find_archived(name)
    if archived is not None and archived.drop != drop:
        raise NotVerified(
            f"{archived.sql} is not the table that says that it is to be dropped: another has its name.",
            next="Look whose tables of that name there are, and plan the drop again.",
        )
    today = now.astimezone(ZoneInfo(zone)).date()
    named = [archived for archived in table.archived if (archived.name, archived.drop) == (name, drop)]
    called = table.called(named[0]) if len(named) == 1 else name
    plan = prepare_drop(engine, table, called, [kept], today=today, place=place.label)
    _require_backup(cold, plan)
    return plan


def _was_tried(engine: Engine, name: str, drop: PlannedDrop, now: datetime) -> bool:
    since = max(datetime.fromisoformat(drop.at), now - AGAIN)
    return any(
        o.kind == Operation.DROP and (o.subject == name or o.plan.backup == drop.backup) and o.requested_at >= since
        for o in read_operations(engine, table=drop.parent)
    )


_WORKERS: set[Worker] = set()


def stop_workers() -> None:
    """Stops every worker of this process; for the moment before it ends."""
    for worker in list(_WORKERS):
        worker.stop()


_MAY_SAMPLE = """
SELECT pg_catalog.to_regnamespace('partition_desk') IS NOT NULL AND NOT pg_catalog.pg_is_in_recovery()
"""


class Worker:
    """Takes operations from the queue of one database and runs each to its end, whatever becomes of any page."""

    def __init__(
        self,
        engine: Engine,
        *,
        budget: Budget,
        archive_schema: str,
        cold: StorageSettings | None = None,
        zone: str = "UTC",
        drops: bool = False,
        samples: Samples | None = None,
    ) -> None:
        """`drops`: whether it takes drops, and begins planned ones when their time has come, by the dates of `zone`.

        `samples`: that it samples sizes as well, once a day, where the console has its schema already.
        """
        self._engine = engine
        self._terms = _Terms(budget, archive_schema, cold)
        self._zone = zone
        self._drops = drops
        self._samples = samples
        self._looked = -math.inf
        self._sampled = -math.inf
        self._sampling: Future[None] | None = None
        self._refused: dict[str, str] = {}
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
        while (self._mine or self._is_sampling) and time.monotonic() < give_up:
            time.sleep(0.02)
        _WORKERS.discard(self)

    def _loop(self) -> None:
        while not self._stop.is_set():
            pause = POLL_S
            try:
                self._begin_due_drops()
                self._begin_sample()
                with session(self._engine) as connection:
                    for operation_id in queued(connection, drops=self._drops):
                        if operation_id not in self._mine:
                            self._mine[operation_id] = Cancellation()
                            self._pool.submit(self._take, operation_id).add_done_callback(_log_unexpected)
            except (DBAPIError, ConnectionFailed):
                pause = RECONNECT_S
            self._wake.wait(pause)
            self._wake.clear()

    def _begin_due_drops(self) -> None:
        """Puts into the queue what is due; one worker of a database looks at a time, so that none is begun twice."""
        cold = self._terms.cold
        if not self._drops or cold is None or time.monotonic() - self._looked < DROPS_S:
            return
        self._looked = time.monotonic()
        with session(self._engine) as connection:
            if not connection.exec_driver_sql(f"SELECT pg_catalog.pg_try_advisory_lock({_DUE})").scalar_one():
                return
            try:
                self._enqueue_due(cold)
            except DeskError as error:
                log.warning("Planned drops can't be looked at just now: %s", error)
            finally:
                if not connection.invalidated:
                    connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_unlock({_DUE})")

    @property
    def _is_sampling(self) -> bool:
        return self._sampling is not None and not self._sampling.done()

    def _begin_sample(self) -> None:
        """Has the day's sample taken beside the operations, unless it is there."""
        if self._samples is None or time.monotonic() - self._sampled < SAMPLE_S:
            return
        if self._is_sampling:
            return
        self._sampled = time.monotonic()
        self._sampling = self._pool.submit(self._sample, self._samples)

    def _sample(self, samples: Samples) -> None:
        """Samples unless somebody did today; one worker of a database looks at a time, so that none samples twice."""
        from core.growth.daily import sample_today  # what reckons (numpy) is loaded where it is needed only
        from core.growth.samples import read_runs

        today = datetime.now(UTC).astimezone(ZoneInfo(self._zone)).date()
        try:
            with session(self._engine) as connection:
                # A server that nobody ever acted on stays as it is: looking makes nothing there.
                if not connection.exec_driver_sql(_MAY_SAMPLE).scalar_one():
                    return
                if not connection.exec_driver_sql(f"SELECT pg_catalog.pg_try_advisory_lock({_SAMPLING})").scalar_one():
                    return
                try:
                    if any(run.day >= today for run in read_runs(self._engine, limit=1)):
                        return
                    sample_today(
                        self._engine,
                        self._open_place,
                        archive_schema=self._terms.archive_schema,
                        today=today,
                        keep=samples.keep,
                        weekly_after=samples.weekly_after,
                    )
                finally:
                    if not connection.invalidated:
                        connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_unlock({_SAMPLING})")
        except DeskError as error:
            log.warning("Sizes can't be sampled just now: %s", error)
        except DBAPIError as error:
            log.warning("Sizes can't be sampled just now: %s", translate(error))

    def _open_place(self) -> Storage:
        if self._terms.cold is None:
            raise Failed("This process knows no place for backups.")
        return self._terms.cold.open()

    def _enqueue_due(self, cold: StorageSettings) -> None:
        due = plan_due_drops(
            self._engine,
            cold,
            archive_schema=self._terms.archive_schema,
            now=server_time(self._engine),
            zone=self._zone,
            again=False,
        )
        for one in due:
            if one.plan is not None:
                enqueue(self._engine, one.plan, one.actor, one.reason)
            elif self._refused.get(one.drop.backup) != str(one.refused):
                self._refused[one.drop.backup] = str(one.refused)
                log.warning("The planned drop of %s is not begun: %s", one.name, one.refused)

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
                        self._terms,
                        self._mine[operation_id],
                    )
                except DeskError as error:
                    log.info("Operation %s ended: %s", operation_id, type(error).__name__)
                finally:
                    _let_go(work)
        except DBAPIError as error:
            if not is_lost(error):
                log.exception("Operation %s met an error that nobody expected", operation_id)
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
