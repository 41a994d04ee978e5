"""What matters most of all periods, in one sentence, and what was freed and is held, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.console.journal import OperationState
from core.plans.drop import DROP
from core.tables.table import PartitionedTable
from core.text import human_bytes, human_date, plural
from dashboard.format import plain
from dashboard.lifecycle.lines import Read
from dashboard.lifecycle.periods import Lifecycle
from dashboard.partitions.items import Status
from dashboard.state import reads


def verdict(found: Sequence[Lifecycle], read: Read) -> str:
    """What matters most on the road, in one sentence."""
    damaged = [life for life in found if life.damaged is not None]
    planned = [life for life in found if life.drop is not None]
    bare = [life for life in found if life.status in (Status.ARCHIVED, Status.BACKED_UP)]
    overdue = [life for life in found if life.status is Status.DUE]
    if damaged:
        one = len(damaged) == 1
        return f"The backup of {damaged[0].name} is damaged" if one else f"{len(damaged):,} backups are damaged"
    if len(planned) == 1 and planned[0].drop is not None:
        return f"{planned[0].name} is to be dropped on {human_date(datetime.fromisoformat(planned[0].drop.at).date())}"
    if planned:
        return f"{len(planned):,} drops are planned"
    if bare and read is not None and read.kept is not None:
        have = "has" if len(bare) == 1 else "have"
        return f"{plural(len(bare), 'archived table')} {have} no verified backup"
    if overdue:
        are = "is" if len(overdue) == 1 else "are"
        return f"{plural(len(overdue), 'partition')} {are} due for archive"
    return "Every period is where it belongs"


def counted(found: Sequence[Lifecycle], read: Read, table: PartitionedTable) -> str:
    """What was freed on the server and what is held in the place."""
    gone = [life for life in found if life.status is Status.DROPPED and not life.whence]
    freed = {
        o.plan.backup: o.plan.bytes
        for o in reversed(reads.operations(of_table=table.address))
        if (o.plan.operation, o.state) == (DROP, OperationState.DONE) and o.plan.bytes
    }
    sizes = [next((freed[kept.backup.id] for kept in life.backups if kept.backup.id in freed), None) for life in gone]
    known = [size for size in sizes if size is not None]
    total = f"{human_bytes(sum(known))} freed on the server" if known else "nothing freed on the server yet"
    if gone and len(known) < len(gone):
        total = f"{human_bytes(sum(known))} freed on the server, and {len(gone) - len(known):,} dropped unmeasured"
    if read is None or read.kept is None:
        return f"{total} · what is held in the place is not known"
    size = sum(life.in_place for life in found if not life.whence)
    number = sum(len(life.backups) for life in found if not life.whence)
    held = f"{human_bytes(size)} held in {plural(number, 'backup')}" if number else "no backup held yet"
    return f"{total} · {held} · place of the backups: {plain(read.place)}"
