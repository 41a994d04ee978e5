"""The demo, really filled: what it shows, that it is the same each time, and that a fill cut short is finished."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from core import demo
from core.absences import TABLE
from core.console.journal import OperationState, read_operations, read_steps
from core.demo import fill, is_demo, main
from core.errors import Refused
from core.period import Duration
from core.postgres.connection import parse_url, reading_engine, session, working_engine
from core.school import school_days
from core.settings import read_settings
from core.tables.archived import Source
from core.tables.catalog.table import read_table
from core.tables.coverage import gaps, unexplained_gaps
from core.tables.retention import due
from core.tables.table import PartitionedTable
from tests import tables
from tests.servers import GIVEN, MAJORS, Database, Servers

TODAY = date(2026, 11, 23)
YEAR = TODAY.year


@dataclass(frozen=True)
class Demo:
    """A database with the whole demo in it."""

    engine: Engine
    table: PartitionedTable

    def ask(self, sql: str) -> list[Any]:
        with session(self.engine) as connection:
            return list(connection.exec_driver_sql(sql).all())

    def value(self, sql: str) -> Any:
        return self.ask(sql)[0][0]

    @property
    def every(self) -> str:
        """A sub-select of all rows, archived ones as well."""
        names = [self.table.sql, *(archived.sql for archived in self.table.archived)]
        return f"({' UNION ALL '.join(f'SELECT * FROM {name}' for name in names)}) t"


@pytest.fixture(scope="module")
def filled(servers: Servers) -> Iterator[Demo]:
    """A demo that every test of this file may read."""
    with ExitStack() as stack:
        database = Database(servers.url(None if GIVEN else MAJORS[0]), "demo")
        stack.callback(database.drop)
        engine = working_engine(parse_url(database.url))
        stack.callback(engine.dispose)
        fill(engine, today=TODAY)
        yield Demo(engine, read_table(engine, TABLE))


def fingerprints(engine: Engine) -> dict[str, tuple[int, int]]:
    table = read_table(engine, TABLE)
    names = ["public.kids", *(item.sql for item in (*table.partitions, *table.archived))]
    return {name: tables.fingerprint(engine, name) for name in names}


def test_eight_past_years_this_one_and_an_empty_next_one(filled: Demo) -> None:
    table = filled.table
    assert [a.name for a in table.archived] == [f"kid_absences_{y}" for y in range(YEAR - 8, YEAR - 5)]
    assert [p.name for p in table.partitions] == [f"kid_absences_{y}" for y in range(YEAR - 5, YEAR + 2)]
    assert gaps(table) == ()
    assert unexplained_gaps(table) == ()
    assert filled.value(f"SELECT count(*) FROM public.kid_absences_{YEAR + 1}") == 0
    assert filled.value(f"SELECT max(date) FROM {table.sql}") == TODAY
    assert filled.value(f"SELECT count(*) FROM {filled.every} WHERE date < '{YEAR}-01-01'") >= 300_000


def test_two_are_due_at_the_default_retention(filled: Demo) -> None:
    retention = read_settings({}).archive_after
    assert retention == Duration(3, "year")
    for today in (TODAY, date(YEAR, 1, 1), date(YEAR, 12, 31)):
        names = [partition.name for partition in due(filled.table, retention.before(today), today)]
        assert names == [f"kid_absences_{YEAR - 5}", f"kid_absences_{YEAR - 4}"]


def test_one_was_archived_by_hand_and_two_by_the_console(filled: Demo) -> None:
    by_hand, *by_console = filled.table.archived
    assert (by_hand.tag, by_hand.source, by_hand.checks) == (None, Source.NAME, filled.table.checks)
    assert by_hand.schema == "archive"
    for archived, record in zip(by_console, reversed(read_operations(filled.engine)), strict=False):
        assert archived.source is Source.TAG
        assert archived.tag is not None
        assert datetime.fromisoformat(archived.tag.archived_at) == record.requested_at
        check = archived.bounds_check(filled.table.key) if filled.table.key else None
        assert check is not None
        assert check.validated
    assert not filled.table.archive.open_to_public


def test_the_journal_tells_what_was_done_and_when_it_would_have_been(filled: Demo) -> None:
    records = tuple(reversed(read_operations(filled.engine)))
    assert [(r.kind, r.subject, r.origin) for r in records] == [
        ("archive", f"kid_absences_{YEAR - 7}", "command line"),
        ("archive", f"kid_absences_{YEAR - 6}", "command line"),
        ("ensure", f"{YEAR + 1}", "application start-up"),
    ]
    assert all(r.state is OperationState.DONE and r.actor == "Demo" and r.reason for r in records)
    moments = [r.requested_at for r in records]
    assert moments == sorted(moments)
    assert moments[-1] < datetime.combine(TODAY, datetime.min.time(), UTC)
    for record in records:
        steps = read_steps(filled.engine, record.id)
        assert len(steps) == record.steps
        assert record.started_at is not None
        assert record.finished_at is not None
        assert record.requested_at <= record.started_at <= steps[0].started_at
        assert steps[-1].finished_at <= record.finished_at
        assert record.seconds is not None
        assert record.seconds < 60


def test_absences_are_on_school_days_only(filled: Demo) -> None:
    found = {row[0] for row in filled.ask(f"SELECT DISTINCT date FROM {filled.every}")}
    wanted = {day for year in range(YEAR - 8, YEAR + 1) for day in school_days(year) if day <= TODAY}
    assert found == wanted
    assert not [day for day in wanted if day.weekday() > 4 or day.month in (7, 8)]


def test_easter_is_between_two_weeks_without_school() -> None:
    for easter in (date(2000, 4, 23), date(2008, 3, 23), date(2019, 4, 21), date(2024, 3, 31), date(2038, 4, 25)):
        days_from_easter = [(day - easter).days for day in school_days(easter.year)]
        assert [days for days in days_from_easter if abs(days) <= 9] == [-9, 8, 9]


def test_years_grow_and_winters_peak(filled: Demo) -> None:
    rows = dict(filled.ask(f"SELECT extract(year FROM date)::int, count(*) FROM {filled.every} GROUP BY 1"))
    usual = [year for year in range(YEAR - 8, YEAR) if year not in (2020, 2021)]
    for earlier, later in itertools.pairwise(usual):
        assert 1.03 < (rows[later] / rows[earlier]) ** (1 / (later - earlier)) < 1.14
    assert rows[2020] < 0.8 * rows[2019]
    assert rows[2021] < 0.8 * rows[2022]
    by_month = dict(
        filled.ask(
            f"SELECT extract(month FROM date)::int, count(*)::float / count(DISTINCT date) FROM {filled.every}"
            " WHERE extract(year FROM date) NOT IN (2020, 2021) GROUP BY 1"
        )
    )
    assert by_month[2] > 1.8 * by_month[6]
    busiest = filled.ask(
        "SELECT DISTINCT ON (y) extract(doy FROM date)::int"
        f" FROM (SELECT extract(year FROM date) y, date, count(*) n FROM {filled.every} GROUP BY 1, 2) d"
        " WHERE y NOT IN (2020, 2021) ORDER BY y, n DESC"
    )
    assert len({row[0] for row in busiest}) >= 5


def test_rows_have_large_values_and_estimates(filled: Demo) -> None:
    for item in (*filled.table.partitions[:-1], *filled.table.archived):
        assert item.size is not None
        assert item.size.toast > 0.1 * item.size.total
        assert item.rows
        exact = filled.value(f"SELECT count(*) FROM {item.sql}")
        assert abs(item.rows - exact) <= 0.02 * exact
    assert filled.value("SELECT reltuples FROM pg_class WHERE oid = 'public.kids'::regclass") > 0


def test_keys_are_as_the_procedure_describes_them(filled: Demo) -> None:
    table = filled.table
    assert sorted((index.columns, index.unique) for index in table.indexes) == [
        (("date",), False),
        (("id", "date"), True),
        (("kid_id", "date"), True),
    ]
    assert [key.other for key in table.references] == ["public.kids"]


def test_it_is_there_once(filled: Demo) -> None:
    before = fingerprints(filled.engine)
    assert is_demo(filled.engine)
    fill(filled.engine, today=date(2031, 1, 1))
    assert fingerprints(filled.engine) == before
    assert len(read_operations(filled.engine)) == 3


@pytest.mark.thorough
def test_cut_short_it_is_finished_with_the_same_rows(
    filled: Demo, worker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(demo, "absences_of", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fill(worker, today=TODAY)
    assert not is_demo(worker)
    assert relations(worker) == []

    with monkeypatch.context() as patched:
        patched.setattr(demo, "_archive_by_hand", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fill(worker, today=TODAY)
    assert not is_demo(worker)

    fill(worker, today=date(2031, 1, 1))  # still the demo of the day when it was begun
    assert is_demo(worker)
    assert fingerprints(worker) == fingerprints(filled.engine)
    assert [(r.kind, r.requested_at) for r in read_operations(worker)] == [
        (r.kind, r.requested_at) for r in read_operations(filled.engine)
    ]


def relations(engine: Engine) -> list[str]:
    with session(engine) as connection:
        found = connection.exec_driver_sql(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1"
        )
        return [str(row[0]) for row in found]


@pytest.mark.parametrize("name", ["kids", "kid_absences"])
def test_tables_of_somebody_else_are_left_alone(
    name: str, worker: Engine, run: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    run(f"CREATE TABLE {name} (id int)")
    run(f"COMMENT ON TABLE {name} IS 'Invented data'")
    with pytest.raises(Refused, match=r"not the demo's\. Nothing was changed\."):
        fill(worker, today=TODAY)
    assert not is_demo(worker)
    assert relations(worker) == [name]


def test_looking_writes_nothing(database_url: str) -> None:
    engine = reading_engine(parse_url(database_url))
    assert not is_demo(engine)
    engine.dispose()


def test_reset_refuses_a_server_of_the_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://anna:secret@db.example/school")
    assert main(["--reset"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "DATABASE_URL is set; only the embedded demo database is ever reset. Nothing was changed."
        " Run it without: env -u DATABASE_URL make demo-reset.\n"
    )


def test_without_reset_it_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "--reset" in capsys.readouterr().err
