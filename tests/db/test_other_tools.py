"""Tables that another tool makes partitions of: it goes on after every act of the console, and what it does is told."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import psycopg2
import pytest
from sqlalchemy import Engine

from core.cli.main import main
from core.doctor.findings import Finding, Severity
from core.postgres.connection import parse_url, reading_engine
from tests import desks, remedies
from tests.tables import Run

Said = Callable[..., str]

PARTMAN_5 = """
CREATE SCHEMA partman;
CREATE TABLE partman.part_config (parent_table text PRIMARY KEY, control text NOT NULL, time_encoder text,
    partition_interval text NOT NULL, partition_type text NOT NULL, premake int NOT NULL DEFAULT 4,
    automatic_maintenance text NOT NULL DEFAULT 'on', template_table text, retention text, retention_schema text,
    retention_keep_index boolean NOT NULL DEFAULT true, retention_keep_table boolean NOT NULL DEFAULT true,
    epoch text NOT NULL DEFAULT 'none', maintenance_order int, maintenance_last_run timestamptz);
INSERT INTO partman.part_config (parent_table, control, partition_interval, partition_type, retention)
    VALUES ('public.readings', 'taken', '1 mon', 'range', '6 months');
"""
"""The configuration of pg_partman 5 as it documents it: the extension itself can't be had for any server here."""
MONTHS = (
    "SELECT date_trunc('month', current_date) + n * interval '1 month' AS lower,"
    " date_trunc('month', current_date) + (n + 1) * interval '1 month' AS upper, n FROM generate_series(-5, 1) n"
)


@pytest.fixture
def said(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command on the table readings and returns what it printed; fails where it does not end with `status`."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("PARTITION_DESK_TABLE", raising=False)

    def run_command(*words: str, table: str = "public.readings", status: int = 0) -> str:
        ended = main([*words, "--table", table])
        out, err = capsys.readouterr()
        assert ended == status, out + err
        return out + err

    return run_command


@pytest.fixture
def partman(run: Run) -> Run:
    """A session of a database that has pg_partman."""
    if not run("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_partman'"):
        pytest.skip("pg_partman can't be had here: Debian's postgresql-15-partman could not be fetched")
    run("CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman; CREATE SCHEMA archive")
    run("REVOKE ALL ON SCHEMA archive FROM PUBLIC")
    run("SET TIME ZONE 'UTC'")
    return run


def managed(run: Run, type_: str, interval: str, name: str = "readings", start: str = "") -> None:
    """A table that pg_partman has made, with the key that its template gives to each partition."""
    run(f'CREATE TABLE public."{name}" (id bigint NOT NULL, taken {type_} NOT NULL) PARTITION BY RANGE (taken)')
    run(f'CREATE TABLE public.template (LIKE public."{name}"); ALTER TABLE public.template ADD PRIMARY KEY (id)')
    begun = f", p_start_partition := ({start})::text" if start else ""
    run(
        f"SELECT partman.create_parent('public.{name}', 'taken', 'native', '{interval}', p_premake := 3,"
        f" p_template_table := 'public.template'{begun})"
    )
    run("UPDATE partman.part_config SET infinite_time_partitions = true")


def partitions(run: Run, table: str = "public.readings") -> list[tuple[str, str, str]]:
    """(name, lower, upper) of every partition with a range, in the order of the ranges."""
    return [
        (name, lower, upper)
        for name, lower, upper in run(
            "SELECT c.relname, m[1], m[2] FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,"
            " regexp_match(pg_get_expr(c.relpartbound, c.oid), $$FROM \\('(.*)'\\) TO \\('(.*)'\\)$$) m"
            f" WHERE i.inhparent = '{table}'::regclass AND m[1] IS NOT NULL ORDER BY length(m[1]), m[1]"
        )
    ]


def listed(run: Run, name: str = "readings") -> list[str]:
    """The partitions as pg_partman itself lists them."""
    return [row[0] for row in run(f"SELECT partition_tablename FROM partman.show_partitions('public.{name}')")]


def found(engine: Engine, check: str = "other_tools") -> list[Finding]:
    desk = desks.desk(engine)
    some = desk.examine(desk.read("public.readings"), None)
    return [one for one in some if one.check == check and one.severity is not Severity.OK]


@pytest.mark.one_in(4)
@pytest.mark.with_partman
@pytest.mark.parametrize(
    ("type_", "interval", "back"),
    [
        ("timestamptz", "monthly", "5 months"),
        ("timestamptz", "daily", "5 days"),
        ("date", "weekly", "5 weeks"),
        ("date", "quarterly", "15 months"),
        ("timestamp", "hourly", "5 hours"),
        ("date", "yearly", "5 years"),
        ("date", "10 days", "50 days"),
    ],
)
@pytest.mark.parametrize("name", ["readings", "Meter Readings"])
def test_partman_goes_on_after_every_act(
    partman: Run, said: Said, type_: str, interval: str, back: str, name: str
) -> None:
    managed(partman, type_, interval, name, f"now() - interval '{back}'")
    partman(f"INSERT INTO public.\"{name}\" SELECT n, now() - n * interval '{back}' / 5 FROM generate_series(0, 5) n")
    table = f'public."{name}"'
    before = partitions(partman, table)
    told = said("status", table=table)
    assert "Managed by pg_partman 4.7.2, which makes 3 ahead of the newest row as well." in told
    assert "No other tool" not in said("doctor", table=table)

    ensured = said("ensure", "--ahead", "5", table=table)
    after = partitions(partman, table)
    assert len(after) == len(before) + 2
    assert "goes on after these" in ensured
    for made, lower, _ in after[-2:]:
        theirs = partman(f"SELECT partition_table FROM partman.show_partition_name('public.{name}', '{lower}')")
        assert theirs == [(made,)]
        assert partman(f"SELECT count(*) FROM pg_index WHERE indrelid = 'public.\"{made}\"'::regclass AND indisprimary")

    oldest = after[0][0]
    rows = partman(f'SELECT count(*) FROM public."{oldest}"')
    assert "keeps it from coming back" in said("archive", "--partition", oldest, table=table)
    said("reattach", "--partition", oldest, table=table)
    assert partitions(partman, table) == after
    said("archive", "--partition", oldest, table=table)

    partman("UPDATE partman.part_config SET premake = 7")
    partman("SELECT partman.run_maintenance()")
    whole = partitions(partman, table)
    assert whole[: len(after) - 1] == after[1:]
    assert len(whole) > len(after)
    assert all(one[2] == other[1] for one, other in pairwise(whole))
    assert listed(partman, name) == [one for one, _, _ in whole]
    assert partman(f'SELECT count(*) FROM archive."{oldest}"') == rows
    assert said("ensure", "--ahead", "7", table=table).startswith("Nothing to do")


@pytest.mark.with_partman
def test_partman_goes_on_beside_ranges_of_ids(partman: Run, said: Said) -> None:
    managed(partman, "bigint", "1000", start="0")
    partman("INSERT INTO public.readings SELECT n, n FROM generate_series(0, 2500, 500) n")
    assert "Managed by pg_partman 4.7.2" in said("status")
    said("doctor")
    said("archive", "--partition", "readings_p0")
    said("reattach", "--partition", "readings_p0")
    said("archive", "--partition", "readings_p0")
    partman("UPDATE partman.part_config SET premake = 5")
    partman("SELECT partman.run_maintenance()")
    assert listed(partman) == [f"readings_p{n}000" for n in range(1, 8)]
    assert partman("SELECT count(*) FROM archive.readings_p0") == [(2,)]


@pytest.mark.with_partman
def test_what_retention_moved_is_archived_and_comes_back_with_a_warning(partman: Run, said: Said) -> None:
    managed(partman, "timestamptz", "monthly", start="now() - interval '8 months'")
    partman("INSERT INTO public.readings SELECT n, now() - n * interval '1 month' FROM generate_series(0, 8) n")
    oldest, second = (name for name, _, _ in partitions(partman)[:2])
    said("archive", "--partition", oldest)
    partman("UPDATE partman.part_config SET retention = '4 months', retention_schema = 'archive'")
    told = said("status")
    assert "detaches those older than 4 months and moves them to archive" in told
    partman("SELECT partman.run_maintenance()")
    told = said("status")
    for name in (oldest, second):
        assert [line.split()[1] for line in told.splitlines() if f"{name} " in line] == ["archived"]
    assert "its next run takes it away again" in said("reattach", "--partition", second)
    assert second in listed(partman)
    partman("SELECT partman.run_maintenance()")
    assert second not in listed(partman)
    assert partman(f"SELECT count(*) FROM archive.{second}") == [(1,)]


@pytest.mark.with_partman
@pytest.mark.parametrize("archive", [True, False], ids=["archive", "no archive yet"])
def test_retention_that_drops_is_told_with_what_keeps_the_rows(
    partman: Run, said: Said, worker: Engine, archive: bool
) -> None:
    managed(partman, "timestamptz", "monthly", start="now() - interval '8 months'")
    partman("INSERT INTO public.readings SELECT n, now() - n * interval '1 month' FROM generate_series(0, 8) n")
    if not archive:
        partman("DROP SCHEMA archive")
    partman("UPDATE partman.part_config SET retention = '4 months', retention_keep_table = false")
    (finding,) = found(worker)
    assert finding.severity is Severity.WARNING
    assert "drops those older than 4 months" in finding.title
    before = remedies.rows(partman)
    assert remedies.paste(partman, finding.hint) == []
    assert {name for name, rows in remedies.rows(partman).items() if rows != before[name]} == {"partman.part_config"}
    assert found(worker) == []
    partman("SELECT partman.run_maintenance()")
    after = remedies.rows(partman)
    held = [name for name in after if ".readings" in name]
    assert remedies.all_rows(after, *held) == remedies.all_rows(before, "public.readings")
    assert len([name for name in held if name.startswith("archive.")]) == (4 if archive else 0)


@pytest.mark.with_partman
def test_what_partman_drops_is_not_what_was_archived(partman: Run, said: Said) -> None:
    managed(partman, "timestamptz", "monthly", start="now() - interval '8 months'")
    partman("INSERT INTO public.readings SELECT n, now() - n * interval '1 month' FROM generate_series(0, 8) n")
    oldest, second = (name for name, _, _ in partitions(partman)[:2])
    said("archive", "--partition", oldest)
    partman("UPDATE partman.part_config SET retention = '4 months', retention_keep_table = false")
    partman("SELECT partman.run_maintenance()")
    assert partman(f"SELECT to_regclass('archive.{oldest}') IS NULL, to_regclass('public.{second}') IS NULL") == [
        (False, True)
    ]


@pytest.mark.with_partman
def test_a_name_that_stops_partman_is_told_with_the_right_one(partman: Run, said: Said, worker: Engine) -> None:
    managed(partman, "timestamptz", "monthly", start="now() - interval '5 months'")
    assert found(worker) == []
    ((lower, upper),) = partman(
        f"SELECT d, d + interval '1 month' FROM (SELECT '{partitions(partman)[-1][2]}'::date d) s"
    )
    odd = f"readings_{lower:%Y_%m}"
    partman(f"CREATE TABLE public.{odd} PARTITION OF public.readings FOR VALUES FROM ('{lower}') TO ('{upper}')")
    partman("UPDATE partman.part_config SET premake = 6")
    with pytest.raises(psycopg2.Error, match="overlap"):
        partman("SELECT partman.run_maintenance()")
    (finding,) = found(worker)
    assert finding.subject == odd
    assert remedies.paste(partman, finding.hint) == []
    partman("SELECT partman.run_maintenance()")
    assert f"readings_p{lower:%Y_%m}" in listed(partman)
    assert found(worker) == []


def named(run: Run, form: str, comment: str = "") -> None:
    """The table readings, by months, with names of a form that to_char() takes."""
    run("CREATE TABLE public.readings (id bigint NOT NULL, taken date NOT NULL) PARTITION BY RANGE (taken)")
    for lower, upper, _ in run(MONTHS):
        name = run(f"SELECT to_char('{lower}'::date, '{form}')")[0][0]
        run(
            f"CREATE TABLE public.{name} PARTITION OF public.readings"
            f" FOR VALUES FROM ('{lower:%Y-%m-%d}') TO ('{upper:%Y-%m-%d}')"
        )
        if comment:
            run(f"COMMENT ON TABLE public.{name} IS '{comment}'")


@pytest.mark.every_version
def test_the_configuration_of_partman_5_is_read(run: Run, said: Said) -> None:
    named(run, '"readings_p"YYYYMMDD')
    run(PARTMAN_5)
    assert "Managed by pg_partman, which makes 4 ahead of the newest row, detaches those older than 6 months" in said(
        "status"
    )
    said("ensure", "--ahead", "3")
    after = partitions(run)
    assert [name for name, _, _ in after] == [f"readings_p{lower.replace('-', '')}" for _, lower, _ in after]


@pytest.mark.parametrize(
    ("form", "tool"),
    [
        ('"readings_"YYYYMM', "pgslice"),
        ('"readings_"YYYY_mon', "psqlextra"),
        ('"readings_y"YYYY"m"MM', ""),
        ('"readings_y"YYYY"_m"MM', ""),
        ('"readings_"YYYY_MM', ""),
        ('"readings_"YYYY"-"MM"-"DD"_part"', ""),
        ('"p"YYYY"_"MM"_readings"', ""),
    ],
)
def test_names_of_other_tools_go_on(run: Run, said: Said, form: str, tool: str) -> None:
    form = form.replace('"-"', '"_"')
    named(run, form, "psqlextra_auto_partitioned" if tool == "psqlextra" else "")
    if tool == "pgslice":
        run("COMMENT ON TABLE public.readings IS 'column:taken,period:month,cast:date,version:3'")
    told = said("status")
    assert (f"Managed by {tool} as well." in told) if tool else ("Managed by" not in told)
    said("doctor")
    said("ensure", "--ahead", "4")
    after = partitions(run)
    assert len(after) == 10
    for name, lower, _ in after:
        assert [(name,)] == run(f"SELECT to_char('{lower}'::date, '{form}')")


def test_a_configuration_that_anybody_could_have_made_says_nothing(
    run: Run, said: Said, make_role: Callable[..., tuple[str, str]]
) -> None:
    named(run, '"readings_p"YYYYMMDD')
    role, _ = make_role()
    run(PARTMAN_5)
    run(f"ALTER TABLE partman.part_config OWNER TO {role}")
    assert "Managed by" not in said("status")
    run("ALTER TABLE partman.part_config OWNER TO CURRENT_USER")
    assert "Managed by pg_partman" in said("status")
    run("ALTER TABLE partman.part_config ENABLE ROW LEVEL SECURITY")  # whose policies would run as the console's role
    assert "Managed by" not in said("status")


def test_a_configuration_that_may_not_be_read_is_told(
    run: Run, said: Said, make_role: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    named(run, '"readings_p"YYYYMMDD')
    role, url = make_role()
    run(PARTMAN_5)
    run(f"ALTER TABLE public.readings OWNER TO {role}; GRANT CREATE ON SCHEMA public TO {role}")
    run(f"GRANT CREATE ON DATABASE {run('SELECT quote_ident(current_database())')[0][0]} TO {role}")
    monkeypatch.setenv("DATABASE_URL", url)
    assert "Managed by" not in said("status")
    assert "may not read whether it makes partitions" in said("ensure", "--ahead", "3", "--dry-run")
    engine = reading_engine(parse_url(url))
    try:
        (finding,) = found(engine)
        assert remedies.paste(run, finding.hint) == []
        assert found(engine) == []
    finally:
        engine.dispose()
    assert "Managed by pg_partman" in said("status")
