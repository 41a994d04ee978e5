"""Examines a table and says what is right with it, what is not, why that matters, and what puts it right.

Each check is one function of `CHECKS`, named for what it looks at. It yields its faults, or one finding that is OK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime

from core.doctor.checks import archived, backups, coverage, server, shape
from core.doctor.findings import Case, Finding, Severity
from core.plans.manifest import Kept, Unreadable
from core.tables.table import PartitionedTable


def examine(
    table: PartitionedTable,
    *,
    today: date,
    now: datetime,
    cutoff: date,
    automatic_creation: bool,
    default_rows: int | None = None,
    zone: str = "UTC",
    kept: tuple[Kept, ...] | None = (),
    unusable: tuple[Unreadable, ...] = (),
    backups_unread: str = "",
    verify_before: date = date.min,
) -> tuple[Finding, ...]:
    """Every check's findings, most severe first, else in the order of CHECKS.

    `cutoff`: partitions wholly before it are due for archive. `default_rows`: how many rows the DEFAULT partition
    holds in all, None where nobody counted. `kept`: the backups of this table, None where their place could not be
    read, for the reason `backups_unread`; `unusable`: what lies there and can't be used. `verify_before`: a backup
    not proven since is told of. A table that is not served has one finding, that it is not.
    """
    if table.not_served is not None or table.key is None:
        return (_unserved(table),)
    case = Case(
        table=table,
        key=table.key,
        today=today,
        now=now,
        zone=zone,
        cutoff=cutoff,
        automatic_creation=automatic_creation,
        default_rows=default_rows,
        verify_before=verify_before,
        backups=kept,
        unusable=unusable,
        backups_unread=backups_unread,
    )
    found = [finding for check in CHECKS for finding in check(case)]
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
        f"The console does not act on it: {table.not_served}.",
        hint="Tables partitioned by RANGE on one date or timestamp column are served.",
    )


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    coverage.partitioned,
    coverage.current_period,
    coverage.next_period,
    archived.detach_pending,
    coverage.gaps,
    coverage.overlaps,
    coverage.default_partition,
    coverage.leftovers,
    archived.half_archived,
    archived.archived_columns,
    archived.archived_ranges,
    archived.archived_indexes,
    archived.archive_schema,
    archived.due_for_archive,
    backups.backed_up,
    backups.proven,
    backups.unusable_backups,
    backups.planned_drops,
    backups.holds,
    shape.invalid_indexes,
    shape.unique_constraint,
    shape.key_index,
    shape.never_analyzed,
    server.privileges,
    server.owners,
    server.writable,
    server.server_version,
    server.time_zone,
    server.automatic_creation,
)
"""Every check, in the order in which equally severe findings are shown."""
