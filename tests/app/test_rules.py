"""The page Rules: a sentence, a form that says what it would do in a year before it is saved, and its changes."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from core.console.actor import system_user
from core.console.ruled import read_in_force
from core.rules.value import Rules, parse_rules
from tests import desks
from tests.app.conftest import THIS_YEAR, Open, go, settle, texts
from tests.tables import Made, Run


def rules_now(reader: Engine) -> Rules | None:
    found = read_in_force(desks.desk(reader))
    return found[0].rules if found else None


def fill(app: AppTest, **values: str) -> AppTest:
    for key, value in values.items():
        next(one for one in app.text_input if str(one.key).startswith(f"rule_{key}_")).set_value(value)
    return app.run()


def confirm(app: AppTest, reason: str) -> AppTest:
    app.text_input(key="reason").set_value(reason)
    return app.button(key="confirm_plan").click().run()


def test_rules_are_seen_a_year_ahead_before_they_are_saved_and_undone(
    console: Open, absences: Made, reader: Engine
) -> None:
    app = console("rules")
    assert "Nothing is done of itself: it has no rules." in texts(app)
    fill(app, ahead="2", archive_after="4 years", drop_after="60 days")
    seen = texts(app)
    assert "**It would be:** Years, 2 ahead; archive after 4 years; drop 60 days after." in seen
    assert f"create {THIS_YEAR + 2}" in seen
    assert f"archive kid_absences_{THIS_YEAR - 5}" in seen
    assert "leave the table" in seen
    assert "partitions rules set --only --ahead 2 --archive-after '4 years' --drop-after '60 days'" in seen
    assert rules_now(reader) is None

    app.button(key="save_rules").click().run()
    assert "a drop waits until somebody has verified its backup" in texts(app)
    confirm(app, "as agreed")
    settle(app, lambda _: rules_now(reader) is not None)
    assert rules_now(reader) == parse_rules({"ahead": 2, "archive_after": "4 years", "drop_after": "60 days"})
    settle(app, lambda app: "Set by" in texts(app))
    seen = texts(app)
    assert "as agreed" in seen
    assert "Nobody keeps to them just now: maintain has never run." in seen

    app.button(key="undo_rules").click().run()
    confirm(app, "no")
    settle(app, lambda _: rules_now(reader) is None)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("archive_after", "24", "24 of what? A unit is required. Write it as 24 months, 24 partitions or 24 GiB."),
        ("window", "at night", "'at night' is no window with its time zone."),
    ],
)
def test_what_is_no_rule_is_told_below_its_field(
    console: Open, absences: Made, key: str, value: str, told: str
) -> None:
    app = fill(console("rules"), **{key: value})
    assert told in texts(app)
    assert "save_rules" not in {button.key for button in app.button}


def test_who_is_no_admin_reads_them(
    console: Open, absences: Made, run: Run, monkeypatch: pytest.MonkeyPatch, worker: Engine
) -> None:
    from core.console.ruled import wish_for
    from tests.conftest import ADMIN

    desk = desks.desk(worker)
    desk.run(desk.plan(wish_for(desk, desk.read(absences.address), parse_rules({"archive_after": "4 years"}))), ADMIN)
    monkeypatch.setenv("PARTITION_DESK_ADMINS", "somebody")
    monkeypatch.setenv("PARTITION_DESK_VIEWERS", system_user())
    monkeypatch.setenv("PARTITION_DESK_KEY", desks.KEY)
    app = console("rules")
    seen = texts(app)
    assert "Nothing made ahead; archive after 4 years." in seen
    assert f"archive kid_absences_{THIS_YEAR - 5}" in seen
    assert not [one for one in app.text_input if str(one.key).startswith("rule_")]
    assert app.button(key="undo_rules").disabled
    assert ADMIN.name not in seen


def test_every_page_tells_that_nobody_keeps_to_the_rules(console: Open, absences: Made, worker: Engine) -> None:
    from core.console.ruled import wish_for
    from tests.conftest import ADMIN

    desk = desks.desk(worker)
    desk.run(desk.plan(wish_for(desk, desk.read(absences.address), parse_rules({"ahead": 1}))), ADMIN)
    app = console("overview")
    assert "It has rules, and maintain has never run to its end" in texts(app)
    assert "maintain has never run" in texts(go(app, "rules"))
