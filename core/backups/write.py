"""Writes a backup: one snapshot's rows and definition, streamed to the place, the manifest last.

A backup is one zstd stream of plain SQL (see core.plans.script) and a manifest: an object without one is a leftover
and never a backup. Nothing here holds more than a few megabytes of rows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.backups.levels import Written, require_anywhere, write_levels
from core.backups.progress import Following, Report
from core.backups.standalone import read_checks
from core.backups.storage.base import Storage
from core.backups.streams import LOCK_MS, Dump, Fingerprinting, Packing, codec, dumping
from core.errors import BackupUnusable, DeskError, PlanOutdated, Refused, StorageFailed
from core.names import comment_sql, fit, ident, literal, qualified
from core.plans.backup import require_backed_up
from core.plans.manifest import STORED, Backup, BackupKey, Level, Locale
from core.plans.script import (
    after_rows,
    attach_below,
    attached_in_order,
    before_rows,
    between_rows,
    general_statements,
    marks_of,
)
from core.postgres.connection import session, translate
from core.postgres.driver import driver_of, is_closed
from core.postgres.programs import Tool
from core.tables.archived import Archived, Source
from core.tables.bounds import Bounds, within
from core.tables.catalog.tree import read_trees
from core.tables.conditions import anywhere
from core.tables.distribution import Spread
from core.tables.fingerprint import SETTINGS, fingerprint_sql, together
from core.tables.key import Key
from core.tables.marks import Marks
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import Tree


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
                sources = dict(zip(draft.levels, (found.sql, *(one.sql for one in found.members)), strict=True))
                backup = _write(reader, engine, draft, sources, storage, tool, snapshot, follow)
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
        only = "" if found.members else "ONLY "
        reader.exec_driver_sql(f"LOCK TABLE {only}{found.sql} IN ACCESS SHARE MODE")
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
    if row is None or row.oid != found.oid or row.kind != ("r" if found.is_plain else "p"):
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
    if not found.is_plain and _shape(_tree_now(reader, table, found)) != _shape(found.tree):
        changes.append(f"What hangs below {found.name} was changed.")
    checks = read_checks(reader, found.oid)
    key = _own_key(table, found)
    bounded = key is not None and any(check.says(key, found.bounds) for check in checks)
    if isinstance(found, Archived) and found.source is Source.CHECK and not bounded:
        changes.append(f"{found.name} has no CHECK of its bounds any more.")
    if changes:
        raise PlanOutdated(f"{found.sql} is not as it was.", tuple(changes))
    return replace(found, checks=checks)


def _tree_now(reader: Connection, table: PartitionedTable, found: Partition | Archived) -> Tree | None:
    return read_trees(reader, [found.oid], table.server.can, Spread(), exact=False, archived=False).get(found.oid)


def _shape(tree: Tree | None) -> tuple[tuple[str | int, ...], ...]:
    """What a backup says of each table of a tree, beside its definition."""
    if tree is None:
        return ()
    members = ((one.oid, one.parent, one.sql, one.kind, one.bounds, one.split, one.pending) for one in tree.members)
    return ((tree.oid, tree.split), *members)


def _own_key(table: PartitionedTable, found: Partition | Archived) -> Key | None:
    return found.own_key(table.key) if isinstance(found, Archived) and table.key else table.key


def _draft(
    reader: Connection, table: PartitionedTable, found: Partition | Archived, id: str, archive_schema: str, started: str
) -> Backup:
    """The manifest as far as it is known before a row was read."""
    require_anywhere(reader, table, found)
    root, *below = write_levels(reader, found, archive_schema)
    bounds, key = found.bounds, _own_key(table, found)
    key = key and replace(key, above=anywhere(key.above))
    if bounds is None or key is None:
        raise Refused(f"The bounds of {found.name} are not known.")
    tag = found.tag if isinstance(found, Archived) else None
    comment = found.comment if isinstance(found, Archived) else Marks.split(found.comment)[0]
    check, bounded, made = _bounds_check(found, root, bounds, key, qualified(archive_schema, found.name))
    needs = tuple(dict.fromkeys(need for one in (root, *below) for need in one.lone.needs))
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
        columns=root.level.columns,
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
        needs=needs,
        create=(),
        afterwards=(),
        left_out=tuple(one for each in (*reversed(below), root) for one in each.lone.left_out),
        owner=root.owner,
        comment=comment,
        time_zone=where.time_zone,
        split=root.level.split,
        below=tuple(one.level for one in below),
        locale=Locale(**where.locale),
        compared=STORED,
    )
    return _with_statements(draft, root, below, check)


def _with_statements(draft: Backup, root: Written, below: Sequence[Written], check: tuple[str, ...]) -> Backup:
    """The manifest with what its object says around the rows; `check` adds the CHECK of the bounds."""
    made_of = (root, *below)
    return replace(
        draft,
        create=(
            *general_statements(draft.encoding, draft.archive, draft.needs, draft.time_zone),
            *(sql for one in made_of for sql in (one.lone.create, *one.lone.settings)),
        ),
        afterwards=(
            *(check if not below else ()),
            *(sql for one in made_of for sql in one.lone.constraints),
            *(attach_below(draft.archive, one) for one in attached_in_order(draft.levels)),
            *(check if below else ()),  # with all below it there, so that each gets it
            *(comment_sql(qualified(draft.archive, one.level.name), one.comment) for one in below if one.comment),
            comment_sql(qualified(draft.archive, draft.name), marks_of(draft).beside(draft.comment)),
        ),
    )


def _key_parts(key: Key) -> tuple[BackupKey, ...]:
    if key.column and not key.rest:
        return ()
    return tuple(BackupKey(part.column, part.expression, part.type.value) for part in key.parts)


_WHERE = """
SELECT pg_catalog.current_database() AS database, pg_catalog.current_setting('server_version') AS version,
    pg_catalog.current_setting('server_version_num')::int AS version_num,
    pg_catalog.getdatabaseencoding() AS encoding,
    (SELECT jsonb_build_object('provider', coalesce(one ->> 'datlocprovider', 'c'), 'collate', one ->> 'datcollate',
            'ctype', one ->> 'datctype', 'name', coalesce(one ->> 'datlocale', one ->> 'daticulocale', ''),
            'rules', coalesce(one ->> 'daticurules', ''))  -- each version has its own of these columns
        FROM pg_catalog.pg_database d, to_jsonb(d) one WHERE d.datname = pg_catalog.current_database()) AS locale,
    coalesce((SELECT substr(one, 10) FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) one
            WHERE s.setrole = 0 AND lower(one) LIKE 'timezone=%' AND s.setdatabase =
                (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())),
        (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone')) AS time_zone
"""


def _bounds_check(
    found: Partition | Archived, root: Written, bounds: Bounds, key: Key, relation: str
) -> tuple[tuple[str, ...], bool, bool]:
    """(the CHECK of the bounds to be added, whether one is in the backup, whether it was added)."""
    left = {one.what for one in root.lone.left_out}
    taken = root.lone.constraint_names
    there = [check for check in found.checks if check.name in taken]  # others hold what is of this server alone
    saying = [check for check in there if check.says(key, bounds)]
    if saying:
        return (), any(f"constraint {check.name}" not in left for check in saying), False
    if any(part.ranks is not None for part in key.parts):
        return (), False, False  # its order is that of a collation, which elsewhere is another or none
    if isinstance(found, Archived) and found.source is Source.NAME:
        return (), False, False  # nothing proves them yet, and a restore must not fail on what the source allows
    stem = f"{found.name}_{key.column or 'key'}"
    names = (fit(stem, f"_check{number or ''}") for number in range(len(taken) + 1))
    name = next(one for one in names if one not in taken)
    return (f"ALTER TABLE {relation} ADD CONSTRAINT {ident(name)} CHECK ({within(key, bounds)})",), True, True


def _write(
    reader: Connection,
    engine: Engine,
    draft: Backup,
    sources: Mapping[Level, str],
    storage: Storage,
    tool: Tool,
    snapshot: str,
    follow: Following,
) -> Backup:
    """Streams the object to the place; the rows of each leaf are fingerprinted meanwhile, in the same snapshot."""
    driver = driver_of(reader)
    try:
        "".join((before_rows(draft), *between_rows(draft), after_rows(draft))).encode(codec(draft.encoding))
    except UnicodeEncodeError as error:
        raise BackupUnusable(f"A name in its definition is not {draft.encoding}, the database's encoding.") from error

    def counted(rows: int) -> None:
        if not draft.split:
            follow.tell(rows_total=rows)

    @contextmanager
    def read(leaf: Level) -> Iterator[tuple[Dump, Fingerprinting]]:
        source = sources[leaf]
        sql = fingerprint_sql(source, draft.fingerprinted(leaf), also=leaf.computed)
        with (
            dumping(engine, tool.path, source, snapshot, draft.encoding, leaf) as dump,
            follow.stopping(dump.kill),
            Fingerprinting(driver, sql, follow, counted=counted) as rows,
        ):
            yield dump, rows

    with follow.stopping(driver.cancel), Packing(draft, read, follow) as packing:
        written = storage.write(draft.object, packing.chunks())
    if written != packing.bytes:  # the manifest would not fit what lies there
        with suppress(StorageFailed):
            storage.delete(draft.object)
        raise StorageFailed(f"{storage.label} took {written} of {packing.bytes} bytes.", next="Try again.")
    return _counted(draft, packing)


def _counted(draft: Backup, packing: Packing) -> Backup:
    """The manifest with what was found on the way."""
    counts = {leaf.name: leaf for leaf in packing.leaves}
    return replace(
        draft,
        rows=sum(leaf.rows for leaf in packing.leaves),
        fingerprint=together(leaf.fingerprint for leaf in packing.leaves),
        generated=together(found) if (found := [one.generated for one in packing.leaves if one.generated]) else "",
        below=tuple(counts.get(one.name, one) for one in draft.below),
        raw_bytes=packing.raw_bytes,
        bytes=packing.bytes,
        sha256=packing.digest.hexdigest(),
    )
