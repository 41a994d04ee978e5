"""Finds where the rows of a date are: in a partition, in the DEFAULT, half detached, archived, or nowhere.

It only reads, each table in a transaction of its own, and waits behind no lock for more than a moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.errors import NotServed, UsageError
from core.names import ident, literal
from core.period import Period
from core.postgres.connection import (
    CANCELLED,
    LOCK_TIMEOUT,
    is_lost,
    server_message,
    session,
    sqlstate,
    translate,
)
from core.postgres.session import as_the_role, reading, under_own_path
from core.tables.archived import Archived, Source
from core.tables.bounds import Bounds, spoken_end, within
from core.tables.commands import option, twin
from core.tables.key import Key, key_value
from core.tables.partition import Partition
from core.tables.structure import Column
from core.tables.table import PartitionedTable
from core.text import human_date

FIND_TIMEOUT_MS = 20_000
"""How long counting in one table may take."""
_NO_RIGHT = "42501"
_NO_TABLE = "42P01"
_NO_OPERATOR = "42883"
_BAD_VALUE = "22"
"""How the states of values that a type does not take begin."""
_TOO_LARGE = "22003"


class Kind(StrEnum):
    """What sort of place it is."""

    ATTACHED = "attached"
    DEFAULT = "default"
    DETACH_PENDING = "detach_pending"
    ARCHIVED = "archived"
    STRAY = "stray"
    NO_PARTITION = "no_partition"


@dataclass(frozen=True, slots=True)
class Place:
    """One table where the rows may be; or, for NO_PARTITION, that no partition is there to hold them."""

    kind: Kind
    relation: str
    """schema.name; empty for NO_PARTITION."""
    bounds: str
    """PostgreSQL's text of its bounds; empty where they are not known."""
    rows: int | None
    """How many of the rows it holds; None where they could not be counted."""
    note: str
    """What that means, in a plain sentence."""
    problem: str = ""
    """Why they could not be counted."""
    oid: int | None = field(default=None, compare=False)
    """Which table it is."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where the rows of a date are."""

    day: date
    where: Mapping[str, str]
    """The values that were asked for, by their columns."""
    places: tuple[Place, ...]
    verdict: str
    """The answer in a plain sentence or two."""


def find_rows(
    engine: Engine, table: PartitionedTable, day: date, where: Mapping[str, str] | None = None, *, zone: str = "UTC"
) -> Found:
    """Looks for the rows of `day`, of these values of columns if asked, in every table that may hold some.

    Values are text, which the server reads as the column's type. `zone` says when the day begins where the key is a
    timestamp with time zone. Raises NotServed, UsageError for a date, column or value that can't be looked for,
    ConnectionFailed.
    """
    if table.key is None or table.key.clock is None or table.not_served is not None:
        why = table.not_served or "its key tells no time"
        branches = table.branch_tables
        more = f", and {len(branches) - 1:,} more" if len(branches) > 1 else ""
        raise NotServed(
            f"{table.label} can't be searched by date: {why}.",
            next=f"Its branches are tables of their own: {option('--table', branches[0])}{more}" if branches else "",
        )
    if not 2 <= day.year <= 9998:
        raise UsageError(f"{day.isoformat()} can't be looked for.", next="Give a date of the years 2 to 9998.")
    asked = dict(where or {})
    columns = {column.name: column for column in table.columns}
    for name in asked:
        if name not in columns:
            raise UsageError(
                f"{table.label} has no column {name}.",
                next=f"Its columns are: {', '.join(columns)}. Name one of them.",
            )
    for name, value in asked.items():
        _require_value(engine, columns[name], value)
    unit = table.key.unit
    wanted = Bounds.between(table.key, *unit.containing(day), zone)
    search = _Search(engine, table, table.key, wanted, asked)
    places = (*_attached(search), *_nowhere(search, day, zone), *_archived(search), *_strays(search))
    said = " and ".join(f"{name} {value}" for name, value in asked.items())
    when = human_date(day) if unit is Period.DAY else f"{unit.label(day)} (the key tells no days)"
    what = f"{when} of {said}" if asked else when
    return Found(day, asked, places, _verdict(table, places, what))


def _require_value(engine: Engine, column: Column, value: str) -> None:
    """Raises UsageError where the server can't compare the text with a column of this type."""
    try:
        with session(engine) as connection, under_own_path(connection):
            connection.exec_driver_sql(f"SELECT NULL::{column.type} = {literal(value)}")
    except DBAPIError as error:
        if is_lost(error):
            raise translate(error) from error
        state = sqlstate(error)
        if state != _TOO_LARGE and (state.startswith(_BAD_VALUE) or state == _NO_OPERATOR):
            raise UsageError(
                f"{column.name} is {column.type}, and can't be {value!r}: {server_message(error)}."
            ) from error


@dataclass(frozen=True, slots=True)
class _Search:
    engine: Engine
    table: PartitionedTable
    key: Key
    wanted: Bounds
    where: Mapping[str, str]

    @property
    def condition(self) -> str:
        """The rows that are looked for."""
        return self.condition_on(self.key)

    def condition_on(self, key: Key) -> str:
        """The same in a table that may call the key otherwise."""
        values = (f" AND {ident(name)} = {literal(value)}" for name, value in self.where.items())
        return within(key, self.wanted) + "".join(values)


def _attached(search: _Search) -> Iterator[Place]:
    """The partitions that hold the day, with a pending one; the DEFAULT unless they leave it nothing."""
    table = search.table
    holding = [p for p in table.ranges if p.bounds and p.bounds.overlaps(search.wanted)]
    for partition in holding:
        rows, problem = _count_attached(search, partition)
        kind = Kind.DETACH_PENDING if partition.pending else Kind.ATTACHED
        text = partition.bounds.text if partition.bounds else ""
        yield Place(kind, _name(partition), text, rows, _note_attached(table, partition), problem, partition.oid)
    covered = any(p.bounds and p.bounds.covers(search.wanted) and not p.pending for p in holding)
    if table.default is not None and not covered:
        rows, problem = _count_attached(search, table.default)
        note = f"The DEFAULT partition takes what no other one holds; reads through {table.label} return its rows."
        yield Place(Kind.DEFAULT, _name(table.default), "DEFAULT", rows, note, problem, table.default.oid)


def _note_attached(table: PartitionedTable, partition: Partition) -> str:
    if partition.pending:
        return (
            f"Its detach was begun and not finished: reads through {table.label} don't return its rows."
            f" Finish it: {twin('archive', table, table.called(partition))}"
        )
    return f"A partition of {table.label}: reads through the table return its rows."


def _nowhere(search: _Search, day: date, zone: str) -> Iterator[Place]:
    """NO_PARTITION where no table at all is known to hold the day: no partition, no DEFAULT, no archived one."""
    table = search.table
    known: tuple[Partition | Archived, ...] = (*table.ranges, *table.archived)
    ranges = [one.bounds for one in known if one.bounds]
    if table.default is not None or any(bounds.overlaps(search.wanted) for bounds in ranges):
        return
    yield Place(Kind.NO_PARTITION, "", "", 0, _why_nowhere(search, day, zone))


def _why_nowhere(search: _Search, day: date, zone: str) -> str:
    live = [p.bounds for p in search.table.ranges if p.bounds]
    moment = key_value(search.key, day, zone)
    no_writes = "rows of that day can't be written."
    if not live:
        return f"{search.table.label} has no partition at all: {no_writes}"
    first, last = live[0].lower, live[-1].upper
    said = human_date(day)
    if first is not None and moment < first:
        return f"{said} lies before the first partition, which begins on {spoken_end(first, zone)}: {no_writes}"
    if last is not None and moment >= last:
        return f"{said} lies after the last partition, which ends before {spoken_end(last, zone)}: {no_writes}"
    return f"No partition holds {said}: {no_writes}"


def _archived(search: _Search) -> Iterator[Place]:
    """The archived tables whose range holds the day, and those whose range nobody has proven."""
    for archived in search.table.archived:
        holds = archived.bounds is not None and archived.bounds.overlaps(search.wanted)
        if not holds and archived.source not in (None, Source.NAME):
            continue
        rows, problem = _count_archived(search, archived)
        if holds or archived.source is None or rows or problem:
            text = archived.bounds.text if archived.bounds else ""
            note = _note_archived(search, archived, holds)
            yield Place(Kind.ARCHIVED, _name(archived), text, rows, note, problem, archived.oid)


def _strays(search: _Search) -> Iterator[Place]:
    """What was archived from tables that are no longer there, where it holds rows that are looked for."""
    for stray in search.table.strays:
        if stray.bounds is None or not stray.bounds.overlaps(search.wanted) or not stray.has_key(search.key):
            continue
        rows, problem = _count_archived(search, stray)
        if rows or problem:
            yield Place(Kind.STRAY, _name(stray), stray.bounds.text, rows, _note_stray(stray), problem)


def _note_stray(stray: Archived) -> str:
    return f"Archived {_since(stray)} from {stray.tag.address if stray.tag else '?'}, a table that is no longer there."


def _note_archived(search: _Search, archived: Archived, holds: bool) -> str:
    when = f"Archived {_since(archived)}"
    if archived.bounds is None:
        return f"{when}; nothing tells which range it held, so all of it was looked through."
    if not holds:
        return f"{when}; its name says another range, so these rows stand where nobody expects them."
    return f"{when}; to see its rows through the table again: {_reattach(search.table, search.table.called(archived))}"


def _since(archived: Archived) -> str:
    if archived.tag is None:
        return "by hand"
    try:
        return f"on {human_date(datetime.fromisoformat(archived.tag.archived_at).date())}"
    except ValueError:
        return "by the console"


def _reattach(table: PartitionedTable, name: str) -> str:
    return twin("reattach", table, name)


def _name(one: Partition | Archived) -> str:
    return f"{one.schema}.{one.name}"


# Counting --------------------------------------------------------------------------------------------------------


def _count_attached(search: _Search, partition: Partition) -> tuple[int | None, str]:
    """(rows, "") or (None, why not). A role that may read the table and not its partition counts through the table."""
    statements = [f"SELECT count(*) FROM {partition.rows_sql} WHERE {search.condition}"]
    if not partition.pending:
        oids = ", ".join(map(str, partition.oids))
        through = f"tableoid IN ({oids}) AND {search.condition}"
        statements.append(f"SELECT count(*) FROM {search.table.sql} WHERE {through}")
    return _count(search.engine, *statements)


def _count_archived(search: _Search, archived: Archived) -> tuple[int | None, str]:
    own = {column.name for column in archived.columns}
    for name in search.where:
        if name not in own:
            return None, f"it has no column {name}"
    condition = search.condition_on(archived.own_key(search.key))
    return _count(search.engine, f"SELECT count(*) FROM {archived.rows_sql} WHERE {condition}")


def _count(engine: Engine, *statements: str) -> tuple[int | None, str]:
    """The count of the first statement that the role may run, or why there is none."""
    problem = ""
    with session(engine) as connection:
        for statement in statements:
            try:
                with reading(connection, timeout_ms=FIND_TIMEOUT_MS):
                    # Without row security a policy is an error here, not a smaller count.
                    connection.exec_driver_sql("SET LOCAL row_security = off")
                    as_the_role(connection)  # for the operators of other people's types
                    return int(connection.exec_driver_sql(statement).scalar_one()), ""
            except DBAPIError as error:
                if is_lost(error):
                    raise translate(error) from error
                if sqlstate(error) == _TOO_LARGE:
                    return 0, ""  # no value of the column's type is so large
                problem = problem or _problem(error)
                if sqlstate(error) != _NO_RIGHT:
                    break
    return None, problem


def _problem(error: DBAPIError) -> str:
    said = {
        LOCK_TIMEOUT: "somebody holds it exclusively just now",
        CANCELLED: f"counting took longer than {FIND_TIMEOUT_MS // 1000} seconds",
        _NO_RIGHT: "the connected role may not read all of it",
        _NO_TABLE: "it is not there any more",
    }
    return said.get(sqlstate(error)) or f"the server refused: {server_message(error)}"


# The verdict -----------------------------------------------------------------------------------------------------


def _verdict(table: PartitionedTable, places: tuple[Place, ...], what: str) -> str:
    holding = [place for place in places if place.rows]
    unread = [place for place in places if place.rows is None]
    missing = next((place for place in places if place.kind is Kind.NO_PARTITION), None)
    if len(holding) == 1:
        answer = _in_one(table, holding[0], what)
    elif holding:
        parts = "; ".join(f"{place.rows:,} in {_described(place)}" for place in holding)
        answer = f"The rows of {what} are in {len(holding)} places: {parts}."
    elif unread:
        answer = f"No row of {what} was found where it could be looked."
    else:
        looked = ", ".join(place.relation for place in places if place.relation)
        answer = f"There is no row of {what}" + (f": {looked} holds none." if looked else ".")
    if missing is not None and not holding:
        answer = f"{answer} {missing.note}"
    failed = "".join(f" {place.relation} could not be read: {place.problem}." for place in unread)
    return answer + failed


def _in_one(table: PartitionedTable, place: Place, what: str) -> str:
    rows = f"The one row of {what} is" if place.rows == 1 else f"The {place.rows:,} rows of {what} are"
    if place.kind is Kind.ARCHIVED:
        archived = next(a for a in table.archived if a.oid == place.oid)
        return (
            f"{rows} in {place.relation}, archived {_since(archived)}; reattach it to see them through {table.label}"
            f" again: {_reattach(table, table.called(archived))}"
        )
    if place.kind is Kind.STRAY:
        return f"{rows} in {place.relation}. {place.note}"
    if place.kind is Kind.DETACH_PENDING:
        return f"{rows} in {place.relation}, out of the table's sight. {place.note}"
    return f"{rows} in {_described(place)}: reads through {table.label} return them."


def _described(place: Place) -> str:
    return {
        Kind.ATTACHED: f"the partition {place.relation}",
        Kind.DEFAULT: f"the DEFAULT partition {place.relation}",
        Kind.DETACH_PENDING: f"{place.relation}, whose detach is not finished",
        Kind.ARCHIVED: f"the archived {place.relation}",
        Kind.STRAY: f"{place.relation}, archived from a table that is no longer there",
        Kind.NO_PARTITION: "no partition",
    }[place.kind]
