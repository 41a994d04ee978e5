"""Tells how the values of a key are to be read in time, from what its bounds unmistakably are or its owner has said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time
from itertools import pairwise
from zoneinfo import ZoneInfo

from core.tables.ends import TIMES, KeyType
from core.tables.key import SNOWFLAKES, Clock, Key, Reading

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
_CALENDAR = (Reading.YEAR, Reading.MONTH, Reading.DAY, Reading.ISO)
"""A day has several ways to be written by them: 202413 begins 2025."""
_LINE = "partition-desk key: "
_EARLIEST, _LATEST = date(1990, 1, 1), date(2100, 1, 1)


def said_reading(comment: str | None) -> Reading | None:
    """How the table's owner has said that its key is read, in a line of the table's comment."""
    for line in (comment or "").splitlines():
        word = line.removeprefix(_LINE)
        if word != line and word in set(Reading):
            return Reading(word)
    return None


def saying(comment: str | None, reading: Reading | None) -> str | None:
    """The table's comment with the line that says the reading, or without it; what else is in it stays."""
    lines = [line for line in (comment or "").split("\n") if said_reading(line) is None]
    text = "\n".join([*(lines if comment else []), *([f"{_LINE}{reading}"] if reading else [])])
    return text or None


def recognised(key: Key, constants: Iterable[str], said: Reading | None, zone: str) -> Key:
    """The key with its reading: what its owner said, else the one that fits every constant of its bounds.

    Numbers that could be ids as well as times stay ids. `constants` are the texts of the ends, without quotes.
    """
    if key.clock is not None or key.type is KeyType.OTHER:
        return key
    texts = [text for text in dict.fromkeys(constants) if not _is_extreme(text)]
    if said is not None and said in readings_of(key):
        found = read_as(key, said, texts)
        return replace(key, reading=Reading.IDS) if isinstance(found, str) else found
    kind = "uuid" if key.type is KeyType.UUID else "text" if key.type.is_text else "number"
    candidates = [found for reading in READINGS[kind] for found in _forms(key, reading, texts)]
    fitting = [one for one in candidates if len(texts) > 1 and _fits(one, texts, zone)]
    return fitting[0] if len(fitting) == 1 else key


def read_as(key: Key, reading: Reading, texts: Iterable[str]) -> Key | str:
    """The key read so, in the form that every constant can be read in; else one that can't be."""
    found = replace(key, reading=None, tail="")
    wanted = [text for text in dict.fromkeys(texts) if not _is_extreme(text)]
    if reading is Reading.IDS:
        return replace(found, reading=reading)
    forms = sorted(_forms(found, reading, wanted), key=lambda one: not _fits(one, wanted, "UTC"))
    wrong = [next((text for text in wanted if not _is_told(one, text)), None) for one in forms]
    return next((one for one, text in zip(forms, wrong, strict=True) if text is None), wrong[0] or "")


def readings_of(key: Key) -> tuple[Reading, ...]:
    """What its values could tell, where their type does not."""
    if key.type in (*TIMES, KeyType.OTHER):
        return ()
    kind = "uuid" if key.type is KeyType.UUID else "text" if key.type.is_text else "number"
    return (*READINGS[kind], *((Reading.YEAR,) if kind == "number" else ()), Reading.IDS)


def _is_told(key: Key, text: str) -> bool:
    """Whether a constant is one that stands for its own time: what else is in it would be lost of its order."""
    try:
        end = key.end(text)
    except ValueError:
        return False
    if not isinstance(end, date):
        return key.reading not in _CALENDAR
    return key.reading in _CALENDAR or key.value(key.constant(end)) == key.value(text)


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


def _fits(key: Key, texts: list[str], zone: str) -> bool:
    """Whether every constant is a day of our time: nothing but that reading explains so many of them."""
    try:
        ends = [key.end(text) for text in texts]
    except ValueError:
        return False
    days = [end for end in ends if isinstance(end, date)]
    if (
        len(days) < len(ends)
        or not all(_is_told(key, text) for text in texts)
        or not all(_is_near(day) for day in days)
    ):
        return False
    if key.reading in (Reading.MONTH, Reading.DAY, Reading.ISO):
        return all(len(text) == len(texts[0]) for text in texts) and key.constant(days[0]) == texts[0]
    moments = [day for day in days if isinstance(day, datetime)]
    if key.clock is not Clock.INSTANT or not (_are_midnights(moments, zone) or _are_alike(moments)):
        return False
    return not key.type.is_number or any(one.timestamp() % 1_000_000 for one in moments)  # which round ids are


def _are_midnights(moments: list[datetime], zone: str) -> bool:
    """Of UTC or of the server's own zone."""
    zones = (UTC, ZoneInfo(zone))
    return any(all(one.astimezone(there).time() == time() for one in moments) for there in zones)


def _are_alike(moments: list[datetime]) -> bool:
    """Whether they are quarters of an hour that follow each other as evenly as no ids do by chance.

    Midnights of a zone are at one time of the day of UTC, or at two where its clocks change.
    """
    if len(moments) < 3 or any(one.minute % 15 or one.second or one.microsecond for one in moments):
        return False
    steps = {later - one for one, later in pairwise(sorted(moments))}
    return len({one.time() for one in moments}) <= 2 or len(steps) == 1


def _is_near(day: date) -> bool:
    bare = day.date() if isinstance(day, datetime) else day
    return _EARLIEST <= bare <= _LATEST
