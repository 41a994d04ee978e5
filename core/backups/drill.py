"""The restore drill: which backup is proven again next, so that each is within a given time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

from core.plans.proof import Kept

_NEVER = datetime.min.replace(tzinfo=UTC)


def newest_of_each(every: Iterable[Kept]) -> tuple[Kept, ...]:
    """The newest backup of each partition, in the order of their tables and names."""
    found: dict[tuple[str, str, str], Kept] = {}
    for kept in sorted(every, key=lambda kept: (kept.backup.finished_at, kept.backup.id)):
        found[kept.backup.parent, kept.backup.name, kept.backup.bounds] = kept
    return tuple(found[key] for key in sorted(found))


def next_to_prove(every: Sequence[Kept], before: date, tried: Mapping[str, datetime]) -> Kept | None:
    """Of the newest backups the one that nobody has tried to prove for longest; None where each was since `before`.

    `tried` is when the journal says that a verification of a backup was begun, by its id: one that can't even be
    fetched keeps no other from its turn. One that was found damaged is an alarm, and no drill of it.
    """

    def last(kept: Kept) -> datetime:
        written = datetime.fromisoformat(kept.proofs[-1].at) if kept.proofs else _NEVER
        return max(written, tried.get(kept.backup.id, _NEVER))

    due = [kept for kept in newest_of_each(every) if kept.damaged is None and last(kept).date() < before]
    return min(due, key=lambda kept: (last(kept), kept.backup.finished_at), default=None)
