"""The rules of a table: what should be true of it, each with its own switch; read from words and said in them again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import UsageError
from core.period import Duration, Width
from core.settings import parse_bytes
from core.text import human_date, plural

MOST = 1000
"""The most partitions ahead, and acts a night."""
_OFF = ("", "off", "never", "none", "no")


@dataclass(frozen=True, slots=True)
class Newest:
    """So many of the partitions that are over stay attached."""

    count: int

    def __str__(self) -> str:
        return plural(self.count, "partition").replace(",", "")


@dataclass(frozen=True, slots=True)
class Bytes:
    """What is attached takes no more than this, where archiving what is over can bring that about."""

    count: int

    def __str__(self) -> str:
        """In the unit that tells it exactly with the smallest number."""
        exact = [(self.count // factor, unit) for unit, factor in _UNITS.items() if self.count % factor == 0]
        number, unit = min(exact)
        return f"{number} {unit}"


_UNITS = {
    f"{letter}{i}B": base**power for i, base in (("i", 1024), ("", 1000)) for power, letter in enumerate("KMGTP", 1)
}
_UNITS["bytes"] = 1

Keep = Duration | Newest | Bytes
"""By what a partition is old enough: its age, how many are newer, or what all take together."""


@dataclass(frozen=True, slots=True)
class Rest:
    """That nothing is archived or dropped: through a day, or, with None, until somebody takes it back."""

    until: date | None = None

    def binds(self, today: date) -> bool:
        """Whether it holds on that day."""
        return self.until is None or today <= self.until

    def __str__(self) -> str:
        return f"until {self.until.isoformat() if self.until else 'lifted'}"


@dataclass(frozen=True, slots=True)
class Window:
    """From a time of day until another, by the clock of a zone; past midnight where it ends before it begins."""

    begin: time
    end: time
    zone: str

    def is_open(self, moment: datetime) -> bool:
        """Whether an aware moment lies in it."""
        at = moment.astimezone(ZoneInfo(self.zone)).time()
        if self.begin < self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end

    def opened(self, moment: datetime) -> datetime:
        """When it opened last before a moment, in UTC."""
        return max(one for one in self._openings(moment) if one <= moment)

    def opens(self, moment: datetime) -> datetime:
        """When it opens next after a moment, in UTC."""
        return min(one for one in self._openings(moment) if one > moment)

    def _openings(self, moment: datetime) -> tuple[datetime, ...]:
        zone = ZoneInfo(self.zone)
        day = moment.astimezone(zone).date()
        days = (day + timedelta(days=number) for number in (-1, 0, 1))
        return tuple(datetime.combine(one, self.begin, zone).astimezone(UTC) for one in days)

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M} {self.zone}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What should be true of one table; what is None or False is off."""

    every: Width | None = None
    """How wide a new partition is; read from its partitions where left out."""
    ahead: int | None = None
    """So many partitions after the present one are there, and that one."""
    archive_after: Keep | None = None
    backup: bool = False
    """Whether what is archived is backed up."""
    verify_every: Duration | None = None
    """A backup is proven by restoring it: soon after it was made, and again after so long."""
    drop_after: Duration | None = None
    """After its archive, on the strength of a proven backup."""
    hold: Rest | None = None
    window: Window | None = None
    """When anything but creation is begun."""
    at_most: int | None = None
    """Acts in one window, or in a day where there is none; creation is not counted."""

    @property
    def is_off(self) -> bool:
        """Whether they want nothing at all."""
        return not (self.ahead is not None or self.archive_after or self.backup or self.verify_every or self.drop_after)

    def said(self) -> dict[str, str | int | bool]:
        """What is on, by key, in the order of the file: what `parse_rules` reads back."""
        found: dict[str, str | int | bool] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None and value is not False:
                found[one.name] = value if isinstance(value, int) else str(value)
        return found

    def sentence(self, width: Width | None = None) -> str:
        """One sentence in plain words; `width` is that of the table's own partitions."""
        parts = [*self._ahead(self.every or width), *self._old()]
        if self.hold is not None:
            parts.append(f"nothing archived or dropped {_until(self.hold)}")
        limits = []
        if self.at_most is not None:
            limits.append(f"at most {plural(self.at_most, 'act')} a {'night' if self.window else 'day'}")
        if self.window is not None:
            begin, end = (f"{one:%H:%M}" for one in (self.window.begin, self.window.end))
            limits.append(f"between {begin} and {end} {self.window.zone}")
        return "; ".join([*parts, *([" ".join(limits)] if limits else [])])

    def _ahead(self, width: Width | None) -> list[str]:
        if self.ahead is None:
            return ["nothing made ahead"]
        if width is None:
            return [f"{self.ahead} ahead"]
        count, word = width.unit
        return [f"{word}s, {self.ahead} ahead" if count == 1 else f"partitions of {width}, {self.ahead} ahead"]

    def _old(self) -> list[str]:
        parts = []
        if self.archive_after is not None:
            parts.append(f"archive {_archived(self.archive_after)}")
        again = f"verify every {_each(self.verify_every)}" if self.verify_every else ""
        if self.backup:
            parts.append(f"back up and {again}" if again else "back up")
        elif again:
            parts.append(again)
        if self.drop_after is not None:
            parts.append(f"drop {self.drop_after} after")
        return parts


def _archived(keep: Keep) -> str:
    if isinstance(keep, Newest):
        return f"all but the newest {keep} that {'is' if keep.count == 1 else 'are'} over"
    return f"what is over beyond {keep}" if isinstance(keep, Bytes) else f"after {keep}"


def _each(duration: Duration) -> str:
    return duration.unit if duration.count == 1 else str(duration)


def _until(rest: Rest) -> str:
    return "until that is lifted" if rest.until is None else f"through {human_date(rest.until)}"


# From words -------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"\s*\d+(\.\d+)?\s*")
_COUNT = re.compile(r"\s*(\d{1,5})\s*partitions?\s*", re.IGNORECASE)
_WINDOW = re.compile(r"\s*(\d{1,2}):(\d{2})\s*[-\N{EN DASH}]\s*(\d{1,2}):(\d{2})\s+(\S+)\s*")
_UNTIL = re.compile(r"\s*(?:until\s+)?(\d{4}-\d{2}-\d{2}|lifted)\s*", re.IGNORECASE)


def parse_rules(said: Mapping[str, Any]) -> Rules:
    """The rules of these keys and values, as a file or a form has them. Raises UsageError, naming the key.

    A value of "off" or "never" is the same as none.
    """
    for key in said:
        if key not in PARSERS:
            raise UsageError(f"{key!r} is no rule.", next=nearest(key, PARSERS))
    return Rules(**{key: parse_rule(key, value) for key, value in said.items()})


def parse_rule(key: str, value: object) -> Any:
    """The value of one rule. Raises UsageError, naming the key."""
    if isinstance(value, str) and value.strip().lower() in _OFF:
        return False if key == "backup" else None
    try:
        return PARSERS[key](value)
    except UsageError as error:
        raise UsageError(f"{key}: {error.what}", next=error.next) from error


def nearest(key: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """What somebody meant who wrote an unknown key, else all that there are."""
    found = get_close_matches(key, list(known), 1, 0.5)
    return f"Did you mean {found[0]}?" if found else f"There are: {', '.join(known)}."


def _text(value: object, example: str) -> str:
    """The text of a value that needs a unit."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | date):
        raise UsageError(f"{value!r} is not what is wanted here.", next=f"Write it as {example}.")
    text = str(value)
    if _NUMBER.fullmatch(text):
        number = text.strip()
        raise UsageError(f"{number} of what? A unit is required.", next=f"Write it as {example.format(number)}.")
    return text


def _width(value: object) -> Width:
    return Width.parse(_text(value, "{0} months or 1 year"))


def _duration(value: object) -> Duration:
    return Duration.parse(_text(value, "{0} days, {0} months or 1 year"))


def _whole(what: str, least: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        text = str(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,4}", text) or not least <= int(text) <= MOST:
            raise UsageError(f"{value!r} is no number of {what}.", next=f"Write a whole number from {least} to {MOST}.")
        return int(text)

    return read


def _keep(value: object) -> Keep:
    example = "{0} months, {0} partitions or {0} GiB"
    text = _text(value, example)
    match = _COUNT.fullmatch(text)
    if match is not None and int(match[1]):
        return Newest(int(match[1]))
    for read in (Duration.parse, lambda text: Bytes(parse_bytes(text))):
        try:
            return read(text)
        except UsageError:
            continue
    raise UsageError(
        f"{text!r} is no age, number of partitions or size.", next="Write 3 years, 24 partitions or 200 GiB."
    )


def _truth(value: object) -> bool:
    found = {"true": True, "on": True, "yes": True, "false": False}.get(str(value).strip().lower())
    if found is None:
        raise UsageError(f"{value!r} is neither true nor false.", next="Write true or false.")
    return found


def _rest(value: object) -> Rest:
    match = _UNTIL.fullmatch("until lifted" if value is True else str(value))
    try:
        if match is not None:
            return Rest(None if match[1].lower() == "lifted" else date.fromisoformat(match[1]))
    except ValueError:
        pass
    raise UsageError(f"{value!r} says no end of a hold.", next="Write until 2027-12-31, or until lifted.")


def _window(value: object) -> Window:
    match = _WINDOW.fullmatch(str(value))
    example = "Write it as 01:00-05:00 Europe/Berlin."
    if match is None:
        raise UsageError(f"{value!r} is no window with its time zone.", next=example)
    try:
        begin, end = time(int(match[1]), int(match[2])), time(int(match[3]) % 24, int(match[4]))
        ZoneInfo(match[5])
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"{value!r} has a time or a time zone that is none.", next=example) from error
    if begin == end:
        raise UsageError(f"{value!r} ends when it begins.", next=f"{example} Leave it out for the whole day.")
    return Window(begin, end, match[5])


PARSERS: Mapping[str, Callable[[object], Any]] = {
    "every": _width,
    "ahead": _whole("partitions ahead", 0),
    "archive_after": _keep,
    "backup": _truth,
    "verify_every": _duration,
    "drop_after": _duration,
    "hold": _rest,
    "window": _window,
    "at_most": _whole("acts", 1),
}
"""How each key of a table's rules is read, in the order of the file."""
