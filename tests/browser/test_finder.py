"""Found by keyboard alone in a real browser: Ctrl-K to a partition, the box in the sidebar to the rows of a date."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import THIS_YEAR, Console, button, dialog, settled
from tests.tables import Made


def test_by_keyboard_alone(console: Console, open_page: Callable[..., Page], absences: Made) -> None:
    page = open_page(console, "/growth")
    box = page.get_by_role("textbox", name="Find my data")
    settled(page)
    page.keyboard.press("Control+k")
    field = dialog(page).get_by_role("textbox", name="A date, or some of the name of a page, table, partition or act")
    expect(field).to_be_focused()
    page.keyboard.type(f"{THIS_YEAR - 5}")
    target = button(dialog(page), f"kid_absences_{THIS_YEAR - 5}").first
    expect(dialog(page).get_by_text("2 places to go to")).to_be_visible()
    page.keyboard.press("Tab")
    expect(target).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog(page)).to_be_hidden()
    expect(page).to_have_url(
        f"{console.address}/partitions?table=public.kid_absences&partition=kid_absences_{THIS_YEAR - 5}"
    )

    look_for(page, box, date(THIS_YEAR - 5, 3, 1))
    page.reload()
    expect(page.get_by_text(f"of 1 March {THIS_YEAR - 5}")).to_be_visible()
    look_for(page, box, date(THIS_YEAR - 4, 3, 1))


def look_for(page: Page, box: Locator, day: date) -> None:
    """Types a date, and sees that the page tells where its rows are and that its address says so."""
    settled(page)
    box.focus()
    page.keyboard.type(str(day))
    expect(box).to_have_value(str(day))
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"of 1 March {day.year}")).to_be_visible()
    expect(page).to_have_url(re.compile(f"/doctor.*date={day}"))
