"""How the dashboard asks who is there: decided in one place, for the server in front of the pages and for the pages."""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from core.settings import Settings

LINK = secrets.token_urlsafe(32)
"""What the printed link has; gone with the process, as are the other two."""
COOKIE = secrets.token_urlsafe(32)
"""What a browser has that came by the link."""
VOUCHER = secrets.token_urlsafe(32)
"""What the gate tells pages by that it has let a connection in; no request from outside can have it."""
VOUCHER_HEADER = "x-partition-desk-voucher"
NAME_HEADER = "x-partition-desk-name"
"""Who it is, as the gate tells it."""
SESSION_HEADER = "x-partition-desk-session"
"""Which sign-in it is, and until when it holds: `Session`."""
SAID_HEADER = "x-partition-desk-said"
"""What the provider said of them that may give a role: `Said`."""
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")
"""What a proxy adds to a request that it passes on."""


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one person; all tabs of a browser have the same."""

    id: str
    until: float
    """When it ends by itself, in seconds since 1970."""

    @classmethod
    def parse(cls, text: str) -> Session:
        """What `str` made. Raises ValueError."""
        id, _, until = text.partition(" ")
        return cls(id, float(until))

    def __str__(self) -> str:
        return f"{self.id} {self.until}"

    @property
    def is_over(self) -> bool:
        """Whether it has ended, by itself or in any tab."""
        return time.time() >= self.until or self.id in _SIGNED_OUT

    def end(self) -> None:
        """Signs out, in all tabs."""
        now = time.time()
        for id in [id for id, until in _SIGNED_OUT.items() if until < now]:
            _SIGNED_OUT.pop(id, None)
        _SIGNED_OUT[self.id] = self.until


_SIGNED_OUT: dict[str, float] = {}
"""The sign-ins that were ended before their time, and when that would have been."""


class Way(StrEnum):
    """How it is known who is there."""

    OPEN = "nobody is asked: the demo, or a machine of one's own"
    LINK = "by the link that was printed at the start"
    SIGN_IN = "by a provider of OpenID Connect"
    ACCOUNT = "by a name and a password"
    HEADER = "by what a reverse proxy says"
    CLOSED = "not at all, so that nothing is shown"


def way(settings: Settings, address: str | None, *, embedded: bool) -> Way:
    """How it is asked where the dashboard listens on that address."""
    if settings.provider is not None:
        return Way.SIGN_IN
    if settings.accounts:
        return Way.ACCOUNT
    if settings.user_header:
        return Way.HEADER
    if not is_loopback(address):
        return Way.CLOSED
    return Way.OPEN if embedded or settings.open else Way.LINK


def is_loopback(address: str | None) -> bool:
    """Whether it is heard on this machine alone."""
    if not address:
        return False  # every address
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def closed_because(found: Way, address: str | None, headers: Iterable[str]) -> str | None:
    """Why nothing is shown to whoever sent these headers, whoever it is; None where that depends on who it is."""
    if found is Way.CLOSED:
        where = f"on {address}" if address else "on every network address"
        return (
            f"This dashboard listens {where} and has no sign-in, so it shows nothing. Have it listen on 127.0.0.1,"
            " which is the default, or set up a sign-in: README, Who may act."
        )
    names = {name.lower() for name in headers}
    if found not in (Way.HEADER, Way.SIGN_IN, Way.ACCOUNT) and any(name.lower() in names for name in FORWARDED):
        return (
            "A proxy has passed this page on: nobody knows who is there, and there is no sign-in, so nothing is shown."
            " Open the dashboard on its own machine, or set up a sign-in: README, Who may act."
        )
    return None
