"""The restore drill: finds whose turn it is, and begins one a night where the settings tell a worker to."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from core.console.actor import Actor, Origin
from core.console.journal import read_operations
from core.period import Duration
from core.plans.operation import Role
from core.plans.verify import VERIFY, Verify

if TYPE_CHECKING:
    from core.console.desk import Desk
    from core.plans.proof import Kept

OLDER = Duration(30, "day")
"""How old a proof has to be for `partitions drill`, where nothing says otherwise."""
WHY = "Restore drill"
_ACTOR = Actor("restore drill", Role.OPERATOR, Origin.DRILL)
_NIGHT = range(1, 5)
"""The hours, in the application's zone, in which a worker begins one."""
_ONE_A_NIGHT = timedelta(hours=20)


def find_next(desk: Desk, older: Duration) -> Kept | None:
    """The backup of this database that is to be proven next; None where nobody's turn has come.

    Raises StorageFailed and its like where the place can't be read.
    """
    from core.backups.drill import next_to_prove  # so is what reads backups

    kept, unread = desk.database_backups()
    if unread is not None:
        raise unread
    done = reversed(read_operations(desk.reading))
    tried = {o.plan.backup: o.requested_at for o in done if o.plan.operation is VERIFY}
    return next_to_prove(kept or (), older.before(desk.today), tried)


def begin_drill(desk: Desk) -> None:
    """Puts the night's verification into the queue, unless it is day, or there was one, or nobody's turn has come."""
    older = desk.settings.drill
    if older is None or desk.now.astimezone(ZoneInfo(desk.zone)).hour not in _NIGHT:
        return
    since = desk.now - _ONE_A_NIGHT
    if any(o.origin == Origin.DRILL and o.requested_at >= since for o in read_operations(desk.reading)):
        return
    kept = find_next(desk, older)
    if kept is not None:
        desk.enqueue(desk.plan(Verify(kept)), _ACTOR, WHY)
