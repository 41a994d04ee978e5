"""A table's bare name means what it means to psql: the role's own search path decides, at every edge alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.engine import make_url

from core.absences import ensure_absence_partitions
from core.cli.main import main
from core.errors import AmbiguousName, TableNotFound
from core.postgres.connection import parse_url, reading_engine, working_engine
from core.tables.catalog.address import read_address
from core.tables.catalog.coverage import lacks
from tests.tables import Run

Cli = Callable[..., tuple[int, str]]
YEAR = [(date(2022, 1, 1), date(2023, 1, 1))]


def make(run: Run, schema: str, name: str = "readings") -> None:
    """A table there, with the partition 2022 and a row in it."""
    run(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    run(f"CREATE TABLE {schema}.{name} (id bigint NOT NULL, taken_on date NOT NULL) PARTITION BY RANGE (taken_on)")
    run(
        f"CREATE TABLE {schema}.{name}_2022 PARTITION OF {schema}.{name}"
        " FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')"
    )
    run(f"INSERT INTO {schema}.{name} VALUES (1, '2022-05-05')")


@pytest.fixture
def address_of(database_url: str, run: Run) -> Callable[[str, str], str]:
    """What a name means to a session with that search path: as the console sets it, and on an application's engine."""
    base = make_url(database_url)

    def ask(path: str, name: str) -> str:
        url = with_path(base, path)
        found = []
        for engine in (reading_engine(url), working_engine(url), create_engine(url)):
            try:
                found.append(read_address(engine, name))
            finally:
                engine.dispose()
        assert len(set(found)) == 1
        return found[0]

    return ask


def with_path(url: URL, path: str) -> URL:
    return parse_url(url.render_as_string(hide_password=False)).update_query_dict(
        {"options": f"-c search_path={path.replace(' ', '')}"}
    )


def test_the_path_decides_in_its_order(address_of: Callable[[str, str], str], run: Run) -> None:
    for schema in ("public", "tenant_a", '"Tenant B"'):
        make(run, schema)
    assert address_of("tenant_a", "readings") == "tenant_a.readings"
    assert address_of("public, tenant_a", "readings") == "public.readings"
    assert address_of("nowhere, tenant_a, public", "readings") == "tenant_a.readings"
    assert address_of("pg_catalog, public", "readings") == "public.readings"
    assert address_of("tenant_a", "public.readings") == "public.readings"
    assert address_of('"$user",public', "readings") == "public.readings"


def test_where_the_path_leads_to_none_only_one_elsewhere_is_taken(
    address_of: Callable[[str, str], str], run: Run
) -> None:
    make(run, "north")
    assert address_of("public", "readings") == "north.readings"
    assert address_of("pg_catalog", "readings") == "north.readings"
    run("CREATE SCHEMA archive")
    run("CREATE TABLE archive.readings (id int)")
    run("CREATE SCHEMA y2023")
    run("CREATE TABLE y2023.readings PARTITION OF north.readings FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')")
    assert address_of("public", "readings") == "north.readings", "a partition, or a former one, is not what is meant"
    make(run, "south")
    with pytest.raises(AmbiguousName, match=r"none of which is on the search path: north\.readings, south\.readings"):
        address_of("public", "readings")


def test_what_is_no_table_on_the_path_is_told_and_nothing_behind_it_is_taken(
    address_of: Callable[[str, str], str], run: Run
) -> None:
    make(run, "public")
    run("CREATE SCHEMA api")
    run("CREATE VIEW api.readings AS SELECT * FROM public.readings")
    with pytest.raises(TableNotFound, match=r"On the search path readings is the view api\.readings, and no table\."):
        address_of("api, public", "readings")


def test_a_temporary_table_is_never_meant(database_url: str, run: Run) -> None:
    make(run, "public")
    engine = create_engine(database_url)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "CREATE TEMP TABLE readings (id bigint, taken_on date) PARTITION BY RANGE (taken_on)"
        )
        connection.exec_driver_sql(
            "CREATE TEMP TABLE of_2023 PARTITION OF readings FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')"
        )
        connection.commit()
    later = [(date(2023, 1, 1), date(2024, 1, 1))]
    assert lacks(engine, "readings", later)
    assert read_address(engine, "readings") == "public.readings"
    engine.dispose()


@pytest.mark.parametrize("make_engine", [working_engine, create_engine])
def test_the_look_of_a_start_up_follows_the_same_path(
    database_url: str, run: Run, make_engine: Callable[[URL], Engine]
) -> None:
    make(run, "public")
    run("CREATE SCHEMA tenant_a")
    run("CREATE TABLE tenant_a.readings (id bigint, taken_on date) PARTITION BY RANGE (taken_on)")
    for year in (2020, 2021):
        run(
            f"CREATE TABLE tenant_a.readings_{year} PARTITION OF tenant_a.readings"
            f" FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        )
    engine = make_engine(with_path(make_url(database_url), "tenant_a"))
    try:
        assert lacks(engine, "readings", YEAR)
        assert not lacks(engine, "public.readings", YEAR)
        created = ensure_absence_partitions(
            engine, today=date(2022, 6, 1), environ={"PARTITION_DESK_TABLE": "readings"}
        )
        assert created == ("readings_2022", "readings_2023")
        assert not lacks(engine, "readings", YEAR)
    finally:
        engine.dispose()
    assert run("SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.readings'::regclass") == [(1,)]


@pytest.fixture
def cli(
    database_url: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    """One command of a role whose path is tenant_a; public.readings and tenant_a.readings are there."""
    make(run, "public")
    make(run, "tenant_a")
    url = with_path(make_url(database_url), "tenant_a")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    monkeypatch.setenv("PARTITION_DESK_HOME", str(tmp_path))
    monkeypatch.setenv("PARTITION_DESK_TABLE", "readings")

    def call(*words: str) -> tuple[int, str]:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def test_a_command_acts_on_the_table_of_the_path_and_its_twin_says_which(cli: Cli, run: Run) -> None:
    code, said = cli("archive", "--year", "2022")
    assert code == 0, said
    assert "--table tenant_a.readings" in said
    assert run("SELECT count(*) FROM pg_inherits WHERE inhparent = 'tenant_a.readings'::regclass") == [(0,)]
    assert run("SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.readings'::regclass") == [(1,)]
    assert "archive readings_2022" in cli("history", "--table", "readings")[1]
    assert "archive readings_2022" not in cli("history", "--table", "public.readings")[1]
    run("DROP TABLE tenant_a.readings")
    run("ALTER TABLE public.readings RENAME TO other")
    assert "archive readings_2022" in cli("history", "--table", "readings")[1], "of a table that is gone"


def test_a_name_that_means_several_is_refused(cli: Cli, run: Run) -> None:
    run("ALTER TABLE tenant_a.readings RENAME TO other")
    make(run, "tenant_c")
    for words in (
        ("status",),
        ("ensure",),
        ("archive", "--year", "2022"),
        ("growth",),
        ("doctor",),
        ("history", "--table", "readings"),
    ):
        code, said = cli(*words)
        assert code == 1, said
        assert "readings stands in several schemas, none of which is on the search path" in said
        assert "public.readings, tenant_c.readings. Nothing was changed. Name one with its schema" in said
