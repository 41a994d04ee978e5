"""Numbers, sizes, dates and durations in the words of a reader; the command line and the pages share them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache

NBSP = "\N{NO-BREAK SPACE}"
"""Keeps a number and its unit on one line."""


def human_bytes(count: int | None) -> str:
    """Bytes in binary units, as PostgreSQL counts them: 268 MiB, 1.4 GiB; "unknown" for None."""
    if count is None:
        return "unknown"
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024 or unit == "TiB":
            digits = 0 if unit == "bytes" or abs(size) >= 10 else 1
            return f"{size:,.{digits}f}{NBSP}{unit}"
        size /= 1024
    raise AssertionError("unreachable")


def human_rows(count: int | None) -> str:
    """A number of rows with its thousands separated; "unknown" for None."""
    return "unknown" if count is None else f"{count:,}"


def plural(count: int, one: str, many: str = "") -> str:
    """1 partition, 2 partitions, no partitions."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


@lru_cache(maxsize=65_536)  # pages say the same ends of many ranges again and again
def human_date(day: date | None) -> str:
    """1 January 2028; "unlimited" for None."""
    return "unlimited" if day is None else f"{day.day} {day:%B} {day.year}"


def human_time(moment: datetime | None) -> str:
    """1 January 2028 at 12:04:31 UTC; "never" for None."""
    if moment is None:
        return "never"
    at = moment.astimezone(UTC)
    return f"{human_date(at.date())} at {at:%H:%M:%S} UTC"


def human_seconds(seconds: float | None) -> str:
    """How long something took: under 1 s, 12 s, 3 min 20 s, 2 h 5 min; "unknown" for None."""
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return f"under 1{NBSP}s"
    if seconds < 60:
        return f"{seconds:.0f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest}{NBSP}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NBSP}h {minutes}{NBSP}min"


def human_ago(moment: datetime | None, now: datetime) -> str:
    """How long ago something was: just now, 5 minutes ago, 212 days ago; "never" for None."""
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    if seconds < 60:
        return "just now"
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            return f"{plural(int(seconds // length), unit)} ago"
    raise AssertionError("unreachable")


def spreadsheet_text(value: object) -> object:
    """A value for a cell: what a spreadsheet would take for a formula is kept a text."""
    if isinstance(value, str) and value.lstrip(" ")[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%"):
        return f"'{value}"
    return value


Json = dict[str, object]


def shown(text: str) -> str:
    """`text` in one line that a terminal takes for nothing else: names may hold line ends and control characters."""
    return "".join(letter if letter.isprintable() or letter == NBSP else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def shell_word(text: str) -> str:
    """`text` as one word of a shell, in one line that can be pasted: $'...' where something in it is not printable."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_in_shell(letter) for letter in text) + "'"


def _in_shell(letter: str) -> str:
    if letter.isprintable():
        return f"\\{letter}" if letter in "\\'" else letter
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return known.get(letter) or "".join(f"\\{byte:03o}" for byte in letter.encode(errors="surrogateescape"))


def to_run(*statements: str) -> str:
    """Statements that a sentence asks somebody to run in psql, each with its end.

    All SQL in a message goes through here, where a test finds it: none is printed that no test has run.
    """
    return " ".join(f"{statement};" for statement in statements)


def spanned(labels: Sequence[str]) -> str:
    """A few labels as they are; of many the first, the last and the count."""
    if len(labels) <= MOST_LISTED:
        return ", ".join(labels)
    return f"{labels[0]} to {labels[-1]} ({len(labels):,} of them)"


MOST_LISTED = 8
"""How many labels are told one by one."""


def aligned(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, numbers: int) -> list[str]:
    """Columns under their heads, the last `numbers` of them to the right."""
    every = [head, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(head))]
    text = len(head) - numbers
    return [
        "  ".join(
            cell.ljust(width) if column < text else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    ]


UNITS = (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024), ("bytes", 1))


def unit_of(largest: int) -> tuple[str, int]:
    """The binary unit that a size is told in, and its bytes."""
    return next((unit for unit in UNITS if largest >= unit[1]), UNITS[-1])


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names with commas, "and", and how many more there are."""
    shown = list(names)
    more = len(shown) - most
    if more > 0:
        shown = [*shown[:most], f"{more:,} more"]
    return ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + shown[-1] if shown else "none"
