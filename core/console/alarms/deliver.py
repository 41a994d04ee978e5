"""Hands a message to a webhook or a mail server: to the one that is set, within a bounded time, and nowhere else."""

from __future__ import annotations

import http.client
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

from core.console.alarms import message
from core.console.alarms.message import Message
from core.errors import AlarmNotSent
from core.targets import Mail, Security, Webhook

PATIENCE_S = 10.0
"""How long one message may take in all, but for finding the address of a name."""
_AGAIN = "It is tried again by itself."


def deliver(told: Message, target: Webhook | Mail) -> None:
    """Sends one message. Raises AlarmNotSent, without anything that is secret; the target may have it even so."""
    try:
        if isinstance(target, Webhook):
            _post(message.body(told, target.form), told.id, target)
        else:
            _send(told, target)
    except (OSError, http.client.HTTPException, smtplib.SMTPException) as error:
        raise AlarmNotSent(f"{target.place} took no message: {_why(error)}.", safe="", next=_AGAIN) from None


class _Late(OSError):
    """The time was up."""


_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (smtplib.SMTPAuthenticationError, "it refused user or password"),
    (smtplib.SMTPRecipientsRefused, "it refused the recipients"),
    (smtplib.SMTPNotSupportedError, "it offers no STARTTLS, or no sign-in"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted"),
    (ssl.SSLError, "no encrypted connection came about"),
    (socket.gaierror, "its name is not known"),
    (TimeoutError, "it did not answer in time"),
    (_Late, "it did not answer in time"),
    (ConnectionRefusedError, "nobody listens there"),
    (http.client.BadStatusLine, "it does not speak HTTP, or cut the connection"),
)


def _why(error: Exception) -> str:
    """What went wrong, in words of this program: what a server answers is somebody else's."""
    if isinstance(error, smtplib.SMTPResponseException) and not isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it answered {error.smtp_code}"
    return next((said for kind, said in _WORDS if isinstance(error, kind)), "the connection was cut")


@contextmanager
def _connected(host: str, port: int) -> Iterator[socket.socket]:
    """A connection that is cut when the time is up: a limit of each read would let a byte a second go on for ever."""
    connection = socket.create_connection((host, port), timeout=PATIENCE_S)
    late, guard = threading.Event(), connection.dup()  # TLS takes the first one over

    def cut() -> None:
        late.set()
        with suppress(OSError):
            guard.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(PATIENCE_S, cut)
    timer.daemon = True
    timer.start()
    try:
        yield connection
        if late.is_set():  # half a head of an answer reads like a whole one
            raise _Late
    except (OSError, http.client.HTTPException, smtplib.SMTPException) as error:
        raise _Late if late.is_set() else error from None
    finally:
        timer.cancel()
        guard.close()
        connection.close()


def _post(body: bytes, id: str, target: Webhook) -> None:
    """Posts to the webhook; an answer that sends elsewhere is a refusal, as is all but success."""
    parts = urlsplit(target.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    spoken = http.client.HTTPConnection(host, port)
    with _connected(host, port) as raw, _encrypted(raw, host, secure=secure) as spoken.sock:
        spoken.request(
            "POST",
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            body,
            {
                "Host": parts.netloc,
                "Content-Type": "application/json",
                "User-Agent": "partition-desk",
                "Idempotency-Key": id,
                "Connection": "close",
            },
        )
        answer = spoken.getresponse()  # of which nothing but its head is read, and of that no more than 64 KiB a line
        answer.close()
    if 300 <= answer.status < 400:
        raise AlarmNotSent(
            f"{target.place} answered {answer.status}: it sends elsewhere, where nothing is sent.",
            safe="",
            next="Set PARTITION_DESK_ALARM_WEBHOOK to the address itself.",
        )
    if not 200 <= answer.status < 300:
        raise AlarmNotSent(f"{target.place} took no message: it answered {answer.status}.", safe="", next=_AGAIN)


def _encrypted(connection: socket.socket, host: str, *, secure: bool) -> socket.socket:
    return ssl.create_default_context().wrap_socket(connection, server_hostname=host) if secure else connection


class _MailServer(smtplib.SMTP):
    """Speaks over a connection that is there."""

    def __init__(self, target: Mail, connection: socket.socket) -> None:
        self._connection = connection
        super().__init__(target.host, target.port, local_hostname=socket.gethostname())

    def _get_socket(self, *_: object) -> socket.socket:
        return self._connection


def _send(told: Message, target: Mail) -> None:
    secure = target.security is Security.TLS
    with (
        _connected(target.host, target.port) as raw,
        _encrypted(raw, target.host, secure=secure) as connection,
    ):
        refused = _hand_over(_MailServer(target, connection), told, target)
    if refused:
        raise AlarmNotSent(f"{target.host} refused {len(refused)} of the recipients.", safe="", next=_AGAIN)


def _hand_over(server: smtplib.SMTP, told: Message, target: Mail) -> Mapping[str, object]:
    """Sends the mail; whoever of the recipients was refused."""
    with closing(server):  # STARTTLS has put another connection in the place of the given one
        if target.security is Security.STARTTLS:
            server.starttls(context=ssl.create_default_context())
        if target.user:
            server.login(target.user, target.password)
        refused = server.send_message(message.mail(told, target))
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
    return refused
