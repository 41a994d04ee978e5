"""The pages of a table cut every ten days: no button makes a year of it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.app.conftest import Open, texts
from tests.tables import Run


@pytest.fixture(autouse=True)
def readings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table readings, its last ten days those of today."""
    monkeypatch.setenv("PARTITION_DESK_TABLE", "public.readings")
    run("CREATE TABLE readings (id bigint NOT NULL, taken date NOT NULL) PARTITION BY RANGE (taken)")
    for number in range(3):
        lower = date.today() - timedelta(days=22 - 10 * number)
        run(
            f"CREATE TABLE readings_{number} PARTITION OF readings"
            f" FOR VALUES FROM ('{lower}') TO ('{lower + timedelta(days=10)}')"
        )


@pytest.mark.parametrize("page", ["overview", "doctor", "partitions"])
def test_no_button_creates_anything(console: Open, page: str) -> None:
    app = console(page)
    assert not app.exception
    assert not [button.label for button in app.button if button.label.startswith(("Create", "Ensure"))]
    said = texts(app)
    assert "by year" not in said
    assert "The newest partition of" in said
