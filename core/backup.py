"""Writes backups to their place, restores them into a server that is thrown away to prove them, and brings them back.

A backup is one zstd stream of plain SQL (see core.operations.cold) and a manifest, which is written last: an object
without one is a leftover and never a backup. Nothing here holds more than a few megabytes of rows at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Protocol

import psycopg2
import zstandard
from psycopg2 import extensions
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.bounds import Bounds, Key, KeyType
from core.catalog import read_server
from core.database import is_lost, parse_url, server_message, session, sqlstate, translate, working_engine
from core.ddl import within
from core.definition import read_definition
from core.embedded import running_server
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
)
from core.fingerprint import MISMATCH, SETTINGS, fingerprint, fingerprint_sql
from core.lone import EVERYWHERE, Lone, read_columns, write_lone
from core.manifest import (
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
from core.model import Archived, ArchiveSchema, Check, Marks, Partition, PartitionedTable, Source
from core.names import fit, ident, literal, qualified
from core.operations.cold import (
    Surroundings,
    after_rows,
    before_rows,
    make_if_missing,
    marks_of,
    require_backed_up,
    session_statements,
)
from core.place import Place
from core.plan import Plan, comment_sql
from core.tools import Tool

LEVEL = 3
"""Of zstd: higher ones take longer than PostgreSQL needs to give the rows."""
CHUNK = 2**20
"""Bytes that are read and handed on at once."""
LOCK_MS = 10_000
"""How long a backup waits for somebody who holds the table exclusively."""
FOLLOW_S = 0.2
"""How often it is asked whether a person stopped it, and told how far it is."""
LEFTOVER = "An object without a manifest: a backup that did not come to its end. It can be deleted."
"""The reason with which `read_all_kept` tells of leftovers."""

_STALE_S = 120
_THROWAWAY = "throwaway-"
_LONGEST_HOME = 60
"""Bytes of a home in which a server's socket has room a folder further down."""


@dataclass(frozen=True, slots=True)
class Work:
    """How far a backup, a verification or a restore is."""

    doing: str
    bytes_done: int = 0
    """Of the object: written or read."""
    bytes_total: int | None = None
    """None while nobody knows, as in a backup."""
    rows_done: int = 0
    rows_total: int | None = None
    seconds_left: float | None = None
    """Estimated from the rows so far; None before there are any."""


Report = Callable[[Work], None]
"""Told how far it is, about five times a second, from a thread of its own."""


class _Following:
    """Asks whether to stop and tells how far it is, from a thread, while the work goes on elsewhere."""

    def __init__(self, cancelled: Callable[[], bool], report: Report) -> None:
        self._cancelled = cancelled
        self._report = report
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []
        self._over = threading.Event()
        self._begun: float | None = None
        self.stopped = threading.Event()
        self.work = Work("")
        self._thread = threading.Thread(target=self._follow, daemon=True, name="partition-desk-follow")

    def __enter__(self) -> _Following:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def tell(self, doing: str | None = None, **changes: Any) -> None:
        """Notes how far it is; a new `doing` begins the estimate anew."""
        with self._lock:
            if doing is not None:
                changes["doing"] = doing
                self._begun = None
            if changes.get("rows_done") and self._begun is None:
                self._begun = time.monotonic()
            self.work = replace(self.work, **changes)

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """Calls `stop` from the following thread if a person stops the work meanwhile."""
        self.check()
        with self._lock:
            self._stops.append(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)

    def check(self) -> None:
        """Raises Cancelled once a person stopped it."""
        if self.stopped.is_set():
            raise Cancelled("It was cancelled.")

    def _follow(self) -> None:
        told = Work("")
        while not self._over.wait(FOLLOW_S):
            if self._cancelled():
                self.stopped.set()
            with self._lock:
                work = replace(self.work, seconds_left=self._left())
                stops = list(self._stops) if self.stopped.is_set() else []
            for stop in stops:
                with suppress(psycopg2.Error, OSError):
                    stop()
            if work != told:
                told = work
                self._report(work)

    def _left(self) -> float | None:
        done, total = self.work.rows_done, self.work.rows_total
        if self._begun is None or not done or not total:
            return None
        return max(0.0, (time.monotonic() - self._begun) * (total - done) / done)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _driver(connection: Connection) -> extensions.connection:
    """psycopg2's own connection, for what SQLAlchemy has no words for: COPY, and to cancel from another thread."""
    found: extensions.connection = connection.connection.driver_connection  # type: ignore[assignment]
    return found


def _wrapped(error: psycopg2.Error) -> DBAPIError:
    return DBAPIError("", None, error)


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
    with _Following(cancelled, report) as follow:
        follow.tell(f"Reading the definition of {name}", rows_total=found.rows)
        try:
            with session(engine) as reader, _snapshot(reader, found) as snapshot:
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
def _snapshot(reader: Connection, found: Partition | Archived) -> Iterator[str]:
    """The name of a snapshot that others can read in, held with ACCESS SHARE on the table until the end."""
    reader.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        for statement in (*SETTINGS, "SET LOCAL statement_timeout = 0", f"SET LOCAL lock_timeout = {LOCK_MS}"):
            reader.exec_driver_sql(statement)
        reader.exec_driver_sql(_NO_TIMEOUTS)
        reader.exec_driver_sql(f"LOCK TABLE ONLY {found.sql} IN ACCESS SHARE MODE")
        yield str(reader.exec_driver_sql("SELECT pg_catalog.pg_export_snapshot()").scalar_one())
    finally:
        if not reader.invalidated and not _driver(reader).closed:
            with suppress(DBAPIError):
                reader.exec_driver_sql("ROLLBACK")


_NO_TIMEOUTS = """
SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
"""


def _draft(
    reader: Connection, table: PartitionedTable, found: Partition | Archived, id: str, archive_schema: str, started: str
) -> Backup:
    """The manifest as far as it is known before a row was read."""
    definition = read_definition(reader, found.schema, found.name)
    if definition.oid != found.oid:
        raise PlanOutdated(f"{found.sql} is another table than it was.")
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
        *session_statements(where.encoding),
        f"CREATE SCHEMA IF NOT EXISTS {ident(archive_schema)}",
        *(statement for need in lone.needs for statement in make_if_missing(need)),
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
    follow: _Following,
) -> Backup:
    """Streams the object to the place; the rows are fingerprinted meanwhile, in the same snapshot."""
    columns = [column.name for column in draft.columns]
    driver = _driver(reader)
    with (
        _dumping(engine, tool, source, snapshot, draft) as dump,
        follow.stopping(dump.kill),
        follow.stopping(driver.cancel),
        _Fingerprinting(driver, fingerprint_sql(source, columns), follow) as rows,
        _Packing(draft, dump, rows, follow) as packing,
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


class _Fingerprinting:
    """Reads the fingerprint in a thread, on a session whose transaction is open."""

    def __init__(self, driver: extensions.connection, sql: str, follow: _Following) -> None:
        self._driver = driver
        self._sql = sql
        self._follow = follow
        self._found: tuple[int, str] | None = None
        self._error: psycopg2.Error | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="partition-desk-fingerprint")

    def __enter__(self) -> _Fingerprinting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            with suppress(psycopg2.Error):
                self._driver.cancel()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._driver.cursor() as cursor:
                cursor.execute(self._sql)
                found = cursor.fetchone()
            if found is not None:
                self._found = int(found[0]), str(found[1])
                self._follow.tell(rows_total=self._found[0])
        except psycopg2.Error as error:
            self._error = error

    def result(self) -> tuple[int, str]:
        """(rows, total), once they are there. Raises what the server said."""
        self._thread.join()
        if self._error is not None:
            self._follow.check()
            raise translate(_wrapped(self._error)) from self._error
        if self._found is None:
            raise Failed("The server gave no fingerprint.")
        return self._found


@contextmanager
def _dumping(engine: Engine, tool: Tool, source: str, snapshot: str, draft: Backup) -> Iterator[_Dump]:
    """Our own pg_dump of the rows; no longer there at the end, whatever happens."""
    _, words = engine.dialect.create_connect_args(engine.url)
    given: dict[str, Any] = {**words}
    password = given.pop("password", None)
    options = str(given.pop("options", None) or os.environ.get("PGOPTIONS", ""))
    given["options"] = f"{options} -c lc_monetary=C -c bytea_output=hex".strip()
    command = [
        str(tool.path),
        f"--dbname={extensions.make_dsn(**given)}",
        "--no-password",
        "--data-only",
        "--quote-all-identifiers",
        "--strict-names",
        f"--table={source}",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_MS}",
        f"--encoding={draft.encoding}",
    ]
    environ = {**os.environ, "LC_ALL": "C", "PGAPPNAME": "partition-desk"}
    if password:
        environ["PGPASSWORD"] = str(password)
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environ,
                start_new_session=True,
                pipesize=CHUNK,
            )
        except OSError as error:
            raise Failed(f"{tool.path} can't be run: {error.strerror}.") from error
        dump = _Dump(process, said, source, draft)
        try:
            yield dump
        finally:
            dump.kill()
            if process.stdout is not None:
                process.stdout.close()
            process.wait()


_TAIL = 2**14
"""Bytes at the end in which pg_dump's last words stand, after the last row."""
_WHERE_SAID = re.compile(r'(connection to server) (?:at|on socket) "[^"]*"(?: \([^)]*\))?(?:, port \d+)?')


class _Dump:
    """The rows that a pg_dump gives, cut out of what it writes around them."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes], source: str, draft: Backup) -> None:
        self._process = process
        self._said = said
        self._name = draft.name
        columns = ", ".join(map(ident, draft.stored))
        self._header = f"\nCOPY {source} ({columns}) FROM stdin;\n".encode(codec(draft.encoding))

    def kill(self) -> None:
        """Ends the program at once; the server notices by itself."""
        if self._process.poll() is None:
            self._process.kill()

    def rows(self) -> Iterator[bytes]:
        """The lines of COPY from the newline before the first one on, in pieces of any length, without COPY's end.

        Raises Failed unless pg_dump ended well.
        """
        kept = b""
        begun = False
        for piece in self._output():
            kept += piece
            if not begun:
                head = kept.find(self._header)
                if head < 0:
                    continue
                begun = True
                kept = kept[head + len(self._header) - 1 :]
            if len(kept) > _TAIL:
                yield kept[:-_TAIL]
                kept = kept[-_TAIL:]
        self._require_good_end()
        end = kept.rfind(b"\n\\.\n")
        if not begun or end < 0:
            raise Failed(f"pg_dump ended without the rows of {self._name}.", next="Look at its version.")
        yield kept[: end + 1]

    def _output(self) -> Iterator[bytes]:
        if self._process.stdout is not None:
            handle = self._process.stdout.fileno()
            while piece := os.read(handle, CHUNK):
                yield piece

    def _require_good_end(self) -> None:
        code = self._process.wait()
        if code == 0:
            return
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").splitlines()
        said = " ".join(
            line.removeprefix("pg_dump: ").strip() for line in lines if not line.startswith("pg_dump: hint")
        )
        if code < 0 and not said:
            said = f"it was killed by {signal.Signals(-code).name}"
        raise Failed(
            f"pg_dump could not read {self._name}: {said}.",
            safe="Nothing was changed, and nothing is left in the place.",
            next="Try again; a session that holds the table exclusively has to end first.",
        )


def codec(encoding: str) -> str:
    """Python's name of an encoding of PostgreSQL's. Raises BackupUnusable where Python has none."""
    known: dict[str, str] = extensions.encodings
    found = known.get(encoding) or known.get(encoding.replace("_", ""))
    if found is None:
        raise BackupUnusable(f"The database's encoding {encoding} is not known here.")
    return found


class _Packing:
    """Compresses an object in a thread beside the upload, a few chunks ahead of it at most."""

    def __init__(self, draft: Backup, dump: _Dump, fingerprinting: _Fingerprinting, follow: _Following) -> None:
        self._draft = draft
        self._dump = dump
        self._fingerprinting = fingerprinting
        self._follow = follow
        self._ready: queue.Queue[bytes | Exception | None] = queue.Queue(maxsize=8)
        self._abandoned = threading.Event()
        self._part: list[bytes] = []
        self._part_bytes = 0
        self._packer = zstandard.ZstdCompressor(level=LEVEL, threads=1, write_checksum=True).compressobj()
        self.digest = hashlib.sha256()
        self.raw_bytes = 0
        self.bytes = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="partition-desk-pack")

    def __enter__(self) -> _Packing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._abandoned.set()
        self._dump.kill()
        self._thread.join()

    def chunks(self) -> Iterator[bytes]:
        """The object's bytes. Raises whatever keeps it from being whole."""
        while True:
            self._follow.check()
            try:
                found = self._ready.get(timeout=FOLLOW_S)
            except queue.Empty:
                continue
            if found is None:
                return
            if isinstance(found, Exception):
                self._follow.check()
                raise found
            yield found

    def _run(self) -> None:
        try:
            self._pack()
            self._hand_on(None)
        except (DeskError, OSError, zstandard.ZstdError) as error:
            self._hand_on(error)

    def _pack(self) -> None:
        encoding = codec(self._draft.encoding)
        self._add(before_rows(self._draft).encode(encoding)[:-1])
        rows = -1  # the newline before the first
        for piece in self._dump.rows():
            self._add(piece)
            rows += piece.count(b"\n")
            self._follow.tell(bytes_done=self.bytes, rows_done=max(0, rows))
        counted, _ = self._fingerprinting.result()
        if rows != counted:
            raise Failed(f"pg_dump gave {rows:,} rows where {counted:,} were counted.", next="Look at its version.")
        self._add(after_rows(self._draft).encode(encoding))
        self._emit(self._packer.flush())
        self._give_part()

    def _add(self, text: bytes) -> None:
        self.raw_bytes += len(text)
        self._emit(self._packer.compress(text))

    def _emit(self, packed: bytes) -> None:
        if packed:
            self._part.append(packed)
            self._part_bytes += len(packed)
            if self._part_bytes >= CHUNK:
                self._give_part()

    def _give_part(self) -> None:
        part = b"".join(self._part)
        self._part, self._part_bytes = [], 0
        self.digest.update(part)
        self.bytes += len(part)
        self._hand_on(part)

    def _hand_on(self, part: bytes | Exception | None) -> None:
        while not self._abandoned.is_set():
            try:
                self._ready.put(part, timeout=FOLLOW_S)
                return
            except queue.Full:
                continue


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


# --- reading an object --------------------------------------------------------------------------------------------


class _Source:
    """The compressed bytes of an object as a file that only reads on; counts and hashes them."""

    def __init__(self, chunks: Iterable[bytes], follow: _Following) -> None:
        self._chunks = iter(chunks)
        self._follow = follow
        self._left = b""
        self.digest = hashlib.sha256()
        self.bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; empty at the end."""
        while not self._left:
            self._follow.check()
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self.digest.update(chunk)
            self.bytes += len(chunk)
            self._follow.tell(bytes_done=self.bytes)
            self._left = chunk
        found = self._left if size < 0 else self._left[:size]
        self._left = self._left[len(found) :]
        return found

    def drain(self) -> None:
        """Reads what follows, so that size and checksum are those of the whole object."""
        while self.read(CHUNK):
            pass


class _Reads(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Rows:
    """The rows of an object as a file for COPY, and the text before and after them, which has to be the manifest's."""

    def __init__(self, source: _Reads, backup: Backup, follow: _Following) -> None:
        self._stream = zstandard.ZstdDecompressor().stream_reader(source, read_size=CHUNK)  # type: ignore[arg-type]
        self._follow = follow
        encoding = codec(backup.encoding)
        self.before = before_rows(backup).encode(encoding)
        self.after = after_rows(backup).encode(encoding)
        self._left = backup.raw_bytes - len(self.before) - len(self.after)
        self._rows = 0
        self.error: DeskError | zstandard.ZstdError | None = None
        """What ended the reading: the driver would tell of it in words of its own."""

    def require_before(self) -> None:
        """Reads the text before the rows. Raises BackupDamaged where it is not what the manifest says."""
        self._require(self.before, "before")

    def require_after(self) -> None:
        """Reads the text after the rows, and that nothing follows. Raises BackupDamaged."""
        if self._left:
            raise BackupDamaged("Rows are missing at its end.")
        self._require(self.after, "after")
        if self._stream.read(1):
            raise BackupDamaged("Something follows after its end.")

    def read(self, size: int = CHUNK) -> bytes:
        """The next bytes of the rows, for the driver."""
        try:
            self._follow.check()
            found = self._stream.read(min(max(size, CHUNK), self._left)) if self._left > 0 else b""
            if self._left > 0 and not found:
                raise BackupDamaged("It ends in the middle of its rows.")
        except (DeskError, zstandard.ZstdError) as error:
            self.error = error
            raise
        self._left -= len(found)
        self._rows += found.count(b"\n")
        self._follow.tell(rows_done=self._rows)
        return found

    def _require(self, expected: bytes, where: str) -> None:
        found = b""
        while len(found) < len(expected):
            piece = self._stream.read(len(expected) - len(found))
            if not piece:
                break
            found += piece
        if found != expected:
            raise BackupDamaged(f"Its SQL {where} the rows is not what its manifest says.")


def _copy(driver: extensions.connection, statement: str, rows: _Rows) -> None:
    """COPY FROM STDIN. Raises what ended the reading, or psycopg2.Error with the server's words."""
    try:
        with driver.cursor() as cursor:
            cursor.copy_expert(statement, rows, size=CHUNK)  # type: ignore[arg-type]
    except (psycopg2.Error, DeskError, zstandard.ZstdError):
        if rows.error is not None:
            raise rows.error from None
        raise


# --- verify -------------------------------------------------------------------------------------------------------


def verify(place: Place, id: str, *, home: Path, actor: str, cancelled: Callable[[], bool], report: Report) -> Proof:
    """Restores a backup into a server that is thrown away, compares it with its manifest, and writes down the proof.

    A backup that is not what its manifest says gives a proof that is not good, with the reason. `home` is where the
    throwaway server may lie; it is removed in any case. Raises BackupNotFound, BackupUnusable for a later format,
    PlaceFailed, Cancelled, ConnectionFailed and Failed where the throwaway server can't do its work: none of them says
    anything of the backup, and no proof is written.
    """
    begun = time.monotonic()
    with _Following(cancelled, report) as follow:
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
        place.write_text(id + PROOFS, proofs_to_json((*_read_proofs(place, id), proof)))
    return proof


@dataclass(slots=True)
class _Found:
    """What a verification has found so far."""

    sha256: str = ""
    rows: int | None = None
    fingerprint: str = ""
    server_version: str = ""


def _prove(place: Place, id: str, home: Path, follow: _Following, found: _Found) -> str:
    """Why the backup is not what its manifest says; empty where it is."""
    backup = read_kept(place, id).backup
    with _temporary_folder(home) as folder:
        follow.tell(f"Fetching it from {place.label}", bytes_total=backup.bytes, rows_total=backup.rows)
        fetched = folder / "object"
        reason = _fetch(place, backup, fetched, follow, found)
        if reason:
            return reason
        follow.tell("Starting a PostgreSQL to restore it into", bytes_done=0)
        with _throwaway_database(folder, backup.encoding) as engine, session(engine) as connection:
            found.server_version = str(connection.exec_driver_sql("SHOW server_version").scalar_one())
            with fetched.open("rb") as file, follow.stopping(_driver(connection).cancel):
                try:
                    return _replay(connection, file, backup, follow, found)
                except (psycopg2.Error, DBAPIError) as error:
                    return _reason_of(error if isinstance(error, DBAPIError) else _wrapped(error), follow)


def _reason_of(error: DBAPIError, follow: _Following) -> str:
    """What the throwaway server says of the backup. Raises where it says something of itself or of a cancel."""
    follow.check()
    if is_lost(error) or sqlstate(error)[:2] in ("53", "57", "58", "XX"):
        raise Failed(
            f"The server that the backup was restored into failed: {server_message(error)}.",
            sqlstate=sqlstate(error),
            safe="The backup was not changed; this says nothing about it.",
            next="Make room for the restored table in PARTITION_DESK_HOME and try again.",
        ) from error
    return f"It can't be restored: {server_message(error)}."


def _fetch(place: Place, backup: Backup, target: Path, follow: _Following, found: _Found) -> str:
    """Brings the object here and returns what is wrong with its bytes; nothing of it is read as SQL before."""
    try:
        chunks = place.read(backup.object)
    except BackupNotFound:
        return "Its object is missing."
    source = _Source(chunks, follow)
    try:
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
        if os.geteuid() == 0:
            folder.chmod(0o711)  # the server's user passes through; what lies below is its owner's alone
    except OSError as error:
        raise Failed(
            f"There is no room for a throwaway server in {home}: {error.strerror}.",
            safe="The backup was not changed; this says nothing about it.",
            next="Set PARTITION_DESK_HOME to a folder with room for the restored table.",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Removes the throwaway servers of processes that were killed: those whose users' lock nobody holds."""
    for folder in parent.glob(f"{_THROWAWAY}*"):
        with suppress(OSError):
            if folder.stat().st_uid != os.geteuid() or time.time() - folder.stat().st_mtime < _STALE_S:
                continue
            home = folder / "server"
            if (home / "users.lock").exists():
                with (home / "users.lock").open("a") as users:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (home / "data" / "postmaster.pid").exists():
                    with suppress(DeskError), running_server(home):  # the last to leave stops it
                        pass
            shutil.rmtree(folder, ignore_errors=True)


_FAST = (
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "ALTER SYSTEM SET synchronous_commit = off",
    "ALTER SYSTEM SET autovacuum = off",
    "ALTER SYSTEM SET max_wal_size = '4GB'",
    "SELECT pg_catalog.pg_reload_conf()",
)


@contextmanager
def _throwaway_database(folder: Path, encoding: str) -> Iterator[Engine]:
    """An empty database in a server of its own that need not survive anything, in the newest version there is."""
    home = folder / "server"
    with running_server(home) as url:
        main = working_engine(parse_url(url))
        try:
            with session(main) as connection:
                for statement in _FAST:
                    connection.exec_driver_sql(statement)
                locale = "" if encoding == "UTF8" else " LOCALE_PROVIDER libc LOCALE 'C'"
                connection.exec_driver_sql(
                    f"CREATE DATABASE backup TEMPLATE template0 ENCODING {literal(encoding)}{locale}"
                )
        except DBAPIError as error:
            raise Failed(f"The throwaway server failed: {server_message(error)}.", sqlstate=sqlstate(error)) from error
        finally:
            main.dispose()
        engine = working_engine(parse_url(url).set(database="backup"))
        try:
            yield engine
        finally:
            engine.dispose()


def _replay(connection: Connection, file: IO[bytes], backup: Backup, follow: _Following, found: _Found) -> str:
    """Runs the object's own text as a driver does, and returns what is not as the manifest says."""
    driver = _driver(connection)
    driver.set_client_encoding(backup.encoding)
    source = _Source(iter(lambda: file.read(CHUNK), b""), follow)
    rows = _Rows(source, backup, follow)
    rows.require_before()
    script, _, copy = rows.before.decode(codec(backup.encoding)).rstrip(";\n").rpartition(";\n")
    follow.tell("Restoring its rows")
    with driver.cursor() as cursor:
        cursor.execute(script)
    _copy(driver, copy, rows)
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
    with _Following(cancelled, report) as follow, follow.stopping(_driver(work).cancel):
        follow.tell(f"Fetching it from {place.label}", bytes_total=backup.bytes, rows_total=backup.rows)
        source = _Source(place.read(backup.object), follow)
        rows = _Rows(source, backup, follow)
        try:
            work.exec_driver_sql("BEGIN")
            _run_restore(work, plan, rows, source, backup, follow)
            work.exec_driver_sql("COMMIT")
        except (psycopg2.Error, DBAPIError, DeskError, zstandard.ZstdError) as error:
            _roll_back(work)
            raise _restore_error(error, backup, follow) from error
    return backup.rows


def _run_restore(
    work: Connection, plan: Plan, rows: _Rows, source: _Source, backup: Backup, follow: _Following
) -> None:
    for statement in (statement for step in plan.steps for statement in step.statements):
        follow.check()
        if not statement.startswith("COPY "):
            work.exec_driver_sql(statement)
            continue
        rows.require_before()
        follow.tell("Restoring its rows")
        _copy(_driver(work), statement, rows)
        rows.require_after()
        source.drain()
        if (source.bytes, source.digest.hexdigest()) != (backup.bytes, backup.sha256):
            raise BackupDamaged("Its bytes were changed: the checksum is not the manifest's.")
        follow.tell("Building its indexes and constraints, and comparing every row")
    follow.check()


def _roll_back(work: Connection) -> None:
    if _closed(work):
        return
    with suppress(DBAPIError):
        work.exec_driver_sql("ROLLBACK")


def _closed(work: Connection) -> bool:
    """Whether the connection is lost; then the pool is told so, too."""
    if not work.invalidated and _driver(work).closed:
        work.invalidate()
    return work.invalidated


def _restore_error(
    error: psycopg2.Error | DBAPIError | DeskError | zstandard.ZstdError, backup: Backup, follow: _Following
) -> DeskError:
    other = "Use another backup of the same table, and verify this one to have its state written down."
    if isinstance(error, zstandard.ZstdError):
        return BackupDamaged("The backup can't be decompressed.", next=other)
    if isinstance(error, BackupDamaged):
        return BackupDamaged(f"The backup {backup.id} is damaged. {error.what}", next=other)
    if isinstance(error, DeskError):
        return error
    wrapped = error if isinstance(error, DBAPIError) else _wrapped(error)
    if follow.stopped.is_set():
        return Cancelled("It was cancelled.")
    if sqlstate(wrapped) == MISMATCH:
        return BackupDamaged(f"{server_message(wrapped)}.".replace("..", "."), next=other)
    if is_lost(wrapped):
        return ConnectionFailed(
            "The connection to the server was lost.",
            safe="The table is there whole or not at all.",
            next="Look once the server is back, and try again.",
        )
    return translate(wrapped)
