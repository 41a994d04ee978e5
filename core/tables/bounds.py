"""The range of a partition: PostgreSQL's own text beside its parsed ends, and how the two are made from each other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, time

from core.names import literal
from core.period import Period, Range, period_of
from core.tables.key import Beyond, End, Key, KeyType, Value, key_value, local_moment, time_type
from core.text import human_date

_CONSTANT = r"(?:MINVALUE|MAXVALUE|NULL|true|false|-?\d+(?:\.\d+)?|'(?:[^'\0]|'')*')"
_CONSTANTS = rf"\(({_CONSTANT}(?:, {_CONSTANT})*)\)"
_RANGE = re.compile(rf"FOR VALUES FROM {_CONSTANTS} TO {_CONSTANTS}", re.ASCII)
_LIST = re.compile(rf"FOR VALUES IN {_CONSTANTS}", re.ASCII)
_HASH = re.compile(r"FOR VALUES WITH \(modulus (\d+), remainder (\d+)\)", re.ASCII)
_ONE = re.compile(_CONSTANT, re.ASCII)
_WORDS = ("MINVALUE", "MAXVALUE", "NULL", "true", "false")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The range of a partition: PostgreSQL's own text, and the two ends parsed from it.

    An end of None is unbounded: MINVALUE or MAXVALUE, and nothing else. Texts are those of a session with DateStyle ISO
    and TimeZone UTC. Anybody may have written one: `text` is only shown and compared, and what goes to the server is
    `sql`, `lower_sql` and `upper_sql`, made anew from the parsed parts.
    """

    text: str
    lower: End | None = field(compare=False)
    upper: End | None = field(compare=False)

    @classmethod
    def parse(cls, text: str, key: Key | KeyType | None = None) -> Bounds:
        """Reads "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')" or "DEFAULT"; ValueError for anything else.

        Both ends have to be constants of the key, as PostgreSQL prints them; where no key is given, of one type.
        """
        if text == "DEFAULT":
            return cls(text, None, None)
        lower, upper = _two_ends(text)
        if lower == "MAXVALUE" or upper == "MINVALUE":
            raise ValueError(f"not the bounds of a range: {text}")
        if key is None:
            types = {_type_of(end) for end in (lower, upper) if end not in ("MINVALUE", "MAXVALUE")} - {None}
            if len(types) > 1:
                raise ValueError(f"not the bounds of a range of one type: {text}")
            key = next(iter(types), None) or KeyType.DATE
        if isinstance(key, KeyType):
            key = Key("", key)
        return cls(text, _end(lower, key, text), _end(upper, key, text))

    @classmethod
    def shown(cls, text: str) -> Bounds:
        """Bounds of a key whose order is not known here, without ends. Raises ValueError for what are no bounds."""
        if text != "DEFAULT" and not any(shape.fullmatch(text) for shape in (_RANGE, _LIST, _HASH)):
            raise ValueError(f"not the bounds of a partition: {text}")
        return cls(text, None, None)

    @classmethod
    def of(cls, key: Key, lower: End | None, upper: End | None) -> Bounds:
        """From one end to another, each None where that is unbounded."""
        ends = (_sql_of(key, lower, "MINVALUE"), _sql_of(key, upper, "MAXVALUE"))
        return cls(f"FOR VALUES FROM ({ends[0]}) TO ({ends[1]})", lower, upper)

    @classmethod
    def between(cls, key: Key, lower: date, upper: date, zone: str = "UTC") -> Bounds:
        """[lower, upper) by the calendar of `zone`, which matters to a key of moments only."""
        return cls.of(key, key_value(key, lower, zone), key_value(key, upper, zone))

    @property
    def is_default(self) -> bool:
        """Whether this is the DEFAULT partition, which has no ends."""
        return self.text == "DEFAULT"

    @property
    def is_range(self) -> bool:
        """Whether it has two ends, of which each may be unbounded."""
        return self.text.startswith("FOR VALUES FROM ")

    @property
    def is_finite(self) -> bool:
        """Whether both ends are dates or moments of the calendar."""
        return not any(isinstance(end, Beyond | Value | None) for end in (self.lower, self.upper))

    @property
    def sql(self) -> str:
        """The bounds as SQL: what follows PARTITION OF and ATTACH PARTITION."""
        if self.is_default:
            return self.text
        if match := _RANGE.fullmatch(self.text):
            return f"FOR VALUES FROM ({_anew(match[1])}) TO ({_anew(match[2])})"
        if match := _LIST.fullmatch(self.text):
            return f"FOR VALUES IN ({_anew(match[1])})"
        if match := _HASH.fullmatch(self.text):
            return f"FOR VALUES WITH (modulus {int(match[1])}, remainder {int(match[2])})"
        raise ValueError(f"not the bounds of a partition: {self.text}")

    @property
    def lower_sql(self) -> str:
        """The lower end as SQL: a quoted constant or MINVALUE."""
        return _anew(_two_ends(self.text)[0])

    @property
    def upper_sql(self) -> str:
        """The upper end as SQL: a quoted constant or MAXVALUE."""
        return _anew(_two_ends(self.text)[1])

    def on(self, key: Key) -> Bounds | None:
        """The same as a range of that key, so that its ends compare with those of its partitions; None for no such."""
        try:
            return Bounds.parse(self.text, key)
        except ValueError:
            return None

    def holds(self, end: End) -> bool:
        """Whether a value lies in the range."""
        return self.is_range and (self.lower is None or self.lower <= end) and (self.upper is None or end < self.upper)

    def covers(self, other: Bounds) -> bool:
        """Whether every value of `other` lies in this range; False for what is no range on either side."""
        if not (self.is_range and other.is_range):
            return False
        return (self.lower is None or (other.lower is not None and self.lower <= other.lower)) and (
            self.upper is None or (other.upper is not None and other.upper <= self.upper)
        )

    def overlaps(self, other: Bounds) -> bool:
        """Whether some value lies in both ranges; what is no range overlaps nothing."""
        if not (self.is_range and other.is_range):
            return False
        return (self.lower is None or other.upper is None or self.lower < other.upper) and (
            other.lower is None or self.upper is None or other.lower < self.upper
        )

    @property
    def order(self) -> tuple[bool, End | None]:
        """Sorts ranges of one key by their lower ends, MINVALUE first."""
        return self.lower is not None, self.lower

    def dates(self, zone: str = "UTC") -> Range | None:
        """The range as whole days in `zone`, or None where an end is unbounded, beyond the calendar or no midnight."""
        lower, upper = _midnight(self.lower, zone), _midnight(self.upper, zone)
        return None if lower is None or upper is None else (lower, upper)

    def period(self, zone: str = "UTC") -> Period | None:
        """The calendar period that the range is exactly, if it is one."""
        dates = self.dates(zone)
        return period_of(*dates) if dates else None


def constants(text: str) -> tuple[str, ...]:
    """The constants that bounds are made of, without their quotes; neither MINVALUE, MAXVALUE nor NULL."""
    found = _ONE.findall(text) if text.startswith("FOR VALUES FROM ") else ()
    return tuple(_bare(one) for one in found if one not in _WORDS)


def _two_ends(text: str) -> tuple[str, str]:
    """The ends as they are printed, of a range by one column."""
    match = _RANGE.fullmatch(text)
    if match is None or not all(_ONE.fullmatch(end) for end in match.groups()):
        raise ValueError(f"not the bounds of a range: {text}")
    return match[1], match[2]


def _bare(constant: str) -> str:
    """A constant without its quotes."""
    return constant[1:-1].replace("''", "'") if constant.startswith("'") else constant


def _type_of(constant: str) -> KeyType | None:
    """The type of a date or moment; None for an infinity."""
    return time_type(_bare(constant))


def _end(constant: str, key: Key, text: str) -> End | None:
    if constant in ("MINVALUE", "MAXVALUE"):
        return None
    if constant in _WORDS:
        raise ValueError(f"not the bounds of a range: {text}")
    try:
        return key.end(_bare(constant))
    except ValueError as error:
        raise ValueError(f"not the bounds of a range of {key.type}: {text}: {error}") from error


def _anew(constants: str) -> str:
    """Constants as PostgreSQL prints them, each quoted anew."""
    found = _ONE.findall(constants)
    return ", ".join(one if one in _WORDS else literal(_bare(one)).strip() for one in found)


def _sql_of(key: Key, end: End | None, unbounded: str) -> str:
    if end is None:
        return unbounded
    return literal(end.text if isinstance(end, Beyond | Value) else key.constant(end)).strip()


def _midnight(end: End | None, zone: str) -> date | None:
    local = None if end is None else local_moment(end, zone)
    return local.date() if local is not None and local.time() == time() else None


def within(key: Key, bounds: Bounds) -> str:
    """The bounds as a condition, in the words PostgreSQL itself leaves after a concurrent detach."""
    ends = [f"{key.sql} IS NOT NULL"]
    if bounds.lower_sql != "MINVALUE":
        ends.append(f"{key.sql} >= {bounds.lower_sql}::{key.type}")
    if bounds.upper_sql != "MAXVALUE":
        ends.append(f"{key.sql} < {bounds.upper_sql}::{key.type}")
    return " AND ".join(ends)


def outside(key: Key, bounds: Bounds) -> str:
    """The complement of `within`: what ATTACH has to prove of the DEFAULT partition."""
    ends = [f"{key.sql} IS NULL"]
    if bounds.lower_sql != "MINVALUE":
        ends.append(f"{key.sql} < {bounds.lower_sql}::{key.type}")
    if bounds.upper_sql != "MAXVALUE":
        ends.append(f"{key.sql} >= {bounds.upper_sql}::{key.type}")
    return " OR ".join(ends)


def spoken_end(end: End | None, zone: str = "UTC") -> str:
    """One end of bounds for people, with its time where that is not midnight in `zone`."""
    if end is None:
        return "open end"
    local = local_moment(end, zone)
    if local is None:
        return end.text if isinstance(end, Beyond | Value) else str(end)
    if local.time() == time():
        return human_date(local.date())
    return f"{human_date(local.date())} {local:%H:%M:%S}".removesuffix(":00")
