"""What 10,000 and 50,000 partitions in one table cost, and 26,000 in 40 tables: commands, and pages in Chromium."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Page, TimeoutError, sync_playwright

from tests.bench.many import make_many, settle
from tests.bench.report import Table, Target
from tests.bench.server import desk, unsafe_server

CHROMIUM = Path("/usr/bin/chromium")
NAME = "readings"
PAGES = ("overview", "partitions", "growth", "archive", "doctor", "activity")
FIRST_S, AGAIN_S = 5.0, 3.0
"""How long a page of 10,000 partitions may take to be drawn."""
COMMAND_S, COMMAND_MB = 10.0, 200.0
"""What a command may take at 50,000."""
WHOLE_S = 3.0
"""How long `sample` and `metrics` may take at 26,000 partitions in 40 tables."""
LIMIT_S = 60.0
"""When a command, or a page, that takes longer is left: it is told as that, and the next is measured."""
_ROOT = Path(__file__).parents[2]

COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status", "--table", NAME),
    "status --json": ("status", "--json", "--table", NAME),
    "doctor": ("doctor", "--table", NAME),
    "doctor --json": ("doctor", "--json", "--table", NAME),
    "find": ("find", "--date", "2004-01-01", "--table", NAME),
    "ensure --dry-run": ("ensure", "--dry-run", "--table", NAME),
    "archive --dry-run": ("archive", "--partition", f"{NAME}_3", "--dry-run", "--table", NAME),
    "growth": ("growth", "--table", NAME),
    "growth --json": ("growth", "--json", "--table", NAME),
    "metrics": ("metrics",),
    "backups": ("backups",),
    "history": ("history",),
}
WHOLE = {"metrics": ("metrics",), "sample": ("sample",), "sample again": ("sample",)}


def measure_scale(one: int, most: int, tables: int, each: int) -> tuple[Table, ...]:
    """Pages and commands at `one` partitions, commands at `most`, and the whole database at `tables` of `each`.

    On a server of its own that writes nothing out: what is measured is commands and pages, and to have the disk keep
    two hundred thousand empty files takes longer than all of them.
    """
    with tempfile.TemporaryDirectory(prefix="pd-bench-") as home, unsafe_server() as server:
        pages, small = _of_one(server, "scale_one", one, Path(home), pages=True)
        _, large = _of_one(server, "scale_most", most, Path(home), pages=False)
        with _database(server, "scale_whole", {f"t{number:02}": each for number in range(tables)}) as url:
            whole = [(name, *_command(url, Path(home), *words)) for name, words in WHOLE.items()]
    return (
        *pages,
        _commands(f"Commands at {one:,} partitions in one table", small, None, None),
        _commands(f"Commands at {most:,} partitions in one table", large, COMMAND_S, COMMAND_MB),
        _commands(f"Commands at {tables * each:,} partitions in {tables} tables", whole, WHOLE_S, None),
    )


Cost = tuple[str, float, float, float, int]
"""(command, seconds, its processor seconds, MB of memory at its peak, bytes printed)."""


def _of_one(server: str, name: str, count: int, home: Path, *, pages: bool) -> tuple[tuple[Table, ...], list[Cost]]:
    with _database(server, name, {NAME: count}) as url:
        costs = [(command, *_command(url, home, *words)) for command, words in COMMANDS.items()]
        return ((_pages(url, home, count),) if pages else ()), costs


@contextmanager
def _database(server: str, name: str, tables: dict[str, int]) -> Iterator[str]:
    with desk(server, name) as at:
        for table, count in tables.items():
            make_many(at.run, table, count)
        settle(at.run)
        _say(f"{sum(tables.values()):,} partitions built")
        yield at.url


def _say(what: str) -> None:
    print(f"  scale: {what}", file=sys.stderr, flush=True)


def _environment(url: str, home: Path) -> dict[str, str]:
    place = {"PARTITION_DESK_OPEN": "true", "PARTITION_DESK_HOME": str(home), "BACKUP_URL": str(home / "place")}
    return {**os.environ, "DATABASE_URL": url, **place}


def _command(url: str, home: Path, *words: str) -> tuple[float, float, float, int]:
    """Runs a command in a process of its own: (seconds, processor seconds, MB at its peak, bytes printed)."""
    with tempfile.TemporaryFile() as printed:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "core", *words], cwd=_ROOT, env=_environment(url, home), stdout=printed
        )
        late = threading.Timer(LIMIT_S, process.kill)
        late.start()
        _, status, used = os.wait4(process.pid, 0)
        late.cancel()
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode == -signal.SIGKILL:
            seconds = math.inf
        elif process.returncode:
            raise SystemExit(f"partitions {' '.join(words)} ended with {process.returncode}")
        _say(f"{' '.join(words[:2])} {_seconds(seconds)} s")
        return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, os.fstat(printed.fileno()).st_size


def _commands(title: str, costs: list[Cost], seconds: float | None, memory: float | None) -> Table:
    targets = []
    if seconds is not None:
        longest = max(costs, key=lambda cost: cost[1])
        targets.append(
            Target(f"each under {seconds:.0f} s", f"{longest[0]}: {_seconds(longest[1])} s", longest[1] < seconds)
        )
    if memory is not None:
        largest = max(costs, key=lambda cost: cost[3])
        targets.append(Target(f"each under {memory:.0f} MB", f"{largest[0]}: {largest[3]:.0f} MB", largest[3] < memory))
    return Table(
        title,
        ("", "s", "processor s", "MB", "printed kB"),
        tuple(
            (name, _seconds(wall), f"{used:.1f}", f"{peak:.0f}", f"{size / 1000:,.0f}")
            for name, wall, used, peak, size in costs
        ),
        notes=(
            "Each a process of its own, from its start; processor seconds are the command's, without the server's.",
        ),
        targets=tuple(targets),
    )


# Pages ---------------------------------------------------------------------------------------------------------------


def _pages(url: str, home: Path, count: int) -> Table:
    """Every page in Chromium, first and again."""
    rows: list[tuple[str, ...]] = []
    slowest = {"first": ("", 0.0), "again": ("", 0.0)}
    with _console(url, home) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        for name in PAGES:
            page = browser.new_page(viewport={"width": 1300, "height": 1000})
            taken = {when: _drawn(page, f"{address}/{name}?table=public.{NAME}") for when in ("first", "again")}
            _say(f"{name} {_seconds(taken['first'])} and {_seconds(taken['again'])} s")
            height = page.evaluate("document.querySelector('[data-testid=stMain] > div').scrollHeight")
            rows.append((name.capitalize(), _seconds(taken["first"]), _seconds(taken["again"]), f"{height:,}"))
            slowest = {when: max(slowest[when], (name, taken[when]), key=lambda one: one[1]) for when in taken}
            page.close()
        browser.close()
    limits = {"first": FIRST_S, "again": AGAIN_S}
    return Table(
        f"Pages of one table of {count:,} partitions, in Chromium",
        ("", "first s", "again s", "px high"),
        tuple(rows),
        notes=("From the address to a page that has stopped running; again is the same address once more.",),
        targets=tuple(
            Target(
                f"every page {when} under {limit:.0f} s",
                f"{slowest[when][0]}: {_seconds(slowest[when][1])} s",
                slowest[when][1] < limit,
            )
            for when, limit in limits.items()
        ),
    )


def _drawn(page: Page, address: str) -> float:
    """Seconds until the page has a heading and its script has ended."""
    begun = time.perf_counter()
    try:
        page.goto(address)
        page.locator("[data-testid=stApp][data-test-script-state=notRunning] h1").first.wait_for(timeout=LIMIT_S * 1000)
        page.wait_for_function("!document.querySelector('[data-stale=true]')", timeout=LIMIT_S * 1000)
    except TimeoutError:
        return math.inf
    return time.perf_counter() - begun


def _seconds(taken: float) -> str:
    """As it was measured; more than LIMIT_S for what was left."""
    return f"{taken:.1f}" if math.isfinite(taken) else f"over {LIMIT_S:.0f}"


@contextmanager
def _console(url: str, home: Path) -> Iterator[str]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dashboard", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=_ROOT, env=_environment(url, home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while process.poll() is None:
            with suppress(URLError, OSError), urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
