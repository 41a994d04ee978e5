"""A database that goes away and comes back, and names that look like markup, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from urllib.parse import quote_plus

import pytest
from playwright.sync_api import Page, expect

from core.postgres.connection import parse_url
from dashboard.format import JOINER, plain
from tests.browser.conftest import THIS_YEAR, Console
from tests.browser.proxy import Proxy
from tests.tables import Made

HOSTILE = "a[b](http://x.test) **x** :material/home: www.x.test <b>"
OpenPage = Callable[..., Page]


def test_database_gone_and_back(
    start_console: Callable[..., Console], open_page: OpenPage, absences: Made, database_url: str
) -> None:
    url = parse_url(database_url)
    proxy = Proxy(url)
    through = url.set(host="127.0.0.1", port=proxy.port, password="hush-hush", query={})
    try:
        console = start_console(through.render_as_string(hide_password=False))
        page = open_page(console)
        verdict = page.get_by_role("heading", name=f"{THIS_YEAR + 1} has no partition")
        expect(verdict).to_be_visible()
        proxy.cut()
        expect(page.get_by_text("can't be reached").first).to_be_visible()  # without a click
        page.reload()
        expect(page.get_by_role("heading", name="The database can't be reached")).to_be_visible()
        expect(page.get_by_text("Not reached")).to_be_visible()
        expect(page.get_by_role("link", name="Archive")).to_be_visible()
        assert "hush-hush" not in page.content()
        assert "psycopg2" not in page.content()
        proxy.mend()
        expect(verdict).to_be_visible()
        expect(page.get_by_text("Not reached")).to_be_hidden()
    finally:
        proxy.cut()
    assert "hush-hush" not in console.log.read_text()


@pytest.mark.thorough
def test_names_are_shown_as_they_stand(
    start_console: Callable[..., Console], open_page: OpenPage, make_table: Callable[..., Made], database_url: str
) -> None:
    made = make_table(HOSTILE, start=date(THIS_YEAR - 6, 1, 1), count=2, rows=5)
    page = open_page(start_console(database_url))
    main = page.get_by_test_id("stMain")
    for name, said in (
        ("Overview", f"public.{HOSTILE} by year"),
        ("Partitions", f"public.{HOSTILE} · 2 partitions"),
        ("Archive", made.first),
        ("Doctor", f"public.{HOSTILE} ·"),
    ):
        page.get_by_role("link", name=name, exact=True).click()
        expect(main).to_contain_text(re.compile(JOINER.join(re.escape(part) for part in _parts(said))))
        assert page.locator('a[href^="http://x.test"], a[href*="//www.x.test"]').count() == 0, name
        assert main.locator("b").count() == 0, name
        assert f"table={quote_plus(made.address)}" in page.url  # the table stays when the page changes


def _parts(said: str) -> list[str]:
    """What stands between the invisible joiners, wherever the page puts some."""
    return plain(said).replace("\\", "").split(JOINER)
