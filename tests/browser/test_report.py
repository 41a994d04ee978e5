"""The report in Chromium: one sheet of A4, nothing fetched, nothing cut off, whatever it has to say."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from core.growth.read import Growth
from core.growth.report import report_html
from core.growth.savings import Prices
from tests.browser.conftest import PICTURES
from tests.unit.growth_factories import MB, growth

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)
LONG = "x" * 63


def wordy() -> Growth:
    """More to say than there is room for: long names, long remarks, money, a limit."""
    made = growth(
        limit=650 * MB,
        table=f"{LONG}.{LONG}",
        prices=Prices(123.456, 7.89),
        notes=tuple(f"Of 7 partitions no size could be read just now: {LONG}, {LONG}, {LONG}." for _ in range(9)),
        currency="kroner",
        cold=123_456_789,
    )
    return replace(made, attached=made.attached * 10**6, archived=made.archived * 10**6)


CASES = {
    "plain": growth(limit=700 * MB),
    "wordy": wordy(),
    "young": growth(count=3),
    "bare": growth(items=(), attached=0, archived=0, by_period=(), savings=(), months=(), year_to_date=None),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", list(CASES))
def test_the_report_prints_on_one_page(browser: Browser, tmp_path: Path, name: str) -> None:
    file = tmp_path / "report.html"
    file.write_text(report_html(CASES[name], place="school on db.example:5432", made_at=NOW), encoding="utf-8")
    page = browser.new_page(viewport={"width": 800, "height": 1130})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    wide = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / f"report_{name}.png", full_page=True)
    printed = page.pdf(prefer_css_page_size=True)
    page.close()
    assert (said, asked) == ([], [file.as_uri()])
    assert wide, "it has to be scrolled sideways"
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
