"""What the pages say of a period on its road and of its backups: badges, lines, and what can be done with each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import partial

import streamlit as st

from core.backups.kept import Backups
from core.plans.manifest import Kept
from core.tables.model import Archived, PartitionedTable
from core.text import human_ago, human_bytes, human_date, human_rows, human_time, plural
from dashboard import layout
from dashboard.dialog import confirm
from dashboard.format import plain
from dashboard.road.road import Leg, Stop, legs
from dashboard.state import session

Read = Backups | None
"""The backups of a table as they were read last; None before the first reading has ended."""
NOT_READ = "The place of the backups was not read, so that nobody knows what lies there."


def read(table: PartitionedTable) -> tuple[tuple[Leg, ...], Read]:
    """Every period of the current table on its road, and the backups as they were read last."""
    found = session.backups().backups
    kept = (found.kept or ()) if found else ()
    others = found.others if found else ()
    today, zone = session.today(), session.zone()
    return legs(table, kept, others, today=today, cutoff=session.cutoff(), zone=zone), found


def unread(found: Read) -> None:
    """One line where the place could not be read, or has not answered yet, with what to do."""
    if found is None:
        st.info("The backups are still being read; they appear here by themselves.", icon=":material/hourglass_top:")
    elif found.unread is not None:
        place = f"{plain(found.place)}: " if found.place and found.place not in found.unread.what else ""
        st.warning(
            f"**The place of the backups can't be read.** {place}{plain(found.unread.what)}"
            f" {plain(found.unread.next)} It is tried again by itself.",
            icon=":material/cloud_off:",
        )


def badges(leg: Leg) -> str:
    """Its proof, its hold and its planned drop as Markdown badges."""
    said = [_proof_badge(leg)] if leg.best or leg.stop is Stop.DROPPED else []
    hold, drop = leg.hold, leg.drop
    if hold is not None and hold.binds(session.today()):
        until = f"until {human_date(date.fromisoformat(hold.until))}" if hold.until else "until lifted"
        said.append(f":violet-badge[:material/front_hand: held {until}]")
    elif hold is not None:
        said.append(":gray-badge[:material/front_hand: hold has run out]")
    if drop is not None:
        said.append(f":red-badge[:material/event: drop on {human_date(_moment(drop.at).date())}]")
    if leg.whence:
        said.append(f":gray[of {plain(leg.whence)}]")
    return " ".join(said)


def _proof_badge(leg: Leg) -> str:
    if leg.failed is not None:
        return ":red-badge[:material/gpp_bad: last proof failed]"
    proven = leg.best.proven_at if leg.best else None
    if proven is None:
        return ":blue-badge[:material/cloud_done: backed up, not proven]"
    if leg.is_stale(session.verify_before()):
        return f":orange-badge[:material/schedule: proof is {plural((session.now() - proven).days, 'day')} old]"
    return f":green-badge[:material/verified_user: proven {human_ago(proven, session.now())}]"


def line(leg: Leg, found: Read, *, primary: bool = False, key: str = "") -> None:
    """One period with its figures, its one next act, and what else can be done with it."""
    label = f"**{plain(leg.label)}**" + (f" · {plain(leg.called)}" if leg.label != leg.called else "")
    words = f"{label} {badges(leg)}"
    if leg.failed is not None:
        words += f"  \n:red[{plain(leg.failed.reason or 'The proof is not of these bytes.')}]"
    if leg.hold is not None:
        words += f"  \n:violet[{plain(leg.hold.reason)}] — {plain(leg.hold.by)}"
    known = found is not None and found.kept is not None
    menu = others(leg, known=known)
    layout.line(
        words,
        figures(leg),
        partial(act, leg, known=known, primary=primary, key=key),
        (lambda: confirm.menu(menu, key=f"{key}more_{leg.called}")) if menu else None,
    )
    if len(leg.backups) > 1:
        with st.expander(
            f"All {len(leg.backups):,} backups of it", key=f"{key}backups_{leg.called}", on_change="rerun"
        ) as folded:
            if folded.open:
                listing(leg, key=key)


def act(leg: Leg, *, known: bool, primary: bool = False, key: str = "") -> None:
    """The button of the one thing that comes next."""
    key = f"{key}act_{leg.called}"
    one, best = leg.one, leg.best
    if not isinstance(one, Archived):
        if one is not None:
            confirm.archive_button(one, key=key, primary=primary)
        elif best is not None and leg.failed is not None:
            confirm.verify_button(best.backup.id, key=key)
        elif best is not None:
            confirm.restore_button(best.backup.id, key=key)
    elif leg.drop is not None:
        confirm.keep_button(leg.called, key=key)
    elif _held(leg):
        confirm.reattach_button(one, key=key)
    elif best is None or leg.failed is not None:
        label = "Back up again" if best else "Back up"
        confirm.backup_button(leg.called, key=key, primary=primary, label=label, closed=None if known else NOT_READ)
    elif best.proven is None or leg.is_stale(session.verify_before()):
        confirm.verify_button(best.backup.id, key=key, primary=primary)
    else:
        confirm.drop_button(leg.called, key=key)


def others(leg: Leg, *, known: bool) -> dict[str, Callable[[], None]]:
    """What else can be done with it, by the words of the menu."""
    name, one, best = leg.called, leg.one, leg.best
    found: dict[str, Callable[[], None]] = {}
    if isinstance(one, Archived) and (leg.drop is not None or not _held(leg)):
        found["Reattach"] = lambda: confirm.ask_reattach(name)
    if one is not None and known:
        found["Back up" if best is None else "Back up again"] = lambda: confirm.back_up(name)
    if best is not None:
        backup = best.backup.id
        found["Verify its backup"] = lambda: confirm.verify(backup)
        if one is None and leg.failed is not None:
            found["Restore"] = lambda: confirm.ask_restore(backup)
    droppable = isinstance(one, Archived) and best is not None and best.proven is not None and not _held(leg)
    if droppable and session.no_drop_reason() is None:
        found["Drop, now or later" if leg.drop is None else "Drop at another time"] = lambda: confirm.ask_drop(name)
    if one is not None:
        if leg.hold is not None:
            found["Lift the hold"] = lambda: confirm.lift(name)
        found["Hold" if leg.hold is None else "Hold for longer"] = lambda: confirm.ask_hold(name)
    return found


def _held(leg: Leg) -> bool:
    return leg.hold is not None and leg.hold.binds(session.today())


def figures(leg: Leg) -> str:
    """Rows, bytes on the server and in the place, and since when it is where it is."""
    said: list[str] = []
    if leg.one is not None:
        if leg.one.rows is not None:
            said.append(f"about {human_rows(leg.one.rows)} rows")
        said.append(f"{human_bytes(leg.one.size.total)} on the server" if leg.one.size else "busy, not measured")
    elif leg.best is not None:
        said.append(f"{human_rows(leg.best.backup.rows)} rows")
    if leg.backups:
        said.append(f"{human_bytes(leg.in_place)} in {plural(len(leg.backups), 'backup')}")
    words = ", ".join(said)
    if isinstance(leg.one, Archived):
        return f"{words} · {_since(leg.one)}"
    if leg.one is None and leg.best is not None:
        return f"{words} · backed up on {human_date(_moment(leg.best.backup.finished_at).date())}"
    return words


def _since(archived: Archived) -> str:
    if archived.tag is not None:
        moment = _moment(archived.tag.archived_at)
        return f"archived {human_ago(moment, session.now())}, on {human_date(moment.date())}"
    known = f"its bounds come from its {archived.source}" if archived.source else "its range is unknown"
    return f"archived by hand; {known}"


def listing(leg: Leg, *, key: str = "") -> None:
    """Every backup of one period, newest first, each with its last proof and what can be done with it."""
    for kept in leg.backups:
        backup = kept.backup
        rests = " :blue-badge[the one to rest on]" if kept is leg.best and len(leg.backups) > 1 else ""
        layout.line(
            f"{human_time(_moment(backup.finished_at))}{rests}  \n{_proof_words(kept)}",
            f"{human_rows(backup.rows)} rows, {human_bytes(backup.bytes)}, by {backup.actor}"
            f"{f': {backup.reason}' if backup.reason else ''} · {backup.id}",
            partial(confirm.verify_button, backup.id, key=f"{key}verify_{backup.id}"),
            partial(confirm.menu, _of_backup(leg, backup.id), key=f"{key}menu_{backup.id}")
            if leg.one is None
            else None,
        )


def _of_backup(leg: Leg, backup: str) -> dict[str, Callable[[], None]]:
    return {f"Restore {leg.name} from it": lambda: confirm.ask_restore(backup)}


def _proof_words(kept: Kept) -> str:
    if kept.proven_at is not None:
        words = (
            f"restored and compared {human_ago(kept.proven_at, session.now())}, on {human_date(kept.proven_at.date())}"
        )
        late = kept.proven_at.date() < session.verify_before()
        return f":orange[:material/schedule: {words}: too long ago]" if late else f":green[:material/check: {words}]"
    if kept.proofs:
        last = kept.proofs[-1]
        reason = plain(last.reason or "the proof is not of these bytes")
        return f":red[:material/gpp_bad: failed on {human_date(_moment(last.at).date())}: {reason}]"
    return ":gray[never restored and compared]"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
