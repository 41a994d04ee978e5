"""The backups of the current table as they were read last, and whether a newer reading has ended."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from core.backups.kept import Backups
from core.errors import BackupNotFound, StorageFailed
from core.plans.proof import Kept
from dashboard.state import current, database, keys
from dashboard.state.backup_reading import BackupReading, KnownBackups

YEAR = timedelta(days=366)
"""Of so long ago the proofs are read."""
BACKUPS_WAIT_S = 1.5
"""How long a page waits for the place of the backups; what comes later comes to the next look."""


def known() -> KnownBackups:
    """The backups of the current table, some seconds old; never waits for their place for longer than a moment."""
    found = reading().look(BACKUPS_WAIT_S)
    failed = found.backups is not None and found.backups.kept is None
    st.session_state[keys.AWAITED] = (found.number, failed) if found.reading or failed else None
    return found


def have_arrived() -> bool:
    """Whether a reading of the backups has ended that tells more than the one that the page was drawn on."""
    awaited = st.session_state.get(keys.AWAITED)
    if awaited is None:
        return False
    number, failed = awaited
    found = reading().look(0)
    fails = found.backups is None or found.backups.kept is None
    return found.number != number and not (failed and fails)


def reading() -> BackupReading:
    """The reading of the backups of the current table, begun where there was none."""
    opened, here = database.opened(), database.server()
    key = (here.database, here.cluster, current.address())

    def read() -> Backups:
        return opened.desk.backups(key[2], here, since=opened.desk.today - YEAR)

    found = opened.readings.get(key)
    if found is None:
        found = opened.readings.setdefault(key, BackupReading(read))
    return found


def find_kept(backup: str) -> Kept | None:
    """A backup of the current table by its id, as it was read last."""
    found = reading().look(0).backups
    return next((k for k in (*(found.kept or ()), *found.others) if k.backup.id == backup), None) if found else None


def require_kept(backup: str) -> Kept:
    """A backup of the current table by its id, to plan on. Raises BackupNotFound, and what their place says."""
    found = find_kept(backup) or next((kept for kept in every_kept() if kept.backup.id == backup), None)
    if found is None:
        raise BackupNotFound(f"There is no backup {backup} in the place any more.", next="Read the page again.")
    return found


def every_kept() -> tuple[Kept, ...]:
    """The backups of the current table, to plan on. Raises what their place says."""
    found = known().backups
    if found is None:
        raise StorageFailed("The place of the backups has not answered yet.", next="Try again in a moment.")
    if found.kept is None:
        raise found.unread or StorageFailed("The place of the backups can't be read.")
    return (*found.kept, *found.others)
