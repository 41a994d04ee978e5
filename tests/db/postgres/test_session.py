"""A session of the console is the same whatever ALTER ROLE, ALTER DATABASE and the encoding of the database say."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from core.errors import ConnectionFailed, Failed
from core.names import ident, literal
from core.postgres.advisory import LockKey, held
from core.postgres.connection import parse_url, reading_engine, session, working_engine
from core.postgres.embedded import running_server
from core.postgres.session import CONSOLE, as_the_role, own_path, under_own_path
from core.tables.catalog.table import read_table
from tests import desks, tables
from tests.servers import connect
from tests.tables import Run

every_version = pytest.mark.every_version

STRANGE = {
    "array_nulls": "off",
    "bytea_output": "escape",
    "client_encoding": "latin1",
    "client_min_messages": "debug1",
    "DateStyle": "German, DMY",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "extra_float_digits": "-15",
    "idle_in_transaction_session_timeout": "1min",
    "idle_session_timeout": "1min",
    "IntervalStyle": "sql_standard",
    "lock_timeout": "1min",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "search_path": '"Odd, path", "$user", public',
    "statement_timeout": "1min",
    "TimeZone": "Asia/Kathmandu",
    "transaction_timeout": "1min",
    "xmloption": "document",
}
"""What a role's sessions may be set to."""


def settings_of(engine: Engine) -> dict[str, str]:
    names = ", ".join(f"({literal(name)})" for name in [*CONSOLE, "client_encoding"])
    with session(engine) as connection:
        rows = connection.exec_driver_sql(
            "SELECT w.name, pg_catalog.current_setting(w.name, true) AS value, own_name"
            f" FROM (VALUES {names}) w(name), pg_catalog.current_setting('application_name') own_name"
        ).all()
    return {row.name: row.value for row in rows if row.value is not None}


@every_version
@pytest.mark.parametrize(
    "made_by", [working_engine, reading_engine, create_engine], ids=["work", "read", "application"]
)
def test_every_session_is_set_alike(database_url: str, run: Run, made_by: Callable[..., Engine]) -> None:
    known = {name for (name,) in run("SELECT name FROM pg_settings")}
    plain = made_by(parse_url(database_url))
    before = settings_of(plain)
    plain.dispose()
    database = ident(parse_url(database_url).database or "")
    for name, value in STRANGE.items():
        if name in known:
            run(f"ALTER DATABASE {database} SET {name} = {value if name == 'search_path' else literal(value)}")
    engine = made_by(parse_url(database_url))
    assert settings_of(engine) == before
    assert before["client_encoding"] == "UTF8"
    assert before["quote_all_identifiers"] == "off"
    assert ("transaction_timeout" in before) is ("transaction_timeout" in known)
    if made_by is not reading_engine:
        assert before["statement_timeout"] == "0"
    engine.dispose()


def test_a_role_that_may_only_read_is_told_so(database_url: str, run: Run) -> None:
    run(f"ALTER DATABASE {ident(parse_url(database_url).database or '')} SET default_transaction_read_only = on")
    engine = working_engine(parse_url(database_url))
    assert desks.desk(engine).server().read_only
    engine.dispose()


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ('"$user", public', 'pg_catalog, "$user", public'),
        ("''", 'pg_catalog, ""'),
        ("'a\"b', pg_catalog", 'pg_catalog, "a""b", pg_catalog'),
    ],
)
def test_the_path_of_the_role_comes_after_pg_catalog_where_its_code_runs(
    database_url: str, run: Run, path: str, own: str
) -> None:
    run(f"ALTER DATABASE {ident(parse_url(database_url).database or '')} SET search_path = {path}")
    engine = working_engine(parse_url(database_url))

    def now() -> str:
        return str(connection.exec_driver_sql("SHOW search_path").scalar_one())

    with session(engine) as connection:
        assert (now(), own_path(connection)) == ("pg_catalog", own)
        connection.exec_driver_sql("BEGIN")
        as_the_role(connection)
        assert now() == own
        connection.exec_driver_sql("ROLLBACK")
        assert now() == "pg_catalog"
        with under_own_path(connection):
            assert now() == own
        assert now() == "pg_catalog"
    engine.dispose()


def test_names_of_other_encodings_are_read() -> None:
    """A role that was made in a database in LATIN1 has a name that is no UTF-8, and is seen from every database."""
    home = Path(tempfile.mkdtemp(prefix="pd-"))
    with running_server(home) as url, ExitStack() as stack:
        run = tables.runner(stack.enter_context(closing(connect(url))))
        run("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'")
        there = stack.enter_context(closing(connect(parse_url(url).set(database="latin"), client_encoding="latin1")))
        tables.runner(there)('CREATE ROLE "zoé"')
        ((oid,),) = run("SELECT oid FROM pg_roles WHERE rolname ~ '^zo'")
        run("CREATE TABLE readings (at date NOT NULL) PARTITION BY RANGE (at)")
        run(f"UPDATE pg_class SET relowner = {oid} WHERE relname = 'readings'")
        engine = reading_engine(parse_url(url))
        stack.callback(engine.dispose)
        assert read_table(engine, "readings").owner == "zo\uefe9"
    shutil.rmtree(home)


def test_a_text_that_is_no_utf8_is_told(database_url: str) -> None:
    engine = working_engine(parse_url(database_url))

    def look() -> None:
        with session(engine) as connection:
            connection.exec_driver_sql("SET client_encoding = 'LATIN1'")
            connection.exec_driver_sql("SELECT pg_catalog.chr(233)").scalar_one()

    with pytest.raises(Failed, match="text that is no UTF-8"):
        look()
    engine.dispose()


def test_a_session_lost_while_it_gives_a_lock_back_is_told_as_lost(worker: Engine, run: Run) -> None:
    """Giving back may fail, and whoever goes on with the session meets the loss in his own statement."""
    with (  # noqa: PT012 the loss and what comes after it
        pytest.raises(ConnectionFailed, match=r"was lost\. What was committed before stays\."),
        session(worker) as connection,
    ):
        with held(connection, LockKey.MAKING, 7, "making"):
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            run(f"SELECT pg_terminate_backend({pid}, 5000)")
        connection.exec_driver_sql("BEGIN")
