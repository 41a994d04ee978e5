"""A plan is saved in a dialog and done by the command line, and the other way round."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.cli.main import main
from core.console import saved
from dashboard.dialog.ask import Asked
from dashboard.state import database, keys
from tests.app.conftest import THIS_YEAR, Open, settle, texts
from tests.tables import Made, Run

FIRST = f"kid_absences_{THIS_YEAR - 5}"


def opened(app: AppTest, text: str) -> AppTest:
    """Activity, with that file chosen and looked at."""
    app.file_uploader(key=keys.SAVED_PLAN).set_value(("plan.json", text.encode(), "application/json")).run()
    return app.button(key="open_saved").click().run()


def done(run: Run) -> list[tuple[str, str, str]]:
    return [(a, b, c) for a, b, c in run("SELECT kind, subject, state FROM partition_desk.operation ORDER BY id")]


def test_a_plan_of_a_dialog_is_done_by_the_command_line(
    console: Open, absences: Made, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = console("partitions", partition=FIRST)
    app.button(key="archive_one").click().run()
    button = next(one for one in app.get("download_button") if one.proto.label == "Save this plan")
    assert button.proto.help
    asked = app.session_state[keys.ASKED]
    assert isinstance(asked, Asked)
    file = tmp_path / saved.file_name(asked.plan)
    assert file.name == f"archive-{FIRST}.plan.json"
    file.write_text(saved.written(database.desk(), asked.plan, "anna"))
    assert main(["apply", str(file)]) == 0, capsys.readouterr().err
    assert done(run) == [("archive", FIRST, "done")]


def test_a_plan_of_the_command_line_opens_the_dialog(
    console: Open, absences: Made, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    assert main(["archive", "--partition", FIRST, "--save-plan", str(file)]) == 0, capsys.readouterr().err
    app = opened(console("activity"), file.read_text())
    said = texts(app)
    assert "It is done just as it was saved, or not at all." in said
    assert f'ALTER TABLE "public"."kid_absences" DETACH PARTITION "public"."{FIRST}"' in said
    app.text_input(key=keys.REASON).set_value("as agreed").run()
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: "is done" in texts(page), 40)
    assert done(run) == [("archive", FIRST, "done")]


def test_a_hold_keeps_its_reason_and_end_and_a_file_that_is_none_is_told(
    console: Open, absences: Made, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    words = ["hold", "--partition", FIRST, "--until", "2099-12-31", "--reason", "the audit"]
    assert main([*words, "--save-plan", str(file)]) == 0, capsys.readouterr().err
    app = opened(console("activity"), "{}")
    assert "That file is no saved plan." in texts(app)
    raw = json.loads(file.read_text())
    raw["database"] = "payroll"
    assert "saved for the database payroll" in texts(opened(app, json.dumps(raw)))
    opened(app, file.read_text())
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: done(run)[-1:] == [("hold", FIRST, "done")], 40)
    assert run(f"SELECT obj_description('{FIRST}'::regclass) LIKE '%2099-12-31%the audit%'") == [(True,)]
