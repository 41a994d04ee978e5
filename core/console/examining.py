"""Examines a table as the Doctor does, with all of the circumstances that only the Desk knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from core.console.alarms.health import read_health
from core.console.failures import CHECK, failures, findings
from core.console.maintained import read_upkeep
from core.doctor.examine import examine as examine_case
from core.doctor.findings import Case, Finding, Severity
from core.errors import DeskError
from core.postgres.own_tables import read_hidden
from core.tables.bounds import Bounds
from core.tables.catalog.powers import read_powers
from core.tables.catalog.rows import count_all_default_rows
from core.tables.catalog.siblings import read_all_equipped
from core.tables.table import PartitionedTable

if TYPE_CHECKING:
    from core.backups.kept import Backups
    from core.console.desk import Desk


def examine(desk: Desk, table: PartitionedTable, backups: Backups | None) -> tuple[Finding, ...]:
    """What the Doctor says of a table, as the role that acts sees it: what is wrong is what that one can't do."""
    reads_as = desk.server().user if desk.apart else None
    acting = desk.acting()
    if desk.apart:
        table = acting.read(table.address)
    unmade_for, sent_by = acting.journal_published()
    powers = None
    if not desk.embedded:
        powers = read_powers(acting.reading, table.oid, archive_schema=desk.archive_schema, reads_as=reads_as)
    case = Case(
        table=table,
        today=desk.today,
        now=desk.now,
        zone=desk.zone,
        cutoff=desk.cutoff,
        equipped=read_all_equipped(acting.reading, table),
        automatic_creation=desk.settings.enable_absence_partitions,
        ids=acting.ids_left(table),
        default_rows=count_all_default_rows(acting.reading, table) if table.default is not None else None,
        default_held=partial(_held_by_default, acting, table),
        verify_before=desk.verify_before,
        backups=backups.kept if backups else None,
        unusable=backups.unusable if backups else (),
        backups_unread=str(backups.unread or "") if backups else "",
        journal_unmade_for=unmade_for,
        journal_sent_by=sent_by,
        powers=powers,
        move=acting.under_way(table),
        alarms=read_health(desk),
        upkeep=read_upkeep(desk),
    )
    found = examine_case(case, with_backups=backups is not None)
    if table.not_served is not None:
        return found
    return with_failures(found, _of_failures(desk, table))


def _held_by_default(desk: Desk, table: PartitionedTable, bounds: Bounds) -> int:
    """How many rows of a range the DEFAULT partition holds; none where they can't be counted just now."""
    try:
        return desk.default_rows(table, (bounds,))
    except DeskError:
        return 0


def with_failures(found: Iterable[Finding], failed: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings with those of failures in the place of what was found of them before."""
    every = (*(one for one in found if one.check != CHECK), *failed)
    return tuple(sorted(every, key=lambda finding: -finding.severity.rank))


def _of_failures(desk: Desk, table: PartitionedTable) -> Iterator[Finding]:
    """What failed and waits for somebody; a role that may not read the journal is told that it doesn't know."""
    hidden = read_hidden(desk.reading)
    if hidden is None:
        yield from findings(failures(desk, table.address))
    else:
        yield Finding(CHECK, Severity.NOTE, "Whether an operation failed is unknown", hidden.what, hint=hidden.next)
