"""The seal of the journal and of proofs: tells what a console wrote from what anybody else did.

A keyed hash (HMAC) over what is said; whoever has the key may have the worker act. The key is PARTITION_DESK_KEY,
else a file in the console's home that its owner alone may read, made with the first act.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import SettingError

_FILE = "key"
_LEAST = 16
"""Bytes of a key."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A key, and what it makes of texts."""

    key: bytes = field(repr=False)

    def of(self, *parts: str) -> str:
        """The seal of texts in this order, in hexadecimal digits."""
        return hmac.new(self.key, json.dumps(parts).encode(), "sha256").hexdigest()

    def fits(self, seal: str, *parts: str) -> bool:
        """Whether this key made that seal of those texts."""
        return hmac.compare_digest(seal.encode(), self.of(*parts).encode())


def read_seal(key: str, home: Path) -> Seal | None:
    """The seal of a console with that PARTITION_DESK_KEY, else with that home; None where it has no key yet.

    Raises SettingError for a key that can't be read, or that others may read.
    """
    if key:
        return Seal(key.encode())
    path = home / _FILE
    try:
        return Seal(_read(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot(path, error) from error


def trusted_seal(key: str, home: Path) -> Seal | None:
    """The same; None, too, where the key can't be read or trusted: who only looks is not stopped by it."""
    try:
        return read_seal(key, home)
    except SettingError:
        return None


def make_seal(key: str, home: Path) -> Seal:
    """The same, with a key of its own made where there is none. Raises SettingError, too, where it can't be kept."""
    found = read_seal(key, home)
    if found is not None:
        return found
    path = home / _FILE
    try:
        _make(path)
        return Seal(_read(path))
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: Path, error: OSError) -> SettingError:
    return SettingError(
        f"The key of this console's seals can't be kept in {path}: {error.strerror or error}.",
        next="Set PARTITION_DESK_KEY to a long random text, the same for every console of this database.",
    )


def _read(path: Path) -> bytes:
    found = path.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077 or not stat.S_ISREG(found.st_mode):
        raise SettingError(
            f"Others than the user of this console may read or own {path}, the key of its seals.",
            next=f"Take it away from them, or delete it: a new one is made. chmod 600 {path}",
        )
    key = path.read_bytes().strip()
    if len(key) < _LEAST:
        raise SettingError(f"{path} holds no key.", next="Delete it: a new one is made with the next act.")
    return key


def _make(path: Path) -> None:
    """Writes a new key; where another process is faster, that one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_hex(32).encode())
    try:
        os.link(draft, path)  # whole, or not at all
    except FileExistsError:
        pass
    finally:
        draft.unlink()
