"""What of people is told and what is written down: no names for a viewer, and who looked for the rows of one value."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from core.console.actor import Actor, as_of_now
from core.console.journal import OperationRecord, StepRecord
from core.console.queue import note
from core.console.register import LOOKED
from core.errors import DeskError
from core.plans.operation import FIND
from core.plans.plan import Plan
from core.tables.table import PartitionedTable

if TYPE_CHECKING:
    from core.console.desk import Desk

SOMEBODY = "somebody"
"""Stands for the names of people where a viewer reads."""


def without_name(operation: OperationRecord) -> OperationRecord:
    """An operation for who may not read who did what: without the name, wherever it stands in it."""
    name = operation.actor
    steps = tuple(
        replace(
            step,
            title=_without(step.title, name),
            statements=tuple(_without(statement, name) for statement in step.statements),
        )
        for step in operation.plan.steps
    )
    plan = replace(operation.plan, steps=steps, effects=(), command="")
    return replace(operation, actor=SOMEBODY, reason=_without(operation.reason, name), plan=plan, address="", wish="")


def step_without_name(step: StepRecord, name: str) -> StepRecord:
    """A committed step of an operation of somebody, likewise."""
    return replace(step, title=_without(step.title, name), sql=_without(step.sql, name))


def _without(text: str, name: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", SOMEBODY, text) if name else text


def note_find(
    desk: Desk, table: PartitionedTable, day: date, columns: tuple[str, ...], actor: Actor, *, noted: bool
) -> None:
    """Writes it down, without the values: the journal is read by those who may not see rows. Raises NotAllowed.

    Where people are named, nothing is looked for that can't be written down. Where they are not, whoever looks is the
    one who runs the console, and looking makes nothing in a database.
    """
    as_of_now(desk.settings, actor).require(FIND)
    if noted:
        return
    plan = Plan(LOOKED, table.address, f"{', '.join(columns)} on {day}", basis=(), steps=())
    if desk.settings.names_people:
        note(desk.working, plan, actor, seal=desk.make_seal(), making=True)
        return
    with suppress(DeskError):
        note(desk.working, plan, actor, seal=desk.make_seal(), making=False)
