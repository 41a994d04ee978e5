"""Advisory locks, which anybody who may connect can take: a holder counts only where it may write the journal's tables.

They are asked for outside of any transaction and waited for within a limit. What a stranger holds is passed over, and
who that is is told.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum, unique

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.errors import LockNotObtained

log = logging.getLogger(__name__)

WAIT_S = 60.0
"""How long one of ours is waited for."""
_PAUSE_S = 0.2


@unique
class LockKey(IntEnum):
    """The first of the two keys of each kind of lock; anybody's consoles on a database have to agree in it."""

    OPERATION = 20548
    """What a running operation holds; the second is its id."""
    TABLE = 20549
    """Under which one operation at a time acts on a table; the second is the hash of its address."""
    DEMO = 20550
    """Under which one process at a time fills the demo."""
    SAMPLE = 20551
    """Under which one process at a time samples."""
    MAKING = 20552
    """Under which the console's own schema and tables are made."""
    ALARM = 20553
    """Under which one process at a time sends alarms."""
    MAINTAIN = 20554
    """Under which one process at a time keeps to the rules of a database."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock."""

    pid: int | None
    """None for a prepared transaction."""
    user: str
    application: str
    ours: bool
    """Whether its role acts for the owner of the journal, as every console's does."""

    def __str__(self) -> str:
        who = ", ".join(part for part in (self.user, self.application) if part)
        return f"session {self.pid} ({who})" if self.pid else "a prepared transaction"


OURS = """coalesce(pg_catalog.pg_has_role(a.usesysid, coalesce(
    (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass('partition_desk.operation')),
    (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)), 'MEMBER'), false)"""
"""Whether the session `a` of pg_stat_activity is that of a role which acts for the journal's owner."""

HELD = """
pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = {first} AND l.objid::bigint = ({second})::bigint & 4294967295
    AND l.objsubid = 2 AND l.granted
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""
"""The holders of a lock with two keys, from FROM on."""


def try_lock(connection: Connection, first: int, second: int | str) -> bool:
    """Whether the session holds the lock of these keys now; the second may be an expression in SQL."""
    return bool(connection.exec_driver_sql(f"SELECT pg_catalog.pg_try_advisory_lock({first}, {second})").scalar_one())


def unlock(connection: Connection, first: int, second: int | str) -> None:
    """Gives the lock back; a session that is lost holds none any more."""
    if not connection.invalidated:
        with suppress(DBAPIError):
            connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_unlock({first}, {second})")


def read_holder(connection: Connection, first: int, second: int | str) -> Holder | None:
    """Who holds the lock; None where nobody does just now."""
    row = connection.exec_driver_sql(
        f"SELECT l.pid, coalesce(a.usename, '') AS usename, coalesce(a.application_name, '') AS application_name,"
        f" {OURS} AS ours FROM {HELD.format(first=first, second=second)}"
    ).first()
    return None if row is None else Holder(row.pid, row.usename, row.application_name, row.ours)


def is_strangers(connection: Connection, first: int, second: int | str) -> bool:
    """Whether somebody holds the lock who may not act here; that is told in the log."""
    holder = read_holder(connection, first, second)
    if holder is None or holder.ours:
        return False
    log.warning("%s holds the advisory lock (%s, %s), may not act here, and is passed over.", holder, first, second)
    return True


@contextmanager
def held(
    connection: Connection, first: int, second: int | str, doing: str, *, wait_s: float = WAIT_S
) -> Iterator[None]:
    """Does what is done by one at a time; the connection is in AUTOCOMMIT.

    Raises LockNotObtained where one of ours is at it for longer.
    """
    give_up = time.monotonic() + wait_s
    locked = False
    while not (locked := try_lock(connection, first, second)):
        if is_strangers(connection, first, second):
            break
        if time.monotonic() > give_up:
            raise LockNotObtained(
                f"{read_holder(connection, first, second) or 'Somebody'} has been {doing} for {wait_s:.0f} s.",
                next="Try again once that has ended.",
            )
        time.sleep(random.uniform(_PAUSE_S / 4, _PAUSE_S))  # nosec B311 # noqa: S311 no secret
    try:
        yield
    finally:
        if locked:
            unlock(connection, first, second)
