"""Pages among ten thousand partitions: every table is offered, and the one that is looked at is shown whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from core.console import desk
from core.growth import present
from dashboard.format import plain
from dashboard.partitions.listing import PAGE
from dashboard.state import reads
from tests.app.conftest import THIS_YEAR, Open, texts
from tests.tables import Made, Run

OTHERS = 199
PARTITIONS = 50

# A commit for each table, since one transaction may not hold locks on all of them.
_OTHERS = f"""
DO $$ BEGIN
    FOR t IN 1..{OTHERS} LOOP
        EXECUTE format('CREATE TABLE other_%s (day date NOT NULL) PARTITION BY RANGE (day)', t);
        FOR y IN 2000..{2000 + PARTITIONS - 1} LOOP
            EXECUTE format('CREATE TABLE other_%s_%s PARTITION OF other_%s FOR VALUES FROM (%L) TO (%L)',
                t, y, t, y || '-01-01', (y + 1) || '-01-01');
        END LOOP;
        COMMIT;
    END LOOP;
END $$
"""


@pytest.mark.thorough
def test_overview_and_partitions_among_ten_thousand(console: Open, make_table: Callable[..., Made], run: Run) -> None:
    first = THIS_YEAR + 2 - PARTITIONS
    made = make_table(start=date(first, 1, 1), count=PARTITIONS, rows=0)
    made.insert(date(THIS_YEAR, 1, 1), date(THIS_YEAR + 1, 1, 1))
    run(_OTHERS)

    app = console()
    assert app.title[0].value == plain(f"Everything has a place until 1 January {THIS_YEAR + 2}")
    assert f"{PARTITIONS} partitions attached · none archived · none missing" in texts(app)
    assert {metric.label: metric.value for metric in app.metric}["Due for archive"] == f"{PARTITIONS - 5} years"
    assert len(app.selectbox[0].options) == 1 + OTHERS
    assert app.selectbox[0].help.startswith(f"{PARTITIONS} partitions, about ")

    app = console("partitions", table=made.address, partition=made.partition(date(THIS_YEAR, 1, 1)))
    assert f"{PARTITIONS} partitions attached, none archived" in texts(app)
    shown = app.dataframe[0].value
    assert list(shown["Period"]) == [str(year) for year in range(THIS_YEAR + 1, THIS_YEAR + 1 - PAGE, -1)]
    assert shown.loc[shown["Size"] > 0, "Table"].count() == PAGE
    assert plain(f"public.kid_absences_{THIS_YEAR}") in [heading.value for heading in app.header]

    app = console("partitions", table="public.other_150")
    assert f"public.other_150** · {PARTITIONS} partitions attached" in texts(app)
    assert list(app.dataframe[0].value["Table"]) == [
        f"public.other_150_{year}" for year in range(1999 + PARTITIONS, 1999 + PARTITIONS - PAGE, -1)
    ]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("page", "times"), [("overview", 1), ("archive", 1), ("growth", 1), ("activity", 0)])
def test_a_page_reads_its_table_once(
    console: Open, absences: Made, monkeypatch: pytest.MonkeyPatch, page: str, times: int
) -> None:
    app = console(page)
    found: list[str] = []
    for place in (desk, present):
        read = place.read_table
        monkeypatch.setattr(place, "read_table", lambda *a, read=read, **k: found.append(a[1]) or read(*a, **k))
    reads.refresh()
    app.run()
    assert not app.exception
    assert found == [absences.address] * times
