"""What failed and waits for somebody: acts that ended badly, until they are done or somebody answers for them.

Who acknowledges a failure writes a sealed row of its own that names it; the failed one stays as it is. Page, command,
Doctor and metrics count what `read_failures` finds and `waiting` counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from core.console.actor import Actor, as_of_now
from core.console.journal import OperationRecord, OperationState, read_of_requests, read_operation, read_unanswered
from core.console.queue import note
from core.console.register import ACKNOWLEDGED
from core.doctor.findings import Finding, Severity
from core.errors import Refused
from core.plans.plan import Plan
from core.text import human_date, human_time

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from core.console.desk import Desk
    from core.seal import Seal

CHECK = "failed_operations"
"""The name of what the Doctor says of them."""
ENDED_BADLY = (OperationState.FAILED, OperationState.INTERRUPTED)
MOST = 500
"""How many of the newest are looked at."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An act that failed or was interrupted, and was not done since."""

    record: OperationRecord
    answer: OperationRecord | None = None
    """The row by which somebody has acknowledged it, while that counts."""

    @property
    def until(self) -> date | None:
        """The last day of the acknowledgement; None where it has no end, or there is none."""
        return _until(self.answer) if self.answer is not None else None

    @property
    def command(self) -> str:
        """How it is acknowledged on the command line; the reason is left open."""
        return f"partitions acknowledge {self.record.id} --reason ..."


def read_failures(engine: Engine, *, seal: Seal | None, today: date, table: str | None = None) -> tuple[Failure, ...]:
    """What failed and was not done since, newest first: of the table of that address, or of all."""
    found = read_unanswered(engine, table=table, limit=MOST, seal=seal)
    records = [one for one in found if one.state in ENDED_BADLY]
    answers: dict[int | None, OperationRecord] = {}
    if seal is not None:  # without a key nobody can tell who wrote them
        for row in read_of_requests(engine, (one.id for one in records), seal):
            if row.kind == ACKNOWLEDGED.name:
                answers[row.plan.request] = row  # the newest counts
    lasting = {number: row for number, row in answers.items() if (_until(row) or date.max) >= today}
    return tuple(Failure(one, lasting.get(one.id)) for one in records)


def failures(desk: Desk, table: str | None = None) -> tuple[Failure, ...]:
    """The same as that desk reads it today."""
    return read_failures(desk.reading, seal=desk.seal(), today=desk.today, table=table)


def unsettled(desk: Desk, table: str | None = None) -> tuple[OperationRecord, ...]:
    """Those of them that wait for somebody, not being acknowledged."""
    return tuple(one.record for one in failures(desk, table) if one.answer is None)


def waiting(found: Iterable[Failure]) -> Counter[str]:
    """How many of them wait for somebody, not being acknowledged, by the address of the table."""
    return Counter(one.record.table for one in found if one.answer is None)


def acknowledge(desk: Desk, number: int, actor: Actor, reason: str, until: date | None = None) -> bool:
    """Answers for a failure, through the day `until` or without an end; whether that was still to be done.

    It takes the role of what failed. Raises NotAllowed, and Refused where nothing failed under that number.
    """
    plan = Plan(ACKNOWLEDGED, "", f"operation {number}", (), (), request=number)
    with desk.noting_refusals(plan, actor, reason):
        failed = require_failed(desk, number)
        here = as_of_now(desk.settings, actor)
        here.require(ACKNOWLEDGED)
        here.require(failed.plan.operation)
        if not reason.strip():
            raise Refused("A failure is acknowledged with a reason, for whoever reads of it.", next="Say why.")
        if until is not None and until < desk.today:
            raise Refused(f"{human_date(until)} is over already.", next="Name a later day, or none.")
    now = next((one for one in failures(desk, failed.table) if one.record.id == number), None)
    if now is None or (now.answer is not None and (now.answer.reason, now.until) == (reason, until)):
        return False
    plan = replace(plan, table=failed.table, wish=json.dumps({"until": until.isoformat() if until else ""}))
    note(desk.working, plan, actor, reason, seal=desk.make_seal(), making=True)
    desk.keep_record()
    return True


def require_failed(desk: Desk, number: int) -> OperationRecord:
    """The operation of that number. Raises Refused unless it failed or was interrupted."""
    found = read_operation(desk.reading, number, desk.seal())
    if found is None:
        raise Refused(f"There is no operation {number}.", next="Look for its number: partitions history.")
    if found.state not in ENDED_BADLY:
        raise Refused(f"Operation {number} did not fail: it is {found.state}.")
    return found


def _until(row: OperationRecord) -> date | None:
    with suppress(ValueError, KeyError, TypeError):  # only what a console has sealed is read here
        return date.fromisoformat(json.loads(row.wish)["until"])
    return None


def findings(found: Iterable[Failure]) -> Iterator[Finding]:
    """What the Doctor says of them: WARNING for each that waits for somebody, NOTE for each that is acknowledged."""
    found = tuple(found)
    for one in found:
        record, answer = one.record, one.answer
        name = f"{record.plan.operation.verb} {record.subject}"
        when = human_time(record.finished_at or record.requested_at)
        if answer is None:
            yield Finding(
                CHECK,
                Severity.WARNING,
                f"{name}: {record.state}",
                f"On {when}, as operation {record.id}. {record.error}".strip(),
                hint="\n".join(line for line in (record.plan.command, one.command) if line),
                operation=record.id,
            )
        else:
            lasting = f" until {human_date(one.until)}" if one.until else ""
            yield Finding(
                CHECK,
                Severity.NOTE,
                f"{name}: {record.state}, acknowledged{lasting}",
                f"Acknowledged on {human_time(answer.requested_at)}: {answer.reason}",
                operation=record.id,
            )
    if not found:
        yield Finding(CHECK, Severity.OK, "No operation that failed waits for somebody")
