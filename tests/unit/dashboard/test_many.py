"""Pictures of very many partitions: neighbours are summed, and it says so; the axis of the bounds begins in sight."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from dashboard.charts import partitions, spans
from dashboard.partitions.items import Item, Status

FIRST = datetime(2000, 1, 1)  # noqa: DTZ001 places on an axis are local


def days(count: int) -> list[Item]:
    return [
        Item(
            label=f"day {number}",
            name=f"public.t_{number}",
            status=Status.ATTACHED,
            lower=FIRST + timedelta(days=number),
            upper=FIRST + timedelta(days=number + 1),
            bounds="a day",
            rows=1,
            heap=8192,
            index=0,
            toast=0,
        )
        for number in range(count)
    ]


def test_a_picture_that_sums_says_so() -> None:
    assert spans.summed(days(spans.DRAWN)) is None
    said = spans.summed(days(10_000))
    assert said is not None
    assert said.startswith("10,000 partitions are drawn as 3")
    assert said.endswith("bars: each is the sum of neighbours.")


def test_what_has_no_place_on_the_axis_is_told_beside_the_picture() -> None:
    default = replace(days(1)[0], label="DEFAULT", lower=None, upper=None, ranged=False, heap=16384)
    many = [*days(60), default]
    assert spans.unplaced(days(60)) is None
    assert spans.unplaced([*days(9), default]) is None  # each has its bar
    assert spans.unplaced(many) == "The DEFAULT has no place along the axis, with 16\N{NO-BREAK SPACE}KiB."
    spec = partitions.sizes(many, FIRST).to_dict()
    assert spec["encoding"]["x"]["field"] == "lower"
    assert "DEFAULT" not in str(spec["datasets"])


def test_bounds_of_ten_thousand_are_drawn_with_their_axis_on_top() -> None:
    chart = partitions.timeline(days(10_000), FIRST + timedelta(days=9_000))
    assert chart is not None
    spec = chart.to_dict()
    bars = spec["layer"][0]
    assert bars["encoding"]["x"]["axis"]["orient"] == "top"
    assert len(max(spec["datasets"].values(), key=len)) <= spans.DRAWN
