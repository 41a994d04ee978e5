"""What each role is shown and may press; and a widget's message that was forged moves nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from core.console.actor import Actor, Origin, system_user
from core.errors import Asked
from core.plans.archive import Archive, plan_archive
from core.plans.operation import LEAST, Role
from core.tables.catalog.table import read_table
from tests import desks
from tests.app.conftest import THIS_YEAR, Open, raw, settle, texts
from tests.conftest import Act
from tests.desks import KEY
from tests.tables import Made, Run

LISTS = {Role.ADMIN: "ADMINS", Role.OPERATOR: "OPERATORS", Role.AUDITOR: "AUDITORS", Role.VIEWER: "VIEWERS"}
TAKES = {
    "Review archive of ": "archive",
    "Review reattach of ": "reattach",
    "Back up ": "backup",
    f"Ensure {THIS_YEAR + 2}": "ensure",
}
As = Callable[[Role | None], None]


@pytest.fixture
def as_role(place: Path, monkeypatch: pytest.MonkeyPatch) -> As:
    """Gives whoever runs this a role, while pages are open, too; None for nobody but another."""
    for name in LISTS.values():
        monkeypatch.setenv(f"PARTITION_DESK_{name}", f"@{place.parent / name}")

    def give(role: Role | None) -> None:
        for one, name in LISTS.items():
            (place.parent / name).write_text(system_user() if one is role else f"another.{one}")

    give(Role.ADMIN)
    return give


@pytest.fixture
def archived(absences: Made, reader: Engine, act: Act) -> Made:
    act(plan_archive(read_table(reader, absences.address), absences.first, now=datetime.now(UTC)))
    return absences


def takes(label: str) -> str | None:
    """The operation that a button of that label asks for."""
    return next((what for begins, what in TAKES.items() if label.startswith(begins)), None)


def acting(app: AppTest) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = {}
    for button in app.button:
        if (what := takes(button.label)) is not None:
            found.setdefault(what, []).append(button.disabled)
            assert not button.disabled or "You are here as" in str(button.help)
    return found


@pytest.mark.one_in(4)
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


@pytest.mark.one_in(4)
@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.AUDITOR, Role.OPERATOR])
def test_a_click_that_was_allowed_when_it_was_drawn_is_refused(
    console: Open, archived: Made, as_role: As, role: Role | None, run: Run
) -> None:
    before = run("SELECT count(*) FROM partition_desk.operation")
    pressed: set[str] = set()
    for page, parameters in (("archive", {}), ("partitions", {"partition": archived.first})):
        for key in [b.key for b in console(page, **parameters).button if takes(b.label)]:
            app = console(page, **parameters)
            what = str(takes(app.button(key=key).label))
            if what in pressed or (role and list(Role).index(role) >= list(Role).index(LEAST[what])):
                continue
            pressed.add(what)
            if what in ("ensure", "backup"):
                as_role(role)
                app.button(key=key).click().run()
            else:
                app.button(key=key).click().run()
                as_role(role)
                app.button(key="confirm_plan").click().run()
            said = texts(app)
            assert (f"is here as {role}; to {what} takes an" if role else "has no role here") in said, (page, key)
            assert role or "kid_absences" not in raw(app)
            as_role(Role.ADMIN)
    assert pressed == {what for what in TAKES.values() if role is not Role.OPERATOR or LEAST[what] is Role.ADMIN}
    assert run("SELECT count(*) FROM partition_desk.operation") == before


def test_a_forged_message_of_a_widget_moves_nothing(console: Open, archived: Made, as_role: As, run: Run) -> None:
    before = run("SELECT count(*) FROM partition_desk.operation")
    as_role(Role.VIEWER)
    for page in ("archive", "partitions"):
        for key in [b.key for b in console(page).button if takes(b.label)]:
            app = console(page)
            app.button(key=key).proto.disabled = False  # what a browser sends is anybody's
            app.button(key=key).click().run()
            assert not any(b.key == "confirm_plan" and not b.disabled for b in app.button)
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
        assert set(app.dataframe[0].value["Who"]) == ({"somebody"} if role is Role.VIEWER else {"Ada"})
        assert ("Ada" in str(app.table[0].value)) == (role is not Role.VIEWER)


def test_looking_for_a_value_is_written_down_once(console: Open, archived: Made, as_role: As, run: Run) -> None:
    as_role(Role.OPERATOR)
    day = archived.ranges[1][0]
    app = console("doctor", date=str(day), where_kid_id="77123")
    for _ in range(3):
        app.run()
    rows = run("SELECT subject, actor FROM partition_desk.operation WHERE kind = 'find'")
    assert rows == [(f"kid_id on {day}", system_user())]
    as_role(Role.VIEWER)
    assert "to find the rows of one value takes an operator" in texts(
        console("doctor", date=str(day), where_kid_id="7")
    )


def test_what_another_has_asked_for_is_approved_in_the_dialog(
    console: Open, absences: Made, worker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = system_user()
    for name, value in {"ADMINS": f"{me},carla", "TWO_PERSONS": "archive", "KEY": KEY}.items():
        monkeypatch.setenv(f"PARTITION_DESK_{name}", value)
    app = console("archive")
    app.button(key=f"act_{absences.first}").click().run()
    app.button(key="confirm_plan").click().run()
    assert "takes two persons" in app.toast[0].value
    assert "archive waits for approval" in texts(app)
    own = next(one for one in app.button if one.label == "Review approval")
    assert (own.disabled, own.help) == (True, "You have asked for it: another admin approves it.")
    app.button(key=str(own.key).replace("approve", "decline")).click().run()
    assert "waits for approval" not in texts(app)

    desk = desks.desk(worker, admins=(me, "carla"), two_persons=("archive",))
    with pytest.raises(Asked):
        desk.enqueue(
            desk.plan(Archive(absences.address, absences.first)), Actor("carla", Role.ADMIN, Origin.DASHBOARD), "over"
        )
    settle(console(), lambda page: f"Archive {absences.first} waits for approval" in texts(page))
    app = settle(console("archive"), lambda page: "carla asked for it: over." in texts(page))
    next(one for one in app.button if one.label == "Review approval").click().run()
    assert "It is done just as it was asked for, or not at all." in texts(app)
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: f"Archive {absences.first}** is done" in texts(page))
    assert "waits for approval" not in texts(app)
