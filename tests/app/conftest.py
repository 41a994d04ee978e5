"""The dashboard in this process (Streamlit's AppTest), on a fresh database with a small kid_absences."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pytest
import streamlit as st
from sqlalchemy import Engine
from streamlit import config
from streamlit.testing.v1 import AppTest

from core.console.worker import Worker
from core.period import Period
from core.postgres import connection
from dashboard.format import JOINER
from dashboard.state import database
from tests.servers import temporary_home
from tests.tables import Made

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
NAMES = ("overview", "partitions", "archive", "rules", "doctor", "growth", "activity", "operation")
PAGES = {name: f"app_pages/{name}.py" for name in NAMES}
THIS_YEAR = date.today().year


class Open(Protocol):
    """Opens a page as a browser does: its name, and what the address bar says."""

    def __call__(self, page: str = "overview", **parameters: str) -> AppTest: ...


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the test's backups, in a home of its own; pytest's folders are closed to a server's user."""
    monkeypatch.delenv("BACKUP_URL", raising=False)
    for name in ("ALLOW_DROP", "DROP_AFTER", "VERIFY_EVERY", "HOLD"):
        monkeypatch.delenv(f"PARTITION_DESK_{name}", raising=False)
    with temporary_home() as home:
        monkeypatch.setenv("PARTITION_DESK_HOME", str(home))
        monkeypatch.setenv("PARTITION_DESK_OPEN", "true")
        yield home / "backups"


@pytest.fixture
def console(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens pages on the test's database; the worker runs what they enqueue."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    yield from _opened(monkeypatch)


@pytest.fixture
def console_on(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Open]]:
    """Opens pages on any address; ended before the test's database is."""
    assert database_url
    opening = _opened(monkeypatch)
    opener = next(opening)

    def on(url: str) -> Open:
        monkeypatch.setenv("DATABASE_URL", url)
        return opener

    yield on
    next(opening, None)


def _opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Engines and workers that pages make are ended with the test; the dashboard listens on loopback."""
    workers: list[Worker] = []
    engines: list[Engine] = []

    def keeping(make: Callable[..., Any], made: list[Any]) -> Callable[..., Any]:
        def keep(*args: Any, **options: Any) -> Any:
            made.append(make(*args, **options))
            return made[-1]

        return keep

    def open_page(page: str = "overview", **parameters: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=30)
        for name, value in parameters.items():
            app.query_params[name] = value
        app.run()
        return app if page == "overview" else go(app, page, **parameters)

    monkeypatch.setattr(database, "Worker", keeping(database.Worker, workers))
    for name in ("reading_engine", "working_engine"):
        monkeypatch.setattr(connection, name, keeping(getattr(connection, name), engines))
    st.cache_resource.clear()
    address = config.get_option("server.address")
    config.set_option("server.address", "127.0.0.1")
    yield open_page
    config.set_option("server.address", address)
    for worker in workers:
        worker.stop()
    for engine in engines:
        engine.dispose()
    st.cache_resource.clear()


def go(app: AppTest, page: str, **parameters: str) -> AppTest:
    """Another page, with what the address bar says there."""
    app.switch_page(PAGES[page])
    for name, value in parameters.items():
        app.query_params[name] = value
    return app.run()


@pytest.fixture
def absences(make_table: Callable[..., Made]) -> Made:
    """kid_absences of five past years, this one and the next, some rows in each; two years are due for archive."""
    return make_table(start=date(THIS_YEAR - 5, 1, 1), count=7, rows=200, period=Period.YEAR)


def raw(app: AppTest, *, code: bool = True) -> str:
    """Everything that is said on the page, a line each, as Markdown; code blocks stand for themselves."""
    kinds = (
        app.title,
        app.header,
        app.subheader,
        app.markdown,
        app.caption,
        app.error,
        app.warning,
        app.info,
        app.success,
    )
    said = [str(element.value) for kind in kinds for element in kind]
    said += [str(element.value) for element in app.code] if code else []
    said += [f"{metric.label} {metric.value} {metric.delta}" for metric in app.metric]
    return "\n".join(said)


def texts(app: AppTest) -> str:
    """The same as a reader sees it, without the escapes."""
    assert not app.exception, app.exception[0].value
    return re.sub(r"\\([\W_])", r"\1", raw(app)).replace(JOINER, "").replace("\N{NO-BREAK SPACE}", " ")


def spec(app: AppTest, number: int = 0) -> dict[str, Any]:
    """The Vega-Lite specification of a chart."""
    found: dict[str, Any] = json.loads(app.get("vega_lite_chart")[number].proto.spec)
    return found


def chart_rows(app: AppTest, number: int = 0, layer: int = 0) -> list[dict[str, Any]]:
    """The data of a chart, or of one layer of it, a dict each row."""
    proto = app.get("vega_lite_chart")[number].proto
    drawn = json.loads(proto.spec)
    one = drawn["layer"][layer] if "layer" in drawn else drawn
    name = (one if "data" in one else drawn)["data"]["name"]  # what all layers share stands above them
    data = next(dataset.data.data for dataset in proto.datasets if dataset.name == name)
    return list(pa.ipc.open_stream(data).read_all().to_pylist())


def settle(app: AppTest, until: Callable[[AppTest], bool], seconds: float = 15) -> AppTest:
    """Runs the page again, as its live part does, until something is so."""
    end = time.monotonic() + seconds
    while not until(app):
        assert time.monotonic() < end, texts(app)
        time.sleep(0.1)
        app.run()
    return app
