"""The rules of the current table as pages see them: what is in force, what it would do, and how it is set."""

from __future__ import annotations

from datetime import date, datetime

import streamlit as st

from core.console.maintained import read_upkeep
from core.console.ruled import InForce, Ruling, read_history, read_in_force, wish_back, wish_for
from core.plans.operation import NAMES
from core.plans.plan import Plan
from core.rules.calendar import Planned, ahead
from core.rules.due import Due, Moment, copies_of, due
from core.rules.run import Upkeep
from core.rules.value import Rules, parse_rules
from core.tables.table import PartitionedTable
from dashboard.state import access, backups, clock, current, database, reads
from dashboard.state.backup_reading import KnownBackups

CALENDAR_TTL_S = 300


def in_force() -> InForce | None:
    """What holds for the current table; None where nothing was ever said of it."""
    oid = current.table().oid
    return next((one for one in read_in_force(database.desk()) if one.oid == oid), None)


def history() -> tuple[Ruling, ...]:
    """Who changed its rules when, newest first."""
    return read_history(database.desk(), current.table().oid)


def names() -> bool:
    """Whether who is here may read who did what."""
    return access.may(NAMES)


def upkeep() -> Upkeep | None:
    """How it stands with the rules of the database; None where that is unknown."""
    return read_upkeep(database.desk())


def foreseen(rules: Rules) -> tuple[Planned, ...]:
    """What rules would do with the current table over the next twelve months."""
    known, table = backups.known(), current.table()
    said = tuple(rules.said().items())
    return _foreseen(database.url(), table.address, table.as_of, said, clock.today(), table, known, known.number)


@st.cache_resource(ttl=CALENDAR_TTL_S, show_spinner=False, max_entries=100)
def _foreseen(
    url: str,
    name: str,
    as_of: datetime,
    said: tuple[tuple[str, object], ...],
    day: date,
    _table: PartitionedTable,
    _known: KnownBackups,
    reading: int,
) -> tuple[Planned, ...]:
    return ahead(parse_rules(dict(said)), _table, _moment(url, _table, _known))


def _moment(url: str, table: PartitionedTable, known: KnownBackups) -> Moment:
    desk = database.open_url(url).desk
    kept = known.backups.kept if known.backups is not None else None
    copies = copies_of(table, kept) if kept is not None else ()
    return Moment(desk.now, desk.zone, copies, may_drop=desk.may_drop)


def due_now(rules: Rules) -> Due:
    """What rules want done at this moment, and what they hold back."""
    table = current.table()
    return due(rules, table, _moment(database.url(), table, backups.known()))


def plan_rules(rules: Rules) -> Plan:
    """A plan to have the current table keep to these rules; to none where nothing of them is on."""
    reads.refresh()
    desk = database.desk()
    wanted = None if rules == Rules() else rules
    return desk.warned(desk.plan(wish_for(desk, current.table_now(), wanted)))


def plan_back() -> Plan:
    """A plan to put the rules of before back. Raises Refused where none were ever set."""
    reads.refresh()
    desk = database.desk()
    return desk.warned(desk.plan(wish_back(desk, current.table_now())))
