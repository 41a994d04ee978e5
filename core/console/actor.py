"""Who acts: a name, a role and where from."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from enum import StrEnum

from core.errors import NotAllowed
from core.plans.operation import Operation, Role


class Origin(StrEnum):
    """Where an operation was asked for."""

    DASHBOARD = "dashboard"
    COMMAND_LINE = "command line"
    START_UP = "application start-up"
    SCHEDULE = "schedule"


_ORDER = tuple(Role)


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a program that asks for an operation."""

    name: str
    role: Role
    origin: Origin

    def may(self, operation: Operation) -> bool:
        """Whether the role suffices."""
        return _ORDER.index(self.role) >= _ORDER.index(operation.role)

    def require(self, operation: Operation) -> None:
        """Raises NotAllowed where the role does not suffice."""
        if not self.may(operation):
            raise NotAllowed(
                f"{self.name} is here as {self.role}; to {operation} takes an {operation.role}.",
                next="Ask somebody who is.",
            )


def system_user() -> str:
    """The name of the operating system's user who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
