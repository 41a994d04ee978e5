"""What the partitions of a table hold and what they don't: gaps, the runway, and the periods that come next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from core.names import address, literal
from core.tables.bounds import Bounds
from core.tables.ends import Beyond, End, Several, Value
from core.tables.key import Clock, Key, at_clock, day_of, local_moment
from core.tables.pace import Pace, Sample, pace_of
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import plural

NEVER = timedelta(days=1_000_000)
"""The runway that stands for "for ever": a partition open to MAXVALUE, or beyond the calendar."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the partitions of one table hold, as a look at all tables of a database at once tells it."""

    schema: str
    name: str
    key: Key | None
    """None where the table is only shown here."""
    ranges: tuple[Bounds, ...]
    """In the order of their lower ends, without DEFAULT and what is half detached."""
    oids: tuple[int, ...]
    """Of the partitions, in the order of `ranges`."""
    pending: int
    """How many detaches were begun and not finished."""
    default: str
    """The quoted and qualified name of the DEFAULT partition; empty without one."""
    apart: bool = False
    """Whether it is by LIST or HASH, and branches of it are tables of their own."""

    @property
    def address(self) -> str:
        """A name that `split_qualified` reads back, whatever is in it."""
        return address(self.schema, self.name)

    def ids_left(self, highest: Value | None, now: datetime, samples: Iterable[Sample] = ()) -> IdsLeft | None:
        """`ids_left` of the table."""
        return _ids_left(self.key, self.ranges, highest, now, samples)

    def runway(self, when: date | datetime, zone: str = "UTC") -> timedelta | None:
        """How long it takes until a row finds no partition, NEVER for never; None where the key tells no time."""
        if self.key is None or self.key.clock is None:
            return None
        return _left(self.key, _reach(self.key, self.ranges, when, zone), when, zone)


@dataclass(frozen=True, slots=True)
class Gap:
    """A range between partitions, or after them, that no partition holds."""

    lower: End
    upper: End


def gaps(table: PartitionedTable) -> tuple[Gap, ...]:
    """The ranges between the first lower and the last upper end that no partition holds.

    A detach-pending partition leaves a gap: inserts for its range fail. An archived one does as well, by intent.
    """
    found: list[Gap] = []
    reach: End | None = None
    for partition in table.ranges:
        bounds = partition.bounds
        if bounds is None or partition.pending:
            continue
        if reach is not None and bounds.lower is not None and bounds.lower > reach:
            found.append(Gap(reach, bounds.lower))
        if bounds.upper is None:
            return tuple(found)
        reach = bounds.upper if reach is None else max(reach, bounds.upper)
    return tuple(found)


def unexplained_gaps(table: PartitionedTable, elsewhere: Iterable[Bounds] = ()) -> tuple[Gap, ...]:
    """The gaps, less the ranges that archived tables hold, that a detach-pending partition does, or that lie elsewhere.

    `elsewhere`: the bounds of backups, whose tables may have been dropped; those of another key explain nothing.
    """
    elsewhere = tuple(elsewhere)
    pieces = [gap for gap in gaps(table) if not _leads_through(gap, elsewhere)]
    holders = [a.bounds for a in table.archived] + [p.bounds for p in table.partitions if p.pending]
    holders += [bounds.on(table.key) for bounds in elsewhere if table.key is not None]
    for bounds in holders:
        if bounds is not None:
            pieces = [piece for gap in pieces for piece in _without(gap, bounds)]
    return tuple(pieces)


def _leads_through(gap: Gap, elsewhere: Iterable[Bounds]) -> bool:
    """Whether ranges that begin where others end lead from one end of a gap to the other.

    Of ends whose order only the server knows that is all that can be said here.
    """
    if not (isinstance(gap.lower, Value) and isinstance(gap.upper, Value)):
        return False
    following = {bounds.lower_sql: bounds.upper_sql for bounds in elsewhere if bounds.is_range}
    end, last = (literal(one.text).strip() for one in (gap.lower, gap.upper))
    for _ in following:
        end = following.get(end, "")
        if end == last:
            return True
    return False


def _without(gap: Gap, bounds: Bounds) -> Iterator[Gap]:
    if (bounds.lower is not None and bounds.lower >= gap.upper) or (
        bounds.upper is not None and bounds.upper <= gap.lower
    ):
        yield gap
        return
    if bounds.lower is not None and bounds.lower > gap.lower:
        yield Gap(gap.lower, bounds.lower)
    if bounds.upper is not None and bounds.upper < gap.upper:
        yield Gap(bounds.upper, gap.upper)


def covered_until(table: PartitionedTable, when: date | datetime, zone: str = "UTC") -> End | None:
    """The first date or moment from `when` on that has no partition; None where the last one is open to MAXVALUE.

    A moment is an aware datetime, a date its first moment in `zone`. A DEFAULT partition is not counted: rows in it
    make the next partition fail.
    """
    if table.key is None or table.key.clock is None:
        return None
    return _reach(table.key, (p.bounds for p in table.ranges if p.bounds is not None and not p.pending), when, zone)


def key_at(key: Key, when: date | datetime, zone: str) -> date | datetime:
    """A date, or a moment, as a value of the key: what a row of just then has."""
    if not isinstance(when, datetime):
        return at_clock(key, datetime.combine(when, time()), zone)
    if key.clock is Clock.INSTANT:
        return when
    local = when.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return local if key.clock is Clock.LOCAL else local.date()


def _reach(key: Key, ranges: Iterable[Bounds], when: date | datetime, zone: str) -> End | None:
    """How far ranges, in the order of their lower ends, reach without a gap from then on; None for ever."""
    reach: End = key_at(key, when, zone)
    for bounds in ranges:
        if bounds.holds(reach):
            if bounds.upper is None:
                return None
            reach = bounds.upper
    return reach


def runway(table: PartitionedTable, when: date | datetime, zone: str = "UTC") -> timedelta:
    """How long it takes from then on until a row finds no partition; nothing where one of then finds none."""
    if table.key is None or table.key.clock is None:
        return NEVER
    return _left(table.key, covered_until(table, when, zone), when, zone)


def _left(key: Key, until: End | None, when: date | datetime, zone: str) -> timedelta:
    if until is None or isinstance(until, Beyond | Value):
        return NEVER
    begin = key_at(key, when, zone)
    if isinstance(until, datetime) and isinstance(begin, datetime):
        left = until - begin
        if isinstance(when, datetime) and left < timedelta(days=2):
            return max(left, timedelta(0))
        # days of the calendar, not of 24 hours
        until, begin = local_moment(until, zone) or until, local_moment(begin, zone) or begin
    return max(timedelta(days=(day_of(until) - day_of(begin)).days), timedelta(0))


def frontier(table: PartitionedTable, when: date | datetime, zone: str = "UTC") -> End | None:
    """Where new rows belong: the key's value of then; of a key without times the last range that is known to hold rows.

    What ends there or before is over, what begins after it is still to be filled. None where nothing tells.
    """
    if table.key is None:
        return None
    if table.key.clock is not None:
        return key_at(table.key, when, zone)
    used = (p.bounds.lower for p in table.ranges if p.bounds and p.size is not None and p.size.heap > 0)
    return max((lower for lower in used if lower is not None), default=None)


PACE_UNKNOWN = "How long they last is not known yet: two samples some hours apart tell it."


@dataclass(frozen=True, slots=True)
class IdsLeft:
    """How many ids have a partition above the highest in use."""

    highest: Value
    until: End | None
    """The first id after it that has no partition; None where the last one is open to MAXVALUE."""
    pace: Pace | None = None
    """How fast they are used; None where too few samples tell."""

    @property
    def count(self) -> int | None:
        """How many ids lie between; None where there is no end."""
        until = self.until.leading if isinstance(self.until, Several) else self.until
        if not isinstance(until, Value) or until.number is None or self.highest.number is None:
            return None
        return max(0, int(Decimal(until.text) - Decimal(self.highest.text)) - 1)

    @property
    def said(self) -> str:
        """For people, in a sentence."""
        if self.count is None:
            return f"Every id above {self.highest.text}, the highest in use, has a place, without end."
        have = "has" if self.count == 1 else "have"
        return (
            f"{plural(self.count, 'id')} above {self.highest.text}, the highest in use, {have} a place{self._lasting}."
        )

    @property
    def runway(self) -> timedelta | None:
        """How long they last at that pace, NEVER where they do for ever; None where nothing tells the pace."""
        if self.count is None:
            return NEVER
        if self.pace is None:
            return None
        if self.pace.a_day <= 0:
            return NEVER if self.count else timedelta(0)
        days = self.count / self.pace.a_day
        return NEVER if days >= NEVER.days else timedelta(days=days)

    @property
    def lasting(self) -> str:
        """How long they last, for people: about 41 days; empty where that is not known or has no end."""
        left = self.runway
        if not self.count or left is None or left == NEVER:
            return ""
        return f"about {spoken_runway(timedelta(days=left.days) if left >= timedelta(days=2) else left)}"

    @property
    def _lasting(self) -> str:
        if self.pace is None:
            return ""
        return f": {self.lasting} at {self.pace.said}" if self.lasting else f"; {self.pace.said}"


def ids_left(
    table: PartitionedTable, highest: Value | None, now: datetime, samples: Iterable[Sample] = ()
) -> IdsLeft | None:
    """How many ids have a partition above the highest in use; None for a key that tells times, or no number.

    `samples` are what the highest was before; with them it is told for how long that lasts.
    """
    ranges = (p.bounds for p in table.ranges if p.bounds is not None and not p.pending)
    return _ids_left(table.key, ranges, highest, now, samples)


def _ids_left(
    key: Key | None, ranges: Iterable[Bounds], highest: Value | None, now: datetime, samples: Iterable[Sample]
) -> IdsLeft | None:
    if key is None or key.clock is not None or highest is None:
        return None
    whole = Decimal(highest.text)
    pace = pace_of((*samples, (now, whole)), now) if whole.is_finite() else None
    reach: End = highest
    for bounds in ranges:
        if bounds.holds(reach):
            if bounds.upper is None:
                return IdsLeft(highest, None, pace)
            reach = bounds.upper
    return IdsLeft(highest, reach, pace)


def spoken_runway(left: timedelta) -> str:
    """How long for people: 35 days, 9 hours, 40 minutes."""
    if left >= timedelta(days=2) or not left % timedelta(days=1):
        return plural(left.days, "day")
    if left >= timedelta(hours=1):
        return plural(left // timedelta(hours=1), "hour")
    return plural(left // timedelta(minutes=1), "minute")


def holders(table: PartitionedTable, wanted: Bounds) -> tuple[Partition, ...]:
    """The partitions that hold a part of a range, or all of it together."""
    return tuple(p for p in table.ranges if p.bounds is not None and p.bounds.overlaps(wanted))


def is_covered(wanted: Bounds, by: Iterable[Bounds | None]) -> bool:
    """Whether ranges, in the order of their lower ends, hold every value of another between them."""
    reach, begun = wanted.lower, False
    for bounds in by:
        if bounds is None or not bounds.overlaps(wanted):
            continue
        if bounds.lower is not None and (reach is None or bounds.lower > reach):
            return False
        if bounds.upper is None:
            return True
        reach, begun = bounds.upper if reach is None else max(reach, bounds.upper), True
    return begun and wanted.upper is not None and reach is not None and reach >= wanted.upper
