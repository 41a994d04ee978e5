"""The record: who asked for what, what was refused and how each ended, in a chain of sealed hashes.

Each entry's hash is of its number, the hash before it and its text; the head holds the last one. A row that was
changed, taken out or put in between breaks the chain, and nobody without the key mends it. Entries are added one after
the other, under the lock of the head's row, which is waited for within a limit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from core.console.actor import Actor
from core.console.journal_tables import exists
from core.errors import DeskError
from core.names import literal
from core.plans.plan import Plan
from core.postgres.connection import session, translate
from core.postgres.own_tables import transaction
from core.seal import Seal
from core.text import Json

WAIT_S = 10
"""How long the others who write the record are waited for."""
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the record, or its head, which has no text."""

    n: int
    entry: str
    previous: str
    hash: str
    seal: str

    @property
    def said(self) -> Json:
        """What it says, by field; empty where it is no entry."""
        try:
            found = json.loads(self.entry)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def digest(n: int, previous: str, entry: str) -> str:
    """The hash of an entry."""
    return hashlib.sha256(f"{n}\n{previous}\n{entry}".encode()).hexdigest()


def asked(number: int, plan: Plan, actor: Actor, reason: str) -> Json:
    """An operation was put into the queue or begun."""
    return {"event": "asked", "operation": number, **_who(actor, reason), **_what(plan)}


def refused(plan: Plan, actor: Actor, reason: str, error: DeskError) -> Json:
    """Somebody asked for what he may not, or what may not be."""
    return {"event": "refused", "operation": None, **_who(actor, reason), **_what(plan), **_result("refused", error)}


def found_foreign(number: int, error: DeskError) -> Json:
    """A worker met a row of the queue that no console with its key wrote, and left it alone."""
    return {"event": "refused", "operation": number, **_result("refused", error)}


def _who(actor: Actor, reason: str) -> Json:
    return {
        "actor": actor.name,
        "verified": actor.known_by,
        "role": str(actor.role),
        "address": actor.address,
        "origin": str(actor.origin),
        "reason": reason,
    }


def _what(plan: Plan) -> Json:
    return {
        "act": plan.operation.name,
        "table": plan.table,
        "subject": plan.subject,
        "oid": plan.oid,
        "digest": plan.digest,
        "plan": plan.wish,
        "sql": plan.sql,
        **({} if plan.request is None else {"request": plan.request}),
    }


def _result(result: str, error: DeskError) -> Json:
    return {"result": result, "error": str(error), "error_kind": type(error).__name__}


def append(connection: Connection, seal: Seal | None, entries: Iterable[Json]) -> None:
    """Adds entries, inside of the caller's transaction; the role's own changes of rows come before, never after."""
    entries = tuple(entries)
    if not entries:
        return
    n, previous, now = connection.exec_driver_sql(
        f"SET LOCAL lock_timeout = '{WAIT_S}s';"
        " INSERT INTO partition_desk.audit_head DEFAULT VALUES ON CONFLICT DO NOTHING;"
        " SELECT greatest(h.n, (SELECT max(a.n) FROM partition_desk.audit a)) AS n, h.hash,"
        " pg_catalog.clock_timestamp()::text AS now FROM partition_desk.audit_head h FOR UPDATE"
    ).one()
    rows = []
    for said in entries:
        n, text = n + 1, json.dumps({"at": now, **said}, sort_keys=True)
        new = digest(n, previous, text)
        rows.append(f"({n}, {literal(text)}, {literal(previous)}, {literal(new)}, {literal(_seal(seal, new))})")
        previous = new
    connection.exec_driver_sql(
        f"INSERT INTO partition_desk.audit (n, entry, previous, hash, seal) VALUES {', '.join(rows)};"
        f" UPDATE partition_desk.audit_head SET n = {n}, hash = {literal(previous)},"
        f" seal = {literal(_seal(seal, f'{n} {previous}'))}"
    )


def _seal(seal: Seal | None, text: str) -> str:
    return seal.of("audit", text) if seal is not None else ""


def note(engine: Engine, seal: Seal | None, said: Json) -> None:
    """Adds one entry in a transaction of its own; nothing where there is no record yet. Raises as the server does."""
    with session(engine) as connection:
        try:
            if not exists(connection, current=True):
                return
            with transaction(connection):
                append(connection, seal, (said,))
        except DBAPIError as error:
            raise translate(error) from error


_ENDED = """
UPDATE partition_desk.operation SET recorded = true
WHERE asked AND NOT recorded AND state IN ('done', 'failed', 'cancelled', 'interrupted')
RETURNING id, table_address, kind, subject, digest, wish, actor, role, origin, reason, state, error, error_kind,
    sqlstate, rows_before, rows_after, step, started_at::text, finished_at::text, verified, address,
    (SELECT pg_catalog.string_agg(s.sql, E'\n\n' ORDER BY s.step) FROM partition_desk.operation_step s
        WHERE s.operation_id = operation.id) AS sql
"""


def settle(connection: Connection, seal: Seal | None) -> None:
    """Adds how each operation ended of which the record does not say so yet; the connection is in AUTOCOMMIT."""
    with transaction(connection):
        rows = connection.exec_driver_sql(_ENDED).all()
        append(connection, seal, (ended(row._asdict()) for row in sorted(rows, key=lambda row: row.id)))


def ended(row: Json) -> Json:
    """How an operation ended, by its row."""
    names = {"id": "operation", "table_address": "table", "kind": "act", "wish": "plan", "state": "result"}
    return {"event": "ended", **{names.get(name, name): value for name, value in row.items()}}


_HEAD = "SELECT n, '' AS entry, '' AS previous, hash, seal FROM partition_desk.audit_head"
_ROWS = "SELECT n, entry, previous, hash, seal FROM partition_desk.audit WHERE n > {after} ORDER BY n LIMIT {limit}"


def read_entries(engine: Engine, after: int = 0) -> Iterator[Entry]:
    """Every entry with a number above `after`, in order."""
    with session(engine) as connection:
        try:
            if not exists(connection, current=True):
                return
            while rows := connection.exec_driver_sql(_ROWS.format(after=after, limit=_AT_ONCE)).all():
                for row in rows:
                    yield Entry(*row)
                after = rows[-1].n
        except DBAPIError as error:
            raise translate(error) from error


def read_head(engine: Engine) -> Entry | None:
    """The head; None where there is no record."""
    with session(engine) as connection:
        try:
            if not exists(connection, current=True):
                return None
            row = connection.exec_driver_sql(_HEAD).first()
        except DBAPIError as error:
            raise translate(error) from error
    return None if row is None else Entry(*row)
