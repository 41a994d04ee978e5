"""Keeps backups in a place: a folder, or a bucket of S3, Google Cloud Storage or Azure.

A path in a place is relative, `/` between its parts, each of them up to 255 letters, digits and `-._~%=+,`, and none
beginning with a dot. What is being written is in the place under no such path until it is whole:

    a folder   `.partial/` holds files that are being written, each locked by who writes it. One that nobody holds was
               left by a crash, and the next write removes it. A whole file is renamed to its path.
               A folder that BACKUP_URL names has a random id in `.partition-desk-place` from its first write on, and
               the console's home remembers that id: without its disk mounted, the folder is told from the real one.
    a bucket   an upload shows nothing before its end, and one that fails is aborted. Where the abort fails as well, as
               without a network, its parts stay unseen: a lifecycle rule for incomplete uploads removes those.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from core.backups.storage.base import Storage, StoredObject
from core.backups.storage.bucket import open_bucket
from core.backups.storage.folder import Folder
from core.errors import SettingError
from core.seal import trusted_seal

__all__ = ["Folder", "Storage", "StorageSettings", "StoredObject", "open_storage"]

DEFAULT_FOLDER = "backups"
"""Below PARTITION_DESK_HOME, where BACKUP_URL says nothing."""
SCHEMES = ("s3", "gs", "az")


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where backups are kept, and what it takes to get there."""

    url: str
    """BACKUP_URL; empty for a folder in `home`."""
    home: Path
    """The console's own folder."""
    environ: Mapping[str, str]
    """Where the credentials of the place are looked up, and programs."""
    key: str = field(default="", repr=False)
    """PARTITION_DESK_KEY, with which proofs are sealed; empty for the key in `home`."""

    def open(self) -> Storage:
        """The place, with the seal of this console's proofs. Raises SettingError."""
        opened = open_storage(self.url, home=self.home, environ=self.environ)
        opened.seal = trusted_seal(self.key, self.home)
        return opened


def open_storage(url: str, *, home: Path, environ: Mapping[str, str]) -> Storage:
    """The place that BACKUP_URL names: nothing for `backups` below `home`, a whole path or `file://` for a folder,
    `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.

    Nothing is made and nobody is asked yet. S3 reads AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY and
    AWS_SESSION_TOKEN, else the profile AWS_PROFILE in `~/.aws` (its keys, or with boto3 what SSO, a role or a program
    gives), else what the machine or container has; further AWS_REGION, AWS_ENDPOINT_URL and AWS_CA_BUNDLE, all of
    `environ`. Azure, Google and the rarer settings of S3 are read by obstore from the process's own environment.
    Raises SettingError, which never repeats a secret.
    """
    if not url:
        return Folder(home / DEFAULT_FOLDER, under_home=True)
    if "\0" in url:
        raise SettingError("BACKUP_URL has a NUL in it.")
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    if not found:
        if re.match(r"(s3|gs|az|file):", url, re.IGNORECASE):
            raise SettingError("BACKUP_URL lacks the // after its scheme.", next="Write it as in s3://bucket/prefix.")
        return Folder(_whole(url), home=home)
    if scheme == "file":
        host, slash, path = rest.partition("/")
        if host not in ("", "localhost") or not slash:
            raise SettingError("BACKUP_URL names a file:// of another machine.", next="Write it as in file:///folder.")
        return Folder(Path("/" + unquote(path)), home=home)
    if scheme not in SCHEMES:
        raise SettingError(
            "BACKUP_URL begins with a scheme that is not known here.",
            next="Give a whole path, or a URL that begins with file://, s3://, gs:// or az://.",
        )
    return open_bucket(scheme, url, environ)


def _whole(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise SettingError("BACKUP_URL begins with the home directory of a user who has none.") from None
    if not path.is_absolute():
        raise SettingError(
            "BACKUP_URL is no whole path, and so another folder wherever a command is started.",
            next="Write the whole path, or a URL that begins with s3://, gs:// or az://.",
        )
    return path
