"""What the record says of itself and of the journal: every row that was changed, taken out or put in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.console.audit import Entry, digest, read_entries, read_head
from core.console.journal_tables import exists
from core.postgres.connection import session, translate
from core.seal import Seal
from core.text import Json

_OPERATIONS = """
SELECT id, table_address, kind, subject, digest, wish, actor, role, origin, reason, state, error, error_kind, sqlstate,
    rows_before, rows_after, asked, recorded
FROM partition_desk.operation ORDER BY id
"""
_ASKED = {"table": "table_address", "act": "kind", "plan": "wish"}
_SAME = ("table", "act", "subject", "digest", "plan", "actor", "role", "origin", "reason")
_ENDED = ("error", "error_kind", "sqlstate", "rows_before", "rows_after")


def broken(entries: Iterable[Entry], head: Entry | None, seal: Seal) -> Iterator[str]:
    """What is wrong with the chain, a line each; nothing where it holds."""
    last, hashed = 0, ""
    for one in entries:
        if one.n != last + 1:
            yield f"Entries {last + 1} to {one.n - 1} were taken out."
        elif one.previous != hashed:
            yield f"Entry {one.n} does not follow entry {last}: one of both was changed, or put in between."
        if one.hash != digest(one.n, one.previous, one.entry):
            yield f"Entry {one.n} was changed."
        elif not seal.fits(one.seal, "audit", one.hash):
            yield f"Entry {one.n} was written without this console's key."
        last, hashed = one.n, one.hash
    if head is None:
        if last:
            yield "The head of the record was taken out: whether entries are lacking at its end is not known."
    elif not seal.fits(head.seal, "audit", f"{head.n} {head.hash}") and head.n:
        yield "The head of the record was written without this console's key."
    elif (head.n, head.hash) != (last, hashed):
        yield f"The record ends with entry {last}, and its head says {head.n}: entries were taken out at its end."


def differing(said: Iterable[Json], operations: Iterable[Any]) -> Iterator[str]:
    """What the journal's rows say that the record does not, a line each."""
    asked: dict[int, Json] = {}
    ended: dict[int, Json] = {}
    for one in said:
        number = one.get("operation")
        if isinstance(number, int):
            (asked if one.get("event") == "asked" else ended if one.get("event") == "ended" else {})[number] = one
    first = min(asked, default=0)
    seen: set[int] = set()
    for row in operations:
        seen.add(row.id)
        entry, end = asked.get(row.id), ended.get(row.id)
        if entry is None:
            if row.id >= first:
                yield f"Operation {row.id} was put into the journal: the record does not know it."
            continue
        if any(entry.get(name) != getattr(row, _ASKED.get(name, name)) for name in _SAME):
            yield f"Operation {row.id} was changed in the journal: the record says that something else was asked for."
        elif end is not None and (
            end.get("result") != row.state or any(end.get(name) != getattr(row, name) for name in _ENDED)
        ):
            yield f"Operation {row.id} was changed in the journal: the record says that it ended otherwise."
        elif end is None and row.recorded:
            yield f"Operation {row.id} was changed in the journal: the record does not say how it ended."
    yield from (f"Operation {number} was taken out of the journal." for number in sorted(set(asked) - seen))


def lacking(kept: Iterable[Entry], here: Iterable[Entry]) -> Iterator[str]:
    """What the second place has of the record that is no longer here, or is another, a line each."""
    found = {one.n: one.hash for one in here}
    for one in kept:
        if found.get(one.n) != one.hash:
            was = "was changed" if one.n in found else "was taken out"
            yield f"Entry {one.n} {was}: the second place has it."


def read_broken(engine: Engine, seal: Seal) -> tuple[int, tuple[str, ...]]:
    """(how many entries there are, what is wrong with them and with the journal's rows)."""
    head = read_head(engine)
    entries = tuple(read_entries(engine))
    with session(engine) as connection:
        try:
            rows = connection.exec_driver_sql(_OPERATIONS).all() if exists(connection, current=True) else ()
        except DBAPIError as error:
            raise translate(error) from error
    return len(entries), (*broken(entries, head, seal), *differing((one.said for one in entries), rows))
