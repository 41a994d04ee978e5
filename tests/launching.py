"""`python -m dashboard` in a process of its own, for tests of what it says and serves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tests.unit.console.test_metrics import Labels, parsed

START_S = 90
STOP_S = 30


@dataclass
class Launched:
    """A dashboard in a process of its own."""

    process: subprocess.Popen[str]
    port: int
    said: list[str] = field(default_factory=list)
    headers: Message = field(default_factory=Message)
    """Of the last answer."""

    def wait_for(self, pattern: str, seconds: float = START_S) -> str:
        """The first line of its output that matches."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            for line in tuple(self.said):
                if re.search(pattern, line):
                    return line
            assert self.process.poll() is None, self.said
            time.sleep(0.02)
        raise AssertionError(f"{pattern} was not said within {seconds} s: {self.said}")

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """(status, body), or (0, why) where nobody listens."""
        try:
            asked = Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
            with urlopen(asked, timeout=10) as answer:
                self.headers = answer.headers
                return answer.status, answer.read().decode()
        except HTTPError as error:
            self.headers = error.headers
            return error.code, error.read().decode()
        except (URLError, ConnectionError) as error:
            return 0, str(error)

    def asked(self, path: str) -> tuple[int, str, str]:
        """(status, Location, Set-Cookie) of an answer that is not followed."""
        return self.sent(path, None)

    def sent(self, path: str, form: str | None, **headers: str) -> tuple[int, str, str]:
        """The same of a form that was filled in."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            more = {"Content-Type": "application/x-www-form-urlencoded", **headers}
            connection.request("GET" if form is None else "POST", path, form, more)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Location", ""), answer.headers.get("Set-Cookie", "")
        finally:
            connection.close()

    def metrics(self) -> dict[tuple[str, Labels], float]:
        """What /metrics tells."""
        status, text = self.get("/metrics")
        assert status == 200
        return parsed(text)

    def stop(self, number: signal.Signals = signal.SIGINT, *, times: int = 1) -> int:
        """Sends it the signal, as a terminal does to all of its group, and waits; its exit code."""
        for _ in range(times):
            os.killpg(self.process.pid, number)
            time.sleep(0.05)
        code = self.process.wait(STOP_S)
        assert "Traceback" not in "".join(self.said), "".join(self.said)
        return code


@contextmanager
def launched(home: Path, port: int, *arguments: str, **environment: str) -> Iterator[Launched]:
    """A started dashboard, whose output is read along; ended hard if the test left it running."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMLIT_", "DATABASE_URL"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard", *(arguments or ("--port", str(port)))],
        cwd="/",
        env={**kept, "PARTITION_DESK_HOME": str(home), "PARTITION_DESK_OPEN": "true", **environment},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    found = Launched(process, port)
    assert process.stdout is not None
    reader = threading.Thread(target=found.said.extend, args=(process.stdout,))
    reader.start()
    try:
        yield found
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join()
        process.stdout.close()
