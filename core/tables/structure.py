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


_CONDITION = re.compile(
    r"(\()?(?P<column>\"(?:[^\"]|\"\")+\"|[\w$]+)(?(1)\)::(?P<as>[a-z ]+))"
    r" (?P<operator>>=|<|IS NOT NULL)(?: (?P<constant>'(?:[^']|'')*'|-?\d+(?:\.\d+)?)"
    r"(?:::(?P<type>(?:\w+|\"[^\"]+\")(?:\.\w+|\.\"[^\"]+\")?(?:\(\d+(?:,\d+)?\))?"
    r"(?: (?!AND |COLLATE )[a-z ]+(?:\(\d+\))?)?))?"
    r"(?: COLLATE (?:\w+\.)?\"[^\"]+\")?)?"
)
"""One condition of a CHECK as PostgreSQL prints it: a cast stands beside a domain, a length beside a varying text."""

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
            column = match["column"]
            column = column[1:-1].replace('""', '"') if column.startswith('"') else column
            if column != key.column or not (key.is_compared_as(match["as"]) and key.is_compared_as(match["type"])):
                return None
            if match["operator"] == ">=":
                lower = match["constant"]
            elif match["operator"] == "<":
                upper = match["constant"]
        if (lower, upper) == ("MINVALUE", "MAXVALUE"):
            return None
        try:
            return Bounds.parse(f"FOR VALUES FROM ({lower}) TO ({upper})", key)
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
