"""Reads who holds what: the sessions in the way of a plan's locks, and those that a waiting session waits for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from core.names import literal
from core.plans.plan import Lock

QUERY_LENGTH = 160
"""Characters of a blocker's query that are shown."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that stands in the way."""

    pid: int | None
    """None for a prepared transaction, which no process holds."""
    user: str
    application: str
    client: str
    state: str
    since: str
    """When its transaction began, ISO 8601 in UTC; empty where the role may not see it."""
    seconds: float
    """How long ago that was."""
    query: str
    """Cut, and its literals hidden."""
    relation: str
    kind: str
    """session, autovacuum, autovacuum to prevent wraparound, or prepared transaction."""

    @property
    def is_autovacuum(self) -> bool:
        """Whether it is one of the server's own workers, which yield only to somebody who waits a second."""
        return self.kind.startswith("autovacuum")

    def sentence(self) -> str:
        """Who it is, in one line of plain words."""
        who = f"{self.kind} {self.pid}" if self.pid else self.kind
        parts = [f"{self.user}" if self.user else "", self.application, self.client]
        by = ", ".join(part for part in parts if part)
        return f"{who}{f' ({by})' if by else ''}, {self.state or 'running'} for {self.seconds:.0f} s: {self.query}"

    def as_json(self) -> dict[str, object]:
        """The fields by name, as the journal keeps them."""
        return asdict(self)


# The server cuts a long query, so a constant may lack its end. A backslash escapes in E'...' alone.
_LITERAL = re.compile(
    r"""\$(\w*)\$.*?(?:\$\1\$|\Z)|(?<!\w)[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z)"""
    r"""|(?<![\w"$.])\d+(?:\.\d+)?(?![\w"])""",
    re.DOTALL,
)


def redacted(query: str) -> str:
    """A query in one line, its constants replaced by ?, cut to QUERY_LENGTH."""
    plain = " ".join(_LITERAL.sub("?", query).split())
    return plain if len(plain) <= QUERY_LENGTH else plain[: QUERY_LENGTH - 1] + "…"


_SESSION = """
    l.pid, coalesce(a.usename, p.owner, '') AS usename, coalesce(a.application_name, '') AS application_name,
    coalesce(host(a.client_addr), CASE WHEN a.pid IS NOT NULL THEN 'local' END, '') AS client,
    coalesce(a.state, '') AS state, coalesce(a.query, '') AS query,
    coalesce(a.xact_start, a.query_start, p.prepared) AS since,
    coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(a.xact_start, a.query_start, p.prepared)), 0)
        AS seconds,
    coalesce(a.backend_type, '') AS backend_type, p.gid
"""

# A prepared transaction's locks keep the virtual number of the session that prepared it; which it is, its lock on its
# own number tells (source: MarkAsPreparingGuts in twophase.c).
_HOLDERS = """
SELECT DISTINCT ON (l.pid, p.gid) {session}, l.relation::pg_catalog.regclass::text AS relation
FROM (VALUES {wanted}) w(name, modes)
JOIN pg_catalog.pg_locks l ON l.locktype = 'relation' AND l.relation = pg_catalog.to_regclass(w.name)
    AND l.mode = ANY (w.modes)
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
LEFT JOIN (
    SELECT own.virtualtransaction, x.* FROM pg_catalog.pg_prepared_xacts x
    JOIN pg_catalog.pg_locks own ON own.locktype = 'transactionid' AND own.transactionid = x.transaction
        AND own.pid IS NULL) p
    ON l.pid IS NULL AND p.virtualtransaction = l.virtualtransaction
WHERE l.pid IS DISTINCT FROM {own}
ORDER BY l.pid, p.gid
"""


def read_holders(connection: Connection, locks: Iterable[Lock], own_pid: int) -> tuple[Blocker, ...]:
    """The other sessions that hold, or wait for, a lock that conflicts with one of these."""
    wanted = ", ".join(
        f"({literal(lock.relation)}, ARRAY[{', '.join(literal(m.pg_name) for m in lock.mode.conflicts)}])"
        for lock in locks
    )
    if not wanted:
        return ()
    return _blockers(connection.exec_driver_sql(_HOLDERS.format(session=_SESSION, wanted=wanted, own=own_pid)).all())


_BLOCKING = """
SELECT DISTINCT ON (l.pid) {session}, ''::text AS relation
FROM (SELECT unnest(pg_catalog.pg_blocking_pids({pid})) AS pid) l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_catalog.pg_prepared_xacts p ON false
WHERE l.pid <> 0 ORDER BY l.pid
"""


def read_blockers(connection: Connection, pid: int) -> tuple[Blocker, ...]:
    """The sessions that the session `pid` waits for just now."""
    return _blockers(connection.exec_driver_sql(_BLOCKING.format(session=_SESSION, pid=pid)).all())


_EVERYBODY = """
SELECT {session}, ''::text AS relation
FROM pg_catalog.pg_stat_activity a JOIN (SELECT pid FROM pg_catalog.pg_stat_activity) l ON l.pid = a.pid
LEFT JOIN pg_catalog.pg_prepared_xacts p ON false
WHERE a.datname = pg_catalog.current_database() AND a.backend_xmin IS NOT NULL AND a.pid <> {own}
    AND a.pid <> pg_catalog.pg_backend_pid()
"""


def read_running(connection: Connection, own_pid: int) -> tuple[Blocker, ...]:
    """Every session of the database with a snapshot, which DETACH ... FINALIZE waits for."""
    return _blockers(connection.exec_driver_sql(_EVERYBODY.format(session=_SESSION, own=own_pid)).all())


_WAIT = """
SELECT l.locktype, l.mode, l.relation::pg_catalog.regclass::text AS relation
FROM pg_catalog.pg_locks l WHERE l.pid = {pid} AND NOT l.granted
"""


def waits_for_relation(connection: Connection, pid: int) -> bool:
    """Whether the session waits for a table's lock, so that others may queue behind it."""
    return any(row.locktype == "relation" for row in connection.exec_driver_sql(_WAIT.format(pid=pid)).all())


def _blockers(rows: Sequence[Any]) -> tuple[Blocker, ...]:
    return tuple(_blocker(row) for row in rows)


def _blocker(row: Any) -> Blocker:
    kind = "session"
    if row.gid is not None:
        kind = "prepared transaction"
    elif row.backend_type == "autovacuum worker":
        kind = "autovacuum to prevent wraparound" if "to prevent wraparound" in row.query else "autovacuum"
    since = row.since.isoformat(timespec="seconds") if isinstance(row.since, datetime) else ""
    return Blocker(
        pid=row.pid,
        user=row.usename,
        application=row.application_name,
        client=row.client,
        state=row.state,
        since=since,
        seconds=float(row.seconds),
        query=redacted(row.query) if row.gid is None else f"PREPARE TRANSACTION {row.gid}",
        relation=row.relation or "",
        kind=kind,
    )
