"""Pauses a move of rows that goes on in whatever process: it stops at its next batch; and tells who is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from core.console.actor import Actor, as_of_now
from core.console.queue import note
from core.console.register import PAUSED
from core.names import literal
from core.plans.mirror import progress_of
from core.plans.plan import Plan
from core.postgres.advisory import LockKey, read_holder
from core.postgres.connection import session, translate
from core.postgres.own_tables import transaction
from core.text import listed

if TYPE_CHECKING:
    from core.console.desk import Desk
    from core.tables.move import Move
    from core.tables.table import PartitionedTable


def at_work(desk: Desk, address: str) -> str:
    """Who acts on the table of that address just now, journalled or not; empty where nobody does."""
    with session(desk.reading) as connection:
        try:
            return str(read_holder(connection, LockKey.TABLE, f"pg_catalog.hashtext({literal(address)})") or "")
        except DBAPIError as error:
            raise translate(error) from error


def pause(desk: Desk, table: PartitionedTable, move: Move, actor: Actor, reason: str, command: str) -> bool:
    """Has a move that is not switched stop; whether that was still to be done. Raises NotAllowed.

    It does not wait for the operation: that holds the lock under which one at a time acts on the table.
    """
    plan = Plan(
        PAUSED, table.address, listed(one.name for one in move.course.leaving), (), (), command=command, oid=table.oid
    )
    with desk.noting_refusals(plan, actor, reason):
        as_of_now(desk.settings, actor).require(PAUSED)
    if move.paused:
        return False
    with session(desk.working) as connection:
        try:
            with transaction(connection):
                connection.exec_driver_sql(f"UPDATE {progress_of(table)} SET paused = true")
        except DBAPIError as error:
            raise translate(error) from error
    note(desk.working, plan, actor, reason, seal=desk.make_seal(), making=True)
    desk.keep_record()
    return True
