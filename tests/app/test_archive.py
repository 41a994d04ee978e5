"""The page Archive: a period on its road at every stop, its proof, its one next act, and a place that can't be read."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from core.backups import kept as kept_module
from core.backups.kept import keep_proof, read_all_kept, read_kept
from core.backups.storage import StorageSettings
from core.backups.storage.folder import Folder
from core.console.actor import system_user
from core.console.execute import Budget
from core.console.journal import read_operation
from core.console.queue import enqueue
from core.plans.archive import plan_archive
from core.plans.hold import PutHold, plan_hold
from core.plans.manifest import Backup
from core.plans.plan import Plan
from core.plans.proof import Kept, Proof, Verdict
from core.tables.catalog.table import read_table
from core.tables.marks import Hold
from dashboard.dialog import ask
from dashboard.state import backups, keys, reads
from tests import desks
from tests.app.conftest import THIS_YEAR, Open, chart_rows, raw, settle, texts
from tests.conftest import ADMIN, OpenSession, until
from tests.desks import SEAL
from tests.tables import Made, Run

ROAD = 2
"""The layer of the road's picture that has the circles; the line of today lies below it."""


class Road:
    """Brings periods to their stops without a page."""

    def __init__(self, reader: Engine, worker: Engine, made: Made, place: Path) -> None:
        self.reader, self.worker, self.made = reader, worker, made
        self.cold = StorageSettings("", place.parent, os.environ, desks.KEY)
        self.place = self.cold.open()

    def act(self, plan: Plan) -> None:
        desks.desk(self.worker, budget=Budget(), storage=self.cold).run(plan, ADMIN, "a test")

    def read(self) -> Any:
        return read_table(self.reader, self.made.address)

    def archive(self, name: str) -> None:
        self.act(plan_archive(self.read(), name, now=datetime.now(UTC)))

    def back_up(self, name: str) -> Backup:
        plan = desks.back_up(self.reader, self.cold, self.read(), name, now=datetime.now(UTC))
        self.act(plan)
        return read_kept(self.place, plan.backup).backup

    def prove(self, backup: Backup, *, ago: int = 0, reason: str = "") -> Kept:
        """Writes a proof as a verification would, so many days ago."""
        proof = Proof(
            at=(datetime.now(UTC) - timedelta(days=ago)).isoformat(timespec="seconds"),
            actor="Ada",
            verdict=Verdict.DAMAGED if reason else Verdict.PROVEN,
            reason=reason,
            rows=backup.rows,
            fingerprint=backup.fingerprint,
            sha256=backup.sha256,
            server_version="18.4",
            seconds=1.0,
        )
        manifest = self.place.read_text(backup.manifest)
        keep_proof(self.place, backup.id, desks.sealed(proof, manifest))
        return read_kept(self.place, backup.id)

    def hold(self, name: str, until: str, reason: str) -> None:
        self.act(plan_hold(self.read(), name, Hold(until, reason, "Ada")))

    def drop(self, name: str) -> None:
        every, _ = read_all_kept(self.place)
        self.act(desks.drop(self.reader, self.read(), name, every, today=date.today()))


@pytest.fixture
def road(reader: Engine, worker: Engine, absences: Made, place: Path) -> Road:
    return Road(reader, worker, absences, place)


def stop_of(app: AppTest, label: str) -> str:
    """Where the picture has a period."""
    return str(next(row["stop"] for row in chart_rows(app, layer=ROAD) if row["label"] == label))


def cards(app: AppTest) -> dict[str, str]:
    return {metric.label: f"{metric.value} · {metric.delta}" for metric in app.metric}


def calendar(app: AppTest) -> dict[tuple[str, str], int]:
    """The proofs of each month by what they found."""
    rows = chart_rows(app, number=1)
    assert len({row["month"] for row in rows}) == 12
    return {(row["month"], row["found"]): row["proofs"] for row in rows if row["proofs"]}


def done(app: AppTest, what: str) -> AppTest:
    return settle(app, lambda page: f"{what}** is done" in texts(page), 40)


def test_the_whole_road_by_clicks(console: Open, absences: Made, road: Road, run: Run, place: Path) -> None:
    name, label = absences.first, str(THIS_YEAR - 5)
    road.archive(name)
    app = console("archive")
    assert app.title[0].value == "1 archived table has no verified backup"
    assert cards(app)["3 · Archived"].endswith("1 period")
    assert "nothing freed on the server yet · no backup held yet" in texts(app)

    app.button(key=f"act_{name}").click().run()  # one click, no dialog
    done(app, f"Back up {name}")
    assert "backed up, not proven" in texts(app)
    assert stop_of(app, label) == "Backed up"
    assert app.button(key=f"act_{name}").label == f"Verify {label}"

    app.button(key=f"act_{name}").click().run()
    done(app, f"Verify {name}")
    assert ":green-badge[:material/verified_user: proven just now]" in texts(app)
    assert stop_of(app, label) == "Verified"

    app.button(key=f"act_{name}").click().run()
    said = texts(app)
    assert "Rows leaving the server 200" in said
    assert f"archive.{name} stays as it is until" in said
    assert app.button(key="confirm_plan").disabled
    app.text_input(key=keys.TYPED).set_value(name[:-1]).run()
    assert app.button(key="confirm_plan").disabled
    app.text_input(key=keys.TYPED).set_value(name).run()
    app.number_input(key=keys.DAYS).set_value(30).run()
    day = date.today() + timedelta(days=30)
    assert f"{day:%Y-%m-%d}T" in texts(app)  # the plan that is shown is that of the choice
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: "Write down that" in texts(page) and "is done" in texts(page))
    assert app.title[0].value.startswith(f"{name} is to be dropped on ")
    assert "Planned drops" in texts(app)
    assert app.button(key=f"planned_act_{name}").label == f"Keep {THIS_YEAR - 5}"
    assert absences.run(f"SELECT count(*) FROM archive.{name}") == [(200,)]

    app.button(key=f"planned_act_{name}").click().run()
    settle(app, lambda page: "Take back that" in texts(page) and "is done" in texts(page))
    assert "Planned drops" not in texts(app)

    assert list(console("activity").dataframe[0].value["What"])[:2] == ["keep", "plan a drop"]
    app.button(key=f"act_{name}").click().run()
    app.number_input(key=keys.DAYS).set_value(20).run()
    app.segmented_control(key=keys.WHEN).set_value(ask.When.NOW).run()
    assert app.number_input(key=keys.DAYS).disabled
    app.segmented_control(key=keys.WHEN).set_value(ask.When.LATER).run()
    assert app.number_input(key=keys.DAYS).value == 20  # what was typed stays behind another choice
    app.segmented_control(key=keys.WHEN).set_value(ask.When.NOW).run()
    said = texts(app)
    assert f"archive.{name} leaves the server for good: 200 rows" in said
    assert f'DROP TABLE "archive"."{name}"' in said
    assert "reads go on; writes wait (share), while its rows are compared" in said.replace("*", "")
    app.text_input(key=keys.TYPED).set_value(name).run()
    app.button(key="confirm_plan").click().run()
    done(app, f"Drop {name}")
    assert run(f"SELECT to_regclass('archive.{name}')") == [(None,)]
    assert stop_of(app, label) == "Dropped"
    assert "freed on the server · " in texts(app)
    assert "nothing freed" not in texts(app)

    listed = console("partitions").toggle(key=keys.PARTITION_DROPPED).set_value(True).run().dataframe[1].value
    ((backup,),) = run("SELECT plan ->> 'backup' FROM partition_desk.operation WHERE kind = 'drop'")
    assert [listed[column][0] for column in ("Period", "Table", "By", "Rows", "Backup")] == [
        label, name, system_user(), 200, backup,
    ]  # fmt: skip
    assert listed["Dropped, UTC"][0].date() == datetime.now(UTC).date()

    app.button(key=f"act_{name}").click().run()
    assert "Rows coming back 200 counted" in texts(app)
    app.button(key="confirm_plan").click().run()
    done(app, f"Restore {name}")
    assert run(f"SELECT count(*) FROM archive.{name}") == [(200,)]
    assert "Restored from a backup" in texts(app)
    assert app.button(key=f"act_{name}").label == f"Review reattach of {label}"  # held: it was brought back to be used
    assert [row[0] for row in run("SELECT state FROM partition_desk.operation ORDER BY id")] == ["done"] * 7


def test_proofs_that_failed_or_are_old_are_told(console: Open, absences: Made, road: Road) -> None:
    first, second = absences.first, f"kid_absences_{THIS_YEAR - 4}"
    for name in (first, second):
        road.archive(name)
    older = road.back_up(first)
    road.prove(older, reason="Its bytes were changed: the checksum is not the manifest's.")
    road.prove(road.back_up(second), ago=500)
    app = console("archive")
    said = texts(app)
    assert app.title[0].value == f"The backup of {first} is damaged"
    assert ":red-badge[:material/gpp_bad: backup damaged]" in said
    assert ":red[Its bytes were changed: the checksum is not the manifest's.]" in said
    assert app.button(key=f"act_{first}").label == f"Back up {THIS_YEAR - 5} again"
    assert "proof is 500 days old" in said
    assert "of the newest backups 1 of 2 proven, 1 damaged" in said
    this = f"{datetime.now(UTC):%b %Y}"
    assert calendar(app) == {(this, "damaged"): 1}
    assert "says nothing of any day since" in said
    assert app.button(key=f"act_{second}").label == f"Verify {THIS_YEAR - 4}"
    assert "Verify its backup" in app.menu_button(key=f"more_{second}").options
    # the Doctor and Overview tell the same, each with its one button
    app = console()
    assert "is damaged" in texts(app)
    assert "was last restored and compared on" in texts(app)
    assert {f"Verify {THIS_YEAR - 4}", f"Back up {THIS_YEAR - 5}"} <= {button.label for button in app.button}
    assert {metric.label: metric.delta for metric in app.metric}["Archived"] == "1 of 2 verified"
    # a new backup, proven: the road goes on, and the old one is folded away
    newer = road.back_up(first)
    for ago in (40, 0):
        road.prove(newer, ago=ago)
    reads.refresh()
    app = console("archive")
    assert app.button(key=f"act_{first}").label == f"Review drop of {THIS_YEAR - 5}"
    before = f"{datetime.now(UTC) - timedelta(days=40):%b %Y}"
    assert calendar(app) == {(before, "proven"): 1, (this, "proven"): 1, (this, "damaged"): 1}
    assert older.id not in texts(app)
    app.session_state[f"backups_{first}"] = True
    app.run()
    said = texts(app)
    assert older.id in said
    assert said.index("the one to rest on") < said.index(older.id)


def test_holds_are_set_with_a_reason_and_lifted(console: Open, absences: Made, road: Road) -> None:
    name = absences.first
    road.archive(name)
    road.prove(road.back_up(name))
    app = console("archive")
    app.menu_button(key=f"more_{name}").click("Hold").run()
    assert app.button(key="confirm_plan").disabled
    assert "A hold needs its reason" in str(app.button(key="confirm_plan").help)
    app.text_input(key=keys.REASON).set_value("the audit of 2027").run()
    app.date_input(key=keys.UNTIL).set_value(date(THIS_YEAR + 2, 1, 31)).run()
    assert f"through 31 January {THIS_YEAR + 2}: the audit of 2027" in texts(app)
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: f"Hold {name} through" in texts(page) and "is done" in texts(page))
    said = texts(app)
    assert f"held until 31 January {THIS_YEAR + 2}" in said
    assert "the audit of 2027" in said
    assert app.button(key=f"act_{name}").label == f"Review reattach of {THIS_YEAR - 5}"  # nothing drops it meanwhile
    assert "Drop, now or later" not in app.menu_button(key=f"more_{name}").options
    app.menu_button(key=f"more_{name}").click("Lift the hold").run()
    done(app, f"Lift the hold of {name}")
    assert app.button(key=f"act_{name}").label == f"Review drop of {THIS_YEAR - 5}"


def test_detail_shows_backups_hold_and_planned_drop(console: Open, absences: Made, road: Road) -> None:
    name = f"kid_absences_{THIS_YEAR - 3}"
    backup = road.back_up(name)  # while it is attached
    road.hold(name, "", "kept for the survey")
    app = console("partitions", partition=name)
    said = texts(app)
    assert "held until lifted" in said
    assert "Held by Ada: kept for the survey" in said
    assert "backed up, not proven" in said
    app.session_state["backups_one"] = True
    app.run()
    assert backup.id in texts(app)
    assert app.button(key=f"one_verify_{backup.id}").label.startswith(f"Verify {THIS_YEAR - 3} of ")


def test_drop_is_refused_with_its_reason(
    console: Open, absences: Made, road: Road, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = absences.first
    road.archive(name)
    road.prove(road.back_up(name))
    run(f"CREATE VIEW public.looks AS SELECT * FROM archive.{name}")
    app = console("archive")
    app.button(key=f"act_{name}").click().run()
    assert "view public.looks" in texts(app)
    assert keys.ASKED not in app.session_state
    # changed since it was backed up: the drop itself finds out, under its lock
    run("DROP VIEW public.looks")
    app.button(key="close_refusal").click().run()
    app.button(key=f"act_{name}").click().run()
    app.segmented_control(key=keys.WHEN).set_value(ask.When.NOW).run()
    app.text_input(key=keys.TYPED).set_value(name).run()
    run(f"UPDATE archive.{name} SET reason = 'changed' WHERE kid_id = (SELECT min(kid_id) FROM archive.{name})")
    app.button(key="confirm_plan").click().run()
    settle(app, lambda page: f"Drop {name}** did not happen" in texts(page), 30)
    assert "rows were changed since" in texts(app)
    assert run(f"SELECT count(*) FROM archive.{name}") == [(200,)]


def test_dialog_shows_the_backup_that_its_plan_rests_on_and_wants_the_very_name(
    console: Open, absences: Made, road: Road
) -> None:
    name = absences.first
    road.archive(name)
    older = road.back_up(name)
    road.prove(older)
    app = console("archive")
    app.button(key=f"act_{name}").click().run()
    assert older.id in texts(app)
    newer = road.back_up(name)
    road.prove(newer)
    app.number_input(key=keys.DAYS).set_value(30).run()
    said = texts(app)
    assert app.session_state[keys.ASKED].plan.backup == newer.id
    assert newer.id in said
    assert older.id not in said
    for typed, closed in ((f"{name} ", True), (f" {name}", True), (name, False)):
        app.text_input(key=keys.TYPED).set_value(typed).run()
        assert app.button(key="confirm_plan").disabled is closed, typed


def test_opposite_of_what_runs_is_refused_and_not_taken_for_the_same(
    console: Open, absences: Made, road: Road, session: OpenSession
) -> None:
    name = absences.first
    road.archive(name)
    road.prove(road.back_up(name))
    road.hold(name, "", "the audit")
    app = console("archive")
    other = session()
    other.hold(f"LOCK TABLE archive.{name} IN SHARE UPDATE EXCLUSIVE MODE")
    hold = Hold(f"{THIS_YEAR + 2}-01-31", "the audit", "Ada")
    later = desks.desk(road.reader).plan(PutHold(absences.address, name, hold))
    ticket = enqueue(road.worker, later, ADMIN, "a test", seal=SEAL)
    app.menu_button(key=f"more_{name}").click("Lift the hold").run()
    said = texts(app)
    assert f"Another operation on {name} is still running: Hold {name} through 31 January {THIS_YEAR + 2}." in said
    assert "Nothing was asked for" in said
    assert "runs already" not in said
    other.release()
    until(lambda: not found.state.active if (found := read_operation(road.reader, ticket.id)) else False)


def test_dropping_can_be_switched_off(
    console: Open, absences: Made, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = absences.first
    road.archive(name)
    road.prove(road.back_up(name))
    monkeypatch.setenv("PARTITION_DESK_ALLOW_DROP", "false")
    app = console("archive")
    act = app.button(key=f"act_{name}")
    assert act.disabled
    assert "PARTITION_DESK_ALLOW_DROP is false" in str(act.help)
    assert not any("Drop" in option for option in app.menu_button(key=f"more_{name}").options)


def test_backup_of_another_database_and_what_is_no_backup(
    console: Open, absences: Made, road: Road, run: Run, place: Path
) -> None:
    name = absences.first
    road.archive(name)
    backup = road.back_up(name)
    road.prove(backup)
    road.drop(name)
    stray = place / Path(backup.id).parent / "20200101T000000Z-stray.sql.zst"
    stray.write_bytes(b"half")
    other = replace(backup, id=backup.id.replace(absences.first, "kid_absences_1999"), database="elsewhere",
                    name="kid_absences_1999", bounds="FOR VALUES FROM ('1999-01-01') TO ('2000-01-01')")  # fmt: skip
    folder = Folder(place)
    folder.write(other.object, iter([b"x" * other.bytes]))
    folder.write_text(other.manifest, other.to_json())
    app = console("archive")
    said = texts(app)
    assert "of the database elsewhere" in said
    assert stop_of(app, "1999") == "Dropped"
    assert "Dropped" in said
    assert "in the place alone" in cards(app)["6 · Dropped"]
    assert stray.name in said
    assert "a backup that did not come to its end" in said


def test_place_that_cannot_be_read(console: Open, absences: Made, road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    road.archive(absences.first)
    monkeypatch.setenv("BACKUP_URL", "ftp://somewhere/else")
    app = console("archive")
    said = texts(app)
    assert "The place of the backups can't be read." in said
    assert "what is held in the place is not known" in said
    act = app.button(key=f"act_{absences.first}")
    assert act.disabled
    assert "was not read" in str(act.help)
    assert app.menu_button(key=f"more_{absences.first}").options == ["Reattach", "Hold"]
    assert "backups not read" in {metric.label: metric.delta for metric in console().metric}["Archived"]


def test_place_that_does_not_answer_holds_no_page_up(
    console: Open, absences: Made, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    road.archive(absences.first)
    road.prove(road.back_up(absences.first))
    answered = threading.Event()

    def slow(*given: Any, **more: Any) -> kept_module.Backups:
        answered.wait(30)
        return read(*given, **more)

    read = kept_module.read_backups
    monkeypatch.setattr(kept_module, "read_backups", slow)
    monkeypatch.setattr(backups, "BACKUPS_WAIT_S", 0.05)
    app = console("archive")
    assert "The backups are still being read" in texts(app)
    assert app.button(key=f"act_{absences.first}").disabled
    assert "no backup" not in texts(console()).replace("no backup held", "")
    answered.set()
    settle(app, lambda page: "proven just now" in texts(page))


def test_viewer_can_do_nothing(console: Open, absences: Made, road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    road.archive(absences.first)
    monkeypatch.setenv("PARTITION_DESK_VIEWERS", system_user())
    app = console("archive")
    assert app.button(key=f"act_{absences.first}").disabled
    assert app.menu_button(key=f"more_{absences.first}").disabled


def test_hostile_names_on_the_road(
    console: Open, make_table: Callable[..., Made], reader: Engine, worker: Engine, place: Path
) -> None:
    hostile = "a[b](http://x.test) **x** :red[c] $y$ `q`"
    made = make_table(hostile, start=date(THIS_YEAR - 6, 1, 1), count=3, rows=5)
    road = Road(reader, worker, made, place)
    road.archive(made.first)
    road.prove(road.back_up(made.first), reason="**bold** [x](http://y.test)")
    app = console("archive", table=made.address)
    assert "[b](http" not in raw(app, code=False)
    assert ":red[c]" not in raw(app, code=False)
    assert "[x](http" not in raw(app, code=False)
    app.button(key=f"act_{made.first}").click().run()
    settle(app, lambda page: "is done" in texts(page), 30)


def test_hundreds_of_archived_periods_are_paged(console: Open, make_table: Callable[..., Made], run: Run) -> None:
    made = make_table(start=date(THIS_YEAR - 60, 1, 1), count=60, rows=0)
    run("CREATE SCHEMA archive")
    for lower, _ in made.ranges[:50]:
        run(f"ALTER TABLE kid_absences DETACH PARTITION {made.partition(lower)}")
        run(f"ALTER TABLE {made.partition(lower)} SET SCHEMA archive")
    app = console("archive")
    assert "1 to 12 of 50" in texts(app)
    assert len([b for b in app.button if b.label.startswith("Back up ")]) == 12
    app.pagination(key="page_archived").set_value(5).run()
    assert "49 to 50 of 50" in texts(app)
    assert len([b for b in app.button if b.label.startswith("Back up ")]) == 2
