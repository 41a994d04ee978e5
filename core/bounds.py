"""The range of a partition: PostgreSQL's own text beside its parsed ends, and how the two are made from each other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from core.period import Period, Range, period_of


class KeyType(StrEnum):
    """The types of a partition key that are served, as format_type() spells them."""

    DATE = "date"
    TIMESTAMP = "timestamp without time zone"
    TIMESTAMPTZ = "timestamp with time zone"


@dataclass(frozen=True, slots=True)
class Key:
    """The partition key: one column of a date or timestamp type."""

    column: str
    type: KeyType


End = date | datetime
"""One end of a range: a date, a naive datetime, or a datetime in UTC, as the key's type is."""

_BOUNDS = re.compile(r"FOR VALUES FROM \((?P<lower>.+?)\) TO \((?P<upper>.+?)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The range of a partition: PostgreSQL's own text, and the two ends parsed from it.

    An end of None is unbounded: MINVALUE, MAXVALUE, an infinity, or a year that Python's calendar lacks.
    Texts are those of a session with DateStyle ISO and TimeZone UTC.
    """

    text: str
    lower: End | None = field(compare=False)
    upper: End | None = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> Bounds:
        """Reads "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')" or "DEFAULT"; ValueError for another strategy."""
        if text == "DEFAULT":
            return cls(text, None, None)
        match = _BOUNDS.fullmatch(text)
        if match is None:
            raise ValueError(f"not the bounds of a range: {text}")
        return cls(text, _end(match["lower"]), _end(match["upper"]))

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
    def lower_sql(self) -> str:
        """The lower end as SQL: a quoted constant or MINVALUE."""
        return self._ends()[0]

    @property
    def upper_sql(self) -> str:
        """The upper end as SQL: a quoted constant or MAXVALUE."""
        return self._ends()[1]

    def _ends(self) -> tuple[str, str]:
        match = _BOUNDS.fullmatch(self.text)
        if match is None:
            raise ValueError("a DEFAULT partition has no ends")
        return match["lower"], match["upper"]

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

    def dates(self, zone: str = "UTC") -> Range | None:
        """The range as whole days in `zone`, or None where an end is unbounded or not a midnight."""
        lower, upper = _midnight(self.lower, zone), _midnight(self.upper, zone)
        return None if lower is None or upper is None else (lower, upper)

    def period(self, zone: str = "UTC") -> Period | None:
        """The calendar period that the range is exactly, if it is one."""
        dates = self.dates(zone)
        return period_of(*dates) if dates else None


def _end(text: str) -> End | None:
    if text in ("MINVALUE", "MAXVALUE") or "infinity" in text or " BC" in text:
        return None
    plain = text.strip("'")
    try:
        value = date.fromisoformat(plain) if len(plain) == 10 else datetime.fromisoformat(plain)
    except ValueError:
        return None  # a year past 9999
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def _literal_end(key: Key, day: date, zone: str) -> str:
    if key.type is KeyType.DATE:
        return f"'{day.isoformat()}'"
    if key.type is KeyType.TIMESTAMP:
        return f"'{day.isoformat()} 00:00:00'"
    moment = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    return f"'{moment:%Y-%m-%d %H:%M:%S}+00'" if day.year > 1 else f"'{day.isoformat()} 00:00:00+00'"


def _midnight(end: End | None, zone: str) -> date | None:
    if not isinstance(end, datetime):
        return end
    local = end.astimezone(ZoneInfo(zone)) if end.tzinfo else end
    return local.date() if local.time() == time() else None


def day_of(end: End) -> date:
    """The date that an end falls on."""
    return end.date() if isinstance(end, datetime) else end


def key_value(key: Key, day: date, zone: str = "UTC") -> End:
    """The first moment of `day`, comparable with the ends of the table's bounds."""
    if key.type is KeyType.DATE:
        return day
    if key.type is KeyType.TIMESTAMP:
        return datetime.combine(day, time())
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


EPOCH = date(2000, 1, 1)
"""Day 0 of PostgreSQL's date and timestamp types."""


def stored_end(type_oid: int, raw: bytes) -> str:
    """One end of stored bounds as PostgreSQL prints it, from the bytes of its constant.

    For partitions that are locked: pg_get_expr() would wait. Source: date.c and timestamp.c of PostgreSQL.
    """
    if type_oid == 1082:
        days = int.from_bytes(raw[:4], "little", signed=True)
        if abs(days) == 2**31 - 1 or days == -(2**31):
            return "'infinity'" if days > 0 else "'-infinity'"
        return f"'{(EPOCH + timedelta(days=days)).isoformat()}'"
    micros = int.from_bytes(raw[:8], "little", signed=True)
    if micros in (2**63 - 1, -(2**63)):
        return "'infinity'" if micros > 0 else "'-infinity'"
    moment = datetime.combine(EPOCH, time()) + timedelta(microseconds=micros)
    text = moment.isoformat(sep=" ").rstrip("0") if moment.microsecond else moment.isoformat(sep=" ")
    return f"'{text}{'+00' if type_oid == 1184 else ''}'"


_DATUM = re.compile(
    r"PARTITIONRANGEDATUM :kind (-?\d)(?: :value \{CONST :consttype (\d+) .*?:constvalue \d+ \[([-\d ]+)\])?"
)


def stored_bounds(node: str) -> Bounds | None:
    """The bounds from the stored node tree (relpartbound::text), read without any lock; None where it can't be.

    Source: outfuncs.c of PostgreSQL 14 to 18 on little-endian servers; the tests hold it against pg_get_expr().
    """
    if ":is_default true" in node:
        return Bounds.parse("DEFAULT")
    ends: list[str] = []
    for kind, type_oid, raw in _DATUM.findall(node):
        if kind == "0":
            if not type_oid:
                return None
            try:
                ends.append(stored_end(int(type_oid), bytes(int(b) & 0xFF for b in raw.split())))
            except (OverflowError, ValueError):
                return None
        else:
            ends.append("MINVALUE" if kind == "-1" else "MAXVALUE")
    return Bounds.parse(f"FOR VALUES FROM ({ends[0]}) TO ({ends[1]})") if len(ends) == 2 else None


_KEY_TYPES = {"1082": KeyType.DATE, "1114": KeyType.TIMESTAMP, "1184": KeyType.TIMESTAMPTZ}
_CONST = re.compile(r":consttype (\d+) :consttypmod (-?\d+)")


def stored_key_type(node: str) -> KeyType | None:
    """The type of the key from the stored node tree; None where it is not served, or where both ends are unbounded."""
    found = _CONST.search(node)
    return _KEY_TYPES.get(found[1]) if found and found[2] == "-1" else None
