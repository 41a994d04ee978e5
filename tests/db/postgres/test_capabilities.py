"""What a server can do, asked of real ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from core.postgres.capabilities import CAPABILITIES, Capabilities
from core.postgres.connection import parse_url, reading_engine
from core.postgres.server import read_server
from tests.tables import Run


@pytest.mark.all_versions
def test_every_version_answers_for_itself(reader: Engine, major: int | None) -> None:
    server = read_server(reader)
    assert major in (None, server.major)
    assert server.can == Capabilities(
        concurrent_detach=True,
        narrow_publications=server.major >= 15,
        named_not_null=server.major >= 18,
        superuser=True,
    )
    assert server.product == f"PostgreSQL {server.version.split(' ')[0]}"
    assert server.can.lock_budget == ""


@pytest.mark.parametrize(
    ("role", "provider"),
    [
        ("rds_superuser", "Amazon RDS"),
        ("alloydbsuperuser", "AlloyDB"),
        ("cloudsqlsuperuser", "Cloud SQL"),
        ("azure_pg_admin", "Azure Database"),
    ],
)
def test_who_runs_it_is_recognised_by_its_role(run: Run, role: str, provider: str) -> None:
    told = f"SELECT provider FROM (SELECT {CAPABILITIES}) can"
    run("BEGIN")  # a role belongs to the whole server, on which other tests run
    run(f"CREATE ROLE {role}")
    assert run(told) == [(provider,)]
    run("ROLLBACK")
    assert run(told) == [("",)]


def test_aurora_is_recognised_by_its_function(run: Run, make_role: Callable[..., tuple[str, str]]) -> None:
    run("CREATE FUNCTION aurora_version() RETURNS text LANGUAGE sql AS 'SELECT 16.4::text'")
    engine = reading_engine(parse_url(make_role()[1]))
    try:
        server = read_server(engine)
    finally:
        engine.dispose()
    assert (server.can.provider, server.can.superuser) == ("Amazon Aurora", False)
    assert server.product == f"PostgreSQL {server.version.split(' ')[0]} on Amazon Aurora"
