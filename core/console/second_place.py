"""The second place of the record: a file, or the system's log, in which each entry stands as one line of JSON."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import syslog
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO

from sqlalchemy import Engine

from core.console.audit import Entry, read_entries, read_head
from core.errors import DeskError, SettingError

log = logging.getLogger(__name__)

SYSLOG = "syslog"
_TAIL = 1 << 20
_SENT: dict[str, int] = {}
"""The last entry of each database that this process has sent to the system's log."""


def line(entry: Entry) -> str:
    """An entry as a line of JSON."""
    return json.dumps(asdict(entry), sort_keys=True)


def parsed(text: str) -> Entry | None:
    """The entry of a line; None for what is none, such as one that was cut short."""
    try:
        raw = json.loads(text)
        return Entry(int(raw["n"]), *(str(raw[name]) for name in ("entry", "previous", "hash", "seal")))
    except (ValueError, KeyError, TypeError):
        return None


def keep(engine: Engine, place: str) -> None:
    """Writes down there what it lacks. A place that can't be written is told in the log and holds nobody up."""
    try:
        if place == SYSLOG:
            _send(engine)
        else:
            _write(engine, Path(place))
    except (OSError, DeskError) as error:
        log.error("The record's second place %s can't be written: %s", place, error)


def _send(engine: Engine) -> None:
    where = str(engine.url)
    head = read_head(engine)
    for one in read_entries(engine, _SENT.get(where, (head.n if head else 1) - 1)):
        syslog.syslog(syslog.LOG_NOTICE | syslog.LOG_AUTH, f"partition-desk {line(one)}")
        _SENT[where] = one.n


def _write(engine: Engine, path: Path) -> None:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        last, whole = _last(file)
        text = "" if whole else "\n"
        text += "".join(f"{line(one)}\n" for one in read_entries(engine, last))
        if text.strip():
            file.write(text.encode())
            os.fsync(file.fileno())


def _last(file: IO[bytes]) -> tuple[int, bool]:
    """(the number of the last entry in the file, whether its last line is whole)."""
    size = file.seek(0, os.SEEK_END)
    while True:
        back = min(size, _TAIL)
        file.seek(size - back)
        lines = file.read(back).decode(errors="replace").split("\n")
        found = [one.n for text in lines if (one := parsed(text)) is not None]
        return max(found, default=0), not lines[-1]


def read_kept(path: Path) -> Iterator[Entry]:
    """The entries in such a file. Raises SettingError where it can't be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for text in file:
                found = parsed(text)
                if found is not None:
                    yield found
    except OSError as error:
        raise SettingError(f"The record's second place {path} can't be read: {error.strerror}.") from error
