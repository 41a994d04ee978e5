"""The first journey by keyboard alone: archive, back up, verify, plan a drop, keep, reattach; no pointer is moved."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import THIS_YEAR, Console, button, dialog, settled
from tests.servers import temporary_home
from tests.tables import Made, Run

MOST_TABS = 150
FOCUSED = "one => one === document.activeElement"


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that a server's user may pass through, for the verification."""
    with temporary_home() as path:
        yield path


def tab_to(page: Page, target: Locator) -> None:
    """Moves the focus there as a keyboard does, and sees that it shows."""
    expect(target).to_be_visible()
    settled(page)
    if target.evaluate(FOCUSED):
        page.keyboard.press("Shift+Tab")
    before = picture(page, target)
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if target.evaluate(FOCUSED):
            assert picture(page, target) != before, f"the focus on {target} can't be seen"
            return
    pytest.fail(f"No {MOST_TABS} presses of Tab lead to {target}")


def picture(page: Page, target: Locator) -> bytes:
    """It and what is close around it."""
    target.evaluate("one => one.scrollIntoView({block: 'nearest'})")  # at once: it may be drawn anew meanwhile
    box = target.bounding_box()
    assert box is not None
    return page.screenshot(
        clip={"x": box["x"] - 6, "y": box["y"] - 6, "width": box["width"] + 12, "height": box["height"] + 12},
        animations="disabled",
    )


def press(page: Page, target: Locator) -> None:
    """Tab, tab, Enter."""
    tab_to(page, target)
    page.keyboard.press("Enter")


def done(page: Page, what: str) -> None:
    """The bar says that what begins so is done."""
    expect(page.get_by_text(re.compile(rf"{re.escape(what)}.* is done"))).to_be_visible()


def outcomes(run: Run) -> Any:
    return run("SELECT kind, state FROM partition_desk.operation ORDER BY id")


def test_the_first_journey(
    start_console: Callable[..., Console],
    open_page: Callable[..., Page],
    absences: Made,
    run: Run,
    database_url: str,
    home: Path,
) -> None:
    name, everything = absences.first, absences.count()
    console = start_console(database_url, PARTITION_DESK_HOME=str(home), BACKUP_URL=str(home / "place"))
    page = open_page(console)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    press(page, page.get_by_role("link", name=re.compile("Archive$")))
    expect(page).to_have_url(re.compile("/archive"))
    press(page, button(page, "Review archive").first)
    press(page, button(dialog(page), f"Archive {name}"))
    done(page, f"Archive {name}")
    press(page, button(page, "Back up").first)
    done(page, f"Back up {name}")
    press(page, button(page, "Verify").first)
    done(page, f"Verify {name}")
    press(page, button(page, "Review drop").first)
    tab_to(page, dialog(page).get_by_label("Type the table's name"))
    page.keyboard.type(name)
    press(page, button(dialog(page), f"Plan the drop of {name}"))
    done(page, f"Write down that {name} is to be dropped on")
    press(page, button(page, "Keep").first)
    expect(button(page, "Keep")).to_have_count(0)
    settled(page)
    page.keyboard.press("Control+k")
    expect(dialog(page).get_by_role("textbox")).to_be_focused()
    page.keyboard.type(f"reattach {THIS_YEAR - 6}")
    press(page, button(dialog(page), f"Reattach {name}"))
    press(page, button(dialog(page).filter(has_text="What happens"), f"Reattach {name}"))
    done(page, f"Reattach {name}")
    assert absences.count() == everything
    kinds = ("archive", "backup", "verify", "schedule", "schedule", "reattach")
    assert outcomes(run) == [(kind, "done") for kind in kinds]
