"""Where alarms go: a webhook, people by mail, and which alarms; read from the environment, as core.settings is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import SplitResult, unquote, urlsplit

from core.errors import SettingError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Form(StrEnum):
    """What a webhook is sent."""

    JSON = "json"
    SLACK = "slack"
    TEAMS = "teams"


class Security(StrEnum):
    """How a mail server is spoken to, by the scheme of its address."""

    TLS = "smtps"
    STARTTLS = "smtp"
    """Refused where the server does not offer it."""
    NONE = "smtp+plain"
    """For a relay of one's own; never with a password, but on this machine."""


_PORTS = {Security.TLS: 465, Security.STARTTLS: 587, Security.NONE: 25}


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that takes a message."""

    url: str = field(repr=False)
    """PARTITION_DESK_ALARM_WEBHOOK; whoever knows it can post there."""
    form: Form
    """PARTITION_DESK_ALARM_FORM."""

    @property
    def place(self) -> str:
        """For people, without what is secret of it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, slots=True)
class Mail:
    """Who is written to, and the server that takes the mail."""

    to: tuple[str, ...]
    """PARTITION_DESK_ALARM_MAIL_TO."""
    sender: str
    """PARTITION_DESK_ALARM_MAIL_FROM."""
    host: str
    """PARTITION_DESK_ALARM_SMTP: smtps://user@mail.example:465; so are the port, the security and the user."""
    port: int
    security: Security
    user: str
    """Empty where nobody signs in."""
    password: str = field(repr=False)
    """PARTITION_DESK_ALARM_SMTP_PASSWORD."""

    @property
    def place(self) -> str:
        """For people."""
        return f"{', '.join(self.to)} by {self.host}:{self.port}"


SEVERITIES = ("note", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Targets:
    """Where alarms go, and which."""

    webhook: Webhook | None = None
    mail: Mail | None = None
    severity: str = "warning"
    """PARTITION_DESK_ALARM_SEVERITY: the least that is told, one of SEVERITIES."""

    @property
    def every(self) -> dict[str, Webhook | Mail]:
        """Those that are set, by what the console calls them."""
        named: dict[str, Webhook | Mail | None] = {"webhook": self.webhook, "mail": self.mail}
        return {name: one for name, one in named.items() if one is not None}


def read_targets(environ: Mapping[str, str]) -> Targets:
    """The targets of `environ`. Raises SettingError, which names the variable and never what is secret in it."""
    severity = environ.get("PARTITION_DESK_ALARM_SEVERITY") or "warning"
    if severity not in SEVERITIES:
        raise SettingError(
            f"PARTITION_DESK_ALARM_SEVERITY is {severity[:40]!r}.", next=f"Choose of {', '.join(SEVERITIES)}."
        )
    return Targets(_webhook(environ), _mail(environ), severity)


def _webhook(environ: Mapping[str, str]) -> Webhook | None:
    name = "PARTITION_DESK_ALARM_WEBHOOK"
    url, form = environ.get(name, "").strip(), environ.get("PARTITION_DESK_ALARM_FORM") or Form.JSON
    if form not in list(Form):
        raise SettingError(f"PARTITION_DESK_ALARM_FORM is {form[:40]!r}.", next=f"Choose of {', '.join(Form)}.")
    if not url:
        return None
    parts = _split(url)
    if parts is None or parts.scheme not in ("https", "http") or parts.username or parts.fragment:
        raise SettingError(f"{name} is no address of a webhook.", next="Write it as https://chat.example/hooks/secret.")
    return Webhook(url, Form(form))


_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")


def _mail(environ: Mapping[str, str]) -> Mail | None:
    to = _addresses(environ, "PARTITION_DESK_ALARM_MAIL_TO")
    name, url = "PARTITION_DESK_ALARM_SMTP", environ.get("PARTITION_DESK_ALARM_SMTP", "").strip()
    if not to and not url:
        return None
    if not to or not url:
        raise SettingError(f"{name} and PARTITION_DESK_ALARM_MAIL_TO belong together.", next="Set both, or none.")
    parts = _split(url)
    if parts is None or parts.scheme not in list(Security) or parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingError(
            f"{name} is no address of a mail server.",
            next="Write it as smtps://user@mail.example, smtp:// for STARTTLS, or smtp+plain:// for a relay without.",
        )
    if parts.password is not None:
        raise SettingError(f"{name} has a password in it.", next=f"Write it as {name}_PASSWORD.")
    security, host, user = Security(parts.scheme), parts.hostname or "", unquote(parts.username or "")
    password = environ.get(f"{name}_PASSWORD", "")
    if bool(user) != bool(password):
        raise SettingError(f"Of the user in {name} and {name}_PASSWORD one is lacking.", next="Set both, or none.")
    if password and security is Security.NONE and host not in LOOPBACK:
        raise SettingError(f"{name} would send a password that anybody on the way can read.", next="Use smtps://.")
    sender = _addresses(environ, "PARTITION_DESK_ALARM_MAIL_FROM")[:1] or (
        user if _ADDRESS.fullmatch(user) else f"partition-desk@{to[0].partition('@')[2]}",
    )
    return Mail(to, sender[0], host, parts.port or _PORTS[security], security, user, password)


def _addresses(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = tuple(one for part in environ.get(name, "").split(",") if (one := part.strip()))
    wrong = next((one for one in found if not _ADDRESS.fullmatch(one)), None)
    if wrong is not None:
        raise SettingError(f"{name} has {wrong[:80]!r}, which is no address.", next="Write one as ops@example.com.")
    return found


def _split(url: str) -> SplitResult | None:
    """The parts of an address with a host; None for what is none."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and (parts.port is None or parts.port) else None
    except ValueError:
        return None
