"""The calendar of rows: a field for each day, week or month, darker with more rows; each kind of hole has its sign."""

from __future__ import annotations

import altair as alt
import pandas as pd

from core.growth.calendar import Calendar, Cell, Fill
from core.growth.words import month_of
from core.period import Period
from core.text import human_date, human_rows
from dashboard.charts.palette import COLOURS, Chart, styled
from dashboard.charts.theme import Theme
from dashboard.partitions.items import Status

YEARS = {Period.DAY: 3, Period.WEEK: 10, Period.MONTH: 20}
"""So many years are drawn at most; the table behind the picture has all."""
SIGNS = {Fill.ROWS: "", Fill.NONE: "0", Fill.UNKNOWN: "?", Fill.MISSING: "x"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LOW, HIGH = "#bfd5ff", "#1c459c"


def calendar(found: Calendar | None, theme: Theme) -> Chart | None:
    """A year below the other; of days a year has seven lines, of weeks and months one."""
    if found is None:
        return None
    last = found.cells[-1].lower.year
    cells = [cell for cell in found.cells if cell.lower.year > last - YEARS[found.period]]
    frame = pd.DataFrame([_field(cell, found.period) for cell in cells])
    lines = list(dict.fromkeys(sorted(frame["line"])))
    columns = _MONTHS if found.period is Period.MONTH else tuple(f"{week:02}" for week in range(54))
    base = alt.Chart(frame).encode(
        x=alt.X("column:O", sort=list(columns), scale=alt.Scale(domain=list(columns)), title=None, axis=_across(found)),
        y=alt.Y("line:O", sort=lines, title=None, axis=_down(found)),
        tooltip=[alt.Tooltip(f"{name}:N") for name in ("Date", "Rows")],
    )
    filled = base.mark_rect(cornerRadius=2, stroke=theme.ink.ground, strokeWidth=1).encode(
        color=alt.condition(
            f"datum.fill === '{Fill.ROWS}'",
            alt.Color("rows:Q", scale=alt.Scale(range=[LOW, HIGH]), legend=alt.Legend(title=None, format="~s")),
            alt.value(theme.ink.tints[Status.MISSING]),
        )
    )
    layers = [filled]
    if any(cell.fill is not Fill.ROWS for cell in cells):  # a layer of nothing has no name for a screen reader
        holes = base.transform_filter(f"datum.fill !== '{Fill.ROWS}'")
        layers += [
            holes.mark_rect(filled=False, stroke=COLOURS[Status.MISSING], strokeWidth=1, cornerRadius=2),
            holes.mark_text(fontSize=10, color=theme.ink.missing, fontWeight="bold").encode(text="sign:N"),
        ]
    height = 13 if found.period is Period.DAY else 24
    return styled(alt.layer(*layers), alt.Step(height), theme.ink)


def _field(cell: Cell, period: Period) -> dict[str, object]:
    day = cell.lower
    rows = f"about {human_rows(cell.rows)}" if cell.fill is Fill.ROWS else str(cell.fill).lower()
    if period is Period.MONTH:
        column, line = _MONTHS[day.month - 1], str(day.year)
    else:
        # by the weeks of the year that begin on Monday, its first days in week 0, so that no day leaves its year
        column, line = f"{int(f'{day:%W}'):02}", str(day.year)
        line += f" {day.weekday()}" if period is Period.DAY else ""
    told = month_of(day) if period is Period.MONTH else human_date(day)
    return {"column": column, "line": line, "fill": str(cell.fill), "rows": cell.rows, "sign": SIGNS[cell.fill],
            "Date": told, "Rows": rows}  # fmt: skip


def _across(found: Calendar) -> alt.Axis:
    label = "datum.label" if found.period is Period.MONTH else "+datum.value % 4 ? '' : 'week ' + (+datum.value)"
    return alt.Axis(labelAngle=0, ticks=False, labelExpr=label, orient="top", labelOverlap=False)


def _down(found: Calendar) -> alt.Axis:
    """The year at its first line, and some of the weekdays."""
    if found.period is not Period.DAY:
        return alt.Axis(ticks=False)
    days = " : ".join(f"slice(datum.value, 5) === '{n}' ? '{name}'" for n, name in enumerate(_DAYS) if n in (2, 4, 6))
    expression = f"slice(datum.value, 5) === '0' ? slice(datum.value, 0, 4) + '  Mon' : {days} : ''"
    return alt.Axis(ticks=False, labelExpr=expression, labelOverlap=False)
