"""Opens places of backups as tests do."""

from __future__ import annotations

from pathlib import Path

from core.backups.storage import open_storage
from core.backups.storage.base import Storage

HOME = Path("/dev/null/desk")
"""No home: nothing can be remembered there."""
KEY = "AKIAEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/EXAMPLESECRET"


def opened(url: str, environ: dict[str, str] | None = None) -> Storage:
    return open_storage(url, home=HOME, environ={"HOME": "/nonexistent"} if environ is None else environ)
