"""The key that a table is partitioned by, how its values are read in time, and the values that bounds are made of."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import total_ordering
from zoneinfo import ZoneInfo

from core.names import ident

EPOCH = date(2000, 1, 1)
"""Day 0 of PostgreSQL's date and timestamp types."""
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
"""Microseconds."""


class KeyType(StrEnum):
    """The types of a partition key that have an order which is known here, as format_type() spells them."""

    DATE = "date"
    TIMESTAMP = "timestamp without time zone"
    TIMESTAMPTZ = "timestamp with time zone"
    SMALLINT = "smallint"
    INTEGER = "integer"
    BIGINT = "bigint"
    NUMERIC = "numeric"
    UUID = "uuid"
    TEXT = "text"
    VARCHAR = "character varying"
    CHAR = "character"

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self in (KeyType.SMALLINT, KeyType.INTEGER, KeyType.BIGINT, KeyType.NUMERIC)

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return self in (KeyType.TEXT, KeyType.VARCHAR, KeyType.CHAR)


class Clock(StrEnum):
    """What the ends of a key that has a reading in time are."""

    DATE = "date"
    LOCAL = "local"
    INSTANT = "instant"
    """A moment, whose day depends on a time zone."""


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Beyond:
    """A date or a moment that Python's calendar lacks, in its place in the order: infinity, BC, years from 10000."""

    text: str
    """As PostgreSQL prints it, without quotes."""
    position: float
    """Microseconds after 2000-01-01, or an infinity."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Beyond) and self.position == other.position

    def __lt__(self, other: object) -> bool:
        if isinstance(other, Beyond):
            return self.position < other.position
        return self.position < 0 if isinstance(other, date) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return not self < other and self != other

    def __hash__(self) -> int:
        return hash(self.position)

    def isoformat(self) -> str:
        """As a date has it, so that an end is written the same whatever it is."""
        return self.text


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """An end that is no time: an id, a uuid, a text; in the order of the server, among those of one key."""

    text: str
    """As PostgreSQL prints it, without quotes."""
    rank: int | float | str | tuple[int | float | str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and self.rank == other.rank

    def __lt__(self, other: object) -> bool:
        return self.rank < other.rank if isinstance(other, Value) else NotImplemented  # type: ignore[operator]

    def __gt__(self, other: object) -> bool:
        return not self < other and self != other

    def __hash__(self) -> int:
        return hash(self.rank)

    def isoformat(self) -> str:
        """As a date has it, so that an end is written the same whatever it is."""
        return self.text


End = date | datetime | Beyond | Value
"""One end of a range: a date, a naive datetime or one in UTC, as the key's clock is; else what these lack."""


def day_of(end: End) -> date:
    """The date that an end falls on; the calendar's first or last where it has none. TypeError for no time at all."""
    if isinstance(end, Value):
        raise TypeError(f"{end.text} is no time")
    if isinstance(end, Beyond):
        return date.min if end.position < 0 else date.max
    return end.date() if isinstance(end, datetime) else end


def local_moment(end: End, zone: str) -> datetime | None:
    """An end by the calendar of `zone`, naive; None for what the calendar lacks or what is no time."""
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


_SCALE = {Reading.SECONDS: 1_000_000, Reading.MILLISECONDS: 1000, Reading.MICROSECONDS: 1}
"""Microseconds in one."""
SNOWFLAKES = {"snowflake": 1_288_834_974_657, "discord": 1_420_070_400_000}
"""Milliseconds after 1970 at which the well-known snowflakes begin, whose lower 22 bits are no time."""
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Key:
    """The partition key: one column whose values have an order."""

    column: str
    type: KeyType
    reading: Reading | None = None
    """How its values tell a time where their type doesn't; None for dates and moments, and where nothing is known."""
    tail: str = ""
    """What ends of that reading have after their time: the last digits of a uuid, which snowflake it is."""
    declared: str = field(default="", compare=False)
    """Its type as format_type() has it: with a precision, or a domain's name; empty where that is the type alone."""

    def is_compared_as(self, cast: str | None) -> bool:
        """Whether a condition that casts the key, or the constant, to that type orders as the key does."""
        if cast is None or cast == self.declared:
            return True
        return key_type_of(cast) is self.type or (self.type.is_text and key_type_of(cast) is KeyType.TEXT)

    @property
    def clock(self) -> Clock | None:
        """What its ends are in time; None where they are none."""
        plain = {KeyType.DATE: Clock.DATE, KeyType.TIMESTAMP: Clock.LOCAL, KeyType.TIMESTAMPTZ: Clock.INSTANT}
        if self.type in plain:
            return plain[self.type]
        if self.reading in (None, Reading.IDS):
            return None
        return Clock.DATE if self.reading in (Reading.YEAR, Reading.MONTH, Reading.DAY, Reading.ISO) else Clock.INSTANT

    @property
    def sql(self) -> str:
        """The column, as a condition has it."""
        return ident(self.column)

    def end(self, text: str) -> End:
        """The end that a constant of this key is, from its text without quotes. Raises ValueError for none."""
        if self.type in TIMES:
            return parse_time(text, self.type)
        if self.clock is not None:
            return _read(self, text)
        return parse_value(text, self.type)

    def constant(self, end: date | datetime) -> str:
        """The text, without quotes, of the constant that stands for a date or a moment of this key."""
        if self.type in TIMES:
            return _print_time(end, self.type)
        return _write(self, end)


TIMES = (KeyType.DATE, KeyType.TIMESTAMP, KeyType.TIMESTAMPTZ)
"""The types whose values are dates or moments by themselves."""


def key_value(key: Key, day: date, zone: str = "UTC") -> End:
    """The first moment of `day`, comparable with the ends of the table's bounds. TypeError for a key without times."""
    return at_clock(key, datetime.combine(day, time()), zone)


def at_clock(key: Key, local: datetime, zone: str) -> date | datetime:
    """A local time as the ends of a key have it; of a key by dates, the first one that is not before it."""
    if key.clock is None:
        raise TypeError(f"{key.column} tells no time")
    if key.clock is Clock.DATE:
        return local.date() if local.time() == time() else local.date() + timedelta(days=1)
    return local if key.clock is Clock.LOCAL else instant(local, zone)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The smallest and largest key among a table's rows, and how many rows have none."""

    lowest: End | None
    highest: End | None
    nulls: int = 0


def key_type_of(declared: str) -> KeyType | None:
    """The type without its precision or length: timestamp(3) without time zone is a timestamp."""
    bare = re.sub(r"\(\d+(?:,-?\d+)?\)", "", declared)
    return KeyType(bare) if bare in set(KeyType) else None


def unserved(strategy: str, columns: int, key_type: str | None) -> str | None:
    """Why a partitioned table is only shown: its strategy, several columns, or a type without a known order."""
    if strategy != "r":
        return f"it is partitioned by {'LIST' if strategy == 'l' else 'HASH'}, not by RANGE"
    if columns != 1:
        return "it is partitioned by several columns"
    if key_type is None:
        return "it is partitioned by an expression"
    return None if key_type_of(key_type) else f"its key is {key_type}, whose order is not known here"


# Dates and moments -------------------------------------------------------------------------------------------------

# As EncodeDateOnly() and EncodeDateTime() of PostgreSQL's datetime.c print in DateStyle ISO.
_TIME = re.compile(
    r"(?P<year>\d{4}|[1-9]\d{4,6})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?P<time> (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?"
    r"(?P<zone>(?P<sign>[+-])(?P<zone_hours>\d\d)(?::(?P<zone_minutes>\d\d)(?::(?P<zone_seconds>\d\d))?)?)?)?"
    r"(?P<era> BC)?",
    re.ASCII,
)
_INFINITIES = {"infinity": math.inf, "-infinity": -math.inf}


def time_type(text: str) -> KeyType | None:
    """The type that a printed date or moment is of; None for an infinity, which is of each. ValueError for neither."""
    if text in _INFINITIES:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is no date or moment as PostgreSQL prints it")
    if match["zone"]:
        return KeyType.TIMESTAMPTZ
    return KeyType.TIMESTAMP if match["time"] else KeyType.DATE


def parse_time(text: str, type_: KeyType) -> date | datetime | Beyond:
    """A date or moment of that type as PostgreSQL prints it in DateStyle ISO. Raises ValueError for any other text."""
    if text in _INFINITIES:
        return Beyond(text, _INFINITIES[text])
    match = _TIME.fullmatch(text)
    if match is None or time_type(text) is not type_:
        raise ValueError(f"{text} is no {type_}")
    year, month, day, hour, minute, second = (
        int(match[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    if year == 0:
        raise ValueError(f"{text} is in no year")
    year = 1 - year if match["era"] else year  # the year before 1 is 1 BC
    # The calendar is the same again after 400 years.
    near = datetime(2000 + year % 400, month, day, hour, minute, second, tzinfo=UTC)
    micros = int((match["fraction"] or "").ljust(6, "0")[:6])
    away = _offset(match)
    days = near.date().toordinal() - EPOCH.toordinal() + (year - near.year) // 400 * 146_097
    position = days * _DAY + (hour * 3600 + minute * 60 + second) * 1_000_000 + micros - away * 1_000_000
    return _at(position, text, type_)


def _offset(match: re.Match[str]) -> int:
    """Seconds east of UTC."""
    hours, minutes, seconds = (int(match[f"zone_{name}"] or 0) for name in ("hours", "minutes", "seconds"))
    if hours > 15 or minutes > 59 or seconds > 59:
        raise ValueError(f"{match['zone']} is no offset")
    ahead = hours * 3600 + minutes * 60 + seconds
    return -ahead if match["sign"] == "-" else ahead


def _at(position: int, text: str, type_: KeyType) -> date | datetime | Beyond:
    """The date or moment so many microseconds after 2000-01-01."""
    try:
        if type_ is KeyType.DATE:
            return EPOCH + timedelta(days=position // _DAY)
        moment = datetime.combine(EPOCH, time()) + timedelta(microseconds=position)
    except OverflowError:
        return Beyond(text, position)
    return moment.replace(tzinfo=UTC) if type_ is KeyType.TIMESTAMPTZ else moment


def time_text(position: int, type_: KeyType) -> str:
    """The date or moment so many microseconds after 2000-01-01, as PostgreSQL prints it in UTC."""
    days, micros = divmod(position, _DAY)
    cycles, rest = divmod(days, 146_097)
    near = EPOCH + timedelta(days=rest)
    year = near.year + 400 * cycles
    era = " BC" if year < 1 else ""
    text = f"{1 - year if year < 1 else year:04}-{near.month:02}-{near.day:02}"
    if type_ is KeyType.DATE:
        return text + era
    seconds, fraction = divmod(micros, 1_000_000)
    text += f" {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    text += f".{fraction:06}".rstrip("0") if fraction else ""
    return text + ("+00" if type_ is KeyType.TIMESTAMPTZ else "") + era


def _print_time(end: date | datetime, type_: KeyType) -> str:
    moment = end if isinstance(end, datetime) else datetime.combine(end, time())
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return time_text((moment - datetime.combine(EPOCH, time())) // timedelta(microseconds=1), type_)


# Numbers, uuids and texts ------------------------------------------------------------------------------------------

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ULID = re.compile(f"[{_CROCKFORD}]{{26}}")
_ISO = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")


def parse_value(text: str, type_: KeyType) -> Value:
    """A number, uuid or text of that type. Raises ValueError for any other text."""
    if type_ is KeyType.NUMERIC:
        if not re.fullmatch(r"-?\d+(\.\d+)?|NaN|-?Infinity", text, re.ASCII):
            raise ValueError(f"{text} is no number")
        return Value(text, math.inf if text == "NaN" else _number(text))
    if type_.is_number:
        if not re.fullmatch(r"-?\d+", text, re.ASCII):
            raise ValueError(f"{text} is no whole number")
        return Value(text, int(text))
    if type_ is KeyType.UUID:
        if not _UUID.fullmatch(text):
            raise ValueError(f"{text} is no uuid")
        return Value(text, int(text.replace("-", ""), 16))
    if type_.is_text:
        return Value(text, text)
    raise ValueError(f"{text} is no value of {type_}")


def _number(text: str) -> int | float:
    return float(text.lower()) if "f" in text else (int(text) if "." not in text else float(text))


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
    value = parse_value(text, key.type)
    number = value.rank
    if not isinstance(number, int):
        raise ValueError(f"{text} tells no time")
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
        return Beyond(text, (year - 2000) * 366 * _DAY)
    if not (0 <= month <= 13 and 0 <= day <= 32):
        raise ValueError(f"{text} is no date")
    months = year * 12 + max(month, 1) - 1
    first = date(months // 12, months % 12 + 1, 1) if months // 12 <= 9999 else None
    if first is None:
        return Beyond(text, (year - 1999) * 366 * _DAY)
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
    raise TypeError(f"{key.column} tells no time")
