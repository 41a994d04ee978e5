"""The real dashboard in a process of its own, for tests and pictures, and how Chromium is started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_S = 60
OPEN = {"PARTITION_DESK_OPEN": "true"}
"""Nobody is asked who is there, as these tests are of what comes then."""


@dataclass(frozen=True)
class Console:
    """A running dashboard."""

    address: str
    log: Path


@contextmanager
def console_on(url: str, home: Path, **environment: str) -> Iterator[Console]:
    """The dashboard on a database's address, ended at the end."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home / f"console_{port}.log"
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url, "PARTITION_DESK_HOME": str(home), **OPEN, **environment},
            stdout=output,
            stderr=output,
        )
    try:
        console = Console(f"http://127.0.0.1:{port}", log)
        _wait_until_healthy(console, process)
        yield console
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_until_healthy(console: Console, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert process.poll() is None, console.log.read_text()
        try:
            with urllib.request.urlopen(f"{console.address}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError(f"The dashboard did not start within {START_S} s:\n{console.log.read_text()}")
