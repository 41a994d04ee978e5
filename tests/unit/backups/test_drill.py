"""Whose turn it is in a restore drill."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from core.backups.drill import next_to_prove
from core.plans.proof import Kept, Verdict
from tests.unit.cold_factories import backup, proof

BEFORE = date(2026, 9, 20)


def kept(name: str, *proofs: tuple[str, Verdict], made: str = "2024-01-01T00:00:00+00:00", **changes: Any) -> Kept:
    found = tuple(proof(at=f"{day}T02:00:00+00:00", verdict=verdict) for day, verdict in proofs)
    return Kept(backup(id=f"a/{name}/{made}", name=name, finished_at=made, **changes), found)


def turn(*every: Kept, tried: dict[str, datetime] | None = None) -> str | None:
    found = next_to_prove(every, BEFORE, tried or {})
    return found.backup.name if found else None


def test_the_one_that_was_proven_longest_ago() -> None:
    one, other = kept("one", ("2026-03-01", Verdict.PROVEN)), kept("other", ("2026-02-01", Verdict.PROVEN))
    assert turn(one, other) == "other"
    assert turn(one, other, kept("never")) == "never"
    assert turn(kept("fresh", ("2026-09-20", Verdict.PROVEN))) is None
    assert turn() is None


def test_only_the_newest_of_each_partition_counts() -> None:
    old, new = kept("one"), kept("one", ("2026-10-01", Verdict.PROVEN), made="2025-01-01T00:00:00+00:00")
    assert turn(old, new) is None
    assert turn(old, new, kept("one", bounds="FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')")) == "one"


def test_what_can_not_be_proven_or_fetched_keeps_no_other_from_its_turn() -> None:
    stuck = kept("stuck", ("2026-10-01", Verdict.UNPROVABLE))
    proven = kept("proven", ("2026-08-01", Verdict.PROVEN))
    assert turn(stuck, proven) == "proven"
    asleep = kept("asleep")
    assert turn(asleep, proven) == "asleep"
    assert turn(asleep, proven, tried={asleep.backup.id: datetime(2026, 10, 1, tzinfo=UTC)}) == "proven"
    assert turn(kept("damaged", ("2026-01-01", Verdict.DAMAGED))) is None
