"""Examines a table and says what is right with it, what is not, why that matters, and what puts it right.

Each check is one function of `CHECKS`, named for what it looks at. It yields its faults, or one finding that is OK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.doctor.checks import (
    alarms,
    archived,
    backups,
    coverage,
    leftovers,
    overlaps,
    powers,
    replication,
    rules,
    server,
    shape,
    siblings,
    upkeep,
)
from core.doctor.findings import Case, Finding, Severity
from core.tables.commands import option
from core.tables.table import PartitionedTable


def examine(case: Case, *, with_backups: bool = True) -> tuple[Finding, ...]:
    """Every check's findings, most severe first, else in the order of CHECKS.

    Without `with_backups` those are left out that have nothing to say before the place of the backups was read. A
    table that is not served has one finding, that it is not.
    """
    if case.table.not_served is not None or case.table.key is None:
        return (_unserved(case.table),)
    checks = CHECKS if with_backups else tuple(check for check in CHECKS if check not in OF_THE_PLACE)
    found = [finding for check in checks for finding in check(case)]
    return tuple(sorted(found, key=lambda finding: -finding.severity.rank))


def _unserved(table: PartitionedTable) -> Finding:
    """CRITICAL for a plain table, which should be partitioned; NOTE for one that is partitioned in another way."""
    if table.strategy == "plain":
        return Finding(
            "partitioned",
            Severity.CRITICAL,
            f"{table.label} is a plain table: it is not partitioned",
            "Nothing of it can be archived by period, and nothing can be created ahead.",
            hint="Run: alembic upgrade head. It turns a plain kid_absences into a partitioned one with all its rows.",
        )
    return Finding(
        "partitioned",
        Severity.NOTE,
        f"{table.label} is only shown here",
        f"The console does not act on it: {table.not_served}. {table.limits}".strip(),
        hint="\n".join(f"Run: partitions doctor {option('--table', one)}" for one in table.branch_tables)
        or "Tables partitioned by RANGE are served.",
    )


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    coverage.partitioned,
    coverage.current_period,
    coverage.next_period,
    archived.detach_pending,
    coverage.gaps,
    overlaps.overlaps,
    coverage.default_partition,
    leftovers.leftovers,
    archived.half_archived,
    archived.strays,
    archived.archived_columns,
    archived.archived_ranges,
    archived.archived_indexes,
    archived.archive_schema,
    archived.due_for_archive,
    rules.maintained,
    backups.backed_up,
    backups.proven,
    backups.unusable_backups,
    backups.planned_drops,
    backups.holds,
    siblings.siblings,
    upkeep.other_tools,
    shape.invalid_indexes,
    shape.unique_constraint,
    shape.key_index,
    shape.unlogged,
    shape.never_analyzed,
    replication.journal_published,
    replication.partitions_published,
    shape.sequences,
    server.privileges,
    server.owners,
    powers.powers,
    powers.others,
    server.writable,
    server.server_version,
    server.time_zone,
    server.automatic_creation,
    alarms.alarms,
)
"""Every check, in the order in which equally severe findings are shown."""

OF_THE_PLACE = (backups.backed_up, backups.proven, backups.unusable_backups)
"""Those that say nothing before the place of the backups was read."""
