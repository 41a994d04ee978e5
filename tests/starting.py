"""An application's start in a process of its own, for tests of many at once."""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from contextlib import redirect_stderr
from datetime import date
from multiprocessing.connection import Connection

from sqlalchemy import create_engine

from core.absences import ensure_absence_partitions
from core.postgres.connection import parse_url
from tests.processes import PROCESSES

TODAY = date(2025, 6, 1)


class Starting:
    """A process that is up, and has its partitions made once it is told to begin."""

    def __init__(self, url: str) -> None:
        self._ours, theirs = PROCESSES.Pipe()
        self._process = PROCESSES.Process(target=_start, args=(theirs, url, dict(os.environ)))
        self._process.start()
        theirs.close()
        self._ours.recv()

    def begin(self) -> None:
        self._ours.send("begin")

    def end(self) -> tuple[str, str, int]:
        """(what it logged, what it wrote on standard error, its exit status), once it has ended."""
        assert self._ours.poll(120), "the process did not end"
        out, err, code = self._ours.recv()
        self._ours.close()
        self._process.join(120)
        assert self._process.exitcode == code
        return out, err, code


def _start(told: Connection, url: str, environ: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    said, wrong = io.StringIO(), io.StringIO()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=said, force=True)
    engine = create_engine(parse_url(url))
    told.send("up")
    told.recv()
    code = 0
    with redirect_stderr(wrong):
        try:
            ensure_absence_partitions(engine, today=TODAY)
            engine.dispose()
        except BaseException:  # noqa: BLE001 - as Python itself tells it
            traceback.print_exc()
            code = 1
    told.send((said.getvalue(), wrong.getvalue(), code))
    sys.exit(code)
