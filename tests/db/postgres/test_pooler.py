"""A pooler that gives each transaction another session is refused before anything is set; one that keeps it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from sqlalchemy import Engine, create_engine

from core.errors import ConnectionFailed
from core.postgres.connection import parse_url, reading_engine, session, working_engine
from tests import pooler
from tests.browser.proxy import Proxy
from tests.road import Road
from tests.servers import connect
from tests.tables import Made

Pools = dict[str, str]
NOT_KEPT = [mode for mode in pooler.MODES if mode != "session"]
SET = "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name <> 'application_name' ORDER BY 2"
"""Which name its client has is kept right by PgBouncer itself."""


@pytest.fixture
def pools(database_url: str) -> Iterator[Pools]:
    with pooler.pgbouncer(parse_url(database_url)) as found:
        yield found


@contextmanager
def taken(url: str, number: int) -> Iterator[list[list[tuple[object, ...]]]]:
    """So many sessions of the pool at once, and what each is set to."""
    with ExitStack() as stack:
        found = []
        for _ in range(number):
            connection = stack.enter_context(closing(connect(url)))
            cursor = stack.enter_context(connection.cursor())
            if "statement" not in url:
                cursor.execute("BEGIN")
            cursor.execute(SET)
            found.append(cursor.fetchall())
            if "statement" not in url:  # one that is left within a transaction is thrown away
                stack.callback(cursor.execute, "ROLLBACK")
        yield found


def settings_of(url: str) -> list[list[tuple[object, ...]]]:
    with taken(url, pooler.SESSIONS) as found:
        return sorted(found, key=str)


@pytest.mark.one_in(6)
@pytest.mark.parametrize("idle", [0, 1, pooler.SESSIONS])
@pytest.mark.parametrize("mode", NOT_KEPT)
def test_sessions_that_are_given_to_others_are_refused_and_left_as_they_are(pools: Pools, mode: str, idle: int) -> None:
    with taken(pools[mode], idle):
        pass
    before = settings_of(pools[mode]) if idle == pooler.SESSIONS else []
    engines = (reading_engine, working_engine, *([create_engine] if mode == "transaction" else []))
    for made_by in engines:  # SQLAlchemy's own first words are a transaction
        engine: Engine = made_by(parse_url(pools[mode]))
        with pytest.raises(ConnectionFailed, match="each transaction whichever session") as refused, session(engine):
            pass
        assert "pool_mode = session" in refused.value.next
        engine.dispose()
    after = settings_of(pools[mode])
    assert before in ([], after)
    assert not any(after), "nothing was set on any session"


@pytest.mark.parametrize("mode", NOT_KEPT)
def test_a_command_says_why_and_what_to_do(
    pools: Pools, road: Road, make_table: Callable[..., Made], mode: str
) -> None:
    make_table()
    ended = road("status", url=pools[mode])
    assert (ended.code, ended.out) == (1, "")
    assert "whichever session of the server is free" in ended.err
    assert "Traceback" not in ended.err


def test_a_pool_that_keeps_sessions_serves(pools: Pools, road: Road, make_table: Callable[..., Made]) -> None:
    made = make_table()
    rows = made.count()
    for words in (("status",), ("archive", "--year", "2022"), ("reattach", "--year", "2022"), ("doctor",)):
        ended = road(*words, url=pools["session"])
        assert ended.code == 0 or words == ("doctor",), ended
        assert "pooler" not in ended.err
    assert made.count() == rows
    assert not any(settings_of(pools["session"])), "what the console set went with its sessions"


def test_a_setting_in_the_address_that_the_pooler_does_not_take(pools: Pools) -> None:
    engine = reading_engine(parse_url(pools["session"]).update_query_dict({"options": "-c geqo=off"}))
    with pytest.raises(ConnectionFailed, match="takes no settings of a session") as refused, session(engine):
        pass
    assert "ignore_startup_parameters" in refused.value.next
    engine.dispose()


@pytest.mark.parametrize("mode", pooler.MODES)
def test_a_pooler_that_ignores_settings_in_the_address(database_url: str, mode: str) -> None:
    with pooler.pgbouncer(parse_url(database_url), "ignore_startup_parameters = options") as pools:
        engine = reading_engine(parse_url(pools[mode]).update_query_dict({"options": "-c geqo=off"}))
        if mode == "session":
            with session(engine) as connection:
                assert connection.exec_driver_sql("SHOW search_path").scalar_one() == "pg_catalog"
        else:
            with pytest.raises(ConnectionFailed, match="each transaction"), session(engine):
                pass
        engine.dispose()


def test_a_pool_that_is_too_small_for_a_second_look_still_serves(database_url: str) -> None:
    with pooler.pgbouncer(parse_url(database_url), "max_db_connections = 1") as pools:
        engine = reading_engine(parse_url(pools["session"]))
        with session(engine) as connection:
            assert connection.exec_driver_sql("SHOW search_path").scalar_one() == "pg_catalog"
        engine.dispose()


def test_what_only_passes_bytes_on_is_no_pooler(database_url: str) -> None:
    proxy = Proxy(parse_url(database_url))
    url = parse_url(database_url).set(host="127.0.0.1", port=proxy.port, query={})
    engine = reading_engine(url)
    with session(engine) as connection:
        assert connection.exec_driver_sql("SHOW search_path").scalar_one() == "pg_catalog"
    engine.dispose()
    proxy.cut()
