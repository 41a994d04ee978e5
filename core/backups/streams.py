"""Moves the rows of a backup between a server and a place, in both directions, as streams of a few megabytes at most.

Out of pg_dump through zstd, beside a fingerprint that is read in the same snapshot; and back into COPY, with the text
around the rows compared on the way.
"""

from __future__ import annotations

import hashlib
import os
import queue
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Protocol

import psycopg2
import zstandard
from psycopg2 import extensions
from sqlalchemy import Engine

from core.backups.progress import FOLLOW_S, Following
from core.errors import BackupDamaged, BackupUnusable, DeskError, Failed
from core.names import ident
from core.plans.manifest import Backup, Level
from core.plans.script import after_rows, before_rows, between_rows
from core.postgres.connection import translate
from core.postgres.driver import wrapped
from core.postgres.encoding import python_codec
from core.tables.fingerprint import fingerprint
from core.text import plural

LEVEL = 3
"""Of zstd: 0.8 s of a processor for 170 MB of rows, half of gzip's bytes; from 6 on it costs three times that."""
CHUNK = 2**20
"""Bytes that are read and handed on at once."""
LOCK_MS = 10_000
"""How long a backup waits for somebody who holds the table exclusively."""


class Fingerprinting:
    """Reads the fingerprint in a thread, on a session whose transaction is open."""

    def __init__(
        self, driver: extensions.connection, sql: str, follow: Following, *, counted: Callable[[int], None]
    ) -> None:
        self._driver = driver
        self._sql = sql
        self._counted = counted
        self._follow = follow
        self._found: tuple[int, str, str] | None = None
        self._error: psycopg2.Error | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="partition-desk-fingerprint")

    def __enter__(self) -> Fingerprinting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Ends the reading, if it goes on still."""
        if self._thread.is_alive():
            with suppress(psycopg2.Error):
                self._driver.cancel()

    def _run(self) -> None:
        try:
            with self._driver.cursor() as cursor:
                cursor.execute(self._sql)
                found = cursor.fetchone()
            if found is not None:
                self._found = int(found[0]), str(found[1]), str(found[2]) if len(found) > 2 else ""
                self._counted(self._found[0])
        except psycopg2.Error as error:
            self._error = error

    def result(self) -> tuple[int, str, str]:
        """(rows, total, that of generated columns), once they are there. Raises what the server said."""
        self._thread.join()
        if self._error is not None:
            self._follow.check()
            raise translate(wrapped(self._error)) from self._error
        if self._found is None:
            raise Failed("The server gave no fingerprint.")
        return self._found


_SERVICE = "partition_desk"


@contextmanager
def _service(secret: object) -> Iterator[str]:
    """The path of a service file for libpq, with the password of the client's key; arguments are anybody's to read."""
    if not secret:
        yield ""
        return
    if "\n" in str(secret):
        raise Failed("sslpassword has a line end in it.", next="Give the key another password.")
    with tempfile.NamedTemporaryFile("w", prefix="partition-desk-", suffix=".conf") as file:  # 600
        file.write(f"[{_SERVICE}]\nsslpassword={secret}\n")
        file.flush()
        yield file.name


@contextmanager
def dumping(engine: Engine, pg_dump: Path, source: str, snapshot: str, encoding: str, leaf: Level) -> Iterator[Dump]:
    """Our own pg_dump of the rows of a leaf; no longer there at the end, whatever happens."""
    _, words = engine.dialect.create_connect_args(engine.url)
    given: dict[str, Any] = {**words}
    password = given.pop("password", None)
    secret = given.pop("sslpassword", None)  # no variable says that one
    options = str(given.pop("options", None) or os.environ.get("PGOPTIONS", ""))
    given["options"] = f"{options} -c lc_monetary=C -c bytea_output=hex".strip()
    if secret:
        given["service"] = _SERVICE
    command: list[str | bytes] = [
        str(pg_dump),
        f"--dbname={extensions.make_dsn(**given)}",
        "--no-password",
        "--data-only",
        "--quote-all-identifiers",
        "--strict-names",
        b"--table=" + source.encode(codec(encoding)),  # read in the encoding that is asked for
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_MS}",
        f"--encoding={encoding}",
    ]
    environ = {**os.environ, "LC_ALL": "C", "PGAPPNAME": "partition-desk"}
    if password:
        environ["PGPASSWORD"] = str(password)
    with tempfile.TemporaryFile() as said, _service(secret) as service:
        if service:
            environ["PGSERVICEFILE"] = service
        try:
            process = subprocess.Popen(  # nosec B603 # a list of pg_dump's own words
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environ,
                start_new_session=True,
                pipesize=CHUNK,
            )
        except OSError as error:
            raise Failed(f"{pg_dump} can't be run: {error.strerror}.") from error
        dump = Dump(process, said, source, encoding, leaf)
        try:
            yield dump
        finally:
            dump.kill()
            if process.stdout is not None:
                process.stdout.close()
            process.wait()


_TAIL = 2**14
"""Bytes at the end in which pg_dump's last words stand, after the last row."""
_WHERE_SAID = re.compile(
    r'(connection to server) (?:at|on socket) "[^"]*"(?: \([^)]*\))?(?:, port \d+)?|(?<=translate host name) "[^"]*"'
)


class Dump:
    """The rows that a pg_dump gives, cut out of what it writes around them."""

    def __init__(
        self, process: subprocess.Popen[bytes], said: IO[bytes], source: str, encoding: str, leaf: Level
    ) -> None:
        self._process = process
        self._said = said
        self._name = leaf.name
        columns = ", ".join(map(ident, leaf.stored))
        self._header = f"\nCOPY {source} ({columns}) FROM stdin;\n".encode(codec(encoding))

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
                if head < 0 and len(kept) > CHUNK:
                    raise Failed(f"pg_dump does not begin with the rows of {self._name}.", next="Look at its version.")
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
        said = " ".join(line.removeprefix("pg_dump: ").strip() for line in lines if " hint: " not in line)
        said = _WHERE_SAID.sub(r"\1", said)[:600].rstrip(".")
        if code < 0 and not said:
            said = f"it was killed by {signal.Signals(-code).name}"
        raise Failed(
            f"pg_dump could not read {self._name}: {said}.",
            safe="Nothing was changed, and nothing is left in the place.",
            next="Try again; a session that holds the table exclusively has to end first.",
        )


def codec(encoding: str) -> str:
    """Python's name of an encoding of PostgreSQL's. Raises BackupUnusable where Python has none."""
    found = python_codec(encoding)
    if found is None:
        raise BackupUnusable(f"The database's encoding {encoding} is not known here.")
    return found


Reading = Callable[[Level], AbstractContextManager[tuple[Dump, Fingerprinting]]]
"""Begins to read a leaf."""


class Packing:
    """Compresses an object in a thread beside the upload, a few chunks ahead of it at most."""

    def __init__(self, draft: Backup, read: Reading, follow: Following) -> None:
        self._draft = draft
        self._read = read
        self._follow = follow
        self._reading: tuple[Dump, Fingerprinting] | None = None
        self.leaves: list[Level] = []
        """Those that were read, with what was counted."""
        self._ready: queue.Queue[bytes | Exception | None] = queue.Queue(maxsize=8)
        self._abandoned = threading.Event()
        self._part: list[bytes] = []
        self._part_bytes = 0
        self._packer = zstandard.ZstdCompressor(level=LEVEL, threads=1, write_checksum=True).compressobj()
        self.digest = hashlib.sha256()
        self.raw_bytes = 0
        self.bytes = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="partition-desk-pack")

    def __enter__(self) -> Packing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._abandoned.set()
            self._stop()
        self._thread.join()

    def _stop(self) -> None:
        """Ends what is being read."""
        if self._reading is not None:
            dump, fingerprinting = self._reading
            dump.kill()
            fingerprinting.stop()

    def chunks(self) -> Iterator[bytes]:
        """The object's bytes. Raises whatever keeps it from being whole."""
        while True:
            self._follow.check()
            alive = self._thread.is_alive()
            try:
                found = self._ready.get(timeout=FOLLOW_S)
            except queue.Empty:
                if not alive:
                    raise Failed("The compression ended in the middle.", next="Try again.") from None
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
        leaves = self._draft.leaves
        texts = [before_rows(self._draft), *between_rows(self._draft)]
        for leaf, text in zip(leaves, texts, strict=False):
            self._add(text.encode(encoding)[:-1])
            with self._read(leaf) as self._reading:
                if self._abandoned.is_set():
                    self._stop()
                self.leaves.append(self._pack_leaf(leaf, *self._reading))
        if not leaves:
            self._add(texts[0].encode(encoding))
        self._add(after_rows(self._draft).encode(encoding))
        self._emit(self._packer.flush())
        self._give_part()

    def _pack_leaf(self, leaf: Level, dump: Dump, fingerprinting: Fingerprinting) -> Level:
        """Packs its rows, and returns it with what was counted of them."""
        before, done = self.raw_bytes, sum(one.rows for one in self.leaves)
        rows = -1  # the newline before the first
        for piece in dump.rows():
            self._add(piece)
            rows += piece.count(b"\n")
            self._follow.tell(bytes_done=self.bytes, rows_done=done + max(0, rows))
        counted, total, generated = fingerprinting.result()
        if rows != counted:
            raise Failed(
                f"pg_dump gave {plural(rows, 'row')} where {counted:,} were counted.", next="Look at its version."
            )
        return replace(
            leaf,
            rows=counted,
            fingerprint=fingerprint(counted, total),
            generated=fingerprint(counted, generated) if generated else "",
            raw_bytes=self.raw_bytes - before - 1,
        )

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


class Fetched:
    """The compressed bytes of an object as a file that only reads on; counts and hashes them."""

    def __init__(self, chunks: Iterable[bytes], follow: Following) -> None:
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


class Rows:
    """The rows of an object, leaf by leaf, as files for COPY, and the text around them: the manifest's own."""

    def __init__(self, source: _Reads, backup: Backup, follow: Following) -> None:
        self._stream = zstandard.ZstdDecompressor().stream_reader(source, read_size=CHUNK)  # type: ignore[arg-type]
        self._follow = follow
        encoding = codec(backup.encoding)
        self.before = before_rows(backup).encode(encoding)
        self.after = after_rows(backup).encode(encoding)
        self._between = [text.encode(encoding) for text in between_rows(backup)]
        sizes = [leaf.raw_bytes for leaf in backup.leaves]
        texts = sum(map(len, (self.before, self.after, *self._between)))
        if not backup.split:
            sizes = [backup.raw_bytes - texts]
        elif sum(sizes) + texts != backup.raw_bytes:
            raise BackupDamaged("The lengths of its parts are not what its manifest says.")
        self._left, *self._sizes = sizes or [0]
        self._rows = 0
        self._most = backup.rows
        self.error: DeskError | zstandard.ZstdError | None = None
        """What ended the reading: the driver would tell of it in words of its own."""

    def require_before(self) -> None:
        """Reads the text before the rows. Raises BackupDamaged where it is not what the manifest says."""
        self._require(self.before, "before")

    def require_next(self) -> None:
        """Reads on to the rows of the next leaf. Raises BackupDamaged where they don't follow."""
        if self._left:
            raise BackupDamaged("Rows are missing at its end.")
        self._require(self._between.pop(0), "between")
        self._left = self._sizes.pop(0)

    def require_after(self) -> None:
        """Reads the text after the rows, and that nothing follows. Raises BackupDamaged."""
        if self._left:
            raise BackupDamaged("Rows are missing at its end.")
        self._require(self.after, "after")
        if self._stream.read(1):
            raise BackupDamaged("Something follows after its end.")

    def require_length(self) -> None:
        """Reads to the end. Raises BackupDamaged where that is not where the manifest has it."""
        expected = self._left + sum(self._sizes) + sum(map(len, self._between)) + len(self.after)
        while piece := self._stream.read(CHUNK):
            expected -= len(piece)
        if expected:
            raise BackupDamaged("Its text is not as long as its manifest says.")

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
        if self._rows > self._most:
            self.error = BackupDamaged(f"It holds more rows than the {self._most:,} of its manifest.")
            raise self.error
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


def copy_rows(driver: extensions.connection, statement: str, rows: Rows) -> None:
    """COPY FROM STDIN. Raises what ended the reading, or psycopg2.Error with the server's words."""
    try:
        with driver.cursor() as cursor:
            cursor.copy_expert(statement, rows, size=CHUNK)  # type: ignore[arg-type]
    except (psycopg2.Error, DeskError, zstandard.ZstdError):
        if rows.error is not None:
            raise rows.error from None
        raise
