"""One partition whole: what the catalog says of it, what was found and done about it, and what can be done."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from core.doctor.findings import Severity
from core.plans.under_way import ABANDON
from core.tables.archived import Archived
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import Kind
from core.text import human_ago, human_bytes, human_rows, human_time, plural
from dashboard import layout
from dashboard.dialog import ask, buttons
from dashboard.format import describe_bounds, plain
from dashboard.lifecycle import lines
from dashboard.lifecycle.periods import Lifecycle
from dashboard.state import acts, backups, clock, current, keys, reads


def chosen(table: PartitionedTable) -> Partition | Archived | None:
    """The one partition, or archived table, that the address bar names, with or without its schema."""
    asked = st.query_params.get(keys.PARTITION_PARAMETER)
    found = table.named(asked) if asked else ()
    return found[0] if len(found) == 1 else None


def draw(table: PartitionedTable, one: Partition | Archived) -> None:
    """The card of one partition."""
    life = _leg(table, one)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(plain(f"{one.schema}.{one.name}"), anchor=False, width="stretch")
            with st.container(width=layout.ACT_WIDTH):
                _act(table, one)
            _more(one, life)
        if life is not None and (said := lines.badges(life)):
            st.markdown(said)
        if life is not None and life.hold is not None:
            st.caption(f"Held by {plain(life.hold.by)}: {plain(life.hold.reason)}")
        left, right = st.columns(2)
        left.table(_state(one), border="horizontal")
        right.table(_activity(one), border="horizontal")
        with st.expander("Bounds, constraints and indexes as PostgreSQL has them", icon=":material/code:"):
            st.code(_definitions(one), language="sql", wrap_lines=True)
        if life is not None:
            _backups(life)
        _links(table, one)


def _leg(table: PartitionedTable, one: Partition | Archived) -> Lifecycle | None:
    if table.not_served is not None or (isinstance(one, Partition) and (one.is_default or one.kind is Kind.FOREIGN)):
        return None
    found, _ = lines.read(table)
    return next((life for life in found if life.one is one), None)


def _backups(life: Lifecycle) -> None:
    with st.expander(
        f"Its backups: {len(life.backups) or 'none'}",
        icon=":material/cloud_done:",
        key="backups_one",
        on_change="rerun",
    ) as folded:
        if not folded.open:
            return
        found = backups.known().backups
        lines.unread(found)
        lines.listing(life, key="one_")
        with st.container(width=layout.ACT_WIDTH):
            closed = None if found is not None and found.kept is not None else lines.NOT_READ
            if life.one is not None and not life.one.is_here:
                closed = "Some of its leaves are foreign tables: their rows are on another server."
            buttons.backup_button(life.called, key="backup_one", of=life.label, again=bool(life.backups), closed=closed)


def _act(table: PartitionedTable, one: Partition | Archived) -> None:
    """Its move; what else can be done stands in the menu beside it."""
    if table.not_served is not None:
        return
    if isinstance(one, Archived):
        buttons.reattach_button(one, key="reattach_one")
    elif one.is_default:
        buttons.drain_button(table.called(one), key="drain_one")
    elif one.kind is not Kind.FOREIGN:
        buttons.archive_button(one, key="archive_one")


def _more(one: Partition | Archived, life: Lifecycle | None) -> None:
    found = lines.others(life, known=True) if life is not None else {}
    offered = {words: choice for words, choice in found.items() if words != "Reattach"}
    if isinstance(one, Partition) and acts.is_moving(one):
        offered["Take back what was begun"] = buttons.Choice(ABANDON, ask.abandon)
    if offered:
        buttons.menu(offered, key="more_one", of=life.label if life is not None else "the DEFAULT")


def _state(one: Partition | Archived) -> dict[str, str]:
    size = one.size
    return {
        "State": one.state.replace("_", " "),
        "Holds": plain(describe_bounds(one.bounds, clock.zone())),
        "Rows": f"about {human_rows(one.rows)}, an estimate" if one.rows is not None else "never analyzed",
        "Size": plain(
            f"{human_bytes(size.total)}: {human_bytes(size.heap)} rows, {human_bytes(size.index)} indexes,"
            f" {human_bytes(size.toast)} large values"
            if size
            else "none here: its rows are on another server"
            if one.kind is Kind.FOREIGN
            else "busy: somebody holds it exclusively, so it was not measured"
        ),
        **({"Partitioned by": plain(f"{one.tree.said}; figures are sums over them")} if one.tree else {}),
        "Owner": plain(one.owner),
    }


def _activity(one: Partition | Archived) -> dict[str, str]:
    known = "the catalog" if isinstance(one, Partition) else str(one.source or "nothing")
    activity = one.activity
    if activity is None:
        return {"Bounds known from": known, "Statistics": "not to be seen by this role"}
    return {
        "Dead rows": f"about {human_rows(activity.dead_rows)}",
        "Read": plural(activity.scans, "scan") + " since the statistics were reset",
        "Last vacuum": _when(activity.last_vacuum),
        "Last analyze": _when(activity.last_analyze),
        "Bounds known from": known,
    }


def _when(moment: datetime | None) -> str:
    return f"{human_ago(moment, clock.now())}, {human_time(moment)}" if moment else "never"


def _definitions(one: Partition | Archived) -> str:
    checks = "\n".join(f"{check.name}: {check.definition}" for check in one.checks)
    names = one.index_names if isinstance(one, Partition) else tuple(index.name for index in one.indexes)
    comment = f"\n\ncomment: {one.comment}" if one.comment else ""
    return (
        f"{one.bounds.text if one.bounds else 'bounds unknown'}\n\n{checks or 'no CHECK constraint'}\n\n"
        f"indexes: {', '.join(names) or 'none'}{comment}"
    )


def _links(table: PartitionedTable, one: Partition | Archived) -> None:
    """What the doctor found of it, and what was done to it."""
    called = table.called(one)
    found = [f for f in reads.findings() if f.subject == called and f.severity is not Severity.OK]
    for finding in found:
        st.markdown(f":orange[:material/stethoscope:] {plain(finding.title)}")
    done = [o for o in reads.operations(of_table=current.address()) if o.subject == called]
    with st.container(horizontal=True):
        if found:
            layout.link("doctor", "What the doctor says", ":material/stethoscope:")
        if done:
            ended = f"Last {done[0].kind}: {done[0].state}, {human_ago(done[0].requested_at, clock.now())}"
            layout.link("activity", ended, ":material/history:", **{keys.OPERATION_PARAMETER: str(done[0].id)})
