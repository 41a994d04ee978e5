"""Several partitions in a real browser: rows are selected in the table, and archived in one confirmation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Console, button, dialog
from tests.tables import Made, Run

ROW, MARKER = 35, 16
"""The height of a row of the table, and where the box lies that selects it."""


@pytest.mark.thorough
def test_two_are_selected_and_archived(
    console: Console, open_page: Callable[..., Page], absences: Made, run: Run
) -> None:
    everything = absences.count()
    page = open_page(console, "/partitions")
    table = page.locator(".dvn-scroller").first
    expect(table).to_be_visible()
    last = len(absences.ranges)  # the newest stand first
    for number in (last, last - 1):
        table.click(position={"x": MARKER, "y": ROW * number + ROW // 2})
        expect(page.get_by_text("Select a row for its bounds")).to_be_hidden()
    expect(page.get_by_text("2 partitions selected")).to_be_visible()
    button(page, "Archive 2").click()
    expect(dialog(page)).to_contain_text("One after the other, in this order:")
    expect(dialog(page)).to_contain_text(absences.first)
    dialog(page).get_by_text("Go on with the rest").click()
    button(dialog(page), "Archive 2 partitions").click()
    expect(page.get_by_text("2 of 2 done")).to_be_visible()
    assert run("SELECT state FROM partition_desk.operation") == [("done",), ("done",)]
    assert absences.count() == everything * (last - 2) // last
    expect(page.get_by_text("2 partitions selected")).to_be_hidden()
