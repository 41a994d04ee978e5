"""What foreign keys on the same period bind to each other is one line and one dialog."""

from __future__ import annotations

from core.console.journal import OperationState
from dashboard.state import keys
from tests.app.conftest import THIS_YEAR, Open, settle, texts
from tests.tables import Made, Run

YEAR = THIS_YEAR - 5
FIRST = f"kid_absences_{YEAR}"


def test_a_set_is_one_line_and_goes_in_one_dialog_and_back(console: Open, absences: Made, run: Run) -> None:
    run(
        "CREATE TABLE notes (kid_id bigint, date date,"
        " FOREIGN KEY (kid_id, date) REFERENCES kid_absences (kid_id, date)) PARTITION BY RANGE (date)"
    )
    run(f"CREATE TABLE notes_{YEAR} PARTITION OF notes FOR VALUES FROM ('{YEAR}-01-01') TO ('{YEAR + 1}-01-01')")
    run(f"INSERT INTO notes SELECT kid_id, date FROM {FIRST}")
    app = console("archive")
    assert f"as one with notes_{YEAR}" in texts(app)
    app.button(key=f"act_{FIRST}").click().run()
    said = texts(app)
    assert f"notes_{YEAR} is detached from public.notes and moves to archive" in said
    assert "All of them go in one transaction" in said
    app.button(key="confirm_plan").click().run()
    both = f"{FIRST} with notes_{YEAR}"
    ends = "SELECT kind, subject, state FROM partition_desk.operation ORDER BY id"
    settle(app, lambda page: f"Archive {both}** is done" in texts(page), 40)
    assert run(ends) == [("archive", both, OperationState.DONE.value)]
    assert run("SELECT count(*) FROM pg_tables WHERE schemaname = 'archive'") == [(2,)]

    app = console("partitions", partition=FIRST)
    app.button(key="reattach_one").click().run()
    assert f"notes_{YEAR} becomes a partition of public.notes again" in texts(app)
    assert app.text_input(key=keys.REASON).value == ""
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: len(run(ends)) == 2 and run(ends)[1][2] == "done", 40)
    assert run("SELECT count(*) FROM pg_tables WHERE schemaname = 'archive'") == [(0,)]
