"""The one dialog: what a plan does, who is in its way, the way back and its exact SQL; confirmed, it is enqueued."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

import streamlit as st

from core.console.run import is_same_wish
from core.doctor.findings import Finding
from core.errors import DeskError, Refused
from core.period import Duration, Range
from core.plans.manifest import Kept
from core.plans.plan import Mode, Plan
from core.plans.operation import Operation
from core.tables.archived import Archived
from core.tables.commands import partition_option, table_option
from core.tables.fingerprint import ROWS_A_SECOND
from core.tables.partition import Partition
from core.text import human_ago, human_bytes, human_date, human_rows, human_seconds, human_time
from dashboard import layout
from dashboard.dialog.blockers import listed
from dashboard.format import deed, plain, short
from dashboard.state import session

READ_BYTES_S = 400 * 1024 * 1024
"""Bytes a second that proving bounds or building an index goes through; a careful guess (MEASURED: over 1 GB/s)."""
LOOK_S = 2
"""How often the dialog looks who is in the way."""
MOST_DAYS = 3650
ICON = {
    Operation.ENSURE: ":material/add_circle:",
    Operation.ARCHIVE: ":material/archive:",
    Operation.REATTACH: ":material/unarchive:",
    Operation.BACKUP: ":material/cloud_upload:",
    Operation.VERIFY: ":material/verified_user:",
    Operation.DROP: ":material/delete_forever:",
    Operation.RESTORE: ":material/settings_backup_restore:",
    Operation.HOLD: ":material/front_hand:",
    Operation.SCHEDULE: ":material/event:",
}
KEEP_ICON, LIFT_ICON = ":material/undo:", ":material/lock_open:"
ASKED_HERE = "asked for in the dashboard"


class When(StrEnum):
    """When a table is to be dropped."""

    LATER = "Later"
    NOW = "Now"


@dataclass(frozen=True, slots=True)
class Asked:
    """A plan on its way to be confirmed, with the figures of what it moves."""

    plan: Plan
    rows: int | None
    bytes: int | None
    seconds: float
    kept: Kept | None = None
    """The backup that it rests on, or brings back."""
    trouble: DeskError | None = None
    """Why what was chosen in the dialog can't be; the plan is that of the choice before."""


def ask_archive(name: str) -> None:
    """Opens the dialog for archiving a partition. Raises Refused for what stands in the way."""
    ask(session.plan_archive(name))


def ask_reattach(name: str) -> None:
    """Opens the dialog for bringing an archived table back. Raises Refused for what stands in the way."""
    ask(session.plan_reattach(name))


def ask_drop(name: str) -> None:
    """Opens the dialog for dropping an archived table, after the wait that is set. Raises Refused."""
    after = session.desk().settings.drop_after
    plan = session.plan_drop(name, after)
    days = max(1, min(MOST_DAYS, (after.after(session.today()) - session.today()).days))
    st.session_state[session.TYPED] = ""
    st.session_state[session.WHEN] = When.LATER
    st.session_state[session.DAYS] = days
    ask(plan)


def ask_restore(backup: str) -> None:
    """Opens the dialog for bringing a backup back. Raises Refused for what stands in the way."""
    ask(session.plan_restore(backup))


def ask_hold(name: str) -> None:
    """Opens the dialog for a hold, which asks for its end and its reason. Raises Refused."""
    until = session.desk().settings.hold.after(session.today())
    st.session_state[session.UNTIL] = until
    session.refresh()
    ask(session.plan_to_hold(name, until, ""))


def ask(plan: Plan) -> None:
    """Opens the dialog for a plan, such as a doctor's fix."""
    table = session.table()
    named = table.named(plan.subject)
    subject = table.by_oid(plan.oid) if plan.oid is not None else named[0] if len(named) == 1 else None
    size = subject.size if subject else None
    reads = any(not lock.brief for step in plan.steps for lock in step.locks)
    st.session_state[session.REASON] = ""
    st.session_state[session.ASKED] = Asked(
        plan=plan,
        rows=subject.rows if subject else None,
        bytes=size.total if size else None,
        seconds=(size.heap if size else 0) / READ_BYTES_S if reads else 0.0,
        kept=session.find_kept(plan.backup) if plan.backup else None,
    )


def ensure(ranges: tuple[Range, ...]) -> None:
    """Creates what the ranges lack, with this one click. Raises Refused for what stands in the way."""
    plan = session.plan_ensure(ranges)
    if plan.steps:
        _begin(plan, ASKED_HERE)
    else:
        st.session_state[session.WORD] = "Nothing is missing: every date asked for has a partition."


def back_up(name: str) -> None:
    """Backs a partition up, with this one click. Raises what stands in the way."""
    _begin(session.plan_backup(name), ASKED_HERE)


def verify(backup: str) -> None:
    """Proves a backup, with this one click. Raises what stands in the way."""
    _begin(session.plan_verify(backup), ASKED_HERE)


def keep(name: str) -> None:
    """Calls a planned drop off, with this one click. Raises Refused."""
    _begin_if_needed(session.plan_not_to_drop(name), f"No drop of {name} is planned any more.")


def lift(name: str) -> None:
    """Ends a hold, with this one click. Raises Refused."""
    _begin_if_needed(session.plan_lift(name), f"{name} is not held any more.")


def _begin_if_needed(plan: Plan, otherwise: str) -> None:
    if plan.steps:
        _begin(plan, ASKED_HERE)
    else:
        st.session_state[session.WORD] = otherwise


def run(plan: Plan) -> None:
    """Runs a harmless plan at once; any other opens the dialog."""
    if plan.operation in (Operation.ENSURE, Operation.BACKUP, Operation.VERIFY):
        _begin(plan, ASKED_HERE)
    else:
        ask(plan)


def _begin(plan: Plan, reason: str) -> None:
    ticket = session.enqueue(plan, reason)
    if not ticket.new:
        met = session.operation(ticket.id)
        if met is not None and not is_same_wish(plan, met.plan):
            raise Refused(
                f"Another operation on {plan.subject} is still running: {deed(met.plan)}.",
                safe="Nothing was asked for, and nothing was changed by this click.",
                next="Ask again once it has ended.",
            )
        st.session_state[session.WORD] = f"{deed(plan)} runs already."


def button(
    label: str,
    act: Callable[[], None],
    *,
    key: str,
    primary: bool = False,
    icon: str | None = None,
    command: str = "",
    closed: str | None = None,
) -> None:
    """A button that acts, or says why nothing can be done from here; `command` is its twin on the command line.

    `closed` is why this one can't be used.
    """
    closed = session.closed_reason() or closed
    st.button(
        label,
        key=key,
        icon=icon,
        type="primary" if primary else "secondary",
        width="stretch",
        disabled=closed is not None,
        help=closed or (f"On the command line: {plain(command)}" if command else None),
        on_click=session.attempt(act),
    )


def menu(acts: Mapping[str, Callable[[], None]], *, key: str) -> None:
    """What else can be done with one thing, behind one small button."""
    closed = session.closed_reason()

    def act() -> None:
        chosen = acts.get(str(st.session_state.get(key)))
        if chosen is not None:
            session.attempt(chosen)()

    st.menu_button(
        "",
        list(acts),
        key=key,
        icon=":material/more_vert:",
        type="tertiary",
        disabled=closed is not None,
        help=closed or "More",
        on_click=act,
    )


def review(plan: Plan, *, key: str, primary: bool = False) -> None:
    """The button of a plan that is ready: what it will do comes first, unless it can do no harm."""
    label = f"Create {plain(plan.subject)}" if len(plan.subject) < 12 else "Create them"
    if plan.operation is not Operation.ENSURE:
        label = f"Review {plan.operation}"
    button(label, lambda: run(plan), key=key, primary=primary, icon=ICON[plan.operation], command=plan.command)


def remedy(finding: Finding, *, key: str, primary: bool = False) -> bool:
    """The button of a finding that has one; whether it has."""
    if finding.fix is not None:
        review(finding.fix, key=key, primary=primary)
        return True
    name, backup = finding.subject, finding.backup
    if finding.wants is Operation.BACKUP:
        table = session.table()
        named = table.named(name)
        label = short(named[0].bounds, name, session.zone()) if len(named) == 1 else name
        backup_button(name, key=key, primary=primary, label=f"Back up {label}" if len(label) < 11 else "Back up")
    elif finding.wants is Operation.VERIFY:
        verify_button(backup, key=key, primary=primary)
    elif finding.wants is Operation.SCHEDULE:
        keep_button(name, key=key)
    elif finding.wants is Operation.HOLD:
        lift_button(name, key=key)
    else:
        return False
    return True


def archive_button(partition: Partition, *, key: str, primary: bool = False) -> None:
    """Asks to archive a partition, or to finish the detach that was begun."""
    name = session.table().called(partition)
    button(
        "Finish the detach" if partition.pending else "Review archive",
        lambda: ask_archive(name),
        key=key,
        primary=primary or partition.pending,
        icon=ICON[Operation.ARCHIVE],
        command=f"partitions archive{_of(name)}",
    )


def reattach_button(archived: Archived, *, key: str) -> None:
    """Asks to bring an archived table back."""
    name = session.table().called(archived)
    button(
        "Review reattach",
        lambda: ask_reattach(name),
        key=key,
        icon=ICON[Operation.REATTACH],
        command=f"partitions reattach{_of(name)}",
    )


def backup_button(
    name: str, *, key: str, primary: bool = False, label: str = "Back up", closed: str | None = None
) -> None:
    """Backs a partition up with one click."""
    button(
        label,
        lambda: back_up(name),
        key=key,
        primary=primary,
        icon=ICON[Operation.BACKUP],
        command=f"partitions backup{_of(name)}",
        closed=closed,
    )


def verify_button(backup: str, *, key: str, primary: bool = False) -> None:
    """Proves a backup with one click."""
    button(
        "Verify",
        lambda: verify(backup),
        key=key,
        primary=primary,
        icon=ICON[Operation.VERIFY],
        command=f"partitions verify {backup}",
    )


def drop_button(name: str, *, key: str) -> None:
    """Asks to drop an archived table, now or later."""
    button(
        "Review drop",
        lambda: ask_drop(name),
        key=key,
        icon=ICON[Operation.DROP],
        command=f"partitions drop{_of(name)} --confirm NAME",
        closed=session.no_drop_reason(),
    )


def restore_button(backup: str, *, key: str) -> None:
    """Asks to bring a backup back."""
    button(
        "Review restore",
        lambda: ask_restore(backup),
        key=key,
        icon=ICON[Operation.RESTORE],
        command=f"partitions restore {backup}",
    )


def keep_button(name: str, *, key: str) -> None:
    """Calls a planned drop off with one click."""
    button("Keep it", lambda: keep(name), key=key, icon=KEEP_ICON, command=f"partitions keep{_of(name)}")


def lift_button(name: str, *, key: str) -> None:
    """Ends a hold with one click."""
    button("Lift the hold", lambda: lift(name), key=key, icon=LIFT_ICON, command=f"partitions hold{_of(name)} --lift")


def _of(name: str) -> str:
    return f"{partition_option(name)}{table_option(session.table())}"


def open_if_asked() -> None:
    """Draws the dialog while a plan waits to be confirmed."""
    asked = st.session_state.get(session.ASKED)
    if isinstance(asked, Asked):
        st.dialog(plain(_title(asked.plan)), width="large", on_dismiss=_dismiss)(_body)()


def _title(plan: Plan) -> str:
    if _is_drop(plan):
        return f"Drop {plan.subject}"
    return f"Hold {plan.subject}" if plan.operation is Operation.HOLD else deed(plan)


def _is_drop(plan: Plan) -> bool:
    """Whether it drops, now or later."""
    return plan.operation is Operation.DROP or (plan.operation is Operation.SCHEDULE and bool(plan.backup))


def _dismiss() -> None:
    st.session_state.pop(session.ASKED, None)


def _body() -> None:
    asked = st.session_state.get(session.ASKED)
    if not isinstance(asked, Asked):
        st.rerun()
    plan = asked.plan
    _figures(asked)
    if asked.kept is not None:
        _proof(asked.kept, asked.plan)
    if _is_drop(plan):
        _when()
    elif plan.operation is Operation.HOLD:
        _until()
    with st.container(gap="xxsmall"):
        layout.heading("What happens")
        st.markdown("\n".join(f"{number}. {plain(effect)}" for number, effect in enumerate(plan.effects, 1)))
        for warning in plan.warnings:
            st.caption(f":material/info: {plain(warning)}")
    if plan.locks:
        _who_is_in_the_way(plan)
        _locked(plan)
    st.markdown(f"**The way back** — {plain(plan.way_back)}")
    with st.expander("Exactly what will run", icon=":material/code:"):
        st.code(plan.sql, language="sql", wrap_lines=True)
        st.caption("The same from the command line")
        st.code(plan.command, language="bash", wrap_lines=True)
    if plan.operation is not Operation.HOLD:
        st.text_input(
            "Reason", key=session.REASON, placeholder="Kept in the journal beside your name; may be left empty"
        )
    if _is_drop(plan):
        st.text_input(
            "Type the table's name, so that nothing is dropped by a slip of the hand",
            key=session.TYPED,
            placeholder=plan.subject,
            live=True,
        )
    if asked.trouble is not None:
        st.error(f"{plain(asked.trouble.what)} {plain(asked.trouble.next)}", icon=":material/block:")
    lacking = _lacking(asked)
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Cancel", key="cancel_plan", on_click=_dismiss)
        st.button(
            _confirm_label(plan),
            key="confirm_plan",
            type="primary",
            icon=ICON[plan.operation],
            disabled=lacking is not None,
            help=lacking,
            on_click=session.attempt(lambda: _confirm(asked)),
        )


def _confirm_label(plan: Plan) -> str:
    if plan.operation is Operation.SCHEDULE:
        return f"Plan the drop of {plain(plan.subject)}"
    return plain(_title(plan))


def _lacking(asked: Asked) -> str | None:
    """What has to be filled in before it can be confirmed."""
    if asked.trouble is not None:
        return plain(asked.trouble.what)
    if _is_drop(asked.plan) and st.session_state.get(session.TYPED, "") != asked.plan.subject:
        return "Type the table's name first."
    if asked.plan.operation is Operation.HOLD and not _reason():
        return "A hold needs its reason, for whoever meets it in a year."
    return None


def _reason() -> str:
    return str(st.session_state.get(session.REASON, "")).strip()


def _when() -> None:
    """Now or later; another choice is another plan, which is what is shown and run then."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "When", list(When), key=session.WHEN, required=True, format_func=str, on_change=_plan_the_drop_again
        )
        if st.session_state.get(session.WHEN) is not When.NOW:
            st.number_input(
                "After how many days",
                1,
                MOST_DAYS,
                step=1,
                key=session.DAYS,
                width=180,
                on_change=_plan_the_drop_again,
                help="Until then the table stays as it is, in plain sight, and one click keeps it.",
            )


def _plan_the_drop_again() -> None:
    asked = st.session_state.get(session.ASKED)
    if isinstance(asked, Asked):
        later = st.session_state.get(session.WHEN) is not When.NOW
        days = Duration(int(st.session_state.get(session.DAYS) or 1), "day") if later else None
        _choose(asked, lambda: session.plan_drop(asked.plan.subject, days))


def _until() -> None:
    """The end of a hold and its reason."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.date_input(
            "Until, the last day of it",
            key=session.UNTIL,
            min_value=session.today(),
            max_value=session.today() + timedelta(days=36500),
            format="YYYY-MM-DD",
            width=220,
            help="Emptied, the hold lasts until somebody lifts it.",
            on_change=_plan_the_hold_again,
        )
        st.text_input(
            "Reason, for whoever meets it in a year",
            key=session.REASON,
            live=True,
            on_change=_plan_the_hold_again,
        )


def _plan_the_hold_again() -> None:
    asked = st.session_state.get(session.ASKED)
    until = st.session_state.get(session.UNTIL)
    if isinstance(asked, Asked):
        day = until if isinstance(until, date) else None
        _choose(asked, lambda: session.plan_to_hold(asked.plan.subject, day, _reason()))


def _choose(asked: Asked, build: Callable[[], Plan]) -> None:
    """Puts another plan in the place of the one that is shown; keeps what forbids it for the dialog to say."""
    try:
        with session.told():
            plan = build()
            kept = session.find_kept(plan.backup) if plan.backup else None
            chosen = replace(asked, plan=plan, kept=kept, trouble=None)
    except DeskError as error:
        chosen = replace(asked, trouble=error)
    st.session_state[session.ASKED] = chosen


def _proof(kept: Kept, plan: Plan) -> None:
    """Which backup it is, and how it is known to be whole."""
    backup, proven = kept.backup, kept.proven
    said = {
        "Made": f"{human_time(_moment(backup.finished_at))} by {plain(backup.actor)}",
        "Last proof": f"{human_time(kept.proven_at)}, {human_ago(kept.proven_at, session.now())},"
        f" by {plain(proven.actor)}"
        if proven
        else ":orange[never restored and compared, or failed when it was]",
        "Rows": human_rows(backup.rows),
        "Fingerprint": plain(backup.fingerprint),
    }
    with st.container(gap="xxsmall"):
        words = "what the table has to equal, row by row" if plan.operation is not Operation.RESTORE else ""
        layout.heading("The proof" if proven else "The backup", words)
        st.caption(plain(backup.id))
        st.table(said, border="horizontal")


def _figures(asked: Asked) -> None:
    plan = asked.plan
    if plan.operation is Operation.HOLD:
        return
    if _is_drop(plan) and asked.kept is not None:
        _dropped_figures(asked, asked.kept)
    elif plan.operation is Operation.RESTORE and asked.kept is not None:
        _restored_figures(asked.kept)
    else:
        _moved_figures(asked)


def _dropped_figures(asked: Asked, kept: Kept) -> None:
    with st.grid(3, gap="small", min_column_width=190):
        layout.card(
            "Rows leaving the server",
            human_rows(kept.backup.rows),
            f"read once more, {human_seconds(kept.backup.rows / ROWS_A_SECOND)}",
            help="Counted when it was backed up. They are read and compared once more right before the drop.",
        )
        layout.card("Freed on the server", human_bytes(asked.bytes), "on disk", help="Rows, indexes and large values.")
        layout.card(
            "Kept in the place",
            human_bytes(kept.backup.bytes),
            f"proven {human_ago(kept.proven_at, session.now())}",
            help="The compressed backup, from which the table is made again.",
        )


def _restored_figures(kept: Kept) -> None:
    until = session.desk().settings.hold.after(session.today())
    with st.grid(3, gap="small", min_column_width=190):
        layout.card("Rows coming back", human_rows(kept.backup.rows), "counted", help="As its manifest says.")
        layout.card(
            "Fetched from the place",
            human_bytes(kept.backup.bytes),
            f"{human_bytes(kept.backup.raw_bytes)} of text",
            help="The compressed backup. On the server its rows and indexes take about what they took before.",
        )
        layout.card(
            "Held until",
            human_date(until),
            str(session.desk().settings.hold),
            help="A restored table is kept from every rule for that long; the hold can be lifted.",
        )


def _moved_figures(asked: Asked) -> None:
    leaves = asked.plan.operation is Operation.ARCHIVE
    read = session.read_at()
    exact = f"Exact, read at {read:%H:%M:%S} UTC: rows, indexes and large values" if read else ""
    with st.grid(3, gap="small", min_column_width=190):
        layout.card(
            "Rows leaving its queries" if leaves else "Rows coming back",
            human_rows(asked.rows) if asked.rows is not None else "not known",
            "estimate of the last analyze" if asked.rows is not None else "never analyzed",
            help="The planner's estimate; the exact count takes a read of the whole table.",
        )
        layout.card("Leaving the table" if leaves else "Coming back", human_bytes(asked.bytes), "on disk", help=exact)
        layout.card(
            "Expected to take",
            human_seconds(asked.seconds),
            "and the wait for others",
            help="Once nobody is in the way. It waits for others without making anybody wait for it.",
        )


def _confirm(asked: Asked) -> None:
    """Enqueues the plan that is shown; a second click finds nothing to confirm any more."""
    if st.session_state.get(session.ASKED) != asked:
        return
    lacking = _lacking(asked)
    if lacking is not None:
        raise Refused(lacking)
    _dismiss()
    _begin(asked.plan, _reason())


@st.fragment(run_every=LOOK_S)
def _who_is_in_the_way(plan: Plan) -> None:
    try:
        blockers = session.in_the_way(plan)
    except DeskError as error:
        st.caption(f"Who is in the way can't be read just now. {plain(error.what)}")
        return
    with st.container(gap="xxsmall"):
        if blockers:
            layout.heading("Who is in the way right now", "it would wait for them, and hold up nobody meanwhile")
            listed(blockers)
        else:
            st.markdown("**Who is in the way right now** :green-badge[nobody]")


def _locked(plan: Plan) -> None:
    locks = dict.fromkeys(lock for step in plan.steps for lock in step.locks)
    long = [lock for lock in locks if not lock.brief and lock.mode is Mode.SHARE]
    said = dict.fromkeys((*long, *plan.locks))
    with st.container(gap="xxsmall"):
        layout.heading("What is locked", "" if long else "for moments, never longer than the lock budget")
        st.markdown(
            "\n".join(
                f"- {plain(lock.relation.replace(chr(34), ''))}: {lock.mode.meaning} (*{lock.mode.lower()}*)"
                + ((", while its rows are compared" if lock in long else ", for moments") if long else "")
                for lock in said
            )
        )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
