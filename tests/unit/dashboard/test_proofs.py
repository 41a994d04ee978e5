"""The calendar of proofs, and the file of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from core.plans.proof import Kept, Proof, Verdict
from dashboard.growth.tables import as_csv
from dashboard.lifecycle.proofs import by_month, listed
from tests.unit.cold_factories import backup

TODAY = date(2026, 11, 30)
PROOF = Proof("2026-11-02T01:00:00+00:00", "Ada", Verdict.PROVEN, "", 5, "1:2", "ab", "18.4", 1.0)


def kept(*proofs: Proof) -> Kept:
    return Kept(backup(), proofs, tried=proofs)


def test_every_proof_of_the_last_twelve_months_is_counted() -> None:
    every = (
        kept(PROOF, replace(PROOF, at="2026-11-29T01:00:00+00:00"), replace(PROOF, at="2025-12-01T00:00:00+00:00")),
        kept(replace(PROOF, at="2025-11-30T23:59:59+00:00"), replace(PROOF, verdict=Verdict.UNPROVABLE)),
    )
    found = by_month(every, TODAY)
    assert {one: number for one, number in found.items() if number} == {
        ("Nov 2026", Verdict.PROVEN): 2,
        ("Dec 2025", Verdict.PROVEN): 1,
        ("Nov 2026", Verdict.UNPROVABLE): 1,
    }
    assert len(found) == 24  # no row of damage where there was none
    assert [month for month, _ in by_month((), TODAY)][::11] == ["Dec 2025", "Nov 2026"]


def test_the_file_has_each_newest_first_and_no_formula() -> None:
    bad = replace(PROOF, at="2026-11-03T01:00:00+00:00", verdict=Verdict.DAMAGED, reason="=cmd|' /C calc'!A0")
    lines = as_csv(listed((kept(PROOF, bad),))).decode("utf-8-sig").splitlines()
    assert [line.partition(",")[0] for line in lines] == ["at", bad.at, PROOF.at]
    assert "damaged,'=cmd" in lines[1] or "damaged,\"'=cmd" in lines[1]
