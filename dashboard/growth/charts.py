"""The curves of growth: what is stored, and where it leads; each drawn from plain values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.growth.forecast import Band, Passing
from core.growth.history import History
from core.growth.outlook import Outlook
from core.growth.series import Days, day_of
from core.growth.words import written
from core.text import human_bytes, human_date, unit_of
from dashboard.charts.palette import COLOURS, Chart, styled
from dashboard.charts.theme import Theme
from dashboard.partitions.items import Status

IN_USE, ARCHIVED, FREED, COLD = "In use", "Archived", "Freed", "Backups"
PARTS = {
    IN_USE: COLOURS[Status.ATTACHED],
    ARCHIVED: COLOURS[Status.ARCHIVED],
    FREED: "",  # a tint of the theme
    COLD: COLOURS[Status.VERIFIED],
}
MEASURED, KEPT, PLANNED = "So far", "If everything stays", "If old data is removed"
CURVES = {MEASURED: "", KEPT: COLOURS[Status.ATTACHED], PLANNED: "#0f9488"}
POINTS = 360
"""So many points of a curve at most: a pixel or three each."""
HEIGHT = 280


def utc(day: date) -> pd.Timestamp:
    """Midnight of a day, which no browser moves to its own zone."""
    return pd.Timestamp(day.isoformat(), tz="UTC")


def _stamps(days: Days) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(days.astype("datetime64[s]")).tz_localize("UTC")


def _kept(count: int, points: int = POINTS) -> Any:
    """The places of at most so many of `count` figures, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, points)).round().astype(int)) if count else np.array([], int)


def _axis(first: pd.Timestamp, last: pd.Timestamp) -> alt.Axis:
    days = (last - first).days
    form = "%Y" if days > 6 * 365 else "%b %Y" if days > 100 else "%-d %b"
    ticks = {"interval": "day", "step": 1} if days <= 8 else 8
    return alt.Axis(grid=False, labelFlush=True, labelOverlap=True, labelSeparation=10, tickCount=ticks, format=form)


def time_axis(field: str, first: pd.Timestamp, last: pd.Timestamp) -> alt.X:
    """Time from left to right, in UTC."""
    domain = [_moment(first), _moment(last)]
    return alt.X(field, title=None, scale=alt.Scale(type="utc", domain=domain, nice=False), axis=_axis(first, last))


def _moment(moment: pd.Timestamp) -> alt.DateTime:
    return alt.DateTime(year=moment.year, month=moment.month, date=moment.day, utc=True)


def _hover(frame: pd.DataFrame, x: alt.X, names: Sequence[str], theme: Theme) -> alt.Chart:
    """A line below the pointer that tells all figures of its day."""
    near = alt.selection_point(
        name="near", on="pointerover", nearest=True, fields=["day"], empty=False, clear="mouseout"
    )
    rules: alt.Chart = (
        alt.Chart(frame)
        .mark_rule(color=theme.ink.axis, strokeWidth=1, aria=False)
        .encode(
            x=x,
            opacity=alt.condition(near, alt.value(0.6), alt.value(0)),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("Day", *names)],
        )
        .add_params(near)
    )
    return rules


def coloured(names: Sequence[str], colours: Sequence[str], legend: alt.Legend | None = None) -> alt.Color:
    """The parts of a picture in their colours."""
    scale = alt.Scale(domain=list(names), range=list(colours))
    return alt.Color("part:N", scale=scale, legend=legend or alt.Legend(labelLimit=320, symbolOpacity=1))


def stored(history: History, theme: Theme) -> Chart | None:
    """Bytes by day, those in use below the archived and the freed; backups as a line, since they lie elsewhere."""
    if len(history) < 2:
        return None
    places = _kept(len(history))
    figures = {IN_USE: history.attached, ARCHIVED: history.archived, FREED: history.freed, COLD: history.cold}
    present = [name for name in PARTS if name == IN_USE or figures[name].any()]
    unit, factor = unit_of(int(max(history.written.max(), history.cold.max())))
    days = _stamps(history.days[places])
    frames, base = [], np.zeros(len(places))
    for name in present:
        if name != COLD:
            top = base + figures[name][places] / factor
            frames.append(pd.DataFrame({"day": days, "part": name, "from": base, "to": top}))
            base = top
    told = {name: theme.says(figures[name][places], cold=name == COLD) for name in present}
    wide = pd.DataFrame({"day": days, "Day": [human_date(day.date()) for day in days], **told})
    x = time_axis("day:T", days[0], days[-1])
    colour = coloured(present, [PARTS[name] or theme.ink.grid for name in present])
    y = alt.Y("from:Q", title=unit, axis=alt.Axis(tickCount=5), scale=alt.Scale(zero=True))
    area = (
        alt.Chart(pd.concat(frames))
        .mark_area(line=False, opacity=0.92, interpolate="step-after" if history.derived else "linear")
        .encode(x=x, y=y, y2="to:Q", color=colour)
    )
    layers: list[alt.Chart] = [area]
    if COLD in present:
        frame = pd.DataFrame({"day": days, "part": COLD, "to": figures[COLD][places] / factor})
        layers.append(alt.Chart(frame).mark_line(strokeWidth=2.5).encode(x=x, y="to:Q", color=colour))
    return styled(alt.layer(*layers, _hover(wide, x, present, theme)), HEIGHT, theme.ink)


def ahead(
    history: History, outlook: Outlook, passings: Sequence[Passing | None], today: date, theme: Theme
) -> Chart | None:
    """Bytes on the server so far and as forecast, with and without what is planned, each in its band, and the limit."""
    if not len(outlook.days) or not len(history):
        return None
    curves = {KEPT: outlook.kept}
    if outlook.frees:
        curves[PLANNED] = outlook.planned
    limit = next((passing.limit for passing in passings if passing), None)
    top = max(float(history.server.max()), *(float(band.high.max()) for band in curves.values()))
    drawn = limit if limit is not None and limit <= 2 * top else None
    unit, factor = unit_of(int(max(top, drawn or 0)))
    back = np.flatnonzero(history.days >= np.datetime64(today, "D") - max(365, len(outlook.days) // 2))
    back = back[_kept(len(back))]
    past = pd.DataFrame({"day": _stamps(history.days[back]), "part": MEASURED, "to": history.server[back] / factor})
    places = _kept(len(outlook.days))
    days = _stamps(outlook.days[places])
    lines, bands = [past], []
    told: dict[str, list[str]] = {}
    for name, band in curves.items():
        low, middle, high = (curve[places] / factor for curve in (band.low, band.expected, band.high))
        lines.append(pd.DataFrame({"day": days, "part": name, "to": middle}))
        bands.append(pd.DataFrame({"day": days, "part": name, "from": low, "to": high}))
        told[name] = [_range(band, place) for place in places]
    names = [MEASURED, *curves]
    first = min(past["day"].min(), days[0]) if len(past) else days[0]
    x = time_axis("day:T", first, days[-1])
    words = alt.Legend(
        columns=alt.ExprRef("width < 420 ? 1 : 2"),
        labelLimit=320,
        symbolOpacity=1,
        symbolType="stroke",
        symbolStrokeWidth=3,
        symbolSize=300,
    )
    colour = coloured(names, [CURVES[name] or theme.ink.text for name in names], words)
    dash = alt.StrokeDash(
        "part:N",
        scale=alt.Scale(domain=names, range=[{PLANNED: [7, 4]}.get(name, [1, 0]) for name in names]),
        legend=words,
    )
    scale = alt.Scale(domain=[0.0, max(top, drawn or 0) / factor * 1.06], nice=True)
    y = alt.Y("to:Q", title=f"{unit} on the server", axis=alt.Axis(tickCount=6), scale=scale)
    area = alt.Chart(pd.concat(bands)).mark_area(opacity=0.16)
    layers: list[alt.Chart] = [
        area.encode(x=x, y=alt.Y("from:Q", title=f"{unit} on the server", scale=scale), y2="to:Q", color=colour),
        alt.Chart(pd.concat(lines)).mark_line(strokeWidth=2.5).encode(x=x, y=y, color=colour, strokeDash=dash),
        *_now(today, theme),
    ]
    if drawn is not None:
        layers += _limit(drawn, factor, first, theme)
        reached = [(p, name) for p, name in zip(passings, curves, strict=False) if p and p.expected and not p.already]
        layers += [_passed(passing, name, factor, theme) for passing, name in reached]
    wide = pd.DataFrame({"day": days, "Day": [human_date(day.date()) for day in days], **told})
    return styled(alt.layer(*layers, _hover(wide, x, list(curves), theme)), 330, theme.ink)


def _range(band: Band, place: int) -> str:
    low, middle, high = (human_bytes(round(float(curve[place]))) for curve in (band.low, band.expected, band.high))
    return f"{middle} ({low} to {high})"


def _now(today: date, theme: Theme) -> list[alt.Chart]:
    frame = pd.DataFrame({"day": [utc(today)], "Today": [human_date(today)]})
    base = alt.Chart(frame).encode(x="day:T", tooltip="Today:N")
    said = base.mark_text(text="today", color=theme.ink.axis, fontSize=12, align="right", dx=-5, baseline="top")
    return [base.mark_rule(color=theme.ink.axis, strokeDash=[2, 3], strokeWidth=1.2), said.encode(y=alt.value(0))]


def _limit(limit: int, factor: int, first: pd.Timestamp, theme: Theme) -> list[alt.Chart]:
    frame = pd.DataFrame({"day": [first], "to": [limit / factor], "word": [f"limit {written(limit)}"]})
    base = alt.Chart(frame).encode(y="to:Q")
    words: dict[str, Any] = {
        "align": "left",
        "baseline": "bottom",
        "dx": 4,
        "dy": -4,
        "fontWeight": 600,
        "fontSize": 12,
    }
    ground = base.mark_text(**words, stroke=theme.ink.ground, strokeWidth=5, strokeJoin="round", aria=False)
    said = base.mark_text(**words, color=theme.ink.today)
    rule = base.mark_rule(color=theme.ink.today, strokeWidth=2)
    return [rule, *(text.encode(x="day:T", text="word:N") for text in (ground, said))]


def _passed(passing: Passing, name: str, factor: int, theme: Theme) -> alt.Chart:
    day = passing.expected or date.max
    frame = pd.DataFrame(
        {"day": [utc(day)], "to": [passing.limit / factor], "Limit passed": [human_date(day)], "Curve": [name]}
    )
    point: alt.Chart = (
        alt.Chart(frame)
        .mark_point(filled=True, size=90, color=theme.ink.today, stroke=theme.ink.ground, strokeWidth=1.5, opacity=1)
        .encode(x="day:T", y="to:Q", tooltip=["Limit passed:N", "Curve:N"])
    )
    return point


def first_day(history: History) -> date | None:
    """The day of the first figure."""
    return day_of(history.days[0]) if len(history) else None
