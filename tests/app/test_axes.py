"""What the pages draw along: time to the hour, numbers, or the order of the ends, as the key of the table is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dashboard.format import plain
from dashboard.state import keys
from tests.app.conftest import PAGES, Open, chart_rows, spec
from tests.tables import Run

HOURS = """
CREATE TABLE ticks (at timestamptz NOT NULL) PARTITION BY RANGE (at);
DO $$ DECLARE t timestamptz := date_trunc('hour', now()) - interval '3 hours'; BEGIN
FOR i IN 0..5 LOOP
    EXECUTE format('CREATE TABLE ticks_%s PARTITION OF ticks FOR VALUES FROM (%L) TO (%L)',
        i, t, t + interval '1 hour');
    t := t + interval '1 hour';
END LOOP; END $$
"""
TEXTS = """
CREATE TABLE words (word text COLLATE "C" NOT NULL) PARTITION BY RANGE (word);
CREATE TABLE words_a PARTITION OF words FOR VALUES FROM (MINVALUE) TO ('h');
CREATE TABLE words_h PARTITION OF words FOR VALUES FROM ('h') TO ('p');
CREATE TABLE words_p PARTITION OF words FOR VALUES FROM ('p') TO ('zz');
INSERT INTO words VALUES ('kite')
"""
IDS = """
CREATE TABLE things (id bigint NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE things_0 PARTITION OF things FOR VALUES FROM (0) TO (1000);
CREATE TABLE things_1 PARTITION OF things FOR VALUES FROM (1000) TO (2000);
CREATE TABLE things_3 PARTITION OF things FOR VALUES FROM (3000) TO (4000);
INSERT INTO things VALUES (5), (1500)
"""


def test_hours_are_drawn_as_hours(console: Open, run: Run) -> None:
    run(HOURS)
    app = console("overview", table="public.ticks")
    rows = chart_rows(app)
    assert [row["state"] for row in rows] == ["Attached"] * 4 + ["Ahead"] * 2
    assert all(row["upper"] > row["lower"] for row in rows)
    assert len({row["lower"] for row in rows}) == 6
    assert spec(app)["layer"][0]["encoding"]["x"]["type"] == "temporal"
    listed = console("partitions", table="public.ticks").dataframe[0].value
    assert set(listed["Until"] - listed["From"]) == {timedelta(hours=1)}


def test_ids_are_drawn_as_numbers(console: Open, run: Run) -> None:
    run(IDS)
    app = console("overview", table="public.things")
    assert app.title[0].value == plain("public.things holds 3 ranges of id")
    rows = chart_rows(app)
    assert [(row["lower"], row["upper"], row["state"]) for row in rows] == [
        (0, 1000, "Attached"),
        (1000, 2000, "Attached"),
        (2000, 3000, "Missing"),
        (3000, 4000, "Ahead"),
    ]
    x = spec(app)["layer"][0]["encoding"]["x"]
    assert (x["type"], x["scale"]["domain"]) == ("quantitative", [0, 4000])
    assert len(spec(app)["layer"]) == 2  # no line for today
    listed = console("partitions", table="public.things").dataframe[0].value
    assert list(listed["Until"]) == [4000, 2000, 1000]
    assert "Over, and still kept: 1" in [found.label for found in console("archive", table="public.things").expander]


def test_texts_are_drawn_in_their_order(console: Open, run: Run) -> None:
    run(TEXTS)
    rows = chart_rows(console("overview", table="public.words"))
    assert [row["label"] for row in rows] == ["words_a", "words_h", "words_p"]
    assert [row["upper"] for row in rows] == [0, 1, 2]
    listed = console("partitions", table="public.words").dataframe[0].value
    assert list(listed["From"]) == ["p", "h", ""]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(console: Open, run: Run, page: str) -> None:
    for sql, name in ((HOURS, "ticks"), (IDS, "things"), (TEXTS, "words")):
        run(sql)
        assert not console(page, table=f"public.{name}").exception


DEFAULT = """
CREATE TABLE caught (day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE caught_2011 PARTITION OF caught FOR VALUES FROM ('2011-01-01') TO ('2012-01-01');
CREATE TABLE caught_2013 PARTITION OF caught FOR VALUES FROM ('2013-01-01') TO ('2014-01-01');
CREATE TABLE caught_else PARTITION OF caught DEFAULT
"""


def test_what_goes_to_the_default_is_hatched(console: Open, run: Run) -> None:
    run(DEFAULT)
    app = console("overview", table="public.caught")
    hatched = "Goes to the DEFAULT"
    assert [(row["label"], row["state"]) for row in chart_rows(app)] == [
        ("DEFAULT", hatched),
        ("2011", "Due for archive"),
        ("DEFAULT", hatched),
        ("2013", "Due for archive"),
        ("DEFAULT", hatched),
    ]
    striped = spec(app)["layer"][1]
    assert striped["transform"] == [{"filter": f"(datum.state === '{hatched}')"}]
    assert striped["encoding"]["fill"]["value"]["gradient"] == "linear"
    told = [one.value for one in app.markdown]
    assert sum("Today," in one and "has no partition" in one for one in told) == 1  # today's gap, once
    assert not [one for one in told if "0 days" in one]
    assert "create" in str([button.label for button in app.button]).casefold()  # what is red has its button
    app = console("partitions", table="public.caught")
    assert app.button(key="ensure_now").proto.type == "primary"
    app.segmented_control(key=keys.CHART).set_value("Bounds").run()
    assert [row["label"] for row in chart_rows(app)] == ["DEFAULT", "2011", "DEFAULT", "2013", "DEFAULT"]


def test_notes_of_cards_are_short_enough_for_them(console: Open, run: Run) -> None:
    run(IDS)
    for page in ("overview", "growth"):
        app = console(page, table="public.things")
        assert [one.delta for one in app.metric if len(one.delta) > 26] == []
