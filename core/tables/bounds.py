"""The range of a partition: PostgreSQL's own text beside its parsed ends, and how the two are made from each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from core.names import literal
from core.period import Period, Range, period_of
from core.tables.conditions import CONSTANT, WORDS, bare, negated, of_range
from core.tables.ends import Beyond, End, KeyType, Several, Value, time_type
from core.tables.key import Key, key_value, local_moment
from core.text import human_date

_CONSTANTS = rf"\(({CONSTANT}(?:, {CONSTANT})*)\)"
_RANGE = re.compile(rf"FOR VALUES FROM {_CONSTANTS} TO {_CONSTANTS}", re.ASCII)
_LIST = re.compile(rf"FOR VALUES IN {_CONSTANTS}", re.ASCII)
_HASH = re.compile(r"FOR VALUES WITH \(modulus (\d+), remainder (\d+)\)", re.ASCII)
_ONE = re.compile(CONSTANT, re.ASCII)


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
        lower, upper = ends_of(text)
        if lower[0] == "MAXVALUE" or upper[0] == "MINVALUE":
            raise ValueError(f"not the bounds of a range: {text}")
        if key is None:
            types = {time_type(bare(one)) for one in (*lower, *upper) if one not in WORDS} - {None}
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
        return not any(isinstance(end, Beyond | Value | Several | None) for end in (self.lower, self.upper))

    @property
    def width(self) -> float | None:
        """From one number to the other, about; None where the ends are none."""
        lower, upper = (end.number if isinstance(end, Value) else None for end in (self.lower, self.upper))
        return None if lower is None or upper is None else upper - lower

    @property
    def is_uneven(self) -> bool:
        """Whether a column after the first tells where it begins or ends."""
        return isinstance(self.lower, Several) or isinstance(self.upper, Several)

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
        """The lower end as SQL: a quoted constant or MINVALUE; with those of further columns where they are not all."""
        return _shortest(ends_of(self.text)[0])

    @property
    def upper_sql(self) -> str:
        """The upper end as SQL: a quoted constant or MAXVALUE; with those of further columns where they say more."""
        return _shortest(ends_of(self.text)[1])

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
    """The constants of the first column that bounds are made of, without quotes; neither MINVALUE nor MAXVALUE."""
    try:
        return tuple(bare(ends[0]) for ends in ends_of(text) if ends[0] not in WORDS)
    except ValueError:
        return ()


def values_of(text: str) -> tuple[tuple[int, str], ...]:
    """(the number of a column, a constant of it without quotes) of both ends of bounds; none of what is no range."""
    try:
        return tuple((part, bare(one)) for ends in ends_of(text) for part, one in enumerate(ends) if one not in WORDS)
    except ValueError:
        return ()


def ends_of(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The constants of both ends as they are printed, one a column. Raises ValueError for what is no range."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"not the bounds of a range: {text}")
    lower, upper = (_each(found) for found in match.groups())
    if len(lower) != len(upper):
        raise ValueError(f"not the bounds of a range: {text}")
    return lower, upper


def _each(constants: str) -> tuple[str, ...]:
    return tuple(_ONE.findall(constants)) if ", " in constants else (constants,)


def _end(constants: tuple[str, ...], key: Key, text: str) -> End | None:
    first, further = constants[0], constants[1:]
    if first in ("MINVALUE", "MAXVALUE") and not set(further) - {first}:
        return None
    try:
        if first in WORDS or len(constants) != len(key.parts):
            raise ValueError("it has another number of columns" if first not in WORDS else f"{first} is none")
        leading = key.end(bare(first))
        if not further:
            return leading
        if not set(further) - {"MINVALUE"} or isinstance(leading, Several):
            return leading
        rest = tuple(_further(part, one) for part, one in zip(key.rest, further, strict=True))
    except ValueError as error:
        raise ValueError(f"not the bounds of a range of {key.type}: {text}: {error}") from error
    return Several(constants, leading, rest)


def row_end(key: Key, texts: Sequence[str]) -> End:
    """Where a row stands among the ends, from the texts of the columns and expressions of its key."""
    leading = key.end(texts[0])
    further = tuple((0, part.place(text)) for part, text in zip(key.rest, texts[1:], strict=True))
    return Several(tuple(texts), leading, further) if further and not isinstance(leading, Several) else leading


def _further(part: Key, constant: str) -> tuple[int, date | datetime | Beyond | Value | None]:
    if constant in WORDS:
        return {"MINVALUE": -1, "MAXVALUE": 1}[constant], None
    return 0, part.place(bare(constant))


def _shortest(constants: tuple[str, ...]) -> str:
    first, further = constants[0], set(constants[1:])
    if not further - {"MINVALUE"} or not further - {first}:
        return _anew(first)
    return f"({_anew(', '.join(constants))})"


def _anew(constants: str) -> str:
    """Constants as PostgreSQL prints them, each quoted anew."""
    found = _ONE.findall(constants)
    return ", ".join(one if one in WORDS else literal(bare(one)).strip() for one in found)


def _sql_of(key: Key, end: End | None, unbounded: str) -> str:
    if isinstance(end, Several):
        return _anew(", ".join(end.constants))
    if end is None:
        return ", ".join([unbounded] * len(key.parts))
    text = end.text if isinstance(end, Beyond | Value) else key.constant(end)
    return ", ".join([literal(text).strip(), *["MINVALUE"] * len(key.rest)])


def _midnight(end: End | None, zone: str) -> date | None:
    local = None if end is None or isinstance(end, Several) else local_moment(end, zone)
    return local.date() if local is not None and local.time() == time() else None


def within(key: Key, bounds: Bounds) -> str:
    """The bounds as a condition, in the words PostgreSQL itself leaves after a concurrent detach.

    Of a partition of a branch with what the tables above demand: ATTACH has to find all of it proven.
    """
    own = of_range(key, *ends_of(bounds.text)).printed(key)
    return f"{key.above} AND {own}" if key.above else own


def outside(key: Key, bounds: Bounds) -> str:
    """The complement of `within`: what ATTACH has to prove of the DEFAULT partition."""
    return negated(of_range(key, *ends_of(bounds.text))).printed(key)


def spoken_end(end: End | None, zone: str = "UTC") -> str:
    """One end of bounds for people, with its time where that is not midnight in `zone`."""
    if end is None:
        return "open end"
    local = None if isinstance(end, Several) else local_moment(end, zone)
    if local is None:
        return end.text if isinstance(end, Beyond | Value | Several) else str(end)
    if local.time() == time():
        return human_date(local.date())
    return f"{human_date(local.date())} {local:%H:%M:%S}".removesuffix(":00")
