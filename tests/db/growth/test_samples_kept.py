"""What samples keep and forget: backups, old days, what was before the first, and the demo's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine

from core import demo
from core.growth.forecast import forecast
from core.growth.history import written
from core.growth.holdings import Stage, holdings
from core.growth.key_statistics import read_key_statistics
from core.growth.present import MarksKnown
from core.growth.rows import rows_by_month, year_to_date
from core.growth.samples.prune import prune
from core.growth.samples.read import read_histories, read_holdings, read_moves, read_runs
from core.growth.samples.values import Past
from core.growth.samples.write import write_generated
from core.names import literal
from core.postgres.connection import session as connect
from core.tables.catalog.marks import read_marks
from core.tables.catalog.table import read_table
from core.tables.key import Key, KeyType
from core.tables.marks import Hold, Marks
from core.tables.size import Size
from tests.db.growth.sampling import DAY, Make, grow, sample
from tests.tables import Run

# --- backups --------------------------------------------------------------------------------------------------------


OLD = "FOR VALUES FROM ('1999-01-01') TO ('2000-01-01')"


def test_partitions_of_one_name_have_their_own_backups_holds_and_statistics(
    worker: Engine, reader: Engine, run: Run
) -> None:
    run("CREATE TABLE readings (id int, taken_on date NOT NULL) PARTITION BY RANGE (taken_on)")
    texts = []
    for year in (2025, 2026):
        texts.append(f"FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')")
        run(f"CREATE SCHEMA y{year}; CREATE TABLE y{year}.readings PARTITION OF readings {texts[-1]}")
    run("INSERT INTO readings SELECT g, date '2025-01-01' + g FROM generate_series(0, 600) g; ANALYZE readings")
    hold = Marks(hold=Hold("2099-12-31", "audit", "Ada")).beside(None)
    run(f"COMMENT ON TABLE y2026.readings IS {literal(hold or '')}")
    sample(worker, 0, backups={("public.readings", "readings", texts[0]): 1000})
    items = {item.lower: item for item in read_holdings(reader, on=DAY)}
    old, new = items[date(2025, 1, 1)], items[date(2026, 1, 1)]
    assert (old.cold, new.cold) == (1000, 0)
    marks = MarksKnown(*read_marks(reader), "archive")
    assert marks.on(old, "UTC").held_until is None
    assert marks.on(new, "UTC").held_until == date(2099, 12, 31)
    statistics = read_key_statistics(reader, [old.oid or 0, new.oid or 0], key=Key("taken_on", KeyType.DATE))
    assert [statistics[item.oid or 0].bounds[0].year for item in (old, new)] == [2025, 2026]


def test_backups_count_as_cold_storage_wherever_their_partition_is(
    worker: Engine, reader: Engine, make_table: Make, run: Run
) -> None:
    made = make_table()
    bounds = read_table(reader, made.address).partitions[0].bounds
    assert bounds is not None
    first = (made.address, made.first, bounds.text)
    sample(worker, 0)
    sample(worker, 1, backups={first: 1000, (made.address, "kid_absences_1999", OLD): 50})
    sample(worker, 2)
    sample(worker, 3, backups={(made.address, "kid_absences_1999", OLD): 50})
    (history,) = read_histories(reader)
    assert history.cold.tolist() == [0, 1050, 1050, 50]
    assert history.freed.tolist() == [0, 0, 0, 0]
    cold = {item.name: (item.stage, item.cold) for item in read_holdings(reader, on=DAY + timedelta(days=1))}
    assert cold[made.first] == (Stage.ATTACHED, 1000)
    assert cold["kid_absences_1999"] == (Stage.DROPPED, 50)
    assert read_moves(reader) == ()


# --- forgetting -----------------------------------------------------------------------------------------------------


def test_old_samples_are_forgotten_and_what_was_then_stays_known(
    worker: Engine, reader: Engine, make_table: Make, run: Run
) -> None:
    made = make_table(rows=50)
    for day in range(6):
        grow(made, day % 3, 2000)
        sample(worker, day)
    (before,) = read_histories(reader)
    assert prune(worker, today=DAY + timedelta(days=5), keep_days=2) > 0
    (after,) = read_histories(reader)
    assert [(day.item() - DAY).days for day in after.days] == [3, 4, 5]
    assert after.written.tolist() == before.written.tolist()[3:]
    for day in (3, 4, 5):
        assert sum(item.bytes for item in read_holdings(reader, on=DAY + timedelta(days=day))) == before.written[day]
    assert prune(worker, today=DAY + timedelta(days=5), keep_days=2) == 0
    assert sample(worker, 5).changed > 0


def test_thinned_to_weeks_the_last_day_of_each_stays(
    worker: Engine, reader: Engine, make_table: Make, run: Run
) -> None:
    made = make_table(rows=50)
    for day in range(0, 30, 2):
        grow(made, day % 3, 1000)
        sample(worker, day)
    (before,) = read_histories(reader)
    prune(worker, today=DAY + timedelta(days=29), weekly_after_days=10)
    (after,) = read_histories(reader)
    kept = [day.item() for day in after.days]
    boundary = DAY + timedelta(days=19)
    boundary -= timedelta(days=boundary.weekday())
    days = [day.item() for day in before.days]
    last = {day.isocalendar()[:2]: day for day in days}
    assert kept == [day for day in days if day >= boundary or last[day.isocalendar()[:2]] == day]
    assert 5 < len(kept) < len(days)
    figures = dict(zip(days, before.written, strict=True))
    assert after.written.tolist() == [figures[day] for day in kept]
    for day in kept:
        assert sum(item.bytes for item in read_holdings(reader, on=day)) == figures[day]
    assert prune(worker, today=DAY + timedelta(days=29), weekly_after_days=10) == 0


def test_less_than_a_day_is_not_kept(worker: Engine) -> None:
    with pytest.raises(ValueError, match="at least a day"):
        prune(worker, today=DAY, keep_days=0)


# --- the first visit ------------------------------------------------------------------------------------------------


@pytest.mark.every_version
@pytest.mark.parametrize("key_type", ["date", "timestamp", "timestamptz"])
def test_the_statistics_tell_rows_a_month(reader: Engine, make_table: Make, run: Run, key_type: str) -> None:
    made = make_table(start=date(2025, 1, 1), count=2, rows=0, key_type=key_type)
    made.insert(date(2025, 1, 1), date(2026, 1, 1), rows=7300)
    made.insert(date(2026, 1, 1), date(2026, 10, 20), rows=2920)
    oids = [partition.oid for partition in read_table(reader, made.address).partitions]
    assert read_key_statistics(reader, oids, key=made.key) == {}
    assert read_key_statistics(reader, [], key=made.key) == {}
    run(f"ANALYZE {made.sql}")
    statistics = read_key_statistics(reader, oids, key=made.key)
    assert sorted(statistics) == sorted(oids)
    months = rows_by_month(2920, statistics[oids[1]], date(2026, 1, 1), date(2027, 1, 1), today=DAY)
    assert [month.first.month for month in months] == list(range(1, 11))
    assert sum(month.rows for month in months) == pytest.approx(2920, rel=0.02)
    assert months[4].rows == pytest.approx(310, rel=0.15)
    found = year_to_date(holdings(read_table(reader, made.address)), statistics, today=DAY)
    assert found is not None
    assert found.rows == pytest.approx(2920, rel=0.02)
    assert found.rows_before == pytest.approx(7300 * 293 / 365, rel=0.03)


# --- the demo -------------------------------------------------------------------------------------------------------


def test_a_history_that_is_generated_is_marked_and_never_put_over_a_real_one(
    worker: Engine, reader: Engine, make_table: Make, run: Run
) -> None:
    made = make_table()
    first, second = Size(100, 50, 0), Size(200, 60, 0)
    days = [DAY + timedelta(days=n) for n in range(-3, 0)]
    changes = ((days[0], Stage.ATTACHED, first, 5), (days[2], Stage.ARCHIVED, second, 9))
    past = Past(made.address, "old", None, None, changes)
    with connect(worker) as connection:
        write_generated(connection, [past], days)
        write_generated(connection, [past, past], days)
    (history,) = read_histories(reader)
    assert history.generated_until == days[2]
    assert history.attached.tolist() == [150, 150, 0]
    assert history.archived.tolist() == [0, 0, 260]
    assert history.rows.tolist() == [5, 5, 9]
    assert [(move.before, move.after, move.bytes) for move in read_moves(reader)] == [
        (Stage.ATTACHED, Stage.ARCHIVED, 260)
    ]
    assert all(one.generated for one in read_runs(reader))
    assert not sample(worker).generated
    assert [one.generated for one in read_runs(reader)] == [False, True, True, True]


@pytest.mark.thorough
def test_the_demo_has_two_years_of_samples_that_today_s_continues(
    worker: Engine, reader: Engine, record_property: Callable[[str, object], None]
) -> None:
    demo.fill(worker, today=DAY)
    (history,) = read_histories(reader)
    assert history.table == "public.kid_absences"
    assert (len(history), history.generated_until) == (730, DAY)
    assert (np.diff(history.written) >= 0).all()
    assert {move.name[-4:]: move.day for move in read_moves(reader)} == {
        "2018": DAY - timedelta(days=520),
        "2019": DAY - timedelta(days=311),
        "2020": DAY - timedelta(days=193),
    }
    now = read_holdings(reader, on=DAY)
    sample(worker)
    real = read_holdings(reader, on=DAY)
    assert [(i.name, i.stage, i.size, i.rows) for i in now] == [(i.name, i.stage, i.size, i.rows) for i in real]
    assert [one.generated for one in read_runs(reader, limit=2)] == [False, True]
    found = forecast(written(history, today=DAY), today=DAY)
    assert found.seasonal
    (error,) = (one for one in found.past if one.days == 90)
    assert error.of_growth is not None
    assert error.of_growth < 0.3
    record_property("said", f"growth: the demo as filled, its own back-test: {error.sentence}")
