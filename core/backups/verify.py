"""Verifies a backup: restores it into a server that is thrown away and compares it with its manifest."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psycopg2
import zstandard
from psycopg2 import extensions
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.backups.kept import read_with_manifest
from core.backups.levels import counted, placed_otherwise, read_levels
from core.backups.progress import Following, Report
from core.backups.proving import Ground, Proving, ground
from core.backups.restore import why_not_its_own
from core.backups.standalone import EVERYWHERE, read_checks
from core.backups.storage.base import Storage
from core.backups.streams import CHUNK, Fetched, Rows, codec, copy_rows
from core.backups.throwaway import temporary_folder
from core.errors import BackupDamaged, BackupNotFound, DeskError, Failed, Unprovable
from core.names import ident, literal, qualified
from core.plans.manifest import STORED, Backup, Level
from core.plans.proof import Proof, Verdict
from core.plans.script import copy_line, marks_of
from core.postgres.connection import is_lost, server_message, session, sqlstate
from core.postgres.driver import driver_of, wrapped
from core.postgres.encoding import RAW
from core.tables.fingerprint import SETTINGS, together
from core.tables.marks import Marks
from core.text import human_bytes, plural

_BAD_COPY = "22P04"
"""A row that has not the table's number of columns, or no end."""
_NOT_THERE = ("42P01", "42704", "42883", "3F000")
"""A table, a type or role, a function, a schema that is not there."""
_VALUE = re.compile(r"^COPY .+, line \d+, column (.+?): ", re.MULTILINE)


def verify(
    storage: Storage, id: str, *, proving: Proving, actor: str, cancelled: Callable[[], bool], report: Report
) -> Proof:
    """Restores a backup into a database of its own elsewhere and compares it with its manifest.

    The verdict is damaged where bytes or rows are not those that were written, and unprovable where the server that it
    was restored into could not take it. The proof is sealed with the place's key, together with the manifest; nothing
    is written down: `keep_proof` does that. Raises BackupNotFound, BackupUnusable for a later format, StorageFailed,
    Cancelled, and ConnectionFailed or Failed where that server can't do its work: none of them says anything of the
    backup.
    """
    begun = time.monotonic()
    with Following(cancelled, report) as follow:
        found, manifest = _Found(), ""
        verdict, next_ = Verdict.PROVEN, ""
        try:
            kept, manifest = read_with_manifest(storage, id)
            reason = _prove(storage, kept.backup, proving, follow, found)
            if reason:
                verdict = Verdict.DAMAGED
        except BackupDamaged as error:
            verdict, reason = Verdict.DAMAGED, error.what
        except zstandard.ZstdError:
            verdict, reason = Verdict.DAMAGED, "It can't be decompressed."
        except Unprovable as error:
            verdict, reason, next_ = Verdict.UNPROVABLE, error.what, error.next
        follow.check()
    proof = Proof(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        actor=actor,
        verdict=verdict,
        reason=reason or " ".join(found.left_out),
        rows=found.rows,
        fingerprint=found.fingerprint,
        sha256=found.sha256,
        server_version=found.server_version,
        seconds=round(time.monotonic() - begun, 3),
        next=next_,
    )
    if storage.seal is None:
        return proof
    return replace(proof, seal=storage.seal.of(*proof.said(manifest)))


@dataclass(slots=True)
class _Found:
    """What a verification has found so far."""

    sha256: str = ""
    rows: int | None = None
    fingerprint: str = ""
    server_version: str = ""
    left_out: list[str] = field(default_factory=list)
    """What the server could not take part in comparing, a sentence each."""


def _prove(storage: Storage, backup: Backup, proving: Proving, follow: Following, found: _Found) -> str:
    """Why the backup is not what its manifest says; empty where it is."""
    reason = why_not_its_own(backup)
    if reason:
        return reason
    with temporary_folder(proving.home) as folder:
        _require_room(folder, backup)
        follow.tell(f"Fetching it from {storage.label}", bytes_total=backup.bytes, rows_total=backup.rows)
        fetched = folder / "object"
        reason = _fetch(storage, backup, fetched, follow, found)
        if reason:
            return reason
        follow.tell("Starting a PostgreSQL to restore it into", bytes_done=0)
        with ground(backup, proving, folder) as there:
            try:
                _make_extensions(there, backup)
                with session(there.poor) as connection, follow.stopping(driver_of(connection).cancel):
                    found.server_version = str(connection.exec_driver_sql("SHOW server_version").scalar_one())
                    with fetched.open("rb") as file:
                        return _replay(connection, file, backup, follow, found, alike=there.alike)
            except (psycopg2.Error, DBAPIError) as error:
                refused = error if isinstance(error, DBAPIError) else wrapped(error)
                raise _meaning(refused, backup, there, follow) from error


def _require_room(folder: Path, backup: Backup) -> None:
    """Raises Failed where what its manifest says would fill the disk: a small object may be of many rows."""
    needed, free = backup.bytes + 2 * backup.raw_bytes, shutil.disk_usage(folder).free
    if needed > free:
        raise Failed(
            f"The restored rows take about {human_bytes(needed)}, and {folder.parent} has {human_bytes(free)} left.",
            safe="The backup was not changed; this says nothing about it.",
            next="Make room there, or set PARTITION_DESK_HOME to a folder with room for the restored table.",
        )


def _make_extensions(there: Ground, backup: Backup) -> None:
    """Makes the extensions that the backup needs, which its own statements may not; their schemas are its owner's."""
    with session(there.main) as connection:
        for need in backup.needs:
            if need.kind != "extension":
                continue
            if need.schema not in ("pg_catalog", "public"):
                owner = ident(there.poor.url.username or "")
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {ident(need.schema)} AUTHORIZATION {owner}")
            connection.exec_driver_sql(need.sql)


def _meaning(error: DBAPIError, backup: Backup, there: Ground, follow: Following) -> DeskError:
    """What it means that the server took not all of a backup whose bytes are those that were written."""
    follow.check()
    said, state = server_message(error), sqlstate(error)
    if is_lost(error) or state[:2] in ("53", "57", "58", "XX"):
        return Failed(
            f"The server that the backup was restored into failed: {said}.",
            sqlstate=state,
            safe="The backup was not changed; this says nothing about it.",
            next="Make room for the restored table in PARTITION_DESK_HOME and try again.",
        )
    if state == _BAD_COPY:  # rows of another shape than the table's
        return BackupDamaged(f"Its rows can't be read: {said}.")
    named = _VALUE.search(getattr(getattr(error.orig, "diag", None), "context", None) or "")
    if named and state in _NOT_THERE:
        return Unprovable(
            f"{there.about} could not take it: {said}.",
            next=f"A value of {named[1]} names what no server has that holds this table alone. To prove a backup, turn"
            " the column into text, and back the table up again.",
        )
    source = f"PostgreSQL {backup.server_version}"
    return Unprovable(
        f"{there.about} could not take it: {said}.",
        next=f"Prove it on a server that is like its own ({source}, {backup.locale.said}), where all"
        " that it names is there: PARTITION_DESK_PROOF_URL names one.",
    )


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


def _replay(
    connection: Connection, file: IO[bytes], backup: Backup, follow: Following, found: _Found, *, alike: bool
) -> str:
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
        try:
            copy_rows(driver, copy, rows)
        except psycopg2.Error:
            rows.require_length()  # else it is not for what was written that the server refuses it
            raise
    rows.require_after()
    follow.tell("Building its indexes and constraints")
    for statement in backup.afterwards:  # which are the text after the rows, as it was read
        _afterwards(driver, statement, found, alike=alike)
    if backup.encoding not in RAW:
        driver.set_client_encoding("UTF8")
    follow.tell("Comparing every row")
    return _compare(connection, backup, found)


_LEANS_ON_ORDER = ("23514", "23505", "23P01")
"""A CHECK, a unique or an exclusion constraint that some row violates."""


def _afterwards(driver: extensions.connection, statement: str, found: _Found, *, alike: bool) -> None:
    """Runs one of the statements after the rows. Where texts have another order than in the backup's own database, a
    constraint that they violate says nothing of the backup."""
    try:
        with driver.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.Error as error:
        if error.pgcode == "23514" and " ATTACH PARTITION " in statement:  # which every server cuts alike
            raise BackupDamaged(f"A row stands in another leaf than its own: {error.diag.message_primary}.") from error
        if alike or error.pgcode not in _LEANS_ON_ORDER:
            raise
        what = error.diag.constraint_name or statement
        found.left_out.append(f"{what} was not compared: that server has another locale.")


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
        placed_otherwise(backup, levels)
        or _columns_differ(backup, there)
        or _bounds_differ(connection, backup, oid, found)
    )
    if reason:
        return reason
    leaves = [(leaf, counted(connection, there[leaf.name], backup)) for leaf in backup.leaves]
    found.rows = sum(have.rows for _, have in leaves)
    found.fingerprint = together(have.fingerprint for _, have in leaves)
    for want, have in leaves:
        whose = f"Its {want.name}" if backup.split else "It"
        if have.rows != want.rows:
            return f"{whose} holds {plural(have.rows, 'row')}, and its manifest says {want.rows:,}."
        if have.fingerprint != want.fingerprint and backup.compared != STORED and want.computed:
            raise Unprovable(
                "When it was written, generated columns were compared as well, and those are computed anew:"
                f" {', '.join(want.computed)} came out otherwise, or a row was changed.",
                next="Back the table up again while it is there, or prove it on a server of the version that it comes"
                " from: PARTITION_DESK_PROOF_URL names one.",
            )
        if have.generated != want.generated:
            named = ", ".join(want.computed)
            found.left_out.append(f"Its generated columns come out otherwise on that server: {named}.")
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


def _bounds_differ(connection: Connection, backup: Backup, oid: int, found: _Found) -> str:
    comment = connection.exec_driver_sql(f"SELECT pg_catalog.obj_description({oid}, 'pg_class')").scalar_one()
    tag = Marks.split(comment)[1].tag
    if tag is None or tag != marks_of(backup).tag:
        return f"Its comment does not say that it was {backup.parent} {backup.bounds}."
    if not backup.bounded or found.left_out:
        return ""
    if not any(check.says(backup.key, backup.range) for check in read_checks(connection, oid)):
        return f"It has no CHECK of its bounds: {backup.bounds}."
    return ""
