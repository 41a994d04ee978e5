"""The key that a table is partitioned by, and how its values are read in time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo

from core.names import ident, qualified
from core.period import Period
from core.tables.ends import (
    DAY,
    TIMES,
    Beyond,
    End,
    KeyType,
    Several,
    Value,
    key_type_of,
    parse_time,
    parse_value,
    print_time,
)

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(StrEnum):
    """What the ends of a key that has a reading in time are."""

    DATE = "date"
    LOCAL = "local"
    INSTANT = "instant"
    """A moment, whose day depends on a time zone."""


def day_of(end: End) -> date:
    """The date that an end falls on; the calendar's first or last where it has none. TypeError for no time at all."""
    if isinstance(end, Several):
        return day_of(end.leading)
    if isinstance(end, Value):
        raise TypeError(f"{end.text} is no time")
    if isinstance(end, Beyond):
        return date.min if end.position < 0 else date.max
    return end.date() if isinstance(end, datetime) else end


def local_moment(end: End, zone: str) -> datetime | None:
    """An end by the calendar of `zone`, naive; None for what the calendar lacks or what is no time."""
    if isinstance(end, Several):
        return local_moment(end.leading, zone)
    if isinstance(end, Beyond | Value):
        return None
    if not isinstance(end, datetime):
        return datetime.combine(end, time())
    try:
        return end.astimezone(ZoneInfo(zone)).replace(tzinfo=None) if end.tzinfo else end
    except OverflowError:
        return None


def instant(local: datetime, zone: str) -> datetime:
    """The moment of a local time in UTC, as the server reads it.

    A local time that a change of the clocks leaves out counts by the offset before, one that it doubles by the offset
    after. Source: DetermineTimeZoneOffset() of PostgreSQL's datetime.c.
    """
    first, second = (local.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    before, after = first.utcoffset(), second.utcoffset()
    doubled = before is not None and after is not None and before > after
    return (second if doubled else first).astimezone(UTC)


class Reading(StrEnum):
    """How a number, a uuid or a text tells a time."""

    SECONDS = "epoch"
    MILLISECONDS = "epoch_ms"
    MICROSECONDS = "epoch_us"
    YEAR = "yyyy"
    MONTH = "yyyymm"
    DAY = "yyyymmdd"
    SNOWFLAKE = "snowflake"
    UUID7 = "uuidv7"
    ULID = "ulid"
    ISO = "iso"
    IDS = "ids"
    """It tells none: its values only count on."""


_CLOCKS = {KeyType.DATE: Clock.DATE, KeyType.TIMESTAMP: Clock.LOCAL, KeyType.TIMESTAMPTZ: Clock.INSTANT}
_SCALE = {Reading.SECONDS: 1_000_000, Reading.MILLISECONDS: 1000, Reading.MICROSECONDS: 1}
"""Microseconds in one."""
SNOWFLAKES = {"snowflake": 1_288_834_974_657, "discord": 1_420_070_400_000}
"""Milliseconds after 1970 at which the well-known snowflakes begin, whose lower 22 bits are no time."""
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Key:
    """The partition key: a column or an expression whose values have an order, and those that follow it."""

    column: str
    """Empty for an expression."""
    type: KeyType
    reading: Reading | None = None
    """How its values tell a time where their type doesn't; None for dates and moments, and where nothing is known."""
    tail: str = ""
    """What ends of that reading have after their time: the last digits of a uuid, which snowflake it is."""
    above: str = field(default="", compare=False)
    """What the tables above a branch demand of each of its rows, conditions joined by AND as PostgreSQL prints them."""
    declared: str = field(default="", compare=False)
    """Its type as format_type() has it: with a precision, or a domain's name; empty where that is the type alone."""
    expression: str = ""
    """As PostgreSQL prints it, in the words of the table's owner: it may call functions of anybody's. Whoever reads
    rows by it does so in a transaction that only reads, under the path of the console's own role."""
    uses: tuple[str, ...] = ()
    """The columns of an expression."""
    collation: tuple[str, str] | None = None
    """(schema, name) of that by which its values are ordered, where that is known to matter."""
    collates: bool = field(default=False, compare=False)
    """Whether a condition has to say that: it is neither the column's own nor the expression's."""
    rest: tuple[Key, ...] = ()
    """The columns and expressions after this one, which order the rows that are alike in it."""
    ranks: Mapping[str, float] | None = field(default=None, compare=False, hash=False, repr=False)
    """The places that the server gives the constants of its ends, where only the server knows their order."""

    @property
    def parts(self) -> tuple[Key, ...]:
        """This one and those that follow it."""
        return (self, *self.rest)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that it is made of."""
        own = (self.column,) if self.column else self.uses
        return tuple(dict.fromkeys((*own, *(name for part in self.rest for name in part.columns))))

    @property
    def name(self) -> str:
        """What it is called for people: its columns and expressions."""
        return ", ".join(part.column or part.expression for part in self.parts)

    @property
    def sql(self) -> str:
        """This column or expression alone, as a condition has it."""
        bare = ident(self.column) if self.column else f"({self.expression})"
        return f"{bare} COLLATE {qualified(*self.collation)}" if self.collation and self.collates else bare

    @property
    def cast(self) -> str:
        """The type of a constant of it, as SQL has it."""
        return self.declared if self.type is KeyType.OTHER else self.type.value

    def is_compared_as(self, cast: str | None) -> bool:
        """Whether a condition that casts the key, or the constant, to that type orders as the key does."""
        if cast is None or cast == self.declared:
            return True
        return key_type_of(cast) is self.type or (self.type.is_text and key_type_of(cast) is KeyType.TEXT)

    @property
    def clock(self) -> Clock | None:
        """What its ends are in time; None where they are none."""
        if self.type in _CLOCKS:
            return _CLOCKS[self.type]
        if self.reading in (None, Reading.IDS):
            return None
        return Clock.DATE if self.reading in (Reading.YEAR, Reading.MONTH, Reading.DAY, Reading.ISO) else Clock.INSTANT

    def end(self, text: str) -> End:
        """The end that a constant of this key is, from its text without quotes. Raises ValueError for none."""
        if self.type not in TIMES and self.clock is not None:
            return _read(self, text)
        return self.place(text)

    def place(self, text: str) -> date | datetime | Beyond | Value:
        """The value that a constant is, in its place among those that are known. Raises ValueError for none."""
        found = self.value(text)
        if self.ranks is None or not isinstance(found, Value):
            return found
        if text not in self.ranks:
            raise ValueError(f"the place of {text} among the others is not known")
        return Value(text, self.ranks[text])

    def value(self, text: str) -> date | datetime | Beyond | Value:
        """The value that a constant is, whatever it tells. Raises ValueError for none of its type."""
        return parse_time(text, self.type) if self.type in TIMES else parse_value(text, self.type)

    @property
    def unit(self) -> Period:
        """The shortest time that its values tell apart by themselves, a day at most."""
        if self.reading is Reading.MONTH or (self.reading is Reading.ISO and self.tail == "7"):
            return Period.MONTH
        return Period.YEAR if self.reading is Reading.YEAR or self.tail == "4" else Period.DAY

    def constant(self, end: date | datetime) -> str:
        """The text, without quotes, of the constant that stands for a date or a moment of this key."""
        return print_time(end, self.type) if self.type in TIMES else _write(self, end)

    def ranked(self, ranks: Mapping[str, float]) -> Key:
        """With the places of constants that only the server can order."""
        return replace(self, ranks=MappingProxyType(dict(ranks)))


def key_value(key: Key, day: date, zone: str = "UTC") -> End:
    """The first moment of `day`, comparable with the ends of the table's bounds. TypeError for a key without times."""
    return at_clock(key, datetime.combine(day, time()), zone)


def at_clock(key: Key, local: datetime, zone: str) -> date | datetime:
    """A local time as the ends of a key have it; of a key by dates, the first one that is not before it."""
    if key.clock is None:
        raise TypeError(f"{key.name} tells no time")
    if key.clock is Clock.DATE:
        return local.date() if local.time() == time() else local.date() + timedelta(days=1)
    return local if key.clock is Clock.LOCAL else instant(local, zone)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The smallest and largest key among a table's rows, and how many rows have none."""

    lowest: End | None
    highest: End | None
    nulls: int = 0


# Times that are told by numbers, uuids and texts --------------------------------------------------------------------

_ULID = re.compile(f"[{_CROCKFORD}]{{26}}")
_ISO = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")


def _read(key: Key, text: str) -> date | datetime | Beyond:
    """The time that a value tells. Raises ValueError for one that tells none."""
    reading = key.reading
    if reading is Reading.ISO:
        match = _ISO.fullmatch(text)
        if match is None:
            raise ValueError(f"{text} is no date")
        return _calendar(int(match[1]), int(match[2] or 1), int(match[3] or 1), text)
    if reading is Reading.ULID:
        if not _ULID.fullmatch(text):
            raise ValueError(f"{text} is no ULID")
        millis = 0
        for letter in text[:10]:
            millis = millis * 32 + _CROCKFORD.index(letter)
        return _unix(millis * 1000, text)
    return _told(key, _whole(key, text), text)


def _whole(key: Key, text: str) -> int:
    number = parse_value(text, key.type).rank
    if isinstance(number, int):
        return number
    if isinstance(number, tuple) and number[1].is_finite() and number[1] == int(number[1]):
        return int(number[1])
    raise ValueError(f"{text} tells no time")


def _told(key: Key, number: int, text: str) -> date | datetime | Beyond:
    """The time that a number tells."""
    reading = key.reading
    if reading is Reading.UUID7:
        return _unix((number >> 80) * 1000, text)
    if reading is Reading.SNOWFLAKE:
        return _unix(((number >> 22) + SNOWFLAKES[key.tail or "snowflake"]) * 1000, text)
    if reading is Reading.YEAR:
        return _calendar(number, 1, 1, text)
    if reading is Reading.MONTH:
        return _calendar(*divmod(number, 100), 1, text)
    if reading is Reading.DAY:
        return _calendar(number // 10_000, number // 100 % 100, number % 100, text)
    if reading in _SCALE:
        return _unix(number * _SCALE[reading], text)
    raise ValueError(f"{text} tells no time")


def _calendar(year: int, month: int, day: int, text: str) -> date | Beyond:
    """A date from its numbers; a month 0 or 13 and a day 0 or 32 are the next or first of their kind."""
    if not 1 <= year <= 9999:
        return Beyond(text, (year - 2000) * 366 * DAY)
    if not (0 <= month <= 13 and 0 <= day <= 32):
        raise ValueError(f"{text} is no date")
    months = year * 12 + max(month, 1) - 1
    first = date(months // 12, months % 12 + 1, 1) if months // 12 <= 9999 else None
    if first is None:
        return Beyond(text, (year - 1999) * 366 * DAY)
    following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    found = first + timedelta(days=max(day, 1) - 1)
    if found > following:
        raise ValueError(f"{text} is no date")
    return found


def _unix(micros: int, text: str) -> datetime | Beyond:
    try:
        return _UNIX + timedelta(microseconds=micros)
    except OverflowError:
        return Beyond(text, micros - 946_684_800_000_000)


def _write(key: Key, end: date | datetime) -> str:
    """The value that tells a time, with the tail that ends of this key have."""
    moment = end if isinstance(end, datetime) else datetime.combine(end, time(), UTC)
    micros = (moment - _UNIX) // timedelta(microseconds=1) if moment.tzinfo else 0
    reading = key.reading
    if reading is Reading.ISO:
        return f"{end:%Y-%m-%d}"[: int(key.tail or 10)]
    if reading is Reading.ULID:
        millis, digits = micros // 1000, ""
        for _ in range(10):
            millis, digit = divmod(millis, 32)
            digits = _CROCKFORD[digit] + digits
        return digits + (key.tail or "0" * 16)
    if reading is Reading.UUID7:
        digits = f"{micros // 1000:012x}"
        return f"{digits[:8]}-{digits[8:]}-{key.tail or '0000-0000-000000000000'}"
    if reading is Reading.SNOWFLAKE:
        return str((micros // 1000 - SNOWFLAKES[key.tail or "snowflake"]) << 22)
    if reading is Reading.YEAR:
        return f"{end.year}"
    if reading is Reading.MONTH:
        return f"{end:%Y%m}"
    if reading is Reading.DAY:
        return f"{end:%Y%m%d}"
    if reading in _SCALE:
        return str(micros // _SCALE[reading])
    raise TypeError(f"{key.name} tells no time")
