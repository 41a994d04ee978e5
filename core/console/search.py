"""The journal searched: which operations are asked for, some at a time, by page and command alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, Engine

from core.console import journal
from core.console.journal import STATED, OperationRecord, OperationState
from core.console.privacy import SOMEBODY, without_name
from core.console.record import as_text
from core.errors import NotAllowed
from core.names import literal
from core.plans.drop import SCHEDULE
from core.seal import Seal

AT_ONCE = 500
"""So many are read at once where all are taken away."""
MOST_CHOICES = 1000
PLAN_A_DROP, KEEP = "plan a drop", "keep"


@dataclass(frozen=True, slots=True)
class Sought:
    """Which operations are asked for; what is empty leaves none out."""

    table: str = ""
    acts: tuple[str, ...] = ()
    """As `act` names them."""
    states: tuple[OperationState, ...] = ()
    people: tuple[str, ...] = ()
    since: date | None = None
    """The first day and the last one on which they were asked for, in UTC."""
    until: date | None = None
    text: str = ""
    """Stands somewhere in what it was of, its reason, its end or its SQL, in capitals or not."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many operations are found."""

    all: int
    failed: int
    """Those that failed or were interrupted."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the journal's rows can be told apart by, in order."""

    tables: tuple[str, ...] = ()
    acts: tuple[str, ...] = ()
    people: tuple[str, ...] = ()


def act(operation: OperationRecord) -> str:
    """What it does, in a word or two: a planned drop and its calling off are one operation with two ends."""
    if operation.plan.operation is SCHEDULE and operation.plan.steps:
        return PLAN_A_DROP if operation.plan.backup else KEEP
    return operation.kind


# The same of a row. Only a row of that kind has its plan read: anybody may have written what is no plan.
_ACT = f"""CASE WHEN o.kind = {literal(SCHEDULE.name)} THEN
    CASE WHEN o.plan #>> '{{steps,0}}' IS NULL THEN o.kind
        WHEN coalesce(o.plan ->> 'backup', '') = '' THEN {literal(KEEP)} ELSE {literal(PLAN_A_DROP)} END
    ELSE o.kind END"""
_ROWS = f"SELECT o.* FROM ({STATED}) o"


def _any_of(expression: str, values: tuple[str, ...]) -> Iterator[str]:
    if values:
        yield f"{expression} IN ({', '.join(literal(value) for value in values)})"


def _has_text(connection: Connection, text: str, *, names: bool) -> str:
    """What a reader of the row can see has it; where no names are read, as that reader sees it."""
    words = "pg_catalog.concat_ws(E'\\n', o.id, o.kind, o.subject, o.table_address, o.reason, o.error, o.server_message"
    if names:
        words += ", o.actor"
    haystacks = [f"{words})", "(o.plan -> 'steps')::text"]
    needles = (text, json.dumps(text, ensure_ascii=False)[1:-1])
    if not names:
        haystacks = [f"pg_catalog.replace({one}, o.actor, {literal(SOMEBODY)})" for one in haystacks]
    found = (
        f"pg_catalog.strpos(pg_catalog.lower({there}), pg_catalog.lower({as_text(connection, needle)})) > 0"
        for there, needle in zip(haystacks, needles, strict=True)
    )
    return f"({' OR '.join(found)})"


def _conditions(connection: Connection, sought: Sought, *, names: bool) -> str:
    conditions = [
        *_any_of("o.table_address", (sought.table,) if sought.table else ()),
        *_any_of(_ACT, sought.acts),
        *_any_of("o.state_now", tuple(state.value for state in sought.states)),
        *_any_of("o.actor", sought.people),
    ]
    if sought.since is not None:
        conditions.append(f"o.requested_at >= '{sought.since} 00:00+00'")
    if sought.until is not None:
        conditions.append(f"o.requested_at < timestamptz '{sought.until} 00:00+00' + interval '24 hours'")
    if sought.text:
        conditions.append(_has_text(connection, sought.text, names=names))
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _require_names(sought: Sought, *, names: bool) -> None:
    if sought.people and not names:
        raise NotAllowed("Who did what is told to auditors, operators and admins.", next="Ask for all people's.")


def read_found(
    engine: Engine,
    sought: Sought,
    *,
    names: bool,
    limit: int,
    skip: int = 0,
    below: int | None = None,
    seal: Seal | None = None,
) -> tuple[OperationRecord, ...]:
    """The newest that are asked for, newest first, after the first `skip` of them, or with numbers below `below`.

    Without `names` no person is named, nor can one be looked for. Raises NotAllowed.
    """
    _require_names(sought, names=names)

    def statement(connection: Connection) -> str:
        where = _conditions(connection, sought, names=names)
        if below is not None:
            where += f"{' AND' if where else 'WHERE'} o.id < {below}"
        return f"{_ROWS} {where} ORDER BY o.id DESC LIMIT {limit} OFFSET {skip}"

    found = tuple(journal.record(row, seal) for row in journal.read_rows(engine, statement))
    return found if names else tuple(without_name(one) for one in found)


def read_counted(engine: Engine, sought: Sought, *, names: bool) -> Counted:
    """How many there are of what is asked for. Raises NotAllowed."""
    _require_names(sought, names=names)
    rows = journal.read_rows(
        engine,
        lambda connection: (
            "SELECT count(*) AS every, count(*) FILTER (WHERE o.state_now IN ('failed', 'interrupted')) AS failed"
            f" FROM ({STATED}) o {_conditions(connection, sought, names=names)}"
        ),
    )
    return Counted(*rows[0]) if rows else Counted(0, 0)


def read_all(
    engine: Engine, sought: Sought, *, names: bool, most: int, seal: Seal | None = None
) -> Iterator[OperationRecord]:
    """The newest `most` of what is asked for, newest first, read some at a time. Raises NotAllowed."""
    below: int | None = None
    while most > 0:
        found = read_found(engine, sought, names=names, limit=min(most, AT_ONCE), below=below, seal=seal)
        yield from found
        if len(found) < AT_ONCE:
            return
        most, below = most - len(found), found[-1].id


def read_choices(engine: Engine, *, names: bool) -> Choices:
    """What there is to choose from, of each at most MOST_CHOICES."""
    listed = {"tables": "o.table_address", "acts": _ACT, **({"people": "o.actor"} if names else {})}
    parts = (
        f"(SELECT {literal(name)} AS name, {of} AS value FROM partition_desk.operation o"
        f" GROUP BY 2 ORDER BY 2 LIMIT {MOST_CHOICES})"
        for name, of in listed.items()
    )
    rows = journal.read_rows(engine, lambda _: " UNION ALL ".join(parts))
    return Choices(**{name: tuple(sorted(row.value for row in rows if row.name == name)) for name in listed})
