"""Whether people are told of what is wrong where they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from core.doctor.findings import Case, Finding, Severity
from core.text import human_ago, listed

UNSEEN = timedelta(days=1)
"""For so long nobody may have looked."""


def alarms(case: Case) -> Iterator[Finding]:
    """WARNING where a target takes no message, and where nobody has looked for a day."""
    found = case.alarms
    if not found.places:
        title = "Alarms are sent nowhere: no PARTITION_DESK_ALARM_WEBHOOK is set, nor PARTITION_DESK_ALARM_SMTP"
        yield Finding("alarms", Severity.OK, title)
        return
    where = listed(found.places)
    if found.failing:
        yield Finding(
            "alarms",
            Severity.WARNING,
            f"Alarms don't arrive: {listed(found.failing)}",
            "Nobody is told of what is wrong there. It is tried again by itself, and nothing is left out.",
            hint="partitions alarms test",
        )
    elif found.looked_at is not None and case.now - found.looked_at > UNSEEN:
        yield Finding(
            "alarms",
            Severity.WARNING,
            f"It was last looked for alarms {human_ago(found.looked_at, case.now)}",
            f"They go to {where}, and nobody sends them: no dashboard runs, and no cron calls partitions alarms send.",
            hint="partitions alarms send",
        )
    else:
        looked = f"last looked {human_ago(found.looked_at, case.now)}" if found.looked_at else "nobody has looked yet"
        yield Finding("alarms", Severity.OK, f"People are told of what is wrong at {where}: {looked}")
