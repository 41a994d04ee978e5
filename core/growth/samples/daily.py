"""Takes a day's sample of all sizes, cold storage included, and forgets what is too old: for command and worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Engine

from core.backups.kept import read_database_backups
from core.backups.storage.base import Storage
from core.errors import DeskError
from core.growth.samples.measure import sample
from core.growth.samples.prune import prune
from core.growth.samples.values import ColdBytes, SampleRun
from core.period import Duration
from core.plans.proof import Kept
from core.postgres.server import read_server


@dataclass(frozen=True, slots=True)
class Sampled:
    """A day's sample, and what was done beside it."""

    run: SampleRun
    cold: int | None
    """Bytes of this database's backups; None where their place could not be read, so that the last figures stay."""
    unread: DeskError | None
    """Why it could not be read."""
    forgotten: int
    """How many rows of older samples went."""


def sample_today(
    engine: Engine,
    open_place: Callable[[], Storage],
    *,
    archive_schema: str,
    today: date,
    keep: Duration | None = None,
    weekly_after: Duration | None = None,
) -> Sampled:
    """Samples, and forgets what is older than `keep`, and all but one a week of what is older than `weekly_after`.

    Raises NotAllowed, ReadOnlyServer, CatalogBusy, ConnectionFailed.
    """
    kept, unread = read_database_backups(open_place, read_server(engine))
    backups = None if kept is None else bytes_by_partition(kept)
    run = sample(engine, archive_schema=archive_schema, today=today, backups=backups)
    forgotten = prune(engine, today=today, keep_days=_days(keep, today), weekly_after_days=_days(weekly_after, today))
    return Sampled(run, None if backups is None else sum(backups.values()), unread, forgotten)


def bytes_by_partition(found: Iterable[Kept]) -> ColdBytes:
    """The bytes of all backups of each partition."""
    sums: dict[tuple[str, str, str], int] = {}
    for kept in found:
        key = (kept.backup.parent, kept.backup.name, kept.backup.bounds)
        sums[key] = sums.get(key, 0) + kept.backup.bytes
    return sums


def _days(duration: Duration | None, today: date) -> int | None:
    return None if duration is None else (today - duration.before(today)).days
