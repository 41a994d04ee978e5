"""Partitions, Archive, Doctor and Activity: what each shows, and what its clicks do."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import pytest
from streamlit.testing.v1 import AppTest

from core.period import Period
from dashboard.format import plain
from dashboard.partitions import listing
from dashboard.state import keys
from tests.app.conftest import THIS_YEAR, Open, chart_rows, go, settle, spec, texts
from tests.conftest import OpenSession
from tests.tables import Made, Run


def click(app: AppTest, label: str) -> AppTest:
    """Clicks the first button of that label, or of the act of that name on whatever it is."""
    return next(one for one in app.button if one.label == label or one.label.startswith(f"{label} of ")).click().run()


def archived(app: AppTest, made: Made) -> AppTest:
    """Archives the oldest partition from the page Archive and waits for its end."""
    click(app, "Review archive")
    app.text_input(key=keys.REASON).set_value("too old").run()
    app.button(key="confirm_plan").click().run()
    return settle(app, lambda page: f"Archive {made.first}** is done" in texts(page))


# --- Partitions ---------------------------------------------------------------------------------------------------


def test_list_detail_and_link(console: Open, absences: Made) -> None:
    absences.run("ANALYZE")
    app = console("partitions", partition=absences.first)
    listed = app.dataframe[0].value
    assert list(listed["Period"]) == [str(THIS_YEAR + 1 - number) for number in range(7)]  # newest first
    assert [states[0] for states in listed["State"]][:2] == ["Ahead", "Attached"]
    assert listed["Rows"].iloc[-1] == 200
    assert app.header[0].value == plain(f"public.{absences.first}")
    assert f"FOR VALUES FROM ('{THIS_YEAR - 5}-01-01') TO ('{THIS_YEAR - 4}-01-01')" in texts(app)
    state = app.table[0].value.iloc[:, 0]
    assert state["Holds"] == f"1 January {THIS_YEAR - 5} up to, not including, 1 January {THIS_YEAR - 4}"
    app.button(key="archive_one").click().run()
    assert f"{absences.first} is detached from public.kid_absences" in texts(app)


def test_ensure_another_year_and_nothing_missing(console: Open, absences: Made, run: Run) -> None:
    app = console("partitions")
    assert app.button(key="ensure_now").proto.type == "secondary"  # nothing is missing
    app.button(key="ensure_now").click().run()
    assert [toast.value for toast in app.toast] == [plain("Nothing to do: public.kid_absences has all of it already.")]
    app.number_input[0].set_value(THIS_YEAR + 2).run()
    app.button(key="ensure_more").click().run()
    settle(app, lambda page: f"Ensure {THIS_YEAR + 2}** is done" in texts(page))
    assert run(f"SELECT to_regclass('kid_absences_{THIS_YEAR + 2}') IS NOT NULL") == [(True,)]


def test_many_partitions_are_filtered_and_drawn_along_time(console: Open, make_table: Callable[..., Made]) -> None:
    make_table(start=date(THIS_YEAR - 4, 1, 1), count=66, period=Period.MONTH, rows=2, key_type="timestamptz")
    app = console("partitions")
    assert len(app.dataframe[0].value) == listing.PAGE
    assert "1 to 15 of 66" in texts(app)
    drawn = spec(app)
    assert drawn["encoding"]["x"]["field"] == "lower"
    assert len(chart_rows(app)) == 66 * 3
    app.text_input(key="partition_text").set_value(f"{THIS_YEAR - 1}-0").run()
    assert list(app.dataframe[0].value["Period"]) == [f"{THIS_YEAR - 1}-0{month}" for month in range(9, 0, -1)]
    assert "9 of 66 partitions like that" in texts(app)


def test_a_row_that_is_linked_to_is_on_the_page_that_is_shown(
    console: Open, make_table: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_table(start=date(THIS_YEAR - 4, 1, 1), count=66, period=Period.MONTH, rows=0)
    made.insert(date(THIS_YEAR - 1, 5, 1), date(THIS_YEAR - 1, 6, 1))
    files: dict[str, bytes] = {}
    keep = lambda label, make, name, **_: files.update({name: make()})  # noqa: E731
    monkeypatch.setattr(listing.files, "button", keep)
    app = console("partitions", partition=made.first)
    assert list(app.dataframe[0].value["Table"]) == [
        f"public.{made.partition(lower)}" for lower, _ in made.ranges[5::-1]
    ]
    assert app.header[0].value == plain(f"public.{made.first}")
    assert "61 to 66 of 66" in texts(app)
    (pages,) = app.get("pagination")
    app.pagination(key=pages.key).set_value(1).run()  # and on to the others
    assert made.first not in str(app.dataframe[0].value)
    assert app.header[0].value == plain(f"public.{made.first}")
    app = console("partitions")
    app.selectbox(key=keys.PARTITION_ORDER).set_value("Largest first").run()
    assert str(app.dataframe[0].value["Period"].iloc[0]) == f"{THIS_YEAR - 1}-05"
    (written,) = files.values()
    rows = written.decode("utf-8-sig").splitlines()
    assert rows[0].startswith("Period,Table,State,Holds,Rows (estimate),Size (bytes)")
    assert len(rows) == 1 + 66
    assert re.search(r",\d{4,},\d{4,},\d{4,},\d+$", rows[1])


@pytest.mark.parametrize(("view", "field"), [("Rows", "to"), ("Bounds", "upper")])
def test_other_pictures(console: Open, absences: Made, view: str, field: str) -> None:
    app = console("partitions")
    app.segmented_control(key="chart_view").set_value(view).run()
    rows = chart_rows(app)
    assert [row["label"] for row in rows] == [str(THIS_YEAR - 5 + number) for number in range(7)]
    assert all(row[field] is not None for row in rows)


# --- Archive ------------------------------------------------------------------------------------------------------


def test_road_dialog_archive_and_back(console: Open, absences: Made, run: Run) -> None:
    app = console("archive")
    assert [row["stop"] for row in chart_rows(app, layer=2)] == ["Due for archive"] * 2 + ["Attached"] * 5
    click(app, "Review archive")
    said = texts(app)
    assert "It moves to archive." in said
    assert ":green-badge[nobody]" in said
    assert "share update exclusive" in said
    assert f"partitions archive --partition {absences.first}" in said
    assert "DETACH PARTITION" in said
    app.button(key="cancel_plan").click().run()
    assert run("SELECT to_regclass('partition_desk.operation')") == [(None,)]

    archived(app, absences)
    assert absences.count() == 200 * 6
    steps = texts(app)
    at = [steps.index(f"partitions {verb} --partition {absences.first}") for verb in ("backup", "verify", "drop")]
    assert at == sorted(at)
    assert "DROP TABLE" not in steps
    app = console("archive")
    assert chart_rows(app, layer=2)[0]["stop"] == "Archived"
    assert "archived just now" in texts(app)
    app.menu_button(key=f"more_{absences.first}").click("Reattach").run()
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: f"Reattach {absences.first}** is done" in texts(page))
    assert absences.count() == 200 * 7


def test_second_confirm_of_a_dialog_does_nothing(console: Open, absences: Made, run: Run) -> None:
    app = console("archive")
    click(app, "Review archive")
    asked = app.session_state[keys.ASKED]
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: f"Archive {absences.first}** is done" in texts(page))
    app.session_state[keys.ASKED] = asked
    app.run()
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: "is archived already" in texts(page))  # it holds, so that nothing has failed
    assert "Somebody else did it meanwhile; nothing was changed." in texts(app)
    assert run("SELECT state FROM partition_desk.operation ORDER BY id") == [("done",), ("done",)]
    assert run(f"SELECT count(*) FROM archive.{absences.first}") == [(200,)]


def test_an_open_dialog_says_that_somebody_acted(console: Open, absences: Made) -> None:
    one = console("archive")
    click(one, "Review archive")
    assert "did this meanwhile" not in texts(one)
    archived(console("archive"), absences)
    one.run()
    assert f"did this meanwhile: Archive {absences.first}." in texts(one)


def test_blocker_is_named_before_the_click(console: Open, absences: Made, session: OpenSession) -> None:
    reader = session()
    reader.hold("SELECT * FROM kid_absences WHERE kid_id = 4711 LIMIT 1")
    app = console("archive")
    click(app, "Review archive")
    said = texts(app)
    assert f"session {reader.pid}" in said
    assert "WHERE kid_id = ? LIMIT ?" in said
    assert "4711" not in said


def test_refusal_is_told_over_the_page(console: Open, absences: Made, run: Run) -> None:
    run("CREATE SCHEMA archive")
    run(f"CREATE TABLE archive.{absences.first} ()")
    app = console("archive")
    click(app, "Review archive")
    assert f"archive already holds {absences.first}" in texts(app)
    assert "Nothing was changed." in texts(app)
    app.button(key="close_refusal").click().run()
    assert "already holds" not in texts(app)


# --- Doctor -------------------------------------------------------------------------------------------------------


def test_findings_with_their_words_and_fixes(console: Open, absences: Made, run: Run) -> None:
    run("DROP INDEX kid_absences_date_idx")
    run(f"DROP TABLE kid_absences_{THIS_YEAR + 1}")
    app = console("doctor")
    said = texts(app)
    assert app.title[0].value == "2 things to look after"
    assert "No index begins with date" in said
    assert 'CREATE INDEX CONCURRENTLY "' in said
    click(app, f"Create {THIS_YEAR + 1}")
    settle(app, lambda page: f"Ensure {THIS_YEAR + 1}** is done" in texts(page))
    assert "1 thing to look after" in app.title[0].value


def test_find_my_data_from_a_link(console: Open, absences: Made) -> None:
    app = console("doctor", date=f"{THIS_YEAR - 5}-01-01")
    assert f"The one row of 1 January {THIS_YEAR - 5} is in the partition public.{absences.first}" in texts(app)
    archived(go(app, "archive"), absences)
    app = console("doctor", date=f"{THIS_YEAR - 5}-01-01")
    assert f"archive.{absences.first}, archived on" in texts(app)
    app.text_input(key="where_kid_id").set_value("-1").run()
    assert f"There is no row of 1 January {THIS_YEAR - 5} of kid_id -1" in texts(app)
    app.text_input(key="where_kid_id").set_value("x").run()
    assert "kid_id is bigint, and can't be 'x'" in texts(app)
    app.text_input(key="where_kid_id").set_value("").run()
    app.text_input(key="date").set_value(f"{THIS_YEAR + 5}-01-01").run()
    assert "lies after the last partition" in texts(app)
    app.text_input(key="date").set_value("soon").run()
    assert "soon is no date. Write it as year, month and day: 2025-03-14." in texts(app)


# --- Activity -----------------------------------------------------------------------------------------------------


def test_nothing_done_yet(console: Open, absences: Made) -> None:
    assert "Nothing has been done yet." in texts(console("activity"))


def test_journal_with_filters_sql_and_outcome(console: Open, absences: Made) -> None:
    archived(console("archive"), absences)
    app = console("activity", operation="1")
    listed = app.dataframe[0].value
    assert list(listed["On"]) == [absences.first]
    assert list(listed["Reason"]) == ["too old"]
    assert f'ALTER TABLE "public"."kid_absences" DETACH PARTITION "public"."{absences.first}" CONCURRENTLY;' in texts(
        app
    )
    assert "too old" in list(app.table[0].value.iloc[:, 0])
    app.multiselect(key=keys.KINDS).set_value(["archive"]).run()
    assert len(app.dataframe[0].value) == 1
    app.multiselect(key=keys.ENDS).set_value([]).run()
    assert "1 operation, none of them failed" in texts(app)
    app.selectbox(key=keys.OF).set_value("all tables").run()
    app = console("activity", table="public.kid_absences", operation="999")
    assert "The journal has no operation 999." in texts(app)
    assert "Select a row" in texts(app)
    assert "has no partition of_nobody" in texts(console("partitions", partition="of_nobody"))


def test_what_was_chosen_stays_while_another_page_is_looked_at(console: Open, absences: Made) -> None:
    archived(console("archive"), absences)
    app = console("activity")
    app.multiselect(key=keys.KINDS).set_value(["archive"]).run()
    app.selectbox(key=keys.OF).set_value("all tables").run()
    go(app, "partitions")
    app.segmented_control(key=keys.CHART).set_value("Rows").run()
    go(app, "activity")
    assert (app.multiselect(key=keys.KINDS).value, app.selectbox(key=keys.OF).value) == (["archive"], "all tables")
    go(app, "partitions")
    assert app.segmented_control(key=keys.CHART).value == "Rows"


def test_interrupted_operation_offers_to_resume(console: Open, absences: Made, run: Run) -> None:
    archived(console("archive"), absences)
    reattach = console("partitions", partition=absences.first)
    reattach.button(key="reattach_one").click().run()
    reattach.button(key="confirm_plan").click().run()
    settle(reattach, lambda page: f"Reattach {absences.first}** is done" in texts(page))
    # as if its process had died: running, and nobody holds its advisory lock
    run("UPDATE partition_desk.operation SET state = 'running', step = 1, finished_at = NULL WHERE id = 1")
    app = console("activity", operation="1")
    assert "was interrupted: the process that ran it is gone" in texts(app)
    app.button(key="resume_one").click().run()
    assert f"{absences.first} is detached from" in texts(app)  # planned anew, to be confirmed
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: f"Archive {absences.first}** is done" in texts(page))
    assert run(f"SELECT count(*) FROM archive.{absences.first}") == [(200,)]


def test_an_interruption_is_told_on_every_page_until_it_is_closed(console: Open, absences: Made, run: Run) -> None:
    archived(console("archive"), absences)
    run("UPDATE partition_desk.operation SET state = 'running', step = 1, finished_at = NULL")
    app = console("growth")
    assert "was interrupted: the process that ran it is gone" in texts(app)
    app.button(key="close_1").click().run()
    app.run()
    assert "was interrupted" not in texts(app)


def test_running_operation_is_stopped(console: Open, absences: Made, session: OpenSession, run: Run) -> None:
    reader = session()
    reader.hold("SELECT * FROM kid_absences LIMIT 1")
    app = console("archive")
    click(app, "Review archive")
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: f"session {reader.pid}" in texts(page))
    assert app.get("progress")[0].text.startswith("2 of 4 steps done")
    app.run()
    assert f"archiving, waiting for test (pid {reader.pid})" in texts(app)  # in the place of the line's button
    assert f"Review archive of {THIS_YEAR - 5}" not in [button.label for button in app.button]
    app = console("activity", operation="1")
    app.button(key="stop_one").click().run()
    settle(app, lambda page: f"Archive {absences.first}** was stopped" in texts(page), 5)
    assert run("SELECT state FROM partition_desk.operation") == [("cancelled",)]
