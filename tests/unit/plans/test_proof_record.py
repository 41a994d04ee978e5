"""The record of a proof: what it says, what of it can be changed unseen, and the program in README that checks it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import BackupDamaged, NotVerified
from core.plans.proof import Kept, Verdict
from core.plans.proof_record import check, record_of
from core.seal import Seal
from tests.desks import KEY, SEAL
from tests.unit.cold_factories import backup, proof

README = Path(__file__).parents[3] / "README.md"
KEPT = Kept(backup(), (proof(),), manifest_sha256="cd" * 32)


def changed(**parts: dict[str, Any]) -> str:
    record = json.loads(record_of(KEPT, SEAL))
    for part, values in parts.items():
        record[part] |= values
    return json.dumps(record)


def test_it_says_what_was_proven_when_and_by_which_versions() -> None:
    found = json.loads(record_of(KEPT, SEAL))
    assert found["backup"]["table"] == "public.kid_absences"
    assert (found["backup"]["manifest_sha256"], found["backup"]["object_sha256"]) == ("cd" * 32, "ab" * 32)
    assert (found["proof"]["verdict"], found["proof"]["server_version"]) == ("proven", "18.4")
    checked = check(record_of(KEPT, SEAL), SEAL)
    assert checked.proven
    assert "was proven on 2026-10-20T10:00:00+00:00 by Ada: 20 rows, PostgreSQL 18.4." in checked.said


def test_of_one_that_was_found_damaged_it_says_so() -> None:
    bad = proof(verdict=Verdict.DAMAGED, reason="Its bytes were changed.", rows=None, fingerprint="")
    checked = check(record_of(replace(KEPT, proofs=(*KEPT.proofs, bad)), SEAL), SEAL)
    assert not checked.proven
    assert "was found damaged" in checked.said
    assert checked.said.endswith("Its bytes were changed.")
    other = check(record_of(replace(KEPT, proofs=(proof(fingerprint="text-1:20:8"),)), SEAL), SEAL)
    assert not other.proven


@pytest.mark.parametrize("proofs", [(), (proof(verdict=Verdict.UNPROVABLE, reason="No server."),)])
def test_there_is_none_of_what_was_not_proven(proofs: tuple[Any, ...]) -> None:
    with pytest.raises(NotVerified, match="there is no proof of it to be told of"):
        record_of(replace(KEPT, proofs=proofs), SEAL)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed(proof={"at": "2027-01-01T00:00:00+00:00"}), "differs from its own digest"),
        (changed(backup={"rows": 21}), "differs from its own digest"),
        (record_of(KEPT, Seal(b"the key of somebody else")), "no seal of this console's key"),
        ("{", "not JSON"),
        ("[]", "no record of a proof"),
        ('{"record": 1}', "no record of a proof"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_any_other_is_refused(text: str, said: str) -> None:
    with pytest.raises(BackupDamaged, match=said):
        check(text, SEAL)


def test_without_the_key_the_digest_alone_is_checked_and_that_is_said() -> None:
    with pytest.raises(NotVerified, match="which anybody can compute"):
        check(record_of(KEPT, SEAL), None)
    with pytest.raises(BackupDamaged, match="differs from its own digest"):
        check(changed(backup={"rows": 21}), None)


def test_the_program_in_readme_checks_it(tmp_path: Path) -> None:
    programs = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (program,) = (one for one in programs if "record of a proof" in one)
    text = "\n".join(line.removeprefix("  ") for line in program.splitlines())
    file = tmp_path / "record.json"

    def said(record: str) -> str:
        file.write_text(record)
        command = [sys.executable, "-I", "-c", text, str(file)]
        return subprocess.run(
            command, env={"PARTITION_DESK_KEY": KEY}, check=True, capture_output=True, text=True
        ).stdout.strip()

    kept = replace(KEPT, backup=backup(name="größe"))
    assert said(record_of(kept, SEAL)) == "digest True seal True"
    assert said(record_of(kept, Seal(b"the key of somebody else"))) == "digest True seal False"
    assert said(changed(backup={"rows": 21})) == "digest False seal False"
