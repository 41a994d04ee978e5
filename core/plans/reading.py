"""How the numbers, uuids or texts of a key are to be read, said once and kept in the table's own comment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from core.errors import Refused
from core.names import comment_sql
from core.plans.operation import Danger, Operation, Sources, table_for
from core.plans.plan import Lock, Mode, Plan, Step, basis, nothing_to_do
from core.tables.bounds import constants, spoken_end
from core.tables.commands import option, twin
from core.tables.ends import End
from core.tables.key import Key, Reading
from core.tables.reading import read_as, readings_of, said_reading, saying
from core.tables.table import PartitionedTable
from core.text import listed

KEY = Operation(
    "key",
    "Read the key of",
    "writing down how its key is read",
    Danger.DIALOG,
    counts_rows=False,
    told_apart_by="steps",
)
_SHOWN = 3
"""So many ends are told as what they would be."""


@dataclass(frozen=True, slots=True)
class ReadKey:
    """That the key of a table is read so, or, with None, as it is recognised."""

    operation: ClassVar = KEY
    table: str | PartitionedTable
    reading: Reading | None

    def plan(self, desk: Sources) -> Plan:
        """Reads nothing but the table."""
        return plan_reading(table_for(desk, self.table), self.reading, desk.zone)


def plan_reading(table: PartitionedTable, reading: Reading | None, zone: str) -> Plan:
    """A plan that writes down, or takes back with None, how the key is read. No steps where it is said so already.

    Raises Refused for a reading that is none of the key's type, or that the bounds do not allow.
    """
    key = _askable(table)
    said = said_reading(table.comment)
    as_it_is = twin("key", table, "", "--undo")
    if reading is None:
        effects: tuple[str, ...] = (f"{key.name} is read as its bounds unmistakably tell, or as ids.",)
        command, back = as_it_is, twin("key", table, "", option("--as", said)) if said else ""
    else:
        effects = tuple(_told(table, key, reading, zone))
        command, back = twin("key", table, "", option("--as", reading)), as_it_is
    if said is reading:
        how = f"said to be read as {said}" if said else "not said to be read in any way"
        return nothing_to_do(KEY, table.address, table.label, f"{key.name} is {how}.", command=command)
    return Plan(
        operation=KEY,
        table=table.address,
        subject=table.label,
        basis=basis(table),
        steps=(
            Step(
                f"Write into the comment of {table.label} how its key is read",
                (comment_sql(table.sql, saying(table.comment, reading)),),
                (Lock(table.sql, Mode.SHARE_UPDATE_EXCLUSIVE),),
                undo=(comment_sql(table.sql, table.comment),),
            ),
        ),
        effects=(*effects, "Nothing else of the table changes."),
        way_back=f"Take it back: {back}",
        command=command,
        oid=table.oid,
    )


def ask_for_reading(table: PartitionedTable) -> str:
    """How to say what a key tells that was not recognised; empty where nothing can be said."""
    if table.key is None or table.key.reading is not None or not readings_of(table.key):
        return ""
    every = listed([word.value for word in readings_of(table.key)])
    command = twin("key", table, "", option("--as", readings_of(table.key)[0]))
    return f"If it tells a time, say how, once: {command} ({every})"


def _askable(table: PartitionedTable) -> Key:
    key = table.key
    if key is None or not readings_of(key):
        kind = key.type if key is not None else "unknown"
        raise Refused(f"The key of {table.label} is {kind}: nothing has to be said of how it is read.")
    return key


def _told(table: PartitionedTable, key: Key, reading: Reading, zone: str) -> Iterator[str]:
    """What the newest ends of the bounds are by this reading."""
    if reading not in readings_of(key):
        known = listed([word.value for word in readings_of(key)])
        raise Refused(
            f"{key.name} is {key.declared or key.type}, which can't be read as {reading}.", next=f"Can be: {known}."
        )
    if reading is Reading.IDS:
        yield f"{key.name} is read as ids, which tell no time."
        return
    texts = [text for one in table.ranges if one.bounds for text in constants(one.bounds.text)]
    found = read_as(key, reading, texts)
    if isinstance(found, str):
        raise Refused(
            f"{key.name} can't be read as {reading}: {found} of the bounds is no such value.",
            next=f"What it can be: {ask_for_reading(table)}" if key.reading is None else "",
        )
    yield f"{key.name} is read as {reading}."
    for text in list(dict.fromkeys(texts))[-_SHOWN:]:
        yield f"{text} is {_spoken(found.end(text), zone)}."


def _spoken(end: End, zone: str) -> str:
    return f"{spoken_end(end, zone)}{f' in {zone}' if hasattr(end, 'tzinfo') else ''}"
