"""What ATTACH compares of two tables: columns, indexes, CHECKs and foreign keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from core.names import qualified
from core.tables import conditions
from core.tables.bounds import Bounds, ends_of
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
    """s for STORED or v for VIRTUAL, and the expression."""
    collation: str = ""
    """Qualified; empty where it is the type's own."""
    default: str = field(default="", compare=False)
    missing: str | None = field(default=None, compare=False)
    """What the rows read that the table's partitions had before the column was added, where the server keeps it."""
    nulls: Check | None = field(default=None, compare=False)
    """The constraint behind NOT NULL, on servers where it is one (18)."""


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
    exclusion: str = ""
    """What the exclusion constraint on it says, as PostgreSQL prints it; empty where there is none."""


@dataclass(frozen=True, slots=True)
class OwnSequence:
    """A sequence that belongs to a column: it moves with the table, and is dropped with it."""

    schema: str
    name: str
    column: str
    identity: bool
    heir: str | None
    """The column of the parent that it serves, or could belong to."""
    may_inherit: bool
    """Whether that column may own it as it is: in one schema, of one owner."""
    users: tuple[str, ...]
    """What uses it beside its own table, each in PostgreSQL's words."""

    @property
    def stays(self) -> bool:
        """Whether it has to stay when its table moves: something else uses it, and it can change hands."""
        return bool(self.users) and not self.identity

    @property
    def sql(self) -> str:
        """Its quoted and qualified name."""
        return qualified(self.schema, self.name)

    @property
    def label(self) -> str:
        """Its name for people: schema.name."""
        return f"{self.schema}.{self.name}"


_MANNERS = re.compile(r"(?: NO INHERIT| NOT VALID| NOT ENFORCED)+$")


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint, its definition as pg_get_constraintdef() gives it."""

    name: str
    definition: str
    validated: bool

    @property
    def expression(self) -> str:
        """The definition without what follows the expression."""
        return _MANNERS.sub("", self.definition)

    @property
    def no_inherit(self) -> bool:
        """Whether it is for this table alone."""
        return " NO INHERIT" in self.definition.removeprefix(self.expression)

    @property
    def enforced(self) -> bool:
        """False for NOT ENFORCED, which 18 brought."""
        return " NOT ENFORCED" not in self.definition.removeprefix(self.expression)

    def range_on(self, key: Key) -> Bounds | None:
        """The range of `key` that this constraint says and nothing else, by its first column alone; or None."""
        found = self._on(key)
        ends = conditions.ends_of(found) if found is not None else None
        if ends is None or ends == ("MINVALUE", "MAXVALUE"):
            return None
        lower, upper = (", ".join([end, *["MINVALUE" if end != "MAXVALUE" else end] * len(key.rest)]) for end in ends)
        try:
            return Bounds.parse(f"FOR VALUES FROM ({lower}) TO ({upper})", key)
        except ValueError:
            return None

    def says(self, key: Key, bounds: Bounds | None) -> bool:
        """Whether it says exactly this range of `key`, and nothing else."""
        if bounds is None or not bounds.is_range:
            return False
        found, wanted = self._on(key), conditions.of_range(key, *ends_of(bounds.text))
        return found is not None and any(
            conditions.alike(key, found, one) for one in (wanted, conditions.without_nulls(wanted))
        )

    def values_on(self, key: Key) -> tuple[tuple[int, str], ...]:
        """(the number of a part of the key, a constant that it is compared with) of what it says of the key alone."""
        found = self._on(key)
        return () if found is None else conditions.values(found)

    def _on(self, key: Key) -> conditions.Condition | None:
        """What it says of the key, beside what is demanded of every row above a branch."""
        body = self.definition.removeprefix("CHECK ").removesuffix(" NOT VALID")
        return conditions.read(key, body.replace(f"{key.above} AND ", "", 1) if key.above else body)

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

    @property
    def is_unproven(self) -> bool:
        """Whether rows that were there before it may break it."""
        return self.definition.endswith(" NOT VALID")
