"""One alarm as a message: as JSON, for Slack, for Teams, and as mail.

Names come from a database, where anybody may have chosen them: none makes a link, a mention, a header or a format. No
content of a row, no password and no words of the server are in any.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum

from core.doctor.findings import Severity
from core.targets import Form, Mail
from core.text import NBSP, Json, human_time, shown

MOST_LETTERS = 400
"""Letters of one line; the rest is cut."""


class Event(StrEnum):
    """Why something is told."""

    RAISED = "raised"
    """It is new, or worse than it was."""
    STILL = "still"
    """It was told a day ago, and is so still."""
    OVER = "over"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One cause: what is wrong with one table in one respect."""

    kind: str
    """runway, failed act, ...: stable, as are the names of checks."""
    table: str
    """Its address; empty where it is about the whole database."""
    severity: Severity
    title: str
    more: tuple[str, ...] = ()
    """Further sentences."""
    subjects: tuple[str, ...] = ()
    """What it is about, by stable names: one that was not told yet is news."""
    command: str = ""
    """The command line that tells more."""

    @property
    def key(self) -> str:
        """What tells this cause from every other."""
        return f"{self.kind} {self.table}".rstrip()


@dataclass(frozen=True, slots=True)
class Message:
    """What is told of an alarm."""

    event: Event
    alarm: Alarm
    since: datetime
    at: datetime
    database: str
    number: int = 0
    """How many were told of this cause before, since it began."""

    @property
    def id(self) -> str:
        """The same for the same message, however often it has to be sent until it is known to have arrived."""
        told = (self.alarm.key, self.since.isoformat(), self.event, str(self.number), self.database)
        return hashlib.sha256("\n".join(told).encode(errors="backslashreplace")).hexdigest()[:32]

    @property
    def heading(self) -> str:
        """What is said first."""
        said = {
            Event.STILL: f"Still so ({_WORDS[self.alarm.severity]}): ",
            Event.OVER: "Over: ",
            Event.TEST: "",
        }.get(self.event, f"{_WORDS[self.alarm.severity].capitalize()}: ")
        return f"{said}{self.alarm.title}"

    @property
    def lines(self) -> tuple[str, ...]:
        """What is said below it."""
        alarm, begun = self.alarm, "Began" if self.event is Event.OVER else "Since"
        about = (f"Table {alarm.table}" if alarm.table else "The whole database", self.database)
        told = (*alarm.more, ", ".join(part for part in about if part) + ".", f"{begun} {human_time(self.since)}.")
        more = alarm.command if alarm.command == _harmless(alarm.command) else ""
        return told if self.event is Event.TEST or not more else (*told, f"To look: {more}")


_WORDS = {
    Severity.CRITICAL: "fails now",
    Severity.WARNING: "needs care",
    Severity.NOTE: "good to know",
    Severity.OK: "fine",
}


def _line(text: str) -> str:
    """One line, of what can be printed."""
    said = shown(text.replace(NBSP, " "))
    return said if len(said) <= MOST_LETTERS else f"{said[:MOST_LETTERS]}..."


JOINER = "\N{WORD JOINER}"
# An address, a mention or an icon, which programs make of plain text by themselves.
_ALIVE = re.compile(r":(?=//|[A-Za-z_+\-]+:)|@(?=\w)|(?i:www)(?=\.)|(?i:mailto|javascript|data):")


def _harmless(text: str) -> str:
    """One line in which nobody's program finds an address or a mention: an invisible joiner breaks them up."""
    return _ALIVE.sub(lambda found: found[0] + JOINER, _line(text))


def as_json(message: Message) -> Json:
    """All of it, each name as it is: whoever reads it knows what is data."""
    alarm = message.alarm
    return {
        "version": 1,
        "id": message.id,
        "event": message.event.value,
        "severity": alarm.severity.value,
        "cause": alarm.kind,
        "table": alarm.table or None,
        "database": message.database,
        "title": _line(alarm.title),
        "more": [_line(one) for one in alarm.more],
        "command": alarm.command or None,
        "since": message.since.isoformat(timespec="seconds"),
        "sent_at": message.at.isoformat(timespec="seconds"),
        "number": message.number,
    }


def _slack(message: Message) -> Json:
    """Blocks of plain text, in which Slack looks for nothing; `text`, which it shows in notifications, is escaped."""
    heading, body = _harmless(message.heading), "\n".join(_harmless(line) for line in message.lines)
    escaped = heading.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {
        "text": escaped,
        "mrkdwn": False,
        "link_names": False,
        "parse": "none",
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [
            {"type": "section", "text": {"type": "plain_text", "text": text[:3000], "emoji": False}}
            for text in (heading, body)
        ],
    }


_COLOURS = {Severity.CRITICAL: "attention", Severity.WARNING: "warning"}


def _teams(message: Message) -> Json:
    """An Adaptive Card of text runs, which know no Markdown."""
    colour = "good" if message.event is Event.OVER else _COLOURS.get(message.alarm.severity, "default")

    def block(text: str, **more: object) -> Json:
        return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": _harmless(text), **more}]}

    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [block(message.heading, weight="bolder", color=colour), *(block(line) for line in message.lines)],
    }
    content = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [content]}


_FORMS = {Form.JSON: as_json, Form.SLACK: _slack, Form.TEAMS: _teams}


def body(message: Message, form: Form) -> bytes:
    """What is posted to a webhook."""
    return json.dumps(_FORMS[form](message)).encode()  # ASCII alone: half a surrogate in a name is escaped, too


def mail(message: Message, target: Mail) -> EmailMessage:
    """The same as mail, which no program answers; a second copy has the same Message-ID."""
    made = EmailMessage(SMTP)
    made["From"] = target.sender
    made["To"] = ", ".join(target.to)
    made["Subject"] = f"[Partition Desk] {_harmless(message.heading)}"[:240]
    made["Date"] = format_datetime(message.at)
    made["Message-ID"] = f"<{message.id}@{target.sender.partition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made["X-Auto-Response-Suppress"] = "All"
    lines = (_harmless(message.heading), "", *(_harmless(line) for line in message.lines))
    made.set_content("\n".join(lines).encode(errors="backslashreplace").decode() + "\n")
    return made
