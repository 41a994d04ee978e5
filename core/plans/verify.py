"""Verify: the plan that proves a backup."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from core.plans.manifest import Backup
from core.plans.operation import Danger, Operation, Sources
from core.plans.plan import Plan, Step
from core.plans.proof import Kept
from core.tables.commands import backup_twin
from core.text import human_bytes, plural, shell_word

VERIFY = Operation(
    "verify", "Verify", "verifying", Danger.CLICK, counts_rows=False, moves_files=True, told_apart_by="backup"
)


@dataclass(frozen=True, slots=True)
class Verify:
    """That a backup is proven, or found to be none."""

    operation: ClassVar = VERIFY
    kept: Kept

    def plan(self, desk: Sources) -> Plan:
        """Reads nothing but the name of the place."""
        return replace(plan_verify(self.kept.backup, desk.backup_place), place=desk.backup_place)


def plan_verify(backup: Backup, place_label: str) -> Plan:
    """A plan that fetches a backup and restores it into a PostgreSQL of its own, which is thrown away afterwards."""
    source = shell_word(f"{place_label.rstrip('/')}/{backup.object}")
    return Plan(
        operation=VERIFY,
        table=backup.parent,
        subject=backup.name,
        basis=(),
        steps=(
            Step(
                f"Restore the backup of {backup.name} elsewhere and compare it",
                (
                    f"sha256sum {source}  # {backup.sha256}",
                    f"zstd -dc {source} | psql -v ON_ERROR_STOP=1 throwaway",
                ),
                transactional=False,
            ),
        ),
        effects=(
            f"{human_bytes(backup.bytes)} are fetched from {place_label} and their checksum is compared.",
            "They are restored into a PostgreSQL of its own, which is removed afterwards; the server is not touched.",
            f"Its {plural(backup.rows, 'row')}, their fingerprint, the columns and the bounds have to be those of the"
            " manifest. What was found is written beside the backup.",
        ),
        way_back="Nothing on the server is changed.",
        command=backup_twin("verify", backup.id),
        backup=backup.id,
    )
