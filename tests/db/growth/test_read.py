"""Growth read from real servers: the first visit, what samples make of it, all tables at once, and the scale."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from core import demo
from core.console.metrics import read_metrics
from core.errors import NotServed, TableNotFound
from core.growth.forecast import Trust
from core.growth.holdings import Stage
from core.growth.outlook import Retention
from core.growth.question import Question
from core.growth.read import Growth, read_growth
from core.growth.samples.measure import read_present, sample
from core.growth.samples.values import Past
from core.growth.samples.write import write_generated
from core.growth.savings import Prices
from core.period import Duration, Period
from core.plans.archive import plan_archive
from core.plans.hold import plan_hold
from core.plans.proof import Kept
from core.postgres.connection import session as connect
from core.tables.catalog.coverage import read_coverage
from core.tables.catalog.marks import read_marks
from core.tables.catalog.table import read_table
from core.tables.coverage import runway
from core.tables.marks import Hold
from core.tables.size import Size
from tests.conftest import Act, OpenSession, until
from tests.tables import Made, Run
from tests.unit.cold_factories import backup

DAY = date(2026, 10, 20)
NOW = datetime(2026, 10, 20, 9, tzinfo=UTC)
YEARS = Retention(Duration(3, "year"))
Make = Callable[..., Made]
Said = Callable[[str, object], None]


def grown(reader: Engine, table: str | None, day: int = 0, **options: Any) -> Growth:
    given: dict[str, Any] = {"archive_schema": "archive", "zone": "UTC", "retention": YEARS} | options
    return read_growth(reader, Question(table=table, today=DAY + timedelta(days=day), **given))


def take(worker: Engine, day: int, **options: Any) -> None:
    sample(worker, archive_schema="archive", today=DAY + timedelta(days=day), **options)


def archive(worker: Engine, act: Act, made: Made, name: str) -> None:
    act(plan_archive(read_table(worker, made.address), name, now=NOW, allow_current=True))


def size_of(run: Run, *relations: str) -> int:
    return sum(int(run(f"SELECT pg_total_relation_size('{relation}')")[0][0]) for relation in relations)


# --- the first visit ------------------------------------------------------------------------------------------------


@pytest.mark.every_version
@pytest.mark.parametrize("key_type", ["date", "timestamptz"])
def test_the_first_visit_is_derived_and_says_so_and_makes_nothing(
    reader: Engine, make_table: Make, run: Run, key_type: str
) -> None:
    made = make_table(start=date(2019, 1, 1), count=9, rows=2000, key_type=key_type, default=True)
    run(f"ANALYZE {made.sql}")
    found = grown(reader, "kid_absences", limit=10**12, prices=Prices(0.1))
    assert (found.table, found.derived, found.last_sample) == (made.address, True, None)
    assert found.notes[0].startswith("Nothing was sampled yet. Derived from the ranges and present sizes of 10 part")
    assert (
        found.server == found.attached == size_of(run, *(f"kid_absences_{y}" for y in range(2019, 2028)), made.default)
    )
    assert (found.archived, found.cold, found.change_30) == (0, None, None)
    assert found.period is Period.YEAR
    assert [bar.lower.year for bar in found.by_period] == list(range(2019, 2027))
    assert len(found.month_rows) == 13
    assert found.year_to_date is not None
    assert found.year_to_date.rows > 0
    assert found.forecast.verdict.trust is Trust.ROUGH
    assert found.passing_kept is not None
    assert found.passing_kept.expected is None
    due = [one.name for one in found.leaving if one.due]
    assert due == ["kid_absences_2019", "kid_absences_2020", "kid_absences_2021", "kid_absences_2022"]
    assert found.due == sum(one.bytes for one in found.leaving if one.due) > 0
    assert found.savings == ()
    assert run("SELECT to_regnamespace('partition_desk')") == [(None,)]


def test_the_first_visit_to_all_tables(reader: Engine, make_table: Make, run: Run) -> None:
    absences = make_table(start=date(2022, 1, 1), count=5, rows=500)
    marks = make_table("Marks", schema="Süd", period=Period.MONTH, start=date(2026, 1, 1), count=12, rows=50)
    run("CREATE TABLE kinds (kind text) PARTITION BY LIST (kind)")
    run("CREATE TABLE kinds_a PARTITION OF kinds FOR VALUES IN ('a')")
    run("INSERT INTO kinds SELECT 'a' FROM generate_series(1, 10000)")
    every = grown(reader, None)
    parts = [grown(reader, one.address) for one in (absences, marks)] + [grown(reader, "kinds")]
    assert every.table == ""
    assert every.derived
    assert every.notes[0].startswith("Nothing was sampled yet. Derived from the ranges and present sizes of 18 part")
    assert every.server == sum(part.server for part in parts)
    assert {item.table for item in every.items} == {absences.address, marks.address, "public.kinds"}
    assert every.period is Period.MONTH
    assert [one.name for one in every.leaving if one.due] == ["kid_absences_2022"]
    assert {grower.table for grower in every.growers} <= {absences.address, marks.address, "public.kinds"}


def test_what_can_t_be_told_of(reader: Engine, run: Run, make_table: Make) -> None:
    with pytest.raises(TableNotFound):
        grown(reader, "nowhere")
    run("CREATE TABLE plain (n int)")
    with pytest.raises(NotServed, match="is not partitioned"):
        grown(reader, "plain")
    empty = grown(reader, None)
    assert (empty.server, empty.items, empty.leaving, empty.by_period) == (0, (), (), ())
    assert not empty.forecast.possible
    run("CREATE TABLE bare (day date) PARTITION BY RANGE (day)")
    assert grown(reader, "bare").server == 0


def test_partitions_that_are_partitioned_again_count_with_all_that_is_below(reader: Engine, run: Run) -> None:
    run("CREATE TABLE t (day date NOT NULL, n int) PARTITION BY RANGE (day)")
    run("CREATE TABLE t_26 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (n)")
    run("CREATE TABLE t_26_1 PARTITION OF t_26 FOR VALUES IN (1)")
    run("INSERT INTO t SELECT '2026-02-01', 1 FROM generate_series(1, 5000)")
    assert grown(reader, "t").server == size_of(run, "t_26_1") > 100_000


def test_a_range_that_begins_before_the_calendar_has_no_first_month(reader: Engine, run: Run) -> None:
    """Nor one of the calendar's very first: neither has a day before it."""
    run("CREATE TABLE t (day date NOT NULL) PARTITION BY RANGE (day)")
    run("CREATE TABLE t_old PARTITION OF t FOR VALUES FROM ('-infinity') TO ('2025-01-01')")
    run("CREATE TABLE t_25 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')")
    run("CREATE TABLE c (day date NOT NULL) PARTITION BY RANGE (day)")
    run("CREATE TABLE c_1 PARTITION OF c FOR VALUES FROM ('0001-01-01') TO ('2026-01-01')")
    run("INSERT INTO t SELECT '2024-02-01' FROM generate_series(1, 5000)")
    assert grown(reader, "t").history.days[0].item() == date(2025, 1, 1)
    assert grown(reader, "t").server == size_of(run, "t_old") + size_of(run, "t_25") > 100_000
    assert grown(reader, "c").history.days[0].item() == date(1, 1, 1)


def test_somebody_s_lock_is_not_waited_for(reader: Engine, make_table: Make, session: OpenSession, run: Run) -> None:
    made = make_table(rows=500)
    other = session()
    other.run("BEGIN")
    other.run(f"LOCK TABLE {made.first} IN ACCESS EXCLUSIVE MODE")
    for table in (made.address, None):
        found = grown(reader, table)
        assert f"Of 1 partition no size could be read just now: {made.first}." in found.notes
        assert found.server == size_of(other.run, *(made.partition(lower) for lower, _ in made.ranges[1:]))
    other.run("ROLLBACK")


# --- with samples ---------------------------------------------------------------------------------------------------


def test_after_samples_growth_is_measured(reader: Engine, worker: Engine, make_table: Make, run: Run, act: Act) -> None:
    made = make_table(start=date(2022, 1, 1), count=5, rows=300)
    for day in range(31):
        run(
            f"INSERT INTO {made.sql} (kid_id, date) SELECT g, '2026-03-01' FROM"
            f" generate_series({10**6 + 1000 * day}, {10**6 + 1000 * day + 400}) g"
        )
        if day == 20:
            archive(worker, act, made, made.first)
        take(worker, day - 30)
    found = grown(reader, made.address)
    assert not found.derived
    assert found.notes == ()
    assert len(found.history) == 31
    assert found.last_sample is not None
    assert found.last_sample.day == DAY
    assert found.archived == size_of(run, f"archive.{made.first}")
    assert found.change_30 is not None
    assert found.change_30.now == found.server == found.history.server[-1]
    assert found.change_30.before == found.history.server[0]
    assert found.change_365 is None
    assert found.forecast.possible
    assert found.forecast.per_month > 0
    (quarter,) = found.savings
    assert (quarter.archived, quarter.archived_partitions, quarter.freed) == (found.archived, 1, 0)
    assert found.archived_total == found.archived
    assert [grower.table for grower in found.growers] == [made.address]
    every = grown(reader, None)
    assert (every.server, every.savings) == (found.server, found.savings)
    assert np.array_equal(every.outlook.kept.expected, found.outlook.kept.expected)
    later = grown(reader, made.address, 40)
    assert "Nothing was measured for 40 days" in " ".join(later.forecast.verdict.notes)


def test_holds_and_plans_of_all_tables_are_those_of_each(
    reader: Engine, worker: Engine, make_table: Make, act: Act
) -> None:
    made = make_table(start=date(2019, 1, 1), count=8, rows=20)
    other = make_table(schema="other", start=date(2019, 1, 1), count=8, rows=20)
    archive(worker, act, made, made.first)
    act(plan_hold(read_table(worker, made.address), "kid_absences_2020", Hold("2027-01-31", "audit", "Ada")))
    act(plan_hold(read_table(worker, made.address), made.first, Hold("", "audit", "Ada")))
    assert {(one.schema, one.name) for one in read_marks(reader)[0]} == {
        ("public", "kid_absences_2020"),
        ("archive", made.first),
    }
    dropping = Retention(YEARS.archive_after, Duration(1, "day"))
    each = [grown(reader, one.address, retention=dropping) for one in (made, other)]
    every = grown(reader, None, retention=dropping)
    assert set(every.leaving) == {one for growth in each for one in growth.leaving}
    assert {(one.name, one.day) for one in each[0].leaving if not one.due} >= {("kid_absences_2020", date(2027, 2, 1))}
    assert made.first not in {one.name for one in each[0].leaving}
    assert "kid_absences_2020" in {one.name for one in each[1].leaving if one.due}
    assert every.savings == each[0].savings
    assert every.archived_total == each[0].archived > 0


def test_cold_storage_is_as_listed_else_as_sampled(reader: Engine, worker: Engine, make_table: Make) -> None:
    made = make_table()
    bounds = read_table(reader, made.address).partitions[0].bounds
    assert bounds is not None
    take(worker, 0, backups={(made.address, made.first, bounds.text): 700})
    assert grown(reader, made.address).cold == 700
    kept = [Kept(backup(bytes=1000)), Kept(backup(parent="public.other", bytes=50))]
    assert grown(reader, made.address, kept=kept).cold == 1000
    assert grown(reader, None, kept=kept).cold == 1050
    assert grown(reader, made.address, kept=()).cold == 0


@pytest.mark.thorough
def test_the_demo_says_that_it_is_invented(reader: Engine, worker: Engine) -> None:
    demo.fill(worker, today=DAY)
    found = grown(reader, "kid_absences", limit=80 * 2**20)
    assert found.notes[0] == "Sizes up to 20 October 2026 are invented: they belong to the demo."
    assert found.forecast.seasonal
    assert found.passing_kept is not None
    assert found.passing_kept.expected is not None
    assert found.change_365 is not None
    assert len(found.savings) == 3
    assert found.archived_total == found.archived


# --- coverage and metrics -------------------------------------------------------------------------------------------


@pytest.mark.every_version
def test_coverage_is_what_each_table_says_of_itself(reader: Engine, make_table: Make, run: Run) -> None:
    for number, key_type in enumerate(("date", "timestamp", "timestamptz")):
        make_table(f'T "{number}"', start=date(2022, 1, 1), count=3 + number, key_type=key_type, default=True)
    run("CREATE TABLE u (day date) PARTITION BY RANGE (day)")
    run("CREATE TABLE u_1 PARTITION OF u FOR VALUES FROM ('2026-01-01') TO ('2026-12-01')")
    run("CREATE TABLE u_3 PARTITION OF u FOR VALUES FROM ('2027-01-01') TO (MAXVALUE)")
    run("CREATE TABLE v (day date) PARTITION BY RANGE (day)")
    run("CREATE TABLE w (kind text) PARTITION BY LIST (kind)")
    found = {coverage.address: coverage for coverage in read_coverage(reader)}
    assert len(found) == 6
    for address, coverage in found.items():
        table = read_table(reader, address)
        assert coverage.default == (table.default.sql if table.default else "")
        assert coverage.pending == 0
        if address == "public.w":
            assert coverage.runway(DAY) is None
        else:
            assert coverage.runway(DAY) == runway(table, DAY)
            assert coverage.runway(date(2027, 3, 1)) == runway(table, date(2027, 3, 1))


def test_the_figures_of_metrics(reader: Engine, worker: Engine, make_table: Make, run: Run, act: Act) -> None:
    made = make_table(start=date(2022, 1, 1), count=6, rows=50, default=True)
    run(f"INSERT INTO {made.sql} (kid_id, date) SELECT g, '2040-01-01' FROM generate_series(1, 7) g")
    archive(worker, act, made, made.first)
    kept = [Kept(backup(name=made.first, bytes=99))]
    found = read_metrics(reader, archive_schema="archive", now=NOW, zone="UTC", kept=kept)
    (one,) = found.tables
    assert (one.table, one.runway, one.default_rows, one.failures) == (made.address, timedelta(days=438), 7, 0)
    assert one.partitions == {"attached": 6, "detach_pending": 0, "archived": 1}
    present = read_present(reader, archive_schema="archive")
    assert one.bytes == {
        "attached": sum(item.bytes for item in present if item.stage is Stage.ATTACHED),
        "archived": size_of(run, f"archive.{made.first}"),
        "cold": 99,
    }
    assert (one.last_proof, found.last_sample, found.place) == (None, None, True)
    run("INSERT INTO partition_desk.operation (table_address, kind, subject, plan, digest, actor, role, origin, reason,"
        f" state, steps) SELECT '{made.address}', 'archive', 's' || g, '{{}}', '', '', '', '', '', 'failed', 1"
        " FROM generate_series(1, 3) g")  # fmt: skip
    take(worker, 0)
    again = read_metrics(reader, archive_schema="archive", now=NOW, zone="UTC", kept=None)
    assert again.tables[0].failures == 3
    assert "cold" not in again.tables[0].bytes
    assert again.last_sample is not None
    assert not again.place


def test_what_was_detached_by_hand_stays_in_every_total(
    reader: Engine, worker: Engine, make_table: Make, run: Run, session: OpenSession
) -> None:
    made = make_table(start=date(2022, 1, 1), count=6, rows=500)
    take(worker, 0)
    before = grown(reader, made.address)
    run(f"ALTER TABLE {made.sql} DETACH PARTITION {made.first}")
    found = grown(reader, made.address, 1)
    assert (found.server, found.archived) == (before.server, size_of(run, made.first))
    take(worker, 1)
    for table in (made.address, None):
        found = grown(reader, table, 1)
        assert (found.server, found.archived) == (before.server, size_of(run, made.first))
        assert found.history.archived[-1] == found.archived
    (one,) = read_metrics(reader, archive_schema="archive", now=NOW, zone="UTC", kept=None).tables
    assert one.bytes == {"attached": found.attached, "archived": found.archived}
    assert one.partitions == {"attached": 5, "detach_pending": 0, "archived": 1}
    holder = session()
    holder.hold(f"LOCK TABLE {made.first} IN ACCESS EXCLUSIVE MODE")
    (one,) = read_metrics(reader, archive_schema="archive", now=NOW, zone="UTC", kept=None).tables
    assert one.bytes == {"attached": found.attached}, "what nobody knows is not 0"
    assert one.partitions["archived"] == 1
    holder.release()
    run(f"DROP TABLE {made.first}")
    assert grown(reader, made.address, 1).archived == 0


def test_a_detach_that_is_pending_is_told(reader: Engine, make_table: Make, session: OpenSession, run: Run) -> None:
    made = make_table(start=date(2025, 1, 1), count=3)
    holder, hand = session(), session()
    holder.hold("SELECT * FROM kid_absences")
    hand.background("ALTER TABLE kid_absences DETACH PARTITION kid_absences_2026 CONCURRENTLY")
    until(lambda: run("SELECT 1 FROM pg_inherits WHERE inhdetachpending"))
    run(f"SELECT pg_cancel_backend({hand.pid})")
    hand.join()
    (one,) = read_metrics(reader, archive_schema="archive", now=NOW, zone="UTC", kept=None).tables
    assert one.partitions == {"attached": 2, "detach_pending": 1, "archived": 0}
    assert one.runway == timedelta(0)
    assert made.count() == 40
    assert set(grown(reader, made.address).items) == set(grown(reader, None).items)


def test_a_default_that_is_held_is_left_out_and_the_rest_is_told(
    reader: Engine, make_table: Make, session: OpenSession
) -> None:
    made = make_table(default=True)
    other = session()
    other.run("BEGIN")
    other.run(f"LOCK TABLE {made.default} IN ACCESS EXCLUSIVE MODE")
    (one,) = read_metrics(reader, archive_schema="archive", now=NOW, zone="UTC", kept=None).tables
    assert one.default_rows is None
    assert one.partitions["attached"] == 4
    other.run("ROLLBACK")


# --- scale ----------------------------------------------------------------------------------------------------------

MB = 2**20


def _past(table: int, place: int, days: list[date]) -> Past:
    """A week's partition: written while its week lasts, archived after three years, dropped after three and a half."""
    lower = days[-1] - timedelta(days=7 * (200 - place))
    changes = [
        (day, Stage.ATTACHED, Size(MB * (1 + (day - lower).days), MB // 4, 8192), 1000 * (1 + (day - lower).days))
        for day in days
        if lower <= day < lower + timedelta(days=7)
    ]
    whole = Size(7 * MB, MB // 4, 8192)
    if not changes:
        changes = [(days[0], Stage.ATTACHED, whole, 7000)]
        changes += [(days[0] + timedelta(days=7 * place), Stage.ARCHIVED, whole, 7000)] if 0 < place < 50 else []
    bounds = f"FOR VALUES FROM ('{lower}') TO ('{lower + timedelta(days=7)}')"
    return Past(f"public.t{table:02}", f"t{table:02}_{place}", None, bounds, tuple(changes))


@pytest.mark.thorough
def test_ten_thousand_partitions_of_fifty_tables_over_a_year(
    reader: Engine, worker: Engine, run: Run, record_property: Said
) -> None:
    days = [DAY - timedelta(days=ago) for ago in range(364, -1, -1)]
    with connect(worker) as connection:
        write_generated(connection, [_past(table, place, days) for table in range(50) for place in range(200)], days)
    run("UPDATE partition_desk.sample_run SET generated = false")
    run("ANALYZE")
    began = time.monotonic()
    found = grown(reader, None, limit=200 * 2**30)
    seconds = time.monotonic() - began
    assert (len(found.items), len(found.history)) == (10_000, 365)
    weekly = 50 * (7 * MB + MB // 4 + 8192)
    assert found.server == 200 * weekly
    assert found.archived == found.archived_total == 49 * weekly
    assert found.change_365 is None
    assert found.change_30 is not None
    assert found.change_30.added == pytest.approx(30 / 7 * weekly, rel=0.05)
    assert found.forecast.per_month == pytest.approx(weekly * 365.2425 / 12 / 7, rel=0.02)
    assert found.outlook.kept.expected[-1] == pytest.approx(found.server + 365 / 7 * weekly, rel=0.02)
    assert len(found.growers) == 8
    assert found.period is Period.QUARTER
    assert sum(bar.bytes for bar in found.by_period) == found.server
    assert len({one.table for one in found.leaving}) == 50
    assert found.passing_kept is not None
    record_property(
        "said", f"growth: 10,000 partitions of 50 tables, 365 days of samples, read and reckoned in {seconds:.2f} s"
    )
