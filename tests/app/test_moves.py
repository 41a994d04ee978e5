"""Rows of the DEFAULT partition get partitions of their own, and a wide partition is split, from the pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from core.plans.drain import Drain
from dashboard.state import database
from tests.app.conftest import THIS_YEAR, Open, go, settle, texts
from tests.moving import TRACES
from tests.tables import Made, Run


def test_the_default_is_drained_from_its_card_and_from_the_doctor(
    console: Open, make_table: Callable[..., Made], run: Run
) -> None:
    made = make_table(start=date(THIS_YEAR - 1, 1, 1), count=1, rows=5, default=True)
    run(f"INSERT INTO {made.sql} (kid_id, date) SELECT g, '{THIS_YEAR}-03-03' FROM generate_series(1, 70) g")
    app = go(console(), "doctor")
    assert any(button.label == "Review drain" for button in app.button)
    app = go(app, "partitions", partition="kid_absences_default")
    app.button(key="drain_one").click().run()
    said = texts(app)
    assert f"kid_absences_{THIS_YEAR} (70 rows) gets the rows of kid_absences_default that belong there" in said
    assert "Until then it can be taken back whole: partitions drain --abandon --table public.kid_absences" in said
    app.button(key="confirm_plan").click().run()
    settle(app, lambda _: run(f"SELECT to_regclass('kid_absences_{THIS_YEAR}')") != [(None,)])
    settle(app, lambda _: run(TRACES) == [])
    assert run(f"SELECT count(*) FROM ONLY kid_absences_{THIS_YEAR}") == [(70,)]


def test_what_was_begun_is_taken_back_from_the_card(console: Open, make_table: Callable[..., Made], run: Run) -> None:
    made = make_table(start=date(THIS_YEAR - 1, 1, 1), count=1, rows=5, default=True)
    run(f"INSERT INTO {made.sql} (kid_id, date) SELECT g, '{THIS_YEAR}-03-03' FROM generate_series(1, 70) g")
    app = console("partitions", partition="kid_absences_default")
    for statement in database.desk().plan(Drain("kid_absences")).steps[0].statements:
        run(statement)
    app.run()
    app.button(key="drain_one").click().run()
    assert "It was begun already: 0% is copied, and it goes on from there." in texts(app)
    app.button(key="cancel_plan").click().run()
    app.menu_button(key="more_one").click("Take back what was begun").run()
    assert "only copies of them are removed" in texts(app)
    app.button(key="confirm_plan").click().run()
    settle(app, lambda _: run(TRACES) == [])
    assert run("SELECT count(*) FROM ONLY kid_absences_default") == [(70,)]


def test_a_year_is_split_into_months_from_its_card(console: Open, absences: Made, run: Run) -> None:
    first = f"kid_absences_{THIS_YEAR - 4}"
    app = console("partitions", partition=first)
    app.menu_button(key="more_one").click("Split into months").run()
    assert f"{first} becomes {first}_01, {first}_02" in texts(app)
    app.button(key="confirm_plan").click().run()
    settle(app, lambda _: run(f"SELECT to_regclass('{first}_12')") != [(None,)] and run(TRACES) == [])
    assert run(f"SELECT count(*) > 10 FROM ONLY {first}_03") == [(True,)]
