"""No database, no rights, no sign-in, a busy table: every page says so in plain words and gives nothing away."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeout
from streamlit import config

from core.console.journal_tables import make
from core.postgres.connection import parse_url
from core.postgres.connection import session as connected
from dashboard import door
from dashboard.state import current, reads
from tests.app.conftest import PAGES, Open, raw, texts
from tests.conftest import OpenSession
from tests.tables import Made, Run

OnUrl = Callable[[str], Open]


def test_no_address(console_on: OnUrl) -> None:
    app = console_on("")()
    assert app.title[0].value == "The console can't begin"
    assert "DATABASE_URL is not set." in texts(app)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("page", PAGES)
def test_unreachable_server(console_on: OnUrl, page: str) -> None:
    app = console_on("postgresql://me:hush-hush@127.0.0.1:9/school")(page)
    assert app.title[0].value == "The database can't be reached"
    said = texts(app)
    assert "The server can't be reached: school on 127.0.0.1:9." in said
    assert "this page comes back by itself" in said
    assert "Not reached" in said
    assert "hush-hush" not in raw(app)


def test_unknown_database(console_on: OnUrl, database_url: str) -> None:
    url = parse_url(database_url).set(database="no_such_database")
    app = console_on(url.render_as_string(hide_password=False))()
    assert "The server has no database no_such_database." in texts(app)


def test_comes_back_by_itself(console_on: OnUrl, absences: Made, database_url: str) -> None:
    opener = console_on("postgresql://me@127.0.0.1:9/school")
    app = opener()
    assert "Not reached" in texts(app)
    console_on(database_url)
    app.run()
    assert "Everything has a place" in app.title[0].value


def test_nothing_is_shown_where_it_listens_to_the_network(console: Open, absences: Made, run: Run) -> None:
    app = console("archive")
    next(b for b in app.button if b.label.startswith("Review archive of ")).click().run()
    config.set_option("server.address", "0.0.0.0")
    app.button(key="confirm_plan").click().run()  # a dialog that was open before
    for shown in (app, console()):
        assert "listens on 0.0.0.0 and has no sign-in, so it shows nothing" in texts(shown)
        assert "kid_absences" not in raw(shown)
        assert not shown.button
        assert not shown.sidebar.caption
    assert run("SELECT to_regclass('partition_desk.operation')") == [(None,)]


def test_nothing_is_shown_of_what_a_proxy_passed_on(
    console: Open, absences: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(st.context), "headers", {"X-Forwarded-For": "203.0.113.5"})
    app = console()
    assert "A proxy has passed this page on" in texts(app)
    assert "kid_absences" not in raw(app)
    assert not app.button


def test_what_no_gate_vouches_for_is_shown_nothing(
    console: Open, absences: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARTITION_DESK_OPEN")
    app = console()
    assert "was started in a way that can't" in texts(app)
    assert "kid_absences" not in raw(app)
    monkeypatch.setattr(type(st.context), "headers", {door.VOUCHER_HEADER: "guessed", door.NAME_HEADER: "ada"})
    assert "was started in a way that can't" in texts(app.run())
    monkeypatch.setattr(type(st.context), "headers", {door.VOUCHER_HEADER: door.VOUCHER, door.NAME_HEADER: "A%CC%8Ada"})
    assert "You are here as A\u030ada, admin" in texts(app.run())


def test_server_that_takes_no_changes(console: Open, absences: Made, run: Run) -> None:
    name = run("SELECT current_database()")[0][0]
    run(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    app = console("archive")
    acts = [b for b in app.button if b.key and b.key not in ("refresh", "go_to")]
    assert acts
    assert all(b.disabled and "read-only" in str(b.help) for b in acts)


@pytest.mark.thorough
def test_role_that_may_only_read_the_catalog(
    make_role: Callable[..., tuple[str, str]], console_on: OnUrl, absences: Made, run: Run
) -> None:
    role, url = make_role()
    opener = console_on(url)
    for page in PAGES:
        assert texts(opener(page))
    app = opener("doctor")
    assert f"The role {role} may not" in texts(app)
    app = opener("partitions")
    app.number_input[0].set_value(2090).run()
    app.button(key="ensure_more").click().run()
    assert f"The role {role} does not own public.kid_absences" in texts(app)
    assert run("SELECT to_regclass('partition_desk.operation')") == [(None,)]


def test_a_journal_that_the_role_may_not_read_is_unknown_and_not_empty(
    make_role: Callable[..., tuple[str, str]], console_on: OnUrl, absences: Made, worker: Engine
) -> None:
    with connected(worker) as connection:
        make(connection)
    role, url = make_role()
    opener = console_on(url)
    told = texts(opener("activity"))
    assert f"The role {role} may not read the console's own tables" in told
    assert "Nothing has been done yet" not in told
    assert "Whether an operation failed is unknown" in texts(opener("overview"))


def test_partition_held_exclusively_is_busy(console: Open, absences: Made, session: OpenSession) -> None:
    session().hold(f"LOCK TABLE {absences.first} IN ACCESS EXCLUSIVE MODE")
    app = console("partitions", partition=absences.first)
    listed = app.dataframe[0].value
    assert listed["State"].iloc[-1][0] == "Busy"
    assert "busy: somebody holds it exclusively" in app.table[0].value.iloc[3, 0].replace("\\", "")


@pytest.mark.thorough
def test_table_held_exclusively_is_shown_as_it_was(console: Open, absences: Made, session: OpenSession) -> None:
    for page in PAGES:
        assert console(page).title
    holder = session()
    holder.hold("LOCK TABLE kid_absences IN ACCESS EXCLUSIVE MODE")
    reads.refresh()
    for page in PAGES:
        app = console(page)
        assert "busy since, read" in texts(app), page
    assert len(console("partitions").dataframe[0].value) == 7
    app = console("partitions")
    app.button(key="ensure_now").click().run()
    assert "is locked by somebody else just now" in texts(app)  # nothing is planned on what was


def test_table_held_exclusively_from_the_start(console: Open, absences: Made, session: OpenSession) -> None:
    session().hold("LOCK TABLE kid_absences IN ACCESS EXCLUSIVE MODE")
    app = console()
    assert "kid_absences is locked by somebody else just now" in texts(app)
    assert "this page comes back by itself" in texts(app)


def test_what_the_driver_says_never_reaches_a_page(
    console: Open, absences: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise PoolTimeout("QueuePool limit of size 6 overflow 8 reached")

    monkeypatch.setattr(current, "read_table", full)
    app = console()
    assert "All connections of the console are busy." in texts(app)
    assert "QueuePool" not in raw(app)


def test_a_page_that_was_open_when_the_sign_in_ended(
    console: Open, absences: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARTITION_DESK_OPEN")
    vouched = {door.VOUCHER_HEADER: door.VOUCHER, door.NAME_HEADER: "ada"}
    session = door.Session("one", time.time() + 3600)
    monkeypatch.setattr(type(st.context), "headers", {**vouched, door.SESSION_HEADER: str(session)})
    app = console()
    assert "You are here as ada, admin" in texts(app)
    session.end()  # in another tab
    assert "Your sign-in has ended." in texts(app.run())
    assert "kid_absences" not in raw(app)
    past = str(door.Session("two", time.time() - 1))
    monkeypatch.setattr(type(st.context), "headers", {**vouched, door.SESSION_HEADER: past})
    assert "Your sign-in has ended." in texts(console())
