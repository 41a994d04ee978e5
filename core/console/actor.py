"""Who acts: a name, a role and where from; and which role each operation needs."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from enum import StrEnum

from core.errors import NotAllowed
from core.plans.plan import Operation


class Role(StrEnum):
    """What a person may do here, weakest first."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Origin(StrEnum):
    """Where an operation was asked for."""

    DASHBOARD = "dashboard"
    COMMAND_LINE = "command line"
    START_UP = "application start-up"
    SCHEDULE = "schedule"


NEEDS: dict[Operation, Role] = {
    Operation.ENSURE: Role.OPERATOR,
    Operation.ARCHIVE: Role.ADMIN,
    Operation.REATTACH: Role.ADMIN,
    Operation.BACKUP: Role.OPERATOR,
    Operation.VERIFY: Role.OPERATOR,
    Operation.DROP: Role.ADMIN,
    Operation.RESTORE: Role.ADMIN,
    Operation.HOLD: Role.ADMIN,
    Operation.SCHEDULE: Role.ADMIN,
}
"""The least role that may do each operation."""

_ORDER = tuple(Role)


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a program that asks for an operation."""

    name: str
    role: Role
    origin: Origin

    def may(self, operation: Operation) -> bool:
        """Whether the role suffices."""
        return _ORDER.index(self.role) >= _ORDER.index(NEEDS[operation])

    def require(self, operation: Operation) -> None:
        """Raises NotAllowed where the role does not suffice."""
        if not self.may(operation):
            raise NotAllowed(
                f"{self.name} is here as {self.role}; to {operation} takes an {NEEDS[operation]}.",
                next="Ask somebody who is.",
            )


def system_user() -> str:
    """The name of the operating system's user who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
