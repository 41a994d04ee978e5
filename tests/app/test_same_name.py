"""The pages on partitions that have one name in several schemas: each dialog is of the one that it was opened on."""

from __future__ import annotations

import pytest

from dashboard.format import plain
from dashboard.state import keys
from tests.app.conftest import Open, settle, texts
from tests.tables import Run

YEARS = (2021, 2022, 2023)


@pytest.fixture(autouse=True)
def readings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table readings with y2021.readings, y2022.readings and y2023.readings, and one of this age alone."""
    monkeypatch.setenv("PARTITION_DESK_TABLE", "public.readings")
    run("CREATE TABLE readings (id bigint NOT NULL, taken_on date NOT NULL) PARTITION BY RANGE (taken_on)")
    for year in YEARS:
        run(f"CREATE SCHEMA y{year}")
        run(
            f"CREATE TABLE y{year}.readings PARTITION OF readings"
            f" FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        )
    run("INSERT INTO readings SELECT y, make_date(y, 5, 5) FROM generate_series(2021, 2023) y")


def test_the_panel_of_a_partition_opens_the_dialog_of_that_very_one(console: Open, run: Run) -> None:
    app = console("partitions", partition="y2023.readings")
    assert not app.exception
    app.button(key="archive_one").click().run()
    said = texts(app)
    assert 'DETACH PARTITION "y2023"."readings"' in said
    assert '"y2021"."readings"' not in said
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: "is done" in texts(page), 40)
    assert not app.exception
    assert run("SELECT id FROM archive.readings") == [(2023,)]
    assert run("SELECT id FROM readings ORDER BY 1") == [(2021,), (2022,)]


def test_a_link_to_a_name_that_several_have_chooses_none(console: Open) -> None:
    app = console("partitions", partition="readings")
    assert not app.exception
    assert "Select a row for its bounds" in texts(app)


def test_the_page_archive_has_a_line_for_each_and_acts_on_its_own(console: Open) -> None:
    app = console("archive")
    assert not app.exception
    app.button(key="act_y2022.readings").click().run()
    said = texts(app)
    assert not app.exception
    assert 'DETACH PARTITION "y2022"."readings"' in said
    assert '"y2021"."readings"' not in said
    assert keys.ASKED in app.session_state


def test_the_doctor_finds_rows_in_the_very_one_and_offers_that(console: Open, run: Run) -> None:
    app = console("doctor")
    app.text_input(key="date").set_value("2022-05-05").run()
    assert not app.exception
    assert "y2022.readings" in texts(app)


def test_asking_for_what_holds_already_is_a_calm_notice(console: Open, run: Run) -> None:
    run("ALTER TABLE readings DETACH PARTITION y2023.readings")
    run("CREATE SCHEMA archive; ALTER TABLE y2023.readings SET SCHEMA archive")
    run("ALTER TABLE archive.readings ADD CHECK (taken_on >= '2023-01-01' AND taken_on < '2024-01-01')")
    run("ALTER TABLE archive.readings RENAME TO readings_2023")
    app = console("partitions", partition="readings_2023")
    run("ALTER TABLE archive.readings_2023 SET SCHEMA y2023")
    run("ALTER TABLE readings ATTACH PARTITION y2023.readings_2023 FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')")
    app.button(key="reattach_one").click().run()
    assert not app.exception
    assert [one.value for one in app.toast] == [
        plain("Nothing to do: readings_2023 is attached to public.readings already.")
    ]
