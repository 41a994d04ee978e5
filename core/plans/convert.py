"""A partitioned table becomes plain with the rows of all its partitions, in one transaction.

The table is made anew beside the old one, filled, compared, and only then is the old one dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import NameTaken
from core.names import fit, ident
from core.plans.convertible import (
    narrowed,
    nullable_again,
    require_unpartitionable,
)
from core.tables.definition import Contents, Definition
from core.tables.rebuild import (
    belongings,
    compare,
    copy,
    in_tablespace,
    indexing,
    like,
    owner,
    put_aside,
    sequences,
    told,
    with_options,
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """The final SQL of a migration, one transaction: what takes locks first, then what works under them."""

    table: str
    locks: tuple[str, ...]
    """Run together, under the lock budget, and begun again where a lock isn't got in time."""
    statements: tuple[str, ...]
    effects: tuple[str, ...]
    """What has changed, in plain sentences."""

    @property
    def sql(self) -> str:
        """The whole as a script for psql."""
        return "\n".join(["BEGIN;", *(f"{statement};" for statement in (*self.locks, *self.statements)), "COMMIT;"])


# ---------------------------------------------------------------- the two plans


def lock_statements(definition: Definition) -> tuple[str, ...]:
    """What takes every lock of the migration: on the table, and on those that foreign keys join it to.

    A foreign key is dropped here, and made again at the end, because that locks the other table without needing
    rights on it.
    """
    forced = (f"ALTER TABLE {definition.sql} NO FORCE ROW LEVEL SECURITY",) if definition.row_security_forced else ()
    return (
        f"LOCK TABLE {definition.sql} IN ACCESS EXCLUSIVE MODE",
        *(f"ALTER TABLE {fk.other} DROP CONSTRAINT {ident(fk.name)}" for fk in definition.incoming),
        *(f"ALTER TABLE {definition.sql} DROP CONSTRAINT {ident(fk.name)}" for fk in definition.of_kind("f")),
        *forced,
    )


def plan_unpartition(definition: Definition, contents: Contents, *, archived: Iterable[str] = ()) -> Conversion:
    """The SQL that makes a partitioned table plain, with the rows of all its partitions.

    `archived` are the names of the tables that were detached from it; they are left where they are, and told.
    `contents.duplicates` counts groups of rows equal in `remembered_key`. ACCESS EXCLUSIVE on the table and all its
    partitions from beginning to end. Raises Refused for what stands in the way.
    """
    require_unpartitionable(definition)
    _require_free(definition, contents, ())
    constraints, indexes, nullable, notes = narrowed(definition, contents)
    options = Counter(child.options for child in definition.children).most_common(1)
    statements = (
        *put_aside(definition),
        f"CREATE TABLE {definition.sql} ({like(definition)}){with_options(options[0][0] if options else ())}"
        + in_tablespace(definition),
        *owner(definition, definition.sql),
        *sequences(definition),
        copy(definition),
        compare(definition),
        "DROP TABLE " + ", ".join((*(child.sql for child in definition.children), definition.aside_sql)),
        *nullable_again(definition, nullable),
        *indexing(definition, constraints, indexes),
        *belongings(definition, ()),
        f"ANALYZE {definition.sql}",
    )
    left = tuple(archived)
    extras = [extra for child in definition.children for extra in child.extras]
    effects = (
        f"{definition.label} is a plain table again: {contents.rows:,} rows "
        f"from {len(definition.children)} partitions.",
        *notes,
        *([f"Archived and left where they are, not in the plain table: {', '.join(left)}."] if left else []),
        *([f"Gone with the partitions that alone had them: {', '.join(extras)}."] if extras else []),
        *told(definition),
    )
    return Conversion(definition.label, lock_statements(definition), statements, effects)


def _require_free(definition: Definition, contents: Contents, names: tuple[str, ...]) -> None:
    asides = [fit(one.name, "_before") for one in definition.sequences if one.identity]
    clash = sorted({definition.aside, *asides, *names} & contents.taken)
    if clash:
        raise NameTaken(
            f"{definition.schema} already holds {', '.join(clash)}, which the migration needs for itself.",
            next="Rename what stands there, or move it to another schema.",
        )
