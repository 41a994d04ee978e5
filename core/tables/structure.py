"""What ATTACH compares of two tables: columns, indexes, CHECKs and foreign keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from core.tables.bounds import Bounds
from core.tables.key import Key


@dataclass(frozen=True, slots=True)
class Column:
    """A column as ATTACH compares it."""

    name: str
    type: str
    not_null: bool
    identity: bool = field(default=False, compare=False)
    """Whether it is GENERATED ... AS IDENTITY; a child's comes and goes with the attachment."""
    generated: str = ""
    collation: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """An index; `shape` says everything ATTACH matches it by, and is equal for indexes that match."""

    name: str
    shape: str
    columns: tuple[str, ...]
    unique: bool
    primary: bool
    constraint: bool
    """Whether a PRIMARY KEY or UNIQUE constraint stands on it."""
    valid: bool
    definition: str = field(default="", compare=False)


_CONDITION = re.compile(r"(\"(?:[^\"]|\"\")+\"|[\w$]+) (>=|<|IS NOT NULL)(?: ('[^']*')::([a-z ]+))?")

_JOINED = re.compile(r"[() ]|AND")


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint, its definition as pg_get_constraintdef() gives it."""

    name: str
    definition: str
    validated: bool

    def range_on(self, key: Key) -> Bounds | None:
        """The range of `key` that this constraint says and nothing else, or None."""
        body = self.definition.removeprefix("CHECK ").removesuffix(" NOT VALID")
        if _JOINED.sub("", _CONDITION.sub("", body)):
            return None
        lower, upper = "MINVALUE", "MAXVALUE"
        for match in _CONDITION.finditer(body):
            column = match[1][1:-1].replace('""', '"') if match[1].startswith('"') else match[1]
            if column != key.column or match[4] not in (None, key.type.value):
                return None
            if match[2] == ">=":
                lower = match[3]
            elif match[2] == "<":
                upper = match[3]
        if (lower, upper) == ("MINVALUE", "MAXVALUE"):
            return None
        try:
            return Bounds.parse(f"FOR VALUES FROM ({lower}) TO ({upper})", key.type)
        except ValueError:
            return None

    def excludes_null(self) -> bool:
        """Whether it says that the key is not null."""
        return "IS NOT NULL" in self.definition


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key between the table and another one, named `schema.table`."""

    name: str
    other: str
    definition: str
    owned: bool = True
    """Whether the connected role may change the table on the other side."""
