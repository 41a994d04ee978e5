"""The main road in a real browser: ensure, archive, reattach; the rows in the database prove each."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import THIS_YEAR, Console, button, dialog, settled
from tests.conftest import OpenSession
from tests.tables import Made, Run

OLD = THIS_YEAR - 6
OpenPage = Callable[..., Page]


def attached(run: Run) -> set[str]:
    """The names of kid_absences' partitions."""
    rows = run("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'kid_absences'::regclass")
    return {row[0] for row in rows}


def outcomes(run: Run) -> list[tuple[str, str]]:
    """(kind, state) of every operation, oldest first."""
    return [(row[0], row[1]) for row in run("SELECT kind, state FROM partition_desk.operation ORDER BY id")]


def waiting(page: Page) -> Locator:
    """What the bar says while an operation waits for others."""
    return button(page, "In the way")


def archive(page: Page, name: str) -> None:
    """Asks for the first archive of the page, and confirms it."""
    button(page, "Review archive").first.click()
    expect(dialog(page)).to_contain_text(f"Archive {name}")
    button(dialog(page), f"Archive {name}").click()


def test_ensure_by_one_click(console: Console, open_page: OpenPage, absences: Made, run: Run) -> None:
    page = open_page(console)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        f"{THIS_YEAR + 1} has no partition: inserts fail from 1 January {THIS_YEAR + 1}"
    )
    button(page, f"Create {THIS_YEAR + 1}").click()
    expect(page.get_by_text(f"Ensure {THIS_YEAR + 1} is done")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Everything has a place until 1 January {THIS_YEAR + 2}")
    assert f"kid_absences_{THIS_YEAR + 1}" in attached(run)
    assert not [url for url in asked if not url.startswith((console.address, "data:", "blob:"))]
    absences.insert(date(THIS_YEAR + 1, 1, 1), date(THIS_YEAR + 2, 1, 1), 10)
    assert absences.count(date(THIS_YEAR + 1, 1, 1), date(THIS_YEAR + 2, 1, 1)) == 10


def test_archive_and_reattach(console: Console, open_page: OpenPage, absences: Made, run: Run) -> None:
    name, everything = absences.first, absences.count()
    page = open_page(console, "/archive")
    button(page, "Review archive").first.click()
    expect(dialog(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog(page)).to_be_hidden()
    settled(page)
    assert run("SELECT to_regclass('partition_desk.operation')") == [(None,)]

    button(page, "Review archive").first.click()
    expect(dialog(page)).to_contain_text("400")
    expect(dialog(page)).to_contain_text("nobody")
    dialog(page).get_by_label("Reason").fill("past the three years we keep")
    dialog(page).get_by_label("Reason").press("Enter")
    expect(dialog(page)).to_be_visible()  # Enter keeps the reason and does nothing
    assert name in attached(run)
    button(dialog(page), f"Archive {name}").click()
    expect(page.get_by_text(f"Archive {name} is done")).to_be_visible()
    expect(dialog(page)).to_be_hidden()
    assert absences.count() == everything - 400
    assert run(f"SELECT count(*) FROM archive.{name}") == [(400,)]
    button(page, "More").click()
    page.get_by_text("Or back up, verify and drop in a shell").click()
    expect(page.get_by_text("partitions verify --partition").last).to_be_visible()

    button(page, "Review reattach").last.click()
    button(dialog(page), f"Reattach {name}").click()
    expect(page.get_by_text(f"Reattach {name} is done")).to_be_visible()
    assert absences.count() == everything
    assert name in attached(run)
    reasons = run("SELECT kind, state, reason FROM partition_desk.operation ORDER BY id")
    assert reasons == [("archive", "done", "past the three years we keep"), ("reattach", "done", "")]


@pytest.mark.thorough
def test_tab_closed_in_the_middle_of_an_archive(
    console: Console, open_page: OpenPage, absences: Made, run: Run, session: OpenSession
) -> None:
    reader = session()
    reader.run("SET application_name = 'month report'")
    reader.hold("SELECT * FROM kid_absences WHERE kid_id = 4711 LIMIT 1")
    page = open_page(console, "/archive")
    archive(page, absences.first)
    expect(waiting(page)).to_be_visible()
    page.close()

    again = open_page(console)
    waiting(again).click()
    expect(again.get_by_text("nobody else is held up meanwhile")).to_be_visible()
    blocker = again.get_by_text(f"session {reader.pid}")
    expect(blocker).to_contain_text("month report")
    expect(blocker).to_contain_text("idle in transaction since")
    expect(again.get_by_text("SELECT * FROM kid_absences WHERE kid_id = ? LIMIT ?")).to_be_visible()
    assert "4711" not in again.content()
    reader.release()
    expect(again.get_by_text(f"Archive {absences.first} is done")).to_be_visible()
    assert absences.first not in attached(run)
    assert run(f"SELECT count(*) FROM archive.{absences.first}") == [(400,)]


def test_stop_while_it_waits(
    console: Console, open_page: OpenPage, absences: Made, run: Run, session: OpenSession
) -> None:
    reader = session()
    reader.hold("SELECT * FROM kid_absences LIMIT 1")
    page = open_page(console, "/archive")
    archive(page, absences.first)
    expect(waiting(page)).to_be_visible()
    button(page, "Stop").last.click()  # the first is Streamlit's own, while it draws
    expect(page.get_by_text(f"Archive {absences.first} was stopped")).to_be_visible()
    assert absences.first in attached(run)
    assert outcomes(run) == [("archive", "cancelled")]
    reader.release()
    button(page, "Try again").first.click()
    button(dialog(page), f"Archive {absences.first}").click()
    expect(page.get_by_text(f"Archive {absences.first} is done")).to_be_visible()


def test_double_click_archives_once(console: Console, open_page: OpenPage, absences: Made, run: Run) -> None:
    page = open_page(console, "/archive")
    button(page, "Review archive").first.click()
    button(dialog(page), f"Archive {absences.first}").dblclick()
    expect(page.get_by_text(f"Archive {absences.first} is done")).to_be_visible()
    assert outcomes(run) == [("archive", "done")]


@pytest.mark.thorough
def test_two_browsers_at_once(
    console: Console, open_page: OpenPage, absences: Made, run: Run, session: OpenSession
) -> None:
    reader = session()
    reader.hold("SELECT * FROM kid_absences LIMIT 1")
    pages = [open_page(console, "/archive") for _ in range(2)]
    for page in pages:
        button(page, "Review archive").first.click()
        expect(dialog(page)).to_contain_text(f"session {reader.pid}")
    for page in pages:
        button(dialog(page), f"Archive {absences.first}").click()
        expect(dialog(page)).to_be_hidden()
    for page in pages:
        expect(waiting(page)).to_be_visible()
    reader.release()
    for page in pages:
        # whose click came when it was over is told that it holds
        expect(page.get_by_text(re.compile(f"Archive {absences.first} is done|is archived already"))).to_be_visible()
    assert set(outcomes(run)) == {("archive", "done")}
    assert run(f"SELECT count(*) FROM archive.{absences.first}") == [(400,)]
