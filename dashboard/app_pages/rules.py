"""Rules: what should be true of the table, in one sentence; what that does in a year; and who said so."""

from __future__ import annotations

import streamlit as st

from core.rules.run import Left, Run
from core.rules.setting import RULES, plan_rules
from core.rules.value import Rules
from core.tables.table import PartitionedTable
from core.text import human_ago, human_time, plural
from dashboard import layout
from dashboard.dialog import ask, buttons
from dashboard.format import plain
from dashboard.rules import calendar, form
from dashboard.state import access, clock, current, rules

RECENT = 10
"""How many changes are listed at a time."""


def in_words(table: PartitionedTable, of: Rules | None) -> str:
    """The rules as a sentence."""
    if of is None:
        return "Nothing is done of itself: it has no rules."
    said = of.sentence(table.width())
    return f"{said[0].upper()}{said[1:]}."


def last_run() -> None:
    """When the rules were last kept to, what that did for this table and what it left."""
    upkeep = rules.upkeep()
    if upkeep is None or current.address() not in upkeep.tables:
        return
    now, last = clock.now(), upkeep.last
    if last is None or upkeep.is_late(now):
        ran = f"ran last {human_ago(last.ended, now)}" if last else "has never run"
        st.warning(f"**Nobody keeps to them just now: maintain {ran}.**", icon=":material/schedule:")
        st.caption("Have cron or a timer run it, or set PARTITION_DESK_MAINTAIN=true: README, Rules.")
        st.code("partitions maintain", language="bash")
    if last is not None:
        of_run(last, human_ago(last.ended, now))


def of_run(run: Run, ago: str) -> None:
    """What a run did and left on this table."""
    mine = [one for one in run.did if one.table == current.address() and one.good]
    left = [one for one in run.left if one.table == current.address()]
    did = ", ".join(f"{one.act} {one.subject}" for one in mine) or "nothing was to be done"
    layout.line(f":material/check: maintain ran {ago}", did)
    for one in left:
        layout.line(of_left(one), one.why)


def of_left(one: Left) -> str:
    """What was left, and whether that needs somebody."""
    words = plain(one.subject if one.subject == one.table else f"{one.act} {one.subject}")
    return f":orange-badge[:material/warning: Needs somebody] {words}" if one.wrong else f":gray-badge[Later] {words}"


def save_button(table: PartitionedTable, wanted: Rules) -> None:
    """Opens the dialog for what the form says."""
    buttons.button(
        "Review and save",
        lambda: ask.about(rules.plan_rules(wanted)),
        operation=RULES,
        key="save_rules",
        primary=True,
        icon=buttons.ICON[RULES],
    )
    st.caption("The same on the command line, or as a file: `partitions rules export`")
    st.code(plan_rules(table, wanted).command, language="bash", wrap_lines=True)


def history() -> None:
    """Who changed them, when and why; the last change can be undone."""
    found = rules.history()
    if not found:
        return
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            layout.heading("Changes", plural(len(found), "change"))
            with st.container(width=layout.ACT_WIDTH):
                buttons.button(
                    "Review undo",
                    lambda: ask.about(rules.plan_back()),
                    operation=RULES,
                    key="undo_rules",
                    icon=buttons.KEEP_ICON,
                    command="partitions rules undo",
                )
        for one in found[:RECENT]:
            who = f" by {plain(one.by)}" if rules.names() else ""
            odd = "" if one.good else " :red-badge[not obeyed: no console with this key wrote it]"
            said = one.rules.sentence() if one.rules is not None else "no rules"
            reason = f" — {one.reason}" if one.reason else ""
            layout.line(f"{human_time(one.at)}{who}{odd}", f"{said}{reason}")


def main() -> None:
    """The page."""
    table, found = current.table(), rules.in_force()
    now = found.rules if found is not None else None
    layout.header("Rules", f"**{plain(table.label)}** · what should be true of it, kept to by `partitions maintain`")
    if table.not_served is not None or table.key is None:
        layout.only_shown(table)
        return
    if found is not None and found.doubt:
        st.error(f"**What was said is not obeyed:** {plain(found.doubt)}.", icon=":material/gpp_bad:")
    with st.container(border=True, gap="small"):
        layout.heading(plain(in_words(table, now)))
        if now is not None and found is not None and found.ruling is not None:
            who = f" by {plain(found.ruling.by)}" if rules.names() else ""
            why = f": {plain(found.ruling.reason)}" if found.ruling.reason else ""
            st.caption(f"Set{who} on {human_time(found.ruling.at)}{why}")
        last_run()
    wanted: Rules | None = now or Rules()
    if access.may(RULES):
        with st.container(border=True):
            layout.heading("Change them", "each is off where nothing stands")
            wanted = form.draw(now or Rules(), table.width(), mark=f"{table.oid}_{found.instead_of if found else 0}")
            if wanted is not None and wanted != (now or Rules()):
                st.markdown(f"**It would be:** {plain(in_words(table, None if wanted == Rules() else wanted))}")
                save_button(table, wanted)
    if wanted is not None and not wanted.is_off:
        with st.container(border=True, gap="small"):
            calendar.draw(rules.foreseen(wanted))
    history()


main()
