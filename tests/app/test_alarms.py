"""Alarms at the foot of the Doctor: where they go, and a test of it by an admin."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.console.actor import system_user
from dashboard.format import JOINER
from tests.app.conftest import Open, texts
from tests.listening import listening
from tests.tables import Made


def test_without_a_target_it_is_told_how_one_is_set(console: Open, absences: Made) -> None:
    app = console("doctor")
    assert "Nobody is told of what is wrong unless he looks here." in texts(app)
    assert "test_alarms" not in [button.key for button in app.button]


def test_an_admin_sends_a_test_and_is_told_how_it_went(
    console: Open, absences: Made, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = {name: place.parent / name for name in ("ADMINS", "OPERATORS")}
    for name, path in lists.items():
        monkeypatch.setenv(f"PARTITION_DESK_{name}", f"@{path}")
    lists["ADMINS"].write_text(system_user())
    lists["OPERATORS"].write_text("somebody else")
    monkeypatch.setenv("PARTITION_DESK_ALARM_SEVERITY", "critical")  # the worker has nothing to send
    with listening(tmp_path) as server:
        monkeypatch.setenv("PARTITION_DESK_ALARM_WEBHOOK", server.hook("/fail-first?marker-secret"))
        app = console("doctor")
        where = f"http://localhost:{server.ports['http']}"
        assert f"What is critical or worse is told to {where}." in texts(app)
        app.button(key="test_alarms").click().run()
        assert f"The test was sent to {where}." in app.toast[0].value.replace("\\", "").replace(JOINER, "")
        (sent,) = server.bodies()
        assert sent["title"] == f"A test of Partition Desk's alarms, asked for by {system_user()}"
        server.refuse(yes=True)
        app.button(key="test_alarms").click().run()
        assert f"{where} took no message: it answered 503." in texts(app)
        assert "marker-secret" not in texts(app)
        lists["ADMINS"].write_text("somebody")
        lists["OPERATORS"].write_text(system_user())
        app.button(key="test_alarms").click().run()  # as it was drawn before
        assert "to test alarms takes an admin" in texts(app)
        button = console("doctor").button(key="test_alarms")
        assert (button.disabled, button.help) == (True, "To test alarms takes an admin.")
        assert len(server.bodies()) == 2
