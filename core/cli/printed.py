"""What the command line prints: plans, outcomes, tables, findings, rows and history, as text and as JSON."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import URL

from core.console.journal import OperationRecord
from core.doctor.findings import Finding, Severity
from core.names import qualified
from core.plans.manifest import Kept, Unreadable
from core.plans.operation import Operation
from core.plans.plan import Plan
from core.postgres.embedded import DEFAULT_MAJOR, server_binaries
from core.tables.archived import Archived
from core.tables.bounds import Bounds
from core.tables.commands import table_option
from core.tables.coverage import UNLIMITED, runway_days, unexplained_gaps
from core.tables.find import Found
from core.tables.key import End
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import Json, aligned, human_bytes, human_date, human_rows, human_seconds, human_time, plural, shown

# Acts -----------------------------------------------------------------------------------------


def script(plan: Plan) -> str:
    """The plan as a script for psql, what it means in comments."""
    if not plan.steps:
        return f"-- Nothing to do: {shown(plan.table)} has all of it. Nothing was changed."
    comments = [
        f"{plan.operation} {plan.subject}, table {plan.table}. This is a dry run: nothing was changed.",
        *plan.effects,
        *(f"Note: {warning}" for warning in plan.warnings),
        *(f"Locks {lock.relation}: {lock.mode} ({lock.mode.meaning})" for lock in plan.locks),
    ]
    return "\n".join([*(f"-- {shown(comment)}" for comment in comments), "", plan.sql])


_PROVEN = "It was restored elsewhere: its rows, fingerprint, columns and bounds are those of its manifest."


def outcome(plan: Plan, done: OperationRecord | None, place: str) -> str:
    if not plan.steps:
        if plan.operation in (Operation.HOLD, Operation.SCHEDULE):
            return f"Nothing to do: {shown(plan.subject)} is so already."
        return f"Nothing to do: {shown(plan.table)} has all of it already."
    number = f"operation {done.id}, " if done else ""
    took = human_seconds(done.seconds) if done else "no time"
    what = f"{plan.operation} {plan.subject}"
    if plan.operation in (Operation.HOLD, Operation.SCHEDULE):  # or the opposite of their names
        title = plan.steps[0].title
        what = f"{title[:1].lower()}{title[1:]}"
    head = f"Done: {what} in {place} ({number}took {took})."
    effects = (_PROVEN,) if plan.operation is Operation.VERIFY else plan.effects
    lines = [head, *effects, *(f"Note: {warning}" for warning in plan.warnings), plan.way_back]
    return "\n".join(shown(line) for line in lines if line)


_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def by_hand(schema: str, name: str, where: str = '"$DATABASE_URL"', programs: str = "") -> tuple[str, str, str]:
    """Backup, upload and drop of an archived table as commands for a shell, for who does it without the console.

    The dump is read back whole before it is uploaded: a listing succeeds on a truncated file. `where` is the address
    as a word of a shell, `programs` the folder of pg_dump where it is not in PATH.
    """
    simple = _PLAIN.fullmatch(schema) and _PLAIN.fullmatch(name)
    relation = f"{schema}.{name}" if simple else qualified(schema, name)
    file = re.sub(r"[^\w.-]+", "_", name).lstrip("-") + ".dump"
    return (
        f"{programs}pg_dump --format=custom --table={shlex.quote(relation)} --file={file} {where}",
        f"{programs}pg_restore --file=/dev/null {file} && aws s3 cp {file} s3://your-bucket/archives/",
        f"psql {where} --command={shlex.quote(f'DROP TABLE {relation}')}",
    )


def next_steps(name: str, schema: str, url: URL, *, embedded: bool) -> str:
    """What to do with an archived table: back up, upload, drop."""
    programs = shlex.quote(f"{server_binaries(DEFAULT_MAJOR)}/") if embedded else ""
    backup, upload, drop = by_hand(schema, name, shlex.quote(without_password(url)), programs)
    lines = (
        "",
        "Next steps, if its rows are to leave the database:",
        "",
        "# Create a backup (pg_dump must be at least as new as the server)",
        backup,
        "",
        "# Read it back whole, then upload it",
        upload,
        "",
        "# Drop it from the database, after the backup was tried",
        drop,
    )
    return "\n".join(shown(line) for line in lines)


def without_password(url: URL) -> str:
    """The address for libpq's programs, which ask for the password or find it in PGPASSWORD or ~/.pgpass."""
    query = {name: value for name, value in url.query.items() if name not in ("password", "sslpassword")}
    bare = URL.create(
        "postgresql", username=url.username, host=url.host, port=url.port, database=url.database, query=query
    )
    return bare.render_as_string()


# A table --------------------------------------------------------------------------------------


def status_json(table: PartitionedTable, today: date, zone: str) -> Json:
    """What `status --json` prints."""
    runway = _runway(table, today, zone)
    return {
        "database": table.server.database,
        "server_version": table.server.version,
        "table": table.address,
        "key": table.key.column if table.key and table.not_served is None else None,
        "as_of": table.as_of.isoformat(timespec="seconds"),
        "runway_days": runway,
        "partitions": [_item_json(item) for item in _items(table)],
        "gaps": [{"lower": gap.lower.isoformat(), "upper": gap.upper.isoformat()} for gap in unexplained_gaps(table)],
    }


def _runway(table: PartitionedTable, today: date, zone: str) -> int | None:
    """Days until a date has no partition; None where that is never, or the table is only shown."""
    if table.key is None or table.not_served is not None:
        return None
    days = runway_days(table, today, zone)
    return None if days == UNLIMITED else days


def _items(table: PartitionedTable) -> tuple[Partition | Archived, ...]:
    """Partitions and archived tables by their lower ends, the DEFAULT and what has no known bounds last."""
    return tuple(sorted((*table.partitions, *table.archived), key=_order))


def _order(item: Partition | Archived) -> tuple[int, str, str]:
    bounds = item.bounds
    if bounds is None or bounds.is_default:
        return (2 if bounds is None else 3), "", item.name
    return (1 if bounds.lower else 0), (bounds.lower.isoformat() if bounds.lower else ""), item.name


def _ends(bounds: Bounds | None) -> tuple[End | None, End | None]:
    return (None, None) if bounds is None else (bounds.lower, bounds.upper)


def _item_json(item: Partition | Archived) -> Json:
    lower, upper = _ends(item.bounds)
    size = item.size
    return {
        "schema": item.schema,
        "name": item.name,
        "state": item.state.value,
        "is_default": isinstance(item, Partition) and item.is_default,
        "lower": lower.isoformat() if lower else None,
        "upper": upper.isoformat() if upper else None,
        "heap_bytes": size.heap if size else None,
        "index_bytes": size.index if size else None,
        "toast_bytes": size.toast if size else None,
        "total_bytes": size.total if size else None,
        "rows_estimate": item.rows,
    }


def status_text(table: PartitionedTable, today: date, zone: str, place: str) -> str:
    """What `status` prints."""
    by = f"by {table.strategy.upper()}" + (f" ({table.key.column})" if table.key else "")
    how = "not partitioned" if table.strategy == "plain" else f"partitioned {by}"
    lines = [
        *_verdict(table, today, zone),
        f"{table.label} in {place}, PostgreSQL {table.server.version}, {how}, {human_time(table.as_of)}.",
    ]
    lines = [shown(line) for line in lines]
    if table.partitions or table.archived:
        head = ("partition", "state", "from", "up to", "rows", "heap", "indexes", "TOAST", "total")
        lines += ["", *aligned(head, [_cells(item, table.schema) for item in _items(table)], numbers=5)]
        lines += ["", "Rows are the server's estimates; the upper date of a range is the first one not in it."]
    return "\n".join(lines)


def _verdict(table: PartitionedTable, today: date, zone: str) -> Iterator[str]:
    if table.key is None or table.not_served is not None:
        yield f"{table.label} is only shown here: {table.not_served}."
        return
    days = runway_days(table, today, zone)
    if days == UNLIMITED:
        yield "Everything has a place, without end."
    elif days:
        yield f"Everything has a place until {human_date(today + timedelta(days))}, in {plural(days, 'day')}."
    else:
        lands = f"rows land in the DEFAULT partition {table.default.name}" if table.default else "new rows fail"
        run = f" Run: partitions ensure{table_option(table)}" if table.unit(zone) else ""
        yield f"No partition holds today, {human_date(today)}: {lands}.{run}"
    for gap in unexplained_gaps(table):
        yield f"No partition holds {gap.lower} up to, not including, {gap.upper}."
    if table.pending is not None:
        name = shlex.quote(table.called(table.pending))
        yield (
            f"The detach of {table.pending.name} was begun and not finished; its rows are out of the table's sight."
            f" Run: partitions archive --partition {name}{table_option(table)}"
        )


def _cells(item: Partition | Archived, home: str) -> tuple[str, ...]:
    lower, upper = _ends(item.bounds)
    name = item.name if item.schema == home else f"{item.schema}.{item.name}"
    if item.bounds is None:
        ends = ("unknown", "unknown")
    elif item.bounds.is_default:
        ends = ("DEFAULT", "")
    else:
        ends = (str(lower) if lower else "unbounded", str(upper) if upper else "unbounded")
    size = item.size
    parts = (size.heap, size.index, size.toast, size.total) if size else (None,) * 4
    state = item.state.value.replace("_", " ")
    return (shown(name), state, *ends, human_rows(item.rows), *(human_bytes(part) for part in parts))


# Backups --------------------------------------------------------------------------------------


def kept_json(kept: Kept) -> Json:
    """One backup as `backups --json` prints it."""
    backup = kept.backup
    return {
        "id": backup.id,
        "database": backup.database,
        "table": backup.parent,
        "name": backup.name,
        "bounds": backup.bounds,
        "rows": backup.rows,
        "bytes": backup.bytes,
        "fingerprint": backup.fingerprint,
        "sha256": backup.sha256,
        "server_version": backup.server_version,
        "finished_at": backup.finished_at,
        "actor": backup.actor,
        "reason": backup.reason,
        "proven": kept.proven is not None,
        "proven_at": kept.proven_at.isoformat() if kept.proven_at else None,
        "last_try": _last_try(kept),
    }


def _last_try(kept: Kept) -> Json | None:
    if not kept.proofs:
        return None
    last = kept.proofs[-1]
    return {"at": last.at, "good": last.good, "reason": last.reason or None, "actor": last.actor}


def kept_text(found: Sequence[Kept], unreadable: Sequence[Unreadable], place: str, *, others: int = 0) -> str:
    """What `backups` prints; `others` are backups of other tables, which are not among `found`."""
    more = f"Of other tables there are {others:,} more: partitions backups --every"
    if not found and not unreadable:
        return f"No backup{' of this table' if others else ''} lies in {shown(place)}." + (f" {more}" if others else "")
    head = ("partition", "made", "last proof", "backup", "rows", "size")
    rows = [
        (
            shown(k.backup.name),
            f"{datetime.fromisoformat(k.backup.finished_at):%Y-%m-%d %H:%M} UTC",
            _proof_text(k),
            shown(k.backup.id),
            human_rows(k.backup.rows),
            human_bytes(k.backup.bytes),
        )
        for k in found
    ]
    lines = aligned(head, rows, numbers=2) if rows else []
    total = f"{plural(len(found), 'backup')} in {place}, {human_bytes(sum(k.backup.bytes for k in found))}."
    return "\n".join(
        [
            *lines,
            *(["", shown(total)] if rows else []),
            *([more] if others else []),
            *(shown(f"Not usable: {one.path}: {one.reason}") for one in unreadable),
        ]
    )


def _proof_text(kept: Kept) -> str:
    if kept.proven_at is not None:
        return f"{kept.proven_at:%Y-%m-%d}"
    return "failed" if kept.proofs else "never"


# Findings, rows and history -------------------------------------------------------------------


def finding_json(finding: Finding) -> Json:
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "subject": finding.subject,
        "title": finding.title,
        "reason": finding.reason,
        "hint": finding.hint,
        "command": finding.fix.command if finding.fix else None,
        "sql": finding.fix.sql if finding.fix else None,
    }


def findings_text(table: PartitionedTable, findings: Sequence[Finding]) -> str:
    wrong = [finding for finding in findings if finding.severity is not Severity.OK]
    right = len(findings) - len(wrong)
    lines = [f"{table.label}: {plural(len(wrong), 'finding')}; {plural(right, 'check')} found nothing wrong."]
    for finding in findings:
        lines.append(f"{finding.severity.value.upper():8}  {finding.title}")
        if finding.severity is Severity.OK:
            continue
        remedy = f"Run: {finding.fix.command}" if finding.fix else finding.hint
        lines += [f"          {part}" for text in (finding.reason, remedy) for part in text.splitlines()]
    return "\n".join(shown(line) for line in lines)


def found_json(found: Found) -> Json:
    return {
        "date": found.day.isoformat(),
        "kid_id": found.kid_id,
        "verdict": found.verdict,
        "places": [
            {
                "kind": place.kind.value,
                "relation": place.relation or None,
                "bounds": place.bounds or None,
                "rows": place.rows,
                "note": place.note,
                "problem": place.problem or None,
            }
            for place in found.places
        ],
    }


def found_text(found: Found) -> str:
    lines = [shown(found.verdict)]
    if found.places:
        head = ("where", "kind", "bounds", "rows")
        cells = [
            (shown(p.relation) or "nowhere", p.kind.value.replace("_", " "), shown(p.bounds), human_rows(p.rows))
            for p in found.places
        ]
        lines += ["", *aligned(head, cells, numbers=1)]
    return "\n".join(lines)


def operation_json(operation: OperationRecord) -> Json:
    started, finished = operation.started_at, operation.finished_at
    return {
        "id": operation.id,
        "table": operation.table,
        "kind": operation.kind,
        "subject": operation.subject,
        "state": operation.state.value,
        "step": operation.step,
        "steps": operation.steps,
        "tries": operation.tries,
        "actor": operation.actor,
        "role": operation.role,
        "origin": operation.origin,
        "reason": operation.reason,
        "requested_at": operation.requested_at.isoformat(),
        "started_at": started.isoformat() if started else None,
        "finished_at": finished.isoformat() if finished else None,
        "seconds": operation.seconds,
        "error": operation.error or None,
        "sqlstate": operation.sqlstate or None,
        "sql": operation.plan.sql,
    }


def history_text(operations: Sequence[OperationRecord]) -> str:
    if not operations:
        return "Nothing was done here yet."
    head = ("what", "table", "state", "who", "from", "asked for", "id", "took")
    rows = [
        (
            shown(f"{o.kind} {o.subject}"),
            shown(o.table),
            o.state.value,
            shown(o.actor),
            o.origin,
            f"{o.requested_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            str(o.id),
            human_seconds(o.seconds) if o.finished_at else "",
        )
        for o in operations
    ]
    table = aligned(head, rows, numbers=2)
    lines = [table[0]]
    for operation, row in zip(operations, table[1:], strict=True):
        lines.append(row)
        lines += [f"  {shown(said)}" for said in (operation.reason, operation.error) if said]
    return "\n".join(lines)
