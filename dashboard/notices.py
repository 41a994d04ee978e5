"""Says what went wrong, and what stands in the way: the one place where an error reaches a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import (
    BackupUnusable,
    CatalogBusy,
    ConnectionFailed,
    DeskError,
    NotAttachable,
    PlanOutdated,
    TableNotFound,
)
from core.tables.table import PartitionedTable
from dashboard import layout
from dashboard.dialog import buttons
from dashboard.format import plain
from dashboard.state import clock, current, database, keys, reads

RETRY_S = 3
PENDING_MEANS = (
    "Reads through the table no longer return its rows, and inserts for its range fail. All its rows are there."
    " Until it is finished, applications must not insert straight into this partition: on PostgreSQL 18 that can"
    " crash the server."
)


@contextmanager
def told() -> Iterator[None]:
    """Shows on the page what any part of it could not do, in words of core.errors and in none of the driver's."""
    try:
        with database.told():
            yield
    except TableNotFound as error:
        if database.tables():
            show(error)
        else:
            _no_table()
    except DeskError as error:
        show(error)


def show(error: DeskError) -> None:
    """An error in its own words; one that passes by itself is tried again until it is gone."""
    passing = isinstance(error, ConnectionFailed | CatalogBusy)
    icon = ":material/cloud_off:" if isinstance(error, ConnectionFailed) else ":material/error:"
    st.error(f"**{plain(error.what)}** {plain(error.safe)}", icon=icon)
    if isinstance(error, NotAttachable | BackupUnusable) and error.reasons:
        st.markdown("\n".join(f"- {plain(reason)}" for reason in error.reasons))
    if error.next:
        st.markdown(f"**What to do:** {plain(error.next)}")
    if isinstance(error, PlanOutdated) and error.changes:
        with st.expander("What changed"):
            st.code("\n".join(error.changes), language=None, wrap_lines=True)
    if passing:
        _retry()


@st.fragment(run_every=RETRY_S)
def _retry() -> None:
    """Looks again every few seconds, and brings the page back when the database is."""
    if st.session_state.get(keys.RETRYING):
        try:
            reads.refresh()
            database.server()
            current.table()
        except (ConnectionFailed, CatalogBusy):
            pass
        except DeskError:
            _come_back()
        else:
            _come_back()
    st.session_state[keys.RETRYING] = True
    st.caption(f":material/autorenew: Tried again every {RETRY_S} s; this page comes back by itself.")


def _come_back() -> None:
    del st.session_state[keys.RETRYING]
    st.rerun()


def _no_table() -> None:
    layout.header("There is no partitioned table yet", read=clock.now())
    st.info(
        f"The database {plain(database.server().database)} is reached, and holds no partitioned table."
        " This page shows the first one as soon as it is there.",
        icon=":material/table_rows:",
    )
    st.markdown("A plain table becomes a partitioned one where it stands, while everybody works, by")
    st.code('partitions convert --table kid_absences --key date --every "1 year"', language="bash")
    st.markdown("or, which is the same, by `alembic upgrade head`.")
    st.markdown("Any table made with `PARTITION BY` is shown, and one by RANGE is looked after.")


def refusal() -> bool:
    """What stood in the way of the last click, over the page wherever it is scrolled to; whether anything did."""
    error = st.session_state.get(keys.REFUSAL)
    if isinstance(error, DeskError):
        st.dialog("This can't be done now", width="medium", icon=":material/block:", on_dismiss=close_refusal)(
            _refusal
        )(error)
    return error is not None


def word() -> None:
    """What the last click has to say that is no error."""
    said = st.session_state.pop(keys.WORD, None)
    if said is not None:
        st.toast(plain(said), icon=":material/info:")


def close_refusal() -> None:
    """Forgets the error of the last click."""
    st.session_state.pop(keys.REFUSAL, None)


def _refusal(error: DeskError) -> None:
    if keys.REFUSAL not in st.session_state:
        st.rerun()
    show(error)
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Close", key="close_refusal", on_click=close_refusal)


def pending(table: PartitionedTable) -> None:
    """In red, that a detach is not finished and what that means right now, with what finishes it."""
    if table.pending is None:
        return
    with st.container(border=True):
        st.error(f"**{plain(table.pending.name)} is detach pending.** {PENDING_MEANS}", icon=":material/pending:")
        with st.container(width=layout.ACT_WIDTH):
            buttons.archive_button(table.pending, key="finish_pending")
