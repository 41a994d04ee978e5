"""The worker's part of what is more than SQL: rows that move between the server and the place of the backups."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.errors import BackupDamaged, ConnectionFailed, Failed, SettingError, StorageFailed, Unprovable
from core.plans.plan import Plan, called_now
from core.plans.proof import Verdict
from core.postgres.connection import session
from core.postgres.programs import find_pg_dump
from core.text import human_bytes, human_seconds

if TYPE_CHECKING:
    from core.backups.progress import Work
    from core.backups.storage import StorageSettings
    from core.backups.storage.base import Storage
    from core.console.desk import Desk
    from core.console.execute import Cancellation, Progress
    from core.console.record import Record

# What reads and writes backups is loaded where it is needed only.

TOLD_S = 0.5
"""How often the progress of a backup is written down, and a cancel looked for."""


@dataclass(slots=True)
class JournalProgress:
    """Between core.backups and the journal: tells how far it is, and whether a person asked for it to stop.

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


@dataclass(frozen=True, slots=True)
class Job:
    """One running operation, as its worker's part has to know it."""

    desk: Desk
    work: Connection
    """The session of the operation, which holds its lock."""
    plan: Plan
    actor: str
    reason: str
    following: JournalProgress


def back_up(job: Job) -> int | None:
    """Writes the backup that the plan names, and gives its number of rows."""
    from core.backups.write import back_up as write

    desk, plan = job.desk, job.plan
    place = open_storage(desk.storage, plan)
    table = desk.read_working(plan.table)
    backup = write(
        desk.working,
        table,
        called_now(plan, table),
        place,
        id=plan.backup,
        tool=find_pg_dump(table.server.version_num, environ=desk.storage.environ),
        actor=job.actor,
        reason=job.reason,
        archive_schema=desk.archive_schema,
        cancelled=job.following.cancelled,
        report=job.following.report,
    )
    return backup.rows


def verify(job: Job) -> int | None:
    """Restores the backup elsewhere, compares it, and writes the verdict down beside it; it is told in any case.

    Raises BackupDamaged, Unprovable, and StorageFailed for a good one that could not be written down.
    """
    from core.backups.kept import keep_proof
    from core.backups.proving import Proving
    from core.backups.verify import verify as prove

    with suppress(SettingError):  # a proof without a seal is one for people
        job.desk.make_seal()
    storage, plan = job.desk.storage, job.plan
    place = open_storage(storage, plan)
    proof = prove(
        place,
        plan.backup,
        proving=Proving(storage.home, storage.environ, job.desk.settings.proof_url or ""),
        actor=job.actor,
        cancelled=job.following.cancelled,
        report=job.following.report,
    )
    unwritten: StorageFailed | None = None
    try:
        keep_proof(place, plan.backup, proof)
    except StorageFailed as error:
        unwritten = error
    kept = f"It could not be written down: {unwritten.what}" if unwritten else "It is written down beside it."
    if proof.verdict is Verdict.DAMAGED:
        raise BackupDamaged(
            f"The backup {plan.backup} is damaged: {proof.reason}",
            safe=f"Nothing was dropped. {kept}",
            next="Back the table up again while it is there, or use another backup of it.",
        )
    if proof.verdict is Verdict.UNPROVABLE:
        raise Unprovable(
            f"The backup {plan.backup} can't be proven here: {proof.reason}",
            safe=f"That says nothing of what it holds, and nothing was dropped. {kept}",
            next=proof.next,
        )
    if unwritten is not None:
        raise StorageFailed(
            f"The backup {plan.backup} is whole, each of its rows was compared; but that could not be written down:"
            f" {unwritten.what}",
            safe="The backup is as it was.",
            next=f"Nothing can be dropped on it until it is. {unwritten.next}",
        )
    return proof.rows


def restore(job: Job) -> int | None:
    """Brings the backup back, and gives its number of rows."""
    from core.backups.kept import read_kept
    from core.backups.restore import restore as bring_back

    place = open_storage(job.desk.storage, job.plan)
    kept = read_kept(place, job.plan.backup)
    return bring_back(job.work, place, kept, job.plan, cancelled=job.following.cancelled, report=job.following.report)


def open_storage(settings: StorageSettings, plan: Plan) -> Storage:
    """The place of this process, which has to be the one that the plan was shown with. Raises Failed."""
    place = settings.open()
    if plan.place and place.label != plan.place:
        raise Failed(
            f"The plan names {plan.place} as the place of its backup; the process that took it keeps them in"
            f" {place.label}.",
            next="Give every dashboard and command line of this database the same BACKUP_URL.",
        )
    return place


def require_backup(desk: Desk, plan: Plan) -> None:
    """That the backup on which a drop rests lies in its place still, byte by byte, and proven. Raises NotVerified."""
    from core.backups import kept

    kept.require_backup(open_storage(desk.storage, plan), plan)


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
