"""Acting: plans are built here, confirmed in the dialog, run by the worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import streamlit as st

from core.console import cold, journal, prepare
from core.console.actor import system_user
from core.console.journal import Ticket
from core.errors import DeskError
from core.period import Duration, Range
from core.plans.drop import plan_keep
from core.plans.hold import plan_hold
from core.plans.operation import Operation
from core.plans.plan import Plan
from core.tables.marks import Hold
from dashboard.state import access, backups, clock, current, database, keys, reads


def plan_ensure(ranges: tuple[Range, ...]) -> Plan:
    """A plan for the ranges on the table as it is now."""
    reads.refresh()
    return prepare.prepare_ensure(database.desk().reader, current.table_now(), ranges, zone=clock.zone())


def plan_archive(name: str) -> Plan:
    """A plan to archive a partition of the table as it is now."""
    reads.refresh()
    return prepare.prepare_archive(current.table_now(), name, now=clock.now(), zone=clock.zone())


def plan_reattach(name: str) -> Plan:
    """A plan to bring an archived table back, as both are now."""
    reads.refresh()
    return prepare.prepare_reattach(database.desk().reader, current.table_now(), name)


def plan_backup(name: str) -> Plan:
    """A plan to back up a partition, attached or archived, as it is now."""
    reads.refresh()
    return cold.prepare_backup(database.desk().cold, current.table_now(), name, now=clock.now())


def plan_verify(backup: str) -> Plan:
    """A plan to prove a backup."""
    return cold.prepare_verify(database.desk().cold, backups.require_kept(backup))


def plan_drop(name: str, after: Duration | None, backup: str = "") -> Plan:
    """A plan to drop an archived table at once, or to write down that it is to be dropped later.

    It rests on the backup of that id, else on the best one. Raises Refused for what stands in the way.
    """
    opened = database.desk()
    cold.require_drops(allowed=opened.settings.allow_drop)
    reads.refresh()
    table, every = current.table_now(), backups.every_kept()
    if after is None:
        return prepare.prepare_drop(
            opened.reader, table, name, every, today=clock.today(), place=opened.cold.open().label, backup_id=backup
        )
    at = cold.later(clock.now(), after, clock.zone())
    return prepare.prepare_later_drop(
        opened.reader, table, name, every, at=at, by=system_user(), today=clock.today(), backup_id=backup
    )


def plan_not_to_drop(name: str) -> Plan:
    """A plan to call the planned drop of an archived table off."""
    reads.refresh()
    return plan_keep(current.table_now(), name)


def plan_to_hold(name: str, until: date | None, reason: str) -> Plan:
    """A plan to hold a partition or an archived table."""
    return plan_hold(current.table_now(), name, Hold(until.isoformat() if until else "", reason, system_user()))


def plan_lift(name: str) -> Plan:
    """A plan to end the hold of a partition or an archived table."""
    reads.refresh()
    return plan_hold(current.table_now(), name, None)


def plan_restore(backup: str) -> Plan:
    """A plan to bring a backup back, under a hold. Raises Refused for what stands in the way."""
    opened = database.desk()
    reads.refresh()
    return cold.prepare_restore(
        opened.reader,
        opened.cold,
        backups.require_kept(backup),
        archive_schema=opened.settings.archive_schema,
        hold=cold.hold_of_restored(opened.settings.hold, clock.today(), system_user()),
    )


def enqueue(plan: Plan, reason: str) -> Ticket:
    """Puts a confirmed plan into the queue and wakes the worker. Raises NotAllowed where nothing can be done."""
    access.require_open()
    if plan.operation is Operation.DROP:
        cold.require_drops(allowed=database.desk().settings.allow_drop)
    ticket = journal.enqueue(database.desk().work, plan, access.actor(), reason)
    database.desk().worker.wake()
    watched().add(ticket.id)
    return ticket


def cancel(number: int) -> None:
    """Asks for an operation to stop. Raises NotAllowed where nothing can be done from here."""
    access.require_open()
    journal.request_cancel(database.desk().work, number)


def watched() -> set[int]:
    """The operations whose end this browser is told."""
    found: set[int] = st.session_state.setdefault(keys.WATCHED, set())
    return found


def attempt(act: Callable[[], object]) -> Callable[[], None]:
    """The callback of a button: does `act`, and keeps a DeskError for the page to show instead of raising it."""

    def callback() -> None:
        st.session_state.pop(keys.REFUSAL, None)
        st.session_state[keys.ACTED] = True
        try:
            with database.told():
                act()
        except DeskError as error:
            st.session_state[keys.REFUSAL] = error

    return callback
