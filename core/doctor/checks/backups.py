"""Backups and their proofs, planned drops and holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from core.doctor.findings import Case, Finding, Severity, archive_fine
from core.plans.backup import BACKUP, without_backup
from core.plans.branch import dumped
from core.plans.drop import SCHEDULE
from core.plans.hold import HOLD
from core.plans.proof import Kept
from core.plans.verify import VERIFY
from core.tables.archived import Archived
from core.tables.commands import backup_twin, twin
from core.tables.marks import PlannedDrop
from core.tables.tree import Kind
from core.text import human_bytes, human_date, listed, plural

OVERDUE = timedelta(days=1)
"""How long after its time a planned drop may still be on its way."""


def backed_up(case: Case) -> Iterator[Finding]:
    """NOTE with the archived tables that no backup holds as they are now; silent where nobody could look."""
    if case.backups is None:
        yield Finding("backed_up", Severity.NOTE, "The place of the backups could not be read", case.backups_unread)
        return
    elsewhere = [a for a in case.table.archived if a.kind is Kind.BRANCH and not a.is_here]
    if elsewhere:
        yield _not_here(case, elsewhere)
    bare = without_backup(case.table, case.backups)
    if not bare and elsewhere:
        return
    if not bare:
        yield archive_fine(case, "backed_up", "A backup lies in the place for {}")
        return
    first = bare[0]
    size = human_bytes(sum(a.size.total for a in bare if a.size))
    have = "has" if len(bare) == 1 else "have"
    yield Finding(
        "backed_up",
        Severity.NOTE,
        f"{plural(len(bare), 'archived table')} {have} no backup, {size}",
        f"{listed(a.name for a in bare)}: were the server lost, their rows would be. Nothing without a verified"
        " backup can be dropped.",
        hint=twin("backup", case.table, case.called(first)),
        subject=case.called(first),
        wants=BACKUP,
    )


def _not_here(case: Case, branches: list[Archived]) -> Finding:
    are = "is" if len(branches) == 1 else "are"
    return Finding(
        "backed_up",
        Severity.NOTE,
        f"{plural(len(branches), 'archived table')} {are} partitioned again with foreign leaves: not backed up here",
        f"{listed(a.name for a in branches)}: were the server lost, the rows that are on it would be, unless pg_dump or"
        " a backup of the whole server has them. This console backs up and drops what is here as a whole alone.",
        hint="\n".join(dumped(case.table, one) for one in branches),
        subject=case.called(branches[0]),
    )


def proven(case: Case) -> Iterator[Finding]:
    """WARNING for each backup whose last proof failed, or that none proves lately and that is the only copy left."""
    newest: dict[tuple[str, str], Kept] = {}
    for kept in sorted(case.backups or (), key=lambda kept: kept.backup.finished_at):
        shared = len(case.table.named(kept.backup.name)) > 1
        newest[kept.backup.name, kept.backup.bounds if shared else ""] = kept
    found = [finding for kept in newest.values() if (finding := _proof(case, kept, _here(case, kept)))]
    yield from found
    if not found:
        since = human_date(case.verify_before)
        title = (
            f"Each newest backup was restored and compared since {since}" if newest else "There is no backup to prove"
        )
        yield Finding("proven", Severity.OK, title)


def _here(case: Case, kept: Kept) -> str:
    """What the table of a backup is called on the server; empty where it is there no more."""
    named = [one for one in case.table.everything if one.name == kept.backup.name]
    if len(named) > 1:
        named = [one for one in named if one.bounds is not None and one.bounds.text == kept.backup.bounds]
    return case.called(named[0]) if named else ""


def _proof(case: Case, kept: Kept, here: str) -> Finding | None:
    backup = kept.backup
    command = backup_twin("verify", backup.id)
    damaged, unprovable = kept.damaged, kept.unprovable
    if damaged is not None:
        return Finding(
            "proven",
            Severity.WARNING if here else Severity.CRITICAL,
            f"The newest backup of {backup.name} is damaged",
            f"{damaged.reason or 'The proof is not of these bytes.'}"
            + ("" if here else " The table itself is no longer on the server."),
            hint=twin("backup", case.table, here) if here else command,
            subject=here or backup.name,
            wants=BACKUP if here else VERIFY,
            backup="" if here else backup.id,
        )
    if unprovable is not None:
        return Finding(
            "proven",
            Severity.NOTE if here else Severity.WARNING,
            f"The newest backup of {backup.name} could not be proven here",
            f"{unprovable.reason} That says nothing of what it holds; nothing can be dropped on it until it is proven."
            f" {unprovable.next}".rstrip(),
            hint=command,
            subject=here or backup.name,
            wants=VERIFY,
            backup=backup.id,
        )
    proven_on = kept.proven_at.date() if kept.proven_at else None
    if proven_on is not None and proven_on >= case.verify_before:
        return None
    if proven_on is None and here:
        severity, said = Severity.NOTE, kept.unproven
    elif proven_on is None:
        severity, said = Severity.WARNING, f"{kept.unproven}, and is the only copy"
    else:
        severity, said = Severity.WARNING, f"was last restored and compared on {human_date(proven_on)}"
    return Finding(
        "proven",
        severity,
        f"The newest backup of {backup.name} {said}",
        "A backup that nobody restored is a hope. Verifying restores it into a throwaway server and compares every"
        " row; this server is left alone.",
        hint=command,
        subject=here or backup.name,
        wants=VERIFY,
        backup=backup.id,
    )


def unusable_backups(case: Case) -> Iterator[Finding]:
    """WARNING with what lies in the place, looks like a backup, and can't be used as one."""
    if case.unusable:
        paths = (one.path for one in case.unusable)
        yield Finding(
            "unusable_backups",
            Severity.WARNING,
            f"{plural(len(case.unusable), 'backup')} in the place can't be used",
            f"{case.unusable[0].reason} They are taken for no backup: {listed(paths)}.",
            hint="partitions backups --every lists each with its reason.",
        )
    else:
        yield Finding(
            "unusable_backups", Severity.OK, "Every manifest that was found in the place of the backups can be read"
        )


def planned_drops(case: Case) -> Iterator[Finding]:
    """NOTE for each drop that waits for its time, WARNING for one whose time went by."""
    waiting = [(case.called(a), a.drop) for a in case.table.archived if a.drop is not None]
    for name, drop in waiting:
        yield _waiting(case, name, drop)
    if not waiting:
        yield Finding("planned_drops", Severity.OK, "No drop is planned")


def _waiting(case: Case, name: str, drop: PlannedDrop) -> Finding:
    at = datetime.fromisoformat(drop.at)
    keep = twin("keep", case.table, name)
    if at + OVERDUE < case.now:
        return Finding(
            "planned_drops",
            Severity.WARNING,
            f"The drop of {name}, planned for {human_date(at.date())}, did not happen",
            "It was refused, failed, or nobody began it: no dashboard runs, and no cron calls partitions drop --due.",
            hint=f"Look at Activity for the reason, then: partitions drop --due\nTo call it off: {keep}",
            subject=name,
            wants=SCHEDULE,
        )
    return Finding(
        "planned_drops",
        Severity.NOTE,
        f"{name} is to be dropped on {human_date(at.date())}",
        f"Asked for by {drop.by}. Its rows are compared with the backup {drop.backup} first.",
        hint=f"To call it off: {keep}",
        subject=name,
        wants=SCHEDULE,
    )


def holds(case: Case) -> Iterator[Finding]:
    """NOTE for each hold, and whether it has run out."""
    held = [(one, one.hold) for one in case.table.everything if one.hold is not None]
    for one, hold in held:
        lift = twin("hold", case.table, case.called(one), "--lift")
        until = f"through {human_date(date.fromisoformat(hold.until))}" if hold.until else "until somebody lifts it"
        over = not hold.binds(case.today)
        yield Finding(
            "holds",
            Severity.NOTE,
            f"The hold of {one.name} has run out" if over else f"{one.name} is held {until}",
            f"By {hold.by}: {hold.reason}",
            hint=f"To lift it: {lift}",
            subject=case.called(one),
            wants=HOLD if over else None,
        )
    if not held:
        yield Finding("holds", Severity.OK, "Nothing is held")
