"""Writes backups to their place, restores them into a server that is thrown away to prove them, and brings them back.

A backup is one zstd stream of plain SQL (see core.plans.restore) and a manifest, which is written last: an object
without one is a leftover and never a backup. Nothing here holds more than a few megabytes of rows at once.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import psycopg2
import zstandard
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.backups import streams
from core.backups.standalone import EVERYWHERE, Lone, read_columns, write_lone
from core.backups.storage.folder import Place
from core.backups.streams import (
    CHUNK,
    LOCK_MS,
    Fetched,
    Fingerprinting,
    Following,
    Packing,
    Rows,
    codec,
    copy_rows,
    driver_of,
    dumping,
    wrapped,
)
from core.errors import (
    BackupDamaged,
    BackupNotFound,
    BackupUnusable,
    Cancelled,
    ConnectionFailed,
    DeskError,
    Failed,
    PlaceFailed,
    PlanOutdated,
    Refused,
    UsageError,
)
from core.names import comment_sql, fit, ident, literal, qualified
from core.plans.manifest import (
    MANIFEST,
    OBJECT,
    PROOFS,
    Backup,
    BackupColumn,
    Kept,
    Proof,
    Unreadable,
    may_be_of,
    proofs_from_json,
    proofs_to_json,
)
from core.plans.plan import Plan
from core.plans.restore import (
    Surroundings,
    after_rows,
    before_rows,
    copy_line,
    general_statements,
    marks_of,
    require_backed_up,
    require_its_own,
)
from core.postgres.connection import (
    MISMATCH,
    is_lost,
    parse_url,
    server_message,
    session,
    sqlstate,
    translate,
    working_engine,
)
from core.postgres.embedded import running_server
from core.postgres.programs import Tool
from core.tables.bounds import Bounds, Key, KeyType, within
from core.tables.catalog.definition import read_definition
from core.tables.catalog.table import read_server
from core.tables.fingerprint import SETTINGS, fingerprint, fingerprint_sql
from core.tables.model import Archived, ArchiveSchema, Check, Marks, Partition, PartitionedTable, Source

Work = streams.Work
"""How far a backup, a verification or a restore is."""
Report = streams.Report
"""Told how far it is, about five times a second, from a thread of its own."""
LEFTOVER = "An object without a manifest: a backup that did not come to its end. It can be deleted."
"""The reason with which `read_all_kept` tells of leftovers."""

PROOFS_KEPT = 50
"""How many earlier proofs the side file of a backup keeps."""

_STALE_S = 120
"""How long a folder without a lock may be one that is being made."""
_THROWAWAY = "throwaway-"
_LOCK = "in-use.lock"
_POOR = "partition_desk_replay"
"""The role that replays a backup in a throwaway server: it owns the database and may neither run programs nor read
files."""
_LONGEST_HOME = 58
"""Bytes of a home in which a server's socket has room a folder further down."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# --- back up ------------------------------------------------------------------------------------------------------


def back_up(
    engine: Engine,
    table: PartitionedTable,
    name: str,
    place: Place,
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
    PlaceFailed, Cancelled, ConnectionFailed, or Failed with what pg_dump said; then nothing is left in the place.
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
                follow.tell(f"Writing {name} to {place.label}")
                backup = _write(reader, engine, draft, found.sql, place, tool, snapshot, follow)
        except DBAPIError as error:
            follow.check()
            raise translate(error) from error
        follow.tell("Writing the manifest")
        backup = replace(backup, finished_at=_now())
        try:
            follow.check()
            place.write_text(backup.manifest, backup.to_json())
        except DeskError:
            with suppress(PlaceFailed):
                place.delete(backup.object)
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
    timeouts = ["statement_timeout", "idle_in_transaction_session_timeout"]
    if table.server.version_num >= 170000:
        timeouts.append("transaction_timeout")
    reader.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        for statement in (*SETTINGS, *(f"SET LOCAL {name} = 0" for name in timeouts)):
            reader.exec_driver_sql(statement)
        reader.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_MS}")
        reader.exec_driver_sql(f"LOCK TABLE ONLY {found.sql} IN ACCESS SHARE MODE")
        yield str(reader.exec_driver_sql("SELECT pg_catalog.pg_export_snapshot()").scalar_one())
    finally:
        if not _closed(reader):
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
    elif attached and (row.bounds is None or Bounds.parse(row.bounds) != found.bounds):
        changes.append(f"The bounds of {found.name} are now {row.bounds}.")
    own, marks = Marks.split(row.comment)
    was = Marks.split(found.comment if isinstance(found, Partition) else found.marks.beside(found.comment))
    if (own, marks.tag) != (was[0], was[1].tag):
        changes.append(f"The comment of {found.name} was changed.")
    rows = reader.exec_driver_sql(_CHECKS.format(oid=found.oid)).all()
    checks = tuple(Check(row.conname, row.definition, row.convalidated) for row in rows)
    bounded = table.key is not None and any(check.range_on(table.key) == found.bounds for check in checks)
    if isinstance(found, Archived) and found.source is Source.CHECK and not bounded:
        changes.append(f"{found.name} has no CHECK of its bounds any more.")
    if changes:
        raise PlanOutdated(f"{found.sql} is not as it was.", tuple(changes))
    return replace(found, checks=checks)


def _draft(
    reader: Connection, table: PartitionedTable, found: Partition | Archived, id: str, archive_schema: str, started: str
) -> Backup:
    """The manifest as far as it is known before a row was read."""
    definition = read_definition(reader, found.schema, found.name)
    lone = write_lone(reader, definition, (archive_schema, found.name))
    bounds, key = found.bounds, table.key
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
    )
    relation = qualified(archive_schema, found.name)
    create = (
        *general_statements(where.encoding, archive_schema, lone.needs),
        lone.create,
        *lone.settings,
    )
    return replace(
        draft,
        create=create,
        afterwards=(*check, *lone.constraints, comment_sql(relation, marks_of(draft).beside(comment))),
    )


_WHERE = """
SELECT pg_catalog.current_database() AS database, pg_catalog.current_setting('server_version') AS version,
    pg_catalog.current_setting('server_version_num')::int AS version_num,
    pg_catalog.getdatabaseencoding() AS encoding
"""


def _bounds_check(
    found: Partition | Archived, lone: Lone, bounds: Bounds, key: Key, relation: str
) -> tuple[tuple[str, ...], bool, bool]:
    """(the CHECK of the bounds to be added, whether one is in the backup, whether it was added)."""
    if any(check.range_on(key) == bounds for check in found.checks):
        return (), True, False
    if isinstance(found, Archived) and found.source is Source.NAME:
        return (), False, False  # nothing proves them yet, and a restore must not fail on what the source allows
    stem = f"{found.name}_{key.column}"
    names = (fit(stem, f"_check{number or ''}") for number in range(len(lone.constraint_names) + 1))
    name = next(one for one in names if one not in lone.constraint_names)
    return (f"ALTER TABLE {relation} ADD CONSTRAINT {ident(name)} CHECK ({within(key, bounds)})",), True, True


def _write(
    reader: Connection,
    engine: Engine,
    draft: Backup,
    source: str,
    place: Place,
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
        written = place.write(draft.object, packing.chunks())
        total = rows.result()
    if written != packing.bytes:  # the manifest would not fit what lies there
        with suppress(PlaceFailed):
            place.delete(draft.object)
        raise PlaceFailed(f"{place.label} took {written} of {packing.bytes} bytes.", next="Try again.")
    return replace(
        draft,
        rows=total[0],
        fingerprint=fingerprint(*total),
        raw_bytes=packing.raw_bytes,
        bytes=packing.bytes,
        sha256=packing.digest.hexdigest(),
    )


# --- what lies in the place ---------------------------------------------------------------------------------------


def read_kept(place: Place, id: str) -> Kept:
    """A backup and its proofs. Raises BackupNotFound, BackupUnusable, BackupDamaged for its manifest, PlaceFailed."""
    backup = Backup.from_json(place.read_text(id + MANIFEST))
    if backup.id != id:
        raise BackupDamaged(
            f"The manifest is that of another backup: {backup.id}.", next="Use another backup of the same table."
        )
    return Kept(backup, _read_proofs(place, id))


def _read_proofs(place: Place, id: str) -> tuple[Proof, ...]:
    """Those of the side file; one that can't be read proves nothing."""
    try:
        return proofs_from_json(place.read_text(id + PROOFS))
    except (BackupNotFound, BackupDamaged):
        return ()


def read_all_kept(place: Place, *, parent: str | None = None) -> tuple[tuple[Kept, ...], tuple[Unreadable, ...]]:
    """Every backup in the place, or those of the table with the address `parent`, newest first, by manifests alone.

    The second are what looks like a backup and is none, leftovers among them (`LEFTOVER`). Raises PlaceFailed.
    """
    sizes = {entry.path: entry.bytes for entry in place.list() if parent is None or may_be_of(entry.path, parent)}
    ids = [path.removesuffix(MANIFEST) for path in sizes if path.endswith(MANIFEST) and not path.endswith(PROOFS)]
    strange = [
        Unreadable(path, LEFTOVER)
        for path in sizes
        if path.endswith(OBJECT) and path.removesuffix(OBJECT) + MANIFEST not in sizes
    ]
    kept: list[Kept] = []
    with ThreadPoolExecutor(8, thread_name_prefix="partition-desk-manifests") as pool:
        for found in pool.map(lambda id: _kept_or_not(place, id, sizes), ids):
            if isinstance(found, Unreadable):
                strange.append(found)
            elif found is not None and (parent is None or found.backup.parent == parent):
                kept.append(found)
    kept.sort(key=lambda one: (one.backup.started_at, one.backup.id), reverse=True)
    return tuple(kept), tuple(strange)


def _kept_or_not(place: Place, id: str, sizes: dict[str, int]) -> Kept | Unreadable | None:
    try:
        kept = read_kept(place, id)
    except BackupNotFound:
        return None  # deleted meanwhile
    except (BackupUnusable, BackupDamaged) as error:
        return Unreadable(id + MANIFEST, error.what)
    size = sizes.get(kept.backup.object)
    if size is None:
        return Unreadable(kept.backup.object, "It is missing, and its manifest is there.")
    if size != kept.backup.bytes:
        return Unreadable(kept.backup.object, f"It has {size:,} bytes, and its manifest says {kept.backup.bytes:,}.")
    return kept


# --- verify -------------------------------------------------------------------------------------------------------


def verify(place: Place, id: str, *, home: Path, actor: str, cancelled: Callable[[], bool], report: Report) -> Proof:
    """Restores a backup into a server that is thrown away, compares it with its manifest, and writes down the proof.

    A backup that is not what its manifest says gives a proof that is not good, with the reason. `home` is where the
    throwaway server may lie; it is removed in any case. Raises BackupNotFound, BackupUnusable for a later format and
    for types that only another PostgreSQL has, PlaceFailed, Cancelled, and ConnectionFailed or Failed where the
    throwaway server can't do its work: none of them says anything of the backup, and no proof is written.
    """
    begun = time.monotonic()
    with Following(cancelled, report) as follow:
        found = _Found()
        try:
            reason = _prove(place, id, home, follow, found)
        except BackupDamaged as error:
            reason = error.what
        except zstandard.ZstdError:
            reason = "It can't be decompressed."
        follow.check()
        proof = Proof(
            at=_now(),
            actor=actor,
            good=not reason,
            reason=reason,
            rows=found.rows,
            fingerprint=found.fingerprint,
            sha256=found.sha256,
            server_version=found.server_version,
            seconds=round(time.monotonic() - begun, 3),
        )
        place.write_text(id + PROOFS, proofs_to_json((*_read_proofs(place, id)[-PROOFS_KEPT:], proof)))
    return proof


@dataclass(slots=True)
class _Found:
    """What a verification has found so far."""

    sha256: str = ""
    rows: int | None = None
    fingerprint: str = ""
    server_version: str = ""


def _prove(place: Place, id: str, home: Path, follow: Following, found: _Found) -> str:
    """Why the backup is not what its manifest says; empty where it is."""
    backup = read_kept(place, id).backup
    reason = _not_its_own(backup)
    if reason:
        return reason
    with _temporary_folder(home) as folder:
        follow.tell(f"Fetching it from {place.label}", bytes_total=backup.bytes, rows_total=backup.rows)
        fetched = folder / "object"
        reason = _fetch(place, backup, fetched, follow, found)
        if reason:
            return reason
        follow.tell("Starting a PostgreSQL to restore it into", bytes_done=0)
        with _throwaway_database(folder, backup.encoding) as (main, poor):
            try:
                _make_extensions(main, poor.url.username or "", backup)
                with session(poor) as connection, follow.stopping(driver_of(connection).cancel):
                    found.server_version = str(connection.exec_driver_sql("SHOW server_version").scalar_one())
                    with fetched.open("rb") as file:
                        return _replay(connection, file, backup, follow, found)
            except (psycopg2.Error, DBAPIError) as error:
                return _reason_of(error if isinstance(error, DBAPIError) else wrapped(error), follow)


def _not_its_own(backup: Backup) -> str:
    """Why its SQL is not run; empty where it is what a backup of this table holds and no more."""
    encoding = codec(backup.encoding)
    try:
        require_its_own(backup)
        text = f"{before_rows(backup)}{after_rows(backup)}"
        same = text.encode(encoding).decode(encoding) == text  # some turn \u00a5 into a backslash
    except BackupUnusable as error:
        return " ".join([error.what, *error.reasons])
    except (UsageError, UnicodeError):
        return "The manifest holds a name or text that no table can have."
    return "" if same else f"The manifest holds letters that are not {backup.encoding}."


def _make_extensions(main: Engine, owner: str, backup: Backup) -> None:
    """Makes the extensions that the backup needs, which its own statements may not; their schemas are `owner`'s."""
    with session(main) as connection:
        for need in backup.needs:
            if need.kind != "extension":
                continue
            if need.schema not in ("pg_catalog", "public"):
                connection.exec_driver_sql(
                    f"CREATE SCHEMA IF NOT EXISTS {ident(need.schema)} AUTHORIZATION {ident(owner)}"
                )
            connection.exec_driver_sql(need.sql)


def _reason_of(error: DBAPIError, follow: Following) -> str:
    """What the throwaway server says of the backup. Raises where it says something of itself or of a cancel."""
    follow.check()
    said, state = server_message(error), sqlstate(error)
    if state == "0A000":  # such as xml where PostgreSQL was built without it
        raise BackupUnusable(
            f"The PostgreSQL that comes with this console lacks what the backup holds: {said}.",
            next="It can be proven by hand only: restore it into a server that has it, and compare.",
        ) from error
    if is_lost(error) or state[:2] in ("53", "57", "58", "XX"):
        raise Failed(
            f"The server that the backup was restored into failed: {said}.",
            sqlstate=state,
            safe="The backup was not changed; this says nothing about it.",
            next="Make room for the restored table in PARTITION_DESK_HOME and try again.",
        ) from error
    return f"It can't be restored: {said}."


def _fetch(place: Place, backup: Backup, target: Path, follow: Following, found: _Found) -> str:
    """Brings the object here and returns what is wrong with its bytes; nothing of it is read as SQL before."""
    try:
        chunks = place.read(backup.object)
    except BackupNotFound:
        return "Its object is missing."
    source = Fetched(chunks, follow)
    try:
        target.touch(mode=0o600)
        with target.open("wb") as file:
            while piece := source.read(CHUNK):
                file.write(piece)
    except OSError as error:
        raise Failed(
            f"The backup can't be fetched to {target.parent}: {error.strerror}.",
            safe="The backup was not changed; this says nothing about it.",
            next="Make room there and try again.",
        ) from error
    found.sha256 = source.digest.hexdigest()
    if source.bytes != backup.bytes:
        return f"It has {source.bytes:,} bytes, and its manifest says {backup.bytes:,}."
    if found.sha256 != backup.sha256:
        return "Its bytes were changed: the checksum is not the manifest's."
    return ""


@contextmanager
def _temporary_folder(home: Path) -> Iterator[Path]:
    """A fresh folder for a server, in `home` where the path leaves room for its socket; those of the dead go, too."""
    try:
        parent = home if len(os.fsencode(home.absolute())) <= _LONGEST_HOME else Path(tempfile.gettempdir())
        if not parent.exists():
            parent.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True)
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=_THROWAWAY, dir=parent))
        lock = _locked(folder, create=True)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # the server's user passes through; what lies below is its owner's alone
    except OSError as error:
        raise Failed(
            f"There is no room for a throwaway server in {home}: {error.strerror}.",
            safe="The backup was not changed; this says nothing about it.",
            next="Set PARTITION_DESK_HOME to a folder with room for the restored table.",
        ) from error
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Removes the throwaway servers of processes that were killed: those whose locks nobody holds."""
    for folder in parent.glob(f"{_THROWAWAY}*"):
        with suppress(OSError):
            if folder.stat().st_uid != os.geteuid() or time.time() - folder.stat().st_mtime < _STALE_S:
                continue
            home = folder / "server"
            with _locked(folder) if (folder / _LOCK).exists() else nullcontext():
                if (home / "users.lock").exists():
                    with (home / "users.lock").open("a") as users:
                        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if (home / "data" / "postmaster.pid").exists():
                        with suppress(DeskError), running_server(home):  # the last to leave stops it
                            pass
                shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path, *, create: bool = False) -> IO[bytes]:
    """The folder's lock, held until it is closed; nobody else can open it. Raises OSError where somebody holds it."""
    opened = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
    file = os.fdopen(opened, "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


_FAST = (
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "ALTER SYSTEM SET synchronous_commit = off",
    "ALTER SYSTEM SET autovacuum = off",
    "ALTER SYSTEM SET max_wal_size = '4GB'",
    "SELECT pg_catalog.pg_reload_conf()",
)


@contextmanager
def _throwaway_database(folder: Path, encoding: str) -> Iterator[tuple[Engine, Engine]]:
    """An empty database in a server of its own that need not survive anything, in the newest version there is.

    Two engines lead there: the superuser's, and that of a role which owns the database and may do nothing else. The
    second logs in as itself, so that no SQL makes it another.
    """
    home = folder / "server"
    with running_server(home) as url:
        main = working_engine(parse_url(url))
        try:
            with session(main) as connection:
                for statement in (*_FAST, f"CREATE ROLE {_POOR} LOGIN"):
                    connection.exec_driver_sql(statement)
                locale = "" if encoding == "UTF8" else " LOCALE_PROVIDER libc LOCALE 'C'"
                connection.exec_driver_sql(
                    f"CREATE DATABASE backup OWNER {_POOR} TEMPLATE template0 ENCODING {literal(encoding)}{locale}"
                )
        except DBAPIError as error:
            raise Failed(f"The throwaway server failed: {server_message(error)}.", sqlstate=sqlstate(error)) from error
        finally:
            main.dispose()
        there = parse_url(url).set(database="backup")
        main, poor = working_engine(there), working_engine(there.set(username=_POOR))
        try:
            yield main, poor
        finally:
            main.dispose()
            poor.dispose()


def _replay(connection: Connection, file: IO[bytes], backup: Backup, follow: Following, found: _Found) -> str:
    """Runs the object's own text as a driver does, and returns what is not as the manifest says."""
    driver = driver_of(connection)
    driver.set_client_encoding(backup.encoding)
    source = Fetched(iter(lambda: file.read(CHUNK), b""), follow)
    rows = Rows(source, backup, follow)
    rows.require_before()
    copy = copy_line(backup)
    follow.tell("Restoring its rows")
    with driver.cursor() as cursor:
        cursor.execute(rows.before.decode(codec(backup.encoding)).removesuffix(copy))
    copy_rows(driver, copy, rows)
    rows.require_after()
    follow.tell("Building its indexes and constraints")
    with driver.cursor() as cursor:
        cursor.execute(rows.after.decode(codec(backup.encoding)).removeprefix("\\.\n"))
    driver.set_client_encoding("UTF8")
    follow.tell("Comparing every row")
    return _compare(connection, backup, found)


def _compare(connection: Connection, backup: Backup, found: _Found) -> str:
    relation = qualified(backup.archive, backup.name)
    connection.exec_driver_sql("BEGIN READ ONLY")
    for statement in SETTINGS:
        connection.exec_driver_sql(statement)
    sql = f"SELECT {literal(relation)}::regclass::oid"
    oid = int(connection.exec_driver_sql(sql).scalar_one())
    columns = read_columns(connection, oid)
    reason = _columns_differ(backup.columns, columns) or _bounds_differ(connection, backup, oid)
    if reason:
        return reason
    names = [column.name for column in columns]
    rows, total = connection.exec_driver_sql(fingerprint_sql(relation, names)).one()
    found.rows, found.fingerprint = int(rows), fingerprint(int(rows), str(total))
    if found.rows != backup.rows:
        return f"It holds {found.rows:,} rows, and its manifest says {backup.rows:,}."
    if found.fingerprint != backup.fingerprint:
        return "Its rows are not those of the manifest: the fingerprint differs."
    return ""


def _columns_differ(expected: tuple[BackupColumn, ...], found: tuple[BackupColumn, ...]) -> str:
    if [column.name for column in found] != [column.name for column in expected]:
        return f"Its columns are {', '.join(column.name for column in found)}, which is not what the manifest says."
    for want, have in zip(expected, found, strict=True):
        # a collation that not every server has was left out
        ours = replace(have, collation=have.collation if want.collation in EVERYWHERE else want.collation)
        if ours != want:
            return f"Its column {want.name} is {have.type}, which is not as the manifest says: {want.type}."
    return ""


_CHECKS = """
SELECT k.conname, pg_catalog.pg_get_constraintdef(k.oid) AS definition, k.convalidated
FROM pg_catalog.pg_constraint k WHERE k.conrelid = {oid} AND k.contype = 'c'
"""


def _bounds_differ(connection: Connection, backup: Backup, oid: int) -> str:
    comment = connection.exec_driver_sql(f"SELECT pg_catalog.obj_description({oid}, 'pg_class')").scalar_one()
    tag = Marks.split(comment)[1].tag
    if tag is None or tag != marks_of(backup).tag:
        return f"Its comment does not say that it was {backup.parent} {backup.bounds}."
    if not backup.bounded:
        return ""
    key = Key(backup.key_column, KeyType(backup.key_type))
    rows = connection.exec_driver_sql(_CHECKS.format(oid=oid)).all()
    checks = [Check(row.conname, row.definition, row.convalidated) for row in rows]
    if not any(check.range_on(key) == Bounds.parse(backup.bounds) for check in checks):
        return f"It has no CHECK of its bounds: {backup.bounds}."
    return ""


# --- restore ------------------------------------------------------------------------------------------------------

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
            wanted = dict.fromkeys(need for one in backup.left_out for need in one.needs)
            present = [need for need in wanted if _is_present(connection, need)]
            types, labels = [ident(name) for name in row.extensions], {}
            for need in backup.needs:
                name = qualified(need.schema, need.name)
                if need.kind == "type" and _scalar(connection, f"pg_catalog.to_regtype({literal(name)}) IS NOT NULL"):
                    types.append(name)
                    found = _scalar(
                        connection,
                        f"(SELECT json_agg(enumlabel) FROM pg_catalog.pg_enum"
                        f" WHERE enumtypid = pg_catalog.to_regtype({literal(name)}))",
                    )
                    if need.labels:
                        labels[name] = tuple(found or ())
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
        types=frozenset(types),
        labels=labels,
        available=frozenset(map(ident, row.available)),
        may_own=frozenset(row.may_own),
    )


def _scalar(connection: Connection, expression: str) -> Any:
    return connection.exec_driver_sql(f"SELECT {expression}").scalar_one()


_LOOKS = {
    "regclass": "pg_catalog.to_regclass({name}) IS NOT NULL",
    "regprocedure": "pg_catalog.to_regprocedure({name}) IS NOT NULL",
    "regtype": "pg_catalog.to_regtype({name}) IS NOT NULL",
    "regoperator": "pg_catalog.to_regoperator({name}) IS NOT NULL",
    "collation": "pg_catalog.to_regcollation({name}) IS NOT NULL",
    "role": "EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {name})",
    "extension": "EXISTS (SELECT 1 FROM pg_catalog.pg_extension WHERE extname = {name})",
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
    place: Place,
    kept: Kept,
    plan: Plan,
    *,
    cancelled: Callable[[], bool],
    report: Report,
) -> int:
    """Runs the plan of a restore in one transaction, feeding it the backup's rows; returns how many there are.

    Nothing is committed unless the object's checksum, its text and the fingerprint of the rows are the manifest's.
    Raises BackupDamaged, BackupNotFound, PlaceFailed, Cancelled, and what the server refuses; nothing is left then.
    """
    backup = kept.backup
    if plan.backup != backup.id:
        raise Refused(f"The plan restores {plan.backup}, and this is {backup.id}.")
    refused = _not_its_own(backup)
    if refused:
        raise BackupUnusable(refused, next="Look at who can write to the place of the backups.")
    with Following(cancelled, report) as follow, follow.stopping(driver_of(work).cancel):
        follow.tell(f"Fetching it from {place.label}", bytes_total=backup.bytes, rows_total=backup.rows)
        source = Fetched(place.read(backup.object), follow)
        rows = Rows(source, backup, follow)
        try:
            work.exec_driver_sql("BEGIN")
            _run_restore(work, plan, rows, source, backup, follow)
            work.exec_driver_sql("COMMIT")
        except (psycopg2.Error, DBAPIError, DeskError, zstandard.ZstdError) as error:
            _roll_back(work)
            raise _restore_error(error, backup, follow) from error
    return backup.rows


def _run_restore(work: Connection, plan: Plan, rows: Rows, source: Fetched, backup: Backup, follow: Following) -> None:
    for statement in (statement for step in plan.steps for statement in step.statements):
        follow.check()
        if not statement.startswith("COPY "):
            work.exec_driver_sql(statement)
            continue
        rows.require_before()
        follow.tell("Restoring its rows")
        try:
            copy_rows(driver_of(work), statement, rows)
        except psycopg2.Error as error:
            if not is_lost(wrapped(error)) and not follow.stopped.is_set():
                _require_checksum(source, backup)  # what the server refuses may be what was changed
            raise
        rows.require_after()
        _require_checksum(source, backup)
        follow.tell("Building its indexes and constraints, and comparing every row")
    follow.check()


def _require_checksum(source: Fetched, backup: Backup) -> None:
    """Reads to the end of the object. Raises BackupDamaged where it is not the one of the manifest."""
    source.drain()
    if (source.bytes, source.digest.hexdigest()) != (backup.bytes, backup.sha256):
        raise BackupDamaged("Its bytes were changed: the checksum is not the manifest's.")


def _roll_back(work: Connection) -> None:
    if _closed(work):
        return
    with suppress(DBAPIError):
        work.exec_driver_sql("ROLLBACK")


def _closed(work: Connection) -> bool:
    """Whether the connection is lost; then the pool is told so, too."""
    if not work.invalidated and driver_of(work).closed:
        work.invalidate()
    return work.invalidated


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
