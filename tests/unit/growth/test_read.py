"""What is reckoned of growth without a database: widths, bars, marks, and what a reader has to know."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from core.growth import read
from core.growth.holdings import MOST_PERIODS, Holding, Stage, as_bars, usual_period
from core.growth.present import MarksKnown
from core.growth.question import prices_of
from core.growth.read import Growth
from core.growth.savings import Prices
from core.period import Period
from core.tables.catalog.marks import Marked
from core.tables.marks import Hold, Marks, PlannedDrop, Tag
from core.tables.size import Size
from tests.unit.growth_factories import MB, TABLE, TODAY, growth, holding


def cut(period: Period, first: date, count: int) -> list[Holding]:
    """So many partitions of a width, one after the other, of a MB each."""
    found = []
    lower = period.containing(first)[0]
    for number in range(count):
        upper = period.after(lower)
        found.append(Holding("a.b", f"p{number}", Stage.ATTACHED, lower, upper, Size(MB, 0, 0), rows=5))
        lower = upper
    return found


@pytest.mark.parametrize("period", list(Period))
def test_the_width_is_that_of_the_newest(period: Period) -> None:
    old = cut(Period.YEAR, date(1990, 1, 1), 5)
    assert usual_period([*old, *cut(period, date(2025, 1, 1), 20)]) is period
    assert usual_period([]) is Period.YEAR
    assert usual_period([Holding("a.b", "default", Stage.ATTACHED, None, None, None)]) is Period.YEAR


@pytest.mark.parametrize(
    ("period", "count", "width"),
    [
        (Period.YEAR, 8, Period.YEAR),
        (Period.MONTH, 24, Period.MONTH),
        (Period.MONTH, 60, Period.QUARTER),
        (Period.DAY, 30, Period.DAY),
        (Period.DAY, 200, Period.WEEK),
        (Period.DAY, 700, Period.MONTH),
        (Period.DAY, 3000, Period.QUARTER),
    ],
)
def test_bars_are_as_narrow_as_there_is_room_for(period: Period, count: int, width: Period) -> None:
    items = cut(period, TODAY - timedelta(days=count * {Period.DAY: 1, Period.MONTH: 30}.get(period, 365)), count)
    found, bars = as_bars(items, period, TODAY)
    assert found is width
    assert len(bars) <= MOST_PERIODS
    began = [item for item in items if item.lower and item.lower <= TODAY]
    assert sum(bar.bytes for bar in bars) == MB * len(began)


def test_of_more_years_than_have_room_the_newest_are_shown() -> None:
    found, bars = as_bars(cut(Period.YEAR, date(1900, 1, 1), 120), Period.YEAR, TODAY)
    assert (found, len(bars), bars[-1].lower.year) == (Period.YEAR, MOST_PERIODS, 2019)


def test_marks_are_found_by_name_and_table() -> None:
    tag = Tag('"public"."kid_absences"', "public", "FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
              "2026-01-05T08:00:00+00:00", made_check=True)  # fmt: skip
    hold = Hold("2027-01-31", "audit", "Ada")
    drop = PlannedDrop(TABLE, "2026-12-01T23:30:00+00:00", "a/b/c", "text-1:1:1", "Ada")
    own = frozenset({7})
    found = MarksKnown(
        [
            Marked(
                "archive", "kid_absences_2021", Marks(tag=replace(tag, parent='"other"."kid_absences"')), own, False
            ),
            Marked("forged", "kid_absences_2021", Marks(tag, replace(hold, until="2099-01-31")), frozenset({8}), False),
            Marked("archive", "kid_absences_2021", Marks(tag, hold, drop), own, False),
            Marked("public", "kid_absences_2022", Marks(hold=replace(hold, until="")), frozenset(), True),
            Marked("elsewhere", "kid_absences_2023", Marks(hold=hold), own, False),
            Marked("public", "kid_absences_2024", Marks(tag), frozenset(), True),
        ],
        {TABLE: 7, "other.kid_absences": 7},
        "archive",
    )
    archived = found.on(holding(2021, 80, Stage.ARCHIVED), "Europe/Berlin")
    assert (archived.held_until, archived.drop_on) == (date(2027, 1, 31), date(2026, 12, 2))
    assert found.of(archived).tag == tag
    assert found.on(holding(2022, 90), "UTC").held_until == date.max
    assert found.on(holding(2023, 90), "UTC") == holding(2023, 90)
    assert found.on(holding(2024, 90), "UTC") == holding(2024, 90)


def test_prices() -> None:
    assert prices_of(None, None) is None
    assert prices_of(0.1, None) == Prices(0.1, 0.0)
    assert prices_of(None, 0.02) == Prices(0.0, 0.02)
    assert prices_of(0.0, 0.0) == Prices(0.0, 0.0)
    assert growth().money(10**9) is None
    cost = growth(prices=Prices(0.5, 0.25)).money(2 * 10**9, 10**9)
    assert cost is not None
    assert cost.month == pytest.approx(1.25)
    assert cost.year == pytest.approx(15)


def notes(made: Growth) -> str:
    return " ".join(read._notes(made))


def test_what_a_reader_has_to_know() -> None:
    assert notes(growth()) == ""
    derived = replace(growth().history, how="Derived from the ranges of 7 partitions.")
    assert notes(growth(history=derived, last_sample=None, sampled_days=0)) == (
        "Nothing was sampled yet. Derived from the ranges of 7 partitions."
    )
    assert notes(growth(history=derived, sampled_days=0)).startswith("Nothing was sampled of it yet.")
    assert notes(growth(history=derived, sampled_days=3)).startswith("Sampled on 3 days so far, which is too little")
    demo = replace(growth().history, generated_until=date(2026, 10, 1))
    assert notes(growth(history=demo)) == "Sizes up to 1 October 2026 are invented: they belong to the demo."
    held = tuple(holding(2000 + n, 1, size=None) for n in range(7))
    assert notes(growth(items=held)) == (
        "Of 7 partitions no size could be read just now: kid_absences_2000, kid_absences_2001, kid_absences_2002,"
        " kid_absences_2003, kid_absences_2004 and 2 more."
    )
    rough = (holding(2026, 1, size=Size(1, 1, 1, exact=False)),)
    assert "Sizes are those of the last vacuum or analyze" in notes(growth(items=rough))
    run = growth().last_sample
    assert run is not None
    assert notes(growth(last_sample=replace(run, skipped=("a", "b")))) == (
        "The last sample skipped what somebody held exclusively: a, b."
    )
    assert notes(growth(prices=Prices(0.1, 0.02), currency="$")).startswith("Money is at 0.1 $ a GB (10^9 bytes)")
    bloated = replace(growth().shares, dead=300 * MB)
    assert "are taken by dead rows" in notes(growth(shares=bloated))


def test_sums_of_what_is_due_and_was_saved() -> None:
    made = growth()
    assert (made.server, made.due, made.archived_total, made.freed_total) == (630 * MB, 90 * MB, 80 * MB, 0)
    assert not made.derived
