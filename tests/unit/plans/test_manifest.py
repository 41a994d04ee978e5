"""Manifests, proofs and paths: written and read back equal, and whatever is off in one is refused with what it is."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import BackupDamaged, BackupUnusable
from core.plans.manifest import FORMAT, Backup, BackupColumn, LeftOut, Needed, backup_id, may_be_of
from core.plans.proof import (
    Kept,
    Proof,
    Verdict,
    newest_last,
    proof_path,
    proofs_from_json,
    proofs_to_json,
    proven_backup,
)
from tests.unit.cold_factories import backup, proof

AT = datetime(2026, 10, 20, 9, 30, tzinfo=UTC)


def test_it_is_of_one_database_of_one_server() -> None:
    whole = backup(database="kita", cluster="7")
    assert whole.is_from("kita", "7")
    assert not whole.is_from("kita", "8")
    assert not whole.is_from("other", "7")
    assert whole.is_from("kita", ""), "a server that hides which it is"
    assert replace(whole, cluster="").is_from("kita", "8")
    assert whole.whence("other") == "the database kita"
    assert whole.whence("kita") == "the database kita on another server"


def test_written_and_read_back() -> None:
    whole = backup(
        comment="it's\n100% \\ fine 🧒",
        needs=(Needed("type", "s", "mood", "CREATE TYPE ...", ("a", "b")),),
        left_out=(LeftOut("default of n", "ALTER TABLE ...", ("regclass public.n",), "columns"),),
        columns=(BackupColumn("id", "bigint", True, "", ""), BackupColumn("t", "text", False, "s", '"s"."c"')),
    )
    assert Backup.from_json(whole.to_json()) == whole
    assert whole.stored == ("id",)
    assert (whole.object, whole.manifest) == ("a/b/c.sql.zst", "a/b/c.json")


def test_a_later_format_is_refused_as_such() -> None:
    raw = {**json.loads(backup().to_json()), "format": FORMAT + 1, "new": [1]}
    with pytest.raises(BackupUnusable, match=rf"format {FORMAT + 1}; this console knows formats up to {FORMAT}"):
        Backup.from_json(json.dumps(raw))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": None}, "not one of a backup"),
        ({"format": "1"}, "not one of a backup"),
        ({"rows": "20"}, "manifest's rows is '20'"),
        ({"rows": True}, "manifest's rows is True"),
        ({"rows": None}, "manifest's rows is None"),
        ({"columns": {}}, "manifest's columns is not a list"),
        ({"columns": [{}]}, "manifest's columns lacks name, type, not_null, generated, collation"),
        ({"columns": ["id"]}, "holds str where fields are expected"),
        ({"create": [1]}, "manifest's create is 1"),
        ({"comment": 3}, "manifest's comment is 3"),
        ({"extra": 3}, "has extra besides"),
        ({"rows": 21}, "was changed: it differs from its own checksum"),
        ({"bounds": "FOR VALUES FROM ('2023-01-01') TO ('2025-01-01')"}, "was changed"),
        ({"seal": "0"}, "was changed"),
    ],
)
def test_what_is_off_is_said(change: dict[str, Any], said: str) -> None:
    raw = {**json.loads(backup().to_json()), **change}
    with pytest.raises(BackupDamaged, match=said):
        Backup.from_json(json.dumps(raw))


@pytest.mark.parametrize(
    "change",
    [
        {"bounds": "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') ; DROP TABLE kids"},
        {"bounds": "FOR VALUES FROM (('x'::text || pg_sleep(9))) TO ('2025-01-01')"},
        {"bounds": "FOR VALUES FROM ('2024-01-01 00:00:00') TO ('2025-01-01 00:00:00')"},
        {"bounds": "DEFAULT"},
        {"bounds": ""},
        {"bounds": "x" * 100_000},
        {"key_type": "integer"},
        {"key_type": "timestamp with time zone"},
    ],
)
def test_bounds_that_are_no_range_of_the_key_are_damage_whoever_sealed_them(change: dict[str, Any]) -> None:
    with pytest.raises(BackupDamaged, match="The manifest's bounds are ") as caught:
        Backup.from_json(backup(**change).to_json())
    assert len(str(caught.value)) < 600


def test_the_first_manifests_had_no_time_zone() -> None:
    raw = json.loads(backup().to_json())
    del raw["seal"], raw["time_zone"]
    seal = hashlib.sha256(json.dumps(raw, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
    assert Backup.from_json(json.dumps({**raw, "seal": seal})) == backup()


LATER = ("format", "time_zone", "locale")


@pytest.mark.parametrize("name", [field for field in json.loads(backup().to_json()) if field not in LATER])
def test_a_field_that_is_missing(name: str) -> None:
    raw = json.loads(backup().to_json())
    del raw[name]
    with pytest.raises(BackupDamaged, match=name if name != "seal" else "changed"):
        Backup.from_json(json.dumps(raw))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"x"', "[" * 100_000, "\0", "{}"])
def test_what_is_no_manifest(text: str) -> None:
    with pytest.raises(BackupDamaged):
        Backup.from_json(text)


def test_any_letter_that_is_changed_is_refused() -> None:
    text = backup().to_json()
    chance = random.Random(4)
    for offset in chance.sample(range(len(text) - 1), 300):
        letter = chance.choice([one for one in 'x0"{,' if one != text[offset]])
        changed = text[:offset] + letter + text[offset + 1 :]
        if changed.split() == text.split():
            continue
        with pytest.raises((BackupDamaged, BackupUnusable)):
            Backup.from_json(changed)


def test_proofs_are_a_list_newest_last() -> None:
    both = (proof(verdict=Verdict.DAMAGED, reason="changed"), proof())
    assert proofs_from_json(proofs_to_json(both)) == both
    assert proofs_from_json("[]") == ()
    raw = json.loads(proofs_to_json(both))
    assert [one["verdict"] for one in raw] == ["damaged", "proven"]
    assert proofs_from_json(json.dumps([{**raw[1], "seconds": 2}]))[0].seconds == 2.0


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.PROVEN), (False, Verdict.DAMAGED)])
def test_a_proof_of_before_says_only_whether_it_is_good(good: bool, verdict: Verdict) -> None:
    raw = json.loads(proofs_to_json((proof(),)))[0]
    del raw["verdict"], raw["next"]
    assert proofs_from_json(json.dumps([{**raw, "good": good}])) == (proof(verdict=verdict),)


def test_a_verdict_that_is_none_is_no_proof() -> None:
    raw = json.loads(proofs_to_json((proof(),)))[0]
    for verdict in ("fine", 1, None):
        with pytest.raises(BackupDamaged, match="verdict"):
            proofs_from_json(json.dumps([{**raw, "verdict": verdict}]))


def test_each_proof_is_an_object_of_its_own_and_the_newest_is_last() -> None:
    older, newer = (proof_path("a/b/c", datetime(2026, 1, day, tzinfo=UTC), "ff") for day in (1, 2))
    assert older == "a/b/c.proof-20260101T000000000000Z-ff.json"
    assert newest_last([newer, "a/b/c.proof.json", older]) == ["a/b/c.proof.json", older, newer]
    assert [proven_backup(path) for path in (older, "a/b/c.proof.json", "a/b/c.json", "a/b/c.proof-x.json")] == [
        "a/b/c",
        "a/b/c",
        None,
        None,
    ]


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[{}]", '[{"at": 1}]'])
def test_what_is_no_list_of_proofs(text: str) -> None:
    with pytest.raises(BackupDamaged):
        proofs_from_json(text)


@pytest.mark.parametrize(
    ("proofs", "proven"),
    [
        ((), False),
        ((proof(),), True),
        ((proof(), proof(verdict=Verdict.DAMAGED, reason="changed")), False),
        ((proof(verdict=Verdict.DAMAGED, reason="changed"), proof()), True),
        ((proof(), proof(verdict=Verdict.UNPROVABLE, reason="no such extension")), True),
        ((proof(verdict=Verdict.UNPROVABLE),), False),
        ((proof(verdict=Verdict.DAMAGED), proof(verdict=Verdict.UNPROVABLE)), False),
        ((proof(sha256="other"),), False),
        ((proof(fingerprint="text-1:20:8"),), False),
        ((proof(rows=21),), False),
    ],
)
def test_only_a_newest_good_proof_of_these_bytes_counts(proofs: tuple[Proof, ...], proven: bool) -> None:
    kept = Kept(backup(), proofs)
    assert (kept.proven is not None) == proven
    assert kept.proven_at == (datetime(2026, 10, 20, 10, tzinfo=UTC) if proven else None)


def test_a_path_says_what_it_is_of() -> None:
    assert backup_id("school", "public.kid_absences", "kid_absences_2024", AT, "a1b2") == (
        "school/public.kid_absences/kid_absences_2024/20261020T093000Z-a1b2"
    )


@pytest.mark.parametrize(
    "name",
    ["..", ".", ".hidden", "a/b", "../../etc", "100%", "a b", "\n", "🧒" * 15, '"' * 63, "~", "a" * 63, "a:b?#[]@"],
)
def test_hostile_names_make_safe_paths(name: str) -> None:
    address = f'"{name.replace(chr(34), chr(34) * 2)}"."{name.replace(chr(34), chr(34) * 2)}"'
    path = backup_id(name, address, name, AT, "a1b2")
    segments = path.split("/")
    assert len(segments) == 4
    assert len(proof_path(path, AT, "ffffff").encode()) < 950
    for segment in segments:
        assert 0 < len(segment) <= 200
        assert not segment.startswith(".")
        assert set(segment) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%")
    assert may_be_of(path, address)
    assert not may_be_of(path, "public.kid_absences")


def test_long_names_that_begin_alike_stay_apart() -> None:
    first, second = (backup_id("d", "p", "🧒" * 62 + end, AT, "t") for end in "ab")
    assert first != second


def test_a_copy_differs_where_it_was_edited() -> None:
    assert replace(backup(), rows=21).to_json() != backup().to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"finished_at": "yesterday"},
        {"started_at": ""},
        {"finished_at": "2026-10-01T08:00:05"},
        {"archived_at": "<b>"},
        {"rows": -1},
        {"bytes": -1},
    ],
    ids=str,
)
def test_what_no_console_writes_is_damaged_before_a_page_says_it(change: dict[str, Any]) -> None:
    with pytest.raises(BackupDamaged, match="moments or figures"):
        Backup.from_json(replace(backup(), **change).to_json())


def test_a_proof_of_no_moment_is_none() -> None:
    with pytest.raises(BackupDamaged):
        proofs_from_json(json.dumps([{**json.loads(proofs_to_json((proof(),)))[0], "at": "x"}]))
