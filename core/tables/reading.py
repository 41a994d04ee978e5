"""Tells how the values of a key are to be read in time, from what its bounds unmistakably are or its owner has said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from core.tables.key import SNOWFLAKES, Clock, Key, KeyType, Reading

READINGS = {
    "number": (
        Reading.SECONDS,
        Reading.MILLISECONDS,
        Reading.MICROSECONDS,
        Reading.SNOWFLAKE,
        Reading.MONTH,
        Reading.DAY,
    ),
    "uuid": (Reading.UUID7,),
    "text": (Reading.ULID, Reading.ISO),
}
_LINE = "partition-desk key: "
_EARLIEST, _LATEST = date(1990, 1, 1), date(2100, 1, 1)


def said_reading(comment: str | None) -> Reading | None:
    """How the table's owner has said that its key is read, in a line of the table's comment."""
    for line in (comment or "").splitlines():
        word = line.removeprefix(_LINE)
        if word != line and word in set(Reading):
            return Reading(word)
    return None


def recognised(key: Key, constants: Iterable[str], said: Reading | None, zone: str) -> Key:
    """The key with its reading: what its owner said, else the one that fits every constant of its bounds.

    Numbers that could be ids as well as times stay ids. `constants` are the texts of the ends, without quotes.
    """
    texts = [text for text in dict.fromkeys(constants) if not _is_extreme(text)]
    if key.clock is not None:
        return key
    if said is not None:
        return _read_as(key, said, texts)
    kind = "uuid" if key.type is KeyType.UUID else "text" if key.type.is_text else "number"
    candidates = [found for reading in READINGS[kind] for found in _forms(key, reading, texts)]
    fitting = [one for one in candidates if len(texts) > 1 and _fits(one, texts, zone)]
    return fitting[0] if len(fitting) == 1 else key


def _read_as(key: Key, reading: Reading, texts: list[str]) -> Key:
    """The key read so; the first form that every constant can be read in. Ids where none can."""
    for one in _forms(key, reading, texts):
        if all(_can(one.end, text) for text in texts):
            return one
    return replace(key, reading=Reading.IDS)


def _is_extreme(text: str) -> bool:
    """Whether it only means the lowest or the highest of all."""
    return bool(re.fullmatch(r"0|[0-]+|[f-]{36}", text))


def _forms(key: Key, reading: Reading, texts: list[str]) -> list[Key]:
    """The key with that reading, in each form that its values could have."""
    tails = [""]
    if reading is Reading.SNOWFLAKE:
        tails = list(SNOWFLAKES)
    elif reading is Reading.UUID7 and texts:
        tails = [texts[-1][14:]]
    elif reading is Reading.ULID and texts:
        tails = [texts[-1][10:]]
    elif reading is Reading.ISO and texts:
        tails = [str(len(texts[-1]))]
    return [replace(key, reading=reading, tail=tail) for tail in tails]


def _can(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _fits(key: Key, texts: list[str], zone: str) -> bool:
    """Whether every constant is a day of our time: nothing but that reading explains so many of them."""
    zones = (UTC, ZoneInfo(zone))
    try:
        ends = [key.end(text) for text in texts]
    except ValueError:
        return False
    days = [end for end in ends if isinstance(end, date)]
    if len(days) < len(ends) or not all(_is_near(day) for day in days):
        return False
    if key.reading in (Reading.MONTH, Reading.DAY, Reading.ISO):
        return all(len(text) == len(texts[0]) for text in texts) and key.constant(days[0]) == texts[0]
    moments = [day for day in days if isinstance(day, datetime)]
    if key.clock is not Clock.INSTANT or not any(all(_midnight(m, z) for m in moments) for z in zones):
        return False
    if key.reading is Reading.SNOWFLAKE:
        return all(int(text) % 2**22 == 0 for text in texts)
    return not key.type.is_number or not all(text.endswith("000000") for text in texts)


def _is_near(day: date) -> bool:
    bare = day.date() if isinstance(day, datetime) else day
    return _EARLIEST <= bare <= _LATEST


def _midnight(moment: datetime, zone: object) -> bool:
    local = moment.astimezone(zone)  # type: ignore[arg-type]
    return (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)
