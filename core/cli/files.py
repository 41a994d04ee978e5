"""Files that a command is given, - for standard input."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from core.errors import UsageError

MOST_BYTES = 2**24
"""More than any file that a command reads, unless it says less."""


def contents(file: str, most: int = MOST_BYTES) -> bytes:
    """What stands in the file, and a byte more than `most` of one that is longer. Raises UsageError."""
    if file == "-":
        return sys.stdin.buffer.read(most + 1)
    try:
        if not stat.S_ISREG(Path(file).stat().st_mode):
            raise UsageError(f"{file} is no file.")
        with Path(file).open("rb") as opened:
            return opened.read(most + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{file} can't be read: {why}.") from error


def text_of(file: str) -> str:
    """The text of a file in UTF-8. Raises UsageError."""
    try:
        return contents(file).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} can't be read: it is not text in UTF-8.") from error
