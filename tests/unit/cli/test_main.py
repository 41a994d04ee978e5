"""The command line without a server: what is refused before anything is asked of one, and how things are worded."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from importlib.metadata import version

import psycopg2
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from core.cli import act
from core.cli.acting import say
from core.cli.main import main
from core.cli.output.acts import script, without_password
from core.cli.output.look import status_json, status_text
from core.errors import ConnectionFailed
from core.plans.archive import plan_archive
from core.postgres.connection import parse_url, translate
from core.tables.bounds import Bounds
from core.tables.table import PartitionedTable
from core.text import shown
from tests.unit.factories import NOW, partition, table

HEADS = "partition  state  from  up to  rows  heap  indexes  TOAST  total"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that nobody listens at: a command that asks it shows as exit status 1."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://anna:hush-hush@127.0.0.1:9/school")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("archive --year 20x", "'20x' is not a year."),
        ("archive --year 20255", "'20255' is not a year."),
        ("archive --year 0000", "'0000' is not a year."),
        ("ensure --year 2027 next", "'next' is not a year."),
        ("ensure --ahead -1", "The number of periods ahead is '-1', which is not a whole number from 0 to 1000."),
        ("ensure --ahead ٣", "The number of periods ahead is '٣'"),
        ("find --date 2025-02-30", "'2025-02-30' is not a date."),
        ("find --date yesterday", "'yesterday' is not a date."),
        ("find --date 2025-02-03 --where kid_id", "'kid_id' is not a column and its value. Nothing was changed."),
        ("find --date 2025-02-03 --where =3", "'=3' is not a column and its value."),
        ("history --limit 0", "The limit is '0'"),
        ("cancel all", "The operation is 'all'"),
        ("status --table a.b.c", "'a.b.c' has more than a schema and a name."),
        ("status --table " + "a" * 64, "is 64 bytes long; PostgreSQL keeps 63."),
        ("status --table " + "ä" * 32, "is 64 bytes long; PostgreSQL keeps 63."),
        ("status --table a..b", "'a..b' is not a table name."),
        ("status --table \udcff", r"\udcff is not text in UTF-8."),
    ],
)
def test_wrong_usage_is_one_line_and_2(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split(" ")) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "Missing command. See partitions --help."),
        ("archive", "One of --year, --partition and --due is needed. See partitions archive --help."),
        (
            "archive --year 2024 --partition x",
            "--year and --partition exclude each other. See partitions archive --help.",
        ),
        ("verify some-id --year 2024", "--year and an id exclude each other. See partitions verify --help."),
        ("drop --year 2024 --now --after 7d", "--now and --after exclude each other. See partitions drop --help."),
        ("find", "Missing option '--date'. See partitions find --help."),
        ("cancel", "Missing argument 'ID'. See partitions cancel --help."),
        ("cancel 1 2", "Got unexpected extra argument (2). See partitions cancel --help."),
        ("fly", "No such command 'fly'. See partitions --help."),
        ("status --jso", "No such option '--jso'."),
        ("status --dry-run", "No such option '--dry-run'. See partitions status --help."),
        ("archive --year", "Option '--year' requires an argument. See partitions archive --help."),
        ("archive --year 2024 --reason --dry-run", "Option '--reason' requires an argument, and '--dry-run' is none."),
        ("ensure 2027", "Got unexpected extra argument (2027). See partitions ensure --help."),
        ("ensure --year=2027 2028", "Got unexpected extra argument (2028). See partitions ensure --help."),
        ("status --\x1b[31m", "No such option '--\\x1b[31m'."),
    ],
)
def test_words_that_are_no_command_are_one_line_and_2(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(told)
    assert err.endswith(" --help.\n")
    assert err.count("\n") == 1


COMMANDS = (
    "status",
    "doctor --json",
    "find --date 2025-03-01",
    "history",
    "ensure",
    "ensure --dry-run",
    "archive --year 2024",
    "reattach --year 2024",
    "cancel 1",
)


@pytest.mark.parametrize("words", COMMANDS)
def test_an_unreachable_server(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 1
    assert capsys.readouterr() == (
        "",
        "The server can't be reached: school on 127.0.0.1:9. Nothing was changed."
        " Check that it runs and that the address in DATABASE_URL is right.\n",
    )


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://anna:hush-hush@db/school", "DATABASE_URL begins with mysql"),
        ("anna:hush-hush@db", "DATABASE_URL is not a database address."),
        ("postgresql://anna:hush-hush@db:port/school", "DATABASE_URL is not a database address."),
    ],
)
def test_an_address_that_is_none(
    url: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert main(["status"]) == 1
    err = capsys.readouterr().err
    assert told in err
    assert "hush-hush" not in err


def test_a_setting_that_can_not_be_used(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PARTITION_DESK_ARCHIVE_AFTER", "10")
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err.startswith("PARTITION_DESK_ARCHIVE_AFTER: '10' is not a duration.")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('FATAL:  password authentication failed for user "anna"', "The server refused the password for anna."),
        ("fe_sendauth: no password supplied", "The server refused the password for anna."),
        ('FATAL:  role "anna" does not exist', "The server knows no role anna."),
        ('FATAL:  database "school" does not exist', "The server has no database school."),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "The server does not let anna in from here."),
        ("FATAL:  sorry, too many clients already", "The server has no free connection."),
        ("FATAL:  the database system is starting up", "The server is starting or stopping."),
        ("connection refused", "The server can't be reached: school on db:5432."),
    ],
)
def test_a_refused_login_tells_which_and_no_password(said: str, told: str) -> None:
    error = OperationalError(None, None, psycopg2.OperationalError(f"{said}\n"))
    found = translate(error, parse_url("postgresql://anna:hush-hush@db:5432/school"))
    assert isinstance(found, ConnectionFailed)
    assert str(found).startswith(f"{told} Nothing was changed.")
    assert "hush-hush" not in str(found)


def test_the_address_for_pg_dump_has_no_password() -> None:
    url = make_url("postgresql+psycopg2://anna:hush-hush@db:5433/school?sslmode=require&password=hush-hush")
    assert without_password(url) == "postgresql://anna@db:5433/school?sslmode=require"


def test_names_do_not_reach_the_terminal_as_commands() -> None:
    assert shown("Ümläut 表\x1b[31m\r\n") == "Ümläut 表\\x1b[31m\\r\\n"


def test_nobody_listening_on_standard_error_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    say("Waiting for session 12")


def test_a_script_says_what_it_is_in_comments_that_end_with_their_line() -> None:
    name = "x\n; DROP TABLE kids; --"
    plan = plan_archive(table(partitions=(partition(2024, name=name),)), name, now=NOW)
    lines = script(plan).split("\n")
    comments = [line for line in lines if line.startswith("--")]
    assert comments[0] == (
        "-- archive x\\n; DROP TABLE kids; --, table public.kid_absences. This is a dry run: nothing was changed."
    )
    # nothing of the name stands on a line of its own but within the quotes of an identifier
    assert script(plan).count('; DROP TABLE kids; --" CONCURRENTLY;') == 1
    assert not [line for line in lines if line == "; DROP TABLE kids; --"]


def test_the_fields_of_status_json() -> None:
    found = status_json(table(), NOW, "UTC")
    assert list(found) == [
        "database",
        "server_version",
        "table",
        "key",
        "reading",
        "managed_by",
        "as_of",
        "runway_days",
        "runway_ids",
        "ids_a_day",
        "partitions",
        "strays",
        "gaps",
        "branches",
    ]
    partitions = found["partitions"]
    assert isinstance(partitions, list)
    for one in partitions:
        assert list(one) == [
            "schema",
            "name",
            "state",
            "kind",
            "split",
            "is_default",
            "lower",
            "upper",
            "heap_bytes",
            "index_bytes",
            "toast_bytes",
            "total_bytes",
            "rows_estimate",
        ]


def with_last(bounds: str) -> PartitionedTable:
    made = table()
    last = replace(made.partitions[-1], bounds=Bounds.parse(bounds))
    return replace(made, partitions=(*made.partitions[:-1], last))


@pytest.mark.parametrize(
    ("made", "runway", "sentence"),
    [
        (table(), 438, "Everything has a place until 1 January 2028, in 438 days."),
        (with_last("FOR VALUES FROM ('2027-01-01') TO (MAXVALUE)"), None, "Everything has a place, without end."),
        (
            table(partitions=(partition(2020),), archived=()),
            0,
            "No partition holds today, 20 October 2026: new rows fail. Run: partitions ensure"
            " --table public.kid_absences",
        ),
        (
            table(key=None, strategy="list", not_served="it is partitioned by LIST, not by RANGE"),
            None,
            "public.kid_absences is only shown here: it is partitioned by LIST, not by RANGE.",
        ),
    ],
)
def test_runway(made: PartitionedTable, runway: int | None, sentence: str) -> None:
    assert status_json(made, NOW, "UTC")["runway_days"] == runway
    assert status_text(made, NOW, "UTC", "school on db").split("\n")[0] == sentence


def test_unbounded_and_busy_are_null_and_unknown() -> None:
    made = table(
        archived=(),
        partitions=(
            partition(2020, bounds=Bounds.parse("FOR VALUES FROM (MINVALUE) TO ('2021-01-01')"), busy=True, size=None),
            partition(2026),
            partition(2027, name="rest", bounds=Bounds.parse("DEFAULT"), rows=1234567),
        ),
    )
    found = status_json(made, NOW, "UTC")
    first, _, last = found["partitions"]  # type: ignore[misc]
    assert (first["state"], first["lower"], first["upper"], first["total_bytes"]) == ("busy", None, "2021-01-01", None)
    assert (last["is_default"], last["lower"], last["upper"]) == (True, None, None)
    assert found["gaps"] == [{"lower": date(2021, 1, 1).isoformat(), "upper": "2026-01-01"}]

    lines = status_text(made, NOW, "UTC", "school on db").split("\n")
    assert "No partition holds 2021-01-01 up to, not including, 2026-01-01." in lines
    assert re.sub(r" {3,}", "  ", lines[4]) == HEADS
    assert re.search(r"kid_absences_2020 +busy +unbounded +2021-01-01 .* unknown +unknown +unknown +unknown$", lines[5])
    assert re.search(r"rest +attached +DEFAULT .* 1,234,567 ", lines[7])


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("--version", "--help"):
        assert main([word]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"partitions {version('partition-desk')}\n")
    assert "Exit status: 0" in " ".join(out.split())
    assert err == ""


@pytest.mark.parametrize("words", ["-h", "status -h", "status --help"])
def test_help_needs_no_server_and_has_a_short_name(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 0
    assert "-h, --help" in capsys.readouterr().out


def test_the_help_of_status_says_what_its_json_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--help"]) == 0
    assert "runway_days (null where it never ends, or the table is only shown)" in " ".join(
        capsys.readouterr().out.split()
    )


def test_several_years_behind_one_option_or_behind_several(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(act.ensure, "callback", lambda **typed: seen.append(typed["years"]) or 0)
    for words in ("--year 2026 2027 2028", "--year 2026 --year 2027 2028 --ahead 0", "--ahead 0 --year=2026"):
        assert main(["ensure", *words.split()]) == 0
    years = [(date(year, 1, 1), date(year + 1, 1, 1)) for year in (2026, 2027, 2028)]
    assert seen == [tuple(years), tuple(years), tuple(years[:1])]
