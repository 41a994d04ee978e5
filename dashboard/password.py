"""Sign-in with a name and a password: the form, how often it may be tried, and who has signed in by it."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from core.console import accounts
from core.errors import SettingError
from core.settings import Settings
from dashboard.door import Session

FREE = 5
"""How many tries may fail before the next one has to wait."""
FIRST_S, LONGEST_S = 2.0, 900.0
"""How long it waits then, doubled with each failure, and at most."""
SIGN_OUT = "/sign-out"
MOST_BYTES = 4096
"""Of a form."""
FORM = """<form method="post" action="{at}"><p><label>Name<br><input name="name" autocomplete="username" required
autofocus></label></p><p><label>Password<br><input name="password" type="password" autocomplete="current-password"
required></label></p><p><button>Sign in</button></p></form>"""
WRONG = "That is not the name and the password of an account."
LATER = "There were too many tries. Wait {seconds} seconds, and try again."


@dataclass(slots=True)
class Passwords:
    """Who has signed in at this dashboard; gone with the process."""

    settings: Settings
    _known: dict[str, tuple[str, Session]] = field(default_factory=dict)
    """By cookie: the name and the sign-in."""
    _failed: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By name and by address: how many tries failed, and until when nothing is tried."""
    _one: threading.Lock = field(default_factory=threading.Lock)

    def visitor(self, cookie: str) -> tuple[str, Session] | None:
        """Who has that cookie; None once the sign-in or the account's password has ended."""
        found = self._known.get(cookie)
        if found is None:
            return None
        name, session = found
        if session.is_over or not has_that_password(self.settings, name, session):
            self.sign_out(cookie)
            return None
        return name, session

    def sign_in(self, body: bytes, address: str) -> str | tuple[str, Session]:
        """(a new cookie, its sign-in), or why there is none. Takes a tenth of a second, and no two at a time."""
        try:
            form = parse_qs(body.decode(), max_num_fields=4)
        except ValueError:
            return WRONG
        name, password = (form.get(key, [""])[0] for key in ("name", "password"))
        with self._one:
            now = time.monotonic()
            keys = (f"name {name.casefold()[:254]}", f"address {address}")
            wait = max(self._failed.get(key, (0, 0.0))[1] for key in keys) - now
            if wait > 0:
                return LATER.format(seconds=int(wait) + 1)
            if not accounts.verified(self.settings, name, password):
                self._count(keys, now)
                return WRONG
            self._failed.pop(keys[0], None)
            cookie = secrets.token_urlsafe(32)
            mark = accounts.mark(self.settings, name)
            session = Session(f"{secrets.token_hex(16)}.{mark}", time.time() + self.settings.session_s)
            self._known[cookie] = (name, session)
            for old in [key for key, (_, known) in self._known.items() if known.is_over]:
                self._known.pop(old, None)
            return cookie, session

    def _count(self, keys: tuple[str, ...], now: float) -> None:
        if len(self._failed) > 10_000:  # names are anybody's to make up
            self._failed = {key: one for key, one in self._failed.items() if one[1] > now}
        for key in keys:
            failed = self._failed.get(key, (0, 0.0))[0] + 1
            wait = min(LONGEST_S, FIRST_S * 2 ** min(failed - FREE, 20)) if failed >= FREE else 0.0
            self._failed[key] = (failed, now + wait)

    def sign_out(self, cookie: str) -> None:
        """Ends a sign-in, in all tabs."""
        found = self._known.pop(cookie, None)
        if found is not None:
            found[1].end()


def has_that_password(settings: Settings, name: str, session: Session) -> bool:
    """Whether the account is there and its password is what it was when this sign-in was made."""
    try:
        return accounts.mark(settings, name) == session.id.rpartition(".")[2] != ""
    except SettingError:
        return False


def is_ours(origin: str | None, host: str | None) -> bool:
    """Whether a form was sent from a page of this very address; browsers say so with each one."""
    return bool(origin) and urlsplit(origin or "").netloc == host
