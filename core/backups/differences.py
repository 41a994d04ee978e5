"""What a table has by now that the backup of it lacks, and that would go for good with a drop."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.backups.levels import Written, write_levels
from core.names import qualified
from core.plans.manifest import Backup
from core.postgres.connection import session, translate
from core.postgres.session import reading
from core.tables.archived import Archived
from core.tables.fingerprint import SETTINGS
from core.tables.marks import Marks

_TIMEOUT_MS = 20_000
_NAMED = (
    (re.compile(r'CREATE (?:UNIQUE )?INDEX ("(?:[^"]|"")+")'), "the index {}"),
    (re.compile(r'ALTER TABLE \S+ ADD CONSTRAINT ("(?:[^"]|"")+")'), "the constraint {}"),
    (re.compile(r"CREATE STATISTICS (\S+)"), "the statistics {}"),
    (re.compile(r'COMMENT ON COLUMN \S+\.("(?:[^"]|"")+") IS'), "the comment of {}"),
    (re.compile(r"COMMENT ON (\w+ \S+)"), "the comment of {}"),
    (re.compile(r'ALTER TABLE \S+ ALTER COLUMN ("(?:[^"]|"")+") SET'), "a setting of {}"),
)


def read_lacking(engine: Engine, archived: Archived, backup: Backup) -> tuple[str, ...]:
    """What of the definition of an archived table, and of all below it, is not in the backup; for people.

    Raises CatalogBusy, ConnectionFailed, BackupUnusable.
    """
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=_TIMEOUT_MS):
                for statement in SETTINGS:
                    connection.exec_driver_sql(statement)
                written = write_levels(connection, archived, backup.archive)
        except DBAPIError as error:
            raise translate(error) from error
    return tuple(dict.fromkeys(_lacking(written, archived, backup)))


def _lacking(written: tuple[Written, ...], archived: Archived, backup: Backup) -> Iterator[str]:
    known = {*backup.create, *backup.afterwards}
    left = {one.what for one in backup.left_out}
    rights = {one.sql for one in backup.left_out}
    tables = {statement.partition(" (\n")[0]: _lines(statement) for statement in backup.create}
    for one in written:
        head = one.lone.create.partition(" (\n")[0]
        whose = f" of {one.level.name}" if one.level.parent else ""
        for line in _lines(one.lone.create) - tables.get(head, frozenset()):
            yield f"the column {line}{whose}"
        for statement in (*one.lone.settings, *one.lone.constraints):
            if statement not in known and not _of_bounds(statement, one, archived, backup):
                yield f"{_said(statement)}{whose}"
        for out in one.lone.left_out:
            if out.what not in left or (out.what == "rights" and out.sql not in rights):
                yield f"{out.sql if out.what == 'rights' else out.what}{whose}"
        own, _ = Marks.split(one.comment)
        if own is not None and not one.level.parent and own != backup.comment:
            yield "its comment"


def _of_bounds(statement: str, one: Written, archived: Archived, backup: Backup) -> bool:
    """Whether it is the CHECK of the bounds, which stands in each leaf, and which a backup makes in its own words."""
    key = archived.own_key(backup.key)
    relation = qualified(backup.archive, one.level.name)
    return archived.bounds is not None and any(
        statement.startswith(f'ALTER TABLE {relation} ADD CONSTRAINT "{check.name.replace(chr(34), chr(34) * 2)}" ')
        for check in archived.checks
        if check.says(key, archived.bounds)
    )


def _lines(create: str) -> frozenset[str]:
    """The columns of a CREATE TABLE, each as it is written."""
    return frozenset(line.strip().removesuffix(",") for line in create.split("\n")[1:-1])


def _said(statement: str) -> str:
    for pattern, words in _NAMED:
        found = pattern.match(statement)
        if found:
            return words.format(found[1].strip('"'))
    return statement
