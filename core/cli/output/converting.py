"""What is printed of how far a conversion is, or its way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from core.console.journal import OperationRecord
from core.period import Width
from core.plans.conversion import Standing
from core.tables.prospect import SANE_AHEAD, SANE_FROM, Prospect
from core.text import Json, human_bytes, listed, plural, shown

_WIDTHS = (Width(months=12), Width(months=1), Width(days=1))
_MOST = 24
"""So many partitions that would come out are listed."""


def standing_text(found: Standing, active: Sequence[OperationRecord], at_work: str) -> str:
    """`at_work` is who acts on the table just now, journalled or not."""
    return "\n".join(shown(line) for line in _lines(found, active, at_work))


def _lines(found: Standing, active: Sequence[OperationRecord], at_work: str) -> Iterator[str]:
    yield found.said
    if found.paused:
        yield "It is paused."
    for one in active:
        doing = f" {one.doing}." if one.doing else ""
        yield f"Operation {one.id} ({one.kind}) of {one.actor} is {one.state}.{doing}"
    if at_work and not active:
        yield f"At work on the table: {at_work}."
    if found.stage.under_way and not (active or at_work):
        yield "Nobody goes on with it just now."
    yield f"Can I still go back? {found.back}"
    for what, command in found.next:
        yield f"{what}: {command}"


def standing_json(found: Standing, active: Sequence[OperationRecord], at_work: str) -> Json:
    asked = found.begun.asked if found.begun is not None else None
    move = found.move
    return {
        "table": found.table.address,
        "act": found.act,
        "stage": found.stage.value,
        "under_way": found.stage.under_way,
        "paused": found.paused,
        "said": found.said,
        "key": asked.key if asked is not None else None,
        "every": str(asked.every) if asked is not None else None,
        "periods": found.periods,
        "periods_done": None if found.periods is None or move is None else found.periods if move.switched else 0,
        "share": move.share if move is not None else None,
        "rows_estimate": found.rows,
        "rows_moved_estimate": found.moved,
        "bytes": found.bytes,
        "seconds_left_estimate": None if found.seconds is None else round(found.seconds),
        "operations": [
            {"id": one.id, "kind": one.kind, "state": one.state.value, "actor": one.actor, "doing": one.doing}
            for one in active
        ],
        "at_work": at_work or None,
        "go_back": found.back,
        "next": [{"what": what, "command": command} for what, command in found.next],
    }


def prospects_lines(found: Sequence[Prospect], key: str, every: Width, zone: str, today: date) -> Iterator[str]:
    """What would come out by the key and the width that are asked for, and by others."""
    others = [one for one in found if one.key.column != key]
    if others:
        yield f"It could be partitioned as well by {listed(map(_candidate, others))}."
    for one in found:
        if one.key.column != key:
            continue
        if not one.is_known:
            yield "The planner knows nothing of its rows: after an ANALYZE the partitions are told that would come out."
            return
        for width in dict.fromkeys((every, *_WIDTHS)):
            periods = one.periods(width, zone, today)
            rows = sorted(each.rows for each in periods)
            yield (
                f"Every {width}, by the planner's estimate: {plural(len(periods), 'partition')} with rows,"
                f" {rows[0]:,} to {plural(rows[-1], 'row')} each."
                if rows
                else f"Every {width}: no partition with rows."
            )
            if width == every:
                yield from (
                    f"  {each.label}: about {plural(each.rows, 'row')}, {human_bytes(each.bytes)}"
                    for each in periods[:_MOST]
                )
                if periods[_MOST:]:
                    yield f"  and {len(periods) - _MOST:,} more"
        odd = one.odd(zone, today)
        if odd:
            yield f"About {plural(odd, 'row')} of it lie before {SANE_FROM} or more than {SANE_AHEAD} years ahead."


def _candidate(one: Prospect) -> str:
    against = f", against which stand {listed(one.broken)}" if one.broken else ""
    nulls = f", {one.nulls:.0%} of the rows without" if one.nulls else ""
    return f"{one.key.column} ({one.key.type}{', with an index' if one.indexed else ''}{nulls}{against})"
