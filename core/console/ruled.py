"""The rules in force: of each table the newest that a console with this key wrote down, as journal and record agree.

The row of the journal is the rules. What has no seal, what the record does not know, what the record knows and the
journal no longer has, and what is of a table on another server is told, and not obeyed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from core.console.audit import digest
from core.console.journal import OperationRecord, OperationState, read_operations_of
from core.console.journal_tables import exists
from core.errors import Refused, UsageError
from core.postgres.connection import session, sqlstate, translate
from core.rules.file import TableRules
from core.rules.setting import RULES, SetRules
from core.rules.value import Rules, parse_rules
from core.seal import Seal
from core.tables.summaries import TableSummary
from core.tables.table import PartitionedTable
from core.text import Json, human_time

if TYPE_CHECKING:
    from core.console.desk import Desk

MOST = 2_000
"""How many of the newest changes are looked at."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """That somebody set the rules of a table, or, with None, took them away."""

    operation: int
    table: str
    """Its address of then."""
    oid: int
    cluster: str
    rules: Rules | None
    by: str
    at: datetime
    reason: str
    good: bool
    """Whether a console with this key wrote it, and the record knows it."""
    request: int | None = None
    """The operation by which another admin asked for it, where it took two."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What holds for one table of this database."""

    table: str
    """Its address of now."""
    oid: int
    ruling: Ruling | None
    """None where it has no rules that are obeyed."""
    doubt: str = ""
    """Why what was written of it is not obeyed; empty where nothing is wrong."""
    instead_of: int = 0
    """The newest change of them, good or not, by its operation: what a further one is made instead of."""

    @property
    def rules(self) -> Rules | None:
        """Those that are obeyed."""
        return self.ruling.rules if self.ruling is not None and not self.doubt else None

    @property
    def as_in_file(self) -> TableRules | None:
        """The same with the name of the table."""
        return TableRules(self.table, self.rules) if self.rules is not None else None


_RECORDED = """
SELECT n, entry, previous, hash, seal FROM partition_desk.audit
WHERE entry LIKE '%"act": "rules"%' ORDER BY n
"""


_Recorded = dict[int, Json]
"""What the record says of each change, by its operation: how it was asked for, and how it ended."""


def read_rulings(engine: Engine, seal: Seal | None) -> tuple[Ruling, ...]:
    """Every change of rules that was done, newest first; foreign ones among them."""
    return _read(engine, seal)[0]


def _read(engine: Engine, seal: Seal | None) -> tuple[tuple[Ruling, ...], _Recorded]:
    recorded = _read_recorded(engine, seal) if seal is not None else {}
    rows = read_operations_of(engine, RULES, limit=MOST, seal=seal)
    done = (row for row in rows if row.state is OperationState.DONE)
    return tuple(found for row in done if (found := _ruling(row, recorded)) is not None), recorded


def _ruling(row: OperationRecord, recorded: _Recorded) -> Ruling | None:
    """What a row says; None where it is none of ours at all."""
    try:
        raw = json.loads(row.wish)
        said = raw["said"]["rules"]
        found = parse_rules(said["rules"]) if said is not None else Rules()
        rules = None if found == Rules() else found
        oid, cluster = int(raw["oid"]), str(raw["said"]["cluster"])
    except (ValueError, KeyError, TypeError, UsageError):
        return None
    asked = recorded.get(row.id, {})
    good = bool(row.sealed) and asked.get("plan") == row.wish and asked.get("result", "done") == "done"
    request = row.plan.request
    return Ruling(row.id, row.table, oid, cluster, rules, row.actor, row.requested_at, row.reason, good, request)


def _read_recorded(engine: Engine, seal: Seal) -> _Recorded:
    with session(engine) as connection:
        try:
            if not exists(connection, current=True):
                return {}
            rows = connection.exec_driver_sql(_RECORDED).all()
        except DBAPIError as error:
            if sqlstate(error) == "42501":
                return {}
            raise translate(error) from error
    found: _Recorded = {}
    for row in rows:
        if row.hash != digest(row.n, row.previous, row.entry) or not seal.fits(row.seal, "audit", row.hash):
            continue
        said = json.loads(row.entry)
        if said.get("act") == RULES.name and isinstance(said.get("operation"), int) and said.get("event") != "refused":
            found[said["operation"]] = {**found.get(said["operation"], {}), **said}
    return found


def read_in_force(desk: Desk) -> tuple[InForce, ...]:
    """What holds for each table of the database that something was ever written of, in their order."""
    rulings, recorded = _read(desk.reading, desk.seal())
    if not rulings and not recorded:
        return ()
    return _in_force(desk.tables(), rulings, recorded, desk.server().cluster)


def _in_force(
    tables: Iterable[TableSummary], rulings: tuple[Ruling, ...], recorded: _Recorded, cluster: str
) -> tuple[InForce, ...]:
    tables = tuple(tables)
    oids = {one.oid for one in tables}
    each = (_of(one, oids, rulings, recorded, cluster) for one in tables)
    return tuple(one for one in each if one is not None)


def _of(
    table: TableSummary, oids: set[int], rulings: tuple[Ruling, ...], recorded: _Recorded, cluster: str
) -> InForce | None:
    own = [one for one in rulings if one.oid == table.oid]
    last = own[0].operation if own else 0
    here = [one for one in own if one.cluster == cluster]
    newest = next((one for one in here if one.good), None)
    taken = _taken(table, newest, rulings, recorded)
    if taken:
        return InForce(table.address, table.oid, newest, taken, last)
    if newest is not None:
        return InForce(table.address, table.oid, newest, "", last)
    foreign = next((one for one in own if not one.good), None)
    if foreign is not None:
        told = f"operation {foreign.operation} is not of a console with this one's key: anybody may have written it"
        return InForce(table.address, table.oid, None, told, last)
    moved = next((one for one in rulings if one.good and one.table == table.address), None)
    if moved is None or moved.rules is None or (moved.oid in oids and moved.cluster == cluster):
        return None
    told = (
        f"{moved.by} set rules for a table of this name on {human_time(moved.at)}, before it was made anew or on"
        " another server. If they are meant for this one, set them again"
    )
    return InForce(table.address, table.oid, moved, told, last)


def _taken(table: TableSummary, newest: Ruling | None, rulings: tuple[Ruling, ...], recorded: _Recorded) -> str:
    """That the record knows of rules of this table which the journal no longer has; empty where it does not."""
    good = newest.operation if newest else 0
    there = {one.operation for one in rulings if one.good}
    for number, said in sorted(recorded.items(), reverse=True):
        if number > good and number not in there and said.get("result") == "done" and _is_of(said, table.oid):
            return f"the record has newer ones, of operation {number}, which the journal no longer has"
    return ""


def _is_of(said: Json, oid: int) -> bool:
    try:
        return bool(json.loads(str(said.get("plan", "")))["oid"] == oid)
    except (ValueError, KeyError, TypeError):
        return False


def wish_for(desk: Desk, table: PartitionedTable, rules: Rules | None) -> SetRules:
    """The wish that a table has these rules from now on, instead of those that hold at this moment."""
    now = next((one for one in read_in_force(desk) if one.oid == table.oid), None)
    before = now.rules if now is not None else None
    return SetRules(table, rules, before, now.instead_of if now else 0, table.server.cluster)


def wish_back(desk: Desk, table: PartitionedTable) -> SetRules:
    """The wish that a table has again the rules that it had before the last change. Raises Refused where none was."""
    own = [one for one in read_rulings(desk.reading, desk.seal()) if one.oid == table.oid and one.good]
    if not own:
        raise Refused(f"The rules of {table.label} were never set here.", next="See: partitions rules show")
    return wish_for(desk, table, own[1].rules if len(own) > 1 else None)


def read_history(desk: Desk, oid: int) -> tuple[Ruling, ...]:
    """The changes of the rules of one table, newest first."""
    return tuple(one for one in read_rulings(desk.reading, desk.seal()) if one.oid == oid)
