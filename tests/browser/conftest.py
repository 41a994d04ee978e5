"""The real dashboard in a process of its own, and Chromium to use it with."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.tables import Made

ROOT = Path(__file__).parents[2]
PICTURES = Path(__file__).parent / "pictures"
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
THIS_YEAR = date.today().year

expect.set_options(timeout=60_000)


@dataclass(frozen=True)
class Console:
    """A running dashboard."""

    address: str
    log: Path


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    if not CHROMIUM.exists():
        pytest.fail(f"The browser tests drive {CHROMIUM}, which is not there: install Chromium (apt-get: chromium).")
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """One Chromium for all tests; each page has a profile of its own."""
    started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
    yield started
    started.close()


@pytest.fixture
def start_console(tmp_path: Path, database_url: str) -> Iterator[Callable[..., Console]]:
    """Starts the dashboard on a database's address; it is ended with the test, before the test's database is."""
    assert database_url
    processes: list[subprocess.Popen[bytes]] = []

    def start(url: str, **environment: str) -> Console:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = tmp_path / f"console_{port}.log"
        command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(port)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": url, "PARTITION_DESK_HOME": str(tmp_path), **OPEN, **environment},
                stdout=output,
                stderr=output,
            )
        processes.append(process)
        console = Console(f"http://127.0.0.1:{port}", log)
        _wait_until_healthy(console, process)
        return console

    yield start
    for process in processes:
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
    pytest.fail(f"The dashboard did not start within {START_S} s:\n{console.log.read_text()}")


@pytest.fixture
def absences(make_table: Callable[..., Made]) -> Made:
    """kid_absences of six past years and this one; the next is missing. Analyzed, so that estimates are exact."""
    made = make_table(start=date(THIS_YEAR - 6, 1, 1), count=7, rows=400)
    made.run("ANALYZE")
    return made


@pytest.fixture
def console(database_url: str, absences: Made, start_console: Callable[..., Console]) -> Console:
    """The dashboard on the test's database, which has kid_absences."""
    return start_console(database_url)


@pytest.fixture
def open_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Opens a page in a profile of its own; a picture of each is kept where the test failed."""
    opened: list[Page] = []

    def opener(console: Console, path: str = "/", *, width: int = 1300) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 1000})
        page = context.new_page()
        opened.append(page)
        page.goto(f"{console.address}{path}")
        return page

    yield opener
    failed = getattr(request.node, "failed", False)
    for number, page in enumerate(opened):
        if failed and not page.is_closed():
            PICTURES.mkdir(exist_ok=True)
            name = re.sub(r"\W+", "_", request.node.name)
            page.screenshot(path=PICTURES / f"{name}_{number}.png", full_page=True)
        page.context.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.when == "call":
        item.failed = report.failed  # type: ignore[attr-defined]
    return report


def button(page: Page, name: str) -> Any:
    """The button of that label, icons aside."""
    return page.get_by_role("button", name=re.compile(rf"{re.escape(name)}$"))


def dialog(page: Page) -> Any:
    """The dialog over the page."""
    return page.get_by_role("dialog")
