"""What became of an operation that failed: what is taken back, what stays, and what is told of it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from core.errors import NOTHING_CHANGED, ConnectionFailed, DeskError
from core.names import literal, qualified, split_qualified
from core.plans.plan import Step
from core.postgres.connection import DEADLOCK, LOCK_TIMEOUT, is_lost, sqlstate, translate
from core.postgres.server import raised_by
from core.postgres.session import as_the_role

if TYPE_CHECKING:
    from core.console.execute import Run

PENDING = "The partition is detach pending: all its rows are there, out of the table's sight."
UNDO_S = 2.0
"""How long taking a step back is tried, unless rows are refused until then."""


def told_of(run: Run, error: DBAPIError) -> DeskError:
    """What the server's error means, and which event trigger raised it, if one did."""
    return raised_by(run.work, error) or translate(error)


def with_outcome(run: Run, error: DeskError) -> DeskError:
    """The same error, saying what became of the steps that were committed; takes back those that can be."""
    committed = tuple(step for step in run.plan.steps[: run.done] if not step.rehearsal)
    if isinstance(error, ConnectionFailed):
        done = "; ".join(step.title for step in committed) or "nothing that is known"
        error.safe = f"No row is lost: each step happened whole or not at all. Done before: {done}."
        error.next = "Ask for the same again once the server is back; it goes on from wherever this stopped."
    elif error.safe == NOTHING_CHANGED:
        left = _left_behind(run)
        if any(_detaches(step) for step in run.plan.steps) and is_pending(run):
            error.safe, error.next = PENDING, f"{error.next} Archive it again to finish.".strip()
            return error
        kept = _take_back(run, committed)
        if kept:
            error.safe = (
                f"No row was changed. Done and kept: {'; '.join(kept)}. Asking for the same again goes on from there."
            )
        elif committed and not left:
            error.safe = "What was begun was taken back; nothing is changed."
        if left:
            error.safe = f"{error.safe} {left}" if kept else f"No row was changed. {left}"
    return error


def _left_behind(run: Run) -> str:
    """Takes away what the step that failed left half made; a sentence on what stays, empty where nothing does."""
    index = run.plan.steps[run.done].leaves if run.done < len(run.plan.steps) else ""
    if not index or run.work.invalidated:
        return ""
    invalid = f"SELECT count(*) FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass({literal(index)})"
    try:
        if not run.work.exec_driver_sql(f"{invalid} AND NOT indisvalid").scalar_one():
            return ""
    except DBAPIError:  # lost since: what stays there is found by whoever asks again
        return f"Whether an unfinished index {index} is left is not known; asking for the same again takes it away."
    if _undone(run, (f"DROP INDEX {index}",)):
        return ""
    return f"The index {index} is left unfinished, which slows writes; asking for the same again takes it away first."


def _detaches(step: Step) -> bool:
    """Whether the step is a detach that stands by itself, before which nothing is taken back any more."""
    return bool(step.finish) or step.waits_for_all


def _attaches(step: Step) -> bool:
    return step.refuses and not step.proves


def _take_back(run: Run, committed: tuple[Step, ...]) -> list[str]:
    """Undoes what can be undone, the last first; returns the titles of the steps that stay.

    What an attach that was committed rested on is a part of it; a proof goes with the constraint that it proved.
    """
    last = max((n for n, step in enumerate(committed) if _detaches(step) or _attaches(step)), default=-1)
    ends = committed[: last + 1]
    kept = [step for step in ends if _detaches(ends[-1]) or not (step.undo or step.proves)]
    after: list[Step] = []
    for step in reversed(committed[last + 1 :]):
        if not (step.undo and _undone(run, step.undo)):
            after.insert(0, step)
        elif after and after[0].proves:
            after.pop(0)
    return [step.title for step in (*kept, *after)]


def _undone(run: Run, statements: tuple[str, ...]) -> bool:
    if run.work.invalidated:
        return False
    refusing = any(later.refuses for later in run.plan.steps)  # until this is taken back
    give_up = time.monotonic() + (run.budget.patience_s if refusing else UNDO_S)
    while time.monotonic() < give_up:
        try:
            run.work.exec_driver_sql("BEGIN")
            as_the_role(run.work)
            for statement in statements:
                run.work.exec_driver_sql(run.waiting_at_most(run.budget.lock_ms))
                run.work.exec_driver_sql(statement)
            run.work.exec_driver_sql("COMMIT")
            return True
        except DBAPIError as error:
            if is_lost(error):
                return False
            with suppress(DBAPIError):
                run.work.exec_driver_sql("ROLLBACK")
            if sqlstate(error) not in (LOCK_TIMEOUT, DEADLOCK):
                return False
            time.sleep(UNDO_S / 20)
    return False


def is_pending(run: Run) -> bool:
    """Whether the parent has a partition whose detach was begun and not finished."""
    schema, name = split_qualified(run.plan.table)
    parent = literal(qualified(schema or "public", name))
    return bool(
        run.work.exec_driver_sql(
            "SELECT count(*) FROM pg_catalog.pg_inherits WHERE inhdetachpending"
            f" AND inhparent = pg_catalog.to_regclass({parent})"
        ).scalar_one()
    )
