"""Accounts of a small office: names and passwords, the latter as Argon2 makes them, in a file of the console's home.

They are not kept in the database: who may write there could make an account of his own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import Refused, SettingError
from core.settings import Settings, parse_names

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_FILE = "accounts"
LEAST, MOST = 12, 1024
"""Characters of a password."""


def names(settings: Settings) -> tuple[str, ...]:
    """Whose accounts there are. Raises SettingError for a file that others may read."""
    return tuple(sorted(_read(settings.home / _FILE)))


def set_password(settings: Settings, name: str, password: str, *, new: bool) -> None:
    """Makes an account, or gives one another password. Raises Refused, SettingError."""
    if parse_names("The name", name) != (name,) or name.startswith("@") or name == "*":
        raise Refused(f"{name!r} is no name for an account.", next="Write one without commas and spaces at its ends.")
    if not LEAST <= len(password) <= MOST:
        raise Refused(f"The password has {len(password)} characters.", next=f"Choose one of {LEAST} to {MOST}.")
    with _changing(settings) as accounts:
        if (name in accounts) is new:
            raise Refused(f"There is {'an' if new else 'no'} account {name}{' already' if new else ''}.")
        accounts[name] = _hasher().hash(password)


def remove(settings: Settings, name: str) -> None:
    """Takes an account away; who is signed in by it is not any more. Raises Refused, SettingError."""
    with _changing(settings) as accounts:
        if accounts.pop(name, None) is None:
            raise Refused(f"There is no account {name}.")


def verified(settings: Settings, name: str, password: str) -> bool:
    """Whether it is that account's password; as slow for a name that is none."""
    from argon2.exceptions import InvalidHashError, VerificationError

    hasher = _hasher()
    found = _read(settings.home / _FILE).get(name)
    try:
        hasher.verify(found or _NOBODY, password[:MOST])
    except (VerificationError, InvalidHashError):
        return False
    return found is not None


def mark(settings: Settings, name: str) -> str:
    """Tells an account from itself with another password; empty where there is none."""
    found = _read(settings.home / _FILE).get(name)
    return hashlib.sha256(found.encode()).hexdigest()[:16] if found else ""


_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$JtNVdnbsrCaVNRfvwqVeGw4dRhBmQmW3VxvQ8CGpdqA"


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


def _read(path: Path) -> dict[str, str]:
    try:
        found = path.stat()
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077 or not stat.S_ISREG(found.st_mode):
            raise SettingError(
                f"Others than the user of this console may read or own {path}, the accounts.",
                next=f"Take it away from them: chmod 600 {path}",
            )
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingError(f"{path}, the accounts, can't be read: {error}") from error
    if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
        raise SettingError(f"{path} holds no accounts.")
    return read


@contextmanager
def _changing(settings: Settings) -> Iterator[dict[str, str]]:
    """The accounts, written whole afterwards; one who changes them at a time."""
    path = settings.home / _FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path.with_name(".accounts.lock"), os.O_RDWR | os.O_CREAT, 0o600)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            accounts = _read(path)
            yield accounts
            draft = path.with_name(f".accounts.{secrets.token_hex(4)}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(accounts, file, indent=1)
            draft.replace(path)
    except OSError as error:
        raise SettingError(f"The accounts can't be kept in {path}: {error.strerror or error}.") from error
