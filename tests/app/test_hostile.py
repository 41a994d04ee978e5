"""Two hundred hostile names, comments and reasons through every page, command and export: each stays a text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import date

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from core.cli.main import main
from core.console.alarms.message import Alarm, Event, Message, body
from core.doctor.findings import Severity
from core.names import ident
from tests import desks
from tests.app.conftest import NAMES, Open, raw
from tests.hostile import ALIVE, alive, make, unprintable
from tests.tables import Run

COUNT = 200


@pytest.fixture
def hostile(run: Run, worker: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made = make(run, worker, COUNT)
    monkeypatch.setenv("PARTITION_DESK_TABLE", f"public.{ident(made[0])}")
    monkeypatch.setenv("PARTITION_DESK_KEY", desks.KEY)
    return made


@pytest.mark.thorough
def test_on_every_page(hostile: list[str], console: Open) -> None:
    assert len(set(hostile)) == COUNT + 1
    seen = ""
    for page in NAMES:
        app = console(page, **({"operation": "1"} if page == "operation" else {}))
        assert not app.exception, (page, app.exception[0].value)
        said = raw(app, code=False)
        seen += said
        assert alive(said) == [], page
        labels = [str(getattr(one, "label", "")) for one in (*app.button, *app.expander, *app.selectbox, *app.checkbox)]
        assert alive("\n".join(labels)) == [], page
    for name in hostile[1:40:4]:
        app = console("partitions", partition=f"public.{ident(name)}")
        assert not app.exception, (name, app.exception[0].value)
        assert alive(raw(app, code=False)) == [], name
    assert "evil" in seen


def test_in_every_command_and_export(
    hostile: list[str], database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*words: str) -> str:
        capsys.readouterr()
        code, ended = main(words), capsys.readouterr()
        assert code == 0, (words, ended.err)
        return ended.out

    for words in (
        ("status",),
        ("doctor",),
        ("history",),
        ("backups",),
        ("find", "--date", str(date.today())),
        ("growth",),
        ("alarms",),
        ("ensure", "--dry-run"),
        ("rules", "show"),
    ):
        assert unprintable(run(*words)) == "", words
    for words in (("status", "--json"), ("doctor", "--json"), ("history", "--json"), ("alarms", "--json")):
        assert json.loads(run(*words))
    cells = [cell for row in csv.reader(io.StringIO(run("audit", "export", "--csv"))) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r") or cell.startswith(" =")]
    assert any("evil" in str(one.samples[0].labels) for one in text_string_to_metric_families(run("metrics")))


def test_in_the_report_and_in_alarms(
    hostile: list[str], database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    file = tmp_path_factory.mktemp("report") / "growth.html"
    assert main(["report", "--html", str(file)]) == 0
    page = file.read_text()
    assert "evil" in page
    assert not [text for text in ALIVE if text.startswith("<") and text in page]
    now = desks.desk(desks.NO_ENGINE).now
    for name in hostile:
        told = Message(Event.RAISED, Alarm("runway", name, Severity.WARNING, name, (name,)), now, now, name)
        said: Callable[[str], str] = lambda form, told=told: body(told, form).decode()  # type: ignore[misc,arg-type] # noqa: E731
        assert "://evil" not in said("slack").replace("\\u2060", "~")
        assert "://evil" not in said("teams").replace("\\u2060", "~")
