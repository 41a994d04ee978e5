"""The record of who asked for what and how it ended: nobody changes it, takes from it or adds to it unseen."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.console.actor import Actor, Origin
from core.console.audit import read_entries, read_head, settle
from core.console.audited import broken, read_broken
from core.console.queue import enqueue
from core.errors import NotAllowed
from core.plans.archive import Archive
from core.plans.hold import PutHold
from core.plans.operation import Role
from core.postgres.connection import session
from core.tables.marks import Hold
from tests import desks
from tests.conftest import ADMIN
from tests.desks import KEY, SEAL
from tests.road import Road
from tests.tables import Made, Run

Make = Callable[..., Made]
README = Path(__file__).parents[2] / "README.md"
VIEWER = Actor("Vera", Role.VIEWER, Origin.DASHBOARD, "signed in", "10.1.2.3")


@pytest.fixture
def made(make_table: Make) -> Made:
    return make_table()


@pytest.fixture
def kept(road: Road, made: Made) -> Road:
    """A record of five entries: a hold by Ada, one that Vera may not put, and an archive whose reason is a formula."""
    first, second = made.first, made.partition(made.ranges[1][0])
    desk = desks.desk(road.reader, road.worker)
    desk.run(desk.plan(PutHold(made.address, second, Hold("", "the audit", "Ada"))), ADMIN, "the audit")
    plan = desk.plan(Archive(made.address, first))
    with pytest.raises(NotAllowed):
        desk.enqueue(plan, VIEWER, "let me")
    desk.run(plan, ADMIN, '=HYPERLINK("http://x")')
    return road


def programs(road: Road, run: Run) -> subprocess.CompletedProcess[str]:
    """The program in README, fed by the queries in README."""
    text = README.read_text()
    part = text[text.index("## The record") :]
    (program,) = re.findall(r"```python\n(.*?)```", part, re.DOTALL)[:1]
    assert len(program.splitlines()) <= 32
    queries = re.findall(r'-c "(SELECT .*?)"', part)
    rows = [json.dumps(row) for query in queries for (row,) in run(query)]
    return subprocess.run(
        [sys.executable, "-c", program], input="\n".join(rows), text=True, capture_output=True, check=False,
        env={"PARTITION_DESK_KEY": KEY},
    )  # fmt: skip


def test_it_says_who_asked_for_what_who_was_refused_and_how_it_ended(kept: Road, run: Run) -> None:
    said = [one.said for one in read_entries(kept.reader)]
    assert [(one["event"], one.get("actor"), one["act"], one.get("result")) for one in said] == [
        ("asked", "Ada", "hold", None),
        ("ended", "Ada", "hold", "done"),
        ("refused", "Vera", "archive", "refused"),
        ("asked", "Ada", "archive", None),
        ("ended", "Ada", "archive", "done"),
    ]
    refused = said[2]
    assert (refused["role"], refused["verified"], refused["address"]) == ("viewer", "signed in", "10.1.2.3")
    assert (refused["reason"], refused["error_kind"]) == ("let me", "NotAllowed")
    assert "DETACH PARTITION" in said[2]["sql"]
    assert "DETACH PARTITION" in said[4]["sql"]
    assert (said[4]["rows_before"], said[4]["rows_after"]) == (20, 20)
    ended = kept.done("audit", "verify")
    assert ended.out == "The record holds: 5 entries, each as it was written, and none is lacking.\n"
    assert programs(kept, run).stdout == "The record holds: 5 entries.\n"


TAMPERED = {
    "an entry changed": "UPDATE partition_desk.audit SET entry = replace(entry, 'Vera', 'Otto') WHERE n = 3",
    "an entry and its hash changed": "UPDATE partition_desk.audit SET entry = replace(entry, 'Vera', 'Otto'), hash ="
    " encode(sha256(convert_to(n || E'\\n' || previous || E'\\n' || replace(entry, 'Vera', 'Otto'), 'UTF8')), 'hex')"
    " WHERE n = 3",
    "one taken out": "DELETE FROM partition_desk.audit WHERE n = 3",
    "one taken out and the others moved up": "DELETE FROM partition_desk.audit WHERE n = 3;"
    " UPDATE partition_desk.audit SET n = n - 1 WHERE n > 3; UPDATE partition_desk.audit_head SET n = 4",
    "the first taken out": "DELETE FROM partition_desk.audit WHERE n = 1",
    "the last taken out": "DELETE FROM partition_desk.audit WHERE n = 5",
    "the last taken out, and the head set back": "DELETE FROM partition_desk.audit WHERE n = 5;"
    " UPDATE partition_desk.audit_head SET n = 4, hash = (SELECT hash FROM partition_desk.audit WHERE n = 4)",
    "all taken out": "DELETE FROM partition_desk.audit",
    "one put at the end": "INSERT INTO partition_desk.audit SELECT n + 1, entry, hash, hash, seal"
    " FROM partition_desk.audit WHERE n = 5",
    "two exchanged": "UPDATE partition_desk.audit SET n = CASE n WHEN 2 THEN -3 ELSE -2 END WHERE n IN (2, 3);"
    " UPDATE partition_desk.audit SET n = -n WHERE n < 0",
    "the reason in the journal": "UPDATE partition_desk.operation SET reason = 'x' WHERE id = 1",
    "the actor in the journal": "UPDATE partition_desk.operation SET actor = 'Otto' WHERE id = 1",
    "the end in the journal": "UPDATE partition_desk.operation SET state = 'failed' WHERE id = 1",
    "an operation taken out": "DELETE FROM partition_desk.operation_step; DELETE FROM partition_desk.operation"
    " WHERE id = 1",
    "an operation put in": "INSERT INTO partition_desk.operation (table_address, kind, subject, plan, digest, actor,"
    " role, origin, reason, state, steps) VALUES ('public.x', 'drop', 'x', '{}', '', 'Ada', '', '', '', 'done', 1)",
}  # fmt: skip


@pytest.mark.one_in(3)
@pytest.mark.parametrize("change", list(TAMPERED))
def test_what_was_changed_taken_out_or_put_in_is_found_by_two_programs(kept: Road, run: Run, change: str) -> None:
    run(TAMPERED[change])
    ended = kept("audit", "verify")
    assert ended.code == 1
    assert ended.out
    assert "holds" not in ended.out
    other = programs(kept, run)
    assert other.returncode == 1, other
    assert "holds" not in other.stdout
    assert not other.stderr


def test_another_key_finds_nothing_good(kept: Road) -> None:
    assert kept("audit", "verify", PARTITION_DESK_KEY="another key, of somebody").code == 1


def test_many_who_write_at_once_leave_one_whole_chain(reader: Engine, worker: Engine, made: Made) -> None:
    desk = desks.desk(reader, worker)
    holds = [
        desk.plan(PutHold(made.address, made.partition(lower), Hold(f"20{year}-01-01", "x", "Ada")))
        for lower, _ in made.ranges
        for year in range(30, 36)
    ]
    others = [replace(plan, subject=f"{plan.subject} {number}") for number, plan in enumerate(holds)]

    def go(number: int) -> None:
        enqueue(worker, others[number], ADMIN, "", seal=SEAL)
        with session(worker) as connection:
            settle(connection, SEAL)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(go, range(len(others))))
    entries = tuple(read_entries(reader))
    assert [one.n for one in entries] == list(range(1, len(others) + 1))
    assert list(broken(entries, read_head(reader), SEAL)) == []
    assert read_broken(reader, SEAL) == (len(others), ())


def test_nothing_of_an_export_is_a_formula(kept: Road) -> None:
    rows = list(csv.DictReader(io.StringIO(kept.done("audit", "export", "--csv").out)))
    assert [row["reason"] for row in rows if row["act"] == "archive"] == [
        "let me",
        '\'=HYPERLINK("http://x")',
        '\'=HYPERLINK("http://x")',
    ]
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    lines = [json.loads(line) for line in kept.done("audit", "export").out.splitlines()]
    assert [line["n"] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[3]["reason"] == '=HYPERLINK("http://x")'


def test_the_second_place_keeps_what_the_database_forgets(road: Road, made: Made, run: Run, tmp_path: Path) -> None:
    log = tmp_path / "record.jsonl"
    given = {"PARTITION_DESK_AUDIT_LOG": str(log)}
    road.done("archive", "--partition", made.first, **given)
    before = run("SELECT n, hash, seal FROM partition_desk.audit_head")[0]
    road.done("hold", "--partition", made.first, "--reason", "x", **given)
    lines = log.read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == [1, 2, 3, 4]
    assert log.stat().st_mode & 0o777 == 0o600
    road.done("audit", "verify", "--against", str(log))
    # who kept a copy of what was there before puts the whole of it back: the chain holds, and the file knows better
    run("DELETE FROM partition_desk.audit WHERE n > 2")
    run("DELETE FROM partition_desk.operation_step WHERE operation_id = 2")
    run("DELETE FROM partition_desk.operation WHERE id = 2")
    run(f"UPDATE partition_desk.audit_head SET n = {before[0]}, hash = '{before[1]}', seal = '{before[2]}'")
    road.done("audit", "verify")
    ended = road("audit", "verify", "--against", str(log))
    assert ended.code == 1
    assert ended.out.splitlines() == [f"Entry {n} was taken out: the second place has it." for n in (3, 4)]


def test_a_second_place_that_cannot_be_written_stops_nothing(
    road: Road, made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    road.done("archive", "--partition", made.first, PARTITION_DESK_AUDIT_LOG=str(tmp_path / "no" / "such.jsonl"))
    assert "second place" in caplog.text
