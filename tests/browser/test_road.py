"""The whole road in a real browser: archive, back up, verify, drop, restore, reattach; the database proves each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Console, button, dialog
from tests.servers import temporary_home
from tests.tables import Made, Run

OpenPage = Callable[..., Page]


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that a server's user may pass through, for the verification."""
    with temporary_home() as path:
        yield path


def done(page: Page, what: str) -> None:
    """Waits until the page says so."""
    expect(page.get_by_text(re.compile(rf"{re.escape(what)} is done"))).to_be_visible(timeout=60_000)


def test_the_whole_road_by_clicks(
    start_console: Callable[..., Console],
    open_page: OpenPage,
    absences: Made,
    run: Run,
    database_url: str,
    home: Path,
) -> None:
    name, everything = absences.first, absences.count()
    before = run(f"SELECT sum(hash_record_extended(t, 0)) FROM {name} t")
    console = start_console(database_url, PARTITION_DESK_HOME=str(home), BACKUP_URL=str(home / "place"))
    page = open_page(console, "/archive")
    page.set_viewport_size({"width": 1300, "height": 900})
    year = int(name[-4:])
    page.get_by_role("button", name=f"More for {year + 1}").click()
    page.get_by_role("menuitem", name="Split into months").click()
    expect(button(dialog(page), f"Split {name[:-4]}{year + 1}")).to_be_in_viewport(ratio=1)  # however long its plan is
    button(dialog(page), "Cancel").click()
    button(page, "Review archive").first.click()
    expect(button(dialog(page), f"Archive {name}")).to_be_in_viewport(ratio=1)
    button(dialog(page), f"Archive {name}").click()
    done(page, f"Archive {name}")
    assert absences.count() == everything - 400
    expect(page.get_by_role("heading", level=1)).to_have_text("1 archived table has no verified backup")  # drawn anew
    page.get_by_text("Back up, verify and drop in a shell", exact=True).click()
    expect(page.get_by_text("partitions verify --partition").first).to_be_visible()

    button(page, "Back up").first.click()
    done(page, f"Back up {name}")
    expect(page.get_by_text("backed up, not proven")).to_be_visible()
    assert [path.suffix for path in sorted((home / "place").rglob(f"{name}/*"))] == [".json", ".zst"]

    button(page, "Verify").first.click()
    done(page, f"Verify {name}")
    expect(page.get_by_text("proven just now")).to_be_visible()
    assert run(f"SELECT count(*) FROM archive.{name}") == [(400,)]

    button(page, "Review drop").first.click()
    expect(dialog(page)).to_contain_text("The proof")
    dialog(page).get_by_text("Now", exact=True).click()
    drop = button(dialog(page), f"Drop {name}")
    expect(drop).to_be_disabled()
    expect(drop).to_be_in_viewport(ratio=1)
    typed = dialog(page).get_by_label("Type the table's name")
    typed.fill(name[:-1])
    expect(drop).to_be_disabled()
    typed.fill(name)
    expect(drop).to_be_enabled()
    assert run(f"SELECT count(*) FROM archive.{name}") == [(400,)]
    drop.click()
    done(page, f"Drop {name}")
    assert run(f"SELECT to_regclass('archive.{name}')") == [(None,)]
    expect(page.get_by_text(re.compile(r"KiB dropped"))).to_be_visible()

    button(page, "Review restore").first.click()
    expect(dialog(page)).to_contain_text("Rows coming back")
    button(dialog(page), f"Restore {name}").click()
    done(page, f"Restore {name}")
    assert run(f"SELECT count(*) FROM archive.{name}") == [(400,)]
    expect(page.get_by_text("Restored from a backup").first).to_be_visible()

    button(page, "Review reattach").first.click()
    button(dialog(page), f"Reattach {name}").click()
    done(page, f"Reattach {name}")
    assert absences.count() == everything
    assert run(f"SELECT sum(hash_record_extended(t, 0)) FROM {name} t") == before
    ended = run("SELECT kind, state FROM partition_desk.operation ORDER BY id")
    assert ended == [(kind, "done") for kind in ("archive", "backup", "verify", "drop", "restore", "reattach")]
