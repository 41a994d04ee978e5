"""What bounds are made of: values of a key's type in the order of the server, parsed from its text and printed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache, total_ordering

EPOCH = date(2000, 1, 1)
"""Day 0 of PostgreSQL's date and timestamp types."""
DAY = 86_400_000_000
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
    CHAR = "bpchar"
    """character(n); a constant that is cast to `character` would be cut to one."""
    OTHER = "another"
    """One whose order the server alone knows: an enum, an inet, an interval."""

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self in (KeyType.SMALLINT, KeyType.INTEGER, KeyType.BIGINT, KeyType.NUMERIC)

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return self in (KeyType.TEXT, KeyType.VARCHAR, KeyType.CHAR)


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

    def __str__(self) -> str:
        return self.text


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """An end that is no time: an id, a uuid, a text; in the order of the server, among those of one key."""

    text: str
    """As PostgreSQL prints it, without quotes."""
    rank: int | float | str | tuple[int, Decimal]

    @property
    def number(self) -> float | None:
        """About where it stands among numbers; None for what is none."""
        if isinstance(self.rank, tuple):
            return math.nan if self.rank[0] else float(self.rank[1])
        return None if isinstance(self.rank, str) else float(self.rank)

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

    def __str__(self) -> str:
        return self.text


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """An end by several columns of which not only the first counts: those after it are not all MINVALUE."""

    constants: tuple[str, ...]
    """As PostgreSQL prints them, one a column."""
    leading: date | datetime | Beyond | Value
    """That of the first column."""
    rest: tuple[tuple[int, date | datetime | Beyond | Value | None], ...]
    """(-1 for MINVALUE, 0 for a value, 1 for MAXVALUE; the value) of each further column."""

    @property
    def text(self) -> str:
        """For people."""
        return f"({', '.join(self.constants)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Several) and (self.leading, self.rest) == (other.leading, other.rest)

    def __lt__(self, other: object) -> bool:
        if isinstance(other, Several):
            return (self.leading, self.rest) < (other.leading, other.rest)
        return bool(self.leading < other)  # type: ignore[operator]

    def __gt__(self, other: object) -> bool:
        return not self < other and self != other

    def __hash__(self) -> int:
        return hash((self.leading, self.rest))

    def isoformat(self) -> str:
        """As a date has it, so that an end is written the same whatever it is."""
        return self.text

    def __str__(self) -> str:
        return self.text


End = date | datetime | Beyond | Value | Several
"""One end of a range: a date, a naive datetime or one in UTC, as the key's clock is; else what these lack."""

TIMES = (KeyType.DATE, KeyType.TIMESTAMP, KeyType.TIMESTAMPTZ)
"""The types whose values are dates or moments by themselves."""


def key_type_of(declared: str) -> KeyType | None:
    """The type without its precision or length: timestamp(3) without time zone is a timestamp."""
    bare = re.sub(r"\(\d+(?:,-?\d+)?\)", "", declared)
    if bare == "character":
        return KeyType.CHAR
    return KeyType(bare) if bare in {*KeyType} - {KeyType.OTHER} else None


# Dates and moments -------------------------------------------------------------------------------------------------

# As EncodeDateOnly() and EncodeDateTime() of PostgreSQL's datetime.c print in DateStyle ISO.
_TIME = re.compile(
    r"(?P<year>\d{4}|[1-9]\d{4,6})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?P<time> (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?"
    r"(?P<zone>(?P<sign>[+-])(?P<zone_hours>\d\d)(?::(?P<zone_minutes>\d\d)(?::(?P<zone_seconds>\d\d))?)?)?)?"
    r"(?P<era> BC)?",
    re.ASCII,
)
_PLAIN = {
    KeyType.DATE: re.compile(r"\d{4}-\d\d-\d\d", re.ASCII),
    KeyType.TIMESTAMP: re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII),
    KeyType.TIMESTAMPTZ: re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00", re.ASCII),
}
"""What Python reads by itself, some ten times as fast: most bounds there are."""
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


@lru_cache(maxsize=1024)  # where one range ends, the next begins
def parse_time(text: str, type_: KeyType) -> date | datetime | Beyond:
    """A date or moment of that type as PostgreSQL prints it in DateStyle ISO. Raises ValueError for any other text."""
    if type_ in _PLAIN and _PLAIN[type_].fullmatch(text):
        return (date if type_ is KeyType.DATE else datetime).fromisoformat(text)
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
    position = days * DAY + (hour * 3600 + minute * 60 + second) * 1_000_000 + micros - away * 1_000_000
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
            return EPOCH + timedelta(days=position // DAY)
        moment = datetime.combine(EPOCH, time()) + timedelta(microseconds=position)
    except OverflowError:
        return Beyond(text, position)
    return moment.replace(tzinfo=UTC) if type_ is KeyType.TIMESTAMPTZ else moment


def time_text(position: int, type_: KeyType) -> str:
    """The date or moment so many microseconds after 2000-01-01, as PostgreSQL prints it in UTC."""
    days, micros = divmod(position, DAY)
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


def print_time(end: date | datetime, type_: KeyType) -> str:
    moment = end if isinstance(end, datetime) else datetime.combine(end, time())
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return time_text((moment - datetime.combine(EPOCH, time())) // timedelta(microseconds=1), type_)


# Numbers, uuids and texts ------------------------------------------------------------------------------------------

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def parse_value(text: str, type_: KeyType) -> Value:
    """A number, uuid or text of that type. Raises ValueError for any other text."""
    if type_ is KeyType.NUMERIC:
        if not re.fullmatch(r"-?\d+(\.\d+)?|NaN|-?Infinity", text, re.ASCII):
            raise ValueError(f"{text} is no number")
        return Value(text, (1, Decimal(0)) if text == "NaN" else (0, Decimal(text)))  # greater than all others
    if type_.is_number:
        if not re.fullmatch(r"-?\d+", text, re.ASCII):
            raise ValueError(f"{text} is no whole number")
        return Value(text, int(text))
    if type_ is KeyType.UUID:
        if not _UUID.fullmatch(text):
            raise ValueError(f"{text} is no uuid")
        return Value(text, int(text.replace("-", ""), 16))
    if type_ is KeyType.CHAR:
        return Value(text, text.rstrip(" "))
    if type_.is_text or type_ is KeyType.OTHER:
        return Value(text, text)
    raise ValueError(f"{text} is no value of {type_}")
