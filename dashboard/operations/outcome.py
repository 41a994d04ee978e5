"""How an operation ended, and how it is stopped, resumed or tried again."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.console.journal import OperationRecord, OperationState
from core.errors import BackupDamaged, Unprovable
from core.plans.archive import ARCHIVE
from core.plans.backup import BACKUP
from core.plans.drop import DROP, SCHEDULE
from core.plans.operation import Operation
from core.plans.plan import Plan
from core.plans.reattach import REATTACH
from core.plans.restore import RESTORE
from core.plans.verify import VERIFY
from core.tables.archived import Archived
from core.text import human_seconds
from dashboard.dialog import ask, buttons, one_click
from dashboard.format import deed, plain
from dashboard.state import acts, current


def title(operation: OperationRecord) -> str:
    """What it does to what: Archive kid_absences_2024. Markdown."""
    return plain(deed(operation.plan))


def stop_button(operation: OperationRecord, *, key: str) -> None:
    """Asks for a running operation to stop."""
    buttons.button(
        "Stop",
        lambda: acts.cancel(operation.id),
        operation=operation.plan.operation,
        key=key,
        icon=":material/stop_circle:",
    )


def say(operation: OperationRecord) -> None:
    """How it ended, whether data is safe, and what to do next."""
    name, said = title(operation), plain(operation.error)
    if operation.state is OperationState.DONE and said:
        st.success(f"**{name}**: {said}", icon=":material/check_circle:")
    elif operation.state is OperationState.DONE:
        st.success(f"**{name}** is done, in {human_seconds(operation.seconds)}.", icon=":material/check_circle:")
    elif operation.state is OperationState.CANCELLED:
        st.warning(f"**{name}** was stopped. {said}", icon=":material/stop_circle:")
    elif operation.state is OperationState.INTERRUPTED:
        st.error(
            f"**{name}** was interrupted: the process that ran it is gone. {said} No row is lost;"
            " Resume looks at where it stopped and goes on from there.",
            icon=":material/power_off:",
        )
    elif operation.plan.operation is VERIFY and operation.error_kind == BackupDamaged.__name__:
        st.error(f"**{name}**: the backup is damaged. {said}", icon=":material/gpp_bad:")
    elif operation.plan.operation is VERIFY and operation.error_kind == Unprovable.__name__:
        st.warning(f"**{name}**: the backup can't be proven here. {said}", icon=":material/help:")
    else:
        st.error(f"**{name}** did not happen. {said}", icon=":material/error:")


def archived_of(operation: OperationRecord) -> Archived | None:
    """The very table that it was about, where that is archived now."""
    one = current.subject(operation.plan)
    return one if isinstance(one, Archived) else None


def resume_button(operation: OperationRecord, *, key: str) -> None:
    """Plans the same act again from the state that the table is in now, where it did not end as asked."""
    label = "Resume" if operation.state is OperationState.INTERRUPTED else "Try again"
    buttons.button(
        label,
        lambda: again(operation),
        operation=operation.plan.operation,
        key=key,
        icon=":material/replay:",
        command=operation.plan.command,
    )


def again(operation: OperationRecord) -> None:
    """Plans the same act anew: what is harmless runs, anything else opens the dialog. Raises Refused."""
    if operation.table != current.address():
        current.choose(operation.table)
    again = _AGAIN.get(operation.plan.operation)
    if again is None or operation.sealed is False:
        one_click.run(acts.plan_again(operation))
    else:
        again(operation.plan)
    acts.watched().discard(operation.id)


_AGAIN: dict[Operation, Callable[[Plan], None]] = {
    ARCHIVE: lambda plan: ask.archive(plan.subject),
    REATTACH: lambda plan: ask.reattach(plan.subject),
    BACKUP: lambda plan: one_click.back_up(plan.subject),
    VERIFY: lambda plan: one_click.verify(plan.backup),
    DROP: lambda plan: ask.drop(plan.subject),
    RESTORE: lambda plan: ask.restore(plan.backup),
    SCHEDULE: lambda plan: (ask.drop if plan.backup else one_click.keep)(plan.subject),
}
