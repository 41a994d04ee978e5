"""The commands of growth on a real server, what bad input meets, and the sample that a running dashboard takes."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.backups.storage import StorageSettings
from core.console.worker import Worker
from core.growth.samples.measure import sample
from core.growth.samples.read import read_histories, read_runs
from core.postgres.connection import session as connect
from tests import desks
from tests.conftest import until
from tests.road import Road
from tests.tables import Made, Run
from tests.unit.console.test_metrics import parsed

TODAY = datetime.now(UTC).date()
SECRET = "hush-hush"
Make = Callable[..., Made]


@pytest.fixture
def desk(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reader: Engine,
    worker: Engine,
    run: Run,
) -> Road:
    """The command line on the test's database, with a place for backups of its own."""
    environ = {"PARTITION_DESK_HOME": str(tmp_path / "home"), "BACKUP_URL": str(tmp_path / "place")}
    return Road(database_url, tmp_path / "home", environ, monkeypatch, capsys, reader, worker, run)


@pytest.fixture
def absences(make_table: Make) -> Made:
    """Five years up to the next, so that one is due."""
    return make_table(start=date(TODAY.year - 4, 1, 1), count=6, rows=50, default=True)


def test_from_the_first_look_to_the_report(desk: Road, absences: Made, reader: Engine, tmp_path: Path) -> None:
    first = desk.done("growth", "--json").json
    assert (first["table"], first["derived"], first["last_sample"]) == (absences.address, True, None)
    assert read_runs(reader) == ()

    ended = desk.done("sample")
    assert ended.out.startswith("Sampled 7 partitions for ")
    assert "7 have changed" in ended.out
    again = desk.done("sample", "--json").json
    assert again.keys() == {
        "day", "taken_at", "seconds", "partitions", "changed", "skipped", "exact", "cold_bytes", "forgotten_rows",
    }  # fmt: skip
    assert (again["day"], again["partitions"], again["skipped"], again["cold_bytes"]) == (str(TODAY), 7, [], 0)

    found = desk.done("growth", "--json").json
    assert (found["derived"], found["last_sample"]) == (True, str(TODAY))  # one sample takes no forecast away
    assert found["notes"][0].startswith("Sampled on 1 day so far, which is too little for a forecast: until it is")
    assert found["server_bytes"] == first["server_bytes"]
    assert found["forecast"] == first["forecast"]
    assert found["history"] == first["history"]
    text = desk.done("growth").out
    assert text.splitlines()[0].startswith(f"{absences.address} in ")
    assert "1 partition with" in text
    assert "There is no forecast yet." not in text

    page = tmp_path / "report.html"
    ended = desk.done("report", "--html", str(page), "--limit-bytes", "500 GB")
    assert ended.out == f"Wrote {page}: one page, to be opened in a browser and printed from there.\n"
    html = page.read_text()
    assert html.startswith("<!DOCTYPE html>")
    assert f"Storage growth: {absences.address}" in html
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix != ".html"] == []


def test_all_tables_money_and_a_limit(desk: Road, absences: Made, make_table: Make, tmp_path: Path) -> None:
    make_table("marks", start=date(TODAY.year - 4, 1, 1), count=6, rows=500)
    money = {
        "PARTITION_DESK_PRICE_HOT": "0.5",
        "PARTITION_DESK_PRICE_COLD": "0.1",
        "PARTITION_DESK_CURRENCY": "CHF",
        "PARTITION_DESK_STORAGE_LIMIT": "1 MB",
    }
    every = desk.done("growth", "--all", "--json", **money).json
    each = [desk.done("growth", "--table", name, "--json", **money).json for name in ("kid_absences", "marks")]
    assert every["table"] is None
    assert every["server_bytes"] == sum(one["server_bytes"] for one in each)
    assert every["limit_bytes"] == 1_000_000
    assert every["limit_passed_if_kept"]["already"] == (every["server_bytes"] >= 1_000_000)
    assert every["money"]["currency"] == "CHF"
    assert every["money"]["server_month"] == pytest.approx(every["server_bytes"] / 1e9 * 0.5)
    asked = desk.done("growth", "--all", "--json", "--limit-bytes", "2 TiB", **money).json
    assert asked["limit_bytes"] == 2 * 2**40
    kept, dropped = asked, desk.done("growth", "--all", "--json", "--drop-after", "1d", **money).json
    assert all(one["leaves_server"] is None for one in kept["leaving"])
    assert any(one["leaves_server"] for one in dropped["leaving"])
    assert dropped["forecast"]["points"][-1]["as_planned_bytes"] != kept["forecast"]["points"][-1]["as_planned_bytes"]
    ended = desk.done("report", "--all", "--html", str(tmp_path / "all.html"), **money)
    assert "CHF a month" in (tmp_path / "all.html").read_text()
    assert ended.err == ""


def test_backups_are_sampled_and_a_place_that_can_t_be_read_keeps_what_was_known(
    desk: Road, absences: Made, reader: Engine, run: Run, tmp_path: Path
) -> None:
    desk.archive(absences, absences.first)
    kept = desk.back_up(absences, absences.first)
    assert desk.done("sample", "--json").json["cold_bytes"] == kept.backup.bytes
    assert desk.done("growth", "--json").json["cold_bytes"] == kept.backup.bytes
    found = parsed(desk.done("metrics").out)
    own = (("table", absences.address),)
    assert found["partition_desk_bytes", (*own, ("state", "cold"))] == kept.backup.bytes
    assert 0 <= found["partition_desk_backup_age_seconds", own] < 600
    assert 0 <= found["partition_desk_verification_age_seconds", own] < 600
    assert 0 <= found["partition_desk_sample_age_seconds", ()] < 600

    away = {"BACKUP_URL": "s3://bucket", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-west-1"}  # fmt: skip
    run("UPDATE partition_desk.sample_run SET day = day - 1; UPDATE partition_desk.size_sample SET day = day - 1;"
        "UPDATE partition_desk.size_total SET day = day - 1")  # fmt: skip
    ended = desk.done("sample", "--json", **away)
    assert ended.json["cold_bytes"] is None
    assert ended.err.startswith("Cold storage was not read: ")
    assert SECRET not in ended.err
    (history,) = read_histories(reader)
    assert history.cold.tolist() == [kept.backup.bytes] * 2
    told = desk.done("metrics", **away)
    assert parsed(told.out)["partition_desk_backups_up", ()] == 0
    assert ("partition_desk_backup_age_seconds", own) not in parsed(told.out)
    assert told.err.count("\n") == 1


def test_old_samples_are_forgotten_by_the_settings(desk: Road, absences: Made, reader: Engine, worker: Engine) -> None:
    for ago in range(60, 0, -5):
        sample(worker, archive_schema="archive", today=TODAY - timedelta(days=ago))
    thinned = desk.done("sample", "--json", PARTITION_DESK_KEEP_SAMPLES="30 days").json
    assert thinned["forgotten_rows"] > 0
    days = [found.day for found in read_runs(reader)]
    assert days[0] == TODAY
    assert min(days) >= TODAY - timedelta(days=30)
    assert "Forgot" not in desk.done("sample", PARTITION_DESK_KEEP_SAMPLES="30 days").out


# --- metrics --------------------------------------------------------------------------------------------------------


def test_metrics_into_a_file_at_once(desk: Road, absences: Made, tmp_path: Path) -> None:
    """A collector that reads all the time never meets half a file."""
    folder = tmp_path / "textfile"
    folder.mkdir()
    path = folder / "desk.prom"
    path.write_text("partition_desk_up 1\n")
    broken: list[str] = []
    over = threading.Event()

    def collect() -> None:
        while not over.is_set():
            if not path.read_text().endswith("\n") or "partition_desk_up" not in path.read_text():
                broken.append(path.read_text())

    reading = threading.Thread(target=collect)
    reading.start()
    try:
        for _ in range(5):
            assert desk.done("metrics", "--file", str(path)).out == ""
    finally:
        over.set()
        reading.join()
    assert broken == []
    assert [entry.name for entry in folder.iterdir()] == ["desk.prom"]
    assert path.stat().st_mode & 0o777 == 0o644
    found = parsed(path.read_text())
    assert found["partition_desk_up", ()] == 1
    assert found["partition_desk_partitions", (("table", absences.address), ("state", "attached"))] == 7


def test_a_server_that_is_away_is_down_in_the_metrics_and_1(desk: Road, tmp_path: Path) -> None:
    url = f"postgresql://anna:{SECRET}@127.0.0.1:9/school"
    path = tmp_path / "desk.prom"
    for words in (("metrics",), ("metrics", "--file", str(path))):
        ended = desk(*words, url=url)
        assert (ended.code, ended.err.count("\n")) == (1, 1)
        assert parsed(ended.out or path.read_text()) == {("partition_desk_up", ()): 0}
        assert SECRET not in ended.out + ended.err


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("growth --limit-bytes 500", 2, "'500' is not a size."),
        ("growth --drop-after 90", 2, "'90' is not a duration."),
        ("growth --table nowhere", 1, "There is no table nowhere"),
        ("report --html /nowhere/at/all.html", 1, "/nowhere/at/all.html can't be written: No such file or directory."),
        ("report --html /dev/null/x --all", 1, "/dev/null/x can't be written: Not a directory."),
        ("report --html .", 1, ". can't be written: Is a directory."),
        ("metrics --file /nowhere/desk.prom", 1, "/nowhere/desk.prom can't be written"),
        ("growth --table plain", 1, "public.plain is not partitioned."),
    ],
)
def test_bad_input_is_one_line(desk: Road, absences: Made, run: Run, words: str, code: int, told: str) -> None:
    run("CREATE TABLE plain (n int)")
    ended = desk(*words.split())
    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1), ended
    assert ended.err.startswith(told)
    assert run("SELECT to_regnamespace('partition_desk')") == [(None,)]


@pytest.mark.parametrize("command", ["sample", "growth", "report --html x.html", "metrics"])
def test_a_server_that_is_away_is_one_line(desk: Road, command: str) -> None:
    ended = desk(*command.split(), url=f"postgresql://anna:{SECRET}@127.0.0.1:9/school")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "can't be reached" in ended.err
    assert SECRET not in ended.err


def test_a_role_that_may_only_look(
    desk: Road, absences: Made, make_role: Callable[..., tuple[str, str]], run: Run
) -> None:
    _, url = make_role()
    ended = desk("sample", url=url)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "CREATE SCHEMA partition_desk AUTHORIZATION" in ended.err
    assert run("SELECT to_regnamespace('partition_desk')") == [(None,)]
    assert desk.done("growth", "--json", url=url).json["derived"]
    assert ("partition_desk_default_rows", (("table", absences.address),)) not in parsed(
        desk.done("metrics", url=url).out
    )


def test_nothing_at_all(desk: Road) -> None:
    assert desk.done("sample").out.startswith("Sampled 0 partitions for ")
    assert json.loads(desk.done("growth", "--all", "--json").out)["server_bytes"] == 0
    assert set(parsed(desk.done("metrics").out)) == {
        ("partition_desk_up", ()),
        ("partition_desk_journal_up", ()),
        ("partition_desk_backups_up", ()),
        ("partition_desk_sample_age_seconds", ()),
        ("partition_desk_maintain_tables", ()),
    }


# --- the running dashboard's ----------------------------------------------------------------------------------------


@contextmanager
def working(engine: Engine, home: Path, *, samples: bool = True) -> Iterator[Worker]:
    worker = Worker(desks.desk(engine, storage=StorageSettings("", home, os.environ), sample_daily=samples))
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def test_a_worker_samples_once_a_day_and_several_do_it_once(
    worker: Engine, reader: Engine, absences: Made, run: Run, tmp_path: Path
) -> None:
    sample(worker, archive_schema="archive", today=TODAY - timedelta(days=3))
    with working(worker, tmp_path), working(worker, tmp_path), working(worker, tmp_path):
        until(lambda: len(read_runs(reader)) == 2)
        (taken, _) = read_runs(reader)
    assert taken.day == TODAY
    with working(worker, tmp_path):
        time.sleep(0.3)
    assert read_runs(reader)[0] == taken


def test_a_worker_samples_nothing_where_nobody_ever_acted(
    worker: Engine, reader: Engine, absences: Made, run: Run, tmp_path: Path
) -> None:
    with working(worker, tmp_path):
        time.sleep(0.3)
    assert run("SELECT to_regnamespace('partition_desk')") == [(None,)]
    with connect(worker) as connection:
        connection.exec_driver_sql("CREATE SCHEMA partition_desk")
    with working(worker, tmp_path, samples=False):
        time.sleep(0.2)
    assert read_runs(reader) == ()
    with working(worker, tmp_path):
        until(lambda: read_runs(reader))
    assert read_runs(reader)[0].partitions == 7


def test_a_worker_that_may_not_sample_says_so_and_works_on(
    worker: Engine, reader: Engine, absences: Made, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run("CREATE SCHEMA partition_desk; CREATE VIEW partition_desk.sampled_table AS SELECT 1 AS id")
    with working(worker, tmp_path):
        until(lambda: "Sizes can't be sampled just now" in caplog.text)
    assert read_runs(reader) == ()
