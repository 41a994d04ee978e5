"""The pictures of the report: plain SVG that is part of the page, drawn on white for a sheet of paper."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from core.growth.read import Growth
from core.growth.series import Days, Floats, day_of
from core.growth.words import limit_size
from core.period import Period, add_months
from core.text import human_date, unit_of

MEASURED_DAYS, DERIVED_DAYS = 730, 8 * 365
"""How much of the past the first picture shows."""
BARS = 14
LIMIT_SHOWN = 2.5
"""A limit so many times above everything else is told, not drawn: it would flatten the curve."""
POINTS = 400
"""So many of a curve's points can be seen."""

BLUE, PALE, GREEN, GREY, RED = "#2f6fed", "#9dc0ff", "#0f9488", "#8a94a6", "#c2362b"
INK, FAINT, WORDS = "#1f2733", "#e3e7ee", "#5b6675"
Chart = alt.Chart | alt.LayerChart
Rows = list[dict[str, Any]]


def as_svg(chart: Chart, label: str, width: int, height: int, letters: float) -> str:
    """The picture as an element of a page, as wide as its place; `label` is for who can't see it."""
    made = (
        chart.properties(width=width, height=height, autosize={"type": "fit", "contains": "padding"}, padding=2)
        .configure(aria=False, background="transparent")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=WORDS,
            labelFontSize=letters,
            gridColor=FAINT,
            tickColor=GREY,
            tickSize=4,
            domain=False,
            title=None,
        )
    )
    drawn = str(vl_convert.vegalite_to_svg(made.to_json(indent=None)))
    size = re.search(r'viewBox="[^"]*"', drawn)
    opened = f'<svg {size.group() if size else ""} role="img" aria-label="{escape(label)}">'
    return re.sub(r"^<svg[^>]*>", lambda _: opened, drawn)


def _data(rows: Rows) -> alt.InlineData:
    return alt.InlineData(values=rows)


def _sizes(unit: str, ticks: int) -> alt.Axis:
    """Sizes at the left, each with its unit."""
    said = f"datum.value == 0 ? '0' : replace(datum.label, '\N{MINUS SIGN}', '-') + ' {unit}'"
    return alt.Axis(tickCount=ticks, ticks=False, labelExpr=said, labelPadding=4, zindex=0)


# What is on the server, and will be -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Past:
    days: Days
    attached: Floats
    total: Floats


def _past(growth: Growth) -> _Past:
    """What the first picture shows of the history, thinned to what can be seen."""
    history = growth.history
    since = growth.today - timedelta(days=DERIVED_DAYS if growth.derived else MEASURED_DAYS)
    shown = np.flatnonzero((history.days >= np.datetime64(since, "D")) & (history.days <= np.datetime64(growth.today)))
    if len(shown) > POINTS:
        shown = shown[np.unique(np.linspace(0, len(shown) - 1, POINTS).round().astype(int))]
    return _Past(history.days[shown], history.attached[shown], history.server[shown])


def on_server(growth: Growth) -> str:
    """The bytes on the server so far and as forecast, with the limit; empty where nothing is known."""
    past = _past(growth)
    if not len(past.days):
        return ""
    first, last = day_of(past.days[0]), growth.today
    if growth.forecast.possible:
        last = max(last, day_of(growth.outlook.days[-1]))
    limit = drawn_limit(growth)
    top = 1.06 * max(_highest(growth), limit or 0, 1)
    unit, factor = unit_of(int(top))
    x = alt.X(
        "day:T", scale=alt.Scale(type="utc", domain=[_day(first), _day(last)], nice=False), axis=_calendar(first, last)
    )
    scale = alt.Scale(domain=[0, top / factor], nice=False)
    y = alt.Y("to:Q", scale=scale, axis=_sizes(unit, 5))
    layers = [*_behind(growth, past, factor), *(_ahead(growth, factor, top) if growth.forecast.possible else ())]
    now = alt.Chart(_data([{"day": _day(growth.today), "to": 0, "word": "today"}]))
    layers.append(now.mark_rule(color=INK, strokeWidth=0.7).encode(y=alt.value(0), y2=alt.value("height")))
    layers.append(_words(now, align="right", dx=-4).encode(y=alt.value(4), text="word:N"))
    if limit:
        line = alt.Chart(_data([{"day": _day(first), "to": limit / factor, "word": f"limit {limit_size(limit)}"}]))
        layers.append(line.mark_rule(color=RED).encode(x=alt.value(0), x2=alt.value("width")))
        layers.append(_words(line, color=RED, align="left", dx=5, dy=-6).encode(text="word:N"))
    return as_svg(alt.layer(*layers).encode(x=x, y=y), f"Bytes on the server from {first} to {last}", 720, 200, 9.5)


def _day(day: date) -> int:
    """Milliseconds since 1970, which no reader takes for another zone's."""
    return (day - date(1970, 1, 1)).days * 86_400_000


def _words(of: alt.Chart, **options: Any) -> alt.Chart:
    given: dict[str, Any] = {"fontSize": 9.5, "color": WORDS, "baseline": "middle"} | options
    made: alt.Chart = of.mark_text(**given)
    return made


def _curve(days: Iterable[date], **columns: Floats) -> alt.Chart:
    names = list(columns)
    rows = [
        {"day": _day(day)} | dict(zip(names, (float(figure) for figure in figures), strict=True))
        for day, *figures in zip(days, *columns.values(), strict=True)
    ]
    return alt.Chart(_data(rows))


def _behind(growth: Growth, past: _Past, factor: int) -> list[alt.Chart]:
    """What was: in use below archived; where nobody measured, a point a period with unknown days between."""
    days = [day_of(day) for day in past.days]
    zero, attached, total = np.zeros(len(days)), past.attached / factor, past.total / factor
    line = _curve(days, to=total)
    if growth.derived:
        return [
            line.mark_line(color=BLUE, strokeWidth=1.6, strokeDash=[4, 3]),
            line.mark_circle(color=BLUE, size=20, opacity=1),
        ]
    areas = (
        _curve(days, to=attached, top=total).mark_area(color=GREY, opacity=0.45),
        _curve(days, to=zero, top=attached).mark_area(color=PALE, opacity=1),
    )
    return [*(area.encode(y2="top:Q") for area in areas), line.mark_line(color=BLUE, strokeWidth=1.6)]


def _ahead(growth: Growth, factor: int, top: float) -> list[alt.Chart]:
    """What will be if everything stays and, where that differs, if old data is removed: each in its band."""
    ahead = growth.outlook
    places = sorted({*range(0, len(ahead.days), 5), len(ahead.days) - 1})
    days = [day_of(ahead.days[place]) for place in places]
    layers: list[alt.Chart] = []
    for band, colour, dash in ((ahead.kept, BLUE, [1, 0]), (ahead.planned, GREEN, [5, 3]))[: 2 if ahead.frees else 1]:
        low, middle, high = (np.minimum(curve[places], top) / factor for curve in (band.low, band.expected, band.high))
        layers.append(_curve(days, to=low, top=high).mark_area(color=colour, opacity=0.16).encode(y2="top:Q"))
        layers.append(_curve(days, to=middle).mark_line(color=colour, strokeWidth=1.6, strokeDash=dash))
    return layers


def _highest(growth: Growth) -> float:
    """The most bytes that the first picture shows, the limit aside."""
    found = [float(growth.server), *_past(growth).total.tolist()]
    if growth.forecast.possible:
        found += [float(band.high.max()) for band in (growth.outlook.kept, growth.outlook.planned)]
    return float(max(found))


def drawn_limit(growth: Growth) -> int | None:
    """The limit, where it is not so far above everything that it would flatten the curve."""
    return growth.limit if growth.limit and growth.limit <= LIMIT_SHOWN * _highest(growth) else None


def _calendar(first: date, last: date) -> alt.Axis:
    """Marks at the beginning of years, and of quarters where there is room; first and last day where neither begins."""
    width = Period.YEAR if (last - first).days > 4 * 365 else Period.QUARTER
    begins = [lower for lower, _ in width.cover(width.after(width.containing(first)[0]), last + timedelta(days=1))]
    if begins:
        said = {_day(day): str(day.year) if day.month == 1 else f"{day:%b}" for day in begins}
    else:
        said = {_day(day): human_date(day) for day in (first, last)}
    return alt.Axis(
        values=list(said),
        labelExpr=f"{json.dumps({str(day): word for day, word in said.items()})}[toString(toNumber(datum.value))]",
        labelFlush=not begins,
        labelOverlap=True,
        grid=False,
    )


# Bars -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bar:
    label: str
    parts: tuple[tuple[float, str], ...]
    """(size, colour), from the ground up."""
    faint: bool = False


def _bars(label: str, bars: Sequence[_Bar]) -> str:
    """Standing bars; empty where there is nothing to see."""
    sums = [sum(size for size, _ in bar.parts) for bar in bars]
    low, high = min(0.0, *sums, 0.0), max(0.0, *sums, 0.0)
    if low == high:
        return ""
    unit, factor = unit_of(int(max(high, -low)))
    rows: Rows = []
    for number, bar in enumerate(bars):
        base = 0.0
        for size, colour in bar.parts:
            rows.append({"bar": number, "from": base / factor, "to": (base + size) / factor, "colour": colour,
                         "opacity": 0.45 if bar.faint else 1.0})  # fmt: skip
            base += size
    room = 5.4 * max(len(bar.label) for bar in bars) + 4
    step = max(1, -int(-len(bars) * room // 190))
    axis = alt.Axis(
        values=[number for number in range(len(bars)) if (len(bars) - 1 - number) % step == 0],
        labelExpr=f"{json.dumps([bar.label for bar in bars])}[datum.value]",
        labelAngle=0,
        labelOverlap=False,
        labelPadding=5,
        ticks=False,
        grid=False,
    )
    chart = (
        alt.Chart(_data(rows))
        .mark_bar(size=min(30.0, 137 / len(bars)))
        .encode(
            x=alt.X("bar:O", axis=axis, scale=alt.Scale(padding=0)),
            y=alt.Y(
                "from:Q",
                axis=_sizes(unit, 3),
                scale=alt.Scale(domain=[1.06 * low / factor, 1.06 * high / factor], nice=False),
            ),
            y2="to:Q",
            color=alt.Color("colour:N", scale=None),
            opacity=alt.Opacity("opacity:Q", scale=None),
        )
    )
    return as_svg(chart, label, 240, 110, 8.5)


def by_month(growth: Growth) -> str:
    """What each month added."""
    months = [month for month in growth.months if month.measured][-BARS:]
    bars = [_Bar(f"{one.first:%b}", ((one.added, BLUE),), faint=not one.complete) for one in months]
    return _bars("Bytes written by month", bars)


def by_quarter(growth: Growth) -> str:
    """What was archived and freed, the quarters without a move between them as well."""
    if not growth.savings:
        return ""
    found = {quarter.first: quarter for quarter in growth.savings}
    last = Period.QUARTER.containing(growth.today)[0]
    first = max(growth.savings[0].first, add_months(last, -3 * 7))
    bars = []
    for lower, _ in Period.QUARTER.cover(first, last + timedelta(days=1)):
        quarter = found.get(lower)
        freed, archived = (quarter.freed, quarter.archived) if quarter else (0, 0)
        bars.append(_Bar(_label(Period.QUARTER, lower), ((float(freed), BLUE), (float(archived), GREY))))
    return _bars("Bytes archived and freed by quarter", bars)


def by_period(growth: Growth) -> str:
    """What is stored for each period."""
    bars = [
        _Bar(_label(growth.period, bar.lower), ((float(bar.bytes), BLUE),), faint=not bar.complete)
        for bar in growth.by_period[-BARS:]
    ]
    return _bars("Bytes by period", bars)


def _label(period: Period, lower: date) -> str:
    if period is Period.YEAR:
        return f"{lower.year}"
    if period is Period.QUARTER:
        return f"Q{(lower.month + 2) // 3} {lower:%y}"
    return f"{lower:%b %y}" if period is Period.MONTH else f"{lower.day} {lower:%b}"
