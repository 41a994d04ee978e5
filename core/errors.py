"""Every error a user can meet, each saying what happened, whether data is safe, and what to do next.

    DeskError
      SettingError             an environment variable that can't be used
      UsageError               an argument that can't be what was meant
      ConnectionFailed         the server can't be reached, or refuses the login
        ServerFull             it has no connection to give just now
      CatalogBusy              what was to be read is locked for longer than a reader waits
      Refused                  looked at beforehand and not begun
        NotAllowed             the actor's role or the database role may not do this
        JournalPublished       the console's own tables would stop a subscriber
        Asked                  another person has to approve it first
        NotSealed              a row of the journal that no console with this one's key has written
        TableNotFound, NotServed, PartitionNotFound, AmbiguousName, PeriodNotOver,
        NameTaken, OffCalendar, Overlap, DetachPending, NotAttachable, ReadOnlyServer
        BackupNotFound, BackupUnusable, NotVerified, ToolMissing
      PlanOutdated             the table changed between plan and apply
      HoldsAlready             somebody else did meanwhile what was asked for; it ends as done
      StorageFailed            the place of the backups can't be reached, read or written
      BackupDamaged            a backup is not what its manifest says
      AlarmNotSent             a target of alarms did not take a message
      Unprovable               a backup can't be proven here, which says nothing of what it holds
      LockNotObtained          the patience ran out; carries who was in the way
      Cancelled                a person stopped it
      Failed                   the server refused a statement; carries SQLSTATE and message

`core.postgres.connection.translate` makes these from SQLSTATE; `dashboard.notices` and `core.cli.main` show them: one
place each.
"""

from __future__ import annotations

NOTHING_CHANGED = "Nothing was changed."


class DeskError(Exception):
    """Base of all: `what` happened, whether data is `safe`, and what to do `next`; each a sentence or empty."""

    def __init__(self, what: str, *, safe: str = NOTHING_CHANGED, next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.safe = safe
        self.next = next

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.safe, self.next) if part)


class SettingError(DeskError):
    """An environment variable that can't be used; the message names it."""


class UsageError(DeskError):
    """An argument that can't be what was meant, such as a year 20255."""


class ConnectionFailed(DeskError):
    """The server can't be reached, or refuses the login. Never holds a password."""


class ServerFull(ConnectionFailed):
    """The server, or its limit for this role or database, has no connection to give just now."""


class CatalogBusy(DeskError):
    """What was to be read is locked for longer than a reader waits."""


class Refused(DeskError):
    """Looked at beforehand and not begun."""


class NotAllowed(Refused):
    """The actor's role, or the connected database role, may not do this."""


class Asked(Refused):
    """It takes two persons, and is written down: another one has to approve it."""


class NotSealed(Refused):
    """A row of the journal that no console with this one's key has written."""


class JournalPublished(Refused):
    """The console's own tables are not there yet, and a subscriber that lacks them would stop at their first row."""


class TableNotFound(Refused):
    """No table of that name in this database."""


class NotServed(Refused):
    """The table is plain, or partitioned in a way that is only shown here."""


class PartitionNotFound(Refused):
    """No partition, or no archived table, for what was asked."""


class AmbiguousName(Refused):
    """A name alone means more than one partition or archived table, or more than one backup."""


class PeriodNotOver(Refused):
    """Archiving the current or a future period was asked for without allowing it."""


class NameTaken(Refused):
    """A table or index of that name is in the way."""


class OffCalendar(Refused):
    """The partitions are cut at no unit of the calendar, so that nothing tells how the next one is to be."""


class Overlap(Refused):
    """Another partition holds part of the range."""


class DetachPending(Refused):
    """A detach that was interrupted has to be finished first."""


class NotAttachable(Refused):
    """The archived table can't be attached as it is; `reasons` says why, one sentence each."""

    def __init__(self, what: str, reasons: tuple[str, ...], *, next: str = "") -> None:
        super().__init__(" ".join((what, *reasons)), next=next)
        self.reasons = reasons


class ReadOnlyServer(Refused):
    """The server is a standby, or read-only."""


class BackupNotFound(Refused):
    """The place holds no such backup."""


class BackupUnusable(Refused):
    """A backup that can't be used here or for this; `reasons` says why, one sentence each."""

    def __init__(self, what: str, reasons: tuple[str, ...] = (), *, next: str = "") -> None:
        super().__init__(" ".join((what, *reasons)), next=next)
        self.reasons = reasons


class NotVerified(Refused):
    """No backup of the present content was restored and compared, so that dropping would be a hope."""


class ToolMissing(Refused):
    """No program here is new enough for this server."""


class StorageFailed(DeskError):
    """The place of the backups can't be reached, read or written. Never holds a secret."""


class BackupDamaged(DeskError):
    """A backup is not what its manifest says."""


class AlarmNotSent(DeskError):
    """A target of alarms did not take a message. Never holds a secret."""


class Unprovable(DeskError):
    """A backup that can't be proven here, which says nothing of what it holds."""


class PlanOutdated(DeskError):
    """The table changed between plan and apply; `changes` tells what, one line each."""

    def __init__(
        self,
        what: str,
        changes: tuple[str, ...] = (),
        *,
        safe: str = NOTHING_CHANGED,
        next: str = "Look at the table as it is now and confirm again.",
    ) -> None:
        super().__init__(what, safe=safe, next=next)
        self.changes = changes


class LockNotObtained(DeskError):
    """The patience for a lock ran out; who was in the way is in the message."""


class HoldsAlready(DeskError):
    """What was asked for holds: somebody else did it meanwhile. It ends as done."""


class Cancelled(DeskError):
    """A person stopped the operation."""


class Failed(DeskError):
    """The server refused a statement; `sqlstate` is five characters or empty."""

    def __init__(
        self, what: str, *, sqlstate: str = "", server_message: str = "", safe: str = NOTHING_CHANGED, next: str = ""
    ) -> None:
        super().__init__(what, safe=safe, next=next)
        self.sqlstate = sqlstate
        self.server_message = server_message
