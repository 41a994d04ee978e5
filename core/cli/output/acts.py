"""What the acts print: plans as scripts, how they ended, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC

from sqlalchemy import URL

from core.console.journal import OperationRecord
from core.names import qualified
from core.plans.drop import SCHEDULE
from core.plans.hold import HOLD
from core.plans.plan import Plan
from core.plans.verify import VERIFY
from core.postgres.embedded import DEFAULT_MAJOR, server_binaries
from core.tables.commands import option, twin
from core.tables.table import PartitionedTable
from core.text import Json, aligned, human_seconds, shell_word, shown


def script(plan: Plan) -> str:
    """The plan as a script for psql, what it means in comments."""
    if not plan.steps:
        return f"-- Nothing to do: {shown(' '.join(plan.effects))} Nothing was changed."
    comments = [
        f"{plan.operation} {plan.subject}, table {plan.table}. This is a dry run: nothing was changed.",
        *plan.effects,
        *plan.meanwhile,
        *(f"Note: {warning}" for warning in plan.warnings),
        *(f"Locks {lock.relation}: {lock.mode} ({lock.mode.meaning})" for lock in plan.locks),
    ]
    return "\n".join([*(f"-- {shown(comment)}" for comment in comments), "", plan.sql])


_PROVEN = "It was restored elsewhere: its rows, fingerprint, columns and bounds are those of its manifest."


def outcome(plan: Plan, done: OperationRecord | None, place: str) -> str:
    if not plan.steps:
        return f"Nothing to do: {shown(' '.join(plan.effects))}"
    number = f"operation {done.id}, " if done else ""
    took = human_seconds(done.seconds) if done else "no time"
    what = f"{plan.operation} {plan.subject}"
    if plan.operation in (HOLD, SCHEDULE):  # or the opposite of their names
        title = plan.steps[0].title
        what = f"{title[:1].lower()}{title[1:]}"
    head = f"Done: {what} in {place} ({number}took {took})."
    effects = (_PROVEN,) if plan.operation is VERIFY else plan.effects
    lines = [head, *effects, *(f"Note: {warning}" for warning in plan.warnings), plan.way_back]
    return "\n".join(shown(line) for line in lines if line)


_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def by_hand(
    schema: str, name: str, where: str = '"$DATABASE_URL"', programs: str = "", *, branch: bool = False
) -> tuple[str, str, str]:
    """Backup, upload and drop of an archived table as commands for a shell, for who does it without the console.

    The dump is read back whole before it is uploaded: a listing succeeds on a truncated file. `where` is the address
    as a word of a shell, `programs` the folder of pg_dump where it is not in PATH. A `branch` is dumped with all that
    hangs below it, which is dropped with it.
    """
    simple = _PLAIN.fullmatch(schema) and _PLAIN.fullmatch(name)
    relation = f"{schema}.{name}" if simple else qualified(schema, name)
    file = re.sub(r"[^\w.-]+", "_", name).lstrip("-") + ".dump"
    option = "--table-and-children" if branch else "--table"
    return (
        f"{programs}pg_dump --format=custom {option}={shell_word(relation)} --file={file} {where}",
        f"{programs}pg_restore --file=/dev/null {file} && aws s3 cp {file} s3://your-bucket/archives/",
        f"psql {where} --command={shell_word(f'DROP TABLE {relation}')}",
    )


def road_steps(table: PartitionedTable, called: str) -> tuple[str, str, str]:
    """Back it up, prove the backup, drop the table: each as a comment and its command, for a shell."""
    steps = (
        ("Back it up", twin("backup", table, called)),
        ("Prove the backup: it is restored elsewhere, and every row compared", twin("verify", table, called)),
        ("Drop it, in plain sight for some days first", twin("drop", table, called, option("--confirm", called))),
    )
    back_up, prove, drop = (f"# {words}\n{command}" for words, command in steps)
    return back_up, prove, drop


def next_steps(table: PartitionedTable, called: str) -> str:
    """What to do with an archived table: back it up, prove the backup, drop it."""
    lines = ["", "Next steps, if its rows are to leave the database:"]
    lines += [f"\n{step}" for step in road_steps(table, called)]
    return "\n".join(shown(line) for line in "\n".join(lines).split("\n"))


def branch_by_hand(schema: str, name: str, url: URL, *, embedded: bool) -> str:
    """The same for one that is partitioned itself, with foreign leaves: it is backed up by hand."""
    programs = shell_word(f"{server_binaries(DEFAULT_MAJOR)}/") if embedded else ""
    backup, upload, drop = by_hand(schema, name, shell_word(without_password(url)), programs, branch=True)
    lines = (
        "",
        "Next steps, if its rows are to leave the database:",
        "",
        "# Create a backup (pg_dump must be at least as new as the server, and 16 or newer)",
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
        "verified": operation.verified or None,
        "role": operation.role,
        "address": operation.address or None,
        "origin": operation.origin,
        "reason": operation.reason,
        "requested_at": operation.requested_at.isoformat(),
        "started_at": started.isoformat() if started else None,
        "finished_at": finished.isoformat() if finished else None,
        "seconds": operation.seconds,
        "rows_before": operation.rows_before,
        "rows_after": operation.rows_after,
        "error": operation.error or None,
        "sqlstate": operation.sqlstate or None,
        "server_message": operation.server_message or None,
        "sealed": operation.sealed,
        "sql": operation.plan.sql,
    }


def history_text(operations: Sequence[OperationRecord], found: int, *, asked: bool) -> str:
    """`found` is how many there are besides those that are not listed; `asked` whether some were asked for."""
    if not operations:
        return "The journal has nothing of what is asked for." if asked else "Nothing was done here yet."
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
        lines += [f"  {shown(said)}" for said in (operation.reason, operation.error, operation.told) if said]
    if found > len(operations):
        lines.append(f"These are the newest {len(operations):,} of {found:,}: --limit lists more.")
    return "\n".join(lines)
