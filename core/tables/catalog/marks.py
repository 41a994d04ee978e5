"""Reads what the console wrote in the comments of tables, of a whole database, and for whom it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.names import address, qualified
from core.postgres.connection import session, translate
from core.postgres.server import server_of
from core.postgres.session import rows_of
from core.tables.catalog.relation import OWNERS, SPEAKS_FOR
from core.tables.marks import Marks, PlannedDrop


@dataclass(frozen=True, slots=True)
class Marked:
    """A table that the console left a word on, or somebody in its name."""

    schema: str
    name: str
    marks: Marks
    speaks_for: frozenset[int]
    """The oids of the owners of partitioned tables that its own owner is, or has the rights of."""
    attached: bool
    oid: int = 0

    def counts_for(self, owner: int | None) -> bool:
        """Whether the marks count for a table that the role of this oid owns: any role may write them on its own."""
        attached = self.attached and self.marks.tag is None and self.marks.drop is None
        return attached or owner in self.speaks_for


_MARKED = """
WITH {owners}
SELECT c.oid, n.nspname, c.relname, d.description, c.relispartition,
    {speaks_for} AS speaks_for
FROM pg_catalog.pg_description d
JOIN pg_catalog.pg_class c ON c.oid = d.objoid AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
    AND d.description LIKE '%partition-desk%'
ORDER BY c.relname
"""

_PARENTS = """
SELECT c.oid, n.nspname, c.relname, c.relowner FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'p'
"""


def read_planned_drops(engine: Engine) -> tuple[tuple[str, PlannedDrop], ...]:
    """(name, planned drop) of every table of the database whose comment says, and counts, that it is to be dropped."""
    found, owners = read_marks(engine)
    return tuple(
        (one.name, drop)
        for one in found
        if (drop := one.marks.drop) is not None and not one.attached and one.counts_for(owners.get(drop.parent))
    )


def read_marks(engine: Engine) -> tuple[tuple[Marked, ...], dict[str, int]]:
    """(every partition and archived table of the database with marks, the owners of partitioned tables by address).

    A mark of a table that was renamed or moved since names it as it is called now.
    """
    with session(engine) as connection:
        try:
            rows, parents = (
                rows_of(connection, _MARKED.format(owners=OWNERS, speaks_for=SPEAKS_FOR)),
                rows_of(connection, _PARENTS),
            )
            cluster = server_of(connection).cluster
        except DBAPIError as error:
            raise translate(error) from error
    now = {row.oid: (row.nspname, row.relname) for row in parents}
    found = (
        Marked(
            row.nspname,
            row.relname,
            _as_named_now(Marks.split(row.description)[1], now, cluster),
            frozenset(row.speaks_for),
            row.relispartition,
            row.oid,
        )
        for row in rows
    )
    owners = {address(row.nspname, row.relname): row.relowner for row in parents}
    return tuple(one for one in found if one.marks != Marks()), owners


def _as_named_now(marks: Marks, now: Mapping[int, tuple[str, str]], cluster: str) -> Marks:
    tag = marks.tag
    if tag is None or tag.oid not in now or tag.cluster != cluster:
        return marks
    parent, drop = now[tag.oid], marks.drop
    return replace(
        marks,
        tag=replace(tag, parent=qualified(*parent)),
        drop=None if drop is None else replace(drop, parent=address(*parent)),
    )
