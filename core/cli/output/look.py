"""What the readers print: a table, findings, and where rows are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from core.plans.reading import ask_for_reading
from core.tables.archived import Archived
from core.tables.bounds import Bounds, spoken_end
from core.tables.commands import option, twin
from core.tables.coverage import (
    NEVER,
    PACE_UNKNOWN,
    Coverage,
    IdsLeft,
    covered_until,
    runway,
    spoken_runway,
    unexplained_gaps,
)
from core.tables.ends import End
from core.tables.find import Found
from core.tables.key import Key
from core.tables.partition import Partition
from core.tables.table import PartitionedTable
from core.tables.tree import kinds_told
from core.text import Json, aligned, human_bytes, human_date, human_rows, human_time, listed, plural, shown

if TYPE_CHECKING:
    from core.doctor.findings import Finding

TOO_MANY = "Sizes are those of the last vacuum: there are too many partitions to measure each."

# A table --------------------------------------------------------------------------------------


def status_json(
    table: PartitionedTable,
    now: datetime,
    zone: str,
    branches: Sequence[Coverage] = (),
    ids: IdsLeft | None = None,
) -> Json:
    """What `status --json` prints."""
    runway = _runway(table, now, zone)
    lasting = ids.runway if ids else None
    if lasting is not None and lasting != NEVER:
        runway = lasting.days
    return {
        "database": table.server.database,
        "server_version": table.server.version,
        "table": table.address,
        "key": table.key.name if table.key and table.not_served is None else None,
        "reading": table.key.reading.value if table.key and table.key.reading else None,
        "managed_by": table.upkeep.tool if table.upkeep and not table.upkeep.unread else None,
        "as_of": table.as_of.isoformat(timespec="seconds"),
        "runway_days": runway,
        "runway_ids": ids.count if ids else None,
        "ids_a_day": round(ids.pace.a_day, 3) if ids and ids.pace else None,
        "partitions": [_item_json(item) for item in _items(table)],
        "strays": [{"schema": one.schema, "name": one.name, "of": one.tag.address} for one in table.strays if one.tag],
        "gaps": [{"lower": gap.lower.isoformat(), "upper": gap.upper.isoformat()} for gap in unexplained_gaps(table)],
        "branches": [
            {
                "table": one.address,
                "runway_days": None if (left := one.runway(now, zone)) in (None, NEVER) else left.days,
            }
            for one in branches
        ],
    }


def _runway(table: PartitionedTable, now: datetime, zone: str) -> int | None:
    """Days until a date has no partition; None where that is never, or the table is only shown."""
    if table.key is None or table.not_served is not None:
        return None
    left = runway(table, now, zone)
    return None if left == NEVER else left.days


def _items(table: PartitionedTable) -> tuple[Partition | Archived, ...]:
    """Partitions and archived tables by their lower ends, the DEFAULT and what has no known bounds last."""
    return tuple(sorted((*table.partitions, *table.archived), key=_order))


def _order(item: Partition | Archived) -> tuple[int, tuple[bool, End | None], str]:
    bounds = item.bounds
    if bounds is None or not bounds.is_range:
        return (1 if bounds is None else 2), (False, None), item.name
    return 0, bounds.order, item.name


def _ends(bounds: Bounds | None) -> tuple[End | None, End | None]:
    return (None, None) if bounds is None else (bounds.lower, bounds.upper)


def _item_json(item: Partition | Archived) -> Json:
    lower, upper = _ends(item.bounds)
    size = item.size
    return {
        "schema": item.schema,
        "name": item.name,
        "state": item.state.value,
        "kind": item.kind.value,
        "split": item.tree.said if item.tree else None,
        "is_default": isinstance(item, Partition) and item.is_default,
        "lower": lower.isoformat() if lower else None,
        "upper": upper.isoformat() if upper else None,
        "heap_bytes": size.heap if size else None,
        "index_bytes": size.index if size else None,
        "toast_bytes": size.toast if size else None,
        "total_bytes": size.total if size else None,
        "rows_estimate": item.rows,
    }


def status_text(
    table: PartitionedTable,
    now: datetime,
    zone: str,
    place: str,
    branches: Sequence[Coverage] = (),
    ids: IdsLeft | None = None,
    bound: Sequence[str] = (),
) -> str:
    """What `status` prints."""
    by = f"by {table.strategy.upper()}" + (f" ({table.key.name})" if table.key else "")
    how = "not partitioned" if table.strategy == "plain" else f"partitioned {by}"
    how += f", itself a partition of {table.part_of}" if table.part_of else ""
    lines = [
        *_verdict(table, now, zone, ids),
        *(_branch(one, now, zone) for one in branches),
        f"{table.label} in {place}, {table.server.product}, {how}, {human_time(table.as_of)}.",
    ]
    if table.upkeep is not None and not table.upkeep.unread:
        lines.append(f"Managed by {table.upkeep.said} as well.")
    if bound:
        lines.append(
            f"Bound to {listed(bound)} by foreign keys on the same period: archived and brought back as one (--set)."
        )
    lines = [shown(line) for line in lines]
    if table.partitions or table.archived:
        items = _items(table)
        lines += ["", *_listing(items, table.schema)]
        lines += ["", "Rows are the server's estimates; the upper date of a range is the first one not in it."]
        if not table.is_measured:
            lines.append(TOO_MANY)
        lines += [shown(line) for line in kinds_told((item.kind, item.tree) for item in items)]
    if table.strays:
        lines += ["", "Archived from tables that are no longer there; the Doctor says what can be done:"]
        lines += [shown(f"{one.schema}.{one.name}, from {one.tag.address}") for one in table.strays if one.tag]
    return "\n".join(lines)


def _verdict(table: PartitionedTable, now: datetime, zone: str, ids: IdsLeft | None) -> Iterator[str]:
    if table.key is None or table.not_served is not None:
        yield f"{table.label} is only shown here: {table.not_served}."
        if table.limits:
            yield table.limits
        return
    if table.key.clock is None:
        yield f"{plural(len(table.partitions), 'partition')} by {table.key.name}, which tells no time."
        yield from _ids(table.key, ids)
        asked = ask_for_reading(table)
        if asked:
            yield f"{asked}."
        return
    if table.key.reading is not None:
        yield f"{table.key.name} is read as {table.key.reading}."
    left = runway(table, now, zone)
    if left == NEVER:
        yield "Everything has a place, without end."
    elif left:
        until = spoken_end(covered_until(table, now, zone), zone)
        yield f"Everything has a place until {until}, in {spoken_runway(left)}."
    else:
        today = now.astimezone(ZoneInfo(zone)).date()
        lands = f"rows land in the DEFAULT partition {table.default.name}" if table.default else "new rows fail"
        run = f" Run: {twin('ensure', table)}" if table.width(zone) else ""
        yield f"No partition holds today, {human_date(today)}: {lands}.{run}"
    for gap in unexplained_gaps(table):
        yield f"No partition holds {gap.lower.isoformat()} up to, not including, {gap.upper.isoformat()}."
    if table.pending is not None:
        yield (
            f"The detach of {table.pending.name} was begun and not finished; its rows are out of the table's sight."
            f" Run: {twin('archive', table, table.called(table.pending))}"
        )


def _ids(key: Key, ids: IdsLeft | None) -> Iterator[str]:
    """How many have a place and for how long, or why that is not told."""
    if ids is not None:
        yield ids.said
        if ids.runway is None:
            yield PACE_UNKNOWN
    elif key.type.is_number:
        yield "The highest in use is not known, and so neither is how many have a place above it."
    else:
        yield f"How long they last is not told: from one {key.type} to another there is no distance."


def _listing(items: Sequence[Partition | Archived], home: str) -> list[str]:
    """The items in columns; with how each is split where some are no plain tables."""
    head: tuple[str, ...] = ("partition", "state", "from", "up to", "rows", "heap", "indexes", "TOAST", "total")
    cells: list[tuple[str, ...]] = [_cells(item, home) for item in items]
    if any(not item.is_plain for item in items):
        head = (*head[:2], "kind", *head[2:])
        cells = [
            (*cell[:2], shown(item.tree.said) if item.tree else item.kind.value, *cell[2:])
            for item, cell in zip(items, cells, strict=True)
        ]
    return aligned(head, cells, numbers=5)


def _branch(branch: Coverage, now: datetime, zone: str) -> str:
    """How long a branch lasts, and the command that shows it."""
    left = branch.runway(now, zone)
    if left is None:
        said = "it tells no time"
    elif left == NEVER:
        said = "everything has a place, without end"
    else:
        said = f"everything has a place for {spoken_runway(left)}" if left else "no partition holds today"
    return f"  {branch.address}: {said}. See: partitions status {option('--table', branch.address)}"


def _cells(item: Partition | Archived, home: str) -> tuple[str, ...]:
    lower, upper = _ends(item.bounds)
    name = item.name if item.schema == home else f"{item.schema}.{item.name}"
    if item.bounds is None:
        ends = ("unknown", "unknown")
    elif item.bounds.is_default:
        ends = ("DEFAULT", "")
    elif not item.bounds.is_range:
        ends = (shown(item.bounds.text.removeprefix("FOR VALUES ")), "")
    else:
        ends = (_end(lower), _end(upper))
    size = item.size
    parts = (size.heap, size.index, size.toast, size.total) if size else (None,) * 4
    state = item.state.value.replace("_", " ")
    return (shown(name), state, *ends, human_rows(item.rows), *(human_bytes(part) for part in parts))


def _end(end: End | None) -> str:
    if end is None:
        return "unbounded"
    return str(end) if isinstance(end, date) else shown(end.isoformat())


# Findings and rows -------------------------------------------------------------------


def findings_text(table: PartitionedTable, findings: Sequence[Finding]) -> str:
    from core.doctor.findings import FEW, Severity, kinds

    wrong = [finding for finding in findings if finding.severity is not Severity.OK]
    right = len(findings) - len(wrong)
    lines = [f"{table.label}: {plural(len(wrong), 'finding')}; {plural(right, 'check')} found nothing wrong."]
    for some in kinds(findings):
        for finding in some if some[0].severity is Severity.OK else some[:FEW]:
            lines += _finding_lines(finding, table)
        if some[0].severity is not Severity.OK and len(some) > FEW:
            lines.append(f"          {len(some) - FEW:,} more of this kind: {_all_of_it(table)}")
    return "\n".join(shown(line) for line in lines)


def _all_of_it(table: PartitionedTable) -> str:
    return twin("doctor", table, "", "--json")


def _finding_lines(finding: Finding, table: PartitionedTable) -> Iterator[str]:
    from core.doctor.findings import Severity, first_lines

    yield f"{finding.severity.value.upper():8}  {finding.title}"
    if finding.severity is Severity.OK:
        return
    remedy, more = (f"Run: {finding.fix.command}", 0) if finding.fix else first_lines(finding.hint)
    for text in (finding.reason, remedy):
        yield from (f"          {part}" for part in text.splitlines())
    if more:
        yield f"          -- and {plural(more, 'line')} more: {_all_of_it(table)}"


def found_json(found: Found) -> Json:
    return {
        "date": found.day.isoformat(),
        "where": dict(found.where),
        "verdict": found.verdict,
        "places": [
            {
                "kind": place.kind.value,
                "relation": place.relation or None,
                "bounds": place.bounds or None,
                "rows": place.rows,
                "note": place.note,
                "problem": place.problem or None,
            }
            for place in found.places
        ],
    }


def found_text(found: Found) -> str:
    lines = [shown(found.verdict)]
    if found.places:
        head = ("where", "kind", "bounds", "rows")
        cells = [
            (shown(p.relation) or "nowhere", p.kind.value.replace("_", " "), shown(p.bounds), human_rows(p.rows))
            for p in found.places
        ]
        lines += ["", *aligned(head, cells, numbers=1)]
    return "\n".join(lines)
