"""Every page and dialog as axe-core sees it, which knows what a screen reader and a weak eye need, light and dark.

And each page as narrow as 1280 pixels are at 400 %: nothing is cut off, and nothing lies beside it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.axe import script, violations
from tests.binaries import NotHere
from tests.browser.conftest import THIS_YEAR, Console, button, dialog, settled
from tests.tables import Made

OLD, OLDER = f"kid_absences_{THIS_YEAR - 5}", f"kid_absences_{THIS_YEAR - 6}"
PAGES = (
    "/",
    f"/partitions?partition={OLD}",
    "/archive",
    f"/doctor?date={THIS_YEAR - 5}-03-01",
    "/growth",
    "/activity?operation=1",
    "/operation?operation=1",
)
DARK = "rgb(14, 20, 32)"


@pytest.fixture(autouse=True)
def axe() -> None:
    try:
        script()
    except NotHere as missing:
        pytest.skip(f"axe-core can't be had: {missing}")


def go_to(page: Page, words: str, target: str) -> None:
    """By keyboard alone, from any page."""
    settled(page)
    page.keyboard.press("Control+k")
    expect(dialog(page).get_by_role("textbox")).to_be_focused()
    page.keyboard.type(words)
    expect(dialog(page).get_by_text("1 place to go to")).to_be_visible()
    expect(button(dialog(page), target)).to_have_count(1)  # the list before it has gone
    page.keyboard.press("Tab")
    expect(button(dialog(page), target)).to_be_focused()
    page.keyboard.press("Enter")


NARROW = 320
_CUT = """
() => [...document.querySelectorAll('[data-testid="stMain"] *, [role="dialog"] *')].filter((one) => {
    if (!one.clientWidth || !one.innerText?.trim() || one.closest('pre, [data-testid="stDataFrame"]')) return false
    const style = getComputedStyle(one)
    const words = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())
    const cut = one.scrollWidth > one.clientWidth + 1 && ["hidden", "clip"].includes(style.overflowX)
    return cut || (words && one.getBoundingClientRect().right > innerWidth + 1)
}).map((one) => one.innerText.slice(0, 60))
"""


def cut(page: Page) -> list[str]:
    """What has no room on a narrow page."""
    size = page.viewport_size
    page.set_viewport_size({"width": NARROW, "height": 900})
    settled(page)
    told: list[str] = page.evaluate(_CUT)
    page.set_viewport_size(size)  # type: ignore[arg-type]
    return told


def found(page: Page, where: str) -> list[str]:
    """All that is wrong in light, and what can't be read in dark."""
    settled(page)
    told = [f"{where}: {one}" for one in violations(page)]
    page.emulate_media(color_scheme="dark")
    expect(page.get_by_test_id("stApp")).to_have_css("background-color", DARK)
    told += [f"{where}, dark: {one}" for one in violations(page, "color-contrast")]
    page.emulate_media(color_scheme="light")
    return told


def test_every_page_and_dialog(console: Console, open_page: Callable[..., Page], absences: Made) -> None:
    page = open_page(console, "/archive")
    go_to(page, f"archive {THIS_YEAR - 6}", f"Archive {OLDER}")
    wrong = found(page, "the dialog of an archive")
    button(dialog(page), f"Archive {OLDER}").click()
    expect(page.get_by_text(f"Archive {OLDER} is done")).to_be_visible()
    for path in PAGES:
        page.goto(f"{console.address}{path}")
        wrong += [*found(page, path), *(f"{path}, narrow: {one}" for one in cut(page))]
    page.keyboard.press("Control+k")
    expect(dialog(page)).to_be_visible()
    wrong += found(page, "Go to")
    page.keyboard.press("Escape")
    go_to(page, f"reattach {THIS_YEAR - 6}", f"Reattach {OLDER}")
    expect(dialog(page)).to_contain_text(f"Reattach {OLDER}")
    wrong += found(page, "the dialog of a reattach")
    page.keyboard.press("Escape")
    go_to(page, f"drop {THIS_YEAR - 6}", f"Drop {OLDER}")
    expect(dialog(page)).to_contain_text("This can't be done now")
    wrong += found(page, "a refusal")
    assert wrong == []
