"""Pictures of every page, in each state that it can be in: `python -m tests.pictures [STATE ...]`, or make pictures.

Each page is shot whole at three widths, light and dark, into build/pictures; what README shows goes into its place.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from core.demo import fill_embedded
from core.postgres.connection import parse_url
from core.postgres.embedded import running_server
from tests.browser.launched import CHROMIUM, FLAGS, ROOT, Console, console_on
from tests.servers import connect
from tests.tables import runner

FOLDER = ROOT / "build" / "pictures"
SHOWN = ROOT / ".github" / "pictures"
"""Those that README shows."""
WIDTHS = (1300, 800, 390)
SCHEMES = ("light", "dark")
TALLEST = 5000
"""Pixels of a picture that is cut."""
PAGES = {
    "overview": "/",
    "partitions": "/partitions",
    "archive": "/archive",
    "doctor": "/doctor",
    "growth": "/growth",
    "activity": "/activity?operation=1",
    "rules": "/rules",
    "operation": "/operation?operation=1",
}
_MANY = (
    "CREATE TABLE public.readings (day date NOT NULL, value integer) PARTITION BY RANGE (day)",
    """
DO $$ BEGIN
    FOR n IN 0..9999 LOOP
        EXECUTE format('CREATE TABLE readings_%s PARTITION OF readings FOR VALUES FROM (%L) TO (%L)',
            to_char(current_date - 9990 + n, 'YYYY_MM_DD'), current_date - 9990 + n, current_date - 9989 + n);
        IF n % 500 = 0 THEN COMMIT; END IF;
    END LOOP;
END $$
""",
    "INSERT INTO readings SELECT current_date - n, n FROM generate_series(0, 900) n WHERE n % 100 > 9",
    "ANALYZE readings",
)


@dataclass(frozen=True, slots=True)
class Place:
    """The server that the pictures are made on, with the demo in it."""

    url: str
    home: Path

    def database(self, name: str, *statements: str) -> str:
        """The address of a new database."""
        with closing(connect(self.url)) as connection:
            runner(connection)(f"CREATE DATABASE {name} TEMPLATE template0")
        url = parse_url(self.url).set(database=name).render_as_string(hide_password=False)
        with closing(connect(url)) as connection:
            for statement in statements:
                runner(connection)(statement)
        return url

    def role(self) -> str:
        """The address of the demo for a role that may only connect."""
        with closing(connect(self.url)) as connection:
            runner(connection)("CREATE ROLE looker LOGIN")
        return parse_url(self.url).set(username="looker").render_as_string(hide_password=False)


STATES: dict[str, Callable[[Place], str]] = {
    "demo": lambda place: place.url,
    "empty": lambda place: place.database("empty"),
    "no-rights": lambda place: place.role(),
    "many": lambda place: place.database("many", *_MANY),
    "trouble": lambda place: "postgresql://nobody@127.0.0.1:9/gone",
}
"""The address that the console is started on, by what is to be seen."""


@contextmanager
def place() -> Iterator[Place]:
    """A server of its own, filled with the demo, and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="pd-pictures-") as folder:
        home = Path(folder)
        home.chmod(0o711)  # the server's user has to pass through
        with running_server(home / "18") as url:
            fill_embedded(url, today=date.today(), archive_schema="archive")
            yield Place(url, home)


def settled(page: Page) -> None:
    """Everything is drawn, and drawn at the width of now."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator('[data-testid="stSkeleton"], [data-testid="stStatusWidget"]')).to_have_count(0)
    page.wait_for_timeout(
        600
    )  # what moves on its own, such as a chart that takes the new width, tells nobody when it ends


def whole(page: Page, width: int, file: Path) -> None:
    """The page at a width, as tall as it is."""
    settled(page)
    tall = page.evaluate(
        "Math.max(...[...document.querySelectorAll('[data-testid=stMain], [data-testid=stSidebarContent]')]"
        ".map(one => one.scrollHeight))"
    )
    page.set_viewport_size({"width": width, "height": min(TALLEST, max(900, int(tall)))})
    settled(page)
    page.screenshot(path=file)


def shoot(browser: Browser, console: Console, state: str) -> None:
    """Every page of one state."""
    for name, path in PAGES.items():
        for width, scheme in product(WIDTHS, SCHEMES):
            look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "reduced_motion": "reduce"}
            with closing(browser.new_context(**look)) as context:
                page = context.new_page()
                page.goto(f"{console.address}{path}")
                whole(page, width, FOLDER / f"{state}-{name}-{width}-{scheme}.png")
        print(f"{state}: {name}", flush=True)


def shoot_readme(browser: Browser, console: Console) -> None:
    """The few that README shows: the overview, and the dialog of an archive."""
    for scheme in SCHEMES:
        dark = "-dark" if scheme == "dark" else ""
        with closing(browser.new_context(viewport={"width": 1300, "height": 900}, color_scheme=scheme)) as context:
            page = context.new_page()
            page.goto(console.address)
            settled(page)
            page.screenshot(path=SHOWN / f"overview{dark}.png")
            page.goto(f"{console.address}/archive")
            settled(page)
            page.get_by_role("button", name="Review archive").first.click()
            expect(page.get_by_role("dialog").get_by_text("What happens")).to_be_visible()
            settled(page)
            page.screenshot(path=SHOWN / f"archive{dark}.png")


def main() -> int:
    """0 once all are made."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description="Shoots every page in every state.")
    parser.add_argument("states", metavar="STATE", nargs="*", choices=[*STATES, []], help=f"of {', '.join(STATES)}")
    asked = parser.parse_args().states or list(STATES)
    expect.set_options(timeout=120_000)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        place() as made,
        sync_playwright() as started,
        closing(started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)) as browser,
    ):
        for state in asked:
            more = {"PARTITION_DESK_EMBEDDED": "1"} if state == "demo" else {}
            with console_on(STATES[state](made), made.home, **more) as console:
                if state == "demo":
                    shoot_readme(browser, console)
                shoot(browser, console, state)
    print(f"The pictures are in {FOLDER.relative_to(ROOT)}; README's are in {SHOWN.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
