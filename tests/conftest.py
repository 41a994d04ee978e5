"""The fixtures of every test that needs a server.

A test that asks for `database_url` gets a fresh database on PostgreSQL 18. One marked `every_version` is for 15 and 14
as well, between which and 18 lies everything that was seen to differ; one marked `attacked_versions`, which is an
attack, is for 16 besides; one marked `all_versions`, which is the life of a partition, for all five. TEST_DATABASE_URL
puts one given server in the place of all.

All of that is run with `--every` (`make test-all`). Without it (`make test`) each of those tests runs on one of its
servers, in turn, and of the cells of a test marked `one_in` so many are run, evenly spread; who names a file gets all.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import psycopg2
import pytest
from psycopg2 import extensions
from sqlalchemy import URL, Engine

from core.backups import throwaway
from core.console.actor import Actor, Origin
from core.console.execute import Budget
from core.console.journal import OperationRecord
from core.names import ident
from core.plans import steps
from core.plans.operation import Role
from core.plans.plan import Plan
from core.postgres.account import user_name
from core.postgres.connection import parse_url, reading_engine, working_engine
from tests import desks, tables
from tests.binaries import PARTMAN, NotHere
from tests.objects import S3, ObjectServer
from tests.plans_kept import keep_plans
from tests.servers import (
    ATTACKED,
    DIFFERENT,
    GIVEN,
    MAJORS,
    Database,
    Servers,
    connect,
    make_homes,
    prepared_server,
    remove_homes,
)

os.environ["PARTITION_DESK_KEY"] = desks.KEY  # no test makes a key in the home of whoever runs it

hypothesis.settings.register_profile("here", deadline=None, derandomize=True, max_examples=60, database=None)
hypothesis.settings.load_profile("here")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "one_in(n): without --every, run one in n of its cells")
    config.addinivalue_line("markers", "thorough: run with --every alone")
    config.addinivalue_line("markers", "every_version: run on 18, 15 and 14, not on 18 alone")
    config.addinivalue_line("markers", "all_versions: run on 18, 17, 16, 15 and 14")
    config.addinivalue_line("markers", "attacked_versions: an attack, run on 18, 16, 15 and 14")
    config.addinivalue_line("markers", "newest_version: run on 18 alone, in a file marked every_version")
    config.addinivalue_line("markers", "older_versions: run on 15 and 14")
    config.addinivalue_line("markers", "with_partman: run on 15, the one that pg_partman can be had for")
    config.addinivalue_line("markers", "with_contrib: run on 15, the one that comes with extensions, ICU and XML")
    if not hasattr(config, "workerinput"):
        make_homes()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        remove_homes()


_RUN_ON = {
    "with_partman": (PARTMAN,),
    "with_contrib": (PARTMAN,),
    "older_versions": DIFFERENT[1:],
    "newest_version": MAJORS[:1],
    "every_version": DIFFERENT,
    "all_versions": MAJORS,
    "attacked_versions": ATTACKED,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "major" not in metafunc.fixturenames:
        return
    if GIVEN:
        metafunc.parametrize("major", [pytest.param(None, id="given")])
        return
    marks = (mark.name for mark in metafunc.definition.iter_markers())  # a test's own come before its file's
    majors = next((_RUN_ON[name] for name in marks if name in _RUN_ON), MAJORS[:1])
    metafunc.parametrize("major", majors, ids=[f"pg{major}" for major in majors])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every", action="store_true", help="run every cell of every test, on each of its servers")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--every") or any(".py" in argument for argument in config.args):
        return
    kept = set(_spread(items))
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def _spread(items: list[pytest.Item]) -> list[pytest.Item]:
    """One server for each cell, and so many cells of each test as its mark says."""
    cells: dict[str, list[pytest.Item]] = {}
    for item in items:
        cells.setdefault(re.sub(r"(?<=[\[-])pg\d\d(-|(?=\]))", "", item.nodeid), []).append(item)
    one_each = [on_its_servers[turn % len(on_its_servers)] for turn, on_its_servers in enumerate(cells.values())]
    turns: dict[str, Iterator[int]] = {}
    kept = []
    for item in one_each:
        mark = item.get_closest_marker("one_in")
        turn = next(turns.setdefault(item.nodeid.partition("[")[0], itertools.count()))
        if item.get_closest_marker("thorough") is None and turn % (mark.args[0] if mark else 1) == 0:
            kept.append(item)
    return kept


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers of this process, each started at its first use."""
    found = Servers()
    yield found
    found.close()


@pytest.fixture(scope="module", autouse=True)
def throwaway_servers() -> Iterator[None]:
    """The servers that verifications throw away begin with a copy of one cluster, where initdb is not the point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(throwaway, "running_server", prepared_server)
        yield


@pytest.fixture
def server_url(servers: Servers, major: int | None) -> URL:
    """The address of a server, the database `postgres` on it."""
    try:
        return servers.url(major)
    except NotHere as error:
        pytest.skip(f"PostgreSQL {major} can't be had: {error}")


@pytest.fixture
def database_url(server_url: URL, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a fresh, empty database; whoever is still connected when the test ends makes it fail."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    database = Database(server_url, worker)
    yield database.url
    left = database.left_open()
    database.drop()
    assert not left, f"Sessions were left open on the test's database (application, state, last query): {left}"


@pytest.fixture
def reader(database_url: str) -> Iterator[Engine]:
    """The engine that pages read with."""
    engine = keep_plans(reading_engine(parse_url(database_url)))
    yield engine
    engine.dispose()


@pytest.fixture
def worker(database_url: str) -> Iterator[Engine]:
    """The engine that operations run on."""
    engine = keep_plans(working_engine(parse_url(database_url)))
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    """An S3 of this process, started at its first use."""
    server = ObjectServer()
    yield server
    server.close()


@pytest.fixture
def s3(object_server: ObjectServer) -> Iterator[S3]:
    """A bucket that is empty: `.url` for BACKUP_URL, `.environ` for how to get there."""
    yield object_server.make_bucket()
    object_server.forget()


class Session:
    """Somebody else's connection, for real lock conflicts; AUTOCOMMIT until it runs BEGIN."""

    def __init__(self, url: str) -> None:
        self.connection: extensions.connection = connect(url)
        self.run = tables.runner(self.connection)
        self.pid: int = self.connection.info.backend_pid
        self.error: psycopg2.Error | None = None
        self._thread: threading.Thread | None = None

    def hold(self, *statements: str) -> None:
        """Begins a transaction, runs the statements and leaves it open."""
        self.run("BEGIN")
        for statement in statements:
            self.run(statement)

    def release(self) -> None:
        """Ends the transaction."""
        self.run("ROLLBACK")

    def background(self, sql: str) -> None:
        """Runs a statement in a thread; its error, if any, is in `error` after `join`."""

        def go() -> None:
            try:
                self.run(sql)
            except psycopg2.Error as error:
                self.error = error

        self._thread = threading.Thread(target=go, name=f"test session {self.pid}")
        self._thread.start()

    def join(self, timeout: float = 20) -> None:
        """Waits for the statement in the background."""
        assert self._thread is not None
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "the statement in the background did not end"

    def close(self) -> None:
        """Closes the connection, and with it whatever it held."""
        if self._thread is not None and self._thread.is_alive():
            self.connection.cancel()
            self._thread.join(10)
        self.connection.close()


def until(condition: Callable[[], object], patience_s: float = 20) -> None:
    """Waits until it holds."""
    give_up = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.02)


class OpenSession(Protocol):
    """What the fixture `session` gives."""

    def __call__(self) -> Session: ...


@pytest.fixture
def session(database_url: str) -> Iterator[OpenSession]:
    """Opens further connections to the test's database: `session().hold("SELECT ...")`."""
    opened: list[Session] = []

    def open_session() -> Session:
        opened.append(Session(database_url))
        return opened[-1]

    yield open_session
    for one in opened:
        one.close()


@pytest.fixture
def run(database_url: str) -> Iterator[tables.Run]:
    """Runs SQL on a session of its own, as the superuser, and returns the rows."""
    connection = connect(database_url)
    yield tables.runner(connection)
    connection.close()


@pytest.fixture
def make_table(run: tables.Run) -> Callable[..., tables.Made]:
    """Makes a partitioned table by the options of `tests.tables.make_table`."""

    def make(*args: Any, **options: Any) -> tables.Made:
        return tables.make_table(run, *args, **options)

    return make


@pytest.fixture
def fingerprint() -> Callable[[Engine, str], tuple[int, int]]:
    """(rows, sum of their hashes) of a relation's quoted name."""
    return tables.fingerprint


ADMIN = Actor("Ada", Role.ADMIN, Origin.COMMAND_LINE)
Act = Callable[..., OperationRecord | None]


@pytest.fixture
def act(worker: Engine) -> Act:
    """Runs a plan to its end, journalled, as the command line does; the budget may be given."""

    def run_plan(plan: Plan, budget: Budget | None = None) -> OperationRecord | None:
        return desks.desk(worker, budget=budget or Budget()).run(plan, ADMIN, "a test")

    return run_plan


@pytest.fixture
def large_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any DEFAULT partition counts as too large to be read under a lock."""
    monkeypatch.setattr(steps, "READ_UNDER_LOCK", -1)


_ROLES = itertools.count(1)


def _lets_in(url: URL) -> bool:
    try:
        connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True


@pytest.fixture
def make_role(database_url: str, run: tables.Run) -> Iterator[Callable[..., tuple[str, str]]]:
    """Makes a role without rights and returns (its name, the test database's address for it).

    Before 16 that is a superuser's session which has become the role, unless it is to log in as `itself`.
    """
    made: list[str] = []

    def make(name: str = "pd_role", *, itself: bool = False) -> tuple[str, str]:
        role = f"{name}_{os.getpid()}_{next(_ROLES)}"
        url = parse_url(database_url)
        password = f" PASSWORD '{url.password}'" if url.password else ""
        run(f"CREATE ROLE {ident(role)} LOGIN{password}")
        made.append(role)
        if GIVEN or run("SHOW server_version_num")[0][0] >= "160000":
            own = url.set(username=role)
        elif itself:
            own = url.set(username=role)
            with Path(run("SHOW ident_file")[0][0]).open("a") as mapping:
                mapping.write(f'desk "{user_name()}" {role}\n')
            run("SELECT pg_reload_conf()")
            until(lambda: _lets_in(own))
        else:  # the embedded server lets nobody but postgres in before 16
            own = url.update_query_dict({"options": f"-c role={role}"})
        return role, own.render_as_string(hide_password=False)

    yield make
    for role in made:
        run(f"DROP OWNED BY {ident(role)} CASCADE")
        run(f"DROP ROLE {ident(role)}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found if hasattr(report, "when")]
    passed = [r for r in reports if r.when == "call" and r.outcome == "passed"]
    survived = sum(int(value) for r in passed for name, value in r.user_properties if name == "faults")
    if survived:
        terminalreporter.write_line(f"faults injected and survived: {survived}")
    for report in passed:
        for name, value in report.user_properties:
            if name == "said":
                terminalreporter.write_line(str(value))
