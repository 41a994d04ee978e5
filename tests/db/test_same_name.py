"""Partitions of one table that have one name in several schemas, a schema a year: never another year than was named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from core.cli.main import main
from core.console.desk import Desk
from core.settings import read_settings
from tests import desks
from tests.conftest import ADMIN
from tests.servers import temporary_home
from tests.tables import Run

YEARS = (2021, 2022, 2023, 2098)
Cli = Callable[..., tuple[int, str]]


@pytest.fixture
def cli(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Runs one command on the table `readings`: (exit status, everything it said)."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("PARTITION_DESK_TABLE", "public.readings")
    monkeypatch.delenv("BACKUP_URL", raising=False)

    def run(*arguments: str) -> tuple[int, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out + said.err

    with temporary_home() as home:
        monkeypatch.setenv("PARTITION_DESK_HOME", str(home))
        yield run


@pytest.fixture(autouse=True)
def readings(run: Run) -> None:
    """The table, with y2021.readings, y2022.readings and so on, a row in each."""
    run("CREATE TABLE readings (id bigint NOT NULL, taken_on date NOT NULL) PARTITION BY RANGE (taken_on)")
    for year in YEARS:
        run(f"CREATE SCHEMA y{year}")
        run(
            f"CREATE TABLE y{year}.readings PARTITION OF readings"
            f" FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        )
    run(f"INSERT INTO readings SELECT y, make_date(y, 5, 5) FROM unnest(ARRAY{list(YEARS)}) y")


def attached(run: Run) -> list[int]:
    """The years that are attached still."""
    rows = run("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'public.readings'::regclass")
    return sorted(int(name[1:5]) for (name,) in rows)


def archived(run: Run) -> list[tuple[int]]:
    return run("SELECT id FROM archive.readings")


def test_a_year_is_archived_and_comes_back_as_the_very_partition_of_that_year(cli: Cli, run: Run) -> None:
    code, said = cli("archive", "--year", "2022")
    assert code == 0, said
    assert attached(run) == [2021, 2023, 2098]
    assert archived(run) == [(2022,)]
    assert "Done: archive y2022.readings" in said
    assert "partitions reattach --partition archive.readings" in said, "the name alone means others as well"
    assert "partitions drop --partition archive.readings --confirm archive.readings --table public.readings" in said

    before = run("SELECT rows_before, rows_after FROM partition_desk.operation ORDER BY id DESC LIMIT 1")
    assert before == [(1, 1)], "the rows counted are those of the very table, wherever it is by then"

    code, said = cli("reattach", "--partition", "archive.readings")
    assert code == 0, said
    assert attached(run) == [*YEARS]
    assert "partitions archive --partition y2022.readings" in said
    assert run("SELECT id FROM y2022.readings") == [(2022,)]


def test_a_year_that_is_not_over_is_guarded_by_its_own_partition(cli: Cli, run: Run) -> None:
    code, said = cli("archive", "--year", "2098")
    assert code == 1
    assert "holds dates that are not over: it goes up to '2099-01-01'." in said
    assert attached(run) == [*YEARS]


@pytest.mark.parametrize(
    "command",
    [
        ("archive",),
        ("reattach",),
        ("backup",),
        ("hold", "--reason", "a court asks for it"),
        ("hold", "--lift"),
        ("keep",),
        ("drop", "--confirm", "readings"),
    ],
    ids=" ".join,
)
def test_a_name_that_several_have_is_refused_with_the_choices(cli: Cli, run: Run, command: tuple[str, ...]) -> None:
    assert cli("archive", "--year", "2021")[0] == 0
    code, said = cli(*command, "--partition", "readings")
    assert code == 1
    assert "readings means 4 tables of public.readings" in said
    assert "y2022.readings (FROM ('2022-01-01') TO ('2023-01-01'))" in said
    assert "archive.readings (FROM ('2021-01-01') TO ('2022-01-01'), archived)" in said
    assert "Nothing was changed. Name one of them with its schema, as --partition y2022.readings does." in said
    assert attached(run) == [2022, 2023, 2098]
    assert run("SELECT count(*) FROM pg_description WHERE description LIKE '%hold%'") == [(0,)]


@pytest.mark.parametrize("which", ["y2023.readings", '"y2023"."readings"'])
def test_a_name_with_its_schema_is_taken(cli: Cli, run: Run, which: str) -> None:
    code, said = cli("archive", "--partition", which)
    assert code == 0, said
    assert attached(run) == [2021, 2022, 2098]
    assert archived(run) == [(2023,)]


def test_the_schema_may_stand_before_a_name_that_one_has_alone(cli: Cli, run: Run) -> None:
    run("ALTER TABLE y2023.readings RENAME TO readings_2023")
    code, said = cli("archive", "--partition", "y2023.readings_2023")
    assert code == 0, said
    assert "Done: archive readings_2023" in said


def test_a_hold_is_set_and_lifted_on_the_partition_of_the_year(cli: Cli, run: Run) -> None:
    held = "SELECT objoid::regclass::text FROM pg_description WHERE description LIKE 'partition-desk hold%'"
    assert cli("hold", "--year", "2023", "--reason", "a court asks for it")[0] == 0
    assert run(held) == [("y2023.readings",)]
    assert cli("hold", "--partition", "y2023.readings", "--lift")[0] == 0
    assert run(held) == []


def test_the_archived_one_is_backed_up_proven_dropped_and_restored_by_its_schema(cli: Cli, run: Run) -> None:
    assert cli("archive", "--year", "2021")[0] == 0
    code, said = cli("backup", "--year", "2021")
    assert code == 0, said
    assert cli("backup", "--partition", "y2022.readings")[0] == 0

    code, said = cli("verify", "--partition", "readings")
    assert code == 1
    assert "readings means backups of 2 partitions of public.readings: y2021.readings (FROM ('2021-01-01')" in said
    assert "Nothing was changed. Name the backup that is meant by its id." in said
    code, said = cli("verify", "--partition", "archive.readings")
    assert code == 0, said

    code, said = cli("drop", "--partition", "archive.readings", "--confirm", "readings", "--now")
    assert code == 1
    assert "--confirm says 'readings', and the table is archive.readings." in said
    code, said = cli("drop", "--partition", "archive.readings", "--confirm", "archive.readings", "--now")
    assert code == 0, said
    assert attached(run) == [2022, 2023, 2098]
    assert run("SELECT to_regclass('archive.readings')") == [(None,)]

    code, said = cli("restore", "--partition", "readings", "--dry-run")
    assert code == 1
    assert "means backups of 2 partitions" in said
    code, said = cli("restore", "--partition", "y2021.readings")
    assert code == 0, said
    assert archived(run) == [(2021,)]


def test_a_planned_drop_is_called_off_and_carried_out_on_the_very_table(cli: Cli, run: Run, database_url: str) -> None:
    assert cli("archive", "--year", "2021")[0] == 0
    assert cli("backup", "--year", "2021")[0] == 0
    assert cli("verify", "--year", "2021")[0] == 0
    wanted = ("drop", "--year", "2021", "--confirm", "archive.readings", "--after", "1d")
    code, said = cli(*wanted)
    assert code == 0, said
    assert "partitions keep --partition archive.readings" in said
    assert cli("keep", "--partition", "archive.readings")[0] == 0
    assert "planned" not in (run("SELECT obj_description('archive.readings'::regclass)")[0][0] or "")

    desk = Desk.at(database_url, read_settings())
    kept, _ = desk.database_backups()
    then = datetime(2026, 1, 1, tzinfo=UTC)
    table = desk.read("public.readings")
    late = desks.later_drop(desk.reading, table, "archive.readings", kept or (), at=then, by="Ada", today=desk.today)
    desk.run(late, ADMIN)
    desk.close()
    code, said = cli("drop", "--due")
    assert code == 0, said
    assert run("SELECT to_regclass('archive.readings')") == [(None,)]
    assert attached(run) == [2022, 2023, 2098]
