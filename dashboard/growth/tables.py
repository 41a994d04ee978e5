"""The tables behind the pictures of growth, whole, for a spreadsheet: bytes as whole numbers, days as dates."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from core.growth.read import Growth
from core.growth.rows import DERIVED
from core.growth.savings import Money
from core.growth.series import day_of
from core.text import spreadsheet_text

Row = Sequence[object]
Table = tuple[Sequence[str], Iterable[Row]]
"""The names of the columns, and the rows."""


def as_csv(table: Table) -> bytes:
    """Comma-separated values in UTF-8, with a mark that spreadsheets know it by.

    What a spreadsheet would take for a formula is kept a text.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(table[0])
    writer.writerows([_cell(value) for value in row] for row in table[1])
    return out.getvalue().encode("utf-8-sig")


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        return round(value, 4) if value % 1 else int(value)
    return value.isoformat() if isinstance(value, date) else spreadsheet_text(value)


Priced = Callable[[float, float], Money | None]


def _cost(growth: Growth, hot: float, cold: float = 0.0) -> Row:
    """One more cell where prices are set."""
    money = growth.money(hot, cold)
    return () if money is None else (round(money.month, 4),)


def _with_cost(growth: Growth, columns: Sequence[str], of: str = "") -> Sequence[str]:
    return columns if growth.prices is None else (*columns, f"cost{of} a month, {growth.currency}")


def stored(growth: Growth) -> Table:
    """Bytes by day and place."""
    history = growth.history
    columns = ("day", "in use", "archived", "freed", "backups", "rows", "indexes", "large values", "partitions")
    how = "derived" if growth.derived else "sampled"

    def rows() -> Iterable[Row]:
        for place, day in enumerate(history.days):
            when = day_of(day)
            invented = history.generated_until is not None and when <= history.generated_until
            arrays = (history.attached, history.archived, history.freed, history.cold, history.heap, history.index,
                      history.toast, history.partitions)  # fmt: skip
            figures = [round(float(array[place])) for array in arrays]
            server = float(history.attached[place] + history.archived[place])
            cost = _cost(growth, server, float(history.cold[place]))
            yield (when, *figures, "invented for the demo" if invented else how, *cost)

    return _with_cost(growth, (*columns, "how")), rows()


def months(growth: Growth) -> Table:
    """What each month added."""
    rows = (
        (
            month.first,
            round(month.added),
            "interpolated" if not month.measured else "whole" if month.complete else "not over yet",
            *_cost(growth, month.added),
        )
        for month in growth.months
    )
    return _with_cost(growth, ("month", "bytes added", "how")), rows


def month_rows(growth: Growth) -> Table:
    """Rows by month."""
    rows = ((m.first, round(m.rows), "yes" if m.complete else "not over yet", DERIVED) for m in growth.month_rows)
    return ("month", "rows", "whole", "how"), rows


def ahead(growth: Growth) -> Table:
    """The forecast by day: the server's bytes if everything stays, and with the retention; each with its band."""
    names = [f"{what}, {edge}" for what in ("stays", "planned") for edge in ("low", "expected", "high")]
    bands = (growth.outlook.kept, growth.outlook.planned)
    curves = [curve for band in bands for curve in (band.low, band.expected, band.high)]

    def rows() -> Iterable[Row]:
        for place, day in enumerate(growth.outlook.days):
            figures = [round(float(curve[place])) for curve in curves]
            yield (day_of(day), *figures, *_cost(growth, figures[1]))

    return _with_cost(growth, ("day", *names), " if everything stays"), rows()


def calendar(growth: Growth) -> Table:
    """Rows by day, week or month, and what has none."""
    found = growth.calendar
    rows = ((one.lower, one.upper, one.rows, str(one.fill).lower()) for one in (found.cells if found else ()))
    return ("from", "up to, not including", "rows (estimate)", "what there is"), rows


def periods(growth: Growth) -> Table:
    """What was written for each period."""
    rows = (
        (
            one.lower,
            one.upper,
            one.bytes,
            one.rows,
            "yes" if one.complete else "not over yet",
            *_cost(growth, one.bytes),
        )
        for one in growth.by_period
    )
    return _with_cost(growth, ("from", "up to, not including", "bytes", "rows (estimate)", "whole")), rows


def growers(growth: Growth) -> Table:
    """Which tables grew."""
    rows = (
        (one.table, round(one.added), round(one.share, 4), one.since, round(one.now), *_cost(growth, one.added))
        for one in growth.growers
    )
    return _with_cost(
        growth, ("table", "bytes added", "share", "since", "bytes written in all"), " of what was added"
    ), rows


def savings(growth: Growth) -> Table:
    """What was moved and freed by quarter."""
    rows = (
        (
            one.label,
            one.archived,
            one.archived_partitions,
            one.freed,
            one.freed_partitions,
            one.returned,
            *_cost(growth, one.freed),
        )
        for one in growth.savings
    )
    columns = (
        "quarter",
        "bytes archived",
        "partitions archived",
        "bytes freed",
        "partitions freed",
        "bytes brought back",
    )
    return _with_cost(growth, columns, " saved"), rows


def leaving(growth: Growth) -> Table:
    """What leaves next."""
    rows = (
        (one.day, one.table, one.name, str(one.stage), one.freed_on, one.bytes, "due" if one.due else "to come",
         *_cost(growth, one.bytes))
        for one in growth.leaving
    )  # fmt: skip
    columns = ("day", "table", "partition", "where it is", "leaves the server on", "bytes now", "when")
    return _with_cost(growth, columns), rows


def made_of(growth: Growth) -> Table:
    """What the bytes on the server are."""
    shares = growth.shares
    parts = {"rows": shares.heap, "indexes": shares.index, "large values": shares.toast}
    dead = ("dead rows (estimate, part of rows)", shares.dead, round(shares.of(shares.dead), 4))
    rows = [(name, size, round(shares.of(size), 4)) for name, size in parts.items()]
    return _with_cost(growth, ("part", "bytes", "share")), [
        (*row, *_cost(growth, float(row[1]))) for row in (*rows, dead)
    ]


def partitions(growth: Growth) -> Table:
    """Every partition on the server, the largest first."""
    rows = (
        (one.table, one.name, str(one.stage), one.lower, one.upper, one.bytes if one.size else None, one.rows,
         *_cost(growth, one.bytes))
        for one in sorted(growth.items, key=lambda one: (-one.bytes, one.table, one.name))
    )  # fmt: skip
    columns = ("table", "partition", "where it is", "from", "up to, not including", "bytes", "rows (estimate)")
    return _with_cost(growth, columns), rows
