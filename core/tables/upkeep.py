"""Which other tool makes partitions of a table, or takes them away, as that tool's own notes in the database say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PGSLICE = re.compile(r"column:.+,period:(day|month|year),cast:(date|timestamptz)(,version:\d+)?")
_PSQLEXTRA = "psqlextra_auto_partitioned"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Another tool at work on a table."""

    tool: str
    """With its version, where that is known: pg_partman 4.7.2."""
    ahead: int | None = None
    """How many partitions after the one of the newest row it makes; None where that is not noted."""
    retention: str = ""
    """How long it keeps partitions, in its own words; empty where it takes none away by itself."""
    moves_to: str = ""
    """The schema that those are moved to which are older."""
    drops: bool = False
    """Whether it drops those that are older, instead of detaching them."""
    notes: str = ""
    """The quoted name of the table that this was read from; empty where it was a comment."""
    unread: bool = False
    """Whether it is there and the connected role may not read which tables it works on."""

    @property
    def takes_away(self) -> str:
        """What it does by itself with partitions that are older than its retention; empty where it does nothing."""
        if not self.retention:
            return ""
        if self.moves_to:
            return f"detaches those older than {self.retention} and moves them to {self.moves_to}"
        return f"{'drops' if self.drops else 'detaches'} those older than {self.retention}"

    @property
    def said(self) -> str:
        """All of it, for people."""
        ahead = f"makes {self.ahead} ahead of the newest row" if self.ahead is not None else ""
        what = ", ".join(part for part in (ahead, self.takes_away) if part)
        return f"{self.tool}{f', which {what}' if what else ''}"


def noted(of_table: str | None, of_partitions: Iterable[str | None]) -> Upkeep | None:
    """The tool that leaves its notes in comments: on the table itself, or on each partition that it made."""
    if of_table and _PGSLICE.fullmatch(of_table.strip()):
        return Upkeep("pgslice")
    if any((comment or "").startswith(_PSQLEXTRA) for comment in of_partitions):
        return Upkeep("psqlextra")
    return None
