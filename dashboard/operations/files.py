"""What of the journal can be taken away: what is listed, for a spreadsheet or a program, and one operation whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

import streamlit as st

from core.cli.output.acts import operation_json
from core.console.journal import OperationRecord, StepRecord
from core.console.search import Sought
from dashboard.growth.tables import Table, as_csv
from dashboard.state import clock, reads

MOST = 20_000
"""So many operations are in a file at most, the newest."""
_MIME = {"csv": "text/csv", "json": "application/json", "jsonl": "application/jsonl", "html": "text/html"}


def button(label: str, make: Callable[[], str | bytes], name: str, *, key: str, icon: str, help: str) -> None:
    """A file that is made when it is asked for."""
    kind = name.rpartition(".")[2]
    st.download_button(
        label, make, name, _MIME[kind], key=key, icon=icon, help=help, on_click="ignore", type="tertiary"
    )


def listed(sought: Sought, found: int) -> None:
    """The buttons below the list, which take all of what is listed on its pages, up to MOST."""
    bound = f"The newest {MOST:,} of {found:,}" if found > MOST else f"All {found:,}"
    name = f"activity-{clock.today()}"
    every = reads.every(sought, most=MOST)
    button(
        "CSV",
        lambda: as_csv(table(every())),
        f"{name}.csv",
        key="take_csv",
        icon=":material/table:",
        help=f"{bound} that the filters leave, without SQL, for a spreadsheet.",
    )
    button(
        "JSON lines",
        lambda: json_lines(every()),
        f"{name}.jsonl",
        key="take_jsonl",
        icon=":material/data_object:",
        help=f"{bound} that the filters leave, with their SQL, a line each.",
    )


def table(operations: Iterable[OperationRecord]) -> Table:
    """A row for each; times in UTC."""
    rows = [operation_json(one) for one in operations]
    columns = [name for name in (rows[0] if rows else ()) if name != "sql"]
    return columns, ([str(row[name]) if name == "sealed" else row[name] for name in columns] for row in rows)


def json_lines(operations: Iterable[OperationRecord]) -> bytes:
    """An object a line, with the SQL, as `partitions history --json` has them."""
    return "".join(f"{json.dumps(operation_json(one), ensure_ascii=False)}\n" for one in operations).encode()


def as_json(operation: OperationRecord, steps: Sequence[StepRecord]) -> str:
    """One operation whole: beside what is listed of it, what its seal is of, what was told of it, and what was done."""
    plan = operation.plan
    return json.dumps(
        {
            **operation_json(operation),
            "digest": operation.digest,
            "sealed_at": operation.sealed_at or None,
            "seal": operation.seal or None,
            "wish": operation.wish or None,
            "effects": plan.effects,
            "warnings": plan.warnings,
            "way_back": plan.way_back or None,
            "command": plan.command or None,
            "basis": plan.basis,
            "committed": [
                {
                    "step": step.step,
                    "title": step.title,
                    "started_at": step.started_at.isoformat(),
                    "finished_at": step.finished_at.isoformat(),
                    "sql": step.sql,
                }
                for step in steps
            ],
        },
        ensure_ascii=False,
        indent=2,
    )
