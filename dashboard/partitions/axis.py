"""What the stretches of a table are drawn along: the time of a zone, numbers, or the mere order of their ends."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from core.tables.bounds import Bounds, spoken_end
from core.tables.ends import End, Several, Value
from core.tables.key import local_moment
from core.tables.table import PartitionedTable
from core.text import human_date

Spot = datetime | float
"""A place on the axis: a local time without its zone, or a number."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Where the ends of a table's bounds stand; of one table, so that its places compare."""

    zone: str
    clock: bool
    """Whether its places are times."""
    slots: dict[End, int] | None = None
    """The place of each end where only their order is known."""

    def at(self, end: End | None) -> Spot | None:
        """The place of an end; None where it is open, or beyond all that can be drawn."""
        if end is None:
            return None
        if self.clock:
            return local_moment(end, self.zone)
        if self.slots is not None:
            return self.slots.get(end)
        leading = end.leading if isinstance(end, Several) else end
        number = leading.number if isinstance(leading, Value) else None
        return number if number is not None and math.isfinite(number) else None

    def ends(self, bounds: Bounds | None) -> tuple[Spot | None, Spot | None]:
        """The places of both ends."""
        return (self.at(bounds.lower), self.at(bounds.upper)) if bounds else (None, None)

    def now(self, moment: datetime) -> datetime | None:
        """The place of a moment; None where the axis is no time."""
        return moment.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None) if self.clock else None

    def spoken(self, end: End | None) -> str:
        """An end for a column of a table, so that texts sort as the ends do where they are times."""
        local = self.at(end) if self.clock else None
        if isinstance(local, datetime):
            return f"{local:%Y-%m-%d}" if local.time() == time() else f"{local:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
        return "" if end is None else spoken_end(end, self.zone)


def axis_of(table: PartitionedTable, zone: str, elsewhere: Iterable[Bounds] = ()) -> Axis:
    """The axis of a table's partitions, its archived tables, and of bounds that lie elsewhere."""
    if table.key is None or table.key.clock is not None:
        return Axis(zone, clock=True)
    known = [one.bounds for one in table.everything if one.bounds is not None]
    known += [one for one in (bounds.on(table.key) for bounds in elsewhere) if one is not None]
    ends = {end for bounds in known for end in (bounds.lower, bounds.upper) if isinstance(end, Value | Several)}
    if table.key.type.is_number:
        return Axis(zone, clock=False)
    return Axis(zone, clock=False, slots={end: number for number, end in enumerate(sorted(ends))})


def spoken_spot(spot: Spot | None) -> str:
    """A place for people."""
    if isinstance(spot, datetime):
        return human_date(spot.date()) if spot.time() == time() else f"{human_date(spot.date())} {spot:%H:%M}"
    return "" if spot is None else f"{spot:,.10g}"


def midnight(day: date) -> datetime:
    """The place at which a day begins."""
    return datetime.combine(day, time())
