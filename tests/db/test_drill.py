"""The restore drill and the record of a proof, on the command line and by a worker that is told to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from core.console import drill, worker
from core.console.journal import read_operations
from core.period import Duration
from tests import desks, tables
from tests.conftest import until
from tests.road import Road
from tests.tables import Run

DAY = timedelta(days=1)


def test_each_backup_gets_its_turn(road: Road, run: Run, tmp_path: Path) -> None:
    made = tables.make_table(run)
    road.environ["PARTITION_DESK_PROOF_URL"] = road.url
    names = ("kid_absences_2022", "kid_absences_2023", "kid_absences_2024")
    first, second, third = (road.back_up(made, name, proven=False) for name in names)
    now = datetime.now(UTC)
    road.prove(first.backup.id, at=(now - 50 * DAY).isoformat(timespec="seconds"))
    road.prove(second.backup.id, at=(now - 40 * DAY).isoformat(timespec="seconds"))
    road.prove(third.backup.id, at=(now - 3 * DAY).isoformat(timespec="seconds"))
    planned = road.done("drill", "--dry-run", "--json").json
    assert planned["plan"]["backup"] == first.backup.id
    for kept in (first, second):
        assert f"verify {kept.backup.name} " in road.done("drill").out
        assert road.kept(kept.backup.id).proofs[-1].actor != "Ada"
    assert road.done("drill").out.startswith("Nothing to do: no newest backup of a partition is due")
    assert "30 days" in road.done("drill", "--json").json["nothing_to_do"]
    assert road.done("drill", "--older", "2d", "--dry-run", "--json").json["plan"]["backup"] == third.backup.id

    file = tmp_path / "record.json"
    file.write_text(road.done("proof", "show", first.backup.id).out)
    said = road.done("proof", "check", str(file), url="postgresql://127.0.0.1:1/none").out
    assert said.startswith(f"The record is as it was sealed. The backup {first.backup.id}")
    record = json.loads(file.read_text())
    manifest = Path(road.environ["BACKUP_URL"], first.backup.manifest)
    assert record["backup"]["manifest_sha256"] == sha256(manifest.read_bytes()).hexdigest()
    ended = road("proof", "check", str(file), PARTITION_DESK_KEY="another key of the tests")
    assert (ended.code, "no seal of this console's key" in ended.err) == (1, True)
    file.write_text(json.dumps({**record, "means": "more"}))
    assert "differs from its own digest" in road("proof", "check", str(file)).err
    assert road("proof", "check", str(tmp_path / "none")).code == 2
    path = Path(road.environ["BACKUP_URL"], third.backup.object)
    path.write_bytes(path.read_bytes()[:-4] + b"gone")
    ended = road("drill", "--older", "2d")
    assert (ended.code, "is damaged" in ended.err) == (1, True)
    file.write_text(road.done("proof", "show", third.backup.id).out)
    ended = road("proof", "check", str(file))
    assert (ended.code, "was found damaged" in ended.out) == (1, True)
    assert road("drill", "--older", "2d").out.startswith("Nothing to do"), "it is an alarm, and no drill of it"


def test_a_worker_that_is_told_to_proves_one_a_night(road: Road, run: Run) -> None:
    made = tables.make_table(run)
    one, other = (road.back_up(made, name, proven=False) for name in ("kid_absences_2022", "kid_absences_2023"))
    today = datetime.now(UTC)
    night, noon = today.replace(hour=3), today.replace(hour=12)
    told = desks.desk(
        road.worker,
        storage=road.cold,
        drill=Duration(30, "day"),
        proof_url=road.url,
        admins=("somebody else",),
    )

    def begun(at: datetime, **changes: object) -> list[str]:
        settings = replace(told.settings, **changes)  # type: ignore[arg-type]
        drill.begin_drill(replace(told, settings=settings, clock=lambda: at))
        every = read_operations(road.reader)
        return [o.plan.backup for o in every if o.reason == drill.WHY]

    assert begun(noon) == []
    assert begun(night, drill=None) == []
    assert begun(night) == [one.backup.id]
    assert begun(night) == [one.backup.id], "one a night"
    assert begun(night + 2 * DAY) == [other.backup.id, one.backup.id]
    running = worker.Worker(told)
    running.start()
    try:
        until(lambda: {o.state.value for o in read_operations(road.reader) if o.reason == drill.WHY} == {"done"})
    finally:
        running.stop()
    assert all(kept.proven for kept in road.every())
    assert {(o.actor, o.origin) for o in read_operations(road.reader) if o.reason == drill.WHY} == {
        ("restore drill", "restore drill")
    }
