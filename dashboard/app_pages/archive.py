"""Archive: each period on its road from attached to archived and back, the bytes at each stop, one next act for each."""

from __future__ import annotations

import shlex

import streamlit as st

from core.bounds import key_value
from core.model import Archived, Partition, PartitionedTable, Source, due
from core.text import human_ago, human_bytes, human_date, human_rows, plural
from dashboard import confirm, notices, session
from dashboard.format import plain, short

PAGE = 12
"""Rows of one stop that are shown before "more"."""


def stops(table: PartitionedTable, waiting: tuple[Partition, ...], kept: tuple[Partition, ...]) -> None:
    """Bytes at each stop of the road."""
    in_use = sum(p.size.total for p in kept if p.size)
    overdue = sum(p.size.total for p in waiting if p.size)
    archived = sum(a.size.total for a in table.archived if a.size)
    with st.grid(3, gap="small"):
        st.metric("1 · Attached, kept", human_bytes(in_use), plural(len(kept), "partition"), **CARD)
        st.metric("2 · Due for archive", human_bytes(overdue), plural(len(waiting), "partition"), **CARD)
        st.metric("3 · Archived, on the server", human_bytes(archived), plural(len(table.archived), "table"), **CARD)


CARD = {"delta_color": "gray", "delta_arrow": "off", "border": True}


def due_list(waiting: tuple[Partition, ...]) -> None:
    """What is due, oldest first."""
    st.markdown(f"**Due for archive** — ended more than {session.desk().settings.archive_after} ago")
    if not waiting:
        st.caption("Nothing is due. What is over can be archived earlier below.")
    for number, partition in enumerate(waiting[:PAGE]):
        row(partition, number == 0)
    if len(waiting) > PAGE:
        st.caption(f"and {plural(len(waiting) - PAGE, 'more', 'more')}; archive the oldest first.")


def row(partition: Partition, first: bool) -> None:
    """One attached partition and its one next act."""
    words, act = st.columns([4, 1.2], vertical_alignment="center")
    size = human_bytes(partition.size.total) if partition.size else "busy"
    rows = f"about {human_rows(partition.rows)} rows" if partition.rows is not None else "rows not counted yet"
    words.markdown(f"**{plain(short(partition.bounds, partition.name, session.zone()))}** · {plain(partition.name)}")
    words.caption(f"{rows}, {size}")
    name = partition.name
    with act:
        confirm.button(
            "Archive …",
            lambda: confirm.ask_archive(name),
            key=f"archive_{name}",
            icon=":material/archive:",
            primary=first,
        )


def archived_list(table: PartitionedTable) -> None:
    """What is archived, each with its way back."""
    st.markdown("**Archived** — detached, on the server, out of the table's queries")
    if not table.archived:
        st.caption("Nothing is archived yet.")
    for archived in table.archived:
        words, act = st.columns([4, 1.2], vertical_alignment="center")
        words.markdown(
            f"**{plain(short(archived.bounds, archived.name, session.zone()))}** ·"
            f" {plain(f'{archived.schema}.{archived.name}')}"
        )
        words.caption(history(archived))
        name = archived.name
        with act:
            confirm.button(
                "Reattach …", lambda name=name: confirm.ask_reattach(name), key=f"reattach_{name}",
                icon=":material/unarchive:",
            )  # fmt: skip


def history(archived: Archived) -> str:
    """Since when it is archived, how its bounds are known, and how big it is."""
    from datetime import datetime

    known = {Source.CHECK: "its bounds come from its CHECK", Source.NAME: "its bounds come from its name"}
    if archived.tag is not None:
        moment = datetime.fromisoformat(archived.tag.archived_at)
        since = f"archived {human_ago(moment, session.now())}, on {human_date(moment.date())}"
    else:
        since = "archived by hand"
        since += f"; {known[archived.source]}" if archived.source in known else "; its range is unknown"
    size = human_bytes(archived.size.total) if archived.size else "busy"
    rows = f"about {human_rows(archived.rows)} rows, " if archived.rows is not None else ""
    return f"{rows}{size} · {since}"


def by_hand(table: PartitionedTable) -> None:
    """Backup, upload and drop as plain commands, for what the console does not do yet."""
    with st.expander("Back up, upload and drop by hand", icon=":material/terminal:"):
        st.caption(
            "The console does not take backups yet. Read a dump back completely before you drop anything:"
            " a listing succeeds on a truncated file."
        )
        for archived in table.archived[:PAGE]:
            relation = f"{archived.sql}"
            file = shlex.quote(f"{archived.name}.dump")
            st.code(
                f'pg_dump --format=custom --table={shlex.quote(relation)} --file={file} "$DATABASE_URL"\n'
                f"pg_restore --file=/dev/null {file} && aws s3 cp {file} s3://your-bucket/archives/\n"
                f'psql "$DATABASE_URL" --command={shlex.quote(f"DROP TABLE {relation}")}',
                language="bash",
            )
        if not table.archived:
            st.caption("Nothing is archived yet.")


def main() -> None:
    """The page."""
    table = session.table()
    title, when = st.columns([4, 1], vertical_alignment="center")
    title.title("Archive", anchor=False)
    with when:
        notices.read_at()
    if table.not_served is not None or table.key is None:
        st.info(f"This table is only shown here: {plain(table.not_served or '')}.", icon=":material/visibility:")
        return
    waiting = due(table, session.cutoff(), session.zone())
    kept = tuple(p for p in table.partitions if p not in waiting)
    st.caption(
        "An archived partition stays on the server, in the schema"
        f" {plain(table.archive.name)}, with its bounds written on it; reattaching reads no row."
    )
    stops(table, waiting, kept)
    with st.container(border=True):
        due_list(waiting)
    over = key_value(table.key, session.today(), session.zone())
    early = [p for p in kept if p.bounds and p.bounds.upper is not None and p.bounds.upper <= over and p.leaf]
    with st.container(border=True):
        archived_list(table)
    with st.expander(f"Over, but still kept ({len(early)})", icon=":material/hourglass_bottom:"):
        st.caption("Partitions whose period has ended and that are not due yet.")
        for partition in early[-PAGE:]:
            row(partition, first=False)
    by_hand(table)


main()
