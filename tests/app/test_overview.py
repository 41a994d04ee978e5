"""Overview: the verdict, its figures and its picture, and the one remedy of each thing that needs attention."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.doctor.findings import Finding, Severity
from dashboard.format import plain
from dashboard.state import reads
from tests.app.conftest import THIS_YEAR, Open, chart_rows, raw, settle, spec, texts
from tests.conftest import OpenSession
from tests.tables import Made, Run

NEXT = THIS_YEAR + 1


def test_verdict_cards_and_coverage(console: Open, absences: Made) -> None:
    absences.run("ANALYZE")
    app = console()
    said = texts(app)
    assert app.title[0].value == plain(f"Everything has a place until 1 January {NEXT + 1}")
    assert "public.kid_absences** by year on *date* · 7 partitions attached · none archived · none missing" in said
    assert {metric.label: metric.value for metric in app.metric}["Due for archive"] == "2 years"
    states = {row["label"]: row["state"] for row in chart_rows(app)}
    assert states[f"{THIS_YEAR - 5}"] == states[f"{THIS_YEAR - 4}"] == "Due for archive"
    assert states[f"{THIS_YEAR}"] == "Attached"
    assert states[f"{NEXT}"] == "Ahead"
    assert chart_rows(app)[0]["Rows"] == "about 200 (estimate)"
    parts = [row for row in chart_rows(app, 1) if row["label"] == f"{THIS_YEAR}"]
    assert [row["part"] for row in parts] == ["rows", "indexes", "large values"]
    assert parts[0]["to"] == parts[1]["from"]


def test_one_click_creates_what_is_missing(console: Open, absences: Made, run: Run) -> None:
    run(f"DROP TABLE kid_absences_{NEXT}")
    app = console()
    assert app.title[0].value == plain(f"{NEXT} has no partition: inserts fail from 1 January {NEXT}")
    create = next(button for button in app.button if button.label == f"Create {NEXT}")
    create.click().run()
    settle(app, lambda page: f"Ensure {NEXT}** is done" in texts(page))
    assert run(f"SELECT to_regclass('kid_absences_{NEXT}') IS NOT NULL") == [(True,)]
    assert "**The way back**" in texts(app)


def test_gap_is_outlined_and_named(console: Open, absences: Made, run: Run) -> None:
    run(f"DROP TABLE kid_absences_{THIS_YEAR - 2}")
    app = console()
    assert app.title[0].value == plain(f"{THIS_YEAR - 2} has no partition: its rows are refused")
    missing = next(row for row in chart_rows(app) if row["state"] == "Missing")
    assert (missing["label"], missing["Where"]) == (f"{THIS_YEAR - 2}", "no partition")
    encoding = spec(app)["layer"][0]["encoding"]
    states = encoding["fill"]["scale"]["domain"]
    dash = encoding["strokeDash"]["scale"]["range"][states.index("Missing")]
    assert dash == [4, 3]
    assert encoding["stroke"]["scale"]["range"][states.index("Missing")] == "#d64545"


def test_detach_pending_is_told_in_red(console: Open, absences: Made, session: OpenSession, run: Run) -> None:
    reader = session()
    reader.hold("SELECT * FROM kid_absences LIMIT 1")
    waiting = session()
    waiting.run("SET statement_timeout = 300")
    waiting.background(f"ALTER TABLE kid_absences DETACH PARTITION {absences.first} CONCURRENTLY")
    waiting.join()
    reader.release()
    app = console()
    assert app.title[0].value == plain(f"The detach of {absences.first} is not finished")
    told = next(error.value for error in app.error)
    assert f"{plain(absences.first)} is detach pending" in told
    assert "inserts for its range fail" in told
    app.button(key="finish_pending").click().run()
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: f"Archive {absences.first}** is done" in texts(page))
    assert run(f"SELECT count(*) FROM archive.{absences.first}") == [(200,)]


def test_table_without_a_partition(console: Open, make_table: Callable[..., Made]) -> None:
    make_table(count=0)
    app = console()
    assert app.title[0].value == plain("public.kid_absences has no partition yet: every insert fails")
    assert "Runway 0 days today has no partition" in texts(app)
    assert "There is no partition yet." in texts(app)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("CREATE TABLE kid_absences (k text) PARTITION BY LIST (k)", "it is partitioned by LIST, not by RANGE"),
        ("CREATE TABLE kid_absences (id int, date date)", "it is not partitioned"),
    ],
)
@pytest.mark.parametrize("page", ["overview", "partitions", "archive", "doctor"])
def test_unserved_tables_are_only_shown(console: Open, run: Run, made: str, reason: str, page: str) -> None:
    run(made)
    run("CREATE TABLE other (d date) PARTITION BY RANGE (d)")
    app = console(page, table="public.kid_absences")
    assert reason in texts(app) or "is a plain table" in texts(app)
    assert not [button for button in app.button if button.key and button.key.startswith(("ensure", "archive"))]


def test_database_without_any_table(console: Open, run: Run) -> None:
    app = console()
    assert app.title[0].value == "There is no partitioned table yet"
    assert "alembic upgrade head" in texts(app)
    run("CREATE TABLE logs (d date NOT NULL) PARTITION BY RANGE (d)")
    app.button(key="refresh").click().run()
    assert "public.logs has no partition yet" in texts(app)


HOSTILE = "a[b](http://x.test) **x** :red[c] $y$ `q`"


def test_hostile_names_are_escaped_and_stay_with_the_reader(console: Open, make_table: Callable[..., Made]) -> None:
    made = make_table(HOSTILE, count=2)
    app = console("partitions", table=made.address, partition=made.first)
    assert plain(f"public.{made.first}") in raw(app)
    assert "[b](http" not in raw(app, code=False)
    assert ":red[c]" not in raw(app, code=False)
    app = console("archive")
    assert app.query_params["table"] == made.address
    assert app.selectbox[0].options == [f"public.{made.name} · today missing"]


def test_failed_operation_is_told_with_its_remedy(console: Open, absences: Made, run: Run) -> None:
    _fail_to_archive(console("archive"), absences, run)
    app = console()
    assert f"**Archive {absences.first}: failed**" in texts(app)
    assert "just now. " in texts(app)
    app.button(key=_key(app, "again_")).click().run()
    assert f"archive already holds {absences.first}" in texts(app)  # looked at anew, and refused with the reason
    assert run(f"SELECT count(*) FROM {absences.first}") == [(200,)]


def test_a_failure_is_acknowledged_with_a_reason_and_told_no_more(
    console: Open, absences: Made, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_to_archive(console("archive"), absences, run)
    for page in ("overview", "doctor"):
        assert f"**Archive {absences.first}: failed**" in texts(console(page))
    app = console()
    reason, until = _key(app, "ack_reason_", "text_input"), _key(app, "ack_until_", "date_input")
    (act,) = [one for one in app.button if one.label == "Acknowledge it"]
    assert (act.disabled, act.help) == (True, "Say why first.")
    app.text_input(key=reason).set_value("the name is taken on purpose").run()
    app.date_input(key=until).set_value(date.today()).run()
    next(one for one in app.button if one.label == "Acknowledge it").click().run()
    said = texts(app)
    assert f"**Archive {absences.first}: failed**, acknowledged" in said
    assert said.index("**Waiting**") < said.index("the name is taken on purpose")
    assert app.selectbox[0].options == ["public.kid_absences · in order"]
    said = texts(console("doctor"))
    assert f"**Archive {absences.first}: failed**" not in said
    assert "the name is taken on purpose" in said
    number = reason.rpartition("_")[2]
    assert "the name is taken on purpose" in texts(console("activity", operation=number))
    monkeypatch.setenv("PARTITION_DESK_ADMINS", "nobody-here")
    monkeypatch.setenv("PARTITION_DESK_VIEWERS", "*")
    st.cache_resource.clear()
    assert "the name is taken on purpose" in texts(console("activity", operation=number))


def test_who_may_not_do_what_failed_sees_its_buttons_closed_with_the_reason(
    console: Open, absences: Made, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_to_archive(console("archive"), absences, run)
    monkeypatch.setenv("PARTITION_DESK_ADMINS", "nobody-here")
    monkeypatch.setenv("PARTITION_DESK_VIEWERS", "*")
    st.cache_resource.clear()
    app = console()
    again = app.button(key=_key(app, "again_"))
    assert (again.disabled, "to archive takes an admin" in again.help) == (True, True)
    (popover,) = [one.proto.popover for one in app.get("popover") if one.proto.popover.label == "Acknowledge"]
    assert (popover.disabled, "to acknowledge takes an operator" in popover.help) == (True, True)


def test_what_is_to_be_done_is_grouped_with_one_button_each(console: Open, absences: Made, run: Run) -> None:
    run(f"DROP TABLE kid_absences_{NEXT}")
    said = plainly(texts(console()))
    groups = [said.index(f"**{word}**") for word in ("Do now", "Later")]
    missing, due = (
        said.index(words)
        for words in (f"The next period, {NEXT}, lacks its partition", "Due for archive: 2 partitions")
    )
    assert groups[0] < missing < groups[1] < due
    assert f"Due for archive: 2 partitions, oldest {THIS_YEAR - 5}" in said
    assert "**Waiting**" not in said


def test_what_was_done_last_and_what_happens_by_itself(
    console: Open, absences: Made, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(f"DROP TABLE kid_absences_{NEXT}")
    app = console()
    assert "Nothing was done with this table yet." in texts(app)
    next(button for button in app.button if button.label == f"Create {NEXT}").click().run()
    settle(app, lambda page: f"Ensure {NEXT}** is done" in texts(page))
    monkeypatch.setenv("PARTITION_DESK_STORAGE_LIMIT", "1 kB")
    st.cache_resource.clear()
    said = plainly(texts(console()))
    assert f"Ensure {NEXT} — done, just now" in said
    for words in ("Sizes are sampled", "Planned drops", "Restore drill"):
        assert words in said
    assert "as PARTITION_DESK_DRILL is not set" in said
    assert "The server is full" in said


def test_each_table_says_how_it_stands_where_it_is_chosen(
    console: Open, absences: Made, make_table: Callable[..., Made], run: Run
) -> None:
    make_table("visits", start=date(THIS_YEAR - 5, 1, 1), count=2)
    options = list(console().selectbox[0].options)
    assert sorted(options) == ["public.kid_absences · in order", "public.visits · today missing"]
    _fail_to_archive(console("archive"), absences, run)
    assert "public.kid_absences · 1 act failed" in console().selectbox[0].options


def test_today_that_lies_behind_the_last_partition_is_missing(
    console: Open, make_table: Callable[..., Made], run: Run
) -> None:
    made = make_table(start=date(THIS_YEAR - 5, 1, 1), count=2)
    run(f"CREATE TABLE {made.default} PARTITION OF {made.sql} DEFAULT")
    run(f"INSERT INTO {made.sql} (kid_id, date) VALUES (1, current_date)")
    app = console()
    assert "today missing" in texts(app)
    assert "none missing" not in texts(app)
    assert f"Create {THIS_YEAR}" not in [one.label for one in app.button]  # it could only fail
    doctor = console("doctor")
    assert "partitions drain" in plainly(texts(doctor)) + " ".join(one.value for one in doctor.code)


def test_a_long_remedy_is_folded_and_a_file_holds_all_of_it(
    console: Open, absences: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"ANALYZE t{number};" for number in range(20)]
    finding = Finding("siblings", Severity.NOTE, "They differ", hint="\n".join(lines))
    monkeypatch.setattr(reads, "findings", lambda: (finding,))
    app = console("doctor")
    assert [one.value for one in app.code if "ANALYZE" in one.value] == ["\n".join(lines[:6])]
    assert "the first 6 of 20 lines" in texts(app)
    assert "14 more lines" in texts(app)


def plainly(text: str) -> str:
    """Without what keeps names from being Markdown."""
    return text.replace("\\", "")


def _fail_to_archive(app: AppTest, absences: Made, run: Run) -> None:
    app.button(key=_key(app, "act_")).click().run()
    run("CREATE SCHEMA archive")
    run(f"CREATE TABLE archive.{absences.first} ()")
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: f"Archive {absences.first}** did not happen" in texts(page))


def _key(app: AppTest, start: str, kind: str = "button") -> str:
    return next(b.key for b in getattr(app, kind) if b.key and b.key.startswith(start))
