"""The range of a partition: PostgreSQL's own text beside its parsed ends, and how the two are made from each other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from core.names import ident, literal
from core.period import Period, Range, period_of
from core.tables.key import End, Key, KeyType
from core.text import human_date

_BOUNDS = re.compile(r"FOR VALUES FROM \((?P<lower>MINVALUE|'[^'()]+')\) TO \((?P<upper>MAXVALUE|'[^'()]+')\)")
_INFINITIES = ("'infinity'", "'-infinity'")
# As EncodeDateOnly() and EncodeDateTime() of PostgreSQL's datetime.c print in DateStyle ISO.
_CONSTANT = re.compile(
    r"'(?P<year>\d{4}|[1-9]\d{4,6})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?P<time> (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?"
    r"(?P<zone>(?P<sign>[+-])(?P<zone_hours>\d\d)(?::(?P<zone_minutes>\d\d)(?::(?P<zone_seconds>\d\d))?)?)?)?"
    r"(?P<era> BC)?'",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The range of a partition: PostgreSQL's own text, and the two ends parsed from it.

    An end of None is unbounded: MINVALUE, MAXVALUE, an infinity, or a year that Python's calendar lacks.
    Texts are those of a session with DateStyle ISO and TimeZone UTC. Anybody may have written one: `text` is only shown
    and compared, and what goes to the server is `sql`, `lower_sql` and `upper_sql`, made anew from the parsed parts.
    """

    text: str
    lower: End | None = field(compare=False)
    upper: End | None = field(compare=False)

    @classmethod
    def parse(cls, text: str, type_: KeyType | None = None) -> Bounds:
        """Reads "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')" or "DEFAULT"; ValueError for anything else.

        Both ends have to be constants of one type, as PostgreSQL prints them: of `type_`, where that is given.
        """
        if text == "DEFAULT":
            return cls(text, None, None)
        lower, upper = _ends(text)
        if type_ is not None and not {lower.type, upper.type} <= {type_, None}:
            raise ValueError(f"not the bounds of a range of {type_}: {text}")
        return cls(text, lower.value, upper.value)

    @classmethod
    def between(cls, key: Key, lower: date, upper: date, zone: str = "UTC") -> Bounds:
        """[lower, upper) by the calendar of `zone`, which matters to a timestamp with time zone only."""
        ends = [_literal_end(key, day, zone) for day in (lower, upper)]
        return cls.parse(f"FOR VALUES FROM ({ends[0]}) TO ({ends[1]})")

    @property
    def is_default(self) -> bool:
        """Whether this is the DEFAULT partition, which has no ends."""
        return self.text == "DEFAULT"

    @property
    def sql(self) -> str:
        """The bounds as SQL: what follows PARTITION OF and ATTACH PARTITION."""
        return "DEFAULT" if self.is_default else f"FOR VALUES FROM ({self.lower_sql}) TO ({self.upper_sql})"

    @property
    def lower_sql(self) -> str:
        """The lower end as SQL: a quoted constant or MINVALUE."""
        return self._ends()[0].sql

    @property
    def upper_sql(self) -> str:
        """The upper end as SQL: a quoted constant or MAXVALUE."""
        return self._ends()[1].sql

    def _ends(self) -> tuple[_Constant, _Constant]:
        if self.is_default:
            raise ValueError("a DEFAULT partition has no ends")
        return _ends(self.text)

    def is_of(self, type_: KeyType) -> bool:
        """Whether it can be a range of a key of that type, so that its ends compare with those of its partitions."""
        return self.is_default or all(end.type in (None, type_) for end in self._ends())

    def holds(self, end: End) -> bool:
        """Whether a value lies in the range."""
        return (
            not self.is_default
            and (self.lower is None or self.lower <= end)
            and (self.upper is None or end < self.upper)
        )

    def covers(self, other: Bounds) -> bool:
        """Whether every value of `other` lies in this range; False for a DEFAULT on either side."""
        if self.is_default or other.is_default:
            return False
        return (self.lower is None or (other.lower is not None and self.lower <= other.lower)) and (
            self.upper is None or (other.upper is not None and other.upper <= self.upper)
        )

    def overlaps(self, other: Bounds) -> bool:
        """Whether some value lies in both ranges; a DEFAULT overlaps nothing."""
        if self.is_default or other.is_default:
            return False
        return (self.lower is None or other.upper is None or self.lower < other.upper) and (
            other.lower is None or self.upper is None or other.lower < self.upper
        )

    @property
    def order(self) -> tuple[bool, float]:
        """Sorts ranges of one key by their lower ends, MINVALUE first."""
        lower = self.lower
        if not isinstance(lower, datetime):
            return lower is not None, lower.toordinal() if lower is not None else 0
        midnight = lower.replace(hour=0, minute=0, second=0, microsecond=0)
        return True, lower.toordinal() + (lower - midnight).total_seconds() / 86400

    def dates(self, zone: str = "UTC") -> Range | None:
        """The range as whole days in `zone`, or None where an end is unbounded or not a midnight."""
        lower, upper = _midnight(self.lower, zone), _midnight(self.upper, zone)
        return None if lower is None or upper is None else (lower, upper)

    def period(self, zone: str = "UTC") -> Period | None:
        """The calendar period that the range is exactly, if it is one."""
        dates = self.dates(zone)
        return period_of(*dates) if dates else None


@dataclass(frozen=True, slots=True)
class _Constant:
    """One end: as SQL, as a value, and the type that it is a constant of; None for any type."""

    sql: str
    value: End | None = None
    type: KeyType | None = None


def _ends(text: str) -> tuple[_Constant, _Constant]:
    match = _BOUNDS.fullmatch(text)
    if match is None:
        raise ValueError(f"not the bounds of a range: {text}")
    lower, upper = _constant(match["lower"]), _constant(match["upper"])
    if len({lower.type, upper.type} - {None}) > 1:
        raise ValueError(f"not the bounds of a range of one type: {text}")
    return lower, upper


def _constant(text: str) -> _Constant:
    """One end from its text, every part of it made anew. ValueError for what is no date or moment."""
    for word in ("MINVALUE", "MAXVALUE"):
        if text == word:
            return _Constant(word)
    for word in _INFINITIES:
        if text == word:
            return _Constant(literal(word.strip("'")))
    match = _CONSTANT.fullmatch(text)
    if match is None:
        raise ValueError(f"not the bounds of a range: {text} is no date or moment as PostgreSQL prints it")
    year, month, day, hour, minute, second = (
        int(match[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    before_christ = match["era"] is not None
    if year == 0:
        raise ValueError(f"not the bounds of a range: {text} is in no year")
    # The calendar is the same again after 400 years, and the year before 1 is 1 BC.
    near = 2000 + (1 - year if before_christ else year) % 400
    moment = datetime(near, month, day, hour, minute, second)  # noqa: DTZ001 its offset comes last
    sql = f"{year:04}-{month:02}-{day:02}"
    type_, zone = KeyType.DATE, None
    if match["time"]:
        fraction = (match["fraction"] or "").rstrip("0")
        moment = moment.replace(microsecond=int(fraction.ljust(6, "0")))
        sql += f" {hour:02}:{minute:02}:{second:02}{'.' if fraction else ''}{fraction}"
        type_ = KeyType.TIMESTAMP
    if match["zone"]:
        zone, offset = _zone(match)
        sql += offset
        type_ = KeyType.TIMESTAMPTZ
    sql += " BC" if before_christ else ""
    try:
        value = None if before_christ else _value(moment.replace(year=year), type_, zone)
    except (ValueError, OverflowError):
        value = None  # a year that Python's calendar lacks
    return _Constant(literal(sql), value, type_)


def _zone(match: re.Match[str]) -> tuple[timezone, str]:
    """The offset of a moment, and its text."""
    hours, minutes, seconds = (int(match[f"zone_{name}"] or 0) for name in ("hours", "minutes", "seconds"))
    if hours > 15 or minutes > 59 or seconds > 59:
        raise ValueError(f"not the bounds of a range: {match['zone']} is no offset")
    text = f"{match['sign']}{hours:02}" + (f":{minutes:02}" if minutes or seconds else "")
    ahead = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    zone = timezone(-ahead if match["sign"] == "-" else ahead)
    return zone, text + (f":{seconds:02}" if seconds else "")


def _value(moment: datetime, type_: KeyType, zone: timezone | None) -> End:
    if type_ is KeyType.DATE:
        return moment.date()
    return moment if zone is None else moment.replace(tzinfo=zone).astimezone(UTC)


def _literal_end(key: Key, day: date, zone: str) -> str:
    if key.type is KeyType.DATE:
        return f"'{day.isoformat()}'"
    if key.type is KeyType.TIMESTAMP:
        return f"'{day.isoformat()} 00:00:00'"
    moment = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    return (
        f"'{moment.replace(tzinfo=None).isoformat(sep=' ')}+00'" if day.year > 1 else f"'{day.isoformat()} 00:00:00+00'"
    )


def _midnight(end: End | None, zone: str) -> date | None:
    if not isinstance(end, datetime):
        return end
    try:
        local = end.astimezone(ZoneInfo(zone)) if end.tzinfo else end
    except OverflowError:
        return None  # a day that Python's calendar lacks
    return local.date() if local.time() == time() else None


def within(key: Key, bounds: Bounds) -> str:
    """The bounds as a condition, in the words PostgreSQL itself leaves after a concurrent detach."""
    column = ident(key.column)
    ends = [f"{column} IS NOT NULL"]
    if bounds.lower_sql != "MINVALUE":
        ends.append(f"{column} >= {bounds.lower_sql}::{key.type}")
    if bounds.upper_sql != "MAXVALUE":
        ends.append(f"{column} < {bounds.upper_sql}::{key.type}")
    return " AND ".join(ends)


def outside(key: Key, bounds: Bounds) -> str:
    """The complement of `within`: what ATTACH has to prove of the DEFAULT partition."""
    column = ident(key.column)
    ends = [f"{column} IS NULL"]
    if bounds.lower_sql != "MINVALUE":
        ends.append(f"{column} < {bounds.lower_sql}::{key.type}")
    if bounds.upper_sql != "MAXVALUE":
        ends.append(f"{column} >= {bounds.upper_sql}::{key.type}")
    return " OR ".join(ends)


def spoken_end(end: End | None, zone: str = "UTC") -> str:
    """One end of bounds for people, with its time where that is not midnight in `zone`."""
    if end is None:
        return "open end"
    if not isinstance(end, datetime):
        return human_date(end)
    local = end.astimezone(ZoneInfo(zone)) if end.tzinfo else end
    return human_date(local.date()) + ("" if local.time() == time() else f" {local:%H:%M}")
