"""One run of `partitions maintain`: when, what it did and what it left; and whether the next one is late."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from core.period import Width
from core.plans.ensure import ENSURE

DAILY = timedelta(hours=26)
"""Without a run for so long rules are not kept: a day, and two hours for a slow one."""


@dataclass(frozen=True, slots=True)
class Done:
    """An act that was begun, and how it ended."""

    table: str
    act: str
    subject: str
    at: str
    """When it was begun: ISO 8601, UTC."""
    ended: bool = False
    """Whether it came to its end, well or not; a run that was killed leaves one that did not."""
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether it was done."""
        return self.ended and not self.error


@dataclass(frozen=True, slots=True)
class Left:
    """What a rule wants and was not done."""

    table: str
    act: str
    subject: str
    why: str
    wrong: bool = False
    """Whether it needs somebody; else its time comes by itself."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run over the tables of a database."""

    started: datetime
    ended: datetime | None
    host: str
    did: tuple[Done, ...] = ()
    left: tuple[Left, ...] = ()
    stopped: str = ""
    """Why it ended before it had looked at everything; empty where it did not."""

    @property
    def failed(self) -> tuple[Left, ...]:
        """What needs somebody."""
        return tuple(one for one in self.left if one.wrong)

    @property
    def good(self) -> bool:
        """Whether all is as the rules want it, or will be by itself."""
        return not self.failed and not self.stopped

    def said(self) -> str:
        """What it did and left, as JSON."""
        raw = {
            "started": self.started.isoformat(),
            "ended": self.ended.isoformat() if self.ended else None,
            "host": self.host,
            "did": [asdict(one) for one in self.did],
            "left": [asdict(one) for one in self.left],
            "stopped": self.stopped,
        }
        return json.dumps(raw, sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Run:
        """What `said` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        raw = json.loads(text)
        return cls(
            datetime.fromisoformat(raw["started"]),
            datetime.fromisoformat(raw["ended"]) if raw["ended"] else None,
            str(raw["host"]),
            tuple(Done(**one) for one in raw["did"]),
            tuple(Left(**one) for one in raw["left"]),
            str(raw["stopped"]),
        )


def begun_since(runs: Iterable[Run], table: str, since: datetime) -> int:
    """How many acts on a table count for `at_most` since then: creation does not, nor what failed."""
    return sum(
        one.table == table and one.act != ENSURE.name and not one.error and datetime.fromisoformat(one.at) >= since
        for run in runs
        for one in run.did
    )


def late_after(widths: Iterable[tuple[Width | None, int]]) -> timedelta:
    """How long may be between two runs for tables of (width, partitions ahead), so that none is ever missing."""
    spans = [
        max(1, ahead) * timedelta(days=round(width.months * 28) + width.days, seconds=width.seconds)
        for width, ahead in widths
        if width is not None
    ]
    return min([DAILY, *spans])


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How it stands with keeping the rules of a database."""

    tables: tuple[str, ...]
    """The addresses of those that have rules."""
    last: Run | None
    """The newest run that came to its end; None where none did."""
    late: timedelta
    """Without a run for so long it is late."""
    doubts: tuple[tuple[str, str], ...] = ()
    """(table, why its rules are not obeyed)."""

    def is_late(self, now: datetime) -> bool:
        """Whether there are rules, and nobody has kept to them for longer than it should be."""
        if not self.tables:
            return False
        return self.last is None or self.last.ended is None or now - self.last.ended > self.late
