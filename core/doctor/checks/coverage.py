"""Are the partitions there, and is nothing beside or between them that should not be?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from core.doctor.findings import (
    FEW,
    Case,
    Finding,
    Severity,
    gently,
    planned,
    script,
    spoken_period,
)
from core.errors import OffCalendar, Refused
from core.names import fit, literal, qualified
from core.plans.drain import DRAIN
from core.plans.ensure import Cell, next_cells, now_in, plan_ensure, uncut
from core.plans.plan import Plan
from core.plans.reading import ask_for_reading
from core.plans.refusals import require_nothing_pending
from core.plans.steps import attach, out_of_default
from core.tables.bounds import Bounds, spoken_end
from core.tables.commands import option, twin
from core.tables.coverage import (
    NEVER,
    PACE_UNKNOWN,
    Gap,
    covered_until,
    is_covered,
    runway,
    spoken_runway,
    unexplained_gaps,
)
from core.tables.cut import Cut
from core.tables.ends import KeyType
from core.tables.partition import Partition
from core.text import human_date, listed, plural


def partitioned(case: Case) -> Iterator[Finding]:
    """OK; examine() stops before this one for a table that is not served. NOTE for bounds that can't be read."""
    table = case.table
    unread = [p for p in table.partitions if p.bounds is None]
    for partition in unread:
        yield Finding(
            "partitioned",
            Severity.NOTE,
            f"The range of {partition.name} can't be read just now",
            "Somebody holds it exclusively, so the checks of ranges leave it out.",
            hint="Look again in a moment.",
            subject=case.called(partition),
        )
    if not unread:
        yield Finding(
            "partitioned",
            Severity.OK,
            f"{table.label} is partitioned by {case.key.name}, with {plural(len(table.partitions), 'partition')}",
        )


def _ensure(case: Case, cut: Cut, *cells: Cell) -> Plan:
    require_nothing_pending(case.table)
    unread = [p.name for p in case.table.partitions if p.bounds is None]
    if unread:
        raise Refused(f"The range of {listed(unread)} can't be read just now.", next="Look again in a moment.")
    wanted = [cut.bounds(*cell) for cell in cells]
    counted = case.table.default is not None and case.default_rows
    held = {bounds: case.default_held(bounds) for bounds in wanted} if counted else {}
    return plan_ensure(case.table, wanted, cut, zone=case.zone, default_rows=held)


def _default_caveat(case: Case) -> str:
    if case.table.default is None or case.default_rows == 0:
        return ""
    return f" If {case.table.default.name} holds rows of that time, creating it is refused and changes nothing."


def current_period(case: Case) -> Iterator[Finding]:
    """CRITICAL when today has no partition; WARNING when a DEFAULT takes its rows."""
    table = case.table
    if case.key.clock is None:
        title = f"{case.key.name} tells no time: its ranges are not of today"
        yield Finding("current_period", Severity.OK, title, hint=ask_for_reading(table))
        return
    moment = case.moment
    holder = next((p for p in table.ranges if not p.pending and p.bounds and p.bounds.holds(moment)), None)
    if holder is not None:
        title = f"Today, {human_date(case.today)}, has its partition: {holder.name}"
        yield Finding("current_period", Severity.OK, title)
        return
    cut = case.cut
    current = cut.containing(now_in(cut, case.now, case.zone)) if cut else None
    name = spoken_period(current) if current else "its partition"
    fallen = table.default is not None and table.pending is None
    reason = (
        f"Rows of today go to the DEFAULT partition now, and each one makes it harder to create {name}."
        if fallen
        else "Every insert for today fails now; reads return nothing for it."
    )
    found = Finding(
        "current_period",
        Severity.WARNING if fallen else Severity.CRITICAL,
        f"Today, {human_date(case.today)}, has no partition",
        reason + _default_caveat(case),
    )
    if cut is None or current is None:
        yield replace(found, hint=uncut(table, str(table.cut(case.zone))).next)
        return
    yield planned(found, f"Create {name}", lambda: _ensure(case, cut, current))


def _next_ids(case: Case) -> Finding:
    """WARNING where fewer ids have a place than the last partition holds, or those that have are used up soon."""
    ids = case.ids
    by_hand = "Partitions of ids are made by hand."
    if ids is None:
        title = f"Nothing tells when the ranges of {case.key.name} end: partitions of it are made by hand"
        return Finding("next_period", Severity.NOTE, title, unread=True)
    if ids.count is None:
        return Finding("next_period", Severity.OK, ids.said)
    unknown = PACE_UNKNOWN if ids.runway is None else ""
    widths = [one.width for p in case.table.ranges if (one := p.bounds) is not None and one.width is not None]
    soon = ids.runway is not None and ids.runway < SHORT_RUNWAY
    if soon or (widths and ids.count < widths[-1]):
        return Finding("next_period", Severity.WARNING, f"Only {ids.said}", f"{by_hand} {unknown}".strip())
    return Finding("next_period", Severity.OK, ids.said, unknown)


def next_period(case: Case) -> Iterator[Finding]:
    """WARNING when the period after the current one is not wholly there."""
    cut = case.cut
    if case.key.clock is None:
        yield _next_ids(case)
        return
    if cut is None:
        yield _uncut(case)
        return
    left = runway(case.table, case.now, case.zone)
    following = next_cells(case.table, cut, case.now, 1, case.zone)[-1]
    name = spoken_period(following)
    if is_covered(cut.bounds(*following), (p.bounds for p in case.table.ranges if not p.pending)):
        said = "The last partition has no upper end" if left == NEVER else f"{spoken_runway(left)} of runway"
        yield Finding("next_period", Severity.OK, f"The next period, {name}, has its partition", f"{said}.")
        return
    begins = spoken_end(covered_until(case.table, case.now, case.zone), case.zone)
    reason = f"From {begins} on inserts would fail"
    if case.table.default is not None:
        reason = f"From {begins} on rows would go to the DEFAULT partition"
    # where today has none either, that is told by `current_period`
    lacks = f"lacks its partition: {spoken_runway(left)} of runway left" if left else "lacks its partition, too"
    found = Finding(
        "next_period",
        Severity.WARNING,
        f"The next period, {name}, {lacks}",
        f"{reason}.{_default_caveat(case)}" if left else _default_caveat(case).strip(),
    )
    yield planned(found, f"Create {name}", lambda: _ensure(case, cut, *_lacking(case, cut, following)))


def _lacking(case: Case, cut: Cut, following: Cell) -> tuple[Cell, ...]:
    """The cells up to the following one that no partition holds: more than one where the last one ended long ago."""
    held = [p.bounds for p in case.table.ranges]
    cells = next_cells(case.table, cut, case.now, 1, case.zone)
    return tuple(cell for cell in cells if not is_covered(cut.bounds(*cell), held)) or (following,)


SHORT_RUNWAY = timedelta(days=7)
"""Partitions whose width nothing tells and that end so soon are warned of, however many are to come."""


def _uncut(case: Case) -> Finding:
    """How long partitions last whose width nothing tells: by their real end, and by a width that is said from there."""
    left = runway(case.table, case.now, case.zone)
    if left == NEVER:
        return Finding("next_period", Severity.OK, "The last partition has no upper end")
    if not case.table.is_cut:
        title = "There is no partition yet, nor anything that tells how wide one is to be"
        return Finding("next_period", Severity.WARNING, title)
    refusal = uncut(case.table, str(case.table.cut(case.zone)))
    what, by_hand = refusal.what, refusal.next
    until = covered_until(case.table, case.now, case.zone)
    live = [p.bounds for p in case.table.ranges if p.bounds and not p.pending]
    current = next((bounds for bounds in live if bounds.holds(case.moment)), None)
    last = current is None or current.upper is None or not any(bounds.holds(current.upper) for bounds in live)
    fails = "rows go to the DEFAULT partition" if case.table.default else "inserts fail"
    return Finding(
        "next_period",
        Severity.WARNING if last or left < SHORT_RUNWAY else Severity.NOTE,
        f"The partitions end on {spoken_end(until, case.zone)}: {spoken_runway(left)} of runway left",
        f"From then on {fails}. {what}",
        hint=by_hand,
    )


MOST_AT_ONCE = 31
"""How many partitions a finding's plan creates at most; beyond it a person should look at what is going on."""


def gaps(case: Case) -> Iterator[Finding]:
    """WARNING for each range between partitions that no partition, archived table or backup holds."""
    found = unexplained_gaps(case.table, (Bounds.shown(kept.backup.bounds) for kept in case.backups or ()))
    for number, gap in enumerate(found):
        yield _gap(case, gap, planning=number < FEW)
    if not found:
        title = "There is no gap between the partitions that no archived table or backup explains"
        yield Finding("gaps", Severity.OK, title)


def _gap(case: Case, gap: Gap, *, planning: bool) -> Finding:
    where = "go to the DEFAULT partition" if case.table.default else "can't be written"
    title = f"No partition from {spoken_end(gap.lower, case.zone)} up to {spoken_end(gap.upper, case.zone)}"
    of = "time" if case.key.clock is not None else "range"
    reason = f"No archived table or backup holds it either. Rows of that {of} {where}.{_default_caveat(case)}"
    finding = Finding("gaps", Severity.WARNING, title, reason)
    cut = case.cut
    cells = _cells(cut, gap) if cut else ()
    if cut is None or not cells:
        return replace(finding, hint=_gap_by_hand(case, gap))
    number = _count(cut, cells[0], gap)
    if number > MOST_AT_ONCE:
        return replace(finding, hint=_wide_gap(case, cut, number, cells[0]))
    names = spoken_period(cells[0]) if len(cells) == 1 else f"{len(cells)} partitions of {cut.width} each"
    if not planning:
        return replace(finding, hint=f"Create {names}: {_ensuring(case, cut, cells[0])}")
    return planned(finding, f"Create {names}", lambda: _ensure(case, cut, *cells))


def _ensuring(case: Case, cut: Cut, cell: Cell) -> str:
    """The command that creates the partition of a cell."""
    first = cell[0].isoformat(sep=" ") if cut.width.seconds else cell[0].date().isoformat()
    return twin("ensure", case.table, "", option("--date", first))


def _wide_gap(case: Case, cut: Cut, number: int, first: Cell) -> str:
    """What to do about a gap of so many cells that somebody has to say which of them are wanted."""
    return (
        f"To fill it would take {number:,} partitions of {cut.width} each. If no row of that time is to come, nothing"
        f" needs doing. Else create those that are wanted, each by a date in it: {_ensuring(case, cut, first)}"
    )


def _count(cut: Cut, first: Cell, gap: Gap) -> int:
    upper = cut.local(gap.upper)
    return 0 if upper is None else cut.number(upper) - cut.number(first[0])


def _cells(cut: Cut, gap: Gap) -> tuple[Cell, ...]:
    """The first cells of the table's grid in the gap, where some are exactly the gap; else nothing."""
    lower, upper = cut.local(gap.lower), cut.local(gap.upper)
    if lower is None or upper is None:
        return ()
    try:
        cells = tuple(islice(cut.cover(lower, upper), MOST_AT_ONCE + 1))
        last = cells[-1][1] if len(cells) <= MOST_AT_ONCE else cut.containing(upper)[0]
    except (ValueError, OverflowError, OffCalendar):  # the calendar ends at 9999
        return ()
    return cells if (cells[0][0], last) == (lower, upper) else ()


def _gap_by_hand(case: Case, gap: Gap) -> str:
    table = case.table
    bounds = Bounds.of(case.key, gap.lower, gap.upper)
    label = "_".join(re.sub(r"\D", "", end[:12]) for end in (bounds.lower_sql, bounds.upper_sql))
    relation = qualified(table.schema, fit(table.name, f"_{label}"))
    return gently(
        f"CREATE TABLE {relation} (LIKE {table.sql} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING COMMENTS)",
        attach(table, relation, bounds),
    )


COUNTING_STOPS = 1_000_000
"""Where core.tables.catalog.rows.count_default_rows stops; a count that reaches it means at least so many."""


def default_partition(case: Case) -> Iterator[Finding]:
    """WARNING for rows in the DEFAULT partition; NOTE that there is one, or that its rows were not counted."""
    default = case.table.default
    if default is None:
        title = "There is no DEFAULT partition: a row without its partition fails instead of going astray"
        yield Finding("default_partition", Severity.OK, title)
        return
    costs = (
        "While it exists no partition can be detached without a moment's wait for everybody (PostgreSQL rules"
        " CONCURRENTLY out), and later rows for an archived range land in it instead of failing."
    )
    if not case.default_rows:
        empty = case.default_rows == 0
        yield Finding(
            "default_partition",
            Severity.NOTE,
            f"There is a DEFAULT partition, {default.name}: {'it is empty' if empty else 'its rows were not counted'}",
            costs,
            hint=_without_default(case, default) if empty else f"-- Count its rows:\n{script(_count_rows(default))}",
            subject=case.called(default),
            unread=not empty,
        )
        return
    least = "at least " if case.default_rows >= COUNTING_STOPS else ""
    yield Finding(
        "default_partition",
        Severity.WARNING,
        f"The DEFAULT partition {default.name} holds {least}{plural(case.default_rows, 'row')}",
        "No partition can be created or reattached for a period whose rows are there."
        f" {costs} {out_of_default(case.table)}",
        hint=f"-- {twin('drain', case.table)}\n{_periods_in_default(case, default)}",
        subject=case.called(default),
        wants=DRAIN,
    )


def _count_rows(default: Partition) -> str:
    return f"SELECT count(*) FROM {default.rows_sql}"


def _without_default(case: Case, default: Partition) -> str:
    """SQL that detaches an empty DEFAULT; where a row has come meanwhile, dividing by zero takes all of it back."""
    return "-- If it is not wanted, and as long as it is empty:\n" + gently(
        "SET LOCAL row_security = off",
        f"ALTER TABLE {case.table.sql} DETACH PARTITION {default.sql}",
        f"SELECT 1 / (1 - count(*)) AS empty FROM (SELECT FROM {default.rows_sql} LIMIT 1) rows",
    )


def _periods_in_default(case: Case, default: Partition) -> str:
    """SQL that shows which periods the rows are of, and changes nothing."""
    if case.key.type not in (KeyType.DATE, KeyType.TIMESTAMP, KeyType.TIMESTAMPTZ):
        return f"-- Some of their keys:\nSELECT {case.key.sql} AS key FROM {default.rows_sql} ORDER BY 1 LIMIT 20;"
    moment = case.key.sql
    if case.key.type is KeyType.TIMESTAMPTZ:  # its day is that of the application, whatever zone psql is in
        moment += f" AT TIME ZONE {literal(case.zone)}"
    if case.cut is None:
        return (
            "-- Which dates they are of; each wants a partition that is made by hand:\n"
            f"SELECT ({moment})::date AS day, count(*) FROM {default.rows_sql} GROUP BY 1 ORDER BY 1;"
        )
    unit = "hour" if case.cut.width.seconds else case.cut.width.nearest.value
    return "\n".join(
        (
            "-- Which periods they are of:",
            f"SELECT date_trunc('{unit}', {moment}) AS period, count(*) FROM {default.rows_sql} GROUP BY 1 ORDER BY 1;",
        )
    )
