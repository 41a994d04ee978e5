"""Acting: plans are built here, confirmed in the dialog, run by the worker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import date

import streamlit as st

from core.console import approval, failures, saved
from core.console.alarms.send import send_test
from core.console.in_order import InOrder
from core.console.journal import OperationRecord
from core.console.queue import Ticket, request_cancel
from core.errors import AlarmNotSent, DeskError
from core.period import Duration, Range, Width
from core.plans.archive import Archive
from core.plans.backup import BackUp
from core.plans.bound import is_bound
from core.plans.drain import Drain
from core.plans.drop import DROP, Drop, DropLater, Keep, require_drops
from core.plans.ensure import ENSURE, Ensure
from core.plans.hold import PutHold
from core.plans.operation import Wish
from core.plans.plan import Plan
from core.plans.reading import ReadKey
from core.plans.reattach import Reattach
from core.plans.restore import Restore, hold_of_restored
from core.plans.sets import ArchiveSet, ReattachSet
from core.plans.split import Merge, Split
from core.plans.under_way import Abandon
from core.plans.verify import Verify
from core.tables.bounds import Bounds
from core.tables.key import Reading
from core.tables.marks import Hold
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from dashboard.state import access, backups, clock, current, database, keys, reads


def _plan(wish: Wish) -> Plan:
    desk = database.desk()
    return desk.warned(desk.plan(wish))


def planned(wish: Callable[[PartitionedTable], Wish]) -> Plan:
    """The plan of a wish for the table as it is now. Raises Refused for what stands in the way."""
    reads.refresh()
    return _plan(wish(current.table_now()))


def plan_ensure(
    ranges: tuple[Bounds, ...] = (),
    years: tuple[Range, ...] = (),
    ahead: int | None = None,
    every: Width | None = None,
) -> Plan:
    """A plan for what is asked for; this partition and the next where nothing is."""
    return planned(lambda table: Ensure(table, ranges, years, ahead=ahead, every=every))


def plan_drain() -> Plan:
    """A plan to move the rows of the DEFAULT partition into partitions of their own."""
    return planned(Drain)


def plan_split(name: str, every: Width) -> Plan:
    """A plan to make several partitions of one."""
    return planned(lambda table: Split(table, name, every))


def plan_merge(names: tuple[str, ...]) -> Plan:
    """A plan to make one partition of several that lie side by side."""
    return planned(lambda table: Merge(table, names))


def plan_abandon() -> Plan:
    """A plan to take a move of rows back that was begun."""
    return planned(Abandon)


def is_moving(one: Partition) -> bool:
    """Whether a move of its rows was begun and can still be taken back."""
    with suppress(DeskError):
        begun = database.desk().under_way(current.table())
        return begun is not None and not begun.switched and one.oid in {each.oid for each in begun.course.leaving}
    return False


def archiving(name: str) -> Callable[[str | PartitionedTable], Wish]:
    """To archive a partition: with what is bound to it, which the dialog names, or alone."""

    def wish(table: str | PartitionedTable) -> Wish:
        return ArchiveSet(table, name) if _is_bound(table, name) else Archive(table, name)

    return wish


def _is_bound(table: str | PartitionedTable, name: str) -> bool:
    desk = database.desk()
    found = desk.read(table) if isinstance(table, str) else table
    return is_bound(desk, found, found.find(name) or found.find_archived(name))


def plan_archive(name: str) -> Plan:
    """A plan to archive a partition, with what is bound to it."""
    return planned(archiving(name))


def plan_reattach(name: str) -> Plan:
    """A plan to bring an archived table back, with what was bound to it."""
    return planned(lambda table: ReattachSet(table, name) if _is_bound(table, name) else Reattach(table, name))


def plan_backup(name: str) -> Plan:
    """A plan to back up a partition, attached or archived."""
    return planned(lambda table: BackUp(table, name))


def plan_verify(backup: str) -> Plan:
    """A plan to prove a backup."""
    return _plan(Verify(backups.require_kept(backup)))


def plan_drop(name: str, after: Duration | None, backup: str = "") -> Plan:
    """A plan to drop an archived table at once, or to write down that it is to be dropped later.

    It rests on the backup of that id, else on the best one. Raises Refused for what stands in the way.
    """
    require_drops(allowed=database.desk().may_drop)
    reads.refresh()
    table, every = current.table_now(), backups.every_kept()
    wish: Wish = Drop(table, name, every, backup)
    if after is not None:
        wish = DropLater(table, name, every, after, access.actor().name, backup)
    return _plan(wish)


def plan_not_to_drop(name: str) -> Plan:
    """A plan to call the planned drop of an archived table off."""
    return planned(lambda table: Keep(table, name))


def plan_to_hold(name: str, until: date | None, reason: str) -> Plan:
    """A plan to hold a partition or an archived table, on the table as it was read for the dialog."""
    hold = Hold(until.isoformat() if until else "", reason, access.actor().name)
    return _plan(PutHold(current.table_now(), name, hold))


def plan_lift(name: str) -> Plan:
    """A plan to end the hold of a partition or an archived table."""
    return planned(lambda table: PutHold(table, name, None))


def plan_reading(reading: Reading) -> Plan:
    """A plan to say how the key is read. Raises Refused where the bounds don't allow it."""
    return planned(lambda table: ReadKey(table, reading))


def plan_restore(backup: str) -> Plan:
    """A plan to bring a backup back, under a hold. Raises Refused for what stands in the way."""
    reads.refresh()
    hold = hold_of_restored(database.desk().settings.hold, clock.today(), access.actor().name)
    return _plan(Restore(backups.require_kept(backup), hold))


def plan_fix(fix: Plan) -> Plan:
    """A plan for what a doctor's fix does, on the table as it is now."""
    if fix.operation is ENSURE:
        key = current.table().key
        return plan_ensure(tuple(Bounds.parse(text, key) for text in fix.ranges))
    return plan_archive(fix.subject)


def plan_again(operation: OperationRecord) -> Plan:
    """A plan for what an operation was asked for. Raises NotSealed where anybody may have asked for that."""
    reads.refresh()
    desk = database.desk()
    return desk.warned(desk.plan_again(operation))


def plan_saved(file: bytes) -> Plan:
    """The plan of a file that was saved, on what is there now. Raises UsageError, Refused, PlanOutdated."""
    reads.refresh()
    desk = database.desk()
    return desk.warned(saved.planned(desk, saved.parse(file), access.actor().name))


def enqueue(plan: Plan, reason: str) -> Ticket:
    """Puts a confirmed plan into the queue and wakes the worker. Raises NotAllowed where nothing can be done."""
    access.require(plan.operation)
    ticket = database.desk().enqueue(plan, access.actor(), reason)
    database.opened().worker.wake()
    watched().add(ticket.id)
    return ticket


def begin_in_order(several: InOrder) -> None:
    """Has confirmed plans done one after the other, whatever becomes of the page."""
    opened = database.opened()
    opened.in_order.append(several)
    opened.worker.do_in_order(several, watched().add)


def approved(number: int) -> Plan:
    """What somebody else has asked for, to be confirmed by who approves it. Raises NotAllowed, PlanOutdated."""
    reads.refresh()
    desk = database.desk()
    return desk.warned(approval.approved(desk, number, access.actor()))


def decline(number: int) -> None:
    """Takes away what was asked for. Raises NotAllowed."""
    approval.decline(database.desk(), number, access.actor())
    reads.refresh()


def acknowledge(number: int, reason: str, until: date | None) -> None:
    """Answers for what failed. Raises NotAllowed for who may not do what failed."""
    failures.acknowledge(database.desk(), number, access.actor(), reason, until)
    reads.refresh()


def cancel(number: int) -> None:
    """Asks for an operation to stop. Raises NotAllowed for who may not do what it does."""
    found = reads.operation(number)
    access.require(found.plan.operation if found is not None else DROP)
    request_cancel(database.desk().working, number)


def alarm_places() -> tuple[tuple[str, ...], str]:
    """Where alarms go, without what is secret of it, and the least severity that is told."""
    targets = database.desk().settings.alarms
    return tuple(one.place for one in targets.every.values()), targets.severity


def test_alarms() -> None:
    """Sends a test to each target, within seconds. Raises NotAllowed; AlarmNotSent for the first that took none."""
    told = send_test(database.desk(), access.actor())
    for one in told:
        if one.error:
            raise AlarmNotSent(one.error, safe="")
    st.session_state[keys.WORD] = f"The test was sent to {', '.join(one.place for one in told)}."


def watched() -> set[int]:
    """The operations whose end this browser is told."""
    found: set[int] = st.session_state.setdefault(keys.WATCHED, set())
    return found


def under_way(name: str = "", backup: str = "") -> OperationRecord | None:
    """What is being done with a partition of the current table, or with a backup, as the page is drawn."""
    found: tuple[OperationRecord, ...] = st.session_state.get(keys.UNDER_WAY, ())
    for operation in found:
        if operation.table == current.address() and (
            (name and operation.subject == name) or (backup and operation.plan.backup == backup)
        ):
            return operation
    return None


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
