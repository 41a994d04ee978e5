"""A saved plan: one act as a file, to be read, kept and done later, only where it would do the very same still.

The file says what was wished, and of which database; what is done is planned anew from the catalog. Whatever else
stands in it, its SQL among that, is for people alone: nothing of it is run or believed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from importlib.metadata import version
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin, get_type_hints

from core.console.wishes import WISHES, differences, read_wish
from core.errors import NotSealed, PlanOutdated, Refused, UsageError
from core.period import Duration, Width
from core.plans.backup import BACKUP
from core.plans.drop import DROP, SCHEDULE
from core.plans.ensure import MOST_AT_ONCE
from core.plans.manifest import is_backup_id
from core.plans.operation import Wish
from core.plans.plan import Plan
from core.tables.marks import Hold
from core.text import shown

if TYPE_CHECKING:
    from core.console.desk import Desk

_FORM = 1
"""Of the file; another one is another console's."""
MOST_BYTES = 32 * 1024 * 1024
_MOST_TOLD = 4
"""How many of the differences a refusal tells."""
_FAST = timedelta(minutes=5)
"""How much faster the clock may be of who saved it."""
MOST_REST_MS = 60_000
"""The longest rest between batches of rows that the command line takes, too."""
_NONE = "That file is no saved plan"
_ANEW = "Save it anew, and look at what it would do now."


@dataclass(frozen=True, slots=True)
class Saved:
    """What a file says, each field of its own type; none of it is true for that."""

    wish: str
    """As the journal keeps it."""
    digest: str
    database: str
    cluster: str
    table: str
    by: str
    at: datetime
    version: str
    basis: tuple[str, ...]
    sql: tuple[str, ...]


def written(desk: Desk, plan: Plan, by: str) -> str:
    """The file of a plan that the desk has just made. Raises Refused for one that another person has to approve."""
    if plan.request is not None:
        raise Refused("What waits for a second person can't be saved.", next="Approve it, or ask for it anew.")
    server = desk.acting().server()
    raw = {
        "partition_desk_plan": _FORM,
        "version": version("partition-desk"),
        "database": server.database,
        "cluster": server.cluster,
        "table": plan.table,
        "operation": plan.operation.name,
        "subject": plan.subject,
        "saved_by": by,
        "effects": [*plan.effects, *plan.meanwhile],
        "warnings": list(plan.warnings),
        "way_back": plan.way_back,
        "command": plan.command,
        "sql": plan.sql.splitlines(),
        "wish": json.loads(plan.wish),
        "digest": plan.digest,
        "basis": list(plan.basis),
    }
    return json.dumps(raw, indent=2, ensure_ascii=True) + "\n"


def file_name(plan: Plan) -> str:
    """What the file of a plan is called where nobody names it."""
    return re.sub(r"[^\w.-]+", "_", f"{plan.operation}-{plan.subject}", flags=re.ASCII).strip("._") + ".plan.json"


def parse(text: bytes) -> Saved:
    """What a file says. Raises UsageError for whatever is no saved plan."""
    if len(text) > MOST_BYTES:
        raise UsageError(f"{_NONE}: it has more than {MOST_BYTES // 1024**2} MiB.")
    try:
        raw = json.loads(text.decode(), object_pairs_hook=_once)
        json.dumps(raw, ensure_ascii=False, allow_nan=False).encode()  # a lone surrogate is no text
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{_NONE}: it is not JSON.") from error
    if not isinstance(raw, dict) or "partition_desk_plan" not in raw:
        raise UsageError(f"{_NONE}.")
    if raw["partition_desk_plan"] != _FORM:
        raise UsageError(f"{_NONE} of this version.", next=_ANEW)
    texts = {name: _text(raw, name) for name in ("database", "cluster", "table", "digest", "version", "saved_by")}
    wish = _object(raw, "wish")
    return Saved(
        wish=json.dumps(wish),
        digest=texts["digest"],
        database=texts["database"],
        cluster=texts["cluster"],
        table=texts["table"],
        by=texts["saved_by"],
        at=_moment(wish),
        version=texts["version"],
        basis=_lines(raw, "basis"),
        sql=_lines(raw, "sql"),
    )


def planned(desk: Desk, saved: Saved, by: str) -> Plan:
    """What a file asks for, planned on what is there now; without steps where nothing is left to do.

    `by` is who asks now, and goes where a plan writes a name. Raises Refused for a plan of another database, and for
    what forbids it now; PlanOutdated where it would not do the same as when it was saved; UsageError for what no
    console has written.
    """
    _require_here(desk, saved)
    wish = _read(desk, saved)
    if saved.at > desk.now + _FAST:
        raise UsageError(f"{_NONE}: it is of {saved.at:%Y-%m-%d}, which is to come.")
    at = saved.at
    then = wish.plan(replace(desk.acting(), clock=lambda: at, server_clock=lambda: desk.server_now))
    if not then.steps:
        return then
    if then.digest != saved.digest:
        raise _changed(saved, then)
    now = desk.plan(_anew(wish, by))
    if now.steps and _said(now) != _said(then):
        raise _changed(saved, now)
    return now


def needs_name(plan: Plan) -> bool:
    """Whether the name of what it acts on has to be typed before it is done: it drops, now or later."""
    return plan.operation == DROP or (plan.operation == SCHEDULE and bool(plan.backup))


# --- the file ---


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, in which no name stands twice: two readers could take two values for it."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name stands twice")
    return made


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or "\0" in value:
        raise UsageError(f"{_NONE}: its {name} is no text.")
    return value


def _object(raw: dict[str, Any], name: str) -> dict[str, Any]:
    value = raw.get(name)
    if not isinstance(value, dict):
        raise UsageError(f"{_NONE}: its {name} is none.")
    return value


def _lines(raw: dict[str, Any], name: str) -> tuple[str, ...]:
    value = raw.get(name)
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise UsageError(f"{_NONE}: its {name} is no list of lines.")
    return tuple(value)


def _moment(wish: dict[str, Any]) -> datetime:
    try:
        at = datetime.fromisoformat(_text(wish, "at"))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not 1970 < at.year < 9999:
        raise UsageError(f"{_NONE}: it does not say when it was saved.")
    return at


# --- the wish ---


def _require_here(desk: Desk, saved: Saved) -> None:
    server = desk.acting().server()
    if (saved.database, saved.cluster) != (server.database, server.cluster):
        where = shown(saved.database)
        other = f"{where}, and this is {server.database}" if where != server.database else f"{where} on another server"
        raise Refused(f"That plan was saved for the database {other}.", next="Plan it here.")


def _read(desk: Desk, saved: Saved) -> Wish:
    """The wish of a file, each value of which is one that a person could have said. Raises UsageError, Refused."""
    try:
        raw = json.loads(saved.wish)
        if set(raw) != {"wish", "table", "oid", "at", "said"} or raw["table"] != saved.table:
            raise ValueError("another shape")
        kind = WISHES[raw["wish"]]
        if set(raw["said"]) - {one.name for one in fields(cast(Any, kind))}:
            raise ValueError("an unknown word")
        _require_plain(raw["said"])
        wish, _ = read_wish(desk.acting(), saved.wish)
        for name, hint in get_type_hints(kind).items():
            if name not in ("operation", "table") and not _is_one(getattr(wish, name), hint):
                raise TypeError(name)
        _require_sayable(wish)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, NotSealed) as error:
        raise UsageError(f"{_NONE}: it does not say what is wished.", next="Save it anew.") from error
    return wish


def _require_plain(value: Any) -> None:
    """Raises ValueError for text that no server takes, a list that is too long, a path that is no backup's."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("no text")
    if isinstance(value, list | dict):
        if len(value) > MOST_AT_ONCE:
            raise ValueError("too many")
        for one in value.values() if isinstance(value, dict) else value:
            _require_plain(one)
    kept = value.get("backup") if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(kept, str) and not is_backup_id(kept):
        raise ValueError("no id of a backup")


def _is_one(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type, all the way down."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_is_one(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if inner[-1:] == (...,):
            return all(_is_one(one, inner[0]) for one in value)
        return len(value) == len(inner) and all(map(_is_one, value, inner))
    if type(value) is not hint:
        return False
    if isinstance(value, Width | Duration | Hold):
        return all(_is_one(getattr(value, name), one) for name, one in get_type_hints(type(value)).items())
    return True


def _require_sayable(wish: Wish) -> None:
    """Raises ValueError for values of the right type that the command line would not take."""
    for one in fields(cast(Any, wish)):
        value = getattr(wish, one.name)
        if isinstance(value, Width) and Width.parse(str(value)) != value:
            raise ValueError("no width")
        if isinstance(value, Duration) and Duration.parse(str(value)) != value:
            raise ValueError("no duration")
        if isinstance(value, Hold):
            _require_hold(value)
        most = {"ahead": MOST_AT_ONCE, "rest_ms": MOST_REST_MS}.get(one.name)
        if most is not None and value is not None and not 0 <= value <= most:
            raise ValueError("too many")
        for span in (value, *(value if isinstance(value, tuple) else ())):
            if isinstance(span, tuple) and len(span) == 2 and isinstance(span[0], date) and not span[0] < span[1]:
                raise ValueError("no range")


def _require_hold(hold: Hold) -> None:
    if not hold.reason:
        raise ValueError("no reason")
    if hold.until:
        date.fromisoformat(hold.until)


def _anew(wish: Wish, by: str) -> Wish:
    """The same of now, by who asks now: a new backup has an id of its own, a planned drop its time from now on."""
    said: Any = wish
    if wish.operation == BACKUP:
        return cast(Wish, replace(said, backup=""))
    names = {one.name for one in fields(said)}
    if {"due", "by"} <= names:
        return cast(Wish, replace(said, due="", by=by))
    if "hold" in names and said.hold is not None:
        return cast(Wish, replace(said, hold=replace(said.hold, by=by)))
    return wish


# --- whether it is the same still ---


def _said(plan: Plan) -> tuple[object, ...]:
    """What a plan does, whatever the moment and the name that it writes."""
    backup = "" if plan.operation == BACKUP else plan.backup
    titles = () if plan.operation == BACKUP else tuple(step.title for step in plan.steps)
    return plan.operation, plan.oid, plan.subject, plan.makes, plan.ranges, plan.basis, backup, titles


def _changed(saved: Saved, plan: Plan) -> PlanOutdated:
    gone = [f"was: {fact}" for fact in saved.basis if fact not in plan.basis]
    new = [f"is: {fact}" for fact in plan.basis if fact not in saved.basis]
    found = (*gone, *new) or differences(saved.sql, plan.sql.splitlines())
    told = [shown(line) for line in found[:_MOST_TOLD]]
    if len(found) > _MOST_TOLD:
        told.append(f"and {len(found) - _MOST_TOLD:,} more")
    made_by = f", by version {shown(saved.version)}" if saved.version != version("partition-desk") else ""
    what = f"{plan.table} has changed since that plan was saved on {saved.at:%Y-%m-%d at %H:%M}{made_by}."
    return PlanOutdated(f"{what} {'; '.join(told)}.", tuple(found), next=_ANEW)
