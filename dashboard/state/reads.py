"""What the pages read of the current table and of the journal, cached for some seconds, and how that is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime

import streamlit as st
from sqlalchemy.exc import DBAPIError

from core.console import approval, journal, locks, search
from core.console.approval import Request
from core.console.examining import with_failures
from core.console.failures import Failure
from core.console.failures import failures as read_failures
from core.console.failures import findings as of_failures
from core.console.journal import OperationRecord, StepRecord
from core.console.locks import Blocker
from core.console.privacy import step_without_name, without_name
from core.console.search import Choices, Counted, Sought
from core.console.standing import standings as read_standings
from core.console.unattended import Unattended
from core.console.unattended import unattended as read_unattended
from core.doctor.findings import Finding
from core.errors import CatalogBusy, ConnectionFailed, DeskError
from core.growth.history import History
from core.growth.outlook import Retention
from core.growth.question import Question
from core.growth.read import Growth, read_growth
from core.growth.samples.read import read_histories
from core.growth.savings import Prices
from core.plans.operation import NAMES
from core.plans.plan import Mode, Plan
from core.plans.proof import Kept
from core.postgres.connection import session, translate
from core.postgres.own_tables import read_hidden
from core.tables.coverage import IdsLeft
from core.tables.find import Found
from core.tables.table import PartitionedTable
from dashboard.state import access, backups, clock, current, database, keys
from dashboard.state.backup_reading import KnownBackups

GROWTH_TTL_S = 60
REQUESTS_TTL_S = 5


@st.cache_resource(ttl=current.LONGEST_S, show_spinner=False, max_entries=50)
def _findings(
    url: str, name: str, as_of: datetime, _table: PartitionedTable, day: date, _known: KnownBackups, reading: int
) -> tuple[Finding, ...]:
    """Cached for as long as the table is that they are of."""
    return database.open_url(url).desk.examine(_table, _known.backups)


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
    _read: Callable[[], PartitionedTable] | None,
) -> Growth:
    desk = database.open_url(url).desk
    asked = Question(
        table=name,
        archive_schema=desk.archive_schema,
        today=day,
        zone=desk.zone,
        retention=_retention,
        prices=_prices,
        currency=desk.settings.currency,
        horizon=horizon,
        kept=_kept,
    )
    return read_growth(desk.reading, asked, _read() if _read is not None else None)


@st.cache_resource(ttl=GROWTH_TTL_S, show_spinner=False, max_entries=50)
def _history(url: str, name: str) -> History | None:
    return next(iter(read_histories(database.open_url(url).desk.reading, table=name)), None)


@st.cache_resource(ttl=GROWTH_TTL_S, show_spinner=False, max_entries=50)
def _ids_left(url: str, name: str, _table: PartitionedTable) -> IdsLeft | None:
    return database.open_url(url).desk.ids_left(_table)


def trouble() -> DeskError | None:
    """Why the database can't be read just now, if it can't: asked of the server itself, not of what was read before."""
    try:
        with database.told():
            journal.read_operations(database.desk().reading, limit=1)
            current.settle()
            database.server()
    except DeskError as error:
        if isinstance(error, ConnectionFailed):
            refresh()
        return error
    return None


def findings() -> tuple[Finding, ...]:
    """What the doctor says of the current table, and of failures as they are by now."""
    known = backups.known()
    table = current.table()
    found = _findings(database.url(), current.address(), table.as_of, table, clock.today(), known, known.number)
    if table.not_served is not None or hidden():
        return found
    return with_failures(found, of_failures(failures(table.address)))


def growth(name: str | None, *, horizon: int, limit: int | None, prices: Prices | None, retention: Retention) -> Growth:
    """How storage grows, of one table or of all; at most GROWTH_TTL_S old. Raises TableNotFound, NotServed."""
    known = backups.reading().look(backups.BACKUPS_WAIT_S) if name is not None else None
    st.session_state[keys.AWAITED] = None  # one card is not worth that the page is drawn again under a download
    kept = known.backups.kept if known is not None and known.backups is not None else None
    asked = (clock.today(), horizon, prices, retention)
    try:
        found = _growth(
            database.url(),
            name,
            clock.today(),
            horizon,
            prices,
            (prices.hot, prices.cold) if prices else None,
            retention,
            (str(retention.archive_after), str(retention.drop_after)),
            kept,
            known.number if known is not None else 0,
            current.table if name == current.address() else None,
        )
    except CatalogBusy:
        before = database.opened().grown.get(name)
        if before is None or before[0] != asked:
            raise
        return before[1].with_limit(limit)
    database.opened().grown[name] = (asked, found)
    return found.with_limit(limit)


def ids_left() -> IdsLeft | None:
    """How many ids of the current table have a place above the highest in use; None where that is not known."""
    table = current.table()
    return _ids_left(database.url(), table.address, table)


def history() -> History | None:
    """The sizes of the current table by day, as sampled; None where nothing was."""
    return _history(database.url(), current.address())


def refresh() -> None:
    """Forgets what was read, so that the next read is of now."""
    for reading in list(database.opened().readings.values()):
        reading.forget()
    current.forget()
    database.read_tables.clear()
    _findings.clear()
    _growth.clear()
    _history.clear()
    _ids_left.clear()
    _requests.clear()
    _failures.clear()
    _unattended.clear()
    _standings.clear()
    database.read_server.clear()


def operations(*, of_table: str | None = None, limit: int = 200) -> tuple[OperationRecord, ...]:
    """The journal, newest first."""
    desk = database.desk()
    found = journal.read_operations(desk.reading, table=of_table, limit=limit, seal=desk.seal())
    return found if access.may(NAMES) else tuple(without_name(one) for one in found)


def choices() -> Choices:
    """What the journal's rows can be told apart by; nothing where there are none."""
    return search.read_choices(database.desk().reading, names=access.may(NAMES))


def counted(sought: Sought) -> Counted:
    """How many operations are asked for."""
    return search.read_counted(database.desk().reading, sought, names=access.may(NAMES))


def found(sought: Sought, *, limit: int, skip: int) -> tuple[OperationRecord, ...]:
    """Some of them, newest first."""
    desk = database.desk()
    return search.read_found(desk.reading, sought, names=access.may(NAMES), limit=limit, skip=skip, seal=desk.seal())


def every(sought: Sought, *, most: int) -> Callable[[], Iterator[OperationRecord]]:
    """Reads the newest `most` of them, newest first, for who is here now; it is called when no page is drawn."""
    desk, names = database.desk(), access.may(NAMES)
    return lambda: search.read_all(desk.reading, sought, names=names, most=most, seal=desk.seal())


def failures(table: str | None = None) -> tuple[Failure, ...]:
    """What failed and was not done since, of one table or of all, without names for who may not read them."""
    found = tuple(one for one in _failures(database.url(), clock.today()) if table in (None, one.record.table))
    return found if access.may(NAMES) else tuple(_nameless(one) for one in found)


@st.cache_resource(ttl=REQUESTS_TTL_S, show_spinner=False, max_entries=20)
def _failures(url: str, today: date) -> tuple[Failure, ...]:
    return read_failures(database.open_url(url).desk)


def _nameless(one: Failure) -> Failure:
    return Failure(without_name(one.record), without_name(one.answer) if one.answer is not None else None)


def standings() -> dict[str, str]:
    """How every table stands, by its address; nothing where that can't be read just now."""
    try:
        return _standings(database.url(), clock.today())
    except DeskError:
        return {}


@st.cache_resource(ttl=database.LIST_TTL_S, show_spinner=False, max_entries=20)
def _standings(url: str, today: date) -> dict[str, str]:
    return read_standings(database.open_url(url).desk)


def unattended() -> tuple[Unattended, ...]:
    """What happens by itself, when it did last and does next."""
    table = current.table()
    return _unattended(database.url(), table.address, table.as_of, table)


@st.cache_resource(ttl=REQUESTS_TTL_S, show_spinner=False, max_entries=20)
def _unattended(url: str, name: str, as_of: datetime, _table: PartitionedTable) -> tuple[Unattended, ...]:
    return read_unattended(database.open_url(url).desk, _table)


def hidden() -> str:
    """Why the journal and the samples can't be read, if the role may not; empty where it may."""
    found = read_hidden(database.desk().reading)
    return "" if found is None else f"{found.what} {found.next}"


def operation(number: int) -> OperationRecord | None:
    """One operation of the journal, without its name for who may not read it."""
    found = _operation(number)
    return found if found is None or access.may(NAMES) else without_name(found)


def asked_operation(asked: str) -> OperationRecord | None:
    """The operation that the address bar names; None where it names none that is there."""
    return operation(int(asked)) if asked.isdecimal() and len(asked) < 18 else None


def _operation(number: int) -> OperationRecord | None:
    desk = database.desk()
    return journal.read_operation(desk.reading, number, desk.seal())


def requests() -> tuple[Request, ...]:
    """What waits for a second person, newest first, without names for who may not read them."""
    found = _requests(database.url()) if database.desk().settings.two_persons else ()
    return found if access.may(NAMES) else tuple(_without_name(one) for one in found)


@st.cache_resource(ttl=REQUESTS_TTL_S, show_spinner=False, max_entries=20)
def _requests(url: str) -> tuple[Request, ...]:
    return approval.requests(database.open_url(url).desk)


def _without_name(one: Request) -> Request:
    record = without_name(one.record)
    return Request(record, without_name(replace(one.record, plan=one.plan)).plan)


def steps(number: int) -> tuple[StepRecord, ...]:
    """The committed steps of an operation, without its name for who may not read it."""
    found = journal.read_steps(database.desk().reading, number)
    asked = None if access.may(NAMES) else _operation(number)
    if asked is None:
        return found
    return tuple(step_without_name(step, asked.actor) for step in found)


def in_the_way(plan: Plan) -> tuple[Blocker, ...]:
    """Who holds, just now, what the plan has to wait for, and has held it for longer than the budget of a try."""
    longest = database.desk().settings.lock_budget_ms / 1000
    # a concurrent detach waits for everybody who holds anything on its tables; its finish for every statement
    wanted = [
        replace(lock, mode=Mode.ACCESS_EXCLUSIVE) if step.finish else lock for step in plan.steps for lock in step.locks
    ]
    with session(database.desk().reading) as connection:
        try:
            found = locks.read_holders(connection, wanted, 0)
            if any(step.waits_for_all for step in plan.steps):
                found = (*found, *locks.read_running(connection, 0))
        except DBAPIError as error:
            raise translate(error) from error
    unique = {blocker.pid: blocker for blocker in reversed(found)}
    return tuple(b for b in unique.values() if b.seconds > longest or b.is_autovacuum or b.pid is None)


def find(day: date, where: dict[str, str]) -> Found:
    """Where the rows of a date, and of these values of columns, are.

    Who looks for values is written down once, however often the page is drawn. Raises NotAllowed.
    """
    asked = (current.address(), day, tuple(sorted(where.items())))
    noted = st.session_state.get(keys.LOOKED_FOR) == asked
    found = database.desk().find(current.table(), day, where, access.actor(), noted=noted)
    st.session_state[keys.LOOKED_FOR] = asked
    return found
