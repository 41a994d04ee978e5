"""How every table of a database stands, in a word or two, for a list to choose from."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from core.console.failures import failures, waiting
from core.tables.catalog.coverage import read_coverage
from core.tables.coverage import NEVER, Coverage, spoken_runway
from core.text import plural

if TYPE_CHECKING:
    from core.console.desk import Desk

SOON = timedelta(days=31)
"""A runway shorter than this is told."""
IN_ORDER = "in order"


def standings(desk: Desk) -> dict[str, str]:
    """How each table stands, by its address; what is worst of it comes first."""
    failed = waiting(failures(desk))
    return {
        one.address: "; ".join(_wrong(one, failed[one.address], desk)) or IN_ORDER
        for one in read_coverage(desk.reading, desk.archive_schema)
        if one.key is not None
    }


def _wrong(one: Coverage, failed: int, desk: Desk) -> list[str]:
    said = ["detach pending"] if one.pending else []
    left = one.runway(desk.now, desk.zone)
    if left is not None and not left:
        said.append("rows go to DEFAULT" if one.default else "today missing")
    elif left is not None and left != NEVER and left < SOON:
        said.append(f"{spoken_runway(left)} left")
    return [*said, *([f"{plural(failed, 'act')} failed"] if failed else [])]
