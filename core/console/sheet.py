"""One operation for somebody who has no console: all that its row says, in words, and as a page that prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from core.console.journal import UNSEALED, OperationRecord, OperationState, StepRecord
from core.text import human_rows, human_seconds, human_time, plural

_ENDS = {
    OperationState.QUEUED: "It waits for its turn.",
    OperationState.RUNNING: "It runs.",
    OperationState.DONE: "It is done.",
    OperationState.FAILED: "It did not happen.",
    OperationState.CANCELLED: "It was stopped.",
    OperationState.INTERRUPTED: "It was interrupted: the process that ran it is gone.",
}
_SEALED = {
    True: "It holds: a console with this one's key wrote down what was asked for, by whom and when, and none of it"
    " was changed since.",
    False: UNSEALED,
    None: "Not looked at: this console has no key.",
}


def facts(operation: OperationRecord) -> tuple[tuple[str, str], ...]:
    """What its row says beside plan and SQL, each with its name."""
    tries = f", {plural(operation.tries, 'try', 'tries')} for a lock given up" if operation.tries else ""
    before, after = operation.rows_before, operation.rows_after
    rows = f"{human_rows(before)} before, {human_rows(after) if after is not None else 'not counted'} after"
    said = f"{operation.sqlstate} {operation.server_message}".strip()
    told = (
        ("Asked for", human_time(operation.requested_at)),
        ("By", f"{operation.actor}, {operation.role}"),
        ("Known by", operation.verified or "not told"),
        ("From", f"the {operation.origin}{f', {operation.address}' if operation.address else ''}"),
        ("Reason", operation.reason or "none given"),
        ("Table", operation.table),
        ("Ran", f"{human_seconds(operation.seconds)}, {operation.step} of {plural(operation.steps, 'step')}{tries}"),
        ("Rows counted", rows if before is not None else ""),
        ("Server said", said),
        ("On the command line", operation.plan.command),
        ("The way back", operation.plan.way_back),
        ("Plan", f"SHA-256 {_in_parts(operation.digest)}"),
        ("Seal", f"{_SEALED[operation.sealed]} {_in_parts(operation.seal)}".strip()),
    )
    return tuple((name, value) for name, value in told if value)


def _in_parts(digits: str) -> str:
    """Hexadecimal digits by eights, which wrap and can be compared by eye."""
    return " ".join(digits[start : start + 8] for start in range(0, len(digits), 8))


def html(operation: OperationRecord, steps: Sequence[StepRecord], *, place: str, made_at: datetime) -> str:
    """The whole page. `place` says which database it is, without a password."""
    return _template().render(
        title=f"{operation.id} · {operation.kind} {operation.subject}",
        place=place,
        lead=f"{_ENDS[operation.state]} {operation.error}".strip(),
        facts=facts(operation),
        effects=operation.plan.effects,
        steps=[
            (step.step, step.title, human_time(step.started_at), human_seconds(_took(step)), step.sql) for step in steps
        ],
        plan=operation.plan.sql,
        made_at=human_time(made_at),
    )


def _took(step: StepRecord) -> float:
    return (step.finished_at - step.started_at).total_seconds()


@lru_cache(maxsize=1)
def _template() -> Template:
    made = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return made.from_string((files("core.console") / "sheet.html.jinja").read_text(encoding="utf-8"))
