"""Writes constraints-hashed.txt: what constraints.txt pins, each with the hashes of the files that pip chooses.

python -m tests.hashes

pip is asked as it is set up here, once for each Python on Linux; nothing is installed and nothing is built.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINNED, HASHED = ROOT / "constraints.txt", ROOT / "constraints-hashed.txt"
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")
HEAD = """\
# What constraints.txt pins, with the hashes of its files for Python 3.11, 3.12 and 3.13 on Linux (x86-64).
# pip install --require-hashes --only-binary :all: -r constraints-hashed.txt, then pip install --no-deps -e .
# Made by: make hashes
"""


def chosen(python: str) -> dict[str, set[str]]:
    """The hashes of the files that pip chooses for one Python, by "name==version"."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        platforms = [word for one in PLATFORMS for word in ("--platform", one)]
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"),
                *("--ignore-installed", "--no-deps", "--only-binary", ":all:", "--python-version", python),
                *platforms,
                *("--target", folder, "--report", str(report), "-r", str(PINNED)),
            ],
            check=True,
        )
        found: dict[str, set[str]] = {}
        for one in json.loads(report.read_text())["install"]:
            name = f"{one['metadata']['name']}=={one['metadata']['version']}"
            found.setdefault(name, set()).add(one["download_info"]["archive_info"]["hashes"]["sha256"])
        return found


def main() -> None:
    every: dict[str, set[str]] = {}
    for python in PYTHONS:
        for name, hashes in chosen(python).items():
            every.setdefault(name, set()).update(hashes)
    lines = [
        " \\\n    ".join((name, *(f"--hash=sha256:{one}" for one in sorted(every[name]))))
        for name in sorted(every, key=str.casefold)
    ]
    HASHED.write_text(HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
