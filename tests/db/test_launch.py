"""`python -m dashboard`, really started: what it says, what it serves, and that nothing of it is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, create_engine

from core.demo import is_demo
from core.growth.samples.read import read_runs
from core.plans.archive import plan_archive
from core.postgres.embedded import embedded_url
from core.tables.catalog.table import read_table
from tests.conftest import Act, until
from tests.launching import START_S, launched
from tests.servers import temporary_home
from tests.tables import Made

SECRET = "a-secret-word"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The PARTITION_DESK_HOME of this file's tests: a short path below folders that everyone may enter."""
    with temporary_home() as folder:
        yield folder


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def server_runs(home: Path) -> bool:
    """Whether a process works in the cluster of `home`."""
    data = home / "data"
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"].startswith("postgres") and Path(process.cwd()) == data:
                return True
        except psutil.Error:
            continue
    return False


def test_the_first_start_fills_and_ctrl_c_stops_all(home: Path, port: int) -> None:
    with launched(home, port) as begun:
        begun.wait_for(r"^Filling the demo database \(once\) \.\.\.$")
        time.sleep(0.5)
        assert begun.stop() == 0
    assert not server_runs(home)

    with launched(home, port) as desk:
        desk.wait_for(r"^Filled in \d+\.\d s\.$")
        desk.wait_for(rf"^Partition Desk is at http://127\.0\.0\.1:{port} \(Ctrl-C stops it\)$")
        assert desk.get("/_stcore/health") == (200, "ok")
        assert desk.get("/readyz") == (200, "The database answers.\n")
        status, page = desk.get("/")
        assert status == 200
        assert "<title>" in page
        listening = [
            tuple(connection.laddr)
            for connection in psutil.Process(desk.process.pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == [("127.0.0.1", port)]
        assert server_runs(home)
        assert desk.stop() == 0
        assert desk.get("/readyz")[0] == 0
    assert not server_runs(home)
    assert not (home / "data" / "postmaster.pid").exists()


def test_metrics_beside_the_pages(home: Path, port: int) -> None:
    with launched(home, port) as desk:
        desk.wait_for("^Partition Desk is at")
        found = desk.metrics()
        own = (("table", "public.kid_absences"),)
        assert found["partition_desk_up", ()] == 1
        assert found["partition_desk_runway_days", own] > 300
        assert found["partition_desk_partitions", (*own, ("state", "archived"))] == 3
        assert found["partition_desk_bytes", (*own, ("state", "cold"))] == 0
        assert found["partition_desk_backups_up", ()] == 1
        with ThreadPoolExecutor(8) as pool:
            assert {len(one) for one in pool.map(lambda _: desk.metrics(), range(8))} == {len(found)}
        assert desk.stop() == 0
    assert not server_runs(home)


@pytest.mark.thorough
def test_a_second_start_fills_nothing_and_a_reset_goes_on_beside_it(home: Path, port: int) -> None:
    if not (home / "data").exists():  # another of pytest's processes has the first start
        with launched(home, port) as first:
            first.wait_for("^Partition Desk is at")
            assert first.stop() == 0
    with launched(home, port, "--port", str(port), STREAMLIT_SERVER_PORT="1") as desk:
        desk.wait_for("^Partition Desk is at")
        assert len(desk.said) == 1
        assert desk.get("/readyz")[0] == 200

        engine = create_engine(embedded_url(home))
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE something_else AS SELECT 1 AS one")
        reset = subprocess.run(
            [sys.executable, "-m", "core.demo", "--reset"],
            env={**os.environ, "PARTITION_DESK_HOME": str(home), "DATABASE_URL": ""},
            cwd="/",
            text=True,
            capture_output=True,
            timeout=START_S,
            check=False,
        )
        assert (reset.returncode, reset.stderr) == (0, "")
        assert reset.stdout.splitlines()[0] == f"Emptying the embedded database in {home} and filling it afresh ..."
        engine.dispose()
        assert is_demo(engine)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT to_regclass('something_else')").scalar_one() is None
        engine.dispose()

        assert desk.get("/readyz")[0] == 200
        assert desk.stop(signal.SIGTERM) == 0
    assert not server_runs(home)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 4), (signal.SIGHUP, 1)], ids=["impatient", "hangup"])
def test_however_it_is_stopped_nothing_is_left(home: Path, port: int, number: signal.Signals, times: int) -> None:
    with launched(home, port) as desk:
        desk.wait_for("^Partition Desk is at")
        assert desk.stop(number, times=times) == 0
    assert not server_runs(home)


def test_a_taken_port_is_one_clear_line_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with launched(tmp_path / "never", port) as desk:
            assert desk.process.wait(START_S) == 1
    assert "".join(desk.said) == (
        f"Port {port} on 127.0.0.1 is taken, perhaps by a Partition Desk that runs already."
        f" Stop what listens there, or choose another port: STREAMLIT_SERVER_PORT={port + 1} make run.\n"
    )
    assert not (tmp_path / "never").exists()


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("--port", "0"), {"STREAMLIT_SERVER_PORT": "http"}, "STREAMLIT_SERVER_PORT.*'http' is not a valid int"),
        (("--port", "99999"), {}, "99999 is not a port"),
        (("--port", "0"), {"STREAMLIT_SERVER_ADDRESS": "192.0.2.1"}, r"can't listen on the address 192\.0\.2\.1"),
        (("--port", "0"), {"PARTITION_DESK_PATIENCE_S": "long"}, "PARTITION_DESK_PATIENCE_S is 'long'"),
    ],
    ids=["port", "range", "address", "setting"],
)
def test_bad_settings_are_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], message: str
) -> None:
    with launched(tmp_path / "never", 0, *arguments, **environment) as desk:
        assert desk.process.wait(START_S) == 1
    assert len(desk.said) == 1
    assert re.search(message, desk.said[0])
    assert not (tmp_path / "never").exists()


def test_a_server_that_is_away_is_told_without_its_address(tmp_path: Path, port: int) -> None:
    url = f"postgresql://anna:{SECRET}@127.0.0.1:1/school"
    with launched(tmp_path / "never", port, DATABASE_URL=url) as desk:
        desk.wait_for("^Partition Desk is at")
        assert desk.get("/_stcore/health") == (200, "ok")
        assert desk.get("/readyz") == (503, "The database does not answer.\n")
        assert desk.metrics() == {("partition_desk_up", ()): 0}
        assert SECRET not in " ".join(psutil.Process(desk.process.pid).cmdline())
        assert desk.stop(signal.SIGTERM) == 0
    assert SECRET not in "".join(desk.said)
    assert not (tmp_path / "never").exists()


@pytest.mark.thorough
def test_a_server_that_does_not_answer_is_given_up_after_two_seconds(tmp_path: Path, port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        launched(
            tmp_path / "never", port, DATABASE_URL=f"postgres://anna@127.0.0.1:{silent.getsockname()[1]}/school"
        ) as desk,
    ):
        desk.wait_for("^Partition Desk is at")
        began = time.monotonic()
        assert desk.get("/readyz")[0] == 503
        assert time.monotonic() - began < 5
        assert desk.metrics() == {("partition_desk_up", ()): 0}
        assert desk.stop() == 0


def test_other_names_get_no_answer_and_no_site_can_frame_a_page(tmp_path: Path, port: int) -> None:
    with launched(tmp_path / "never", port, DATABASE_URL="postgresql://anna@127.0.0.1:1/school") as desk:
        desk.wait_for("^Partition Desk is at")
        for path in ("/", "/metrics", "/_stcore/health"):
            assert desk.get(path)[0] == 200
            assert desk.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
            assert desk.headers["X-Content-Type-Options"] == "nosniff"
            for name in ("evil.example", "evil.example:8501", "127.0.0.1.evil.example", ""):
                assert desk.get(path, Host=name) == (
                    400,
                    "This dashboard does not answer to that name: server.allowedHosts\n",
                )
            assert desk.get(path, Host=f"localhost:{port}")[0] == 200
        assert desk.get("/readyz", Host="10.1.2.3")[0] == 503
        assert desk.stop() == 0


def test_probes_under_a_base_path_tell_what_is_so(tmp_path: Path, port: int) -> None:
    url = "postgresql://anna@127.0.0.1:1/school"
    base = {"STREAMLIT_SERVER_BASE_URL_PATH": "ops/desk"}
    with launched(tmp_path / "never", port, DATABASE_URL=url, **base) as desk:
        assert desk.wait_for("^Partition Desk is at").endswith(f":{port}/ops/desk (Ctrl-C stops it)\n")
        for place in ("", "/ops/desk"):
            assert desk.get(f"{place}/readyz") == (503, "The database does not answer.\n")
            assert desk.get(f"{place}/metrics")[1].rstrip().endswith("partition_desk_up 0")
        assert desk.stop() == 0


def test_what_is_to_be_done_by_itself_waits_for_no_visitor(
    tmp_path: Path, port: int, database_url: str, make_table: Callable[..., Made], act: Act, reader: Engine
) -> None:
    made = make_table()
    act(plan_archive(read_table(reader, made.address), made.first, now=datetime.now(UTC)))
    assert read_runs(reader, limit=1) == ()
    with launched(tmp_path / "home", port, DATABASE_URL=database_url) as desk:
        desk.wait_for("^Partition Desk is at")
        until(lambda: read_runs(reader, limit=1))
        assert desk.stop() == 0
