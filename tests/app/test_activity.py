"""Activity: what the filters leave, in the address bar and in the files; and one operation on a page of its own."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from core.console.journal import read_operation
from core.console.sheet import html
from core.plans.archive import plan_archive
from core.tables.catalog.table import read_table
from dashboard.operations import files
from tests.app.conftest import Open, go, texts
from tests.conftest import Act
from tests.desks import SEAL
from tests.tables import Made, Run

TODAY = datetime.now(UTC).date()


@pytest.fixture
def archived(absences: Made, reader: Engine, act: Act, run: Run) -> Made:
    """The first partition is archived; somebody else has tried it with another table that is gone, and failed."""
    act(plan_archive(read_table(reader, absences.address), absences.first, now=datetime.now(UTC)))
    run(
        "INSERT INTO partition_desk.operation (table_address, kind, subject, plan, digest, actor, role, origin, reason,"
        " state, steps, error, requested_at)"
        " SELECT 'public.gone', kind, 'gone_2001', plan, digest, '=Bo', role, origin,"
        " 'a reason so long that no cell of a list has room for the whole of it, and yet it is told', 'failed', steps,"
        " 'It was in the way.', requested_at - interval '3 days' FROM partition_desk.operation"
    )
    return absences


def listed(app: AppTest) -> list[int]:
    assert not app.exception, app.exception[0].value
    return list(app.dataframe[0].value["No."])


def taken(monkeypatch: pytest.MonkeyPatch, open_page: Any) -> dict[str, bytes]:
    """What each file button of a page would give, by the file's ending."""
    made: dict[str, bytes] = {}

    def keep(label: str, make: Any, name: str, **more: Any) -> None:
        data = make()
        made[name.rpartition(".")[2]] = data if isinstance(data, bytes) else data.encode()

    with monkeypatch.context() as patched:
        patched.setattr(files, "button", keep)
        texts(open_page())
    return made


def test_the_address_bar_says_what_is_listed(console: Open, archived: Made) -> None:
    assert listed(console("activity")) == [1]
    assert listed(console("activity", of="all tables")) == [2, 1]
    assert listed(console("activity", of="public.gone")) == [2]
    assert listed(console("activity", of="all tables", outcome="Failed")) == [2]
    assert listed(console("activity", of="all tables", who="Ada")) == [1]
    assert listed(console("activity", of="all tables", words="LONG that no cell")) == [2]
    day = TODAY - timedelta(days=1)
    assert listed(console("activity", of="all tables", **{"from": str(day)})) == [1]
    app = console("activity", of="all tables", to=str(day))
    assert listed(app) == [2]
    assert "1 operation, 1 of them failed" in texts(app)
    app.text_input(key="words").set_value("nothing has that").run()
    assert listed(app) == []
    go(app, "growth")
    go(app, "activity")
    assert listed(app) == []


def test_the_files_hold_exactly_what_is_listed(console: Open, archived: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made = taken(monkeypatch, lambda: console("activity", of="all tables", outcome="Failed"))
    (row,) = csv.DictReader(io.StringIO(made["csv"].decode("utf-8-sig")))
    assert (row["id"], row["actor"], row["error"]) == ("2", "'=Bo", "It was in the way.")
    assert row["reason"].endswith("and yet it is told")
    (line,) = made["jsonl"].decode().splitlines()
    assert (json.loads(line)["id"], json.loads(line)["actor"]) == (2, "=Bo")
    assert "DETACH PARTITION" in json.loads(line)["sql"]
    monkeypatch.setattr(files, "MOST", 1)
    app = console("activity", of="all tables")
    assert "The newest 1 of 2 that the filters leave" in str(app.get("download_button")[0].proto.help)
    made = taken(monkeypatch, lambda: console("activity", of="all tables"))
    assert [json.loads(line)["id"] for line in made["jsonl"].decode().splitlines()] == [2]


def test_one_operation_has_a_page_of_its_own_that_can_be_sent(
    console: Open, archived: Made, reader: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = console("operation", operation="1")
    assert app.title[0].value.startswith(r"1 · Archive")
    facts = dict(zip(app.table[0].value.index, app.table[0].value.iloc[:, 0], strict=True))
    assert facts["By"] == "Ada, admin"
    assert facts["Known by"] == "the user of the process"
    assert "Plan" in facts
    assert f"Archive {archived.first}" in texts(app)
    assert "The journal has no operation 77." in texts(console("operation", operation="77"))
    assert "No operation is named." in texts(console("operation"))

    made = taken(monkeypatch, lambda: console("operation", operation="2"))
    whole = json.loads(made["json"])
    assert (whole["state"], whole["error"], whole["committed"]) == ("failed", "It was in the way.", [])
    assert whole["basis"]
    page = made["html"].decode()
    assert "and yet it is told" in page
    assert "DETACH PARTITION" in page
    assert "It did not happen. It was in the way." in page


def test_what_is_sent_says_whether_the_seal_holds_and_runs_nothing(reader: Engine, archived: Made, run: Run) -> None:
    run("UPDATE partition_desk.operation SET reason = '<script>alert(1)</script>' WHERE id = 2")
    for number, seals in ((1, "It holds: "), (2, "It has no seal of this console")):
        found = read_operation(reader, number, SEAL)
        assert found is not None
        page = html(found, (), place="here/db", made_at=datetime.now(UTC))
        assert seals in page
        assert "<script" not in page
        assert found.digest in page.replace(" ", "")


def test_a_page_at_a_time(console: Open, archived: Made, run: Run) -> None:
    run(
        "INSERT INTO partition_desk.operation (table_address, kind, subject, plan, digest, actor, role, origin, reason,"
        " state, steps) SELECT table_address, kind, subject || n, plan, digest, actor, role, origin, reason, state,"
        " steps FROM partition_desk.operation, generate_series(1, 250) n WHERE id = 1"
    )
    app = console("activity")
    assert "251 operations, none of them failed" in texts(app)
    assert "1 to 200 of 251" in texts(app)
    assert len(listed(app)) == 200
