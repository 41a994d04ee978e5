"""What a table has by now that the backup of it lacks, and that would go for good with a drop."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.backups.levels import Written, write_levels
from core.names import qualified
from core.plans.manifest import Backup, LeftOut
from core.plans.restore import type_differs
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
    (re.compile(r'COMMENT ON CONSTRAINT ("(?:[^"]|"")+") ON'), "the comment of {}"),
    (re.compile(r'COMMENT ON (?:INDEX|STATISTICS) "(?:[^"]|"")+"\.("(?:[^"]|"")+") IS'), "the comment of {}"),
    (re.compile(r'ALTER TABLE \S+ ALTER COLUMN ("(?:[^"]|"")+") SET'), "a setting of {}"),
    (re.compile(r"ALTER TABLE \S+ (REPLICA IDENTITY .*)"), "{}"),
    (re.compile(r'ALTER TABLE \S+ CLUSTER ON ("(?:[^"]|"")+")'), "that it is clustered on {}"),
)
_NAME = r'(?:"(?:[^"]|"")+"|[^\s".]+)'
_WHERE = re.compile(rf"\s(ON|TO) {_NAME}\.{_NAME}(?=\s)")
"""Where what was left out is of a table by its name, which had another schema while it was attached."""


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
    left = {_told(one) for one in backup.left_out}
    tables = {statement.partition(" (\n")[0]: statement for statement in backup.create}
    for one in written:
        create = one.lone.create
        was = tables.get(create.partition(" (\n")[0], "")
        whose = f" of {one.level.name}" if one.level.parent else ""
        for line in _lines(create) - _lines(was):
            yield f"the column {line}{whose}"
        if _tail(create) != _tail(was):
            yield f"the options {_tail(create) or '(none)'}{whose}"
        for statement in (*one.lone.settings, *one.lone.constraints):
            if statement not in known and not _of_bounds(statement, one, archived, backup):
                yield f"{_said(statement)}{whose}"
        for out in one.lone.left_out:
            if _told(out) not in left:
                yield f"{out.sql if out.what == 'rights' else out.what}{whose}"
        own, _ = Marks.split(one.comment)
        if own is not None and not one.level.parent and own != backup.comment:
            yield "its comment"
    yield from _types_changed(written, backup)


def _of_bounds(statement: str, one: Written, archived: Archived, backup: Backup) -> bool:
    """Whether it is the CHECK of the bounds, which stands in each leaf, and which a backup makes in its own words."""
    key = archived.own_key(backup.key)
    relation = qualified(backup.archive, one.level.name)
    return archived.bounds is not None and any(
        statement.startswith(f'ALTER TABLE {relation} ADD CONSTRAINT "{check.name.replace(chr(34), chr(34) * 2)}" ')
        for check in archived.checks
        if check.says(key, archived.bounds)
    )


def _types_changed(written: tuple[Written, ...], backup: Backup) -> Iterator[str]:
    """The types that are not what they were, so that the rows could not be restored beside them."""
    here = {(need.schema, need.name): need for one in written for need in one.lone.needs}
    for need in backup.needs:
        now = here.get((need.schema, need.name))
        if need.kind == "type" and now is not None and any(type_differs(need, qualified(need.schema, need.name), now)):
            yield f"the type {need.schema}.{need.name} as it is now"


def _told(one: LeftOut) -> tuple[str, str]:
    return one.what, _WHERE.sub(r" \1", one.sql, count=1)


def _tail(create: str) -> str:
    """What follows the columns of a CREATE TABLE."""
    return create.rpartition("\n)")[2].strip()


def _lines(create: str) -> frozenset[str]:
    """The columns of a CREATE TABLE, each as it is written."""
    return frozenset(line.strip().removesuffix(",") for line in create.split("\n")[1:-1])


def _said(statement: str) -> str:
    for pattern, words in _NAMED:
        found = pattern.match(statement)
        if found:
            return words.format(found[1].strip('"'))
    return statement
