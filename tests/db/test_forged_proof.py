"""What anybody may write into the place of the backups unlocks no drop: a proof counts that this console has sealed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from core.backups.storage import Storage
from core.errors import NotVerified
from core.plans.drop import Drop
from core.plans.manifest import Backup
from core.plans.proof import Verdict, newest_last, proofs_to_json, proven_backup
from core.seal import Seal
from tests import desks
from tests.desks import SEAL
from tests.road import Road
from tests.tables import Made

pytestmark = pytest.mark.attacked_versions

Make = Callable[..., Made]
GARBAGE = b"nothing of the table"


def replaced(road: Road, backup: Backup) -> Backup:
    """The object is garbage, and the manifest fits it; of the rows it says what the real one said."""
    other = replace(backup, bytes=len(GARBAGE), sha256=hashlib.sha256(GARBAGE).hexdigest())
    place = road.cold.open()
    place.write(backup.object, (GARBAGE,))
    place.write_text(backup.manifest, other.to_json())
    return other


def written(place: Storage, backup: Backup) -> str:
    """The path of the newest proof beside a backup."""
    return newest_last(one.path for one in place.list() if proven_backup(one.path) == backup.id)[-1]


@pytest.mark.parametrize("proof", ["as it was", "without a seal", "of another key", "with the seal of the real one"])
def test_a_place_that_fits_together_does_not_unlock_a_drop(road: Road, make_table: Make, proof: str) -> None:
    made = make_table()
    (kept,) = road.ready(made, made.first)
    place = road.cold.open()
    beside = written(place, kept.backup)
    before = json.loads(place.read_text(beside))
    forged = replaced(road, kept.backup)
    if proof != "as it was":
        fits = {**before[0], "sha256": forged.sha256}
        if proof == "without a seal":
            del fits["seal"]
        elif proof == "of another key":
            mine = replace(kept.proofs[0], sha256=forged.sha256)
            fits["seal"] = Seal(b"the key of somebody else").of(*mine.said(forged.to_json()))
        place.write_text(beside, json.dumps([fits]))
    ended = road("drop", "--partition", made.first, "--now", "--confirm", made.first)
    assert ended.code == 1
    assert "was proven by no console that has this one's key" in ended.message
    assert f"partitions verify {kept.backup.id}" in ended.message
    assert road.is_there(f"archive.{made.first}")


def test_what_was_replaced_after_the_drop_was_planned_stops_it(road: Road, make_table: Make) -> None:
    made = make_table()
    (kept,) = road.ready(made, made.first)
    desk = desks.desk(road.reader, road.worker, storage=road.cold)
    plan = desk.plan(Drop(made.address, made.first, (kept,)))
    forged = replaced(road, kept.backup)
    proof = replace(kept.proofs[0], sha256=forged.sha256)
    place = road.cold.open()
    place.write_text(written(place, kept.backup), proofs_to_json((proof,)))
    with pytest.raises(NotVerified, match="is no longer in"):
        road.run_plan(plan)
    assert road.is_there(f"archive.{made.first}")


def test_a_key_that_was_changed_is_told_and_a_verification_with_the_new_one_is_the_way_out(
    road: Road, make_table: Make
) -> None:
    made = make_table()
    (kept,) = road.ready(made, made.first)
    new = {"PARTITION_DESK_KEY": "another key of the console"}
    drop = ("drop", "--partition", made.first, "--now", "--confirm", made.first)
    listed = road.done("backups", "--json", **new).json["backups"][0]
    assert (listed["proven"], listed["foreign_proof"]) == (False, True)
    assert "was proven by no console that has this one's key" in road.done("doctor", **new).out
    assert road(*drop, **new).code == 1
    road.done("verify", kept.backup.id, **new)
    listed = road.done("backups", "--json", **new).json["backups"][0]
    assert (listed["proven"], listed["foreign_proof"]) == (True, False)
    road.done(*drop, **new)
    assert not road.is_there(f"archive.{made.first}")


def test_a_proof_is_of_one_manifest_and_of_all_that_it_says(road: Road, make_table: Make) -> None:
    made = make_table()
    (kept,) = road.ready(made, made.first)
    proof, manifest = kept.proofs[0], road.cold.open().read_text(kept.backup.manifest)
    assert SEAL.fits(proof.seal, *proof.said(manifest))
    assert not SEAL.fits(proof.seal, *proof.said(manifest + " "))
    for change in ({"at": "2030-01-01"}, {"verdict": Verdict.DAMAGED}, {"rows": 1}, {"sha256": "0"}, {"actor": "Eve"}):
        assert not SEAL.fits(proof.seal, *replace(proof, **change).said(manifest))  # type: ignore[arg-type]
