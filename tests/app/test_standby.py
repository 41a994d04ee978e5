"""A page that was opened on a standby acts once that is promoted, without being loaded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from core.period import Period
from core.postgres.embedded import running_server
from dashboard.state import database
from tests import tables
from tests.app.conftest import THIS_YEAR, Open, settle, texts
from tests.servers import DEFAULT_MAJOR, connect, prepared_server, temporary_home
from tests.tables import Made


@pytest.fixture
def standby() -> Iterator[tuple[str, Made]]:
    """A server that was stopped in good order and goes on as a standby, with a small kid_absences."""
    with temporary_home() as above:
        home = above / "server"
        with prepared_server(home) as url:
            connection = connect(url)
            run = tables.runner(connection)
            start = date(THIS_YEAR - 5, 1, 1)
            made = tables.make_table(run, start=start, count=7, rows=20, period=Period.YEAR)
            (folder,) = run("SHOW data_directory")[0]
            connection.close()
        (Path(folder) / "standby.signal").touch()
        with running_server(home, major=DEFAULT_MAJOR) as url:
            yield url, made


def test_a_page_acts_after_a_promotion(standby: tuple[str, Made], console_on: Callable[[str], Open]) -> None:
    url, made = standby
    app = console_on(url)("archive")
    closed = app.button(key=f"act_{made.first}")
    assert (closed.disabled, "standby" in str(closed.help)) == (True, True)
    connection = connect(url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_promote()")
    connection.close()
    database.read_server.clear()  # as half a minute does
    app.run()
    app.button(key=f"act_{made.first}").click().run()
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: f"Archive {made.first}** is done" in texts(page))
