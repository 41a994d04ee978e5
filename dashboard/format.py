"""How the pages name things: a plan by what it does, a partition by its period, and names kept from Markdown."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from core.cli.output import acts
from core.period import Range, period_of
from core.plans.plan import Plan
from core.tables.archived import Archived
from core.tables.bounds import Bounds, spoken_end
from core.tables.table import PartitionedTable
from core.tables.tree import Kind
from core.text import human_date


def deed(plan: Plan) -> str:
    """What a plan does, for a button or a heading: Archive kid_absences_2024; Lift the hold of kid_absences_2024."""
    if plan.operation.marks_only and plan.steps:
        return plan.steps[0].title
    return f"{plan.operation.verb} {plan.subject}"


# One underscore between two letters is no markup; the label of an input is read out with its escapes.
_MARKUP = re.compile(r"([\\`*{}\[\]()<>#+\-.!|:$~^&=]|(?<![^\W_])_|_(?![^\W_]))")
# What the Markdown renderer still replaces when escapes are gone: icons, addresses, arrows that stand alone.
_REPLACED = re.compile(r":(?=[A-Za-z_/+\-])|@(?=\w)|www(?=\.)|(?<!\S)[<\->~!=](?=[<\->=]+(?!\S))")
JOINER = "\N{WORD JOINER}"


def plain(text: str) -> str:
    """A text inside Markdown as it stands: nothing in it makes a link, a picture, an icon, an arrow or a colour.

    An invisible joiner breaks up what escapes don't: "http://x", ":material/x:", "->".
    """
    joined = _REPLACED.sub(lambda found: found[0] + JOINER, text.replace("\n", " "))
    return _MARKUP.sub(r"\\\1", joined)


def clock_time(moment: datetime, zone: str | None) -> str:
    """The time of day in the zone of who reads, with its name; in UTC where no browser tells one."""
    try:
        local = moment.astimezone(ZoneInfo(zone or "UTC"))
    except (ValueError, KeyError, OSError):  # what no browser should say, or a machine without its zones
        local = moment.astimezone(UTC)
    return f"{local:%H:%M:%S %Z}"


def parse_day(text: str) -> date | None:
    """A date that somebody typed as 2025-03-14; None where it is none."""
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def short(bounds: Bounds | None, name: str, zone: str = "UTC") -> str:
    """What a person calls a partition: 2024, 2024-05, 2024-q1; DEFAULT; else its name."""
    if bounds is None:
        return name
    return "DEFAULT" if bounds.is_default else short_of(bounds.dates(zone), name)


def short_of(dates: Range | None, name: str) -> str:
    """The same of a range of whole days."""
    period = period_of(*dates) if dates else None
    return period.label(dates[0]).replace("_", "-") if dates and period else name


def describe_bounds(bounds: Bounds | None, zone: str = "UTC") -> str:
    """A range in words: 1 January 2024 up to, not including, 1 January 2025."""
    if bounds is None:
        return "unknown"
    if bounds.is_default:
        return "whatever no other partition takes"
    dates = bounds.dates(zone)
    if dates is not None:
        return describe_days(dates)
    if not bounds.is_range:
        return bounds.text.removeprefix("FOR VALUES ")
    lower = "the beginning" if bounds.lower is None else spoken_end(bounds.lower, zone)
    upper = "the end" if bounds.upper is None else spoken_end(bounds.upper, zone)
    return f"{lower} up to, not including, {upper}"


def describe_days(dates: Range) -> str:
    """A range of whole days in words."""
    return f"{human_date(dates[0])} up to, not including, {human_date(dates[1])}"


def in_a_shell(table: PartitionedTable, archived: Archived) -> str:
    """The road of an archived table as commands for a shell, and a dump of one's own beside the proven backup."""
    dump, upload, _ = acts.by_hand(archived.schema, archived.name, branch=archived.kind is Kind.BRANCH)
    own = (
        f"# A dump of your own beside it, read back whole before it is uploaded; no drop rests on it\n{dump}\n{upload}"
    )
    return "\n\n".join((*acts.road_steps(table, table.called(archived)), own))
