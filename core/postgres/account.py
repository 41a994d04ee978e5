"""The OS user that an embedded PostgreSQL runs as: who starts it, or as root (which PostgreSQL refuses) its own."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConnectionFailed

SERVER_USER = "partition-desk"
OWN_SERVER = "You can also set DATABASE_URL to a PostgreSQL server of your own."


@dataclass(frozen=True, slots=True)
class Account:
    """The OS user that the server runs as."""

    name: str
    uid: int
    gid: int
    other: bool
    """Whether it is another than the one who starts it; then who starts it is root."""

    def may_enter(self, folder: Path) -> bool:
        """Whether its permissions let that user through."""
        found = folder.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def find_account() -> Account:
    """Who the server runs as: who starts it, or as root (which PostgreSQL refuses) its own system user."""
    if os.geteuid() != 0:
        return Account(user_name(), os.geteuid(), os.getegid(), other=False)
    give_up = time.monotonic() + 5
    while True:
        try:
            entry = pwd.getpwnam(SERVER_USER)
            return Account(SERVER_USER, entry.pw_uid, entry.pw_gid, other=True)
        except KeyError:
            refusal = _add_server_user()
        if refusal and time.monotonic() > give_up:
            raise ConnectionFailed(
                f"PostgreSQL does not run as root, and its own user {SERVER_USER} can't be created: {refusal}",
                next=f"Create a system user {SERVER_USER}, or run this as another user than root. {OWN_SERVER}",
            )
        if refusal:
            time.sleep(0.2)  # another process may hold the lock of the user database


def user_name() -> str:
    """The name of who runs this, as PostgreSQL will look it up; LOGNAME may say anything."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise ConnectionFailed(
            f"The user id {os.geteuid()} has no name on this system, and PostgreSQL needs one.", next=OWN_SERVER
        ) from error


def _add_server_user() -> str:
    """Creates the server's system user; returns why it can't, or ''."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        added = subprocess.run(  # nosec B603 # constants
            [*command, "--shell", "/usr/sbin/nologin", SERVER_USER],
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except FileNotFoundError:
        return "there is no useradd here."
    return "" if added.returncode == 0 else added.stdout.strip() or f"useradd ended with {added.returncode}."
