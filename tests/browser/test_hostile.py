"""Two hundred hostile names, comments and reasons in Chromium: nothing of them comes alive on a page or in a file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from core.names import ident
from tests import desks
from tests.browser.conftest import Console, dialog, settled
from tests.browser.test_growth import file as downloaded
from tests.hostile import make
from tests.tables import Run

COUNT = 200
WATCH = """
window.ran = [];
for (const name of ['evil', 'alert', 'confirm', 'prompt', 'open']) {
  Object.defineProperty(window, name, { value: () => { window.ran.push(name); }, writable: false });
}
"""
"""Before any script of a page: what a name calls is told instead of done."""
ALIVE = """() => {
  const found = [...window.ran];
  const all = selector => [...document.querySelectorAll(selector)];
  for (const one of all('a[href]')) {
    const to = new URL(one.href, location.href);
    if (to.origin !== location.origin && decodeURIComponent(to.href).includes('evil')) found.push(`link ${one.href}`);
  }
  for (const one of all('img, iframe, object, embed, video, audio')) {
    const from = one.getAttribute('src') || one.getAttribute('data') || '';
    if (from === 'x' || from.includes('evil')) found.push(`${one.tagName} ${from}`);
  }
  for (const one of all('script, style')) if (one.textContent.includes('evil()')) found.push(one.outerHTML);
  for (const one of all('*')) {
    for (const { name } of one.attributes) if (name.startsWith('on')) found.push(`${one.tagName} ${name}`);
  }
  for (const one of all('b, strong, em, del, code, h1, h2, h3, .katex, [class*="badge"], [class*="colored"]')) {
    if (one.textContent.trim() === 'evil') found.push(`${one.tagName} ${one.outerHTML}`);
  }
  return found;
}"""


@pytest.mark.thorough
def test_no_name_comes_alive_in_a_browser(
    run: Run,
    worker: Engine,
    database_url: str,
    start_console: Callable[..., Console],
    open_page: Callable[..., Page],
) -> None:
    parent, *names = make(run, worker, COUNT)
    table = f"public.{ident(parent)}"
    console = start_console(database_url, PARTITION_DESK_TABLE=table, PARTITION_DESK_KEY=desks.KEY)
    page = open_page(console, "/readyz")
    page.add_init_script(WATCH)
    told: list[str] = []

    def asked(request: Any) -> None:
        if not request.url.startswith((console.address, console.address.replace("http", "ws"), "data:", "blob:")):
            told.append(f"a request to {request.url}")

    page.on("request", asked)
    page.on("dialog", lambda one: (told.append(f"a dialog: {one.message}"), one.dismiss()))
    page.on("popup", lambda one: told.append(f"a window: {one.url}"))

    def look(where: str) -> None:
        settled(page)
        told.extend(f"{where}: {one}" for one in page.evaluate(ALIVE))

    chosen = [f"/partitions?partition={quote(f'public.{ident(name)}')}" for name in names[1:20:6]]
    paths = ("/", "/partitions", "/archive", "/doctor", "/rules", "/growth", "/activity", "/operation?operation=1")
    for path in (*paths, *chosen):
        page.goto(f"{console.address}{path}")
        look(path)
    page.keyboard.press("Control+k")
    expect(dialog(page).get_by_role("textbox")).to_be_focused()
    page.keyboard.type("evil")
    expect(dialog(page).get_by_text("evil").first).to_be_visible()
    look("the finder")
    page.goto(f"{console.address}/activity")
    settled(page)
    with downloaded(page, "CSV").open(newline="", encoding="utf-8-sig") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert any("evil" in cell for cell in cells)
    assert not [cell for cell in cells if cell.lstrip()[:1] in ("=", "+", "@") or cell[:1] in ("\t", "\r")]
    assert told == []
