"""The real dashboard in a process of its own, and Chromium to use it with."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.browser.launched import CHROMIUM, FLAGS, OPEN, Console, console_on
from tests.tables import Made

__all__ = ["OPEN", "Console"]

PICTURES = Path(__file__).parent / "pictures"
THIS_YEAR = date.today().year

expect.set_options(timeout=60_000)


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
    with ExitStack() as started:

        def start(url: str, **environment: str) -> Console:
            return started.enter_context(console_on(url, tmp_path, **environment))

        yield start


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
    """The button of that label, or of the act of that name on whatever it is; icons aside."""
    return page.get_by_role("button", name=re.compile(rf"(^|\W){re.escape(name)}( of \S+| \d+)?$"))


def settled(page: Page) -> None:
    """The page is drawn, with its pictures."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=120_000)
    expect(page.locator('[data-testid="stSkeleton"], [data-stale="true"]')).to_have_count(0)
    page.wait_for_function("document.getAnimations().every(one => one.playState !== 'running')")


def dialog(page: Page) -> Any:
    """The dialog over the page."""
    return page.get_by_role("dialog")
