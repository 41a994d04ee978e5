"""The text of a backup: the SQL before and after its rows, which makes its table on any server."""

from __future__ import annotations

from collections.abc import Iterable

from core.names import dollar_quoted, ident, literal, qualified, split_qualified
from core.plans.manifest import Backup, Level, Needed
from core.postgres.session import PORTABLE
from core.tables.marks import Hold, Marks, Tag
from core.tables.table import PartitionedTable

ROWS_END = "\\.\n"
"""The line that ends the rows of a COPY."""


def session_statements(encoding: str, time_zone: str) -> tuple[str, ...]:
    """The statements that every object begins with."""
    wanted = {"client_encoding": encoding, **PORTABLE, **({"TimeZone": time_zone} if time_zone else {})}
    return tuple(f"SET {name} = {literal(value)}" for name, value in wanted.items())


def make_if_missing(need: Needed) -> tuple[str, ...]:
    """The statements that make a type, and its schema, where there is none."""
    schema = () if need.schema in ("pg_catalog", "public") else (f"CREATE SCHEMA IF NOT EXISTS {ident(need.schema)}",)
    if need.kind == "extension":
        return (*schema, need.sql)
    name = literal(qualified(need.schema, need.name)).strip()
    body = f"\nBEGIN\n  IF pg_catalog.to_regtype({name}) IS NULL THEN\n    {need.sql};\n  END IF;\nEND\n"
    return (*schema, f"DO {dollar_quoted(body)}")


def general_statements(encoding: str, archive: str, needs: Iterable[Needed], time_zone: str) -> tuple[str, ...]:
    """What every object begins with: the session, the schema, and the types that the table needs."""
    return (
        *session_statements(encoding, time_zone),
        f"CREATE SCHEMA IF NOT EXISTS {ident(archive)}",
        *(statement for need in needs for statement in make_if_missing(need)),
    )


def before_rows(backup: Backup) -> str:
    """The text of the object up to its first row; the format says that it is this."""
    head = (
        f"-- Partition Desk backup, format {backup.format}: {backup.id}\n"
        "-- It restores alone: zstd -dc FILE | psql -v ON_ERROR_STOP=1 DATABASE\n"
    )
    first = [copy_line(backup, leaf) for leaf in backup.leaves[:1]]
    return "".join((head, _script(backup.create), *first))


def copy_line(backup: Backup, leaf: Level) -> str:
    """The last of the text before the first row of a leaf."""
    columns = ", ".join(map(ident, leaf.stored))
    return f"COPY {qualified(backup.archive, leaf.name)} ({columns}) FROM stdin;\n"


def between_rows(backup: Backup) -> tuple[str, ...]:
    """The texts of the object between the rows of a leaf and those of the next."""
    return tuple(ROWS_END + copy_line(backup, leaf) for leaf in backup.leaves[1:])


def after_rows(backup: Backup) -> str:
    r"""The text of the object after its last row, from the line \. on where there are leaves."""
    return (ROWS_END if backup.leaves else "") + _script(backup.afterwards)


def copy_statement(backup: Backup, leaf: Level, archive_schema: str) -> str:
    """The statement of a restore that the rows of a leaf follow."""
    columns = ", ".join(map(ident, leaf.stored))
    encoding = literal(backup.encoding).strip()
    return f"COPY {qualified(archive_schema, leaf.name)} ({columns}) FROM STDIN WITH (ENCODING {encoding})"


def attach_below(archive: str, level: Level) -> str:
    """The statement that makes a table of a backup a partition of the one that it hung on."""
    parent, itself = qualified(archive, level.parent), qualified(archive, level.name)
    return f"ALTER TABLE {parent} ATTACH PARTITION {itself} {level.bounds}"


def marks_of(backup: Backup, hold: Hold | None = None, *, parent: PartitionedTable | None = None) -> Marks:
    """What the comment of the table says that is made from a backup; with its parent's oid where that is there."""
    schema, name = split_qualified(backup.parent)
    return Marks(
        Tag(
            parent=qualified(schema or backup.schema, name),
            schema=backup.schema,
            bounds=backup.bounds,
            archived_at=backup.archived_at or backup.started_at,
            made_check=backup.made_check,
            key=backup.key_column if parent else "",
            oid=parent.oid if parent else 0,
            cluster=parent.server.cluster if parent else "",
            below=tuple((one.name, one.schema) for one in backup.below if one.schema != backup.schema),
        ),
        hold,
    )


def attached_in_order(levels: Iterable[Level]) -> tuple[Level, ...]:
    """The levels below the first, so that each is whole before it is attached, a DEFAULT after its siblings."""
    depths = {"": 0}
    found: list[tuple[int, bool, Level]] = []
    for one in levels:
        depths[one.name] = depths[one.parent] + 1
        found.append((-depths[one.name], one.bounds == "DEFAULT", one))
    return tuple(one for *_, one in sorted(found, key=lambda each: each[:2]) if one.parent)


def _script(statements: Iterable[str]) -> str:
    return "".join(f"{statement};\n" for statement in statements)
