"""The buttons: each acts at once or asks first, or says why it can't, with its twin on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import streamlit as st

from core.console.journal import OperationRecord
from core.doctor.findings import Finding
from core.errors import DeskError
from core.plans.adopt import ADOPT, RELEASE
from core.plans.archive import ARCHIVE
from core.plans.backup import BACKUP
from core.plans.drain import DRAIN
from core.plans.drop import DROP, SCHEDULE
from core.plans.ensure import ENSURE
from core.plans.hold import HOLD
from core.plans.index import INDEX, REINDEX, UNINDEX
from core.plans.operation import Operation
from core.plans.plan import Plan
from core.plans.reading import KEY
from core.plans.reattach import REATTACH
from core.plans.restore import RESTORE
from core.plans.split import MERGE, SPLIT
from core.plans.under_way import ABANDON
from core.plans.verify import VERIFY
from core.rules.setting import RULES
from core.tables.archived import Archived
from core.tables.commands import backup_twin, option, twin
from core.tables.partition import Partition
from dashboard.dialog import ask, one_click
from dashboard.dialog.blockers import doing
from dashboard.format import plain, short
from dashboard.state import access, acts, clock, current, reads

ICON = {
    ENSURE: ":material/add_circle:",
    DRAIN: ":material/move_down:",
    SPLIT: ":material/call_split:",
    MERGE: ":material/merge:",
    ABANDON: ":material/undo:",
    ARCHIVE: ":material/archive:",
    REATTACH: ":material/unarchive:",
    ADOPT: ":material/add_link:",
    RELEASE: ":material/link_off:",
    INDEX: ":material/playlist_add:",
    REINDEX: ":material/autorenew:",
    UNINDEX: ":material/playlist_remove:",
    BACKUP: ":material/cloud_upload:",
    VERIFY: ":material/verified_user:",
    DROP: ":material/delete_forever:",
    RESTORE: ":material/settings_backup_restore:",
    HOLD: ":material/front_hand:",
    KEY: ":material/key:",
    SCHEDULE: ":material/event:",
    RULES: ":material/rule:",
}
LOOK_S = 2
"""How often what is under way is looked at."""
KEEP_ICON, LIFT_ICON = ":material/undo:", ":material/lock_open:"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a menu offers."""

    operation: Operation
    act: Callable[[], None]


def button(
    label: str,
    act: Callable[[], None],
    *,
    operation: Operation,
    key: str,
    primary: bool = False,
    icon: str | None = None,
    command: str = "",
    closed: str | None = None,
    name: str = "",
    backup: str = "",
) -> None:
    """A button that acts, or says why it can't from here or for who is here; `command` is its twin on the command line.

    `closed` is why this one can't be used. Where something is being done with the partition `name` or with `backup`,
    that is said in the button's place.
    """
    running = acts.under_way(name, backup)
    if running is not None:
        _under_way(running)
        return
    closed = access.closed_reason(operation) or closed
    st.button(
        label,
        key=key,
        icon=icon,
        type="primary" if primary else "secondary",
        width="stretch",
        disabled=closed is not None,
        help=closed or (f"On the command line: {plain(command)}" if command else None),
        on_click=acts.attempt(act),
    )


@st.fragment(run_every=LOOK_S)
def _under_way(operation: OperationRecord) -> None:
    """What it is at just now, in the place of the button that asked for it."""
    with suppress(DeskError):  # the bar says it
        operation = reads.operation(operation.id) or operation
    st.caption(f":material/progress_activity: {plain(doing(operation))}")


def menu(choices: Mapping[str, Choice], *, key: str, of: str) -> None:
    """What else can be done with one thing by who is here, behind one small button; `of` is what people call it."""
    closed = {words: access.closed_reason(choice.operation) for words, choice in choices.items()}
    offered = [words for words, reason in closed.items() if reason is None]

    def act() -> None:
        chosen = choices.get(str(st.session_state.get(key)))
        if chosen is not None:
            acts.attempt(chosen.act)()

    st.menu_button(
        f"More for {plain(of)}",
        offered or list(choices),
        key=key,
        type="tertiary",
        disabled=not offered,
        help="What else can be done with it" if offered else next(iter(closed.values())),
        on_click=act,
    )


def review(plan: Plan, *, key: str, primary: bool = False) -> None:
    """The button of a plan that is ready: what it will do comes first, unless it can do no harm."""
    label = f"Create {plain(plan.subject)}" if len(plan.subject) < 12 else "Create them"
    if plan.operation is not ENSURE:
        label = f"Review {plan.operation} of {plain(spoken(plan.subject))}"
    button(
        label,
        lambda: one_click.run(acts.plan_fix(plan)),
        operation=plan.operation,
        key=key,
        primary=primary,
        icon=ICON[plan.operation],
        command=plan.command,
        name=plan.subject,
    )


def remedy(finding: Finding, *, key: str, primary: bool = False) -> bool:
    """The button of a finding that has one; whether it has."""
    if finding.fix is not None:
        review(finding.fix, key=key, primary=primary)
        return True
    name, backup = finding.subject, finding.backup
    of = spoken(name)
    if finding.wants is BACKUP:
        backup_button(name, key=key, of=of, primary=primary)
    elif finding.wants is VERIFY:
        verify_button(backup, key=key, of=of, primary=primary)
    elif finding.wants is SCHEDULE:
        keep_button(name, key=key, of=of)
    elif finding.wants is HOLD:
        lift_button(name, key=key, of=of)
    elif finding.wants is DRAIN:
        drain_button(name, key=key, primary=primary)
    else:
        return False
    return True


def spoken(name: str) -> str:
    """What people call a partition or an archived table of that name; its name, where it is none of the table now."""
    named = current.table().named(name) if name else ()
    return short(named[0].bounds, name, clock.zone()) if len(named) == 1 else name


def archive_button(partition: Partition, *, key: str, primary: bool = False) -> None:
    """Asks to archive a partition, or to finish the detach that was begun."""
    name = current.table().called(partition)
    of = plain(spoken(name))
    button(
        f"Finish the detach of {of}" if partition.pending else f"Review archive of {of}",
        lambda: ask.archive(name),
        operation=ARCHIVE,
        key=key,
        primary=primary or partition.pending,
        icon=ICON[ARCHIVE],
        command=_of("archive", name),
        name=name,
    )


def drain_button(name: str, *, key: str, primary: bool = False) -> None:
    """Asks to give the rows of the DEFAULT partition partitions of their own."""
    button(
        "Review drain",
        ask.drain,
        operation=DRAIN,
        key=key,
        primary=primary,
        icon=ICON[DRAIN],
        command=twin("drain", current.table()),
        name=name,
    )


def reattach_button(archived: Archived, *, key: str) -> None:
    """Asks to bring an archived table back."""
    name = current.table().called(archived)
    button(
        f"Review reattach of {plain(spoken(name))}",
        lambda: ask.reattach(name),
        operation=REATTACH,
        key=key,
        icon=ICON[REATTACH],
        command=_of("reattach", name),
        name=name,
    )


def backup_button(
    name: str, *, key: str, of: str, primary: bool = False, again: bool = False, closed: str | None = None
) -> None:
    """Backs a partition up with one click, which people call `of`."""
    button(
        f"Back up {plain(of)}{' again' if again else ''}",
        lambda: one_click.back_up(name),
        operation=BACKUP,
        key=key,
        primary=primary,
        icon=ICON[BACKUP],
        command=_of("backup", name),
        closed=closed,
        name=name,
    )


def verify_button(backup: str, *, key: str, of: str, primary: bool = False) -> None:
    """Proves a backup with one click; `of` is what it holds."""
    button(
        f"Verify {plain(of)}",
        lambda: one_click.verify(backup),
        operation=VERIFY,
        key=key,
        primary=primary,
        icon=ICON[VERIFY],
        command=backup_twin("verify", backup),
        backup=backup,
    )


def drop_button(name: str, *, key: str, of: str) -> None:
    """Asks to drop an archived table, now or later."""
    button(
        f"Review drop of {plain(of)}",
        lambda: ask.drop(name),
        operation=DROP,
        key=key,
        icon=ICON[DROP],
        command=_of("drop", name, option("--confirm", name)),
        closed=access.no_drop_reason(),
        name=name,
    )


def restore_button(backup: str, *, key: str, of: str) -> None:
    """Asks to bring a backup back."""
    button(
        f"Review restore of {plain(of)}",
        lambda: ask.restore(backup),
        operation=RESTORE,
        key=key,
        icon=ICON[RESTORE],
        command=backup_twin("restore", backup),
        backup=backup,
    )


def keep_button(name: str, *, key: str, of: str) -> None:
    """Calls a planned drop off with one click."""
    button(
        f"Keep {plain(of)}",
        lambda: one_click.keep(name),
        operation=SCHEDULE,
        key=key,
        icon=KEEP_ICON,
        command=_of("keep", name),
        name=name,
    )


def lift_button(name: str, *, key: str, of: str) -> None:
    """Ends a hold with one click."""
    button(
        f"Lift the hold of {plain(of)}",
        lambda: one_click.lift(name),
        operation=HOLD,
        key=key,
        icon=LIFT_ICON,
        command=_of("hold", name, "--lift"),
        name=name,
    )


def _of(verb: str, name: str, *words: str) -> str:
    return twin(verb, current.table(), name, *words)
