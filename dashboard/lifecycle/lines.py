"""What the pages say of a period on its road and of its backups: badges, lines, and what can be done with each."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial

import streamlit as st

from core.backups.kept import Backups
from core.period import Width
from core.plans.backup import BACKUP
from core.plans.drop import DROP
from core.plans.hold import HOLD
from core.plans.manifest import Backup
from core.plans.plan import Plan
from core.plans.proof import Kept
from core.plans.reattach import REATTACH
from core.plans.restore import RESTORE
from core.plans.split import SPLIT
from core.plans.verify import VERIFY
from core.tables.archived import Archived
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.text import human_ago, human_bytes, human_date, human_time, plural
from dashboard import layout
from dashboard.dialog import ask, buttons, one_click
from dashboard.dialog.buttons import Choice
from dashboard.format import plain
from dashboard.lifecycle import bound
from dashboard.lifecycle.periods import Lifecycle, lives
from dashboard.partitions.items import Status
from dashboard.state import access, acts, backups, clock, current, database, reads

Read = Backups | None
"""The backups of a table as they were read last; None before the first reading has ended."""
NOT_READ = "The place of the backups was not read, so that nobody knows what lies there."


def read(table: PartitionedTable) -> tuple[tuple[Lifecycle, ...], Read]:
    """Every period of the current table on its road, and the backups as they were read last."""
    known = backups.known()
    found = known.backups
    kept = (found.kept or ()) if found else ()
    others = found.others if found else ()
    of = (table.oid, table.as_of, known.number)
    return _lives(database.url(), of, clock.today(), clock.cutoff(), clock.zone(), table, kept, others), found


@st.cache_resource(ttl=current.LONGEST_S, show_spinner=False, max_entries=20)
def _lives(
    url: str,
    of: tuple[int, datetime, int],
    today: date,
    cutoff: date,
    zone: str,
    _table: PartitionedTable,
    _kept: tuple[Kept, ...],
    _others: tuple[Kept, ...],
) -> tuple[Lifecycle, ...]:
    """Cached for as long as the readings are that they are of."""
    return lives(_table, _kept, _others, today=today, cutoff=cutoff, zone=zone)


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


def badges(life: Lifecycle) -> str:
    """Its proof, its hold, its planned drop and what waits for a second person as Markdown badges."""
    said = [_proof_badge(life)] if life.best or life.status is Status.DROPPED else []
    hold, drop = life.hold, life.drop
    if hold is not None and hold.binds(clock.today()):
        until = f"until {human_date(date.fromisoformat(hold.until))}" if hold.until else "until lifted"
        said.append(f":violet-badge[:material/front_hand: held {until}]")
    elif hold is not None:
        said.append(":gray-badge[:material/front_hand: hold has run out]")
    if drop is not None:
        said.append(f":red-badge[:material/event: drop on {human_date(_moment(drop.at).date())}]")
    said += [
        f":orange-badge[:material/group: {'drop' if ask.is_drop(plan) else plan.operation} waits for approval]"
        for plan in (request.plan for request in reads.requests())
        if _is_of(plan, life)
    ]
    said += [one for one in (bound.badge(life.one),) if one]
    if life.whence:
        said.append(f":gray[of {plain(life.whence)}]")
    return " ".join(said)


def _is_of(plan: Plan, life: Lifecycle) -> bool:
    if plan.table != current.address():
        return False
    if plan.oid is None:  # it brings back what is no table now
        return life.one is None and plan.backup in {kept.backup.id for kept in life.backups}
    return life.one is not None and life.one.oid == plan.oid


def _proof_badge(life: Lifecycle) -> str:
    if life.damaged is not None:
        return ":red-badge[:material/gpp_bad: backup damaged]"
    if life.best is not None and life.best.unprovable is not None:
        return ":orange-badge[:material/help: backed up, not provable here]"
    proven = life.best.proven_at if life.best else None
    if proven is None:
        return ":blue-badge[:material/cloud_done: backed up, not proven]"
    if life.is_stale(clock.verify_before()):
        return f":orange-badge[:material/schedule: proof is {plural((clock.now() - proven).days, 'day')} old]"
    return f":green-badge[:material/verified_user: proven {human_ago(proven, clock.now())}]"


def line(life: Lifecycle, found: Read, *, primary: bool = False, key: str = "") -> None:
    """One period with its figures, its one next act, and what else can be done with it."""
    label = f"**{plain(life.label)}**" + (f" · {plain(life.called)}" if life.label != life.called else "")
    words = f"{label} {badges(life)}"
    if life.damaged is not None:
        words += f"  \n:red[{plain(life.damaged.reason or 'The proof is not of these bytes.')}]"
    if life.hold is not None:
        words += f"  \n:violet[{plain(life.hold.reason)}] — {plain(life.hold.by)}"
    known = found is not None and found.kept is not None
    menu = {} if acts.under_way(life.called) else others(life, known=known)
    layout.line(
        words,
        figures(life),
        partial(act, life, known=known, primary=primary, key=key),
        (lambda: buttons.menu(menu, key=f"{key}more_{life.called}", of=life.label)) if menu else None,
    )
    if len(life.backups) > 1:
        with st.expander(
            f"All {len(life.backups):,} backups of it", key=f"{key}backups_{life.called}", on_change="rerun"
        ) as folded:
            if folded.open:
                listing(life, key=key)


def act(life: Lifecycle, *, known: bool, primary: bool = False, key: str = "") -> None:
    """The button of the one thing that comes next."""
    key = f"{key}act_{life.called}"
    one, best = life.one, life.best
    if not isinstance(one, Archived):
        if one is not None:
            buttons.archive_button(one, key=key, primary=primary)
        elif best is not None and life.damaged is not None:
            buttons.verify_button(best.backup.id, key=key, of=life.label)
        elif best is not None:
            buttons.restore_button(best.backup.id, key=key, of=life.label)
    elif life.drop is not None:
        buttons.keep_button(life.called, key=key, of=life.label)
    elif _held(life) or not one.is_here:  # what is elsewhere has no backup here
        buttons.reattach_button(one, key=key)
    elif best is None or life.damaged is not None:
        closed = None if known else NOT_READ
        buttons.backup_button(
            life.called, key=key, of=life.label, primary=primary, again=best is not None, closed=closed
        )
    elif best.proven is None or life.is_stale(clock.verify_before()):
        buttons.verify_button(best.backup.id, key=key, of=life.label, primary=primary)
    else:
        buttons.drop_button(life.called, key=key, of=life.label)


def others(life: Lifecycle, *, known: bool) -> dict[str, Choice]:
    """What else can be done with it, by the words of the menu."""
    name, one, best = life.called, life.one, life.best
    found: dict[str, Choice] = {}
    if isinstance(one, Archived) and (life.drop is not None or (one.is_here and not _held(life))):
        found["Reattach"] = Choice(REATTACH, lambda: ask.reattach(name))
    if one is not None and known and one.is_here:
        found["Back up" if best is None else "Back up again"] = Choice(BACKUP, lambda: one_click.back_up(name))
    if best is not None:
        backup = best.backup.id
        found["Verify its backup"] = Choice(VERIFY, lambda: one_click.verify(backup))
        if one is None and life.damaged is not None:
            found["Restore"] = Choice(RESTORE, lambda: ask.restore(backup))
    droppable = isinstance(one, Archived) and best is not None and best.proven is not None and not _held(life)
    if droppable and access.no_drop_reason() is None:
        found["Drop, now or later" if life.drop is None else "Drop at another time"] = Choice(
            DROP, lambda: ask.drop(name)
        )
    if isinstance(one, Partition) and _is_wide(one):
        found["Split into months"] = Choice(SPLIT, lambda: ask.split(name, _MONTH))
    if one is not None:
        if life.hold is not None:
            found["Lift the hold"] = Choice(HOLD, lambda: one_click.lift(name))
        found["Hold" if life.hold is None else "Hold for longer"] = Choice(HOLD, lambda: ask.hold(name))
    return found


_MONTH = Width(months=1)
_MONTHS_DAYS = 45
"""A range of more days has several months."""


def _is_wide(one: Partition) -> bool:
    """Whether it holds several months."""
    dates = one.bounds.dates(clock.zone()) if one.bounds is not None and one.is_plain else None
    return dates is not None and (dates[1] - dates[0]).days > _MONTHS_DAYS


def _held(life: Lifecycle) -> bool:
    return life.hold is not None and life.hold.binds(clock.today())


def figures(life: Lifecycle) -> str:
    """Rows, bytes on the server and in the place, and since when it is where it is."""
    said: list[str] = []
    if life.one is not None:
        if life.one.rows is not None:
            said.append(f"about {plural(life.one.rows, 'row')}")
        said.append(f"{human_bytes(life.one.size.total)} on the server" if life.one.size else "busy, not measured")
    elif life.best is not None:
        said.append(f"{plural(life.best.backup.rows, 'row')}")
    if life.backups:
        said.append(f"{human_bytes(life.in_place)} in {plural(len(life.backups), 'backup')}")
    words = ", ".join(said)
    if isinstance(life.one, Archived):
        return f"{words} · {_since(life.one)}"
    if life.one is None and life.best is not None:
        return f"{words} · backed up on {human_date(_moment(life.best.backup.finished_at).date())}"
    return words


def _since(archived: Archived) -> str:
    if archived.tag is not None:
        moment = _moment(archived.tag.archived_at)
        return f"archived {human_ago(moment, clock.now())}, on {human_date(moment.date())}"
    known = f"its bounds come from its {archived.source}" if archived.source else "its range is unknown"
    return f"archived by hand; {known}"


def listing(life: Lifecycle, *, key: str = "") -> None:
    """Every backup of one period, newest first, each with its last proof and what can be done with it."""
    for kept in life.backups:
        backup = kept.backup
        rests = " :blue-badge[the one to rest on]" if kept is life.best and len(life.backups) > 1 else ""
        layout.line(
            f"{human_time(_moment(backup.finished_at))}{rests}  \n{_proof_words(kept)}",
            f"{plural(backup.rows, 'row')}, {human_bytes(backup.bytes)}, by {backup.actor}"
            f"{f': {backup.reason}' if backup.reason else ''} · {backup.id}",
            partial(buttons.verify_button, backup.id, key=f"{key}verify_{backup.id}", of=_of_day(life, backup)),
            partial(buttons.menu, _of_backup(life, backup.id), key=f"{key}menu_{backup.id}", of=_of_day(life, backup))
            if life.one is None
            else None,
        )


def _of_day(life: Lifecycle, backup: Backup) -> str:
    """One of several backups of a period: 2021 of 23 January 2026."""
    return f"{life.label} of {human_date(_moment(backup.finished_at).date())}"


def _of_backup(life: Lifecycle, backup: str) -> dict[str, Choice]:
    return {f"Restore {life.name} from it": Choice(RESTORE, lambda: ask.restore(backup))}


def _proof_words(kept: Kept) -> str:
    if kept.proven_at is not None:
        words = (
            f"restored and compared {human_ago(kept.proven_at, clock.now())}, on {human_date(kept.proven_at.date())}"
        )
        late = kept.proven_at.date() < clock.verify_before()
        return f":orange[:material/schedule: {words}: too long ago]" if late else f":green[:material/check: {words}]"
    if kept.damaged is not None:
        reason = plain(kept.damaged.reason or "the proof is not of these bytes")
        return f":red[:material/gpp_bad: found damaged on {human_date(_moment(kept.damaged.at).date())}: {reason}]"
    if kept.unprovable is not None:
        last = kept.unprovable
        said = plain(f"{last.reason} {last.next}".rstrip())
        return f":orange[:material/help: could not be proven here on {human_date(_moment(last.at).date())}: {said}]"
    if kept.foreign:
        return f":orange[:material/gpp_maybe: it {kept.unproven}]"
    return ":gray[never restored and compared]"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
