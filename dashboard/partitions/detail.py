"""One partition whole: what the catalog says of it, what was found and done about it, and what can be done."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from core.doctor.findings import Severity
from core.tables.model import Archived, Partition, PartitionedTable
from core.text import human_ago, human_bytes, human_rows, human_time, plural
from dashboard import layout
from dashboard.dialog import buttons
from dashboard.format import describe_bounds, plain
from dashboard.road import backups as road_backups
from dashboard.road.road import Leg
from dashboard.state import backups, clock, current, keys, reads


def chosen(table: PartitionedTable) -> Partition | Archived | None:
    """The one partition, or archived table, that the address bar names, with or without its schema."""
    asked = st.query_params.get(keys.PARTITION_PARAMETER)
    found = table.named(asked) if asked else ()
    return found[0] if len(found) == 1 else None


def draw(table: PartitionedTable, one: Partition | Archived) -> None:
    """The card of one partition."""
    leg = _leg(table, one)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            st.subheader(plain(f"{one.schema}.{one.name}"), anchor=False, width="stretch")
            with st.container(width=layout.ACT_WIDTH):
                _act(table, one)
            if leg is not None:
                _more(leg)
        if leg is not None and (said := road_backups.badges(leg)):
            st.markdown(said)
        if leg is not None and leg.hold is not None:
            st.caption(f"Held by {plain(leg.hold.by)}: {plain(leg.hold.reason)}")
        left, right = st.columns(2)
        left.table(_state(one), border="horizontal")
        right.table(_activity(one), border="horizontal")
        with st.expander("Bounds, constraints and indexes as PostgreSQL has them", icon=":material/code:"):
            st.code(_definitions(one), language="sql", wrap_lines=True)
        if leg is not None:
            _backups(leg)
        _links(table, one)


def _leg(table: PartitionedTable, one: Partition | Archived) -> Leg | None:
    if table.not_served is not None or (isinstance(one, Partition) and (one.is_default or not one.leaf)):
        return None
    found, _ = road_backups.read(table)
    return next((leg for leg in found if leg.one is one), None)


def _backups(leg: Leg) -> None:
    with st.expander(
        f"Its backups: {len(leg.backups) or 'none'}", icon=":material/cloud_done:", key="backups_one", on_change="rerun"
    ) as folded:
        if not folded.open:
            return
        found = backups.known().backups
        road_backups.unread(found)
        road_backups.listing(leg, key="one_")
        with st.container(width=layout.ACT_WIDTH):
            closed = None if found is not None and found.kept is not None else road_backups.NOT_READ
            buttons.backup_button(
                leg.called, key="backup_one", label="Back up again" if leg.backups else "Back up", closed=closed
            )


def _act(table: PartitionedTable, one: Partition | Archived) -> None:
    """Its move; what else can be done stands in the menu beside it."""
    if table.not_served is not None:
        return
    if isinstance(one, Archived):
        buttons.reattach_button(one, key="reattach_one")
    elif one.leaf and not one.is_default:
        buttons.archive_button(one, key="archive_one")


def _more(leg: Leg) -> None:
    acts = {words: act for words, act in road_backups.others(leg, known=True).items() if words != "Reattach"}
    if acts:
        buttons.menu(acts, key="more_one")


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
            else "busy: somebody holds it exclusively, so it was not measured"
        ),
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
