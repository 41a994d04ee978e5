"""What a page reads and remembers: cached reads, their invalidation, who is here, and every session-state key."""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.backups.storage import ColdStorage
from core.console import cold, journal, locks, prepare
from core.console.actor import Actor, Origin, Role, system_user
from core.console.execute import Budget
from core.console.journal import OperationRecord, StepRecord, Ticket
from core.console.locks import Blocker
from core.console.worker import Samples, Worker
from core.doctor.examine import examine
from core.doctor.findings import Finding
from core.errors import (
    BackupNotFound,
    CatalogBusy,
    ConnectionFailed,
    DeskError,
    NotAllowed,
    PlaceFailed,
    SettingError,
    UsageError,
)
from core.growth import samples
from core.growth.outlook import History, Prices, Retention
from core.growth.reading import Growth, read_growth
from core.names import split_qualified
from core.period import Duration, Range
from core.plans.drop import plan_hold, plan_keep
from core.plans.manifest import Kept
from core.plans.plan import Mode, Operation, Plan
from core.postgres.connection import parse_url, place, reading_engine, session, translate, working_engine
from core.settings import Settings, read_settings
from core.tables.catalog import table as catalog
from core.tables.find import Found, find_rows
from core.tables.model import Hold, PartitionedTable, Server, TableSummary
from dashboard.state.backups import Reading, Shelf

TABLE_PARAMETER = "table"
PARTITION_PARAMETER = "partition"
OPERATION_PARAMETER = "operation"

TABLE = "table"
"""The address of the table that all pages look at, until another is chosen or named in the address bar."""
TABLE_CHOICE = "table_choice"
"""The sidebar's select box."""
ASKED = "asked"
"""The plan that the dialog shows, until it is confirmed or dismissed."""
REASON = "reason"
"""The reason field of the dialog."""
TYPED = "typed"
"""The name that was typed into the dialog of a drop."""
WHEN = "when"
"""When a drop is to be: its choice in the dialog."""
DAYS = "days"
"""After how many days, where not at once."""
UNTIL = "until"
"""The last day of the hold that the dialog asks for; None until it is lifted."""
AWAITED = "awaited"
"""Which reading of the backups the page was drawn on, and whether it had failed, where a better one is to come."""
REFUSAL = "refusal"
"""The error of the last click, until it is closed."""
WATCHED = "watched"
"""The operations that were asked for here or seen running, until their end is closed: set[int]."""
STATES_SEEN = "states_seen"
"""The newest operations and how they stood at the last look, to notice when one begins or ends: set of pairs."""
WORD = "word"
"""What a click has to say that is no error, until the page is drawn next."""
ACTED = "acted"
"""Set by a click, so that a part of a page that runs alone lets the whole page run."""
RETRYING = "retrying"
"""Whether the page waits for the database to come back."""

STALE = "stale"
"""Whether the table is shown as it was read last, because it can't be read now."""

TABLE_TTL_S = 10
BUSY_TTL_S = 3
LIST_TTL_S = 30
GROWTH_TTL_S = 60
OF_THE_PLACE = ("backed_up", "proven", "unusable_backups")
"""The doctor's checks that have nothing to say before the place of the backups was read."""
BACKUPS_WAIT_S = 1.5
"""How long a page waits for the place of the backups; what comes later comes to the next look."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One database: how to read it, and the worker that acts on it."""

    settings: Settings
    reader: Engine
    worker: Worker
    work: Engine
    place: str
    embedded: bool
    last: dict[str, PartitionedTable] = field(default_factory=dict)
    """Each table as it was read last, for when it can't be."""
    busy_until: dict[str, float] = field(default_factory=dict)
    """Tables that somebody holds exclusively, and until when (monotonic) they are left alone."""
    shelves: dict[tuple[str, str, str], Reading] = field(default_factory=dict)
    """The backups of each table, by database, server and address, as they are read."""
    grown: dict[str | None, tuple[object, Growth]] = field(default_factory=dict)
    """How each table grows as it was asked for and read last, for when it can't be; None for all together."""

    @property
    def cold(self) -> ColdStorage:
        """Where backups are kept."""
        return ColdStorage(self.settings.backup_url, self.settings.home, os.environ)


@st.cache_resource(show_spinner=False)
def _desk(url: str) -> Desk:
    settings = read_settings()
    parsed = parse_url(url)
    work = working_engine(parsed)
    worker = Worker(
        work,
        budget=Budget(settings.lock_budget_ms, settings.patience_s),
        archive_schema=settings.archive_schema,
        cold=ColdStorage(settings.backup_url, settings.home, os.environ),
        zone=settings.time_zone,
        drops=settings.allow_drop,
        samples=Samples(settings.keep_samples, settings.weekly_after) if settings.sample_daily else None,
    )
    worker.start()
    embedded = os.environ.get("PARTITION_DESK_EMBEDDED") == "1"
    return Desk(settings, reading_engine(parsed), worker, work, place(parsed), embedded)


def desk() -> Desk:
    """The database of DATABASE_URL, opened once for all sessions. Raises SettingError."""
    url = os.environ.get("DATABASE_URL", "").strip()
    if not url:
        raise SettingError(
            "DATABASE_URL is not set.", next="Start the dashboard with make run, or set DATABASE_URL and restart it."
        )
    return _desk(url)


def today() -> date:
    """The date in the application's time zone."""
    return datetime.now(ZoneInfo(desk().settings.time_zone)).date()


def now() -> datetime:
    """This moment, UTC."""
    return datetime.now(UTC)


def zone() -> str:
    """The application's time zone."""
    return desk().settings.time_zone


def cutoff() -> date:
    """Partitions that end before this date are due for archive."""
    return desk().settings.archive_after.before(today())


# --- reading ------------------------------------------------------------------------------------------------------


@st.cache_resource(ttl=LIST_TTL_S, show_spinner=False)
def _tables(url: str) -> tuple[TableSummary, ...]:
    return catalog.read_tables(_desk(url).reader)


@st.cache_resource(ttl=TABLE_TTL_S, show_spinner=False, max_entries=50)
def _table(url: str, name: str) -> PartitionedTable:
    opened = _desk(url)
    return catalog.read_table(opened.reader, name, archive_schema=opened.settings.archive_schema)


@st.cache_resource(ttl=TABLE_TTL_S, show_spinner=False, max_entries=50)
def _findings(
    url: str, name: str, _table: PartitionedTable, day: date, _shelf: Shelf, reading: int
) -> tuple[Finding, ...]:
    opened = _desk(url)
    backups = _shelf.backups
    default_rows = None
    if _table.default is not None:
        default_rows = catalog.count_all_default_rows(opened.reader, _table)
    found = examine(
        _table,
        today=day,
        now=now(),
        zone=opened.settings.time_zone,
        cutoff=opened.settings.archive_after.before(day),
        automatic_creation=opened.settings.enable_absence_partitions,
        default_rows=default_rows,
        kept=backups.kept if backups else None,
        unusable=backups.unusable if backups else (),
        backups_unread=str(backups.unread or "") if backups else "",
        verify_before=opened.settings.verify_every.before(day),
    )
    return found if backups else tuple(finding for finding in found if finding.check not in OF_THE_PLACE)


@st.cache_resource(ttl=GROWTH_TTL_S, show_spinner=False, max_entries=20)
def _growth(
    url: str,
    name: str | None,
    day: date,
    horizon: int,
    _prices: Prices | None,
    price: tuple[float, float] | None,
    _retention: Retention,
    retention: tuple[str, str],
    _kept: tuple[Kept, ...] | None,
    reading: int,
) -> Growth:
    settings = _desk(url).settings
    return read_growth(
        _desk(url).reader,
        table=name,
        archive_schema=settings.archive_schema,
        today=day,
        zone=settings.time_zone,
        retention=_retention,
        prices=_prices,
        currency=settings.currency,
        horizon=horizon,
        kept=_kept,
    )


@st.cache_resource(ttl=GROWTH_TTL_S, show_spinner=False, max_entries=50)
def _history(url: str, name: str) -> History | None:
    return next(iter(samples.read_histories(_desk(url).reader, table=name)), None)


@st.cache_resource(ttl=LIST_TTL_S, show_spinner=False)
def _server(url: str) -> Server:
    return catalog.read_server(_desk(url).reader)


def _url() -> str:
    desk()
    return os.environ["DATABASE_URL"].strip()


@contextmanager
def told() -> Iterator[None]:
    """Turns what the driver raises, on whichever path, into a DeskError, so that no statement reaches a browser."""
    try:
        yield
    except DBAPIError as error:
        raise translate(error) from error
    except PoolTimeout as error:
        raise ConnectionFailed("All connections of the console are busy.", next="Try again in a moment.") from error


def tables() -> tuple[TableSummary, ...]:
    """Every partitioned table, at most LIST_TTL_S old. Raises ConnectionFailed."""
    return _tables(_url())


def server() -> Server:
    """The server, at most LIST_TTL_S old. Raises ConnectionFailed."""
    return _server(_url())


def settle() -> None:
    """Decides which table all pages look at: the address bar's, else the one chosen before, else the configured one.

    The address bar then says it, so that the page can be linked to. Raises ConnectionFailed.
    """
    named = st.query_params.get(TABLE_PARAMETER)
    known = tables()
    address = _known(named or st.session_state.get(TABLE) or desk().settings.table, known)
    if address is None and named is None and known:
        address = known[0].address
    if address is None and named is None:
        st.session_state.pop(TABLE, None)
        return
    st.session_state[TABLE] = address or named
    if named != st.session_state[TABLE]:
        st.query_params[TABLE_PARAMETER] = st.session_state[TABLE]


def _known(asked: str, known: tuple[TableSummary, ...]) -> str | None:
    """The whole address of a table that was named with or without its schema; None where there is none."""
    try:
        schema, name = split_qualified(asked)
    except UsageError:
        return None
    return next((t.address for t in known if t.name == name and schema in (None, t.schema)), None)


def trouble() -> DeskError | None:
    """Why the database can't be read just now, if it can't: asked of the server itself, not of what was read before."""
    try:
        with told():
            journal.read_operations(desk().reader, limit=1)
            settle()
            server()
    except DeskError as error:
        if isinstance(error, ConnectionFailed):
            refresh()
        return error
    return None


def choose(address: str) -> None:
    """Makes all pages look at another table."""
    st.session_state[TABLE] = address
    st.query_params[TABLE_PARAMETER] = address
    for parameter in (PARTITION_PARAMETER, OPERATION_PARAMETER):
        if parameter in st.query_params:
            del st.query_params[parameter]


def current_address() -> str:
    """The table that all pages look at."""
    return str(st.session_state.get(TABLE) or desk().settings.table)


def table() -> PartitionedTable:
    """The current table, at most TABLE_TTL_S old; as it was read last where somebody holds it exclusively now.

    Raises TableNotFound, ConnectionFailed, and CatalogBusy where it was never read.
    """
    opened, address = desk(), current_address()
    waiting = time.monotonic() < opened.busy_until.get(address, 0)
    try:
        if not (waiting and address in opened.last):
            opened.last[address] = table_now()
            opened.busy_until.pop(address, None)
    except CatalogBusy:
        if address not in opened.last:
            raise
        opened.busy_until[address] = time.monotonic() + BUSY_TTL_S
    st.session_state[STALE] = address in opened.busy_until
    return opened.last[address]


def table_now() -> PartitionedTable:
    """The current table to plan on, never an older reading of it. Raises CatalogBusy as well."""
    return _table(_url(), current_address())


def read_at() -> datetime | None:
    """When the current table was read; None where it can't be."""
    try:
        return table().as_of
    except DeskError:
        return None


def is_stale() -> bool:
    """Whether the current table could not be read anew, so that what is shown is older."""
    return bool(st.session_state.get(STALE))


def findings() -> tuple[Finding, ...]:
    """What the doctor says of the current table."""
    shelf = backups()
    return _findings(_url(), current_address(), table(), today(), shelf, shelf.number)


def backups() -> Shelf:
    """The backups of the current table, some seconds old; never waits for their place for longer than a moment."""
    found = _reading().look(BACKUPS_WAIT_S)
    failed = found.backups is not None and found.backups.kept is None
    st.session_state[AWAITED] = (found.number, failed) if found.reading or failed else None
    return found


def have_arrived() -> bool:
    """Whether a reading of the backups has ended that tells more than the one that the page was drawn on."""
    awaited = st.session_state.get(AWAITED)
    if awaited is None:
        return False
    number, failed = awaited
    found = _reading().look(0)
    fails = found.backups is None or found.backups.kept is None
    return found.number != number and not (failed and fails)


def _reading() -> Reading:
    opened, here = desk(), server()
    key = (here.database, here.cluster, current_address())
    found = opened.shelves.get(key)
    if found is None:
        found = opened.shelves.setdefault(key, Reading(lambda: cold.read_backups(opened.cold, key[2], here)))
    return found


def growth(name: str | None, *, horizon: int, limit: int | None, prices: Prices | None, retention: Retention) -> Growth:
    """How storage grows, of one table or of all; at most GROWTH_TTL_S old. Raises TableNotFound, NotServed."""
    shelf = _reading().look(BACKUPS_WAIT_S) if name is not None else None
    st.session_state[AWAITED] = None  # one card is not worth that the page is drawn again under a download
    kept = shelf.backups.kept if shelf is not None and shelf.backups is not None else None
    asked = (today(), horizon, prices, retention)
    try:
        found = _growth(
            _url(),
            name,
            today(),
            horizon,
            prices,
            (prices.hot, prices.cold) if prices else None,
            retention,
            (str(retention.archive_after), str(retention.drop_after)),
            kept,
            shelf.number if shelf is not None else 0,
        )
    except CatalogBusy:
        before = desk().grown.get(name)
        if before is None or before[0] != asked:
            raise
        return before[1].with_limit(limit)
    desk().grown[name] = (asked, found)
    return found.with_limit(limit)


def history() -> History | None:
    """The sizes of the current table by day, as sampled; None where nothing was."""
    return _history(_url(), current_address())


def verify_before() -> date:
    """A backup that was proven last before this date was so too long ago."""
    return desk().settings.verify_every.before(today())


def refresh() -> None:
    """Forgets what was read, so that the next read is of now."""
    for reading in list(desk().shelves.values()):
        reading.forget()
    _table.clear()
    _tables.clear()
    _findings.clear()
    _growth.clear()
    _history.clear()
    _server.clear()


def operations(*, of_table: str | None = None, limit: int = 200) -> tuple[OperationRecord, ...]:
    """The journal, newest first."""
    return journal.read_operations(desk().reader, table=of_table, limit=limit)


def operation(number: int) -> OperationRecord | None:
    """One operation of the journal."""
    return journal.read_operation(desk().reader, number)


def steps(number: int) -> tuple[StepRecord, ...]:
    """The committed steps of an operation."""
    return journal.read_steps(desk().reader, number)


def in_the_way(plan: Plan) -> tuple[Blocker, ...]:
    """Who holds, just now, what the plan has to wait for, and has held it for longer than the budget of a try."""
    longest = desk().settings.lock_budget_ms / 1000
    # a concurrent detach waits for everybody who holds anything on its tables; its finish for every statement
    wanted = [
        replace(lock, mode=Mode.ACCESS_EXCLUSIVE) if step.finish else lock for step in plan.steps for lock in step.locks
    ]
    with session(desk().reader) as connection:
        try:
            found = locks.read_holders(connection, wanted, 0)
            if any(step.waits_for_all for step in plan.steps):
                found = (*found, *locks.read_running(connection, 0))
        except DBAPIError as error:
            raise translate(error) from error
    unique = {blocker.pid: blocker for blocker in reversed(found)}
    return tuple(b for b in unique.values() if b.seconds > longest or b.is_autovacuum or b.pid is None)


def find(day: date, where: dict[str, str]) -> Found:
    """Where the rows of a date, and of these values of columns, are."""
    return find_rows(desk().reader, table(), day, where, zone=zone())


# --- acting: plans are built here, confirmed in confirm.py, run by the worker -------------------------------------


def plan_ensure(ranges: tuple[Range, ...]) -> Plan:
    """A plan for the ranges on the table as it is now."""
    refresh()
    return prepare.prepare_ensure(desk().reader, table_now(), ranges, zone=zone())


def plan_archive(name: str) -> Plan:
    """A plan to archive a partition of the table as it is now."""
    refresh()
    return prepare.prepare_archive(table_now(), name, now=now(), zone=zone())


def plan_reattach(name: str) -> Plan:
    """A plan to bring an archived table back, as both are now."""
    refresh()
    return prepare.prepare_reattach(desk().reader, table_now(), name)


def plan_backup(name: str) -> Plan:
    """A plan to back up a partition, attached or archived, as it is now."""
    refresh()
    return cold.prepare_backup(desk().cold, table_now(), name, now=now())


def plan_verify(backup: str) -> Plan:
    """A plan to prove a backup."""
    return cold.prepare_verify(desk().cold, _kept(backup))


def plan_drop(name: str, after: Duration | None, backup: str = "") -> Plan:
    """A plan to drop an archived table at once, or to write down that it is to be dropped later.

    It rests on the backup of that id, else on the best one. Raises Refused for what stands in the way.
    """
    opened = desk()
    cold.require_drops(allowed=opened.settings.allow_drop)
    refresh()
    table, every = table_now(), _every_kept()
    if after is None:
        return prepare.prepare_drop(
            opened.reader, table, name, every, today=today(), place=opened.cold.open().label, backup_id=backup
        )
    at = cold.later(now(), after, zone())
    return prepare.prepare_later_drop(
        opened.reader, table, name, every, at=at, by=system_user(), today=today(), backup_id=backup
    )


def plan_not_to_drop(name: str) -> Plan:
    """A plan to call the planned drop of an archived table off."""
    refresh()
    return plan_keep(table_now(), name)


def plan_to_hold(name: str, until: date | None, reason: str) -> Plan:
    """A plan to hold a partition or an archived table."""
    return plan_hold(table_now(), name, Hold(until.isoformat() if until else "", reason, system_user()))


def plan_lift(name: str) -> Plan:
    """A plan to end the hold of a partition or an archived table."""
    refresh()
    return plan_hold(table_now(), name, None)


def plan_restore(backup: str) -> Plan:
    """A plan to bring a backup back, under a hold. Raises Refused for what stands in the way."""
    opened = desk()
    refresh()
    return cold.prepare_restore(
        opened.reader,
        opened.cold,
        _kept(backup),
        archive_schema=opened.settings.archive_schema,
        hold=cold.hold_of_restored(opened.settings.hold, today(), system_user()),
    )


def find_kept(backup: str) -> Kept | None:
    """A backup of the current table by its id, as it was read last."""
    found = _reading().look(0).backups
    return next((k for k in (*(found.kept or ()), *found.others) if k.backup.id == backup), None) if found else None


def _kept(backup: str) -> Kept:
    found = find_kept(backup) or next((kept for kept in _every_kept() if kept.backup.id == backup), None)
    if found is None:
        raise BackupNotFound(f"There is no backup {backup} in the place any more.", next="Read the page again.")
    return found


def _every_kept() -> tuple[Kept, ...]:
    """The backups of the current table, to plan on. Raises what their place says."""
    found = backups().backups
    if found is None:
        raise PlaceFailed("The place of the backups has not answered yet.", next="Try again in a moment.")
    if found.kept is None:
        raise found.unread or PlaceFailed("The place of the backups can't be read.")
    return (*found.kept, *found.others)


def no_drop_reason() -> str | None:
    """Why nothing may be dropped from here, whatever its backup; None where it may."""
    return None if desk().settings.allow_drop else cold.DROPS_ARE_OFF


def enqueue(plan: Plan, reason: str) -> Ticket:
    """Puts a confirmed plan into the queue and wakes the worker. Raises NotAllowed where nothing can be done."""
    _require_open()
    if plan.operation is Operation.DROP:
        cold.require_drops(allowed=desk().settings.allow_drop)
    ticket = journal.enqueue(desk().work, plan, actor(), reason)
    desk().worker.wake()
    watched().add(ticket.id)
    return ticket


def cancel(number: int) -> None:
    """Asks for an operation to stop. Raises NotAllowed where nothing can be done from here."""
    _require_open()
    journal.request_cancel(desk().work, number)


def watched() -> set[int]:
    """The operations whose end this browser is told."""
    found: set[int] = st.session_state.setdefault(WATCHED, set())
    return found


def actor() -> Actor:
    """Who is here: without a sign-in, whoever runs the dashboard; a viewer where it listens to the network."""
    role = Role.ADMIN if read_only_reason() is None else Role.VIEWER
    return Actor(system_user(), role, Origin.DASHBOARD)


def _require_open() -> None:
    reason = read_only_reason()
    if reason is not None:
        raise NotAllowed(reason)


def read_only_reason() -> str | None:
    """Why nothing can be done from here, or None where it can."""
    address = st.get_option("server.address")
    if isinstance(address, str) and (address == "localhost" or _is_loopback(address)):
        return None
    where = f"on {address}" if address else "on every network address"
    return (
        f"This dashboard listens {where} and has no sign-in, so it only shows."
        " Bind it to 127.0.0.1 to act, or use the command line."
    )


def closed_reason() -> str | None:
    """Why no button can act: this dashboard only shows, or its server takes no changes."""
    reason = read_only_reason()
    if reason is None:
        here = server()
        if here.in_recovery:
            return "This server is a standby: nothing can be changed here. Connect to the primary server."
        if here.read_only:
            return "This server is set to read-only: nothing can be changed here."
    return reason


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def attempt(act: Callable[[], object]) -> Callable[[], None]:
    """The callback of a button: does `act`, and keeps a DeskError for the page to show instead of raising it."""

    def callback() -> None:
        st.session_state.pop(REFUSAL, None)
        st.session_state[ACTED] = True
        try:
            with told():
                act()
        except DeskError as error:
            st.session_state[REFUSAL] = error

    return callback
