"""The key that a table is partitioned by, and the values that are compared with the ends of its partitions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from zoneinfo import ZoneInfo


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


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The smallest and largest key among a table's rows, and how many rows have none."""

    lowest: End | None
    highest: End | None
    nulls: int = 0


def unserved(strategy: str, columns: int, key_type: str | None) -> str | None:
    """Why a partitioned table is only shown: its strategy, several columns, an expression, or another type."""
    if strategy != "r":
        return f"it is partitioned by {'LIST' if strategy == 'l' else 'HASH'}, not by RANGE"
    if columns != 1:
        return "it is partitioned by several columns"
    if key_type is None:
        return "it is partitioned by an expression"
    if (key_type.split("(")[0] + key_type.partition(")")[2]) not in set(KeyType):
        return f"its key is {key_type}, not a date or timestamp"
    return None if key_type in set(KeyType) else f"its key is {key_type}, with a precision of its own"
