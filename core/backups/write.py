"""Writes a backup: one snapshot's rows and definition, streamed to the place, the manifest last.

A backup is one zstd stream of plain SQL (see core.plans.script) and a manifest: an object without one is a leftover
and never a backup. Nothing here holds more than a few megabytes of rows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.backups.progress import Following, Report
from core.backups.standalone import Lone, read_checks, write_lone
from core.backups.storage.base import Storage
from core.backups.streams import LOCK_MS, Fingerprinting, Packing, codec, dumping
from core.errors import BackupUnusable, DeskError, PlanOutdated, Refused, StorageFailed
from core.names import comment_sql, fit, ident, literal, qualified
from core.plans.backup import require_backed_up
from core.plans.manifest import Backup, BackupKey
from core.plans.script import after_rows, before_rows, general_statements, marks_of
from core.postgres.connection import session, translate
from core.postgres.driver import driver_of, is_closed
from core.postgres.programs import Tool
from core.tables.archived import Archived, Source
from core.tables.bounds import Bounds, within
from core.tables.catalog.definition import read_definition
from core.tables.fingerprint import SETTINGS, fingerprint, fingerprint_sql
from core.tables.key import Key
from core.tables.marks import Marks
from core.tables.partition import Partition
from core.tables.table import PartitionedTable


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def back_up(
    engine: Engine,
    table: PartitionedTable,
    name: str,
    storage: Storage,
    *,
    id: str,
    tool: Tool,
    actor: str,
    reason: str,
    archive_schema: str,
    cancelled: Callable[[], bool],
    report: Report,
) -> Backup:
    """Writes the attached or archived partition `name` to the place under the path `id`, its manifest last.

    Rows and fingerprint are of one snapshot; only ACCESS SHARE is taken. `bytes_total` is never known, `rows_total` is
    the planner's estimate until the rows are counted. Raises Refused, CatalogBusy where the table stays locked,
    StorageFailed, Cancelled, ConnectionFailed, or Failed with what pg_dump said; then nothing is left in the place.
    """
    found = require_backed_up(table, name)
    started = _now()
    with Following(cancelled, report) as follow:
        follow.tell(f"Reading the definition of {name}", rows_total=found.rows)
        try:
            with (
                session(engine) as reader,
                follow.stopping(driver_of(reader).cancel),
                _snapshot(reader, table, found, follow) as snapshot,
            ):
                found = _as_locked(reader, table, found)
                draft = _draft(reader, table, found, id, archive_schema, started)
                draft = replace(draft, tool=f"pg_dump {tool.version}", actor=actor, reason=reason)
                follow.tell(f"Writing {name} to {storage.label}")
                backup = _write(reader, engine, draft, found.sql, storage, tool, snapshot, follow)
        except DBAPIError as error:
            follow.check()
            raise translate(error) from error
        follow.tell("Writing the manifest")
        backup = replace(backup, finished_at=_now())
        try:
            follow.check()
            storage.write_text(backup.manifest, backup.to_json())
        except DeskError:
            with suppress(StorageFailed):
                storage.delete(backup.object)
            raise
    return backup


@contextmanager
def _snapshot(
    reader: Connection, table: PartitionedTable, found: Partition | Archived, follow: Following
) -> Iterator[str]:
    """The name of a snapshot that others can read in, held with ACCESS SHARE on the table until the end.

    The lock comes before the snapshot: in one that is older than a rewriting ALTER TABLE or a TRUNCATE for which the
    lock waited, the table would have no rows. SET and LOCK take none; every SELECT would.
    """
    reader.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        for statement in SETTINGS:
            reader.exec_driver_sql(statement)
        reader.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_MS}")
        reader.exec_driver_sql(f"LOCK TABLE ONLY {found.sql} IN ACCESS SHARE MODE")
        yield str(reader.exec_driver_sql("SELECT pg_catalog.pg_export_snapshot()").scalar_one())
    finally:
        if not is_closed(reader):
            try:
                if follow.stopped.is_set():  # a cancel that comes late must not meet whoever has the session next
                    reader.invalidate()
                else:
                    reader.exec_driver_sql("ROLLBACK")
            except DBAPIError:
                reader.invalidate()


_AS_LOCKED = """
SELECT c.oid, c.relkind::text AS kind, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bounds,
    pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
    (SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition) AS parent
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass({name})
"""


def _as_locked(reader: Connection, table: PartitionedTable, found: Partition | Archived) -> Partition | Archived:
    """The same with its CHECKs as they are under the lock. Raises PlanOutdated where it is not what was read before."""
    row = reader.exec_driver_sql(_AS_LOCKED.format(name=literal(found.sql))).one_or_none()
    if row is None or row.oid != found.oid or row.kind != "r":
        raise PlanOutdated(f"{found.sql} is another table than it was.")
    changes: list[str] = []
    attached = isinstance(found, Partition)
    if row.parent != (table.oid if attached else None):
        changes.append(f"{found.name} is {'no longer' if attached else 'now'} attached.")
    elif attached and (row.bounds is None or Bounds.parse(row.bounds, table.key) != found.bounds):
        changes.append(f"The bounds of {found.name} are now {row.bounds}.")
    own, marks = Marks.split(row.comment)
    was = Marks.split(found.comment if isinstance(found, Partition) else found.marks.beside(found.comment))
    if (own, marks.tag) != (was[0], was[1].tag):
        changes.append(f"The comment of {found.name} was changed.")
    checks = read_checks(reader, found.oid)
    key = _own_key(table, found)
    bounded = key is not None and any(check.says(key, found.bounds) for check in checks)
    if isinstance(found, Archived) and found.source is Source.CHECK and not bounded:
        changes.append(f"{found.name} has no CHECK of its bounds any more.")
    if changes:
        raise PlanOutdated(f"{found.sql} is not as it was.", tuple(changes))
    return replace(found, checks=checks)


def _own_key(table: PartitionedTable, found: Partition | Archived) -> Key | None:
    return found.own_key(table.key) if isinstance(found, Archived) and table.key else table.key


def _draft(
    reader: Connection, table: PartitionedTable, found: Partition | Archived, id: str, archive_schema: str, started: str
) -> Backup:
    """The manifest as far as it is known before a row was read."""
    definition = read_definition(reader, found.schema, found.name)
    lone = write_lone(reader, definition, (archive_schema, found.name))
    bounds, key = found.bounds, _own_key(table, found)
    if bounds is None or key is None:
        raise Refused(f"The bounds of {found.name} are not known.")
    tag = found.tag if isinstance(found, Archived) else None
    comment = found.comment if isinstance(found, Archived) else Marks.split(found.comment)[0]
    check, bounded, made = _bounds_check(found, lone, bounds, key, qualified(archive_schema, found.name))
    where = reader.exec_driver_sql(_WHERE).one()
    draft = Backup(
        id=id,
        database=where.database,
        cluster=table.server.cluster,
        server_version=where.version,
        server_version_num=where.version_num,
        encoding=where.encoding,
        parent=table.address,
        schema=tag.schema if tag else (table.schema if isinstance(found, Archived) else found.schema),
        name=found.name,
        archive=archive_schema,
        bounds=bounds.text,
        bounded=bounded,
        made_check=tag.made_check if tag and not made else made,
        key_column=key.column,
        key_type=key.type.value,
        key_parts=_key_parts(key),
        key_above=key.above,
        columns=lone.columns,
        rows=0,
        fingerprint="",
        raw_bytes=0,
        bytes=0,
        sha256="",
        tool="",
        console=version("partition-desk"),
        archived_at=tag.archived_at if tag else (started if isinstance(found, Archived) else ""),
        started_at=started,
        finished_at="",
        actor="",
        reason="",
        needs=lone.needs,
        create=(),
        afterwards=(),
        left_out=lone.left_out,
        owner=definition.owner,
        comment=comment,
        time_zone=where.time_zone,
    )
    relation = qualified(archive_schema, found.name)
    create = (
        *general_statements(where.encoding, archive_schema, lone.needs, where.time_zone),
        lone.create,
        *lone.settings,
    )
    return replace(
        draft,
        create=create,
        afterwards=(*check, *lone.constraints, comment_sql(relation, marks_of(draft).beside(comment))),
    )


def _key_parts(key: Key) -> tuple[BackupKey, ...]:
    if key.column and not key.rest:
        return ()
    return tuple(BackupKey(part.column, part.expression, part.type.value) for part in key.parts)


_WHERE = """
SELECT pg_catalog.current_database() AS database, pg_catalog.current_setting('server_version') AS version,
    pg_catalog.current_setting('server_version_num')::int AS version_num,
    pg_catalog.getdatabaseencoding() AS encoding,
    coalesce((SELECT substr(one, 10) FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) one
            WHERE s.setrole = 0 AND lower(one) LIKE 'timezone=%' AND s.setdatabase =
                (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())),
        (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone')) AS time_zone
"""


def _bounds_check(
    found: Partition | Archived, lone: Lone, bounds: Bounds, key: Key, relation: str
) -> tuple[tuple[str, ...], bool, bool]:
    """(the CHECK of the bounds to be added, whether one is in the backup, whether it was added)."""
    left = {one.what for one in lone.left_out}
    saying = [check for check in found.checks if check.says(key, bounds)]
    if saying:
        return (), any(f"constraint {check.name}" not in left for check in saying), False
    if any(part.ranks is not None for part in key.parts):
        return (), False, False  # its order is that of a collation, which elsewhere is another or none
    if isinstance(found, Archived) and found.source is Source.NAME:
        return (), False, False  # nothing proves them yet, and a restore must not fail on what the source allows
    stem = f"{found.name}_{key.column or 'key'}"
    names = (fit(stem, f"_check{number or ''}") for number in range(len(lone.constraint_names) + 1))
    name = next(one for one in names if one not in lone.constraint_names)
    return (f"ALTER TABLE {relation} ADD CONSTRAINT {ident(name)} CHECK ({within(key, bounds)})",), True, True


def _write(
    reader: Connection,
    engine: Engine,
    draft: Backup,
    source: str,
    storage: Storage,
    tool: Tool,
    snapshot: str,
    follow: Following,
) -> Backup:
    """Streams the object to the place; the rows are fingerprinted meanwhile, in the same snapshot."""
    columns = [column.name for column in draft.columns]
    driver = driver_of(reader)
    try:
        f"{before_rows(draft)}{after_rows(draft)}".encode(codec(draft.encoding))
    except UnicodeEncodeError as error:
        raise BackupUnusable(f"A name in its definition is not {draft.encoding}, the database's encoding.") from error
    with (
        dumping(engine, tool.path, source, snapshot, draft) as dump,
        follow.stopping(dump.kill),
        follow.stopping(driver.cancel),
        Fingerprinting(driver, fingerprint_sql(source, columns), follow) as rows,
        Packing(draft, dump, rows, follow) as packing,
    ):
        written = storage.write(draft.object, packing.chunks())
        total = rows.result()
    if written != packing.bytes:  # the manifest would not fit what lies there
        with suppress(StorageFailed):
            storage.delete(draft.object)
        raise StorageFailed(f"{storage.label} took {written} of {packing.bytes} bytes.", next="Try again.")
    return replace(
        draft,
        rows=total[0],
        fingerprint=fingerprint(*total),
        raw_bytes=packing.raw_bytes,
        bytes=packing.bytes,
        sha256=packing.digest.hexdigest(),
    )
