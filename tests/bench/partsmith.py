"""pg-partsmith beside ours: in a virtual environment of its own, since its dependencies are not ours."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NAME = "pg-partsmith"
VERSION = "1.10"
_REQUIREMENTS = (f"{NAME}=={VERSION}.*", "psycopg2-binary")
_INSTALL_S = 180
_APPLY_S = 60
_DRIVER = Path(__file__).with_name("partsmith_driver.py")


@dataclass(frozen=True, slots=True)
class Applied:
    """How long its apply took, and what it said where it failed."""

    seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class Partsmith:
    """The Python in which it is installed."""

    python: Path

    @contextmanager
    def planned(self, url: str, operation: str, year: int) -> Iterator[Planned]:
        """Starts it and has it plan; `apply` then runs the plan. `operation` is archive or ensure."""
        command = [str(self.python), "-W", "ignore", str(_DRIVER), url, operation, str(year)]
        with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                yield Planned(process)
            finally:
                process.kill()


class Planned:
    """A plan of its own, ready to be applied."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.plan = process.stdout.readline().strip()
        assert self.plan, f"pg-partsmith did not plan: exit status {process.wait()}"

    def apply(self) -> Applied:
        """Applies the plan, and waits for its end."""
        said, _ = self._process.communicate("go\n", timeout=_APPLY_S)
        return Applied(**json.loads(said.strip().splitlines()[-1]))


@contextmanager
def installed() -> Iterator[Partsmith | None]:
    """pg-partsmith in a temporary virtual environment; None where it can't be installed here."""
    with tempfile.TemporaryDirectory(prefix="pd-bench-venv-") as folder:
        python = Path(folder) / "bin" / "python"
        commands = (
            [sys.executable, "-m", "venv", folder],
            [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *_REQUIREMENTS],
        )
        yield Partsmith(python) if all(_succeeds(command) for command in commands) else None


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=_INSTALL_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
