"""Growth: its verdict, cards and pictures on real servers, from the first visit to ten thousand partitions."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from core.growth.holdings import Stage
from core.growth.outlook import Retention
from core.growth.question import Question
from core.growth.read import Growth, read_growth
from core.growth.samples.values import Past
from core.growth.samples.write import write_generated
from core.growth.savings import Prices
from core.period import Duration, Period
from core.postgres.connection import session as opened
from core.tables.size import Size
from core.text import human_bytes
from dashboard.charts.downloads import as_png, as_svg
from dashboard.charts.palette import DARK_INK, LIGHT_INK
from dashboard.charts.treemap import MOST, Leaf, gathered, tiles
from dashboard.format import plain
from dashboard.growth.figures import figures
from dashboard.growth.tables import as_csv
from tests.app.conftest import THIS_YEAR, Open, chart_rows, raw, spec, texts
from tests.tables import Made, Run

TODAY = date.today()
MB = 1_000_000
GIB = 1024**3
AHEAD, STORED, MONTHS, PERIODS = 0, 1, 2, 3
"""Places of the pictures on the page where there are samples."""


@pytest.fixture(autouse=True)
def plain_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORAGE_LIMIT", "PRICE_HOT", "PRICE_COLD", "CURRENCY", "ARCHIVE_AFTER"):
        monkeypatch.delenv(f"PARTITION_DESK_{name}", raising=False)
    monkeypatch.setenv("PARTITION_DESK_SAMPLE", "false")


def write(engine: Engine, pasts: list[Past], days: list[date]) -> None:
    """Samples as if they had been taken."""
    with opened(engine) as connection:
        write_generated(connection, pasts, days)
        connection.exec_driver_sql("UPDATE partition_desk.sample_run SET generated = false")


def days(count: int, last: date = TODAY) -> list[date]:
    return [last - timedelta(days=count - 1 - n) for n in range(count)]


def growing(table: str, name: str, count: int, *, to: int, step: int) -> Past:
    """One partition that grows by the same each day: rows, indexes and large values 6:3:1."""
    changes = []
    for number, day in enumerate(days(count)):
        size = to - (count - 1 - number) * step
        changes.append((day, Stage.ATTACHED, Size(size - size // 10 * 4, 3 * (size // 10), size // 10), 1000 + number))
    bounds = f"FOR VALUES FROM ('{THIS_YEAR}-01-01') TO ('{THIS_YEAR + 1}-01-01')"
    return Past(table, name, None, bounds, tuple(changes))


def measured(engine: Engine, table: str | None, **options: Any) -> Growth:
    retention = Retention(Duration(3, "year"), Duration(7, "day"))
    return read_growth(
        engine,
        Question(table=table, archive_schema="archive", today=TODAY, zone="UTC", retention=retention, **options),
    )


STEP = 400
"""Bytes a day."""


@pytest.fixture
def sampled(absences: Made, worker: Engine, reader: Engine) -> Made:
    """kid_absences with 400 days of samples: it grew by STEP a day to what it is; 1 GiB was archived, then freed."""
    old = f"FOR VALUES FROM ('{THIS_YEAR - 6}-01-01') TO ('{THIS_YEAR - 5}-01-01')"
    size = Size(GIB, 0, 0)
    past = Past(absences.address, "kid_absences_old", None, old, (
        (days(400)[0], Stage.ATTACHED, size, 500),
        (days(200)[0], Stage.ARCHIVED, size, 500),
        (days(100)[0], Stage.DROPPED, size, 500),
    ))  # fmt: skip
    absences.run("ANALYZE")
    now = measured(reader, absences.address).server
    write(worker, [growing(absences.address, "kid_absences_now", 400, to=now, step=STEP), past], days(400))
    return absences


def words(size: float) -> str:
    return human_bytes(round(size)).replace("\N{NO-BREAK SPACE}", " ")


def cards(app: AppTest) -> dict[str, tuple[str, str]]:
    """Value and note of each card."""
    plainly = [[text.replace("\N{NO-BREAK SPACE}", " ") for text in (c.label, c.value, c.delta)] for c in app.metric]
    return {label: (value, note) for label, value, note in plainly}


def test_first_visit_derives_and_says_what_to_do(console: Open, absences: Made) -> None:
    absences.run("ANALYZE")
    app = console("growth")
    said = texts(app)
    assert "**These figures are derived.** Nothing was sampled yet." in said
    assert "partitions sample" in said
    assert "derived from the data" in said
    assert "on the server" in app.title[0].value
    found = cards(app)
    assert found["Limit passed"] == ("no limit", "set one above")
    assert "Change in a year" not in found or found["Change in a year"][0] == "not known"
    assert len(app.get("vega_lite_chart")) >= 4
    assert "the forecast is rough" in said or "too little is known" in said


def test_samples_give_the_figures_of_their_series(console: Open, sampled: Made, reader: Engine) -> None:
    now = measured(reader, sampled.address).server
    app = console("growth", limit="1 TiB", ahead="1 year")
    found, said = cards(app), texts(app)
    assert found["On the server"][0] == words(now)
    assert found["Growth a month"][0] == f"+{words(STEP * 365.2425 / 12)}"
    assert found["Change in a year"][0] == f"\N{MINUS SIGN}{words(GIB - 365 * STEP)}"  # what was freed is gone
    assert found["Freed on the server"] == ("1.0 GiB", "1.0 GiB archived so far")
    assert "At this pace the limit of 1 TiB is not reached within a year" in said
    assert "sampled on 400 days" in said
    assert {row["part"] for row in chart_rows(app, STORED)} == {"In use", "Archived", "Freed"}
    lines = [row for row in chart_rows(app, AHEAD, 1) if row["part"] == "If everything stays"]
    assert (lines[-1]["to"] - lines[0]["to"]) * 1024**3 == pytest.approx(365 * STEP, rel=0.03)
    assert [card.label for card in app.metric][:4] == [
        "On the server",
        "Growth a month",
        "Limit passed",
        "Freed on the server",
    ]
    assert spec(app, AHEAD)["layer"][0]["encoding"]["y"]["scale"]["domain"][0] == 0
    bars = chart_rows(app, MONTHS)
    assert [row["part"] for row in bars[1:-1]] == ["Measured"] * (len(bars) - 2)
    assert bars[0]["part"].startswith("In part")


def test_a_limit_that_is_passed_and_one_that_is_reached(console: Open, sampled: Made, reader: Engine) -> None:
    now = measured(reader, sampled.address).server
    app = console("growth", limit=f"{now // 2} bytes")
    assert cards(app)["Limit passed"][0] == "already"
    assert "is passed" in texts(app)
    app = console("growth", limit=f"{now + 200 * STEP} bytes")
    value, note = cards(app)["Limit passed"]
    reached = TODAY + timedelta(days=200)
    assert value in {f"{reached + timedelta(days=off):%B %Y}" for off in (-5, 0, 5)}
    assert note
    assert f"is reached in {value}" in texts(app)
    marks = [layer for layer in spec(app, AHEAD)["layer"] if layer["mark"].get("type") == "point"]
    assert marks
    assert [layer["mark"]["text"] for layer in spec(app, AHEAD)["layer"] if layer["mark"].get("text")] == ["today"]


def test_no_limit_and_one_that_is_no_size(console: Open, sampled: Made) -> None:
    app = console("growth", limit="nonsense")
    assert "is not a size" in texts(app)
    assert cards(app)["Limit passed"] == ("no limit", "set one above")


@pytest.mark.thorough
def test_money_stands_beside_bytes(console: Open, sampled: Made) -> None:
    app = console("growth")
    assert "Costs a month" not in cards(app)
    app = console("growth", hot="0.5", cold="0.1")
    found = cards(app)
    assert found["Saved each month"] == (f"{0.5 * GIB / 1e9:.2f} EUR", "by what was freed so far")
    assert found["In a year, all kept"] == ("under 0.01 EUR", "a month, by the forecast")


def test_prices_and_the_limit_come_from_the_environment(
    console: Open, sampled: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTITION_DESK_STORAGE_LIMIT", "500 GB")
    monkeypatch.setenv("PARTITION_DESK_PRICE_HOT", "2")
    monkeypatch.setenv("PARTITION_DESK_CURRENCY", "CHF")
    app = console("growth")
    assert cards(app)["Saved each month"][0] == f"{2 * GIB / 1e9:.2f} CHF"
    assert "the limit of 500 GB" in texts(app)


@pytest.mark.thorough
def test_the_address_bar_sets_the_filters(console: Open, sampled: Made) -> None:
    app = console("growth", limit="20 GB", ahead="5 years", old="stays in the archive")
    assert app.text_input(key="limit").value == "20 GB"
    assert app.selectbox(key="ahead").value == "5 years"
    assert "moved aside on the same server, which frees nothing there" in texts(app)
    app.text_input(key="limit").set_value("30 GB").run()
    assert "the limit of 30 GB" in texts(app)


def test_overview_has_the_line_of_the_same_samples(console: Open, sampled: Made) -> None:
    app = console()
    card = next(one for one in app.metric if one.label == "In the table")
    values = list(card.proto.chart_data)
    assert len(values) == 60
    assert values == sorted(values, reverse=True) or values[-1] != values[0]


@pytest.mark.thorough
def test_every_picture_has_words_a_table_and_files_in_both_themes(sampled: Made, reader: Engine) -> None:
    growth = measured(reader, sampled.address, limit=9 * GIB, prices=Prices(0.5, 0.1))
    for key, figure in figures(growth, 365).items():
        assert figure.alt, key
        columns, rows = next(iter([figure.table()]))
        assert all(len(row) == len(columns) for row in rows), key
        for ink in (LIGHT_INK, DARK_INK):
            chart = figure.draw(ink)
            assert chart is None or json.loads(chart.to_json())["background"] == "transparent"
    figure = figures(growth, 365)["ahead"]
    assert as_png(figure, "somewhere").startswith(b"\x89PNG")
    assert "somewhere" in as_svg(figure, "somewhere")
    table = list(csv.reader(io.StringIO(as_csv(figures(growth, 365)["stored"].table()).decode("utf-8-sig"))))
    assert table[0][:4] == ["day", "in use", "archived", "freed"]
    assert len(table) == 401
    assert table[1][0] == days(400)[0].isoformat()


def test_a_treemap_of_many_keeps_all_bytes_in_few_boxes() -> None:
    leaves = [Leaf(f"t{n % 50}", f"p{n}", "In use", 1 + n % 97 * (50 if n < 20 else 1)) for n in range(10_000)]
    found = gathered(leaves)
    assert len(found) <= 2 * MOST
    assert sum(one.size for one in found) == sum(leaf.size for leaf in leaves)
    assert sum(one.count for one in found) == 10_000
    placed = tiles(found)
    whole = sum(one.size for one in found)
    for tile in placed:
        assert (tile.x2 - tile.x) * (tile.y2 - tile.y) == pytest.approx(tile.leaf.size / whole, rel=1e-6)
        assert -1e-9 <= tile.x <= tile.x2 <= 1 + 1e-9
        assert -1e-9 <= tile.y <= tile.y2 <= 1 + 1e-9


def test_a_spreadsheet_gets_no_formula() -> None:
    written = as_csv((("a", "b"), [("=1+1", 1.5), ("@x", None), ("-y", date(2026, 1, 2))])).decode("utf-8-sig")
    assert written.splitlines() == ["a,b", "'=1+1,1.5", "'@x,", "'-y,2026-01-02"]


@pytest.mark.parametrize("made", ["CREATE TABLE kid_absences (k text) PARTITION BY LIST (k)", "SELECT 1"])
def test_without_a_table_that_is_served(console: Open, run: Run, made: str) -> None:
    run(made)
    app = console("growth", table="public.kid_absences")
    assert "There is no partitioned table yet" in texts(app) or "0 bytes on the server" in texts(app)


TABLES, EACH = 50, 200


def many() -> Iterator[Past]:
    """Ten thousand partitions by month, the newest of each table growing every day."""
    first = Period.MONTH.containing(TODAY)[0]
    lowers = [first]
    while len(lowers) < EACH:
        lowers.append(Period.MONTH.containing(lowers[-1] - timedelta(days=1))[0])
    begin = days(365)[0]
    for number in range(TABLES):
        for lower in lowers:
            upper = Period.MONTH.after(lower)
            bounds = f"FOR VALUES FROM ('{lower}') TO ('{upper}')"
            changes = tuple(
                (day, Stage.ATTACHED, Size((1 + n) * MB, (1 + n) * MB // 2, 0), 100 * n)
                for n, day in enumerate(day for day in days(365) if lower <= day < upper)
            ) if upper > begin else ((begin, Stage.ATTACHED, Size(30 * MB, 15 * MB, 0), 3000),)  # fmt: skip
            yield Past(f"public.events_{number:02}", f"events_{number:02}_{lower:%Y_%m}", None, bounds, changes)


@pytest.mark.thorough
def test_ten_thousand_partitions_by_365_days(
    console: Open,
    absences: Made,
    make_table: Callable[..., Made],
    worker: Engine,
    record_property: Callable[[str, object], None],
) -> None:
    make_table("other", count=1)
    write(worker, list(many()), days(365))
    began = time.perf_counter()
    app = console("growth", scope="All tables", limit="1 TB")
    first = time.perf_counter() - began
    said = texts(app)
    assert f"{TABLES * EACH:,} partitions" in said
    boxes = chart_rows(app, len(app.get("vega_lite_chart")) - 1)
    assert len(boxes) <= 400
    assert sum(1 for row in boxes if "smaller" in row["word"] or "each small" in row["Partition"]) > 0
    assert len(chart_rows(app, STORED)) <= 365
    assert len(spec(app, AHEAD)["layer"]) >= 4
    times = []
    for limit in ("2 TB", "3 TB", "4 TB"):
        began = time.perf_counter()
        app.text_input(key="limit").set_value(limit).run()
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    app.run()
    again = time.perf_counter() - began
    assert "4 TB" in texts(app)
    record_property(
        "said",
        f"Growth, {TABLES * EACH:,} partitions by 365 days in {TABLES} tables: first {first:.2f} s, another limit"
        f" {max(times):.2f} s, the same again {again:.2f} s",
    )


def test_hostile_names_stay_text(console: Open, make_table: Callable[..., Made], worker: Engine) -> None:
    name = "a[b](http://x.test) **x** :red[c] =1+1"
    made = make_table(name, count=3)
    write(worker, [growing(made.address, "=HYPERLINK(1)", 40, to=MB, step=100)], days(40))
    app = console("growth", table=made.address)
    assert plain(f"{made.address}") in raw(app, code=False)
    assert "[b](http" not in raw(app, code=False).replace(plain(made.address), "")


def test_the_calendar_shows_holes_in_the_data(console: Open, make_table: Callable[..., Made]) -> None:
    first = date.today() - timedelta(days=9)
    made = make_table("readings", start=first, count=10, rows=0, period=Period.DAY)
    for number, (lower, upper) in enumerate(made.ranges):
        if number not in (3, 4):
            made.insert(lower, upper, 5)
    made.run(f"DROP TABLE {made.schema}.{made.partition(made.ranges[6][0])}")
    made.run("ANALYZE")
    app = console("growth", table=made.address)
    chart = app.get("vega_lite_chart")[-1].proto
    assert chart.alt.startswith("Rows by date: ")
    assert "7 days with rows, 2 days without a row, 1 day without a partition." in chart.alt
    signs = [row["sign"] for row in chart_rows(app, -1)]
    assert signs == ["", "", "", "0", "0", "", "x", "", "", ""]
    said = texts(app)
    assert "0 is no rows, x no partition, ? not known" in said
    assert "for each partition, of its last vacuum or analyze" in said
