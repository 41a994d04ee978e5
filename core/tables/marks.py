"""What the console writes in the comment of a table: where it came from, a hold, a planned drop; read back strictly."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from itertools import chain
from typing import Any, TypeVar

from core.errors import UsageError
from core.names import address, ident, split_qualified
from core.tables.bounds import Bounds
from core.tables.key import Key

_TAG = "partition-desk: "

_DROP = "partition-desk drop: "

HOLD_LINE = "partition-desk hold: "
"""How the line of a hold begins in a table's comment."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Where an archived table came from."""

    parent: str
    """The parent, quoted and qualified."""
    schema: str
    """The schema that the partition stood in."""
    bounds: str
    """PostgreSQL's text of the bounds, verbatim: to be shown and compared, and never to be run."""
    archived_at: str
    """ISO 8601, UTC."""
    made_check: bool
    """Whether archiving left the CHECK of the bounds, so that reattaching takes it away again."""
    key: str = ""
    """What its key was called; empty in marks of before, as what follows is."""
    oid: int = 0
    """The parent's oid, which stays when it is renamed or moved."""
    cluster: str = ""
    """The server that the oid is of: elsewhere it may be another table's by chance."""
    below: tuple[tuple[str, str], ...] = ()
    """(name, schema) of each table below it that stood in another schema."""

    @property
    def address(self) -> str:
        """The parent's address at that time; as the mark has it where it is none."""
        try:
            schema, name = split_qualified(self.parent)
        except UsageError:
            return self.parent
        return address(schema, name) if schema else self.parent

    def names(self, parent: str, oid: int) -> bool:
        """Whether it means the table of this quoted name and this oid, beyond doubt."""
        return self.parent == parent and self.oid in (0, oid)

    def range_on(self, key: Key) -> Bounds | None:
        """The bounds, or None where they are none of a key of this type."""
        try:
            return Bounds.parse(self.bounds, key)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Hold:
    """Keeps a partition or an archived table from every rule that would move or drop it."""

    until: str
    """The last day of the hold, ISO 8601; empty while it lasts until somebody lifts it."""
    reason: str
    by: str

    def binds(self, today: date) -> bool:
        """Whether it still holds on that day."""
        return not self.until or date.fromisoformat(self.until) >= today


@dataclass(frozen=True, slots=True)
class PlannedDrop:
    """An archived table is to be dropped at a time, on the strength of one verified backup."""

    parent: str
    """The address of the table that it was a partition of."""
    at: str
    """ISO 8601, UTC: not before."""
    backup: str
    """The id of the backup."""
    fingerprint: str
    """What the table held when this was written; any other content is not dropped."""
    by: str

    def is_due(self, now: datetime) -> bool:
        """Whether its time has come."""
        return datetime.fromisoformat(self.at) <= now


@dataclass(frozen=True, slots=True)
class Marks:
    """What the console keeps in a table's comment: a line each, below the user's own text."""

    tag: Tag | None = None
    hold: Hold | None = None
    drop: PlannedDrop | None = None

    def beside(self, comment: str | None) -> str | None:
        """The user's comment with the marks as its last lines; None where there is neither."""
        lines = [
            f"{line}{json.dumps(_written(mark), ensure_ascii=False)}"
            for line, mark in ((_TAG, self.tag), (HOLD_LINE, self.hold), (_DROP, self.drop))
            if mark is not None
        ]
        return "\n".join([*([comment] if comment else []), *lines]) or comment

    @classmethod
    def split(cls, comment: str | None) -> tuple[str | None, Marks]:
        """(the user's comment, the marks) of a table comment; a line that can't be read counts as the user's text."""
        rest, found = comment, cls()
        while rest:
            head, _, last = rest.rpartition("\n")
            read = _read_mark(last)
            if read is None or any(getattr(found, name) is not None for name in read):
                break
            rest, found = head or None, replace(found, **read)
        return rest, found


M = TypeVar("M", Tag, Hold, PlannedDrop)


def _written(mark: Tag | Hold | PlannedDrop) -> dict[str, Any]:
    """The fields of a mark; what came later and is not known is left out, so that older consoles read it."""
    return {one.name: value for one in fields(mark) if (value := getattr(mark, one.name)) != one.default}


def _read_mark(line: str) -> dict[str, Any] | None:
    """{field of Marks: value} of one line of a comment, or None where it is no mark.

    Anybody may have written it: what is not in every field as the console writes it is no mark.
    """
    try:
        if line.startswith(_TAG):
            tag = _read_fields(Tag, line.removeprefix(_TAG))
            if Bounds.shown(tag.bounds).is_default:
                return None
            for schema in (tag.schema, *(schema for _, schema in tag.below)):
                ident(schema)
            if not 0 <= tag.oid < 2**32:
                return None
            _moment(tag.archived_at)
            return {"tag": tag}
        if line.startswith(HOLD_LINE):
            hold = _read_fields(Hold, line.removeprefix(HOLD_LINE))
            hold.binds(date.min)
            return {"hold": hold}
        if line.startswith(_DROP):
            drop = _read_fields(PlannedDrop, line.removeprefix(_DROP))
            split_qualified(drop.parent)
            _moment(drop.at)
            return {"drop": drop}
    except (ValueError, TypeError, OverflowError, RecursionError, UsageError):
        return None
    return None


def _read_fields(kind: type[M], text: str) -> M:
    """A mark from its JSON. Raises ValueError, TypeError or RecursionError for what the console does not write."""
    raw = json.loads(text)
    if isinstance(raw, dict) and isinstance(raw.get("below"), list):
        raw["below"] = tuple(tuple(pair) if isinstance(pair, list) else (pair,) for pair in raw["below"])
    found = kind(**raw)
    for one in fields(kind):
        value = getattr(found, one.name)
        if type(value).__name__ != str(one.type).partition("[")[0]:
            raise TypeError(f"{one.name} is {type(value).__name__}")
        pairs: tuple[Any, ...] = value if isinstance(value, tuple) else ()
        if any(len(pair) != 2 or not all(isinstance(name, str) for name in pair) for pair in pairs):
            raise TypeError(f"{one.name} is no list of pairs")
        if any(isinstance(said, str) and b"\0" in said.encode() for said in (value, *chain(*pairs))):
            raise ValueError(f"{one.name} holds a NUL character")
    return found


def _moment(text: str) -> None:
    """Raises ValueError for what is no moment with an offset, or one that some time zone has no date for."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not 1 < moment.year < 9999:
        raise ValueError(f"not a moment: {text}")
