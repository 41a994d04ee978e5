"""Growth in a real browser: a view that can be shared, and what can be taken away of it."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from core.growth.holdings import Stage
from core.growth.samples.values import Past
from core.growth.samples.write import write_generated
from core.postgres.connection import session as opened
from core.tables.size import Size
from tests.browser.conftest import Console, button
from tests.tables import Made

OpenPage = Callable[..., Page]
TODAY = date.today()
MB = 1_000_000


def write(engine: Engine, table: str) -> None:
    """A year and more of samples: 100 MB that grew by 100 kB a day."""
    days = [TODAY - timedelta(days=399 - n) for n in range(400)]
    changes = tuple((day, Stage.ATTACHED, Size(60 * MB + n * MB // 10, 0, 0), n) for n, day in enumerate(days))
    with opened(engine) as connection:
        write_generated(connection, [Past(table, "sampled", None, None, changes)], days)


def file(page: Page, label: str) -> Path:
    """What a button downloads; asked for again where the browser gave it up because the page was drawn meanwhile."""
    failure: str | None = None
    for _ in range(3):
        with page.expect_download(timeout=30_000) as waiting:
            button(page, label).click()
        failure = waiting.value.failure()
        if failure is None:
            return Path(waiting.value.path())
    raise AssertionError(f"{label} was not downloaded: {failure}")


@pytest.mark.thorough
def test_a_view_is_shared_and_its_pictures_are_taken_away(
    start_console: Callable[..., Console], open_page: OpenPage, absences: Made, worker: Engine, database_url: str
) -> None:
    write(worker, absences.address)
    console = start_console(database_url, PARTITION_DESK_SAMPLE="false")
    page = open_page(console, "/growth")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.get_by_role("heading", level=1)).to_contain_text("on the server")
    expect(page.get_by_text("invented: they belong to the demo")).to_be_visible()
    expect(page.get_by_text("invented for the demo up to")).to_be_visible()

    page.get_by_label("Limit on the server", exact=True).fill("500 MB")
    page.get_by_label("Limit on the server", exact=True).press("Enter")
    expect(page.get_by_text("the limit of 500 MB")).to_be_visible()
    page.wait_for_url(re.compile(r"limit="))
    assert parse_qs(urlparse(page.url).query)["limit"] == ["500 MB"]

    other = open_page(console, page.url.removeprefix(console.address))
    expect(other.get_by_text("the limit of 500 MB")).to_be_visible()
    expect(other.get_by_label("Limit on the server", exact=True)).to_have_value("500 MB")

    pictures = page.locator('[data-testid="stVegaLiteChart"]')
    expect(pictures.first).to_be_visible()
    files = page.get_by_role("button", name=re.compile("Files"))
    files.nth(1).focus()
    page.keyboard.press("Enter")  # What is stored, without a mouse
    rows = list(csv.reader(file(page, "Table (CSV)").read_text("utf-8-sig").splitlines()))
    assert rows[0][:3] == ["day", "in use", "archived"]
    assert (len(rows), rows[-1][0], rows[-1][1]) == (401, TODAY.isoformat(), str(60 * MB + 399 * MB // 10))
    assert file(page, "Picture (PNG)").read_bytes().startswith(b"\x89PNG")
    drawn = file(page, "Picture (SVG)").read_text()
    assert "What is stored" in drawn
    assert "500 MB" in drawn  # where it is from, and how it was made
    page.keyboard.press("Escape")

    report = file(page, "One-page report").read_text()
    assert report.startswith("<!DOCTYPE html>")
    assert "477\N{NO-BREAK SPACE}MiB" in report or "477 MiB" in report
    assert not [url for url in asked if not url.startswith((console.address, "data:", "blob:"))]


@pytest.mark.thorough
def test_overview_shows_the_line_of_its_total(
    start_console: Callable[..., Console], open_page: OpenPage, absences: Made, worker: Engine, database_url: str
) -> None:
    write(worker, absences.address)
    page = open_page(start_console(database_url, PARTITION_DESK_SAMPLE="false"))
    card = page.get_by_test_id("stMetric").filter(has_text="In the table")
    expect(card.get_by_test_id("stMetricChart")).to_be_visible()
