"""What is sent reaches the one target that is set, in its form, in a bounded time; what fails is told, no secret is."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.console.alarms import deliver
from core.console.alarms.message import JOINER, Alarm, Event, Message, body, mail
from core.doctor.findings import Severity
from core.errors import AlarmNotSent, SettingError
from core.targets import Form, Targets, read_targets
from tests.listening import PASSWORD, USER, Listening, listening

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ALARM = Alarm("runway", "public.t", Severity.WARNING, "The next period lacks its partition", ("Inserts would fail.",))
MESSAGE = Message(Event.RAISED, ALARM, NOW, NOW, "db.example:5432/school")
SECRET = "T0000-marker-secret"
HOSTILE = (
    "<!channel> <@U1> <http://evil.example|here> & [link](http://evil.example) ![x](http://evil.example/p.png)"
    " **b** `c` @here @channel www.evil.example javascript:alert(1) :skull: \u202e\x1b[31m"
    "\r\nBcc: stolen@evil.example\r\n\r\n<script>alert(1)</script>"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    with listening(tmp_path_factory.mktemp("listening")) as found:
        yield found


@pytest.fixture(autouse=True)
def _trust(server: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.folder / "trust.pem"))
    server.forget()


def targets(**named: str) -> Targets:
    return read_targets({f"PARTITION_DESK_ALARM_{name}": value for name, value in named.items()})


def send(found: Targets, message: Message = MESSAGE) -> None:
    for one in found.every.values():
        deliver.deliver(message, one)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_webhook_is_posted_to(server: Listening, scheme: str) -> None:
    send(targets(WEBHOOK=server.hook(f"/ok?token={SECRET}", scheme)))
    (one,) = server.posted()
    assert one["path"] == f"/ok?token={SECRET}"
    assert (one["headers"]["Content-Type"], one["headers"]["Idempotency-Key"]) == ("application/json", MESSAGE.id)
    assert json.loads(one["body"]) == {
        "version": 1,
        "id": MESSAGE.id,
        "event": "raised",
        "severity": "warning",
        "cause": "runway",
        "table": "public.t",
        "database": "db.example:5432/school",
        "title": "The next period lacks its partition",
        "more": ["Inserts would fail."],
        "command": None,
        "since": "2026-11-30T12:00:00+00:00",
        "sent_at": "2026-11-30T12:00:00+00:00",
        "number": 0,
    }


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/500", "it answered 500"),
        ("/redirect", "it sends elsewhere, where nothing is sent"),
        ("/hang", "it did not answer in time"),
        ("/drip", "it did not answer in time"),
        ("/cut", "cut the connection"),
    ],
)
def test_a_webhook_that_fails_is_told_without_its_secret(
    server: Listening, path: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "PATIENCE_S", 0.5 if "in time" in said else 60)
    with pytest.raises(AlarmNotSent, match=said) as caught:
        send(targets(WEBHOOK=server.hook(f"{path}?{SECRET}")))
    assert SECRET not in str(caught.value)
    assert [one["path"].partition("?")[0] for one in server.posted()] == [path]


def test_an_encrypted_target_proves_who_it_is(server: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AlarmNotSent, match="no encrypted connection came about"):
        send(targets(WEBHOOK=f"https://localhost:{server.ports['http']}/ok"))
    monkeypatch.delenv("SSL_CERT_FILE")
    for found in (targets(WEBHOOK=server.hook("/ok", "https")), mails(server, "smtps"), mails(server, "starttls")):
        with pytest.raises(AlarmNotSent, match="its certificate is not trusted"):
            send(found)
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(AlarmNotSent, match="nobody listens there"):
            send(targets(WEBHOOK=f"http://127.0.0.1:{unheard.getsockname()[1]}/"))
    assert server.posted() + server.mailed() == []


def mails(server: Listening, port: str, *, password: str = PASSWORD, scheme: str = "") -> Targets:
    known = {"smtp": "smtp+plain", "starttls": "smtp"}
    signed = {"SMTP_PASSWORD": password} if port != "smtp" else {}
    user = f"{USER}@" if signed else ""
    return targets(
        MAIL_TO="ops@example.com, dba@example.org",
        SMTP=f"{scheme or known.get(port, port)}://{user}localhost:{server.ports[port]}",
        **signed,
    )


@pytest.mark.parametrize("port", ["smtp", "smtps", "starttls"])
def test_mail_goes_to_everybody_that_is_named(server: Listening, port: str) -> None:
    send(mails(server, port))
    (one,) = server.mailed()
    headers = dict(one["headers"])
    assert (one["to"], headers["From"]) == (["ops@example.com", "dba@example.org"], "partition-desk@example.com")
    assert headers["Subject"] == "[Partition Desk] Needs care: The next period lacks its partition"
    assert headers["Message-ID"] == f"<{MESSAGE.id}@example.com>"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert one["text"].splitlines()[2:] == [
        "Inserts would fail.",
        "Table public.t, db.example:5432/school.",
        "Since 30 November 2026 at 12:00:00 UTC.",
    ]
    assert one["user"] == (None if port == "smtp" else USER)
    assert PASSWORD not in json.dumps(one)


@pytest.mark.parametrize(
    ("port", "more", "said"),
    [
        ("smtps", {"password": "a wrong one of secrets"}, "it refused user or password"),
        ("smtp", {"scheme": "smtp"}, "it offers no STARTTLS"),
        ("smtp", {"scheme": "smtps"}, "no encrypted connection came about"),
    ],
)
def test_mail_that_fails_is_told_without_its_password(
    server: Listening, port: str, more: dict[str, str], said: str
) -> None:
    with pytest.raises(AlarmNotSent, match=said) as caught:
        send(mails(server, port, **more))
    assert "secrets" not in str(caught.value)
    assert server.mailed() == []


def test_nothing_that_others_named_comes_alive(server: Listening) -> None:
    hostile = Message(
        Event.RAISED, replace(ALARM, title=HOSTILE, table=HOSTILE, more=(HOSTILE,), command=HOSTILE), NOW, NOW, HOSTILE
    )
    slack, teams = (json.loads(body(hostile, form)) for form in (Form.SLACK, Form.TEAMS))
    assert "<" not in slack["text"]
    assert (slack["parse"], slack["link_names"], slack["mrkdwn"]) == ("none", False, False)
    assert {block["text"]["type"] for block in slack["blocks"]} == {"plain_text"}
    card = teams["attachments"][0]["content"]
    assert {run["type"] for block in card["body"] for run in block["inlines"]} == {"TextRun"}
    made = mail(hostile, mails(server, "smtp").mail)  # type: ignore[arg-type]
    assert made["To"] == "ops@example.com, dba@example.org"
    assert made["Bcc"] is None
    assert "\r\n" not in made["Subject"]
    said = [slack["text"], made["Subject"], made.get_content(), *strings(slack["blocks"]), *strings(card["body"])]
    for text in said:
        assert not any(letter in text for letter in "\r\u202e\x1b")
        assert "://" not in text.replace("db.example:5432", "")
        assert "@here" not in text.replace(JOINER, "~")
        assert "www.evil" not in text
        assert "javascript:a" not in text
    assert json.loads(body(hostile, Form.JSON))["table"] == HOSTILE, "where names are data they stand as they are"


def strings(value: Any) -> list[str]:
    """Every text of a JSON value."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else []


def test_half_a_letter_and_much_of_it_are_sent(server: Listening) -> None:
    odd = Message(Event.STILL, replace(ALARM, title="\ud800" + "x" * 5000, more=("y" * 9000,) * 40), NOW, NOW, "d")
    for form in Form:
        send(targets(WEBHOOK=server.hook(), FORM=form), odd)
    send(mails(server, "smtp"), odd)
    slack = server.bodies()[1]
    assert all(len(block["text"]["text"]) <= 3000 for block in slack["blocks"])
    assert max(map(len, server.mailed()[0]["raw"].splitlines())) < 998


WRONG = {
    "a scheme": {"WEBHOOK": f"file:///etc/{SECRET}"},
    "no host": {"WEBHOOK": f"https:///{SECRET}"},
    "a user": {"WEBHOOK": f"https://ada:{SECRET}@chat.example/x"},
    "a line end": {"WEBHOOK": f"https://chat.example/{SECRET}\r\nX-Evil: 1"},
    "a port": {"WEBHOOK": f"https://chat.example:99999/{SECRET}"},
    "a form": {"WEBHOOK": "https://chat.example/x", "FORM": "irc"},
    "a severity": {"SEVERITY": "fatal"},
    "no server": {"MAIL_TO": "ops@example.com"},
    "nobody": {"SMTP": "smtps://mail.example"},
    "a header": {"MAIL_TO": "ops@example.com\r\nBcc: x@evil.example", "SMTP": "smtps://mail.example"},
    "a password in the address": {"MAIL_TO": "o@e.org", "SMTP": f"smtps://desk:{SECRET}@mail.example"},
    "a password in clear": {"MAIL_TO": "o@e.org", "SMTP": "smtp+plain://desk@mail.example", "SMTP_PASSWORD": SECRET},
    "a password of nobody": {"MAIL_TO": "o@e.org", "SMTP": "smtps://mail.example", "SMTP_PASSWORD": SECRET},
}


@pytest.mark.parametrize("what", list(WRONG))
def test_a_setting_that_can_t_be_meant_is_refused(what: str) -> None:
    with pytest.raises(SettingError, match="PARTITION_DESK_ALARM_") as caught:
        targets(**WRONG[what])
    assert SECRET not in str(caught.value)


def test_secrets_are_in_no_text_of_the_settings() -> None:
    found = targets(
        WEBHOOK=f"https://chat.example/{SECRET}",
        MAIL_TO="o@e.org",
        SMTP="smtps://desk@mail.example",
        SMTP_PASSWORD=SECRET,
    )
    assert SECRET not in repr(found)
    assert [one.place for one in found.every.values()] == ["https://chat.example", "o@e.org by mail.example:465"]
