"""The pictures of growth: what is stored, what is added, where it leads; each drawn from plain values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from core.growth.forecast import Band, Passing
from core.growth.history import Grower, History, Month
from core.growth.holdings import PeriodBytes, Shares
from core.growth.outlook import Leaving, Outlook
from core.growth.rows import MonthRows
from core.growth.savings import Quarter
from core.growth.series import Days, day_of
from core.growth.words import month_of, percent, written
from core.period import add_months, period_of
from core.text import human_bytes, human_date, human_rows, unit_of
from dashboard.charts.palette import COLOURS, DARK, Chart, styled
from dashboard.charts.theme import Pen
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
SOLID, RUNNING, GUESSED = "Measured", "In part", "Interpolated"
OF_ROWS, OF_INDEXES, OF_LONG = "rows", "indexes", "large values"
POINTS = 360
"""So many points of a curve at most: a pixel or three each."""
BARS = 48
"""So many bars at most; the table behind the chart has all."""
HEIGHT = 280
PART_PX = 340
"""Width of a picture beside another, to judge which words fit."""


def _utc(day: date) -> pd.Timestamp:
    return pd.Timestamp(day.isoformat(), tz="UTC")


def _stamps(days: Days) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(days.astype("datetime64[s]")).tz_localize("UTC")


def _kept(count: int, points: int = POINTS) -> Any:
    """The places of at most so many of `count` figures, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, points)).round().astype(int)) if count else np.array([], int)


def _axis(first: pd.Timestamp, last: pd.Timestamp) -> alt.Axis:
    days = (last - first).days
    form = "%Y" if days > 6 * 365 else "%b %Y" if days > 100 else "%-d %b"
    return alt.Axis(grid=False, labelFlush=True, labelOverlap=True, labelSeparation=10, tickCount=8, format=form)


def _time(field: str, first: pd.Timestamp, last: pd.Timestamp) -> alt.X:
    domain = [_moment(first), _moment(last)]
    return alt.X(field, title=None, scale=alt.Scale(type="utc", domain=domain, nice=False), axis=_axis(first, last))


def _moment(moment: pd.Timestamp) -> alt.DateTime:
    return alt.DateTime(year=moment.year, month=moment.month, date=moment.day, utc=True)


def _hover(frame: pd.DataFrame, x: alt.X, names: Sequence[str], pen: Pen) -> alt.Chart:
    """A line below the pointer that tells all figures of its day."""
    near = alt.selection_point(
        name="near", on="pointerover", nearest=True, fields=["day"], empty=False, clear="mouseout"
    )
    rules: alt.Chart = (
        alt.Chart(frame)
        .mark_rule(color=pen.ink.axis, strokeWidth=1, aria=False)
        .encode(
            x=x,
            opacity=alt.condition(near, alt.value(0.6), alt.value(0)),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("Day", *names)],
        )
        .add_params(near)
    )
    return rules


def coloured(names: Sequence[str], colours: Sequence[str], legend: alt.Legend | None = None) -> alt.Color:
    scale = alt.Scale(domain=list(names), range=list(colours))
    return alt.Color("part:N", scale=scale, legend=legend or alt.Legend(labelLimit=320, symbolOpacity=1))


# --- what is stored -------------------------------------------------------------------------------------------------


def stored(history: History, pen: Pen) -> Chart | None:
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
    told = {name: pen.says(figures[name][places], cold=name == COLD) for name in present}
    wide = pd.DataFrame({"day": days, "Day": [human_date(day.date()) for day in days], **told})
    x = _time("day:T", days[0], days[-1])
    colour = coloured(present, [PARTS[name] or pen.ink.grid for name in present])
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
    return styled(alt.layer(*layers, _hover(wide, x, present, pen)), HEIGHT, pen.ink)


# --- what is added --------------------------------------------------------------------------------------------------


def months(found: Sequence[Month], pen: Pen) -> Chart | None:
    """What each month added; one that nobody measured whole is drawn as an outline."""
    shown = found[-BARS:]
    if not shown:
        return None
    unit, factor = unit_of(int(max(abs(month.added) for month in shown)))
    frame = pd.DataFrame(
        {
            "lower": [_utc(month.first) for month in shown],
            "upper": [_utc(add_months(month.first, 1) - timedelta(days=4)) for month in shown],
            "to": [month.added / factor for month in shown],
            "part": [_kind(month) for month in shown],
            "Month": [month_of(month.first) for month in shown],
            "Added": pen.says(month.added for month in shown),
        }
    )
    return _bars(frame, unit, pen, ("Month", "Added", "part"))


def _kind(month: Month) -> str:
    return GUESSED if not month.measured else SOLID if month.complete else RUNNING


def month_rows(found: Sequence[MonthRows], pen: Pen) -> Chart | None:
    """Rows dated in each month."""
    shown = found[-BARS:]
    if not shown:
        return None
    frame = pd.DataFrame(
        {
            "lower": [_utc(month.first) for month in shown],
            "upper": [_utc(add_months(month.first, 1) - timedelta(days=4)) for month in shown],
            "to": [month.rows for month in shown],
            "part": [SOLID if month.complete else RUNNING for month in shown],
            "Month": [month_of(month.first) for month in shown],
            "Rows": [f"about {human_rows(round(month.rows))}" for month in shown],
        }
    )
    return _bars(frame, "rows (estimate)", pen, ("Month", "Rows"), axis="~s", legend=False)


def periods(found: Sequence[PeriodBytes], pen: Pen) -> Chart | None:
    """Bytes written for each period, the running one as an outline; many are taken together by year."""
    shown = by_year(found) if len(found) > BARS else list(found)
    if not shown:
        return None
    unit, factor = unit_of(max(one.bytes for one in shown))
    names = [_label(one) for one in shown]
    frame = pd.DataFrame(
        {
            "label": names,
            "to": [one.bytes / factor for one in shown],
            "part": ["Over" if one.complete else "Not over yet" for one in shown],
            "Period": [f"{human_date(one.lower)} up to {human_date(one.upper - timedelta(days=1))}" for one in shown],
            "Size": pen.says(one.bytes for one in shown),
        }
    )
    axis = alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=10, labelPadding=8, ticks=False, grid=False)
    chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadius=2)
        .encode(
            x=alt.X("label:N", sort=names, title=None, axis=axis, scale=alt.Scale(paddingInner=0.15)),
            y=alt.Y("to:Q", title=unit, axis=alt.Axis(tickCount=5)),
            color=coloured(("Over", "Not over yet"), (COLOURS[Status.ATTACHED], COLOURS[Status.AHEAD])),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("Period", "Size")],
        )
    )
    return styled(chart, 240, pen.ink)


def _label(one: PeriodBytes) -> str:
    return short(one.lower, one.upper) or f"{one.lower:%Y-%m-%d}"


def short(lower: date | None, upper: date | None) -> str:
    """What a person calls a period: 2026, 2026-05; empty for any other range."""
    period = period_of(lower, upper) if lower and upper else None
    return period.label(lower).replace("_", "-") if period and lower else ""


def by_year(found: Sequence[PeriodBytes]) -> list[PeriodBytes]:
    """The same figures, those that begin in one year together."""
    years: dict[int, list[PeriodBytes]] = {}
    for one in found:
        years.setdefault(one.lower.year, []).append(one)
    return [
        PeriodBytes(
            date(year, 1, 1),
            max(date(year + 1, 1, 1), group[-1].upper),
            sum(one.bytes for one in group),
            None,
            all(one.complete for one in group),
        )
        for year, group in sorted(years.items())
    ]


def _bars(
    frame: pd.DataFrame, unit: str, pen: Pen, told: Sequence[str], *, axis: str = "", legend: bool = True
) -> Chart:
    """Standing bars along time in the colours of how each figure came about."""
    kinds = [kind for kind in (SOLID, RUNNING, GUESSED) if (frame["part"] == kind).any()]
    blue = COLOURS[Status.ATTACHED]
    fills = {SOLID: blue, RUNNING: COLOURS[Status.AHEAD], GUESSED: pen.ink.tints[Status.BUSY]}
    dashes = {SOLID: [1, 0], RUNNING: [1, 0], GUESSED: [4, 3]}
    words = alt.Legend(labelLimit=320) if legend and kinds != [SOLID] else None
    frame = frame.assign(**{"from": 0.0})
    ticks = alt.Axis(tickCount=5, format=axis) if axis else alt.Axis(tickCount=5)
    named = {"part": "How"}
    chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadius=2, strokeWidth=1.2)
        .encode(
            x=_time("lower:T", frame["lower"].min(), frame["upper"].max()),
            x2="upper:T",
            y=alt.Y("from:Q", title=unit, axis=ticks),
            y2="to:Q",
            fill=alt.Fill("part:N", scale=alt.Scale(domain=kinds, range=[fills[k] for k in kinds]), legend=words),
            stroke=alt.Stroke("part:N", scale=alt.Scale(domain=kinds, range=[blue] * len(kinds)), legend=words),
            strokeDash=alt.StrokeDash(
                "part:N", scale=alt.Scale(domain=kinds, range=[dashes[k] for k in kinds]), legend=words
            ),
            tooltip=[alt.Tooltip(f"{name}:N", title=named.get(name, name)) for name in told],
        )
    )
    return styled(chart, 240, pen.ink)


# --- where it leads -------------------------------------------------------------------------------------------------


def ahead(
    history: History, outlook: Outlook, passings: Sequence[Passing | None], today: date, pen: Pen
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
    x = _time("day:T", first, days[-1])
    words = alt.Legend(labelLimit=320, symbolOpacity=1, symbolType="stroke", symbolStrokeWidth=3, symbolSize=300)
    colour = coloured(names, [CURVES[name] or pen.ink.text for name in names], words)
    dash = alt.StrokeDash(
        "part:N",
        scale=alt.Scale(domain=names, range=[{PLANNED: [7, 4]}.get(name, [1, 0]) for name in names]),
        legend=words,
    )
    lows = [float(history.server[back].min()) if len(back) else top, *(float(b.low.min()) for b in curves.values())]
    reach = [max(0.0, min(*lows, drawn or top) / factor * 0.95), max(top, drawn or 0) / factor * 1.06]
    scale = alt.Scale(domain=reach, nice=True)
    y = alt.Y("to:Q", title=f"{unit} on the server", axis=alt.Axis(tickCount=6), scale=scale)
    area = alt.Chart(pd.concat(bands)).mark_area(opacity=0.16)
    layers: list[alt.Chart] = [
        area.encode(x=x, y=alt.Y("from:Q", title=f"{unit} on the server", scale=scale), y2="to:Q", color=colour),
        alt.Chart(pd.concat(lines)).mark_line(strokeWidth=2.5).encode(x=x, y=y, color=colour, strokeDash=dash),
        *_now(today, pen),
    ]
    if drawn is not None:
        layers += _limit(drawn, factor, first, pen)
        reached = [(p, name) for p, name in zip(passings, curves, strict=False) if p and p.expected and not p.already]
        layers += [_passed(passing, name, factor, pen) for passing, name in reached]
    wide = pd.DataFrame({"day": days, "Day": [human_date(day.date()) for day in days], **told})
    return styled(alt.layer(*layers, _hover(wide, x, list(curves), pen)), 330, pen.ink)


def _range(band: Band, place: int) -> str:
    low, middle, high = (human_bytes(round(float(curve[place]))) for curve in (band.low, band.expected, band.high))
    return f"{middle} ({low} to {high})"


def _now(today: date, pen: Pen) -> list[alt.Chart]:
    frame = pd.DataFrame({"day": [_utc(today)], "Today": [human_date(today)]})
    base = alt.Chart(frame).encode(x="day:T", tooltip="Today:N")
    said = base.mark_text(text="today", color=pen.ink.axis, fontSize=12, align="right", dx=-5, baseline="top")
    return [base.mark_rule(color=pen.ink.axis, strokeDash=[2, 3], strokeWidth=1.2), said.encode(y=alt.value(0))]


def _limit(limit: int, factor: int, first: pd.Timestamp, pen: Pen) -> list[alt.Chart]:
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
    ground = base.mark_text(**words, stroke=pen.ink.ground, strokeWidth=5, strokeJoin="round", aria=False)
    said = base.mark_text(**words, color=pen.ink.today)
    rule = base.mark_rule(color=pen.ink.today, strokeWidth=2)
    return [rule, *(text.encode(x="day:T", text="word:N") for text in (ground, said))]


def _passed(passing: Passing, name: str, factor: int, pen: Pen) -> alt.Chart:
    day = passing.expected or date.max
    frame = pd.DataFrame(
        {"day": [_utc(day)], "to": [passing.limit / factor], "Limit passed": [human_date(day)], "Curve": [name]}
    )
    point: alt.Chart = (
        alt.Chart(frame)
        .mark_point(filled=True, size=90, color=pen.ink.today, stroke=pen.ink.ground, strokeWidth=1.5, opacity=1)
        .encode(x="day:T", y="to:Q", tooltip=["Limit passed:N", "Curve:N"])
    )
    return point


# --- who grows, what was saved, what is next ------------------------------------------------------------------------


def growers(found: Sequence[Grower], pen: Pen) -> Chart | None:
    """What each table added of late, the most first."""
    if not found:
        return None
    unit, factor = unit_of(int(max(abs(one.added) for one in found)))
    frame = pd.DataFrame(
        {
            "label": [one.table for one in found],
            "order": range(len(found)),
            "to": [one.added / factor for one in found],
            "word": [f"{human_bytes(round(one.added))} · {percent(one.share)}" for one in found],
            "Since": [human_date(one.since) for one in found],
            "Written in all": pen.says(one.now for one in found),
        }
    )
    axis = alt.Axis(labelLimit=200, labelOverlap=False, labelPadding=7, grid=False, ticks=False)
    room = 1.35 * max(float(frame["to"].max()), 0.0)
    scale = alt.Scale(domainMax=room) if room > 0 else alt.Scale()
    base = alt.Chart(frame).encode(
        y=alt.Y("label:N", sort=alt.EncodingSortField("order"), title=None, axis=axis),
        x=alt.X("to:Q", title=unit, axis=alt.Axis(tickCount=5), scale=scale),
        tooltip=[alt.Tooltip(f"{name}:N") for name in ("label", "word", "Since", "Written in all")],
    )
    bars = base.mark_bar(cornerRadius=2, color=COLOURS[Status.ATTACHED], size=16)
    words = base.mark_text(align="left", dx=5, color=pen.ink.axis, fontSize=12).encode(text="word:N")
    return styled(alt.layer(bars, words), alt.Step(26), pen.ink)


MOVED, GONE, BACK = "Moved to the archive", "Freed on the server", "Came back"


def saved(found: Sequence[Quarter], pen: Pen) -> Chart | None:
    """What was moved, freed and brought back, by quarter."""
    if not found:
        return None
    shown = found[-16:]
    kinds = {
        MOVED: (COLOURS[Status.ARCHIVED], [one.archived for one in shown]),
        GONE: (COLOURS[Status.VERIFIED], [one.freed for one in shown]),
        BACK: (COLOURS[Status.DUE], [one.returned for one in shown]),
    }
    present = [name for name, (_, values) in kinds.items() if any(values)] or [MOVED]
    unit, factor = unit_of(max(max(values) for _, values in kinds.values()))
    frame = pd.DataFrame(
        [
            {
                "label": quarter.label,
                "part": name,
                "to": value / factor,
                "Size": pen.say(value),
                "word": human_bytes(value) if value else "",
            }
            for name in present
            for quarter, value in zip(shown, kinds[name][1], strict=True)
        ]
    )
    order = [quarter.label for quarter in shown]
    base = alt.Chart(frame).encode(
        x=alt.X(
            "label:N",
            sort=order,
            title=None,
            axis=alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=10, ticks=False),
            scale=alt.Scale(paddingInner=0.35, paddingOuter=0.6 if len(shown) < 4 else 0.2),
        ),
        xOffset=alt.XOffset("part:N", sort=present),
        y=alt.Y("to:Q", title=unit, axis=alt.Axis(tickCount=5), scale=alt.Scale(domainMax=1.12 * frame["to"].max())),
    )
    bars = base.mark_bar(cornerRadius=2).encode(
        color=coloured(present, [kinds[name][0] for name in present]),
        tooltip=[alt.Tooltip("label:N", title="Quarter"), alt.Tooltip("part:N", title="What"), alt.Tooltip("Size:N")],
    )
    layers = [bars]
    if len(shown) * len(present) <= 8:
        layers.append(base.mark_text(dy=-8, fontSize=12, color=pen.ink.axis).encode(text="word:N"))
    return styled(alt.layer(*layers), 240, pen.ink)


LEAVES_TABLE, LEAVES_SERVER = "Leave the table for the archive", "Leave the server"


def leaving(found: Sequence[Leaving], today: date, until: date, pen: Pen) -> Chart | None:
    """Bytes that leave, by month."""
    rows: dict[tuple[date, str], int] = {}
    for one in found:
        if one.day <= until and one.stage == "attached":
            key = (one.day.replace(day=1), LEAVES_TABLE)
            rows[key] = rows.get(key, 0) + one.bytes
        if one.freed_on is not None and one.freed_on <= until:
            key = (one.freed_on.replace(day=1), LEAVES_SERVER)
            rows[key] = rows.get(key, 0) + one.bytes
    if not any(rows.values()):
        return None
    unit, factor = unit_of(max(rows.values()))
    frame = pd.DataFrame(
        [
            {
                "lower": _utc(first + timedelta(days=0 if name == LEAVES_TABLE else 14)),
                "upper": _utc(first + timedelta(days=13 if name == LEAVES_TABLE else 27)),
                "part": name,
                "from": 0.0,
                "to": value / factor,
                "Month": month_of(first),
                "Size": pen.say(value),
            }
            for (first, name), value in sorted(rows.items())
        ]
    )
    present = [name for name in (LEAVES_TABLE, LEAVES_SERVER) if (frame["part"] == name).any()]
    colours = {LEAVES_TABLE: COLOURS[Status.DUE], LEAVES_SERVER: COLOURS[Status.VERIFIED]}
    chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadius=2)
        .encode(
            x=_time("lower:T", _utc(today.replace(day=1)), _utc(until)),
            x2="upper:T",
            y=alt.Y("from:Q", title=unit, axis=alt.Axis(tickCount=4)),
            y2="to:Q",
            color=coloured(present, [colours[name] for name in present]),
            tooltip=[alt.Tooltip("Month:N"), alt.Tooltip("part:N", title="What"), alt.Tooltip("Size:N")],
        )
    )
    return styled(chart, 200, pen.ink)


def made_of(shares: Shares, pen: Pen) -> Chart | None:
    """What the bytes on the server are: rows, indexes, large values, each with its share."""
    if not shares.bytes:
        return None
    unit, factor = unit_of(shares.bytes)
    colours = {OF_ROWS: COLOURS[Status.ATTACHED], OF_INDEXES: "#7fb3a8", OF_LONG: "#c9a0dc"}
    parts = {OF_ROWS: shares.heap, OF_INDEXES: shares.index, OF_LONG: shares.toast}
    rows, start = [], 0
    for name, size in parts.items():
        share = shares.of(size)
        word = (
            f"{name} {percent(share)}"
            if share * PART_PX > 8 * len(name) + 40
            else percent(share)
            if share > 0.1
            else ""
        )
        rows.append({"part": name, "from": start / factor, "to": (start + size) / factor, "word": word,
                     "middle": (start + size / 2) / factor, "Size": f"{pen.say(size)} ({percent(share)})",
                     "ink": "#ffffff" if name == OF_ROWS else DARK})  # fmt: skip
        start += size
    base = alt.Chart(pd.DataFrame(rows))
    bars = base.mark_bar(height=44, cornerRadius=2).encode(
        x=alt.X(
            "from:Q", title=unit, axis=alt.Axis(tickCount=6), scale=alt.Scale(domain=[0, start / factor], nice=False)
        ),
        x2="to:Q",
        color=coloured(list(parts), [colours[name] for name in parts]),
        tooltip=[alt.Tooltip("part:N", title="Part"), alt.Tooltip("Size:N")],
    )
    words = base.mark_text(fontSize=13, fontWeight=600).encode(
        x="middle:Q", text="word:N", color=alt.Color("ink:N", scale=None)
    )
    return styled(alt.layer(bars, words), 130, pen.ink)


def first_day(history: History) -> date | None:
    """The day of the first figure."""
    return day_of(history.days[0]) if len(history) else None
