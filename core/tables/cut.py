"""How a table is cut into partitions: the width, the zone and the place of its grid, read from its newest siblings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import available_timezones

from core.errors import OffCalendar
from core.period import Width
from core.tables.bounds import Bounds
from core.tables.ends import End
from core.tables.key import Clock, Key, at_clock, local_moment

_LOOKED_AT = 36
"""So many of the newest siblings tell the width; a longer run says nothing more."""
_TOLD_APART = 40
"""So many of the next ends, or those of the next 18 months, have to be the same in every zone that fits."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The grid that a table's partitions lie on: from `start` on, by the calendar of `zone`, each of one width."""

    key: Key
    width: Width
    zone: str
    start: datetime
    """A local time at which one of them begins."""

    def containing(self, local: datetime) -> tuple[datetime, datetime]:
        """The cell of the grid that holds a local time. Raises OffCalendar where it leaves the calendar."""
        try:
            number = self.number(local)
            lower, upper = self.width.after(self.start, number), self.width.after(self.start, number + 1)
            if upper <= local:
                lower, upper = upper, self.width.after(self.start, number + 2)
        except (ValueError, OverflowError) as error:
            raise OffCalendar(
                f"A partition of {self.width} that holds {local:%Y-%m-%d} would end beyond the calendar.",
                next="Give a date before the year 9999.",
            ) from error
        return lower, upper

    def number(self, local: datetime) -> int:
        """How many cells after the one at `start` a local time lies; less than 0 before it."""
        if self.width.months:
            months = (local.year - self.start.year) * 12 + local.month - self.start.month
            number = months // self.width.months
            return number - (self.width.after(self.start, number) > local)
        return (local - self.start) // timedelta(days=self.width.days, seconds=self.width.seconds)

    def cover(self, lower: datetime, upper: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The cells from the one that holds `lower` until `upper` is reached."""
        begin, end = self.containing(lower)
        while begin < upper:
            yield begin, end
            begin, end = end, self.width.after(end)

    def local(self, end: End) -> datetime | None:
        """An end by the calendar of the grid; None for one that it lacks."""
        return local_moment(end, self.zone)

    def located(self, bounds: Bounds) -> tuple[datetime, datetime] | None:
        """The local times that a range goes from and to; None where the calendar lacks one of them."""
        if bounds.lower is None or bounds.upper is None:
            return None
        lower, upper = self.local(bounds.lower), self.local(bounds.upper)
        return None if lower is None or upper is None else (lower, upper)

    def bounds(self, lower: datetime, upper: datetime) -> Bounds:
        """The range from one local time to another."""
        return Bounds.of(self.key, at_clock(self.key, lower, self.zone), at_clock(self.key, upper, self.zone))


def cut_by(key: Key, width: Width, zone: str, today: date) -> Cut:
    """The grid of a table that has no partition yet: years from January, weeks from Monday, hours from midnight."""
    start = datetime.combine(today, time())
    if width.months:
        start = start.replace(day=1, month=1 + (start.month - 1) // width.months * width.months % 12)
        if width.months >= 12 or 12 % width.months:
            start = start.replace(month=1)
    elif width.days % 7 == 0:
        start -= timedelta(days=start.weekday())
    return Cut(key, width, "UTC" if width.seconds and key.clock is Clock.INSTANT else zone, start)


def read_cut(key: Key, ranges: Sequence[Bounds], zones: Iterable[str], now: datetime | None) -> Cut | str:
    """The grid that the newest run of contiguous ranges lies on, or why none can be told, in plain words.

    `ranges` are in the order of their lower ends; `zones` those that their ends are midnights of most likely, the
    likeliest first; `now`, a moment in UTC, keeps ranges far in the future from counting as the newest.
    """
    if key.clock is None:
        return "its key tells no time"
    finite = [one for one in ranges if one.is_finite]
    if not finite:
        return "none of them has two ends in the calendar"
    first, last = _newest_run(key, finite, now)
    first = max(first, last - _LOOKED_AT)
    others = tuple(finite[max(0, first - _LOOKED_AT) : first])
    return _grid(key, tuple(finite[first:last]), others, tuple(dict.fromkeys(zones)))


@lru_cache(maxsize=256)
def _grid(key: Key, run: tuple[Bounds, ...], others: tuple[Bounds, ...], zones: tuple[str, ...]) -> Cut | str:
    """The grid of a run, beside ranges before it."""
    readings = _readings(key, run, others, zones)
    if not readings:
        return _told(run[-1], "that is no number of months, days or hours that the ones before it have")
    best = [one for one in readings if one[1] == max(length for _, length in readings)]
    cuts = [cut for cut, length in best if length > 1 or _is_usual(cut, run, others)]
    if not cuts:
        return _told(run[-1], f"that is {best[0][0].width} alone beside others of another width")
    if any(cut.width.months for cut in cuts):
        cuts = [cut for cut in cuts if cut.width.months]
    if len({tuple(_next_ends(cut)) for cut in cuts}) > 1:
        return _told(run[-1], "its ends are midnights of several time zones, which do not agree about the next ones")
    return _unless_ambiguous(cuts[0], run)


def _told(newest: Bounds, why: str) -> str:
    return f"the newest one goes {newest.text.removeprefix('FOR VALUES ')}: {why}"


def _newest_run(key: Key, finite: list[Bounds], now: datetime | None) -> tuple[int, int]:
    """The places of the contiguous ranges around now, else of the last before it, else of the last of all."""
    place = len(finite) - 1
    if now is not None:
        begun = [place for place, one in enumerate(finite) if one.lower is not None and one.lower <= _end(key, now)]
        place = begun[-1] if begun else place
        while place + 1 < len(finite) and finite[place + 1].lower == finite[place].upper:
            place += 1
    first = place
    while first > 0 and finite[first - 1].upper == finite[first].lower:
        first -= 1
    return first, place + 1


def _end(key: Key, now: datetime) -> date | datetime:
    """A moment in UTC, comparable with the ends of the key."""
    if key.clock is Clock.DATE:
        return now.date()
    return now if key.clock is Clock.INSTANT else now.replace(tzinfo=None)


def _readings(
    key: Key, run: Sequence[Bounds], others: Sequence[Bounds], zones: tuple[str, ...]
) -> list[tuple[Cut, int]]:
    """(grid, how many of the newest ranges lie on it), in each of the zones whose midnights the ends are."""
    if key.clock is not Clock.INSTANT:
        return _in_zone(key, run, zones[0] if zones else "UTC")
    fitting = [zone for zone in zones if _are_midnights(run, zone)]
    if fitting and fitting[0] == zones[0] != "UTC":  # which somebody has chosen
        fitting = fitting[:1]
    if not fitting and _is_of_days(run[-1]):
        known = [zone for zone in _known_zones() if _are_midnights(run, zone) and _are_midnights(others, zone)]
        apart = {tuple(_next_ends(cut)): zone for zone in known for cut, _ in _in_zone(key, run, zone)}
        fitting = list(dict.fromkeys(apart.values()))
    return [one for zone in fitting or ["UTC"] for one in _in_zone(key, run, zone)]


def _is_of_days(bounds: Bounds) -> bool:
    lower, upper = _locals(bounds, "UTC")
    return lower is not None and upper is not None and upper - lower > timedelta(hours=20)


@cache
def _known_zones() -> tuple[str, ...]:
    return tuple(
        sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "posix")))
    )


def _are_midnights(ranges: Iterable[Bounds], zone: str) -> bool:
    return all(one.dates(zone) is not None for one in ranges)


def _in_zone(key: Key, run: Sequence[Bounds], zone: str) -> list[tuple[Cut, int]]:
    """The widths that the newest range has in this zone, each with how many ranges on end have it."""
    lengths = dict.fromkeys(_widths(key, run[-1], zone), 0)
    growing = set(lengths)
    for one in reversed(run):
        growing &= _widths(key, one, zone)
        if not growing:
            break
        lengths |= {width: lengths[width] + 1 for width in growing}
    longest = max(lengths.values(), default=0)
    found: list[tuple[Cut, int]] = []
    end = run[-1].upper
    for width in sorted(lengths, key=lambda width: (not width.months, not width.days)):
        place = "UTC" if width.seconds and key.clock is Clock.INSTANT else zone
        start = local_moment(end, place) if end is not None else None
        # Twice from the first of a month is no accident, though one before had as many days.
        of_months = width.months and start is not None and start.day == 1 and lengths[width] > 1
        if start is not None and (lengths[width] == longest or of_months):
            found.append((Cut(key, width, place, start), longest))
    if any(not cut.width.seconds for cut, _ in found):
        found = [one for one in found if not one[0].width.seconds]
    return found


def _widths(key: Key, bounds: Bounds, zone: str) -> frozenset[Width]:
    """Every width that the range can be of: months, days, seconds."""
    lower, upper = _locals(bounds, zone)
    if lower is None or upper is None or upper <= lower:
        return frozenset()
    found = set()
    months = (upper.year - lower.year) * 12 + upper.month - lower.month
    if months > 0 and lower.day <= 28 and (lower.day, lower.time()) == (upper.day, upper.time()):
        found.add(Width(months=months))
    if lower.time() == upper.time():
        found.add(Width(days=(upper - lower).days))
    if key.clock is not Clock.DATE:
        begin, end = _locals(bounds, "UTC")
        length = end - begin if begin and end else upper - lower
        if not length.microseconds:
            found.add(Width(seconds=length.days * 86_400 + length.seconds))
    return frozenset(found)


def _locals(bounds: Bounds, zone: str) -> tuple[datetime | None, datetime | None]:
    lower, upper = bounds.lower, bounds.upper
    return (
        local_moment(lower, zone) if lower is not None else None,
        local_moment(upper, zone) if upper is not None else None,
    )


def _is_usual(cut: Cut, run: Sequence[Bounds], others: Sequence[Bounds]) -> bool:
    """Whether a newest range that stands alone with its width is not a slip: no other is there, or the last has it."""
    before = others[-1] if len(run) == 1 and others else run[-2] if len(run) > 1 else None
    return before is None or cut.width in _widths(cut.key, before, cut.zone)


def _next_ends(cut: Cut) -> Iterator[date | datetime]:
    """The ends that come after the last one."""
    try:
        for number in range(1, _TOLD_APART + 1):
            end = cut.width.after(cut.start, number)
            if number > 2 and end > cut.start + timedelta(days=550):
                return
            yield at_clock(cut.key, end, cut.zone)
    except (ValueError, OverflowError):
        return


def _unless_ambiguous(cut: Cut, run: Sequence[Bounds]) -> Cut | str:
    """Not where months and a round number of days explain the same ranges, none of which begins a month.

    Nor where the newest goes from the first or last of a month to another's, and only the one before has as many days.
    """
    if cut.width.days and not 1 < cut.start.day < 28:
        before = len(run) > 2 and cut.width in _widths(cut.key, run[-3], cut.zone)
        months = [] if before else [width for width in _widths(cut.key, run[-1], cut.zone) if width.months]
        return _told(run[-1], f"that can be {months[0]} as well as {cut.width}") if months else cut
    if not cut.width.months or cut.start.day == 1:
        return cut
    spans = (_locals(one, cut.zone) for one in run)
    lengths = {(upper - lower).days for lower, upper in spans if lower and upper}
    if len(lengths) == 1 and (days := lengths.pop()) and (days % 7 == 0 or days % 10 == 0):
        return _told(run[-1], f"that can be {cut.width} as well as {days} days")
    return cut
