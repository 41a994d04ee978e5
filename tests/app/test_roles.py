"""What each role is shown and may press; and a widget's message that was forged moves nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from core.console.actor import system_user
from core.plans.archive import plan_archive
from core.plans.operation import LEAST, Role
from core.tables.catalog.table import read_table
from tests.app.conftest import Open, raw, texts
from tests.conftest import Act
from tests.tables import Made, Run

LISTS = {Role.ADMIN: "ADMINS", Role.OPERATOR: "OPERATORS", Role.AUDITOR: "AUDITORS", Role.VIEWER: "VIEWERS"}
TAKES = {
    "Review archive": "archive",
    "Review reattach": "reattach",
    "Back up": "backup",
    "Ensure this year and the next": "ensure",
}
As = Callable[[Role | None], None]


@pytest.fixture
def as_role(monkeypatch: pytest.MonkeyPatch, console: Open) -> As:
    """Gives whoever runs this a role, as the file of that list would; None for another's name."""

    def give(role: Role | None) -> None:
        import streamlit as st

        for name in LISTS.values():
            monkeypatch.delenv(f"PARTITION_DESK_{name}", raising=False)
        monkeypatch.setenv(f"PARTITION_DESK_{LISTS[role or Role.ADMIN]}", system_user() if role else "another")
        st.cache_resource.clear()

    return give


@pytest.fixture
def archived(absences: Made, reader: Engine, act: Act) -> Made:
    act(plan_archive(read_table(reader, absences.address), absences.first, now=datetime.now(UTC)))
    return absences


def acting(app: AppTest) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = {}
    for button in app.button:
        if button.label in TAKES:
            found.setdefault(TAKES[button.label], []).append(button.disabled)
            assert not button.disabled or "You are here as" in str(button.help)
    return found


@pytest.mark.parametrize("role", list(Role))
def test_each_role_has_its_buttons(console: Open, archived: Made, as_role: As, role: Role) -> None:
    as_role(role)
    seen: set[str] = set()
    for page in ("archive", "partitions", "doctor"):
        app = console(page, **({"partition": archived.first} if page == "partitions" else {}))
        assert f"You are here as {system_user()}, {role}" in texts(app)
        for what, disabled in acting(app).items():
            seen.add(what)
            allowed = list(Role).index(role) >= list(Role).index(LEAST[what])
            assert set(disabled) == {not allowed}, (page, what)
    assert seen == set(TAKES.values())
    looks = [field.disabled for field in app.text_input if field.key and field.key.startswith("where_")]
    assert set(looks) == {role in (Role.VIEWER, Role.AUDITOR)}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AUDITOR, Role.OPERATOR])
def test_a_forged_click_is_refused(
    console: Open, archived: Made, as_role: As, role: Role, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run("SELECT count(*) FROM partition_desk.operation")
    as_role(role)
    for page in ("archive", "partitions"):
        for key in [b.key for b in console(page).button if b.label in TAKES]:
            app = console(page)
            button = app.button(key=key)
            what = TAKES[button.label]
            if list(Role).index(role) >= list(Role).index(LEAST[what]):
                continue
            button.proto.disabled = False  # a message from the browser is bytes, and anybody's
            button.click().run()
            if what not in ("ensure", "backup"):
                app.button(key="confirm_plan").click().run()  # a plan is only looked at
            assert f"is here as {role}; to {what} takes an" in texts(app), (page, key)
    assert run("SELECT count(*) FROM partition_desk.operation") == before


def test_a_role_that_is_taken_away_is_gone_with_the_next_click(
    console: Open, archived: Made, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    from pathlib import Path

    people = Path(str(tmp_path)) / "admins"
    people.write_text(f"{system_user()}\n")
    monkeypatch.setenv("PARTITION_DESK_ADMINS", f"@{people}")
    before = run("SELECT count(*) FROM partition_desk.operation")
    app = console("archive")
    next(b for b in app.button if b.label == "Review archive").click().run()
    people.write_text("somebody.else\n")
    app.button(key="confirm_plan").click().run()
    assert "has no role here" in texts(app)
    assert "kid_absences" not in raw(app)
    assert run("SELECT count(*) FROM partition_desk.operation") == before


def test_a_stranger_is_shown_nothing(console: Open, archived: Made, as_role: As) -> None:
    as_role(None)
    app = console()
    assert f"{system_user()} has no role here." in texts(app)
    assert "kid_absences" not in raw(app)
    assert not app.button


def test_names_are_for_auditors(console: Open, archived: Made, as_role: As) -> None:
    for role in Role:
        as_role(role)
        app = console("activity", operation="1")
        named = "by Ada" in texts(app)
        assert named == (role is not Role.VIEWER)
        assert set(app.dataframe[0].value["Who"]) == ({"Ada"} if named else {"somebody"})


def test_looking_for_a_value_is_written_down_once(console: Open, archived: Made, as_role: As, run: Run) -> None:
    as_role(Role.OPERATOR)
    day = archived.ranges[1][0]
    app = console("doctor", date=str(day), where_kid_id="77123")
    for _ in range(3):
        app.run()
    rows = run("SELECT subject, actor FROM partition_desk.operation WHERE kind = 'find'")
    assert rows == [(f"kid_id on {day}", system_user())]
    assert isinstance(day, date)
    as_role(Role.VIEWER)
    assert "to find the rows of one value takes an operator" in texts(
        console("doctor", date=str(day), where_kid_id="7")
    )
