"""Who acts: a name, a role and where from; and which role the settings give to a name, at this very moment."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from core.console.said import Said
from core.errors import NotAllowed, SettingError
from core.plans.operation import ACCOUNTS, FIND, LEAST, MAINTAIN, NAMES, SAMPLE, Operation, Role
from core.settings import EVERYBODY, Settings, parse_names


class Origin(StrEnum):
    """Where an operation was asked for."""

    DASHBOARD = "dashboard"
    COMMAND_LINE = "command line"
    START_UP = "application start-up"
    SCHEDULE = "schedule"
    DRILL = "restore drill"
    UPKEEP = "upkeep"
    RULES = "rules"


_ORDER = tuple(Role)
_WORDS = {
    MAINTAIN: "keep to the rules",
    FIND: "find the rows of one value",
    SAMPLE: "sample sizes",
    NAMES: "read who did what",
    ACCOUNTS: "keep accounts",
}
_KNOWN_BY = {
    Origin.DASHBOARD: "not told",
    Origin.COMMAND_LINE: "the user of the process",
    Origin.START_UP: "the application itself",
    Origin.SCHEDULE: "the sealed row that planned it",
    Origin.DRILL: "the console itself",
    Origin.UPKEEP: "the console itself",
    Origin.RULES: "the sealed row that set the rules",
}


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a program that asks for an operation."""

    name: str
    role: Role
    origin: Origin
    verified: str = ""
    """How it is known who that is, where that is not told by where it was asked for."""
    address: str = ""
    """Where the person sits, as far as that is known."""
    said: Said | None = None
    """What the person's sign-in said that gives the role, where no list has the name itself."""

    @property
    def known_by(self) -> str:
        """How it is known who that is, and by what they have their role where that is not by name."""
        return f"{self.verified or _KNOWN_BY[self.origin]}{self.said or ''}"

    def may(self, what: Operation | str) -> bool:
        """Whether the role suffices, for an operation or for what `LEAST` names besides."""
        return _ORDER.index(self.role) >= _ORDER.index(_least(what))

    def require(self, what: Operation | str) -> None:
        """Raises NotAllowed where the role does not suffice."""
        if not self.may(what):
            least = _least(what)
            raise NotAllowed(
                f"{self.name} is here as {self.role}; to {_WORDS.get(str(what), what)} takes {article(least)} {least}.",
                next="Ask somebody who is.",
            )


def article(role: Role) -> str:
    """What stands before the role in a sentence."""
    return "a" if role is Role.VIEWER else "an"


def _least(what: Operation | str) -> Role:
    return what.role if isinstance(what, Operation) else LEAST[what]


def system_user() -> str:
    """The name of the operating system's user who runs this process, as the system has it: no variable says it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def role_of(settings: Settings, name: str, said: Said | None = None) -> Role | None:
    """The role that the settings give just now; None where they name others only.

    Where they name nobody, everyone who has got this far is an admin. Raises SettingError for a list that can't be
    read, and for a name in two of them.
    """
    return _standing(settings, name, said)[0]


def _standing(settings: Settings, name: str, said: Said | None) -> tuple[Role | None, Said | None]:
    """The role, and what gives it of what the sign-in said; a name that is listed itself counts before that."""
    if not settings.names_people:
        return Role.ADMIN, None
    lists = {role: _listed(setting, entries) for role, setting, entries in _lists(settings)}
    of_claim = bool(settings.role_claim) and name.startswith(f"{settings.role_claim}=")  # nobody is called so
    found = [] if of_claim else [role for role, names in lists.items() if _alike(name) in names]
    if len(found) > 1:
        raise SettingError(
            f"{name} is named as {found[0]} and as {found[1]}.", next="Take the name out of one of both lists."
        )
    if found:
        return found[0], None
    if said is not None and not said.is_over:
        for role, names in lists.items():  # the highest first
            if counting := tuple(one for one in said.values if _alike(one) in names):
                return role, replace(said, values=counting)
    return Role.VIEWER if EVERYBODY in lists[Role.VIEWER] else None, None


def person(settings: Settings, name: str, origin: Origin, said: Said | None = None) -> Actor:
    """Somebody with the role that the settings give just now. Raises NotAllowed for who has none."""
    role, counting = _standing(settings, name, said)
    if role is None:
        raise NotAllowed(
            f"{name} has no role here.",
            next="An administrator names who may do what: PARTITION_DESK_ADMINS, PARTITION_DESK_OPERATORS,"
            " PARTITION_DESK_AUDITORS, PARTITION_DESK_VIEWERS.",
        )
    return Actor(name, role, origin, said=counting)


def require_named(settings: Settings, actor: Actor, operation: Operation) -> None:
    """Raises NotAllowed where the role ends with a sign-in, and what is asked for is done after that."""
    if actor.said is not None:
        least = operation.role
        raise NotAllowed(
            f"{actor.name} is {article(actor.role)} {actor.role} by {settings.role_claim} alone, which ends with the"
            f" sign-in; to {operation} counts for longer, and takes {article(least)} {least} by name.",
            next="Have the name put into PARTITION_DESK_ADMINS, or ask somebody who is there.",
        )


def as_of_now(settings: Settings, actor: Actor) -> Actor:
    """The same actor with the role that is left: what somebody was is not believed, nor what a row of a journal says.

    An application's start-up, a restore drill and upkeep are no persons, and keep their own. Raises NotAllowed for who
    has none any more.
    """
    if actor.origin in (Origin.START_UP, Origin.DRILL, Origin.UPKEEP):
        return replace(actor, role=min(actor.role, Role.OPERATOR, key=_ORDER.index))
    now = person(settings, actor.name, actor.origin, actor.said)
    return replace(now, role=min(actor.role, now.role, key=_ORDER.index))


def _lists(settings: Settings) -> Iterator[tuple[Role, str, tuple[str, ...]]]:
    yield Role.ADMIN, "PARTITION_DESK_ADMINS", settings.admins
    yield Role.OPERATOR, "PARTITION_DESK_OPERATORS", settings.operators
    yield Role.AUDITOR, "PARTITION_DESK_AUDITORS", settings.auditors
    yield Role.VIEWER, "PARTITION_DESK_VIEWERS", settings.viewers


def _listed(setting: str, entries: tuple[str, ...]) -> frozenset[str]:
    """Every name of a list; those of its files are read anew, so that a role can be given and taken while it runs."""
    names: list[str] = []
    for entry in entries:
        if not entry.startswith("@"):
            names.append(entry)
            continue
        try:
            lines = Path(entry[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise SettingError(f"{setting}: {entry[1:]} can't be read: {why}.") from error
        names += parse_names(setting, ",".join(line.partition("#")[0] for line in lines))
    return frozenset(_alike(name) for name in names)


def _alike(name: str) -> str:
    """Addresses of e-mail are the same in capitals; names of users are not."""
    return name.casefold() if "@" in name else name
