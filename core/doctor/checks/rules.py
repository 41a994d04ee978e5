"""Whether the rules of a table are kept: obeyed, looked at in time, and with nothing left that needs somebody."""

from __future__ import annotations

from collections.abc import Iterator

from core.doctor.findings import Case, Finding, Severity
from core.rules.run import Upkeep
from core.tables.commands import option
from core.text import human_ago, human_seconds

_RUN = "Run: partitions maintain. Have cron, a timer or a dashboard with PARTITION_DESK_MAINTAIN=true run it."


def maintained(case: Case) -> Iterator[Finding]:
    """WARNING where rules are not obeyed, maintain has not run for longer than it should, or it left something."""
    upkeep = case.upkeep
    address = case.table.address
    if upkeep is None:
        yield Finding("maintained", Severity.OK, "Whether it has rules is not known to this role")
        return
    doubt = next((why for table, why in upkeep.doubts if table == address), "")
    if doubt:
        yield Finding(
            "maintained",
            Severity.WARNING,
            "What was said of its rules is not obeyed",
            f"{doubt[0].upper()}{doubt[1:]}.",
            hint=f"Look who set them when: partitions rules show --history {option('--table', address)}",
        )
    if address not in upkeep.tables:
        if not doubt:
            yield Finding("maintained", Severity.OK, "It has no rules: nothing is done of itself")
        return
    found = [*_late(case, upkeep), *_left(address, upkeep)]
    yield from found
    if not found and not doubt:
        ago = human_ago(upkeep.last.ended, case.now) if upkeep.last else "never"
        yield Finding("maintained", Severity.OK, f"Its rules are kept: maintain ran {ago}")


def _late(case: Case, upkeep: Upkeep) -> Iterator[Finding]:
    if upkeep.is_late(case.now):
        last = upkeep.last.ended if upkeep.last is not None else None
        ran = f"ran last {human_ago(last, case.now)}" if last else "has never run to its end"
        within = human_seconds(upkeep.late.total_seconds())
        yield Finding(
            "maintained",
            Severity.WARNING,
            f"It has rules, and maintain {ran}",
            f"Nothing is created, archived or backed up by rules meanwhile; it is to run once in {within} at least.",
            hint=_RUN,
        )


def _left(address: str, upkeep: Upkeep) -> Iterator[Finding]:
    """What the last run could not do, by what it is about."""
    for one in upkeep.last.failed if upkeep.last is not None else ():
        if one.table == address:
            yield Finding(
                "maintained",
                Severity.WARNING,
                f"A rule is not kept: to {one.act} {one.subject}",
                "A rule wants it, and it waits for somebody.",
                hint=f"{one.why} Put that right, then run: partitions maintain",
            )
