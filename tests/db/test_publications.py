"""Publications: no act of the console stops a subscriber, and what each publication will send is in the plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.absences import create_table, ensure_absence_partition_for_year
from core.console.alarms import state as alarms
from core.console.journal import read_operations
from core.doctor.findings import Severity
from core.errors import JournalPublished
from core.plans.archive import Archive
from core.plans.ensure import Ensure
from core.plans.reattach import Reattach
from core.postgres.connection import parse_url, session
from tests import desks, tables
from tests.conftest import ADMIN, Act, until
from tests.db.cli.test_commands import Partitions, partitions
from tests.servers import Database, connect
from tests.tables import Run

__all__ = ["partitions"]

pytestmark = pytest.mark.every_version

READINGS = """
CREATE TABLE public.readings (id bigint NOT NULL, taken_on date NOT NULL, PRIMARY KEY (id, taken_on))
    PARTITION BY RANGE (taken_on);
CREATE TABLE public.readings_2022 PARTITION OF public.readings FOR VALUES FROM ('2022-01-01') TO ('2023-01-01');
CREATE TABLE public.readings_2026 PARTITION OF public.readings FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE public.other (id int PRIMARY KEY)
"""


@pytest.fixture
def readings(run: Run) -> None:
    run(f"{READINGS}; INSERT INTO public.readings VALUES (1, '2022-05-05')")


@pytest.fixture
def subscriber(readings: None, run: Run, database_url: str, server_url: object) -> Iterator[Run]:
    """A second database with the same tables, which receives everything of the first."""
    if run("SHOW wal_level")[0][0] != "logical":
        pytest.skip("this server has no logical replication")
    run("CREATE PUBLICATION everything FOR ALL TABLES")
    publisher = run("SELECT current_database()")[0][0]
    other = Database(server_url, "subscriber")  # type: ignore[arg-type]
    with closing(connect(other.url)) as connection:
        there = tables.runner(connection)
        there(READINGS)
        slot = other.name
        run(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
        dsn = connection.get_dsn_parameters()
        address = " ".join(f"{word}={dsn[word]}" for word in ("host", "port", "user", "password") if word in dsn)
        there(
            f"CREATE SUBSCRIPTION {slot} CONNECTION '{address} dbname={publisher}' PUBLICATION everything"
            f" WITH (create_slot = false, slot_name = '{slot}')"
        )
        until(lambda: there("SELECT count(*) FROM public.readings") == [(1,)])
        yield there
        there(f"ALTER SUBSCRIPTION {slot} DISABLE; ALTER SUBSCRIPTION {slot} SET (slot_name = NONE)")
        there(f"DROP SUBSCRIPTION {slot}")
        until(lambda: not run(f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{slot}' AND active"))
        run(f"SELECT pg_drop_replication_slot('{slot}')")
    other.drop()


def arrives(run: Run, there: Run, number: int) -> None:
    run(f"INSERT INTO public.other VALUES ({number})")
    until(lambda: there(f"SELECT 1 FROM public.other WHERE id = {number}"))


def test_the_first_act_stops_no_subscriber(run: Run, subscriber: Run, partitions: Partitions) -> None:
    words = ("archive", "--year", "2022", "--table", "readings")
    arrives(run, subscriber, 1)
    refused = partitions(*words)
    assert refused.code == 1
    assert "the publication everything would send their rows" in refused.err
    assert "partitions journal" in refused.err
    assert run("SELECT count(*) FROM pg_namespace WHERE nspname IN ('partition_desk', 'archive')") == [(0,)]
    arrives(run, subscriber, 2)
    assert "-- Note: It is refused as yet. The console's own tables" in partitions(*words, "--dry-run").out
    assert "would be published" in partitions("doctor", "--table", "readings").out
    assert partitions("status", "--table", "readings").code == 0

    ddl = partitions("journal").out
    subscriber(ddl)
    run(ddl)
    done = partitions(*words)
    assert done.code == 0, done.err
    arrives(run, subscriber, 3)
    assert "as yet" not in partitions("reattach", "--year", "2022", "--table", "readings", "--dry-run").out
    assert (
        "The publication everything sends the console's own tables" in partitions("doctor", "--table", "readings").out
    )
    assert partitions("sample").code == 0
    arrives(run, subscriber, 4)


def test_a_restore_sends_a_subscriber_no_row_of_a_table_that_it_lacks(
    run: Run, subscriber: Run, partitions: Partitions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKUP_URL", tmp_path.as_uri())
    ddl = partitions("journal").out
    subscriber(ddl)
    run(ddl)
    table = ("--table", "readings")
    for words in (
        ("archive", "--year", "2022"),
        ("backup", "--year", "2022"),
        ("verify", "--year", "2022"),
        ("drop", "--year", "2022", "--now", "--confirm", "readings_2022"),
    ):
        done = partitions(*words, *table)
        assert done.code == 0, done.err
    arrives(run, subscriber, 1)
    told = partitions("restore", "--year", "2022", *table)
    assert told.code == 0, told.err
    assert "yet not the rows of this restore" in told.out
    assert run("SELECT count(*) FROM archive.readings_2022") == [(1,)]
    assert run("SELECT relpersistence FROM pg_class WHERE oid = 'archive.readings_2022'::regclass") == [("p",)]
    arrives(run, subscriber, 2)


def test_where_a_subscription_writes_it_is_told_before_a_partition_is_archived(
    subscriber: Run, partitions: Partitions, database_url: str
) -> None:
    there = parse_url(database_url).set(database=subscriber("SELECT current_database()")[0][0])
    url = there.render_as_string(hide_password=False)
    table = ("--table", "readings")
    told = partitions("archive", "--year", "2022", *table, "--dry-run", url=url).out
    assert "writes into public.readings: a row of the range of readings_2022 that still arrives once it is" in told
    assert "writes into public.readings" in partitions("doctor", *table, url=url).out
    assert partitions("archive", "--year", "2022", *table, url=url).code == 0


def test_the_printed_tables_are_those_that_an_act_makes(
    run: Run, partitions: Partitions, readings: None, worker: Engine
) -> None:
    described = (
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'partition_desk' ORDER BY 1, 2"
    )
    run(partitions("journal").out)
    by_hand = run(described)
    run("DROP SCHEMA partition_desk CASCADE")
    assert partitions("ensure", "--year", "2028", "--table", "readings").code == 0
    assert partitions("sample").code == 0
    with session(worker) as connection:
        alarms.make(connection)
    assert partitions("rules", "set", "--archive-after", "90 years", "--table", "readings").code == 0
    assert partitions("maintain").code == 0
    assert run(described) == by_hand


def test_every_edge_refuses_and_a_start_of_an_application_goes_on(run: Run, worker: Engine) -> None:
    create_table(worker)
    run("CREATE PUBLICATION everything FOR ALL TABLES")
    desk = desks.desk(worker)
    plan = desk.plan(Ensure("kid_absences", years=((date(2027, 1, 1), date(2028, 1, 1)),)))
    for act in (desk.run, desk.enqueue):
        with pytest.raises(JournalPublished, match="stops at the first, for all its tables") as refused:
            act(plan, ADMIN, "a test")
        assert refused.value.safe == "Nothing was changed."
    assert ensure_absence_partition_for_year(worker, 2026, environ={}) == "kid_absences_2026"
    assert read_operations(worker) == ()
    assert run("SELECT count(*) FROM pg_namespace WHERE nspname = 'partition_desk'") == [(0,)]


def test_a_publication_of_other_tables_or_of_truncates_keeps_nobody_from_acting(
    run: Run, readings: None, worker: Engine, act: Act
) -> None:
    run("CREATE PUBLICATION emptied FOR ALL TABLES WITH (publish = 'truncate')")
    run("CREATE PUBLICATION others FOR TABLE public.other")
    plan = desks.desk(worker).plan(Archive("readings", "readings_2022"))
    assert not [warning for warning in plan.warnings if "publication" in warning]
    act(plan)


def about(worker: Engine, *wishes: object) -> list[str]:
    plans = [desks.desk(worker).plan(wish) for wish in wishes]  # type: ignore[arg-type]
    return [
        warning for plan in plans for warning in plan.warnings if "publication" in warning and "as yet" not in warning
    ]


NEW = Ensure("readings", years=((date(2027, 1, 1), date(2028, 1, 1)),))
OLD = Archive("readings", "readings_2022")


@pytest.mark.parametrize(
    ("publication", "new", "old"),
    [
        (
            "FOR TABLE public.readings",
            "The publication p will send the rows of public.readings_2027 under that name: make it on every subscriber"
            " before the first row is written, or it stops there, for all tables.",
            "The publication p will no longer send readings_2022; subscribers keep the rows that they have.",
        ),
        (
            "FOR TABLE public.readings WITH (publish_via_partition_root)",
            "The publication p will send the rows of public.readings_2027 as those of public.readings.",
            "The publication p will no longer send readings_2022; subscribers keep the rows that they have.",
        ),
        (
            "FOR ALL TABLES",
            "The publication p will send the rows of public.readings_2027 under that name: make it on every subscriber"
            " before the first row is written, or it stops there, for all tables.",
            "The publication p will send archive.readings_2022 under that name: a row that is written to it there stops"
            " a subscriber that has no such table. Archiving itself writes none.",
        ),
        (
            "FOR TABLE public.readings_2022",
            "readings_2022 has a place in the publication p, readings_2026 hasn't: a new partition gets none.",
            "The publication p will send archive.readings_2022 under that name: a row that is written to it there stops"
            " a subscriber that has no such table. Archiving itself writes none.",
        ),
        ("FOR TABLE public.other", None, None),
    ],
)
def test_a_plan_tells_which_publications_a_partition_enters_and_leaves(
    run: Run, readings: None, worker: Engine, publication: str, new: str | None, old: str | None
) -> None:
    run(f"CREATE PUBLICATION p {publication}")
    assert about(worker, NEW) == ([new] if new else [])
    assert about(worker, OLD) == ([old] if old else [])


def test_a_publication_of_a_schema_takes_what_comes_into_it(run: Run, readings: None, worker: Engine, act: Act) -> None:
    if run("SHOW server_version_num")[0][0] < "150000":
        pytest.skip("FOR TABLES IN SCHEMA came with 15")
    run("CREATE SCHEMA archive; CREATE PUBLICATION kept FOR TABLES IN SCHEMA archive")
    assert about(worker, NEW) == []
    (warning,) = about(worker, OLD)
    assert warning.startswith("The publication kept will send archive.readings_2022 under that name")
    act(desks.desk(worker).plan(OLD))
    assert about(worker, Reattach("readings", "readings_2022")) == []
    run("CREATE PUBLICATION live FOR TABLES IN SCHEMA public")
    (warning,) = about(worker, Reattach("readings", "readings_2022"))
    assert warning.startswith("The publication live will send the rows of public.readings_2022 under that name")


def test_the_console_tables_in_a_published_schema_of_theirs_are_seen(
    run: Run, readings: None, worker: Engine, act: Act
) -> None:
    if run("SHOW server_version_num")[0][0] < "150000":
        pytest.skip("FOR TABLES IN SCHEMA came with 15")
    run("CREATE SCHEMA partition_desk; CREATE PUBLICATION ours FOR TABLES IN SCHEMA partition_desk")
    desk = desks.desk(worker)
    with pytest.raises(JournalPublished, match="the publication ours"):
        act(desk.plan(NEW))
    found = {f.check: f for f in desk.examine(desk.read("readings"), None)}
    assert found["journal_published"].severity is Severity.WARNING
