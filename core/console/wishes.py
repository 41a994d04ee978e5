"""The wish in a row of the journal: all that a person said, from which its plan is built again when it is to run.

What a worker runs is built by itself from the catalog, and only where it is what was confirmed; the SQL in a row is for
people alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, cast

from core.backups.kept import read_kept
from core.console.file_work import open_storage
from core.console.register import ROOMS
from core.errors import HoldsAlready, NotSealed, PlanOutdated
from core.period import Duration, Width
from core.plans.operation import Wish
from core.plans.plan import Plan, outdated
from core.plans.proof import Kept
from core.rules.value import Rules, parse_rules
from core.tables.bounds import Bounds
from core.tables.key import Reading
from core.tables.marks import Hold
from core.tables.table import PartitionedTable

if TYPE_CHECKING:
    from core.console.desk import Desk

WISHES = {wish.__name__: wish for room in ROOMS for wish in room.wishes}
"""What can be wished, by the name of it."""


def written(wish: Wish, plan: Plan, at: datetime) -> str:
    """A wish as the journal keeps it, with what its plan has chosen where it left that open: JSON, in ASCII."""
    said: dict[str, Any] = {one.name: getattr(wish, one.name) for one in fields(cast(Any, wish))}
    if "table" in said:
        said["table"] = None  # named beside
    if "backup" in said:
        said["backup"] = plan.backup
    for name, value in said.items():
        if isinstance(value, tuple):  # of every backup the one that was chosen
            said[name] = tuple(one for one in value if not isinstance(one, Kept) or one.backup.id == plan.backup)
    if "due" in said:
        said["due"] = plan.due
    raw = {"wish": type(wish).__name__, "table": plan.table, "oid": plan.oid, "at": at.isoformat()}
    return json.dumps(raw | {"said": _plain(said)}, sort_keys=True)


def plan_again(desk: Desk, wish: str, shown: Plan) -> Plan:
    """The plan of a wish in a row, built on what is there now, as of when it was asked for.

    Raises HoldsAlready where nothing is left to do; PlanOutdated where it is another than `shown`, the one that was
    confirmed; what forbids it now; NotSealed where the row says no wish that is known here.
    """
    if shown.place:
        open_storage(desk.storage, shown)
    asked, at = read_wish(replace(desk, reading=desk.working), wish)
    plan = asked.plan(replace(desk, reading=desk.working, clock=lambda: at, server_clock=lambda: desk.server_now))
    plan = replace(plan, request=shown.request)
    if plan.digest != shown.digest:
        if shown.steps and not plan.steps:
            raise HoldsAlready(" ".join(plan.effects), safe="Somebody else did it meanwhile; nothing was changed.")
        table = getattr(asked, "table", None)
        changes = outdated(shown, table) if table is not None else ()
        changes = changes or differences(shown.sql.splitlines(), plan.sql.splitlines())
        raise PlanOutdated(f"{shown.table} is no longer as it was when this was planned.", changes)
    return plan


def read_wish(desk: Desk, wish: str) -> tuple[Wish, datetime]:
    """(the wish that `written` wrote, on the table and the backups as they are now, when it was asked for).

    Raises NotSealed for what is none.
    """
    try:
        raw = json.loads(wish)
        made = cast(Any, WISHES[raw["wish"]])
        table = desk.read(raw["table"]) if "table" in raw["said"] else None
        said = {name: _value(value, desk, table) for name, value in raw["said"].items()}
        return made(**(said | ({"table": table} if table is not None else {}))), datetime.fromisoformat(raw["at"])
    except (ValueError, KeyError, TypeError) as error:
        raise NotSealed("The journal does not say what was wished.", next="Ask for it again.") from error


def differences(was: Sequence[str], now: Sequence[str]) -> tuple[str, ...]:
    """What one text of SQL has and the other hasn't, by lines."""
    return (
        *(f"was: {line}" for line in was if line not in now),
        *(f"is: {line}" for line in now if line not in was),
    ) or ("was: another plan on the same",)


def _plain(value: object) -> object:
    """A value as JSON: what is no text, number, list or nothing stands under the name of its kind."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    for kind, (name, write) in _WRITTEN.items():
        if isinstance(value, kind):
            return {name: write(value)}
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"a wish can't hold {value!r}")


_WRITTEN: dict[type, tuple[str, Callable[[Any], Any]]] = {
    datetime: ("moment", datetime.isoformat),
    date: ("date", date.isoformat),
    Bounds: ("bounds", lambda bounds: bounds.text),
    Kept: ("backup", lambda kept: kept.backup.id),
    Width: ("width", lambda width: [width.months, width.days, width.seconds]),
    Duration: ("duration", lambda duration: [duration.count, duration.unit]),
    Hold: ("hold", lambda hold: [hold.until, hold.reason, hold.by]),
    Reading: ("reading", str),
    Rules: ("rules", Rules.said),
}
"""How each kind of value in a wish is written; a moment is a date, too, and stands before it."""


def _value(raw: Any, desk: Desk, table: PartitionedTable | None) -> Any:
    """Reads back what `_plain` wrote."""
    if isinstance(raw, list):
        return tuple(_value(one, desk, table) for one in raw)
    if not isinstance(raw, dict):
        return raw
    ((name, said),) = raw.items()
    if name == "bounds":
        return Bounds.parse(said, table.key if table else None)
    if name == "backup":
        return read_kept(desk.storage.open(), said)
    return _READ[name](said)


_READ: dict[str, Callable[[Any], Any]] = {
    "moment": datetime.fromisoformat,
    "date": date.fromisoformat,
    "width": lambda said: Width(*said),
    "duration": lambda said: Duration(*said),
    "hold": lambda said: Hold(*said),
    "reading": Reading,
    "rules": parse_rules,
}
