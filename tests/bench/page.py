"""How long a page of the dashboard takes to run again for one table among many."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import streamlit as st
from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboard.state import current, database, keys, reads
from tests.bench.catalog import PARTITIONS, add_tables, name_of
from tests.bench.report import Table, Target, ms
from tests.bench.server import Desk, desk, timed

LIMIT_MS = 1_000.0
PAGES = {"Overview": "app_pages/overview.py", "Partitions": "app_pages/partitions.py"}
_APP = Path(__file__).parents[2] / "dashboard" / "app.py"


def measure_page(server: str, tables: int, runs: int) -> tuple[Table, ...]:
    """The Overview and Partitions pages of one table, run again as a click does, warm and with nothing remembered."""
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []
    with desk(server, "page") as at:
        add_tables(at, range(tables))
        print(f"  page: {tables * PARTITIONS:,} partitions built", file=sys.stderr, flush=True)
        with _opened(at) as app:
            for name, page in PAGES.items():
                app.switch_page(page)
                first = timed(lambda: _run(app))
                warm = median(timed(lambda: _run(app)) for _ in range(runs))
                cold = median(_timed_cold(app) for _ in range(runs))
                rows.append((name, ms(first), ms(warm), ms(cold)))
                longest = max(warm, cold)
                targets.append(Target(f"{name} run again under 1 s", f"{ms(longest)} ms", longest < LIMIT_MS))
    return (
        Table(
            f"A page of one table of {PARTITIONS} partitions among {tables * PARTITIONS:,}",
            ("", "first ms", "run again ms", "run again, all read anew ms"),
            tuple(rows),
            notes=(
                f"Medians of {runs}, the page's whole script in this process (AppTest), without a browser's drawing."
                f" What a page reads is remembered for {current.TABLE_TTL_S} s, the list of tables for"
                f" {database.LIST_TTL_S} s.",
            ),
            targets=tuple(targets),
        ),
    )


@contextmanager
def _opened(at: Desk) -> Iterator[AppTest]:
    """The dashboard on the database, with the worker and the engines that it opens ended afterwards."""
    before, address = os.environ.get("DATABASE_URL"), config.get_option("server.address")
    os.environ["DATABASE_URL"] = at.url
    os.environ["PARTITION_DESK_OPEN"] = "true"
    config.set_option("server.address", "127.0.0.1")
    app = AppTest.from_file(str(_APP), default_timeout=60)
    app.query_params[keys.TABLE_PARAMETER] = f"public.{name_of(1)}"
    _run(app)
    try:
        yield app
    finally:
        opened = database.desk()
        opened.worker.stop()
        opened.reader.dispose()
        opened.work.dispose()
        st.cache_resource.clear()
        config.set_option("server.address", address)
        if before is None:
            del os.environ["DATABASE_URL"]
        else:
            os.environ["DATABASE_URL"] = before


def _timed_cold(app: AppTest) -> float:
    reads.refresh()
    return timed(lambda: _run(app))


def _run(app: AppTest) -> None:
    app.run()
    assert not app.exception, app.exception[0].value
