"""Restores a backup: runs its plan in one transaction and feeds it the rows, checked on the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg2
import zstandard
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.backups.levels import counted, placed_otherwise, read_levels
from core.backups.needs import type_there
from core.backups.progress import Following, Report
from core.backups.storage.base import Storage
from core.backups.streams import Fetched, Rows, codec, copy_rows
from core.errors import BackupDamaged, BackupUnusable, Cancelled, ConnectionFailed, DeskError, Refused, UsageError
from core.names import ident, literal, qualified
from core.plans.guard import require_its_own
from core.plans.manifest import Backup, Needed
from core.plans.plan import Plan
from core.plans.proof import Kept
from core.plans.restore import Surroundings
from core.plans.script import after_rows, before_rows, between_rows
from core.postgres.collation import DEFAULT_ORDER
from core.postgres.connection import MISMATCH, is_lost, server_message, session, sqlstate, translate
from core.postgres.driver import driver_of, is_closed, wrapped
from core.postgres.publications import will_send
from core.postgres.server import read_server
from core.postgres.session import as_the_role, reading
from core.tables.catalog.rows import ROWS_TIMEOUT_MS
from core.tables.fingerprint import SETTINGS
from core.tables.marks import Marks
from core.tables.table import ArchiveSchema

_SURROUNDINGS = """
SELECT n.oid IS NOT NULL AS archive_exists, pg_catalog.getdatabaseencoding() AS encoding,
    coalesce(pg_catalog.has_schema_privilege(n.oid, 'CREATE'), false) AS may_create,
    coalesce((SELECT bool_or(acl.grantee = 0) FROM pg_catalog.aclexplode(n.nspacl) acl), false) AS open_to_public,
    (SELECT json_agg(c.relname) FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid) AS relations,
    (SELECT json_agg(t.typname) FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid) AS types,
    (SELECT json_agg(s.nspname) FROM pg_catalog.pg_namespace s) AS schemas,
    (SELECT json_agg(r.rolname) FROM pg_catalog.pg_roles r
        WHERE pg_catalog.pg_has_role(r.oid, 'MEMBER')) AS may_own,
    (SELECT json_agg(e.name) FROM pg_catalog.pg_available_extensions e) AS available,
    (SELECT json_agg(e.extname) FROM pg_catalog.pg_extension e) AS extensions
FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = {archive}
"""


def read_surroundings(engine: Engine, backup: Backup, *, archive_schema: str) -> Surroundings:
    """What `plan_restore` has to know of the server. Raises ConnectionFailed and what the server refuses."""
    server = read_server(engine)
    with session(engine) as connection:
        try:
            row = connection.exec_driver_sql(_SURROUNDINGS.format(archive=literal(archive_schema))).one()
            sent_by = will_send(connection, archive_schema)
            wanted = dict.fromkeys(need for one in backup.left_out for need in one.needs)
            present = [need for need in wanted if _is_present(connection, need)]
            types: dict[str, Needed | None] = dict.fromkeys(map(ident, row.extensions))
            for need in backup.needs:
                name = qualified(need.schema, need.name)
                oid = (
                    _scalar(connection, f"pg_catalog.to_regtype({literal(name)})::oid") if need.kind == "type" else None
                )
                if oid is not None:
                    types[name] = type_there(connection, oid)
        except DBAPIError as error:
            raise translate(error) from error
    return Surroundings(
        server=server,
        archive=ArchiveSchema(
            archive_schema,
            exists=row.archive_exists,
            may_create=row.may_create,
            open_to_public=row.open_to_public,
            taken=frozenset([*(row.relations or ()), *(row.types or ())]),
        ),
        encoding=row.encoding,
        schemas=frozenset(row.schemas),
        present=frozenset(present),
        types=types,
        sent_by=sent_by,
        available=frozenset(map(ident, row.available)),
        may_own=frozenset(row.may_own),
    )


def _scalar(connection: Connection, expression: str) -> Any:
    return connection.exec_driver_sql(f"SELECT {expression}").scalar_one()


_THERE = """
SELECT c.oid, pg_catalog.obj_description(c.oid, 'pg_class') AS comment
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass({name}) AND c.relkind IN ('r', 'p')
"""


def holds(engine: Engine, relation: str, backup: Backup) -> bool:
    """Whether a table, quoted and qualified, is what a backup holds, and has no mark of another.

    That is: the columns, the very rows, and the same below it. Reads every row; False as well where that takes too
    long, or can't be done just now.
    """
    with session(engine) as connection:
        try:
            with reading(connection, timeout_ms=ROWS_TIMEOUT_MS):
                row = connection.exec_driver_sql(_THERE.format(name=literal(relation))).one_or_none()
                if row is None:
                    return False
                tag = Marks.split(row.comment)[1].tag
                if tag is not None and tag.bounds != backup.bounds:
                    return False
                for statement in SETTINGS:
                    connection.exec_driver_sql(statement)
                return _is_whole(connection, row.oid, backup)
        except DBAPIError as error:
            if is_lost(error):
                raise translate(error) from error
            return False


def _is_whole(connection: Connection, oid: int, backup: Backup) -> bool:
    """Whether the table, whatever its name, and all below it are as the backup has them, row by row."""
    levels = read_levels(connection, oid)
    root = levels[0].name
    below = (replace(one, parent=root) if one.parent == backup.name else one for one in backup.below)
    backup = replace(backup, name=root, below=tuple(below))
    if placed_otherwise(backup, levels):
        return False
    found = {one.name: one for one in levels}
    columns = [[(column.name, column.type) for column in one.columns] for one in backup.levels]
    if columns != [[(column.name, column.type) for column in found[one.name].columns] for one in backup.levels]:
        return False
    return all(counted(connection, found[leaf.name], backup).fingerprint == leaf.fingerprint for leaf in backup.leaves)


_LOOKS = {
    "regclass": "pg_catalog.to_regclass({name}) IS NOT NULL",
    "regprocedure": "pg_catalog.to_regprocedure({name}) IS NOT NULL",
    "regtype": "pg_catalog.to_regtype({name}) IS NOT NULL",
    "regoperator": "pg_catalog.to_regoperator({name}) IS NOT NULL",
    "collation": "pg_catalog.to_regcollation({name}) IS NOT NULL",
    "order": f"{DEFAULT_ORDER} = {{name}}",
    "role": "EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {name})",
    "extension": "EXISTS (SELECT 1 FROM pg_catalog.pg_extension WHERE extname = {name})",
    "other": " OR ".join(  # as pg_describe_object() tells it
        f"EXISTS (SELECT 1 FROM pg_catalog.{catalog} o"
        f" WHERE pg_catalog.pg_describe_object('pg_catalog.{catalog}'::regclass, o.oid, 0) = {{name}})"
        for catalog in ("pg_opclass", "pg_opfamily", "pg_ts_config", "pg_ts_dict")
    ),
    "lz4": "EXISTS (SELECT 1 FROM pg_catalog.pg_settings WHERE name = 'default_toast_compression'"
    " AND 'lz4' = ANY (enumvals))",
}


def _is_present(connection: Connection, need: str) -> bool:
    """Whether something that a statement of a backup needs exists here; unknown kinds don't."""
    kind, _, name = need.partition(" ")
    look = _LOOKS.get(kind)
    return look is not None and bool(_scalar(connection, look.format(name=literal(name))))


def restore(
    work: Connection,
    storage: Storage,
    kept: Kept,
    plan: Plan,
    *,
    cancelled: Callable[[], bool],
    report: Report,
) -> int:
    """Runs the plan of a restore in one transaction, feeding it the backup's rows; returns how many there are.

    Nothing is committed unless the object's checksum, its text and the fingerprint of the rows are the manifest's.
    Raises BackupDamaged, BackupNotFound, StorageFailed, Cancelled, and what the server refuses; nothing is left then.
    """
    backup = kept.backup
    if plan.backup != backup.id:
        raise Refused(f"The plan restores {plan.backup}, and this is {backup.id}.")
    refused = why_not_its_own(backup)
    if refused:
        raise BackupUnusable(refused, next="Look at who can write to the place of the backups.")
    with Following(cancelled, report) as follow, follow.stopping(driver_of(work).cancel):
        follow.tell(f"Fetching it from {storage.label}", bytes_total=backup.bytes, rows_total=backup.rows)
        source = Fetched(storage.read(backup.object), follow)
        rows = Rows(source, backup, follow)
        try:
            work.exec_driver_sql("BEGIN")
            as_the_role(work)
            _run_restore(work, plan, rows, source, backup, follow)
            work.exec_driver_sql("COMMIT")
        except (psycopg2.Error, DBAPIError, DeskError, zstandard.ZstdError) as error:
            _roll_back(work)
            raise _restore_error(error, backup, follow) from error
    return backup.rows


def _run_restore(work: Connection, plan: Plan, rows: Rows, source: Fetched, backup: Backup, follow: Following) -> None:
    left = len(backup.leaves)
    rows.require_before()
    if not left:
        _require_end(rows, source, backup)
    for statement in (statement for step in plan.steps for statement in step.statements):
        follow.check()
        if not statement.startswith("COPY "):
            work.exec_driver_sql(statement)
            continue
        if left < len(backup.leaves):
            rows.require_next()
        left -= 1
        follow.tell("Restoring its rows")
        try:
            copy_rows(driver_of(work), statement, rows)
        except psycopg2.Error as error:
            if not is_lost(wrapped(error)) and not follow.stopped.is_set():
                _require_checksum(source, backup)  # what the server refuses may be what was changed
            raise
        if left:
            continue
        _require_end(rows, source, backup)
        follow.tell("Building its indexes and constraints, and comparing every row")
    follow.check()


def _require_end(rows: Rows, source: Fetched, backup: Backup) -> None:
    rows.require_after()
    _require_checksum(source, backup)


def _require_checksum(source: Fetched, backup: Backup) -> None:
    """Reads to the end of the object. Raises BackupDamaged where it is not the one of the manifest."""
    source.drain()
    if (source.bytes, source.digest.hexdigest()) != (backup.bytes, backup.sha256):
        raise BackupDamaged("Its bytes were changed: the checksum is not the manifest's.")


def _roll_back(work: Connection) -> None:
    if is_closed(work):
        return
    with suppress(DBAPIError):
        work.exec_driver_sql("ROLLBACK")


def _restore_error(
    error: psycopg2.Error | DBAPIError | DeskError | zstandard.ZstdError, backup: Backup, follow: Following
) -> DeskError:
    other = "Use another backup of the same table, and verify this one to have its state written down."
    if isinstance(error, zstandard.ZstdError):
        return BackupDamaged("The backup can't be decompressed.", next=other)
    if isinstance(error, BackupDamaged):
        return BackupDamaged(f"The backup {backup.id} is damaged. {error.what}", next=other)
    if isinstance(error, DeskError):
        return error
    refused = error if isinstance(error, DBAPIError) else wrapped(error)
    if follow.stopped.is_set():
        return Cancelled("It was cancelled.")
    if sqlstate(refused) == MISMATCH:
        return BackupDamaged(f"{server_message(refused)}.".replace("..", "."), next=other)
    if is_lost(refused):
        return ConnectionFailed(
            "The connection to the server was lost.",
            safe="The table is there whole or not at all.",
            next="Look once the server is back, and try again.",
        )
    return translate(refused)


def why_not_its_own(backup: Backup) -> str:
    """Why its SQL is not run; empty where it is what a backup of this table holds and no more."""
    encoding = codec(backup.encoding)
    try:
        require_its_own(backup)
        text = "".join((before_rows(backup), *between_rows(backup), after_rows(backup)))
        same = text.encode(encoding).decode(encoding) == text  # some turn \u00a5 into a backslash
    except BackupUnusable as error:
        return " ".join([error.what, *error.reasons])
    except (UsageError, UnicodeError):
        return "The manifest holds a name or text that no table can have."
    return "" if same else f"The manifest holds letters that are not {backup.encoding}."
