"""Tables whose partitions are cut at no unit of the calendar, or at more than one: nothing is made of a guess."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise

import pytest

from core.doctor.examine import examine
from core.doctor.findings import Case, Finding, Severity
from core.errors import OffCalendar
from core.period import Period
from core.plans.ensure import missing, plan_ensure
from core.tables.bounds import Bounds
from core.tables.coverage import next_periods
from core.tables.key import Key, KeyType
from core.tables.table import PartitionedTable
from tests.unit.factories import NOW, TODAY, archived, bounds, default_partition, partition, table

NEXT = ((date(2026, 1, 1), date(2027, 1, 1)), (date(2027, 1, 1), date(2028, 1, 1)))


def cut(*ends: date | int) -> PartitionedTable:
    """A table whose partitions meet at these dates, a year standing for its first day."""
    days = [end if isinstance(end, date) else date(end, 1, 1) for end in ends]
    pairs = pairwise(days)
    made = (
        partition(lower.year, oid=i, name=f"p{i}", bounds=bounds(lower, upper))
        for i, (lower, upper) in enumerate(pairs)
    )
    return table(partitions=tuple(made))


SUNDAYS = cut(date(2025, 12, 14), date(2025, 12, 21), date(2025, 12, 28))
TEN_DAYS = cut(date(2026, 10, 10), date(2026, 10, 20), date(2026, 10, 30))
HALVES = cut(2025, date(2025, 7, 1), 2026)
TWO_YEARS = cut(2022, 2024, 2026)
FISCAL = cut(date(2024, 4, 1), date(2025, 4, 1), date(2026, 4, 1))
OPEN = partition(2025, bounds=Bounds.parse("FOR VALUES FROM (MINVALUE) TO ('2026-01-01')"))
OFF = {"sundays": SUNDAYS, "ten days": TEN_DAYS, "half-years": HALVES, "two years": TWO_YEARS, "fiscal": FISCAL}


@pytest.mark.parametrize("of", OFF.values(), ids=OFF)
def test_a_width_that_is_no_unit_of_the_calendar_gets_no_partition(of: PartitionedTable) -> None:
    assert of.unit() is None
    with pytest.raises(OffCalendar) as refused:
        plan_ensure(of, NEXT)
    newest = of.partitions[-1].bounds
    assert newest is not None
    assert newest.text.removeprefix("FOR VALUES ") in refused.value.what
    assert "is no day, week from Monday, month, quarter or year of the calendar in the time zone UTC" in str(
        refused.value
    )
    assert "Nothing was changed. Create the next partitions by hand, from the end of the last one on." in str(
        refused.value
    )


def test_midnights_of_another_time_zone_are_told_and_taken_in_that_zone() -> None:
    tokyo = Key("date", KeyType.TIMESTAMPTZ)
    years = [
        partition(y, bounds=Bounds.between(tokyo, date(y, 1, 1), date(y + 1, 1, 1), "Asia/Tokyo")) for y in (2025, 2026)
    ]
    here = table(key=tokyo, partitions=tuple(years))
    with pytest.raises(OffCalendar, match="PARTITION_DESK_TIME_ZONE"):
        plan_ensure(here, NEXT)
    (new,) = missing(here, NEXT, "Asia/Tokyo")
    assert new.bounds.lower == years[-1].bounds.upper if years[-1].bounds else False


def test_what_has_its_place_already_is_nothing_to_refuse() -> None:
    assert missing(cut(2026, 2028, 2030), NEXT) == ()


@pytest.mark.parametrize(
    ("of", "unit"),
    [
        (cut(2024, 2025, 2026, 2027), Period.YEAR),
        (table(partitions=()), Period.YEAR),
        (table(partitions=(), archived=(archived(2024),)), Period.YEAR),
        (table(partitions=(default_partition(),)), Period.YEAR),
        (cut(2026), Period.YEAR),
        (cut(2000, 2024, 2025, 2026), Period.YEAR),  # one wide one for all that is old
        (cut(2020, 2021, 2022, 2023, 2024, date(2024, 2, 1), date(2024, 3, 1)), Period.MONTH),
        (cut(2020, 2021, 2022, 2023, 2024, date(2024, 2, 1)), None),  # the first month, or a slip
        (cut(2026, date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)), Period.MONTH),
        (
            table(partitions=(partition(2025, bounds=Bounds.parse("FOR VALUES FROM (MINVALUE) TO ('2026-01-01')")),)),
            None,
        ),
    ],
)
def test_the_newest_unbroken_run_of_one_unit_decides(of: PartitionedTable, unit: Period | None) -> None:
    assert of.unit() is unit


def test_a_table_that_went_from_years_to_months_goes_on_with_months() -> None:
    here = cut(2022, 2023, 2024, 2025, 2026, date(2026, 2, 1), date(2026, 3, 1))
    labels = [new.label for new in missing(here, next_periods(here, date(2026, 2, 5), 2))]
    assert labels == ["2026_03", "2026_04"]


def doctor(of: PartitionedTable, today: date = TODAY) -> dict[str, Finding]:
    found = examine(Case(of, today=today, now=NOW, cutoff=date(2020, 1, 1), automatic_creation=True, default_rows=0))
    assert not any(f.fix is not None and f.fix.operation == "ensure" for f in found)
    assert not any("partitions ensure" in f.hint for f in found)
    return {f.check: f for f in found}


def test_the_doctor_goes_by_the_real_end_of_the_last_partition() -> None:
    found = doctor(TEN_DAYS)["next_period"]
    assert found.severity is Severity.WARNING
    assert found.title == "The partitions end on 30 October 2026: 10 days of runway left"
    assert found.reason.startswith("From then on inserts fail. The newest partition of public.kid_absences goes FROM")
    assert "by hand" in found.hint


def test_the_doctor_only_notes_partitions_off_the_calendar_that_go_on() -> None:
    more = cut(date(2026, 10, 10), date(2026, 10, 20), date(2026, 10, 30), date(2026, 11, 9))
    found = doctor(more)
    assert found["next_period"].severity is Severity.NOTE
    assert found["automatic_creation"].severity is Severity.NOTE


def test_the_doctor_promises_no_year_where_today_has_no_partition() -> None:
    found = doctor(SUNDAYS)["current_period"]
    assert found.severity is Severity.CRITICAL
    assert found.fix is None
    assert "2026" not in found.act
    assert "by hand" in found.hint


def test_the_doctor_makes_no_partition_of_rows_in_the_default_off_the_calendar() -> None:
    here = replace(TEN_DAYS, partitions=(*TEN_DAYS.partitions, default_partition()))
    found = {
        f.check: f
        for f in examine(
            Case(here, today=TODAY, now=NOW, cutoff=date(2020, 1, 1), automatic_creation=True, default_rows=7)
        )
    }
    assert "CREATE TABLE" not in found["default_partition"].hint
