"""What was detached, what is being detached, and what is due to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from core.doctor.findings import FEW, Case, Finding, Severity, archive_fine, one_line, planned, script
from core.names import comment_sql, fit, ident
from core.period import period_of
from core.plans.archive import plan_archive
from core.plans.obstacles import attach_obstacles
from core.plans.plan import Plan
from core.tables.archived import Archived
from core.tables.commands import twin
from core.tables.partition import Partition
from core.tables.retention import due
from core.tables.structure import Index
from core.text import human_bytes, human_date, listed, plural


def detach_pending(case: Case) -> Iterator[Finding]:
    """CRITICAL: the rows are out of sight, inserts fail, and some statements crash the server."""
    table, pending = case.table, case.table.pending
    if pending is None:
        yield Finding("detach_pending", Severity.OK, "No detach is pending")
        return
    reason = (
        f"Reads through {table.label} no longer see its rows, and inserts for its range fail."
        " Add no column to the table before the detach is finished: it could not be finished then."
    )
    identity = [column.name for column in table.columns if column.identity]
    if identity and table.server.crashes_on_pending_identity:
        reason += (
            f" Let nobody insert straight into {pending.name} and leave {identity[0]} to its default:"
            f" PostgreSQL {table.server.major} can crash on it, with every session."
        )
    found = Finding(
        "detach_pending",
        Severity.CRITICAL,
        f"The detach of {pending.name} was begun and not finished",
        reason,
        subject=table.called(pending),
    )
    yield planned(found, f"Finish archiving {pending.name}", lambda: _archive(case, table.called(pending)))


def _archive(case: Case, name: str) -> Plan:
    return plan_archive(case.table, name, now=case.now, zone=case.zone)


def half_archived(case: Case) -> Iterator[Finding]:
    """WARNING for a table of ours that stands outside the archive schema, or whose bounds are not proven."""
    found = [a for a in case.table.archived if a.tag is not None and (_misplaced(case, a) or _unproven(case, a))]
    for number, archived in enumerate(found):
        yield _half(case, archived, planning=number < FEW)
    if not found:
        yield archive_fine(case, "half_archived", "Every archive that was begun is complete: {}")


def _misplaced(case: Case, archived: Archived) -> bool:
    return archived.schema != case.table.archive.name


def _unproven(case: Case, archived: Archived) -> bool:
    check = archived.bounds_check(case.key)
    return check is not None and not check.validated


def _half(case: Case, archived: Archived, *, planning: bool) -> Finding:
    lacks = (
        f"It is detached, and still stands in the schema {archived.schema}."
        if _misplaced(case, archived)
        else "Its bounds are written on it and not proven, so that reattaching it would read every row."
    )
    found = Finding(
        "half_archived",
        Severity.WARNING,
        f"The archive of {archived.name} was interrupted",
        lacks,
        subject=case.called(archived),
    )
    if case.called(archived) != archived.name:
        rename = f"ALTER TABLE {archived.sql} RENAME TO {ident(fit(archived.name, '_archived'))}"
        return replace(
            found,
            reason=f"{lacks} Another table has the same name.",
            hint=f"-- Give it another name, then look here again:\n{script(rename)}",
        )
    if not planning:
        return replace(found, hint=f"To finish it: {twin('archive', case.table, case.called(archived))}")
    return planned(found, f"Finish archiving {archived.name}", lambda: _archive(case, archived.name))


def archived_columns(case: Case) -> Iterator[Finding]:
    """WARNING for each archived table whose shape keeps it from being reattached."""
    found = [(a, reasons) for a in case.table.archived if (reasons := attach_obstacles(case.table, a))]
    for archived, reasons in found:
        yield Finding(
            "archived_columns",
            Severity.WARNING,
            f"{archived.schema}.{archived.name} no longer matches {case.table.name}: it could not be reattached",
            "PostgreSQL attaches a table only if its columns, constraints and owner match.",
            hint="\n".join(str(reason) for reason in reasons),
            subject=case.called(archived),
        )
    if not found:
        yield archive_fine(case, "archived_columns", "The columns of {} match the table's")


def archived_ranges(case: Case) -> Iterator[Finding]:
    """WARNING for an archived table of which nothing tells which range it held."""
    column = case.key.sql
    unknown = [a for a in case.table.archived if a.bounds is None]
    for archived in unknown:
        yield Finding(
            "archived_ranges",
            Severity.WARNING,
            f"Nothing tells which range {archived.schema}.{archived.name} held",
            "It has no tag of the console, no CHECK of its range and no period in its name: it can't be reattached.",
            hint="-- See what it holds, then write its range down with its own ends in place of the dots:\n"
            f"SELECT min({column}), max({column}) FROM {archived.sql};\n"
            f"ALTER TABLE {archived.sql} ADD CHECK ({column} >= '...' AND {column} < '...');",
            subject=case.called(archived),
        )
    if not unknown:
        yield archive_fine(case, "archived_ranges", "The range of {} is known")


def archived_indexes(case: Case) -> Iterator[Finding]:
    """NOTE for an archived table that lacks an index of the parent; reattaching builds it."""
    found = [(a, lacking) for a in case.table.archived if (lacking := _lacking(case, a))]
    for archived, lacking in found:
        columns = listed(f"({', '.join(index.columns)})" for index in lacking)
        yield Finding(
            "archived_indexes",
            Severity.NOTE,
            f"{archived.schema}.{archived.name} lacks an index of the table: {columns}",
            "Reattaching builds it first, while reads and writes go on; it takes longer for that.",
            hint=f"Nothing needs doing before: {twin('reattach', case.table, case.called(archived))}",
            subject=case.called(archived),
        )
    if not found:
        yield archive_fine(case, "archived_indexes", "Every index of the table is on {}")


def _lacking(case: Case, archived: Archived) -> tuple[Index, ...]:
    own = {index.shape for index in archived.indexes if index.valid}
    return tuple(index for index in case.table.indexes if index.shape not in own)


def archive_schema(case: Case) -> Iterator[Finding]:
    """WARNING when every role of the database may look into the archive schema."""
    archive = case.table.archive
    if not archive.exists:
        title = f"The schema {archive.name} is made, closed to the public, with the first archive"
        yield Finding("archive_schema", Severity.OK, title)
    elif archive.open_to_public:
        yield Finding(
            "archive_schema",
            Severity.WARNING,
            f"The schema {archive.name} is open to every role of the database",
            "Archived rows lie there without the table's row security.",
            hint=_close(case),
        )
    else:
        yield Finding("archive_schema", Severity.OK, f"The schema {archive.name} is closed to the public")


def _close(case: Case) -> str:
    """How the archive is closed; what else lives in the schema would be closed with it."""
    archive = case.table.archive
    if archive.name in (case.table.schema, "public"):
        return (
            "Let archived tables have a schema of their own: PARTITION_DESK_ARCHIVE_SCHEMA=archive. Closing"
            f" {archive.name} would close it to everybody who uses other tables in it."
        )
    return "-- Who reads other tables in it by what PUBLIC was granted needs a grant of his own first:\n" + script(
        f"REVOKE ALL ON SCHEMA {ident(archive.name)} FROM PUBLIC"
    )


def due_for_archive(case: Case) -> Iterator[Finding]:
    """NOTE with how many partitions are due and how large; the fix archives the oldest."""
    found = due(case.table, case.cutoff, case.today, case.zone)
    if not found:
        title = f"No partition is due for archive: none ended by {human_date(case.cutoff)}"
        yield Finding("due_for_archive", Severity.OK, title)
        return
    oldest = found[0]
    size = human_bytes(sum(p.size.total for p in found if p.size))
    note = Finding(
        "due_for_archive",
        Severity.NOTE,
        f"Due for archive: {plural(len(found), 'partition')}, oldest {_period_of(oldest, case.zone)}",
        f"{listed(p.name for p in found)}, {size}, ended by {human_date(case.cutoff)}. Nothing archives by itself.",
        subject=case.called(oldest),
    )
    yield planned(note, f"Archive {oldest.name}", lambda: _archive(case, case.called(oldest)))


def _period_of(one: Partition, zone: str) -> str:
    """What people call it: 2021; its name where that is no period of the calendar."""
    dates = one.bounds.dates(zone) if one.bounds is not None else None
    period = period_of(*dates) if dates is not None else None
    return one.name if dates is None or period is None else period.label(dates[0]).replace("_", "-")


def strays(case: Case) -> Iterator[Finding]:
    """WARNING for each archived table whose mark means a table that is no longer there."""
    table = case.table
    for stray in table.strays:
        of = stray.tag.address if stray.tag else "?"
        yield Finding(
            "strays",
            Severity.WARNING,
            f"{stray.schema}.{stray.name} is of a table that is no longer there: {of}",
            "Nobody is told of its rows when they are looked for elsewhere, and it can't be reattached."
            + (" The drop that is planned for it will not take place." if stray.drop else ""),
            hint=f"-- If it came from {one_line(table.label)}, which had another name then, say so:\n"
            + script(_adopt(case, stray)),
        )
    if not table.strays:
        yield Finding("strays", Severity.OK, "Every archived table that is marked has its table")


def _adopt(case: Case, stray: Archived) -> str:
    """The statement that makes it an archived table of this one."""
    table, tag = case.table, stray.tag
    if tag is None:
        raise ValueError(f"{stray.sql} has no mark")
    named = replace(tag, parent=table.sql, oid=table.oid, cluster=table.server.cluster, key=tag.key or case.key.column)
    return comment_sql(stray.sql, replace(stray.marks, tag=named, drop=None).beside(stray.comment))
