"""The table that all pages look at: which it is, and what it was when it was read last."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from core.errors import AmbiguousName, CatalogBusy, DeskError, TableNotFound, UsageError
from core.names import split_qualified
from core.plans.plan import Plan
from core.tables.archived import Archived
from core.tables.partition import Partition
from core.tables.summaries import TableSummary
from core.tables.table import PartitionedTable
from dashboard.state import database, keys

TABLE_TTL_S = 10
SLOW = 10
"""A reading is as long good as this many times what it took, where that is longer: of ten thousand partitions."""
LONGEST_S = 60
BUSY_TTL_S = 3


@dataclass(frozen=True, slots=True)
class _Reading:
    """A table as it was read, and until when (monotonic) that is shown again."""

    table: PartitionedTable
    good_until: float


@st.cache_resource(validate=lambda found: time.monotonic() < found.good_until, show_spinner=False, max_entries=50)
def read_table(url: str, name: str) -> _Reading:
    """Cached by address and name."""
    begun = time.monotonic()
    table = database.open_url(url).desk.read(name)
    now = time.monotonic()
    return _Reading(table, now + min(LONGEST_S, max(TABLE_TTL_S, SLOW * (now - begun))))


def settle() -> None:
    """Decides which table all pages look at: the address bar's, else the one chosen before, else the configured one.

    The address bar then says it, so that the page can be linked to. Raises ConnectionFailed.
    """
    named = st.query_params.get(keys.TABLE_PARAMETER)
    known = database.tables()
    address = _known(named or st.session_state.get(keys.TABLE) or database.desk().settings.table, known)
    if address is None and named is None and known:
        address = known[0].address
    if address is None and named is None:
        st.session_state.pop(keys.TABLE, None)
        return
    st.session_state[keys.TABLE] = address or named
    if named != st.session_state[keys.TABLE]:
        st.query_params[keys.TABLE_PARAMETER] = st.session_state[keys.TABLE]


@st.cache_resource(ttl=database.LIST_TTL_S, show_spinner=False)
def _address(url: str, name: str) -> str:
    """Cached by address of the database and name."""
    return database.open_url(url).desk.address_of(name)


def _known(asked: str, known: tuple[TableSummary, ...]) -> str | None:
    """The whole address of a table that was named with or without its schema; None where there is none.

    A name that means several stays as it is: reading it tells the choices.
    """
    try:
        if split_qualified(asked)[0] is None:
            return _address(database.url(), asked)
        return next((t.address for t in known if split_qualified(t.address) == split_qualified(asked)), None)
    except AmbiguousName:
        return asked
    except (UsageError, TableNotFound):
        return None


def forget() -> None:
    """Forgets what was read, and which tables names mean."""
    read_table.clear()
    _address.clear()


def choose(address: str) -> None:
    """Makes all pages look at another table."""
    st.session_state[keys.TABLE] = address
    st.query_params[keys.TABLE_PARAMETER] = address
    for parameter in (keys.PARTITION_PARAMETER, keys.OPERATION_PARAMETER):
        if parameter in st.query_params:
            del st.query_params[parameter]


def address() -> str:
    """The table that all pages look at."""
    return str(st.session_state.get(keys.TABLE) or database.desk().settings.table)


def table() -> PartitionedTable:
    """The current table, some seconds old; as it was read last where somebody holds it exclusively now.

    Raises TableNotFound, ConnectionFailed, and CatalogBusy where it was never read.
    """
    opened, name = database.opened(), address()
    waiting = time.monotonic() < opened.busy_until.get(name, 0)
    try:
        if not (waiting and name in opened.last):
            opened.last[name] = table_now()
            opened.busy_until.pop(name, None)
    except CatalogBusy:
        if name not in opened.last:
            raise
        opened.busy_until[name] = time.monotonic() + BUSY_TTL_S
    st.session_state[keys.STALE] = name in opened.busy_until
    return opened.last[name]


def table_now() -> PartitionedTable:
    """The current table to plan on, never an older reading of it. Raises CatalogBusy as well."""
    return read_table(database.url(), address()).table


def subject(plan: Plan) -> Partition | Archived | None:
    """The very one that a plan is about, as it is now; by its name where the plan knows no more."""
    found = table()
    named = found.named(plan.subject)
    return found.by_oid(plan.oid) if plan.oid is not None else named[0] if len(named) == 1 else None


def read_at() -> datetime | None:
    """When the current table was read; None where it can't be."""
    try:
        return table().as_of
    except DeskError:
        return None


def last() -> PartitionedTable | None:
    """The current table as it was read last, without reading it; None where it was never read."""
    return database.opened().last.get(address())


def is_stale() -> bool:
    """Whether the current table could not be read anew, so that what is shown is older."""
    return bool(st.session_state.get(keys.STALE))
