"""The bars of growth: what is added by month and period, who grows, what was saved and what is next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import altair as alt
import pandas as pd

from core.growth.history import Grower, Month
from core.growth.holdings import PeriodBytes, Shares
from core.growth.outlook import Leaving
from core.growth.rows import MonthRows
from core.growth.savings import Quarter
from core.growth.words import month_of, percent
from core.period import add_months, period_of
from core.text import human_bytes, human_date, human_rows, unit_of
from dashboard.charts.palette import COLOURS, DARK, Chart, styled
from dashboard.charts.theme import Theme
from dashboard.growth.charts import coloured, time_axis, utc
from dashboard.partitions.items import Status

SOLID = "Measured"

RUNNING = "In part"

GUESSED = "Interpolated"

OF_ROWS = "rows"

OF_INDEXES = "indexes"

OF_LONG = "large values"

BARS = 48
"""So many bars at most; the table behind the chart has all."""

PART_PX = 340
"""Width of a picture beside another, to judge which words fit."""


def months(found: Sequence[Month], theme: Theme) -> Chart | None:
    """What each month added; one that nobody measured whole is drawn as an outline."""
    shown = found[-BARS:]
    if not shown:
        return None
    unit, factor = unit_of(int(max(abs(month.added) for month in shown)))
    frame = pd.DataFrame(
        {
            "lower": [utc(month.first) for month in shown],
            "upper": [utc(add_months(month.first, 1) - timedelta(days=4)) for month in shown],
            "to": [month.added / factor for month in shown],
            "part": [_kind(month) for month in shown],
            "Month": [month_of(month.first) for month in shown],
            "Added": theme.says(month.added for month in shown),
        }
    )
    return _bars(frame, unit, theme, ("Month", "Added", "part"))


def _kind(month: Month) -> str:
    return GUESSED if not month.measured else SOLID if month.complete else RUNNING


def month_rows(found: Sequence[MonthRows], theme: Theme) -> Chart | None:
    """Rows dated in each month."""
    shown = found[-BARS:]
    if not shown:
        return None
    frame = pd.DataFrame(
        {
            "lower": [utc(month.first) for month in shown],
            "upper": [utc(add_months(month.first, 1) - timedelta(days=4)) for month in shown],
            "to": [month.rows for month in shown],
            "part": [SOLID if month.complete else RUNNING for month in shown],
            "Month": [month_of(month.first) for month in shown],
            "Rows": [f"about {human_rows(round(month.rows))}" for month in shown],
        }
    )
    return _bars(frame, "rows (estimate)", theme, ("Month", "Rows"), axis="~s", legend=False)


def periods(found: Sequence[PeriodBytes], theme: Theme) -> Chart | None:
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
            "Size": theme.says(one.bytes for one in shown),
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
    return styled(chart, 240, theme.ink)


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
    frame: pd.DataFrame, unit: str, theme: Theme, told: Sequence[str], *, axis: str = "", legend: bool = True
) -> Chart:
    """Standing bars along time in the colours of how each figure came about."""
    kinds = [kind for kind in (SOLID, RUNNING, GUESSED) if (frame["part"] == kind).any()]
    blue = COLOURS[Status.ATTACHED]
    fills = {SOLID: blue, RUNNING: COLOURS[Status.AHEAD], GUESSED: theme.ink.tints[Status.BUSY]}
    dashes = {SOLID: [1, 0], RUNNING: [1, 0], GUESSED: [4, 3]}
    words = alt.Legend(labelLimit=320) if legend and kinds != [SOLID] else None
    frame = frame.assign(**{"from": 0.0})
    ticks = alt.Axis(tickCount=5, format=axis) if axis else alt.Axis(tickCount=5)
    named = {"part": "How"}
    chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadius=2, strokeWidth=1.2)
        .encode(
            x=time_axis("lower:T", frame["lower"].min(), frame["upper"].max()),
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
    return styled(chart, 240, theme.ink)


def growers(found: Sequence[Grower], theme: Theme) -> Chart | None:
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
            "Written in all": theme.says(one.now for one in found),
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
    words = base.mark_text(align="left", dx=5, color=theme.ink.axis, fontSize=12).encode(text="word:N")
    return styled(alt.layer(bars, words), alt.Step(26), theme.ink)


MOVED = "Moved to the archive"

GONE = "Freed on the server"

BACK = "Came back"


def saved(found: Sequence[Quarter], theme: Theme) -> Chart | None:
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
                "Size": theme.say(value),
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
        layers.append(base.mark_text(dy=-8, fontSize=12, color=theme.ink.axis).encode(text="word:N"))
    return styled(alt.layer(*layers), 240, theme.ink)


LEAVES_TABLE = "Leave the table for the archive"

LEAVES_SERVER = "Leave the server"


def leaving(found: Sequence[Leaving], today: date, until: date, theme: Theme) -> Chart | None:
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
                "lower": utc(first + timedelta(days=0 if name == LEAVES_TABLE else 14)),
                "upper": utc(first + timedelta(days=13 if name == LEAVES_TABLE else 27)),
                "part": name,
                "from": 0.0,
                "to": value / factor,
                "Month": month_of(first),
                "Size": theme.say(value),
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
            x=time_axis("lower:T", utc(today.replace(day=1)), utc(until)),
            x2="upper:T",
            y=alt.Y("from:Q", title=unit, axis=alt.Axis(tickCount=4)),
            y2="to:Q",
            color=coloured(present, [colours[name] for name in present]),
            tooltip=[alt.Tooltip("Month:N"), alt.Tooltip("part:N", title="What"), alt.Tooltip("Size:N")],
        )
    )
    return styled(chart, 200, theme.ink)


def made_of(shares: Shares, theme: Theme) -> Chart | None:
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
                     "middle": (start + size / 2) / factor, "Size": f"{theme.say(size)} ({percent(share)})",
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
    return styled(alt.layer(bars, words), 130, theme.ink)
