"""Verifies a backup: restores it into a server that is thrown away and compares it with its manifest."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psycopg2
import zstandard
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.backups.kept import read_proofs, read_with_manifest
from core.backups.levels import counted, placed_otherwise, read_levels
from core.backups.progress import Following, Report
from core.backups.restore import why_not_its_own
from core.backups.standalone import EVERYWHERE, read_checks
from core.backups.storage.base import Storage
from core.backups.streams import CHUNK, Fetched, Rows, codec, copy_rows
from core.backups.throwaway import temporary_folder, throwaway_database
from core.errors import BackupDamaged, BackupNotFound, BackupUnusable, Failed
from core.names import ident, literal, qualified
from core.plans.manifest import PROOFS, Backup, Level, Proof, proofs_to_json
from core.plans.script import ROWS_END, copy_line, marks_of
from core.postgres.connection import is_lost, server_message, session, sqlstate
from core.postgres.driver import driver_of, wrapped
from core.postgres.encoding import RAW
from core.tables.fingerprint import SETTINGS, together
from core.tables.marks import Marks
from core.text import human_bytes

PROOFS_KEPT = 50
"""How many earlier proofs the side file of a backup keeps."""


def verify(
    storage: Storage, id: str, *, home: Path, actor: str, cancelled: Callable[[], bool], report: Report
) -> Proof:
    """Restores a backup into a server that is thrown away, compares it with its manifest, and writes down the proof.

    The proof is sealed with the place's key, together with the manifest.

    A backup that is not what its manifest says gives a proof that is not good, with the reason. `home` is where the
    throwaway server may lie; it is removed in any case. Raises BackupNotFound, BackupUnusable for a later format and
    for types that only another PostgreSQL has, StorageFailed, Cancelled, and ConnectionFailed or Failed where the
    throwaway server can't do its work: none of them says anything of the backup, and no proof is written.
    """
    begun = time.monotonic()
    with Following(cancelled, report) as follow:
        found, manifest = _Found(), ""
        try:
            kept, manifest = read_with_manifest(storage, id)
            reason = _prove(storage, kept.backup, home, follow, found)
        except BackupDamaged as error:
            reason = error.what
        except zstandard.ZstdError:
            reason = "It can't be decompressed."
        follow.check()
        proof = Proof(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            actor=actor,
            good=not reason,
            reason=reason,
            rows=found.rows,
            fingerprint=found.fingerprint,
            sha256=found.sha256,
            server_version=found.server_version,
            seconds=round(time.monotonic() - begun, 3),
        )
        if storage.seal is not None:
            proof = replace(proof, seal=storage.seal.of(*proof.said(manifest)))
        storage.write_text(id + PROOFS, proofs_to_json((*read_proofs(storage, id)[-PROOFS_KEPT:], proof)))
    return proof


@dataclass(slots=True)
class _Found:
    """What a verification has found so far."""

    sha256: str = ""
    rows: int | None = None
    fingerprint: str = ""
    server_version: str = ""


def _prove(storage: Storage, backup: Backup, home: Path, follow: Following, found: _Found) -> str:
    """Why the backup is not what its manifest says; empty where it is."""
    reason = why_not_its_own(backup)
    if reason:
        return reason
    with temporary_folder(home) as folder:
        _require_room(folder, backup)
        follow.tell(f"Fetching it from {storage.label}", bytes_total=backup.bytes, rows_total=backup.rows)
        fetched = folder / "object"
        reason = _fetch(storage, backup, fetched, follow, found)
        if reason:
            return reason
        follow.tell("Starting a PostgreSQL to restore it into", bytes_done=0)
        with throwaway_database(folder, backup.encoding) as (main, poor):
            try:
                _make_extensions(main, poor.url.username or "", backup)
                with session(poor) as connection, follow.stopping(driver_of(connection).cancel):
                    found.server_version = str(connection.exec_driver_sql("SHOW server_version").scalar_one())
                    with fetched.open("rb") as file:
                        return _replay(connection, file, backup, follow, found)
            except (psycopg2.Error, DBAPIError) as error:
                return _reason_of(error if isinstance(error, DBAPIError) else wrapped(error), follow)


def _require_room(folder: Path, backup: Backup) -> None:
    """Raises Failed where what its manifest says would fill the disk: a small object may be of many rows."""
    needed, free = backup.bytes + 2 * backup.raw_bytes, shutil.disk_usage(folder).free
    if needed > free:
        raise Failed(
            f"The restored rows take about {human_bytes(needed)}, and {folder.parent} has {human_bytes(free)} left.",
            safe="The backup was not changed; this says nothing about it.",
            next="Make room there, or set PARTITION_DESK_HOME to a folder with room for the restored table.",
        )


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


def _fetch(storage: Storage, backup: Backup, target: Path, follow: Following, found: _Found) -> str:
    """Brings the object here and returns what is wrong with its bytes; nothing of it is read as SQL before."""
    try:
        chunks = storage.read(backup.object)
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


def _replay(connection: Connection, file: IO[bytes], backup: Backup, follow: Following, found: _Found) -> str:
    """Runs the object's own text as a driver does, and returns what is not as the manifest says."""
    driver = driver_of(connection)
    if backup.encoding not in RAW:  # the session of a database in such a one is in it already
        driver.set_client_encoding(backup.encoding)
    source = Fetched(iter(lambda: file.read(CHUNK), b""), follow)
    rows = Rows(source, backup, follow)
    rows.require_before()
    copies = [copy_line(backup, leaf) for leaf in backup.leaves]
    follow.tell("Restoring its rows")
    with driver.cursor() as cursor:
        cursor.execute(rows.before.decode(codec(backup.encoding)).removesuffix("".join(copies[:1])))
    for number, copy in enumerate(copies):
        if number:
            rows.require_next()
        copy_rows(driver, copy, rows)
    rows.require_after()
    follow.tell("Building its indexes and constraints")
    with driver.cursor() as cursor:
        cursor.execute(rows.after.decode(codec(backup.encoding)).removeprefix(ROWS_END))
    if backup.encoding not in RAW:
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
    levels = read_levels(connection, oid)
    there = {one.name: one for one in levels}
    reason = (
        placed_otherwise(backup, levels) or _columns_differ(backup, there) or _bounds_differ(connection, backup, oid)
    )
    if reason:
        return reason
    leaves = [(leaf, counted(connection, there[leaf.name])) for leaf in backup.leaves]
    found.rows = sum(have.rows for _, have in leaves)
    found.fingerprint = together(have.fingerprint for _, have in leaves)
    for want, have in leaves:
        whose = f"Its {want.name}" if backup.split else "It"
        if have.rows != want.rows:
            return f"{whose} holds {have.rows:,} rows, and its manifest says {want.rows:,}."
        if have.fingerprint != want.fingerprint:
            whose = f"The rows of its {want.name}" if backup.split else "Its rows"
            return f"{whose} are not those of the manifest: the fingerprint differs."
    return ""


def _columns_differ(backup: Backup, found: Mapping[str, Level]) -> str:
    for level in backup.levels:
        whose = f"Its {level.name}'s" if level.parent else "Its"
        columns = found[level.name].columns
        if [column.name for column in columns] != [column.name for column in level.columns]:
            said = ", ".join(column.name for column in columns)
            return f"{whose} columns are {said}, which is not what the manifest says."
        for want, have in zip(level.columns, columns, strict=True):
            # a collation that not every server has was left out
            ours = replace(have, collation=have.collation if want.collation in EVERYWHERE else want.collation)
            if ours != want:
                return f"{whose} column {want.name} is {have.type}, which is not as the manifest says: {want.type}."
    return ""


def _bounds_differ(connection: Connection, backup: Backup, oid: int) -> str:
    comment = connection.exec_driver_sql(f"SELECT pg_catalog.obj_description({oid}, 'pg_class')").scalar_one()
    tag = Marks.split(comment)[1].tag
    if tag is None or tag != marks_of(backup).tag:
        return f"Its comment does not say that it was {backup.parent} {backup.bounds}."
    if not backup.bounded:
        return ""
    if not any(check.says(backup.key, backup.range) for check in read_checks(connection, oid)):
        return f"It has no CHECK of its bounds: {backup.bounds}."
    return ""
