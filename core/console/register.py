"""The register of operations: each with the wishes that ask for it and, where it is more than SQL, who does its work.

To add one: its file in core.plans (operation, wish, builder; the inverse beside it), its test, a line here, and the
page and the command that offer it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.console import file_work
from core.console.file_work import Job
from core.plans import (
    adopt,
    archive,
    backup,
    drain,
    drop,
    ensure,
    hold,
    index,
    inplace,
    reading,
    reattach,
    restore,
    sets,
    split,
    unconvert,
    under_way,
    verify,
    withdraw,
)
from core.plans.operation import FIND, Danger, Operation, Wish
from core.rules import setting


@dataclass(frozen=True, slots=True)
class Room:
    """One operation with all that belongs to it."""

    operation: Operation
    wishes: tuple[type[Wish], ...]
    work: Callable[[Job], int | None] | None = None
    """Does it and gives the rows that it moved; without it the plan's SQL is applied as it was shown."""


ROOMS: tuple[Room, ...] = (
    Room(ensure.ENSURE, (ensure.Ensure,)),
    Room(drain.DRAIN, (drain.Drain,)),
    Room(split.SPLIT, (split.Split,)),
    Room(split.MERGE, (split.Merge,)),
    Room(under_way.ABANDON, (under_way.Abandon, withdraw.Withdraw)),
    Room(inplace.CONVERT, (inplace.Convert,)),
    Room(unconvert.UNCONVERT, (unconvert.Unconvert,)),
    Room(archive.ARCHIVE, (archive.Archive, sets.ArchiveSet)),
    Room(reattach.REATTACH, (reattach.Reattach, sets.ReattachSet)),
    Room(adopt.ADOPT, (adopt.Adopt,)),
    Room(adopt.RELEASE, (adopt.Release,)),
    Room(index.INDEX, (index.CreateIndex,)),
    Room(index.REINDEX, (index.Reindex,)),
    Room(index.UNINDEX, (index.DropIndex,)),
    Room(backup.BACKUP, (backup.BackUp,), file_work.back_up),
    Room(verify.VERIFY, (verify.Verify,), file_work.verify),
    Room(drop.DROP, (drop.Drop,)),
    Room(restore.RESTORE, (restore.Restore,), file_work.restore),
    Room(hold.HOLD, (hold.PutHold,)),
    Room(reading.KEY, (reading.ReadKey,)),
    Room(drop.SCHEDULE, (drop.DropLater, drop.Keep)),
    Room(setting.RULES, (setting.SetRules,)),
)
"""In the order of a partition's life."""

LOOKED = Operation(FIND, "Look for", "looking", Danger.CLICK, counts_rows=False)
"""What the journal has of whoever looked for the rows of a value; nothing is done then, so that it has no room."""

ASKED = Operation("ask", "Ask for", "asking", Danger.CLICK, counts_rows=False)
DECLINED = Operation("decline", "Decline", "declining", Danger.CLICK, counts_rows=False)
"""What the journal has of what takes two persons, before it is done: core.console.approval."""

ACKNOWLEDGED = Operation("acknowledge", "Acknowledge", "acknowledging", Danger.CLICK, counts_rows=False)
"""What the journal has of who answered for a failure: core.console.failures."""

PAUSED = Operation("pause", "Pause", "pausing", Danger.CLICK, counts_rows=False)
"""What the journal has of who paused a move of rows: core.console.pausing."""

_NOTED = {operation.name: operation for operation in (LOOKED, ASKED, DECLINED, ACKNOWLEDGED, PAUSED)}
_BY_NAME = {room.operation.name: room for room in ROOMS}


def room(operation: Operation) -> Room:
    """All that belongs to an operation."""
    return _BY_NAME[operation.name]


def named(name: str) -> Operation:
    """The operation of that name. Raises KeyError."""
    return _NOTED.get(name) or _BY_NAME[name].operation
