"""Several partitions in one dialog: what they take together, each of them, and what a failure means to the rest."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from dashboard.dialog.many import Then
from dashboard.state import keys
from tests.app.conftest import THIS_YEAR, Open, settle, texts
from tests.tables import Made, Run

REFUSE = """
CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE '%{name}%') THEN
        RAISE 'not that one';
    END IF;
END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_end EXECUTE FUNCTION public.refuse();
"""


def ended(app: AppTest, said: str) -> AppTest:
    return settle(app, lambda page: said in texts(page), 40)


def journal(run: Run) -> list[tuple[str, str, str]]:
    return [
        (kind, subject, state)
        for kind, subject, state in run("SELECT kind, subject, state FROM partition_desk.operation ORDER BY id")
    ]


def test_all_that_are_due_are_archived_in_one_confirmation(console: Open, absences: Made, run: Run) -> None:
    run("ANALYZE")
    first, second = (f"kid_absences_{THIS_YEAR - ago}" for ago in (5, 4))
    app = console("archive")
    assert app.button(key="archive_due").label == "Archive all 2 that are due"
    app.button(key="archive_due").click().run()
    said = texts(app)
    assert "Archive 2 partitions: about 400 rows, " in said
    assert "public.kid_absences: reads and writes go on" in said
    assert journal_is_not_there(run), "nothing is done before it is confirmed"
    app.text_input(key=keys.REASON).set_value("too old").run()
    app.button(key="confirm_several").click().run()
    ended(app, "2 of 2 done")
    assert journal(run) == [("archive", first, "done"), ("archive", second, "done")]
    assert run("SELECT DISTINCT reason FROM partition_desk.operation") == [("too old",)]
    assert keys.SEVERAL not in app.session_state


def journal_is_not_there(run: Run) -> bool:
    return run("SELECT to_regclass('partition_desk.operation')") == [(None,)]


def test_one_that_fails_ends_the_rest_or_not_as_chosen(console: Open, absences: Made, run: Run) -> None:
    first, second = (f"kid_absences_{THIS_YEAR - ago}" for ago in (5, 4))
    run(REFUSE.format(name=first))
    app = console("archive")
    app.button(key="archive_due").click().run()
    app.button(key="confirm_several").click().run()
    ended(app, "0 of 2 done, 1 not begun")
    assert [(subject, state) for _, subject, state in journal(run)] == [(first, "failed")]

    app.button(key="archive_due").click().run()
    app.segmented_control(key=keys.THEN).set_value(Then.GO_ON).run()
    app.button(key="confirm_several").click().run()
    ended(app, "1 of 2 done")
    assert journal(run)[-1] == ("archive", second, "done")
    assert "not that one" in texts(app)


def test_those_that_are_selected_are_backed_up_together(console: Open, absences: Made, run: Run, place: Path) -> None:
    app = console("partitions")
    chosen = [f"public.kid_absences_{THIS_YEAR - ago}" for ago in (3, 2)]
    app.session_state[keys.CHOSEN] = chosen
    app.run()
    assert "2 partitions selected" in texts(app)
    assert app.button(key="archive_several").label == "Archive 2"
    app.button(key="backup_several").click().run()
    assert "Back up 2 partitions: " in texts(app)
    app.button(key="confirm_several").click().run()
    ended(app, "2 of 2 done")
    assert [state for _, _, state in journal(run)] == ["done", "done"]
    assert len(list(place.rglob("*.zst"))) == 2

    app.session_state[keys.CHOSEN] = [f"public.kid_absences_{THIS_YEAR}", f"public.kid_absences_{THIS_YEAR - 5}"]
    app.run()
    app.button(key="archive_several").click().run()
    assert f"kid_absences_{THIS_YEAR} is left out." in texts(app)
    assert "Archive 1 partition: " in texts(app)


def test_neighbours_that_are_selected_become_one(console: Open, absences: Made, run: Run) -> None:
    app = console("partitions")
    names = [f"kid_absences_{THIS_YEAR - ago}" for ago in (5, 4)]
    app.session_state[keys.CHOSEN] = [f"public.{name}" for name in names]
    app.run()
    assert app.button(key="merge_several").label == "Merge 2"
    app.button(key="merge_several").click().run()
    assert f"{names[0]} and {names[1]} become" in texts(app)
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: run(f"SELECT to_regclass('{names[1]}')") == [(None,)], 40)
