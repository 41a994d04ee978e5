"""What happens by itself while a worker runs: when each such thing did last, and when it does next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from core.console.actor import Origin
from core.console.journal import read_last_of
from core.console.maintained import read_upkeep
from core.growth.samples.read import read_runs
from core.tables.table import PartitionedTable
from core.text import human_date, plural

if TYPE_CHECKING:
    from core.console.desk import Desk


@dataclass(frozen=True, slots=True)
class Unattended:
    """One thing that nobody has to ask for."""

    what: str
    next: str
    """When it does next, in words; why it does not, where that is so."""
    last: datetime | None = None
    """None for never, as far as the journal knows."""
    on: bool = True


def unattended(desk: Desk, table: PartitionedTable) -> tuple[Unattended, ...]:
    """The day's sample, the table's planned drops, the restore drill, and what rules want."""
    return _sample(desk), _drops(desk, table), _drill(desk), _rules(desk)


def _sample(desk: Desk) -> Unattended:
    what = "Sizes are sampled"
    newest = next((run for run in read_runs(desk.reading, limit=1) if not run.generated), None)
    last = None if newest is None else newest.taken_at
    if not desk.settings.sample_daily:
        return Unattended(what, "not by itself, as PARTITION_DESK_SAMPLE is off", last, on=False)
    if newest is None:
        return Unattended(what, "once a day, from the first act on", last)
    return Unattended(what, "tomorrow" if newest.day >= desk.today else "within minutes", last)


def _drops(desk: Desk, table: PartitionedTable) -> Unattended:
    what, last = "Planned drops", read_last_of(desk.reading, Origin.SCHEDULE)
    planned = sorted(datetime.fromisoformat(one.drop.at) for one in table.archived if one.drop is not None)
    if not desk.may_drop:
        return Unattended(what, "none from here, as drops are off", last, on=False)
    if not planned:
        return Unattended(what, "none is planned", last)
    return Unattended(what, f"{plural(len(planned), 'drop')}, the first on {human_date(planned[0].date())}", last)


def _drill(desk: Desk) -> Unattended:
    what, last = "Restore drill", read_last_of(desk.reading, Origin.DRILL)
    if desk.settings.drill is None:
        return Unattended(what, "not by itself, as PARTITION_DESK_DRILL is not set", last, on=False)
    return Unattended(what, f"at night, a backup last proven {desk.settings.drill} ago or more", last)


def _rules(desk: Desk) -> Unattended:
    what, upkeep = "Rules are kept to", read_upkeep(desk)
    run = upkeep.last if upkeep is not None else None
    if upkeep is None or not upkeep.tables:
        return Unattended(what, "no table has rules", on=False)
    on = desk.settings.maintain
    again = "within ten minutes" if on else "when somebody runs partitions maintain, as PARTITION_DESK_MAINTAIN is off"
    if run is None:
        return Unattended(what, again, on=on)
    did = plural(sum(one.good for one in run.did), "act")
    left = f", {plural(len(run.failed), 'thing')} left that needs somebody" if run.failed else ""
    return Unattended(what, f"{again}; {did} done last{left}", run.ended, on=on)
